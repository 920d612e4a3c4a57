"""The pure parts of the benchmarks: a figure that is computed wrongly is worse than none."""

import asyncio
import json
import math
from pathlib import Path

import pytest
from benchmarks import memory, realtime, sentiment, together
from benchmarks.fill import Pattern, tagged
from benchmarks.ingest import rate
from benchmarks.latency import due
from benchmarks.report import number, percentile, ratio
from benchmarks.submit import Run, batches

from millrace.kafka.posts import decode
from millrace.sentiment.engine import labeller
from millrace.sentiment.labels import Text
from millrace.sentiment.spec import Spec
from millrace.simulate.http import Answer, Asked
from millrace.simulate.llm import Model, running
from tests import tiny_model

POST = {
    "id": "x", "event_id": "x", "source": "bluesky", "event_time": "x", "operation": "update",
    "author": {"id": "did:plc:a"}, "text": "100 % sure, %(rkey)b or not", "hashtags": ["a", "b"],
}  # fmt: skip


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_percentile_is_a_value_that_was_measured(share: float, wanted: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == wanted


def test_nothing_measured_is_no_number() -> None:
    assert math.isnan(percentile([], 0.5))
    assert math.isnan(ratio(1, 0))


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0.5314, 12.34, 999.4, 1234.6, 2_000_000)] == [
        "0.531", "12.3", "999", "1,235", "2,000,000",
    ]  # fmt: skip


def test_the_first_batch_is_no_part_of_the_steady_rate() -> None:
    sizes = [(1000, 10.0), (1000, 1.0), (500, 0.5)]
    run = Run(20.0, 9.0, [{"input_rows": rows, "batch_seconds": seconds} for rows, seconds in sizes])
    assert (run.records, run.steady) == (2500, 1000.0)


def test_one_batch_alone_has_no_steady_rate() -> None:
    assert math.isnan(Run(20.0, 9.0, [{"input_rows": 1000, "batch_seconds": 10.0}]).steady)


def test_batches_are_found_among_other_lines(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    told = [{"time": "t", "message": "batch", "batch_id": 0}, {"time": "t", "message": "Spark UI"}]
    log.write_text("WARN something\n" + "".join(json.dumps(line) + "\n" for line in told))
    assert batches(log) == told[:1]


def test_ingest_rate_counts_from_the_first_commit_to_the_last() -> None:
    # waiting before the first commit and after the last is not the adapter's speed; nor is the first commit's content
    assert rate([(0.0, 0), (5.0, 100), (6.0, 100), (7.0, 2100), (30.0, 2100)]) == 1000.0


def test_a_pattern_makes_posts_that_readers_accept() -> None:
    key, value = Pattern.of(POST).at(7, 1_783_175_888_172_335)
    post = decode(value)
    assert (post.id.encode(), post.event_time.isoformat()) == (key, "2026-07-04T14:38:08.172335+00:00")
    assert (post.text, post.hashtags) == (POST["text"], POST["hashtags"])
    assert Pattern.of(POST).at(8, 1_783_175_888_172_335)[0] != key


def test_a_probe_counts_as_a_new_post_with_one_hashtag() -> None:
    post = decode(tagged(Pattern.of(POST).at(7, 1_783_175_888_172_335)[1], "probe7"))
    assert (post.operation, post.hashtags) == ("create", ["probe7"])


def test_probes_are_due_at_their_rate_within_the_measured_time() -> None:
    found = due(start=100.0, begin=110.0, end=112.0)
    assert list(found) == [f"probe{number}" for number in range(10_000, 12_000, 100)]
    assert found["probe10100"] == pytest.approx(110.1)


def test_seven_applications_do_what_one_does() -> None:
    options = ["--topic", "t", "--checkpoint", "/c"]
    [alone] = together.one(options).values()
    several = together.seven(options)
    assert [alone[place + 1] for place, word in enumerate(alone) if word == "--analysis"] == list(several)
    assert all(Path(command[command.index("--topic") - 1]).stem == name for name, command in several.items())
    assert {command[command.index("--checkpoint") + 1] for command in several.values()} == {
        f"/c-{name}" for name in several
    }


def test_one_application_is_compared_with_seven() -> None:
    taken = {"one application": together.Taken(10.0, 2**30), "seven applications": together.Taken(40.0, 2**32)}
    found = {figure.what: figure.value for figure in together.describe(taken, 1000)}
    assert (found["memory, one / seven"], found["posts/s, one / seven"]) == (0.25, 4.0)
    assert (found["one application: posts"], found["one application: memory at most"]) == (100.0, 1024.0)


def test_goals_are_those_of_real_time() -> None:
    made = {f"probe{number}": float(number) for number in range(100)}
    seen = {name: moment + 0.1 for name, moment in made.items()}
    [median, worst] = realtime.describe("real time", made, seen)
    assert (round(median.value), median.met, worst.goal) == (100, True, "<= 138")
    assert [figure.met for figure in realtime.describe("micro-batches", made, seen)] == [None, None]


def test_memory_grows_by_what_follows_the_start() -> None:
    assert memory.growth([9, 9, 1, 2, 1, 2, 3, 1]) == 1.5
    assert memory.growth([1, 1, 2, 2, 2, 2]) == 1.0
    assert math.isnan(memory.growth([]))


def test_a_model_answers_as_many_as_are_asked_at_once_after_each_latency() -> None:
    assert [sentiment.ideal(2, concurrency) for concurrency in sentiment.CONCURRENCY] == [80.0, 320.0]


def test_no_text_is_in_two_batches() -> None:
    assert len({*sentiment.texts(50), *sentiment.texts(50)}) == 100


def test_the_plain_client_asks_what_the_engine_asks() -> None:
    asked: list[dict[str, object]] = []

    class Kept(Model):
        """Keeps the questions."""

        async def answer(self, question: Asked) -> Answer | None:
            asked.append(json.loads(question.body))
            return await super().answer(question)

    with running(Kept()) as url:
        labeller(Spec("ollama", tiny_model.NAME, url)).label([Text("good")])
        asyncio.run(sentiment.saturate(url, ["good"]))
    ours, plain = asked
    assert ours == plain
