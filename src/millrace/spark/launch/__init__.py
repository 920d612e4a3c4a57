"""What spark-submit needs on a bare machine: a Java, a Spark home, a command line, a start-up cache.

The one place below the faces that may import `stack`, whose Java and jars it takes.
"""

from millrace.spark.launch.home import CHECKOUT, PACKAGE, conf, jobs
from millrace.spark.launch.spark_submit import command, environment, exports, run

__all__ = ["CHECKOUT", "PACKAGE", "command", "conf", "environment", "exports", "jobs", "run"]
