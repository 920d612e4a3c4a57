"""The columns of results: names, types, keys, whatever a store calls them."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The type of a column's values, whatever a store calls it."""

    TEXT = "text"
    TEXTS = "texts"  # a list of them
    TAGS = "tags"  # a list of hashtags, each with its tweets
    INTEGER = "integer"  # 64 bits
    UNSIGNED = "unsigned"  # 64 bits without a sign; DECIMAL(20) in Spark
    DOUBLE = "double"
    DECIMAL = "decimal"  # exact, with 10 decimal places
    TIME = "time"  # a moment in UTC
    FLAG = "flag"


@dataclass(frozen=True)
class Column:
    """One column of a result; `size`: characters of TEXT (0: any), digits of DECIMAL; `exact` compares byte by byte."""

    name: str
    kind: Kind
    size: int = 0
    key: bool = False
    null: bool = False
    exact: bool = False


def text(name: str, size: int, *, null: bool = True, exact: bool = False) -> Column:
    """Return a column of text of at most `size` characters, 0: of any length."""
    return Column(name, Kind.TEXT, size, null=null, exact=exact)


def unsigned(name: str, *, null: bool = False) -> Column:
    """Return a column of whole numbers from 0 to 2^64 - 1."""
    return Column(name, Kind.UNSIGNED, null=null)


def integer(name: str, *, null: bool = False) -> Column:
    """Return a column of whole numbers."""
    return Column(name, Kind.INTEGER, null=null)


def double(name: str, *, null: bool = False) -> Column:
    """Return a column of floating-point numbers."""
    return Column(name, Kind.DOUBLE, null=null)


def decimal(name: str, digits: int, *, null: bool = False) -> Column:
    """Return a column of exact numbers such as prices."""
    return Column(name, Kind.DECIMAL, digits, null=null)


def time(name: str, *, null: bool = False) -> Column:
    """Return a column of times."""
    return Column(name, Kind.TIME, null=null)


def flag(name: str, *, null: bool = False) -> Column:
    """Return a column of truth values."""
    return Column(name, Kind.FLAG, null=null)


def key(name: str, size: int) -> Column:
    """Return a key column of text."""
    return Column(name, Kind.TEXT, size, key=True, exact=True)


def key_time(name: str) -> Column:
    """Return a key column of times."""
    return Column(name, Kind.TIME, key=True)
