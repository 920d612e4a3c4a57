"""Pinned downloads: each bundle of artifacts.json once for the user, checked by SHA-256, for all homes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from importlib.resources import files
from pathlib import Path

import platformdirs

MAVEN_CENTRAL = "https://repo1.maven.org/maven2"


@dataclass(frozen=True)
class Artifact:
    """One pinned file: `source` is a Maven coordinate `group:name:version` (a jar on Central) or a URL."""

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
    """Return the address of the jar `group:name:version` on Maven Central."""
    group, name, version = coordinate.split(":")
    return f"{MAVEN_CENTRAL}/{group.replace('.', '/')}/{name}/{version}/{name}-{version}.jar"


def cache() -> Path:
    """Return the user's cache folder, which all homes share (`XDG_CACHE_HOME` moves it)."""
    return Path(platformdirs.user_cache_dir("millrace"))


def bundle(name: str) -> list[Artifact]:
    """Return the pinned artifacts of a bundle, which is a key of artifacts.json: kafka, mysql, libaio, ..."""
    lock = json.loads(files("millrace.stack").joinpath("artifacts.json").read_text())
    return [Artifact(**row) for row in lock[name]]


def fetch(name: str) -> list[Path]:
    """Return the files of bundle `name`, downloading what the cache lacks.

    Raises Unavailable that names the artifact, its address, the reason and what to do.
    """
    return fetch_all(name, bundle(name))


def fetch_all(label: str, artifacts: Sequence[Artifact]) -> list[Path]:
    """Return the paths of `artifacts`; missing ones come in parallel, resumed and verified."""
    if any(not artifact.path.exists() for artifact in artifacts):
        with only_one(f"fetch-{label}"):
            from millrace.stack.download import download  # noqa: PLC0415 - HTTP takes long to import, and few runs need it

            download(label, [artifact for artifact in artifacts if not artifact.path.exists()])
    return [artifact.path for artifact in artifacts]


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Hold the cache's lock `name`: a second process waits here until the first is done."""
    path = cache() / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        flock(lock, LOCK_EX)
        yield
