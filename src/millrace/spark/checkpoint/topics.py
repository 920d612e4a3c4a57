"""Check that a checkpoint's offsets belong to the topics it reads now.

Spark identifies topics by name alone: in a topic that was recreated, or is of another cluster, it would silently skip
the records below the old topic's offsets.
"""

import json
import shutil
from pathlib import Path

from millrace.errors import MillraceError
from millrace.kafka.topics import identities
from millrace.spark.checkpoint.place import Place
from millrace.spark.options import Options

NOTE = "topics.json"


def verify(options: Options, place: Place) -> None:
    """Note the topics' ids in the checkpoint; raises MillraceError if it holds other ids for these names."""
    cluster, topics = identities(options.bootstrap, options.topics)
    try:
        known = json.loads(place.files.read(NOTE))
    except FileNotFoundError:
        place.files.write(NOTE, json.dumps({"cluster": cluster, "topics": topics}).encode())
        return
    if others := [name for name, topic in topics.items() if known["topics"].get(name, topic) != topic]:
        raise MillraceError(
            f"checkpoint {options.checkpoint} has offsets of another topic {' and '.join(others)}, of cluster"
            f" {known['cluster']}; that at {options.bootstrap} was made anew, or is of another cluster ({cluster})."
            f" Remove the checkpoint to begin with the earliest record of this one, or give --checkpoint another path"
        )


def forget(home: Path, cluster: str) -> list[Path]:
    """Remove the checkpoints in `home` with offsets of `cluster`, whose data is gone; returns their paths."""
    notes = [
        note for note in (home / "checkpoints").glob(f"*/{NOTE}") if json.loads(note.read_text())["cluster"] == cluster
    ]
    for note in notes:
        shutil.rmtree(note.parent)
    return [note.parent for note in notes]
