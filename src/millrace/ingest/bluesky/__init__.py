"""Bluesky: posts from a Jetstream WebSocket. Imports as `ingest` does."""
