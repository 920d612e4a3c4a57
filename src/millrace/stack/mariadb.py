"""MariaDB 10.11, as a user without privileges when root starts it: what the SQL sink speaks to beside MySQL."""

import os
import shutil
import subprocess
from pathlib import Path

from millrace.errors import Unavailable
from millrace.stack import accounts, debian, mysql, sql
from millrace.stack.libaio import library_path
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server

OPTIONS = [
    f"--bind-address={LOOPBACK}",
    "--socket=mariadb.sock",  # in the data folder: a socket's whole path may only have 107 characters
    "--pid-file=mariadb.pid",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--local-infile=1",
    "--default-time-zone=+00:00",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_bin",  # the others take cafe and café for one
]
SYSTEM = ("mysql_system_tables.sql", "mysql_performance_tables.sql")
FIRST_STATEMENTS = """\
CREATE DATABASE {name};
FLUSH PRIVILEGES;
CREATE USER '{name}'@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO '{name}'@'%' WITH GRANT OPTION;
"""


def prepare(folder: Path, port: int) -> Launch:
    """Initialise the data, the user and the database once and return the server's command line."""
    user = accounts.unprivileged()
    base = debian.unpack("mariadb")
    libraries = [base / debian.LIBRARIES, *filter(None, [library_path()])]
    folder.mkdir(parents=True, exist_ok=True)
    for way in (base / "usr" / "sbin", folder, *libraries):
        accounts.open_way(way, user)
    env = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}
    data = folder / "data"
    if not data.exists():
        _initialise(base, folder, data, env, user)
    return Launch([*_command(base, data), f"--port={port}"], env, user)


def _command(base: Path, data: Path) -> list[str]:
    share = base / "usr" / "share" / "mysql"
    where = [f"--basedir={base / 'usr'}", f"--datadir={data}", f"--lc-messages-dir={share}"]
    return [str(base / "usr" / "sbin" / "mariadbd"), "--no-defaults", *where, *OPTIONS]


def _initialise(base: Path, folder: Path, data: Path, env: dict[str, str], user: str | None) -> None:
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    accounts.give(fresh, user)
    share = base / "usr" / "share" / "mysql"
    system = [(share / name).read_text() for name in SYSTEM]
    first = FIRST_STATEMENTS.format(name=sql.NAME, password=sql.password(folder))
    done = subprocess.run(
        [*_command(base, fresh), "--bootstrap"],
        input="\n".join(["CREATE DATABASE mysql;", "USE mysql;", *system, first]),
        capture_output=True,
        text=True,
        check=False,
        env=env,
        **accounts.identity(user),
    )
    if done.returncode:
        raise Unavailable(f"MariaDB cannot initialise its data: {done.stderr.strip()}")
    fresh.rename(data)


MARIADB = Server("mariadb", "MILLRACE_MYSQL_URL", 3306, prepare, mysql.address, sql.check)
