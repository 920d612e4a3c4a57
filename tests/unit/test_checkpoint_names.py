"""Where each way to run a job keeps its place: a checkpoint that an earlier version made is found again."""

import json
import shlex
from pathlib import Path

import pytest

from millrace.applications.registry import JOBS

NAMES = json.loads(Path(__file__).with_name("checkpoint_names.json").read_text())
STORES = {
    "SQLITE": "sqlite:////srv/millrace.db",
    "POSTGRES": "postgresql+psycopg://u:p@db:5432/m",
    "MYSQL": "mysql+mysqlconnector://u:p@db:3306/m",
    "ELASTICSEARCH": "http://u:p@es:9200",
    "ARCHIVE": "hdfs://nn:9000/archive",
}


@pytest.mark.parametrize("line", NAMES)
def test_a_checkpoint_is_where_it_was(line, tmp_path, monkeypatch):
    """The file holds the folders, names and modes of output that the first version with these jobs gave."""
    monkeypatch.chdir(tmp_path)
    for name, url in STORES.items():
        monkeypatch.setenv(f"MILLRACE_{name}_URL", url)
    name, *argv = shlex.split(line)
    found = [part.options for part in JOBS[name].parts(None, argv)]
    known = [
        each for each in NAMES[line] if not each[1].endswith(("windows", "gaps"))
    ]  # made by the queries themselves
    assert [[Path(each.checkpoint).name, each.name, each.emit] for each in found] == known
    assert name != "engagement" or Path(found[0].part("windows").checkpoint).name == NAMES[line][1][0]
