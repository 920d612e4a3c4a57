"""A folder on any file system that Hadoop knows (HDFS, S3, ...), through the JVM that Spark has anyway."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JJavaError

from millrace.archive.files import Exists, Status
from millrace.errors import Unavailable


class HadoopFiles:
    """The files below `root`, an org.apache.hadoop.fs.Path of `system`, as `archive.files.Files` describes them."""

    def __init__(self, jvm: Any, system: Any, root: Any) -> None:
        self.url = root.toString()
        self._jvm, self._system, self._root = jvm, system, root

    def list(self, folder: str) -> list[Status]:
        with self._errors(folder):
            try:
                found = list(self._system.listStatus(self._path(folder)))
            except Py4JJavaError as error:
                if _missing(error):
                    return []
                raise
        named = sorted((str(each.getPath().getName()), each) for each in found)
        return [Status(f"{folder}/{name}".lstrip("/"), each.getLen(), each.isDirectory()) for name, each in named]

    def read(self, path: str) -> bytes:
        with self._errors(path):
            stream = self._system.open(self._path(path))
            try:
                return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
            finally:
                stream.close()

    def write(self, path: str, data: bytes) -> None:
        self._write(path, data, overwrite=True)

    def create(self, path: str, data: bytes) -> None:
        with self._errors(path):
            if self._system.exists(self._path(path)):
                raise Exists(f"{path} is there already")
        name = f"{path}.{os.urandom(4).hex()}"
        self._write(name, data, overwrite=False)
        try:
            self.move(name, path)
        except Exists:
            self.remove(name)
            raise

    def move(self, source: str, target: str) -> None:
        with self._errors(source):
            if self._system.exists(self._path(target)):
                raise Exists(f"{target} is there already")
            if self._system.rename(self._path(source), self._path(target)):
                return
            if self._system.exists(self._path(target)):
                raise Exists(f"{target} is there already")
            raise FileNotFoundError(f"{self.url}/{source} is not there")

    def remove(self, path: str) -> None:
        with self._errors(path):
            self._system.delete(self._path(path), True)

    def _write(self, path: str, data: bytes, *, overwrite: bool) -> None:
        with self._errors(path):
            out = self._system.create(self._path(path), overwrite)
            try:
                out.write(data)
            finally:
                out.close()

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(f"{self.url}/{path}".rstrip("/"))

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except Py4JJavaError as error:
            if _missing(error):
                raise FileNotFoundError(f"{self.url}/{path} is not there") from None
            raise Unavailable(f"{self.url}/{path}: {cause(error)}") from None


def cause(error: Py4JJavaError) -> str:
    """Return what Java says, without its stack."""
    return str(error.java_exception.toString()).splitlines()[0]


def _missing(error: Py4JJavaError) -> bool:
    return "FileNotFoundException" in cause(error)
