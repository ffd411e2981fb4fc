-- Targets as people write them: what each means, and what is wrong with others.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA target_test;
CREATE TABLE target_test.deals (id integer PRIMARY KEY, won boolean, amount numeric, cost numeric, age interval, day date);
SELECT kpi.create_source('tg', relation => 'target_test.deals', at => 'day') > 0 AS created;
SELECT count(kpi.create_kpi(name, source => 'tg', measure => measure, unit => unit, direction => direction))
  FROM (VALUES ('tg_money', 'sum(amount)', 'EUR', 'up'), ('tg_won', 'count(*)', NULL, 'up'), ('tg_rate', 'rate(won, true)', NULL, 'up'),
               ('tg_margin', 'ratio(amount - cost, amount)', NULL, 'up'), ('tg_price', 'ratio(amount, cost)', 'EUR', 'up'),
               ('tg_percent', 'avg(amount)', '%', 'up'), ('tg_cost', 'sum(cost)', 'EUR', 'down'), ('tg_age', 'avg(age)', 'minutes', 'down'),
               ('tg_days', 'avg(age)', NULL, 'down')) AS k (name, measure, unit, direction);
SELECT kpi.create_kpi('tg_share', formula => 'tg_money / tg_cost') > 0 AS created;

CREATE FUNCTION target_test.says(target text, kpi text, period text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p record;
    state text;
    message text;
    detail text;
    hint text;
BEGIN
    SELECT * INTO p FROM kpi.parse_target(target, kpi, period);
    RETURN concat_ws(' ', p.kind, p.number, p.number_high, p.change, p.change_in, p.baseline, p.baseline_periods);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', state || ': ' || message, nullif(detail, ''), CASE WHEN hint LIKE 'Write a number%' THEN 'all forms' ELSE nullif(hint, '') END);
END $$;

SELECT kpi, target, target_test.says(target, kpi, NULL)
  FROM (VALUES
       ('tg_money', '2000000'), ('tg_money', ' 2e6 '), ('tg_money', '-5'), ('tg_money', '+5'), ('tg_money', '.5'), ('tg_money', '5.'), ('tg_cost', '5'),
       ('tg_rate', '65%'), ('tg_rate', '0.65'), ('tg_margin', '65 %'), ('tg_share', '12.5%'), ('tg_percent', '65%'), ('tg_percent', '65'),
       ('tg_money', '+5% yoy'), ('tg_cost', '-3% mom'), ('tg_money', '+10%QoQ'), ('tg_money', '+4 % wow'), ('tg_money', '+0% yoy'),
       ('tg_rate', '+2pp yoy'), ('tg_rate', '-0.5 pp mom'), ('tg_percent', '+2pp yoy'), ('tg_rate', '+5% yoy'),
       ('tg_money', 'avg of 4 quarters +10%'), ('tg_money', 'Average of 1 year -5 %'), ('tg_rate', 'avg of 12 months +2pp'),
       ('tg_money', '40..60'), ('tg_money', '40 .. 60'), ('tg_money', '-60..-40'), ('tg_money', '4.5..4.5'), ('tg_money', '4...5'), ('tg_rate', '40%..60%'), ('tg_days', '1 day..1 week'),
       ('tg_cost', 'at least 200'), ('tg_money', 'at most 200'), ('tg_rate', 'AT  LEAST 65%'), ('tg_cost', 'at most +5% yoy'), ('tg_cost', 'at most avg of 4 quarters -5%'),
       ('tg_age', '1 hour'), ('tg_age', '90 Minutes'), ('tg_age', '30 seconds'), ('tg_days', '12 hours'), ('tg_days', '2 weeks'), ('tg_days', '12')) AS t (kpi, target);

-- what is wrong, what was read of it, and what to write
SELECT kpi, target, target_test.says(target, kpi, NULL)
  FROM (VALUES
       ('tg_money', ''), ('tg_money', 'a lot'), ('tg_money', '+5 % of moon'), ('tg_money', '+5%'), ('tg_money', '+5% yoy please'), ('tg_money', '2,000,000'), ('tg_money', '2000000 EUR'),
       ('tg_money', '+5 yoy'), ('tg_money', 'NaN'), ('tg_money', 'infinity'), ('tg_money', '1e'), ('tg_money', '0x10'), ('tg_money', '--5'),
       ('tg_money', '65%'), ('tg_won', '65%'), ('tg_price', '65%'), ('tg_money', '+2pp yoy'), ('tg_age', '65%'), ('tg_rate', '2pp yoy'), ('tg_rate', '2pp'),
       ('tg_money', '60..40'), ('tg_money', '40..'), ('tg_money', '..60'), ('tg_money', '40..60..80'), ('tg_money', 'at least 40..60'), ('tg_rate', '40%..+2pp'), ('tg_money', '40..+5% yoy'),
       ('tg_money', 'at'), ('tg_money', 'at best 5'), ('tg_money', 'at least'), ('tg_money', 'atleast 5'),
       ('tg_money', 'avg of quarters +10%'), ('tg_money', 'avg 4 quarters +10%'), ('tg_money', 'avg of 0 quarters +10%'), ('tg_money', 'avg of 101 months +10%'),
       ('tg_money', 'avg of 99999999999999999999 months +10%'), ('tg_money', 'avg of 4 days +10%'), ('tg_money', 'avg of 4 moons +10%'), ('tg_money', 'avg of 4 quarters'),
       ('tg_money', 'avg of 4 quarters 10%'), ('tg_money', 'avg of 4 quarters +10'), ('tg_money', 'avg of 4 quarters +10% yoy'),
       ('tg_money', '1 hour'), ('tg_age', '1 fortnight'), ('tg_age', '1 hourss'), ('tg_money', '1e999999'),
       ('tg_monney', '5')) AS t (kpi, target);

SELECT kpi.parse_target('a lot', 'tg_money');

-- compared with the period before, which has the same length
SELECT period, target, target_test.says(target, 'tg_money', period)
  FROM unnest('{2026,2026-Q4,2026-10,2026-W41,2026-10-05}'::text[]) period,
       unnest('{5,+5% yoy,+5% qoq,+5% mom,+5% wow,avg of 4 quarters +5%}'::text[]) target;
SELECT * FROM kpi.parse_target('5', 'tg_money', '2026-Q5');
SELECT kpi.parse_target(NULL, 'tg_money') IS NULL AS none, kpi.parse_target(target => '5', kpi => 'tg_money', period => NULL);
SELECT kpi.parse_target('5', NULL);

-- the number of a relative one
SELECT t.target, t.kpi, t.baseline, kpi_internal.resolve_target(t.target, t.kpi, t.baseline)
  FROM (VALUES ('+5% yoy', 'tg_money', 1234567.89), ('-3% mom', 'tg_money', 412.50), ('+2pp yoy', 'tg_rate', 0.30), ('+5% yoy', 'tg_rate', 0.30),
               ('+2pp yoy', 'tg_percent', 30), ('avg of 4 quarters +10%', 'tg_money', 100), ('7', 'tg_money', 100)) AS t (target, kpi, baseline);

SELECT kpi.drop_source('tg', cascade => true);
DROP SCHEMA target_test CASCADE;
