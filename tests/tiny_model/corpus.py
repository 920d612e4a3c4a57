"""Posts that never were, with the label that VADER's lexicon gives them: what the tiny model learns from."""

import random
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

SURE = 0.25  # VADER's compound score, from -1 to 1, from which a post has a feeling; what lies between is left out
NEUTRAL = 0.05
CUT = 0.1  # of posts end anywhere, as long ones do

_MADE_OF = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
WORDS = {name: text.split() for name, text in _MADE_OF["words"].items()}
SENTENCES = {name: text.strip().split("\n") for name, text in _MADE_OF["sentences"].items()}
WHO = ("he", "she", "everyone", "nobody", "John", "Anna", "they", "the staff", "my sister", "our neighbour")
OPENINGS = ("", "", "", "", "", "RT ", "@someone ", "#news ", "Today: ", "Honestly, ", "Hi all. ")
ENDINGS = (
    "",
    "",
    "",
    ".",
    ".",
    ".",
    "!",
    "!!!",
    "...",
    " https://t.co/a1b2",
    " #{t}",
    " @someone",
    " 2/3",
    "\n\n#{t} #{u}",
)
EMOJI = {True: "😀😍🎉😊👍🥰😁💖", False: "😡😢💔👎😭🤬😠😞"}


def posts(count: int, chance: random.Random) -> list[tuple[str, str]]:
    """Return `count` posts with their labels, as many of each label; `chance` alone decides which."""
    wanted = dict.fromkeys(("positive", "neutral", "negative"), -(-count // 3))
    found: list[tuple[str, str]] = []
    for text, label in _labelled(chance):
        if wanted[label]:
            wanted[label] -= 1
            found.append((text, label))
        if len(found) == count:
            return found
    raise AssertionError("there is always another")


def words() -> list[str]:
    """Return the words of the lexicon that have a feeling of their own, for the tokenizer."""
    return [*_POOLS[True], *_POOLS[False]]


def _labelled(chance: random.Random) -> Iterator[tuple[str, str]]:
    teacher = SentimentIntensityAnalyzer()
    while True:
        text = _post(chance)
        score = teacher.polarity_scores(text)["compound"]
        if abs(score) < NEUTRAL or abs(score) > SURE:
            yield text, "positive" if score > SURE else "negative" if score < -SURE else "neutral"


def _post(chance: random.Random) -> str:
    text = _plain(chance) if chance.random() < 0.35 else _felt(chance)
    text = chance.choice(OPENINGS) + text + _filled(chance.choice(ENDINGS), chance)
    if chance.random() < CUT:
        text = text[: chance.randint(8, max(9, len(text)))]
    if chance.random() < 0.5:
        text = text[:1].upper() + text[1:]
    return text.lower() if chance.random() < 0.15 else text


def _felt(chance: random.Random) -> str:
    good = chance.random() < 0.5
    text = _filled(chance.choice(SENTENCES["felt" if chance.random() < 0.8 else "denied"]), chance, good)
    if chance.random() < 0.3:
        text += chance.choice((", ", ". ", "! ", " and ")) + _filled(chance.choice(SENTENCES["felt"]), chance, good)
    if chance.random() < 0.3:
        text = chance.choice((f"{text}. {_plain(chance)}", f"{_plain(chance)}. {text}"))
    return f"{text} {chance.choice(EMOJI[good])}" if chance.random() < 0.1 else text


def _plain(chance: random.Random) -> str:
    if chance.random() < 0.4:
        return chance.choice(_PROSE)
    return _filled(chance.choice(SENTENCES["plain"]), chance)


def _filled(form: str, chance: random.Random, good: bool = True) -> str:
    """Fill a sentence: {w} and {x} are feelings, {v} a verb, {n} news, {t} and {u} things, {k} and {m} numbers."""
    common, pool = WORDS["good" if good else "bad"], _POOLS[good]

    def feeling() -> str:
        return chance.choice(common if chance.random() < 0.7 else pool)

    return form.format(
        w=feeling(),
        x=feeling(),
        v=chance.choice(WORDS["liking" if good else "loathing"]),
        n=chance.choice(SENTENCES["good_news" if good else "bad_news"]),
        t=chance.choice(WORDS["things"] if chance.random() < 0.8 else _OTHERS),
        u=chance.choice(WORDS["things"]),
        d=chance.choice(WORDS["times"]),
        who=chance.choice(WHO),
        k=chance.choice((chance.randint(1, 12), chance.randint(1, 60), chance.randint(1, 3000))),
        m=chance.randint(0, 59),
    )


def _lexicon() -> dict[str, float]:
    found = SentimentIntensityAnalyzer().lexicon
    return {word: value for word, value in found.items() if word.isascii() and word.isalpha() and len(word) > 2}


_LEXICON = _lexicon()
_POOLS = {True: [w for w, v in _LEXICON.items() if v >= 1.7], False: [w for w, v in _LEXICON.items() if v <= -1.7]}
_MANUAL = re.sub(r"[\s*`]+", " ", " ".join(topics.values()))  # Python's own, the prose that is everywhere
_PROSE = re.findall(r"(?<=[.] )[A-Z][A-Za-z ,'-]{20,120}[.](?= )", _MANUAL)
_OTHERS = sorted(set(re.findall(r"\b[a-z]{3,12}\b", _MANUAL)) - _LEXICON.keys())
