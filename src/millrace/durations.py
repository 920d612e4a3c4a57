"""Durations as people write them: 5m, 90s, "10 minutes"."""

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:(s|m|h|d)|(sec|second|min|minute|hour|day)s?)(?![a-z])", re.I)


def seconds(text: str) -> float:
    """Return the seconds that `text` says, such as 90.0 for "1m 30s"; raises ValueError when it says none."""
    total, end = 0.0, 0
    while part := _PART.match(text, end):
        total, end = total + float(part[1]) * _SECONDS[(part[2] or part[3])[0].lower()], part.end()
    if not end or text[end:].strip():
        raise ValueError(f"{text!r} is no duration such as 5s, 1m or '10 minutes'")
    return total
