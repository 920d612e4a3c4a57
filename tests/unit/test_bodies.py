"""Bodies of which a part cannot be read: one dead letter, and the page goes on."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import BadRecord
from millrace.ingest.events import DeadLetter, Event
from millrace.ingest.mastodon.bodies import Unreadable, documents, source
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.snowflakes import id_of
from millrace.ingest.mastodon.timeline import Timeline
from tests.unit.test_fields import JSON
from tests.unit.test_mastodon import NOW, WRITER, status

HALF_AN_EMOJI = json.dumps("\ud83d").encode()
BROKEN = {
    "half an emoji": HALF_AN_EMOJI,
    "half an emoji in a name": b'"\\uDC00 x"',
    "invalid UTF-8": b'"\xff"',
    "not a number": b"NaN",
    "infinite": b"1e400",
    "deep": b"[" * 5000 + b"]" * 5000,
    "control character": b'"a\nb"',
    "digits": b"1" * 5000,
}


class Asked:
    """An instance that answers with `bodies`, one a call, then with empty pages."""

    url, name = "https://one.example", "one.example"

    def __init__(self, *bodies: bytes) -> None:
        self.bodies, self.pages = list(bodies), []

    def timeline(self, path: str, **page: Any) -> list[Any]:
        self.pages.append(page)
        return documents(self.bodies.pop(0)) if self.bodies else []

    def has_spare(self) -> bool:
        return False


def with_broken(part: bytes, *before: dict, after: tuple[dict, ...] = ()) -> bytes:
    """A page that holds a status whose content is `part`."""
    broken = json.dumps(status(id="116873414000000007", content="HERE")).encode().replace(b'"HERE"', part)
    return b"[" + b",".join([*(json.dumps(each).encode() for each in before), broken,
                             *(json.dumps(each).encode() for each in after)]) + b"]"  # fmt: skip


def read(*bodies: bytes) -> tuple[list[Any], Asked]:
    asked = Asked(*bodies)
    timeline = Timeline(asked, "public", WRITER, Memory(), say=lambda _: None, clock=lambda: NOW / 1e6)
    found = [item for item in timeline.begin(None) if isinstance(item, Event | DeadLetter)]
    return found + [item for item in timeline.forward() if isinstance(item, Event | DeadLetter)], asked


@pytest.mark.parametrize("part", BROKEN.values(), ids=BROKEN.keys())
def test_one_status_that_is_no_json_is_one_dead_letter_and_the_page_goes_on(part: bytes) -> None:
    when = {"created_at": "2026-07-06T14:06:11.240Z"}  # that of the ids, as Mastodon makes them
    body = with_broken(part, status(id="116873414000000005", uri="https://x/5", **when),
                       after=(status(id="116873414000000009", uri="https://x/9", **when),))  # fmt: skip
    found, asked = read(body, body)
    letters = [item for item in found if isinstance(item, DeadLetter)]
    assert len(letters) == 1
    assert b'"116873414000000007"' in letters[0].head
    assert "no JSON" in letters[0].reason
    assert {item.key for item in found if isinstance(item, Event)} == {b"https://x/5", b"https://x/9"}
    assert asked.pages[1] == {"min_id": "116873414000000009"}


def test_a_page_that_is_broken_throughout_is_paged_past() -> None:
    found, asked = read(with_broken(HALF_AN_EMOJI), with_broken(HALF_AN_EMOJI), b"[]")
    assert [type(item) for item in found] == [DeadLetter]
    assert {page.get("min_id") for page in asked.pages[1:]} == {"116873414000000007"}


@pytest.mark.parametrize(
    ("moment", "kinds"),
    [("9999-12-31T23:59:59Z", [Event, Event]), ("9999-12-31T23:59:59-05:00", [DeadLetter, Event]),
     ("10000-01-01T00:00:00Z", [DeadLetter, Event]), ("0001-01-01T00:00:00+05:00", [DeadLetter, Event]),
     ("0900-01-01T00:00:00Z", [DeadLetter, Event]), ("-292277022657-01-27T08:29:52Z", [DeadLetter, Event])],
)  # fmt: skip
def test_a_time_beyond_all_calendars_costs_one_status(moment: str, kinds: list[type]) -> None:
    found, _ = read(
        json.dumps([status(id="116873414000000005", created_at=moment), status(uri="https://x/9")]).encode()
    )
    assert sorted(map(type, found), key=str) == sorted(kinds, key=str)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[", b'[{"id":"1"},', b'{"id":"\\ud83d"', b'["\\ud83d"', b"[1]]", b"[NaN] x"]
)
def test_what_is_no_json_or_only_its_beginning_is_no_page(body: bytes) -> None:
    with pytest.raises(BadRecord):
        documents(body)


def test_an_object_that_is_broken_is_still_an_answer() -> None:
    found = documents(b' {"id": "5", "content": "\\ud83d"}\n')
    assert isinstance(found, Unreadable)
    assert id_of(found) == "5"
    assert source(found) == b'{"id": "5", "content": "\\ud83d"}'


@given(st.lists(JSON, max_size=6), st.integers(0, 6))
def test_the_elements_around_a_broken_one_are_whole(values: list[Any], at: int) -> None:
    texts = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    found = documents(b"[" + b" , ".join([*texts[:at], HALF_AN_EMOJI, *texts[at:]]) + b"]")
    assert [type(each) for each in found].count(Unreadable) == 1
    rest = [each for each in found if not isinstance(each, Unreadable)]
    assert rest == documents(json.dumps(values).encode())


@given(st.binary())
def test_whatever_comes_is_an_answer_or_none(body: bytes) -> None:
    with suppress(BadRecord):
        documents(b"[" + body + b"]")
