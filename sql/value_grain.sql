-- Sources whose facts mean nothing at a shorter grain have values from their own
-- grain on; formulas over formulas are computed from the bottom.
SET client_min_messages = warning;
CREATE SCHEMA grain_test;
CREATE TABLE grain_test.facts (id integer PRIMARY KEY, amount numeric, day date);
INSERT INTO grain_test.facts VALUES (1, 2, '2026-10-05'), (2, 3, '2026-11-20');
SELECT count(kpi.create_source('vg_' || g, relation => 'grain_test.facts', key => 'id', at => 'day', grain => g)) AS sources,
       count(kpi.create_kpi('vg_' || g, source => 'vg_' || g, measure => 'sum(amount)')) AS kpis
  FROM unnest('{day,week,month,quarter,year}'::text[]) g;
CALL kpi.refresh();
SELECT k.name, v.grain, array_agg(v.period || ' ' || v.value ORDER BY v.period_start) AS "values"
  FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id JOIN kpi.team t ON t.id = v.team_id
 WHERE t.key = 'company' AND k.name LIKE 'vg%' GROUP BY 1, 2
 ORDER BY array_position('{vg_day,vg_week,vg_month,vg_quarter,vg_year}', k.name), array_position('{week,month,quarter,year}', v.grain);
INSERT INTO grain_test.facts VALUES (3, 10, '2026-12-31');
CALL kpi.refresh();
SELECT k.name, v.grain, v.period, v.value FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id
 WHERE k.name IN ('vg_quarter', 'vg_year') ORDER BY 1, 2, 3;
SELECT count(*) FROM kpi.source s, kpi.verify(s.name) v;

-- The one made first is over the one made last.
SELECT kpi.create_kpi('vg_top', formula => 'vg_year + 1') > 0 AS created;
SELECT kpi.create_kpi('vg_low', formula => 'vg_year * 2') > 0 AS created;
SELECT kpi.alter_kpi('vg_top', formula => 'vg_low + 1');
CALL kpi.refresh();
INSERT INTO grain_test.facts VALUES (4, 100, '2026-01-01');
CALL kpi.refresh();
SELECT kpi, value, (SELECT sum(amount) FROM grain_test.facts) AS sum FROM kpi.team_yearly WHERE kpi IN ('vg_low', 'vg_top') AND team = 'company' ORDER BY 1;

-- A KPI of a function's name is renamed, and the function is not.
SELECT kpi.create_kpi('round', source => 'vg_year', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('abs', source => 'vg_year', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('vg_name', formula => 'round("round" / 7) + "round" + abs("abs" - "round")') > 0 AS created;
SELECT kpi.alter_kpi('round', new_name => 'total');
SELECT kpi.alter_kpi('abs', new_name => 'Total "2"');
SELECT formula FROM kpi.kpi WHERE name = 'vg_name';
CALL kpi.refresh();
SELECT value, round(115 / 7.0) + 115 AS expected FROM kpi.team_yearly WHERE kpi = 'vg_name' AND team = 'company';

SELECT count(kpi.drop_source(name, cascade => true)) FROM kpi.source;
DROP SCHEMA grain_test CASCADE;
