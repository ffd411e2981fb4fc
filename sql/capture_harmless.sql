-- What is evaluated without a subtransaction cannot fail: where the values or
-- the pattern are such that it can, the write goes on and the fact is counted.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA safe;
CREATE TABLE safe.deals (id integer PRIMARY KEY, amount numeric, qty numeric, note text, opened timestamptz, closed timestamptz, day date DEFAULT '2026-03-01');
SELECT kpi.create_source('s_deals', relation => 'safe.deals', key => 'id', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('s_product', source => 's_deals', measure => 'sum(amount * qty)') > 0 AS created;
SELECT kpi.create_kpi('s_time', source => 's_deals', measure => 'avg(closed - opened)', unit => 'hours') > 0 AS created;
-- In a source of its own: one risky expression has all of a stream's in a subtransaction.
SELECT kpi.create_source('s_notes', relation => 'safe.deals', key => 'id', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('s_like', source => 's_notes', measure => 'count(*)', filter => $$note LIKE 'a\'$$) > 0 AS created;
SELECT kpi.create_kpi('s_not_like', source => 's_notes', measure => 'count(*)', filter => $$note NOT LIKE 'a\'$$) > 0 AS created;
SELECT kpi.create_kpi('s_count', source => 's_notes', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh();
CREATE VIEW safe.now AS SELECT kpi, value, facts FROM kpi.team_yearly WHERE kpi LIKE 's\_%' AND team = 'company' ORDER BY kpi;
CREATE VIEW safe.status AS SELECT source, facts_ignored, last_fact_error IS NOT NULL AS has_error FROM kpi.source_status WHERE source LIKE 's\_%' ORDER BY source;

-- A usual one first: the session's projection is warm.
INSERT INTO safe.deals VALUES (1, 2, 3, 'b', '2026-03-01 00:00+00', '2026-03-01 02:00+00');
INSERT INTO safe.deals VALUES (2, 1e100000, 1e100000, 'b', '2026-03-01 00:00+00', '2026-03-01 04:00+00');
INSERT INTO safe.deals VALUES (3, 4, 5, 'b', '-infinity', '-infinity');
INSERT INTO safe.deals VALUES (4, 6, 7, 'b', 'infinity', 'infinity');
INSERT INTO safe.deals VALUES (5, 8, 9, 'ab', '2026-03-01 00:00+00', '2026-03-01 06:00+00');
UPDATE safe.deals SET qty = 10 WHERE id = 5;
CALL kpi.refresh();
SELECT * FROM safe.now;
SELECT * FROM safe.status;
SELECT v.* FROM (VALUES ('s_deals'), ('s_notes')) s (name), kpi.verify(s.name) v;
-- And taken away again.
DELETE FROM safe.deals WHERE id > 1;
CALL kpi.refresh();
SELECT * FROM safe.now;
SELECT * FROM safe.status;
SELECT v.* FROM (VALUES ('s_deals'), ('s_notes')) s (name), kpi.verify(s.name) v;
SELECT kpi.drop_source('s_deals', cascade => true), kpi.drop_source('s_notes', cascade => true);

-- An SQL function that is inlined, so that the compiled expression does not
-- have it: a session that has captured by the old one captures by the new one.
CREATE FUNCTION safe.net(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT amount - 1';
SELECT kpi.create_source('s_net', relation => 'safe.deals', key => 'id', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('s_net', source => 's_net', measure => 'sum(safe.net(amount))') > 0 AS created;
CALL kpi.refresh('s_net');
INSERT INTO safe.deals (id, amount) VALUES (11, 10);
CALL kpi.refresh('s_net');
CREATE OR REPLACE FUNCTION safe.net(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT amount - 2';
CALL kpi.refresh('s_net');
INSERT INTO safe.deals (id, amount) VALUES (12, 20);
CALL kpi.refresh('s_net');
SELECT value, value = (SELECT sum(amount - 2) FROM safe.deals) AS exact FROM kpi.team_yearly WHERE kpi = 's_net' AND team = 'company';
SELECT * FROM kpi.verify('s_net');
SELECT kpi.drop_source('s_net', cascade => true);
DROP SCHEMA safe CASCADE;
