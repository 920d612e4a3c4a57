"""Read the page of Worldometers: the table of today, by the names of its columns, wherever they stand."""

import re
from datetime import date, datetime

from selectolax.lexbor import LexborHTMLParser

from millrace.cases.rows import STOPPED, Row, row, whole
from millrace.errors import BadRecord

TABLE = "#main_table_countries_today"
COUNTRY = "countryother"
COLUMNS = {  # letters of the heading in lower case
    "totalcases": "total_cases_count",
    "newcases": "new_cases_count",
    "totaldeaths": "total_deaths_count",
    "newdeaths": "new_deaths_count",
    "totalrecovered": "total_recovered_count",
    "newrecovered": "new_recovered_count",
    "activecases": "active_cases_count",
    "seriouscritical": "critical_cases_count",
}
_COUNT = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})", re.ASCII)
_UPDATED = re.compile(r"Last updated:\s{0,9}([A-Z][a-z]{2,8} \d{1,2}, \d{4})")


def read(page: str, url: str) -> list[Row]:
    """Return the rows of a page, the World and continents among them; raises BadRecord where it is another page."""
    tree = LexborHTMLParser(page)
    table = tree.css_first(TABLE)
    if table is None:
        raise BadRecord(f"{url} has changed: there is no table {TABLE}")
    headings = ["".join(filter(str.isalpha, each.text().casefold())) for each in table.css("thead th")]
    if missing := sorted({COUNTRY, *COLUMNS} - set(headings)):
        raise BadRecord(f"{url} has changed: its table has no column {', '.join(missing)}")
    as_of = _updated(tree.text())
    lines = [[cell.text() for cell in line.css("td")] for line in table.css("tbody tr")]
    named = [dict(zip(headings, line, strict=True)) for line in lines if len(line) == len(headings)]
    return whole((_row(cells, as_of, url) for cells in named if _is_country(cells[COUNTRY])), url)


def _row(cells: dict[str, str], as_of: date, url: str) -> Row:
    counts = {name: count(cells[heading]) for heading, name in COLUMNS.items()}
    return row(" ".join(cells[COUNTRY].split()), counts, as_of, url)


def _is_country(name: str) -> bool:
    return bool(name.strip()) and not name.strip().endswith(":")  # the sums below are of "Total:"


def count(cell: str) -> int | None:
    """Return the number in a cell, such as +1,234; None where there is none, as in a blank one and N/A."""
    found = _COUNT.fullmatch(cell.strip())
    return int(found[0].replace(",", "")) if found else None


def _updated(text: str) -> date:
    """Return the day of which the page says that it is, else the last on which it changed."""
    found = _UPDATED.search(text)
    try:
        return datetime.strptime(found[1], "%B %d, %Y").date() if found else STOPPED
    except ValueError:
        return STOPPED
