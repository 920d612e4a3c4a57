"""The Mastodon feed: polled or streamed timelines of any number of instances. Imports what `ingest` may import."""
