"""Tweets, from a WebSocket or a file. Imports what `ingest` may import."""
