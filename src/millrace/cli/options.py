"""Options that many commands share."""

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class SqlStore(StrEnum):
    """The SQL stores that commands choose among."""

    sqlite = "sqlite"
    mysql = "mysql"
    postgres = "postgres"


Store = Annotated[SqlStore, typer.Option(help="Where the tables are")]
Home = Annotated[Path | None, typer.Option(help="Folder of all state; default MILLRACE_HOME, else .millrace")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka brokers, host:port[,host:port]")]
Command = Callable[..., None]


def sharing(**options: tuple[Any, Any]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command further options, which it takes as `**shared`.

    `options` are type (with typer's help) and default, by name; those of the command itself come first.
    """
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]

    def decorate(command: Command) -> Command:
        own = [each for each in inspect.signature(command).parameters.values() if each.kind is not each.VAR_KEYWORD]

        @functools.wraps(command)
        def called(*args: Any, **values: Any) -> None:
            command(*args, **values)

        called.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
        return called

    return decorate
