-- Refresh: what partitions held that are dropped or detached is sealed: their
-- numbers stay, and are dumped.  The oracle keeps the rows of sealed partitions.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
\set ECHO all

SET DateStyle = 'ISO';
SELECT kpi.drop_source('rf', cascade => true);
ALTER TABLE rf.deals RENAME TO archive;
CREATE TABLE rf.facts (LIKE rf.archive) PARTITION BY RANGE (closed_at);
CREATE TABLE rf.q1 PARTITION OF rf.facts FOR VALUES FROM ('2026-01-01') TO ('2026-04-01');
CREATE TABLE rf.q2 PARTITION OF rf.facts FOR VALUES FROM ('2026-04-01') TO ('2026-07-01');
CREATE TABLE rf.q3 PARTITION OF rf.facts FOR VALUES FROM ('2026-07-01') TO ('2026-10-01');
CREATE TABLE rf.rest PARTITION OF rf.facts DEFAULT;
WITH moved AS (DELETE FROM rf.archive RETURNING *) INSERT INTO rf.facts SELECT * FROM moved;
CREATE VIEW rf.deals AS SELECT * FROM rf.facts UNION ALL SELECT * FROM rf.archive;
SELECT kpi.create_source('rf', relation => 'rf.facts', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product"}') IS NOT NULL AS source;
SELECT count(kpi.create_kpi(name, source => 'rf', measure => measure, filter => filter, at => at))
FROM (VALUES ('rf_revenue', 'sum(amount)', $$stage = 'won'$$, NULL),
             ('rf_won', 'count(*)', $$stage = 'won'$$, NULL),
             ('rf_size', 'avg(amount)', $$stage = 'won'$$, NULL),
             ('rf_rate', $$rate(stage = 'won', stage IN ('won', 'lost'))$$, NULL, NULL),
             ('rf_ratio', 'ratio(amount, 10)', NULL, NULL),
             ('rf_opened', 'count(*)', NULL, 'created_at')) k(name, measure, filter, at);
SELECT kpi.create_kpi('rf_mean', formula => 'rf_revenue / rf_won') IS NOT NULL AS kpi;
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();
CREATE FUNCTION rf.drop_partition(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO rf.archive SELECT * FROM rf.%I', name);
    EXECUTE format('DROP TABLE rf.%I', name);
END $$;
CREATE VIEW rf.sealed AS
    SELECT s.source, s.partition, s.first_day, s.last_day, s.facts, s.is_detached FROM kpi.sealed s ORDER BY s.partition;

-- Dropped; what waits in the queue belongs to it, too, and a correction is none
INSERT INTO rf.facts VALUES (2001, 'ann', 'won', 77, 'p', '2026-02-01', '2026-02-02'), (2002, 'new', 'won', 1, 'z', '2026-02-01', '2026-02-02');
DELETE FROM rf.q1 WHERE id % 10 = 3;
SELECT rf.drop_partition('q1');
CALL kpi.refresh('rf');
SELECT status FROM kpi.source_status WHERE source = 'rf';
SELECT * FROM rf.sealed;
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');
SELECT kpi.repair('rf');
SELECT bool_and(is_complete), count(*) > 0 AS some FROM kpi.team_monthly WHERE kpi LIKE 'rf%';

-- Later facts of sealed days merge, and people move
CREATE TABLE rf.late PARTITION OF rf.facts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
INSERT INTO rf.facts VALUES (2003, 'ann', 'won', 5, 'p', '2026-01-03', '2026-01-04'), (2004, 'eve', 'lost', 5, 'p', '2026-01-03', '2026-01-04');
SELECT kpi.move_member('ann', team => 'alps', since => '2026-01-20');
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');
UPDATE rf.facts SET amount = 6 WHERE id = 2003;
DELETE FROM rf.facts WHERE id = 2004;
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf', since => '2026-01-01', until => '2026-02-01');

-- Read again from the facts that are left
TRUNCATE rf.q3;
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');

-- Detached, attached again: its facts are what it has now
ALTER TABLE rf.facts DETACH PARTITION rf.q2;
INSERT INTO rf.archive SELECT * FROM rf.q2;
CALL kpi.refresh('rf');
SELECT * FROM rf.sealed;
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');
DELETE FROM rf.archive WHERE closed_at >= '2026-04-01';
DELETE FROM rf.q2 WHERE id % 7 = 1;
INSERT INTO rf.q2 VALUES (2005, 'bob', 'won', 9, 'p', '2026-05-01', '2026-05-02');
ALTER TABLE rf.facts ATTACH PARTITION rf.q2 FOR VALUES FROM ('2026-04-01') TO ('2026-07-01');
INSERT INTO rf.facts VALUES (2006, 'bob', 'won', 9, 'q', '2026-05-01', '2026-05-02');
CALL kpi.refresh('rf');
SELECT * FROM rf.sealed;
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');

-- One that comes with rows is read alone; one that comes and goes unseen leaves nothing
CREATE TABLE rf.q4 (LIKE rf.archive);
INSERT INTO rf.q4 SELECT 3000 + i, 'ann', 'won', i, 'p', '2026-10-01', timestamptz '2026-10-02' + i * interval '1 day' FROM generate_series(1, 30) i;
ALTER TABLE rf.facts ATTACH PARTITION rf.q4 FOR VALUES FROM ('2026-10-01') TO ('2027-01-01');
INSERT INTO rf.facts VALUES (3100, 'bob', 'won', 9, 'q', '2026-10-01', '2026-11-02');
DELETE FROM rf.facts WHERE id = 3007;
UPDATE rf.facts SET closed_at = '2026-11-11' WHERE id = 2006;
CREATE TABLE rf.y27 PARTITION OF rf.facts FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
INSERT INTO rf.facts VALUES (3101, 'bob', 'won', 9, 'q', '2026-10-01', '2027-11-02');
DROP TABLE rf.y27;
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');
INSERT INTO rf.facts VALUES (3102, 'bob', 'won', 9, 'q', '2026-10-01', '2026-11-02');
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();

-- Exchanged in place: the facts were replaced, nothing is sealed
CREATE TABLE rf.q4_new (LIKE rf.archive);
INSERT INTO rf.q4_new SELECT * FROM rf.q4 WHERE id % 3 = 0;
BEGIN;
ALTER TABLE rf.facts DETACH PARTITION rf.q4;
ALTER TABLE rf.facts ATTACH PARTITION rf.q4_new FOR VALUES FROM ('2026-10-01') TO ('2027-01-01');
COMMIT;
CALL kpi.refresh('rf');
SELECT * FROM rf.sealed;
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');

-- An empty one leaves nothing; the oldest goes while the newest comes
DROP TABLE rf.q3;
CALL kpi.refresh('rf');
SELECT partition FROM rf.sealed;
BEGIN;
SELECT rf.drop_partition('late');
CREATE TABLE rf.y27 PARTITION OF rf.facts FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
INSERT INTO rf.facts VALUES (3103, 'bob', 'won', 9, 'q', '2026-10-01', '2027-11-02');
COMMIT;
CALL kpi.refresh('rf');
SELECT * FROM rf.sealed;
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');

-- Definitions that would need the facts
SELECT kpi.alter_source('rf', filter => 'amount > 3');
SELECT kpi.alter_source('rf', at => 'created_at');
SELECT kpi.alter_source('rf', dimensions => '{}');
SELECT kpi.alter_kpi('rf_won', measure => 'count(amount)');
SELECT kpi.alter_calendar('default', time_zone => 'Asia/Tokyo');
SELECT kpi.alter_source('rf', on_detach => 'seal', key => '');
SELECT kpi.alter_kpi('rf_won', title => 'Won', measure => 'count(*)');
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();
-- also where no refresh has sealed them yet
SELECT rf.drop_partition('y27');
SELECT kpi.alter_source('rf', filter => 'amount > 3');
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT * FROM rf.difference();

-- One in its place may have the same facts again
CREATE TABLE rf.y27_again PARTITION OF rf.facts FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CALL kpi.refresh('rf');
SELECT severity, problem, object, detail, remedy FROM kpi.health() WHERE problem IN ('facts_lost', 'sealed_twice');

-- New ones have no value there
SELECT kpi.create_kpi('rf_lost', source => 'rf', measure => 'count(*)', filter => $$stage = 'lost'$$) IS NOT NULL AS kpi;
CALL kpi.refresh('rf');
SELECT kpi, min(complete_since) AS complete_since, bool_or(is_complete) AS some, bool_and(is_complete) AS every
  FROM kpi.team_monthly WHERE kpi IN ('rf_lost', 'rf_won') GROUP BY kpi ORDER BY kpi;
SELECT kpi.alter_kpi('rf_won', measure => 'count(amount)', discard_sealed => true);
CALL kpi.refresh('rf');
SELECT kpi, min(complete_since) AS complete_since FROM kpi.team_monthly WHERE kpi IN ('rf_lost', 'rf_won', 'rf_revenue') GROUP BY kpi ORDER BY kpi;
SELECT kpi.alter_kpi('rf_won', measure => 'count(*)', discard_sealed => true);

-- Removed
SELECT kpi.alter_source('rf', on_detach => 'remove');
ALTER TABLE rf.facts DETACH PARTITION rf.q4_new;
CALL kpi.refresh('rf');
SELECT partition FROM rf.sealed;
SELECT * FROM rf.difference() WHERE kpi NOT IN ('rf_won', 'rf_mean');
SELECT * FROM kpi.verify('rf');

-- What is sealed is given up
SELECT kpi.alter_source('rf', on_detach => 'seal', discard_sealed => true);
CALL kpi.refresh('rf');
SELECT * FROM rf.sealed;
TRUNCATE rf.archive;
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');
SELECT kpi, min(complete_since) AS complete_since FROM kpi.team_monthly WHERE kpi IN ('rf_lost', 'rf_won', 'rf_revenue') GROUP BY kpi ORDER BY kpi;

-- What cannot be told apart suspends; the rest is said to be lost
TRUNCATE rf.rest;
DROP TABLE rf.q2;
CALL kpi.refresh('rf');
SELECT status, reason, hint FROM kpi.source_status WHERE source = 'rf';
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT source, partition, first_day, last_day, missing_until = kpi.today() + 1 AS until_today, facts, is_detached FROM kpi.sealed;
SELECT severity, problem, object, replace(detail, (kpi.today() + 1)::text, 'tomorrow') AS detail, remedy FROM kpi.health() WHERE problem IN ('facts_lost', 'sealed_twice');
INSERT INTO rf.facts VALUES (4000, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf');
SELECT bool_or(is_complete) FROM kpi.team_monthly WHERE kpi = 'rf_won';
SELECT * FROM rf.difference();
SELECT * FROM kpi.verify('rf');
SELECT kpi.alter_source('rf', discard_sealed => true);
CALL kpi.refresh('rf');
SELECT bool_and(is_complete) FROM kpi.team_monthly WHERE kpi = 'rf_won';

SELECT kpi.drop_source('rf', cascade => true);
SELECT count(*) FROM kpi_internal.seal;
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
