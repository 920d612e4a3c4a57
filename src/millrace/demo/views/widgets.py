"""Draw what the views share (bars, a line on the job's health) and save a view as a picture."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.text import Text

BAR = 34  # characters of the longest bar
EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, length: int = BAR) -> str:
    """Return a bar for a share of 0 to 1, to an eighth of a character, of `length` characters at most."""
    eighths = max(1, round(share * length * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def health(progress: dict[str, Any], what: str = "posts") -> Text:
    """Return one line on the job's health, such as its rate, lag and late rows; `what` names what it reads."""
    if "batch_id" not in progress:
        return Text(" Spark is starting", style="dim")
    rate = progress.get("input_rows_per_second") or 0.0
    return Text(
        f" {rate:,.0f} {what}/s   lag {progress.get('kafka_lag') or 0:,}   batch {progress['batch_seconds']:.2f} s"
        f"   late {progress['late_rows']}   bad {progress['bad_records']}   read {progress['records']:,} records",
        style="dim",
    )


def save(path: Path, view: Group, width: int = 104) -> None:
    """Write a view as an SVG picture."""
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(view)
    console.save_svg(str(path), title="make demo")
