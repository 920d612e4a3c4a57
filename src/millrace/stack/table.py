"""`millrace status` as a table."""

from rich.table import Table

from millrace.config import Settings
from millrace.stack.servers import status


def table(settings: Settings) -> Table:
    """Return a row for each server: name, pid, port, ready, memory in MB."""
    rows = Table("server", "pid", "port", "ready", "memory")
    for row in status(settings):
        memory = f"{row.memory / 1e6:.0f} MB" if row.memory else "-"
        rows.add_row(row.name, str(row.pid or "-"), str(row.port or "-"), "yes" if row.ready else "no", memory)
    return rows
