"""Candles of stocks, forex and crypto from the topic finnhub-trades: a topic and a SQL view for each symbol named.

Or with --from-topics: the candles of such topics into SQL, apart from the job that makes them.

spark-submit --properties-file spark-conf/local.conf jobs/candles.py BINANCE:BTCUSDT AAPL --resolution 1m --sink mysql
millrace run candles BINANCE:BTCUSDT --resolution 1m --resolution 5m --sink kafka --sink mysql
millrace run candles --from-topics BINANCE_BTCUSDT --sink mysql
"""

from millrace import application, stocks
from millrace.options import parse


def main() -> None:
    stocks.run(parse("candles", __doc__, sinks=stocks.sinks, add=stocks.arguments, source="finnhub"))


if __name__ == "__main__":
    application.run(main)
