"""A record in Avro, as clients of Confluent's registry write it, to the JSON that Kafka Connect would have written."""

import base64
import json
import math
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import fastavro
import httpx

from millrace.errors import Unavailable

MAGIC = b"\x00"  # then the schema's id in four bytes, then the data
SECONDS = 10


def to_json(value: bytes, registry: str) -> bytes:
    """Return the JSON of a record, or `value` itself where it is no Avro; raises Unavailable."""
    if value[:1] != MAGIC or len(value) < 5 or (schema := _schema(registry, int.from_bytes(value[1:5], "big"))) is None:
        return value
    try:
        found = fastavro.schemaless_reader(BytesIO(value[5:]), schema, None)
    except (EOFError, IndexError, ValueError, TypeError, KeyError, UnicodeDecodeError):
        return value
    return json.dumps(_plain(found), ensure_ascii=False, separators=(",", ":")).encode()


@lru_cache(maxsize=1_000)
def _schema(registry: str, number: int) -> Any:
    """Return a schema of the registry, which never changes, None where it has none of this number."""
    place = urlsplit(registry).netloc.rpartition("@")[2]  # without user and password
    try:
        answer = httpx.get(f"{registry}/schemas/ids/{number}", timeout=SECONDS, trust_env=False)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise Unavailable(f"the registry at {place} answers {answer.status_code}")
        return fastavro.parse_schema(_without_logic(json.loads(answer.json()["schema"])))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise Unavailable(f"the registry at {place}: {type(error).__name__}") from None


def _without_logic(schema: Any) -> Any:
    """Return a schema without logical types: values stay the numbers and texts that JSON has, too."""
    if isinstance(schema, list):
        return [_without_logic(each) for each in schema]
    if isinstance(schema, dict):
        return {name: _without_logic(each) for name, each in schema.items() if name != "logicalType"}
    return schema


def _plain(value: Any) -> Any:
    """Return a value as Kafka Connect's JSON has it: bytes in base64, numbers that are none as text."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
