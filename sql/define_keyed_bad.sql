-- Keyed sources: what is refused, and that nothing has changed then.
SET client_min_messages = warning;
CREATE ROLE kb_owner NOLOGIN;
CREATE ROLE kb_other NOLOGIN;
CREATE SCHEMA kb AUTHORIZATION kb_owner;
CREATE SCHEMA kb_closed AUTHORIZATION kb_other;
SELECT kpi.grant_editor('kb_owner');
SET ROLE kb_other;
CREATE TABLE kb_closed.secret (lead_id integer PRIMARY KEY, word text);
INSERT INTO kb_closed.secret VALUES (1, 'swordfish');
SET ROLE kb_owner;
CREATE TABLE kb.lead (lead_id integer PRIMARY KEY, owner_id text, at timestamptz, deal_id integer);
CREATE TABLE kb.deal (deal_id integer PRIMARY KEY, won_at timestamptz, a_label text);
CREATE TABLE kb.part (lead_id integer, at timestamptz) PARTITION BY RANGE (lead_id);
CREATE TABLE kb.part_1 PARTITION OF kb.part FOR VALUES FROM (0) TO (100);
CREATE UNLOGGED TABLE kb.unlogged (lead_id integer, at timestamptz);
CREATE TABLE kb.parent (lead_id integer, at timestamptz);
CREATE TABLE kb.child () INHERITS (kb.parent);
CREATE VIEW kb.joined AS SELECT l.*, d.won_at FROM kb.lead l LEFT JOIN kb.deal d USING (deal_id);
CREATE MATERIALIZED VIEW kb.material AS SELECT * FROM kb.lead;
CREATE FUNCTION kb.stable() RETURNS integer STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION kb.volatile() RETURNS integer VOLATILE LANGUAGE sql AS 'SELECT 1';
CREATE TABLE kb.guarded (lead_id integer, at timestamptz);
ALTER TABLE kb.guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE kb.guarded FORCE ROW LEVEL SECURITY;
RESET ROLE;
CREATE FOREIGN DATA WRAPPER kb_wrapper;
CREATE SERVER kb_server FOREIGN DATA WRAPPER kb_wrapper;
CREATE FOREIGN TABLE kb.far (lead_id integer, at timestamptz) SERVER kb_server;
GRANT SELECT ON kb.far TO kb_owner;
CREATE FUNCTION kb_count() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', (SELECT count(*) FROM pg_class WHERE relnamespace = 'kpi_data'::regnamespace),
        (SELECT count(*) FROM kpi.source), (SELECT count(*) FROM kpi.keyed_source), (SELECT count(*) FROM kpi.followed_relation),
        (SELECT count(*) FROM kpi_internal.source_state), (SELECT count(*) FROM kpi.dimension),
        (SELECT count(*) FROM pg_trigger WHERE tgname ~ '^kpi_(capture|truncate|follow)'),
        (SELECT count(*) FROM pg_class WHERE relnamespace = 'kpi_internal'::regnamespace), (SELECT nspacl FROM pg_namespace WHERE nspname = 'kpi_data')) $$;
SELECT kb_count() AS before \gset
-- Each with the same key and time.
CREATE FUNCTION kb_try(query text, follow jsonb DEFAULT NULL, static text[] DEFAULT NULL, key text DEFAULT 'lead_id', entity text DEFAULT NULL) RETURNS integer
LANGUAGE sql AS $$ SELECT kpi.create_source('bad', key => key, at => 'at', query => query, entity => entity, follow => follow, static => static) $$;
GRANT EXECUTE ON FUNCTION kb_try(text, jsonb, text[], text, text) TO PUBLIC;
SET ROLE kb_owner;

-- what is followed
SELECT kb_try('SELECT l.lead_id, l.at, d.won_at FROM kb.lead l JOIN kb.deal d USING (deal_id)', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.joined', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.joined', '{"kb.joined": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id", "kb.nothing": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"nowhere.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id"}', '{kb.lead}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '["kb.lead"]');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": 1}');
SELECT kb_try('SELECT lead_id, at FROM kb.far', '{"kb.far": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.material', '{"kb.material": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.unlogged', '{"kb.unlogged": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.part_1', '{"kb.part_1": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.parent', '{"kb.parent": "lead_id"}');
SELECT kb_try('SELECT oid AS lead_id, NULL::timestamptz AS at FROM pg_class', '{"pg_catalog.pg_class": "oid"}');
SELECT kb_try('SELECT id AS lead_id, created_at AS at FROM kpi.source', '{"kpi.source": "id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id", "kpi.goal": "SELECT changed.id::integer"}');
CREATE TEMP TABLE temporary (lead_id integer, at timestamptz);
SELECT kb_try('SELECT lead_id, at FROM pg_temp.temporary', '{"pg_temp.temporary": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM pg_temp.temporary');
DROP TABLE temporary;

-- follow queries
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT lead_id FROM kb.lead"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT changed.at"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT changed.lead_id, changed.at"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT length(changed::text)"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "nothing"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": ""}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT changed.lead_id FROM kb.deal WHERE nothing = 3"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT changed.lead_id FRUM kb.deal"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT changed.lead_id) AS f CROSS JOIN (SELECT 1"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT changed.lead_id; SELECT 2"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "DELETE FROM kb.deal RETURNING deal_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT changed.lead_id WHERE now() > changed.at"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "SELECT lead_id FROM kb.deal d, kb.lead l WHERE l.deal_id = changed.deal_id"}');

-- keys and entities
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id"}', key => 'nothing');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id"}', entity => 'deal_id');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id"}', key => NULL);
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id"}', key => 'upper(x)');
SELECT kb_try('SELECT lead_id, at, 1 AS a, 2 AS b, 3 AS c, 4 AS d FROM kb.lead', '{"kb.lead": "lead_id"}', entity => 'lead_id, a, b, c, d');
SELECT kb_try('SELECT lead_id, at, point(1, 2) AS p FROM kb.lead', '{"kb.lead": "lead_id"}', key => 'p', entity => 'lead_id');

-- columns
SELECT kb_try('SELECT lead_id, at, at FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, 1 + 1 FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, l FROM kb.lead l', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, ARRAY[l] AS ls FROM kb.lead l', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, ROW(1, 2) AS r FROM kb.lead l', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, ''x''::cstring AS s FROM kb.lead l', '{"kb.lead": "lead_id"}');

-- what does not follow from the rows
SELECT kb_try('SELECT lead_id, at, random() AS r FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, kb.volatile() AS r FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, kb.volatile() AS r FROM kb.lead');
SELECT kb_try('SELECT lead_id, at, kb.stable() AS r FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, now() - at AS r FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, age(at) AS r FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead WHERE at < CURRENT_DATE', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at, CURRENT_USER AS r FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead ORDER BY at LIMIT 5', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT l.lead_id, at FROM kb.lead l JOIN (SELECT lead_id FROM kb.lead ORDER BY at LIMIT 3) f USING (lead_id)', '{"kb.lead": "lead_id"}');

-- what is no query
SELECT kb_try('');
SELECT kb_try('SELECT lead_id, at FROM kb.lead; SELECT 1', '{"kb.lead": "lead_id"}');
SELECT kb_try('INSERT INTO kb.lead VALUES (1) RETURNING lead_id, at', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at INTO kb.made FROM kb.lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead FOR UPDATE', '{"kb.lead": "lead_id"}');
SELECT kb_try('WITH gone AS (DELETE FROM kb.lead RETURNING *) SELECT lead_id, at FROM gone', '{"kb.lead": "lead_id"}');
SELECT kb_try('TABLE kb.lead;', '{"kb.lead": "lead"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead WHERE lead_id = $1', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id,
    at FROM kb.lead WHERE nothing', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM lead', '{"kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FRAM kb.lead', '{"kb.lead": "lead_id"}');

-- rights
SELECT kb_try('SELECT s.lead_id, l.at, s.word FROM kb_closed.secret s JOIN kb.lead l USING (lead_id)');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id", "kb_closed.secret": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id"}', '{kb_closed.secret}');
RESET ROLE;
GRANT USAGE ON SCHEMA kb_closed TO kb_owner;
SET ROLE kb_owner;
SELECT kb_try('SELECT s.lead_id, l.at, s.word FROM kb_closed.secret s JOIN kb.lead l USING (lead_id)');
-- a table that the query does not read: its values would come with its changes
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id", "kb_closed.secret": "SELECT changed.word::integer"}');
RESET ROLE;
GRANT SELECT ON kb_closed.secret TO kb_owner;
SET ROLE kb_owner;
SELECT kb_try('SELECT s.lead_id, l.at, s.word FROM kb_closed.secret s JOIN kb.lead l USING (lead_id)', '{"kb_closed.secret": "lead_id", "kb.lead": "lead_id"}');
SELECT kb_try('SELECT lead_id, at FROM kb.guarded', '{"kb.guarded": "lead_id"}');
RESET ROLE;
SELECT kb_try('SELECT s.lead_id, l.at, s.word FROM kb_closed.secret s JOIN kb.lead l USING (lead_id)', '{"kb_closed.secret": "lead_id", "kb.lead": "lead_id"}');
SELECT kpi.create_source('bad', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at FROM kb.lead', follow => '{"kb.lead": "lead_id"}', definer => 'kb_other');
SELECT kpi.create_source('bad', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at FROM kb.lead', follow => '{"kb.lead": "lead_id"}', definer => 'postgres');

-- names, and what does not go together
SET ROLE kb_owner;
SELECT kpi.create_source(repeat('x', 64), key => 'lead_id', at => 'at', query => 'SELECT lead_id, at FROM kb.lead', follow => '{"kb.lead": "lead_id"}');
SELECT kpi.create_source('bad', relation => 'kb.lead', at => 'at', query => 'SELECT lead_id, at FROM kb.lead');
SELECT kpi.create_source('bad', at => 'at');
SELECT kpi.create_source('bad', relation => 'kb.lead', at => 'at', follow => '{"kb.lead": "lead_id"}');
SELECT kpi.create_source('bad', key => 'lead_id', query => 'SELECT lead_id, at FROM kb.lead', follow => '{"kb.lead": "lead_id"}');
SELECT kpi.create_source('bad', key => 'lead_id', at => 'nothing', query => 'SELECT lead_id, at FROM kb.lead', follow => '{"kb.lead": "lead_id"}');
SELECT kpi.create_source('bad', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at FROM kb.lead', follow => '{"kb.lead": "lead_id"}', on_swap => 'suspend');
RESET ROLE;
CREATE TABLE kpi_data.bad ();
SELECT kb_try('SELECT lead_id, at FROM kb.lead', '{"kb.lead": "lead_id"}');
DROP TABLE kpi_data.bad;
SELECT kb_count() = :'before' AS nothing_has_changed;

-- changes
SET ROLE kb_owner;
SELECT kpi.create_source('good', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at FROM kb.lead', follow => '{"kb.lead": "lead_id"}') > 0 AS created;
SELECT kpi.create_source('plain', relation => 'kb.deal', at => 'won_at') > 0 AS created;
RESET ROLE;
SELECT kb_count() || md5(string_agg(k::text, ' ') || (SELECT string_agg(f::text, ' ') FROM kpi.followed_relation f) || (SELECT string_agg(s::text, ' ') FROM kpi.source s)) AS before
  FROM kpi.keyed_source k \gset
SET ROLE kb_owner;
SELECT kpi.create_source('good', key => 'lead_id', at => 'at', query => 'SELECT lead_id, at FROM kb.lead', follow => '{"kb.lead": "lead_id"}');
SELECT kpi.alter_source('plain', query => 'SELECT 1');
SELECT kpi.alter_source('plain', follow => '{}');
SELECT kpi.grant_source('plain', 'kb_other');
SELECT kpi.alter_source('good', on_detach => 'remove');
SELECT kpi.alter_source('good', query => 'SELECT lead_id, at, random() AS r FROM kb.lead');
SELECT kpi.alter_source('good', query => 'SELECT deal_id, at FROM kb.lead');
SELECT kpi.alter_source('good', query => 'SELECT lead_id, owner_id FROM kb.lead');
SELECT kpi.alter_source('good', query => 'SELECT lead_id, at FROM kb.lead JOIN kb.deal USING (deal_id)');
SELECT kpi.alter_source('good', query => 'SELECT lead_id, at FROM kpi_data.good', follow => '{"kpi_data.good": "lead_id"}');
SELECT kpi.alter_source('good', entity => 'nothing');
SELECT kpi.alter_source('good', key => 'nothing');
SELECT kpi.alter_source('good', follow => '{"kb.lead": "lead_id"}', static => '{kb.lead}');
SELECT kpi.alter_source('good', query => 'SELECT lead_id, at, l AS row FROM kb.lead l');
SELECT kpi.alter_source('good', new_name => 'plain');
RESET ROLE;
SELECT kb_count() || md5(string_agg(k::text, ' ') || (SELECT string_agg(f::text, ' ') FROM kpi.followed_relation f) || (SELECT string_agg(s::text, ' ') FROM kpi.source s)) = :'before' AS nothing_has_changed
  FROM kpi.keyed_source k;
SELECT kpi.drop_source('good'), kpi.drop_source('plain');

DROP FUNCTION kb_try(text, jsonb, text[], text, text);
DROP FUNCTION kb_count();
DROP FOREIGN DATA WRAPPER kb_wrapper CASCADE;
SELECT kpi.revoke_reader('kb_owner');
DROP OWNED BY kb_owner, kb_other CASCADE;
DROP SCHEMA IF EXISTS kb, kb_closed CASCADE;
DROP ROLE kb_owner, kb_other;
