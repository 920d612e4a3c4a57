"""Authors per window: how many posts each wrote; the view most_active_authors ranks them.

spark-submit --properties-file spark-conf/local.conf jobs/authors.py
millrace run authors --window 1h --sink mysql
"""

from millrace import analyses, application


def main() -> None:
    analyses.run(analyses.AUTHORS, __doc__)


if __name__ == "__main__":
    application.run(main)
