"""Dead letters for a topic that others write: each record that is no post.v1, its place and the reason.

In finnhub-trades: each that is no trade.v1.

spark-submit --properties-file spark-conf/local.conf jobs/quarantine.py bluesky-raw-posts
millrace run quarantine tweets --once
"""

from millrace.applications.application import main
from millrace.applications.quarantine import QUARANTINE

if __name__ == "__main__":
    main(QUARANTINE, __doc__)
