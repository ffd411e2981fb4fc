-- Capture: updates that change nothing that is used, some of it, or all of it.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set ECHO none
\i :oracle
\set ECHO all

-- columns that are used lie between others; owner may be out of line
CREATE TABLE jobs (
    id bigint PRIMARY KEY, note text, owner text, gone integer, label text, amount numeric, parts integer,
    began timestamptz, ended timestamptz, twice numeric GENERATED ALWAYS AS (amount * 2) STORED, remark text
);
ALTER TABLE jobs ALTER COLUMN owner SET STORAGE EXTERNAL, ALTER COLUMN remark SET STORAGE EXTERNAL,
    SET (toast_tuple_target = 128);
SELECT kpi.create_source('jobs', relation => 'capture_test.jobs', key => 'id', owner => 'owner', at => 'ended',
                         dimensions => '{"label": "label"}') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('total', source => 'jobs', measure => 'sum(amount)')),
    (kpi.create_kpi('pieces', source => 'jobs', measure => 'sum(parts)')),
    (kpi.create_kpi('lasted', source => 'jobs', measure => 'avg(ended - began)')),
    (kpi.create_kpi('twice', source => 'jobs', measure => 'sum(twice)')),
    (kpi.create_kpi('price', source => 'jobs', measure => 'ratio(amount, parts)')),
    -- lists, with and without nulls
    (kpi.create_kpi('listed', source => 'jobs', measure => 'count(*)', filter => $$label IN ('a', 'b')$$)),
    (kpi.create_kpi('unlisted', source => 'jobs', measure => 'count(*)', filter => $$NOT (label IN ('a', NULL))$$)),
    (kpi.create_kpi('listed_rate', source => 'jobs', measure => $$rate(label = 'a', label IN ('a', 'b', NULL))$$)),
    (kpi.create_kpi('excluded', source => 'jobs', measure => 'count(*)', filter => $$label NOT IN ('a', 'c')$$)),
    -- a stream that uses other columns
    (kpi.create_kpi('begun', source => 'jobs', measure => 'sum(parts)', at => 'began', owner => 'label'))
) k;
INSERT INTO jobs (id, remark, owner, label, amount, parts, began, ended)
SELECT i, repeat('r', 3000), CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN repeat('long', 100) ELSE 'u' || i % 4 END,
       (ARRAY['a', 'b', 'c', NULL])[1 + i % 4], i * 1.5, i % 5,
       CASE WHEN i % 7 > 0 THEN timestamptz '2026-03-01' + i * interval '1 hour' END,
       CASE WHEN i % 9 > 0 THEN timestamptz '2026-04-01' + i * interval '1 hour' END
  FROM generate_series(1, 60) AS i;
SELECT count(*) FROM differences('jobs');

SELECT count(DISTINCT owner) AS owners, pg_relation_size(reltoastrelid) > 0 AS out_of_line
  FROM jobs, pg_class WHERE pg_class.oid = 'jobs'::regclass GROUP BY reltoastrelid;

-- how many rows each of these adds to the queue: none
CREATE TABLE statements (id integer PRIMARY KEY, statement text);
INSERT INTO statements VALUES
    (1, 'UPDATE jobs SET id = id'),
    (2, 'UPDATE jobs SET note = ''from null'''),
    (3, 'UPDATE jobs SET note = NULL, remark = repeat(''x'', 8000)'),
    (4, 'UPDATE jobs SET remark = NULL'),
    (5, 'UPDATE jobs SET gone = 1'),
    (6, 'UPDATE jobs SET amount = NULL WHERE amount IS NULL'),
    (7, 'ALTER TABLE jobs DROP COLUMN gone; UPDATE jobs SET remark = ''dropped'''),
    (8, 'ALTER TABLE jobs ADD COLUMN gone text DEFAULT ''new''; UPDATE jobs SET note = ''added'''),
    (9, 'UPDATE jobs SET gone = NULL'),
    (10, 'UPDATE jobs SET owner = owner, label = label || '''', note = ''same''');
CREATE PROCEDURE run_all() LANGUAGE plpgsql AS $$
DECLARE
    s record;
    before bigint;
BEGIN
    FOR s IN SELECT * FROM statements ORDER BY id LOOP
        SELECT count(*) INTO before FROM kpi_internal.delta;
        EXECUTE s.statement;
        COMMIT;
        RAISE NOTICE '%: % rows', s.statement, (SELECT count(*) FROM kpi_internal.delta) - before;
    END LOOP;
END $$;
SET client_min_messages = notice;
CALL run_all();
SET client_min_messages = warning;
SELECT count(*) FROM differences('jobs');

-- one that moves one measure, and one of a stream: only these change
SELECT max(lowest_xid::text::bigint) AS last FROM kpi_internal.delta \gset
UPDATE jobs SET amount = amount + 1 WHERE id = 15;
SELECT owner, day, dims, regexp_replace(cell::text, '[0-9]+:', '#:', 'g') AS cell FROM kpi_internal.delta WHERE lowest_xid::text::bigint > :last ORDER BY 1, 2;
SELECT max(lowest_xid::text::bigint) AS last FROM kpi_internal.delta \gset
UPDATE jobs SET began = began + interval '1 day' WHERE id = 15;
SELECT owner, day, dims, regexp_replace(cell::text, '[0-9]+:', '#:', 'g') AS cell FROM kpi_internal.delta WHERE lowest_xid::text::bigint > :last ORDER BY 1, 2;
SELECT count(*) FROM differences('jobs');

-- Any columns of any rows, nulls and zeros included.
CREATE FUNCTION random_value(name text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN random() < 0.15 THEN 'NULL' ELSE
        CASE name
            WHEN 'owner' THEN format('repeat(%L, %s)', (ARRAY['u', 'v', 'w'])[1 + trunc(random() * 3)], (ARRAY[1, 400])[1 + trunc(random() * 2)])
            WHEN 'label' THEN quote_literal((ARRAY['a', 'b', 'c', 'd'])[1 + trunc(random() * 4)])
            WHEN 'amount' THEN (ARRAY['1', '0.25', '-3', '1e30', '''NaN'''])[1 + trunc(random() * 5)]
            WHEN 'parts' THEN trunc(random() * 3)::text
            WHEN 'note' THEN quote_literal(repeat('n', trunc(random() * 5)::integer))
            WHEN 'remark' THEN format('repeat(''r'', %s)', trunc(random() * 4000))
            ELSE (ARRAY['''2026-05-05''', '''2026-05-05 10:00+00''', '''2026-06-06'''])[1 + trunc(random() * 3)]
        END END
$$;
CREATE PROCEDURE random_updates(relation text, source text, rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    seed float8 := random();
    assignments text;
BEGIN
    PERFORM setseed(seed);
    FOR i IN 1 .. rounds LOOP
        FOR j IN 1 .. 10 LOOP
            SELECT string_agg(format('%I = %s', name, random_value(name)), ', ') INTO assignments
              FROM (SELECT name FROM unnest('{owner,label,amount,parts,began,ended,note,remark}'::text[]) AS name
                     ORDER BY random() LIMIT 1 + trunc(random() * random() * 4)) n;
            EXECUTE format('UPDATE %s SET %s WHERE id %% 6 = %s', relation, assignments, trunc(random() * 6));
        END LOOP;
        IF random() < 0.2 THEN ROLLBACK; ELSE COMMIT; END IF;
        IF EXISTS (SELECT FROM differences(source)) THEN
            RAISE EXCEPTION 'queue and facts differ after round %, seed %, last: %', i, seed, assignments;
        END IF;
    END LOOP;
END $$;
CALL random_updates('jobs', 'jobs', 60);
SELECT count(*) FROM differences('jobs');

-- Partitions whose columns have other numbers, one of which a column was dropped of.
CREATE TABLE parted (LIKE jobs INCLUDING STORAGE INCLUDING GENERATED) PARTITION BY HASH (id);
CREATE TABLE parted_0 (remark text, dropped integer, amount numeric, id bigint, ended timestamptz, note text, label text,
                       parts integer, gone text, twice numeric GENERATED ALWAYS AS (amount * 2) STORED, owner text,
                       began timestamptz);
ALTER TABLE parted_0 DROP COLUMN dropped;
ALTER TABLE parted_0 ALTER COLUMN id SET NOT NULL;
ALTER TABLE parted ATTACH PARTITION parted_0 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT kpi.create_source('parted', relation => 'capture_test.parted', key => 'id', owner => 'owner', at => 'ended',
                         dimensions => '{"label": "label"}') > 0 AS created;
SELECT count(kpi.create_kpi('p_' || k.name, source => 'parted', measure => k.measure))
  FROM (VALUES ('total', 'sum(amount)'), ('lasted', 'avg(ended - began)'),
               ('price', 'ratio(amount, parts)'), ('listed', $$rate(label = 'a', label IN ('a', 'b'))$$)) k (name, measure);
INSERT INTO parted (id, owner, label, amount, parts, began, ended)
SELECT id, owner, label, amount, parts, began, ended FROM jobs;
CALL random_updates('parted', 'parted', 30);
SELECT count(*) FROM differences('parted');

-- Measures that fail: for 0, and for infinity (an infinite interval, since 17).
CREATE TABLE failing (LIKE jobs);
SELECT kpi.create_source('failing', relation => 'capture_test.failing', key => 'id', at => 'ended') > 0 AS created;
SELECT count(kpi.create_kpi('f_' || k.name, source => 'failing', measure => k.measure))
  FROM (VALUES ('total', 'sum(amount)'), ('inverse', 'sum(100 / parts)'), ('lasted', 'avg(ended - began)')) k (name, measure);
INSERT INTO failing (id, amount, parts, began, ended)
SELECT i, i, i % 3, CASE WHEN i % 4 = 0 THEN 'infinity' ELSE timestamptz '2026-01-01' END, '2026-02-02' FROM generate_series(1, 40) AS i;
CALL kpi.refresh('failing');
CREATE VIEW compared AS
SELECT k.name, v.value = CASE k.name
           WHEN 'f_total' THEN (SELECT sum(amount) FROM failing)
           WHEN 'f_inverse' THEN (SELECT sum(100 / nullif(parts, 0)) FROM failing)
           WHEN 'f_lasted' THEN (SELECT round(avg(extract(epoch FROM ended - began) / 86400), 10) FROM failing WHERE isfinite(began))
       END AS is_right
  FROM kpi.kpi k JOIN kpi.kpi_value v ON v.kpi_id = k.id AND v.team_id = 1 AND v.grain = 'year'
 WHERE k.name LIKE 'f\_%';
SELECT * FROM compared ORDER BY name;
UPDATE failing SET amount = amount + 1;
UPDATE failing SET amount = 7, parts = (parts + 1) % 3 WHERE id % 2 = 0;
UPDATE failing SET parts = (parts + 1) % 3 WHERE id % 5 < 2;
UPDATE failing SET began = 'infinity', note = 'x' WHERE id % 3 = 0;
UPDATE failing SET began = timestamptz '2026-01-01 01:00+00' WHERE id % 8 < 5;
UPDATE failing SET amount = id, began = NULL WHERE id % 7 = 0;
CALL kpi.refresh('failing');
SELECT * FROM compared ORDER BY name;
SELECT * FROM kpi.verify('failing');
DELETE FROM failing;
CALL kpi.refresh('failing');
SELECT facts_ignored FROM kpi.source_status WHERE source = 'failing';

-- More columns that are used than a set of them has bits.
SELECT format('CREATE TABLE many (id bigint PRIMARY KEY, day date, %s)', string_agg(format('c%s numeric', i), ', '))
  FROM generate_series(1, 80) AS i
\gexec
SELECT kpi.create_source('many', relation => 'capture_test.many', key => 'id', at => 'day') > 0 AS created;
SELECT count(kpi.create_kpi('c' || i, source => 'many', measure => format('sum(c%s)', i))) FROM generate_series(1, 80) AS i;
INSERT INTO many (id, day, c1, c63, c64, c65, c80) VALUES (1, '2026-01-01', 1, 63, 64, 65, 80), (2, '2026-01-02', 1, 2, 3, NULL, NULL);
UPDATE many SET c1 = 2;
UPDATE many SET c62 = 5, c63 = 6;
UPDATE many SET c64 = 7 WHERE id = 1;
UPDATE many SET c65 = 8;
UPDATE many SET c80 = c80 + 1;
UPDATE many SET c79 = c80, c80 = c79;
SELECT * FROM differences('many');

-- A trigger that is renamed is none of ours, even in a session that knows it.
CREATE TABLE renamed (LIKE jobs);
SELECT kpi.create_source('renamed', relation => 'capture_test.renamed', key => 'id', owner => 'owner', at => 'ended') > 0 AS created;
SELECT kpi.create_kpi('r_total', source => 'renamed', measure => 'sum(amount)') > 0 AS created;
INSERT INTO renamed (id, amount, ended) VALUES (1, 1, '2026-01-01');
SELECT tgname AS trigger FROM pg_trigger WHERE tgrelid = 'renamed'::regclass AND tgname LIKE 'kpi_capture%' \gset
ALTER TRIGGER :trigger ON renamed RENAME TO other;
INSERT INTO renamed (id, amount, ended) VALUES (2, 2, '2026-01-01');
ALTER TRIGGER other ON renamed RENAME TO :trigger;
INSERT INTO renamed (id, amount, ended) VALUES (3, 4, '2026-01-01');
SELECT source, kind, owner, day, cell FROM queue WHERE source = 'renamed';

SELECT kpi.drop_source(name, cascade => true) FROM unnest('{jobs,parted,failing,many,renamed}'::text[]) AS name;
CALL empty_queue();
DROP SCHEMA capture_test CASCADE;
