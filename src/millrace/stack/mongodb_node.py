"""The process of a local server of MongoDB's protocol: `python -m ...mongodb_node LIBJVM HEAP DATA PORT JAR...`.

A server says which version of the protocol it speaks; this one says that of MongoDB 4.4, the oldest that its client
accepts.
"""

import sys
from collections.abc import Callable

import jpype

from millrace.stack import jvm
from millrace.stack.server import LOOPBACK

SAVED_AFTER = 50  # milliseconds after a write, which is acknowledged before
WIRE_VERSION, VERSION = 9, (4, 4, 0)


def main(library: str, heap: str, data: str, port: str, *jars: str) -> None:
    """Serve the file `data` on `port` of the loopback address until SIGTERM or Ctrl-C."""
    jvm.hold(library, heap, jars, lambda: _start(data, int(port)))


def _start(data: str, port: int) -> Callable[[], object]:
    backend = jpype.JClass("de.bwaldvogel.mongo.backend.h2.H2Backend")(data)
    backend.getMvStore().setAutoCommitDelay(SAVED_AFTER)
    numbers = jpype.JClass("java.util.ArrayList")()
    for number in VERSION:
        numbers.add(jpype.JInt(number))
    told = {"getVersionArray": lambda: numbers, "getWireVersion": lambda: WIRE_VERSION}
    backend.version(jpype.JProxy("de.bwaldvogel.mongo.MongoVersion", dict=told))
    server = jpype.JClass("de.bwaldvogel.mongo.MongoServer")(backend)
    server.bind(LOOPBACK, port)
    close: Callable[[], object] = server.shutdownNow
    return close


if __name__ == "__main__":
    main(*sys.argv[1:])
