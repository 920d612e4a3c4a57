"""Records in Avro become the JSON that Kafka Connect would have written, each by its own schema."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import fastavro
import pytest

from millrace.errors import Unavailable
from millrace.kafka import avro

BEFORE: dict[str, Any] = {"type": "record", "name": "Value", "fields": [
    {"name": "id", "type": "int"},
    {"name": "at", "type": [{"type": "long", "logicalType": "timestamp-micros"}, "null"]},
    {"name": "data", "type": ["null", "bytes"]},
    {"name": "share", "type": "double"},
]}  # fmt: skip
AFTER = BEFORE | {"fields": [*BEFORE["fields"], {"name": "note", "type": ["null", "string"], "default": None}]}
SCHEMAS = {7: BEFORE, 8: AFTER}
ROW = {"id": 1, "at": 1_795_000_000_000_000, "data": b"\xff\x00", "share": 0.1}
JSON = {"id": 1, "at": 1_795_000_000_000_000, "data": "/wA=", "share": 0.1}


@pytest.fixture
def registry() -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            schema = SCHEMAS.get(int(self.path.rpartition("/")[2]))
            body = json.dumps({"schema": json.dumps(schema)}).encode()
            self.send_response(200 if schema else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever).start()
    avro._schema.cache_clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def record(schema: int, row: dict[str, Any]) -> bytes:
    body = BytesIO()
    fastavro.schemaless_writer(body, SCHEMAS[schema], row)
    return b"\x00" + schema.to_bytes(4, "big") + body.getvalue()


def test_each_record_is_read_by_the_schema_with_which_it_was_written(registry: str) -> None:
    assert json.loads(avro.to_json(record(7, ROW), registry)) == JSON
    assert json.loads(avro.to_json(record(8, ROW | {"note": "Grüße"}), registry)) == JSON | {"note": "Grüße"}
    assert json.loads(avro.to_json(record(7, ROW), registry)) == JSON


@pytest.mark.parametrize(("number", "text"), [("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")])
def test_numbers_that_are_none_are_text(registry: str, number: str, text: str) -> None:
    assert json.loads(avro.to_json(record(7, ROW | {"share": float(number)}), registry))["share"] == text


@pytest.mark.parametrize("value", [b'{"op": "c"}', b"", b"\x00", b"\x00\x00\x00\x00\x09x", b"\x00\x00\x00\x00\x07"])
def test_what_is_no_avro_stays_as_it_is(registry: str, value: bytes) -> None:
    assert avro.to_json(value, registry) == value


def test_a_registry_that_is_away_is_waited_for() -> None:
    avro._schema.cache_clear()
    with pytest.raises(Unavailable, match="registry at 127"):
        avro.to_json(record(7, ROW), "http://user:geheim@127.0.0.1:9")


def test_no_message_has_the_password_of_the_registry() -> None:
    avro._schema.cache_clear()
    with pytest.raises(Unavailable) as error:
        avro.to_json(record(7, ROW), "http://user:geheim@127.0.0.1:9")
    assert "geheim" not in str(error.value)
