"""The bulk requests of the Elasticsearch sink, against a double that answers as it is told."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from millrace.errors import ConfigError, Unavailable
from millrace.sinks import task_errors as tasks
from millrace.sinks.elasticsearch import cluster
from millrace.sinks.elasticsearch.indices import INDICES, create
from millrace.sinks.elasticsearch.writer import Delivery, Document
from millrace.sinks.retry import Patience

QUICK = Patience(seconds=60, sleep=lambda _: None, chance=lambda: 0.0)
Answer = tuple[int, dict[str, Any]]


class Double(ThreadingHTTPServer):
    """Gives `answers` one after another to POST requests; `requests` are their bodies, line by line."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.requests = answers, []


class _Handler(BaseHTTPRequestHandler):
    server: Double
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.requests.append([json.loads(line) for line in body.splitlines() if line])
        status, answer = self.server.answers.pop(0)
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (("X-Elastic-Product", "Elasticsearch"), ("Content-Type", "application/json")):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def double() -> Iterator[Callable[..., tuple[str, Double]]]:
    made: list[Double] = []

    def start(*answers: Answer) -> tuple[str, Double]:
        made.append(Double(list(answers)))
        threading.Thread(target=made[-1].serve_forever, daemon=True).start()
        return f"http://miller:s3cret@127.0.0.1:{made[-1].server_port}", made[-1]

    yield start
    for each in made:
        each.shutdown()
        each.server_close()


def item(status: int, kind: str = "some_exception", reason: str = "why") -> dict[str, Any]:
    error = {} if status < 300 else {"error": {"type": kind, "reason": reason}}
    return {"index": {"status": status, **error}}


def items(*all_of_them: dict[str, Any]) -> Answer:
    return 200, {"items": list(all_of_them)}


def delivery(url: str, *ids: str | None) -> Delivery:
    documents = [Document(id, 7, json.dumps({"id": id}).encode()) for id in ids]
    return Delivery(cluster.connect(url), "posts", documents)


def sent(request: list[dict[str, Any]]) -> list[str]:
    return [line["index"]["_id"] for line in request[::2]]


def test_only_what_is_neither_stored_nor_refused_is_sent_again(double) -> None:
    url, server = double(
        items(item(201), item(429), item(409), item(400, "document_parsing_exception"), item(503)),
        (503, {"error": "no master"}),
        items(item(200), item(201)),
    )
    work = delivery(url, "new", "busy", "old", "bad", "moving")
    QUICK.attempt(lambda: work.send(url))
    assert [sent(request) for request in server.requests] == [
        ["new", "busy", "old", "bad", "moving"],
        ["busy", "moving"],
        ["busy", "moving"],
    ]
    assert not work.pending
    [letter] = work.letters
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("posts", None, None)
    assert "'bad': document_parsing_exception: why" in letter["reason"]


def test_a_document_carries_its_version_and_when_it_was_sent(double) -> None:
    url, server = double(items(item(201)))
    delivery(url, "one").send(url)
    head, source = server.requests[0]
    assert head == {"index": {"_id": "one", "version": 7, "version_type": "external_gte"}}
    assert source.keys() == {"id", "indexed_at"}


def test_ids_that_would_have_the_request_refused_are_not_sent(double) -> None:
    url, server = double(items(item(201)))
    work = delivery(url, None, "", "é" * 257, "é" * 256)
    work.send(url)
    assert [sent(request) for request in server.requests] == [["é" * 256]]
    assert ["null or empty" in letter["reason"] for letter in work.letters] == [True, True, False]
    assert "514 bytes" in work.letters[2]["reason"]


@pytest.mark.parametrize("answer", [(401, {"error": "no"}), (403, {"error": "no"})])
def test_credentials_that_are_refused_name_host_and_user_not_the_password(double, answer: Answer) -> None:
    url, server = double(answer, answer)
    for action in (lambda: create(url, INDICES["mastodon-engagement"]), lambda: delivery(url, "one").send(url)):
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{server.server_port}, user miller.*check user") as caught:
            action()
        assert "s3cret" not in str(caught.value) and caught.value.__suppress_context__


@pytest.mark.parametrize("answer", [items(item(404)), items(item(403)), items(item(400, "index_closed_exception"))])
def test_an_index_that_takes_nothing_stops_the_stream(double, answer: Answer) -> None:
    url, _ = double(answer)
    work = delivery(url, "one")
    with pytest.raises(ConfigError, match="index posts takes no documents"):
        work.send(url)
    assert not work.letters


def test_a_server_that_is_away_is_unavailable_and_named() -> None:
    url = "http://miller:s3cret@127.0.0.1:1"
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1, user miller") as caught:
        Patience(seconds=0).attempt(lambda: delivery(url, "one").send(url))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost:9200", "mysql://miller:s3cret@h/d", "http://", "http://h:s3cret"])
def test_a_wrong_address_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="not an address of Elasticsearch") as caught:
        cluster.connect(url)
    assert "s3cret" not in str(caught.value)


def test_errors_of_tasks_come_back_as_what_they_were() -> None:
    text = "Job aborted\nTraceback:\n  x\nmillrace.errors.Unavailable: index posts: gone\n\nDriver stacktrace:"
    error = tasks.cause(Exception(text))
    assert isinstance(error, Unavailable) and str(error) == "index posts: gone"
    assert tasks.cause(Exception("millrace.errors.Nothing")) is None


def test_an_index_has_its_key_and_order_among_its_columns() -> None:
    for index in INDICES.values():
        assert {*index.key, index.order} <= index.properties.keys()
        assert index.mappings["dynamic"] == "strict" and "indexed_at" in index.mappings["properties"]


def test_importing_millrace_does_not_import_the_client() -> None:
    import subprocess
    import sys

    code = "import sys, millrace.applications.registry, millrace.cli, millrace.stack.servers; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"elasticsearch", "jpype"} & set(done.stdout.split())
