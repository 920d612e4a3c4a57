"""Mastodon: polled or streamed timelines of any number of instances. Imports as `ingest` does."""
