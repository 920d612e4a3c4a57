"""Every command of `millrace --help`, driven end to end as its users do."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.live.conftest import Mill, spark_submit
from tests.support import Child, sqlite, stored

from millrace import config, stack
from millrace.cli import app
from millrace.simulate import mastodon as community
from millrace.simulate.community import Community


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
    for name, command in COMMANDS.items():
        assert f"Example: millrace {name}" in (command.help or "") or name == "env", name


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
    names = ["--name", "plain", "--checkpoint", str(tmp_path / "c")]
    submitted = spark_submit(mill.settings, "mastodon", *chosen, "--lateness", "2h", *place, *names)
    assert submitted.ends(240) == 0, submitted.text()
    assert counted(tmp_path) == [posts]
    assert {path.stem for path in (tmp_path / "run").glob("*.json")} == {"hashtags", "counts", "plain-hashtags",
                                                                         "plain-counts"}  # fmt: skip
    shown = millrace("run", "mastodon", "--mode", "sql", "--analysis", "users", "--once", *place)
    assert "author" in shown and "did:plc:" in shown
    millrace("run", "mastodon", "--mode", "sql", "--analysis", "full", expected=2)


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


def ended(home: Path, *arguments: str) -> Child:
    child = Child(home, *arguments, "--home", str(home))
    assert child.ends(240) == 0, child.text()
    return child


def test_up(other_home: Path) -> None:
    assert "kafka: ready on 127.0.0.1:" in ended(other_home, "up").text()
    assert "MILLRACE_KAFKA_BOOTSTRAP=127.0.0.1:" in (other_home / "servers.env").read_text()


def test_demo(other_home: Path) -> None:
    """It uses the broker that runs, counts, prints a line a hashtag and ends by itself."""
    demo = ended(other_home, "demo", "--source", "simulator", "--seconds", "40")
    lines = [line.rsplit(maxsplit=1) for line in demo.out.read_text().splitlines()]
    assert len(lines) >= 5
    assert all(tag.startswith("#") and int(posts) > 0 for tag, posts in lines)
    counts = [int(posts) for _, posts in lines]
    assert counts == sorted(counts, reverse=True)


def test_demo_of_mastodon(other_home: Path) -> None:
    """Languages, hashtags and engagement of simulated posts, by one application of three analyses."""
    options = ["--pipeline", "mastodon", "--source", "simulator", "--rate", "40", "--seconds", "60"]
    picture = other_home / "demo.svg"
    demo = ended(other_home, "demo", *options, "--picture", str(picture))
    found = dict(line.rsplit(maxsplit=1) for line in demo.out.read_text().splitlines())
    languages = [int(found[name]) for name in found if name.startswith("language ")]
    assert len(languages) >= 3 and languages == sorted(languages, reverse=True)
    assert any(name.startswith("#") for name in found)
    assert int(found["readings of counters"]) > sum(languages)  # posts that were looked at again
    assert "engagement" in picture.read_text()
    assert "counted on simulated Mastodon" in demo.text()


def test_demo_refuses_what_there_is_not(other_home: Path) -> None:
    for options in (["--pipeline", "nonsense"], ["--pipeline", "mastodon", "--source", "nonsense"]):
        demo = Child(other_home, "demo", *options, "--home", str(other_home))
        assert demo.ends(60) == 2
        assert "nonsense" in demo.text()


def test_status(other_home: Path) -> None:
    ended(other_home, "up", "kafka")
    shown = ended(other_home, "status").out.read_text()
    assert "kafka" in shown and "mysql" in shown


def test_down(other_home: Path) -> None:
    ended(other_home, "up", "kafka")
    assert "kafka: stopped" in ended(other_home, "down", "--data").text()
    assert not (other_home / "servers.env").exists()
