"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path | None, typer.Option(help="Folder of all state; default MILLRACE_HOME, else .millrace")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka brokers, host:port[,host:port]")]
