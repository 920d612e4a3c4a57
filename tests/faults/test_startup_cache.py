"""The JDK's start-up cache: who builds it, and that a later start uses it."""

import subprocess
import sys
from pathlib import Path

import psutil
import pyspark
import pytest
from tests import support
from tests.support import Job, Posts, wait

from millrace.config import Settings
from millrace.spark.launch import startup_cache
from millrace.stack.artifacts import cache


def test_a_driver_whose_pyspark_is_a_zip_knows_the_same_cache() -> None:
    """Plain spark-submit puts the zips of its own SPARK_HOME first; neither holds the jars."""
    zips = ":".join(map(str, Path(pyspark.__file__).parent.glob("python/lib/*.zip")))
    look = (
        "import pyspark; from millrace.spark.launch import startup_cache as s; print(pyspark.__file__); print(s.path())"
    )
    seen = subprocess.run([sys.executable, "-c", look], env={"PYTHONPATH": zips, "HOME": str(Path.home())},
                          capture_output=True, text=True, check=True).stdout.splitlines()  # fmt: skip
    assert "pyspark.zip" in seen[0]
    assert seen[1] == str(startup_cache.path())


@pytest.mark.faults
def test_the_first_job_has_it_built_and_the_second_maps_it(kafka: Settings, tmp_path: Path) -> None:
    own = tmp_path / "cache" / "millrace"
    own.mkdir(parents=True)
    for name in ("artifacts", "java"):  # downloads are not what this is about
        (own / name).symlink_to(cache() / name)
    topic = support.new_topic(kafka.kafka_bootstrap)
    line = ["--topic", topic]
    support.send(kafka.kafka_bootstrap, topic, Posts(support.now()).take(900))
    first = Job("hashtags", kafka, tmp_path, *line, "--once", XDG_CACHE_HOME=str(own.parent))
    assert first.ends(240) == 0, first.text()
    wait(lambda: list(own.glob("spark/*/startup-*.aot")), "the cache", deadline=300)
    (built,) = own.glob("spark/*/startup-*.aot")
    assert not list(own.glob("spark/*/*.part"))
    second = Job("hashtags", kafka, tmp_path, *line, XDG_CACHE_HOME=str(own.parent))
    try:
        second.says("Spark UI at")
        maps = [each.path for each in psutil.Process(second.process.pid).memory_maps()]
        assert str(built) in maps, (own / "startup-cache.log").read_text()
    finally:
        second.kill()
