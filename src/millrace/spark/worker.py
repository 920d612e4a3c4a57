"""Run Spark's Python worker daemon with the parsers' imports already loaded: each worker forks from it ready to go."""

import gc

import pyarrow  # noqa: F401
import pyspark.worker  # noqa: F401
from pyspark.daemon import manager

import millrace.queries.hashtags  # noqa: F401

if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # Spark collects garbage after each task, and would scan all that is imported
    manager()
