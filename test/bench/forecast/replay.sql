-- The CRM export replayed: goals of quarters and months for the company, its regions, managers
-- and reps, looked at when 10, 25, 50, 75 and 90 % of the period had gone.  Prints Markdown.  Deals
-- are dated by when they closed, and what is dated ahead does not count, so all are loaded.
--
-- usage: psql -v crm=DIRECTORY -f test/bench/forecast/replay.sql, in an empty database with pg_kpi
\set QUIET on
\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = error;
SET datestyle = 'ISO, MDY';
SET kpi.now = '2017-04-01 12:00+00';
CREATE EXTENSION IF NOT EXISTS pg_kpi;
CREATE SCHEMA replay;
CREATE TABLE replay.deals (opportunity_id text PRIMARY KEY, sales_agent text, product text, account text, deal_stage text, engage_date date, close_date date, close_value numeric);
CREATE TABLE replay.people (sales_agent text, manager text, regional_office text);
\set load '\\copy replay.deals FROM ''' :crm '/sales_pipeline.csv'' WITH (FORMAT csv, HEADER)'
:load
\set load '\\copy replay.people FROM ''' :crm '/sales_teams.csv'' WITH (FORMAT csv, HEADER)'
:load
DELETE FROM replay.people p WHERE NOT EXISTS (SELECT FROM replay.deals d WHERE d.sales_agent = p.sales_agent);
\o /dev/null
SELECT kpi.create_team(o) FROM (SELECT DISTINCT regional_office AS o FROM replay.people) x;
SELECT kpi.create_team(m, parent => o) FROM (SELECT DISTINCT manager AS m, regional_office AS o FROM replay.people) x;
SELECT kpi.add_member(sales_agent, team => manager) FROM replay.people;
SELECT kpi.create_source('replay', relation => 'replay.deals', key => 'opportunity_id', owner => 'sales_agent', at => 'close_date');
SELECT kpi.create_kpi('revenue', source => 'replay', measure => 'sum(close_value)', filter => $$deal_stage = 'Won'$$);
SELECT kpi.create_kpi('won', source => 'replay', measure => 'count(*)', filter => $$deal_stage = 'Won'$$);
\o
CALL kpi.refresh();

CREATE TABLE replay.scope AS
    SELECT 'company' AS level, 'company' AS team, NULL AS member
    UNION ALL SELECT DISTINCT 'region', regional_office, NULL FROM replay.people
    UNION ALL SELECT DISTINCT 'manager', manager, NULL FROM replay.people
    UNION ALL SELECT 'rep', NULL, sales_agent FROM replay.people;
CREATE TABLE replay.said (level text, kpi text, grain text, goal_id bigint, period text, elapsed integer, target numeric, final numeric, actual numeric, last numeric,
                          forecast numeric, low numeric, high numeric, p numeric, run_rate numeric, pace numeric);
-- the target is what the period before brought, and a tenth more
CREATE PROCEDURE replay.run(period text, previous text) LANGUAGE plpgsql AS $$
DECLARE
    since date := (kpi.parse_period(period)).period_start;
    until date := (kpi.parse_period(period)).period_end;
    share numeric;
BEGIN
    PERFORM set_config('kpi.now', since || ' 12:00+00', false);
    PERFORM kpi.create_goal(kpi => k, team => s.team, member => s.member, period => period, target => round(1.1 * v, 2))
       FROM replay.scope s, unnest('{revenue,won}'::text[]) k, LATERAL (SELECT kpi.value(k, team => s.team, member => s.member, period => previous) AS v) v
      WHERE v > 0;
    FOREACH share IN ARRAY '{0.10,0.25,0.50,0.75,0.90}'::numeric[] LOOP
        PERFORM set_config('kpi.now', since + round(share * (until - since + 1))::integer - 1 || ' 12:00+00', false);
        CALL kpi.refresh();
        INSERT INTO replay.said
        SELECT s.level, p.kpi, p.grain, p.goal_id, p.period, (100 * share)::integer, p.target, p.actual, p.actual_to_date, p.target / 1.1,
               p.forecast, p.forecast_low, p.forecast_high, p.attainment_probability, p.actual_to_date / nullif(p.elapsed_ratio, 0),
               (p.actual_to_date >= p.target * p.elapsed_ratio)::integer
          FROM kpi.goal_progress p JOIN replay.scope s ON (p.scope = 'member' AND s.member = p.member) OR (p.scope = 'team' AND s.team = p.team)
         WHERE p.period = run.period;
    END LOOP;
END $$;
SELECT format('CALL replay.run(%L, %L)', to_char(q, 'YYYY"-Q"Q'), to_char(q - interval '3 months', 'YYYY"-Q"Q'))
  FROM generate_series(timestamp '2017-07-01', '2017-10-01', '3 months') q \gexec
SELECT format('CALL replay.run(%L, %L)', to_char(m, 'YYYY-MM'), to_char(m - interval '1 month', 'YYYY-MM'))
  FROM generate_series(timestamp '2017-05-01', '2017-12-01', '1 month') m \gexec

\pset format unaligned
\pset fieldsep ' | '
\pset tuples_only on
\echo | level | grain | elapsed % | forecasts | error % | run rate % | last period % | in the range % | Brier | hindsight base rate | pace as yes/no |
\echo | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
SELECT '| ' || level, grain, elapsed, count(*),
       round(100 * sum(abs(forecast - final)) / sum(final), 1), round(100 * sum(abs(coalesce(run_rate, 0) - final)) / sum(final), 1), round(100 * sum(abs(last - final)) / sum(final), 1),
       round(100 * avg((final BETWEEN low AND high)::integer)), round(avg((p - (final >= target)::integer) ^ 2), 3),
       round(avg((final >= target)::integer) * (1 - avg((final >= target)::integer)), 3), round(avg((pace - (final >= target)::integer) ^ 2), 3) || ' |'
  FROM replay.said WHERE kpi = 'revenue'
 GROUP BY level, grain, elapsed ORDER BY grain DESC, array_position('{company,region,manager,rep}', level), elapsed;
