"""What a table is in ClickHouse, or all that stands against it."""

from dataclasses import replace

import pytest

from millrace.cdc import storage, types
from millrace.cdc.plan import plan
from millrace.cdc.table import FULL, Column, Index, Table
from millrace.errors import ConfigError

KEY = Column(1, "id", "int4", None, 0, -1, "integer", False, "", False, None)
TEXT = Column(2, "name", "text", None, 0, -1, "text", True, "", True, None)
PRIMARY = Index("t_pkey", True, False, True, True, ("id",))
TABLE = Table(7, "public", "t", "r", "d", (KEY, TEXT), (PRIMARY,))


def array(of: str, dimensions: int = 1) -> Column:
    return Column(2, "items", f"_{of}", of, dimensions, -1, f"{of}[]", True, "", True, None)


@pytest.mark.parametrize(
    ("column", "stored"),
    [
        (replace(TEXT, type="numeric", modifier=((10 << 16) | 2) + 4), "Decimal(10, 2)"),
        (replace(TEXT, type="numeric", modifier=((76 << 16) | 76) + 4), "Decimal(76, 76)"),
        (replace(TEXT, type="numeric", modifier=((77 << 16) | 2) + 4), "String"),
        (replace(TEXT, type="numeric", modifier=((3 << 16) | (0x7FF & -2)) + 4), "String"),
        (replace(TEXT, type="numeric"), "String"),
        (replace(TEXT, type="enum"), "String"),
        (array("int4"), "Array(Nullable(Int32))"),
    ],
)
def test_types_that_keep_every_value(column: Column, stored: str) -> None:
    found = types.of(column)
    assert found and found.name == stored


@pytest.mark.parametrize(
    "column",
    [
        *(replace(TEXT, type=name) for name in ("timetz", "varbit", "money", "point", "composite", "hstore")),
        *(array(name) for name in ("numeric", "interval", "money", "xml", "name", "bit", "enum", "inet", "bytea")),
        array("int4", dimensions=2),
    ],
)
def test_types_of_which_debezium_loses_something_are_refused_by_name(column: Column) -> None:
    with pytest.raises(ConfigError, match=rf"public\.t\.{column.name} is of type .*--as-text public\.t\.{column.name}"):
        plan(replace(TABLE, columns=(KEY, column), identity=FULL), {})
    assert plan(replace(TABLE, columns=(KEY, column)), {}, without=[f"public.t.{column.name}"]).fields[0].key


def test_all_that_is_wrong_is_said_at_once() -> None:
    columns = (
        KEY,
        replace(TEXT, type="point"),
        replace(TEXT, name="sum", generated="s"),
        replace(TEXT, name="_version"),
    )
    with pytest.raises(ConfigError) as error:
        plan(replace(TABLE, columns=columns, indexes=()), {})
    assert all(part in str(error.value) for part in ("t.name is of", "t.sum is gen", "t._version: ", "no primary key"))


def test_a_key_is_never_null_and_can_be_given() -> None:
    found = plan(replace(TABLE, indexes=()), {"public.t": ["name", "id"]})
    assert found.key == ("name", "id") and all(field.key and not field.nullable for field in found.fields)
    with pytest.raises(ConfigError, match="other is of the key"):
        plan(replace(TABLE, indexes=()), {"public.t": ["other"]})


def test_what_toast_leaves_out_is_kept_unless_rows_come_whole() -> None:
    assert plan(TABLE, {}).toasts and not plan(replace(TABLE, identity=FULL), {}).toasts
    lost = replace(TEXT, type="_float8", element="float8", declared="double precision[]")
    with pytest.raises(ConfigError, match="REPLICA IDENTITY FULL"):
        plan(replace(TABLE, columns=(KEY, lost)), {})


@pytest.mark.parametrize(("schema", "name"), [("public", "t"), ("shop", "shop_t")])
def test_views_are_called_as_tables_are(schema: str, name: str) -> None:
    assert plan(replace(TABLE, schema=schema), {}).target == name


@pytest.mark.parametrize(
    ("column", "unread"),
    [
        (replace(TEXT, has_default=True), ["name"]),  # PostgreSQL computed it for each row
        (replace(TEXT, has_default=True, missing='{"x"}'), []),  # a constant, which the catalog tells
        (TEXT, []),
    ],
)
def test_values_that_a_rewrite_made_are_known_to_be_unknown(column: Column, unread: list[str]) -> None:
    found = storage.Found("", ("id",), (storage.Stored("id", "Int32", 1, "integer", None),), False)
    missing = {"name": "x"} if column.missing else {}
    assert storage.unread(plan(replace(TABLE, columns=(KEY, column)), {}, missing=missing), found) == unread
    assert storage.unread(plan(replace(TABLE, columns=(KEY,)), {}), found) == []
