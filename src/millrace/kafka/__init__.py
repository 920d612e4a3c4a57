"""The contract in Kafka (stage 2): topics, results, schemas, and how Spark reads them. May import the ground."""
