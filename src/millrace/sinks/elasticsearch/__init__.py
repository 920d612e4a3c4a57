"""Elasticsearch through its official client. Imports as `sinks` does."""
