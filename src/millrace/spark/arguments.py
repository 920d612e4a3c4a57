"""Argparse types for job options: topics, times, durations and weights; each error says what is wrong."""

import argparse
import math
from datetime import UTC, datetime

from millrace.durations import seconds
from millrace.errors import ConfigError
from millrace.names import topic_name


def topic(name: str) -> str:
    """Return a valid Kafka topic name; raises ArgumentTypeError for any other text."""
    try:
        return topic_name(name)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def folder(path: str) -> str:
    """Return a path or URL without slashes at its end; raises ArgumentTypeError where nothing is left."""
    if not (found := path.rstrip("/")):
        raise argparse.ArgumentTypeError(f"{path!r} names no folder")
    return found


def duration(text: str) -> str:
    """Return a duration such as 5m, 90s or "10 minutes" in the notation that Spark reads."""
    try:
        length = seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return f"{_plain(length)} seconds" if length % 60 or not length else f"{_plain(length / 60)} minutes"


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def moment(text: str) -> datetime:
    """Return a time such as 2026-11-22 or 2026-11-22T12:00Z, in UTC; one without a zone is UTC."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-22T12:00Z") from None


def length_of_time(text: str) -> str:
    """Return a duration as `duration` does, but raise ArgumentTypeError if it is zero."""
    found = duration(text)
    if not seconds(found):
        raise argparse.ArgumentTypeError(f"{text!r} has no length")
    return found


def count(text: str) -> int:
    """Return a whole number of 1 or more."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def weight(text: str) -> float:
    """Return a weight: any finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value
