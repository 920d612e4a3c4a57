"""Analyses of Mastodon's posts, any number of them in one Spark application; the options of each follow.

spark-submit --properties-file spark-conf/local.conf jobs/mastodon.py --mode stream --analysis full
millrace run mastodon --mode sql --analysis engagement --analysis users --window 5m
millrace run mastodon --analysis languages --analysis counts --sink postgres
"""

from millrace.applications.application import main
from millrace.applications.mastodon import MASTODON

if __name__ == "__main__":
    main(MASTODON, __doc__)
