-- Lookups as they are defined: every mistake has an error that says how to mend it, and changes nothing.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA lk;
CREATE TABLE lk.account (account integer PRIMARY KEY, sector text, "Name" text, size integer);
CREATE TABLE lk.loose (account integer, sector text);
CREATE UNIQUE INDEX ON lk.loose (account) WHERE sector IS NOT NULL;
CREATE UNIQUE INDEX ON lk.loose (account, sector);
CREATE TABLE lk.deal (id integer PRIMARY KEY, account integer, code text, closed date, amount numeric, parts text[]);
CREATE INDEX ON lk.deal (account);
CREATE VIEW lk.v AS TABLE lk.account;
INSERT INTO lk.account SELECT i, 's' || i % 3, 'n' || i, i FROM generate_series(1, 9) i;
INSERT INTO lk.deal SELECT i, i % 12, i % 12, '2026-01-01', i FROM generate_series(1, 50) i;

SELECT kpi.create_lookup('accounts', relation => 'lk.accounts', key => 'account', value => 'sector');
SELECT kpi.create_lookup('accounts', relation => 'lk.account', key => 'acount', value => 'sector');
SELECT kpi.create_lookup('accounts', relation => 'lk.account', key => 'account', value => 'x');
SELECT kpi.create_lookup('accounts', relation => 'lk.loose', key => 'account', value => 'sector');
SELECT kpi.create_lookup('accounts', relation => 'lk.v', key => 'account', value => 'sector');
SELECT kpi.create_lookup('', relation => 'lk.account', key => 'account', value => 'sector');
SELECT kpi.create_lookup('accounts', relation => NULL, key => 'account', value => 'sector');
SELECT kpi.create_lookup(repeat('x', 40), relation => 'lk.account', key => 'account', value => 'sector');
SELECT kpi.create_lookup('accounts', relation => 'lk.account', key => 'account', value => 'sector') > 0 AS created;
SELECT kpi.create_lookup('accounts', relation => 'lk.account', key => 'account', value => 'sector');
SELECT kpi.create_lookup('names', relation => 'lk.account', key => 'account', value => 'Name') > 0 AS created;
SELECT name, relation, key, value FROM kpi.lookup ORDER BY 1;
SELECT kpi.alter_lookup('acounts', value => 'Name');
SELECT kpi.alter_lookup('accounts', new_name => 'names');
SELECT kpi.drop_lookup('acounts');

-- In expressions of a source
\set source 'kpi.create_source(\'deals\', relation => \'lk.deal\', at => \'closed\', key => \'id\''
SELECT kpi.create_source('deals', relation => 'lk.deal', at => 'closed', filter => $$lookup('accounts', account) = 's1'$$);
SELECT kpi.create_source('deals', relation => 'lk.deal', at => 'closed', key => 'id + 1', filter => $$lookup('accounts', account) = 's1'$$);
SELECT kpi.create_source('deals', relation => 'lk.deal', at => 'closed', key => 'no', filter => $$lookup('accounts', account) = 's1'$$);
SELECT kpi.create_source('deals', relation => 'lk.deal', at => 'closed', key => 'id', on_swap => 'suspend', filter => $$lookup('accounts', account) = 's1'$$);
SELECT :source, filter => $$lookup('acounts', account) = 's1'$$);
SELECT :source, filter => $$lookup(accounts, account) = 's1'$$);
SELECT :source, filter => $$lookup('accounts') = 's1'$$);
SELECT :source, filter => $$lookup('accounts', account, 1) = 's1'$$);
SELECT :source, filter => $$lookup('accounts', code) = 's1'$$);
SELECT :source, filter => $$lookup('accounts', acount) = 's1'$$);
SELECT :source, filter => $$lookup('accounts', account) = 's1' AND closd > '2026-01-01'$$);
SELECT :source, filter => $$lookup('accounts', lookup('accounts', account)::integer) = 's1'$$);
SELECT :source, filter => $$lookup('accounts', random()::integer) = 's1'$$);
SELECT :source, filter => $$lookup('accounts', account)$$);
SELECT :source, filter => $$lookup('accounts', account = $$);
SELECT kpi.create_source('deals', key => 'id', at => 'closed', query => 'SELECT id, account, closed FROM lk.deal', follow => '{"lk.deal": "id"}',
                         filter => $$lookup('accounts', account) = 's1'$$);
SELECT kpi.create_source('query', key => 'id', at => 'closed', query => 'SELECT id, account, closed FROM lk.deal', follow => '{"lk.deal": "id"}') > 0 AS created;
SELECT kpi.create_kpi('k', source => 'query', measure => 'count(*)', filter => $$lookup('accounts', account) = 's1'$$);
SELECT kpi.drop_source('query');
SELECT count(*) FROM kpi.source;
SELECT count(*) FROM pg_class WHERE relnamespace = 'kpi_data'::regnamespace;
-- strings, comments and brackets within a call
SELECT :source, dimensions => $${"a": "lookup('accounts', coalesce((parts[1])::integer, account /* , ( */)) || ', lookup(''accounts'')'",
                                 "b": "kpi.lookup('accounts', coalesce((parts[1])::integer, account))", "c": "lookup('names', account)"}$$) > 0 AS created;
SELECT d.name, d.expression FROM kpi.dimension d ORDER BY position;
SELECT lookup, source, expression, column_name, facts_missing FROM kpi.lookup_status ORDER BY 1, 3;
SELECT k.columns, k.query FROM kpi.keyed_source k;
CALL kpi.refresh();
SELECT lookup, facts_missing FROM kpi.lookup_status ORDER BY 1;
SELECT id, accounts, accounts_missing, names FROM kpi_data.deals ORDER BY id LIMIT 12;

-- its query is not the user's
SELECT kpi.alter_source('deals', query => 'SELECT 1');
SELECT kpi.alter_source('deals', entity => 'account');
SELECT kpi.alter_source('deals', on_swap => 'suspend');
SELECT kpi.create_kpi('k', source => 'deals', measure => $$sum(lookup('accounts', account))$$);
SELECT kpi.create_kpi('k', source => 'deals', measure => $$sum(lookup('names', account)::numeric)$$, filter => 'amont > 1');
SELECT k.columns FROM kpi.keyed_source k;
-- a lookup in use
SELECT kpi.drop_lookup('accounts');
SELECT kpi.alter_lookup('accounts', key => 'sector');
CREATE UNIQUE INDEX ON lk.account ("Name");
SELECT kpi.alter_lookup('accounts', key => 'Name');
SELECT kpi.alter_lookup('accounts', value => 'size');
SELECT kpi.alter_lookup('accounts', new_name => 'account_sectors');
SELECT name, relation, key, value FROM kpi.lookup ORDER BY 1;
SELECT kpi.create_kpi('big', source => 'deals', measure => 'count(*)', filter => $$lookup('account_sectors', account) > 3$$) > 0 AS created;
SELECT kpi.alter_source('deals', dimensions => $${"c": "lookup('names', account)"}$$);
SELECT kpi.drop_lookup('account_sectors');
SELECT kpi.drop_kpi('big');
SELECT kpi.drop_lookup('account_sectors');
SELECT k.columns FROM kpi.keyed_source k;
CALL kpi.refresh();
SELECT * FROM kpi.verify();
-- a column of the table that comes under the name of one that is kept
ALTER TABLE lk.deal ADD names text;
SELECT kpi.alter_source('deals', filter => $$names = 'n1'$$);
ALTER TABLE lk.deal DROP names;
-- another key
SELECT kpi.alter_source('deals', key => 'id, account');
SELECT k.key_columns, k.entity_columns FROM kpi.keyed_source k;
SELECT kpi.alter_source('deals', key => 'id');
CALL kpi.refresh();
SELECT * FROM kpi.verify();
SELECT lookup, facts_missing FROM kpi.lookup_status;
SELECT kpi.alter_source('deals', new_name => 'sales');
SELECT s.relation FROM kpi.source s;

-- Rights: whose source it is reads both tables, and who changes a lookup may change what reads it.
CREATE ROLE lk_alice;
CREATE ROLE lk_bob;
GRANT USAGE, CREATE ON SCHEMA lk TO lk_alice, lk_bob;
SELECT kpi.grant_editor('lk_alice'), kpi.grant_editor('lk_bob');
SET ROLE lk_bob;
SELECT kpi.create_lookup('theirs', relation => 'lk.account', key => 'account', value => 'sector');
SELECT kpi.drop_lookup('names');
CREATE TABLE lk.bobs (account integer PRIMARY KEY, sector text);
CREATE TABLE lk.bobs_other (account integer PRIMARY KEY, sector text);
SELECT kpi.create_lookup('bobs', relation => 'lk.bobs', key => 'account', value => 'sector') > 0 AS created;
SET ROLE lk_alice;
CREATE TABLE lk.alices (id integer PRIMARY KEY, account integer, at date);
SELECT kpi.create_source('alices', relation => 'lk.alices', key => 'id', at => 'at', filter => $$lookup('bobs', account) = 'x'$$);
RESET ROLE;
GRANT SELECT, TRIGGER ON lk.bobs TO lk_alice;
SET ROLE lk_alice;
SELECT kpi.create_source('alices', relation => 'lk.alices', key => 'id', at => 'at', filter => $$lookup('bobs', account) = 'x'$$) > 0 AS created;
SELECT definer FROM kpi.source WHERE name = 'alices';
SELECT tableowner FROM pg_tables WHERE schemaname = 'kpi_data' AND tablename = 'alices';
SET ROLE lk_bob;
SELECT kpi.alter_lookup('bobs', relation => 'lk.bobs_other');
SELECT kpi.drop_lookup('bobs');
TABLE kpi_data.alices;
RESET ROLE;
ALTER TABLE lk.bobs ENABLE ROW LEVEL SECURITY;
CALL kpi.refresh('alices');
SELECT status, reason FROM kpi.source_status WHERE source = 'alices';
-- with more rights than those on tables nobody reads others' tables
SELECT kpi.create_source('mine', relation => 'lk.deal', key => 'id', at => 'closed', filter => $$lookup('bobs', account) = 'x'$$);

SELECT kpi.drop_source('alices', cascade => true);
SELECT kpi.drop_source('sales', cascade => true);
SELECT count(kpi.drop_lookup(name)) FROM kpi.lookup;
DROP SCHEMA lk CASCADE;
DROP OWNED BY lk_alice, lk_bob;
DROP ROLE lk_alice, lk_bob;
