-- A table is made again with one of a hundred rows changed, and takes the name of the
-- source's: the bare scan with the same aggregates, and the refresh that follows.
-- Variables: source, prefix.
SET client_min_messages = warning;
CREATE TABLE swapped AS
SELECT id, owner_id, stage, CASE WHEN id % 100 = 7 THEN amount + 1 ELSE amount END AS amount, created_at, closed_at
  FROM captured;
BEGIN;
ALTER TABLE captured RENAME TO backup;
ALTER TABLE swapped RENAME TO captured;
DROP TABLE backup CASCADE;
COMMIT;
VACUUM ANALYZE captured;
SET max_parallel_workers_per_gather = 0;
\ir on.sql
\warn @time group_by.swap
\ir group_by.sql
\warn @time swap
CALL kpi.refresh(:'source');
\ir off.sql
