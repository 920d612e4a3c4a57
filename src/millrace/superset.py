"""Superset on MySQL, with the dashboards Market and Social: `python -m millrace.superset` (`make superset`)."""

import argparse
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy import ColumnElement, FromClause, exists, select

from millrace import config, stack
from millrace.applications.analyses import AUTHORS, COUNTS, DASHBOARD, ENGAGEMENT, HASHTAGS, LANGUAGES
from millrace.applications.candles import CANDLES
from millrace.applications.mastodon import MASTODON as ANALYSES
from millrace.applications.mastodon import choosing
from millrace.config import Settings
from millrace.demo.pipeline import Fed
from millrace.demo.pipelines import MASTODON, STOCKS, SYMBOLS
from millrace.demo.processes import address, check, serving, started
from millrace.errors import ConfigError, MillraceError
from millrace.logs import say
from millrace.signals import interrupt
from millrace.sinks.sql import candles, database, tables
from millrace.stack import mysql, servers, superset
from millrace.stack.superset import SUPERSET

FED = "superset --feed"  # its row in table progress goes where the data goes: the simulators have fed this store
SIMULATED = "**What is shown is simulated**: the built-in simulators have fed this MySQL."
EMPTY = (
    "Where a chart stays empty, jobs with `--sink mysql` fill it; while all are, `make superset ARGS=--feed` feeds them"
    " from the built-in simulators."
)
OURS = (tables.progress, tables.symbols, tables.candle_windows, tables.versions)
DATA = [table for table in tables.metadata.sorted_tables if table not in OURS]
CHARTED = (COUNTS, HASHTAGS, LANGUAGES, AUTHORS, DASHBOARD, ENGAGEMENT)
JOBS: tuple[tuple[Fed, tuple[str, ...]], ...] = (
    (STOCKS, (CANDLES.name, *SYMBOLS, "--resolution", "1m", "--resolution", "10s")),
    (MASTODON, (ANALYSES.name, *choosing(*CHARTED))),
)


def main() -> None:
    """Start what the command line says; with `--feed`, feed it until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make superset", description=__doc__)
    parser.add_argument("--home", type=Path, help="state and data folder (default .millrace)")
    parser.add_argument("--feed", action=argparse.BooleanOptionalAction, help="feed the dashboards from the simulators")
    args = parser.parse_args()
    interrupt(signal.SIGTERM)
    settings = prepared(config.load(home=args.home))
    wanted = asked(settings) if args.feed is None else args.feed
    if wanted:
        mark(settings.store_url("mysql"))
    start(settings)
    if wanted:
        feed(settings)


def prepared(settings: Settings) -> Settings:
    """Start the local MySQL, unless the settings name another, and make every table and view that charts ask for."""
    if is_elsewhere(settings):
        place = database.place(database.connect(settings.store_url("mysql")).url)
        say(f"MILLRACE_MYSQL_URL is set: Superset reads {place}, and no local MySQL is started")
    else:
        stack.up(["mysql"], settings)
        settings = config.load(home=settings.home)
    tables.create(settings.store_url("mysql"))
    return settings


def is_elsewhere(settings: Settings) -> bool:
    """Return whether the settings name a MySQL that `millrace up mysql` did not start."""
    local = dotenv_values(settings.home / "servers.env").get("MILLRACE_MYSQL_URL")
    return settings.mysql_url is not None and settings.mysql_url.get_secret_value() != local


def asked(settings: Settings) -> bool:
    """Ask whether to feed an empty store; without somebody to ask, say how."""
    if not is_empty(settings.store_url("mysql")):
        return False
    if sys.stdin.isatty():
        say("MySQL holds nothing to show yet. Feed both dashboards from the simulators, until Ctrl-C? [y/N]")
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    say("MySQL holds nothing to show yet: `make superset ARGS=--feed` feeds both dashboards from the simulators")
    return False


def is_empty(url: str) -> bool:
    """Return whether no table has a row, but for those in which jobs keep books."""
    return not _any(url, *(_has(table) for table in DATA))


def is_simulated(url: str) -> bool:
    """Return whether the simulators have fed the store."""
    return _any(url, _has(tables.progress, tables.progress.c.job == FED))


def mark(url: str) -> None:
    """Note in the store that the simulators feed it; raises ConfigError where it holds what others wrote."""
    engine = database.connect(url)
    try:
        if not is_simulated(url) and not is_empty(url):
            raise ConfigError(
                f"{database.place(engine.url)} holds rows already, and --feed would mix simulated ones into them:"
                " `millrace down mysql --data` empties the local MySQL, --home FOLDER starts another"
            )
        candles.note_progress(engine, FED, 0, None)
    finally:
        engine.dispose()


def _has(table: FromClause, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(1).select_from(table).where(*where))


def _any(url: str, *questions: ColumnElement[bool]) -> bool:
    engine = database.connect(url)
    try:
        with database.errors(engine.url), engine.connect() as connection:
            return any(connection.scalar(select(each)) for each in questions)
    finally:
        engine.dispose()


def start(settings: Settings) -> str:
    """Start Superset, or bring the one that runs up to date; return its address.

    The dashboards say so where the simulators have fed the store. Passwords are told once, when they can be used.
    """
    folder = servers.folder(settings.home.resolve(), SUPERSET)
    store, told = settings.store_url("mysql"), folder / "told"
    reader = _reader(settings, superset.password(folder, "mysql"))
    superset.provision(folder, reader, note=SIMULATED if is_simulated(store) else EMPTY)
    servers.start(SUPERSET, settings)
    url = config.load(home=settings.home).superset_url or ""
    say(f"dashboards: {url}/superset/dashboard/market/ and {url}/superset/dashboard/social/")
    if not told.exists():
        for name in superset.ACCOUNTS:
            say(f"log in as {name} with {superset.password(folder, name)} (kept in {folder / name / 'password'})")
        told.touch()
    return url


def _reader(settings: Settings, password: str) -> str:
    try:
        return mysql.reader(settings.store_url("mysql"), password)
    except ConfigError as error:
        if not is_elsewhere(settings):
            raise
        raise ConfigError(
            f"{error}\nThe user of MILLRACE_MYSQL_URL needs CREATE USER, and to hand on SELECT and SHOW VIEW."
            " Without the setting, `make superset` starts a MySQL; docker/compose.yaml has a Superset: docs/superset.md"
        ) from None


def feed(settings: Settings) -> None:
    """Run both pipelines from their simulators into MySQL until Ctrl-C."""
    with ExitStack() as running, suppress(KeyboardInterrupt):
        settings = running.enter_context(serving(settings))
        processes = [process for each in JOBS for process in _pipeline(settings, *each, running)]
        say("feeding both dashboards: the first charts fill after a minute; Ctrl-C ends it, and Superset goes on")
        while True:
            check(processes)
            time.sleep(1)


def _pipeline(
    settings: Settings, pipeline: Fed, job: tuple[str, ...], running: ExitStack
) -> list[subprocess.Popen[bytes]]:
    def begin(name: str, *arguments: str) -> subprocess.Popen[bytes]:
        return running.enter_context(started(settings, name, *arguments, **pipeline.environment))

    simulator = f"simulator-{pipeline.feed}"
    seed = str(int(time.time()))  # another run's events would be dropped as repeated
    options = ("--port", "0", "--rate", str(pipeline.rate), "--seed", seed, *pipeline.simulator)
    begin(simulator, "simulate", pipeline.feed, *options)
    url = address(settings, simulator)
    ingest = begin(f"ingest-{pipeline.feed}", "ingest", pipeline.feed, pipeline.option, url, *pipeline.simulated)
    return [ingest, begin(job[0], "run", *job, "--sink", "mysql", "--trigger", "5s")]


if __name__ == "__main__":
    try:
        main()
    except MillraceError as error:
        say(f"millrace: {error}")
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        say("interrupted: `make superset` goes on from there")
        sys.exit(128 + signal.SIGINT)
