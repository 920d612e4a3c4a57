"""The lease of the archive's writers, on a folder and on real HDFS."""

import json
import os
import subprocess
import sys

import pytest

from millrace.archive import lease
from millrace.archive.files import Files
from millrace.errors import MillraceError


def test_one_lease_at_a_time(archive: Files) -> None:
    with lease.hold(archive, "source=t/_writer") as held:
        held.check()
        taken = pytest.raises(MillraceError, match=f"another writer is at work .pid {os.getpid()} ")
        with taken, lease.hold(archive, "source=t/_writer"):
            pass
        held.beat()
    with lease.hold(archive, "source=t/_writer"):
        pass
    assert archive.list("source=t") == []


def test_a_dead_holder_loses_the_lease_at_once_and_learns_of_it(archive: Files) -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with lease.hold(archive, "_writer") as held:
        holder = json.loads(archive.read("_writer")) | {"pid": int(child.stdout)}
        archive.write("_writer", json.dumps(holder).encode())
        with lease.hold(archive, "_writer"), pytest.raises(MillraceError, match="another writer"):
            held.check()
        assert archive.list("") == []
    elsewhere = holder | {"host": "elsewhere"}
    archive.write("_writer", json.dumps(elsewhere).encode())
    with pytest.raises(MillraceError, match="elsewhere"), lease.hold(archive, "_writer"):
        pass
    archive.write("_writer", json.dumps(elsewhere | {"heartbeat": 1.0}).encode())
    with lease.hold(archive, "_writer"):
        pass
