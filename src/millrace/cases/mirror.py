"""Read disease.sh, which has the numbers of Worldometers as JSON (https://disease.sh/docs, /v3/covid-19)."""

from datetime import UTC, date, datetime
from typing import Any

import orjson

from millrace.cases.rows import STOPPED, WORLD, Row, row, whole
from millrace.errors import BadRecord

PATHS = ("/all", "/countries")
NULLS = "allowNull=true"  # what is not known would else be 0
FIELDS = {
    "cases": "total_cases_count",
    "todayCases": "new_cases_count",
    "deaths": "total_deaths_count",
    "todayDeaths": "new_deaths_count",
    "recovered": "total_recovered_count",
    "todayRecovered": "new_recovered_count",
    "active": "active_cases_count",
    "critical": "critical_cases_count",
}


def read(world: bytes, countries: bytes, url: str) -> list[Row]:
    """Return the rows of the answers of both PATHS; raises BadRecord where they are something else."""
    first, others = _load(world, dict, url), _load(countries, list, url)
    if missing := sorted(FIELDS.keys() - first.keys()):
        raise BadRecord(f"{url} has changed: it has no {', '.join(missing)}")
    named = [(each["country"], each) for each in others if isinstance(each, dict) and _is_name(each.get("country"))]
    return whole((_row(name, each, url) for name, each in [(WORLD, first), *named]), url)


def _load(body: bytes, kind: type, url: str) -> Any:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRecord(f"{url} has changed: it is no JSON: {error}") from None
    if not isinstance(document, kind):
        raise BadRecord(f"{url} has changed: it is a JSON {type(document).__name__}, not a {kind.__name__}")
    return document


def _is_name(found: object) -> bool:
    return isinstance(found, str) and bool(found.strip())


def _row(country: str, found: dict[str, Any], url: str) -> Row:
    return row(country, {name: found.get(field) for field, name in FIELDS.items()}, _as_of(found.get("updated")), url)


def _as_of(updated: object) -> date:
    """Return the day of the numbers: `updated` (milliseconds) is when they were read, and they may be older."""
    if not isinstance(updated, int) or not 0 < updated < 10**14:
        return STOPPED
    return min(datetime.fromtimestamp(updated / 1000, UTC).date(), STOPPED)
