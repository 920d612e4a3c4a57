"""Bundles of artifacts.json: downloaded where the cache lacks them, checked by SHA-256."""

from collections.abc import Sequence
from pathlib import Path

from millrace.stack.artifacts import Artifact, bundle, only_one


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
