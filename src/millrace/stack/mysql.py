"""MySQL 8.0.15, as a user without privileges when root starts it."""

import shutil
import subprocess
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from millrace.errors import ConfigError, Unavailable
from millrace.stack import accounts, sql
from millrace.stack.libaio import library_path
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server
from millrace.stack.unpack import unpack

OPTIONS = [
    f"--bind-address={LOOPBACK}",
    "--socket=mysql.sock",  # in the data folder: a socket's whole path may only have 107 characters
    "--pid-file=mysql.pid",
    "--mysqlx=0",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--local-infile=1",
    "--default-time-zone=+00:00",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_bin",  # the others take cafe and café for one
    "--performance-schema=OFF",  # 200 MB
    "--skip-ssl",  # on the loopback address; the ciphers of this version are deprecated
    "--default-authentication-plugin=mysql_native_password",  # the newer one wants SSL
]
FIRST_STATEMENTS = """\
ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';
CREATE DATABASE {name};
CREATE USER '{name}'@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO '{name}'@'%' WITH GRANT OPTION;
"""
READER = "millrace_superset"  # not `viewer`: somebody else may hold that account's password
READER_STATEMENTS = (  # what docker/mysql/grants.sql gives to `viewer`
    "CREATE USER IF NOT EXISTS :user@'%' IDENTIFIED BY :password",
    "ALTER USER :user@'%' IDENTIFIED BY :password",
    "GRANT SELECT, SHOW VIEW ON {database}.* TO :user@'%'",
)


def prepare(folder: Path, port: int) -> Launch:
    """Initialise the data, the user and the database once and return the server's command line."""
    user = accounts.unprivileged()
    base = unpack("mysql", "mysql-Linux-amd64.tar.gz")
    libraries = library_path()
    folder.mkdir(parents=True, exist_ok=True)
    for way in (base, folder, libraries or base):
        accounts.open_way(way, user)
    env = {"LD_LIBRARY_PATH": str(libraries)} if libraries else {}
    data = folder / "data"
    if not data.exists():
        _initialise(_command(base, folder / "data.new"), folder, data, env, user)
    for left in ("mysql.sock", "mysql.sock.lock"):  # by one that was killed; InnoDB has a lock of its own on the data
        (data / left).unlink(missing_ok=True)
    return Launch([*_command(base, data), f"--port={port}"], env, user)


def address(folder: Path, port: int) -> str:
    """Return the SQLAlchemy URL; the C part of the client wants a newer OpenSSL than many systems have."""
    where = f"{sql.NAME}:{sql.password(folder)}@{LOOPBACK}:{port}/{sql.NAME}"
    return f"mysql+mysqlconnector://{where}?use_pure=true"


def reader(url: str, password: str) -> str:
    """Make the account of Superset, which may read the database of `url` and nothing else; return its URL for PyMySQL.

    Raises ConfigError where the user of `url` may not make accounts.
    """
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, hide_parameters=True)
    database = engine.dialect.identifier_preparer.quote(engine.url.database or "")
    try:
        with engine.begin() as connection:
            for statement in READER_STATEMENTS:
                used = {"user": READER, "password": password}
                connection.execute(sqlalchemy.text(statement.format(database=database)), used)
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or type(error).__name__
        raise ConfigError(f"MySQL at {engine.url.host} did not make the account {READER}: {reason}") from None
    made = engine.url.set(drivername="mysql+pymysql", username=READER, password=password, query={"charset": "utf8mb4"})
    return made.render_as_string(hide_password=False)


def _command(base: Path, data: Path) -> list[str]:
    where = [f"--basedir={base}", f"--datadir={data}", f"--lc-messages-dir={base / 'share'}"]
    return [str(base / "bin" / "mysqld"), "--no-defaults", *where, *OPTIONS]


def _initialise(command: list[str], folder: Path, data: Path, env: dict[str, str], user: str | None) -> None:
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    statements = folder / "first.sql"
    statements.touch(0o600)
    statements.write_text(FIRST_STATEMENTS.format(name=sql.NAME, password=sql.password(folder)))
    for path in (fresh, statements):
        accounts.give(path, user)
    command = [*command, "--initialize-insecure", f"--init-file={statements}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, **accounts.identity(user))
    finally:
        statements.unlink()
    if done.returncode:
        raise Unavailable(f"MySQL cannot initialise its data: {done.stderr.strip()}")
    fresh.rename(data)


MYSQL = Server("mysql", "MILLRACE_MYSQL_URL", 3306, prepare, address, sql.check)
