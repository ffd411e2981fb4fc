-- Refresh: damage is found by kpi.verify() and mended by kpi.repair().
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
\set ECHO all

INSERT INTO rf.deals VALUES (2002, 'bob', 'lost', 5, NULL, '2026-03-01', '2026-03-02');
CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- Damage is found and mended: a cell that has the numbers of another, cells and
-- places that are gone, a place without facts
UPDATE kpi_internal.rollup_cell c SET cell = o.cell
  FROM kpi_internal.rollup_cell o
 WHERE (c.stream_id, c.scope_kind, c.scope_id, c.grain, c.dim_id) = (o.stream_id, o.scope_kind, o.scope_id, o.grain, o.dim_id)
   AND c.scope_kind = 1 AND c.scope_id = 1 AND c.grain = 2 AND c.dim_id = 0 AND c.start = '2026-02-01' AND o.start = '2026-03-01';
DELETE FROM kpi_internal.rollup_cell WHERE scope_kind = 2 AND cell IS NOT NULL;
DELETE FROM kpi_internal.rollup_cell WHERE scope_kind = 1 AND grain = 3 AND dim_id = 0;
INSERT INTO kpi_internal.rollup_cell (stream_id, scope_kind, scope_id, grain, dim_id, start)
SELECT DISTINCT stream_id, scope_kind, scope_id, grain, dim_id, date '2031-01-01' FROM kpi_internal.rollup_cell WHERE grain = 4;
DELETE FROM kpi_internal.day_cell WHERE day = '2026-03-02';
SELECT count(*) > 0 AS wrong FROM rf.difference();
SELECT level, count(*) > 0 AS found FROM kpi.verify('rf') GROUP BY level ORDER BY level;
SELECT level, kpi, scope, grain, period_start, substring(stored, 'count n=[0-9]+') AS stored, substring(expected, 'count n=[0-9]+') AS expected,
       (SELECT count(*) FROM rf.deals WHERE stage = 'won' AND closed_at >= '2026-02-01' AND closed_at < '2026-03-01') AS won
  FROM kpi.verify('rf') WHERE level = 'rollup cell' AND kpi LIKE '%rf_won%' AND scope = 'team company' AND dimension IS NULL;
SELECT DISTINCT level, scope, grain, period_start, stored, expected FROM kpi.verify('rf') WHERE level = 'place' AND scope = 'team north' AND dimension IS NULL
 ORDER BY period_start, grain;
SELECT kpi.repair('rf') > 0 AS mended;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.repair('rf');
-- One of some days leaves those who have no facts there where they were.
SELECT kpi.repair('rf', since => '2031-01-01', until => '2031-02-01');
SELECT * FROM rf.difference();
SELECT kpi.move_member('ann', team => 'north', since => '2026-02-10', until => '2026-03-10');
CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

SELECT kpi.drop_source('rf', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
