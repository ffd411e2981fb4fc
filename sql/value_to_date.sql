-- To date means to date: value_to_date, previous_value, growth_ratio and their
-- like in all views, with facts dated ahead, against plain SQL.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all

CALL kpi.refresh();
-- in the middle of a month
SET kpi.now = '2026-11-15 12:00+00';
SELECT * FROM vt.compare_all();
-- on the last day of months, years before leap years and in them included
SET kpi.now = '2026-11-30 23:59+00';
SELECT * FROM vt.compare_all();
SET kpi.now = '2026-01-31 00:00+00';
SELECT * FROM vt.compare_all();
SET kpi.now = '2023-02-28 12:00+00';
SELECT * FROM vt.compare_all();
SET kpi.now = '2024-02-29 12:00+00';
SELECT * FROM vt.compare_all();
-- the month before is shorter, and the one before that
SET kpi.now = '2026-03-31 12:00+00';
SELECT * FROM vt.compare_all();
-- all is over, and nothing has begun
SET kpi.now = '2030-01-01 12:00+00';
SELECT * FROM vt.compare_all();
SET kpi.now = '2020-01-01 12:00+00';
SELECT * FROM vt.compare_all();

-- on the first and the last day of a year that begins in April
SET vt.year_start = 3;
SELECT kpi.alter_calendar('default', fiscal_year_start => 4);
CALL kpi.refresh();
SET kpi.now = '2026-04-01 00:00+00';
SELECT * FROM vt.compare_all();
SET kpi.now = '2026-03-31 23:59+00';
SELECT * FROM vt.compare_all();
SELECT kpi.alter_calendar('default', fiscal_year_start => 1);
SET vt.year_start = 0;

-- weeks from Sunday: on a Saturday and a Sunday
SET vt.week_start = 6;
SELECT kpi.alter_calendar('default', week_start => 'sunday');
CALL kpi.refresh();
SET kpi.now = '2026-11-14 12:00+00';
SELECT * FROM vt.compare_all();
SET kpi.now = '2026-11-15 12:00+00';
SELECT * FROM vt.compare_all();
SELECT kpi.alter_calendar('default', week_start => 'monday');
SET vt.week_start = 0;

-- east of the server it is tomorrow already: December
SET vt.time_zone = 'Pacific/Auckland';
SELECT kpi.alter_calendar('vt', time_zone => 'Pacific/Auckland');
CALL kpi.refresh();
SET kpi.now = '2026-11-30 12:00+00';
SELECT kpi.today() AS here, kpi.today('vt') AS there;
SELECT * FROM vt.compare_all();
SELECT kpi, period, is_current, value, value_to_date, previous_value, previous_value_to_date FROM kpi.team_monthly
 WHERE kpi = 'vt_count' AND team = 'company' AND period BETWEEN '2026-11' AND '2026-12' ORDER BY period;
-- and west of it today is yesterday
SET vt.time_zone = 'America/Los_Angeles';
SELECT kpi.alter_calendar('vt', time_zone => 'America/Los_Angeles');
CALL kpi.refresh();
SET kpi.now = '2026-12-01 03:00+00';
SELECT * FROM vt.compare_all();
SELECT * FROM kpi.verify();
SELECT vt.drop_all();

-- The numbers of the example: 5,000 dated ahead are no growth.
SET kpi.now = '2026-11-15 12:00+00';
CREATE TABLE vt.example (id integer PRIMARY KEY, amount numeric, day date);
INSERT INTO vt.example VALUES (1, 100, '2026-10-10'), (2, 1000, '2026-10-20'), (3, 100, '2026-11-10'), (4, 5000, '2026-11-30');
SELECT kpi.create_source('vt_example', relation => 'vt.example', key => 'id', at => 'day') > 0 AS source;
SELECT kpi.create_kpi('vt_amount', source => 'vt_example', measure => 'sum(amount)') > 0 AS kpi;
SELECT kpi.create_kpi('vt_average', source => 'vt_example', measure => 'avg(amount)') > 0 AS kpi;
CALL kpi.refresh();
SELECT kpi, period, value, value_to_date, previous_value, previous_value_to_date, growth_ratio
  FROM kpi.team_monthly WHERE kpi IN ('vt_amount', 'vt_average') AND team = 'company' ORDER BY kpi, period;
-- what is ahead alone: 0 to date of a sum, nothing of an average, and no growth
DELETE FROM vt.example WHERE id = 3;
INSERT INTO vt.example VALUES (5, 7, '2026-12-01');
CALL kpi.refresh();
SELECT kpi, period, value, value_to_date, previous_value, previous_value_to_date, growth_ratio
  FROM kpi.team_monthly WHERE kpi IN ('vt_amount', 'vt_average') AND team = 'company' ORDER BY kpi, period;
-- as of another day, without a refresh
SET kpi.now = '2026-12-01 12:00+00';
SELECT kpi, period, value, value_to_date, previous_value, previous_value_to_date, growth_ratio
  FROM kpi.team_monthly WHERE kpi IN ('vt_amount', 'vt_average') AND team = 'company' ORDER BY kpi, period;
-- and as of several days in one snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT value_to_date FROM kpi.team_yearly WHERE kpi = 'vt_amount' AND team = 'company';
SET LOCAL kpi.now = '2026-10-15 12:00+00';
SELECT value_to_date FROM kpi.team_yearly WHERE kpi = 'vt_amount' AND team = 'company';
SET LOCAL kpi.now = '2026-10-25 12:00+00';
SELECT value_to_date FROM kpi.team_yearly WHERE kpi = 'vt_amount' AND team = 'company';
ROLLBACK;
SELECT kpi.drop_source('vt_example', cascade => true);
DROP SCHEMA vt CASCADE;
