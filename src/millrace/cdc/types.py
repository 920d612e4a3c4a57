"""How PostgreSQL's types stand in ClickHouse: the column, how Debezium's text becomes its value, and how both are told.

Each type has two canonical texts, one of PostgreSQL and one of ClickHouse, that are equal where the values are: by them
`millrace cdc verify` compares. All are SQL; what goes into them are names, quoted already, and expressions.

Debezium writes numerics as text, times as microseconds and dates as days since 1970, bytes in base64 (see
`connector.SETTINGS`). Its forms of infinity and of what TOAST leaves out were seen with version 3.7.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from millrace.cdc import texts, times
from millrace.cdc.table import Column

Expression = Callable[[str], str]
PLACEHOLDER = "__debezium_unavailable_value"  # instead of a value that is stored out of line and did not change
ARRAY = "Array(Nullable(String))"  # JSON of an array, its items as text
MOST_DIGITS = 76  # of ClickHouse's Decimal
MOST_SCALE = 1000  # of a numeric; one below 0 has its high bit set


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
    json: Expression = lambda text: text  # what is done to JSON of an array of it before its items are read
    compared: bool = True  # whether both texts are equal where the values are

    @property
    def array(self) -> "Type":
        """The type of arrays of one dimension, some of whose items may be null."""
        items = f"Array(Nullable({self.name}))"
        told = _joined(f"length({self.postgres('item')}) || ':' || {self.postgres('item')}")
        ours = f"concat(toString(lengthUTF8({self.clickhouse('item')})), ':', {self.clickhouse('item')})"
        return Type(
            items,
            lambda text: f"arrayMap(item -> {self.value('item')}, {_items(self.json(text))})",
            lambda column: (
                f"CASE WHEN array_ndims({column}) > 1 OR array_lower({column}, 1) <> 1 THEN {_out(column)}"
                f" ELSE (SELECT {told} FROM unnest({column}) WITH ORDINALITY AS _ (item, place)) END"
            ),
            lambda column: f"arrayStringConcat(arrayMap(item -> if(isNull(item), 'null', {ours}), {column}), ',')",
            None,
            lambda text, value: (
                f"arrayExists((given, item) -> isNotNull(given) AND isNull(item), {_items(self.json(text))}, {value})"
            ),
            True,
        )


def of(column: Column) -> Type | None:
    """Return the type of `column`, None where there is none that keeps every value."""
    if column.element:
        items = ITEMS.get(column.element) if column.dimensions <= 1 else None
        return items and replace(items.array, toast=ARRAY_TOASTS.get(column.element))
    if column.type == "numeric":
        return _numeric(column.modifier)
    if column.type == "bit":
        return _bits(column.modifier)
    return TYPES.get(column.type)


def as_text(column: Column) -> Type:
    """Return text for `column`: as PostgreSQL prints it where that is known, else as Debezium sends it."""
    own = of(column)
    if column.type in TEXTS or (own and own.name == STRING.name):
        return TEXTS.get(column.type, own or STRING)
    if column.element or column.type not in SENT_AS:
        return replace(STRING, compared=False)
    return replace(STRING, postgres=SENT_AS[column.type])


def _items(text: str) -> str:
    return f"JSONExtract(ifNull({text}, '[]'), '{ARRAY}')"


def _joined(item: str) -> str:
    return f"coalesce(string_agg(CASE WHEN item IS NULL THEN 'null' ELSE {item} END, ',' ORDER BY place), '')"


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
        lambda column: f"multiIf(isNull({column}), NULL, isNaN({column}), 'NaN', {bits.format(_there(column))})",
        json=lambda text: f"replaceRegexpAll({text}, '-0([,\\\\]])', '-0.0\\\\1')",  # as an integer it has no sign
    )


def _numeric(modifier: int) -> Type:
    """Return the type of a numeric: a Decimal where its digits are declared and fit, else text."""
    if modifier < 0:
        return NUMERIC
    precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
    if scale > MOST_SCALE:  # it is negative, and what Debezium sends has that many zeros
        return replace(NUMERIC, value=lambda text: f"replaceRegexpOne({NUMERIC.value(text)}, '\\\\.0+$', '')")
    if precision > MOST_DIGITS or scale > precision:
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


def _there(column: str) -> str:
    return f"assumeNotNull({column})"


def _base64(column: str) -> str:
    return f"translate(encode({column}, 'base64'), E'\\n', '')"


NAMES = "['NAN', 'POSITIVE_INFINITY', 'NEGATIVE_INFINITY'], ['NaN', 'Infinity', '-Infinity']"
STRING = Type("String", _as_is, _out, _as_is)
NUMERIC = replace(STRING, value=lambda text: f"transform({text}, {NAMES}, {text})")
DATE = Type("Date32", times.date, lambda column: times.shown(column, "YYYY-MM-DD"), _to_string)
TIMESTAMP = Type(
    "DateTime64(6, 'UTC')", times.timestamp, lambda column: times.shown(column, "YYYY-MM-DD HH24:MI:SS.US"), _to_string
)
MOMENT = replace(
    TIMESTAMP, value=times.moment, postgres=lambda column: TIMESTAMP.postgres(f"({column} AT TIME ZONE 'UTC')")
)
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
    **{
        "time": replace(STRING, value=times.clock),
        "interval": replace(STRING, value=times.microseconds, postgres=times.interval),
    },
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "char", "enum", "json", "jsonb", "xml"), STRING),
    **dict.fromkeys(("inet", "cidr", "macaddr", "macaddr8", "range", "tsvector"), STRING),
}
ITEMS = {
    name: TYPES[name]
    for name in ("bool", "int2", "int4", "int8", "float4", "float8", "uuid", "text", "varchar", "bpchar")
} | {"date": DATE, "timestamp": TIMESTAMP, "timestamptz": MOMENT}  # not numeric: with one NaN all of it comes as NULL
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
UNKNOWN = ("pg_lsn", "tsquery", "multirange", "composite", "jsonpath", "txid_snapshot", "pg_snapshot")  # to Debezium
SENT_AS: dict[str, Expression] = {  # PostgreSQL's expression for what --as-text keeps, beside TEXTS
    **dict.fromkeys(("int2", "int4", "int8", "oid", "uuid", "citext"), _out),
    **dict.fromkeys(UNKNOWN, lambda value: _base64(f"convert_to({_out(value)}, 'UTF8')")),
    "bool": lambda value: f"{value}::text",
    "money": lambda value: f"{value}::numeric::text",
}
SENT: dict[str, Expression] = {  # PostgreSQL's expression for the text that Debezium sends
    "bool": lambda value: f"{value}::text",
    "bytea": _base64,
    "bit": lambda value: "NULL",  # so that older rows are said to be unread
    "date": lambda value: _finite(value, f"({value} - date '1970-01-01')::text"),
    "time": lambda value: f"(extract(epoch FROM {value}) * 1000000)::bigint::text",
    "timestamp": lambda value: _finite(value, f"(extract(epoch FROM {value}) * 1000000)::bigint::text"),
    "timestamptz": lambda value: f"to_char({value} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    "interval": times.interval,
}


def _finite(value: str, text: str) -> str:
    return f"CASE WHEN isfinite({value}) THEN {text} END"


def sent(column: Column) -> Expression:
    """Return PostgreSQL's expression for the text that Debezium sends of a value of `column`."""
    return (lambda value: f"to_json({value})::text") if column.element else SENT.get(column.type, _out)
