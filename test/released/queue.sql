-- Prints rows of the queue as this version writes them, as lines of queue.tsv: version, kind,
-- number of deltas, error, the packed deltas, and what they say, as JSON.  For psql -q in a
-- database without the extension, on a machine whose integers begin with their lowest byte.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET bytea_output = hex;
\o /dev/null
CREATE EXTENSION pg_kpi;
CREATE TABLE plain (id integer PRIMARY KEY, owner text, a numeric, b integer, day date, opened date, product text, region text);
CREATE TABLE parts (id integer, owner text, a numeric, day date) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE emptied (id integer PRIMARY KEY, owner text, day date);
CREATE TABLE loaded (id integer PRIMARY KEY, owner text, day date, note text, at timestamptz);
SELECT kpi.create_source('plain', relation => 'public.plain', key => 'id', owner => 'owner', at => 'day',
                         dimensions => '{"product": "product", "region": "region"}'),
       kpi.create_source('parts', relation => 'public.parts', owner => 'owner', at => 'day'),
       kpi.create_source('emptied', relation => 'public.emptied', key => 'id', owner => 'owner', at => 'day'),
       kpi.create_source('loaded', relation => 'public.loaded', key => 'id', owner => 'owner', at => 'day', loaded_at => 'at');
SELECT kpi.create_kpi('sum', source => 'plain', measure => 'sum(a)'),
       kpi.create_kpi('fails', source => 'plain', measure => 'sum(1 / b)'),
       kpi.create_kpi('opened', source => 'plain', measure => 'count(*)', at => 'opened'),
       kpi.create_kpi('distinct', source => 'plain', measure => 'count(DISTINCT b)'),
       kpi.create_kpi('parts', source => 'parts', measure => 'sum(a)'),
       kpi.create_kpi('emptied', source => 'emptied', measure => 'count(*)'),
       kpi.create_kpi('loaded', source => 'loaded', measure => 'count(*)');
INSERT INTO plain VALUES (1, 'gone', 1, 1, '2026-01-05', '2026-01-01', 'x', NULL);
INSERT INTO emptied VALUES (1, 'ann', '2026-01-05');
INSERT INTO loaded VALUES (1, 'ann', '2026-01-05', 'n', '2026-01-06 00:00+00');
CALL kpi.refresh();
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
BEGIN;
INSERT INTO plain VALUES (2, 'ann', 12.5, 0, '2026-01-05', '2026-01-02', 'x', 'north'), (3, NULL, 1e40, 2, '2026-01-06', NULL, NULL, ''),
                         (4, 'bob', 'NaN', 2, NULL, '2026-01-03', 'x', NULL), (5, 'bob', -3, NULL, '2026-01-07', '2026-01-03', 'y', NULL);
DELETE FROM plain WHERE id = 1;
INSERT INTO parts VALUES (1, 'ann', 1, '2026-01-05'), (2, 'ann', 2, '2026-02-05'), (3, 'bob', 3, '2026-02-06'), (4, 'bob', 4, '2026-03-06');
COMMIT;
TRUNCATE emptied;
UPDATE loaded SET note = 'other', at = '2026-01-07 00:00+00';
CREATE TABLE queue (source_id integer, kind "char", deltas integer, error text, data bytea);
DO $$
DECLARE
    s integer;
    segment integer;
BEGIN
    FOR s, segment IN SELECT x.id, g FROM kpi.source x, generate_series(0, 1) g LOOP
        EXECUTE format('INSERT INTO queue SELECT %s, kind, deltas, error, data FROM kpi_internal.queue_%1$s_%s', s, segment);
    END LOOP;
END $$;
\o
COPY (
SELECT (SELECT v.installed FROM kpi.version() v), q.kind, q.deltas, q.error, q.data,
       (SELECT jsonb_agg(to_jsonb(d) - '{source_id,captured_at,lowest_xid}'::text[]) FROM kpi_internal.delta d
         WHERE d.source_id = q.source_id AND d.kind = q.kind AND q.data IS NOT NULL)
  FROM queue q ORDER BY q.source_id, q.kind) TO STDOUT;
