--
-- Texts of definitions as they were typed, beside those that are stored
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA typed;
CREATE FUNCTION typed.is_won(stage text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT stage = 'won' $$;
CREATE TABLE typed.account (account int PRIMARY KEY, sector text);
CREATE TABLE typed.deal (id int PRIMARY KEY, owner text, closed timestamptz, stage text, amount numeric, account int, product text);
CREATE INDEX ON typed.deal (account);
CREATE VIEW typed.text AS SELECT kpi, part, name, typed, stored FROM kpi.definition_text WHERE source LIKE 'typed%' OR kpi LIKE 'typed%';
SELECT kpi.create_source('typed', 'typed.deal', key => 'id', owner => 'lower( owner )', at => 'closed',
                         filter => $$stage != 'lost'   and amount > 0$$,
                         dimensions => '{"product": "coalesce( product, ''none'' )", "stage": "stage"}') IS NOT NULL AS created;
SELECT kpi.create_kpi('typed_won', 'typed', 'SUM( amount )', filter => 'typed.is_won( stage )', at => 'closed  AT TIME ZONE ''UTC''') IS NOT NULL AS created;
SELECT kpi.create_kpi('typed_count', 'typed', 'count(*)') IS NOT NULL AS created;
SELECT kpi.create_kpi('typed_ratio', formula => 'typed_won /  typed_count') IS NOT NULL AS created;
SELECT * FROM typed.text ORDER BY kpi NULLS FIRST, part, name;

-- What was typed, typed again, is stored as before: under another search_path, too
SET search_path = typed, public;
SELECT kpi.alter_kpi('typed_won', measure => (SELECT typed FROM typed.text WHERE kpi = 'typed_won' AND part = 'measure'),
                     filter => (SELECT typed FROM typed.text WHERE kpi = 'typed_won' AND part = 'filter'));
RESET search_path;
SELECT * FROM typed.text WHERE kpi = 'typed_won' ORDER BY part, name;

-- Changed, cleared, and replaced by another part
SELECT kpi.alter_kpi('typed_won', filter => 'amount>10', owner => 'lower(owner)');
SELECT * FROM typed.text WHERE kpi = 'typed_won' ORDER BY part, name;
SELECT kpi.alter_kpi('typed_won', filter => '', team => 'upper(owner)');
SELECT * FROM typed.text WHERE kpi = 'typed_won' ORDER BY part, name;
SELECT kpi.alter_kpi('typed_won', title => 'Won');
SELECT part, typed FROM typed.text WHERE kpi = 'typed_won' ORDER BY part, name;
SELECT kpi.alter_source('typed', filter => $$stage<>'lost'$$, dimensions => '{"stage": "lower( stage )"}');
SELECT * FROM typed.text WHERE kpi IS NULL ORDER BY part, name;

-- A renamed column: what was typed would be wrong
ALTER TABLE typed.deal RENAME COLUMN stage TO phase;
CALL kpi.refresh('typed');
SELECT * FROM typed.text WHERE kpi IS NULL ORDER BY part, name;
SELECT part, typed FROM typed.text WHERE kpi = 'typed_won' ORDER BY part, name;

-- Lookups stand as they were typed, by the name that the lookup has
SELECT kpi.create_lookup('accounts', 'typed.account', key => 'account', value => 'sector') IS NOT NULL AS created;
SELECT kpi.create_kpi('typed_it', 'typed', 'count(*)', filter => $$lookup( 'accounts', account ) = 'it' OR phase= 'x'$$) IS NOT NULL AS created;
SELECT * FROM typed.text WHERE kpi = 'typed_it' ORDER BY part, name;
SELECT kpi.alter_lookup('accounts', new_name => 'sec''tors');
SELECT * FROM typed.text WHERE kpi = 'typed_it' ORDER BY part, name;
SELECT kpi.alter_kpi('typed_it', filter => (SELECT typed FROM typed.text WHERE kpi = 'typed_it' AND part = 'filter'));
SELECT * FROM typed.text WHERE kpi = 'typed_it' ORDER BY part, name;

-- Keyed sources
SELECT kpi.create_source('typed_q', query => 'SELECT id, owner,closed from typed.deal', key => 'id', entity => 'id',
                         follow => '{"typed.deal": "id"}', owner => 'owner', at => 'closed') IS NOT NULL AS created;
SELECT source, part, name, typed, stored FROM kpi.definition_text WHERE source = 'typed_q' ORDER BY part, name;
SELECT kpi.alter_source('typed_q', query => 'SELECT id, owner, closed FROM typed.deal WHERE amount >0');
SELECT source, part, name, typed, stored FROM kpi.definition_text WHERE source = 'typed_q' ORDER BY part, name;
SELECT kpi.alter_source('typed_q', new_name => 'typed_r', follow => '{"typed.deal": "SELECT changed.id"}');
SELECT source, part, name, typed, stored FROM kpi.definition_text WHERE source = 'typed_r' ORDER BY part, name;

SELECT kpi.drop_source('typed_r', cascade => true);
SELECT kpi.drop_source('typed', cascade => true);
SELECT count(*) FROM kpi_internal.typed_text;
SELECT kpi.drop_lookup('sec''tors');
DROP SCHEMA typed CASCADE;
