-- Goals are judged by the day until which facts are there: a load that is late is no bad sales.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-11-10 12:00:00+00';  -- a Tuesday
CREATE SCHEMA mark;
CREATE TABLE mark.deals (id integer PRIMARY KEY, day date, amount numeric, loaded timestamptz);
CREATE TABLE mark.costs (id integer PRIMARY KEY, day date, amount numeric);
CREATE TABLE mark.leads (id integer PRIMARY KEY, day date);
-- even sales, ten on each day, loaded in the night after
INSERT INTO mark.deals SELECT n, date '2026-10-31' + n, 10, timestamptz '2026-11-01 03:00Z' + n * interval '1 day' FROM generate_series(1, 9) n;
INSERT INTO mark.costs SELECT n, date '2026-10-31' + n, 1 FROM generate_series(1, 10) n;
INSERT INTO mark.leads SELECT n, date '2026-10-31' + n FROM generate_series(1, 10) n;
SELECT kpi.create_calendar('m_all', time_zone => 'UTC', working_days => 'mon,tue,wed,thu,fri,sat,sun') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_source('m_deals', relation => 'mark.deals', at => 'day', loaded_at => 'loaded')),
    (kpi.create_source('m_costs', relation => 'mark.costs', at => 'day')),
    (kpi.create_source('m_leads', relation => 'mark.leads', at => 'day', calendar => 'm_all'))) v;
SELECT kpi.set_refresh('m_deals', stale_after => '30 hours');
SELECT kpi.set_refresh('m_leads', stale_after => '2 days');
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('m_sales', source => 'm_deals', measure => 'sum(amount)')),
    (kpi.create_kpi('m_costs', source => 'm_costs', measure => 'sum(amount)')),
    (kpi.create_kpi('m_leads', source => 'm_leads', measure => 'count(*)'))) v;
SELECT kpi.create_kpi('m_margin', formula => 'm_sales - m_costs') > 0 AS created;
CALL kpi.refresh();
SELECT count(*) FROM (VALUES
    (kpi.create_goal('Sales', kpi => 'm_sales', period => '2026-11', target => 290)),
    (kpi.create_goal('Sales week', kpi => 'm_sales', period => '2026-W46', target => 60)),
    (kpi.create_goal('Costs', kpi => 'm_costs', period => '2026-11', target => 40)),
    (kpi.create_goal('Margin', kpi => 'm_margin', period => '2026-11', target => 261)),
    (kpi.create_goal('Leads', kpi => 'm_leads', period => '2026-11', target => 30))) v;
CREATE VIEW mark.stand AS
    SELECT goal, as_of_day, is_current, actual_to_date AS actual, round(expected_today) AS expected, status, is_stale FROM kpi.goal_progress ORDER BY goal_id;
CREATE VIEW mark.sales AS
    SELECT kpi, period, is_current, value, value_to_date FROM kpi.team_weekly WHERE kpi IN ('m_sales', 'm_leads') AND team = 'company' AND period_start > '2026-11-01' ORDER BY kpi, period;
SELECT * FROM mark.stand;
SELECT * FROM mark.sales;

-- Nothing is loaded: days pass by, and weeks, and who has no facts to come is not behind.
SET kpi.now = '2026-11-12 12:00:00+00';
CALL kpi.refresh();
SELECT * FROM mark.stand;
SELECT source, loaded_at, is_stale FROM kpi.freshness ORDER BY source;
SET kpi.now = '2026-11-23 12:00:00+00';
CALL kpi.refresh();
SELECT * FROM mark.stand;
SELECT * FROM mark.sales;
SELECT goal, old_status, status FROM kpi.goal_event WHERE goal IN ('Sales', 'Sales week', 'Margin', 'Leads') ORDER BY id;
SELECT * FROM kpi.verify();
SELECT problem, object, detail FROM kpi.health() WHERE problem IN ('stale', 'day_behind') ORDER BY object;

-- What was late comes, and goes on from where it was.
INSERT INTO mark.deals SELECT n, date '2026-10-31' + n, 10, '2026-11-23 03:00Z' FROM generate_series(10, 21) n;
INSERT INTO mark.leads SELECT n, date '2026-10-31' + n FROM generate_series(11, 22) n;
CALL kpi.refresh();
SELECT * FROM mark.stand;
SELECT * FROM mark.sales;
SELECT * FROM kpi.verify();
SELECT goal, as_of_day IS NOT NULL AS there FROM mark.stand WHERE status = 'missed';

-- The end of the period passes without a load, and with one.
SET kpi.now = '2026-12-02 12:00:00+00';
CALL kpi.refresh();
SELECT * FROM mark.stand;
INSERT INTO mark.deals VALUES (100, '2026-11-23', 1, '2026-12-01 03:00Z');
CALL kpi.refresh();
SELECT * FROM mark.stand;
SELECT goal, old_status, status FROM kpi.goal_event WHERE goal IN ('Sales', 'Sales week', 'Margin', 'Leads') ORDER BY id;
SELECT * FROM kpi.verify();

-- Without the one and the other today is the calendar's.
SELECT kpi.set_refresh('m_leads', stale_after => '');
SELECT kpi.alter_source('m_deals', loaded_at => '');
SELECT kpi.set_refresh('m_deals', stale_after => '');
CALL kpi.refresh();
SELECT * FROM mark.stand;
SELECT * FROM kpi.verify();

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.drop_kpi('m_margin');
SELECT count(kpi.drop_source(name, cascade => true)) FROM kpi.source WHERE name IN ('m_deals', 'm_costs', 'm_leads');
SELECT kpi.drop_calendar('m_all');
DROP SCHEMA mark CASCADE;
