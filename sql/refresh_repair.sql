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

-- Damage is found and mended
UPDATE kpi.kpi_value SET value = value + 1 WHERE kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'rf_won') AND grain = 'year' AND team_id = 1;
DELETE FROM kpi_internal.rollup_cell WHERE scope_kind = 2;
DELETE FROM kpi_internal.day_cell WHERE day = '2026-03-02';
SELECT level, count(*) > 0 AS found FROM kpi.verify('rf') GROUP BY level ORDER BY level;
SELECT level, kpi, scope, grain, period_start, expected FROM kpi.verify('rf') WHERE level = 'value' AND kpi = 'rf_won' AND grain = 'year' AND scope = 'team company';
SELECT kpi.repair('rf') > 0 AS mended;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.repair('rf');

SELECT kpi.drop_source('rf', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
