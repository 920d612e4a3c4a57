"""Words that cannot name a view: they are reserved in SQLite, MySQL, MariaDB or PostgreSQL."""

from sqlalchemy.dialects.mysql.reserved_words import RESERVED_WORDS_MARIADB

from millrace.sinks.sql.statements import DIALECTS

_LATER = {"library", "manual", "parallel", "qualify", "tablesample"}  # MySQL 8.4 and 9
_MISSED = {"collation", "concurrently", "nothing", "portion", "system_user"}  # SQLAlchemy does not list them
WORDS = frozenset(RESERVED_WORDS_MARIADB).union(
    _LATER, _MISSED, *(dialect.identifier_preparer.reserved_words for dialect in DIALECTS.values())
)
