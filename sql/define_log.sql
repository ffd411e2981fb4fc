-- kpi.definition_log: who has changed which definition, and why.
SET client_min_messages = warning;
\pset format unaligned
CREATE ROLE regress_log_editor;
SELECT kpi.grant_editor('regress_log_editor');
CREATE SCHEMA log_test AUTHORIZATION regress_log_editor;
SELECT coalesce(max(id), 0) AS since FROM kpi.definition_log \gset
CREATE VIEW log_test.log AS
    SELECT action, kind, name, old, new, role = session_role AS is_session_role, reason FROM kpi.definition_log WHERE id > :since ORDER BY id;
GRANT SELECT ON log_test.log TO regress_log_editor;
SELECT kind, name, action FROM kpi.definition_log WHERE id < 0 ORDER BY id DESC;

-- One row for a definition and transaction, whatever made it.
SET ROLE regress_log_editor;
CREATE TABLE log_test.deals (id integer PRIMARY KEY, product text, amount numeric, closed_at date);
SET kpi.reason = 'ticket 17';
BEGIN;
SELECT kpi.create_source('l_deals', relation => 'log_test.deals', key => 'id', at => 'closed_at', dimensions => '{"product": "product"}') > 0 AS made;
SELECT kpi.set_refresh('l_deals', mode => 'manual');
SELECT kpi.alter_source('l_deals', filter => 'amount > 0');
SELECT kpi.create_kpi('l_count', source => 'l_deals', measure => 'count(*)') > 0 AS made;
SELECT kpi.create_kpi('l_gone', source => 'l_deals', measure => 'count(*)') > 0 AS made;
SELECT kpi.drop_kpi('l_gone');
SAVEPOINT s;
SELECT kpi.alter_kpi('l_count', title => 'taken back');
ROLLBACK TO s;
COMMIT;
SET kpi.reason = '';
SELECT action, kind, name, new ->> 'filter' AS filter, new -> 'refresh' AS refresh, is_session_role, reason FROM log_test.log;
RESET ROLE;
SELECT count(DISTINCT role) AS roles, min(role) FROM kpi.definition_log WHERE id > :since;

-- Changes, and what changes nothing.
SELECT kpi.alter_kpi('l_count', title => 'Deals');
SELECT kpi.alter_kpi('l_count', title => 'Deals');
SELECT kpi.pause('l_deals'), kpi.resume('l_deals');
SELECT kpi.create_team('l_team') > 0, kpi.create_team('l_part', parent => 'l_team') > 0;
SELECT kpi.move_team('l_part', parent => 'company', since => '2026-01-01');
SELECT kpi.add_holiday('2026-05-01', 'Labour'), kpi.drop_holiday('2026-05-01');
SELECT kpi.create_goal('l_goal', kpi => 'l_count', period => '2026', target => '10') > 0;
SELECT kpi.alter_goal('l_goal', target => '20', milestones => '{"2026-06-30": 5}');
SELECT kpi.create_rollup('log_test.monthly', kpis => '{l_count}') > 0;
SELECT count(*) FROM kpi.apply(kpi.export());
SELECT action FROM kpi.apply('{"kpis": [{"name": "l_count", "source": "l_deals", "measure": "count(*)", "description": "d"}]}', dry_run => true);
SELECT action, kind, name, old ->> 'title' AS old_title, new ->> 'title' AS title, new ->> 'target' AS target, new -> 'moves' AS moves FROM log_test.log OFFSET 2;

-- A table that is renamed is followed.
SELECT id AS last FROM kpi.definition_log ORDER BY id DESC LIMIT 1 \gset
ALTER TABLE log_test.deals RENAME TO opportunities;
CALL kpi.refresh('l_deals');
SELECT action, kind, name, old ->> 'relation' AS old, new ->> 'relation' AS new FROM kpi.definition_log WHERE id > :last ORDER BY id;

-- Another table is no other name of the same.
CREATE TABLE log_test.pipeline (LIKE log_test.opportunities INCLUDING ALL);
CREATE TABLE log_test.products (key text PRIMARY KEY, line text);
CREATE TABLE log_test.articles (LIKE log_test.products INCLUDING ALL);
ALTER TABLE log_test.pipeline OWNER TO regress_log_editor;
SELECT kpi.create_lookup('l_products', relation => 'log_test.products', key => 'key', value => 'line') > 0 AS made;
SELECT kpi.alter_lookup('l_products', relation => 'log_test.articles'), kpi.alter_source('l_deals', relation => 'log_test.pipeline');
SELECT action, kind, name, old ->> 'relation' AS old, new ->> 'relation' AS new FROM kpi.definition_log WHERE id > :last ORDER BY id;
ALTER TABLE log_test.pipeline RENAME TO contracts;
CALL kpi.refresh('l_deals');
SELECT action, kind, name, old ->> 'relation' AS old, new ->> 'relation' AS new FROM kpi.definition_log WHERE id > :last ORDER BY id DESC LIMIT 1;
SELECT kpi.drop_lookup('l_products');

-- What goes.
SELECT id AS last FROM kpi.definition_log ORDER BY id DESC LIMIT 1 \gset
SELECT kpi.drop_rollup('log_test.monthly', drop_table => true);
SELECT kpi.drop_source('l_deals', cascade => true);
SELECT kpi.move_team('l_part', parent => 'company');
SELECT kpi.drop_team('l_part'), kpi.drop_team('l_team');
SELECT action, kind, name, old IS NOT NULL AS was, new FROM kpi.definition_log WHERE id > :last ORDER BY id;
-- What an administrator loads is no definition of somebody's.
SELECT id AS last FROM kpi.definition_log ORDER BY id DESC LIMIT 1 \gset
BEGIN;
INSERT INTO kpi.exchange_rate (exchange, currency, since, rate) VALUES ('l', 'USD', '2026-01-01', 1);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT count(*) FROM kpi.definition_log WHERE id > :last;
ROLLBACK;

SELECT kpi.revoke_reader('regress_log_editor');
DROP SCHEMA log_test CASCADE;
DROP OWNED BY regress_log_editor;
DROP ROLE regress_log_editor;
