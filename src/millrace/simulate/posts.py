"""Events: posts, edits, deletes, likes, identities, accounts; each a pure function of its index."""

import struct
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from typing import Any

from millrace.simulate.content import ONE, POST, Draw, compose
from millrace.simulate.scenario import LATE_GAP, SECOND, Scenario, rfc3339

LIKE = "app.bsky.feed.like"
AUTHORS = 5000
KINDS = ("create",) * 36 + ("update",) * 2 + ("delete",) * 3 + ("like",) * 7 + ("identity", "account")
FAR_CLAIMS = ("2036-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z")

_TID = "234567abcdefghijklmnopqrstuvwxyz"
_PAIRS = ["".join(pair) for pair in product(_TID, repeat=2)]  # ten bits at once, for speed
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")  # hexadecimal digits to letters that base32 knows
_UNPACK = struct.Struct("<16I").unpack


@dataclass(slots=True)
class Event:
    """One event: `body` is the part of a v1 frame that `envelope` names; `hashtags` count, as spelled."""

    index: int
    kind: str  # one of KINDS, or "malformed"
    did: str
    time_us: int
    late: bool
    body: dict[str, Any]
    hashtags: tuple[str, ...] = ()
    broken: int = 0  # a malformed event: which way

    @property
    def envelope(self) -> str:
        """The v1 `kind` of the frame: commit, identity or account."""
        return self.kind if self.kind in ("identity", "account") else "commit"

    @property
    def collection(self) -> str:
        """The collection of a commit, "" for other events."""
        return str(self.body.get("collection", ""))


class Events:
    """All events of a scenario by index, without memory."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._key = scenario.seed.to_bytes(8, "big")
        self._dids = [f"did:plc:{_letters(self._digest(b'did%d' % number), 24)}" for number in range(AUTHORS)]

    def _digest(self, what: bytes) -> bytes:
        return blake2b(what, key=self._key).digest()

    def draw(self, index: int) -> Draw:
        """Return the random numbers of `index`."""
        return Draw._make(_UNPACK(self._digest(index.to_bytes(8, "big"))))

    def at(self, index: int) -> Event:
        """Return event `index` (0 or greater)."""
        draw = self.draw(index)
        kind, target = self._resolve(index, draw)
        event = Event(index, kind, self._author(draw), self._time(index, draw, kind), False, {})
        event.late = event.time_us <= self.scenario.start_us - LATE_GAP
        self._fill(event, draw, target)
        if self._is_broken(draw):
            event.kind, event.broken = "malformed", draw.author
        return event

    def copies(self, index: int) -> int:
        """Return how many times frame `index` is sent again, 0 to 2; a broken one never, none could tell."""
        draw = self.draw(index)
        again = draw.copies < self.scenario.duplicates * ONE and not self._is_broken(draw)
        return 1 + draw.copies % 2 if again else 0

    def _is_broken(self, draw: Draw) -> bool:
        return draw.broken < self.scenario.malformed * ONE

    def _resolve(self, index: int, draw: Draw) -> tuple[str, int]:
        """The kind of event `index`, and the earlier post that it edits, deletes or likes (else itself)."""
        kind = _kind(draw)
        if self._is_broken(draw):
            return "create", index
        if kind not in ("update", "delete", "like"):
            return kind, index
        nearest = 1 + draw.target % 64 + (128 if kind == "delete" else 0)  # deletes come after all edits of the post
        for candidate in range(index - nearest, max(-1, index - nearest - 32), -1):
            other = self.draw(candidate)
            if _kind(other) == "create" and not self._is_broken(other):
                return kind, candidate
        return "create", index  # nothing to be about yet

    def _time(self, index: int, draw: Draw, kind: str) -> int:
        if draw.late < self.scenario.late * ONE and kind in ("create", "update", "delete"):
            return self.scenario.start_us - LATE_GAP - draw.lateness * LATE_GAP // ONE
        return self.scenario.nominal(index) - int(draw.jitter / ONE * self.scenario.shuffle * SECOND)

    def _author(self, draw: Draw) -> str:
        return self._dids[(draw.author * draw.author // ONE) * AUTHORS // ONE]  # squared: some write much more

    def _tid(self, index: int, before: int = 0) -> str:
        """A timestamp identifier: 13 letters that sort by time, unique through its ten clock bits."""
        number = (self.scenario.nominal(index) - before) << 10 | index & 1023
        return "".join([_PAIRS[number >> shift & 1023] for shift in range(55, -1, -10)]) + _TID[number & 31]

    def _fill(self, event: Event, draw: Draw, target: int) -> None:
        if event.kind in ("identity", "account"):
            event.body = _account(event)
            return
        if event.kind in ("update", "delete"):  # an author only changes what is his
            event.did = self._author(self.draw(target))
        like = event.kind == "like"
        rkey = self._tid(event.index if like else target, before=SECOND)
        operation, collection = ("create", LIKE) if like else (event.kind, POST)
        event.body = {
            "rev": self._tid(event.index),
            "operation": operation,
            "collection": collection,
            "rkey": rkey,
        }
        if event.kind == "delete":
            return
        if like:
            event.body["record"] = self._like(draw, event, target)
        else:
            age = self.scenario.age(event.index)
            event.body["record"], event.hashtags = compose(draw, self._claim(draw, event), self.scenario.tagged, age)
        event.body["cid"] = self._cid(event.index)

    def _cid(self, index: int) -> str:
        return "bafyrei" + _letters(self._digest(b"cid%d" % index), 52)

    def _claim(self, draw: Draw, event: Event) -> str:
        if draw.claim < self.scenario.future_dated * ONE:
            return FAR_CLAIMS[draw.claim % 2]
        return rfc3339(self.scenario.nominal(event.index) - draw.claim * 3 * SECOND // ONE)

    def _like(self, draw: Draw, event: Event, target: int) -> dict[str, Any]:
        uri = f"at://{self._author(self.draw(target))}/{POST}/{self._tid(target, before=SECOND)}"
        return {
            "$type": LIKE,
            "createdAt": self._claim(draw, event),
            "subject": {"cid": self._cid(target), "uri": uri},
        }


def _kind(draw: Draw) -> str:
    return KINDS[draw.kind * len(KINDS) // ONE]


def _letters(digest: bytes, length: int) -> str:
    return digest.hex()[:length].translate(_LETTERS)


def _account(event: Event) -> dict[str, Any]:
    common = {"did": event.did, "seq": 30_000_000_000 + event.index, "time": rfc3339(event.time_us)}
    if event.kind == "account":
        return {"active": True, **common}
    return {**common, "handle": f"{event.did[-8:]}.bsky.social"}
