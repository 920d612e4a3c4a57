"""The process of a local ClickHouse: `python -m millrace.stack.clickhouse_node FOLDER PORT IDLE`.

It owns the data in FOLDER, notes there who it is, and ends at SIGTERM, at Ctrl-C, or when nobody has asked for IDLE
seconds (0: never).
"""

import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO

from millrace.stack import process
from millrace.stack.chdb_http.server import Server
from millrace.stack.clickhouse import PID_FILE

ENDS = {signal.SIGTERM, signal.SIGINT}
LOOK = 1.0  # seconds between looks at whether anybody asks
PATIENCE = 30.0  # seconds for requests at the end, and for the process that had the data before


def main(folder: str, port: str, idle: str) -> None:
    """Serve the data in `folder` on `port` of the loopback address."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # before the engine has threads, which inherit it
    pid_file = Path(folder) / PID_FILE
    with (Path(folder) / "owner.lock").open("w") as lock:
        _take(lock)
        server = Server(Path(folder), int(port))
        process.note(process.Running.of(os.getpid(), server.server_port), pid_file)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended = threading.Event()
        threading.Thread(target=_set_at_the_end, args=(ended,), daemon=True).start()
        while not ended.wait(LOOK) and not 0 < float(idle) < server.quiet:
            pass  # signal.sigtimedwait would do, but takes a process that was stopped and goes on for ended
        pid_file.unlink(missing_ok=True)  # first: who looks for a server from now on starts another
        server.end(PATIENCE)
        os._exit(0)  # threads of the engine would keep the process


def _set_at_the_end(ended: threading.Event) -> None:
    signal.sigwait(ENDS)
    ended.set()


def _take(lock: IO[str]) -> None:
    """Wait for whoever has the data and is about to end."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit("another process has the data")
        time.sleep(process.PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
