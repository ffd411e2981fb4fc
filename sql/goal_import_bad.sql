-- Tables of targets that are wrong: each line is named with its remedy, and nothing is done.
SET kpi.now = '2026-11-10 12:00+00';
SET client_min_messages = warning;
CREATE SCHEMA gb;
CREATE TABLE gb.deals (owner text, amount numeric, day date);
SELECT kpi.create_source('gb', relation => 'gb.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('gb_money', source => 'gb', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('gb_deals', source => 'gb', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_team('gb_emea') IS NOT NULL AS created;
SELECT kpi.create_team('gb_apac') IS NOT NULL AS created;
SELECT kpi.add_member('gb_ann', team => 'gb_emea', since => '2020-01-01') IS NOT NULL AS created;
CALL kpi.refresh();
CREATE TABLE gb.quota (kpi text, team text, member text, period text, target text, minimum text, review_on text);
INSERT INTO gb.quota VALUES
    ('gb_money', 'gb_emea', NULL, '2027-Q1', '100', NULL, NULL),
    ('gb_money', 'gb_emae', NULL, '2027-Q1', '100', NULL, NULL),
    ('gb_mony', 'gb_emea', NULL, '2027-Q2', '100', NULL, NULL),
    ('gb_money', NULL, 'gb_anne', '2027-Q1', '100', NULL, NULL),
    ('gb_money', 'gb_emea', 'gb_ann', '2027-Q1', '100', NULL, NULL),
    ('gb_money', 'gb_emea', NULL, '2027-Q1', '200', NULL, NULL),
    ('gb_money', 'gb_emea', NULL, '2027-Q5', '100', NULL, NULL),
    ('gb_money', 'gb_emea', NULL, NULL, '100', NULL, NULL),
    (NULL, 'gb_emea', NULL, '2027-Q2', '100', NULL, NULL),
    ('gb_money', 'gb_apac', NULL, '2027-Q1', '', NULL, NULL),
    ('gb_money', 'gb_apac', NULL, '2027-Q1', '1 Mio', NULL, NULL),
    ('gb_money', 'gb_apac', NULL, '2027-Q1', '100', '200', NULL),
    ('gb_deals', 'gb_apac', NULL, '2027-Q1', '-1', NULL, NULL),
    ('gb_money', 'gb_apac', NULL, '2027-Q1', '100', NULL, 'soon'),
    ('gb_money', 'gb_apac', NULL, 'every quarter of 2027', '100', NULL, NULL),
    ('gb_money', 'gb_apac', NULL, '2027-Q3', '100', NULL, NULL),
    ('gb_money', 'gb_apac', NULL, '2027-Q4', '+5% yoy', NULL, NULL);
SELECT line, action, message, regexp_replace(detail, '[0-9]+', 'n') AS detail, hint FROM kpi.import_goals('gb.quota', plan => 'gb27', dry_run => true) ORDER BY line;
SELECT * FROM kpi.import_goals('gb.quota', plan => 'gb27');
SELECT count(*) FROM kpi.goal WHERE plan = 'gb27';
SELECT count(*) FROM kpi.plan WHERE name = 'gb27';
-- one is enough
CREATE VIEW gb.one AS SELECT * FROM gb.quota WHERE team IN ('gb_emea', 'gb_emae') AND period = '2027-Q1' AND target = '100' AND member IS NULL;
SELECT * FROM kpi.import_goals('gb.one', plan => 'gb27');
SELECT count(*) FROM kpi.goal WHERE plan = 'gb27';

-- sheets that are none
CREATE TABLE gb.unknown (kpi text, taem text, period text, target text);
SELECT * FROM kpi.import_goals('gb.unknown', plan => 'gb27');
SELECT * FROM kpi.import_goals('gb.unknown', plan => 'gb27', dry_run => true);
CREATE TABLE gb.more (kpi text, q5 text);
SELECT * FROM kpi.import_goals('gb.more', plan => 'gb27');
CREATE TABLE gb.other (kpi text, period text, target text, zzz_notes text);
SELECT * FROM kpi.import_goals('gb.other', plan => 'gb27');
CREATE TABLE gb.mixed (kpi text, period text, q1 text);
SELECT * FROM kpi.import_goals('gb.mixed', plan => 'gb27', year => '2027');
CREATE TABLE gb.twice (kpi text, q1 text, "Q1" text);
SELECT * FROM kpi.import_goals('gb.twice', plan => 'gb27', year => '2027');
CREATE TABLE gb.no_kpi (team text, q1 text);
SELECT * FROM kpi.import_goals('gb.no_kpi', plan => 'gb27', year => '2027');
CREATE TABLE gb.no_target (kpi text, period text);
SELECT * FROM kpi.import_goals('gb.no_target', plan => 'gb27');
CREATE TABLE gb.no_period (kpi text, target text);
SELECT * FROM kpi.import_goals('gb.no_period', plan => 'gb27');
CREATE TABLE gb.wide (kpi text, q1 text);
SELECT * FROM kpi.import_goals('gb.wide', plan => 'gb27');
SELECT * FROM kpi.import_goals('gb.wide', plan => 'gb27', year => '2027-Q1');
SELECT * FROM kpi.import_goals('gb.wide', plan => 'gb27', year => 'soon');
SELECT * FROM kpi.import_goals('gb.nothing', plan => 'gb27');
SELECT * FROM kpi.import_goals('gb.wide', plan => NULL);
SELECT * FROM kpi.import_goals(NULL, plan => 'gb27');
SELECT count(*) FROM kpi.plan WHERE name = 'gb27';

SELECT kpi.drop_source('gb', cascade => true);
SELECT kpi.drop_member('gb_ann');
SELECT kpi.drop_team('gb_emea'), kpi.drop_team('gb_apac');
DROP SCHEMA gb CASCADE;
RESET kpi.now;
