"""What is right to tell of a community's posts, analysis by analysis: counted here with no code of what it judges."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from millrace.simulate.community import HOME, Community, Post, name_of, shares
from millrace.simulate.scenario import SECOND, rfc3339
from millrace.simulate.truth import fold

MINUTE, TEN_SECONDS = 60, 10
Line = dict[str, Any]


class Answers:
    """The answers to the posts given to `add`, each once; broken posts are none.

    `lines` have `analysis` and its columns: `languages`, `authors` (the URL of the account), `counts` (ten seconds),
    `dashboard`; and `posts`, one a post: id, author, bot, language, hashtags (sorted), edited, deleted. Where counters
    settle, that line also has those of a post that was looked up again: replies, reblogs, favourites and
    engagement_score (null once deleted); and `readings` tells how many posts and edits a minute shows.
    """

    def __init__(self, community: Community) -> None:
        self._community = community
        self._posts: list[Line] = []
        self._windows: defaultdict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
        self._minutes: defaultdict[int, list[Post]] = defaultdict(list)

    def add(self, post: Post) -> None:
        """Count a post, its edit and its end."""
        if post.broken:
            return
        minute = _floor(post.created, MINUTE)
        self._windows["languages"][minute, post.language or "und"] += 1
        self._windows["authors"][minute, f"{HOME}/@{name_of(post.author)}"] += 1
        self._windows["counts"][_floor(post.created, TEN_SECONDS), ""] += 1
        self._minutes[minute].append(post)
        for moment in (post.created, post.edited):
            if moment != float("inf"):
                self._windows["readings"][_floor(int(moment), MINUTE), ""] += 1
        self._posts.append(self._describe(post))

    def lines(self) -> Iterator[Line]:
        """Yield the windows of each analysis in order, then the posts."""
        names = {"languages": "language", "authors": "author"}
        for analysis, counted in self._windows.items():
            length = TEN_SECONDS if analysis == "counts" else MINUTE
            for (start, name), posts in sorted(counted.items()):
                named = {names[analysis]: name} if name else {}
                yield {"analysis": analysis, **_window(start, length), **named, "posts": posts}
        for start, written in sorted(self._minutes.items()):
            yield {"analysis": "dashboard", **_window(start, MINUTE), **_summed(written)}
        yield from self._posts

    def _describe(self, post: Post) -> Line:
        deleted = post.deleted != float("inf")
        counters = _settled(post, deleted) if self._community.settled is not None else {}
        return {
            "analysis": "posts",
            "id": post.uri,
            "author": f"{HOME}/@{name_of(post.author)}",
            "bot": _is_bot(post),
            "language": post.language,
            "hashtags": sorted(set(map(fold, post.hashtags))),
            "edited": post.edited != float("inf"),
            "deleted": deleted,
            **counters,
        }


def _settled(post: Post, deleted: bool) -> Line:
    """Return the counters and the score of a post at its end."""
    told = {name.removesuffix("_count"): count for name, count in shares(post.popularity).items()}
    counters = {name: told[name] for name in ("replies", "reblogs", "favourites")}
    score = float(3 * told["replies"] + 2 * told["reblogs"] + told["favourites"])
    found = counters | {"engagement_score": score}
    return dict.fromkeys(found) if deleted else found


def _floor(time: int, seconds: int) -> int:
    return time // (seconds * SECOND) * seconds * SECOND


def _window(start: int, seconds: int) -> Line:
    return {
        "window_start": rfc3339(start, "seconds"),
        "window_end": rfc3339(start + seconds * SECOND, "seconds"),
    }


def _summed(posts: list[Post]) -> Line:
    languages = Counter(post.language for post in posts if post.language)
    return {
        "posts": len(posts),
        "authors": len({post.author for post in posts}),
        "bots": sum(map(_is_bot, posts)),
        "top_language": min(languages, key=lambda tag: (-languages[tag], tag), default=None),
    }


def _is_bot(post: Post) -> bool:
    return post.author % 10 == 3
