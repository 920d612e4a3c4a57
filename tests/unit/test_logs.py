"""One event is one line, whatever it holds, as text and as JSON."""

import io
import json
import logging

import pytest

from millrace import logs

HOSTILE = "one\r\ntwo\x1b[31m red \u2028 \u202eback\u2066 \x00 \ud800 end"


@pytest.fixture
def said(monkeypatch):
    """Configure the logs as a job does, and return how to read what one event came out as."""

    def emit(style, message, fields=None):
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        logs.configure(style)
        logging.getLogger("millrace.test").warning("%s", message, extra={"fields": fields} if fields else None)
        return stream.getvalue()

    logger = logging.getLogger("millrace")
    before = logger.handlers, logger.level, logger.propagate
    yield emit
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_text_is_one_line_without_control_characters(said):
    line = said("text", HOSTILE, {"batch_id": 3, "batch_seconds": 0.123, "secret": "kept back"})
    assert line.count("\n") == 1 and line.endswith("\n")
    assert not set(HOSTILE) & set(line.rstrip("\n")) & set("\r\n\x1b\u2028\u202e\u2066\x00\ud800")
    assert line.split()[1:3] == ["WARNING", r"one\r\ntwo\x1b[31m"]
    assert line.endswith(" batch_id=3 batch_seconds=0.1\n") and "kept back" not in line


def test_json_is_one_object_a_line(said):
    line = said("json", HOSTILE, {"batch_id": 3, "watermark": None})
    assert line.count("\n") == 1
    event = json.loads(line)
    assert (event["level"], event["logger"], event["message"]) == ("WARNING", "millrace.test", HOSTILE)
    assert (event["batch_id"], event["watermark"]) == (3, None)
    assert line.isascii()
