"""What stands in a simulated post: text, languages, facets with byte offsets, tags, hashtags that count."""

from typing import Any, NamedTuple

from millrace.simulate import texts

POST = "app.bsky.feed.post"
STYLES = ("facets",) * 11 + ("text",) * 4 + ("both",) * 2 + ("record",) * 2 + ("half",)
ONE = 2**32  # draws are whole numbers below this


class Draw(NamedTuple):
    """The sixteen independent random numbers of one index, each below 2**32."""

    kind: int
    broken: int
    late: int
    lateness: int
    claim: int
    jitter: int
    author: int
    target: int
    copies: int
    sentence: int
    tagged: int
    style: int
    first: int
    second: int
    third: int
    spelling: int


def compose(draw: Draw, created_at: str, tagged: float, age: float) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a post record and the hashtags that count in it, as spelled (a fraction `tagged` has any).

    `age` is that of the scenario, in seconds.
    """
    language = texts.LANGUAGES[draw.sentence % len(texts.LANGUAGES)]
    sentence = texts.sentence(language, draw.sentence, age)
    record: dict[str, Any] = {"$type": POST, "createdAt": created_at, "text": sentence}
    if draw.sentence >> 16 & 15 > 1:  # `langs` is missing from one post in eight
        record["langs"] = [language, "en"] if draw.sentence >> 20 & 15 == 0 and language != "en" else [language]
    hashtags = _tag(record, sentence, draw) if draw.tagged < tagged * ONE else ()
    if draw.style >> 8 & 7 == 0:
        _link(record)
    return record, hashtags


def _tag(record: dict[str, Any], sentence: str, draw: Draw) -> tuple[str, ...]:
    """Put text, facets and tags into `record` and return the hashtags that count.

    The provider's markup (facets and the record's `tags`) counts where it holds any hashtag; without any,
    those in the text do.
    """
    numbers = _choose(draw)
    style = STYLES[draw.style * len(STYLES) // ONE]
    if style in ("text", "half") and not all(texts.PLAIN[number] for number in numbers):
        style = "facets"  # bare text holds only what every parser finds there
    words = _spell(numbers, draw, texts.PLAIN if style in ("text", "half") else texts.SPELLINGS)
    if style == "record":
        record["tags"] = words
        return tuple(words)
    spans = _write(record, sentence, words, draw)
    marked = {"text": [], "half": spans[:1]}.get(style, spans)
    if marked:
        record["facets"] = [_facet(start, end, "tag", {"tag": word}) for start, end, word in marked]
    if style == "both":
        record["tags"] = _spell([texts.zipf(draw.third)], draw, texts.SPELLINGS)
    return (*([word for *_, word in marked] or words), *record.get("tags", ()))


def _choose(draw: Draw) -> list[int]:
    numbers = [texts.zipf(draw.first)]
    if draw.spelling >> 24 & 15 < 7:
        numbers.append(texts.zipf(draw.second))
    if draw.spelling >> 28 & 15 < 2:
        numbers.append(numbers[0])  # the same hashtag again, as a rule in another spelling: it counts once
    return numbers


def _spell(numbers: list[int], draw: Draw, spellings: tuple[tuple[str, ...], ...]) -> list[str]:
    return [spellings[n][(draw.spelling >> 6 * place) % len(spellings[n])] for place, n in enumerate(numbers)]


def _write(record: dict[str, Any], sentence: str, words: list[str], draw: Draw) -> list[tuple[int, int, str]]:
    """Write the text with its hashtags; return their spans (UTF-8 bytes, with `#`), each with its word."""
    before, between, after = texts.LAYOUTS[(draw.style >> 12) % len(texts.LAYOUTS)]
    text, spans = before.replace("{}", sentence), []
    for place, word in enumerate(words):
        text += between if place else ""
        start = len(text.encode())
        text += word if word[0] in "#＃" else "#" + word
        spans.append((start, len(text.encode()), word))
    record["text"] = text + after.replace("{}", sentence)
    return spans


def _link(record: dict[str, Any]) -> None:
    """Append a link, with its facet: markup that is no hashtag."""
    start = len(record["text"].encode()) + 1
    record["text"] += " example.org/read"
    link = _facet(start, start + 16, "link", {"uri": "https://example.org/read"})
    record["facets"] = [*record.get("facets", ()), link]


def _facet(start: int, end: int, feature: str, value: dict[str, str]) -> dict[str, Any]:
    features = [{"$type": f"app.bsky.richtext.facet#{feature}", **value}]
    return {"features": features, "index": {"byteEnd": end, "byteStart": start}}
