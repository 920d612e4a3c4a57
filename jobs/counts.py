"""Posts in windows of ten seconds, to the topic mastodon-counts and the table post_counts.

spark-submit --properties-file spark-conf/local.conf jobs/counts.py
millrace run counts --window 1m --sink console
"""

from millrace import analyses, application


def main() -> None:
    analyses.run(analyses.COUNTS, __doc__)


if __name__ == "__main__":
    application.run(main)
