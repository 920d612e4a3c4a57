"""Local servers for people without Docker: one file a server."""

from millrace.stack.servers import Status, down, status, up
from millrace.stack.table import table

__all__ = ["Status", "down", "status", "table", "up"]
