"""Start Spark's own SQL prompt on a bare machine, with the documents of MongoDB as tables."""

import os
from collections.abc import Sequence
from typing import NoReturn

from millrace.config import PREFIX, Settings
from millrace.spark.launch.home import conf
from millrace.spark.launch.spark_submit import environment, submit

PROGRAM = "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver"
TABLES = "sql/tables.sql"
CONF = {
    "spark.sql.catalogImplementation": "in-memory",  # Hive's would leave a database in the folder at hand
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
}
STATEMENTS = ("-e", "-f")  # after which it ends


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of spark-sql with `arguments` of its own: `-e STATEMENTS`, `-f FILE`, none for a prompt.

    The prompt shows the names of columns above rows. With -e and -f there are rows alone, for other programs.
    """
    shown = {} if set(arguments) & set(STATEMENTS) else {"spark.sql.cli.print.header": "true"}
    options = [word for key, value in (CONF | shown).items() for word in ("--conf", f"{key}={value}")]
    return [*submit(len(os.sched_getaffinity(0))), *options, "--class", PROGRAM, "-i", str(conf(TABLES)), *arguments]


def prompt(arguments: Sequence[str], settings: Settings) -> NoReturn:
    """Replace this process by spark-sql; raises ConfigError where no MongoDB is set.

    Its Python workers run in a folder of Spark's, so that they get the settings by their environment.
    """
    known = environment()
    known |= {f"{PREFIX}MONGODB_URL": settings.store_url("mongodb"), f"{PREFIX}HOME": str(settings.home.resolve())}
    known["PYTHONPATH"] = os.pathsep.join([str(conf("sql")), *filter(None, [os.environ.get("PYTHONPATH")])])
    line = command(arguments)
    os.execve(line[0], line, {**os.environ, **known})
