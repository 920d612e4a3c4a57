"""How PostgreSQL's types stand in ClickHouse: the column, how Debezium's text becomes its value, and how both are told.

Each type has two canonical texts, one of PostgreSQL and one of ClickHouse, that are equal where the values are: by them
`millrace cdc verify` compares. All are SQL; what goes into them are names, quoted already, and expressions.

Debezium writes numerics as text, times as microseconds and dates as days since 1970, bytes in base64 (see
`connector.SETTINGS`). Its forms of infinity and of what TOAST leaves out were seen with version 3.7.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from millrace.cdc import texts
from millrace.cdc.catalog import Column

Expression = Callable[[str], str]
PLACEHOLDER = "__debezium_unavailable_value"  # instead of a value that is stored out of line and did not change
ARRAY = "Array(Nullable(String))"  # JSON of an array, its items as text
MOST_DIGITS = 76  # of ClickHouse's Decimal
DAYS = (-719_162, 2_932_896)  # of ClickHouse's dates: the years 1 to 9999
MICROSECONDS = (DAYS[0] * 86_400_000_000, (DAYS[1] + 1) * 86_400_000_000 - 1)
YEAR = r"^(000[1-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-9]\\d{3})-"


@dataclass(frozen=True)
class Type:
    """One type: `name` in ClickHouse, `value` of a Nullable(String), null where it is none, and the two texts.

    `toast` is the text that stands for a value which TOAST left out, None where nothing tells it from a null. `wrong`
    is true of a text and its value if the text is none.
    """

    name: str
    value: Expression
    postgres: Expression
    clickhouse: Expression
    toast: str | None = PLACEHOLDER
    wrong: Callable[[str, str], str] = lambda text, value: f"isNotNull({text}) AND isNull({value})"
    is_array: bool = False

    @property
    def array(self) -> "Type":
        """The type of arrays of one dimension, some of whose items may be null."""
        items = f"Array(Nullable({self.name}))"
        told = _joined(f"octet_length({self.postgres('item')}) || ':' || {self.postgres('item')}")
        ours = f"concat(toString(length({self.clickhouse('item')})), ':', {self.clickhouse('item')})"
        return Type(
            items,
            lambda text: f"arrayMap(item -> {self.value('item')}, {_items(text)})",
            lambda column: f"(SELECT {told} FROM unnest({column}) WITH ORDINALITY AS _ (item, place))",
            lambda column: f"arrayStringConcat(arrayMap(item -> ifNull({ours}, 'null'), {column}), ',')",
            None,
            lambda text, value: (
                f"arrayExists((given, item) -> isNotNull(given) AND isNull(item), {_items(text)}, {value})"
            ),
            True,
        )


def of(column: Column) -> Type | None:
    """Return the type of `column`, None where there is none that keeps every value."""
    if column.element:
        items = ITEMS.get(column.element)
        return items and replace(items.array, toast=ARRAY_TOASTS.get(column.element))
    if column.type == "numeric":
        return _numeric(column.modifier)
    if column.type == "bit":
        return _bits(column.modifier)
    return TYPES.get(column.type)


def as_text(column: Column) -> Type:
    """Return text for `column`: as PostgreSQL prints it where that is known, else as Debezium sends it."""
    return TEXTS.get(column.type, STRING)


def _items(text: str) -> str:
    return f"JSONExtract(ifNull({text}, '[]'), '{ARRAY}')"


def _joined(item: str) -> str:
    return f"coalesce(string_agg(coalesce({item}, 'null'), ',' ORDER BY place), '')"


def _out(column: str) -> str:
    return f"format('%s', {column})"  # by its output function: ::text strips blanks and adds masks


def _to_string(column: str) -> str:
    return f"toString({column})"


def _as_is(text: str) -> str:
    return text


def _cast(name: str) -> Expression:
    quoted = name.replace("'", "\\'")
    return lambda text: f"accurateCastOrNull({text}, '{quoted}')"


def _plain(name: str) -> Type:
    return Type(name, _cast(name), _out, _to_string)


def _float(size: int) -> Type:
    """Return a type of numbers that are compared bit by bit."""
    name = f"Float{size * 8}"
    bits = f"leftPad(lower(hex(reinterpretAsUInt{size * 8}({{}}))), {size * 2}, '0')"
    return Type(
        name,
        lambda text: f"to{name}OrNull({text})",
        lambda column: f"CASE WHEN {column} = 'NaN' THEN 'NaN' ELSE encode(float{size}send({column}), 'hex') END",
        lambda column: f"if(isNaN({column}), 'NaN', {bits.format(f'assumeNotNull({column})')})",
    )


def _numeric(modifier: int) -> Type:
    """Return the type of a numeric: a Decimal where its digits are declared and fit, else text."""
    if modifier < 0:
        return NUMERIC
    precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
    if precision > MOST_DIGITS or scale > precision:  # a negative scale has its high bit set
        return NUMERIC
    name = f"Decimal({precision}, {scale})"
    return Type(name, _cast(name), _out, lambda column: f"toDecimalString({column}, {scale})")


def _bits(length: int) -> Type:
    """Return the type of bit(length), as PostgreSQL prints it: Debezium sends one bit as a flag, more as bytes."""
    if length == 1:
        return Type("String", lambda text: f"transform({text}, ['true', 'false'], ['1', '0'], NULL)", _out, _as_is)
    zeros = f"repeat('0', {length})"
    bits = f"right(concat({zeros}, bin(reverse(tryBase64Decode({{0}})))), {length})"
    return Type(
        "String", lambda text: f"if(isNull({text}), NULL, {bits.format(f'assumeNotNull({text})')})", _out, _as_is
    )


def _between(number: str, limits: tuple[int, int], then: str) -> str:
    return f"if({number} BETWEEN {limits[0]} AND {limits[1]}, {then}, NULL)"


def _date(text: str) -> str:
    days = f"toInt64OrNull({text})"
    return _between(days, DAYS, f"addDays(toDate32('1970-01-01'), {days})")


def _timestamp(text: str) -> str:
    number = f"toInt64OrNull({text})"
    return _between(number, MICROSECONDS, f"fromUnixTimestamp64Micro(assumeNotNull({number}), 'UTC')")


def _moment(text: str) -> str:
    return f"if(match(ifNull({text}, ''), '{YEAR}'), accurateCastOrNull({text}, 'DateTime64(6, \\'UTC\\')'), NULL)"


def _time(text: str) -> str:
    """Return a time of day as PostgreSQL prints it, of microseconds since midnight; 24:00:00 is one."""
    number = f"assumeNotNull(toUInt64OrNull({text}))"
    parts = [f"leftPad(toString(intDiv({number}, {unit}) % 60), 2, '0')" for unit in (60_000_000, 1_000_000)]
    hours = f"leftPad(toString(intDiv({number}, 3600000000)), 2, '0')"
    digits = f"trim(TRAILING '0' FROM leftPad(toString({number} % 1000000), 6, '0'))"
    rest = f"if({number} % 1000000 = 0, '', concat('.', {digits}))"
    return f"if(isNull(toUInt64OrNull({text})), NULL, concat({hours}, ':', {parts[0]}, ':', {parts[1]}, {rest}))"


def _interval(column: str) -> str:
    fields = ", ".join(f"extract({field} FROM {column})" for field in ("year", "month", "day", "hour", "minute"))
    return f"format('P%sY%sM%sDT%sH%sM%sS', {fields}, trim_scale(extract(second FROM {column})))"


def _microseconds(text: str) -> str:
    """Return an interval with the microseconds that PostgreSQL has: Debezium's seconds were a double in between."""
    found = f"extract({text}, '(-?[0-9.]+)S$')"
    rounded = f"toString(round(toDecimal64OrZero({found}, 9), 6))"
    return f"if({found} = '', {text}, concat(substring({text}, 1, length({text}) - length({found}) - 1), {rounded}, 'S'))"


NAMES = "['NAN', 'POSITIVE_INFINITY', 'NEGATIVE_INFINITY'], ['NaN', 'Infinity', '-Infinity']"
STRING = Type("String", _as_is, _out, _as_is)
NUMERIC = replace(STRING, value=lambda text: f"transform({text}, {NAMES}, {text})")
DATE = Type("Date32", _date, lambda column: f"to_char({column}, 'YYYY-MM-DD')", _to_string)
TIMESTAMP = Type(
    "DateTime64(6, 'UTC')", _timestamp, lambda column: f"to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')", _to_string
)
MOMENT = replace(TIMESTAMP, value=_moment, postgres=lambda column: TIMESTAMP.postgres(f"({column} AT TIME ZONE 'UTC')"))
BYTES = Type(
    "String",
    lambda text: f"if(isNull({text}), NULL, tryBase64Decode(assumeNotNull({text})))",
    lambda column: f"encode({column}, 'hex')",
    lambda column: f"lower(hex({column}))",
    "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
)
BOOL = Type("Bool", _cast("Bool"), lambda column: f"{column}::text", _to_string)
TYPES = {
    **{
        "bool": BOOL,
        "int2": _plain("Int16"),
        "int4": _plain("Int32"),
        "int8": _plain("Int64"),
        "oid": _plain("UInt32"),
    },
    **{"float4": _float(4), "float8": _float(8), "uuid": _plain("UUID"), "bytea": BYTES},
    **{"date": DATE, "timestamp": TIMESTAMP, "timestamptz": MOMENT},
    **{"time": replace(STRING, value=_time), "interval": replace(STRING, value=_microseconds, postgres=_interval)},
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "char", "enum", "json", "jsonb", "xml"), STRING),
    **dict.fromkeys(("inet", "cidr", "macaddr", "macaddr8", "range", "tsvector"), STRING),
}
ITEMS = {
    name: TYPES[name]
    for name in ("bool", "int2", "int4", "int8", "float4", "float8", "uuid", "text", "varchar", "bpchar")
} | {"numeric": NUMERIC, "date": DATE, "timestamp": TIMESTAMP, "timestamptz": MOMENT}
ARRAY_TOASTS = dict.fromkeys(("text", "varchar", "bpchar"), json.dumps([PLACEHOLDER])) | dict.fromkeys(
    ("int4", "int8"), json.dumps(list(PLACEHOLDER.encode()), separators=(",", ":"))
)
TEXTS = {
    "numeric": NUMERIC,
    "time": TYPES["time"],
    "date": replace(STRING, value=texts.date),
    "timestamp": replace(STRING, value=texts.timestamp),
    "timestamptz": replace(STRING, value=texts.moment),
}
SENT: dict[str, Expression] = {  # PostgreSQL's expression for the text that Debezium sends
    "bool": lambda value: f"{value}::text",
    "bytea": lambda value: f"translate(encode({value}, 'base64'), E'\\n', '')",
    "date": lambda value: f"({value} - date '1970-01-01')::text",
    "time": lambda value: f"(extract(epoch FROM {value}) * 1000000)::bigint::text",
    "timestamp": lambda value: f"(extract(epoch FROM {value}) * 1000000)::bigint::text",
    "timestamptz": lambda value: f"to_char({value} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    "interval": _interval,
}


def sent(column: Column) -> Expression:
    """Return PostgreSQL's expression for the text that Debezium sends of a value of `column`."""
    return (lambda value: f"to_json({value})::text") if column.element else SENT.get(column.type, _out)
