"""Errors of ours that were raised in a task: Spark hands them to the driver as the text of a stack trace."""

import re

from millrace import errors
from millrace.errors import MillraceError

_OURS = re.compile(r"^millrace\.errors\.(\w+): (.*)$", re.MULTILINE)


def cause(error: Exception) -> MillraceError | None:
    """Return the error that ended a task, if it was one of ours."""
    found = _OURS.search(str(error))
    return getattr(errors, found[1])(found[2]) if found else None
