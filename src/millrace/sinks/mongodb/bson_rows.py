"""Rows of Arrow to documents of BSON, and back."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from bson import Decimal128, decode, encode
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

ID = "_id"
WINDOW = "window_start"
LARGEST = 16 * 1024**2  # bytes of a document
UNREADABLE = (ValueError, ArithmeticError)  # bytes that are no UTF-8, times after 9999, more than 34 digits
Convert = Callable[..., Any]


class Encoded(RawBSONDocument):
    """A document as its bytes, which the client would decode to see whether there are any."""

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Document:
    """One row: its `_id`, the value of the column that orders its versions, and the encoded whole.

    `right`: it replaces what is there whatever its rank is.
    """

    id: str
    rank: Any
    raw: Encoded
    right: bool

    def not_older_than(self, other: "Document") -> bool:
        """Return whether it may replace `other`; null is the lowest rank."""
        return other.rank is None or (self.rank is not None and self.rank >= other.rank)

    def refused(self, reason: str) -> "Refused":
        """Return it as what the server did not take, and why."""
        return Refused(self.id, _json(decode(self.raw.raw)), reason)


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is no document, as JSON, and why; an `id` that cannot be read is the error that says so."""

    id: str | Exception | None
    value: bytes
    reason: str


def rows_of(batch: pa.RecordBatch, rank: str | None, overwrite: datetime | None) -> Iterator[Document | Refused]:
    """Yield each row of `batch`, whose first column is its `_id`, as a document, or as what cannot be one.

    Right whatever their rank are rows without one, and those of windows that start at `overwrite` or later.
    """
    names = batch.schema.names
    since = overwrite and overwrite.astimezone(UTC).replace(tzinfo=None)
    for values in zip(*(_values(column) for column in batch.columns), strict=True):
        row = dict(zip(names, values, strict=True))
        right = rank is None or (
            since is not None and isinstance(start := row.get(WINDOW), datetime) and start >= since
        )
        yield _document(row, row[rank] if rank else None, right=right)


def values(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a document that was read: without `_id`, exact numbers as Decimal."""
    return {
        name: value.to_decimal() if isinstance(value, Decimal128) else value
        for name, value in document.items()
        if name != ID
    }


def _document(row: dict[str, Any], rank: Any, *, right: bool) -> Document | Refused:
    if row[ID] is None:
        return Refused(None, _json(row), "its key is null")
    try:
        raw = encode(row)
    except (BSONError, OverflowError, UnicodeEncodeError) as error:
        wrong = [f"{name}: {value}" for name, value in row.items() if isinstance(value, Exception)]
        return Refused(row[ID], _json(row), "; ".join(wrong or [f"{type(error).__name__}: {error}"])[:300])
    if len(raw) > LARGEST:
        return Refused(row[ID], _json(row), f"it has {len(raw)} bytes, {LARGEST} at most fit")
    return Document(row[ID], rank, Encoded(raw), right)


def _values(column: pa.Array) -> list[Any]:
    """Return the values of a column; one that cannot be such as BSON has is the error that says so."""
    if pa.types.is_timestamp(column.type):
        return _times(column)
    convert = _converter(column.type)
    try:
        found = column.to_pylist()
    except UNREADABLE:  # one of them
        found = [_tried(value.as_py) for value in column]
    return [_tried(convert, value) for value in found] if convert else found


def _times(column: pa.TimestampArray) -> list[Any]:
    """Return times in UTC without saying so, as BSON has them: NumPy makes these at once, and numbers of all others."""
    found = column.to_numpy(zero_copy_only=False).astype("datetime64[us]").tolist()
    return [OverflowError(f"{each} us is no time that BSON has") if isinstance(each, int) else each for each in found]


def _tried(read: Convert, *value: Any) -> Any:
    try:
        return read(*value)
    except UNREADABLE as error:
        return error


def _converter(kind: pa.DataType) -> Convert | None:
    """Return how values of a type become such as BSON has, None where they are."""
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind) or pa.types.is_date(kind) or pa.types.is_nested(kind):
        return _plain
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):  # pairs of a map
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return Decimal128(value)
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    return value.isoformat() if is_day else value


def _json(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, default=str, ensure_ascii=False).encode(errors="replace")
