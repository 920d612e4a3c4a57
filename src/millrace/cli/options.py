"""Options that many commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class SqlStore(StrEnum):
    """The SQL stores that commands choose among."""

    sqlite = "sqlite"
    mysql = "mysql"
    postgres = "postgres"


Store = Annotated[SqlStore, typer.Option(help="Where the tables are")]
Home = Annotated[Path | None, typer.Option(help="Folder of all state; default MILLRACE_HOME, else .millrace")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka brokers, host:port[,host:port]")]
