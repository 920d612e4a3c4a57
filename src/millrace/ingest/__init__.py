"""The outside world -> Kafka: one file a provider, one loop for all of them."""
