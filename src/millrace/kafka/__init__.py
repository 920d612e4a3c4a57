"""The contract in Kafka: topics, schemas and how Spark reads them."""
