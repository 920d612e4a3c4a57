"""What end-to-end and fault tests share: child processes, foreign posts with their right answer, what stores hold."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from pymongo.collection import Collection
from sqlalchemy import delete, select, text
from websockets.sync.server import ServerConnection, serve

from millrace import stack
from millrace.applications import application
from millrace.applications.registry import JOBS
from millrace.config import Settings
from millrace.kafka import topics
from millrace.kafka.results import HASHTAG_COUNTS
from millrace.sinks.clickhouse import client as clickhouse
from millrace.sinks.clickhouse import reader as clickhouse_reader
from millrace.sinks.clickhouse import tables as clickhouse_tables
from millrace.sinks.mongodb import cluster
from millrace.sinks.sql import database, tables

Counts = Counter[tuple[datetime, str]]  # posts by window start and hashtag
MINUTE = timedelta(minutes=1)
RECORDED = Path(__file__).parents[2] / "shared" / "data" / "bluesky-frames.jsonl"  # real frames, where they are at hand
TAGS = ("cat", "café", "cafe", "猫", "🐈", "مرحبا", "news", "x'); drop table t;--")


def wait(condition: Callable[[], object], what: str, child: "Child | None" = None, deadline: float = 90) -> None:
    """Return once `condition` holds; fail with the child's log when it has ended or time is up."""
    end = time.monotonic() + deadline
    while not condition():
        over = time.monotonic() > end or (child and child.process.poll() is not None)
        assert not over, f"no {what} within {deadline} s\n{child.text()[-6000:] if child else ''}"
        time.sleep(0.1)  # the pace of looking, not a wait for something to be done


class Child:
    """`millrace ARGUMENTS` in a process group of its own; standard output and error are in `out` and `log`."""

    def __init__(self, folder: Path, *arguments: str, command: list[str] | None = None, **env: str) -> None:
        name = f"{arguments[0]}-{time.monotonic_ns()}"
        self.out, self.log = folder / f"{name}.out", folder / f"{name}.log"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command or [sys.executable, "-m", "millrace", *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **env},
            )  # fmt: skip

    def text(self) -> str:
        """Return all that it said; spark-submit hands a job's standard error on as standard output."""
        return "\n".join(path.read_text(errors="replace") for path in (self.log, self.out))

    def says(self, words: str, deadline: float = 90) -> None:
        wait(lambda: words in self.text(), repr(words), self, deadline)

    def ends(self, deadline: float = 120) -> int:
        return self.process.wait(deadline)

    def stop(self, number: int = signal.SIGTERM, deadline: float = 30) -> int:
        """Return the exit code after a signal to the process itself."""
        self.process.send_signal(number)
        return self.ends(deadline)

    def tree(self) -> list[psutil.Process]:
        return family(self.process.pid)

    def command_lines(self) -> list[str]:
        """Return what `ps` shows of it and its children."""
        return [" ".join(words) for words in each_of(self.tree(), psutil.Process.cmdline)]

    def memory(self) -> int:
        """Return resident bytes, with children."""
        return sum(info.rss for info in each_of(self.tree(), psutil.Process.memory_info))

    def kill(self) -> None:
        """End it and everything that it started as a power cut would."""
        tree = self.tree()
        list(each_of(tree, psutil.Process.kill))
        self.process.wait()
        psutil.wait_procs(tree, 30)


def alive(family: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that run; one that ended stays in the table where process 1 does not reap it, as in containers."""

    def runs(each: psutil.Process) -> bool:
        return bool(each.is_running() and each.status() != psutil.STATUS_ZOMBIE)

    return [each for each in family if any(each_of([each], runs))]


def family(pid: int) -> list[psutil.Process]:
    """Return a process and its children, and theirs; nothing where it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def each_of(processes: Iterable[psutil.Process], look: Callable[[psutil.Process], Any]) -> Iterator[Any]:
    """Yield what `look` finds at each process that has not ended since."""
    for process in processes:
        with suppress(psutil.Error):
            yield look(process)


class Job(Child):
    """`millrace run NAME` as its users start it; `state()` is what it last told in <home>/run/<name>.json."""

    def __init__(self, name: str, settings: Settings, home: Path, *arguments: str, **env: str) -> None:
        self.run_file = home / "run" / f"{name}.json"
        self.run_file.unlink(missing_ok=True)
        known = environment(settings) | {"MILLRACE_HOME": str(home)} | env
        super().__init__(home, "run", name, "--cores", "2", *arguments, **known)

    def state(self) -> dict[str, Any]:
        return json.loads(self.run_file.read_text()) if self.run_file.exists() else {}

    def has_read(self, records: int, deadline: float = 120) -> None:
        """Wait until it has read so many records since it started."""
        wait(lambda: self.state().get("records", 0) >= records, f"{records} records read", self, deadline)


def environment(settings: Settings) -> dict[str, str]:
    """The settings as variables, for children whose home is another."""
    secrets = {
        "MILLRACE_POSTGRES_URL": settings.postgres_url,
        "MILLRACE_MYSQL_URL": settings.mysql_url,
        "MILLRACE_ELASTICSEARCH_URL": settings.elasticsearch_url,
        "MILLRACE_MONGODB_URL": settings.mongodb_url,
        "MILLRACE_CLICKHOUSE_URL": settings.clickhouse_url,
    }
    known = {key: value.get_secret_value() for key, value in secrets.items() if value}
    return {"MILLRACE_KAFKA_BOOTSTRAP": settings.kafka_bootstrap, **known}


def run_job(name: str, *arguments: str) -> None:
    """Run a job in this process, on the test's Spark session; its errors come out as exceptions."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        application.run(JOBS[name], arguments)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def window(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


@dataclass
class Posts:
    """Posts of a foreign producer, from `start` on one after another, and what is right to count of them."""

    start: datetime
    seed: int = 1
    per_second: float = 20.0  # of event time
    right: Counts = field(default_factory=Counter)
    made: int = 0

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.run = uuid.uuid4().hex[:8]

    def take(self, count: int) -> list[tuple[bytes, int]]:
        """Return the next (value, timestamp in milliseconds)."""
        return [self.one() for _ in range(count)]

    def one(self, moment: datetime | None = None, counted: bool = True) -> tuple[bytes, int]:
        moment = moment or self.start + timedelta(seconds=self.made / self.per_second)
        tags = sorted({self.draw.choice(TAGS) for _ in range(self.draw.randint(0, 3))})
        operation = self.draw.choices(("create", "update", "delete"), (8, 1, 1))[0]
        self.made += 1
        if counted and operation == "create":
            self.right.update((window(moment), tag) for tag in tags)
        return post(f"{self.run}/{self.made}", moment, tags, operation), round(moment.timestamp() * 1000)


def post(name: str, moment: datetime, hashtags: list[str], operation: str = "create") -> bytes:
    fields = {"id": f"at://{name}", "event_id": name, "source": "bluesky", "operation": operation}
    return json.dumps(fields | {"event_time": moment.isoformat(), "hashtags": hashtags}).encode()


@contextmanager
def producer(bootstrap: str, **options: Any) -> Iterator[KafkaProducer]:
    made = KafkaProducer(bootstrap_servers=bootstrap, acks="all", **options)
    try:
        yield made
    finally:
        made.close()


def send(bootstrap: str, topic: str, records: list[tuple[bytes | None, int]]) -> None:
    """Write (value, milliseconds) and return when all are stored; raises the broker's refusal."""
    with producer(bootstrap) as writer:
        sent = [
            writer.send(topic, value, key=str(number).encode(), timestamp_ms=at)
            for number, (value, at) in enumerate(records)
        ]
        writer.flush()
        for each in sent:
            each.get(30)


def new_topic(bootstrap: str, partitions: int = 3, **config: str) -> str:
    """Create a topic as millrace creates its own."""
    usual = topics.Topic(f"foreign-{uuid.uuid4().hex[:8]}", key="id", schema="post.v1")
    usual.config.update({key.replace("_", "."): value for key, value in config.items()})
    topics.create(bootstrap, [usual], partitions)
    return usual.name


def truncate(bootstrap: str, topic: str, before: dict[int, int] | None = None) -> None:
    """Remove records as retention would, up to `before` (offset by partition) or all."""
    with reader(bootstrap) as consumer:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = consumer.end_offsets(places)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_records({p: before.get(p.partition, 0) if before else end for p, end in ends.items()})
    admin.close()


@contextmanager
def reader(bootstrap: str) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    try:
        yield consumer
    finally:
        consumer.close()


def records(bootstrap: str, topic: str) -> list[Any]:
    """Return all committed records of a topic."""
    with reader(bootstrap) as consumer:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends, found = consumer.end_offsets(places), []
        while any(consumer.position(place) < ends[place] for place in places):
            found += [record for batch in consumer.poll(200).values() for record in batch]
    return found


def clear(*urls: str) -> None:
    """Leave the tables, and the collection, empty."""
    for url in urls:
        if url.startswith("mongodb"):
            _collection(url).drop()
            continue
        if url.startswith("http"):
            clickhouse_tables.create(url, HASHTAG_COUNTS)
            clickhouse.connect(url).command(f"TRUNCATE TABLE {clickhouse_tables.storage(HASHTAG_COUNTS)}")
            continue
        tables.create(url)
        engine = database.connect(url)
        with engine.begin() as connection:
            connection.execute(delete(tables.hashtag_counts))
        engine.dispose()


def stored(url: str, since: datetime | None = None) -> Counts:
    """Return the table hashtag_counts, from `since` on; every key is there once and its window a minute."""
    rows = _rows(url)
    assert all(row.window_end - row.window_start == MINUTE and row.source == "bluesky" for row in rows)
    found = {(row.window_start.astimezone(UTC), row.hashtag): row.posts for row in rows}
    assert len(found) == len(rows)
    return Counter({key: posts for key, posts in found.items() if since is None or key[0] >= since})


def _rows(url: str) -> Sequence[Any]:
    if url.startswith("mongodb"):
        return [SimpleNamespace(**each) for each in _collection(url).find()]
    if url.startswith("http"):
        return [SimpleNamespace(**each) for each in clickhouse_reader.rows(url, HASHTAG_COUNTS)]
    engine = database.connect(url)
    with engine.connect() as connection:
        rows = connection.execute(select(tables.hashtag_counts)).all()
    engine.dispose()
    return rows


def _collection(url: str) -> Collection[dict[str, Any]]:
    return cluster.collection(url, HASHTAG_COUNTS.documents)


def execute(url: str, *statements: str) -> None:
    """Execute statements of an administrator, each by itself."""
    engine = database.connect(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            with database.errors(engine.url):
                connection.execute(text(statement))
    engine.dispose()


def now() -> datetime:
    return datetime.now(UTC)


def sqlite(home: Path) -> str:
    return f"sqlite:///{home / 'millrace.db'}"


def pid_of(server: str, settings: Settings) -> int:
    return next(line.pid for line in stack.status(settings) if line.name == server and line.pid)


def fill(filler: Path) -> None:
    """Take what space is left on the disk of `filler`."""
    with filler.open("wb", buffering=0) as out, suppress(OSError):
        while out.write(b"x" * 4096):
            pass


@contextmanager
def serving(messages: list[bytes]) -> Iterator[str]:
    """Serve text messages to every client that connects, then stay silent."""

    def handle(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message, text=True)
        for _ in connection:
            pass

    with serve(handle, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def skip_without_pydoop(request: pytest.FixtureRequest) -> None:
    """Skip a test of the single file on HDFS where pydoop is not built."""
    if "single_file" in request.node.name and not importlib.util.find_spec("pydoop"):
        pytest.skip("pydoop is not built")
