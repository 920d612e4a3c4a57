"""Local servers for people without Docker: one file a server. May import `kafka` and the ground."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millrace.stack.servers import Status, down, reaching, status, up

__all__ = ["Status", "down", "reaching", "status", "up"]


def __getattr__(name: str) -> Any:
    """Import the servers with their clients when they are asked for: `millrace run` starts without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from millrace.stack import servers  # noqa: PLC0415

    return getattr(servers, name)
