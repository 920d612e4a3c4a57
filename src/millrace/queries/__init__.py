"""Pure functions from DataFrame to DataFrame (stage 3): one file an analysis.

May import Kafka's parsers, `names`, `errors` and `durations`.
"""
