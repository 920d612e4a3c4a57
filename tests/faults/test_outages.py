"""Servers and disks that go away for a while: nothing is committed meanwhile, and all of it comes after."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import URL, make_url, text
from tests.faults.test_recovery import RUNNING, feeding
from tests.proxy import Proxy, through
from tests.support import (
    Job,
    Posts,
    clear,
    each_of,
    execute,
    family,
    fill,
    new_topic,
    now,
    pid_of,
    send,
    sqlite,
    stored,
    wait,
    window,
)

from millrace.config import Settings
from millrace.sinks.sql import database


@pytest.fixture
def posts() -> Posts:
    return Posts(window(now()) - timedelta(minutes=9), per_second=50)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process and its children still, as a machine that hangs does."""
    held = family(pid)
    assert list(each_of(held, psutil.Process.suspend))
    try:
        yield
    finally:
        assert list(each_of(held, psutil.Process.resume))


def committed(home: Path) -> set[str]:
    return {path.name for path in home.glob("checkpoints/*/commits/*")}


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [10, 60])
@pytest.mark.parametrize("store", ["mysql", "mongodb", "clickhouse"])
def test_a_store_that_hangs(
    *,
    store: str,
    seconds: int,
    posts: Posts,
    tmp_path: Path,
    begin: Callable[..., Any],
    request: pytest.FixtureRequest,
) -> None:
    server: Settings = request.getfixturevalue(store)
    url = server.store_url(store)
    clear(url)
    topic = new_topic(server.kafka_bootstrap)
    with feeding(server, topic, posts, per_second=100) as stop:
        job = begin(Job, "hashtags", server, tmp_path, *RUNNING, "--topic", topic, "--sink", store)
        job.has_read(500)
        with stopped(pid_of(store, server)):
            threading.Event().wait(1)  # what was under way may still be noted
            before, size = committed(tmp_path), job.memory()
            for _ in range(seconds // 10):
                threading.Event().wait(10)  # the outage itself
                assert time.time() - job.run_file.stat().st_mtime < 30
            assert committed(tmp_path) == before
            assert job.process.poll() is None
            assert job.memory() - size < 200 << 20
        stop()
    wait(lambda: stored(url) == posts.right, "right table", job, 60)
    assert "the batch at hand has taken" in job.text() or seconds < 30
    assert job.stop() == 0, job.text()


AWAY = [("postgres", 10), ("mongodb", 10), ("clickhouse", 10)]
FAR_AWAY = [(name, 60) for name in ("mysql", "postgres", "mongodb", "clickhouse")] + [("mysql", 150), ("mongodb", 150)]
AWAY += [pytest.param(*each, marks=pytest.mark.faults) for each in FAR_AWAY]


@pytest.mark.parametrize(("store", "seconds"), AWAY)
def test_a_store_that_is_away(
    *,
    store: str,
    seconds: int,
    posts: Posts,
    proxy: Callable[[str, int], Proxy],
    tmp_path: Path,
    begin: Callable[..., Any],
    request: pytest.FixtureRequest,
) -> None:
    """It refuses connections: nothing is committed meanwhile, another job goes on, then all of it comes."""
    server: Settings = request.getfixturevalue(store)
    url = server.store_url(store)
    clear(url)
    link, detour = through(url, proxy)
    topic = new_topic(server.kafka_bootstrap)
    settings = server.model_copy(update={f"{store}_url": SecretStr(detour)})
    line = (*RUNNING, "--topic", topic)
    with feeding(server, topic, posts, per_second=100) as stop:
        job = begin(Job, "hashtags", settings, tmp_path, *line, "--sink", store)
        job.has_read(300)
        others = [begin(Job, "hashtags", server, folder(tmp_path / "other"), *line)] if seconds == 60 else []
        for other in others:
            other.has_read(300)
        link.cut()
        threading.Event().wait(1)  # what was under way may still be noted
        before, told = committed(tmp_path), [other.state()["records"] for other in others]
        threading.Event().wait(seconds)  # the outage itself
        assert committed(tmp_path) == before
        assert [other.state()["records"] - read > 10 * seconds for other, read in zip(others, told, strict=True)] == [
            True
        ] * len(others)
        job.says(
            "trying again in"
        )  # MongoDB's client looks for a server for ten seconds before it says that there is none
        link.restore()
        stop()
    wait(lambda: stored(url) == posts.right, "right table", job, 60)
    for each in (job, *others):
        assert each.stop() == 0, each.text()
    assert all("trying again" not in other.text() for other in others)


@pytest.mark.faults
def test_a_password_that_changes_under_a_job(
    kafka: Settings, mysql: Settings, posts: Posts, tmp_path: Path, begin: Callable[..., Any]
) -> None:
    """It ends soon, naming host and user but no password; with the new one the same command goes on."""
    admin, secrets = mysql.store_url("mysql"), ("first-8f2c", "second-1b7e")
    clear(admin)
    first, second = (make_url(admin).set(username="rotated", password=secret) for secret in secrets)
    execute(admin, "DROP USER IF EXISTS rotated", f"CREATE USER rotated IDENTIFIED BY '{secrets[0]}'")
    execute(admin, f"GRANT ALL ON {first.database}.* TO rotated")
    topic = new_topic(kafka.kafka_bootstrap)
    command = (*RUNNING, "--topic", topic, "--sink", "mysql")
    with feeding(kafka, topic, posts, per_second=100) as stop:
        job = begin(Job, "hashtags", told(mysql, first), tmp_path, *command)
        job.has_read(300)
        execute(admin, f"ALTER USER rotated IDENTIFIED BY '{secrets[1]}'")
        execute(admin, *(f"KILL {number}" for number in connections(admin, "rotated")))
        assert job.ends(60) == 1, job.text()
        assert f"{first.host}:{first.port}" in job.text() and "user rotated" in job.text()
        again = begin(Job, "hashtags", told(mysql, second), tmp_path, *command)
        again.has_read(300)
        stop()
    wait(lambda: stored(admin) == posts.right, "right table", again, 60)
    assert again.stop() == 0, again.text()
    assert not any(secret in each.text() for secret in secrets for each in (job, again))
    execute(admin, "DROP USER rotated")


def told(settings: Settings, url: URL) -> Settings:
    return settings.model_copy(update={"mysql_url": SecretStr(url.render_as_string(hide_password=False))})


def connections(url: str, user: str) -> list[int]:
    engine = database.connect(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id FROM information_schema.processlist WHERE user = :u"), {"u": user})
        found = [number for (number,) in rows]
    engine.dispose()
    return found


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.faults
def test_a_store_that_answers_late(
    *,
    kafka: Settings,
    mysql: Settings,
    posts: Posts,
    tmp_path: Path,
    proxy: Callable[[str, int], Proxy],
    begin: Callable[..., Any],
) -> None:
    """Five seconds to each answer: nothing fails, and when the link is quick again all is there."""
    clear(mysql.store_url("mysql"))
    link, slow = through(mysql.store_url("mysql"), proxy)
    topic = new_topic(kafka.kafka_bootstrap)
    with feeding(kafka, topic, posts, per_second=100) as stop:
        settings = mysql.model_copy(update={"mysql_url": SecretStr(slow)})
        job = begin(Job, "hashtags", settings, tmp_path, *RUNNING, "--topic", topic, "--sink", "mysql")
        job.has_read(300)
        link.delay, read = 5, job.state()["records"]
        job.has_read(read + 300, 120)  # it goes on, slowly
        link.delay = 0
        stop()
    wait(lambda: stored(mysql.store_url("mysql")) == posts.right, "right table", job, 60)
    assert "trying again" not in job.text()
    assert job.stop() == 0, job.text()


@pytest.mark.faults
def test_a_flood(kafka: Settings, posts: Posts, tmp_path: Path, begin: Callable[..., Any]) -> None:
    """Ten times the rate for a minute: batches stay bounded, and the lag goes back to nothing."""
    topic = new_topic(kafka.kafka_bootstrap)
    job = begin(Job, "hashtags", kafka, tmp_path, "--trigger", "1s", "--max-offsets", "3000", "--topic", topic)
    posts.per_second = 500
    sizes: list[int] = []
    with feeding(kafka, topic, posts, per_second=50):
        job.has_read(200)
    with feeding(kafka, topic, posts, per_second=500):
        end = threading.Event()
        threading.Timer(60, end.set).start()
        while not end.wait(0.2):
            sizes.append(job.state()["input_rows"])
    wait(lambda: stored(sqlite(tmp_path)) == posts.right, "right table", job, 120)
    wait(lambda: job.state()["kafka_lag"] == 0, "lag 0", job, 60)
    assert 0 < max(sizes) <= 3003
    assert job.stop() == 0, job.text()


@pytest.mark.faults
def test_a_full_disk_under_the_checkpoint(
    kafka: Settings, posts: Posts, small_disk: Callable[[str], Path], tmp_path: Path, begin: Callable[..., Any]
) -> None:
    """The job stops loudly and names the place; with space again, the same command goes on where it was."""
    topic, disk = new_topic(kafka.kafka_bootstrap), small_disk("4m")
    command = (*RUNNING, "--topic", topic, "--checkpoint", str(disk / "checkpoint"))
    job = begin(Job, "hashtags", kafka, tmp_path, *command)
    send(kafka.kafka_bootstrap, topic, posts.take(300))
    job.has_read(300)
    fill(disk / "filler")
    while job.process.poll() is None:
        send(kafka.kafka_bootstrap, topic, posts.take(100))
    assert job.process.returncode == 1, job.text()
    assert str(disk) in job.text().splitlines()[-1], job.text()
    (disk / "filler").unlink()
    again = begin(Job, "hashtags", kafka, tmp_path, *command)
    wait(lambda: stored(sqlite(tmp_path)) == posts.right, "right table", again, 120)
    assert again.stop() == 0, again.text()
