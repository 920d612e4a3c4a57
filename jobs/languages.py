"""Languages per window: how many posts were written in each; the view language_shares has their shares.

spark-submit --properties-file spark-conf/local.conf jobs/languages.py
millrace run languages --source bluesky --window 5m --sink postgres
"""

from millrace import analyses, application


def main() -> None:
    analyses.run(analyses.LANGUAGES, __doc__)


if __name__ == "__main__":
    application.run(main)
