"""Records that are no posts: skipped, counted, and put aside with their place and the reason."""

import hashlib
import itertools
import json
import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.support import Posts, new_topic, now, post, producer, records, run_job, send, sqlite, stored, window
from tests.unit.test_posts import BAD

from millrace.config import Settings

WORST = list(itertools.islice(itertools.cycle(BAD.values()), 100))


def letters(settings: Settings, topic: str) -> list[dict]:
    found = map(json.loads, (record.value for record in records(settings.kafka_bootstrap, "dead-letters")))
    return [letter for letter in found if letter["topic"] == topic]


def test_a_hundred_bad_among_good(
    kafka: Settings, spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = new_topic(kafka.kafka_bootstrap)
    posts = Posts(window(now()) - timedelta(minutes=5))
    at = round(posts.start.timestamp() * 1000)
    send(kafka.kafka_bootstrap, topic, posts.take(100) + [(value, at) for value in WORST] + posts.take(100))
    shared = ["--once", "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path)]
    run_job("hashtags", *shared, "--topic", topic, "--max-offsets", "100")
    assert stored(sqlite(tmp_path)) == posts.right
    state = json.loads((tmp_path / "run" / "hashtags.json").read_text())
    assert (state["records"], state["bad_records"]) == (300, 100)
    said = capsys.readouterr().err
    assert "trying again" not in said
    sizes = [int(size) for size in re.findall(r" input_rows=(\d+)", said)]
    assert len(sizes) >= 3 and max(sizes) <= 102  # --max-offsets, rounded up for each partition

    for _ in range(2):
        run_job("quarantine", *shared, topic)
        found = letters(kafka, topic)
        assert len(found) == 100
    where = {(record.partition, record.offset): record.value for record in records(kafka.kafka_bootstrap, topic)}
    for letter in found:
        value = where[letter["partition"], letter["offset"]] or b""
        assert letter["reason"] and letter["size"] == len(value)
        assert letter["sha256"] == hashlib.sha256(value).hexdigest()
    assert len({letter["reason"] for letter in found}) > 10

    shutil.rmtree(tmp_path / "checkpoints")  # letters again, under the same keys, for a compacted topic
    run_job("quarantine", *shared, topic)
    again = letters(kafka, topic)
    assert len({(letter["partition"], letter["offset"]) for letter in again}) == 100


def test_a_message_of_two_megabytes(kafka: Settings, spark: SparkSession, tmp_path: Path) -> None:
    topic = new_topic(kafka.kafka_bootstrap, max_message_bytes=str(4 << 20))
    moment = window(now()) - timedelta(minutes=5)
    giant = b'{"id": "' + b"x" * (2 << 20)
    good = post("y" * (1 << 20), moment, ["cat"])  # twice: id and event_id
    with producer(kafka.kafka_bootstrap, max_request_size=4 << 20) as writer:
        for value in (giant, good):
            writer.send(topic, value, timestamp_ms=round(moment.timestamp() * 1000)).get(30)
    shared = ["--once", "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path)]
    run_job("hashtags", *shared, "--topic", topic)
    assert stored(sqlite(tmp_path)) == {(moment, "cat"): 1}
    run_job("quarantine", *shared, topic)
    [letter] = letters(kafka, topic)
    assert (letter["size"], len(letter["value_base64"])) == (len(giant), 4 * 4096 // 3 + 3)
