"""The local servers end to end, through the commands that people type."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from operator import methodcaller
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import sqlalchemy
from elasticsearch import BadRequestError
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from sqlalchemy.pool import NullPool
from tests.support import alive, each_of, family, wait

from millrace import config, stack
from millrace.archive import files
from millrace.config import Settings
from millrace.kafka.results import TOPICS
from millrace.sinks.clickhouse import client as clickhouse
from millrace.sinks.elasticsearch import cluster
from millrace.sinks.mongodb import cluster as mongodb
from millrace.stack import accounts, hdfs_nodes, process, servers
from millrace.stack.hdfs import DATANODE, HDFS, NAMENODE
from millrace.stack.mariadb import MARIADB
from millrace.stack.process import Launch

# Kafka Connect and the registry have tests of their own, with changes to carry (test_cdc_source.py), and so has Ollama,
# which cannot be built everywhere (test_ollama.py).
NAMES = ["kafka", "postgres", "mysql", "elasticsearch", "hdfs", "mongodb", "clickhouse"]
TEXT = "café ☕ 😀 ' \\ %s"


@pytest.fixture(scope="module")
def own_home() -> Iterator[Path]:
    """A home of this module's own, for it kills and stops servers."""
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        try:
            yield Path(folder)
        finally:
            stack.down(config.load(home=folder), data=True)


@pytest.fixture
def running(own_home: Path) -> Settings:
    """All servers run; whichever does not is started."""
    stack.up(NAMES, config.load(home=own_home))
    return config.load(home=own_home)


def millrace(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, outside the project, and return what it said."""
    program = Path(sys.executable).with_name("millrace")
    command = [program, *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, cwd=home, check=False, timeout=300)


def query(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run the statements in one transaction and return the rows of the last."""
    with sqlalchemy.create_engine(url, poolclass=NullPool).begin() as connection:
        for statement in statements:
            result = connection.execute(sqlalchemy.text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []


def produce(bootstrap: str, value: bytes, **options: object) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    try:
        producer.send("gaps", value, **options).get(timeout=30)
    finally:
        producer.close()


def values(bootstrap: str) -> list[bytes]:
    """Return the values of topic gaps, which has one partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    try:
        partition = TopicPartition("gaps", 0)
        consumer.assign([partition])
        end = consumer.end_offsets([partition])[partition]
        found: list[bytes] = []
        deadline = time.monotonic() + 60
        while consumer.position(partition) < end:
            assert time.monotonic() < deadline, "not in time"
            found += [record.value for batch in consumer.poll(500).values() for record in batch]
        return found
    finally:
        consumer.close()


def pids(home: Path) -> dict[str, int]:
    return {row.name: row.pid for row in stack.status(config.load(home=home)) if row.pid}


def test_up_starts_all_and_says_where(own_home: Path) -> None:
    done = millrace("up", *NAMES, home=own_home)
    assert done.returncode == 0, done.stderr
    rows = {row.name: row for row in stack.status(config.load(home=own_home))}
    for row in map(rows.__getitem__, NAMES):
        assert row.ready and row.pid and row.memory and row.memory > 10_000_000
        assert f"{row.name}: ready on 127.0.0.1:{row.port}" in done.stderr
    env = own_home / "servers.env"
    assert env.stat().st_mode & 0o777 == 0o600
    assert {line.partition("=")[0] for line in env.read_text().splitlines()} == {
        "MILLRACE_KAFKA_BOOTSTRAP",
        "MILLRACE_POSTGRES_URL",
        "MILLRACE_MYSQL_URL",
        "MILLRACE_ELASTICSEARCH_URL",
        "MILLRACE_ARCHIVE_URL",
        "MILLRACE_WEBHDFS_URL",
        "MILLRACE_MONGODB_URL",
        "MILLRACE_CLICKHOUSE_URL",
    }


def test_up_again_finds_what_runs(running: Settings, own_home: Path) -> None:
    before, env = pids(own_home), (own_home / "servers.env").read_text()
    done = millrace("up", *NAMES, home=own_home)
    assert done.returncode == 0 and done.stderr.count("runs already on") == len(NAMES)
    assert pids(own_home) == before and (own_home / "servers.env").read_text() == env


def test_status_shows_a_row_for_each_on_stdout(running: Settings, own_home: Path) -> None:
    done = millrace("status", home=own_home)
    assert done.returncode == 0
    for name, pid in pids(own_home).items():
        [line] = [line for line in done.stdout.splitlines() if name in line]
        assert str(pid) in line and "yes" in line and " MB" in line


def test_nothing_listens_beyond_the_loopback_address(running: Settings, own_home: Path) -> None:
    found, connections = set(), methodcaller("net_connections", "inet")
    for name, pid in pids(own_home).items():
        for connection in chain.from_iterable(each_of(family(pid), connections)):
            if connection.status == psutil.CONN_LISTEN:
                found.add(name)
                assert connection.laddr.ip in ("127.0.0.1", "::ffff:127.0.0.1"), (name, connection)
    assert found == set(NAMES)


def test_kafka_has_the_topics_and_keeps_what_is_sent(running: Settings) -> None:
    admin = KafkaAdminClient(bootstrap_servers=running.kafka_bootstrap)
    try:
        assert set(TOPICS) <= set(admin.list_topics())
    finally:
        admin.close()
    produce(running.kafka_bootstrap, TEXT.encode())
    assert TEXT.encode() in values(running.kafka_bootstrap)


def test_kafka_refuses_an_event_dated_in_the_future(running: Settings) -> None:
    tomorrow = int((time.time() + 86_400) * 1000)
    with pytest.raises(KafkaError, match=r"(?i)timestamp"):
        produce(running.kafka_bootstrap, b"tomorrow", timestamp_ms=tomorrow)
    assert b"tomorrow" not in values(running.kafka_bootstrap)


def test_postgres_is_ready_for_logical_decoding(running: Settings) -> None:
    url = running.store_url("postgres")
    [(version, wal, zone)] = query(url, "SELECT version(), current_setting('wal_level'), current_setting('timezone')")
    assert str(version).startswith("PostgreSQL 18.1") and (wal, zone) == ("logical", "UTC")
    query(url, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    query(url, "SELECT pg_drop_replication_slot('s')")


def test_mysql_takes_every_character_and_keeps_utc(running: Settings) -> None:
    url = running.store_url("mysql")
    assert query(url, "SELECT version(), @@time_zone, @@local_infile, @@character_set_client") == [
        ("8.0.15", "+00:00", 1, "utf8mb4")
    ]
    words = "SELECT word FROM words ORDER BY word"
    query(url, "CREATE TABLE words (word VARCHAR(300) PRIMARY KEY)")
    query(url, "INSERT INTO words VALUES ('cafe'), ('café'), ('😀'), ('😁')")
    assert query(url, words) == [("cafe",), ("café",), ("😀",), ("😁",)]


def test_mariadb_is_like_mysql_and_survives_a_kill(tmp_path: Path) -> None:
    def start() -> str:
        port = servers._up(MARIADB, tmp_path)
        return MARIADB.address(servers.folder(tmp_path, MARIADB), port)

    try:
        query(
            start(), "CREATE TABLE words (word VARCHAR(300) PRIMARY KEY)", "INSERT INTO words VALUES ('cafe'), ('café')"
        )
        running = process.read(servers._pid_file(tmp_path, MARIADB))
        assert running
        one = psutil.Process(running.pid)
        assert one.uids().real != 0
        listening = [each for each in one.net_connections("inet") if each.status == psutil.CONN_LISTEN]
        assert [each.laddr for each in listening] == [("127.0.0.1", running.port)]
        one.kill()
        wait(lambda: not one.is_running(), "its end")
        url = start()
        assert query(url, "SELECT @@time_zone, @@local_infile, @@character_set_client") == [("+00:00", 1, "utf8mb4")]
        assert query(url, "SELECT word FROM words ORDER BY word") == [("cafe",), ("café",)]
    finally:
        servers._down(MARIADB, tmp_path)


def documents(settings: Settings, **wanted: str) -> list[str]:
    """Return the documents of index `stack` whose field equals what is wanted."""
    client = cluster.connect(settings.store_url("elasticsearch"))
    client.indices.refresh(index="stack")
    return [hit["_source"]["word"] for hit in client.search(index="stack", query={"term": wanted})["hits"]["hits"]]


def test_elasticsearch_is_the_release_and_finds_what_it_is_given(
    running: Settings, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = cluster.connect(running.store_url("elasticsearch"))
    assert client.cluster.health()["status"] == "green"
    [node] = client.nodes.info(filter_path="nodes.*.version,nodes.*.jvm.version")["nodes"].values()
    assert node["version"] == "9.5.3" and int(node["jvm"]["version"].split(".")[0]) >= 21
    mappings = {"dynamic": "strict", "properties": {"word": {"type": "keyword"}}}
    client.indices.create(index="stack", mappings=mappings, settings={"number_of_replicas": 0})
    client.index(index="stack", document={"word": TEXT})
    assert documents(running, word=TEXT) == [TEXT]
    with pytest.raises(BadRequestError, match="strict_dynamic_mapping"):
        client.index(index="stack", document={"other": 1})
    monkeypatch.setenv("COLUMNS", "250")
    report = millrace("doctor", home=own_home).stdout
    [line] = [line for line in report.splitlines() if "elasticsearch" in line]
    assert ": green" in line and "ok" in line


@pytest.mark.parametrize("name", ["postgres", "mysql"])
def test_a_wrong_password_is_refused(running: Settings, name: str) -> None:
    wrong = sqlalchemy.make_url(running.store_url(name)).set(password="wrong")
    with pytest.raises(sqlalchemy.exc.SQLAlchemyError, match=r"(?i)password authentication failed|access denied"):
        query(wrong.render_as_string(hide_password=False), "SELECT 1")


def test_kill_and_up_again_keeps_data_and_ports(running: Settings, own_home: Path) -> None:
    produce(running.kafka_bootstrap, b"before the crash")
    for name in ("postgres", "mysql"):
        query(running.store_url(name), "CREATE TABLE kept (word VARCHAR(10))", "INSERT INTO kept VALUES ('kept')")
    url = running.store_url("elasticsearch")
    cluster.connect(url).index(index="stack", id="kept", document={"word": "kept"})
    files.of(running).write("kept", b"kept")
    words = mongodb.connect(running.store_url("mongodb")).stack.words
    words.insert_one({"_id": "kept"})
    saved = own_home / "data" / "mongodb" / "data.mv"
    for _ in range(2):  # the first may have begun before
        before_it = saved.stat().st_mtime_ns
        wait(lambda since=before_it: words.insert_one({}) and saved.stat().st_mtime_ns > since, "a write that is saved")
    kept = "CREATE TABLE kept ENGINE = MergeTree ORDER BY word AS SELECT 'kept' AS word"
    clickhouse.connect(running.clickhouse).command(kept)
    before = pids(own_home)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    # What a killed MySQL leaves behind: its lock may name a process of its user that lives, but is another.
    with subprocess.Popen(["sleep", "600"], **accounts.identity(accounts.unprivileged())) as other:
        (own_home / "data" / "mysql" / "data" / "mysql.sock.lock").write_text(f"{other.pid}\n")
        done = millrace("up", *NAMES, home=own_home)
        other.kill()
    assert done.returncode == 0, done.stderr
    again = config.load(home=own_home)
    assert again == running
    assert not set(before.values()) & set(pids(own_home).values())
    assert b"before the crash" in values(again.kafka_bootstrap)
    for name in ("postgres", "mysql"):
        assert query(again.store_url(name), "SELECT * FROM kept") == [("kept",)]
    assert documents(again, word="kept") == ["kept"]
    assert mongodb.connect(again.store_url("mongodb")).stack.words.find_one("kept") == {"_id": "kept"}
    assert clickhouse.connect(again.clickhouse).query("SELECT word FROM kept").result_rows == [("kept",)]
    assert files.of(again).read("kept") == b"kept"


def test_down_of_one_leaves_the_others_and_its_data(running: Settings, own_home: Path) -> None:
    query(running.store_url("postgres"), "CREATE TABLE stays (word TEXT)", "INSERT INTO stays VALUES ('here')")
    others = pids(own_home)
    del others["postgres"]
    assert millrace("down", "postgres", home=own_home).returncode == 0
    assert pids(own_home) == others
    # What a killed server may leave behind: its lock file names a process that lives, but is another.
    lock = own_home / "data" / "postgres" / "cluster" / "postmaster.pid"
    lock.write_text(f"{others['mysql']}\n{lock.parent}\n")
    assert "POSTGRES" not in (own_home / "servers.env").read_text()
    stack.up(["postgres"], config.load(home=own_home))
    assert query(config.load(home=own_home).store_url("postgres"), "SELECT * FROM stays") == [("here",)]


def test_a_taken_port_is_said_and_another_found(own_home: Path) -> None:
    with socket.socket() as taken, tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 5432))
            taken.listen()
        except OSError:
            pass  # somebody else has it: just as well
        try:
            done = millrace("up", "postgres", home=Path(folder))
            assert done.returncode == 0 and "(port 5432 is taken)" in done.stderr
            assert query(config.load(home=folder).store_url("postgres"), "SELECT 1") == [(1,)]
        finally:
            stack.down(config.load(home=folder), data=True)


def test_a_port_that_somebody_takes_before_the_server_is_chosen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where a server has two, as HDFS: the one that `up` asks."""
    server = HDFS
    taken: list[int | None] = []

    def asked(folder: Path, port: int) -> int | None:
        return urlsplit(server.asked(folder, port)).port

    with socket.socket() as thief:

        def prepare(folder: Path, port: int) -> Launch:
            launch = server.prepare(folder, port)
            if not taken:
                taken.append(asked(folder, port))
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                thief.bind(("127.0.0.1", taken[0]))
                thief.listen()
            return launch

        monkeypatch.setitem(servers.SERVERS, server.name, replace(server, prepare=prepare))
        try:
            stack.up([server.name], config.load(home=tmp_path))
            [row] = [row for row in stack.status(config.load(home=tmp_path)) if row.pid]
            assert row.ready and row.port
            assert taken[0] not in (row.port, asked(tmp_path / "data" / server.name, row.port))
        finally:
            stack.down(config.load(home=tmp_path), data=True)
    assert f"{server.name}: somebody else was faster on its port" in capfd.readouterr().err


def test_a_node_of_hdfs_that_dies_is_started_again(running: Settings, own_home: Path) -> None:
    holder = psutil.Process(pids(own_home)["hdfs"])
    for name in (NAMENODE, DATANODE):
        [victim] = [each for each in holder.children() if name in each.cmdline()]
        victim.kill()
        wait(lambda one=victim: len(holder.children()) == 2 and not one.is_running(), f"another {name}")
    assert millrace("up", "hdfs", home=own_home).returncode == 0
    files.of(running).write("again", b"again")
    assert files.of(running).read("again") == b"again"
    assert holder.pid == pids(own_home)["hdfs"]


def test_a_node_of_hdfs_that_cannot_start_ends_both(tmp_path: Path) -> None:
    lives = f'echo "$0" >> {tmp_path}/begun; [ "$0" = namenode ] && exec sleep 60'
    nodes = [sys.executable, "-m", hdfs_nodes.__name__, "namenode", "datanode", "sh", "-c", lives]
    done = subprocess.run(nodes, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["datanode ended with 1 and is started again"]
    assert sorted((tmp_path / "begun").read_text().split()) == ["datanode", "datanode", "namenode"]


def test_a_server_that_cannot_start_says_why_and_keeps_no_other_from_it(tmp_path: Path) -> None:
    broken = tmp_path / "data" / "mysql" / "data"
    broken.mkdir(parents=True)  # no data of MySQL in it
    try:
        done = millrace("up", "mysql", "postgres", home=tmp_path)
        assert done.returncode == 1
        assert "mysql died while starting; the end of" in done.stderr and "[ERROR]" in done.stderr
        assert [file.name for file in (tmp_path / "run").glob("*.pid")] == ["postgres.pid"]
        assert (tmp_path / "servers.env").read_text().startswith("MILLRACE_POSTGRES_URL=")
    finally:
        stack.down(config.load(home=tmp_path))


def test_a_server_that_does_not_answer_is_not_ready(running: Settings, own_home: Path) -> None:
    everything = [each for pid in pids(own_home).values() for each in family(pid)]
    try:
        assert len(list(each_of(everything, psutil.Process.suspend))) >= len(NAMES)
        rows = stack.status(config.load(home=own_home))
        assert [(row.name, row.ready) for row in rows if row.pid] == [(name, False) for name in NAMES]
    finally:
        assert list(each_of(everything, psutil.Process.resume))
    stack.up(NAMES, running)
    assert [row.name for row in stack.status(running) if row.ready] == NAMES


def test_down_leaves_no_process_no_address_no_password(own_home: Path, running: Settings) -> None:
    trees = [each for pid in pids(own_home).values() for each in family(pid)]
    commands = list(each_of(trees, psutil.Process.cmdline))
    assert len(commands) >= len(NAMES)
    secrets = [sqlalchemy.make_url(running.store_url(name)).password for name in ("postgres", "mysql")]
    assert not any(str(secret) in word for secret in secrets for words in commands for word in words)
    assert millrace("down", "--data", home=own_home).returncode == 0
    psutil.wait_procs(trees, timeout=20)
    assert not alive(trees)
    assert [process.read(file) for file in (own_home / "run").glob("*.pid")] == []
    assert not (own_home / "servers.env").exists() and not list((own_home / "data").iterdir())
    for log in (own_home / "logs").iterdir():
        assert not any(str(secret) in log.read_text(errors="replace") for secret in secrets)
