"""What the page of cases shows of documents, and what it says without a MongoDB."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from millrace.names import CASE_NUMBERS
from millrace.view import cases, pages
from millrace.view.stores import Stores
from tests import documents


def test_numbers_that_are_not_known_are_missing_and_not_zero() -> None:
    found = cases.numbers(documents.window(0, total_deaths_count=0))
    assert list(found["number"]) == [name.removesuffix("_count").replace("_", " ") for name in CASE_NUMBERS]
    assert list(found["count"][:2]) == [1_000_000, 0] and found["count"].isna().tolist() == [False] * 7 + [True]


def test_the_age_is_that_of_the_day_that_was_told() -> None:
    assert cases.age(documents.window(0), date(2024, 4, 14)) == 1
    assert cases.age(documents.window(0), date(2024, 4, 13)) == 0


def test_the_last_texts_come_first() -> None:
    assert list(cases.texts(documents.window(0, tweets=30))["text"]) == [f"tweet {n}" for n in range(29, 9, -1)]
    assert cases.texts(documents.window(0, tweets=0)).empty


def test_a_window_is_full_when_a_later_one_began() -> None:
    rows = pd.DataFrame([documents.window(n) for n in (5, 4, 3)])
    assert list(cases.full(rows)["hash"]) == [documents.window(n)["hash"] for n in (4, 3)]
    assert cases.full(rows[:1]).empty


def test_without_a_server_it_says_how_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILLRACE_MONGODB_URL", raising=False)
    page, stores = next(each for each in pages.KNOWN if each.title == "Cases"), Stores("sqlite", tmp_path)
    assert not page.has_rows(stores, frozenset()) and not page.show(stores)
    assert page.commands(stores).startswith("millrace up kafka mongodb")
    (tmp_path / "servers.env").write_text("MILLRACE_MONGODB_URL=mongodb://127.0.0.1:1\n")
    assert page.commands(stores) == "millrace ingest tweets\nmillrace run cases"
