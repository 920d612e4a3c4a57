"""One continuously running job: a second copy, SIGTERM, Ctrl-C, wrong settings, and no secret anywhere."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from sqlalchemy import make_url
from tests.faults.test_recovery import RUNNING, feeding
from tests.support import (
    Counts,
    Job,
    Posts,
    clear,
    new_topic,
    now,
    records,
    run_job,
    stored,
    window,
)  # fmt: skip

from millrace.config import Settings


def test_two_copies_then_stopped_by_sigterm_and_by_ctrl_c(
    *, kafka: Settings, mysql: Settings, spark: SparkSession, tmp_path: Path, begin: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    clear(mysql.store_url("mysql"))
    topic = new_topic(kafka.kafka_bootstrap)
    posts = Posts(window(now()) - timedelta(minutes=9), per_second=50)
    command = (*RUNNING, "--topic", topic, "--sink", "mysql")
    with feeding(kafka, topic, posts) as stop:
        first = begin(Job, "hashtags", mysql, tmp_path, *command)
        first.has_read(500)
        assert_no_secrets(mysql, tmp_path, first)
        refused(begin, mysql, tmp_path, command, first)
        assert first.stop(signal.SIGTERM) == 0, first.text()
        assert_all_is_committed(kafka, mysql, tmp_path, topic)

        again = begin(Job, "hashtags", mysql, tmp_path, *command)
        again.has_read(500)
        os.killpg(again.process.pid, signal.SIGINT)
        assert again.ends(30) == 0, again.text()
        assert_all_is_committed(kafka, mysql, tmp_path, topic)
        stop()
    monkeypatch.setenv("MILLRACE_MYSQL_URL", mysql.store_url("mysql"))
    shared = ["--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path), "--once", "--max-offsets", "1000"]
    run_job("hashtags", *shared, "--topic", topic, "--sink", "mysql")
    assert len(list((tmp_path / "checkpoints").glob("*.lock"))) == 1  # it went on where they stopped
    assert stored(mysql.store_url("mysql")) == posts.right
    assert_no_secrets(mysql, tmp_path, first, again)
    assert "Traceback" not in first.text() + again.text() and "Exception" not in first.text()
    # Ctrl-C also ends a program that Hadoop runs just then to set a file's permissions; Spark tells it at length.
    assert "Exception" not in again.text() or "exitCode=130" in again.text()


def refused(begin: Callable[..., Any], settings: Settings, home: Path, command: tuple[str, ...], first: Job) -> None:
    """The second copy ends with 1, names the first, and writes nothing."""
    folder = next(path for path in (home / "checkpoints").iterdir() if path.is_dir())
    other = home / "other"
    other.mkdir(exist_ok=True)
    second = begin(Job, "hashtags", settings, home, *command, "--name", "second", "--checkpoint", str(folder))
    assert second.ends() == 1, second.text()
    assert "another copy of this job runs" in second.text() and str(first.state()["pid"]) in second.text()
    assert not (home / "run" / "second.json").exists()


def assert_all_is_committed(kafka: Settings, mysql: Settings, home: Path, topic: str) -> None:
    """No batch was begun and left, and the table holds exactly the records up to the committed offsets."""
    folder = next(path for path in (home / "checkpoints").iterdir() if path.is_dir())
    planned, done = (max(numbers(folder / name)) for name in ("offsets", "commits"))
    assert stored(mysql.store_url("mysql")) == counted(kafka, topic, offsets(folder, done))
    assert planned - done <= 1


def numbers(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def offsets(checkpoint: Path, batch: int) -> dict[str, int]:
    [places] = json.loads((checkpoint / "offsets" / str(batch)).read_text().splitlines()[-1]).values()
    return places


def counted(kafka: Settings, topic: str, ends: dict[str, int]) -> Counts:
    """Count the records before `ends` by hand."""
    right = Counts()
    for record in records(kafka.kafka_bootstrap, topic):
        fields = json.loads(record.value)
        if record.offset < ends[str(record.partition)] and fields["operation"] == "create":
            start = window(datetime.fromtimestamp(record.timestamp / 1000, UTC))
            right.update((start, tag) for tag in fields["hashtags"])
    return right


def assert_no_secrets(settings: Settings, home: Path, *jobs: Job) -> None:
    """No password in output, logs, run files, checkpoints, or in what `ps` shows of the processes."""
    password = make_url(settings.store_url("mysql")).password
    assert password and len(password) > 5
    assert not found(password, home)
    for job in jobs:
        assert all(password not in line for line in job.command_lines())


def found(secret: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_a_wrong_password_is_told_soon_and_without_it(
    kafka: Settings, mysql: Settings, tmp_path: Path, begin: Callable[..., Any]
) -> None:
    topic = new_topic(kafka.kafka_bootstrap)
    right = make_url(mysql.store_url("mysql"))
    wrong = right.set(password="not-the-password-7351")
    settings = kafka.model_copy(update={"mysql_url": type(mysql.mysql_url)(wrong.render_as_string(False))})
    job = begin(Job, "hashtags", settings, tmp_path, *RUNNING, "--topic", topic, "--sink", "mysql")
    assert job.ends(60) == 2, job.text()
    assert f"{right.host}:{right.port}" in job.text() and str(right.username) in job.text()
    assert not found("not-the-password-7351", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "env", "named"),
    [
        (["--no-such-option"], {}, "--no-such-option"),
        (["--trigger", "soon"], {}, "soon"),
        (["--sink", "mysql"], {}, "MILLRACE_MYSQL_URL"),
        ([], {"MILLRACE_PARTITIONS": "none", "MILLRACE_HOEM": "x"}, "MILLRACE_HOEM"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named(
    arguments: list[str], env: dict[str, str], named: str, tmp_path: Path
) -> None:
    """As `spark-submit` runs it, but for the JVM: none of these gets as far."""
    import subprocess
    import sys

    from millrace.spark import launch

    done = subprocess.run(
        [sys.executable, str(launch.jobs()["hashtags"]), "--home", str(tmp_path), *arguments],
        env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert named in done.stderr and "Traceback" not in done.stderr
    if env:
        assert "MILLRACE_PARTITIONS" in done.stderr  # all of them at once
