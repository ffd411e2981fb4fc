-- Calendars, periods, holidays, the table of days.
SET datestyle = 'ISO, YMD';

SELECT * FROM kpi.calendar;
SELECT calendar_id, min(day), count(*) = max(day) - min(day) + 1 AS no_gap,
       extract(year FROM max(day)) >= extract(year FROM now()) + 10 AS ten_years_ahead
  FROM kpi.calendar_day GROUP BY calendar_id;
-- which never goes beyond 1900 and 2200
BEGIN;
SELECT kpi_internal.calendar_day_extend('-infinity', 'infinity');
SELECT min(day), max(day), count(*) = count(DISTINCT calendar_id) * (max(day) - min(day) + 1) AS no_gap FROM kpi.calendar_day;
ROLLBACK;

-- The names, and what they mean
SELECT g.grain, kpi.period_name(d.day, g.grain) AS name,
       kpi.period_start(d.day, g.grain), kpi.period_end(d.day, g.grain)
  FROM (VALUES (date '2026-10-05'), ('2027-01-01'), ('2024-02-29')) d (day),
       (VALUES (1, 'day'), (2, 'week'), (3, 'month'), (4, 'quarter'), (5, 'year')) g (n, grain)
 ORDER BY d.day, g.n;
SELECT p.name, f.*
  FROM (VALUES (1, '2026'), (2, '2026-Q4'), (3, '2026-10'), (4, '2026-W41'), (5, '2026-10-05'),
               (6, '2026-q1'), (7, '2020-W53'), (8, '2024-02-29'), (9, '0001'), (10, '9999')) p (n, name),
       kpi.parse_period(p.name) f
 ORDER BY p.n;
SELECT kpi.period_shift('2026-Q4', 1) AS quarter, kpi.period_shift('2026', -10) AS year,
       kpi.period_shift('2026-12', 13) AS month, kpi.period_shift('2026-W53', 1) AS week,
       kpi.period_shift('2024-03-01', -1) AS day, kpi.period_shift('2026-Q4', 0) AS same;
SELECT * FROM kpi.periods('2026-01-15', '2026-03-01', 'month');
SELECT * FROM kpi.periods('2026-01-15', '2026-03-02', 'month');
SELECT * FROM kpi.periods('2026-12-25', '2027-01-08', 'week');
SELECT count(*) FROM kpi.periods('2026-01-15', '2026-01-15', 'day');
SELECT count(*) FROM kpi.periods('2026-01-15', '2026-01-14', 'year');
SELECT count(*), min(period), max(period) FROM kpi.periods('0001-01-01', '9999-12-31'::date + 1, 'year');
SELECT kpi.period_name(NULL, 'day') IS NULL AS null_in_null_out;

-- Malformed names list the forms; what does not exist says so
SELECT kpi.parse_period('');
SELECT kpi.parse_period('26');
SELECT kpi.parse_period('2026-');
SELECT kpi.parse_period('2026-1');
SELECT kpi.parse_period('2026-Q');
SELECT kpi.parse_period('2026-Q10');
SELECT kpi.parse_period('2026-10-5');
SELECT kpi.parse_period(' 2026');
SELECT kpi.parse_period('2026-10-05x');
SELECT kpi.parse_period('20260');
SELECT kpi.parse_period('Q4 2026');
SELECT kpi.parse_period('F2026');
SELECT kpi.parse_period('-2026');
SELECT kpi.parse_period('2026-Q5');
SELECT kpi.parse_period('2026-Q0');
SELECT kpi.parse_period('2026-13');
SELECT kpi.parse_period('2026-00-10');
SELECT kpi.parse_period('2026-02-29');
SELECT kpi.parse_period('2026-02-00');
SELECT kpi.parse_period('2026-W54');
SELECT kpi.parse_period('2025-W53');
SELECT kpi.parse_period('2026-W00');
SELECT kpi.parse_period('0000');
SELECT kpi.parse_period('FY2026');
SELECT kpi.parse_period('FY2026-10');
SELECT kpi.parse_period('2026', 'nowhere');
SELECT kpi.period_start('2026-10-05', 'decade');
SELECT kpi.period_start('infinity', 'month');
SELECT kpi.period_end('0001-12-31 BC', 'month');
SELECT kpi.period_name('10000-01-01', 'day');
SELECT kpi.period_shift('9999', 1);
SELECT kpi.period_shift('2026-10-05', 2147483647);
SELECT kpi.period_shift('2026-Q1', -2147483648);
SELECT * FROM kpi.periods('-infinity', '2026-01-01', 'year');
SELECT * FROM kpi.periods('2026-01-01', 'infinity', 'year');
SELECT kpi.workdays('2026-01-01', 'infinity');

-- Calendars
SELECT kpi.create_calendar('fiscal', 'Europe/Berlin', fiscal_year_start => 4) > 1 AS created;
SELECT kpi.create_calendar('us', time_zone => 'america/new_york', week_start => 'Sunday', fiscal_year_start => 10) > 1 AS created;
SELECT kpi.create_calendar('gulf', time_zone => 'Asia/Dubai', week_start => 'sat', working_days => 'sun, Monday,tue,wed,thu,sun') > 1 AS created;
SELECT name, time_zone, week_start, fiscal_year_start, working_days FROM kpi.calendar ORDER BY id;

SELECT kpi.create_calendar('fiscal', 'UTC');
SELECT kpi.create_calendar('', 'UTC');
SELECT kpi.create_calendar(NULL, 'UTC');
SELECT kpi.create_calendar('x', NULL);
SELECT kpi.create_calendar('x', 'Europe/Nowhere');
SELECT kpi.create_calendar('x', 'CET');
SELECT kpi.create_calendar('x', '+02:00');
SELECT kpi.create_calendar('x', 'UTC', week_start => 'someday');
SELECT kpi.create_calendar('x', 'UTC', fiscal_year_start => 0);
SELECT kpi.create_calendar('x', 'UTC', fiscal_year_start => 13);
SELECT kpi.create_calendar('x', 'UTC', working_days => 'mon,tues');
SELECT kpi.create_calendar('x', 'UTC', working_days => ' , ');
SELECT kpi.alter_calendar('nowhere');
SELECT kpi.alter_calendar('us', fiscal_year_start => 13);
SELECT kpi.alter_calendar('us', time_zone => 'EST5');
SELECT kpi.drop_calendar('nowhere');
SELECT kpi.drop_calendar('default');
SELECT kpi.add_holiday(NULL, 'x');
SELECT kpi.add_holiday('infinity', 'x');
SELECT kpi.add_holiday('2026-12-25', '');
SELECT kpi.add_holiday('2026-12-25', 'Christmas', 'nowhere');
SELECT kpi.drop_holiday('2026-12-25');

-- Fiscal years are named by the year in which they end
SELECT c.name, g.grain, kpi.period_name(d.day, g.grain, c.name) AS period,
       kpi.period_start(d.day, g.grain, c.name), kpi.period_end(d.day, g.grain, c.name)
  FROM (VALUES ('fiscal'), ('us')) c (name), (VALUES (date '2026-03-31'), ('2026-04-01')) d (day),
       (VALUES (1, 'month'), (2, 'quarter'), (3, 'year')) g (n, grain)
 ORDER BY c.name, d.day, g.n;
SELECT p.name, f.* FROM (VALUES (1, 'FY2026'), (2, '2026'), (3, 'fy2026-Q1'), (4, '2026-Q1'), (5, '2026-10')) p (n, name),
       kpi.parse_period(p.name, 'fiscal') f ORDER BY p.n;
SELECT kpi.period_shift('FY2026-Q4', 1, 'fiscal') AS quarter, kpi.period_shift('2026', 1, 'fiscal') AS year;
SELECT kpi.parse_period('FY2026-W01', 'fiscal');

-- Weeks from Sunday or Saturday on: the ISO week of their fourth day
SELECT d.day, to_char(d.day, 'Dy') AS weekday, kpi.period_name(d.day, 'week') AS iso,
       kpi.period_name(d.day, 'week', 'us') AS us, kpi.period_start(d.day, 'week', 'us') AS us_start,
       kpi.period_name(d.day, 'week', 'gulf') AS gulf, kpi.period_start(d.day, 'week', 'gulf') AS gulf_start
  FROM (SELECT date '2027-01-01' + i AS day FROM generate_series(0, 5) i) d ORDER BY 1;

-- ISO weeks, months, quarters and years are PostgreSQL's own
SELECT count(*) AS days,
       count(*) FILTER (WHERE kpi.period_name(day, 'week') <> to_char(day, 'IYYY-"W"IW')) AS week_names,
       count(*) FILTER (WHERE kpi.period_name(day, 'quarter') <> to_char(day, 'YYYY-"Q"Q')) AS quarter_names,
       count(*) FILTER (WHERE kpi.period_start(day, 'week') <> date_trunc('week', day)::date) AS weeks,
       count(*) FILTER (WHERE kpi.period_start(day, 'month') <> date_trunc('month', day)::date) AS months,
       count(*) FILTER (WHERE kpi.period_start(day, 'quarter') <> date_trunc('quarter', day)::date) AS quarters,
       count(*) FILTER (WHERE kpi.period_start(day, 'year') <> date_trunc('year', day)::date) AS years
  FROM (SELECT date '0001-01-01' + i * 61 AS day FROM generate_series(0, 59869) i) d;

-- Whatever the week start and the fiscal year: laws for random days
SELECT kpi.create_calendar('w' || w || 'f' || f, 'UTC', (ARRAY['mon','tue','wed','thu','fri','sat','sun'])[w], f) > 1 AS created
  FROM (VALUES (1, 1), (2, 2), (3, 4), (4, 7), (5, 10), (6, 12), (7, 6)) v (w, f);
SELECT 0.2026 AS seed \gset
SELECT setseed(:seed);
CREATE TEMPORARY TABLE law AS
SELECT c.name AS calendar, c.week_start AS first_weekday, c.fiscal_year_start AS first_month, g.n, g.grain, d.day, d.shift,
       kpi.period_start(d.day, g.grain, c.name) AS start, kpi.period_end(d.day, g.grain, c.name) AS "end",
       kpi.period_name(d.day, g.grain, c.name) AS period
  FROM kpi.calendar c,
       (VALUES (1, 'day'), (2, 'week'), (3, 'month'), (4, 'quarter'), (5, 'year')) g (n, grain),
       -- a little away from the first and the last year, so that shifts stay within
       (SELECT date '0300-01-01' + (random() * 365.2425 * 9300)::integer AS day, (random() * 400 - 200)::integer AS shift
          FROM generate_series(1, 300)) d;
SELECT :seed AS seed, count(*) AS checked,
       count(*) FILTER (WHERE day NOT BETWEEN start AND "end") AS outside,
       count(*) FILTER (WHERE kpi.period_end(start, grain, calendar) <> "end"
                           OR kpi.period_start("end", grain, calendar) <> start) AS not_the_same,
       count(*) FILTER (WHERE kpi.period_start("end" + 1, grain, calendar) <> "end" + 1) AS gap,
       count(*) FILTER (WHERE (kpi.parse_period(period, calendar)) IS DISTINCT FROM (grain, start, "end")) AS not_parsed_back,
       count(*) FILTER (WHERE kpi.period_shift(kpi.period_shift(period, shift, calendar), -shift, calendar) <> period) AS not_shifted_back,
       count(*) FILTER (WHERE kpi.period_shift(period, 1, calendar) <> kpi.period_name("end" + 1, grain, calendar)) AS not_next
  FROM law;
SELECT count(*) FILTER (WHERE grain = 'week' AND (extract(isodow FROM start) <> first_weekday OR "end" - start <> 6)) AS weeks,
       count(*) FILTER (WHERE grain = 'year' AND extract(month FROM start) <> first_month) AS years,
       count(*) FILTER (WHERE grain = 'week' AND period <> to_char(start + 3, 'IYYY-"W"IW')) AS week_names,
       count(*) FILTER (WHERE grain IN ('quarter', 'year')
                          AND substr(period, CASE WHEN first_month = 1 THEN 1 ELSE 3 END, 4)::integer
                              <> extract(year FROM kpi.period_end(day, 'year', calendar))) AS year_names
  FROM law;
SELECT count(*) AS not_nested FROM law a JOIN law b USING (calendar, day)
 WHERE (a.grain, b.grain) IN (('day', 'week'), ('day', 'month'), ('month', 'quarter'), ('quarter', 'year'))
   AND NOT (a.start >= b.start AND a."end" <= b."end");
-- periods() tile: the first holds since, the last the day before until
SELECT count(*) AS lists, count(*) FILTER (WHERE NOT ok) AS wrong
  FROM law, LATERAL (
       SELECT min(p.period_start) = start AND max(p.period_end) >= day + 200 AND max(p.period_start) <= day + 200
              AND sum(p.period_end - p.period_start + 1) = max(p.period_end) - min(p.period_start) + 1
              AND bool_and(p.period = kpi.period_name(p.period_start, grain, calendar)) AS ok
         FROM kpi.periods(day, day + 201, grain, calendar) p) t
 WHERE shift > 100;
-- the edges
SELECT g.grain, kpi.period_start(d.day, g.grain, c.name), kpi.period_end(d.day, g.grain, c.name), kpi.period_name(d.day, g.grain, c.name)
  FROM (VALUES (date '0001-01-01'), ('9999-12-31')) d (day), (VALUES ('default'), ('us')) c (name),
       (VALUES (1, 'week'), (2, 'quarter'), (3, 'year')) g (n, grain) ORDER BY d.day, c.name, g.n;
DROP TABLE law;
SELECT kpi.drop_calendar(name) FROM kpi.calendar WHERE name ~ '^w\df' \g /dev/null

-- Holidays and working days
SELECT kpi.add_holiday('2026-12-25', 'Christmas');
SELECT kpi.add_holiday('2026-12-26', 'Boxing Day');
SELECT kpi.add_holiday('2026-12-25', 'Christmas');
SELECT h.day, h.name, c.name AS calendar FROM kpi.holiday h JOIN kpi.calendar c ON c.id = h.calendar_id ORDER BY 1;
SELECT kpi.workdays('2026-12-21', '2026-12-28') AS christmas_week, kpi.workdays('2026-12-21', '2026-12-28', 'gulf') AS gulf,
       kpi.workdays('2026-12-25', '2026-12-27') AS none, kpi.workdays('2026-12-24', '2026-12-24') AS empty,
       kpi.workdays('2026-12-28', '2026-12-21') AS backwards, kpi.workdays('2026-01-01', '2027-01-01') AS year,
       kpi_internal.workdays('2026-12-24', '2026-12-24', 1) AS one_day;
-- Of periods without end too there is an answer, and at once.
SELECT round(f.days::numeric, 6) AS days, round(f.workdays::numeric, 6) AS workdays
  FROM (VALUES ('-infinity'::date, 'infinity'::date, '2026-12-21'::date), ('-infinity', 'infinity', 'infinity'), ('-infinity', '-infinity', '-infinity'),
               ('infinity', 'infinity', '2026-12-21'), ('infinity', '-infinity', '2026-12-21'), ('5000000-01-01', '5000001-01-01', '5000000-07-01')) p (since, until, today),
       kpi_internal.goal_gone(p.since, p.until, p.today, 1) f;
SELECT min(day), max(day) FROM kpi_internal.calendar_days(1, '-infinity', 'infinity');
SET kpi.now = 'infinity';
SET kpi.now = 'tomorrow evening';
SHOW kpi.now;
SELECT kpi.add_holiday(date '2020-01-01' + i * 37, 'h' || i, 'gulf') FROM generate_series(0, 89) i \g /dev/null
SELECT setseed(:seed);
SELECT :seed AS seed, count(*) AS ranges,
       count(*) FILTER (WHERE kpi.workdays(since, until, 'gulf') <>
             (SELECT count(*) FROM generate_series(since, until - 1, interval '1 day') d
               WHERE extract(isodow FROM d) NOT IN (5, 6)
                 AND d::date NOT IN (SELECT h.day FROM kpi.holiday h JOIN kpi.calendar c ON c.id = h.calendar_id WHERE c.name = 'gulf'))) AS wrong
  FROM (SELECT date '2019-06-01' + (random() * 2000)::integer AS since, date '2019-06-01' + (random() * 4000)::integer AS until
          FROM generate_series(1, 500)) r;

-- The table of days says what the functions say, and follows every change
CREATE TEMPORARY VIEW day_difference AS
SELECT c.name, count(*) FILTER (WHERE d.day IS NULL) AS missing,
       count(*) FILTER (WHERE (d.iso_weekday, d.weekday, d.week, d.week_start, d.month, d.month_start,
                               d.quarter, d.quarter_start, d.year, d.year_start, d.is_working_day, d.workday_number, d.holiday)
         IS DISTINCT FROM (extract(isodow FROM s.day)::integer, rtrim(to_char(s.day, 'Day')),
                           kpi.period_name(s.day, 'week', c.name), kpi.period_start(s.day, 'week', c.name),
                           kpi.period_name(s.day, 'month', c.name), kpi.period_start(s.day, 'month', c.name),
                           kpi.period_name(s.day, 'quarter', c.name), kpi.period_start(s.day, 'quarter', c.name),
                           kpi.period_name(s.day, 'year', c.name), kpi.period_start(s.day, 'year', c.name),
                           kpi.workdays(s.day, s.day + 1, c.name) = 1,
                           kpi.workdays(kpi.period_start(s.day, 'year', c.name), s.day + 1, c.name),
                           (SELECT h.name FROM kpi.holiday h WHERE h.calendar_id = c.id AND h.day = s.day))) AS wrong
  FROM kpi.calendar c CROSS JOIN (SELECT DISTINCT day FROM kpi.calendar_day WHERE day < '2001-01-01' OR day BETWEEN '2024-01-01' AND '2028-12-31') s
  LEFT JOIN kpi.calendar_day d ON d.calendar_id = c.id AND d.day = s.day
 GROUP BY c.name;
SELECT * FROM day_difference ORDER BY name;
SELECT day, weekday, is_working_day, workday_number, holiday, week, quarter FROM kpi.calendar_day
 WHERE calendar_id = 1 AND day BETWEEN '2026-12-24' AND '2027-01-02' ORDER BY day;
SELECT kpi.drop_holiday('2026-12-26');
SELECT kpi.alter_calendar('fiscal', week_start => 'wednesday', fiscal_year_start => 9, working_days => 'sat,sun');
SELECT kpi.add_holiday('2026-08-30', 'last Sunday of the year', 'fiscal');
SELECT * FROM day_difference WHERE missing + wrong > 0;
SELECT day, week, year, workday_number, holiday FROM kpi.calendar_day d JOIN kpi.calendar c ON c.id = d.calendar_id
 WHERE c.name = 'fiscal' AND day BETWEEN '2026-08-29' AND '2026-09-05' ORDER BY day;
-- a change that is rolled back leaves no trace, in no cache
BEGIN;
SELECT kpi.add_holiday('2026-03-02', 'once');
SELECT kpi.workdays('2026-03-02', '2026-03-03');
SAVEPOINT s;
SELECT kpi.drop_holiday('2026-03-02');
SELECT kpi.workdays('2026-03-02', '2026-03-03');
ROLLBACK TO s;
SELECT kpi.workdays('2026-03-02', '2026-03-03');
ROLLBACK;
SELECT kpi.workdays('2026-03-02', '2026-03-03'), is_working_day FROM kpi.calendar_day WHERE calendar_id = 1 AND day = '2026-03-02';
-- extended by whole years, for every calendar
BEGIN;
SELECT kpi_internal.calendar_day_extend('1995-06-01', '2001-01-01');
SELECT count(DISTINCT calendar_id) = (SELECT count(*) FROM kpi.calendar) AS all_calendars, min(day), count(*) > 0 AS some FROM kpi.calendar_day;
SELECT * FROM day_difference WHERE missing + wrong > 0;
SELECT kpi_internal.calendar_day_extend('1995-06-01', '2001-01-01');
ROLLBACK;
SELECT min(day) FROM kpi.calendar_day;
SELECT kpi_internal.calendar_day_extend('2500-01-01', '2600-01-01'), kpi_internal.calendar_day_extend('2026-02-01', '2026-01-01');
SELECT min(day), max(day) < '2100-01-01' AS as_before FROM kpi.calendar_day;

-- Days of 23 and 25 hours, days that begin at one o'clock, a day that never was
SELECT kpi.create_calendar('sao_paulo', 'America/Sao_Paulo') > 1 AS created, kpi.create_calendar('apia', 'Pacific/Apia') > 1 AS created;
CREATE FUNCTION pg_temp.today_at(calendar text, moment timestamptz) RETURNS date LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('kpi.now', moment::text, false);
    RETURN kpi.today(calendar);
END $$;
SELECT c.name, pg_temp.today_at(c.name, m) AS day, count(*) / 2 AS hours, min(m AT TIME ZONE 'UTC') AS begins_utc
  FROM (VALUES ('fiscal', timestamptz '2026-03-28 00:00 Europe/Berlin'), ('fiscal', '2026-10-24 00:00 Europe/Berlin'),
               ('sao_paulo', '2018-11-03 00:00 America/Sao_Paulo'), ('sao_paulo', '2018-02-17 00:00 America/Sao_Paulo'),
               ('apia', '2011-12-29 00:00 Pacific/Apia')) c (name, since),
       generate_series(c.since, c.since + interval '71 hours 30 minutes', interval '30 minutes') m
 GROUP BY 1, 2 ORDER BY 1, 2;
-- and each of them is the day of AT TIME ZONE
SELECT count(*) AS moments, count(*) FILTER (WHERE pg_temp.today_at(c.name, m) <> (m AT TIME ZONE c.time_zone)::date) AS wrong
  FROM kpi.calendar c, generate_series(timestamptz '2011-12-25 00:00 UTC', '2012-04-01 00:00 UTC', interval '59 minutes') m
 WHERE c.name IN ('default', 'fiscal', 'us', 'sao_paulo', 'apia');
SET kpi.now = '2026-10-05 23:30:00+00';
SELECT kpi.today(), kpi.today('fiscal'), kpi.today('us'), kpi_internal.today(1);
SET kpi.now = '';
SELECT kpi.today() = (now() AT TIME ZONE 'UTC')::date AS clock;
SELECT kpi.today('nowhere');
SELECT kpi_internal.today(0);

-- What CREATE EXTENSION inserts itself comes back from a dump as an update
BEGIN;
INSERT INTO kpi.calendar (id, name, time_zone, fiscal_year_start) VALUES (1, 'default', 'Asia/Tokyo', 7);
SELECT id, name, time_zone, fiscal_year_start FROM kpi.calendar WHERE id = 1;
SELECT year FROM kpi.calendar_day WHERE calendar_id = 1 AND day = '2026-10-05';
ROLLBACK;

-- and a reference is looked up in what our functions write, not in a dump's rows
BEGIN;
INSERT INTO kpi.holiday (calendar_id, day, name) VALUES (-1, '2026-12-25', 'restored before its calendar');
ROLLBACK;
CREATE FUNCTION pg_temp.as_ours() RETURNS void LANGUAGE sql SECURITY DEFINER AS
$$INSERT INTO kpi.holiday (calendar_id, day, name) VALUES (-1, '2026-12-25', 'of no calendar')$$;
SELECT pg_temp.as_ours();
\set VERBOSITY terse
DELETE FROM kpi.calendar WHERE name = 'gulf';
\set VERBOSITY default

-- In use, and who may
SELECT id AS company FROM kpi.team WHERE key = 'company' \gset
BEGIN;
UPDATE kpi.team SET calendar_id = (SELECT id FROM kpi.calendar WHERE name = 'us') WHERE id = :company;
SELECT kpi.drop_calendar('us');
ROLLBACK;
-- another time zone moves the days of its sources: a new version, nothing else does
CREATE TABLE public.calendar_deals (id integer PRIMARY KEY, at timestamptz, amount numeric);
SELECT kpi.create_source('calendar_deals', relation => 'public.calendar_deals', key => 'id', at => 'at', calendar => 'us') IS NOT NULL AS created;
SELECT kpi.create_kpi('calendar_deals', source => 'calendar_deals', measure => 'count(*)') IS NOT NULL AS created;
SELECT t.version FROM (SELECT * FROM kpi_internal.stream WHERE part <> 'left_out') t JOIN kpi.source s ON s.id = t.source_id WHERE s.name = 'calendar_deals' \gset before_
SELECT kpi.drop_calendar('us');
SELECT kpi.alter_calendar('us', time_zone => 'America/New_York', fiscal_year_start => 11);
SELECT t.version - :before_version AS raised FROM (SELECT * FROM kpi_internal.stream WHERE part <> 'left_out') t JOIN kpi.source s ON s.id = t.source_id WHERE s.name = 'calendar_deals';
BEGIN;
SELECT kpi.alter_calendar('us', time_zone => 'America/Chicago');
SELECT t.version - :before_version AS raised FROM (SELECT * FROM kpi_internal.stream WHERE part <> 'left_out') t JOIN kpi.source s ON s.id = t.source_id WHERE s.name = 'calendar_deals';
SELECT mode FROM pg_locks WHERE relation = 'public.calendar_deals'::regclass AND pid = pg_backend_pid() AND mode = 'ShareRowExclusiveLock';
COMMIT;
-- the default calendar cannot take a goal's period away
SET kpi.now = '2026-07-15 12:00:00+00';
SELECT kpi.create_goal('by calendar', kpi => 'calendar_deals', team => 'company', period => '2026-07', target => '1') IS NOT NULL AS created;
BEGIN;
SELECT kpi.alter_calendar('default', fiscal_year_start => 2);
ROLLBACK;
SELECT kpi.alter_source('calendar_deals', calendar => 'default');
SELECT kpi.create_goal('by quarter', kpi => 'calendar_deals', team => 'company', period => '2026-Q3', target => '1') IS NOT NULL AS created;
SELECT kpi.alter_calendar('default', fiscal_year_start => 2);
SELECT kpi.alter_calendar('default', fiscal_year_start => 4);
SELECT kpi.alter_calendar('default', fiscal_year_start => 1, week_start => 'mon');
SELECT kpi.drop_goal('by quarter'), kpi.drop_goal('by calendar');
SET kpi.now = '';
SELECT kpi.drop_source('calendar_deals', cascade => true);
DROP TABLE public.calendar_deals;
CREATE ROLE regress_calendar;
GRANT USAGE ON SCHEMA kpi TO regress_calendar;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kpi TO regress_calendar;
SET ROLE regress_calendar;
SELECT kpi.create_calendar('x', 'UTC');
SELECT kpi.alter_calendar('us', fiscal_year_start => 1);
SELECT kpi.drop_calendar('us');
SELECT kpi.add_holiday('2026-12-24', 'x');
SELECT kpi.drop_holiday('2026-12-25');
SELECT kpi.period_name('2026-10-05', 'week'), kpi.workdays('2026-12-21', '2026-12-28');
RESET ROLE;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kpi FROM regress_calendar;
REVOKE ALL ON SCHEMA kpi FROM regress_calendar;
DROP ROLE regress_calendar;

DROP VIEW day_difference;
SELECT kpi.drop_holiday('2026-12-25');
SELECT kpi.drop_calendar(name) FROM kpi.calendar WHERE id > 1 \g /dev/null
SELECT * FROM kpi.calendar;
SELECT count(*) AS holidays FROM kpi.holiday;
SELECT count(DISTINCT calendar_id) AS calendars FROM kpi.calendar_day;
