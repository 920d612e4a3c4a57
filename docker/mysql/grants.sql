-- The accounts of a MySQL 8.0, 8.4 or MariaDB server that others use, too: `millrace`, as which the jobs write, `viewer`, as
-- which dashboards and the page read, and `keeper`, as which `millrace prune` takes old rows away. Put your own for the
-- three passwords and run it as an administrator:
--
--   sed 's/MILLRACE-PASSWORD/.../; s/VIEWER-PASSWORD/.../; s/KEEPER-PASSWORD/.../' docker/mysql/grants.sql | mysql -u root -p
--
-- It may run again, also after an upgrade of millrace; passwords of accounts that are there stay as they are.

CREATE DATABASE IF NOT EXISTS millrace CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE USER IF NOT EXISTS 'millrace'@'%' IDENTIFIED BY 'MILLRACE-PASSWORD';
CREATE USER IF NOT EXISTS 'viewer'@'%' IDENTIFIED BY 'VIEWER-PASSWORD';
CREATE USER IF NOT EXISTS 'keeper'@'%' IDENTIFIED BY 'KEEPER-PASSWORD';

-- What a job needs to make its tables and indexes and to upsert, large batches by way of a temporary table.
GRANT SELECT, INSERT, UPDATE, CREATE, INDEX, CREATE TEMPORARY TABLES, CREATE VIEW ON millrace.* TO 'millrace'@'%';

-- A view is replaced by each version of millrace, for which the servers want DROP on it; no table can be dropped.
GRANT CREATE, DROP ON millrace.trending_hashtags TO 'millrace'@'%';
GRANT CREATE, DROP ON millrace.language_shares TO 'millrace'@'%';
GRANT CREATE, DROP ON millrace.most_active_authors TO 'millrace'@'%';
GRANT CREATE, DROP ON millrace.minute_dashboard TO 'millrace'@'%';
GRANT CREATE, DROP ON millrace.candles_flat TO 'millrace'@'%';

-- All tables and views, and how the views are defined.
GRANT SELECT, SHOW VIEW ON millrace.* TO 'viewer'@'%';

-- Old rows are counted, then deleted.
GRANT SELECT, DELETE ON millrace.* TO 'keeper'@'%';
