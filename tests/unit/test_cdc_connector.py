"""The connector's configuration, and what is against capturing a table by what the catalog says of it."""

import re
from typing import Any

import pytest

from millrace.cdc import address, connector, tables_there
from millrace.cdc.postgres import quoted
from millrace.errors import ConfigError

PRIMARY = {"name": "pk", "primary": True, "unique": True, "immediate": True, "identity": False, "columns": ["id"]}
TABLE = {
    "kind": "r", "persistence": "p", "identity": "d", "toasts": False, "owned": True, "reachable": True,
    "readable": True, "filtered": False, "generated": [], "defaults": [],
    "required": ["id"], "columns": ["id", "v"], "large": {},
    "indexes": [PRIMARY],
}  # fmt: skip


def told(key: list[str] | None = None, **changed: Any) -> list[tuple[bool, str, str]]:
    found = tables_there.problems("public.t", TABLE | changed, key, "u")
    return [(each.fatal, each.what, each.mend) for each in found]


def index(*columns: str, **changed: Any) -> dict[str, Any]:
    return PRIMARY | {"primary": False, "columns": list(columns)} | changed


def test_an_ordinary_table_has_no_problem() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("changed", "what", "mend"),
    [
        ({"kind": "v"}, "it is no table", "capture the tables"),
        ({"persistence": "u"}, "unlogged", "ALTER TABLE public.t SET LOGGED;"),
        ({"reachable": False}, "schema may not be used", "GRANT USAGE ON SCHEMA public TO u;"),
        ({"readable": False}, "may not be read", "GRANT SELECT ON public.t TO u;"),
        ({"filtered": True}, "row security", "ALTER ROLE u BYPASSRLS;"),
        ({"identity": "n"}, "replica identity is nothing", "ALTER TABLE public.t REPLICA IDENTITY DEFAULT;"),
        ({"indexes": []}, "UPDATE and DELETE of it fails at the source", "ADD COLUMN row_id bigint GENERATED"),
        ({"indexes": [], "identity": "f"}, "no primary key$", "ADD COLUMN row_id bigint GENERATED"),
        ({"indexes": [index("id")]}, "no primary key", r"ADD PRIMARY KEY \(id\); or .* FULL; and --key public.t=id$"),
        ({"indexes": [index("v")]}, "no primary key", "ADD COLUMN row_id"),  # v may be NULL
        ({"indexes": [PRIMARY | {"immediate": False}]}, "deferrable",
         r"ALTER TABLE public.t DROP CONSTRAINT pk, ADD CONSTRAINT pk PRIMARY KEY \(id\);"),
        ({"identity": "i", "indexes": [PRIMARY, index("v", identity=True)]}, "index without the primary key",
         "REPLICA IDENTITY DEFAULT;"),
        ({"toasts": True, "large": {"b": "boolean[]"}}, "of b would arrive as NULL", "REPLICA IDENTITY FULL;"),
    ],
)  # fmt: skip
def test_what_would_lose_rows_is_told_with_the_statement_that_mends_it(changed: Any, what: str, mend: str) -> None:
    [(fatal, found, statement)] = told(**changed)
    assert fatal and re.search(what, found) and re.search(mend, statement)


@pytest.mark.parametrize(
    ("kind", "silent"),
    [
        ("text", False), ("bytea", False), ("numeric(10,2)", False), ("character varying(9)[]", False),
        ("integer[]", False), ("numeric(10,2)[]", True), ("timestamp with time zone[]", True), ("public.mood[]", True),
        ("bit varying(9000)", True), ("bit(10)", False), ("bit varying", True), ("polygon", True), ("point[]", True),
    ],
)  # fmt: skip
def test_which_large_values_arrive_as_null_when_they_stay_as_they_are(kind: str, silent: bool) -> None:
    [(fatal, _, mend)] = told(toasts=True, large={"c": kind})
    assert fatal is silent and mend == "ALTER TABLE public.t REPLICA IDENTITY FULL;"
    assert told(toasts=True, large={"c": kind}, identity="f") == []


def test_generated_columns_are_told_and_do_not_stop_anything() -> None:
    [(fatal, what, _)] = told(generated=["g"])
    assert not fatal and "(g)" in what


def test_a_key_that_is_given_must_exist_be_unique_not_null_and_in_the_log() -> None:
    bare = {"indexes": []}
    assert told(["id", "nope"], **bare) == [(True, "there is no column nope", "correct --key")]
    mends = [mend for _, _, mend in told(["id", "v"], **bare)]
    assert mends == [
        "ALTER TABLE public.t ALTER COLUMN v SET NOT NULL;",
        "CREATE UNIQUE INDEX ON public.t (id, v);",
        "ALTER TABLE public.t REPLICA IDENTITY FULL;",
    ]
    assert told(["id"], indexes=[index("id")], identity="f") == []
    assert told(["id"], indexes=[index("id", identity=True)], identity="i") == []
    assert [what for _, what, _ in told(["id"], indexes=[index("id", immediate=False)], identity="f")] == [
        "nothing keeps id of --key unique"
    ]


def test_a_table_that_is_not_there() -> None:
    [problem] = tables_there.problems("public.t", None, None, "u")
    assert problem.fatal and str(problem).startswith("public.t: there is no such table: ")


def test_names_are_quoted_where_they_must_be() -> None:
    assert quoted("public.orders") == "public.orders"
    assert quoted('My Shop.a"b') == '"My Shop"."a""b"'
    assert quoted("public.Straße") == 'public."Straße"'


def test_tables_of_the_command_line() -> None:
    assert connector.named("orders, shop.customers ,public.orders") == ["public.orders", "shop.customers"]
    assert connector.named("shop.my table") == ["shop.my table"]
    for wrong in ("", "a.b.c", "a,,b"):
        with pytest.raises(ConfigError, match="--tables: no table is called"):
            connector.named(wrong)


def test_keys_of_the_command_line() -> None:
    assert connector.keyed(["orders=a,b", "shop.c=d"]) == {"public.orders": ["a", "b"], "shop.c": ["d"]}
    for wrong in ("orders", "orders=", "orders=a,"):
        with pytest.raises(ConfigError, match=r"--key .*expected schema.table=column"):
            connector.keyed([wrong])


def test_the_configuration_says_what_it_captures_and_can_be_read_back() -> None:
    tables, keys = ["public.orders", "Shop.a+b"], {"Shop.a+b": ["x", "y"]}
    found = connector.config(
        tables, keys=keys, excluded={"public.orders": ["total"], "Shop.a+b": []}, prefix="shop", generation=7
    )
    assert connector.tables(found) == tables and connector.keys(found) == keys and connector.generation(found) == 7
    assert found["topic.prefix"] == "shop" and found["column.exclude.list"] == "public.orders[.]total"
    patterns = found["table.include.list"].split(",")
    assert re.fullmatch(patterns[1], "Shop.a+b") and not re.fullmatch(patterns[1], "Shop.aab")
    assert re.fullmatch(patterns[-1], connector.SIGNALS)
    assert "message.key.columns" not in connector.config(tables)


def test_avro_takes_the_place_of_json_and_what_a_user_added_stays() -> None:
    registry = "http://h:1/apis/ccompat/v7"
    json, avro = connector.config(["a.b"]), connector.config(["a.b"], registry=registry)
    assert connector.is_avro(avro) and not connector.is_avro(json)
    assert avro["value.converter.apicurio.registry.url"] == "http://h:1/apis/registry/v2"
    assert "value.converter.schemas.enable" not in avro and json["value.converter.replace.null.with.default"] == "false"
    for found in (json, avro, connector.config(["a.b"], keys={"a.b": ["c"]}, excluded={"a.b": ["d"]})):
        assert connector.added({**found, "name": "n", "max.batch.size": "9"}) == {"name": "n", "max.batch.size": "9"}


def test_a_null_that_avro_would_lose_is_told() -> None:
    row = TABLE | {"defaults": ["n", "Odd"]}
    [problem] = tables_there.defaults("public.t", row)
    assert problem.fatal and problem.mend.startswith(
        'ALTER TABLE public.t ALTER COLUMN n DROP DEFAULT, ALTER COLUMN "Odd" DROP DEFAULT;'
    )
    assert not list(tables_there.defaults("public.t", TABLE))


def test_topics_are_named_as_debezium_names_them() -> None:
    assert connector.topic("public.orders") == "cdc.public.orders"
    assert connector.topic("public.Größe x", "p") == "p.public.Gr__e_x"


def test_no_secret_stands_in_the_configuration_and_each_variable_is_told_to_the_worker() -> None:
    named = set(re.findall(r"\$\{env:(\w+)\}", connector.as_file()))
    found = address.variables("postgresql+psycopg://u%40x:p%2Fw@h:1/d?sslmode=require")
    assert named == set(found)
    assert list(found.values()) == ["h", "1", "u@x", "p/w", "d", "require"]
    assert address.variables("postgresql+psycopg://u@h")["CDC_SOURCE_DATABASE"] == "u"
