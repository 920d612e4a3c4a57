"""The Elasticsearch sink, through the official client. Imports what `sinks` may import."""
