-- Two small tables to try change data capture with, and the table by which millrace asks Debezium for snapshots.
-- `millrace cdc register --demo` runs this; by hand: psql "$URL" -f seed.sql. Run again, it changes nothing.

CREATE TABLE IF NOT EXISTS demo_table1 (id integer PRIMARY KEY, name text);
CREATE TABLE IF NOT EXISTS demo_table2 (id integer PRIMARY KEY, value text);
CREATE TABLE IF NOT EXISTS millrace_cdc_signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));

INSERT INTO demo_table1 VALUES (1, 'first'), (2, 'second'), (3, 'third') ON CONFLICT (id) DO NOTHING;
INSERT INTO demo_table2 VALUES (1, 'initial') ON CONFLICT (id) DO NOTHING;
