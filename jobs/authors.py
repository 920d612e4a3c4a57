"""Authors per window: how many posts each wrote; the view most_active_authors ranks them.

spark-submit --properties-file spark-conf/local.conf jobs/authors.py
millrace run authors --window 1h --sink mysql
"""

from millrace.applications.analyses import AUTHORS
from millrace.applications.application import main

if __name__ == "__main__":
    main(AUTHORS, __doc__)
