"""Servers that refuse root: the account without privileges that they run as, and what it must reach."""

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

from millrace.errors import ConfigError
from millrace.logs import say

CANDIDATES = ("nobody", "daemon")


def unprivileged() -> str | None:
    """Return an existing account without privileges when we are root, else None: the own account will do."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in CANDIDATES:
        if name in names:
            return name
    raise ConfigError(f"root needs an account to run servers as, and there is none of {', '.join(CANDIDATES)}")


def identity(user: str | None) -> dict[str, Any]:
    """Return the options with which `subprocess` runs a command as `user`."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def give(folder: Path, user: str | None) -> None:
    """Make `folder` and all in it the property of `user`, for nobody else to read; None: leave the owner."""
    folder.chmod(0o700)
    if user:
        for path in [folder, *folder.rglob("*")]:
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)


def open_way(folder: Path, user: str | None) -> None:
    """Let `user` pass through the folders that lead to `folder` (pass, not list); None: they are our own."""
    for parent in reversed([folder, *folder.parents]) if user else ():
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
            say(f"opened {parent} for passing through: servers run as {user} below it")
