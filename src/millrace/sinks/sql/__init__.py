"""SQLite, MySQL, MariaDB and PostgreSQL through SQLAlchemy Core. Imports as `sinks` does."""
