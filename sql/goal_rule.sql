-- The rules of statuses at their very edges: probability, pace, the first twentieth
-- of a period, caps, targets of 0 and below; and the sentence of each.
SET client_min_messages = error;
CREATE FUNCTION pg_temp.rule(kind text, target float8, high float8, additive boolean, value float8, expected float8, gone float8, probability float8,
                             is_over boolean DEFAULT false, may_fall boolean DEFAULT false) RETURNS text LANGUAGE sql AS
$$SELECT r.rule || ' ' || r.status FROM kpi_internal.goal_status_rule(kind, target, high, additive, true, true, is_over, may_fall, value, expected, gone, NULL, probability) r$$;
-- by probability; in the first twentieth of a period nobody is behind
SELECT p, pg_temp.rule('at_least', 100, NULL, true, 50, 60, 0.5, p) AS running, pg_temp.rule('at_least', 100, NULL, true, 0, 60, 0.049999, p) AS early,
       pg_temp.rule('at_most', 100, NULL, false, 150, 60, 0.05, p) AS rate
  FROM unnest('{0.98,0.5,0.499999,0.2,0.199999,0.02}'::float8[]) p;
-- by pace where there is no probability
SELECT v, pg_temp.rule('at_least', 200, NULL, true, v, 100, 0.5, NULL) AS additive, pg_temp.rule('at_least', 100, NULL, false, v, 100, 0.5, NULL) AS rate,
       pg_temp.rule('at_most', 100, NULL, false, v, 100, 0.5, NULL) AS at_most, pg_temp.rule('at_least', 200, NULL, true, v, 100, 0.049999, NULL) AS early,
       pg_temp.rule('between', 80, 120, false, v, 80, 0.5, NULL) AS between, pg_temp.rule('between', 160, 190, true, v, 80, 0.5, NULL) AS between_additive
  FROM unnest('{0,79.9,80,94.9,95,100,105.2,105.3,120,120.1,125,125.1,189,190,190.1,200}'::float8[]) v;
-- reached and broken: at once where it cannot fall, else by what is likely
SELECT v, f AS may_fall, pg_temp.rule('at_least', 100, NULL, true, v, 50, 0.5, 0.6, false, f) AS at_least, pg_temp.rule('at_most', 100, NULL, true, v, 50, 0.5, 0.6, false, f) AS at_most,
       pg_temp.rule('between', 80, 100, true, v, 40, 0.5, 0.6, false, f) AS between, pg_temp.rule('at_most', 100, NULL, false, v, 50, 0.5, 0.6, false, f) AS rate
  FROM unnest('{99.999,100,100.001}'::float8[]) v, unnest('{false,true}'::boolean[]) f ORDER BY f, v;
-- over
SELECT v, pg_temp.rule('at_least', 100, NULL, true, v, 100, 1, 1, true) AS at_least, pg_temp.rule('at_most', 100, NULL, true, v, 100, 1, 1, true) AS at_most,
       pg_temp.rule('at_most', 100, NULL, false, v, 100, 1, 1, true) AS rate, pg_temp.rule('between', 80, 100, true, v, 100, 1, 1, true) AS between
  FROM unnest('{NULL,79.999,80,99.999,100,100.001}'::float8[]) v;
-- targets of 0 and below: nothing is reached before the end
SELECT t, v, pg_temp.rule('at_least', t, NULL, true, v, t / 2, 0.5, NULL) AS at_least, pg_temp.rule('at_most', t, NULL, true, v, t / 2, 0.5, NULL) AS at_most,
       pg_temp.rule('at_least', t, NULL, true, v, t / 2, 1, 1, true) AS over
  FROM unnest('{0,-100}'::float8[]) t, unnest('{-101,-100,-50,0,1}'::float8[]) v;
-- no target, no numbers, not begun, no facts
SELECT pg_temp.rule('at_least', NULL, NULL, true, 5, 5, 0.5, 0.5) AS no_target, pg_temp.rule('at_least', 5, NULL, false, NULL, 5, 0.5, NULL) AS no_data,
       (SELECT s FROM kpi_internal.goal_status_rule('at_least', 5, NULL, true, false, true, false, false, 5, 5, 0.5, NULL, 0.5) s) AS incomplete,
       (SELECT s FROM kpi_internal.goal_status_rule('at_least', 5, NULL, true, true, false, false, false, 5, 5, 0.5, NULL, 0.5) s) AS not_started,
       (SELECT s FROM kpi_internal.goal_status_rule('at_least', 5, NULL, false, true, true, false, false, 5, 5, 0.5, 0.8, NULL) s) AS pace_of_balance;
-- each status and its rank; a word that is none has none
SELECT s, kpi_internal.goal_status_rank(s) FROM unnest('{missed,over_limit,behind,at_risk,incomplete,no_data,on_track,achieved,not_started,no_target,exceeded}'::text[]) s;

-- what nobody can mean
SELECT kpi_internal.goal_status_rule('more', 5, NULL, true, true, true, false, false, 5, 5, 0.5, NULL, 0.5);
SELECT kpi_internal.forecast_level('{1}', 'moon');
SELECT kpi_internal.forecast_noise('{1,2}', '{3}'), 1;
SELECT kpi_internal.forecast_noise('{1,2}', '{-1,3}'), 1;
SELECT kpi_internal.forecast_season('{1,2}', '{3}');
SELECT kpi_internal.goal_split(10, '{1,-1}', 1);
SELECT kpi_internal.goal_split(10, '{0}', 1);
SELECT kpi_internal.goal_split(10.5, '{1}', 1);
SELECT kpi_internal.goal_split(10, '{1}', 0);
SELECT kpi_internal.goal_split('infinity', '{1}', 1);
-- nothing known
SELECT kpi_internal.forecast_level('{}', 'month'), kpi_internal.forecast_season(NULL, NULL), kpi_internal.forecast_noise('{}', '{}'),
       kpi_internal.forecast_noise_ratio('{1}', '{0}'), kpi_internal.forecast_share_in('{0,0}', 0.5), kpi_internal.forecast_share_in('{1}', 2), kpi_internal.forecast_profile(0.5, NULL);
SELECT * FROM kpi_internal.forecast_additive('at_least', 100, NULL, 10, 0, 0.1, 0.1, NULL, NULL, NULL, NULL);
SELECT * FROM kpi_internal.forecast_own_span(0.5, 0.5, 0.4, 0.5, 100);
