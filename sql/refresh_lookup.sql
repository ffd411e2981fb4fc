-- Lookups: facts have the values of rows of another table, as of now, whatever changes in either.
-- The oracle joins the tables.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA lkp;
CREATE TABLE lkp.account (account integer PRIMARY KEY, sector text, manager text, weight numeric);
CREATE TABLE lkp.deal (id integer PRIMARY KEY, account integer, owner_id text, closed date, amount numeric, note text);
CREATE INDEX ON lkp.deal (account);
INSERT INTO lkp.account SELECT i, (ARRAY['steel', 'glass', 'paper'])[i % 3 + 1], 'm' || i % 2, i FROM generate_series(1, 12) i;
INSERT INTO lkp.deal SELECT i, i % 15, 'm' || i % 3, date '2026-01-01' + i, i * 10 FROM generate_series(1, 150) i;
UPDATE lkp.deal SET account = NULL WHERE id % 40 = 0;
SELECT kpi.create_team('north') IS NOT NULL AS created;
SELECT kpi.create_team('south') IS NOT NULL AS created;
SELECT kpi.add_member('m0', team => 'north') IS NOT NULL AS created;
SELECT kpi.add_member('m1', team => 'south') IS NOT NULL AS created;

SELECT kpi.create_lookup('sector', relation => 'lkp.account', key => 'account', value => 'sector') > 0 AS created;
SELECT kpi.create_lookup('manager', relation => 'lkp.account', key => 'account', value => 'manager') > 0 AS created;
SELECT kpi.create_lookup('weight', relation => 'lkp.account', key => 'account', value => 'weight') > 0 AS created;
SELECT kpi.create_source('deals', relation => 'lkp.deal', key => 'id', at => 'closed',
    owner => $$lookup('manager', account)$$,
    dimensions => $${"sector": "coalesce(upper(lookup('sector', account)), '-')"}$$) > 0 AS created;
SELECT kpi.create_kpi('deals', source => 'deals', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_kpi('steel', source => 'deals', measure => 'sum(amount)', filter => $$lookup('sector', account) = 'steel'$$) > 0 AS created;
SELECT kpi.create_kpi('weighted', source => 'deals', measure => $$sum(amount * lookup('weight', account))$$, owner => 'owner_id') > 0 AS created;
SELECT s.relation, s.key, s.owner, d.expression FROM kpi.source s JOIN kpi.dimension d ON d.source_id = s.id;
SELECT k.name, k.measure, k.filter FROM kpi.kpi k ORDER BY k.id;
SELECT k.facts_relation, k.columns, k.key_columns FROM kpi.keyed_source k;
SELECT f.relation, f.query, f.used FROM kpi.followed_relation f ORDER BY 1;

\set fact 'OR REPLACE VIEW lkp.fact AS SELECT d.id, d.closed, d.amount, d.owner_id, d.account, a.sector, a.manager, a.weight, to_char(d.closed, \'YYYY-MM\') AS period, d.account IS NOT NULL AND a.account IS NULL AS is_missing FROM lkp.deal d LEFT JOIN lkp.account a ON a.account = d.account'
CREATE :fact;
CREATE VIEW lkp.expected AS
SELECT k.kpi, t.team, f.period, v.sector, sum(k.value) AS value
  FROM lkp.fact f
 CROSS JOIN LATERAL (VALUES ('deals', 1, f.manager), ('steel', CASE WHEN f.sector = 'steel' THEN f.amount END, f.manager),
                            ('weighted', f.amount * f.weight, f.owner_id)) k(kpi, value, owner)
 CROSS JOIN LATERAL (VALUES (CASE k.owner WHEN 'm0' THEN 'north' WHEN 'm1' THEN 'south' ELSE '(unassigned)' END), ('company')) t(team)
 CROSS JOIN LATERAL (VALUES (NULL), (coalesce(upper(f.sector), '-'))) v(sector)
 GROUP BY 1, 2, 3, 4 HAVING sum(k.value) <> 0;
CREATE VIEW lkp.actual AS
SELECT kpi, team, period, NULL AS sector, value FROM kpi.team_monthly WHERE value <> 0
UNION ALL SELECT kpi, team, period, dimension_value, value FROM kpi.team_breakdown_monthly WHERE value <> 0;
CREATE FUNCTION lkp.wrong() RETURNS TABLE (what text, n bigint) LANGUAGE sql AS $$
SELECT 'numbers', count(*) FROM ((TABLE lkp.expected EXCEPT TABLE lkp.actual) UNION ALL (TABLE lkp.actual EXCEPT TABLE lkp.expected)) x
UNION ALL SELECT 'expected', count(*) FROM lkp.expected
UNION ALL SELECT 'missing ' || s.lookup, abs(s.facts_missing - (SELECT count(*) FROM lkp.fact WHERE is_missing)) FROM kpi.lookup_status s
UNION ALL SELECT 'verify', count(*) FROM kpi.verify()
$$;
CREATE VIEW lkp.reading AS SELECT source, status, kept_rows, entities_read, pending_deltas FROM kpi.source_status ORDER BY source;
CALL kpi.refresh();
TABLE lkp.reading;
SELECT * FROM lkp.wrong() ORDER BY what COLLATE "C";
SELECT lookup, source, expression, column_name, facts_missing FROM kpi.lookup_status ORDER BY 1;

-- A row of the lookup touches the facts that look for it, and no others.
UPDATE lkp.account SET sector = 'glass' WHERE account = 3;
CALL kpi.refresh();
TABLE lkp.reading;
SELECT * FROM lkp.wrong() ORDER BY what COLLATE "C";
-- what nothing reads leaves no note
UPDATE lkp.deal SET note = 'x';
SELECT count(*) FROM kpi_internal.delta;
-- come, gone, another key, an owner
INSERT INTO lkp.account VALUES (13, 'steel', 'm1', 2), (99, 'paper', 'm0', 3);
DELETE FROM lkp.account WHERE account = 5;
UPDATE lkp.account SET account = 14 WHERE account = 6;
UPDATE lkp.account SET manager = NULL WHERE account = 7;
CALL kpi.refresh();
TABLE lkp.reading;
SELECT * FROM lkp.wrong() ORDER BY what COLLATE "C";
SELECT lookup, facts_missing FROM kpi.lookup_status ORDER BY 1;
-- the facts' side: another key, none, one that is missing; come and gone
UPDATE lkp.deal SET account = 99 WHERE id IN (1, 2);
UPDATE lkp.deal SET account = NULL WHERE id = 3;
UPDATE lkp.deal SET account = 1000 WHERE id = 4;
INSERT INTO lkp.deal VALUES (500, 1, 'm0', '2026-02-02', 5), (501, 1001, 'm1', '2026-02-02', 7);
DELETE FROM lkp.deal WHERE id BETWEEN 20 AND 30;
CALL kpi.refresh();
SELECT * FROM lkp.wrong() ORDER BY what COLLATE "C";
-- both in one transaction, and what is rolled back
BEGIN;
INSERT INTO lkp.account VALUES (1000, 'steel', 'm0', 1);
INSERT INTO lkp.deal VALUES (502, 1000, 'm0', '2026-02-02', 5);
SAVEPOINT s;
UPDATE lkp.account SET sector = 'paper';
ROLLBACK TO s;
UPDATE lkp.account SET account = 2000 WHERE account = 2;
COMMIT;
CALL kpi.refresh();
SELECT * FROM lkp.wrong() ORDER BY what COLLATE "C";
TRUNCATE lkp.account;
INSERT INTO lkp.account SELECT i, 'steel', 'm1', 1 FROM generate_series(1, 9) i;
CALL kpi.refresh();
SELECT * FROM lkp.wrong() ORDER BY what COLLATE "C";

-- Another table comes under the name.
CREATE TABLE lkp.account_new (account integer PRIMARY KEY, sector text, manager text, weight numeric);
INSERT INTO lkp.account_new SELECT i, (ARRAY['glass', 'steel'])[i % 2 + 1], 'm' || i % 2, 2 * i FROM generate_series(0, 14) i;
BEGIN;
ALTER TABLE lkp.account RENAME TO account_old;
ALTER TABLE lkp.account_new RENAME TO account;
CREATE :fact;
COMMIT;
CALL kpi.refresh();
SELECT * FROM lkp.wrong() ORDER BY what COLLATE "C";
UPDATE lkp.account SET sector = 'glass' WHERE account = 1;
CALL kpi.refresh();
SELECT * FROM lkp.wrong() ORDER BY what COLLATE "C";

-- A lookup that is changed has its users read.
CREATE TABLE lkp.segment (no bigint PRIMARY KEY, name text, size integer);
INSERT INTO lkp.segment SELECT i, (ARRAY['steel', 'paper'])[i % 2 + 1] FROM generate_series(0, 10) i;
SELECT kpi.alter_lookup('sector', relation => 'lkp.segment', key => 'no', value => 'name');
CREATE OR REPLACE VIEW lkp.fact AS
SELECT d.id, d.closed, d.amount, d.owner_id, d.account, s.name AS sector, a.manager, a.weight, to_char(d.closed, 'YYYY-MM') AS period,
       d.account IS NOT NULL AND a.account IS NULL AS is_missing
  FROM lkp.deal d LEFT JOIN lkp.account a ON a.account = d.account LEFT JOIN lkp.segment s ON s.no = d.account;
CALL kpi.refresh();
SELECT * FROM lkp.wrong() WHERE what <> 'missing sector' ORDER BY what COLLATE "C";
SELECT lookup, facts_missing FROM kpi.lookup_status ORDER BY 1;
UPDATE lkp.segment SET name = 'steel' WHERE no = 1;
UPDATE lkp.account SET manager = 'm1' WHERE account = 1;
CALL kpi.refresh();
SELECT * FROM lkp.wrong() WHERE what <> 'missing sector' ORDER BY what COLLATE "C";

-- A key that is there twice: the numbers stay, and it is said why.
ALTER TABLE lkp.segment DROP CONSTRAINT segment_pkey;
INSERT INTO lkp.segment VALUES (1, 'paper');
CALL kpi.refresh();
SELECT status, reason, hint FROM kpi.source_status;
DELETE FROM lkp.segment WHERE no = 1 AND name = 'paper';
SELECT kpi.resume('deals') IS NOT NULL AS resumed;
CALL kpi.refresh();
SELECT * FROM lkp.wrong() WHERE what <> 'missing sector' ORDER BY what COLLATE "C";

-- A KPI that looks up something else, or names another column, widens the rows.
SELECT kpi.create_kpi('noted', source => 'deals', measure => 'count(*)', filter => $$note = 'x' AND lookup('weight', id) > 4$$) > 0 AS created;
SELECT kpi.alter_kpi('deals', filter => $$lookup('weight', account) IS NULL OR account > 0$$);
SELECT k.name, k.measure, k.filter FROM kpi.kpi k ORDER BY k.id;
SELECT k.columns FROM kpi.keyed_source k;
CALL kpi.refresh();
SELECT t.value, (SELECT count(*) FROM lkp.deal d JOIN lkp.account a ON a.account = d.id WHERE d.note = 'x' AND a.weight > 4) AS expected
  FROM kpi.team_yearly t WHERE t.kpi = 'noted' AND t.team = 'company' AND t.period = '2026';
SELECT t.value, (SELECT count(*) FROM lkp.deal d LEFT JOIN lkp.account a USING (account) WHERE a.weight IS NULL OR account > 0) AS expected
  FROM kpi.team_yearly t WHERE t.kpi = 'deals' AND t.team = 'company' AND t.period = '2026';
SELECT * FROM kpi.verify();

-- A source over a table becomes a keyed one with its first lookup; what waits is not lost.
CREATE TABLE lkp.call (id integer PRIMARY KEY, account integer, at date, minutes integer);
CREATE INDEX ON lkp.call (account);
INSERT INTO lkp.call SELECT i, i % 20, date '2026-03-01', i FROM generate_series(1, 60) i;
SELECT kpi.create_source('calls', relation => 'lkp.call', key => 'id', at => 'at') > 0 AS created;
SELECT kpi.create_kpi('minutes', source => 'calls', measure => 'sum(minutes)') > 0 AS created;
CALL kpi.refresh('calls');
INSERT INTO lkp.call VALUES (100, 3, '2026-03-02', 1000);
SELECT kpi.create_kpi('glass_minutes', source => 'calls', measure => 'sum(minutes)', filter => $$lookup('sector', account) = 'steel'$$) > 0 AS created;
INSERT INTO lkp.call VALUES (101, 4, '2026-03-02', 2000);
SELECT s.relation, s.key FROM kpi.source s WHERE s.name = 'calls';
SELECT tgrelid::regclass AS relation, count(*) FROM pg_trigger WHERE tgname LIKE 'kpi%' AND tgrelid IN ('lkp.call'::regclass, 'kpi_data.calls'::regclass) GROUP BY 1 ORDER BY 1::text;
CALL kpi.refresh('calls');
UPDATE lkp.segment SET name = 'steel' WHERE no = 4;
DELETE FROM lkp.call WHERE id = 60;
CALL kpi.refresh('calls');
SELECT t.kpi, t.value FROM kpi.team_monthly t WHERE t.team = 'company' AND t.kpi LIKE '%minutes' ORDER BY 1;
SELECT sum(minutes), sum(minutes) FILTER (WHERE s.name = 'steel') FROM lkp.call c LEFT JOIN lkp.segment s ON s.no = c.account;
SELECT * FROM kpi.verify('calls');
SELECT kpi.alter_source('calls', dimensions => $${"weight": "lookup('weight', account)"}$$);
CALL kpi.refresh('calls');
SELECT count(*) FROM ((SELECT dimension_value, value FROM kpi.team_breakdown_monthly WHERE kpi = 'minutes' AND team = 'company')
    EXCEPT (SELECT a.weight::text, sum(c.minutes) FROM lkp.call c LEFT JOIN lkp.account a USING (account) GROUP BY 1)) x;
SELECT * FROM kpi.verify('calls');

SELECT kpi.drop_source('deals', cascade => true);
SELECT kpi.drop_source('calls', cascade => true);
SELECT l.lookup FROM kpi.lookup_status l;
SELECT kpi.drop_lookup(name) FROM kpi.lookup ORDER BY name;
SELECT kpi.drop_member('m0'), kpi.drop_member('m1');
SELECT kpi.drop_team('north'), kpi.drop_team('south');
DROP SCHEMA lkp CASCADE;
