-- Whatever defines is in kpi.definition_log: each function that does, and people who are synced.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SCHEMA log_all_test;
CREATE TABLE log_all_test.deals (id integer PRIMARY KEY, owner_id text, account integer, amount numeric, closed_at date);
CREATE TABLE log_all_test.accounts (id integer PRIMARY KEY, industry text, region text);
CREATE TABLE log_all_test.people (key text, name text, team text, level text);
INSERT INTO log_all_test.people VALUES ('la_p1', 'One', 'la_s1', 'junior'), ('la_p2', 'Two', 'la_s1', 'senior'), ('la_p3', 'Three', NULL, NULL);
CREATE TABLE log_all_test.teams (key text, name text, parent text);
INSERT INTO log_all_test.teams VALUES ('la_s1', 'First', NULL), ('la_s2', 'Second', 'la_s1');

-- What a statement puts into the log: action, kind, name, and which fields differ.
CREATE FUNCTION log_all_test.logged(statement text) RETURNS TABLE (action text, kind text, name text, differs text) LANGUAGE plpgsql AS $$
DECLARE
    last bigint := (SELECT max(id) FROM kpi.definition_log);
BEGIN
    EXECUTE statement;
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN QUERY SELECT l.action, l.kind, l.name,
        (SELECT string_agg(f.key, ' ' ORDER BY f.key) FROM (SELECT jsonb_object_keys(coalesce(l.old, '{}') || coalesce(l.new, '{}'))) f (key)
          WHERE l.old -> f.key IS DISTINCT FROM l.new -> f.key)
      FROM kpi.definition_log l WHERE l.id > last ORDER BY l.id;
    SET CONSTRAINTS ALL DEFERRED;
END $$;
CREATE TABLE log_all_test.call (n integer GENERATED ALWAYS AS IDENTITY, function text, arguments text);
INSERT INTO log_all_test.call (function, arguments) VALUES
    ('alter_company', $$currency => 'USD'$$),
    ('create_calendar', $$'la_calendar', time_zone => 'Europe/Berlin'$$),
    ('alter_calendar', $$'la_calendar', week_start => 'sunday'$$),
    ('add_holiday', $$'2026-05-01', 'Labour', calendar => 'la_calendar'$$),
    ('create_team', $$'la_team', name => 'Team'$$),
    ('create_team', $$'la_part', parent => 'la_team'$$),
    ('alter_team', $$'la_team', calendar => 'la_calendar'$$),
    ('move_team', $$'la_part', parent => 'company', since => '2026-01-01'$$),
    ('add_member', $$'la_ann', 'la_team', name => 'Ann'$$),
    ('alter_member', $$'la_ann', name => 'Anne'$$),
    ('move_member', $$'la_ann', 'la_part', since => '2026-03-01'$$),
    ('end_membership', $$'la_ann', until => '2026-09-01'$$),
    ('set_attribute', $$'la_ann', 'level', 'senior', since => '2026-02-01'$$),
    ('set_ramp', $$'{0.5}', member => 'la_ann'$$),
    ('set_ramp', $$NULL, member => 'la_ann'$$),
    ('create_lookup', $$'la_accounts', relation => 'log_all_test.accounts', key => 'id', value => 'industry'$$),
    ('alter_lookup', $$'la_accounts', value => 'region'$$),
    ('create_source', $$'la_deals', relation => 'log_all_test.deals', key => 'id', owner => 'owner_id', at => 'closed_at'$$),
    ('alter_source', $$'la_deals', filter => 'amount > 0'$$),
    ('set_refresh', $$'la_deals', mode => 'manual'$$),
    ('add_alias', $$'la_ann', 'ann@example.com', source => 'la_deals'$$),
    ('set_exchange_rate', $$'XAU', '2026-01-01', 2000, exchange => 'la_rates'$$),
    ('create_kpi', $$'la_count', source => 'la_deals', measure => 'count(*)'$$),
    ('alter_kpi', $$'la_count', title => 'Deals'$$),
    ('create_goal', $$'la_goal', kpi => 'la_count', team => 'la_team', period => '2026', target => '10'$$),
    ('alter_goal', $$'la_goal', target => '20'$$),
    ('create_rollup', $$'log_all_test.monthly', kpis => '{la_count}'$$),
    ('alter_rollup', $$'log_all_test.monthly', since => '2026-01-01'$$),
    ('sync_people', $$teams => 'SELECT * FROM log_all_test.teams', members => NULL, remember => true$$),
    ('forget_people', $$$$),
    ('drop_rollup', $$'log_all_test.monthly', drop_table => true$$),
    ('drop_goal', $$'la_goal'$$),
    ('drop_kpi', $$'la_count'$$),
    ('drop_alias', $$'ann@example.com', source => 'la_deals'$$),
    ('drop_source', $$'la_deals'$$),
    ('drop_lookup', $$'la_accounts'$$),
    ('set_exchange_rate', $$'XAU', '2026-01-01', NULL, exchange => 'la_rates'$$),
    ('move_member', $$'la_ann', NULL, since => '-infinity'$$),
    ('drop_member', $$'la_ann'$$),
    ('move_team', $$'la_part', parent => 'company'$$),
    ('drop_team', $$'la_part'$$),
    ('drop_team', $$'la_team'$$),
    ('drop_holiday', $$'2026-05-01', calendar => 'la_calendar'$$),
    ('drop_calendar', $$'la_calendar'$$);
-- Those that define are all here. Who may what, when something is refreshed and whether it is paused is no definition, and a draft none yet.
SELECT DISTINCT p.proname FROM pg_proc p
 WHERE p.pronamespace = 'kpi'::regnamespace AND p.prorettype <> 'trigger'::regtype
   AND p.proname ~ '^(create|alter|drop|add|set|sync|move|end|forget|remove|rename|apply|grant|revoke|schedule|unschedule|pause|resume)(_|$)'
   AND p.proname NOT IN (SELECT function FROM log_all_test.call) ORDER BY 1;
BEGIN;
SELECT c.function, l.* FROM log_all_test.call c LEFT JOIN LATERAL log_all_test.logged(format('SELECT kpi.%I(%s)', c.function, c.arguments)) l ON true ORDER BY c.n;
ROLLBACK;

-- ---- people who are synced: a row for each that is changed, as by hand, and none for the others ----
CREATE FUNCTION log_all_test.synced() RETURNS TABLE (action text, kind text, name text, differs text) LANGUAGE sql AS $$
    SELECT * FROM log_all_test.logged($q$SELECT kpi.sync_people(teams => 'SELECT * FROM log_all_test.teams', members => 'SELECT * FROM log_all_test.people', effective => 'today')$q$)
$$;
SET kpi.reason = 'import';
SELECT * FROM log_all_test.synced();
SELECT * FROM log_all_test.synced();
UPDATE log_all_test.people SET team = 'la_s2' WHERE key = 'la_p1';
UPDATE log_all_test.people SET level = 'lead' WHERE key = 'la_p2';
UPDATE log_all_test.people SET name = 'Drei' WHERE key = 'la_p3';
UPDATE log_all_test.teams SET name = 'Zweite' WHERE key = 'la_s2';
SELECT * FROM log_all_test.synced();
-- What it was, for who changes it by hand after that, is what the sync made of it.
SET kpi.reason = '';
SELECT * FROM log_all_test.logged($$SELECT kpi.alter_member('la_p3', name => 'Drie')$$);
SELECT old ->> 'name' AS old, new ->> 'name' AS new, role = current_user AS is_role, reason FROM kpi.definition_log WHERE name = 'la_p3' ORDER BY id;
-- What the log said last is what is exported; by hand and by a sync in one transaction is one row.
SELECT l.name FROM (SELECT DISTINCT ON (kind, object_id) * FROM kpi.definition_log WHERE kind IN ('team', 'member') ORDER BY kind, object_id, id DESC) l
 WHERE l.new IS DISTINCT FROM (SELECT d FROM jsonb_array_elements(kpi.export() -> (l.kind || 's')) d WHERE d ->> 'key' = l.name) AND l.name <> 'company';
SELECT count(*) FROM jsonb_array_elements(kpi.export() -> 'members') d
 WHERE NOT EXISTS (SELECT FROM kpi.definition_log l WHERE l.kind = 'member' AND l.new = d);
BEGIN;
SELECT kpi.add_member('la_p4', 'la_s1') > 0;
INSERT INTO log_all_test.people VALUES ('la_p4', 'Four', 'la_s2', 'junior');
SELECT count(*) FROM kpi.sync_people(teams => NULL, members => 'SELECT * FROM log_all_test.people');
COMMIT;
SELECT action, new - 'memberships' - 'attributes' AS new FROM kpi.definition_log WHERE name = 'la_p4' ORDER BY id;
-- A dry run says nothing, nor does what is refused.
DELETE FROM log_all_test.people WHERE key = 'la_p4';
SELECT * FROM log_all_test.logged($$SELECT kpi.sync_people(teams => NULL, members => 'SELECT * FROM log_all_test.people', dry_run => true)$$);
SELECT kpi.sync_people(teams => NULL, members => 'SELECT key, ''la_nothing'' AS team FROM log_all_test.people');
SELECT count(*) FROM kpi.definition_log WHERE name = 'la_p1' AND new -> 'memberships' @> '[{"team": "la_nothing"}]';

SELECT count(*) FROM (SELECT kpi.drop_member(key) FROM kpi.member WHERE key ~ '^la_') x;
SELECT kpi.drop_team('la_s2'), kpi.drop_team('la_s1');
SELECT action, kind, name FROM kpi.definition_log WHERE name ~ '^la_[ps]' AND new IS NULL ORDER BY id;
DROP SCHEMA log_all_test CASCADE;
