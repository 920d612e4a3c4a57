"""What the page of replication shows of a copy, and what it says without one."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from millrace.cdc import state as states
from millrace.cdc import watch as watching
from millrace.cdc.sides import Count
from millrace.cdc.watch import Moment, Watch
from millrace.config import Settings
from millrace.view import pages, replication
from millrace.view.stores import Stores
from tests.copying import NOON, VERDICT, copy, state

PAGE = pages.KNOWN[-1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CDC_SOURCE_URL", "POSTGRES_URL", "CONNECT_URL"):
        monkeypatch.delenv(f"MILLRACE_{name}", raising=False)


def test_what_is_not_known_is_missing_and_not_zero() -> None:
    shown = replication.copies(state(copy(), copy("public.b", target=None, changes=None, behind=None, changed_at=None)))
    assert shown["table"].tolist() == ["public.a", "public.b"]
    assert shown.iloc[0, 1:].tolist() == [3, 3, 1.5, 0.0, NOON]
    assert shown.iloc[1].isna().tolist() == [False, False, True, True, True, True]
    assert shown["in_PostgreSQL"].dtype == "Int64"


def test_estimates_are_said() -> None:
    assert not replication.is_estimated(state(copy()))
    assert replication.is_estimated(state(copy(), copy(source=Count(10**9, exact=False))))


def test_the_copy_is_as_far_behind_as_the_table_that_is_furthest() -> None:
    assert state(copy(behind=1.0), copy(behind=4.0)).behind == 4.0
    assert state(copy(behind=1.0), copy(behind=None)).behind is None
    assert state().behind is None


def test_the_figures_at_the_top() -> None:
    later = NOON + timedelta(minutes=3)
    told = replication.figures(state(copy(behind=0.25)), VERDICT, later)
    assert list(told.values()) == ["0.2", "running", "0.0 MiB", "2.0 MiB", "1 differ, 5 min ago"]
    none = replication.figures(state(connector=None), None)
    assert (none["seconds behind"], none["connector"], none["last verify"]) == ("not known", "not seen", "none yet")


def test_the_last_verdict_and_its_differences(tmp_path: Path) -> None:
    assert replication.verdict(tmp_path) is None
    (tmp_path / "run").mkdir()
    for broken in ("", "[]", '{"at": 3}'):
        (tmp_path / "run" / "cdc-verify.json").write_text(broken)
        assert replication.verdict(tmp_path) is None
    (tmp_path / "run" / "cdc-verify.json").write_text(json.dumps(VERDICT))
    found = replication.verdict(tmp_path)
    assert found == VERDICT
    assert replication.compared(found).values.tolist() == [["public.a", 3, 2, 1, 0, 0.0]]
    assert replication.differences(found).values.tolist() == [["public.a", "id=7", "different", "name"]]


def test_how_far_it_was_behind_has_holes_where_nobody_knows() -> None:
    shown = replication.past([Moment(NOON, 2.0, 2048), Moment(NOON, None, None)])
    assert shown["seconds_behind"].isna().tolist() == [False, True]
    assert shown["KiB_not_confirmed"].tolist()[0] == 2.0


def test_many_readers_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Settings] = []
    monkeypatch.setattr(watching, "look", lambda settings: looks.append(settings) or state(copy(behind=7.0)))
    watch = Watch(Settings(), anew=False)
    assert watch.now() is watch.now() and len(looks) == 1
    monkeypatch.setattr(watching, "EVERY", -1.0)
    watch.now()
    assert len(looks) == 2 and [each.seconds for each in watch.past] == [7.0, 7.0]


def test_without_servers_it_says_how_there_are_some(tmp_path: Path) -> None:
    stores = Stores("sqlite", tmp_path)
    assert not PAGE.has_rows(stores, frozenset()) and not PAGE.show(stores)
    assert PAGE.commands(stores).startswith("millrace up connect\nmillrace cdc register --demo\n")
    (tmp_path / "servers.env").write_text(
        "MILLRACE_POSTGRES_URL=postgresql+psycopg://u:p@127.0.0.1:1/d\nMILLRACE_CONNECT_URL=http://127.0.0.1:1\n"
    )
    assert PAGE.commands(stores).startswith("millrace cdc register")


def test_what_is_away_is_named_with_what_starts_it(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, kafka_bootstrap="127.0.0.1:1", connect_url="http://127.0.0.1:1",
        cdc_source_url="postgresql+psycopg://u:hush@127.0.0.1:1/d", clickhouse_url="http://u:hush@127.0.0.1:1",
    )  # fmt: skip
    found = states.look(settings)
    assert [each.mend for each in found.wrong] == [
        "millrace up connect", "millrace up clickhouse", "millrace up connect", "millrace up kafka",
    ]  # fmt: skip
    for name, each in zip(("PostgreSQL at", "ClickHouse at", "Kafka Connect at", "Kafka at"), found.wrong, strict=True):
        assert name in each.what and "hush" not in each.what
    assert found.copies == () and found.behind is None and found.slot is None


def test_an_embedded_clickhouse_that_has_nothing_is_not_started(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka_bootstrap="127.0.0.1:1")
    assert "ClickHouse" not in "".join(each.what for each in states.look(settings).wrong)
    assert not (tmp_path / "data").exists()
