"""A language model for tests, of 600,000 parameters: trained where the tests run, for weights cannot be had everywhere.

It answers the product's question about clear English sentences, and costs a few milliseconds. The cache keeps it until
what it is made of changes. The instruction is no part of that: the model never sees it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from millrace.errors import ConfigError, MillraceError, Unavailable
from millrace.logs import say
from millrace.sentiment.prompt import SCHEMA
from millrace.stack import ollama
from millrace.stack.artifacts import cache, only_one

NAME = "millrace-tiny"
FOLDER = Path(__file__).parent
SOURCE = FOLDER.parents[1] / "src"
PARTS = ("corpus.py", "corpus.toml", "network.py", "train.py")  # of the training


def modelfile() -> Path:
    """Return the file for `ollama create`, with the trained weights beside it; trains where the cache lacks them.

    Raises ConfigError without uv, Unavailable when the training fails, which mostly is for want of a network.
    """
    made = "".join((FOLDER / part).read_text() for part in PARTS) + json.dumps(SCHEMA)
    folder = cache() / NAME / hashlib.sha256(made.encode()).hexdigest()[:16]
    if not folder.exists():
        with only_one(f"train-{NAME}"):
            if not folder.exists():
                _train(folder)
    return Path(shutil.copy(FOLDER / "Modelfile", folder))


def load(url: str) -> None:
    """Put the model into the server at `url`, which then knows it as NAME."""
    program = ollama.binary()
    if program is None:
        raise ConfigError(ollama.MISSING)
    with tempfile.TemporaryDirectory() as home:  # the client makes itself a key there
        command = [str(program), "create", NAME, "-f", str(modelfile())]
        environment = {**os.environ, "HOME": home, "OLLAMA_HOST": url}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise MillraceError(f"{NAME} was not created: {done.stderr}")


def _train(folder: Path) -> None:
    if not (uv := shutil.which("uv")):
        raise ConfigError(f"{NAME} cannot be trained here: there is no uv on PATH")
    begin = time.monotonic()
    say(f"{NAME}: training it, once: 3 minutes, longer on a busy machine")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        fresh = Path(place, "fresh")
        fresh.mkdir()
        command = [uv, "run", "--quiet", "--script", str(FOLDER / "train.py"), str(fresh / f"{NAME}.gguf")]
        if subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=False).returncode:
            raise Unavailable(f"{NAME} was not trained: what uv said stands above")
        fresh.rename(folder)  # at the end: what has the name is whole
    say(f"{NAME}: trained, {time.monotonic() - begin:.0f} s")
