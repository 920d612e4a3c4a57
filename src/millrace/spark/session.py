"""Create the Spark session of an application."""

import logging
from typing import Any

from pyspark.sql import SparkSession

from millrace.spark.options import Options
from millrace.spark.stop import STOP

log = logging.getLogger(__name__)


def create(options: Options) -> SparkSession:
    """Return the session in UTC; shuffle partitions become Spark's default parallelism unless spark-submit set them."""
    spark = SparkSession.builder.appName(f"millrace {options.name}").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    if spark.conf.get("spark.sql.shuffle.partitions") == "200":  # Spark's default: 2-4 times slower on few cores
        spark.conf.set("spark.sql.shuffle.partitions", str(spark.sparkContext.defaultParallelism))
    STOP.listen(spark)
    _write_no_checksum_files(spark)
    if spark.sparkContext.uiWebUrl:
        log.info("Spark UI at %s", spark.sparkContext.uiWebUrl)
    return spark


def _write_no_checksum_files(spark: SparkSession) -> None:
    """Halve the number of files in a local checkpoint: what Spark writes there has checksums of its own."""
    jvm: Any = spark._jvm
    hadoop: Any = spark.sparkContext._jsc.hadoopConfiguration()
    jvm.org.apache.hadoop.fs.FileSystem.getLocal(hadoop).setWriteChecksum(False)
