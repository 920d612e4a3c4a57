"""The NameNode and the DataNode as one process: `python -m millrace.stack.hdfs_nodes NAMENODE DATANODE COMMAND...`.

Both live and end together: when one ends, the other is stopped, and `millrace up` starts both again.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PATIENCE = 30  # seconds that a node may take to end


def main(namenode: str, datanode: str, *command: str) -> int:
    """Run both until one ends (1) or a signal asks for the end (0)."""
    nodes: list[subprocess.Popen[bytes]] = []
    asked = []

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        for node in nodes:
            node.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for name in (namenode, datanode):
        nodes.append(subprocess.Popen([*command, name], preexec_fn=_end_with_me))  # noqa: PLW1509 - no threads here
    os.wait()
    _end(nodes)
    return 0 if asked else 1


def _end(nodes: Sequence[subprocess.Popen[bytes]]) -> None:
    for node in nodes:
        node.terminate()
    for node in nodes:
        try:
            node.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()


def _end_with_me() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # also when this process is killed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
