"""The lease of the archive's writers, on a folder and on real HDFS."""

import json
import os
import subprocess
import sys
from threading import Timer

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


def test_a_heartbeat_that_is_being_written_takes_nothing_from_its_holder(archive: Files) -> None:
    with lease.hold(archive, "_writer") as held:
        whole = archive.read("_writer")
        archive.write("_writer", whole[:9])  # as others see a file of HDFS meanwhile
        later = Timer(0.3, archive.write, ("_writer", whole))
        later.start()
        held.check()
        later.join()


def test_a_lease_without_a_name_is_told(archive: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full HDFS leaves of a heartbeat."""
    monkeypatch.setattr(lease, "TRIES", 2)
    archive.write("_writer", b"")
    with pytest.raises(MillraceError, match="_writer: remove that when no job writes"), lease.hold(archive, "_writer"):
        pass


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
