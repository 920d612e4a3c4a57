"""Tweets in windows with case numbers beside them: documents equal the truth, however the tweets come."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.support import Job, new_topic, run_job, send
from tests.tweeting import BESIDE, COLLECTION, NUMBERS, Told

from millrace.applications import cases as job
from millrace.cases import snapshot
from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.kafka import parse
from millrace.queries import tweets
from millrace.queries.cases import cases
from millrace.simulate.talk import Talk
from millrace.simulate.worldometers import PAGE, Bulletin, running
from millrace.sinks.mongodb import cluster

OWN = dict.fromkeys(NUMBERS) | {"country": "World", "as_of": "2026-11-28", "source_url": "own"}
OWN |= {"total_cases_count": 5, "new_cases_count": 0}
DAY = datetime(2026, 3, 28, 23, 59, tzinfo=UTC)


@pytest.fixture(autouse=True)
def place(mongodb: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings for jobs of this process."""
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    monkeypatch.setenv("MILLRACE_KAFKA_BOOTSTRAP", mongodb.kafka_bootstrap)
    monkeypatch.setenv("MILLRACE_MONGODB_URL", mongodb.store_url("mongodb"))


@pytest.fixture
def own(tmp_path: Path) -> list[str]:
    """The option of a source whose numbers are OWN."""
    rows = [{name: OWN[name] for name in ("country", "total_cases_count", "new_cases_count")}]
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"as_of": OWN["as_of"], "source_url": OWN["source_url"], "rows": rows}))
    return ["--cases", f"file:{path}"]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What the job warned of."""
    job.log.addHandler(caplog.handler)
    yield lambda: [each.getMessage() for each in caplog.records
                   if each.name == job.log.name and each.levelno >= logging.WARNING]  # fmt: skip
    job.log.removeHandler(caplog.handler)


def told(count: int = 1200, seed: int = 1, **faults: Any) -> Told:
    """Tweets of two minutes, and late ones of the hour before."""
    return Told(Talk(count=count, rate=10, start=DAY, seed=seed, bursts=0.2, late=0.03, **faults))


def topic_of(settings: Settings, known: Told, **more: float) -> str:
    topic = new_topic(settings.kafka_bootstrap)
    send(settings.kafka_bootstrap, topic, known.records(**more))
    return topic


WAYS = {
    "one batch": [],
    "many batches": ["--max-offsets", "300", "--lateness", "2h"],
    "doubled": ["--deduplicate", "--max-offsets", "500", "--lateness", "2h"],
    "doubled, one batch": ["--deduplicate"],
}


@pytest.mark.parametrize("way", WAYS)
def test_documents_equal_the_truth(
    way: str, spark: SparkSession, mongodb: Settings, own: list[str], tmp_path: Path
) -> None:
    known = told()
    topic = topic_of(mongodb, known, noise=0.05, copies=0.3 if "doubled" in way else 0)
    run_job("cases", "--topic", topic, "--once", *own, *WAYS[way])
    found = known.stored(mongodb)
    assert found == known.right(OWN)
    assert len(found) > 15 and {frozenset(each) for each in found} == {frozenset({"_id", "hash", "source", "content",
        "timestamp", *BESIDE, "window_start", "window_end", "tweets", "cut", "hashtags"})}  # fmt: skip
    run_job("cases", "--topic", topic, "--once", *own, *WAYS[way], "--checkpoint", str(tmp_path / "again"))
    assert known.stored(mongodb) == found


def test_the_archive_gives_the_same_documents(spark: SparkSession, mongodb: Settings, own: list[str]) -> None:
    known = told(seed=2)
    topic = topic_of(mongodb, known, noise=0.05)
    run_job("archive", "--topic", topic, "--once", "--max-offsets", "500")
    run_job("cases", "--topic", topic, "--from-archive", *own)
    assert known.stored(mongodb) == known.right(OWN)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_the_query_as_a_batch_gives_the_same_documents(zone: str, spark: SparkSession, mongodb: Settings) -> None:
    """In any time zone of the session, which notebooks take from the machine."""
    known = Told(Talk(count=600, rate=0.1, start=DAY, late=0.03))  # over the hour in which summer begins in Europe
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", zone)
    try:
        made = [(bytearray(value), datetime.fromtimestamp(at / 1000, UTC)) for value, at in known.records(noise=0.1)]
        posts = parse.posts(spark.createDataFrame(made, "value binary, timestamp timestamp"), tweets.COLUMNS)
        numbers = spark.createDataFrame([OWN], job.NUMBERS)
        rows = cases(tweets.tweet_windows(posts), numbers, "World").collect()
    finally:
        spark.conf.set("spark.sql.session.timeZone", before)
    found = {row["hash"]: row.asDict(recursive=True) for row in rows}
    right = {each.pop("_id"): each for each in known.right(OWN)}
    assert all(row.pop("matched") for row in found.values())
    for row in found.values():
        row |= {name: row[name].astimezone(UTC) for name in ("window_start", "window_end")}
    assert found == right and len(right) > 300


def test_the_time_zone_of_the_process_changes_nothing(
    mongodb: Settings, own: list[str], tmp_path: Path, begin: Callable[..., Any]
) -> None:
    known = told(300)
    topic = topic_of(mongodb, known)
    child = begin(Job, "cases", mongodb, tmp_path, "--topic", topic, "--once", *own, TZ="America/St_Johns")
    assert child.ends() == 0, child.text()
    assert known.stored(mongodb) == known.right(OWN)


class Daily(Bulletin):
    """A page of other numbers and another day each time that it is asked for; it is down from `last` on."""

    def __init__(self, last: int = 10**6) -> None:
        super().__init__()
        self.edition, self.last = -1, last

    def page(self) -> str:
        self.edition += 1
        if self.edition + 1 >= self.last:
            self.defects.add("down")
        return super().page().replace("April 13, 2024", self.day(self.edition).strftime("%B %d, %Y"))

    def day(self, edition: int) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=edition)

    def known(self, url: str) -> dict[str, dict[str, Any]]:
        """Return what each edition until now says of the World, by its day."""
        found = {}
        for edition in range(self.edition + 1):
            same = Bulletin()
            same.edition = edition
            day = f"{self.day(edition):%Y-%m-%d}"
            found[day] = next(same.lines()) | {"as_of": day, "source_url": url + PAGE}
        return found


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are asked for anew with each batch."""
    monkeypatch.setattr(job, "seconds", lambda text: 0)


@pytest.mark.usefixtures("always")
def test_each_window_has_the_numbers_of_one_moment_and_its_date(
    spark: SparkSession, mongodb: Settings, said: Callable[[], list[str]]
) -> None:
    known, bulletin = told(), Daily()
    topic = topic_of(mongodb, known)
    with running(bulletin) as url:
        run_job("cases", "--topic", topic, "--once", "--cases", url + PAGE,
                "--max-offsets", "150", "--lateness", "2h")  # fmt: skip
        editions = bulletin.known(url)
    found = known.stored(mongodb)
    assert found == [each | editions[own["as_of"]] for each, own in zip(known.right({}), found, strict=True)]
    assert len({each["as_of"] for each in found}) > 1 and said() == []


@pytest.mark.usefixtures("always")
def test_numbers_that_can_no_longer_be_read_stay_with_their_date(
    spark: SparkSession, mongodb: Settings, said: Callable[[], list[str]]
) -> None:
    known, bulletin = told(400), Daily(last=1)
    topic = topic_of(mongodb, known)
    with running(bulletin) as url:
        run_job("cases", "--topic", topic, "--once", "--cases", url + PAGE,
                "--max-offsets", "50", "--lateness", "2h")  # fmt: skip
        assert bulletin.calls > 1
        [right] = bulletin.known(url).values()
    assert known.stored(mongodb) == known.right(right)
    assert said() == [f"{url}{PAGE} answers with HTTP status 503; the numbers of 2026-01-01 stay ({url}{PAGE})"]


@pytest.mark.parametrize("defect", ["down", "redirect", "other-page", "missing", "no-world"])
def test_without_numbers_there_are_those_of_the_package(
    defect: str, spark: SparkSession, mongodb: Settings, said: Callable[[], list[str]]
) -> None:
    known = told(100)
    topic = topic_of(mongodb, known)
    with running(Bulletin(defects=[defect])) as url:
        run_job("cases", "--topic", topic, "--once", "--cases", url + PAGE, "--country", "India")
    row = next(each for each in snapshot.packaged() if each.country == "India")
    right = {name: getattr(row, name) for name in BESIDE} | {"as_of": "2024-04-13"}
    assert known.stored(mongodb) == known.right(right) and right["new_cases_count"] is None
    assert len(said()) == 1 and "the numbers of 2024-04-13 stay" in said()[0]


def test_blank_cells_are_null(spark: SparkSession, mongodb: Settings) -> None:
    known, bulletin = told(100), Bulletin(seed=3, defects=["blank"])
    topic = topic_of(mongodb, known)
    line = next(each for each in bulletin.lines() if list(each.values()).count(None) > 3 and each["country"] != "World")
    with running(bulletin) as url:
        run_job("cases", "--topic", topic, "--once", "--cases", url + PAGE, "--country", line["country"].upper())
    found = known.stored(mongodb)
    assert found == known.right(line | {"as_of": "2024-04-13", "source_url": url + PAGE})


def test_a_country_that_there_is_not_ends_the_job_before_it_reads(
    spark: SparkSession, mongodb: Settings, own: list[str], tmp_path: Path
) -> None:
    topic = topic_of(mongodb, known := told(10))
    with pytest.raises(ConfigError, match="--country 'Wrold' is none of the 1 that there are: did you mean World"):
        run_job("cases", "--topic", topic, "--once", *own, "--country", "Wrold")
    assert known.stored(mongodb) == [] and not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("batches", [[], ["--max-offsets", "300", "--lateness", "2h"]], ids=["one", "many"])
def test_of_many_texts_the_first_stay_and_the_others_are_counted(
    batches: list[str], spark: SparkSession, mongodb: Settings, own: list[str]
) -> None:
    known = told(seed=4)
    run_job("cases", "--topic", topic_of(mongodb, known), "--once", *own, "--max-texts", "7", *batches)
    found = known.stored(mongodb)
    assert found == known.right(OWN, most=7)
    assert max(each["cut"] for each in found) > 100 and max(len(each["content"]) for each in found) == 7


def test_indexes_of_the_collection(mongodb: Settings, spark: SparkSession, own: list[str]) -> None:
    for _ in range(2):
        run_job("cases", "--topic", topic_of(mongodb, told(10)), "--once", *own)
    indexes = cluster.collection(mongodb.store_url("mongodb"), COLLECTION).list_indexes()
    keys = sorted(tuple(index["key"].items()) for index in indexes)
    assert keys == [(("_id", 1),), (("window_start", -1),)]
