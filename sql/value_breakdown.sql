-- Values of parts: the views by dimension against plain SQL, and which KPIs
-- have any.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all

SET kpi.now = '2026-11-15 12:00+00';
CALL kpi.refresh();
-- A formula over two sources has no parts.
DELETE FROM vt.meaning WHERE kpi IN ('vt_cac', 'vt_profit', 'vt_margin');
SELECT vt.place_facts();
CREATE VIEW vt.parts AS
SELECT dimension, c.* FROM unnest('{product, size, channel}'::text[]) dimension, vt.grains g, vt.compare('team', suffix, grain, dimension) c WHERE g.n > 2 ORDER BY 1, g.n;
SELECT * FROM vt.parts;
SELECT DISTINCT dimension, kpi FROM kpi.team_breakdown_yearly WHERE kpi LIKE 'vt\_%' ORDER BY 1, 2;
-- facts without a value of the dimension are a part, too
SELECT dimension, dimension_value, value, facts FROM kpi.team_breakdown_yearly
 WHERE kpi = 'vt_count' AND team = 'company' AND period = '2026' ORDER BY 1, 2;
-- kpi_breakdown has the same rows, and no others
SELECT count(*) AS rows, count(*) FILTER (WHERE (b.value, b.numerator, b.denominator, b.facts, b.period, b.period_end, b.scope)
                                                IS NOT DISTINCT FROM (v.value, v.numerator, v.denominator, v.facts, v.period, v.period_end, 'team')) AS same
  FROM (SELECT * FROM kpi.team_breakdown_monthly UNION ALL SELECT * FROM kpi.team_breakdown_quarterly UNION ALL SELECT * FROM kpi.team_breakdown_yearly) v
  FULL JOIN kpi.kpi_breakdown b
    ON b.kpi_id = v.kpi_id AND b.team_id = v.team_id AND b.grain = v.grain AND b.period_start = v.period_start AND b.dimension = v.dimension
       AND coalesce(b.dimension_value, '(null)') = coalesce(v.dimension_value, '(null)');
-- names, and ids that a tool may rely on
SELECT DISTINCT team, team_name, team_path, team_level, parent_team, unit, kpi_title, scope, grain FROM kpi.team_breakdown_yearly
 WHERE kpi = 'vt_cost' ORDER BY team;
SELECT count(*) > 0 AS rows, count(*) - count(DISTINCT id) AS double_ids FROM kpi.kpi_breakdown;
SELECT count(*) > 0 AS rows, count(*) - count(DISTINCT id) AS double_ids FROM kpi.kpi_value;
SELECT count(*) > 0 AS rows, count(*) - count(DISTINCT id) AS double_ids FROM kpi.team_breakdown_monthly;

-- parts come, change and go
UPDATE vt.deals SET product = 'r' WHERE product = 'q' AND id % 2 = 0;
UPDATE vt.deals SET product = NULL WHERE product = 'p' AND id % 4 = 0;
DELETE FROM vt.deals WHERE product = 'p';
UPDATE vt.costs SET channel = 'fair' WHERE channel IS NULL;
CALL kpi.refresh();
SELECT vt.place_facts();
SELECT * FROM vt.parts;
SELECT dimension, dimension_value, value, facts FROM kpi.team_breakdown_yearly
 WHERE kpi IN ('vt_count', 'vt_cost') AND team = 'company' AND period = '2026' ORDER BY 1, 2;

-- a dimension more, and one less
SELECT kpi.alter_source('vt_deals', dimensions => '{"product": "product", "stage": "stage"}');
CALL kpi.refresh();
SELECT DISTINCT dimension, kpi FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id CROSS JOIN LATERAL (SELECT k.name) n (kpi)
 WHERE k.name LIKE 'vt\_%' ORDER BY 1, 2;
SELECT dimension_value, value FROM kpi.team_breakdown_yearly WHERE kpi = 'vt_rate' AND dimension = 'stage' AND team = 'company' AND period = '2026' ORDER BY 1;

-- a formula that comes to be over one source has parts without a refresh, and none over two
SELECT kpi.alter_kpi('vt_cac', formula => 'vt_sum / vt_count');
SELECT count(*) > 0 AS parts, count(*) FILTER (WHERE c.value IS DISTINCT FROM m.value) AS differing
  FROM kpi.team_breakdown_monthly c JOIN kpi.team_breakdown_monthly m USING (team, dimension, dimension_value, period) WHERE c.kpi = 'vt_cac' AND m.kpi = 'vt_mean';
SELECT kpi.alter_kpi('vt_cac', formula => 'vt_sum / vt_cost');
SELECT count(*) AS parts FROM kpi.team_breakdown_monthly WHERE kpi = 'vt_cac';
SELECT * FROM kpi.verify();
SELECT vt.drop_all();
DROP SCHEMA vt CASCADE;
