"""Draw the tweets' pipeline in the terminal: newest windows, hashtags and texts, and case numbers with their age."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from millrace.demo.views.store import Documents
from millrace.demo.views.widgets import bar, health
from millrace.logs import escape

SHORT = 18  # characters of the longest bar here
WIDE = 98  # characters of a text
TAGS = 3  # in a line
LAST = 1_000  # windows, five hours of them, that are summed up
Document = dict[str, Any]


def render(store: Documents, since: str, feed: str, waiting: str, rows: int) -> Group:
    """Return the view of the windows from `since` on, or `waiting` before there are any."""
    title = f"millrace: {feed} since {since[11:16]} UTC"
    found = store.newest(rows, since)
    if not found:
        return Group(Panel(Text(waiting, style="dim"), title=title), health(store.progress(), "tweets"))
    panels = (
        Panel(_windows(found), title=title, border_style="cyan"),
        Panel(_texts(found, rows), title="newest texts", border_style="cyan"),
        Panel(
            Group(_cases(found[0]), Text(_age(found[0]), "dim")), title="case numbers beside them", border_style="cyan"
        ),
    )
    return Group(*panels, health(store.progress(), "tweets"))


def counted(store: Documents, since: str) -> bool:
    """Return whether there is any window from `since` on."""
    return bool(store.newest(1, since))


def lines(store: Documents, since: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of the final table: windows, tweets, what most carried, and the case numbers beside them."""
    if found := store.newest(LAST, since):
        yield "windows", f"{len(found):,}"
        yield "tweets", f"{sum(each['tweets'] for each in found):,}"
        for hashtag, tweets in _tags(found).most_common(10):
            yield f"#{hashtag}", f"{tweets:,}"
        yield f"cases: {found[0]['country']}", f"{_number(found[0]['total_cases_count'])}, {_age(found[0])}"


def _windows(found: Sequence[Document]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("from", "to", "tweets", "", "top hashtags"):
        table.add_column(name, justify="right" if name == "tweets" else "left", no_wrap=True)
    most = max(each["tweets"] for each in found)
    for each in found:
        times = (f"{each[name]:%H:%M:%S}" for name in ("window_start", "window_end"))
        top = [f"#{escape(tag)[:20]} {tweets}" for tag, tweets in _tags([each]).most_common(TAGS)]
        table.add_row(
            *times, f"{each['tweets']:,}", Text(bar(each["tweets"] / most, SHORT), "cyan"), Text("  ".join(top))
        )
    return table


def _texts(found: Sequence[Document], rows: int) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, max_width=WIDE, overflow="ellipsis")
    newest = [text for each in found for text in reversed(each["content"])]
    for text in newest[:rows]:
        table.add_row(Text(escape(text)))
    return table


def _cases(newest: Document) -> Table:
    """Lay out the counts of all, of the last day and of the present: what is not known is a dash."""
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(escape(newest["country"]), "bold"))
    for name in ("cases", "deaths", "recovered"):
        table.add_column(name, justify="right")
    for label, kind in (("in all", "total"), ("that day", "new")):
        counts = (newest[f"{kind}_{name}_count"] for name in ("cases", "deaths", "recovered"))
        table.add_row(label, *map(_number, counts))
    for label in ("active", "critical"):
        table.add_row(label, _number(newest[f"{label}_cases_count"]), "", "")
    return table


def _tags(found: Sequence[Document]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in found:
        counts.update({tag["hashtag"]: tag["tweets"] for tag in each["hashtags"]})
    return counts


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _age(document: Document) -> str:
    """Say of which day the numbers are, how long that was before the window, and who told them."""
    days = (document["window_end"].date() - date.fromisoformat(document["as_of"])).days
    return f"as of {document['as_of']}, {days:,} days old, {escape(document['source_url'])}"
