-- What pg_kpi says beside what oracle.sql says, at every team, month and quarter.  After kpis.sql.
CREATE TABLE acceptance.expected (kpi text, team text, period text, value numeric);
CREATE TABLE acceptance.expected_part (kpi text, dimension text, dimension_value text, team text, period text, value numeric);
CREATE PROCEDURE acceptance.compute() LANGUAGE sql SET jit = off SET work_mem = '64MB' AS $$
TRUNCATE acceptance.expected, acceptance.expected_part;
INSERT INTO acceptance.expected SELECT * FROM oracle.all_kpis();
INSERT INTO acceptance.expected
SELECT 'mrr_daily_average', s.team, s.period, sum(h.mrr) / (p.last_day - p.first_day + 1)
  FROM (SELECT coalesce(f.owner_id, '') AS owner, d::date AS day, sum(f.mrr) AS mrr
          FROM generate_series(timestamp '2025-01-01', '2026-06-30', '1 day') d JOIN crm.subscription f ON f.started_on <= d::date AND (f.ended_on IS NULL OR f.ended_on > d::date)
         GROUP BY 1, 2) h
  JOIN oracle.scope s USING (owner, day) JOIN oracle.period p USING (period) GROUP BY s.team, s.period, p.first_day, p.last_day;
INSERT INTO acceptance.expected_part SELECT CASE WHEN dimension = 'lost_in_stage' THEN 'lost_from' ELSE kpi END, dimension, dimension_value, team, period, value FROM oracle.breakdown;
ANALYZE acceptance.expected, acceptance.expected_part;
$$;

CREATE TABLE acceptance.actual (LIKE acceptance.expected);
CREATE TABLE acceptance.actual_part (LIKE acceptance.expected_part);
CREATE PROCEDURE acceptance.read() LANGUAGE sql AS $$
TRUNCATE acceptance.actual, acceptance.actual_part;
INSERT INTO acceptance.actual SELECT kpi, team, period, value FROM kpi.team_monthly WHERE period_start BETWEEN '2025-01-01' AND '2026-06-30';
INSERT INTO acceptance.actual SELECT kpi, team, period, value FROM kpi.team_quarterly WHERE period_start BETWEEN '2025-01-01' AND '2026-06-30';
INSERT INTO acceptance.actual_part SELECT kpi, dimension, dimension_value, team, period, value FROM kpi.team_breakdown_monthly WHERE period_start BETWEEN '2025-01-01' AND '2026-06-30';
INSERT INTO acceptance.actual_part SELECT kpi, dimension, dimension_value, team, period, value FROM kpi.team_breakdown_quarterly WHERE period_start BETWEEN '2025-01-01' AND '2026-06-30';
-- a year to date has a value in months without facts, of which the views have no rows
INSERT INTO acceptance.actual SELECT e.kpi, e.team, e.period, kpi.value(e.kpi, team => e.team, period => e.period)
  FROM acceptance.expected e LEFT JOIN acceptance.actual a USING (kpi, team, period) WHERE e.kpi = 'revenue_year_to_date' AND a.kpi IS NULL;
ANALYZE acceptance.actual, acceptance.actual_part;
$$;

-- A median may be 1 % off.
CREATE FUNCTION acceptance.differs(kpi text, a numeric, b numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN a IS NULL OR b IS NULL THEN num_nonnulls(a, b) = 1
            WHEN kpi LIKE '%median%' THEN abs(a - b) > 0.01 * abs(b)
            ELSE abs(a - b) > 0.0000005 END
$$;

-- Where the oracle has no row there are no facts, or nothing is held: we may have a row then, of 0 or without a value.
CREATE FUNCTION acceptance.difference(OUT kpi text, OUT wrong bigint, OUT of bigint, OUT example text) RETURNS SETOF record LANGUAGE sql AS $$
SELECT kpi, count(*) FILTER (WHERE is_wrong), count(*),
       min(concat_ws(' ', team, period, 'expected', coalesce(expected::text, '-'), 'got', coalesce(got::text, '-'))) FILTER (WHERE is_wrong)
  FROM (SELECT kpi, team, period, e.value AS expected, a.value AS got,
               CASE WHEN e.kpi IS NULL THEN a.value <> 0 ELSE acceptance.differs(kpi, a.value, e.value) END AS is_wrong
          FROM acceptance.expected e
          FULL JOIN (SELECT * FROM acceptance.actual x WHERE x.kpi IN (SELECT e.kpi FROM acceptance.expected e)) a USING (kpi, team, period)) x
 GROUP BY kpi ORDER BY kpi
$$;
CREATE FUNCTION acceptance.part_difference(OUT kpi text, OUT dimension text, OUT wrong bigint, OUT of bigint, OUT example text) RETURNS SETOF record LANGUAGE sql AS $$
SELECT kpi, dimension, count(*) FILTER (WHERE is_wrong), count(*),
       min(concat_ws(' ', dimension_value, team, period, 'expected', coalesce(expected::text, '-'), 'got', coalesce(got::text, '-'))) FILTER (WHERE is_wrong)
  FROM (SELECT kpi, dimension, dimension_value, team, period, e.value AS expected, a.value AS got,
               CASE WHEN e.kpi IS NULL THEN a.value <> 0 ELSE acceptance.differs(kpi, a.value, e.value) END AS is_wrong
          FROM (SELECT * FROM acceptance.expected_part e WHERE e.dimension NOT LIKE '% / %') e
          FULL JOIN (SELECT * FROM acceptance.actual_part x WHERE (x.kpi, x.dimension) IN (SELECT e.kpi, e.dimension FROM acceptance.expected_part e)) a
               USING (kpi, dimension, dimension_value, team, period)) x
 GROUP BY kpi, dimension ORDER BY kpi, dimension
$$;

--
-- Eleven KPIs of members by months and weeks, and of teams by weeks: facts by owner and day
--
CREATE VIEW acceptance.fact AS
SELECT k.kpi, k.how, k.owner, k.day, k.value::numeric, k.weight::numeric
  FROM crm.deal f CROSS JOIN LATERAL (VALUES
       ('revenue', 'sum', owner_id, closed_at, stage = 'won', amount, NULL),
       ('deals_won', 'sum', owner_id, closed_at, stage = 'won', 1, NULL),
       ('win_rate', 'rate', owner_id, closed_at, stage IN ('won', 'lost'), (stage = 'won')::integer, 1),
       ('pipeline_generated', 'sum', sdr_id, created_at, true, amount, NULL),
       ('largest_deal', 'max', owner_id, closed_at, stage = 'won', amount, NULL)) v (kpi, how, owner, at, counts, value, weight)
 CROSS JOIN LATERAL (SELECT v.kpi, v.how, v.owner, crm.day(v.at) AS day, v.value, v.weight) k
 WHERE NOT f.is_deleted AND v.counts AND v.at IS NOT NULL
UNION ALL
SELECT k.kpi, k.how, f.owner_id, crm.day(f.ordered_at), k.value, NULL
  FROM crm.order_line f CROSS JOIN LATERAL (VALUES ('units_sold', 'sum', units), ('products_sold_distinct', 'distinct', product_id)) k (kpi, how, value)
UNION ALL
SELECT k.kpi, k.how, f.owner_id, crm.day(f.at), k.value, 1
  FROM crm.activity f CROSS JOIN LATERAL (VALUES ('calls_made', 'sum', 1), ('call_connect_rate', 'rate', (coalesce(outcome, '') IN ('connected', 'refused'))::integer)) k (kpi, how, value)
 WHERE f.kind = 'call' AND NOT f.is_automated AND NOT f.is_inbound
UNION ALL
SELECT 'lead_response_minutes_median', 'median', l.owner_id, crm.day(l.created_at), extract(epoch FROM a.first - l.created_at) / 60, NULL
  FROM crm.lead l
  JOIN LATERAL (SELECT min(x.at) AS first FROM crm.activity x
                 WHERE x.lead_id = l.lead_id AND x.at >= l.created_at AND x.kind IN ('call', 'email', 'social') AND NOT x.is_automated AND NOT x.is_inbound) a
       ON a.first IS NOT NULL
UNION ALL
-- what is held at the end of a day on which a week or a month ends
SELECT 'mrr', 'held', s.owner_id, d.day, s.mrr, NULL
  FROM (SELECT d::date AS day FROM generate_series(date '2025-01-01', '2026-07-05', interval '1 day') d
         WHERE extract(isodow FROM d) = 7 OR extract(day FROM d + interval '1 day') = 1) d
  JOIN crm.subscription s ON s.started_on <= d.day AND (s.ended_on IS NULL OR s.ended_on > d.day);

-- for whom and when facts count: those of an owner and day as one, where that says as much
CREATE VIEW acceptance.credited AS
SELECT f.kpi, f.how, s.scope, s.key, s.grain, date_trunc(s.grain, f.day)::date AS period_start, f.value, f.weight
  FROM (SELECT kpi, how, owner, day, CASE WHEN how IN ('max', 'distinct') THEN max(value) ELSE sum(value) END AS value, sum(weight) AS weight
          FROM acceptance.fact WHERE how <> 'median' GROUP BY kpi, how, owner, day, CASE how WHEN 'distinct' THEN value END
        UNION ALL SELECT kpi, how, owner, day, value, weight FROM acceptance.fact WHERE how = 'median') f
 CROSS JOIN LATERAL (SELECT 'member', r.rep_id, g.grain FROM crm.rep r, (VALUES ('week'), ('month')) g (grain) WHERE r.rep_id = f.owner
                     UNION ALL SELECT 'team', c.team, 'week' FROM oracle.credit c WHERE c.owner = coalesce(f.owner, '') AND c.day = f.day) s (scope, key, grain)
 WHERE f.how <> 'held' OR f.day = date_trunc(s.grain, f.day) + ('1 ' || s.grain)::interval - interval '1 day';

CREATE TABLE acceptance.counted AS TABLE acceptance.credited WITH NO DATA;
CREATE TABLE acceptance.expected_near (kpi text, scope text, key text, grain text, period_start date, value numeric);
CREATE TABLE acceptance.actual_near (LIKE acceptance.expected_near);
CREATE PROCEDURE acceptance.compute_near() LANGUAGE sql SET jit = off SET work_mem = '64MB' AS $$
TRUNCATE acceptance.counted, acceptance.expected_near, acceptance.actual_near;
INSERT INTO acceptance.counted SELECT * FROM acceptance.credited WHERE period_start BETWEEN '2024-12-30' AND '2026-06-30';
INSERT INTO acceptance.expected_near
SELECT kpi, scope, key, grain, period_start, CASE how WHEN 'rate' THEN sum(value) / nullif(sum(weight), 0) WHEN 'max' THEN max(value) ELSE sum(value) END
  FROM acceptance.counted WHERE how IN ('sum', 'rate', 'max', 'held') GROUP BY kpi, how, 2, 3, 4, 5
UNION ALL SELECT kpi, scope, key, grain, period_start, count(DISTINCT value) FROM acceptance.counted WHERE how = 'distinct' GROUP BY 1, 2, 3, 4, 5
UNION ALL SELECT kpi, scope, key, grain, period_start, (percentile_cont(0.5) WITHIN GROUP (ORDER BY value))::numeric
            FROM acceptance.counted WHERE how = 'median' GROUP BY 1, 2, 3, 4, 5;
INSERT INTO acceptance.actual_near
SELECT * FROM (SELECT kpi, 'member' AS scope, member AS key, 'month' AS grain, period_start, value FROM kpi.member_monthly
               UNION ALL SELECT kpi, 'member', member, 'week', period_start, value FROM kpi.member_weekly
               UNION ALL SELECT kpi, 'team', team, 'week', period_start, value FROM kpi.team_weekly) v
 WHERE kpi IN (SELECT kpi FROM acceptance.expected_near) AND period_start BETWEEN '2024-12-30' AND '2026-06-30';
$$;
CREATE FUNCTION acceptance.near_difference(OUT kpi text, OUT wrong bigint, OUT of bigint, OUT example text) RETURNS SETOF record LANGUAGE sql AS $$
SELECT kpi, count(*) FILTER (WHERE is_wrong), count(*),
       min(concat_ws(' ', scope, key, grain, period_start, 'expected', coalesce(expected::text, '-'), 'got', coalesce(got::text, '-'))) FILTER (WHERE is_wrong)
  FROM (SELECT kpi, scope, key, grain, period_start, e.value AS expected, a.value AS got,
               CASE WHEN e.kpi IS NULL THEN a.value <> 0 ELSE acceptance.differs(kpi, a.value, e.value) END AS is_wrong
          FROM acceptance.expected_near e FULL JOIN acceptance.actual_near a USING (kpi, scope, key, grain, period_start)) x
 GROUP BY kpi ORDER BY kpi
$$;
