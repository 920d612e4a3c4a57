"""The limits of one request to Elasticsearch."""

LONGEST_ID = 512  # bytes
CHUNK = 1_000  # documents
CHUNK_BYTES = 8 << 20
