"""Frames that no reader may accept, each broken in one way; one that slips through shows as #malformed."""

import re
from collections.abc import Callable

from millrace.simulate import broken
from millrace.simulate.posts import Event

Encode = Callable[[Event], bytes]
_MARK = "@text@"
_TIME = re.compile(rb'(?<="time":)"[^"]*"|(?<="time_us":)\d+')
_DID = re.compile(rb'(?<="did":)"[^"]*"')

TIMES = {"huge number": b"1e400", "not a number": b"NaN", "time of words": b'"soon"'}
TEXTS = {
    "lone surrogate": rb'"\ud800 #malformed"',
    "invalid UTF-8": b'"\xff\xfe #malformed"',
    "invalid UTF-8 in a binary frame": b'"\xc3( #malformed"',
    "deep": broken.NESTED,
}
OTHERS = ("wrong did", "no record")
WAYS = (*broken.WHOLE, *TIMES, *TEXTS, *OTHERS)


def way(event: Event) -> str:
    """Return the name of the way in which `event` is broken."""
    return WAYS[event.broken % len(WAYS)]


def is_text(event: Event) -> bool:
    """Say whether the broken frame travels as a WebSocket text frame (else binary)."""
    return way(event) != "invalid UTF-8 in a binary frame"


def encode(event: Event, well: Encode) -> bytes:
    """Return the broken frame; `well` encodes events as the wire has them."""
    name = way(event)
    record = event.body["record"]
    event.body["record"] = {"$type": record["$type"], "createdAt": record["createdAt"], "text": _MARK}
    if name == "no record":
        del event.body["record"]
    frame = well(event)
    if name in broken.WHOLE:
        return broken.WHOLE[name](frame)
    if name in TIMES:
        return _TIME.sub(TIMES[name], frame, count=1)
    if name in TEXTS:
        return frame.replace(f'"{_MARK}"'.encode(), TEXTS[name])
    return _DID.sub(b"17", frame) if name == "wrong did" else frame
