"""Hashtags per window: how many posts carried each, into a table that is right while it changes.

With --per-post those of each post instead, by default to topic and index mastodon-hashtags.

spark-submit --properties-file spark-conf/local.conf jobs/hashtags.py --window 5m --slide 1m --sink mysql
millrace run hashtags --sink sqlite --sink kafka --trigger 5s; millrace run hashtags --per-post
"""

from millrace import analyses, application


def main() -> None:
    analyses.run(analyses.HASHTAGS, __doc__)


if __name__ == "__main__":
    application.run(main)
