"""Hashtags per window: how many posts carried each, into a table that is right while it changes.

With --per-post those of each post instead, by default to the topic mastodon-hashtags.

spark-submit --properties-file spark-conf/local.conf jobs/hashtags.py --window 5m --slide 1m --sink mysql
millrace run hashtags --sink sqlite --sink kafka --trigger 5s; millrace run hashtags --per-post
"""

from millrace.applications.analyses import HASHTAGS
from millrace.applications.application import main

if __name__ == "__main__":
    main(HASHTAGS, __doc__)
