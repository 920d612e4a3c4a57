"""Spark asks modules whose names begin with pyspark_ for sources of tables; `millrace sql` has this one on its path."""

from millrace.sinks.mongodb.source import Documents as DefaultSource

__all__ = ["DefaultSource"]
