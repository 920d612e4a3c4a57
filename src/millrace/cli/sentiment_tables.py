"""What `millrace sentiment eval` shows."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from millrace.cli.tables import grid
from millrace.sentiment.evaluate import Evaluation, Figures, Resistance


def tables(told: Mapping[str, str], found: Evaluation, resistance: Resistance | None) -> Iterator[Table | str]:
    """Yield the tables: speed of the run, figures by group, confusion, missing labels, and resistance to orders."""
    speed = {"posts/s": _number(found.posts_per_second, 1), "tokens/s": _number(found.tokens_per_second, 1)}
    yield grid([{**told, **speed}], "")
    kinds = {kind: figures.accuracy for kind, figures in found.kinds.items()}
    rows = [_row("all", found.overall, kinds)]
    for language, figures in found.languages.items():
        rows.append(_row(language, figures, {**dict.fromkeys(kinds), **found.accuracies[language]}))
    yield grid(rows, "")
    yield grid([{"labelled as": label, **said} for label, said in found.overall.confusion.items()], "")
    if found.reasons:
        yield grid([{"no label because of": reason, "posts": posts} for reason, posts in found.reasons.items()], "")
    if resistance:
        shown = {"injections": resistance.posts, "label or null with a reason": resistance.valid}
        shown |= {"label lost": resistance.unlabelled, "compared": resistance.compared, "flipped": resistance.flipped}
        yield grid([{**shown, "flip rate": _number(resistance.flip_rate)}], "")
        if resistance.kinds:
            yield grid([{"flipped by": kind, "posts": posts} for kind, posts in resistance.kinds.items()], "")


def _row(name: str, figures: Figures, kinds: Mapping[str, float | None]) -> dict[str, Any]:
    return {
        "language": name,
        "posts": figures.posts,
        "accuracy": _number(figures.accuracy),
        "macro-F1": _number(figures.macro_f1),
        "null": figures.unlabelled,
        **{f"accuracy of {kind}": _number(accuracy) for kind, accuracy in kinds.items()},
    }


def _number(value: float | None, places: int = 3) -> str | None:
    return None if value is None else f"{value:,.{places}f}"
