"""Pinned downloads: each bundle of artifacts.json once for the user, checked by SHA-256, for all homes."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from importlib.resources import files
from pathlib import Path

import httpx
import platformdirs

from millrace.errors import Unavailable
from millrace.stack.progress import progress

MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
ATTEMPTS = 4  # each goes on where the one before broke off
TIMEOUT = httpx.Timeout(30, connect=10)  # seconds without a byte
PAUSE = 0.5  # seconds before the second attempt, twice as long before each further one
PARALLEL = 8

Advance = Callable[[int], None]


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
    """Return the pinned artifacts of a bundle: kafka, spark-kafka, postgres, mysql, libaio, elasticsearch or hdfs."""
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
            _download(label, [artifact for artifact in artifacts if not artifact.path.exists()])
    return [artifact.path for artifact in artifacts]


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Hold the cache's lock `name`: a second process waits here until the first is done."""
    path = cache() / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _download(label: str, missing: Sequence[Artifact]) -> None:
    if not missing:  # another process was faster
        return
    total = sum(artifact.size for artifact in missing)
    with (
        progress(label, len(missing), total) as advance,
        httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client,
    ):
        pool = ThreadPoolExecutor(PARALLEL)
        try:
            for job in [pool.submit(_fetch_one, client, artifact, advance) for artifact in missing]:
                job.result()
        finally:  # after a failure the rest would only fail as slowly
            pool.shutdown(cancel_futures=True)


def _fetch_one(client: httpx.Client, artifact: Artifact, advance: Advance) -> None:
    part = artifact.path.with_name(artifact.path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    advance(_size(part))
    for attempt in range(ATTEMPTS):
        try:
            _resume(client, artifact, part, advance)
            break
        except (httpx.HTTPError, OSError) as error:
            if _final(error) or attempt == ATTEMPTS - 1:
                raise _failed(artifact, _reason(error)) from error
            time.sleep(PAUSE * 2**attempt)
    _verify(artifact, part)
    part.rename(artifact.path)


def _final(error: Exception) -> bool:
    refused = isinstance(error, httpx.HTTPStatusError) and error.response.is_client_error
    return refused or isinstance(error, OSError)  # of the disk: httpx has its own for the network


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answered {error.response.status_code}"
    return f"{type(error).__name__}: {error}"


def _resume(client: httpx.Client, artifact: Artifact, part: Path, advance: Advance) -> None:
    have = _size(part)
    if have == artifact.size:
        return
    headers = {"Range": f"bytes={have}-"} if 0 < have < artifact.size else {}
    with client.stream("GET", artifact.url, headers=headers) as response:
        response.raise_for_status()
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        advance(0 if resumed else -have)
        with part.open("ab" if resumed else "wb") as out:
            for chunk in response.iter_raw():  # unbuffered: what has arrived is kept
                out.write(chunk)
                advance(len(chunk))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _verify(artifact: Artifact, part: Path) -> None:
    with part.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    if digest != artifact.sha256:
        part.unlink()
        raise _failed(
            artifact,
            f"its SHA-256 is {digest}, pinned is {artifact.sha256}: something on the way changes downloads",
        )


def _failed(artifact: Artifact, reason: str) -> Unavailable:
    return Unavailable(
        f"cannot download {artifact.source} from {artifact.url}: {reason}."
        " Check the network (HTTPS_PROXY, SSL_CERT_FILE) and run it again: it goes on where it stopped"
    )
