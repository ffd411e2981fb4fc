-- When sources are refreshed: modes, pausing, resuming, schedules.
SET client_min_messages = warning;
CREATE SCHEMA policy_test;
CREATE TABLE policy_test.deals (id integer PRIMARY KEY, owner text, closed_at date, amount numeric);
CREATE TABLE policy_test.visits (id integer PRIMARY KEY, day date);
INSERT INTO policy_test.deals VALUES (1, 'alice', '2026-10-05', 100), (2, 'bob', '2026-10-06', 20);
SELECT kpi.create_source('deals', relation => 'policy_test.deals', owner => 'owner', at => 'closed_at') > 0 AS created;
SELECT kpi.create_source('visits', relation => 'policy_test.visits', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('visitors', source => 'visits', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh();

CREATE VIEW policy_test.policy AS
    SELECT source, status, refresh_mode, refresh_seconds, is_paused, pending_deltas FROM kpi.source_status ORDER BY source;
CREATE VIEW policy_test.revenue AS
    SELECT period, value FROM kpi.team_monthly WHERE kpi = 'revenue' AND team = 'company' ORDER BY period;

-- Modes.
SELECT * FROM policy_test.policy;
SELECT kpi.set_refresh('deals', every => interval '5 minutes');
SELECT kpi.set_refresh('visits', 'manual');
SELECT * FROM policy_test.policy;
SELECT kpi.set_refresh('deals', mode => 'interval', every => '1 month 1 day 1.9 seconds');
SELECT refresh_mode, refresh_seconds FROM kpi.source WHERE name = 'deals';
SELECT kpi.set_refresh('deals', every => '1 second');
SELECT kpi.set_refresh('visits', 'continuous');
SELECT * FROM policy_test.policy;

-- Errors leave it as it was.
SELECT kpi.set_refresh('dealz', 'manual');
SELECT kpi.set_refresh(NULL, 'manual');
SELECT kpi.set_refresh('deals');
SELECT kpi.set_refresh('deals', 'hourly');
SELECT kpi.set_refresh('deals', 'interval');
SELECT kpi.set_refresh('deals', 'manual', '1 hour');
SELECT kpi.set_refresh('deals', every => '0');
SELECT kpi.set_refresh('deals', every => '-1 hour');
SELECT kpi.set_refresh('deals', every => '0.9 seconds');
SELECT kpi.set_refresh('deals', every => '100 years');
SELECT kpi.pause('dealz');
SELECT kpi.resume('dealz');
SELECT * FROM policy_test.policy;
SELECT kpi.set_refresh('deals', 'continuous');

-- A paused source stands still; what is written waits.
SELECT kpi.pause('deals');
INSERT INTO policy_test.deals VALUES (3, 'alice', '2026-10-07', 3);
INSERT INTO policy_test.visits VALUES (1, '2026-10-07');
CALL kpi.refresh();
SELECT * FROM policy_test.policy;
SELECT * FROM policy_test.revenue;
CALL kpi.refresh('deals');
SELECT kpi.repair('deals');
SELECT source_name, level, stored, expected FROM kpi.verify('deals');
SELECT source_name, level, stored, expected FROM kpi.verify();
SELECT * FROM policy_test.revenue;
SELECT kpi.pause('deals');
SELECT kpi.resume('deals');
SELECT * FROM policy_test.policy;
SELECT * FROM policy_test.revenue;
-- It was not built anew.
SELECT kind, deltas FROM kpi.refresh_log WHERE source = 'deals' ORDER BY id DESC LIMIT 1;
SELECT * FROM kpi.verify();

-- All at once.
SELECT kpi.pause();
SELECT * FROM policy_test.policy;
INSERT INTO policy_test.deals VALUES (4, 'bob', '2026-11-01', 4);
CALL kpi.refresh();
SELECT * FROM policy_test.revenue;
SELECT kpi.resume();
SELECT * FROM policy_test.policy;
SELECT * FROM policy_test.revenue;
SELECT kpi.resume();

-- Suspended and paused: resuming rebuilds.
SELECT kpi.pause('deals');
CREATE TABLE policy_test.child () INHERITS (policy_test.deals);
SELECT kpi.resume('deals');
SELECT status, capture_tables, capture_problem FROM kpi.source_status WHERE source = 'deals';
SELECT status, reason, is_paused FROM kpi.source_status WHERE source = 'deals';
SELECT kpi.pause('deals');
SELECT status, is_paused FROM kpi.source_status WHERE source = 'deals';
SELECT kpi.resume('deals');
-- One that cannot go on does not keep the others back.
SELECT kpi.pause('visits');
SELECT kpi.resume();
SELECT * FROM policy_test.policy;
DROP TABLE policy_test.child;
SELECT kpi.resume();
SELECT * FROM policy_test.policy;
CALL kpi.refresh();
SELECT * FROM policy_test.policy;
SELECT kind FROM kpi.refresh_log WHERE source = 'deals' ORDER BY id DESC LIMIT 1;
SELECT * FROM kpi.verify();

-- Triggers that do not work are seen before the next refresh.
ALTER TABLE policy_test.deals DISABLE TRIGGER ALL;
SELECT source, status, capture_tables, capture_problem FROM kpi.source_status ORDER BY source;
SELECT kpi.resume('deals');
CALL kpi.refresh();
SELECT source, status, capture_tables, capture_problem FROM kpi.source_status ORDER BY source;

-- Rows written, of the last refresh.
UPDATE policy_test.deals SET amount = 5 WHERE id = 4;
CALL kpi.refresh('deals');
SELECT last_deltas, last_cells > 0 AS cells FROM kpi.source_status WHERE source = 'deals';
CALL kpi.refresh('deals');
SELECT last_deltas, last_cells FROM kpi.source_status WHERE source = 'deals';

-- Who may: the definer, and editors.
CREATE ROLE regress_kpi_nobody;
CREATE ROLE regress_kpi_editor;
SELECT kpi.grant_editor('regress_kpi_editor');
GRANT USAGE ON SCHEMA kpi TO regress_kpi_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kpi TO regress_kpi_nobody;
SET ROLE regress_kpi_nobody;
SELECT kpi.set_refresh('deals', 'manual');
SELECT kpi.pause('deals');
SELECT kpi.pause();
SELECT kpi.resume('deals');
SELECT kpi.schedule('deals', '* * * * *');
RESET ROLE;
SET ROLE regress_kpi_editor;
SELECT kpi.pause('visits');
SELECT kpi.resume('visits');
-- Rebuilding is for the definer.
SELECT kpi.resume('visits');
RESET ROLE;
UPDATE kpi_internal.source_state SET status = 'suspended', reason = '00000 this is a test';
SET ROLE regress_kpi_editor;
SELECT kpi.resume();
RESET ROLE;
SELECT kpi.resume();
CALL kpi.refresh();
SELECT source, status FROM kpi.source_status ORDER BY source;
SELECT kpi.revoke_editor('regress_kpi_editor');
SELECT kpi.revoke_reader('regress_kpi_editor');
REVOKE ALL ON SCHEMA kpi FROM regress_kpi_nobody;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kpi FROM regress_kpi_nobody;
DROP ROLE regress_kpi_nobody, regress_kpi_editor;

-- Schedules: what is wrong with or without pg_cron.
SELECT kpi.schedule('dealz', '0 6 * * 1-5');
SELECT kpi.schedule('deals', NULL);

-- The log.
SELECT s.source, l.kind, l.runs, l.deltas, l.cells > 0 AS cells,
       l.duration_ms > 0 AND l.duration_ms = l.max_duration_ms AS duration, l.is_worker, l.role = current_user AS role, l.error
  FROM kpi.source_status s JOIN kpi.refresh_log l USING (source) WHERE s.source = 'visits' ORDER BY l.id;
-- Nothing to do: no row.
SELECT count(*) AS n FROM kpi.refresh_log \gset
CALL kpi.refresh();
SELECT count(*) = :n AS same FROM kpi.refresh_log;
-- None is kept: no row.
SET kpi.log_retention = 0;
INSERT INTO policy_test.visits VALUES (2, '2026-10-07');
CALL kpi.refresh();
SELECT count(*) = :n AS same FROM kpi.refresh_log;
-- Old rows go once the oldest is an hour older than they may be.
SET kpi.log_retention = 2;
UPDATE kpi_internal.refresh_log SET started_at = started_at - interval '2 days 30 minutes' WHERE id = (SELECT min(id) FROM kpi_internal.refresh_log);
INSERT INTO policy_test.visits VALUES (3, '2026-10-07');
CALL kpi.refresh();
SELECT count(*) - :n AS added FROM kpi.refresh_log;
UPDATE kpi_internal.refresh_log SET started_at = started_at - interval '2 days 2 hours' WHERE id = (SELECT min(id) + 1 FROM kpi_internal.refresh_log);
INSERT INTO policy_test.visits VALUES (4, '2026-10-07');
CALL kpi.refresh();
SELECT count(*) - :n AS added FROM kpi.refresh_log;
RESET kpi.log_retention;
SET kpi.log_retention = -1;
\set VERBOSITY sqlstate
SET kpi.log_min_duration = -2;
\set VERBOSITY default
SET kpi.unknown = 1;

-- The counts go to the log of the server, and to the client that asks.
SET kpi.log_min_duration = 0;
SET client_min_messages = log;
INSERT INTO policy_test.visits VALUES (5, '2026-10-07'), (6, '2026-10-08');
\set VERBOSITY sqlstate
CALL kpi.refresh();
CALL kpi.refresh();
\set VERBOSITY default
RESET kpi.log_min_duration;
SET client_min_messages = warning;

-- pg_monitor sees how it does, and no numbers.
CREATE ROLE regress_kpi_monitor;
GRANT pg_monitor TO regress_kpi_monitor;
SET ROLE regress_kpi_monitor;
SELECT source, status, capture_tables, facts_ignored, pending_deltas, oldest_pending_seconds FROM kpi.source_status ORDER BY source;
SELECT count(*) > 0 AS logged FROM kpi.refresh_log;
SELECT count(*) >= 0 AS healthy FROM kpi.health();
SELECT count(*) > 0 AS seen FROM kpi.worker_status;
SELECT count(*) FROM kpi.kpi_value;
CALL kpi.refresh();
RESET ROLE;
DROP ROLE regress_kpi_monitor;

SELECT kpi.drop_source('deals', cascade => true);
SELECT kpi.drop_source('visits', cascade => true);
SELECT count(*) FROM kpi_internal.refresh_log;
DROP SCHEMA policy_test CASCADE;
