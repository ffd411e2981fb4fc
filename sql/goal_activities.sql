-- From a goal to what has to be done: deals, opportunities, leads, calls, per member and working day.
SET client_min_messages = warning;
\set VERBOSITY default
\set SHOW_CONTEXT never
SET kpi.now = '2026-11-10 12:00:00+00';
SELECT kpi.create_team('ga_team') > 0 AS created;
SELECT count(kpi.add_member('ga_' || m, team => 'ga_team')) FROM generate_series(1, 8) m;
CREATE SCHEMA ga;
-- in each month: 100 leads, 40 of them opportunities, 24 of these won at 2400; 2500 calls; a deal takes 15 days
CREATE TABLE ga.lead (id integer PRIMARY KEY, owner text, day date, opportunity boolean, won boolean, amount numeric, calls integer, days integer);
INSERT INTO ga.lead SELECT i, 'ga_' || 1 + i % 8, date '2026-01-01' + make_interval(months => i / 100), i % 100 < 40, i % 100 < 24, 2400, 25, 15
  FROM generate_series(0, 999) i;
SELECT kpi.create_source('ga', relation => 'ga.lead', key => 'id', owner => 'owner', at => 'day') > 0 AS created;
SELECT count(kpi.create_kpi(name, source => 'ga', measure => measure, filter => filter)) FROM (VALUES
    ('ga_revenue', 'sum(amount)', 'won'), ('ga_won', 'count(*)', 'won'), ('ga_opportunities', 'count(*)', 'opportunity'), ('ga_leads', 'count(*)', NULL),
    ('ga_calls', 'sum(calls)', NULL), ('ga_deal_size', 'avg(amount)', 'won'), ('ga_win_rate', 'rate(won, opportunity)', NULL),
    ('ga_lead_rate', 'rate(opportunity, true)', NULL), ('ga_calls_per_lead', 'avg(calls)', NULL), ('ga_never', 'rate(won AND NOT opportunity, true)', NULL),
    ('ga_cycle', 'median(days)', 'won')) k (name, measure, filter);
CALL kpi.refresh();
SELECT kpi.create_goal('ga goal', kpi => 'ga_revenue', team => 'ga_team', period => '2027-Q1', target => 640000) > 0 AS created;
CREATE TABLE ga.dry AS SELECT * FROM kpi.cascade('ga goal', across => 'activities', steps => '{ga_won, ga_win_rate, ga_lead_rate, ga_calls_per_lead}', per => 'ga_deal_size', cycle => 'ga_cycle', dry_run => true);
SELECT kpi, weight, needed, needed_per_day, target, action, message FROM ga.dry;
-- by hand
SELECT round(640000 / 2400.0, 4) AS won, round(640000 / 2400.0 / 0.6, 4) AS opportunities, round(640000 / 2400.0 / 0.6 / 0.4, 4) AS leads, round(640000 / 2400.0 / 0.6 / 0.4 * 25, 4) AS calls,
       round(640000 / 2400.0 / kpi.workdays('2027-01-01', date '2027-04-01' - 15) / 8, 4) AS won_per_day;
-- of counts it is the one over the other; they become goals of their own
SELECT kpi, weight, needed, target, action, message FROM kpi.cascade('ga goal', across => 'activities', steps => '{ga_won, ga_opportunities, ga_leads, ga_calls}', per => 'ga_deal_size');
SELECT p.kpi, p.team, p.period, p.target FROM kpi.goal_progress p JOIN kpi.goal g ON g.id = p.goal_id WHERE g.cascaded = 'activities' ORDER BY p.target;
SELECT count(*) FROM kpi.goal_mismatch;
-- a rate of 0; no day that is early enough
SELECT kpi, needed, needed_per_day, action, message FROM kpi.cascade('ga goal', across => 'activities', steps => '{ga_won, ga_never, ga_lead_rate}', per => 'ga_deal_size', dry_run => true);
SELECT kpi.create_goal('ga short', kpi => 'ga_revenue', team => 'ga_team', period => '2026-11-05..2026-11-20', target => 2400) > 0 AS created;
SELECT kpi, needed, needed_per_day, target, action, message FROM kpi.cascade('ga short', across => 'activities', steps => '{ga_won}', per => 'ga_deal_size', cycle => 'ga_cycle', dry_run => true);
SELECT * FROM kpi.cascade('ga goal', across => 'activities', steps => '{ga_win_rate}', per => 'ga_deal_size');
SELECT * FROM kpi.cascade('ga goal', across => 'activities', steps => '{ga_won, ga_cycle}', per => 'ga_deal_size');
SELECT * FROM kpi.cascade('ga goal', across => 'activities', steps => '{ga_wonn}', per => 'ga_deal_size');

SELECT count(kpi.drop_goal(g.id)) FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id WHERE k.name LIKE 'ga\_%';
SELECT kpi.drop_source('ga', cascade => true);
SELECT count(kpi.drop_member('ga_' || m)) FROM generate_series(1, 8) m;
SELECT kpi.drop_team('ga_team');
DROP SCHEMA ga CASCADE;
