-- Refresh: every change is followed, exactly once, also inside a transaction.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
\set ECHO all

CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- The whole company, from the facts and as stored
SELECT kpi, period, value, facts FROM rf.company WHERE grain = 'quarter' ORDER BY kpi, period;
SELECT sum(amount) FILTER (WHERE stage = 'won') AS revenue, count(*) FILTER (WHERE stage = 'won') AS won,
       round(avg(amount) FILTER (WHERE stage = 'won'), 6) AS size,
       round(count(*) FILTER (WHERE stage = 'won')::numeric / count(*), 6) AS rate,
       round(sum(amount) / (count(*) * 10), 6) AS ratio
FROM rf.deals WHERE closed_at IS NOT NULL GROUP BY date_trunc('quarter', closed_at) ORDER BY date_trunc('quarter', closed_at);

-- Every change is followed
INSERT INTO rf.deals VALUES (2001, 'ann', 'won', 1000000000000.01 - 999999999999, 'p', '2026-03-01', '2026-03-02');
UPDATE rf.deals SET amount = amount * 2, owner = 'eve' WHERE id % 7 = 0;
DELETE FROM rf.deals WHERE id % 11 = 0;
SELECT count(*) > 0 AS captured FROM kpi_internal.delta;
CALL kpi.refresh();
SELECT count(*) AS left_in_queue FROM kpi_internal.delta;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- Inside a transaction: what if; then as if nothing had happened
SELECT value FROM rf.company WHERE kpi = 'rf_won' AND period = '2026';
BEGIN;
UPDATE rf.deals SET stage = 'won' WHERE closed_at IS NOT NULL;
SAVEPOINT a;
DELETE FROM rf.deals WHERE owner = 'ann';
CALL kpi.refresh();
SELECT value = (SELECT count(*) FROM rf.deals WHERE closed_at IS NOT NULL) AS sees_all FROM rf.company WHERE kpi = 'rf_won' AND period = '2026';
ROLLBACK TO a;
CALL kpi.refresh();
SELECT value = (SELECT count(*) FROM rf.deals WHERE closed_at IS NOT NULL) AS sees_all FROM rf.company WHERE kpi = 'rf_won' AND period = '2026';
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
CALL kpi.refresh();
ROLLBACK;
SELECT value FROM rf.company WHERE kpi = 'rf_won' AND period = '2026';
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL kpi.refresh();
ROLLBACK;
BEGIN READ ONLY;
CALL kpi.refresh();
ROLLBACK;

SELECT kpi.drop_source('rf', cascade => true);
SELECT count(*) FROM kpi_internal.day_cell;
SELECT count(*) FROM kpi_internal.rollup_cell;
SELECT count(*) FROM kpi.kpi_value;
SELECT count(*) FROM kpi.kpi_breakdown;
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
