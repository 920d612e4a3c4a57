"""Finnhub: trades from its WebSocket. Imports as `ingest` does."""
