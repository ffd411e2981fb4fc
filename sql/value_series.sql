-- kpi.series(): every period of a series has its row, with what plain SQL says of
-- it, or with nothing; and what there is where there are goals.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all

SET kpi.now = '2026-11-15 12:00+00';
CALL kpi.refresh();
SELECT vt.place_facts();

-- every KPI, team, member and grain: from before the first facts to after the last, no gaps
CREATE FUNCTION vt.compare_series(level text, suffix text, grain text, dimension text DEFAULT NULL)
RETURNS TABLE (series text, rows bigint, without_facts bigint, zero bigint, less_to_date bigint, differing bigint) LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS vt.expected_rows, vt.actual_rows;
    CREATE TABLE vt.expected_rows AS SELECT * FROM vt.expected(level, grain, dimension);
    EXECUTE format($q$
        CREATE TABLE vt.actual_rows AS
        SELECT p.kpi, p.scope, p.part, s.*, row_number() OVER w AS n, lag(s.period_end) OVER w AS last_end
          FROM (SELECT DISTINCT e.kpi, e.scope, e.dimension_value AS part FROM vt.expected_rows e) p
         CROSS JOIN LATERAL kpi.series(p.kpi, %1$s => substr(p.scope, %2$s), grain => %3$L, since => '2021-12-20', until => '2027-02-10',
                                       dimension => %4$L, dimension_value => p.part) s
        WINDOW w AS (PARTITION BY p.kpi, p.scope, p.part ORDER BY s.period_start)$q$, level, length(level) + 2, grain, dimension);
    RETURN QUERY
    SELECT concat_ws(' ', level, grain, dimension), count(a.kpi), count(*) FILTER (WHERE e.kpi IS NULL),
           count(*) FILTER (WHERE e.kpi IS NULL AND a.value = 0), count(*) FILTER (WHERE a.value_to_date IS DISTINCT FROM a.value),
           count(*) FILTER (WHERE a.kpi IS NULL OR round(a.value, 10) IS DISTINCT FROM round(CASE WHEN e.kpi IS NULL THEN z.value ELSE e.value END, 10)
               OR round(a.value_to_date, 10) IS DISTINCT FROM round(CASE WHEN e.kpi IS NULL THEN z.value ELSE e.value_to_date END, 10)
               OR a.period_start <> a.last_end + 1 OR (a.n = 1 AND '2021-12-20' NOT BETWEEN a.period_start AND a.period_end)
               OR a.is_current <> (vt.today() BETWEEN a.period_start AND a.period_end) OR a.period <> kpi.period_name(a.period_start, grain, 'vt'))
      FROM vt.actual_rows a
      LEFT JOIN (SELECT m.kpi, CASE WHEN m.is_additive THEN 0 END AS value FROM vt.meaning m) z ON z.kpi = a.kpi
      FULL JOIN vt.expected_rows e ON e.kpi = a.kpi AND e.scope = a.scope AND e.period_start = a.period_start AND e.dimension_value IS NOT DISTINCT FROM a.part;
END
$$;
SELECT c.* FROM unnest('{team, member}'::text[]) WITH ORDINALITY l (level, n), vt.grains g, vt.compare_series(level, suffix, grain) c ORDER BY l.n, g.n;
DELETE FROM vt.meaning WHERE kpi IN ('vt_cac', 'vt_profit', 'vt_margin');
SELECT c.* FROM unnest('{product, size, channel}'::text[]) d, vt.grains g, vt.compare_series('team', suffix, grain, d) c WHERE g.n > 2 ORDER BY d, g.n;

-- without a team or member of the company; without days from the first facts to today
SELECT min(s.period), max(s.period), count(*) AS months, count(*) FILTER (WHERE s.is_current) AS current,
       min(s.period_start) = (SELECT min(period_start) FROM kpi.team_monthly WHERE kpi = 'vt_sum' AND team = 'company') AS first
  FROM kpi.series('vt_sum') s;
SELECT min(period_start) = (SELECT min(period_start) FROM kpi.team_daily WHERE kpi = 'vt_rate' AND team = 'north') AS first_day, max(period_start)
  FROM kpi.series('vt_rate', team => 'north', grain => 'day');
SELECT * FROM kpi.series('vt_sum', member => 'ann', grain => 'quarter', since => '2026-05-01', until => '2027-04-01');
SELECT * FROM kpi.series('vt_rate', 'north', NULL, 'week', '2026-11-05', '2026-11-24');
-- the period that a day is in; until is none of the days
SELECT period FROM kpi.series('vt_sum', since => '2026-08-31', until => '2026-10-01');
SELECT period FROM kpi.series('vt_sum', since => '2026-08-31', until => '2026-10-02');
SELECT period FROM kpi.series('vt_sum', since => '2026-12-01');
-- a team without facts: the current period
SELECT kpi.create_team('new') IS NOT NULL AS team;
SELECT period, value, value_to_date FROM kpi.series('vt_sum', team => 'new');
SELECT period, value, value_to_date FROM kpi.series('vt_rate', team => 'new', grain => 'year');
SELECT kpi.drop_team('new');
-- a value that no fact has
SELECT period, value, value_to_date FROM kpi.series('vt_sum', dimension => 'product', dimension_value => 'no such product', since => '2026-10-01');
-- no other days than facts can have
SELECT count(*), min(period), max(period), sum(value) = (SELECT sum(amount) FROM vt.deals WHERE stage = 'won' AND closed_at IS NOT NULL) AS all
  FROM kpi.series('vt_sum', grain => 'year', since => '1900-01-01', until => '2201-01-01');

-- a formula over time has a value where its inputs have facts
SELECT kpi.create_kpi('vt_year', formula => 'rolling(vt_sum, 12, ''month'')') > 0 AS kpi;
SELECT count(*) AS rows, count(*) FILTER (WHERE s.value IS DISTINCT FROM kpi.value('vt_year', period => s.period)) AS differing,
       count(*) FILTER (WHERE s.value <> (SELECT sum(x.num) FROM vt.scoped x WHERE x.kpi = 'vt_sum' AND x.scope = 'team company'
                                             AND x.day >= s.period_start - interval '11 months' AND x.day <= least(s.period_end, '2026-11-15'))) AS wrong
  FROM kpi.series('vt_year') s;

-- what is held is carried
SELECT kpi.create_source('vt_held', relation => 'vt.deals', key => 'id', owner => 'owner', at => 'opened_on', calendar => 'vt') > 0 AS source;
ALTER TABLE vt.deals ADD closed_on date;
UPDATE vt.deals SET closed_on = opened_on + 40 WHERE id % 3 > 0;
SELECT kpi.create_kpi('vt_held', source => 'vt_held', measure => 'balance(1)', until => 'closed_on') > 0 AS kpi;
CALL kpi.refresh();
SELECT count(*) AS rows, count(*) FILTER (WHERE s.value_to_date IS DISTINCT FROM s.value) AS less_to_date,
       count(*) FILTER (WHERE s.value IS DISTINCT FROM (SELECT count(*) FROM vt.deals d WHERE d.opened_on <= least(s.period_end, vt.today())
                                                          AND (d.closed_on IS NULL OR d.closed_on > least(s.period_end, vt.today()))) AND s.period_start <= vt.today()) AS wrong
  FROM kpi.series('vt_held', until => '2027-03-01') s;
SELECT period, value IS NULL AS nothing, value_to_date IS NULL AS nothing_to_date FROM kpi.series('vt_held', since => '2026-11-01', until => '2027-01-01');
SELECT period, value FROM kpi.series('vt_held', grain => 'year', since => '2020-01-01', until => '2022-01-01');

-- goals
SET client_min_messages = error;
SELECT kpi.create_goal(kpi => 'vt_sum', team => 'north', period => '2026-10', target => 100) > 0 AS closed,
       kpi.create_goal(kpi => 'vt_sum', team => 'north', period => '2026-11', target => 300, pace => 'linear') > 0 AS current,
       kpi.create_goal(kpi => 'vt_sum', team => 'north', period => '2026-12', target => 500) > 0 AS to_come,
       kpi.create_goal(kpi => 'vt_sum', team => 'north', period => '2026-Q4', target => 1) > 0 AS of_another_grain,
       kpi.create_goal(kpi => 'vt_sum', team => 'south', period => '2026-11', target => 2) > 0 AS of_another_team,
       kpi.create_goal(kpi => 'vt_sum', member => 'ann', period => '2026-11', target => 3) > 0 AS of_a_member,
       kpi.create_goal(kpi => 'vt_sum', team => 'north', period => '2026-11', target => 4, plan => 'stretch') > 0 AS of_another_plan,
       kpi.create_goal(kpi => 'vt_sum', team => 'north', period => '2026-11', target => 5, dimension => 'product', dimension_value => 'p') > 0 AS of_a_part;
SELECT period, is_current, target, expected FROM kpi.series('vt_sum', team => 'north', since => '2026-09-01', until => '2027-01-01');
SELECT period, target FROM kpi.series('vt_sum', team => 'north', grain => 'quarter', since => '2026-10-01');
SELECT period, target FROM kpi.series('vt_sum', member => 'ann', since => '2026-10-01');
SELECT period, target FROM kpi.series('vt_sum', since => '2026-10-01');
SELECT period, target FROM kpi.series('vt_sum', team => 'north', since => '2026-11-01', plan => 'stretch');
SELECT period, target FROM kpi.series('vt_sum', team => 'north', since => '2026-11-01', plan => 'no such plan');
SELECT period, target FROM kpi.series('vt_sum', team => 'north', since => '2026-11-01', dimension => 'product', dimension_value => 'p');

-- bad input
SELECT * FROM kpi.series('vt_sums');
SELECT * FROM kpi.series('vt_sum', team => 'nort');
SELECT * FROM kpi.series('vt_sum', member => 'anne');
SELECT * FROM kpi.series('vt_sum', team => 'north', member => 'ann');
SELECT * FROM kpi.series('vt_cost', member => 'ann');
SELECT * FROM kpi.series('vt_sum', grain => 'months');
SELECT * FROM kpi.series('vt_sum', grain => NULL);
SELECT * FROM kpi.series('vt_sum', since => '2026-02-01', until => '2026-02-01');
SELECT * FROM kpi.series('vt_sum', since => '1899-12-31');
SELECT * FROM kpi.series('vt_sum', since => '-infinity');
SELECT * FROM kpi.series('vt_sum', until => 'infinity');
SELECT * FROM kpi.series('vt_sum', until => '2201-01-02');
SELECT * FROM kpi.series('vt_sum', dimension => 'produkt');
SELECT * FROM kpi.series('vt_sum', dimension_value => 'p');
SELECT * FROM kpi.series('vt_sum', member => 'ann', dimension => 'product', dimension_value => 'p');
SELECT * FROM kpi.series('vt_sum', grain => 'week', dimension => 'product', dimension_value => 'p');
SELECT * FROM kpi.series('vt_sum', plan => NULL);
SELECT kpi.create_source('vt_month', relation => 'vt.costs', key => 'id', at => 'day', grain => 'month') > 0 AS source;
SELECT kpi.create_kpi('vt_month', source => 'vt_month', measure => 'sum(cost)') > 0 AS kpi;
SELECT * FROM kpi.series('vt_month', grain => 'week');

SELECT count(kpi.drop_goal(g.id)) FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id WHERE k.name LIKE 'vt\_%';
SELECT kpi.drop_kpi('vt_year');
SELECT kpi.drop_source('vt_month', cascade => true), kpi.drop_source('vt_held', cascade => true);
SELECT vt.drop_all();
DROP SCHEMA vt CASCADE;
