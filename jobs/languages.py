"""Languages per window: how many posts were written in each; the view language_shares has their shares.

spark-submit --properties-file spark-conf/local.conf jobs/languages.py
millrace run languages --source bluesky --window 5m --sink postgres
"""

from millrace.applications.analyses import LANGUAGES
from millrace.applications.application import main

if __name__ == "__main__":
    main(LANGUAGES, __doc__)
