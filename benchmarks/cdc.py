"""Changes a second from Kafka into ClickHouse, seconds behind the source at 1,000 changes a second, the view's price.

The local server is chDB, on the same cores as Spark. Beside the sink stands one bare insert of the same values in one
block, which is all that ClickHouse itself asks for.
"""

import json
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import psycopg
from confluent_kafka import Producer

from benchmarks import fill, mill, submit
from benchmarks.report import Figure, number, percentile, ratio
from millrace.config import Settings
from millrace.kafka.topics import KEEP_FOREVER, Topic, create
from millrace.sinks.clickhouse import client

NAME = "cdc"
GOAL = 20_000  # changes a second in the sink
BEHIND = {0.5: 2.0, 0.99: 5.0}  # seconds
RATE, PROBES = 1_000, 10  # changes and probes a second
WARM_UP, LAST, LOOK = 30, 30, 0.05  # seconds
BATCHES = 10
TABLE = "public.items"
COLUMNS = (
    "id bigint PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, day date, flag boolean, n int, note text"
)
PLAIN = (
    "CREATE TABLE {} (id Int64, name Nullable(String), amount Nullable(Decimal(12, 2)),"
    " at Nullable(DateTime64(6, 'UTC')), day Nullable(Date32), flag Nullable(Bool), n Nullable(Int32),"
    " note Nullable(String)) ENGINE = {} ORDER BY id"
)


def measure(changes: int, seconds: int, rows: int) -> Iterator[Figure]:
    """Yield the sink's changes/s beside a bare insert, seconds behind the source, and what the view costs."""
    with mill.servers("kafka", "postgres", "clickhouse") as settings:
        _source(settings, f"CREATE TABLE items ({COLUMNS})")
        _source(settings, "ALTER TABLE items REPLICA IDENTITY FULL")
        yield from sink(settings, changes)
        yield view(settings, rows)
    with mill.servers("connect", "postgres", "clickhouse") as settings:
        yield from behind(settings, seconds)


def sink(settings: Settings, changes: int) -> Iterator[Figure]:
    """Yield the steady changes/s of the job over a topic of `changes`, half of them updates and deletes."""
    topic, keys = f"cdc.{TABLE}", changes // 2
    create(settings.kafka_bootstrap, [Topic(topic, "id", "Debezium", KEEP_FOREVER)], 3)
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, **fill.SETTINGS})
    with fill.bar("changes into Kafka", changes) as progress:
        for number_ in range(changes):
            producer.produce(topic, envelope(number_, keys), str(number_ % keys).encode(), headers={"generation": b"1"})
            if number_ % fill.STEP == 0:
                producer.poll(0.1)
                progress.update(progress.task_ids[0], completed=number_)
        producer.flush()
    log = settings.home / "logs" / "cdc.log"
    most = str(changes // BATCHES + BATCHES)
    run = submit.run(submit.ours("cdc", "--tables", TABLE, "--once", "--max-offsets", most), log, {})
    server = client.connect(settings.clickhouse)
    bare = _bare(settings, changes)
    alive = server.query("SELECT count() FROM items").result_rows[0][0]
    expected = sum(number_ % 10 != 0 for number_ in range(keys, changes))
    note = f"one bare block of as many rows {number(bare)} rows/s"
    yield Figure(NAME, "merged, from Kafka", run.steady, "changes/s", f">= {GOAL:,}", run.steady >= GOAL, note)
    yield Figure(NAME, "rows that are there", float(alive), "", f"{expected:,}", alive == expected)


def envelope(place: int, keys: int) -> bytes:
    """Return change number `place`: every key once, then again; of the second ones each tenth is a delete."""
    key = place % keys
    row: dict[str, Any] = {
        "id": key, "name": f"item {key}", "amount": f"{place % 10_000}.{place % 100:02}",
        "at": "2026-11-28T12:00:00.123456Z", "day": 20_000 + place % 500, "flag": place % 2 == 0, "n": place % 1000,
        "note": "as it was said when it was said " * 2,
    }  # fmt: skip
    operation = "c" if place < keys else "d" if place % 10 == 0 else "u"
    source = {"schema": "public", "table": "items", "lsn": place + 1, "sequence": f'["{place}","{place + 1}"]',
              "snapshot": "false", "ts_us": 1_795_000_000_000_000 + place}  # fmt: skip
    before, after = (row, None) if operation == "d" else (None, row)
    return json.dumps({"before": before, "after": after, "op": operation, "source": source}).encode()


def _bare(settings: Settings, rows: int) -> float:
    """Return rows/s of one insert of one block into a plain table, by the client alone."""
    server = client.connect(settings.clickhouse)
    server.command(PLAIN.format("bare", "MergeTree"))
    block = server.query_arrow(f"SELECT id, name, amount, at, day, flag, n, note FROM items__cdc LIMIT {rows}")
    began = time.monotonic()
    server.insert_arrow("bare", block)
    return len(block) / (time.monotonic() - began)


def view(settings: Settings, rows: int) -> Figure:
    """Return the time of a sum over the view, a tenth of whose rows are gone, beside that over a plain table."""
    server = client.connect(settings.clickhouse)
    values = "number, 'name', number % 1000, now64(6), today(), true, number % 10, 'note' FROM numbers({})"
    server.command("TRUNCATE TABLE items__cdc")
    for version, gone in ((1 << 100, "0"), (2 << 100, "number % 10 = 0")):
        server.command(
            f"INSERT INTO items__cdc (id, name, amount, at, day, flag, n, note, _version, _deleted) SELECT"
            f" {values.partition(' FROM')[0]}, toUInt128('{version}') + number, {gone} FROM numbers({rows})"
            f" WHERE {gone} OR {version == 1 << 100}"
        )
    server.command(PLAIN.format("plain", "MergeTree"))
    server.command(f"INSERT INTO plain SELECT {values.format(rows)} WHERE number % 10 != 0")
    taken: dict[str, list[float]] = {"items": [], "plain": []}
    for _ in range(7):
        for name, times in taken.items():
            began = time.monotonic()
            server.query(f"SELECT n, sum(amount), count() FROM {name} GROUP BY n ORDER BY n")
            times.append(1000 * (time.monotonic() - began))
    ours, plain = (median(times) for times in taken.values())
    return Figure(NAME, f"sum over the view, {rows:,} rows", ours, "ms", note=f"plain table {number(plain)} ms,"
                  f" {ratio(ours, plain):.1f}x")  # fmt: skip


def behind(settings: Settings, seconds: int) -> Iterator[Figure]:
    """Yield how many seconds after its commit a change is seen in ClickHouse, while 1,000 a second pass."""
    filled = "INSERT INTO items SELECT i, 'name', i, now(), now(), true, 1, 'note' FROM generate_series(1, 10000) i"
    _source(settings, f"CREATE TABLE items ({COLUMNS})", "CREATE TABLE probes (id int PRIMARY KEY)", filled)
    names = f"{TABLE},public.probes"
    log = settings.home / "logs" / "cdc.log"
    with mill.process(
        mill.millrace("cdc", "register", "--tables", names), settings.home / "logs" / "register.log"
    ) as it:
        it.wait()
    with mill.process(
        mill.millrace("run", "cdc", "--tables", names, "--trigger", "1s", "--log-format", "json"), log
    ) as job:
        mill.wait_for(job, log, lambda: mill.progress(settings, "cdc").get("batch_id"))
        made = _changes(settings, WARM_UP + seconds)
        seen = made.pop("seen")
    begin = min(made["made"].values()) + WARM_UP
    late = [seen[n] - at for n, at in made["made"].items() if at >= begin and n in seen]
    wanted = sum(at >= begin for at in made["made"].values())
    for share, goal in BEHIND.items():
        value = percentile(late, share)
        note = f"{len(late):,} of {wanted:,} probes seen; {made['rate']:,.0f} changes/s"
        yield Figure(NAME, f"behind the source: p{share * 100:.0f}", value, "s", f"<= {goal}", value <= goal, note)


def _changes(settings: Settings, seconds: int) -> dict[str, Any]:
    """Change rows for `seconds`, note when each probe was committed, and when ClickHouse had it."""
    made: dict[int, float] = {}
    seen: dict[int, float] = {}
    server = client.connect(settings.clickhouse)
    done, began, looked = 0, time.time(), 0.0
    with (
        psycopg.connect(_address(settings), autocommit=True) as source,
        fill.bar("probes", seconds * PROBES) as progress,
    ):
        while len(seen) < seconds * PROBES and time.time() < began + seconds + LAST:
            due = int(min(time.time() - began, seconds) * PROBES)
            for probe in range(len(made), due):
                source.execute(
                    "UPDATE items SET n = n + 1, at = now() WHERE id IN (SELECT 1 + (random() * 9999)::int"
                    f" FROM generate_series(1, {RATE // PROBES}))"
                )
                source.execute("INSERT INTO probes VALUES (%s)", [probe])
                made[probe] = time.time()
                done += RATE // PROBES + 1
            if time.time() > looked + LOOK:
                found = {row[0] for row in server.query("SELECT id FROM probes").result_rows}
                looked = time.time()
                seen |= dict.fromkeys(found - seen.keys(), looked)
                progress.update(progress.task_ids[0], completed=len(seen))
            time.sleep(LOOK / 5)
    return {"made": made, "seen": seen, "rate": done / max(seconds, 1)}


def _address(settings: Settings) -> str:
    return str(settings.cdc_source).replace("+psycopg", "")


def _source(settings: Settings, *statements: str) -> None:
    with psycopg.connect(_address(settings), autocommit=True) as source:
        for statement in statements:
            source.execute(statement.encode())
