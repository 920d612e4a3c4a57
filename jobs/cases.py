"""Tweets in windows of 20 seconds with case numbers of the coronavirus beside them, as documents of MongoDB.

spark-submit --properties-file spark-conf/local.conf jobs/cases.py --window 20s --sink mongodb
millrace run cases --source tweets --cases file:numbers.html --country Finland --refresh 1h
"""

from millrace.applications.application import main
from millrace.applications.cases import CASES

if __name__ == "__main__":
    main(CASES, __doc__)
