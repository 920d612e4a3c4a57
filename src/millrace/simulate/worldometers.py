"""A double of Worldometers' page of the coronavirus and of disease.sh, its mirror: the same numbers, and defects."""

import html
import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from millrace.errors import ConfigError
from millrace.simulate import serving
from millrace.simulate import truth as answer

PORT = 5556
PAGE, MIRROR = "/coronavirus/", "/v3/covid-19"
ELSEWHERE = "/elsewhere"  # where redirects lead, with the right answer
DEFECTS = {
    "down": "every answer is a 503",
    "redirect": "every answer leads elsewhere",
    "slow": "nothing is answered",
    "other-page": "a page without the table, no JSON",
    "reordered": "columns in another order",
    "missing": "one column is gone, and one field of the mirror",
    "blank": "many cells are blank or N/A",
    "no-world": "the World is gone",
}
COUNTRIES = (
    *("USA", "India", "France", "Germany", "Brazil", "S. Korea", "Japan", "Italy", "UK", "Russia", "Turkey", "Spain"),
    *("Côte d'Ivoire", "Curaçao", "Sao Tome and Principe", "Réunion", "Bosnia & Herzegovina", "MS Zaandam"),
)
COLUMNS = {  # heading, and field of the mirror
    "total_cases_count": ("Total<br />Cases", "cases"),
    "new_cases_count": ("New<br />Cases", "todayCases"),
    "total_deaths_count": ("Total<br />Deaths", "deaths"),
    "new_deaths_count": ("New<br />Deaths", "todayDeaths"),
    "total_recovered_count": ("Total<br />Recovered", "recovered"),
    "new_recovered_count": ("New<br />Recovered", "todayRecovered"),
    "active_cases_count": ("Active<br />Cases", "active"),
    "critical_cases_count": ("Serious,<br />Critical", "critical"),
}
OTHERS = (
    *("Tot&nbsp;Cases/<br />1M pop", "Deaths/<br />1M pop", "Total<br />Tests", "Tests/<br />1M pop", "Population"),
    *("Continent", "1 Case<br />every X ppl", "1 Death<br />every X ppl", "1 Test<br />every X ppl"),
    *("New Cases/1M pop", "New Deaths/1M pop", "Active Cases/1M pop"),
)
Line = dict[str, Any]


class Bulletin:
    """What the page says: the same for the same `seed` and `edition`; who serves it may change both, and the `defects`.

    Raises ConfigError for a defect that there is not.
    """

    def __init__(self, seed: int = 1, defects: Collection[str] = ()) -> None:
        if unknown := sorted(set(defects) - DEFECTS.keys()):
            raise ConfigError(f"--defect {', '.join(unknown)}: there are {', '.join(DEFECTS)}")
        self.seed, self.edition = seed, 0
        self.defects = set(defects)
        self.calls = 0

    def lines(self, day: str = "today") -> Iterator[Line]:
        """Yield the right answer: country and counts, null where a cell says nothing; the World first."""
        draw = random.Random(f"{self.seed} {self.edition} {day}")
        unknown = 0.6 if "blank" in self.defects else 0.15
        for country in ("World", *COUNTRIES):
            most = 10**9 if country == "World" else draw.choice((10**8, 10**6, 10**3, 1))
            counts = {name: draw.randrange(most // (1000 if name.startswith("new") else 1) + 1) for name in COLUMNS}
            told = {name: None if draw.random() < unknown else count for name, count in counts.items()}
            yield {"country": country, **told, "total_cases_count": counts["total_cases_count"]}

    def page(self) -> str:
        """Return the page as Worldometers writes it: tables of three days, continents and sums among the countries."""
        days = "".join(self._table(day) for day in ("today", "yesterday", "yesterday2"))
        updated = "<div>Last updated: April 13, 2024, 01:00 GMT</div>"
        return f"<!DOCTYPE html><html><head><title>x</title></head><body>{updated}{days}</body></html>"

    def world(self, nulls: bool) -> Line:
        """Return the answer of /all."""
        return self._of_mirror(next(self.lines()), nulls)

    def countries(self, nulls: bool) -> list[Line]:
        """Return the answer of /countries."""
        return [self._of_mirror(line, nulls) for line in list(self.lines())[1:]]

    async def handle(self, socket: ServerConnection) -> None:
        """Serve nobody: there is no WebSocket here."""

    async def refuse(self, connection: ServerConnection, request: Request) -> Response:
        """Answer a request."""
        self.calls += 1
        if "slow" in self.defects:
            await connection.wait_closed()
        if "down" in self.defects:
            return _response(503, b"busy", "text/plain")
        if "redirect" in self.defects and not request.path.startswith(ELSEWHERE):
            return _response(302, b"", "text/plain", Location=ELSEWHERE + request.path)
        if "other-page" in self.defects:
            return _response(200, b"<html><body><table><tr><td>42</td></tr></table></body></html>", "text/html")
        return self._found(request.path.removeprefix(ELSEWHERE))

    def _found(self, path: str) -> Response:
        url = urlsplit(path)
        nulls = parse_qs(url.query).get("allowNull") == ["true"]
        if url.path == PAGE:
            return _response(200, self.page().encode(), "text/html; charset=UTF-8")
        if url.path == f"{MIRROR}/all":
            return _response(200, orjson.dumps(self.world(nulls)), "application/json")
        if url.path == f"{MIRROR}/countries":
            return _response(200, orjson.dumps(self.countries(nulls)), "application/json")
        return _response(404, b"not found", "text/plain")

    def _of_mirror(self, line: Line, nulls: bool) -> Line:
        found = {field: line[name] if nulls else line[name] or 0 for name, (_, field) in COLUMNS.items()}
        if "missing" in self.defects:
            del found[COLUMNS[self._missing()][1]]
        if line["country"] == "World":
            return {"updated": 1_780_000_000_000, **found} if "no-world" not in self.defects else {"message": "none"}
        return {"updated": 1_780_000_000_000, "country": line["country"], **found, "continent": "Europe"}

    def _missing(self) -> str:
        return random.Random(self.seed).choice([name for name in COLUMNS if name != "total_cases_count"])

    def _table(self, day: str) -> str:
        headings = {"#": "#", "country": "Country,<br />Other", **{name: each[0] for name, each in COLUMNS.items()}}
        headings |= {each: each for each in OTHERS}
        names = [name for name in headings if not ("missing" in self.defects and name == self._missing())]
        if "reordered" in self.defects:
            random.Random(self.seed).shuffle(names)
        head = "".join(f'<th width="20">{headings[name]}</th>' for name in names)
        lines = list(self.lines(day))[1 if "no-world" in self.defects else 0 :]
        body = "".join(self._row(names, number, line) for number, line in enumerate(lines))
        continent = self._row(names, "", {"country": "Europe", "total_cases_count": 17})
        total = self._row(names, "", {"country": "Total:", "total_cases_count": 18})
        return (
            f'<table id="main_table_countries_{day}"><thead><tr>{head}</tr></thead>'
            f"<tbody>{continent}{body}</tbody><tbody>{total}</tbody></table>"
        )

    def _row(self, names: list[str], number: int | str, line: Line) -> str:
        """Write a row; an unknown count is blank in one way or another."""
        draw = random.Random(f"{self.seed} {line}")
        cells = {"#": str(number or ""), "country": f'<a class="mt_a">{html.escape(line["country"])}</a>'}
        for name in COLUMNS:
            count, sign = line.get(name), "+" if name.startswith("new") else ""
            cells[name] = draw.choice(("", " ", "N/A", "&nbsp;")) if count is None else f" {sign}{count:,} "
        return "<tr>" + "".join(f"<td>{cells.get(name, '1,234.5')}</td>" for name in names) + "</tr>"


def serve(bulletin: Bulletin, port: int = PORT, truth: Path | None = None) -> None:
    """Serve `bulletin` until SIGTERM or SIGINT; prints `ready http://HOST:PORT` and both addresses to stderr.

    Writes the truth to `truth` as JSON lines before. Raises Unavailable where the port is taken.
    """
    if truth:
        answer.write(bulletin.lines(), truth)
    serving.serve(bulletin, port, "http", hint=f"page URL{PAGE}\nmirror URL{MIRROR}\n")


@contextmanager
def running(bulletin: Bulletin, port: int = 0) -> Iterator[str]:
    """Serve `bulletin` from a thread, yield `http://HOST:PORT`, stop the server at the end."""
    with serving.running(bulletin, port, "http") as url:
        yield url


def _response(status: int, body: bytes, kind: str, **headers: str) -> Response:
    told = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **headers}
    return Response(status, HTTPStatus(status).phrase, Headers(told), body)
