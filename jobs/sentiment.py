"""The sentiment of posts, by a language model in Ollama or by a lexicon, as rows of <source>_sentiment in ClickHouse.

spark-submit --properties-file spark-conf/local.conf jobs/sentiment.py --source mastodon --sink clickhouse
millrace run sentiment --source bluesky --engine ollama --model deepseek-r1:1.5b --concurrency 8
"""

from millrace.applications.application import main
from millrace.applications.sentiment import SENTIMENT

if __name__ == "__main__":
    main(SENTIMENT, __doc__)
