"""Start spark-submit on a bare machine: its Java, SPARK_HOME, command line and start-up cache.

May import `queries`, `kafka`, the ground and, as the only folder below the faces, `stack`, for its Java and jars.
"""

from millrace.spark.launch.home import CHECKOUT, PACKAGE, conf, jobs
from millrace.spark.launch.spark_sql import prompt
from millrace.spark.launch.spark_submit import command, environment, exports, run

__all__ = ["CHECKOUT", "PACKAGE", "command", "conf", "environment", "exports", "jobs", "prompt", "run"]
