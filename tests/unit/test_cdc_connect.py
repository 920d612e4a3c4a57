"""The REST client of Kafka Connect against a small HTTP server that answers as the worker does."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from millrace.cdc import connect as rest
from millrace.cdc.connect import Connect, Status
from millrace.errors import ConfigError, Unavailable


class Worker(ThreadingHTTPServer):
    """Answers by what `answers` says of "METHOD /path", in turn, the last for good; `asked` is what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Worker

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        what = f"{self.command} {self.path}"
        self.server.asked.append((what, json.loads(body) if body else None))
        answers = self.server.answers.get(what, [(404, {"error_code": 404, "message": "not found"})])
        code, content = answers[0] if len(answers) == 1 else answers.pop(0)
        data = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(rest, "PAUSE", 0.0)
    server = Worker()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def status(state: str, *tasks: str, trace: str = "") -> dict[str, Any]:
    told = [
        {"id": place, "state": task, **({"trace": trace} if task == "FAILED" else {})}
        for place, task in enumerate(tasks)
    ]
    return {"name": "a", "connector": {"state": state}, "tasks": told, "type": "source"}


def test_what_is_not_there_is_none_where_that_may_be_and_an_error_elsewhere(worker: Worker) -> None:
    connect = Connect(worker.url)
    assert connect.config("a") is None and connect.status("a") is None
    connect.delete("a")
    for call in (connect.resume, connect.pause, connect.offsets, connect.restart_failed):
        with pytest.raises(ConfigError, match=r"Kafka Connect at 127\.0\.0\.1:\d+: not found"):
            call("a")


def test_a_state_is_running_only_with_a_task_that_runs(worker: Worker) -> None:
    worker.answers["GET /connectors/a/status"] = [
        (200, status("RUNNING")), (200, status("RUNNING", "RUNNING", "UNASSIGNED")),
        (200, status("RUNNING", "RUNNING")),
    ]  # fmt: skip
    found = [Connect(worker.url).status("a") for _ in range(3)]
    assert [each.running for each in found if each] == [False, False, True]
    assert [str(each) for each in found] == [
        "RUNNING, no task yet", "RUNNING, task RUNNING, UNASSIGNED", "RUNNING, task RUNNING",
    ]  # fmt: skip


def test_the_innermost_reason_of_a_failed_task_is_told(worker: Worker) -> None:
    trace = (
        "org.X: not possible\n\tat a.b\nCaused by: org.Y: too\n\tat c.d\nCaused by: FATAL: no such role\n\t... 5 more\n"
    )
    worker.answers["GET /connectors/a/status"] = [(200, status("RUNNING", "FAILED", trace=trace))]
    found = Connect(worker.url).status("a")
    assert found and found.failed and not found.running and found.reason == "FATAL: no such role"
    assert Status("FAILED", (), ("org.Z: this\n\tat a.b\n",)).reason == "org.Z: this"
    assert Status("FAILED", ()).reason == "it does not say why"


def test_a_worker_that_spreads_its_work_anew_is_asked_again(worker: Worker) -> None:
    busy = (409, {"error_code": 409, "message": "a rebalance is in process"})
    worker.answers["PUT /connectors/a/config"] = [busy, busy, (200, {"name": "a"})]
    Connect(worker.url).put("a", {"tasks.max": "1"})
    assert worker.asked == [("PUT /connectors/a/config", {"tasks.max": "1"})] * 3


def test_a_rebalance_without_an_end_is_an_outage(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "PATIENCE", -1.0)
    worker.answers["PUT /connectors/a/resume"] = [(409, {"message": "a rebalance is in process"})]
    with pytest.raises(Unavailable, match="a rebalance is in process"):
        Connect(worker.url).resume("a")


def test_a_stop_returns_once_no_task_is_left(worker: Worker) -> None:
    worker.answers["PUT /connectors/a/stop"] = [(204, None)]
    worker.answers["GET /connectors/a/status"] = [
        (200, status("RUNNING", "RUNNING")), (200, status("STOPPED", "RUNNING")), (200, status("STOPPED")),
    ]  # fmt: skip
    Connect(worker.url).stop("a")
    assert [what for what, _ in worker.asked].count("GET /connectors/a/status") == 3


def test_a_connector_is_made_without_starting_and_what_failed_of_it_is_restarted_alone(worker: Worker) -> None:
    worker.answers["POST /connectors"] = [(201, {"name": "a"})]
    worker.answers["POST /connectors/a/restart?includeTasks=true&onlyFailed=true"] = [
        (202, status("RUNNING", "RESTARTING"))
    ]
    worker.answers["GET /connectors/a/offsets"] = [(200, {"offsets": [{"partition": {}, "offset": {"lsn": 1}}]})]
    worker.answers["DELETE /connectors/a/offsets"] = [(200, {"message": "reset"})]
    connect = Connect(worker.url)
    connect.create("a", {"k": "v"})
    connect.restart_failed("a")
    assert connect.offsets("a") == [{"partition": {}, "offset": {"lsn": 1}}]
    connect.forget_offsets("a")
    assert worker.asked[0] == ("POST /connectors", {"name": "a", "config": {"k": "v"}, "initial_state": "STOPPED"})


@pytest.mark.parametrize(
    ("code", "content", "kind", "told"),
    [
        (400, {"error_code": 400, "message": "Connector configuration is invalid"}, ConfigError, "is invalid"),
        (500, {"error_code": 500, "message": "Request timed out"}, Unavailable, "Request timed out"),
        (502, b"<html>", Unavailable, "502 Bad Gateway"),
        (200, b"<html>", Unavailable, "is that Kafka Connect"),
    ],
)
def test_errors_say_what_the_worker_said(worker: Worker, code: int, content: Any, kind: Any, told: str) -> None:
    worker.answers["GET /connectors/a/config"] = [(code, content)]
    with pytest.raises(kind, match=told):
        Connect(worker.url).config("a")


def test_a_worker_that_is_not_there_is_named_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match=rf"Kafka Connect at 127\.0\.0\.1:{port}: .*millrace up connect") as caught:
        Connect(f"http://u:hunter2@127.0.0.1:{port}").config("a")
    assert "hunter2" not in str(caught.value)
