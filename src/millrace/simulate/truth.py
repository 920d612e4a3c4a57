"""Right answer to a scenario: hashtag counts per window, from the hashtags that the simulator chose."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from millrace.errors import ConfigError
from millrace.simulate.posts import Event, Events
from millrace.simulate.scenario import SECOND, Scenario, rfc3339

POSTS = ("create", "update", "delete")


def fold(word: str) -> str:
    """Return what a hashtag is counted as: NFKC, case folded, NFKC again (folding may undo it), no `#`."""
    word = unicodedata.normalize("NFKC", word).casefold()
    return unicodedata.normalize("NFKC", word).strip("#")


class Tally:
    """Counts of the events given to `add`, each to be given once however often it is sent."""

    def __init__(self, window: int = 60) -> None:
        self.window = window * SECOND
        self.kinds: Counter[str] = Counter()
        self.late = 0
        self.counts: Counter[tuple[bool, int, str]] = Counter()

    def add(self, event: Event) -> None:
        """Count one event; hashtags only of posts created, never of edits, and a hashtag once a post."""
        self.kinds[event.kind] += 1
        if event.kind not in POSTS:
            return
        self.late += event.late
        if event.kind == "create":
            start = event.time_us // self.window * self.window
            self.counts.update((event.late, start, word) for word in set(map(fold, event.hashtags)))

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the summary, then a line per window and hashtag: those in time first, the late ones after."""
        yield self._summary()
        for (late, start, hashtag), posts in sorted(self.counts.items()):
            ends = {
                "window_start": rfc3339(start, "seconds"),
                "window_end": rfc3339(start + self.window, "seconds"),
            }
            yield {**ends, "hashtag": hashtag, "posts": posts, "late": late}

    def _summary(self) -> dict[str, Any]:
        kinds = self.kinds
        return {
            "kind": "summary",
            "events": kinds.total(),
            "posts": sum(kinds[kind] for kind in POSTS),
            "creates": kinds["create"],
            "updates": kinds["update"],
            "deletes": kinds["delete"],
            "malformed": kinds["malformed"],
            "late": self.late,
            "likes": kinds["like"],
            "others": kinds["identity"] + kinds["account"],
        }


def truth(scenario: Scenario, window: int = 60) -> Iterator[dict[str, Any]]:
    """Yield the right answer to a finite scenario, for tumbling windows of `window` seconds.

    First `kind` "summary": `events` (all frames, repeats not counted), `posts` (well-formed post events:
    `creates`, `updates` and `deletes`, late ones included), `malformed`, `late` (posts of any operation),
    `likes`, `others`. Then lines of `window_start, window_end, hashtag, posts, late`.
    Raises ConfigError where the scenario has no end.
    """
    if scenario.count is None:
        raise ConfigError("the truth of an endless scenario is known when it ends: give it a --count")
    events, tally = Events(scenario), Tally(window)
    for index in range(scenario.count):
        tally.add(events.at(index))
    yield from tally.lines()


def write(lines: Iterable[dict[str, Any]], path: Path) -> None:
    """Write JSON lines to `path`, all or nothing."""
    half = path.with_name(path.name + ".part")
    with half.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    half.replace(path)
