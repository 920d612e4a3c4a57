"""What a failed stream means: whether waiting helps, the one line that names the cause, and what is to be done."""

_PASSING = ("Unavailable", "TimeoutException", "DisconnectException", "NotLeaderOrFollower", "UnknownTopicOrPartition",
            "CoordinatorNotAvailable", "NetworkException", "Failed to construct kafka consumer")  # fmt: skip
_LOST = ("OffsetOutOfRange", "KAFKA_DATA_LOSS", "data may have been lost", "data was aged out")
_DAMAGED = ("malformed", "CANNOT_LOAD_STATE_STORE", "JsonParseException", "MissingLogException", "ChecksumException",
            "EOFException", "NumberFormatException", "was not found in the log")  # fmt: skip
_FULL = ("No space left on device", "Disk quota exceeded")
_NAMES_CAUSE = ("millrace.errors.", "Caused by:", ": java.", ": com.", "pyspark.errors", "org.apache.kafka")


def passing(error: Exception) -> bool:
    """Return whether the same batch may succeed later."""
    return any(word in str(error) for word in _PASSING)


def reason(error: Exception) -> str:
    """Return the one line of a Spark error that names the cause."""
    lines = [line.strip() for line in str(error).splitlines()]
    causes = [line for line in lines if line.startswith(_NAMES_CAUSE)]
    line = causes[-1] if causes else next(filter(None, lines), repr(error))
    return line.removeprefix("millrace.errors.").removeprefix(": ")


def explain(error: Exception, checkpoint: str) -> str:
    """Return the cause, where the checkpoint lies, and what to do."""
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
