"""Two small tables to try change data capture with; docker/debezium/seed.sql is made of this file.

`python -m millrace.cdc.demo` prints the script.
"""

import sys

from millrace.cdc.postgres import connection

SIGNALS = """\
CREATE TABLE IF NOT EXISTS public.millrace_cdc_signals (
  id varchar(64) PRIMARY KEY,
  type varchar(32) NOT NULL,
  data text
);
"""
SEED = """\
-- Two small tables to try change data capture with, and the table by which millrace asks Debezium for snapshots.
-- `millrace cdc register --demo` runs this; by hand: psql "$URL" -f seed.sql. Run again, it changes no row.

CREATE TABLE IF NOT EXISTS public.demo_table1 (id integer PRIMARY KEY, name text);
CREATE TABLE IF NOT EXISTS public.demo_table2 (id integer PRIMARY KEY, value text);

INSERT INTO public.demo_table1 VALUES (1, 'first'), (2, 'second'), (3, 'third') ON CONFLICT (id) DO NOTHING;
INSERT INTO public.demo_table2 VALUES (1, 'initial') ON CONFLICT (id) DO NOTHING;

"""


def seed(url: str) -> None:
    """Make the tables and rows of the demo in the PostgreSQL at `url`, where they are not there."""
    with connection(url) as source:
        source.execute(as_file().encode())


def as_file() -> str:
    """Return docker/debezium/seed.sql."""
    return SEED + SIGNALS


if __name__ == "__main__":
    sys.stdout.write(as_file())
