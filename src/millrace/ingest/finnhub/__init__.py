"""The Finnhub feed: trades from its WebSocket. Imports what `ingest` may import."""
