"""Downloads in parallel, resumed where they broke off, kept when their SHA-256 is the pinned one."""

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from millrace.errors import Unavailable
from millrace.stack.artifacts import Artifact, cache, only_one
from millrace.stack.progress import progress

ATTEMPTS = 4  # each goes on where the one before broke off
TIMEOUT = httpx.Timeout(30, connect=10)  # seconds without a byte
PAUSE = 0.5  # seconds before the second attempt, twice as long before each further one
PARALLEL = 8

Advance = Callable[[int], None]


def download(label: str, missing: Sequence[Artifact]) -> None:
    """Download `missing` into the cache, with a progress bar; raises Unavailable for the first that fails."""
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
    with only_one(str(artifact.path.relative_to(cache()))):  # it may be of two bundles that come at once
        if artifact.path.exists():
            advance(artifact.size)
        else:
            _fetch(client, artifact, advance)


def _fetch(client: httpx.Client, artifact: Artifact, advance: Advance) -> None:
    part = artifact.path.with_name(artifact.path.name + ".part")
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
