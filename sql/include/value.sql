-- Two sources, one of people and one of teams, whose days are those of one
-- calendar, in schema vt, which is new; and what the values of all KPIs over
-- them are in plain SQL over the facts, to date and of other periods included.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET datestyle = 'ISO';
SET jit = off;

CREATE SCHEMA vt;
CREATE TABLE vt.deals (id integer PRIMARY KEY, owner text, stage text, amount numeric, product text, opened_on date, closed_at timestamptz);
CREATE TABLE vt.costs (id integer PRIMARY KEY, team text, cost numeric, channel text, day date);
-- around days on which tests stand, a year and a period before, and ahead
CREATE TABLE vt.around (n integer, day date, moment timestamptz);
INSERT INTO vt.around
SELECT row_number() OVER (ORDER BY a, o), a + o, (a + o) + make_interval(hours => (7 * o + a - '2020-01-01') % 24, mins => 30)
  FROM unnest('{2023-02-28, 2024-02-29, 2026-01-31, 2026-04-01, 2026-11-15, 2026-11-30}'::date[]) a,
       unnest('{-366, -365, -364, -336, -335, -122, -92, -91, -61, -60, -31, -30, -29, -28, -8, -7, -6, -1, 0, 1, 2, 6, 13, 29}'::int[]) o;
INSERT INTO vt.deals
SELECT n, (ARRAY['ann', 'bob', 'cid', 'bob', 'nobody', 'ann', NULL])[1 + n % 7], (ARRAY['won', 'lost', 'won', 'open', 'won'])[1 + n % 5],
       (n * 37) % 101 + 0.25, (ARRAY['p', 'q', NULL])[1 + n % 3], day - (n % 11), CASE WHEN n % 13 > 0 THEN moment END
  FROM vt.around;
INSERT INTO vt.costs
SELECT n, (ARRAY['north', 'alps', 'south', 'no such team'])[1 + n / 3 % 4], (n * 11) % 31 - 3, (ARRAY['ads', NULL])[1 + n % 2], day
  FROM vt.around WHERE n % 3 = 0;

SELECT count(kpi.create_team(key, parent => parent)) FROM (VALUES ('north', 'company'), ('alps', 'north'), ('south', 'company')) t (key, parent);
SELECT count(kpi.add_member(key, team => team)) FROM (VALUES ('ann', 'north'), ('bob', 'alps'), ('cid', 'south')) m (key, team);
SELECT kpi.move_member('bob', team => 'south', since => '2026-11-10');
SELECT kpi.move_team('alps', parent => 'south', since => '2026-02-10');
SELECT kpi.create_calendar('vt', time_zone => 'UTC') > 0 AS calendar;
SELECT kpi.create_source('vt_deals', relation => 'vt.deals', key => 'id', owner => 'owner', at => 'closed_at', calendar => 'vt',
                         dimensions => '{"product": "product", "size": "CASE WHEN amount > 50 THEN ''large'' ELSE ''small'' END"}') > 0 AS source;
SELECT kpi.create_source('vt_costs', relation => 'vt.costs', key => 'id', team => 'team', at => 'day', calendar => 'vt',
                         dimensions => '{"channel": "channel"}') > 0 AS source;
SELECT count(kpi.create_kpi(name, source => source, measure => measure, filter => filter, at => at))
  FROM (VALUES ('vt_sum', 'vt_deals', 'sum(amount)', $$stage = 'won'$$, NULL),
               ('vt_count', 'vt_deals', 'count(*)', $$stage = 'won'$$, NULL),
               ('vt_rate', 'vt_deals', $$rate(stage = 'won', stage IN ('won', 'lost'))$$, NULL, NULL),
               ('vt_avg', 'vt_deals', 'avg(amount)', NULL, NULL),
               ('vt_opened', 'vt_deals', 'count(*)', NULL, 'opened_on'),
               ('vt_cost', 'vt_costs', 'sum(cost)', NULL, NULL)) k (name, source, measure, filter, at);
-- over one stream, over two of one source, over two sources, and over a formula
SELECT count(kpi.create_kpi(name, formula => formula))
  FROM (VALUES (1, 'vt_mean', 'vt_sum / vt_count'), (2, 'vt_share', 'vt_count / vt_opened'), (3, 'vt_cac', 'vt_cost / vt_count'),
               (4, 'vt_profit', 'vt_sum - vt_cost'), (5, 'vt_margin', 'vt_profit / vt_opened')) k (n, name, formula);

--
-- The oracle
--
-- the definitions, once more
SET vt.time_zone = 'UTC';
SET vt.week_start = 0;
SET vt.year_start = 0;
CREATE TABLE vt.meaning (kpi text, is_additive boolean, leaves text[]);
INSERT INTO vt.meaning VALUES
    ('vt_sum', true, '{vt_sum}'), ('vt_count', true, '{vt_count}'), ('vt_rate', false, '{vt_rate}'), ('vt_avg', false, '{vt_avg}'),
    ('vt_opened', true, '{vt_opened}'), ('vt_cost', true, '{vt_cost}'), ('vt_mean', false, '{vt_sum, vt_count}'),
    ('vt_share', false, '{vt_count, vt_opened}'), ('vt_cac', false, '{vt_cost, vt_count}'), ('vt_profit', false, '{vt_sum, vt_cost}'),
    ('vt_margin', false, '{vt_sum, vt_cost, vt_opened}');
CREATE FUNCTION vt.today() RETURNS date LANGUAGE sql STABLE AS
$$ SELECT (current_setting('kpi.now')::timestamptz AT TIME ZONE current_setting('vt.time_zone'))::date $$;
CREATE FUNCTION vt.start(day date, grain text) RETURNS date LANGUAGE sql STABLE AS $$
SELECT CASE grain WHEN 'day' THEN day
                  WHEN 'week' THEN date_trunc('week', (day - w)::timestamp)::date + w
                  WHEN 'month' THEN date_trunc('month', day::timestamp)::date
                  ELSE (date_trunc(grain, day - y) + y)::date END
  FROM (SELECT current_setting('vt.week_start')::int AS w, make_interval(months => current_setting('vt.year_start')::int) AS y) s
$$;

-- each fact once for each scope that it counts for
CREATE TABLE vt.scoped (kpi text, scope text, day date, num numeric, den numeric, dimensions jsonb);
CREATE INDEX ON vt.scoped (scope, kpi, day);
CREATE FUNCTION vt.place_facts() RETURNS void LANGUAGE sql AS $$
DELETE FROM vt.scoped;
WITH RECURSIVE fact AS (
    SELECT k.kpi, d.owner, 'member' AS kind, k.day, k.num, k.den,
           jsonb_build_object('product', product, 'size', CASE WHEN amount > 50 THEN 'large' ELSE 'small' END) AS dimensions
      FROM (SELECT *, (closed_at AT TIME ZONE current_setting('vt.time_zone'))::date AS closed_on FROM vt.deals) d,
           LATERAL (VALUES ('vt_sum', closed_on, stage = 'won', amount, NULL), ('vt_count', closed_on, stage = 'won', 1, NULL),
                           ('vt_rate', closed_on, stage IN ('won', 'lost'), (stage = 'won')::int, 1), ('vt_avg', closed_on, true, amount, 1),
                           ('vt_opened', opened_on, true, 1, NULL)) k (kpi, day, counts, num, den)
     WHERE k.counts AND k.day IS NOT NULL
    UNION ALL
    SELECT 'vt_cost', team, 'team', day, cost, NULL, jsonb_build_object('channel', channel) FROM vt.costs
), placed AS (
    SELECT f.*, p.key AS member, coalesce(m.team_id, t.id, 2) AS team_id
      FROM fact f LEFT JOIN kpi.member p ON f.kind = 'member' AND p.key = f.owner LEFT JOIN kpi.team t ON f.kind = 'team' AND t.key = f.owner
           LEFT JOIN kpi.membership m ON m.member_id = p.id AND f.day <@ daterange(m.since, m.until)
), up AS (
    SELECT DISTINCT day, team_id, team_id AS ancestor_id FROM placed
    UNION
    SELECT u.day, u.team_id, t.parent_id FROM up u JOIN kpi.team_parent t ON t.team_id = u.ancestor_id AND u.day <@ daterange(t.since, t.until)
)
INSERT INTO vt.scoped
SELECT kpi, 'team ' || t.key, day, num, den, dimensions FROM placed p JOIN up USING (day, team_id) JOIN kpi.team t ON t.id = up.ancestor_id
UNION ALL
SELECT kpi, 'member ' || member, day, num, den, dimensions FROM placed WHERE member IS NOT NULL
$$;

-- what a KPI is when its leaves are a, b and c (numbers and facts): a sum or
-- count without facts is nothing in a formula
CREATE FUNCTION vt.combine(kpi text, value numeric[], facts bigint[]) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN coalesce(facts[1], facts[2], facts[3]) IS NULL THEN NULL
            WHEN kpi IN ('vt_mean', 'vt_share', 'vt_cac') THEN coalesce(value[1], 0) / nullif(coalesce(value[2], 0), 0)
            WHEN kpi = 'vt_profit' THEN coalesce(value[1], 0) - coalesce(value[2], 0)
            WHEN kpi = 'vt_margin' THEN CASE WHEN coalesce(facts[1], facts[2]) IS NOT NULL
                                             THEN (coalesce(value[1], 0) - coalesce(value[2], 0)) / nullif(coalesce(value[3], 0), 0) END
            ELSE value[1] END
$$;

-- all the columns of a view that say how much, of one level and grain, and of
-- one dimension (NULL: none)
CREATE FUNCTION vt.expected(level text, grain text, dimension text)
RETURNS TABLE (kpi text, scope text, period_start date, dimension_value text, value numeric, facts bigint, value_to_date numeric, previous_value numeric,
               previous_value_to_date numeric, growth_ratio numeric, year_ago_value numeric, yoy_growth_ratio numeric)
LANGUAGE sql AS $$
WITH fact AS MATERIALIZED (
    SELECT s.kpi, s.scope, s.day, s.num, s.den, coalesce(s.dimensions ->> $3, '(null)') AS dim
      FROM vt.scoped s WHERE s.scope LIKE $1 || ' %' AND ($3 IS NULL OR s.dimensions ? $3)
), step AS (
    SELECT CASE $2 WHEN 'week' THEN interval '7 days' WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || $2)::interval END AS one,
           CASE $2 WHEN 'week' THEN interval '364 days' ELSE interval '1 year' END AS year
), period AS MATERIALIZED (
    SELECT p.*, vt.today() AS today, (p.start + one)::date - 1 AS last, (p.start - one)::date AS before, (p.start - year)::date AS ago,
           ((p.start - year)::date + one)::date - 1 AS ago_last
      FROM (SELECT DISTINCT m.kpi, m.is_additive, m.leaves, f.scope, f.dim, vt.start(f.day, $2) AS start
              FROM vt.meaning m JOIN fact f ON f.kpi = ANY (m.leaves)) p, step
), part AS MATERIALIZED (
    -- the days that each number is of, for each leaf
    SELECT p.kpi, p.scope, p.dim, p.start, n.number, n.first, n.until, l.leaf, l.position
      FROM period p, unnest(p.leaves) WITH ORDINALITY l (leaf, position),
           LATERAL (VALUES ('value', start, last), ('to_date', start, least(last, today)), ('before', before, start - 1), ('ago', ago, ago_last),
                           ('before_to_date', before, least(before + (today - start), start - 1))) n (number, first, until)
     WHERE n.number <> 'before_to_date' OR today BETWEEN start AND last
), leaf AS (
    SELECT t.kpi, t.scope, t.dim, t.start, t.number, t.position,
           CASE WHEN count(f.den) = 0 THEN sum(f.num) ELSE sum(f.num) / sum(f.den) END AS value, count(*) AS facts
      FROM part t JOIN fact f ON f.kpi = t.leaf AND f.scope = t.scope AND f.dim = t.dim AND f.day BETWEEN t.first AND t.until
     GROUP BY 1, 2, 3, 4, 5, 6
), number AS (
    SELECT l.kpi, l.scope, l.dim, l.start, l.number, sum(l.facts)::bigint AS facts,
           vt.combine(l.kpi, ARRAY[max(l.value) FILTER (WHERE position = 1), max(l.value) FILTER (WHERE position = 2), max(l.value) FILTER (WHERE position = 3)],
                      ARRAY[max(l.facts) FILTER (WHERE position = 1), max(l.facts) FILTER (WHERE position = 2), max(l.facts) FILTER (WHERE position = 3)]) AS value
      FROM leaf l GROUP BY 1, 2, 3, 4, 5
), wide AS (
    SELECT kpi, scope, dim, start, max(value) FILTER (WHERE number = 'value') AS value, max(facts) FILTER (WHERE number = 'value') AS facts,
           max(value) FILTER (WHERE number = 'to_date') AS to_date, max(value) FILTER (WHERE number = 'before') AS before,
           max(value) FILTER (WHERE number = 'before_to_date') AS before_to_date, max(value) FILTER (WHERE number = 'ago') AS ago
      FROM number GROUP BY 1, 2, 3, 4
), said AS (
    -- nothing until today is 0 of what adds up
    SELECT p.kpi, p.scope, p.dim, p.start, p.today BETWEEN p.start AND p.last AS is_current, w.value, w.facts,
           coalesce(w.to_date, CASE WHEN p.is_additive THEN 0 END) AS to_date, w.before, w.before_to_date, w.ago
      FROM period p JOIN wide w USING (kpi, scope, dim, start)
)
SELECT kpi, scope, start, CASE WHEN $3 IS NOT NULL AND dim <> '(null)' THEN dim END, value, facts, to_date, before,
       CASE WHEN is_current THEN before_to_date END,
       CASE WHEN is_current THEN round((to_date - before_to_date) / nullif(abs(before_to_date), 0), 6)
            ELSE round((value - before) / nullif(abs(before), 0), 6) END,
       ago, round((value - ago) / nullif(abs(ago), 0), 6)
  FROM said
$$;

-- Views against the oracle: how many rows, how many of them are less to date,
-- have growth, and differ.
CREATE FUNCTION vt.compare(level text, suffix text, grain text, dimension text DEFAULT NULL)
RETURNS TABLE (view text, rows bigint, less_to_date bigint, growth bigint, yoy bigint, differing bigint) LANGUAGE plpgsql AS $$
DECLARE
    view_name text := level || CASE WHEN dimension IS NULL THEN '_' ELSE '_breakdown_' END || suffix;
BEGIN
    DROP TABLE IF EXISTS vt.expected_rows, vt.actual_rows;
    CREATE TABLE vt.expected_rows AS SELECT * FROM vt.expected(level, grain, dimension);
    EXECUTE format($q$
        CREATE TABLE vt.actual_rows AS
        SELECT kpi, %2$L || ' ' || %2$I AS scope, period_start, %3$s AS dimension_value, value, facts, value_to_date, previous_value,
               %4$s AS previous_value_to_date, %5$s AS growth_ratio, year_ago_value, %6$s AS yoy_growth_ratio
          FROM kpi.%1$I WHERE kpi LIKE 'vt\_%%' AND %7$s$q$,
        view_name, level, CASE WHEN dimension IS NULL THEN 'NULL::text' ELSE 'dimension_value' END,
        CASE WHEN dimension IS NULL THEN 'previous_value_to_date' ELSE 'NULL::numeric' END,
        CASE WHEN dimension IS NULL THEN 'growth_ratio' ELSE 'NULL::numeric' END,
        CASE WHEN dimension IS NULL THEN 'yoy_growth_ratio' ELSE 'NULL::numeric' END,
        CASE WHEN dimension IS NULL THEN 'true' ELSE format('dimension = %L', dimension) END);
    -- parts have no growth
    UPDATE vt.expected_rows SET previous_value_to_date = NULL, growth_ratio = NULL, yoy_growth_ratio = NULL WHERE dimension IS NOT NULL;
    RETURN QUERY
    SELECT view_name, count(a.kpi), count(*) FILTER (WHERE a.value_to_date IS DISTINCT FROM a.value), count(a.growth_ratio), count(a.yoy_growth_ratio),
           count(*) FILTER (WHERE a.kpi IS NULL OR e.kpi IS NULL OR a.facts <> e.facts
               OR round(a.value, 10) IS DISTINCT FROM round(e.value, 10)
               OR round(a.value_to_date, 10) IS DISTINCT FROM round(e.value_to_date, 10)
               OR round(a.previous_value, 10) IS DISTINCT FROM round(e.previous_value, 10)
               OR round(a.previous_value_to_date, 10) IS DISTINCT FROM round(e.previous_value_to_date, 10)
               OR a.growth_ratio IS DISTINCT FROM e.growth_ratio
               OR round(a.year_ago_value, 10) IS DISTINCT FROM round(e.year_ago_value, 10)
               OR a.yoy_growth_ratio IS DISTINCT FROM e.yoy_growth_ratio)
      FROM vt.actual_rows a FULL JOIN vt.expected_rows e
        ON a.kpi = e.kpi AND a.scope = e.scope AND a.period_start = e.period_start AND coalesce(a.dimension_value, '(null)') = coalesce(e.dimension_value, '(null)');
END
$$;
CREATE VIEW vt.grains AS
SELECT * FROM (VALUES (1, 'daily', 'day'), (2, 'weekly', 'week'), (3, 'monthly', 'month'), (4, 'quarterly', 'quarter'), (5, 'yearly', 'year')) g (n, suffix, grain);
CREATE FUNCTION vt.compare_all() RETURNS TABLE (view text, rows bigint, less_to_date bigint, growth bigint, yoy bigint, differing bigint) LANGUAGE sql AS $$
SELECT vt.place_facts();
SELECT c.* FROM unnest('{team, member}'::text[]) WITH ORDINALITY l (level, n), vt.grains g, vt.compare(level, suffix, grain) c ORDER BY l.n, g.n
$$;
CREATE FUNCTION vt.drop_all() RETURNS void LANGUAGE sql AS $$
SELECT kpi.drop_kpi(name) FROM kpi.kpi WHERE name IN ('vt_margin');
SELECT kpi.drop_kpi(name) FROM kpi.kpi WHERE name IN ('vt_mean', 'vt_share', 'vt_cac', 'vt_profit');
SELECT kpi.drop_source('vt_deals', cascade => true), kpi.drop_source('vt_costs', cascade => true);
SELECT kpi.drop_calendar('vt');
SELECT kpi.drop_member(key) FROM kpi.member WHERE key IN ('ann', 'bob', 'cid');
SELECT kpi.drop_team('alps');
SELECT kpi.drop_team('north'), kpi.drop_team('south');
$$;
