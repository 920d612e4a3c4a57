"""The Bluesky feed: posts from a Jetstream WebSocket. Imports what `ingest` may import."""
