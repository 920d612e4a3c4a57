"""Whose offsets a checkpoint holds: a topic made anew, or of another cluster, is not the one that it knows.

Spark goes by names alone. It would skip what the new topic holds below the offsets of the old one, silently.
"""

import json
import shutil
from pathlib import Path

from millrace.errors import MillraceError
from millrace.kafka.topics import identities
from millrace.spark.options import Options

NOTE = "topics.json"


def verify(options: Options) -> None:
    """Note in a local checkpoint which topics it reads; raises MillraceError where it knows others of these names."""
    if "://" in options.checkpoint:
        return
    note = Path(options.checkpoint) / NOTE
    cluster, topics = identities(options.bootstrap, options.topics)
    if not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"cluster": cluster, "topics": topics}))
        return
    known = json.loads(note.read_text())
    if others := [name for name, topic in topics.items() if known["topics"].get(name, topic) != topic]:
        raise MillraceError(
            f"checkpoint {options.checkpoint} has offsets of another topic {' and '.join(others)}, of cluster"
            f" {known['cluster']}; that at {options.bootstrap} was made anew, or is of another cluster ({cluster})."
            f" Remove the checkpoint to begin with the earliest record of this one, or give --checkpoint another path"
        )


def forget(home: Path, cluster: str) -> list[Path]:
    """Remove the checkpoints of `home` that hold offsets of `cluster`, whose data is gone; returns them."""
    notes = [
        note for note in (home / "checkpoints").glob(f"*/{NOTE}") if json.loads(note.read_text())["cluster"] == cluster
    ]
    for note in notes:
        shutil.rmtree(note.parent)
    return [note.parent for note in notes]
