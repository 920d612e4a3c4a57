"""Where a checkpoint lies: one place however it is spelled, and its files on any file system that Hadoop knows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from millrace.archive.files import Files, Local
from millrace.errors import ConfigError
from millrace.spark.checkpoint.hadoop import HadoopFiles, cause


@dataclass(frozen=True)
class Place:
    """A checkpoint's folder: `uri` names it for Spark and for people, `files` lie in it, and `beside` it under `name`.

    What is beside it outlives it.
    """

    uri: str
    files: Files
    beside: Files

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.uri.rpartition("/")[2]

    @property
    def folder(self) -> Path | None:
        """The folder without symbolic links, None where it is on no local disk."""
        return self.files.root if isinstance(self.files, Local) else None


def at(spark: SparkSession, checkpoint: str) -> Place:
    """Return the place that `checkpoint` (a path or a URL) means to Spark; raises ConfigError where none can be.

    A path without scheme is on Hadoop's default file system, as Spark takes it. Equal are then x, ./x/, file:///.../x
    and a symbolic link to it, and hdfs:///x and hdfs://namenode:9000//x.
    """
    jvm: Any = spark._jvm
    hadoop: Any = spark._jsparkSession.sessionState().newHadoopConf()
    try:
        path = jvm.org.apache.hadoop.fs.Path(checkpoint)
        system = path.getFileSystem(hadoop)
        qualified = system.makeQualified(path)
    except (Py4JJavaError, PySparkException) as error:  # pyspark makes its own of some of Java's
        text = cause(error) if isinstance(error, Py4JJavaError) else str(error)
        raise ConfigError(f"--checkpoint {checkpoint}: {text}") from None
    uri = qualified.toUri()
    if uri.getScheme() == "file":
        folder = Path(uri.getPath()).resolve()
        return Place(f"file://{folder}", _local(folder), _local(folder.parent))
    if qualified.getParent() is None:
        raise ConfigError(f"--checkpoint {checkpoint}: that is the root, name a folder")
    files, beside = (HadoopFiles(jvm, system, each) for each in (qualified, qualified.getParent()))
    return Place(qualified.toString(), files, beside)


def _local(folder: Path) -> Local:
    return Local(f"file://{folder}", folder)
