-- Formulas over time against plain SQL: every function, level and grain.
-- The KPIs and the facts are those of value_views' oracle (vt.scoped has each fact for each scope).
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-11-15 12:00+00';
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all

SELECT count(kpi.create_kpi(name, formula => formula)) FROM (VALUES
    ('ft_previous', 'previous(vt_sum)'), ('ft_year_ago', 'year_ago(vt_rate)'), ('ft_growth', 'growth(vt_sum)'),
    ('ft_yoy', $$growth(vt_mean, 'year_ago')$$), ('ft_ytd', 'ytd(vt_sum)'), ('ft_qtd', 'qtd(vt_count)'), ('ft_28', 'rolling(vt_sum, 28)'),
    ('ft_quarters', $$rolling(vt_rate, 4, 'quarter')$$), ('ft_months', $$rolling(vt_sum / vt_count, 3, 'month')$$),
    ('ft_previous_28', 'previous(rolling(vt_sum, 28))'), ('ft_ytd_yoy', $$growth(ytd(vt_sum), 'year_ago')$$),
    ('ft_difference', 'vt_sum - previous(vt_sum) / 2 + year_ago(previous(vt_count))'), ('ft_nothing', 'rolling(previous(vt_sum), 7)'),
    ('ft_case', 'CASE WHEN growth(vt_count) > 0 AND vt_rate >= previous(vt_rate) THEN 1 WHEN vt_sum = 0 THEN -1 ELSE 0 END'),
    ('ft_cac', 'rolling(vt_cost, 90) / nullif(rolling(vt_count, 90), 0)'),
    ('ft_weeks', $$rolling(vt_count, 2, 'week')$$)) f (name, formula);

-- What a leaf amounts to for a scope between two days, both included: nothing of what adds up is 0.
CREATE FUNCTION vt.v(leaf text, of_scope text, first date, last date) RETURNS numeric LANGUAGE sql STABLE AS $$
SELECT CASE WHEN leaf = 'vt_mean' THEN vt.v('vt_sum', of_scope, first, last) / nullif(vt.v('vt_count', of_scope, first, last), 0)
            WHEN leaf = 'vt_rate' THEN sum(num) / nullif(sum(den), 0) ELSE coalesce(sum(num), 0) END
  FROM vt.scoped s WHERE s.kpi = leaf AND s.scope = of_scope AND s.day BETWEEN first AND last
$$;
CREATE FUNCTION vt.growth(a numeric, b numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT round((a - b) / nullif(abs(b), 0), 6) $$;
CREATE FUNCTION vt.expected_over_time(level text, of_grain text) RETURNS TABLE (kpi text, scope text, period_start date, value numeric) LANGUAGE sql AS $$
WITH step AS (
    SELECT CASE $2 WHEN 'week' THEN interval '7 days' WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || $2)::interval END AS one,
           CASE $2 WHEN 'week' THEN interval '364 days' ELSE interval '1 year' END AS year
), place AS MATERIALIZED (
    SELECT f.scope, vt.start(f.day, $2) AS s, array_agg(DISTINCT f.kpi) AS there FROM vt.scoped f WHERE f.scope LIKE $1 || ' %' GROUP BY 1, 2
), p AS (
    SELECT p.scope, p.there, p.s, (p.s + one)::date - 1 AS e, (p.s - one)::date AS bs, p.s - 1 AS be, (p.s - year)::date AS ys,
           ((p.s - year)::date + one)::date - 1 AS ye, ((p.s - one)::date - year)::date AS bys,
           (((p.s - one)::date - year)::date + one)::date - 1 AS bye, vt.today() AS t
      FROM place p, step
), d AS (
    -- o: the period is open, and these are the days to which it and the others have come
    SELECT p.*, x.*, CASE WHEN o THEN t ELSE e END AS last, CASE WHEN t BETWEEN bs AND be THEN t ELSE be END AS before_last,
           CASE WHEN o THEN least(bs + (t - s), be) ELSE be END AS b_to, CASE WHEN o THEN least(ys + (t - s), ye) ELSE ye END AS y_to
      FROM p, LATERAL (SELECT t BETWEEN s AND e AS o) x
)
SELECT n.kpi, d.scope, d.s, n.value
  FROM d, LATERAL (VALUES
    ('ft_previous', '{vt_sum}'::text[], vt.v('vt_sum', scope, bs, be)),
    ('ft_year_ago', '{vt_rate}', vt.v('vt_rate', scope, ys, ye)),
    ('ft_growth', '{vt_sum}', vt.growth(vt.v('vt_sum', scope, s, last), vt.v('vt_sum', scope, bs, b_to))),
    ('ft_yoy', '{vt_sum,vt_count}', vt.growth(vt.v('vt_mean', scope, s, last), vt.v('vt_mean', scope, ys, y_to))),
    ('ft_ytd', '{vt_sum}', vt.v('vt_sum', scope, vt.start(e, 'year'), e)),
    ('ft_qtd', '{vt_count}', vt.v('vt_count', scope, vt.start(e, 'quarter'), e)),
    ('ft_28', '{vt_sum}', vt.v('vt_sum', scope, last - 27, last)),
    ('ft_quarters', '{vt_rate}', vt.v('vt_rate', scope, (vt.start(last, 'quarter') - interval '9 months')::date, last)),
    ('ft_months', '{vt_sum,vt_count}', vt.v('vt_mean', scope, (vt.start(last, 'month') - interval '2 months')::date, last)),
    ('ft_previous_28', '{vt_sum}', vt.v('vt_sum', scope, before_last - 27, before_last)),
    ('ft_ytd_yoy', '{vt_sum}', vt.growth(vt.v('vt_sum', scope, vt.start(last, 'year'), last), vt.v('vt_sum', scope, vt.start(y_to, 'year'), y_to))),
    ('ft_difference', '{vt_sum,vt_count}', vt.v('vt_sum', scope, s, e) - vt.v('vt_sum', scope, bs, be) / 2
                      + vt.v('vt_count', scope, (ys - CASE $2 WHEN 'week' THEN interval '7 days' WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || $2)::interval END)::date, ys - 1)),
    ('ft_nothing', '{vt_sum}', NULL),
    ('ft_case', '{vt_count,vt_rate,vt_sum}',
     CASE WHEN vt.growth(vt.v('vt_count', scope, s, last), vt.v('vt_count', scope, bs, b_to)) > 0
               AND vt.v('vt_rate', scope, s, e) >= vt.v('vt_rate', scope, bs, be) THEN 1 WHEN vt.v('vt_sum', scope, s, e) = 0 THEN -1 ELSE 0 END),
    ('ft_cac', '{vt_cost,vt_count}', vt.v('vt_cost', scope, last - 89, last) / nullif(vt.v('vt_count', scope, last - 89, last), 0)),
    ('ft_weeks', '{vt_count}', vt.v('vt_count', scope, vt.start(last, 'week') - 7, last))) n (kpi, leaves, value)
 WHERE d.there && n.leaves
$$;
CREATE FUNCTION vt.compare_over_time() RETURNS TABLE (level text, grain text, kpi text, rows bigint, numbers bigint, differing bigint) LANGUAGE plpgsql AS $$
DECLARE
    l text;
    g record;
BEGIN
    PERFORM vt.place_facts();
    ANALYZE vt.scoped;
    FOREACH l IN ARRAY '{team,member}'::text[] LOOP
        FOR g IN SELECT * FROM vt.grains ORDER BY n LOOP
            RETURN QUERY EXECUTE format($q$
                SELECT %1$L, %2$L, kpi, count(a.kpi), count(a.value),
                       count(*) FILTER (WHERE a.kpi IS NULL OR e.kpi IS NULL OR round(a.value, 10) IS DISTINCT FROM round(e.value, 10))
                  FROM (SELECT v.kpi, %1$L || ' ' || v.%1$I AS scope, v.period_start, v.value FROM kpi.%1$s_%3$s v WHERE v.kpi LIKE 'ft\_%%') a
                  FULL JOIN vt.expected_over_time(%1$L, %2$L) e USING (kpi, scope, period_start)
                 GROUP BY kpi ORDER BY kpi $q$, l, g.grain, g.suffix);
        END LOOP;
    END LOOP;
END $$;
CREATE FUNCTION vt.wrong() RETURNS TABLE (level text, grain text, kpi text, differing bigint) LANGUAGE sql AS $$
SELECT c.level, c.grain, c.kpi, c.differing FROM vt.compare_over_time() c WHERE c.differing > 0 OR c.rows = 0 $$;

CALL kpi.refresh();
-- Each has rows and, but for the one that looks for the period before of days that are none, numbers.
SELECT kpi, sum(rows) > 100 AS rows, sum(numbers) > 20 AS numbers, sum(differing) AS differing FROM vt.compare_over_time() GROUP BY kpi ORDER BY kpi;
-- After corrections.
UPDATE vt.deals SET amount = amount + 10, owner = 'cid' WHERE id % 9 = 4;
DELETE FROM vt.deals WHERE id % 17 = 3;
UPDATE vt.costs SET day = day - 31 WHERE id % 4 = 1;
CALL kpi.refresh();
SELECT * FROM vt.wrong();
-- On other days: the last of a month.
SET kpi.now = '2026-11-30 23:00+00';
SELECT * FROM vt.wrong();
-- Other weeks and fiscal years.
SET kpi.now = '2026-11-15 12:00+00';
SELECT kpi.alter_calendar('default', week_start => 'sunday', fiscal_year_start => 4);
SET vt.week_start = -1;
SET vt.year_start = 3;
CALL kpi.refresh();
SELECT * FROM vt.wrong();
-- growth(k) is growth_ratio.
SELECT count(*) > 20 AS rows, count(*) FILTER (WHERE g.value IS DISTINCT FROM s.growth_ratio) AS differing
  FROM kpi.team_monthly g JOIN kpi.team_monthly s ON s.kpi = 'vt_sum' AND s.team = g.team AND s.period = g.period WHERE g.kpi = 'ft_growth';
SELECT * FROM kpi.verify();
SELECT kpi.alter_calendar('default', week_start => 'monday', fiscal_year_start => 1);

-- kpi.value(): 31 March is in March, whatever follows; an empty period is 0 of what adds up and nothing of a rate.
SELECT kpi.value('ft_previous', period => '2026-03') AS march, (SELECT sum(num) FROM vt.scoped WHERE kpi = 'vt_sum' AND scope = 'team company' AND day BETWEEN '2026-02-01' AND '2026-02-28') AS february;

DO $$ BEGIN PERFORM kpi.drop_kpi(k.name) FROM kpi.kpi k WHERE k.name LIKE 'ft\_%'; END $$;
SELECT vt.drop_all();
DROP SCHEMA vt CASCADE;
