"""The NameNode and the DataNode as one process: `python -m millrace.stack.hdfs_nodes NAMENODE DATANODE COMMAND...`.

A node that dies is started again beside the other. One that died twice while it started would do so again: both end.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PATIENCE = 30  # seconds that a node may take to end
STARTING = 20  # seconds


def main(namenode: str, datanode: str, *command: str) -> int:
    """Run both until one cannot start (1) or a signal asks for the end (0)."""
    nodes: dict[str, subprocess.Popen[bytes]] = {}
    begun: dict[str, float] = {}
    young: Counter[str] = Counter()  # how often in turn each died while it started
    asked = []

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        for node in nodes.values():
            node.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    ended = [namenode, datanode]
    while not asked and max(young.values(), default=0) < 2:
        for name in ended:
            if name in nodes:
                print(f"{name} ended with {nodes[name].returncode} and is started again", file=sys.stderr)  # noqa: T201
            nodes[name] = subprocess.Popen([*command, name], preexec_fn=_end_with_me)  # noqa: PLW1509 - no threads here
            begun[name] = time.monotonic()
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        ended = [name for name, node in nodes.items() if node.poll() is not None]
        for name in ended:
            young[name] = young[name] + 1 if time.monotonic() - begun[name] < STARTING else 0
    _end(list(nodes.values()))
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
