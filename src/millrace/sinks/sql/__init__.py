"""SQL sinks: SQLite, MySQL, MariaDB and PostgreSQL through SQLAlchemy Core. Imports what `sinks` may import."""
