-- A source over 1,000 deals of two teams, in schema rf, which is new, and the
-- oracle of the tests of refreshes.
SET client_min_messages = warning;
SET TimeZone = 'UTC';

CREATE SCHEMA rf;
CREATE TABLE rf.deals (
    id bigint PRIMARY KEY,
    owner text,
    stage text,
    amount numeric(12,2),
    product text,
    created_at timestamptz,
    closed_at timestamptz
);
INSERT INTO rf.deals
SELECT i, (ARRAY['ann', 'bob', 'eve', NULL])[1 + i % 4], (ARRAY['won', 'lost', 'open'])[1 + i % 3],
       (i % 100) + 0.25, (ARRAY['p', 'q', NULL])[1 + i % 3],
       timestamptz '2026-01-01 12:00+00' + (i % 200) * interval '1 day',
       CASE WHEN i % 3 < 2 THEN timestamptz '2026-01-05 12:00+00' + (i % 200) * interval '1 day' END
FROM generate_series(1, 1000) i;

SELECT kpi.create_team('north') IS NOT NULL AS team, kpi.create_team('alps', parent => 'north') IS NOT NULL AS team;
SELECT kpi.add_member('ann', team => 'north') IS NOT NULL AS member, kpi.add_member('bob', team => 'alps') IS NOT NULL AS member;
SELECT kpi.create_source('rf', relation => 'rf.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product"}') IS NOT NULL AS source;
SELECT count(kpi.create_kpi(name, source => 'rf', measure => measure, filter => filter, at => at))
FROM (VALUES ('rf_revenue', 'sum(amount)', $$stage = 'won'$$, NULL),
             ('rf_won', 'count(*)', $$stage = 'won'$$, NULL),
             ('rf_size', 'avg(amount)', $$stage = 'won'$$, NULL),
             ('rf_rate', $$rate(stage = 'won', stage IN ('won', 'lost'))$$, NULL, NULL),
             ('rf_ratio', 'ratio(amount, 10)', NULL, NULL),
             ('rf_opened', 'count(*)', NULL, 'created_at')) k(name, measure, filter, at);
SELECT kpi.create_kpi('rf_mean', formula => 'rf_revenue / rf_won') IS NOT NULL AS kpi;

-- What the facts amount to in plain SQL: the rows that only one side has, of
-- values and of places.  The settings are what the definitions say at the moment.
SET rf.won = 'won';
SET rf.left_out = 'nothing';
SET rf.time_zone = 'UTC';
SET rf.week_start = 0;
SET rf.year_start = 0;
CREATE FUNCTION rf.difference() RETURNS TABLE (side text, kpi text, scope text, grain text, period_start date, value numeric, facts bigint)
LANGUAGE sql AS $$
WITH RECURSIVE fact AS (
    SELECT k.kpi, d.owner, k.num, k.den, (k.at AT TIME ZONE current_setting('rf.time_zone'))::date AS day
    FROM (SELECT *, nullif(amount, 'NaN') AS sum, (amount <> 'NaN')::int AS one FROM rf.deals) d,
         LATERAL (VALUES ('rf_revenue', closed_at, stage = 'won', sum, NULL),
                         ('rf_won', closed_at, stage = ANY (string_to_array(current_setting('rf.won'), ' ')), 1, NULL),
                         ('rf_size', closed_at, stage = 'won', coalesce(sum, 0), one),
                         ('rf_rate', closed_at, stage IN ('won', 'lost'), (stage = 'won')::int, 1),
                         ('rf_ratio', closed_at, true, coalesce(sum, 0), 10 * one),
                         ('rf_opened', created_at, true, 1, NULL)) k (kpi, at, counts, num, den)
    WHERE k.counts AND isfinite(k.at) AND coalesce(d.product, '') <> current_setting('rf.left_out')
), placed AS (
    SELECT f.*, p.key AS member, coalesce(m.team_id, 2) AS team_id
    FROM fact f LEFT JOIN kpi.member p ON p.key = f.owner
         LEFT JOIN kpi.membership m ON m.member_id = p.id AND f.day <@ daterange(m.since, m.until)
), up AS (
    SELECT DISTINCT day, team_id, team_id AS ancestor_id FROM placed
    UNION
    SELECT u.day, u.team_id, t.parent_id FROM up u JOIN kpi.team_parent t ON t.team_id = u.ancestor_id AND u.day <@ daterange(t.since, t.until)
), scoped AS (
    SELECT p.*, 'team ' || t.key AS scope FROM placed p JOIN up USING (day, team_id) JOIN kpi.team t ON t.id = up.ancestor_id
    UNION ALL
    SELECT p.*, 'member ' || p.member FROM placed p WHERE p.member IS NOT NULL
), number AS (
    SELECT kpi, scope, grain,
           CASE WHEN grain = 'week' THEN date_trunc('week', (day - w)::timestamp)::date + w
                WHEN grain IN ('quarter', 'year') THEN (date_trunc(grain, day - y) + y)::date
                ELSE date_trunc(grain, day::timestamp)::date END AS start,
           CASE WHEN count(den) = 0 THEN sum(num) ELSE sum(num) / nullif(sum(den), 0) END AS value, count(*) AS facts
    FROM scoped, unnest(ARRAY['day', 'week', 'month', 'quarter', 'year']) AS grain,
         (SELECT current_setting('rf.week_start')::int AS w, make_interval(months => current_setting('rf.year_start')::int) AS y) s
    GROUP BY 1, 2, 3, 4
), expected AS (
    SELECT kpi, scope, grain, start, round(value, 6) AS value, facts FROM number
    UNION ALL
    SELECT 'rf_mean', scope, grain, start, round(coalesce(r.value, 0) / nullif(coalesce(w.value, 0), 0), 6), coalesce(r.facts, 0) + coalesce(w.facts, 0)
    FROM (SELECT * FROM number WHERE kpi = 'rf_revenue') r
    FULL JOIN (SELECT * FROM number WHERE kpi = 'rf_won') w USING (scope, grain, start)
), actual AS (
    SELECT kpi, scope, grain, period_start, round(value, 6), facts
    FROM (SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_daily UNION ALL
          SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_weekly UNION ALL
          SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_monthly UNION ALL
          SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_quarterly UNION ALL
          SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_yearly UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_daily UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_weekly UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_monthly UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_quarterly UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_yearly) v (kpi, scope, grain, period_start, value, facts)
    WHERE kpi IN ('rf_revenue', 'rf_won', 'rf_size', 'rf_rate', 'rf_ratio', 'rf_opened', 'rf_mean')
), place AS (
    SELECT DISTINCT m.stream_id, n.scope, n.grain, n.start
    FROM number n JOIN kpi.kpi k ON k.name = n.kpi JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.kpi_id = k.id
    WHERE grain NOT IN ('day', 'month')
), stored_place AS (
    SELECT c.stream_id, coalesce('team ' || t.key, 'member ' || m.key), (ARRAY['day', 'week', 'month', 'quarter', 'year'])[1 + c.grain], c.start
    FROM kpi_internal.rollup_cell c JOIN kpi_internal.stream s ON s.id = c.stream_id JOIN kpi.source o ON o.id = s.source_id
         LEFT JOIN kpi.team t ON c.scope_kind = 1 AND t.id = c.scope_id
         LEFT JOIN kpi.member m ON c.scope_kind = 2 AND m.id = c.scope_id
    WHERE o.name = 'rf' AND c.dim_id = 0 AND c.cell IS NULL
)
SELECT * FROM (
    (SELECT 'facts', * FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM actual) x)
    UNION ALL
    (SELECT 'views', * FROM (SELECT * FROM actual EXCEPT ALL SELECT * FROM expected) x)
    UNION ALL
    (SELECT 'no place', stream_id::text, scope, grain, start, NULL, NULL FROM (SELECT * FROM place EXCEPT ALL SELECT * FROM stored_place) x)
    UNION ALL
    (SELECT 'place', x.* , NULL, NULL FROM (SELECT stream_id::text, y.s, y.g, y.start FROM (SELECT * FROM stored_place EXCEPT ALL SELECT * FROM place) y (stream_id, s, g, start)) x)) d
-- what a formula of nothing but NaN is: see formula.sql
WHERE kpi <> 'rf_mean' OR value <> 0
ORDER BY 2, 3, 4, 5, 1 LIMIT 20
$$;

-- The whole company, as stored
CREATE VIEW rf.company AS
SELECT k.name AS kpi, v.grain, v.period, round(v.value, 6) AS value, v.facts
FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id JOIN kpi.team t ON t.id = v.team_id
WHERE t.key = 'company' AND k.name LIKE 'rf%';
