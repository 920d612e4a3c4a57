"""Every command of `millrace --help`, driven end to end as its users do."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import typer
from tests import injections, support
from tests.live.conftest import Mill, spark_submit
from tests.stored import candle, put
from tests.support import Child, Posts, new_topic, now, records, send, sqlite, stored, wait
from typer.testing import CliRunner

from millrace import config, stack
from millrace.cases.source import loader
from millrace.cli import app
from millrace.config import Settings
from millrace.demo.pipelines import ALL, FEW
from millrace.kafka import browse, topics
from millrace.kafka.results import SENTIMENT
from millrace.names import CASE_NUMBERS
from millrace.sentiment.engine import choose, labeller
from millrace.sentiment.labels import Text
from millrace.simulate import finnhub as exchange
from millrace.simulate import llm, tweets
from millrace.simulate import mastodon as community
from millrace.simulate.community import Community
from millrace.simulate.market import Market
from millrace.simulate.talk import Talk
from millrace.sinks.clickhouse import client
from millrace.sinks.clickhouse import reader as clickhouse_reader
from millrace.sinks.clickhouse import tables as clickhouse_tables
from millrace.sinks.sql import database, tables
from millrace.stack.server import free_port
from millrace.view.pages import PAGES


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_every_command_has_a_test_and_an_example() -> None:
    missing = [name for name in COMMANDS if f"test_{name.replace('-', '_').replace(' ', '_')}" not in globals()]
    assert missing == []
    for name in COMMANDS:
        shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, name
        assert f"Example: millrace {name}" in shown.stdout or name == "env", name
        assert "--home" in shown.stdout or name in ("env", "run") or name.startswith("simulate"), name


@pytest.fixture
def millrace(mill: Mill, tmp_path: Path) -> Callable[..., str]:
    """Run the installed program on the mill's home, outside the project; returns its standard output."""

    def run(*arguments: str, expected: int = 0) -> str:
        program = Path(sys.executable).with_name("millrace")
        done = subprocess.run(
            [program, *arguments], env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "COLUMNS": "250"} | mill.env,
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == expected, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    return run


def test_env(mill: Mill, millrace: Callable[..., str]) -> None:
    """The mill's job ran in a shell without Java, after `eval "$(millrace env)"`."""
    exported = dict(line.removeprefix("export ").split("=", 1) for line in millrace("env").splitlines())
    assert {"JAVA_HOME", "SPARK_HOME", "PYSPARK_PYTHON"} <= set(exported)
    assert mill.job.process.returncode == 0
    assert stored(mill.settings.sqlite)


def test_sql(mongodb: Settings, millrace: Callable[..., str]) -> None:
    assert millrace("sql", "-e", "SELECT 1 + 2", "--home", str(mongodb.home)) == "3\n"


def test_run(mill: Mill, millrace: Callable[..., str], tmp_path: Path) -> None:
    """Read in one batch, no post is late yet; the mill's own run came in several."""
    millrace("run", "hashtags", "--once", "--name", "again", "--home", str(tmp_path))
    state = json.loads((tmp_path / "run" / "again.json").read_text())
    assert state["records"] == mill.summary["posts"]
    assert stored(sqlite(tmp_path)) == mill.in_time + mill.late
    millrace("run", "nonsense", expected=2)


def test_run_several_analyses(mill: Mill, millrace: Callable[..., str], tmp_path: Path) -> None:
    """In one application, by the command and by plain spark-submit; to the console where nothing else is said."""
    place = ["--source", "bluesky", "--home", str(tmp_path)]
    chosen = ["--analysis", "hashtags", "--analysis", "counts", "--window", "1m", "--sink", "sqlite"]
    millrace("run", "mastodon", *chosen, "--once", *place)
    assert stored(sqlite(tmp_path)) == mill.in_time + mill.late
    [posts] = counted(tmp_path)
    assert posts == mill.summary["creates"]
    shown = ["--mode", "sql", "--analysis", "users", "--analysis", "language", "--name", "plain"]
    submitted = spark_submit(mill.settings, "mastodon", *shown, *place, "--checkpoint", str(tmp_path / "c"))
    assert submitted.ends(240) == 0, submitted.text()
    assert all(word in submitted.out.read_text() for word in ("author", "did:plc:", "language"))
    assert {path.stem for path in (tmp_path / "run").glob("*.json")} == {"hashtags", "counts", "plain-authors",
                                                                         "plain-languages"}  # fmt: skip
    millrace("run", "mastodon", "--mode", "sql", "--analysis", "full", expected=2)


def test_run_several_jobs(mill: Mill, millrace: Callable[..., str], tmp_path: Path) -> None:
    """In one application, each with its own options."""
    place = ["--once", "--home", str(tmp_path)]
    several = ["hashtags", *place, "+", "counts", "--window", "1m", "--sink", "sqlite", *place]
    millrace("run", "several", *several)
    assert stored(sqlite(tmp_path)) == mill.in_time + mill.late
    assert counted(tmp_path) == [mill.summary["creates"]]
    assert {path.stem for path in (tmp_path / "run").glob("*.json")} == {"hashtags", "counts"}
    millrace("run", "several", "hashtags", "+", "nonsense", expected=2)


def counted(home: Path) -> list[int]:
    with sqlite3.connect(sqlite(home).removeprefix("sqlite:///")) as connection:
        return [posts for (posts,) in connection.execute("SELECT SUM(posts) FROM post_counts")]


def test_topics(mill: Mill, millrace: Callable[..., str]) -> None:
    lines = {line.split()[1]: line for line in millrace("topics").splitlines() if "│" in line}
    assert set(lines) >= {"bluesky-raw-posts", "cursors", "dead-letters", "gaps"}
    assert "post.v1" in lines["bluesky-raw-posts"]


def test_peek(mill: Mill, millrace: Callable[..., str]) -> None:
    found = [json.loads(line) for line in millrace("peek", "bluesky-raw-posts", "-n", "3").splitlines()]
    assert len(found) == 3
    assert all(record["value"]["source"] == "bluesky" for record in found)
    assert all(record["headers"]["schema"] == "post.v1" for record in found)
    millrace("peek", "no-such-topic", expected=2)


def test_peek_ends_while_more_is_written(kafka: Settings) -> None:
    topic, over = new_topic(kafka.kafka_bootstrap), threading.Event()
    posts = Posts(now())

    def write() -> None:
        while not over.is_set():
            send(kafka.kafka_bootstrap, topic, posts.take(20))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait(lambda: posts.made > 60, "records")
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(browse.newest, kafka.kafka_bootstrap, topic, 5).result(30)
    finally:
        over.set()
        writer.join()
    assert len(found) == 5


def test_dead_letters(mill: Mill, millrace: Callable[..., str]) -> None:
    letters = [json.loads(line) for line in millrace("dead-letters", "--json").splitlines()]
    assert 0.8 * mill.summary["malformed"] < len(letters) <= mill.summary["malformed"]  # the run ends at a limit
    assert all(letter["reason"] and letter["sha256"] for letter in letters)
    assert letters[0]["reason"][:20] in millrace("dead-letters")


def test_ingest_bluesky(mill: Mill, millrace: Callable[..., str]) -> None:
    lines = millrace(
        "ingest", "bluesky", "--url", mill.url, "--from-cursor", "1", "--limit", "5", "--print"
    ).splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["bluesky"] * 5
    assert mill.ingest.process.returncode == 0
    assert f"done: {mill.summary['posts']} events" in mill.ingest.text()


def test_simulate_bluesky(mill: Mill, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    simulator = Child(tmp_path, "simulate", "bluesky", "--port", "0", "--count", "10", "--truth", str(truth))
    try:
        simulator.says("ready ws://127.0.0.1:")
        assert json.loads(truth.read_text().splitlines()[0])["events"] == 10
        assert simulator.stop(signal.SIGINT) == 0
    finally:
        simulator.kill()
    assert mill.summary["events"] == 9000


def test_ingest_mastodon(millrace: Callable[..., str]) -> None:
    with community.running(Community(speed=0, count=50, rate=5)) as (url, _):
        lines = millrace("ingest", "mastodon", "--instance", url, "--limit", "5", "--print").splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["mastodon"] * 5


def test_simulate_mastodon(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    simulator = Child(tmp_path, "simulate", "mastodon", "--port", "0", "--count", "10", "--truth", str(truth))
    try:
        simulator.says("ready http://127.0.0.1:")
        assert truth.read_text()
        assert simulator.stop(signal.SIGINT) == 0
    finally:
        simulator.kill()


def test_ingest_finnhub(millrace: Callable[..., str], monkeypatch: pytest.MonkeyPatch, mill: Mill) -> None:
    monkeypatch.setattr(Mill, "env", {**mill.env, "FINNHUB_TOKEN": "demo"})
    with exchange.running(Market(("AAPL", "MSFT"), rate=100)) as (url, _):
        lines = millrace("ingest", "finnhub", "AAPL", "--url", url, "--limit", "5", "--print").splitlines()
        millrace("ingest", "finnhub", "aapl", "--url", url, "--print", expected=2)
    assert [json.loads(line)["symbol"] for line in lines] == ["AAPL"] * 5


def test_simulate_finnhub(tmp_path: Path) -> None:
    """The two lines that it prints are commands that work as they stand."""
    truth = tmp_path / "truth.jsonl"
    options = ["NVDA", "AAPL", "--port", "0", "--rate", "100", "--token", "it's", "--truth", str(truth)]
    simulator = Child(tmp_path, "simulate", "finnhub", *options)
    try:
        simulator.says(" --url ws://127.0.0.1:")
        ready, *script = simulator.log.read_text().splitlines()
        assert ready.startswith("ready ws://127.0.0.1:")
        program = Path(sys.executable).parent
        reader = Child(tmp_path, "shell", command=["bash", "-c", "\n".join(script) + " --limit 5"],
                       PATH=f"{program}:/usr/bin:/bin")  # fmt: skip
        assert reader.ends(60) == 0, reader.text()
        assert {json.loads(line)["symbol"] for line in reader.out.read_text().splitlines()} <= {"NVDA", "AAPL"}
        assert simulator.stop(signal.SIGINT) == 0
    finally:
        simulator.kill()
    summary, *trades = map(json.loads, truth.read_text().splitlines())
    assert summary["trades"] == len(trades) >= summary["sent"] >= 5


def test_ingest_tweets(millrace: Callable[..., str]) -> None:
    with tweets.running(Talk(rate=100)) as (url, _):
        lines = millrace("ingest", "tweets", "--url", url, "--limit", "5", "--print", "--strip-links").splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["tweets"] * 5
    assert not any("https://" in json.loads(line)["text"] for line in lines)


def test_simulate_tweets(tmp_path: Path) -> None:
    """The line that it prints is a command that works as it stands; the truth is there at the end."""
    truth = tmp_path / "truth.jsonl"
    simulator = Child(tmp_path, "simulate", "tweets", "--port", "0", "--rate", "100", "--truth", str(truth))
    try:
        simulator.says(" --url ws://127.0.0.1:")
        ready, *script = simulator.log.read_text().splitlines()
        assert ready.startswith("ready ws://127.0.0.1:")
        program = Path(sys.executable).parent
        reader = Child(tmp_path, "shell", command=["bash", "-c", "\n".join(script) + " --limit 5"],
                       PATH=f"{program}:/usr/bin:/bin")  # fmt: skip
        assert reader.ends(60) == 0, reader.text()
        read = [json.loads(line)["id"] for line in reader.out.read_text().splitlines()]
        assert simulator.stop(signal.SIGINT) == 0
    finally:
        simulator.kill()
    summary, *lines = map(json.loads, truth.read_text().splitlines())
    assert summary["kind"] == "summary" and len(read) == 5
    assert set(read) <= {line["id"] for line in lines if line["sent"]}


def test_simulate_worldometers(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = ["--port", "0", "--seed", "3", "--defect", "reordered", "--defect", "blank", "--truth", str(truth)]
    simulator = Child(tmp_path, "simulate", "worldometers", *options)
    try:
        simulator.says("mirror http://127.0.0.1:")
        addresses = [line.split()[1] for line in simulator.log.read_text().splitlines()[1:]]
        told = [json.loads(line) for line in truth.read_text().splitlines()]
        for address in addresses:
            found = {each.country: each for each in loader(address)()}
            assert all(getattr(found[line["country"]], name) == line[name] for line in told for name in CASE_NUMBERS)
        assert len(addresses) == 2
        assert simulator.stop(signal.SIGINT) == 0
    finally:
        simulator.kill()
    wrong = Child(tmp_path, "simulate", "worldometers", "--defect", "none")
    assert wrong.ends() == 2 and "no-world" in wrong.text()


def test_simulate_llm(tmp_path: Path) -> None:
    options = ["--port", "0", "--latency", "1ms", "--fault", "prose", "--only", "spoiled"]
    simulator = Child(tmp_path, "simulate", "llm", *options)
    try:
        simulator.says("ready http://127.0.0.1:")
        url = simulator.log.read_text().split()[1]
        for engine, address in (("ollama", url), ("openai", f"{url}/v1")):
            model = labeller(choose(engine, "double", address))
            texts = [Text(f"{text} {engine}") for text in ("good", "sad", "spoiled")]
            assert [each.label for each in model.label(texts)] == ["positive", "negative", None]
        assert httpx.get(f"{url}/counts").json()["texts"] == 6
        changed = httpx.put(f"{url}/fault", json={"fault": ""})
        assert changed.json()["fault"] == "" and [each.label for each in model.label([Text("spoiled")])] == ["neutral"]
        assert simulator.stop(signal.SIGINT) == 0
    finally:
        simulator.kill()
    for wrong in (["--fault", "none"], ["--latency", "long"]):
        refused = Child(tmp_path, "simulate", "llm", *wrong)
        assert refused.ends() == 2 and ("limited-date" in refused.text() or "no duration" in refused.text())


@pytest.fixture(scope="module")
def archived(mill: Mill, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The mill's topic in an archive of its own, in several batches."""
    home = tmp_path_factory.mktemp("archive")
    place = {"MILLRACE_ARCHIVE_URL": str(home / "archive")}
    job = Child(home, "run", "archive", "--once", "--max-offsets", "3000", "--home", str(home), **mill.env, **place)
    assert job.ends(240) == 0, job.text()
    return place


@pytest.fixture
def archive(archived: dict[str, str], mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands see that archive."""
    monkeypatch.setattr(Mill, "env", {**mill.env, **archived})


@pytest.mark.usefixtures("archive")
def test_archive_ls(mill: Mill, millrace: Callable[..., str]) -> None:
    lines = [line.split() for line in millrace("archive", "ls").splitlines() if "date=" in line]
    assert sum(int(line[9]) for line in lines) == mill.summary["posts"]
    millrace("archive", "ls", "no-such-topic", expected=2)


@pytest.mark.usefixtures("archive")
def test_archive_compact(mill: Mill, millrace: Callable[..., str], archived: dict[str, str]) -> None:
    before = millrace("archive", "ls")
    told = [line for line in millrace("archive", "compact").splitlines() if "date=" in line]
    assert len([line for line in millrace("archive", "ls").splitlines() if "date=" in line]) == before.count("date=")
    assert millrace("archive", "compact").startswith("no closed hour") and told
    millrace("archive", "verify")


@pytest.mark.usefixtures("archive")
def test_archive_verify(millrace: Callable[..., str], archived: dict[str, str]) -> None:
    assert "is whole" in millrace("archive", "verify")
    [first, *_] = sorted(Path(archived["MILLRACE_ARCHIVE_URL"]).rglob("*.json.gz"))
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in millrace("archive", "verify", expected=1)
    first.write_bytes(whole)


@pytest.mark.usefixtures("archive")
def test_replay(mill: Mill, millrace: Callable[..., str]) -> None:
    millrace("replay", "bluesky-raw-posts", "--into", "cli-replay")
    lines = {line.split()[1]: line.split() for line in millrace("topics").splitlines() if "│" in line}
    assert lines["cli-replay"][5] == str(mill.summary["posts"])
    millrace("replay", "bluesky-raw-posts", "--into", "bluesky-raw-posts", expected=2)
    millrace("replay", "bluesky-raw-posts", "--sped", "2", expected=2)


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_replay_until_it_is_stopped(mill: Mill, tmp_path: Path, number: signal.Signals) -> None:
    """What was sent by then is in the topic, and counted."""
    target = f"cli-stopped-{number}"
    child = Child(tmp_path, "replay", "bluesky-raw-posts", "--into", target, "--speed", "0.001", **mill.env)
    bootstrap = mill.settings.kafka_bootstrap
    wait(lambda: target in topics.existing(bootstrap) and records(bootstrap, target), "a record", child)
    assert child.stop(number) == 0
    assert f"{len(records(bootstrap, target))} records into {target}" in child.text()


@pytest.mark.usefixtures("archive")
def test_replay_of_a_job(mill: Mill, millrace: Callable[..., str], tmp_path: Path) -> None:
    """Over the archive nothing is late; the rest of the line is the job's."""
    place = ["--home", str(tmp_path)]
    millrace("replay", "--job", "hashtags", "--from-archive", "--window", "1m", *place)
    assert stored(sqlite(tmp_path)) == mill.in_time + mill.late
    assert "window_start" in millrace("replay", *place, "--job", "counts", "--sink", "console")
    for wrong in (["--job", "hashtags", "--speed", "2"], ["--job", "nonsense"], ["--from-archive"], []):
        millrace("replay", *wrong, expected=2)


def test_doctor(mill: Mill, millrace: Callable[..., str]) -> None:
    report = millrace("doctor")
    assert "WRONG" not in report
    for subject in ("kafka", "sqlite", "postgres", "mysql", "topic bluesky-raw-posts", "java", "archive"):
        assert subject in report
    report = millrace("doctor", "--home", "elsewhere", expected=0)
    assert mill.settings.kafka_bootstrap in report


def test_doctor_finds_what_is_wrong(millrace: Callable[..., str], monkeypatch: pytest.MonkeyPatch, mill: Mill) -> None:
    dead = mill.settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    monkeypatch.setattr(mill, "settings", dead)
    report = millrace("doctor", expected=1)
    assert "WRONG" in report and "millrace up" in report


@pytest.fixture(scope="module")
def other_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for the commands that start and stop servers."""
    home = tmp_path_factory.mktemp("other")
    try:
        yield home
    finally:
        stack.down(config.load(home=home), data=True)
        shutil.rmtree(home)


def ended(home: Path, *arguments: str, deadline: float = 240, **env: str) -> Child:
    child = Child(home, *arguments, "--home", str(home), **env)
    assert child.ends(deadline) == 0, child.text()
    return child


def test_up(other_home: Path) -> None:
    assert "kafka: ready on 127.0.0.1:" in ended(other_home, "up").text()
    assert "MILLRACE_KAFKA_BOOTSTRAP=127.0.0.1:" in (other_home / "servers.env").read_text()


def test_demo(other_home: Path) -> None:
    """It uses the broker of its home, counts, prints a line a hashtag and ends by itself.

    What is simulated goes there alone, whatever broker and store the environment names.
    """
    others = {"MILLRACE_KAFKA_BOOTSTRAP": "127.0.0.1:1", "MILLRACE_SQLITE_URL": f"sqlite:///{other_home}/not.db"}
    demo = ended(other_home, "demo", "--source", "simulator", "--seconds", "20", **others)
    assert not (other_home / "not.db").exists()
    lines = [line.rsplit(maxsplit=1) for line in demo.out.read_text().splitlines()]
    assert len(lines) >= 5
    assert all(tag.startswith("#") and int(posts) > 0 for tag, posts in lines)
    counts = [int(posts) for _, posts in lines]
    assert counts == sorted(counts, reverse=True)
    assert "a page of it: http://127.0.0.1:" in demo.text()


def test_demo_of_all(other_home: Path) -> None:
    """Four feeds, one Spark application, one view; every page has rows afterwards.

    The key of Finnhub and the MongoDB are the demo's, whatever yours are.
    """
    picture = other_home / "all.svg"
    options = ["--pipeline", "all", "--source", "simulator", "--seconds", "40", "--picture", str(picture)]
    away = "mongodb://127.0.0.1:1"  # where nothing is written: the demo has a server of its own
    demo = ended(other_home, "demo", *options, deadline=400, FINNHUB_TOKEN="yours", MILLRACE_MONGODB_URL=away)
    said, lines = demo.text(), demo.out.read_text().splitlines()
    assert all(f"counted on simulated {each.service} since" in said for each in ALL)
    assert "yours" not in said
    numbers = dict(line.rsplit(maxsplit=1) for line in lines)
    languages = [int(numbers[name]) for name in numbers if name.startswith("language ")]
    assert len(languages) >= 3 and languages == sorted(languages, reverse=True)
    assert any(name.startswith("#") for name in numbers)
    assert int(numbers["readings of counters"]) > sum(languages)  # posts that were looked at again
    trades = {line.split()[0]: line.split()[1:3] for line in lines}
    assert all(float(trades[symbol][0].replace(",", "")) > 0 and int(trades[symbol][1]) > 0 for symbol in FEW)
    assert int(numbers["windows"]) > 0 and int(numbers["tweets"].replace(",", "")) > 0
    drawn = picture.read_text()
    assert all(
        title in drawn
        for title in ("Bluesky", "simulated&#160;tweets", "days&#160;old", "languages", "engagement", "VWAP")
    )
    assert len((other_home / "logs" / "job.log").read_text().split("Spark UI at")) <= 2  # one application
    with sqlite3.connect(other_home / "millrace.db") as connection:
        rows = {page.title: connection.execute(f"SELECT count(*) FROM {page.table}").fetchone()[0] for page in PAGES}
    connection.close()
    assert all(rows.values()), rows


def test_demo_of_sentiment(other_home: Path) -> None:
    """Posts of every label, and the reason of those that have none, in the demo's own ClickHouse."""
    picture = other_home / "sentiment.svg"
    options = ["--pipeline", "sentiment", "--source", "simulator", "--seconds", "20", "--picture", str(picture)]
    away = "http://u:yours@127.0.0.1:1"
    demo = ended(other_home, "demo", *options, deadline=400, MILLRACE_CLICKHOUSE_URL=away)
    assert "counted on simulated Mastodon since" in demo.text() and "yours" not in demo.text()
    posts = dict(line.rsplit(maxsplit=1) for line in demo.out.read_text().splitlines())
    names = ("positive", "neutral", "negative", "without a label: unknown language")
    assert all(int(posts[name].replace(",", "")) > 0 for name in names), posts
    assert "newest&#160;posts" in picture.read_text()


def test_demo_of_a_copy(other_home: Path) -> None:
    """Both sides are equal at the end, whatever PostgreSQL the environment names."""
    picture = other_home / "cdc.svg"
    options = ["--pipeline", "cdc", "--seconds", "10", "--picture", str(picture)]
    away = {"MILLRACE_CDC_SOURCE_URL": "postgresql+psycopg://u:yours@127.0.0.1:1/d"}
    demo = ended(other_home, "demo", *options, deadline=400, **away)
    said, lines = demo.text(), demo.out.read_text()
    assert "counted on PostgreSQL since" in said and "yours" not in said
    assert re.search(r"public\.demo_table1 +(\d+) rows in PostgreSQL, \1 in ClickHouse", lines)
    assert "ClickHouse equals PostgreSQL at" in lines
    assert "newest&#160;of&#160;demo_table2" in picture.read_text()


DEMO = "public.demo_table1,public.demo_table2"


def test_cdc_register(other_home: Path) -> None:
    ended(other_home, "up", "connect")
    said = ended(other_home, "cdc", "register", "--demo")
    assert "cdc.public.demo_table1" in said.out.read_text() and "RUNNING, generation" in said.text()


def test_simulate_changes(other_home: Path) -> None:
    ended(other_home, "simulate", "changes", "--rate", "200", "--count", "100")


def test_cdc_verify(other_home: Path) -> None:
    """Once the job has read what was changed; before, ClickHouse has none of the tables."""
    before = Child(other_home, "cdc", "verify", "--tables", DEMO, "--wait", "0", "--home", str(other_home))
    assert before.ends(60) != 0
    ended(other_home, "run", "cdc", "--tables", DEMO, "--once")
    assert "ClickHouse equals PostgreSQL at" in ended(other_home, "cdc", "verify", "--tables", DEMO).text()


def test_cdc_snapshot(other_home: Path) -> None:
    said = ended(other_home, "cdc", "snapshot", "public.demo_table1").text()
    assert re.search(r"snapshot: \d+ rows of public\.demo_table1", said)


def test_cdc_lag(other_home: Path) -> None:
    assert "RUNNING" in ended(other_home, "cdc", "lag").out.read_text()


def test_cdc_unregister(other_home: Path) -> None:
    ended(other_home, "cdc", "unregister")
    gone = Child(other_home, "cdc", "lag", "--home", str(other_home))
    assert gone.ends(60) == 1
    ended(other_home, "down", "connect")


def test_sentiment_eval(tmp_path: Path) -> None:
    """By the lexicon, which needs no server and claims English alone; injections are told beside it."""
    with (tmp_path / "injections.csv").open("w", encoding="utf-8", newline="") as file:
        injections.write(file)
    chosen = [str(injections.POSTS), "--injections", str(tmp_path / "injections.csv")]
    shown = ended(tmp_path, "sentiment", "eval", *chosen, COLUMNS="200").out.read_text()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    rows = {row[0]: row[1:] for row in cells}
    assert set(rows) >= {"vader", "all", "en", "de", "positive", "neutral", "negative", "unknown language"}
    assert rows["de"] == ["60", "0.000", "0.000", "60", "0.000", "0.000", "0.000"] and rows["unknown language"] == [
        "240"
    ]
    told = json.loads(ended(tmp_path, "sentiment", "eval", *chosen, "--json").out.read_text())
    english = told["languages"]["en"]
    assert english["unlabelled"] == 0 and english["accuracy"] >= 0.55 and told["accuracies"]["en"]["clear"] >= 0.75
    assert (told["model"], told["tokens_per_second"], told["injections"]["valid"]) == ("vader-3.3.2", None, 50)
    assert told["injections"]["compared"] == 46 and told["injections"]["flipped"] > 10, "words sway a lexicon"
    assert rows["en"][1] == f"{english['accuracy']:.3f}"


def test_sentiment_eval_of_what_cannot_be(tmp_path: Path) -> None:
    """A wrong file is told by line and column, with 2; an engine that labels nothing ends with 1."""
    posts = tmp_path / "posts.csv"
    for content, options, code, said in (
        ("text,label\nx,happy\n", [], 2, "line 2, column label: 'happy' is none of"),
        ("text,label\nx,neutral\n", ["--timeout", "soon"], 2, "'soon' is no duration"),
        ("text,label\nx,neutral\n", ["--engine", "oracle"], 2, "oracle"),
        ("text,label\nx,neutral\n", ["--engine", "openai"], 2, "--base-url"),
        ("text,label,language\nx,neutral,de\n", [], 1, "no post got a label: unknown language"),
    ):
        posts.write_text(content)
        told = Child(tmp_path, "sentiment", "eval", str(posts), *options, "--home", str(tmp_path))
        assert told.ends(60) == code and said in told.text(), told.text()


def test_demo_refuses_what_there_is_not(other_home: Path) -> None:
    for options in (["--pipeline", "nonsense"], ["--pipeline", "mastodon", "--source", "nonsense"]):
        demo = Child(other_home, "demo", *options, "--home", str(other_home))
        assert demo.ends(60) == 2
        assert "nonsense" in demo.text()


def test_sentiment_relabel(tmp_path: Path) -> None:
    """What had no label has one; another question about it costs nothing; it says what still has none, and why."""
    home, result, moment = ["--home", str(tmp_path)], SENTIMENT["bluesky"], now()
    url = config.load(home=tmp_path).clickhouse
    command = ["sentiment", "relabel", *home]
    try:
        missing = Child(tmp_path, *command, "--errors", "--source", "bluesky")
        assert missing.ends(60) == 2 and "has no table bluesky_sentiment: `millrace run sentiment`" in missing.text()
        clickhouse_tables.create(url, result)
        values = [
            (f"p{n}", text, error, 0, moment)
            for n, (text, error) in enumerate(
                [("good day", "timeout"), ("bad day", "HTTP 503: busy"), ("good odd day", "timeout"), ("", "no text")]
            )
        ]
        names = ["post_id", "mastodon_text", "error", "revision", "event_time"]
        client.connect(url).insert(clickhouse_tables.storage(result), values, names)
        with llm.running(llm.Model(fault="refused", only="odd")) as address:
            engine = ["--engine", "ollama", "--model", "double", "--base-url", address, "--concurrency", "2"]
            told = ended(tmp_path, *command[:2], "--errors", "--source", "bluesky", *engine, "--timeout", "5s").text()
            assert "bluesky_sentiment: 3 posts had no label; 2 have one now, 1 still not: 1 HTTP 400" in told
        found = {row["post_id"]: (row["sentiment"], row["error"]) for row in clickhouse_reader.rows(url, result)}
        assert found == {"p0": ("positive", None), "p1": ("negative", None), "p2": (None, "timeout"),
                         "p3": (None, "no text")}  # fmt: skip
        for wrong, words in ((command, "--errors"), ([*command, "--errors", "--source", "x"], "bluesky, ")):
            refused = Child(tmp_path, *wrong)
            assert refused.ends(60) == 2 and words in refused.text()
    finally:
        stack.down(config.load(home=tmp_path), data=True)


def test_tables_create(tmp_path: Path) -> None:
    assert "tables and 5 views are there: SQLite file" in ended(tmp_path, "tables", "create").text()
    with sqlite3.connect(tmp_path / "millrace.db") as connection:
        assert connection.execute("SELECT count(*) FROM trending_hashtags").fetchall() == [(0,)]
        connection.execute("DROP TABLE post_counts")
        connection.execute("CREATE TABLE post_counts (source TEXT, window_start TEXT, window_end TEXT, posts INT)")
    connection.close()
    wrong = Child(tmp_path, "tables", "create", "--home", str(tmp_path))
    assert wrong.ends(60) == 2 and "post_counts has not the key (source, window_start, window_end)" in wrong.text()
    wrong = Child(tmp_path, "tables", "create", "--store", "mysql", "--home", str(tmp_path))
    assert wrong.ends(60) == 2 and "MILLRACE_MYSQL_URL is not set" in wrong.text()


def test_prune(tmp_path: Path) -> None:
    """It counts, and deletes when it is told to."""
    engine = database.connect(sqlite(tmp_path))
    tables.create(sqlite(tmp_path))
    put(engine, "candles", *(candle("AAPL", support.now() - days * timedelta(days=1), 100) for days in range(40)))
    engine.dispose()
    told = ended(tmp_path, "prune", "--older-than", "30d")
    shown = next(line for line in told.out.read_text().splitlines() if "candles" in line)
    assert shown.split()[1::2] == ["candles", "40", "10"] and "--yes" in told.text()
    told = ended(tmp_path, "prune", "--older-than", "30d", "--yes")
    shown = next(line for line in told.out.read_text().splitlines() if "candles" in line)
    assert shown.split()[1::2] == ["candles", "40", "30"]
    with sqlite3.connect(tmp_path / "millrace.db") as connection:
        assert connection.execute("SELECT count(*) FROM candles").fetchall() == [(30,)]
    connection.close()
    wrong = Child(tmp_path, "prune", "--older-than", "soon", "--home", str(tmp_path))
    assert wrong.ends(60) == 2 and "'soon' is no duration" in wrong.text()


def test_view(tmp_path: Path) -> None:
    """On the loopback address alone; a second one takes the next port; SIGTERM ends it."""
    place = ["--home", str(tmp_path), "--no-open"]
    first = Child(tmp_path, "view", "--port", str(free_port()), *place)
    second = None
    try:
        first.says("ready http://127.0.0.1:")
        port = int(first.text().partition("ready http://127.0.0.1:")[2].split()[0])
        listening = [
            each.laddr for each in psutil.Process(first.process.pid).net_connections() if each.status == "LISTEN"
        ]
        assert listening == [("127.0.0.1", port)]
        second = Child(tmp_path, "view", "--port", str(port), *place)
        second.says("ready http://127.0.0.1:")
        assert f"port {port} is taken: the page is on " in second.text()
        assert "<title>" in httpx.get(f"http://127.0.0.1:{port}/").text
        assert first.stop() == 0
    finally:
        for each in filter(None, (first, second)):
            each.kill()
    wrong = Child(tmp_path, "view", "--store", "mysql", "--home", str(tmp_path))
    assert wrong.ends(60) == 2 and "MILLRACE_MYSQL_URL is not set" in wrong.text()


def test_status(other_home: Path) -> None:
    ended(other_home, "up", "kafka")
    shown = ended(other_home, "status").out.read_text()
    assert "kafka" in shown and "mysql" in shown


def test_down(other_home: Path) -> None:
    """What the demos left in Kafka goes, and the checkpoints that stand in it; the tables stay."""
    ended(other_home, "up", "kafka")
    assert list((other_home / "checkpoints").glob("*/metadata"))
    said = ended(other_home, "down", "--data").text()
    assert "kafka: stopped" in said and "removed checkpoint hashtags-bluesky-" in said
    assert not (other_home / "servers.env").exists()
    assert not list((other_home / "checkpoints").glob("*/metadata"))
    assert (other_home / "millrace.db").exists()
