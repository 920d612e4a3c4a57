"""One line a minute: posts, authors, bots, average engagement, top language.

The view minute_dashboard adds the top hashtag, which job hashtags counts.

spark-submit --properties-file spark-conf/local.conf jobs/dashboard.py
millrace run dashboard --sink console
"""

from millrace.applications.analyses import DASHBOARD
from millrace.applications.application import main

if __name__ == "__main__":
    main(DASHBOARD, __doc__)
