"""`pip install .`: what is installed runs a job far from any checkout."""

import json
import os
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path

from tests.support import Posts, new_topic, now, send, sqlite, stored, window

from millrace.config import Settings
from millrace.spark import launch


def test_a_job_runs_from_the_wheel(kafka: Settings, tmp_path: Path) -> None:
    subprocess.run(
        ["uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(launch.CHECKOUT)],
        check=True, capture_output=True,
    )  # fmt: skip
    [wheel] = tmp_path.glob("millrace-*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    topic = new_topic(kafka.kafka_bootstrap)
    posts = Posts(window(now()) - timedelta(minutes=5))
    send(kafka.kafka_bootstrap, topic, posts.take(200))

    shared = ["--once", "--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "millrace", "run", "hashtags", *shared],
        env={**os.environ, "PYTHONPATH": str(installed)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert stored(sqlite(tmp_path)) == posts.right
    assert json.loads((tmp_path / "run" / "hashtags.json").read_text())["records"] == 200

    where = (
        "from millrace.spark import launch; print(launch.PACKAGE, *launch.jobs(), launch.conf('local.conf').is_file())"
    )
    said = subprocess.run(
        [sys.executable, "-c", where], env={**os.environ, "PYTHONPATH": str(installed)}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert said == [str(installed / "millrace"), *launch.jobs(), "True"]
