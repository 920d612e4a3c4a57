"""Classify the error of a failed stream: whether a retry may help, and what the user should do."""

from millrace.sinks.task_errors import reason

_PASSING = ("Unavailable", "TimeoutException", "DisconnectException", "NotLeaderOrFollower", "UnknownTopicOrPartition",
            "CoordinatorNotAvailable", "NetworkException", "Failed to construct kafka consumer")  # fmt: skip
_LOST = ("OffsetOutOfRange", "KAFKA_DATA_LOSS", "data may have been lost", "data was aged out")
_DAMAGED = ("malformed", "CANNOT_LOAD_STATE_STORE", "JsonParseException", "MissingLogException", "ChecksumException",
            "EOFException", "NumberFormatException", "was not found in the log")  # fmt: skip
_FULL = ("No space left on device", "Disk quota exceeded")


def passing(error: Exception) -> bool:
    """Return whether the same batch may succeed later."""
    return any(word in str(error) for word in _PASSING)


def explain(error: Exception, checkpoint: str) -> str:
    """Return a message with the cause, the checkpoint's path and what to do."""
    return f"the stream stopped: {reason(error)}; checkpoint: {checkpoint}{_advice(str(error), checkpoint)}"


def _advice(text: str, checkpoint: str) -> str:
    again = f"remove {checkpoint} to begin with the earliest record that the topic holds; upserting sinks stay right"
    if any(word in text for word in _FULL):
        return "; a disk is full: make room, then start the same command again"
    if any(word in text for word in _LOST):
        return f"; records left the topic before they were read, which its retention decides: {again}"
    if any(word in text for word in _DAMAGED):
        return f"; it is damaged: {again}"
    return ""
