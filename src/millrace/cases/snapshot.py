"""The numbers that come with the package, and files of their form: what is known where no page can be read."""

from datetime import date
from importlib import resources

import msgspec

from millrace.cases.rows import Row, row, whole
from millrace.errors import BadRecord


class _Snapshot(msgspec.Struct):
    as_of: date
    source_url: str
    rows: list[dict[str, str | int | None]]


def packaged() -> list[Row]:
    """Return the numbers of the package: the last ones of Worldometers, of the World and a few countries."""
    return read(resources.files(__package__).joinpath("snapshot.json").read_bytes(), "snapshot.json")


def read(body: bytes, url: str) -> list[Row]:
    """Return the rows of a snapshot: as_of, source_url, and rows of country and counts; raises BadRecord."""
    try:
        found = msgspec.json.decode(body, type=_Snapshot)
        rows = [row(str(each["country"]), each, found.as_of, found.source_url) for each in found.rows]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise BadRecord(f"{url} is no snapshot of case numbers: {error}") from None
    return whole(rows, found.source_url)
