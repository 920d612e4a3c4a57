"""ClickHouse's HTTP protocol over chDB, its engine in this process. May import what `stack` may."""
