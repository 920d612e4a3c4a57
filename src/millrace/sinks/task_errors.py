"""Read Spark's errors: the error of ours that a task raised, and the line that names the cause."""

import re

from millrace import errors
from millrace.errors import MillraceError

_NAMES_CAUSE = ("millrace.errors.", "Caused by:", ": java.", ": com.", "pyspark.errors", "org.apache.kafka")
_PLACED = re.compile(r"Record at topic .* partition \d+ offset \d+ has .*")  # a timestamp that Spark cannot hold
_OURS = re.compile(r"^millrace\.errors\.(\w+): (.*)$", re.MULTILINE)


def cause(error: Exception) -> MillraceError | None:
    """Return the error of ours that ended a task, None if it was another."""
    found = _OURS.search(str(error))
    return getattr(errors, found[1])(found[2]) if found else None


def reason(error: Exception) -> str:
    """Return the one line of a Spark error that names the cause."""
    if placed := _PLACED.search(str(error)):
        return placed[0]
    lines = [line.strip() for line in str(error).splitlines()]
    causes = [line for line in lines if line.startswith(_NAMES_CAUSE)]
    line = causes[-1] if causes else next(filter(None, lines), repr(error))
    return line.removeprefix("millrace.errors.").removeprefix(": ")
