"""`millrace sql`: Spark's own SQL prompt over the documents of a real MongoDB, each query on what is there then."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import documents
from tests.support import environment, wait

from millrace.config import Settings
from millrace.kafka.columns import Kind
from millrace.kafka.results import RESULTS, TWEET_CASES
from millrace.names import CASE_NUMBERS
from millrace.sinks.mongodb import cluster, source


@pytest.fixture
def collection(mongodb: Settings) -> Iterator[Any]:
    found = cluster.collection(mongodb.store_url("mongodb"), TWEET_CASES.documents)
    found.delete_many({})
    found.insert_one(documents.window(0, tweets=3))
    yield found
    found.delete_many({})


def started(settings: Settings, folder: Path, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
    """Start `millrace sql` in an empty folder, with nothing but the settings to go by."""
    known = {**os.environ, **environment(settings), "MILLRACE_HOME": str(folder)}
    known["MILLRACE_MONGODB_URL"] = settings.store_url("mongodb")
    line = [sys.executable, "-m", "millrace", "sql", *arguments]
    return subprocess.Popen(line, cwd=folder, env=known, text=True, **streams)


def test_one_statement_prints_rows_and_ends(mongodb: Settings, collection: Any, tmp_path: Path) -> None:
    statements = (
        f"SELECT hash, content, timestamp, {', '.join(CASE_NUMBERS)} FROM twitter_table;"
        "SELECT window_start, tweets, hashtags, country, as_of FROM twitter_table;"
        "SELECT count(*) FROM twitter_table"
    )
    process = started(mongodb, tmp_path, "-e", statements, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    row = documents.window(0, tweets=3)
    numbers = [str(row[name]) if row[name] is not None else "NULL" for name in CASE_NUMBERS]
    assert said.splitlines() == [
        "\t".join([row["hash"], '["tweet 0","tweet 1","tweet 2"]', row["timestamp"], *numbers]),
        '2026-11-28 12:00:00\t3\t[{"hashtag":"cat","tweets":2},{"hashtag":"猫","tweets":1}]\tWorld\t2024-04-13',
        "1",
    ]
    assert list(tmp_path.iterdir()) == [], "it left something behind"
    assert mongodb.store_url("mongodb") not in " ".join(process.args), "the address is on the command line"


def test_a_prompt_reads_anew_for_each_query(mongodb: Settings, collection: Any, tmp_path: Path) -> None:
    log = tmp_path / "said"
    with log.open("w") as out:
        process = started(mongodb, tmp_path, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL)
        assert process.stdin
        wait(lambda: "> " in log.read_text(), "prompt", deadline=180)
        process.stdin.write("SELECT sum(tweets) AS first FROM twitter_table;\n")
        process.stdin.flush()
        wait(lambda: "first\n3\n" in log.read_text(), "rows below the names of columns", deadline=120)
        collection.insert_one(documents.window(1, tweets=40))
        process.stdin.write("SELECT sum(tweets) AS second FROM twitter_table;\n")
        process.stdin.flush()
        wait(lambda: "second\n43\n" in log.read_text(), "the new document", deadline=120)
        process.stdin.close()
        assert process.wait(60) == 0


def test_columns_are_those_of_the_result() -> None:
    schema = source.Documents({"result": TWEET_CASES.name}).schema()
    assert schema.startswith("`hash` STRING, `source` STRING, `content` ARRAY<STRING>, `timestamp` STRING, ")
    assert all(f"`{name}` BIGINT" in schema for name in CASE_NUMBERS)
    assert {column.kind for result in RESULTS for column in result.columns} - source.TYPES.keys() == {Kind.DECIMAL}


def test_without_a_server_it_is_one_line(tmp_path: Path) -> None:
    known = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    line = [sys.executable, "-m", "millrace", "sql"]
    wrong = known | {"MILLRACE_MONGODB_URL": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"}
    for env, code, told in ((known, 2, "millrace up mongodb"), (wrong, 1, "127.0.0.1:1")):
        done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1) and told in done.stderr
