-- An update that changes nothing that is used: in one statement, then one for each
-- row.  It is rolled back, so that all tables stay alike.  Variables: kind, rows.
BEGIN;
\ir on.sql
\warn @time unused.:kind
UPDATE few_:kind SET id = id WHERE id <= :rows;
\ir off.sql
ROLLBACK;
VACUUM few_:kind;
BEGIN;
\ir on.sql
\warn @time unused_single.:kind
SELECT bench.update_singly(:'kind', :rows);
\ir off.sql
ROLLBACK;
VACUUM few_:kind;
