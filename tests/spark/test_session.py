"""Several queries in one application: each with a checkpoint and a run file of its own, and one fate."""

import json

import pytest

from millrace.errors import ConfigError, MillraceError
from millrace.spark import options
from millrace.spark.stop import Stop
from millrace.spark.supervisor import Flow, start_all

SCHEMA = "number BIGINT"


@pytest.fixture
def parsed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def parse(*more):
        place = [
            "--home",
            str(tmp_path),
            "--checkpoint",
            f"file://{tmp_path}/checkpoints/c",
        ]  # a URL: no Kafka is asked
        return options.parse("pair", "doc", [*place, *more])

    return parse


@pytest.fixture
def numbers(spark, tmp_path):
    for part in range(3):
        spark.range(part * 10, part * 10 + 10).toDF("number").coalesce(1).write.parquet(f"{tmp_path}/in/{part}")
    return spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).parquet(f"{tmp_path}/in/*")


def test_each_query_has_a_name_and_a_checkpoint(parsed, numbers, tmp_path):
    once, found = parsed("--once"), {"pair": [], "pair-even": []}
    even = once.part("even")
    start_all(
        [
            Flow(once, numbers, lambda batch, _: found["pair"].extend(row.number for row in batch.collect())),
            Flow(
                even,
                numbers.filter("number % 2 = 0"),
                lambda batch, _: found["pair-even"].extend(row.number for row in batch.collect()),
            ),
        ],
        Stop(),
    )
    assert {name: sorted(rows) for name, rows in found.items()} == {
        "pair": list(range(30)),
        "pair-even": list(range(0, 30, 2)),
    }
    for name in found:
        state = json.loads((tmp_path / "run" / f"{name}.json").read_text())
        assert (state["records"], state["job"], state["batch_id"]) == (30, name, 2)  # and not those of the other
    assert (tmp_path / "checkpoints" / "c" / "commits").is_dir()
    assert (tmp_path / "checkpoints" / "c-even" / "commits").is_dir()


def test_when_one_cannot_go_on_the_others_stop(parsed, numbers):
    endless, stop = parsed("--trigger", "0s"), Stop()

    def refuse(_batch, _id):
        raise ConfigError("no such table")

    flows = [Flow(endless, numbers, lambda batch, _: batch.count()), Flow(endless.part("bad"), numbers, refuse)]
    with pytest.raises(MillraceError, match="no such table"):
        start_all(flows, stop)
    assert stop.requested


def test_names_of_parts(parsed):
    assert parsed("--name", "mine").part("windows").name == "mine-windows"
    assert parsed().part("windows").name == "pair-windows"


def test_default_checkpoints_of_parts_differ(tmp_path):
    whole = options.parse("pair", "doc", ["--home", str(tmp_path)])
    assert whole.part("windows").checkpoint.rpartition("/")[2].startswith("pair-windows-bluesky-")
