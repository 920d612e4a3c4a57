"""How a copy stands, asked of real servers: PostgreSQL, Kafka Connect, Kafka and ClickHouse."""

import json
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from tests.live.test_cdc_source import clear, quiet
from tests.support import wait

from millrace.cdc import connector, demo, postgres, register, state, stream
from millrace.cdc.catalog import connect as catalog
from millrace.cdc.connector import DEMO, PUBLICATION
from millrace.cdc.follow import Choice, Following
from millrace.config import Settings
from millrace.kafka import browse
from millrace.sinks.clickhouse import client

ONE, TWO = DEMO


@pytest.fixture(scope="module")
def settings(connect: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Those of `connect`, whose small tables are captured; ClickHouse has them, empty, and no job has begun."""
    clear(connect)
    demo.seed(postgres.source(connect))
    register.register(connect, register.Wanted(DEMO), quiet)
    server = client.connect(connect.clickhouse)
    for name in ("demo_table1", "demo_table2"):  # of an earlier run
        server.command(f"DROP VIEW IF EXISTS {name}")
        for part in ("cdc", "toast", "moved"):
            server.command(f"DROP TABLE IF EXISTS {name}__{part}")
        server.command(f"DROP VIEW IF EXISTS {name}__lacking")
    source = catalog(postgres.source(connect))
    Following(source, connect.clickhouse, Choice(DEMO)).begin()
    source.dispose()
    home = tmp_path_factory.mktemp("replication")
    (home / "run").mkdir()
    yield connect.model_copy(update={"home": home, "clickhouse_url": SecretStr(connect.clickhouse)})
    clear(connect)


def tell(settings: Settings) -> None:
    """Let a job tell that it has read all that there is."""
    topics = [connector.topic(table) for table in DEMO]
    with browse.consumer(settings.kafka_bootstrap) as reader:
        places = [place for topic in topics for place in browse._partitions(reader, topic)]
        ends = reader.end_offsets(places)
    done: dict[str, dict[str, int]] = {topic: {} for topic in topics}
    for place, end in ends.items():
        done[place.topic][str(place.partition)] = end
    (settings.home / "run" / "cdc.json").write_text(json.dumps({"job": "cdc", "end_offsets": done}))


def test_what_nobody_reads_grows_old_until_a_job_has_read_it(settings: Settings) -> None:
    def unread() -> list[int]:
        topics = {table: connector.topic(table) for table in DEMO}
        found = stream.flows(settings.kafka_bootstrap, topics, stream.read_to(settings.home))
        return [found[table].unread for table in DEMO if table in found]

    wait(lambda: unread() == [3, 1], "snapshot in Kafka")
    found = state.look(settings)
    one, two = found.copies
    assert (one.table, two.table) == DEMO
    assert (one.source, one.target, two.source, two.target) == ((3, True), (0, True), (1, True), (0, True))
    assert one.changed_at is None and one.changes and one.behind and found.behind == max(one.behind, two.behind or 0)
    assert found.connector and found.connector.running and found.slot and found.slot.active
    assert [each.what for each in found.wrong] == ["the job cdc has not told anything yet"]
    tell(settings)
    with postgres.connection(postgres.source(settings)) as source:
        source.execute(b"DELETE FROM demo_table1 WHERE id = 3")
    wait(lambda: unread() == [2, 0], "change and tombstone in Kafka")
    one, two = state.look(settings).copies
    assert one.source == (2, True) and one.behind and two.behind == 0.0
    tell(settings)
    found = state.look(settings)
    assert found.behind == 0.0 and not found.wrong


def test_rows_that_lack_large_values_are_said(settings: Settings) -> None:
    tell(settings)
    server = client.connect(settings.clickhouse)
    server.command("INSERT INTO demo_table1__cdc (id, _version, _unavailable) VALUES (9, 1, ['name'])")
    [wrong] = state.look(settings).wrong
    assert wrong.what == f"{ONE}: rows without large values that no change carried: 1"
    assert wrong.mend == f"millrace cdc snapshot {ONE}"
    server.command("DELETE FROM demo_table1__cdc WHERE id = 9")
    assert not state.look(settings).wrong


def test_a_connector_that_waits_is_said_and_nobody_knows_how_far_behind_it_is(settings: Settings) -> None:
    tell(settings)
    worker = register.worker(settings)
    worker.pause(connector.NAME)
    wait(lambda: not state.look(settings).connector.running, "pause")  # type: ignore[union-attr]
    found = state.look(settings)
    assert found.behind is None
    assert [each.mend for each in found.wrong] == ["millrace cdc register"]
    worker.resume(connector.NAME)


def test_a_table_that_the_publication_lost_is_said(settings: Settings) -> None:
    tell(settings)
    wait(lambda: not state.look(settings).wrong, "connector that runs")
    with postgres.connection(postgres.source(settings)) as source:
        source.execute(f"ALTER PUBLICATION {PUBLICATION} DROP TABLE demo_table2".encode())
    [wrong] = state.look(settings).wrong
    assert wrong.what == f"the publication {PUBLICATION} lacks {TWO}"
