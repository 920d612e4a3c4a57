"""Candles of stocks, forex and crypto from the topic finnhub-trades: a topic and a SQL view for each symbol named.

Or with --from-topics: the candles of such topics into SQL, apart from the job that makes them.

spark-submit --properties-file spark-conf/local.conf jobs/candles.py BINANCE:BTCUSDT AAPL --resolution 1m --sink mysql
millrace run candles BINANCE:BTCUSDT --resolution 1m --resolution 5m --sink kafka --sink mysql
millrace run candles --from-topics BINANCE_BTCUSDT --sink mysql
"""

from millrace.applications.application import main
from millrace.applications.candles import CANDLES

if __name__ == "__main__":
    main(CANDLES, __doc__)
