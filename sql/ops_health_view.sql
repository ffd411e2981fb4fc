-- What kpi.health() and the workers go by are views, to be asked in psql.
CREATE ROLE regress_health_definer;
CREATE ROLE regress_health_reader;
SELECT kpi.grant_editor('regress_health_definer');
SELECT kpi.grant_reader('regress_health_reader');
CREATE SCHEMA health_view;
GRANT USAGE, CREATE ON SCHEMA health_view TO regress_health_definer;
SET ROLE regress_health_definer;
CREATE TABLE health_view.deals (id integer PRIMARY KEY, day date, amount text);
INSERT INTO health_view.deals VALUES (1, '2026-10-05', '7'), (2, '2026-10-05', 'seven');
SELECT kpi.create_source('health_deals', relation => 'health_view.deals', at => 'day') > 0 AS made;
SELECT kpi.create_kpi('health_sum', source => 'health_deals', measure => 'sum(amount::numeric)') > 0 AS made;
RESET ROLE;

-- the worker's agenda: the source is new, then it is not, then a KPI is; a formula needs no building
SELECT source, must_build FROM kpi_internal.agenda WHERE source = 'health_deals';
CALL kpi.refresh('health_deals');
SELECT source, must_refresh, must_build, had_deltas, is_continuous, refresh_seconds
  FROM kpi_internal.agenda WHERE source = 'health_deals';
SELECT kpi.create_kpi('health_count', source => 'health_deals', measure => 'count(*)') > 0 AS made;
SELECT must_build FROM kpi_internal.agenda WHERE source = 'health_deals';
CALL kpi.refresh('health_deals');
SELECT kpi.create_kpi('health_mean', formula => 'health_sum / health_count') > 0 AS made;
SELECT must_build FROM kpi_internal.agenda WHERE source = 'health_deals';
CALL kpi.refresh('health_deals');
SELECT kpi.create_team('health_team') > 0 AS made;
SELECT must_refresh, must_build FROM kpi_internal.agenda WHERE source = 'health_deals';
CALL kpi.refresh('health_deals');
SELECT must_refresh, must_build FROM kpi_internal.agenda WHERE source = 'health_deals';
SELECT kpi.set_refresh('health_deals', 'manual');
SELECT count(*) FROM kpi_internal.agenda WHERE source = 'health_deals';

-- the text of an error is for its definer and superusers, whoever reads the view
SELECT viewer = current_user AS is_superuser, severity, problem, object, detail
  FROM kpi_internal.health_source
 WHERE object = 'source "health_deals"' AND viewer IN (current_user, 'regress_health_definer', 'regress_health_reader')
 ORDER BY viewer <> current_user, viewer;
-- and the function gives everybody his own rows
SET ROLE regress_health_reader;
SELECT problem, detail FROM kpi.health() WHERE object = 'source "health_deals"';
SELECT count(*) FROM kpi_internal.health_source;
SELECT count(*) FROM kpi_internal.agenda;
SELECT count(*) FROM kpi_internal.goal_announcement;
RESET ROLE;

-- a transaction is old by the clock that kpi.now pretends
SELECT kpi_internal.now() = statement_timestamp() AS is_now;
SET kpi.now = '2026-10-20 12:00+00';
SELECT kpi_internal.now() = '2026-10-20 12:00+00' AS is_now;

-- statuses that nobody has been told
SELECT kpi.create_goal('health_goal', kpi => 'health_sum', period => '2026-10', target => 7) AS goal \gset
SELECT goal, old_status, status FROM kpi_internal.goal_announcement WHERE goal_id = :goal;
UPDATE kpi_internal.goal_status SET status = 'behind' WHERE goal_id = :goal;
SELECT goal, kpi, scope, period, old_status, status, actual, target
  FROM kpi_internal.goal_announcement WHERE goal_id = :goal;
DELETE FROM kpi_internal.goal_status WHERE goal_id = :goal;
SELECT old_status, status FROM kpi_internal.goal_announcement WHERE goal_id = :goal;

-- all of them say what they are
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace = 'kpi_internal'::regnamespace AND c.relname ~ '^(health_|agenda$|goal_announcement$)'
   AND obj_description(c.oid, 'pg_class') IS NULL;

RESET kpi.now;
SET client_min_messages = warning;
SELECT kpi.drop_goal(:goal);
SELECT kpi.drop_kpi('health_mean');
SELECT kpi.drop_source('health_deals', cascade => true);
SELECT kpi.drop_team('health_team');
SELECT kpi.revoke_editor('regress_health_definer'), kpi.revoke_reader('regress_health_definer'),
       kpi.revoke_reader('regress_health_reader');
DROP SCHEMA health_view CASCADE;
DROP ROLE regress_health_definer, regress_health_reader;
