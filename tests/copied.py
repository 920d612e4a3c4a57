"""Whether ClickHouse holds what PostgreSQL does, value by value: the oracle of change data capture.

It shares no code with millrace.cdc: each store is read by its own client, and Python's values are compared.
"""

import math
import re
import struct
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg.types.string import TextLoader

# Types whose values Python has not, or not all of them: read as PostgreSQL prints them
PRINTED = (
    *("numeric", "date", "time", "timestamp", "timestamptz", "interval", "json", "jsonb", "inet", "cidr"),
    *("int4range", "bit", "xml"),
)
REAL = 700  # PostgreSQL's number of the type
SHOWN = 5  # differences that are told
INTERVAL = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d+))?S)?)?"
)

Row = dict[str, Any]


def rows(url: str, table: str, key: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    """Return the rows of a table of PostgreSQL by their key."""
    with psycopg.connect(url, options="-c timezone=UTC -c intervalstyle=iso_8601 -c datestyle=ISO") as connection:
        for name in PRINTED:
            connection.adapters.register_loader(name, TextLoader)
        cursor = connection.execute(f"SELECT * FROM {table}")
        columns = cursor.description or []
        found = [
            {
                each.name: struct.unpack("f", struct.pack("f", value))[0]
                if each.type_code == REAL and value is not None else value
                for each, value in zip(columns, row, strict=True)
            }
            for row in cursor
        ]  # fmt: skip
    return {_key(row, key): row for row in found}


def copied(client: Client, view: str, key: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    """Return the rows of a view of ClickHouse by their key; every key is there once."""
    found = client.query(f"SELECT * FROM {view}", query_formats={"String": "bytes"})
    made = [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]
    by_key = {_key(row, key): row for row in made}
    assert len(by_key) == len(made), f"{view} has keys twice"
    return by_key


def differences(
    ours: dict[tuple[Any, ...], Row], theirs: dict[tuple[Any, ...], Row], without: Iterable[str] = ()
) -> list[str]:
    """Return the first differences between rows of PostgreSQL and those of ClickHouse, in words."""
    told = [f"{key}: not in ClickHouse" for key in ours.keys() - theirs.keys()]
    told += [f"{key}: in ClickHouse alone" for key in theirs.keys() - ours.keys()]
    for key in ours.keys() & theirs.keys():
        names, found = [name for name in ours[key] if name not in set(without)], list(theirs[key])
        if names != found:
            told.append(f"{key}: columns {found}, expected {names}")
            continue
        told += [
            f"{key}: {name} is {theirs[key][name]!r}, expected {ours[key][name]!r}"
            for name in names
            if not same(ours[key][name], theirs[key][name])
        ]
    return [each[:500] for each in told[:SHOWN]] + ([f"... {len(told)} in all"] if len(told) > SHOWN else [])


def same(ours: Any, theirs: Any) -> bool:
    """Return whether a value of PostgreSQL and one of ClickHouse, as both clients give them, are one."""
    if ours is None or theirs is None:
        return ours is theirs
    if isinstance(ours, list):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float):
        return isinstance(theirs, float) and _bits(ours) == _bits(theirs)
    if isinstance(ours, str):
        return _printed(ours, theirs)
    return type(ours) is type(theirs) and bool(ours == theirs)


def _printed(ours: str, theirs: Any) -> bool:
    """Return whether the text of a value is that of ClickHouse's."""
    if isinstance(theirs, bytes):
        text = theirs.decode()
        return text == ours or (INTERVAL.fullmatch(ours) is not None and _interval(ours) == _interval(text))
    if isinstance(theirs, Decimal):
        return Decimal(ours).as_tuple() == theirs.as_tuple()
    if isinstance(theirs, datetime):
        return datetime.fromisoformat(ours).replace(tzinfo=None) == theirs.replace(tzinfo=None)
    if isinstance(theirs, date):
        return date.fromisoformat(ours) == theirs
    return False


def _interval(text: str) -> tuple[int, int, int] | None:
    """Return months, days and microseconds of an interval's ISO form."""
    if not (match := INTERVAL.fullmatch(text)):
        return None
    years, months, days, hours, minutes = (int(each or 0) for each in match.groups()[:5])
    sign, seconds, fraction = match.group(6), int(match.group(7) or 0), (match.group(8) or "").ljust(6, "0")
    micros = (seconds * 1_000_000 + int(fraction)) * (-1 if sign else 1)
    return years * 12 + months, days, (hours * 60 + minutes) * 60_000_000 + micros


def _bits(value: float) -> bytes:
    return b"nan" if math.isnan(value) else struct.pack("d", value)


def _key(row: Row, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(value.encode() if isinstance(value, str) else value for value in (row[name] for name in key))
