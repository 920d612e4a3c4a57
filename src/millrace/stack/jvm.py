"""Hold a Java machine in a Python process, for servers that have no main class of their own."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

import jpype

ENDS = {signal.SIGTERM, signal.SIGINT}
ALLOWED = ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]


Start = Callable[[], Callable[[], object]]


def hold(library: str, heap: str, jars: Sequence[str], start: Start, *options: str) -> NoReturn:
    """Start a Java machine (`library` is its libjvm.so) and in it a server; end both at SIGTERM or Ctrl-C.

    `start` starts the server and returns the function that closes it; `options` are for the machine.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # before the Java machine has threads, which inherit it
    memory = [f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC"]
    # -Xrs: signals are ours
    jpype.startJVM(library, *ALLOWED, *memory, "-Xrs", *options, classpath=list(jars), convertStrings=False)
    close = start()
    signal.sigwait(ENDS)
    close()
    os._exit(0)  # threads of the Java machine would keep the process
