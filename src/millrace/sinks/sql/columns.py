"""Column types that mean the same in SQLite, MySQL, MariaDB and PostgreSQL."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    TEXT,
    VARCHAR,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Double,
    Integer,
    Numeric,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import NullType, TypeEngine


def key_text(length: int) -> TypeEngine[str]:
    """Return text of at most `length` characters, compared by bytes: café is not cafe, nor one emoji another.

    The binary collation that MySQL and MariaDB share still ignores trailing spaces: strip keys before.
    """
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(binary, "mysql", "mariadb")


def long_text() -> TypeEngine[str]:
    """Return text of any length; in MySQL and MariaDB of 16 MB."""
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


class Unsigned(TypeDecorator[int]):
    """A whole number from 0 to 2^64 - 1, more than any BIGINT; SQLite keeps it as text."""

    impl = Numeric(20, 0)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String(20) if dialect.name == "sqlite" else Numeric(20, 0))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


class Money(TypeDecorator[Decimal]):
    """An exact decimal such as a price; SQLite has no decimals and keeps 15 significant digits."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":  # else SQLAlchemy warns that it has none
            return dialect.type_descriptor(Numeric(asdecimal=False))
        return super().load_dialect_impl(dialect)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(str(value))


class Time(TypeDecorator[datetime]):
    """A time in UTC, aware in Python; stored as TIMESTAMPTZ, DATETIME(3), or in SQLite as ISO text with Z."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(24))
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(mysql.DATETIME(fsp=3))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        moment = value.astimezone(UTC)
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=None)
        return moment.isoformat(timespec="milliseconds") + "Z" if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def holds(found: Any, wanted: TypeEngine[Any], dialect: Dialect) -> bool:
    """Return whether a column of a store, of type `found`, holds every value of our type `wanted` as it is."""
    ours: Any = wanted.type_engine(dialect) if isinstance(wanted, TypeDecorator) else wanted.dialect_impl(dialect)
    if dialect.name == "sqlite":  # keeps any value in any column, but may turn text into numbers, or these into text
        return isinstance(found, NullType) or isinstance(found, String) == isinstance(ours, String)
    match ours:
        case String():  # CHAR loses spaces, an ENUM and TINYTEXT are too small, CITEXT takes A for a
            known = (VARCHAR, TEXT, mysql.MEDIUMTEXT, mysql.LONGTEXT)
            fits = isinstance(found, known) and not isinstance(found, postgresql.CITEXT) and _is_long(found, ours)
        case mysql.DATETIME():  # a TIMESTAMP of MySQL ends in 2038
            fits = isinstance(found, mysql.DATETIME) and (found.fsp or 0) >= 3
        case DateTime():
            fits = isinstance(found, postgresql.TIMESTAMP) and found.timezone and found.precision in (None, 6)
        case Numeric():
            fits = isinstance(found, Numeric) and _is_wide(found, ours)
        case Boolean():
            fits = isinstance(found, Boolean if dialect.name == "postgresql" else (Boolean, Integer))
        case BigInteger():
            fits = isinstance(found, BigInteger)
        case _:
            fits = isinstance(found, Double)
    return fits


def _is_long(found: String, ours: String) -> bool:
    return found.length is None or found.length >= (ours.length or 0)


def _is_wide(found: Numeric[Any], ours: Numeric[Any]) -> bool:
    if found.precision is None:  # PostgreSQL's that has no bounds
        return True
    scale, needed = found.scale or 0, ours.scale or 0
    return scale >= needed and found.precision - scale >= (ours.precision or 0) - needed
