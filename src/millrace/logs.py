"""Logs on stderr: one event, one line, whatever the event holds."""

import json
import logging
import os
import re
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

# Control characters, line separators, marks that turn lines around, half characters
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str) -> str:
    r"""Return `text` with what breaks lines, moves a cursor or turns lines around as escapes such as \x1b."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class TextFormatter(logging.Formatter):
    """`12:34:56 INFO batch: batch_id=3 ...`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        return escape(f"{moment} {record.levelname} {record.getMessage()}{_spelled(record)}")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat()
        event = {
            "time": moment,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(event | getattr(record, "fields", {}), default=str)


def _spelled(record: logging.LogRecord) -> str:
    shown = (
        "batch_id",
        "input_rows",
        "processed_rows_per_second",
        "batch_seconds",
        "state_rows",
        "kafka_lag",
        "bad_records",
    )
    fields = {key: value for key, value in getattr(record, "fields", {}).items() if key in shown}
    return (
        " " + " ".join(f"{key}={round(v, 1) if isinstance(v, float) else v}" for key, v in fields.items())
        if fields
        else ""
    )


def say(message: str) -> None:
    """Tell the user one thing: a plain line on standard error."""
    sys.stderr.write(f"{message}\n")


def configure(style: str = "text", level: int = logging.INFO) -> None:
    """Send millrace's logs to stderr as `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger = logging.getLogger("millrace")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


def reclaim_stderr() -> None:
    """Write standard error to spark-submit's own, which else hands a job's errors out on its standard output.

    Not where spark-submit writes to a plain file at its own offset, in which two writers would overwrite each other.
    """
    launcher = Path("/proc") / str(os.getppid())
    try:
        if (launcher / "comm").read_text().strip() == "java" and _shareable(launcher):
            os.dup2(os.open(launcher / "fd" / "2", os.O_WRONLY | os.O_APPEND), sys.stderr.fileno())
    except OSError:  # no Linux, or not ours to open
        return


def _shareable(process: Path) -> bool:
    mode = (process / "fd" / "2").stat().st_mode
    flags = re.search(r"flags:\s*(\d+)", (process / "fdinfo" / "2").read_text())
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or bool(flags and int(flags[1], 8) & os.O_APPEND)
