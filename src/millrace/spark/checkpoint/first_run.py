"""Where a first run with `--from latest` began: in the middle of windows, of which it sees the rest alone."""

from datetime import UTC, datetime
from pathlib import Path

from millrace.kafka.gaps import Span
from millrace.spark.options import Options

NOTE = "latest-from.txt"
EVER = datetime.fromtimestamp(0, UTC)


def unseen(options: Options, batch_id: int) -> list[Span]:
    """Return the time until the first batch of a first run with --from latest, else nothing.

    The moment is noted in the checkpoint, so that it outlives restarts; only where that is a folder.
    """
    if "://" in options.checkpoint:
        return []
    note = Path(options.checkpoint) / NOTE
    if batch_id == 0 and options.args.start == "latest" and not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(datetime.now(UTC).isoformat())
    return [(EVER, datetime.fromisoformat(note.read_text()))] if note.exists() else []
