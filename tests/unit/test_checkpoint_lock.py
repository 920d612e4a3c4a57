import json
import os
import subprocess
import sys
import time

import pytest

from millrace.errors import MillraceError
from millrace.spark.checkpoint.lock import exclusive

HOLD = """
import sys
from millrace.spark.checkpoint.lock import exclusive
with exclusive(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


def test_a_second_copy_is_told_who_holds_it_and_takes_over_when_it_dies(tmp_path):
    checkpoint = str(tmp_path / "c")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, checkpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(MillraceError, match=f"pid {holder.pid}"), exclusive(checkpoint):
            pass
        holder.kill()
        holder.wait()
    with exclusive(checkpoint) as path:
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert path.read_text() == "{}"


def test_another_machine_may_take_over_only_when_the_heartbeat_is_old(tmp_path):
    lock = tmp_path / "c.lock"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 7, "heartbeat": time.time()}))
    with pytest.raises(MillraceError, match="pid 7 on elsewhere"), exclusive(str(tmp_path / "c")):
        pass
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 7, "heartbeat": time.time() - 100}))
    with exclusive(str(tmp_path / "c")) as path:
        assert path == lock
