-- All people are synced, then with nothing to do, then after 100 moves; rolled back.
BEGIN;
\ir on.sql
\warn @time sync_all
SELECT sync_all();
\warn @time sync_none
SELECT sync_all();
\ir off.sql
UPDATE crm_users SET team_id = 1 + (team_id + 7) % 1000 WHERE id % 100 = 1;
\ir on.sql
\warn @time sync_some
SELECT sync_all();
\ir off.sql
ROLLBACK;
