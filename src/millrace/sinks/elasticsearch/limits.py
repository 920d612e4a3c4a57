"""What one request to Elasticsearch holds at most."""

LONGEST_ID = 512  # bytes
CHUNK = 1_000  # documents
CHUNK_BYTES = 8 << 20
