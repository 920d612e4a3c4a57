"""Outside world to Kafka: one file a feed, one loop for all."""
