"""Live streams through Kafka and Spark Structured Streaming into the stores that people look at."""

__version__ = "0.1.0"
