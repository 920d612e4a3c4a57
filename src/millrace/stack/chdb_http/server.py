"""Serve an engine by ClickHouse's HTTP protocol, many requests at once, on the loopback address."""

import base64
import binascii
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from millrace.stack.chdb_http import bodies
from millrace.stack.chdb_http.engine import BAD_ARGUMENTS, Answer, Engine, Failure, Question
from millrace.stack.process import PAUSE
from millrace.stack.server import LOOPBACK

AUTHENTICATION_FAILED, NOT_IMPLEMENTED, CANNOT_DECOMPRESS = 516, 48, 271
TRANSPORT = {  # parameters of the URL that are no settings
    *("query", "database", "default_format", "session_id", "session_timeout", "session_check", "query_id", "quota_key"),
    *("compress", "decompress", "wait_end_of_query", "buffer_size", "client_protocol_version", "role", "user"),
    *("password", "send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression"),
    *("stacktrace", "close_session", "cancel_http_readonly_queries_on_client_close"),
}
STATUSES = {  # of ClickHouse's numbers; any other is 500
    **dict.fromkeys((192, 193, AUTHENTICATION_FAILED), 403),
    194: 401,
    **dict.fromkeys((46, 47, 50, 56, 60, 66, 73, 81, 115), 404),  # unknown functions, columns, tables and so on
    **dict.fromkeys((6, 7, 8, 16, 26, 27, 36, 38, 41, 43, 44, 53, 62, 69, 72, 117, 321, 376, 441, 457), 400),
    NOT_IMPLEMENTED: 501,
    **dict.fromkeys((76, 209, 439), 503),
    159: 408,
}


class Server(ThreadingHTTPServer):
    """The server of the engine over `path`; it knows for how long nobody has asked for anything."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path, port: int) -> None:
        super().__init__((LOOPBACK, port), Handler)
        self.engine = Engine(path)
        self._lock = threading.Lock()
        self._busy, self._last, self._ends = 0, time.monotonic(), False

    @property
    def quiet(self) -> float:
        """Seconds since the last request ended; 0 while there is one."""
        with self._lock:
            return 0.0 if self._busy else time.monotonic() - self._last

    def end(self, within: float) -> None:
        """Take no more requests, answer those that there are for at most `within` seconds, close the engine."""
        with self._lock:
            self._ends = True
        self.shutdown()
        deadline = time.monotonic() + within
        while not self.quiet and time.monotonic() < deadline:
            time.sleep(PAUSE)
        self.engine.close()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request that is being answered; raises ConnectionError once the server ends."""
        with self._lock:
            if self._ends:
                raise ConnectionError
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy, self._last = self._busy - 1, time.monotonic()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Answer /ping, or a query that may not write."""
        self._serve(writes=False)

    def do_POST(self) -> None:
        """Answer a statement."""
        self._serve(writes=True)

    def log_message(self, *_: object) -> None:
        """Log nothing of each request."""

    def _serve(self, *, writes: bool) -> None:
        try:
            with self.server.busy():
                sent = bodies.sent(self.headers, self.rfile)
                try:
                    self._answer(sent, writes=writes)
                except Failure as failure:
                    self._fail(sent, failure)
        except ConnectionError:  # the client is gone, or the server ends
            self.close_connection = True

    def _answer(self, sent: bodies.Sent, *, writes: bool) -> None:
        begun, url = time.monotonic_ns(), urlsplit(self.path)
        given = dict(parse_qsl(url.query, keep_blank_values=True))
        if url.path in ("/ping", "/replicas_status"):
            answer = Answer(b"Ok.\n")
        else:
            self._require_user(given)
            try:
                answer = self._ask(given, bodies.plain(self.headers, sent), writes=writes)
            except bodies.Unreadable as error:
                raise Failure(CANNOT_DECOMPRESS, f"{error}. (CANNOT_DECOMPRESS)") from None
        bodies.drain(sent)
        self._reply(answer, given, time.monotonic_ns() - begun)

    def _ask(self, given: dict[str, str], body: bodies.Readable, *, writes: bool) -> Answer:
        if "multipart/form-data" in self.headers.get("Content-Type", ""):
            form = bodies.fields(self.headers, body)
            if form is None:
                raise Failure(NOT_IMPLEMENTED, "external tables are not known here. (NOT_IMPLEMENTED)")
            given.update(form)
        known = {name: value for name, value in given.items() if name not in TRANSPORT}
        settings = {name: value for name, value in known.items() if not name.startswith("param_")}
        text = given.get("query", "").encode()
        session = given.get("session_id")
        return self.server.engine.ask(
            Question(
                text + b"\n" if text else b"",
                body,
                settings if writes or session else settings | {"readonly": "2"},
                {name.removeprefix("param_"): value for name, value in known.items() if name not in settings},
                given.get("database") or self.headers.get("X-ClickHouse-Database"),
                given.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated",
                session,
                _seconds(given.get("session_timeout", "60")),
                given.get("session_check") == "1",
            )
        )

    def _require_user(self, given: Mapping[str, str]) -> None:
        """Let in whom a fresh server lets in: `default` without a password."""
        user = self.headers.get("X-ClickHouse-User") or given.get("user") or "default"
        password = self.headers.get("X-ClickHouse-Key") or given.get("password") or ""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(token).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user = ""
        if (user or "default", password) != ("default", ""):
            text = f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise Failure(AUTHENTICATION_FAILED, f"{text} (AUTHENTICATION_FAILED)")

    def _reply(self, answer: Answer, given: Mapping[str, str], elapsed: int) -> None:
        rows = {"read_rows": answer.read, "written_rows": answer.written, "elapsed_ns": elapsed}
        headers = {"X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in rows.items()})}
        if answer.format:
            headers["X-ClickHouse-Format"] = answer.format
        data, codec = answer.data, None
        if given.get("enable_http_compression") == "1":
            data, codec = bodies.compressed(data, self.headers.get("Accept-Encoding", ""))
        if codec:
            headers["Content-Encoding"] = codec
        if name := given.get("query_id"):
            headers["X-ClickHouse-Query-Id"] = (
                name.encode("ascii", "replace").decode().replace("\r", "").replace("\n", "")
            )
        self._send(200, data, headers)

    def _fail(self, sent: bodies.Sent, failure: Failure) -> None:
        bodies.drain(sent)
        code = {"X-ClickHouse-Exception-Code": str(failure.code)}
        self._send(STATUSES.get(failure.code, 500), f"{failure}\n".encode(), code)

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        fixed = {"Content-Type": "text/plain; charset=UTF-8", "X-ClickHouse-Server-Display-Name": "chdb"}
        for name, value in (
            fixed | {"X-ClickHouse-Timezone": "UTC", "Content-Length": str(len(data))} | headers
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Failure(BAD_ARGUMENTS, f"session_timeout is {text!r}. (BAD_ARGUMENTS)") from None
