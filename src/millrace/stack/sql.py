"""What the two SQL servers share: the password and the query that proves them ready."""

import secrets
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from millrace.errors import Unavailable

NAME = "millrace"  # of the user and of the database
TIMEOUT = 10  # seconds for a server that takes the connection and says nothing


def password(folder: Path) -> str:
    """Return the password of the server whose data is in `folder`, generated once, readable by us only."""
    path = folder / "password"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(secrets.token_hex(16))
    return path.read_text()


def check(url: str) -> None:
    """Ask the server for its version; raises Unavailable, without the password, while it does not answer."""
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": TIMEOUT})
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT version()").scalar_one()
    except SQLAlchemyError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise Unavailable(f"{where}: {type(error).__name__}: {getattr(error, 'orig', None) or error}") from error
