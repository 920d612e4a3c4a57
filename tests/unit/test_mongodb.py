"""What the address of a MongoDB may be, and what is said of a wrong one: never the password."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ExecutionTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from millrace.errors import ConfigError, Unavailable
from millrace.sinks.mongodb import cluster
from millrace.sinks.mongodb.bson_rows import Document, Refused, rows_of
from millrace.sinks.mongodb.writer import ahead

SECRET = "hush"
AT = f"mongodb://ada:{SECRET}@"


@pytest.mark.parametrize(
    ("url", "where", "words"),
    [
        (f"mongodb://ada:{SECRET}/{SECRET}@h:1/db", "h:1, user ada", "as in URLs"),
        (f"mongodb://ada:{SECRET}@{SECRET}@h:1", "h:1, user ada", "as in URLs"),
        (f"mongodb://ada:{SECRET}?{SECRET}@h", "h, user ada", "as in URLs"),
        (f"mongodb://ada:{SECRET}:{SECRET}@h", "h, user ada", "as in URLs"),
        ("mongodb://h:99999", "h:99999", "Port must be"),
        (f"{AT}one:1,two:abc/db", "one:1,two:abc, user ada", "Port contains non-digit"),
        (f"{AT}one:1,,two", "one:1,,two, user ada", "Empty host"),
        (f"{AT}one/?tsl=true", "one, user ada", "Unknown option"),
        (f"{AT}one,two:7/?tls=maybe", "one,two:7, user ada", "tls must be"),
        (f"{AT}one/?tls=true&tlsCAFile=/nowhere.pem", "one, user ada", "file is not readable"),
        (f"{AT}one/?tls=true&ssl=false", "one, user ada", "conflicting values"),
        (f"mongodb://one/?tlsCertificateKeyFilePassword={SECRET}&x=1", "one", "Unknown option"),
        (f"mongodb://one/?authMechanismProperties={SECRET}:1;x=1", "one", "Unknown option"),
        (f"{AT}one/a db", "one, user ada", "Bad database name"),
        (f"{AT}one/?w=0", "one, user ada", "w=0 nobody hears"),
        ("mongodb+srv://ada:hush@one:27017", "one:27017, user ada", "must not include a port"),
        ("mongodb+srv://ada:hush@one,two", "one,two, user ada", "srv"),
    ],
)
def test_a_wrong_address(url: str, where: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        cluster.connect(url)
    said = str(error.value)
    assert said.startswith(f"MongoDB at {where}: ") and words in said
    assert SECRET not in said and "\n" not in said


@pytest.mark.parametrize(
    ("url", "where", "majority"),
    [
        ("mongodb://h:27017", "h:27017", True),
        (f"{AT}one:1,two:2,[::1]:3/db?replicaSet=rs&tls=true", "one:1,two:2,[::1]:3, user ada", True),
        (f"{AT}one/?w=2;retryWrites=true", "one, user ada", False),
        ("mongodb://ada:w=@one/", "one, user ada", True),
        ("mongodb://ada%40mill:p%2Fw%3D@one/", "one, user ada%40mill", True),
    ],
)
def test_an_address(url: str, where: str, *, majority: bool) -> None:
    with cluster.connect(url) as client:
        assert cluster.place(url) == f"MongoDB at {where}"
        assert (client.write_concern.document == {"w": "majority"}) == majority
        assert client.options.retry_writes != majority


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OperationFailure("Authentication failed.", 18), ConfigError, "check user, password and roles"),
        (OperationFailure("not authorized", 13), ConfigError, "check user, password and roles"),
        (OperationFailure("bad\nindex", 85), ConfigError, "bad index"),
        (OperationFailure("busy", 91, {"errorLabels": ["RetryableWriteError"]}), Unavailable, "busy"),
        (ConfigurationError("no kerberos"), ConfigError, "no kerberos"),
        (ServerSelectionTimeoutError("nobody"), Unavailable, "nobody"),
        (AutoReconnect("gone"), Unavailable, "gone"),
        (ExecutionTimeout("slow", 50), Unavailable, "slow"),
        (WTimeoutError("replicas", 64), Unavailable, "replicas"),
    ],
)
def test_an_error_of_the_server(error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as found, cluster.errors(f"{AT}h:1/?x=1", "collection c"):
        raise error
    said = str(found.value)
    assert said.startswith("collection c in MongoDB at h:1, user ada: ") and words in said
    assert SECRET not in said and "\n" not in said


def test_the_next_is_made_while_one_is_sent() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in ahead(items()):
        assert made[min(number + 1, 2)].wait(10)


def test_what_fails_as_the_next_is_made_fails_after_what_was_made() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise Unavailable("gone")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(Unavailable, match="gone"):
        next(found)


YEAR_9999, YEAR_1 = 253_402_300_799_999_999, -62_135_596_800_000_000  # the last and the first microsecond of `datetime`


def test_times_outside_the_years_of_datetime_are_refused_and_no_numbers() -> None:
    moments = [YEAR_9999, YEAR_9999 + 1, None, YEAR_1, YEAR_1 - 1, 2**63 - 1]
    columns = {"_id": pa.array(list("abcdef")), "at": pa.array(moments, pa.timestamp("us", "Europe/Berlin"))}
    found = {each.id: each for each in rows_of(pa.record_batch(columns), "at", None)}
    refused = [each for each in found.values() if isinstance(each, Refused)]
    assert [each.id for each in refused] == ["b", "e", "f"]
    assert all("at: " in each.reason and "no time" in each.reason for each in refused)
    stored = {each.id: each.raw["at"] for each in found.values() if isinstance(each, Document)}
    assert stored == {"a": datetime(9999, 12, 31, 23, 59, 59, 999_000), "c": None, "d": datetime(1, 1, 1)}


def test_windows_are_right_from_a_moment_on_whatever_its_time_zone() -> None:
    starts = [datetime(2026, 7, 4, hour, tzinfo=UTC) for hour in (9, 10, 11)]
    columns = {"_id": pa.array(list("abc")), "window_start": pa.array(starts, pa.timestamp("us", "America/New_York"))}
    since = datetime.fromisoformat("2026-07-04T12:00:00+02:00")
    found = list(rows_of(pa.record_batch(columns | {"n": pa.array([1, 2, 3])}), "n", since))
    assert [each.right for each in found if isinstance(each, Document)] == [False, True, True]
