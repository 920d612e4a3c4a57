"""The pinned files of artifacts.json, and the user's cache, in which each lies once for all homes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from importlib.resources import files
from pathlib import Path

import platformdirs

MAVEN_CENTRAL = "https://repo1.maven.org/maven2"


@dataclass(frozen=True)
class Artifact:
    """One pinned file: `source` is a Maven coordinate, `group:name:version[:packaging:classifier]`, or a URL."""

    source: str
    size: int  # bytes
    sha256: str

    @property
    def url(self) -> str:
        """Where it is downloaded from."""
        return self.source if "://" in self.source else maven_url(self.source)

    @property
    def path(self) -> Path:
        """Where it lies in the cache: under its checksum, so whatever lies there is right."""
        return cache() / "artifacts" / self.sha256[:16] / self.url.rpartition("/")[2]


def maven_url(coordinate: str) -> str:
    """Return the address on Maven Central of `group:name:version`, a jar, or of `...:packaging:classifier`."""
    group, name, version, *other = coordinate.split(":")
    packaging, classifier = other or ("jar", "")
    file = "-".join(filter(None, (name, version, classifier)))
    return f"{MAVEN_CENTRAL}/{group.replace('.', '/')}/{name}/{version}/{file}.{packaging}"


def cache() -> Path:
    """Return the user's cache folder, which all homes share (`XDG_CACHE_HOME` moves it)."""
    return Path(platformdirs.user_cache_dir("millrace"))


def bundle(name: str) -> list[Artifact]:
    """Return the pinned artifacts of a bundle, which is a key of artifacts.json: kafka, mysql, libaio, ..."""
    lock = json.loads(files("millrace.stack").joinpath("artifacts.json").read_text())
    return [Artifact(**row) for row in lock[name]]


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Hold the cache's lock `name`: a second process waits here until the first is done."""
    path = cache() / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        flock(lock, LOCK_EX)
        yield
