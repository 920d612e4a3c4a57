"""Case numbers: what each source says of its cells, what a changed page does, and that the last good ones stay."""

import threading
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from millrace.cases import mirror, page, snapshot, source
from millrace.cases.latest import Latest
from millrace.cases.rows import STOPPED, Row, of_country
from millrace.cases.source import loader
from millrace.errors import BadRecord, ConfigError, Unavailable
from millrace.names import CASE_NUMBERS
from millrace.simulate.worldometers import DEFECTS, MIRROR, PAGE, Bulletin, running

FAR = "https://example.org/coronavirus/"


def shown(rows: list[Row]) -> list[dict[str, Any]]:
    """Return countries and counts, without the continents, in order."""
    found = ({"country": each.country, **{name: getattr(each, name) for name in CASE_NUMBERS}} for each in rows)
    return sorted((line for line in found if line["country"] != "Europe"), key=lambda line: line["country"])


def right(bulletin: Bulletin) -> list[dict[str, Any]]:
    return sorted(bulletin.lines(), key=lambda line: line["country"])


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("704,753,890", 704_753_890), ("+1,234", 1234), (" 17 \n", 17), ("\xa05\xa0", 5), ("0", 0), ("-12", -12),
        ("1234", 1234),
        ("", None), (" ", None), ("\xa0", None), ("N/A", None), ("n/a", None), ("-", None), ("+", None), ("1.5", None),
        ("1,23", None), ("1,2345", None), (",123", None), ("1 234", None), ("12%", None), ("9" * 99, None), ("٣", None),
    ],
)  # fmt: skip
def test_a_cell(cell, number):
    assert page.count(cell) == number


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("defects", [[], ["reordered"], ["blank"], ["reordered", "blank"]], ids=" ".join)
def test_the_page_is_read_by_its_headings(defects, seed):
    bulletin = Bulletin(seed, defects)
    rows = page.read(bulletin.page(), FAR)
    assert shown(rows) == right(bulletin)
    assert any(line[name] is None for line in right(bulletin) for name in CASE_NUMBERS)
    assert {(each.as_of, each.source_url) for each in rows} == {(date(2024, 4, 13), FAR)}
    assert rows[0].country == "Europe"  # a continent is a row, a sum is none
    assert "Total:" not in {each.country for each in rows}


@pytest.mark.parametrize("defect", ["missing", "no-world"])
def test_a_page_that_has_changed(defect):
    with pytest.raises(BadRecord, match=f"{FAR} has changed: "):
        page.read(Bulletin(defects=[defect]).page(), FAR)


@pytest.mark.parametrize("total", ["", "N/A", "many"])
def test_a_world_without_its_total(total):
    cell = f" {next(Bulletin().lines())['total_cases_count']:,} "
    with pytest.raises(BadRecord, match="it has no total for the World"):
        page.read(Bulletin().page().replace(cell, total), FAR)


@pytest.mark.parametrize(
    "text", ["", "<html>", "42", "<table id=main_table_countries_today>", "\0" * 100, "<" * 10_000]
)
def test_another_page(text):
    with pytest.raises(BadRecord, match="has changed"):
        page.read(text, FAR)


@pytest.mark.parametrize(
    ("told", "day"),
    [
        ("Last updated: April 13, 2024, 01:00 GMT", STOPPED),
        ("Last updated: May 1, 2027", date(2027, 5, 1)),
        ("Last updated: Smarch 13, 2024", STOPPED),
        ("", STOPPED),
    ],
)
def test_the_day_of_a_page(told, day):
    text = Bulletin().page().replace("Last updated: April 13, 2024, 01:00 GMT", told)
    assert {each.as_of for each in page.read(text, FAR)} == {day}


def test_a_row_of_another_length_is_left_out():
    bulletin = Bulletin()
    text = bulletin.page().replace(
        '<td><a class="mt_a">France</a></td>', '<td><a class="mt_a">France</a></td><td>1</td>'
    )
    assert shown(page.read(text, FAR)) == [line for line in right(bulletin) if line["country"] != "France"]


@pytest.mark.parametrize("source_of", [PAGE, MIRROR])
@pytest.mark.parametrize("seed", [1, 2])
def test_over_http(source_of, seed):
    bulletin = Bulletin(seed)
    with running(bulletin) as url:
        rows = loader(url + source_of)()
    assert shown(rows) == right(bulletin)  # null is null in the mirror, too
    assert {each.source_url for each in rows} == {url + source_of}
    assert {each.as_of for each in rows} == {STOPPED}  # whatever the day on which the mirror read it


@pytest.mark.parametrize("source_of", [PAGE, MIRROR])
@pytest.mark.parametrize("defect", [each for each in DEFECTS if each not in ("reordered", "blank")])
def test_what_is_no_answer(source_of, defect, monkeypatch):
    monkeypatch.setattr(source, "TIMEOUT", 0.3)
    with running(Bulletin(defects=[defect])) as url, pytest.raises((Unavailable, BadRecord)) as told:
        loader(url + source_of)()
    assert url in str(told.value)
    assert ("answers with HTTP status" in str(told.value)) == (defect in ("down", "redirect"))


def test_nobody_there_and_too_much(monkeypatch):
    with pytest.raises(Unavailable, match="cannot be read"):
        loader("http://127.0.0.1:1/coronavirus/")()
    monkeypatch.setattr(source, "LARGEST", 100)
    with running(Bulletin()) as url, pytest.raises(BadRecord, match="more than 100 bytes"):
        loader(url + PAGE)()


def test_odd_fields_of_the_mirror_are_none():
    world = b'{"updated":"x","cases":1,"todayCases":"2","deaths":1.5,"todayDeaths":null,"recovered":true,"todayRecovered":[],"active":{},"critical":0}'  # noqa: E501
    [first, second] = mirror.read(world, b'[{"country":"A","cases":7},{"country":""},{"country":3},{},4,null]', FAR)
    assert [getattr(first, name) for name in CASE_NUMBERS] == [1, None, None, None, None, None, None, 0]
    assert (second.country, second.total_cases_count, second.new_cases_count) == ("A", 7, None)


@pytest.mark.parametrize(("count", "known"), [(2**63 - 1, True), (2**63, False), (-(2**63), False), (2**200, False)])
def test_a_number_that_no_store_can_hold_is_none(count, known, tmp_path):
    (tmp_path / "x.json").write_text(
        f'{{"as_of":"2026-11-28","source_url":"x","rows":[{{"country":"World","total_cases_count":5,'
        f'"new_cases_count":{count}}}]}}'
    )
    [row] = loader(f"file:{tmp_path}/x.json")()
    assert (row.total_cases_count, row.new_cases_count) == (5, count if known else None)


def test_files(tmp_path: Path):
    bulletin = Bulletin()
    (tmp_path / "page.html").write_text("\n" + bulletin.page())
    rows = loader(f"file:{tmp_path}/page.html")()
    assert shown(rows) == right(bulletin)
    assert rows[0].source_url == (tmp_path / "page.html").as_uri()
    own = '{"as_of":"2026-11-28","source_url":"x","rows":[{"country":"World","total_cases_count":5}]}'
    (tmp_path / "own.json").write_text(own)
    [row] = loader(f"file:{tmp_path}/own.json")()
    assert (row.total_cases_count, row.new_cases_count, row.as_of, row.source_url) == (5, None, date(2026, 11, 28), "x")
    with pytest.raises(Unavailable, match=r"nothing\.json cannot be read"):
        loader(f"file:{tmp_path}/nothing.json")()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"as_of":"soon","source_url":"x","rows":[]}',
             '{"as_of":"2026-11-28","source_url":"x","rows":[{}]}',
             '{"as_of":"2026-11-28","source_url":"x","rows":[{"country":"A","total_cases_count":5}]}'],
)  # fmt: skip
def test_a_file_of_something_else(text, tmp_path: Path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadRecord):
        loader(f"file:{tmp_path}/x.json")()


@pytest.mark.parametrize(
    "name", ["", "worldometer", "ftp://example.org", "https://", "disease.sh/v3", "http://[", "http://h]/"]
)
def test_no_source(name):
    with pytest.raises(ConfigError, match=r"worldometers, disease\.sh, file:PATH or a URL"):
        loader(name)


@pytest.mark.parametrize(
    "url", ["https://u:pw@example.org/coronavirus/", "https://example.org/?token=pw", "http://a/#pw"]
)
def test_a_secret_in_an_address_is_refused_and_not_told(url):
    with pytest.raises(ConfigError, match="without user, query and fragment") as told:
        loader(url)
    assert "pw" not in str(told.value)


def test_the_numbers_of_the_package_are_dated_and_none_is_a_silent_zero():
    rows = snapshot.packaged()
    assert rows[0].country == "World"
    assert {each.as_of for each in rows} == {STOPPED}
    assert of_country(rows, "india").total_recovered_count is None
    for each in rows:
        assert each.total_cases_count and each.total_deaths_count
        assert each.new_cases_count is each.new_deaths_count is each.new_recovered_count is None
        if each.total_recovered_count is not None:
            found = each.total_deaths_count + each.total_recovered_count + (each.active_cases_count or 0)
            assert found == each.total_cases_count


def test_a_country_that_there_is_not():
    rows = page.read(Bulletin().page(), FAR)
    assert of_country(rows, "s. korea").country == "S. Korea"
    with pytest.raises(ConfigError, match=r"--country 'Frence' is none of the \d+ that there are: did you mean France"):
        of_country(rows, "Frence")
    with pytest.raises(ConfigError, match="is none of the"):
        of_country(rows, "x" * 10_000)


class Told:
    """What a source answers, one after another; the last for ever. A clock that is stepped."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.said, self.now, self.asked = list(answers), [], 0.0, 0

    def load(self) -> list[Row]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def latest(self, country: str = "World") -> Latest:
        return Latest(self.load, 3600, country, say=self.said.append, clock=lambda: self.now)

    def after(self, latest: Latest, seconds: float) -> Row:
        """Return the row once what is asked for after so many seconds is answered."""
        self.now += seconds
        latest.row()
        if latest._asking:
            latest._asking.join()
        return latest.row()


def rows_of(edition: int) -> list[Row]:
    bulletin = Bulletin()
    bulletin.edition = edition
    return page.read(bulletin.page(), FAR)


def world(edition: int) -> Row:
    return of_country(rows_of(edition), "World")


def test_others_are_asked_for_once_an_hour():
    told = Told(rows_of(0), rows_of(1), rows_of(2))
    latest = told.latest()
    assert told.after(latest, 3599) == world(0) and told.asked == 1
    assert told.after(latest, 1) == world(1) != world(0)
    assert told.after(latest, 3599) == world(1) and told.asked == 2
    assert told.after(latest, 3600) == world(2)
    assert told.said == []


@pytest.mark.parametrize("failure", [Unavailable("it is down"), BadRecord("it has changed")], ids=repr)
def test_the_last_good_ones_stay_and_one_warning_is_given(failure):
    told = Told(rows_of(0), failure, failure, failure, rows_of(1), failure)
    latest = told.latest()
    for _ in range(3):
        assert told.after(latest, 3600) == world(0)
    assert told.said == [f"{failure}; the numbers of 2024-04-13 stay ({FAR})"]
    assert told.after(latest, 3600) == world(1)
    assert told.after(latest, 3600) == world(1)
    assert len(told.said) == 2


def test_without_an_answer_there_are_those_of_the_package():
    told = Told(Unavailable("it is down"))
    assert told.latest().row() == snapshot.packaged()[0]
    assert told.said == [f"it is down; the numbers of 2024-04-13 stay ({source.SOURCES['worldometers']})"]
    unknown = asdict(told.latest("Curaçao").row())
    assert [unknown[name] for name in CASE_NUMBERS] == [None] * 8 and unknown["as_of"] == STOPPED


def test_a_country_that_is_gone_later():
    told = Told(rows_of(0), [each for each in rows_of(1) if each.country != "France"])
    latest = told.latest("France")
    assert told.after(latest, 3600) == of_country(rows_of(0), "France")
    assert "--country 'France' is none of the" in told.said[0]
    with pytest.raises(ConfigError, match="did you mean"):
        Told(rows_of(0)).latest("Frence")


def test_a_stream_never_waits_for_an_answer():
    answered, asked = threading.Event(), threading.Event()
    now, calls = [0.0], [0]

    def load() -> list[Row]:
        calls[0] += 1
        if calls[0] > 1:
            asked.set()
            assert answered.wait(30)
        return rows_of(calls[0] - 1)

    latest = Latest(load, 1, say=print, clock=lambda: now[0])
    now[0] = 5
    assert latest.row() == world(0)
    assert asked.wait(30)
    now[0] = 50
    assert latest.row() == world(0) and calls == [2]  # nor asks again meanwhile
    answered.set()
    assert latest._asking
    latest._asking.join()
    now[0] = 5.5
    assert latest.row() == world(1)
