"""The double's clock and its timelines: which posts can be seen now, and pages of them as Mastodon cuts them."""

import heapq
import time
from bisect import bisect_right, insort
from collections import defaultdict
from typing import Any

from millrace.simulate.community import Community, Post, Posts, status
from millrace.simulate.scenario import SECOND
from millrace.simulate.truth import fold

PAGE = 20  # statuses of a page, if the client does not say; 40 at most
MOST = 40


class Timelines:
    """All that happened so far. `recorded` are statuses that are there from the beginning."""

    def __init__(self, community: Community, recorded: list[dict[str, Any]] | None = None) -> None:
        self.community = community
        self.recorded = {int(each["id"]): each for each in recorded or []}
        self.log: list[tuple[int, str, Post]] = []  # time, event of the stream, post
        self._posts, self.made, self._started = Posts(community), 0, time.monotonic()
        self._coming: list[tuple[float, int, str, Post]] = []
        self._by_tag: defaultdict[str, list[int]] = defaultdict(list)
        self._shown: dict[int, Post] = {}
        for number, each in self.recorded.items():
            for tag in ["", *(fold(tag["name"]) for tag in each.get("tags", []))]:
                insort(self._by_tag[tag], number)

    def now(self) -> int:
        """Return the time there, microseconds, and let happen what is due by then."""
        community = self.community
        if community.speed == 0:
            moment = community.nominal(community.count or 0) + 60 * SECOND
        else:
            moment = community.start_us + int((time.monotonic() - self._started) * community.speed * SECOND)
        while (community.count is None or self.made < community.count) and community.nominal(self.made) <= moment:
            self._expect(self._posts.at(self.made))
            self.made += 1
        while self._coming and self._coming[0][0] <= moment:
            due, _, event, post = heapq.heappop(self._coming)
            self._happen(int(due), event, post)
        return moment

    def statuses(self, ids: list[int]) -> list[dict[str, Any]]:
        """Return those of `ids` that are there, as they look now."""
        now = self.now()
        found = [self._look(number, now) for number in ids]
        return [each for each in found if each is not None]

    def page(self, tag: str, *, limit: int, above: int, below: int, forward: bool) -> list[dict[str, Any]]:
        """Return a page, newest first, of posts with `tag` ("": all) whose ids are between two ids.

        `forward` takes the oldest of them (`min_id`), else the newest (`since_id`, `max_id`).
        """
        now = self.now()
        ids = self._by_tag.get(fold(tag) if tag else "", [])
        between = ids[bisect_right(ids, above) : bisect_right(ids, below - 1)]
        found: list[dict[str, Any]] = []
        for number in between if forward else reversed(between):
            shown = self._look(number, now)
            if shown is not None:
                found.append(shown)
            if len(found) == limit:
                break
        return found[::-1] if forward else found

    def _expect(self, post: Post) -> None:
        for due, event in ((post.visible, "update"), (post.edited, "status.update"), (post.deleted, "delete")):
            if due != float("inf"):
                heapq.heappush(self._coming, (max(due, post.visible), len(self._coming) + post.index, event, post))

    def _happen(self, moment: int, event: str, post: Post) -> None:
        self.log.append((moment, event, post))
        if event == "update":
            self._shown[post.id] = post
            for tag in {"", *map(fold, post.hashtags)}:
                insort(self._by_tag[tag], post.id)
        elif event == "delete":
            self._shown.pop(post.id, None)

    def _look(self, number: int, now: int) -> dict[str, Any] | None:
        if number in self.recorded:
            return self.recorded[number]
        post = self._shown.get(number)
        return status(post, now) if post else None
