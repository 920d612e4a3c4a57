"""Change data capture at its source: PostgreSQL, Debezium on Kafka Connect, and the topics, all of them real."""

import json
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import UnknownTopicOrPartitionError
from sqlalchemy import make_url

from millrace import config
from millrace.cdc import connector, postgres, register, snapshot, source, tail
from millrace.cdc.connect import Connect
from millrace.cdc.connector import NAME, PUBLICATION, SLOT
from millrace.cdc.lag import lag
from millrace.cdc.register import Registered, Wanted
from millrace.config import Settings
from millrace.doctor import examine
from millrace.errors import ConfigError
from millrace.kafka import browse

DOCKER = Path(__file__).parents[2] / "docker" / "debezium"
WITHIN = 60  # seconds; the machine may be busy

Capture = Callable[..., Registered]
Rows = Callable[..., list[dict[str, Any]]]


def quiet(_text: str) -> None:
    """Tell nobody."""


def clear(settings: Settings) -> None:
    """Remove connector, tables and topics, of this run or of one before it."""
    register.unregister(settings, quiet)
    with postgres.connection(postgres.source(settings)) as source:
        source.execute("DROP SCHEMA IF EXISTS cdc_test CASCADE")
        source.execute("DROP TABLE IF EXISTS demo_table1, demo_table2, millrace_cdc_signals")
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    try:
        while captured := [topic for topic in admin.list_topics() if topic.startswith(("cdc.", "cdc-"))]:
            with suppress(UnknownTopicOrPartitionError):  # deleted, and still listed for a moment
                admin.delete_topics(captured)
    finally:
        admin.close()


@pytest.fixture(scope="module")
def settings(connect: Settings) -> Iterator[Settings]:
    """Those of `connect`, without anything that was captured; at the end PostgreSQL keeps no log for it, either."""
    clear(connect)
    yield connect
    clear(connect)


@pytest.fixture(scope="module")
def sql(settings: Settings) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Run statements, each a transaction, and return the rows of the last."""
    url = make_url(postgres.source(settings)).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:

        def run(*statements: str) -> list[tuple[Any, ...]]:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

        run("CREATE SCHEMA cdc_test")
        yield run


@pytest.fixture(scope="module")
def capture(settings: Settings, sql: Any) -> Capture:
    """Capture tables of the schema cdc_test beside what is captured already."""

    def take(*tables: str, resnapshot: bool = False, **keys: list[str]) -> Registered:
        before = connector.tables(register.worker(settings).config(NAME) or {})
        named = [f"cdc_test.{table}" for table in tables]
        wanted = Wanted([*before, *named], {f"cdc_test.{table}": columns for table, columns in keys.items()})
        return register.register(settings, wanted, quiet, resnapshot=resnapshot)

    return take


@pytest.fixture(scope="module")
def records(settings: Settings) -> Rows:
    """Return what is in the topic of a table once that is `count` records or more: key, value, headers."""

    def read(table: str, count: int) -> list[dict[str, Any]]:
        deadline, found = time.monotonic() + WITHIN, []
        while len(found) < count:
            assert time.monotonic() < deadline, f"{table}: {found}"
            try:
                found = browse.newest(settings.kafka_bootstrap, connector.topic(table), 10_000)
            except ConfigError:  # the topic is not there yet
                found = []
        return [
            {
                "key": json.loads(each.key) if each.key else None,
                "value": json.loads(each.value) if each.value else None,
                "headers": {name: json.loads(value) for name, value in each.headers},
            }
            for each in found
        ]

    return read


def after(found: list[dict[str, Any]], **key: Any) -> list[dict[str, Any]]:
    """The rows that a key was given, in turn."""
    return [each["value"]["after"] for each in found if each["key"] == key and each["value"]]


def millrace(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("millrace")
    command = [program, *arguments, "--home", str(settings.home)]
    return subprocess.run(command, capture_output=True, text=True, cwd=settings.home, check=False, timeout=300)


def test_the_tables_of_the_demo_are_captured_by_one_command_and_changes_of_them_arrive(
    settings: Settings, sql: Any, records: Rows
) -> None:
    done = millrace(settings, "cdc", "register", "--demo")
    assert done.returncode == 0 and "cdc.public.demo_table1" in done.stdout, done.stderr
    assert "RUNNING, task RUNNING, generation " in done.stderr
    sql("INSERT INTO demo_table1 VALUES (4, 'sample')", "UPDATE demo_table2 SET value = 'updated' WHERE id = 1")
    first = records("public.demo_table1", 4)
    assert [after(first, id=each) for each in range(1, 5)] == [
        [{"id": 1, "name": "first"}], [{"id": 2, "name": "second"}], [{"id": 3, "name": "third"}],
        [{"id": 4, "name": "sample"}],
    ]  # fmt: skip
    second = records("public.demo_table2", 2)
    assert after(second, id=1) == [{"id": 1, "value": "initial"}, {"id": 1, "value": "updated"}]
    assert [each["value"]["op"] for each in second] == ["r", "u"]
    assert {tuple(each["headers"]) for each in first + second} == {("generation",)}


def test_what_users_register_by_hand_is_what_runs(settings: Settings) -> None:
    """But for the generation, which is another where something was captured here before."""
    by_hand = json.loads((DOCKER / "postgres-cdc.json").read_text())
    running = register.worker(settings).config(NAME)
    assert running and by_hand["name"] == NAME
    number = f"transforms.{connector.HEADER}.value.literal"
    assert {**running, number: "1"} == {**by_hand["config"], "name": NAME, number: "1"}


def test_registered_again_nothing_changes(
    settings: Settings, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even what it is already is written again: its task would start anew."""
    worker = register.worker(settings)
    before = worker.config(NAME)
    monkeypatch.delattr(Connect, "put")
    done = capture()
    assert worker.config(NAME) == before and not done.added
    assert done.tables == ["public.demo_table1", "public.demo_table2"]


def test_a_connector_that_failed_is_made_right_again(
    settings: Settings, sql: Any, records: Rows, capture: Capture
) -> None:
    worker = register.worker(settings)
    right = worker.config(NAME) or {}
    worker.put(NAME, {**right, "publication.name": "nowhere", "publication.autocreate.mode": "disabled"})
    deadline = time.monotonic() + WITHIN
    while not ((status := worker.status(NAME)) and status.failed):
        assert time.monotonic() < deadline, status
    assert "Publication autocreation is disabled" in status.reason
    [finding] = [each for each in examine(settings.home) if each.subject == f"connector {NAME}"]
    assert not finding.good and status.reason in finding.found and "millrace cdc register" in finding.advice
    assert millrace(settings, "cdc", "lag").returncode == 1
    sql("INSERT INTO demo_table1 VALUES (5, 'meanwhile')")
    assert capture().status.running and worker.config(NAME) == right
    assert after(records("public.demo_table1", 5), id=5) == [{"id": 5, "name": "meanwhile"}]


def test_a_table_that_is_added_comes_with_its_rows_and_without_generated_columns(
    settings: Settings, sql: Any, records: Rows
) -> None:
    """An explicit NULL stays NULL beside a default, and a large value that an UPDATE leaves says so."""
    sql(
        "CREATE TABLE cdc_test.items (id bigint PRIMARY KEY, n numeric DEFAULT 1.5, big bytea,"
        " twice bigint GENERATED ALWAYS AS (id * 2) STORED)",
        "ALTER TABLE cdc_test.items ALTER big SET STORAGE EXTERNAL",
        "INSERT INTO cdc_test.items VALUES (9007199254740993, 'NaN'), (2, NULL)",
    )
    tables = "public.demo_table1,public.demo_table2,cdc_test.items"
    done = millrace(settings, "cdc", "register", "--tables", tables)
    assert done.returncode == 0 and "cdc_test.items" in done.stderr, done.stderr
    found = records("cdc_test.items", 2)
    assert after(found, id=9007199254740993) == [{"id": 9007199254740993, "n": "NAN", "big": None}]
    assert after(found, id=2) == [{"id": 2, "n": None, "big": None}]
    assert {each["value"]["op"] for each in found} == {"r"}
    sql(
        "INSERT INTO cdc_test.items VALUES (3, NULL, convert_to(repeat('x', 10000), 'UTF8'))",
        "UPDATE cdc_test.items SET n = 2.50 WHERE id = 3",
    )
    inserted, updated = after(records("cdc_test.items", 4), id=3)
    assert inserted["n"] is None and len(inserted["big"]) > 10_000
    assert updated == {"id": 3, "n": "2.50", "big": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}


def test_a_snapshot_of_one_table_while_its_changes_go_on(settings: Settings, sql: Any, records: Rows) -> None:
    """A column that was added a moment ago, without any change since, is in it."""
    sql("ALTER TABLE cdc_test.items ADD COLUMN late integer DEFAULT 7")
    before = len(records("cdc_test.items", 4))
    done = millrace(settings, "cdc", "snapshot", "cdc_test.items")
    assert done.returncode == 0 and "snapshot: 3 rows of cdc_test.items" in done.stderr, done.stderr
    found = records("cdc_test.items", before + 3)[before:]
    assert {each["key"]["id"] for each in found} == {2, 3, 9007199254740993}
    assert {each["value"]["after"]["late"] for each in found} == {7}
    assert {each["value"]["source"]["snapshot"] for each in found} == {"incremental"}


def test_a_snapshot_of_what_is_not_captured_is_refused(settings: Settings, sql: Any) -> None:
    sql("CREATE TABLE cdc_test.apart (id integer PRIMARY KEY)")
    with pytest.raises(ConfigError, match=r"cdc_test\.apart: not captured; .*register --tables .*,cdc_test\.apart"):
        snapshot.snapshot(settings, register.worker(settings), ["cdc_test.apart"], quiet)


def test_tables_without_a_key_are_told_before_anything_is_captured(settings: Settings, sql: Any) -> None:
    sql("CREATE TABLE cdc_test.loose (a integer NOT NULL)", "CREATE TABLE cdc_test.keyed (id integer PRIMARY KEY)")
    found = {each.subject: each for each in source.problems(postgres.source(settings), [])}
    assert "cdc_test.keyed" not in found and not found["cdc_test.loose"].fatal
    assert "PRIMARY KEY" in found["cdc_test.loose"].mend


def test_a_table_by_a_key_of_ones_own(settings: Settings, sql: Any, records: Rows, capture: Capture) -> None:
    sql("CREATE TABLE cdc_test.keyless (a integer NOT NULL, b text NOT NULL, v text)")
    with pytest.raises(ConfigError, match=r"nothing was changed(.|\n)*cdc_test\.keyless: it has no primary key"):
        capture("keyless")
    assert sql("UPDATE cdc_test.keyless SET v = 'w' RETURNING 1") == []  # it is not published, which would fail
    sql("CREATE UNIQUE INDEX ON cdc_test.keyless (a, b)", "ALTER TABLE cdc_test.keyless REPLICA IDENTITY FULL")
    capture("keyless", keyless=["a", "b"])
    sql("INSERT INTO cdc_test.keyless VALUES (1, 'x', 'y')", "DELETE FROM cdc_test.keyless")
    found = records("cdc_test.keyless", 3)
    assert [each["key"] for each in found] == [{"a": 1, "b": "x"}] * 3
    assert connector.keys(register.worker(settings).config(NAME) or {}) == {"cdc_test.keyless": ["a", "b"]}


def test_who_is_how_far_behind(settings: Settings, records: Rows) -> None:
    found = lag(settings, register.worker(settings))
    assert found.status and found.status.running and found.slot and found.slot.active
    assert found.seconds is not None and 0 < found.seconds < WITHIN and found.records is None
    offsets = settings.home / "checkpoints" / "cdc-test" / "offsets"
    offsets.mkdir(parents=True)
    try:
        table, topic = "public.demo_table2", "cdc.public.demo_table2"
        with browse.consumer(settings.kafka_bootstrap) as reader:
            ends = {str(place.partition): end for place, end in tail.ends(reader, topic).items()}
        for number, done in enumerate((dict.fromkeys(ends, 0), ends)):
            (offsets / str(number)).write_text(f'v1\n{{"batchWatermarkMs":0}}\n{json.dumps({topic: done})}')
            told = {row["what"]: row["found"] for row in lag(settings, register.worker(settings), probe=False).rows()}
            assert told[f"{table}: records the job has not read"] == str((1 - number) * sum(ends.values())) != ""
        assert sum(ends.values()) == len(records(table, 2))
    finally:
        shutil.rmtree(offsets.parent)


def test_all_rows_anew_are_of_the_next_generation(sql: Any, records: Rows, capture: Capture) -> None:
    before = len(records("public.demo_table1", 5))
    number = capture().generation
    done = capture(resnapshot=True)
    assert done.generation == number + 1
    found = records("public.demo_table1", before + 5)[before:]
    assert {each["key"]["id"] for each in found} == {1, 2, 3, 4, 5}
    assert {(each["value"]["op"], each["headers"]["generation"]) for each in found} == {("r", number + 1)}
    sql("DELETE FROM demo_table1 WHERE id = 5")
    *_, deleted, tombstone = records("public.demo_table1", before + 7)
    assert deleted["headers"] == tombstone["headers"] == {"generation": number + 1} and tombstone["value"] is None


def test_a_slot_that_is_gone_or_made_by_somebody_else_asks_for_all_rows_anew(
    settings: Settings, sql: Any, capture: Capture
) -> None:
    worker = register.worker(settings)
    deadline = time.monotonic() + WITHIN
    while not worker.offsets(NAME):
        assert time.monotonic() < deadline
    worker.stop(NAME)
    with postgres.connection(postgres.source(settings)) as connection:
        register.drop_slot(connection)
    gone = r"slot millrace_cdc is gone or another one, and changes with it: .*--resnapshot"
    with pytest.raises(ConfigError, match=gone):
        capture()
    sql(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
    with pytest.raises(ConfigError, match=gone):
        capture()
    assert capture(resnapshot=True).status.running


def test_unregistered_nothing_is_kept_and_registered_again_it_is_the_next_generation(
    settings: Settings, sql: Any, capture: Capture
) -> None:
    number = capture().generation
    assert millrace(settings, "cdc", "unregister").returncode == 0
    assert sql(f"SELECT FROM pg_replication_slots WHERE slot_name = '{SLOT}'") == []
    assert sql(f"SELECT FROM pg_publication WHERE pubname = '{PUBLICATION}'") == []
    assert register.worker(settings).config(NAME) is None
    with pytest.raises(ConfigError, match="nothing is captured yet: say --tables"):
        capture()
    wanted = Wanted(["public.demo_table1"])
    assert register.register(settings, wanted, quiet).generation == number + 1


def test_avro_is_what_clients_of_confluents_registry_read(
    settings: Settings, registry: Settings, sql: Any, capture: Capture
) -> None:
    """Where a NULL could be told from a default no longer, and in topics of its own."""
    register.unregister(settings, quiet)
    sql("CREATE TABLE cdc_test.typed (id integer PRIMARY KEY, n numeric DEFAULT 1, b bytea)")
    sql("INSERT INTO cdc_test.typed VALUES (1, NULL, '\\x00ff')")
    wanted = Wanted(["cdc_test.typed"], prefix="cdc-avro", avro=True)
    with pytest.raises(ConfigError, match=r"a NULL of n would be written .* ALTER COLUMN n DROP DEFAULT"):
        register.register(registry, wanted, quiet)
    with pytest.raises(ConfigError, match=r"MILLRACE_REGISTRY_URL is not set: .*millrace up registry"):
        register.register(registry.model_copy(update={"registry_url": None}), wanted, quiet)
    sql("ALTER TABLE cdc_test.typed ALTER n DROP DEFAULT")
    [topic] = register.register(registry, wanted, quiet).topics
    deadline, found = time.monotonic() + WITHIN, []
    while not found:
        assert time.monotonic() < deadline
        with suppress(ConfigError):
            found = browse.newest(registry.kafka_bootstrap, topic, 1)
    for data, name in ((found[0].key, "Key"), (found[0].value, "Envelope")):
        magic, number = struct.unpack(">bI", data[:5])
        schema = httpx.get(f"{registry.registry_url}/schemas/ids/{number}", trust_env=False).json()["schema"]
        assert magic == 0 and json.loads(schema)["name"] == name
    assert found[0].key[5:] == b"\x02" and b"\x02\x00\x02\x04\x00\xff" in found[0].value  # 1; NULL, then two bytes
    with pytest.raises(ConfigError, match=r"the topics cdc-avro\.\* hold the other one; --prefix"):
        register.register(registry, Wanted(avro=False), quiet)
    assert register.register(registry, Wanted(), quiet).status.running


TABLES = """
CREATE TABLE cdc_test.bare (v text);
CREATE TABLE cdc_test.deferred (id integer CONSTRAINT late PRIMARY KEY DEFERRABLE);
CREATE TABLE cdc_test.nothing (id integer PRIMARY KEY); ALTER TABLE cdc_test.nothing REPLICA IDENTITY NOTHING;
CREATE TABLE cdc_test.other (id integer PRIMARY KEY, u integer NOT NULL UNIQUE);
ALTER TABLE cdc_test.other REPLICA IDENTITY USING INDEX other_u_key;
CREATE UNLOGGED TABLE cdc_test.unlogged (id integer PRIMARY KEY);
CREATE TABLE cdc_test.large (id integer PRIMARY KEY, v boolean[]);
CREATE TABLE cdc_test."Odd name" (id integer PRIMARY KEY, v varbit);
"""


def test_the_statements_mend_what_they_stand_beside(settings: Settings, sql: Any) -> None:
    """Each that is fatal, until nothing is left; and the UPDATE that failed for a published table no longer does."""
    sql(TABLES)
    tables = [f"cdc_test.{name}" for name in
              ("bare", "deferred", "nothing", "other", "unlogged", "large", "Odd name")]  # fmt: skip
    found = [each for each in source.problems(postgres.source(settings), tables) if each.fatal]
    assert {each.subject for each in found} == set(tables)
    sql("INSERT INTO cdc_test.deferred VALUES (1)", "CREATE PUBLICATION cdc_test FOR TABLE cdc_test.deferred")
    try:
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            sql("UPDATE cdc_test.deferred SET id = 2")
        for each in found:
            sql(each.mend)
        sql("UPDATE cdc_test.deferred SET id = 2")
    finally:
        sql("DROP PUBLICATION cdc_test")
    assert [each for each in source.problems(postgres.source(settings), tables) if each.fatal] == []


def test_a_role_that_may_not_is_told_what_to_grant(settings: Settings, sql: Any) -> None:
    sql(
        "CREATE ROLE cdc_reader LOGIN PASSWORD 'hunter2'",
        "CREATE TABLE cdc_test.guarded (id integer PRIMARY KEY)",
        "ALTER TABLE cdc_test.guarded ENABLE ROW LEVEL SECURITY",
    )
    url = make_url(postgres.source(settings)).set(username="cdc_reader", password="hunter2")
    reader = url.render_as_string(hide_password=False)
    try:
        for _ in range(4):  # what cannot be seen before something else is granted comes next
            found = [each for each in source.problems(reader, ["cdc_test.guarded"]) if each.fatal]
            mends = [each.mend.removeprefix("as its owner, ") for each in found]
            for mend in mends:
                sql(mend)
            if not mends:
                break
        assert not found
        readable = "has_table_privilege('cdc_reader', 'cdc_test.guarded', 'SELECT')"
        assert sql(f"SELECT rolreplication, rolbypassrls, {readable} FROM pg_roles WHERE rolname = 'cdc_reader'") == [
            (True, True, True)
        ]
    finally:
        sql("DROP OWNED BY cdc_reader", "DROP ROLE cdc_reader")


def test_settings_that_are_missing_are_named(tmp_path: Path) -> None:
    bare = config.load(home=tmp_path)
    with pytest.raises(ConfigError, match=r"MILLRACE_CONNECT_URL is not set: .*millrace up connect"):
        register.worker(bare)
    with pytest.raises(ConfigError, match="MILLRACE_CDC_SOURCE_URL is not set"):
        postgres.source(bare)


def test_the_worker_is_told_no_variable_but_those_that_connectors_may_name(settings: Settings) -> None:
    """Another stays as it is written, and so is no way to what the worker's environment holds."""
    worker = register.worker(settings)
    with pytest.raises(ConfigError, match=r"\$\{env:PATH\}") as caught:
        worker.create("cdc-test-env", {**connector.config(["public.demo_table1"]), "database.hostname": "${env:PATH}"})
    assert "/usr/bin" not in str(caught.value) and worker.config("cdc-test-env") is None


def test_topics_keep_everything_and_take_large_records(settings: Settings) -> None:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    try:
        wanted = ConfigResource(ConfigResourceType.TOPIC, "cdc.public.demo_table1")
        found = str(admin.describe_configs([wanted]))
    finally:
        admin.close()
    assert "'retention.ms'" in found and "'-1'" in found and str(connector.LARGEST) in found
