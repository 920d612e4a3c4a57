"""Remember when a first run with `--from latest` began: it sees only the rest of the windows open at that moment."""

from datetime import UTC, datetime
from pathlib import Path

from millrace.kafka.gaps import Span
from millrace.spark.options import Options

NOTE = "latest-from.txt"
EVER = datetime.fromtimestamp(0, UTC)


def unseen(options: Options, batch_id: int) -> list[Span]:
    """Return the span from 1970 to the first batch of a run that began with --from latest, else an empty list.

    The moment is noted in the checkpoint, so that it survives restarts; this takes a checkpoint in a local folder.
    """
    if "://" in options.checkpoint:
        return []
    note = Path(options.checkpoint) / NOTE
    if batch_id == 0 and options.args.start == "latest" and not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(datetime.now(UTC).isoformat())
    return [(EVER, datetime.fromisoformat(note.read_text()))] if note.exists() else []
