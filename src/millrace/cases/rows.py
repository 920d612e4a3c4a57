"""The numbers of one country: what every source gives, and where the page that they come from stopped."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from millrace.errors import BadRecord, ConfigError
from millrace.names import CASE_NUMBERS

WORLD = "World"
STOPPED = date(2024, 4, 13)  # Worldometers has not changed its numbers since, whatever the day on which they are read

MOST = 2**63


@dataclass(frozen=True, slots=True)
class Row:
    """The numbers of a country, or of the `World`, as they stood on `as_of`; None is not known, which 0 is not."""

    country: str
    total_cases_count: int | None
    total_deaths_count: int | None
    total_recovered_count: int | None
    new_cases_count: int | None
    new_deaths_count: int | None
    new_recovered_count: int | None
    active_cases_count: int | None
    critical_cases_count: int | None
    as_of: date
    source_url: str


def row(country: str, counts: Mapping[str, Any], as_of: date, source_url: str) -> Row:
    """Return a row; what `counts` does not have, or not as a whole number that a store can hold, is None."""
    found = {name: counts.get(name) for name in CASE_NUMBERS}
    known = {name: count if type(count) is int and abs(count) < MOST else None for name, count in found.items()}
    return Row(country, **known, as_of=as_of, source_url=source_url)


def whole(rows: Iterable[Row], source_url: str) -> list[Row]:
    """Return the rows, the first of each country; raises BadRecord unless the total of the World is among them."""
    found: dict[str, Row] = {}
    for each in rows:
        found.setdefault(each.country, each)
    if WORLD not in found or found[WORLD].total_cases_count is None:
        raise BadRecord(f"{source_url} has changed: it has no total for the {WORLD}")
    return list(found.values())


def of_country(rows: Iterable[Row], country: str) -> Row:
    """Return the row of `country`, in any case; raises ConfigError that names those that are near."""
    found = {each.country.casefold(): each for each in rows}
    if country.casefold() in found:
        return found[country.casefold()]
    near = difflib.get_close_matches(country.casefold(), found, n=3)
    hint = f"did you mean {' or '.join(found[each].country for each in near)}?" if near else "see its first column"
    raise ConfigError(f"--country {country!r:.80} is none of the {len(found)} that there are: {hint}")
