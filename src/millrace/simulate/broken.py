"""Ways in which a frame of any feed is broken as a whole, so that no reader may accept it."""

from collections.abc import Callable

Break = Callable[[bytes], bytes]
DEEP = 10_000
NESTED = b"[" * DEEP + b"]" * DEEP
WHOLE: dict[str, Break] = {
    "empty": lambda _: b"",
    "null": lambda _: b"null",
    "number": lambda _: b"42",
    "nothing": lambda _: b"{}",
    "cut": lambda frame: frame[: len(frame) // 2],
    "array": lambda frame: b"[" + frame + b"]",
}
