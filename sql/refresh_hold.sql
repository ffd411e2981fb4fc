-- hold_if_lost: a load that removes too much at once is held back, whatever way it
-- goes, until somebody accepts it or the facts are back.
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SCHEMA ho;
CREATE TABLE ho.deals (id integer, owner_id text, amount numeric, day date);
INSERT INTO ho.deals SELECT i, 'o' || i % 3, i, date '2026-01-01' + i % 60 FROM generate_series(1, 100) i;
CREATE TABLE ho.good AS SELECT * FROM ho.deals;
SELECT kpi.create_source('ho_deals', relation => 'ho.deals', owner => 'owner_id', at => 'day', hold_if_lost => 0.3) > 0 AS created;
SELECT kpi.create_kpi('ho_count', source => 'ho_deals', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_goal('ho goal', kpi => 'ho_count', period => '2026', target => '90') > 0 AS created;
CALL kpi.refresh('ho_deals');
\set look 'SELECT s.status, f.is_complete AS complete, (SELECT value FROM kpi.team_yearly WHERE kpi = ''ho_count'' AND team = ''company'') AS stored, (SELECT status FROM kpi.goal_progress WHERE goal = ''ho goal'') AS goal, (SELECT count(*) FROM kpi.goal_event e WHERE e.goal = ''ho goal'') AS events FROM kpi.source_status s JOIN kpi.freshness f USING (source_id) WHERE s.source = ''ho_deals'';'
:look

-- By deltas: a few are fine, many are not.
DELETE FROM ho.deals WHERE id <= 30;
CALL kpi.refresh('ho_deals');
:look
DELETE FROM ho.deals WHERE id <= 60;
CALL kpi.refresh('ho_deals');
:look
SELECT reason, hint FROM kpi.source_status WHERE source = 'ho_deals';
SELECT severity, problem, detail, remedy FROM kpi.health() WHERE object = 'source "ho_deals"';
SELECT level, stored FROM kpi.verify('ho_deals');
SELECT kpi.repair('ho_deals');
-- Changes are still captured.
INSERT INTO ho.deals VALUES (200, 'o1', 1, '2026-01-05');
CALL kpi.refresh('ho_deals');
:look
-- The facts are back.
INSERT INTO ho.deals SELECT * FROM ho.good WHERE id BETWEEN 31 AND 60;
CALL kpi.refresh('ho_deals');
:look
SELECT * FROM kpi.verify('ho_deals');
-- What waits counts together, and a load of its own can bring it back at once.
BEGIN; DELETE FROM ho.deals; INSERT INTO ho.deals SELECT * FROM ho.good; COMMIT;
CALL kpi.refresh('ho_deals');
:look

-- TRUNCATE and load.
TRUNCATE ho.deals;
CALL kpi.refresh('ho_deals');
:look
INSERT INTO ho.deals SELECT * FROM ho.good WHERE id > 25;
CALL kpi.refresh('ho_deals');
:look
SELECT * FROM kpi.verify('ho_deals');

-- A swap for a table that has too little, and then one that does not.
BEGIN; DROP TABLE ho.deals; CREATE TABLE ho.deals AS SELECT * FROM ho.good WHERE id > 90; COMMIT;
:look
CALL kpi.refresh('ho_deals');
:look
INSERT INTO ho.deals VALUES (201, 'o1', 1, '2026-01-05');
CALL kpi.refresh('ho_deals');
:look
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'ho.deals'::regclass;
BEGIN; DROP TABLE ho.deals; CREATE TABLE ho.deals AS SELECT * FROM ho.good; COMMIT;
CALL kpi.refresh('ho_deals');
:look

-- Accepted.
DELETE FROM ho.deals WHERE id > 20;
CALL kpi.refresh('ho_deals');
:look
SELECT kpi.resume();
:look
SELECT kpi.resume('ho_deals');
:look
SELECT * FROM kpi.verify('ho_deals');
-- Once: the next loss is held again.
TRUNCATE ho.deals;
CALL kpi.refresh('ho_deals');
:look
SELECT kpi.resume('ho_deals');
:look
INSERT INTO ho.deals SELECT * FROM ho.good;
CALL kpi.refresh('ho_deals');
:look
-- A swap that is accepted.
BEGIN; DROP TABLE ho.deals; CREATE TABLE ho.deals AS SELECT * FROM ho.good WHERE id > 90; COMMIT;
CALL kpi.refresh('ho_deals');
SELECT kpi.resume('ho_deals');
:look
INSERT INTO ho.deals SELECT * FROM ho.good WHERE id <= 90;
CALL kpi.refresh('ho_deals');
:look
SELECT * FROM kpi.verify('ho_deals');
-- Paused as well.
DELETE FROM ho.deals WHERE id > 20;
CALL kpi.refresh('ho_deals');
SELECT kpi.pause('ho_deals');
:look
SELECT kpi.resume('ho_deals');
:look
-- No longer wanted.
DELETE FROM ho.deals WHERE id > 5;
CALL kpi.refresh('ho_deals');
SELECT kpi.alter_source('ho_deals', hold_if_lost => 0);
CALL kpi.refresh('ho_deals');
:look
SELECT kind, count(*) FROM kpi.refresh_log WHERE source = 'ho_deals' AND kind = 'held' GROUP BY kind;

-- Another table that has facts of sealed days: whether they are those of before, somebody has to say.
CREATE TABLE ho.calls (owner_id text, at date, began date, minutes integer) PARTITION BY RANGE (at);
CREATE TABLE ho.calls_1 PARTITION OF ho.calls FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE ho.calls_2 PARTITION OF ho.calls FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO ho.calls SELECT 'o1', date '2026-01-01' + i, date '2025-12-20' + i / 2, 1 FROM generate_series(0, 49) i;
CREATE TABLE ho.all_calls AS SELECT * FROM ho.calls;
SELECT kpi.create_source('ho_calls', relation => 'ho.calls', owner => 'owner_id', at => 'at') > 0 AS created;
SELECT kpi.create_kpi('ho_talk', source => 'ho_calls', measure => 'sum(minutes)') > 0 AS created;
SELECT kpi.create_kpi('ho_began', source => 'ho_calls', measure => 'count(*)', at => 'began') > 0 AS created;
CALL kpi.refresh('ho_calls');
DROP TABLE ho.calls_1;
CALL kpi.refresh('ho_calls');
\set talk 'SELECT t.status, string_agg(v.value::integer::text, '', '' ORDER BY v.kpi) AS "values", bool_and(v.is_complete) AS complete, (SELECT count(*) FROM kpi.sealed WHERE source = ''ho_calls'') AS sealed FROM kpi.source_status t, kpi.team_yearly v WHERE t.source = ''ho_calls'' AND v.kpi ~ ''ho_(talk|began)'' AND v.team = ''company'' AND v.period_start = ''2026-01-01'' GROUP BY t.status;'
:talk
-- Only what is left: the next refresh follows, though its calls began on days on which sealed ones did.
BEGIN; CREATE TABLE ho.new AS SELECT * FROM ho.calls; DROP TABLE ho.calls; ALTER TABLE ho.new RENAME TO calls; COMMIT;
CALL kpi.refresh('ho_calls');
:talk
-- All again.
BEGIN; DROP TABLE ho.calls; CREATE TABLE ho.calls AS SELECT * FROM ho.all_calls; COMMIT;
CALL kpi.refresh('ho_calls');
:talk
SELECT reason, hint FROM kpi.source_status WHERE source = 'ho_calls';
SELECT kpi.resume();
:talk
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'ho.calls'::regclass;
SELECT kpi.alter_source('ho_calls', discard_sealed => true);
CALL kpi.refresh('ho_calls');
CALL kpi.refresh('ho_calls');
:talk
SELECT * FROM kpi.verify('ho_calls');
-- Late facts, on top of what is sealed.
BEGIN;
ALTER TABLE ho.calls RENAME TO parts_of;
CREATE TABLE ho.calls (LIKE ho.parts_of) PARTITION BY RANGE (at);
CREATE TABLE ho.calls_1 PARTITION OF ho.calls FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE ho.calls_2 PARTITION OF ho.calls FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO ho.calls SELECT * FROM ho.parts_of;
COMMIT;
CALL kpi.refresh('ho_calls');
DROP TABLE ho.calls_1;
CALL kpi.refresh('ho_calls');
BEGIN; CREATE TABLE ho.new AS SELECT * FROM ho.calls UNION ALL SELECT 'o1', '2026-01-09', '2026-01-09', 5; DROP TABLE ho.calls; ALTER TABLE ho.new RENAME TO calls; COMMIT;
CALL kpi.refresh('ho_calls');
:talk
SELECT kpi.resume('ho_calls');
CALL kpi.refresh('ho_calls');
:talk
SELECT * FROM kpi.verify('ho_calls');
-- Before any refresh has asked: not one of many, and who names it is told.
BEGIN; DROP TABLE ho.calls; CREATE TABLE ho.calls AS SELECT * FROM ho.all_calls; COMMIT;
SELECT kpi.alter_source('ho_calls', on_swap => 'suspend');
CALL kpi.refresh('ho_calls');
SELECT kpi.resume();
:talk
SELECT kpi.resume('ho_calls');
SELECT kpi.alter_source('ho_calls', discard_sealed => true);
CALL kpi.refresh('ho_calls');
:talk
SELECT * FROM kpi.verify('ho_calls');
-- A detached partition that is attached to the other table is not in doubt.
BEGIN;
DROP TABLE ho.calls;
CREATE TABLE ho.calls (LIKE ho.all_calls) PARTITION BY RANGE (at);
CREATE TABLE ho.c1 PARTITION OF ho.calls FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE ho.c2 PARTITION OF ho.calls FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO ho.calls SELECT * FROM ho.all_calls;
COMMIT;
SELECT kpi.alter_source('ho_calls', on_swap => 'follow');
CALL kpi.refresh('ho_calls');
ALTER TABLE ho.calls DETACH PARTITION ho.c1;
CALL kpi.refresh('ho_calls');
:talk
BEGIN;
CREATE TABLE ho.new (LIKE ho.calls) PARTITION BY RANGE (at);
ALTER TABLE ho.calls DETACH PARTITION ho.c2;
ALTER TABLE ho.new ATTACH PARTITION ho.c1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
ALTER TABLE ho.new ATTACH PARTITION ho.c2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
DROP TABLE ho.calls;
ALTER TABLE ho.new RENAME TO calls;
COMMIT;
CALL kpi.refresh('ho_calls');
:talk
CALL kpi.refresh('ho_calls');
SELECT * FROM kpi.verify('ho_calls');
SELECT kpi.drop_source('ho_calls', cascade => true);

SELECT kpi.drop_goal('ho goal');
SELECT kpi.drop_source('ho_deals', cascade => true);
DROP SCHEMA ho CASCADE;
