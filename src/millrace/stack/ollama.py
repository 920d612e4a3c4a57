"""Ollama: the one on the PATH, else the one that `make ollama` built into the cache.

It asks the models of who starts it (OLLAMA_MODELS, else ~/.ollama/models, where that is), so that nothing is pulled
twice; where there are none, its own in the home folder, which `millrace down ollama --data` removes.
"""

import http.client
import json
import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from millrace.errors import ConfigError, Unavailable
from millrace.logs import say
from millrace.stack.artifacts import cache
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server

VERSION = "0.17.4"
TIMEOUT = 10  # seconds for a server that takes the connection and says nothing
PARALLEL = 4  # answers at once, of one model; more calls wait in the server
TOLD = ("OLLAMA_", "CUDA_", "HIP_", "ROCR_", "HSA_")  # what who starts it tells it, its graphics card among that
MISSING = (
    "there is no Ollama: install it from https://ollama.com/download, or build it by `make ollama`,"
    " or set MILLRACE_OLLAMA_URL to a server"
)


def built() -> Path:
    """Return where `make ollama` puts the program."""
    return cache() / "ollama" / VERSION / "ollama"


def binary() -> Path | None:
    """Return the program, None where there is none."""
    if found := shutil.which("ollama"):
        return Path(found)
    return built() if built().exists() else None


def models(folder: Path) -> Path:
    """Return where the models are of a server whose data folder is `folder`."""
    usual = Path.home() / ".ollama" / "models"
    return Path(os.environ.get("OLLAMA_MODELS") or (usual if usual.is_dir() else folder / "models"))


def prepare(folder: Path, port: int) -> Launch:
    """Return the server's command line; raises ConfigError without a program."""
    program = binary()
    if program is None:
        raise ConfigError(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    place = models(folder)
    if not place.is_relative_to(folder):
        say(f"ollama: its models are those in {place}")
    told = {name: value for name, value in os.environ.items() if name.startswith(TOLD)}
    usual = {"OLLAMA_NUM_PARALLEL": str(PARALLEL), "OLLAMA_NO_CLOUD": "1"}
    ours = {
        "HOME": str(folder),  # it makes itself a key there
        "OLLAMA_HOST": f"{LOOPBACK}:{port}",
        "OLLAMA_MODELS": str(place),
        "OLLAMA_NOPRUNE": "1",  # another server may be pulling into the same folder
    }
    return Launch([str(program), "serve"], usual | told | ours)


def address(folder: Path, port: int) -> str:
    """Return the URL."""
    return f"http://{LOOPBACK}:{port}"


def pulled(url: str) -> list[str]:
    """Return the names of the models that are there, sorted; raises Unavailable until the server answers."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT)  # an import less to wait for
    try:
        connection.request("GET", f"{parts.path}/api/tags")
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            raise Unavailable(f"Ollama at {url}: it answers {answer.status} {text[:300]!r}")
        return sorted(model["name"] for model in json.loads(text)["models"] or [])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"Ollama at {url}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()


OLLAMA = Server("ollama", "MILLRACE_OLLAMA_URL", 11434, prepare, address, pulled)
