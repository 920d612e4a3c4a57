"""Build Ollama's server into the cache from its Go module: `python -m millrace.stack.ollama_build` (`make ollama`).

It computes on the processor alone: who has a graphics card installs Ollama's own release. It needs Go 1.24 and g++.
Go checks the modules by its checksum database. They lack three libraries that are headers alone: two come from pinned
packages of Debian, one from a module that carries it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from millrace.errors import ConfigError, MillraceError, Unavailable
from millrace.logs import say
from millrace.stack import debian, ollama
from millrace.stack.artifacts import only_one

MODULE = f"github.com/ollama/ollama@v{ollama.VERSION}"
MINIAUDIO = "github.com/gen2brain/malgo@v0.11.24"
TOOLS = {"go": "https://go.dev/dl, 1.24 or later", "g++": "g++"}
LINKED = f"-s -w -X=github.com/ollama/ollama/version.Version={ollama.VERSION}"  # no symbols, and what it says it is
TELL = 60.0  # seconds between lines that say that it goes on


def build() -> Path:
    """Return the program, built where the cache lacks it.

    Raises ConfigError that names the missing tools, Unavailable when the network fails, MillraceError when the compiler
    does.
    """
    program = ollama.built()
    if not program.exists():
        _require()
        with only_one("build-ollama"):
            if not program.exists():
                _build(program)
    return program


def _require() -> None:
    """Raise ConfigError where a tool is missing."""
    if missing := [f"{tool} on PATH ({source})" for tool, source in TOOLS.items() if not shutil.which(tool)]:
        raise ConfigError(f"Ollama cannot be built here: there is no {', no '.join(missing)}")


def _build(program: Path) -> None:
    begin = time.monotonic()
    say(f"ollama: building {ollama.VERSION} into {program.parent}, once: 6 minutes on two idle cores")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        headers = Path(folder, "headers")
        headers.mkdir()
        (headers / "miniaudio").symlink_to(_module(MINIAUDIO))
        paths = os.pathsep.join(map(str, (headers, debian.unpack("ollama-headers") / "usr" / "include")))
        _install({**os.environ, "CPATH": paths, "GOBIN": folder, "CGO_ENABLED": "1"}, begin)
        Path(folder, "ollama").rename(program)  # at the end: what has the name is whole
    say(f"ollama: built, {program.stat().st_size / 1e6:.0f} MB, {time.monotonic() - begin:.0f} s")


def _module(name: str) -> Path:
    """Return the folder of a Go module, downloaded where it is not there."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", name], capture_output=True, text=True, check=False, cwd="/"
    )
    found = json.loads(done.stdout or "{}")
    if done.returncode:
        raise Unavailable(f"cannot download the Go module {name}: {found.get('Error') or done.stderr.strip()}")
    return Path(found["Dir"])


def _install(environment: dict[str, str], begin: float) -> None:
    _module(MODULE)  # apart, so that a network that is missing is told from a compiler that fails
    command = ["nice", "go", "install", "-ldflags", LINKED, MODULE]
    with subprocess.Popen(command, env=environment, cwd="/", stdout=sys.stderr) as compiler:
        while compiler.poll() is None:
            try:
                compiler.wait(TELL)
            except subprocess.TimeoutExpired:
                say(f"ollama: still building, {(time.monotonic() - begin) / 60:.0f} min")
    if compiler.returncode:
        raise MillraceError("Ollama was not built: what Go said stands above")


if __name__ == "__main__":
    try:
        say(f"ollama: {build()} is there")
    except MillraceError as error:
        sys.exit(f"millrace: {error}")
