"""What the double of Mastodon holds: posts, each a pure function of its number, and what they look like at a time."""

from dataclasses import dataclass
from html import escape
from math import inf
from typing import Any

from millrace.errors import ConfigError
from millrace.simulate import texts
from millrace.simulate.content import ONE, Draw
from millrace.simulate.posts import Events
from millrace.simulate.scenario import SECOND, Scenario, rfc3339
from millrace.simulate.truth import fold

HOME = "https://mill.example"  # where all posts were written
AUTHORS = 500
MENTION = f'<span class="h-card"><a href="{HOME}/@user7" class="u-url mention">@<span>user7</span></a></span>'
_KINDS = ("invisible", "ellipsis", "invisible")
_PARTS = ("https://", "mill.example/re", "ad")  # of a link people see the middle
LINK = f'<a href="{HOME}/read">' + "".join(
    f'<span class="{kind}">{part}</span>' for kind, part in zip(_KINDS, _PARTS, strict=True)
) + "</a>"  # fmt: skip
OWN = ("edited", "deleted", "delayed", "too_many", "broken_answers", "unauthorized", "empty", "stalled")


@dataclass(frozen=True)
class Community(Scenario):
    """A scenario of posts, and how the server behaves. Raises ConfigError that names every value out of range."""

    edited: float = 0.05  # fraction of posts edited 5 to 60 s after they were written
    deleted: float = 0.0  # fraction of posts deleted 60 to 120 s after they were written; never at speed 0
    delayed: float = 0.05  # fraction of posts that appear up to 20 s after their ids say
    settled: float | None = None  # seconds of age at which counters jump from 0 to their end; None: they grow and grow
    site: int = 0  # which instance this is: the same posts under other ids
    limit: int = 300  # calls in `period` seconds
    period: float = 300.0
    too_many: float = 0.0  # fraction of calls answered with 429
    broken_answers: float = 0.0  # ... with 500
    unauthorized: float = 0.0  # ... with 401
    empty: float = 0.0  # ... with an empty list
    stalled: float = 0.0  # ... not at all
    reorder: bool = False  # pages come in any order
    token: str | None = None  # what a client must show
    closed: bool = False  # the instance says that its feeds are closed

    def __post_init__(self) -> None:
        """Check the values and resolve the start."""
        super().__post_init__()
        wrong = [
            f"--{name.replace('_', '-')} is a fraction from 0 to 1" for name in OWN if not 0 <= getattr(self, name) <= 1
        ]
        wrong += ["--settled is more than 0"] if self.settled is not None and self.settled <= 0 else []
        wrong += ["--limit and --period are more than 0"] if self.limit < 1 or self.period <= 0 else []
        if wrong:
            raise ConfigError("wrong scenario: " + "; ".join(wrong))


@dataclass(frozen=True, slots=True)
class Post:
    """One post; times in microseconds, `inf` for never. `plain` is its text as people see it."""

    index: int
    id: int
    uri: str
    created: int
    visible: int
    edited: float
    deleted: float
    author: int
    html: str
    plain: str
    language: str | None
    hashtags: tuple[str, ...]
    popularity: int
    broken: bool
    settled: float | None

    def has(self, tag: str) -> bool:
        """Say whether it is found under the folded `tag`."""
        return tag in map(fold, self.hashtags)


class Posts:
    """All posts of a community by number, without memory."""

    def __init__(self, community: Community) -> None:
        self.community = community
        self._events = Events(community)

    def at(self, index: int) -> Post:
        """Return post `index` (0 or greater)."""
        draw = self._events.draw(index)
        created = self.community.nominal(index) // 1000 * 1000
        home = created // 1000 << 16 | index & 0xFFFF
        language, hashtags, html, plain = _text(draw, self.community.tagged, self.community.age(index))
        author = (draw.author * draw.author // ONE) * AUTHORS // ONE  # squared: some write much more
        return Post(
            index=index,
            id=created // 1000 << 16 | (index + 7919 * self.community.site) & 0xFFFF,
            uri=f"{HOME}/users/user{author}/statuses/{home}",
            created=created,
            visible=created + self._later(draw.late, self.community.delayed, draw.lateness, 0, 20),
            edited=self._edited(created, draw),
            deleted=self._deleted(created, draw),
            author=author,
            html=html,
            plain=plain,
            language=language,
            hashtags=hashtags,
            popularity=draw.copies % 200,
            broken=draw.broken < self.community.malformed * ONE,
            settled=self.community.settled,
        )

    def _later(self, draw: int, fraction: float, share: int, least: int, most: int) -> int:
        return (least * SECOND + (most - least) * SECOND * share // ONE) // 1000 * 1000 if draw < fraction * ONE else 0

    def _edited(self, created: int, draw: Draw) -> float:
        later = self._later(draw.claim, self.community.edited, draw.jitter, 5, 60)
        return created + later if later else inf

    def _deleted(self, created: int, draw: Draw) -> float:
        later = self._later(draw.target, self.community.deleted, draw.sentence, 60, 120)
        return created + later if later and self.community.speed else inf


def _text(draw: Draw, tagged: float, age: float) -> tuple[str | None, tuple[str, ...], str, str]:
    """Return language, hashtags, HTML and the same as people see it."""
    language = texts.LANGUAGES[draw.sentence % len(texts.LANGUAGES)]
    sentence = texts.sentence(language, draw.sentence, age)
    words = _words(draw) if draw.tagged < tagged * ONE else ()
    html, plain = f"<p>{escape(sentence)}</p>", sentence
    if draw.style & 3 == 0:
        html = f"<p>{MENTION} {html[3:]}"
        plain = f"@user7 {plain}"
    if draw.style & 28 == 0:
        html = f"{html[:-4]}<br />{LINK}</p>"
        plain += "\nmill.example/re"
    if words:
        html += "<p>" + " ".join(_link(word) for word in words) + "</p>"
        plain += "\n\n" + " ".join(f"#{word}" for word in words)
    return language if draw.sentence >> 16 & 7 else None, words, html, plain


def _words(draw: Draw) -> tuple[str, ...]:
    numbers = [texts.zipf(each) for each in (draw.first, draw.second)[: 1 + draw.spelling % 2]]
    spelled = (texts.PLAIN[number] for number in numbers if texts.PLAIN[number])
    return tuple(words[draw.spelling % len(words)] for words in spelled)


def _link(word: str) -> str:
    return f'<a href="{HOME}/tags/{word}" class="mention hashtag" rel="tag">#<span>{word}</span></a>'


def status(post: Post, time: int) -> dict[str, Any]:
    """Return the status as it looks at `time` (microseconds): its last edit, its counters by then."""
    edited = post.edited <= time
    age = max(0, time - post.created) // SECOND
    name = name_of(post.author)
    shown = {
        "id": str(post.id),
        "created_at": rfc3339(post.created),
        "edited_at": rfc3339(int(post.edited)) if edited else None,
        "in_reply_to_id": None,
        "sensitive": False,
        "spoiler_text": "",
        "visibility": "public",
        "language": post.language,
        "uri": post.uri,
        "url": f"{HOME}/@{name}/{post.uri.rpartition('/')[2]}",
        "content": post.html + ("<p>edited</p>" if edited else ""),
        "reblog": None,
        "tags": [{"name": word, "url": f"{HOME}/tags/{word}"} for word in dict.fromkeys(map(str.lower, post.hashtags))],
        "mentions": [],
        "media_attachments": [],
        "emojis": [],
        "account": _account(post.author),
        **_counters(post, age),
    }
    return {key: value for key, value in shown.items() if key != "uri"} if post.broken else shown


def name_of(author: int) -> str:
    """Return the name of an account."""
    return f"user{author}"


def _account(number: int) -> dict[str, Any]:
    name = name_of(number)
    return {
        "id": str(1000 + number),
        "username": name,
        "acct": name,
        "display_name": f"User {number}",
        "bot": number % 10 == 3,
        "url": f"{HOME}/@{name}",
        "followers_count": number,
    }


def _counters(post: Post, age: int) -> dict[str, int]:
    if post.settled is None:
        return shares(post.popularity * age // (age + 600))
    return shares(post.popularity if age >= post.settled else 0)


def shares(favourites: int) -> dict[str, int]:
    """Return the counters of a post with so many favourites."""
    return {
        "replies_count": favourites // 5,
        "reblogs_count": favourites // 3,
        "favourites_count": favourites,
        "quotes_count": 0,
    }
