"""Define the pipelines that `make demo` shows: what each reads, the simulator in its place, and its Spark job."""

import time
from dataclasses import replace

from millrace.applications.analyses import AUTHORS, COUNTS, DASHBOARD, ENGAGEMENT, HASHTAGS, LANGUAGES
from millrace.applications.candles import CANDLES
from millrace.applications.cases import CASES
from millrace.applications.cdc import CDC
from millrace.applications.mastodon import MASTODON as ANALYSES
from millrace.applications.mastodon import choosing
from millrace.applications.sentiment import SENTIMENT
from millrace.cdc import connector
from millrace.config import Settings
from millrace.demo import services
from millrace.demo.pipeline import Copied, Fed
from millrace.demo.views import bluesky, cdc, mastodon, sentiment, stocks, tweets
from millrace.kafka.results import SENTIMENT as LABELS
from millrace.kafka.results import TWEET_CASES

BEFORE = 60  # seconds before its start from which Bluesky's posts are read, however long ago the last demo was


def _no_instance(settings: Settings) -> str:
    return services.instance(settings.mastodon_url.split(",")[0], settings.mastodon_access_token)


BLUESKY = Fed(
    name="bluesky",
    service="Bluesky",
    urls=lambda settings: [settings.bluesky_url],
    unreachable=lambda settings: services.jetstream(settings.bluesky_url.split(",")),
    option="--url",
    live=lambda: ("--from-cursor", str(int((time.time() - BEFORE) * 1e6))),
    simulated=(),
    simulator=("--duplicates", "0.02", "--malformed", "0.005"),
    rate=200.0,
    job=(HASHTAGS.name, "--trigger", "1s"),
    run_file=HASHTAGS.name,
    view=bluesky,
    feed="bluesky",
    rows=15,
)
MASTODON = Fed(
    name="mastodon",
    service="Mastodon",
    urls=lambda settings: settings.mastodon_url.split(","),
    unreachable=_no_instance,
    option="--instance",
    live=lambda: ("--every", "3s", "--revisit", "1m,5m"),
    simulated=("--stream", "public", "--revisit", "10s,30s"),
    simulator=("--duplicates", "0.02", "--malformed", "0.005", "--deleted", "0.02", "--limit", "100000"),
    rate=20.0,
    job=(ANALYSES.name, *choosing(HASHTAGS, LANGUAGES, ENGAGEMENT), "--sink", "sqlite", "--trigger", "2s"),
    run_file=HASHTAGS.name,
    view=mastodon,
    feed="mastodon",
)  # fmt: skip
SYMBOLS = ("BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "AAPL", "MSFT", "TSLA", "OANDA:EUR_USD")
STOCKS = Fed(
    name="stocks",
    service="Finnhub",
    urls=lambda settings: [settings.finnhub_url],
    unreachable=lambda settings: "" if settings.finnhub_token else "FINNHUB_TOKEN is not set",
    option="--url",
    live=lambda: SYMBOLS,
    simulated=SYMBOLS,
    simulator=("--bursts", "0.01", "--malformed", "0.002"),
    rate=60.0,
    job=(CANDLES.name, *SYMBOLS, "--resolution", "10s", "--resolution", "1m", "--sink", "sqlite", "--sink", "kafka",
         "--trigger", "1s"),
    run_file=CANDLES.name,
    view=stocks,
    feed="finnhub",
    environment={"MILLRACE_FINNHUB_TOKEN": "demo"},
)  # fmt: skip
TWEETS = Fed(
    name="tweets",
    service="tweets",
    urls=lambda settings: [settings.tweets_url],
    unreachable=lambda settings: services.listener(settings.tweets_url.split(",")[0]),
    option="--url",
    live=tuple,
    simulated=(),
    simulator=("--duplicates", "0.02", "--malformed", "0.005", "--empty", "0.005", "--bursts", "0.002"),
    rate=20.0,
    job=(CASES.name, "--trigger", "2s"),
    run_file=CASES.name,
    view=tweets,
    feed="tweets",
    rows=6,
    servers=("kafka", "mongodb"),
    documents=TWEET_CASES,
    second=("worldometers", "--cases", "/coronavirus/"),
)
FEELINGS = replace(
    MASTODON,
    name="sentiment",
    job=(SENTIMENT.name, "--source", "mastodon", "--engine", "vader", "--sink", "clickhouse", "--trigger", "2s"),
    run_file=SENTIMENT.name,
    view=sentiment,
    servers=("kafka", "clickhouse"),
    labels=LABELS["mastodon"],
)
TABLES = ",".join(connector.DEMO)
COPY = Copied(
    name="cdc",
    service="PostgreSQL",
    rate=20.0,
    servers=("kafka", "postgres", "connect", "clickhouse"),
    tables=connector.DEMO,
    workload=("simulate", "changes"),
    job=(CDC.name, "--tables", TABLES, "--trigger", "1s"),
    run_file=CDC.name,
    view=cdc,
    rows=10,
    verdict=("cdc", "verify", "--tables", TABLES),
)
FEW = SYMBOLS[:3]
ALL = (
    replace(BLUESKY, job=(HASHTAGS.name, "--trigger", "2s"), rows=4),
    replace(
        MASTODON,
        job=(ANALYSES.name, "--name", "mastodon",
             *choosing(HASHTAGS, LANGUAGES, ENGAGEMENT, COUNTS, AUTHORS, DASHBOARD),
             "--sink", "sqlite", "--trigger", "5s"),
        run_file=f"mastodon-{HASHTAGS.name}",
        rows=4,
    ),
    replace(
        STOCKS,
        live=lambda: FEW,
        simulated=FEW,
        job=(CANDLES.name, *FEW, "--resolution", "10s", "--resolution", "1m", "--sink", "sqlite", "--trigger", "2s"),
    ),
    replace(TWEETS, job=(CASES.name, "--trigger", "5s"), rows=2),
)  # fmt: skip
# `all` is without the copy and sentiment, whose servers (PostgreSQL, Kafka Connect, ClickHouse) take 1 GB beside the
# others'.
EACH = (BLUESKY, MASTODON, STOCKS, TWEETS, FEELINGS, COPY)
PIPELINES: dict[str, tuple[Fed | Copied, ...]] = {each.name: (each,) for each in EACH} | {"all": ALL}
