"""Several of the other jobs in one Spark application, for a machine that has no memory for an application each.

spark-submit --properties-file spark-conf/local.conf jobs/several.py hashtags --sink mysql + candles AAPL --sink mysql
millrace run several hashtags + candles BINANCE:BTCUSDT AAPL + mastodon --name mastodon --analysis counts
"""

from millrace.applications.application import main
from millrace.applications.registry import SEVERAL

if __name__ == "__main__":
    main(SEVERAL, __doc__)
