"""Tweets: what people write, as it is sent and as it is right to read; each a pure function of its index."""

import html
import random
import unicodedata
from dataclasses import dataclass
from typing import Literal

from millrace.errors import ConfigError
from millrace.simulate import texts
from millrace.simulate.scenario import LATE_GAP, SECOND, Scenario

WIRES = ("plain", "v1", "v2")
BLOCK = 50  # tweets of a burst
AUTHORS = 2000
EPOCH_MS = 1_288_834_974_657  # of Twitter's ids, which hold a time
MILLISECOND = 1000  # microseconds
STRAYS = "\0\x07\x08\x1b\x7f\x9d\ufeff\u202e"  # none of them is to be seen
SPACES = (" ",) * 6 + ("  ", "\n", "\t", "\r\n", "\xa0", " \u2028")
BLANKS = ("", " ", "\n\t", "\x07\x1b", "&#32;&nbsp;", "\u200b\ufeff")  # nothing is left of them
ASIDES = ('Tom & Jerry <3 "again"', "1 < 2 && 3 > 2", "it reads &amp; there", "R&D at AT&T")
TAGS = tuple(tag for tag, words in zip(texts.VOCABULARY, texts.PLAIN, strict=True) if words)


@dataclass(frozen=True)
class Talk(Scenario):
    """A scenario of tweets on one of the `wires`. Raises ConfigError that names what is out of range."""

    bursts: float = 0.0  # fraction of blocks of tweets that come at one moment
    empty: float = 0.0  # fraction of tweets of which nothing is left when they are cleaned
    wire: str = "plain"

    def __post_init__(self) -> None:
        """Check the values and resolve the start."""
        super().__post_init__()
        wrong = [
            f"--{each} is a fraction from 0 to 1" for each in ("bursts", "empty") if not 0 <= getattr(self, each) <= 1
        ]
        wrong += [f"--wire is {', '.join(WIRES)}"] if self.wire not in WIRES else []
        if wrong:
            raise ConfigError("wrong scenario: " + "; ".join(wrong))

    def nominal(self, index: int) -> int:
        """Return the time of tweet `index` before any disorder, Unix microseconds; those of a burst share one."""
        block = index // BLOCK
        burst = self.bursts and random.Random(f"burst {self.seed} {block}").random() < self.bursts
        return super().nominal(block * BLOCK if burst else index)


@dataclass(frozen=True, slots=True)
class Tweet:
    """One tweet: `sent` is its text on the wire, `text` what is right to read, `bare` without links and mentions."""

    index: int
    id: str
    time_us: int
    late: bool
    author: int
    language: str
    sent: str
    text: str
    bare: str
    hashtags: tuple[str, ...]
    broken: int | None = None  # in which way


@dataclass(frozen=True, slots=True)
class _Part:
    """A word or a sentence: as it is right to read, and whether `bare` texts have it."""

    text: str
    stays: bool = True


class Tweets:
    """All tweets of a talk by index, without memory."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk

    def at(self, index: int) -> Tweet:
        """Return tweet `index` (0 or greater)."""
        draw, talk = self._draw(index), self.talk
        broken = draw.randrange(1 << 30) if draw.random() < talk.malformed else None
        late = draw.random() < talk.late
        nominal = talk.nominal(index)
        disorder = LATE_GAP + draw.random() * LATE_GAP if late else draw.random() * talk.shuffle * SECOND
        time = (talk.start_us if late else nominal) - int(disorder)
        step = SECOND if talk.wire == "v1" else MILLISECOND  # what the wire can tell
        language = draw.choice(texts.LANGUAGES)
        hashtags = [draw.choice(TAGS) for _ in range(draw.randint(1, 3))] if draw.random() < talk.tagged else []
        parts = (
            []
            if draw.random() < talk.empty
            else _parts(draw, texts.sentence(language, draw.getrandbits(32), talk.age(index)), hashtags)
        )
        return Tweet(
            index=index,
            id=str((nominal // MILLISECOND - EPOCH_MS) << 22 | index & 0x3FFFFF),
            time_us=time // step * step,
            late=late,
            author=draw.randrange(AUTHORS),
            language=language,
            sent=_sent(draw, parts),
            text=" ".join(part.text for part in parts),
            bare=" ".join(part.text for part in parts if part.stays),
            hashtags=tuple(hashtags) if parts else (),
            broken=broken,
        )

    def copies(self, index: int) -> int:
        """Return how many times tweet `index` is sent again, 0 to 2; a broken one never, none could tell."""
        draw = random.Random(f"copies {self.talk.seed} {index}")
        again = draw.random() < self.talk.duplicates and self.at(index).broken is None
        return draw.randint(1, 2) if again else 0

    def _draw(self, index: int) -> random.Random:
        return random.Random(f"tweet {self.talk.seed} {index}")


def _parts(draw: random.Random, sentence: str, hashtags: list[str]) -> list[_Part]:
    parts = [_Part(" ".join(unicodedata.normalize("NFC", sentence).split()))]
    parts += [_Part(draw.choice(ASIDES))] if draw.random() < 0.3 else []
    parts += [_Part("#" + unicodedata.normalize("NFC", tag)) for tag in hashtags]
    parts += [_Part(f"https://t.co/{draw.getrandbits(48):012x}", stays=False)] if draw.random() < 0.4 else []
    mentions = draw.randint(1, 2) if draw.random() < 0.4 else 0
    return [_Part(f"@miller_{draw.randrange(AUTHORS)}", stays=False) for _ in range(mentions)] + parts


def _sent(draw: random.Random, parts: list[_Part]) -> str:
    """Write the parts as careless programs do: escaped once, decomposed, with odd spaces and stray characters."""
    if not parts:
        return draw.choice(BLANKS)
    forms: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFC", "NFD")
    form = draw.choice(forms)
    text = draw.choice(("", "", " ", "\n"))
    for number, part in enumerate(parts):
        text += draw.choice(SPACES) if number else ""
        text += html.escape(_strayed(draw, unicodedata.normalize(form, part.text)), quote=draw.random() < 0.5)
    return text + draw.choice(("", "", " ", "\n"))


def _strayed(draw: random.Random, text: str) -> str:
    if draw.random() < 0.85:
        return text
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.choice(STRAYS) + text[at:]
