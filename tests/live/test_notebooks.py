"""Every notebook from top to bottom, in a kernel of its own, on a topic and a table that were really filled."""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from pyspark.sql import SparkSession
from tests import stocks
from tests.live.test_cdc_source import clear
from tests.support import MINUTE, Job, now, producer, run_job, sqlite, stored, window

from millrace import config, stack
from millrace.applications.analyses import FILTERED
from millrace.applications.mastodon import KNOWN as ANALYSES
from millrace.applications.mastodon import choosing
from millrace.cdc import demo, postgres, register
from millrace.cdc.connector import DEMO
from millrace.config import Settings
from millrace.ingest import command
from millrace.ingest.mastodon.plan import Plan
from millrace.ingest.run import Options
from millrace.ingest.tweets.shapes import Reading
from millrace.kafka.results import TWEET_CASES
from millrace.simulate import bluesky, mastodon, truth, tweets
from millrace.simulate.community import Community
from millrace.simulate.scenario import Scenario
from millrace.simulate.talk import Talk
from millrace.sinks.mongodb import cluster
from millrace.spark.launch import PACKAGE

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TRADED = ("NOTEBOOKS:BTC", "NOTEBOOKS.B")
WITHIN = 300  # seconds for a cell, on a busy machine
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def sent() -> Scenario:
    """Simulated posts of two days ago, apart from those of other tests: about a thousand a minute."""
    start = window(now()) - timedelta(days=2)
    return Scenario(seed=4_201, rate=20, count=5_000, speed=0, tagged=0.6, start=start, lookback=72)


@pytest.fixture(scope="module")
def filled(kafka: Settings, spark: SparkSession, sent: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose table holds what the topic holds."""
    home = tmp_path_factory.mktemp("notebooks")
    with bluesky.running(sent) as url:
        settings = config.load(home=home, kafka_bootstrap=kafka.kafka_bootstrap, bluesky_url=url)
        command.bluesky(settings, Options(limit=3_000, seconds=60), from_cursor=1)
    for job in ("hashtags", "archive"):
        run_job(job, "--once", "--home", str(home), "--bootstrap", kafka.kafka_bootstrap)
    return home


@pytest.fixture(scope="module")
def reacted(kafka: Settings, labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with some minutes of Mastodon, each post looked at again, in the tables of every analysis.

    What `labelled` sends stands in the same topic, and before it: what came later would be in the replay alone.
    """
    home = tmp_path_factory.mktemp("reacted")
    settings = config.load(home=home, kafka_bootstrap=kafka.kafka_bootstrap)
    with mastodon.running(Community(seed=4_202, rate=5, count=1_200, speed=0, tagged=0.6, limit=100_000)) as (url, _):
        plan = Plan((url,), every=0.1, since=3600.0, revisit=(1.0,))
        command.mastodon(settings, Options(limit=2_400, seconds=60), plan)
    chosen = choosing(*(job for job in ANALYSES.values() if job is not FILTERED))
    place = ["--home", str(home), "--bootstrap", settings.kafka_bootstrap]
    run_job("mastodon", *chosen, "--sink", "sqlite", "--once", *place)
    return home


@pytest.fixture(scope="module")
def traded(kafka: Settings, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with some minutes of trades in table candles, and the same in the topic."""
    home = tmp_path_factory.mktemp("traded")
    settings = config.load(home=home, kafka_bootstrap=kafka.kafka_bootstrap)
    ticks = stocks.walk(TRADED, 1_500, seed=4_203, start=stocks.NOON - timedelta(days=30))
    with producer(settings.kafka_bootstrap) as writer:
        for tick in ticks:
            value, moment = tick.record()
            at = round(moment.timestamp() * 1000)
            writer.send("finnhub-trades", bytes(value), key=tick.symbol.encode(), timestamp_ms=at)
    options = ["--resolution", "10s", "--resolution", "1m", "--sink", "sqlite", "--once", "--home", str(home)]
    run_job("candles", *TRADED, *options, "--bootstrap", settings.kafka_bootstrap)
    return home


@pytest.fixture(scope="module")
def tweeted(mongodb: Settings, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with some windows of tweets in MongoDB, and the same in the topic."""
    home, url = tmp_path_factory.mktemp("tweeted"), mongodb.store_url("mongodb")
    (home / "servers.env").write_text(f"MILLRACE_MONGODB_URL={url}\n")
    start = window(now()) - timedelta(days=3)
    with tweets.running(Talk(seed=4_205, rate=10, count=3_000, speed=0, start=start)) as (generator, _):
        settings = config.load(home=home, kafka_bootstrap=mongodb.kafka_bootstrap, tweets_url=generator)
        command.tweets(settings, Options(limit=3_000, seconds=60), Reading())
    collection = cluster.collection(url, TWEET_CASES.documents)
    collection.delete_many({})
    numbers = f"file:{PACKAGE / 'cases' / 'snapshot.json'}"
    place = ["--home", str(home), "--bootstrap", settings.kafka_bootstrap]
    run_job("cases", "--cases", numbers, "--once", *place)
    yield home
    collection.delete_many({})


@pytest.fixture(scope="module")
def copied(connect: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose job copies two small tables of PostgreSQL into a ClickHouse of its own."""
    home = tmp_path_factory.mktemp("copied")
    url = postgres.source(connect)
    (home / "servers.env").write_text(f"MILLRACE_POSTGRES_URL={url}\nMILLRACE_CONNECT_URL={connect.connect_url}\n")
    clear(connect)
    demo.seed(url)
    register.register(connect, register.Wanted(DEMO), lambda _: None)
    own = connect.model_copy(update={"clickhouse_url": None})  # the home's, which the notebook reads
    job = Job("cdc", own, home, "--tables", ",".join(DEMO), "--trigger", "0s")
    try:
        job.has_read(4)
        yield home
    finally:
        job.kill()
        stack.down(config.load(home=home), ["clickhouse"])
        clear(connect)


@pytest.fixture(scope="module")
def labelled(kafka: Settings, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose ClickHouse holds the labels of some minutes of Mastodon."""
    home = tmp_path_factory.mktemp("labelled")
    settings = config.load(home=home, kafka_bootstrap=kafka.kafka_bootstrap)
    with mastodon.running(Community(seed=4_207, rate=5, count=600, speed=0, tagged=0.6, limit=100_000)) as (url, _):
        command.mastodon(settings, Options(limit=600, seconds=60), Plan((url,), every=0.1, since=3600.0))
    run_job("sentiment", "--once", "--home", str(home), "--bootstrap", settings.kafka_bootstrap)
    yield home
    stack.down(config.load(home=home), ["clickhouse"])


@pytest.fixture(scope="module")
def executed(
    *, kafka: Settings, filled: Path, reacted: Path, traded: Path, tweeted: Path, copied: Path, labelled: Path
) -> dict[str, NotebookNode]:
    """The notebooks with the outputs of this run; a cell that fails fails here."""
    homes = {"01-hashtags": filled, "02-mastodon": reacted, "03-archive": filled, "04-candles": traded,
             "05-cases": tweeted, "06-cdc": copied, "07-sentiment": labelled}  # fmt: skip
    return {path.stem: execute(path, homes[path.stem], kafka.kafka_bootstrap) for path in NOTEBOOKS}


def execute(path: Path, home: Path, bootstrap: str) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    beside = {"metadata": {"path": str(path.parent)}}  # where Jupyter starts a kernel
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MILLRACE_HOME", str(home))
        environment.setenv("MILLRACE_KAFKA_BOOTSTRAP", bootstrap)
        environment.delenv("MPLBACKEND", raising=False)  # Streamlit, which other tests import, sets it
        return NotebookClient(notebook, timeout=WITHIN, resources=beside).execute()


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def shown(notebook: NotebookNode) -> str:
    """All text that the cells returned."""
    return "\n".join(output.data.get("text/plain", "") for output in outputs(notebook) if "data" in output)


@each
def test_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert outputs(notebook) == []
    assert {cell.execution_count for cell in notebook.cells if cell.cell_type == "code"} == {None}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@each
def test_runs_without_a_warning(path: Path, executed: dict[str, NotebookNode]) -> None:
    errors = [output.text for output in outputs(executed[path.stem]) if output.get("name") == "stderr"]
    assert "Warning" not in "".join(errors)


def test_hashtags_are_plotted(executed: dict[str, NotebookNode]) -> None:
    pictures = [output for output in outputs(executed["01-hashtags"]) if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
    assert all(len(picture.data["image/png"]) > 5_000 for picture in pictures)


def test_hashtags_show_the_table(executed: dict[str, NotebookNode], filled: Path) -> None:
    totals: Counter[str] = Counter()
    for (_, hashtag), posts in stored(sqlite(filled)).items():
        totals[hashtag] += posts
    for hashtag, posts in totals.most_common(5):
        assert re.search(rf"^{re.escape(hashtag)} +{posts}$", shown(executed["01-hashtags"]), re.MULTILINE)


def test_hashtags_replay_equals_live(executed: dict[str, NotebookNode]) -> None:
    found = re.search(r"(\d+) counts compared; replay equals live: (\w+)", shown(executed["01-hashtags"]))
    assert found
    assert int(found[1]) > 100
    assert found[2] == "True"


def test_the_archive_is_whole_and_equals_the_topic(executed: dict[str, NotebookNode], filled: Path) -> None:
    notebook = executed["03-archive"]
    found = re.search(r"(\d+) counts compared; archive equals topic: (\w+)", shown(notebook))
    assert found and int(found[1]) > 100 and found[2] == "True"
    assert "('0 faults', [])" in shown(notebook)


def test_mastodon_is_plotted(executed: dict[str, NotebookNode]) -> None:
    pictures = [output for output in outputs(executed["02-mastodon"]) if "image/png" in output.get("data", {})]
    assert len(pictures) == 3
    assert all(len(picture.data["image/png"]) > 5_000 for picture in pictures)


def test_mastodon_shows_every_table_and_the_topic(executed: dict[str, NotebookNode], reacted: Path) -> None:
    text = shown(executed["02-mastodon"])
    with sqlite3.connect(sqlite(reacted).removeprefix("sqlite:///")) as connection:
        [(author, posts)] = connection.execute(
            "SELECT author, SUM(posts) AS n FROM author_counts WHERE source = 'mastodon' "
            "GROUP BY author ORDER BY n DESC, author LIMIT 1"
        )
        [(score,)] = connection.execute("SELECT MAX(engagement_score) FROM post_engagement WHERE source = 'mastodon'")
    connection.close()
    assert re.search(rf"^{re.escape(author)} +{posts}$", text, re.MULTILINE)
    assert score > 100 and re.search(rf" {score:.1f}$", text, re.MULTILINE)
    assert "top_hashtag" in text and "metrics" in text
    found = re.search(r"(\d+) counts compared; replay equals live: (\w+)", text)
    assert found and int(found[1]) > 20 and found[2] == "True"


def test_candles_are_plotted_and_replay_equals_live(executed: dict[str, NotebookNode]) -> None:
    notebook = executed["04-candles"]
    pictures = [output for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert len(pictures) == 1 and len(pictures[0].data["image/png"]) > 10_000
    found = re.search(r"(\d+) candles compared; replay equals live: (\w+)", shown(notebook))
    assert found and int(found[1]) >= 10 and found[2] == "True"
    assert "notebooks_btc" in shown(notebook)


def test_tweets_are_plotted_and_replay_equals_live(executed: dict[str, NotebookNode], mongodb: Settings) -> None:
    notebook = executed["05-cases"]
    pictures = [output for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert len(pictures) == 1 and len(pictures[0].data["image/png"]) > 10_000
    found = re.search(r"(\d+) windows compared; replay equals live: (\w+)", shown(notebook))
    assert found and int(found[1]) >= 10 and found[2] == "True"
    assert re.search(r"total_cases_count +704753890", shown(notebook)) and "2024-04-13" in shown(notebook)


def test_both_databases_show_the_same_and_an_update_arrives(executed: dict[str, NotebookNode]) -> None:
    text = shown(executed["06-cdc"])
    assert re.search(r"^0 +1 +first +1 +first$", text, re.MULTILINE)
    assert re.search(r"seen in ClickHouse after \d+\.\d s", text)
    assert re.search(r"^0 +1 +(updated [\d:.]+) +1 +\1$", text, re.MULTILINE)
    assert "ClickHouse equals PostgreSQL" in text


def test_labels_are_plotted_and_each_post_has_one_row(executed: dict[str, NotebookNode]) -> None:
    notebook = executed["07-sentiment"]
    pictures = [output for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert len(pictures) == 1 and len(pictures[0].data["image/png"]) > 5_000
    found = re.search(r"(\d+) rows of \1 posts; one row a post: True", shown(notebook))
    assert found and int(found[1]) > 100
    assert "unknown language" in shown(notebook) and "positive" in shown(notebook)


@each
def test_they_say_what_fills_the_table(path: Path, kafka: Settings, tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="make demo"):
        execute(path, tmp_path, kafka.kafka_bootstrap)


def test_the_table_that_they_show_is_the_truth(filled: Path, sent: Scenario) -> None:
    """The third minute was cut off by --limit."""
    start = datetime.fromtimestamp(sent.start_us / 1e6, UTC)
    minutes = {start, start + MINUTE}
    right = {
        (datetime.fromisoformat(line["window_start"]), line["hashtag"]): line["posts"]
        for line in truth.truth(sent)
        if "hashtag" in line
    }
    found = stored(sqlite(filled))
    assert {key: found[key] for key in found if key[0] in minutes} == {
        key: right[key] for key in right if key[0] in minutes
    }
