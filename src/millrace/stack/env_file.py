"""`$MILLRACE_HOME/servers.env`: the addresses and passwords of what runs, readable by its owner only."""

import os
from collections.abc import Mapping
from pathlib import Path


def update(home: Path, lines: Mapping[str, str | None]) -> None:
    """Set `KEY=value` lines, or remove those whose value is None; other lines stay."""
    path = home / "servers.env"
    old = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in old if line.partition("=")[0] not in lines]
    new = [f"{key}={value}" for key, value in lines.items() if value is not None]
    if not kept + new:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_name(f"servers.env.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write("\n".join(kept + new) + "\n")
    fresh.rename(path)
