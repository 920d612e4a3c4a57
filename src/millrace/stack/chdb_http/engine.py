"""Put questions to chDB as ClickHouse's HTTP interface does: with settings, parameters, a database and sessions."""

import json
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb

from millrace.stack.chdb_http import statements
from millrace.stack.chdb_http.bodies import PIECE, Readable
from millrace.stack.chdb_http.statements import Insert, Query

HEAD = 1 << 20  # bytes in which the statement of an INSERT ends
CHANGED = "SELECT name, value, changed FROM system.settings WHERE has({names:Array(String)}, name)"
INCOMING = "incoming"  # the folder of data that a statement reads as a file
BAD_ARGUMENTS, SYNTAX_ERROR, NO_SESSION, SESSION_LOCKED, UNKNOWN = 36, 62, 372, 373, 1002


class Failure(Exception):
    """What the engine refused, by ClickHouse's number; its text begins with `Code: `."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text if text.startswith("Code: ") else f"Code: {code}. DB::Exception: {text}")
        self.code = code


@dataclass(frozen=True)
class Question:
    """One request: its statement, then maybe data, are `text` and what follows it in `body`.

    `params` are those of the statement, as HTTP has them: tabs and backslashes escaped. Without `session` nothing
    stays of settings and temporary tables.
    """

    text: bytes
    body: Readable
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    database: str | None = None
    format: str = "TabSeparated"
    session: str | None = None
    session_timeout: float = 60.0  # seconds
    session_check: bool = False


@dataclass(frozen=True)
class Answer:
    """The rows as bytes in `format` (None: the statement gives none), and how many rows were read and written."""

    data: bytes = b""
    format: str | None = None
    read: int = 0
    written: int = 0


@dataclass
class Session:
    """A connection of the engine that stays: one question at a time; it ends `until` then."""

    connection: Any
    until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Engine:
    """The engine over the data in `path`, which no other process can have at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._first = _open(path)  # the engine lives as long as it
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()
        incoming = path / INCOMING
        incoming.mkdir(exist_ok=True)
        for left in incoming.iterdir():  # by a process that was killed
            left.unlink()

    def ask(self, question: Question) -> Answer:
        """Return the answer to `question`; raises Failure, and ConnectionError if its body ends too early."""
        head = question.text + question.body.read(HEAD)
        insert = statements.insert(head)
        text = head if insert else head + question.body.read()
        if not text.strip():
            return Answer(b"Ok.\n")
        with self._connection(question) as connection, _failures():
            if question.database:
                connection.query(f"USE {_quoted(question.database, '`')}")
            with _settings(connection, question):
                if insert is None:
                    return _query(connection, statements.query(text), question)
                return self._insert(connection, insert, _joined(head[insert.begins :], question.body))

    def close(self) -> None:
        """End the engine: what it has accepted is on the disk then."""
        for session in self._sessions.values():
            session.connection.close()
        self._first.close()

    @contextmanager
    def _connection(self, question: Question) -> Iterator[Any]:
        if question.session is None:
            with _failures():
                connection = _open(self.path)
            try:
                yield connection
            finally:
                connection.close()
            return
        session = self._session(question.session, question)
        if not session.lock.acquire(blocking=False):
            raise Failure(SESSION_LOCKED, f"Session {question.session} is locked by a concurrent client.")
        try:
            yield session.connection
        finally:
            session.until = time.monotonic() + question.session_timeout
            session.lock.release()

    def _session(self, name: str, question: Question) -> Session:
        now = time.monotonic()
        with self._lock:
            for other, session in [*self._sessions.items()]:
                if session.until < now and not session.lock.locked():
                    self._sessions.pop(other).connection.close()
            if name not in self._sessions:
                if question.session_check:
                    raise Failure(NO_SESSION, f"Session {name} not found.")
                self._sessions[name] = Session(_open(self.path))
            self._sessions[name].until = now + question.session_timeout
            return self._sessions[name]

    def _insert(self, connection: Any, insert: Insert, data: Iterator[bytes]) -> Answer:
        """Insert data from a file: of what a table refuses chDB's own streams of data (`send_insert`) tell nothing."""
        with tempfile.NamedTemporaryFile(dir=self.path / INCOMING) as file:
            for piece in data:
                file.write(piece)
            file.flush()
            result = connection.query(insert.reading(_quoted(file.name)), "TabSeparated")
            return Answer(written=result.rows_written())


def _open(path: Path) -> Any:
    connect: Any = chdb.connect  # some of its wheels have types, and some have none
    return connect(str(path))


def _query(connection: Any, query: Query, question: Question) -> Answer:
    if query.several:
        raise Failure(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed). (SYNTAX_ERROR)")
    format = query.format or question.format
    result = connection.query(query.text, format)
    data = result.bytes() or b""
    if not data and query.reads and format == "Native":
        data = _no_rows(connection, query)
    return Answer(data, format if query.reads else None, result.rows_read(), result.rows_written())


def _no_rows(connection: Any, query: Query) -> bytes:
    """Return the block without rows by which a server tells the columns; chDB leaves it out."""
    told = connection.query(query.text, "JSON").bytes()
    columns = json.loads(told or b'{"meta": []}')["meta"]
    texts = [each[name].encode() for each in columns for name in ("name", "type")]
    return _number(len(columns)) + _number(0) + b"".join(_number(len(text)) + text for text in texts)


def _joined(first: bytes, rest: Readable) -> Iterator[bytes]:
    if first:
        yield first
    while piece := rest.read(PIECE):
        yield piece


@contextmanager
def _settings(connection: Any, question: Question) -> Iterator[None]:
    """Hold the settings of one question; in a session the earlier ones come back."""
    before = []
    if question.settings and question.session:
        names = f"[{', '.join(map(_quoted, question.settings))}]"
        told = connection.query(CHANGED, "JSONCompactEachRow", params={"names": names}).bytes()
        before = [json.loads(line) for line in told.splitlines()]
    params = {f"param_{name}": value for name, value in question.params.items()}
    _set(connection, {name: _quoted(value) for name, value in (params | dict(question.settings)).items()})
    try:
        yield
    finally:
        _set(connection, {name: _quoted(value) if changed else "DEFAULT" for name, value, changed in before})


def _set(connection: Any, literals: Mapping[str, str]) -> None:
    if wrong := [name for name in literals if not re.fullmatch(r"\w+", name)]:
        raise Failure(115, f"Unknown setting '{wrong[0]}'. (UNKNOWN_SETTING)")
    if literals:
        connection.query("SET " + ", ".join(f"{name} = {literal}" for name, literal in literals.items()))


@contextmanager
def _failures() -> Iterator[None]:
    """Turn chDB's errors into Failure."""
    try:
        yield
    except (RuntimeError, chdb.ChdbError) as error:
        text = str(error)
        code = re.search(r"Code: (\d+)", text)
        raise Failure(int(code[1]) if code else UNKNOWN, text[text.find("Code: ") :] if code else text) from None
    except UnicodeDecodeError:
        raise Failure(SYNTAX_ERROR, "the statement is no UTF-8. (SYNTAX_ERROR)") from None


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def _number(value: int) -> bytes:
    """Return a whole number as Native writes it: seven bits a byte, the lowest first."""
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])
