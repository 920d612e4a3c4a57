"""Posts of chosen languages, with chosen words, by people or by bots, to the topic mastodon-filtered.

spark-submit --properties-file spark-conf/local.conf jobs/filtered.py --language en --language de --no-bots
millrace run filtered --realtime --language en
millrace run filtered --keyword election --keyword wahl --sink console
"""

from millrace.applications.analyses import FILTERED
from millrace.applications.application import main

if __name__ == "__main__":
    main(FILTERED, __doc__)
