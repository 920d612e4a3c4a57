"""The local ClickHouse over a socket: what clients send arrives whole, what they ask is answered as a server does."""

import gzip
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
import httpx
import lz4.frame
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from millrace import config, embedded, stack
from millrace.errors import ConfigError, Unavailable
from millrace.sinks.clickhouse import client
from millrace.stack import clickhouse, process
from millrace.stack.chdb_http import statements
from tests.support import wait

ROWS = 200_000
COMPRESSIONS = [False, "lz4", "zstd", "gzip"]
HOSTILE = ["", "a\tb", "a\nb", "\\N", "\\", "'", "'); DROP TABLE t;--", "café ☕ 😀", "{x:String}", "\0"]


def stop(folder: Path, ending: signal.Signals = signal.SIGTERM) -> None:
    if running := process.read(folder / clickhouse.PID_FILE):
        process.stop(running, ending)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose server runs."""
    made = tmp_path_factory.mktemp("clickhouse") / "mein Ordner"
    yield made
    stop(made)


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return embedded.url(folder)


@pytest.fixture
def server(url: str) -> Client:
    """A client of a server with an empty table t."""
    found = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)
    found.command("CREATE OR REPLACE TABLE t (name String, n Int64) ENGINE = MergeTree ORDER BY n")
    return found


def count(server: Client) -> int:
    return server.query("SELECT count() FROM t").first_item["count()"]


def arrow(**columns: list[object]) -> bytes:
    table, out = pa.table(columns), io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as file:
        file.write_table(table, max_chunksize=1000)
    return out.getvalue()


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_all_blocks_of_an_insert_arrive(url: str, server: Client, compress: str | bool) -> None:
    sender = clickhouse_connect.get_client(dsn=url, compress=compress)
    rows = [(f"row {n}", n) for n in range(ROWS)]
    assert sender.insert("t", rows, column_names=["name", "n"]).written_rows == ROWS
    assert server.query("SELECT count(), sum(n), uniqExact(name) FROM t").result_rows == [
        (ROWS, ROWS * (ROWS - 1) // 2, ROWS)
    ]


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_an_arrow_table_arrives_and_comes_back(url: str, server: Client, compress: str | bool) -> None:
    sender = clickhouse_connect.get_client(dsn=url, compress=compress)
    table = pa.table({"name": [f"row {n}" for n in range(ROWS)], "n": range(ROWS)})
    assert sender.insert_arrow("t", table).written_rows == ROWS
    assert sender.query_arrow("SELECT * FROM t ORDER BY n", use_strings=True).equals(table.cast(_not_null(table)))


def _not_null(table: pa.Table) -> pa.Schema:
    return pa.schema([each.with_nullable(False) for each in table.schema])


def test_frames_in_chunks_of_any_size(url: str, server: Client) -> None:
    frames = b"".join(lz4.frame.compress(f"row\t{n}\n".encode() * 100) for n in range(50))
    pieces = (frames[at : at + 7] for at in range(0, len(frames), 7))
    query = {"query": "INSERT INTO t FORMAT TabSeparated"}
    httpx.post(url, params=query, content=pieces, headers={"Content-Encoding": "lz4"}).raise_for_status()
    assert count(server) == 5000


def test_a_statement_and_its_data_may_be_one_body(url: str, server: Client) -> None:
    httpx.post(url, content=b"INSERT INTO t (n, name) FORMAT JSONEachRow\n" + b'{"name": "FORMAT x", "n": 1}\n' * 3)
    httpx.post(url, content="INSERT INTO t VALUES ('a FORMAT TSV\n', 2)").raise_for_status()
    httpx.post(url, content="INSERT INTO t SETTINGS max_threads = 1 FORMAT Values ('b', 3)").raise_for_status()
    assert server.query("SELECT * FROM t ORDER BY n").result_rows == [("FORMAT x", 1)] * 3 + [
        ("a FORMAT TSV\n", 2),
        ("b", 3),
    ]


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("Arrow", arrow(y=["1", "2"], x=["ä", "FORMAT"])),
        ("JSONEachRow", '{"x": "ä", "y": "1"}\n{"y": "2", "x": "FORMAT"}\n'.encode()),
        ("Native", None),
    ],
)
def test_rows_are_made_of_input(server: Client, format: str, data: bytes | None) -> None:
    told = "SELECT toString(number + 1) AS y, ['ä', 'FORMAT'][number + 1] AS x FROM numbers(2)"
    server.raw_insert(
        "t (n, name) SELECT toInt64(y) * 10, concat(x, ' FORMAT TSV') FROM input('x String, y String') WHERE x != ''",
        insert_block=data or server.raw_query(told, fmt="Native"),
        fmt=format,
    )
    assert server.query("SELECT * FROM t ORDER BY n").result_rows == [("ä FORMAT TSV", 10), ("FORMAT FORMAT TSV", 20)]


def test_many_compressed_rows_of_input(folder: Path, url: str, server: Client) -> None:
    frames = [gzip.compress(f'{{"x": "{n}"}}\n'.encode() * 1000) for n in range(ROWS // 1000)]
    done = server.raw_insert(
        "t SELECT upper(x), toInt64(x) FROM input('x String')",
        insert_block=iter(frames),
        fmt="JSONEachRow",
        compression="gzip",
    )
    assert (done.written_rows, count(server)) == (ROWS, ROWS)
    assert not list((folder / "incoming").iterdir())


@pytest.mark.parametrize("select", ["", "SELECT name, n FROM input('name String, n Int64')"])
def test_what_the_table_refuses_is_told(server: Client, select: str) -> None:
    server.command("ALTER TABLE t ADD CONSTRAINT small CHECK n < 100")
    with pytest.raises(DatabaseError, match="Constraint `small`") as caught:
        server.raw_insert(
            f"t {select}", insert_block='{"name": "x", "n": 1}\n{"name": "x", "n": 100}', fmt="JSONEachRow"
        )
    assert (caught.value.code, count(server)) == (469, 0)


def test_what_a_view_that_is_filled_by_the_table_refuses_is_told(server: Client) -> None:
    server.command("CREATE MATERIALIZED VIEW refusing ENGINE = Memory AS SELECT throwIf(n = 5) AS x FROM t")
    try:
        with pytest.raises(DatabaseError) as caught:
            server.insert("t", [["x", 5]], column_names=["name", "n"])
        assert caught.value.code == 395
    finally:
        server.command("DROP TABLE refusing")


def test_rows_are_written_in_the_order_in_which_they_came(server: Client) -> None:
    server.command("CREATE OR REPLACE TABLE last (k Int8, n Int64) ENGINE = ReplacingMergeTree ORDER BY k")
    lines = b"".join(b"1\t%d\n" % n for n in range(1_000_000))
    server.raw_insert("last", insert_block=lines, fmt="TabSeparated")
    assert server.query("SELECT n FROM last FINAL").first_row == (999_999,)


def test_values_go_through_parameters_as_they_are(server: Client) -> None:
    asked = "SELECT {text:String} AS text, {list:Array(String)} AS list"
    for text in HOSTILE:
        found = server.query(asked, parameters={"text": text, "list": [text, "x"]}).first_row
        assert found == (text, [text, "x"])
    long = "x" * 100_000  # such go into a form, for no URL is as long
    assert server.query("SELECT {text:String} AS text", parameters={"text": long}).first_row == (long,)
    server.command("INSERT INTO {table:Identifier} VALUES ({text:String}, 1)", parameters={"table": "t", "text": "a'"})
    assert server.query("SELECT name FROM t").result_rows == [("a'",)]


def test_settings_are_those_of_one_request(url: str, server: Client) -> None:
    asked = "SELECT getSetting('max_threads') AS n"
    usual = server.query(asked).first_row
    assert server.query(asked, settings={"max_threads": 7}).first_row == (7,)
    assert server.query(asked).first_row == usual
    session = clickhouse_connect.get_client(dsn=url, session_id="one")
    session.command("SET max_threads = 3")
    assert session.query(asked, settings={"max_threads": 7}).first_row == (7,)
    assert session.query(asked).first_row == (3,)


def test_a_session_keeps_its_tables(url: str, server: Client) -> None:
    session = clickhouse_connect.get_client(dsn=url, session_id="two")
    session.command("CREATE TEMPORARY TABLE mine (n Int64)")
    session.insert("mine", [[1], [2]], column_names=["n"])
    assert session.query("SELECT sum(n) AS n FROM mine").first_row == (3,)
    with pytest.raises(DatabaseError) as caught:
        server.query("SELECT * FROM mine")
    assert caught.value.code == 60
    missing = httpx.post(url, params={"session_id": "three", "session_check": "1"}, content="SELECT 1")
    assert missing.headers["X-ClickHouse-Exception-Code"] == "372"


def test_one_question_at_a_time_in_a_session(url: str, server: Client) -> None:
    question = "SELECT sum(sleepEachRow(3)) FROM numbers(2) SETTINGS function_sleep_max_microseconds_per_block = 0"
    asked = {"params": {"session_id": "slow"}, "content": question, "timeout": 60}
    slow = threading.Thread(target=httpx.post, args=(url,), kwargs=asked)
    slow.start()
    running = "SELECT count() AS n FROM system.processes WHERE query LIKE {like:String}"
    wait(lambda: server.query(running, parameters={"like": "SELECT sum(sleepEachRow%"}).first_row == (1,), "question")
    answer = httpx.post(url, params={"session_id": "slow"}, content="SELECT 1")
    slow.join()
    assert answer.headers["X-ClickHouse-Exception-Code"] == "373"
    assert httpx.post(url, params={"session_id": "slow"}, content="SELECT 1").text == "1\n"


@pytest.mark.parametrize(
    ("statement", "code", "status"),
    [
        ("SELECT * FROM nothing", 60, 404),
        ("SELECT nothing FROM t", 47, 404),
        ("SELEKT 1", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT throwIf(1)", 395, 500),
        ('INSERT INTO t FORMAT JSONEachRow\n{"n": [}', 27, 400),
        ("INSERT INTO nothing FORMAT JSONEachRow\n{}", 60, 404),
        ("INSERT INTO t FORMAT Nothing\n{}", 73, 404),
        ('INSERT INTO t SELECT toInt64(x), 1 FROM input(\'x String\') FORMAT JSONEachRow\n{"x": "y"}', 6, 400),
        ("\udcff".encode(errors="surrogateescape"), 62, 400),
    ],
)
def test_errors_have_their_number_and_status(
    url: str, server: Client, statement: str | bytes, code: int, status: int
) -> None:
    answer = httpx.post(url, content=statement)
    assert (answer.headers["X-ClickHouse-Exception-Code"], answer.status_code) == (str(code), status)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert httpx.post(url, content="SELECT 1").text == "1\n"


@pytest.mark.parametrize(
    ("sent", "code", "status"),
    [
        ({"params": {"database": "nothing"}}, 81, 404),
        ({"params": {"nothing": "1"}}, 115, 404),
        ({"params": {"max_threads": "x"}}, 27, 400),
        ({"headers": {"X-ClickHouse-User": "somebody"}}, 516, 403),
        ({"auth": ("default", "hunter2")}, 516, 403),
        ({"headers": {"Content-Encoding": "br"}}, 271, 500),
        ({"headers": {"Content-Encoding": "lz4"}}, 271, 500),
    ],
)
def test_a_request_that_is_refused(url: str, sent: dict, code: int, status: int) -> None:
    answer = httpx.post(url, content="SELECT 1", **sent)
    assert (answer.headers["X-ClickHouse-Exception-Code"], answer.status_code) == (str(code), status)


def test_a_get_reads_alone(url: str, server: Client) -> None:
    assert httpx.get(f"{url}/ping").text == httpx.get(url).text == "Ok.\n"
    assert httpx.get(url, params={"query": "SELECT 1 AS n FORMAT JSONEachRow"}).text == '{"n":1}\n'
    answer = httpx.get(url, params={"query": "INSERT INTO t VALUES ('x', 1)"})
    assert (answer.headers["X-ClickHouse-Exception-Code"], count(server)) == ("164", 0)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_an_answer_is_compressed_when_asked(url: str, codec: str) -> None:
    asked = {"enable_http_compression": "1", "query": "SELECT number FROM numbers(100000)"}
    with httpx.stream("POST", url, params=asked, headers={"Accept-Encoding": f"br, {codec}"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["Content-Encoding"] == codec
    assert pa.input_stream(io.BytesIO(raw), compression=codec).read().count(b"\n") == 100_000
    plain = httpx.post(url, params=asked | {"enable_http_compression": "0"}, headers={"Accept-Encoding": codec})
    assert "Content-Encoding" not in plain.headers


def test_no_rows_have_columns(server: Client) -> None:
    for asked in ("SELECT * FROM t", "SELECT * FROM t LIMIT 0"):
        assert server.query(asked).column_names == ("name", "n")
        assert server.query(asked).column_types[1].name == "Int64"


def test_many_ask_at_once(server: Client) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        for _ in range(10):
            server.insert("t", [[str(number), number]] * 10, column_names=["name", "n"])
            found = server.query("SELECT {n:Int64} AS n", parameters={"n": number}, settings={"max_threads": number})
            wrong.extend([found.first_row] if found.first_row != (number,) else [])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 13)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    assert server.query("SELECT n, count() FROM t GROUP BY n ORDER BY n").result_rows == [
        (n, 100) for n in range(1, 13)
    ]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 10000000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n30d40\r\n",  # 200,000 bytes
        b"Transfer-Encoding: chunked\r\nContent-Encoding: lz4\r\n\r\n",
    ],
)
def test_of_a_client_that_dies_midway_nothing_is_written(url: str, server: Client, head: bytes) -> None:
    rows = b"row\t1\n" * 30_000
    frame = lz4.frame.compress(rows)
    sent = f"{len(frame):x}\r\n".encode() + frame + b"\r\n" if b"lz4" in head else rows
    with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as dying:
        dying.sendall(b"POST /?query=INSERT+INTO+t+FORMAT+TSV HTTP/1.1\r\nHost: localhost\r\n" + head + sent)
        dying.shutdown(socket.SHUT_WR)
        assert dying.recv(1) == b""  # the server has seen it
    assert count(server) == 0


@pytest.mark.parametrize(
    ("text", "format", "rest", "structure"),
    [
        (b"INSERT INTO t FORMAT Native\nXY", "Native", b"XY", None),
        (b"insert into t(a) format Native\r\nXY", "Native", b"XY", None),
        (b"/* FORMAT A */ INSERT INTO `FORMAT B` -- FORMAT C\n FORMAT Native XY", "Native", b"XY", None),
        (b"INSERT INTO t SETTINGS x='FORMAT D' FORMAT TSV\n\n1", "TSV", b"\n1", None),
        (b"INSERT INTO t SELECT 'FORMAT' FROM input('a String') FORMAT Arrow\nA", "Arrow", b"A", "'a String'"),
        (b"INSERT INTO t SELECT * FROM input ( 'a Array(Int8)' ) FORMAT Arrow A", "Arrow", b"A", "'a Array(Int8)'"),
    ],
)
def test_where_data_begins(text: bytes, format: str, rest: bytes, structure: str | None) -> None:
    found = statements.insert(text)
    assert found
    assert (found.format, text[found.begins :], found.structure) == (format, rest, structure)
    read = found.reading("'path'")
    assert ("file('path', " in read and "input" not in read) or "FROM INFILE 'path' COMPRESSION 'none'" in read
    assert "SETTINGS" not in read or read.index("INFILE") < read.index("SETTINGS")


@pytest.mark.parametrize(
    "text", [b"", b"SELECT 'INSERT INTO t FORMAT X'", b"INSERT INTO t VALUES ('FORMAT X')", b"INSERT INTO t SELECT 1"]
)
def test_a_statement_without_data(text: bytes) -> None:
    assert statements.insert(text) is None


@pytest.mark.parametrize(
    ("text", "bare", "format"),
    [
        (b"SELECT 1 FORMAT JSON", "SELECT 1 ", "JSON"),
        (b"SELECT 1 FORMAT JSON;", "SELECT 1 ;", "JSON"),
        (b"SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "SELECT 1  SETTINGS max_threads = 1", "JSON"),
        (b"SELECT format FROM t", "SELECT format FROM t", None),
        (b"SELECT ' FORMAT JSON'", "SELECT ' FORMAT JSON'", None),
        (b"SELECT * FROM (SELECT format('{}', 1) AS f)", "SELECT * FROM (SELECT format('{}', 1) AS f)", None),
    ],
)
def test_the_format_of_an_answer(text: bytes, bare: str, format: str | None) -> None:
    found = statements.query(text)
    assert (found.text, found.format, found.reads, found.several) == (bare, format, True, False)


def test_processes_that_start_at_once_get_one_server(tmp_path: Path) -> None:
    code = "import sys, pathlib; from millrace import embedded; print(embedded.url(pathlib.Path(sys.argv[1])))"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    found = {each.communicate()[0] for each in started}
    try:
        assert found == {f"{embedded.url(tmp_path)}\n"}
    finally:
        stop(tmp_path)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ended_is_started_again_with_its_data(tmp_path: Path, ending: signal.Signals) -> None:
    url = f"chdb://{tmp_path}"
    try:
        first = client.connect(url)
        first.command("CREATE TABLE t (n Int64) ENGINE = MergeTree ORDER BY n")
        first.insert("t", [[n] for n in range(1000)], column_names=["n"])
        stop(tmp_path, ending)
        with pytest.raises(Unavailable), client.errors(url, "table t"):
            first.query("SELECT 1")
        assert client.connect(url).query("SELECT count() AS n FROM t").first_row == (1000,)
    finally:
        stop(tmp_path)


def test_a_server_that_was_held_still_goes_on(tmp_path: Path) -> None:
    url = embedded.url(tmp_path)
    running = process.read(tmp_path / clickhouse.PID_FILE)
    assert running
    try:
        os.kill(running.pid, signal.SIGSTOP)
        threading.Event().wait(1.5)  # longer than between two looks
        os.kill(running.pid, signal.SIGCONT)
        threading.Event().wait(1.5)
        assert httpx.post(url, content="SELECT 1").text == "1\n" and running.alive()
    finally:
        stop(tmp_path)


def test_a_server_that_nobody_asks_ends(tmp_path: Path) -> None:
    embedded.url(tmp_path, idle=0.2)
    running = process.read(tmp_path / clickhouse.PID_FILE)
    assert running
    wait(lambda: not running.alive(), "the end of the server")
    assert not (tmp_path / clickhouse.PID_FILE).exists()


def test_down_ends_the_server_that_nobody_started_by_hand(tmp_path: Path) -> None:
    settings = config.load(home=tmp_path)
    folder = tmp_path / "data" / "clickhouse"
    assert client.folder(settings.store_url("clickhouse")) == folder.resolve()
    client.connect(settings.store_url("clickhouse"))
    running = process.read(folder / clickhouse.PID_FILE)
    stack.down(settings, ["clickhouse"], data=True)
    assert running and not running.alive() and not folder.exists()


def test_up_takes_over_the_folder_of_the_embedded_server(tmp_path: Path) -> None:
    """Whoever was told the one address finds the other, for both are of one folder."""
    embedded_url = config.load(home=tmp_path).clickhouse
    client.connect(embedded_url).command("CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 1 AS n")
    before = client.connect(embedded_url).url
    try:
        stack.up(["clickhouse"], config.load(home=tmp_path))
        told = config.load(home=tmp_path).clickhouse
        assert told.startswith("http://") and told == client.connect(embedded_url).url != before
        assert client.connect(told).query("SELECT n FROM t").first_row == (1,)
    finally:
        stack.down(config.load(home=tmp_path), ["clickhouse"])
    assert not (tmp_path / "data" / "clickhouse" / clickhouse.PID_FILE).exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/data: Not a directory"):
        embedded.url(tmp_path / "file" / "data")


def test_without_chdb_what_to_install_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs chDB: `uv sync --extra clickhouse`"):
        embedded.url(tmp_path)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://u:hunter2@h:8123/d?verify=false", "ClickHouse at h:8123, database d, user u"),
        ("https://u:hunter2@x@h", "ClickHouse at h, database default, user u"),
        ("chdb:///a%20b/c", "ClickHouse in /a b/c"),
    ],
)
def test_a_place_has_no_password(url: str, text: str) -> None:
    assert client.place(url) == text


@pytest.mark.parametrize(
    ("address", "error", "text"),
    [
        ("http://u:hunter2@{}", ConfigError, "user u: .*Authentication failed.*MILLRACE_CLICKHOUSE_URL"),
        ("http://{}/nothing", ConfigError, "database nothing: .*Database nothing does not exist"),
        ("http://{}/?tsl=true", ConfigError, "unexpected keyword argument 'tsl'; expected http://USER"),
        ("http://u:hunter2@127.0.0.1:1", Unavailable, "127.0.0.1:1, database default, user u: .*with url: / .*refused"),
    ],
)
def test_an_address_that_leads_nowhere(url: str, address: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        client.connect(address.format(urlsplit(url).netloc))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("code", "error"), [(252, Unavailable), (241, Unavailable), (60, ConfigError)])
def test_what_may_pass_is_tried_again(code: int, error: type[Exception]) -> None:
    with pytest.raises(error), client.errors("http://h:8123", "table t"):
        raise DatabaseError("wrong", code=code)


def test_an_answer_on_the_way_is_no_answer() -> None:
    with pytest.raises(Unavailable), client.errors("http://h:8123", "table t"):
        raise DatabaseError("HTTP driver received HTTP status 503")


def test_a_client_is_of_one_process(url: str) -> None:
    assert client.connect(url) is client.connect(url)
    assert client._client(url, os.getpid()) is not client._client(url, -1)
