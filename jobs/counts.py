"""Posts in windows of ten seconds, to the topic mastodon-counts and the table post_counts.

spark-submit --properties-file spark-conf/local.conf jobs/counts.py
millrace run counts --window 1m --sink console
"""

from millrace.applications.analyses import COUNTS
from millrace.applications.application import main

if __name__ == "__main__":
    main(COUNTS, __doc__)
