"""One whole run of the pipeline, which the tests of this folder look at."""

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests import support
from tests.support import Child, Counts

from millrace import config, stack
from millrace.config import Settings
from millrace.spark import launch

FAULTS = ["--duplicates", "0.1", "--shuffle", "45", "--malformed", "0.02", "--future-dated", "0.02", "--late", "0.02"]


@dataclass
class Mill:
    """What one run of the whole pipeline left: home, addresses, the truth, and the processes that ran."""

    settings: Settings
    start: datetime
    summary: dict[str, int]
    in_time: Counts
    late: Counts
    url: str
    ingest: Child
    job: Child

    @property
    def env(self) -> dict[str, str]:
        return support.environment(self.settings) | {"MILLRACE_HOME": str(self.settings.home)}


@pytest.fixture(scope="session")
def mill(mysql: Settings, postgres: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    """Simulator, adapter, a broker of its own and spark-submit into three stores: each a process, run to the end."""
    home = tmp_path_factory.mktemp("mill")
    stores = {"mysql_url": mysql.mysql_url, "postgres_url": postgres.postgres_url}
    try:
        stack.up(["kafka"], config.load(home=home))
        settings = config.load(home=home, **stores)
        yield from _milled(settings)
    finally:
        stack.down(config.load(home=home), data=True)


def _milled(settings: Settings) -> Iterator[Mill]:
    home, answer = settings.home, settings.home / "truth.jsonl"
    start = support.window(support.now()) - timedelta(minutes=8)
    scenario = ["--count", "9000", "--rate", "25", "--speed", "0", "--start", start.isoformat(), "--seed", "5"]
    support.clear(*(settings.store_url(name) for name in ("sqlite", "mysql", "postgres")))
    simulator = Child(home, "simulate", "bluesky", "--port", "0", "--truth", str(answer), *scenario, *FAULTS)
    try:
        simulator.says("ready ws://")
        url = simulator.text().partition("ready ")[2].split()[0]
        summary, in_time, late = truth(answer)
        ingest = Child(home, "ingest", "bluesky", "--url", url, "--from-cursor", "1",
                       "--limit", str(summary["posts"]), "--home", str(home))  # fmt: skip
        assert ingest.ends() == 0, ingest.text()
        job = spark_submit(settings, "hashtags", "--sink", "sqlite", "--sink", "mysql", "--sink", "postgres")
        assert job.ends(240) == 0, job.text()
        yield Mill(settings, start, summary, in_time, late, url, ingest, job)
    finally:
        simulator.kill()


def spark_submit(settings: Settings, name: str, *arguments: str) -> Child:
    """Run a job as the README says, in a shell that knows no Java."""
    program = Path(sys.executable).with_name("millrace")
    job = [str(launch.jobs()[name]), *arguments, "--once"]
    line = f'eval "$({program} env)"; exec spark-submit --properties-file {launch.conf("local.conf")} '
    script = line + shlex.join([*job, "--max-offsets", "2000"])
    env = support.environment(settings) | {"MILLRACE_HOME": str(settings.home), "PATH": "/usr/bin:/bin"}
    return Child(settings.home, "spark-submit", command=["bash", "-c", script], **env)


def truth(path: Path) -> tuple[dict[str, int], Counts, Counts]:
    """Return the simulator's summary and its counts, in time and late apart."""
    summary, *lines = map(json.loads, path.read_text().splitlines())
    counts: tuple[Counts, Counts] = (Counts(), Counts())
    for line in lines:
        counts[line["late"]][datetime.fromisoformat(line["window_start"]), line["hashtag"]] = line["posts"]
    return summary, *counts
