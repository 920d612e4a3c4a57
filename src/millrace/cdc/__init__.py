"""Change data capture of PostgreSQL by Debezium on Kafka Connect. May import `kafka` and the ground."""
