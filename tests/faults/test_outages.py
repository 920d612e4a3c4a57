"""Servers and disks that go away for a while: nothing is committed meanwhile, and all of it comes after."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url
from tests.faults.test_recovery import RUNNING, feeding
from tests.proxy import Proxy
from tests.support import (
    Job,
    Posts,
    clear,
    each_of,
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

LONG = pytest.param(60, marks=pytest.mark.faults)


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


@pytest.mark.parametrize("seconds", [10, LONG])
def test_a_store_that_hangs(
    *, seconds: int, kafka: Settings, mysql: Settings, posts: Posts, tmp_path: Path, begin: Callable[..., Any]
) -> None:
    url = mysql.sql_url("mysql")
    clear(url)
    topic = new_topic(kafka.kafka_bootstrap)
    with feeding(kafka, topic, posts, per_second=100) as stop:
        job = begin(Job, "hashtags", mysql, tmp_path, *RUNNING, "--topic", topic, "--sink", "mysql")
        job.has_read(500)
        with stopped(pid_of("mysql", mysql)):
            threading.Event().wait(1)  # what was under way may still be noted
            before, size = committed(tmp_path), job.memory()
            threading.Event().wait(seconds)  # the outage itself
            assert committed(tmp_path) == before
            assert job.process.poll() is None
            assert job.memory() - size < 200 << 20
        stop()
    wait(lambda: stored(url) == posts.right, "right table", job, 120)
    assert job.stop() == 0, job.text()


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
    url = make_url(mysql.sql_url("mysql"))
    clear(str(url.render_as_string(hide_password=False)))
    link = proxy(url.host or "", url.port or 0)
    slow = url.set(host="127.0.0.1", port=link.port).render_as_string(hide_password=False)
    topic = new_topic(kafka.kafka_bootstrap)
    with feeding(kafka, topic, posts, per_second=100) as stop:
        settings = mysql.model_copy(update={"mysql_url": SecretStr(slow)})
        job = begin(Job, "hashtags", settings, tmp_path, *RUNNING, "--topic", topic, "--sink", "mysql")
        job.has_read(300)
        link.delay, read = 5, job.state()["records"]
        job.has_read(read + 300, 120)  # it goes on, slowly
        link.delay = 0
        stop()
    wait(lambda: stored(mysql.sql_url("mysql")) == posts.right, "right table", job, 60)
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
