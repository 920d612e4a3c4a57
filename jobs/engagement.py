"""Engagement of each post, at its newest counters, and of each window: average and maximum. Two queries run at once.

engagement_score = 3 x replies + 2 x reblogs + 1 x favourites; the weights are options.

spark-submit --properties-file spark-conf/local.conf jobs/engagement.py
millrace run engagement --replies 1 --reblogs 1 --window 5m --sink postgres
"""

from millrace.applications.analyses import ENGAGEMENT
from millrace.applications.application import main

if __name__ == "__main__":
    main(ENGAGEMENT, __doc__)
