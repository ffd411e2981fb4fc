-- Keys: equal values of a column are one owner and one dimension value, of
-- whatever size.  What a text cannot show is refused.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA fact_key;
CREATE VIEW fact_key.parts AS
SELECT k.name AS kpi, b.dimension, b.dimension_value, b.value
  FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id WHERE b.team_id = 1 AND b.grain = 'year';

-- Numbers are written canonically: 1, 1.0 and 1.00 are one.
CREATE DOMAIN fact_key.code AS numeric;
CREATE TABLE fact_key.num (id integer PRIMARY KEY, d date, owner numeric, code fact_key.code, n integer);
SELECT kpi.create_source('k_num', relation => 'fact_key.num', at => 'd', owner => 'owner',
    dimensions => '{"code": "code", "half": "owner / 2"}') > 0 AS created;
SELECT kpi.create_kpi('k_num', source => 'k_num', measure => 'sum(n)') > 0 AS created;
SELECT kpi.create_kpi('k_code', source => 'k_num', measure => 'sum(n)', owner => 'code') > 0 AS created;
SELECT coalesce(max(id), 0) AS members FROM kpi.member \gset
SELECT kpi.add_member(2.50, team => 'company') > 0 AS added, kpi.add_member(100.0::numeric) > 0 AS added;
SELECT key FROM kpi.member WHERE id > :members ORDER BY key;
CALL kpi.refresh('k_num');
INSERT INTO fact_key.num VALUES (1, '2026-01-01', 1, 2.5, 1), (2, '2026-01-01', 1.0, 2.50, 10), (3, '2026-01-01', 1.00, 2.500, 100),
    (4, '2026-01-01', 100, -0.0, 1000), (5, '2026-01-01', 1e2, 0, 10000), (6, '2026-01-01', 2.500, 'NaN', 100000);
CALL kpi.refresh('k_num');
CREATE VIEW fact_key.owners AS
SELECT k.name AS kpi, o.key AS owner, (kpi_internal.cell_final(c.cell, m.id, 1)).value
  FROM kpi_internal.day_cell c JOIN kpi_internal.owner o ON o.id = c.owner_id
  JOIN kpi_internal.measure m USING (stream_id) JOIN kpi.kpi k ON m.role <> 'left_out' AND k.id = m.kpi_id
 WHERE k.name IN ('k_num', 'k_code');
SELECT kpi, owner, sum(value) FROM fact_key.owners GROUP BY 1, 2 ORDER BY 1, 2;
SELECT dimension, dimension_value, value FROM fact_key.parts WHERE kpi = 'k_num' ORDER BY 1, 2;
SELECT member, value FROM kpi.member_yearly WHERE kpi = 'k_num' ORDER BY 1;
SELECT * FROM kpi.verify('k_num');
SELECT kpi.drop_source('k_num', cascade => true);
SELECT kpi.move_member(2.5000, 'company', since => '2026-01-01');
SELECT kpi.drop_member(2.5), kpi.drop_member(100);
-- and keys of members as facts write them, whatever the session prints
SET DateStyle = 'German';
SELECT kpi.add_member('2026-02-01'::date) > 0 AS added, kpi.add_member(true) > 0 AS added, kpi.add_member('ann  '::char(5)) > 0 AS added;
RESET DateStyle;
SELECT key FROM kpi.member WHERE id > :members ORDER BY key;
SELECT count(kpi.drop_member(key)) FROM kpi.member WHERE id > :members;

-- A type of its own kind of equality, as citext is: refused, with the remedy.
CREATE TYPE fact_key.ci;
CREATE FUNCTION fact_key.ciin(cstring) RETURNS fact_key.ci LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION fact_key.ciout(fact_key.ci) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE fact_key.ci (INPUT = fact_key.ciin, OUTPUT = fact_key.ciout, LIKE = text, CATEGORY = 'S', COLLATABLE = true);
CREATE CAST (fact_key.ci AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE DOMAIN fact_key.ci_name AS fact_key.ci;
CREATE TABLE fact_key.fold (d date, owner fact_key.ci, who fact_key.ci_name, padded char(8), v varchar(20));
-- until it has one, it compares as text does
SELECT kpi.create_source('k_fold', relation => 'fact_key.fold', at => 'd', owner => 'owner') > 0 AS created;
SELECT kpi.drop_source('k_fold');
CREATE FUNCTION fact_key.lt(fact_key.ci, fact_key.ci) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT lower($1::text) < lower($2::text)';
CREATE FUNCTION fact_key.le(fact_key.ci, fact_key.ci) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT lower($1::text) <= lower($2::text)';
CREATE FUNCTION fact_key.eq(fact_key.ci, fact_key.ci) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT lower($1::text) = lower($2::text)';
CREATE FUNCTION fact_key.ge(fact_key.ci, fact_key.ci) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT lower($1::text) >= lower($2::text)';
CREATE FUNCTION fact_key.gt(fact_key.ci, fact_key.ci) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT lower($1::text) > lower($2::text)';
CREATE FUNCTION fact_key.cmp(fact_key.ci, fact_key.ci) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT bttextcmp(lower($1::text), lower($2::text))';
CREATE OPERATOR fact_key.< (LEFTARG = fact_key.ci, RIGHTARG = fact_key.ci, FUNCTION = fact_key.lt);
CREATE OPERATOR fact_key.<= (LEFTARG = fact_key.ci, RIGHTARG = fact_key.ci, FUNCTION = fact_key.le);
CREATE OPERATOR fact_key.= (LEFTARG = fact_key.ci, RIGHTARG = fact_key.ci, FUNCTION = fact_key.eq);
CREATE OPERATOR fact_key.>= (LEFTARG = fact_key.ci, RIGHTARG = fact_key.ci, FUNCTION = fact_key.ge);
CREATE OPERATOR fact_key.> (LEFTARG = fact_key.ci, RIGHTARG = fact_key.ci, FUNCTION = fact_key.gt);
CREATE OPERATOR CLASS fact_key.ci_ops DEFAULT FOR TYPE fact_key.ci USING btree AS
    OPERATOR 1 fact_key.<, OPERATOR 2 fact_key.<=, OPERATOR 3 fact_key.=, OPERATOR 4 fact_key.>=, OPERATOR 5 fact_key.>,
    FUNCTION 1 fact_key.cmp(fact_key.ci, fact_key.ci);
SELECT kpi.create_source('k_fold', relation => 'fact_key.fold', at => 'd', owner => 'owner');
SELECT kpi.create_source('k_fold', relation => 'fact_key.fold', at => 'd', team => 'who');
SELECT kpi.create_source('k_fold', relation => 'fact_key.fold', at => 'd', dimensions => '{"who": "who"}');
SELECT kpi.create_source('k_fold', relation => 'fact_key.fold', at => 'd', owner => 'lower((owner)::text)',
    dimensions => '{"who": "lower((who)::text)", "padded": "padded", "v": "v"}') > 0 AS created;
SELECT kpi.create_kpi('k_fold', source => 'k_fold', measure => 'count(*)', owner => 'who');
SELECT kpi.create_kpi('k_fold', source => 'k_fold', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('k_fold');
INSERT INTO fact_key.fold VALUES ('2026-01-01', 'AL', 'AL', 'x', 'y'), ('2026-01-01', 'al', 'Al', 'x  ', 'y'), ('2026-01-01', 'Al', 'bo', 'x', 'y ');
CALL kpi.refresh('k_fold');
SELECT owner, facts FROM kpi.unassigned WHERE source = 'k_fold' ORDER BY 1;
SELECT dimension, '"' || dimension_value || '"' AS dimension_value, value FROM fact_key.parts WHERE kpi = 'k_fold' ORDER BY 1, 2;
SELECT * FROM kpi.verify('k_fold');
-- A column may get such a type later: the source is suspended until its key is given anew.
CREATE VIEW fact_key.fold_status AS SELECT status, reason FROM kpi.source_status WHERE source = 'k_fold';
ALTER TABLE fact_key.fold ADD code text;
SELECT kpi.alter_source('k_fold', owner => 'code');
INSERT INTO fact_key.fold (d, code) VALUES ('2026-01-01', '1.0'), ('2026-01-01', '1.00');
CALL kpi.refresh('k_fold');
ALTER TABLE fact_key.fold ALTER code TYPE numeric USING code::numeric;
CALL kpi.refresh('k_fold');
SELECT * FROM fact_key.fold_status;
SELECT kpi.alter_source('k_fold', owner => 'code');
SELECT kpi.resume('k_fold');
CALL kpi.refresh('k_fold');
SELECT * FROM fact_key.fold_status;
SELECT owner, facts FROM kpi.unassigned WHERE source = 'k_fold' ORDER BY 1;
SELECT * FROM kpi.verify('k_fold');
-- a type whose equality the text shows is followed
ALTER TABLE fact_key.fold ADD size text, ADD shade text;
SELECT kpi.alter_source('k_fold', dimensions => '{"size": "size", "shade": "shade", "who": "lower((who)::text)"}');
INSERT INTO fact_key.fold (d, size, shade) VALUES ('2026-01-01', '7', 'red'), ('2026-01-01', '07', 'red');
CALL kpi.refresh('k_fold');
ALTER TABLE fact_key.fold ALTER size TYPE integer USING size::integer, ALTER shade TYPE varchar(10);
INSERT INTO fact_key.fold (d, size, shade) VALUES ('2026-01-01', 7, 'blue');
CALL kpi.refresh('k_fold');
SELECT * FROM fact_key.fold_status;
SELECT dimension, dimension_value, value FROM fact_key.parts WHERE kpi = 'k_fold' AND dimension IN ('size', 'shade') ORDER BY 1, 2;
SELECT * FROM kpi.verify('k_fold');
-- where the writer meets a key that cannot be
ALTER TABLE fact_key.fold ADD name text;
SELECT kpi.alter_source('k_fold', owner => 'name');
CALL kpi.refresh('k_fold');
ALTER TABLE fact_key.fold ALTER name TYPE fact_key.ci USING name::fact_key.ci;
INSERT INTO fact_key.fold (d, name) VALUES ('2026-01-01', 'AL'), ('2026-01-01', 'al');
CALL kpi.refresh('k_fold');
SELECT * FROM fact_key.fold_status;
SELECT kpi.drop_source('k_fold', cascade => true);

-- Keys of any size: whoever may INSERT stops no refresh.
CREATE TABLE fact_key.long (id integer PRIMARY KEY, d date, owner text, a text, b text, c text, e text, f text, g text, h text, i text);
SELECT kpi.create_source('k_long', relation => 'fact_key.long', at => 'd', owner => 'owner',
    dimensions => '{"a": "a", "b": "b", "c": "c", "e": "e", "f": "f", "g": "g", "h": "h", "i": "i"}') > 0 AS created;
SELECT kpi.create_kpi('k_long', source => 'k_long', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('k_long');
-- incompressible text of n bytes
CREATE FUNCTION fact_key.noise(seed text, n integer) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT left(string_agg(md5(seed || i), ''), n) FROM generate_series(1, n / 32 + 1) i $$;
INSERT INTO fact_key.long SELECT 1, '2026-01-01', 'ann', n.a[1], n.a[2], n.a[3], n.a[4], n.a[5], n.a[6], n.a[7], n.a[8]
  FROM (SELECT array_agg(fact_key.noise('s' || i, 480)) AS a FROM generate_series(1, 8) i) n;
CALL kpi.refresh('k_long');
INSERT INTO fact_key.long SELECT id + 1, d, fact_key.noise('o', 3000), a, repeat(b, 100), c, repeat('é', 400), f, g, h, i || 'x' FROM fact_key.long;
INSERT INTO fact_key.long SELECT id + 2, d, owner, a, b, c, e, f, g, h, i FROM fact_key.long;
CALL kpi.refresh('k_long');
SELECT status FROM kpi.source_status WHERE source = 'k_long';
SELECT dimension, length(dimension_value), octet_length(dimension_value), value
  FROM fact_key.parts WHERE kpi = 'k_long' ORDER BY 1, 2, 3;
SELECT * FROM kpi.verify('k_long');
SELECT count(*) FROM kpi.repair('k_long');
-- each combination, and each value alone, once
SELECT d.position, count(*), count(DISTINCT d.vals) FROM kpi_internal.dim d JOIN kpi.source s ON s.id = d.source_id
 WHERE s.name = 'k_long' GROUP BY 1 ORDER BY 1;
-- found by an index
CREATE FUNCTION fact_key.uses_index() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXPLAIN SELECT FROM kpi_internal.dim d WHERE d.source_id = 1 AND d.position = 0 AND d.vals = '{a}'
        AND hash_array_extended(d.vals, 0) = hash_array_extended('{a}'::text[] COLLATE "C", 0)
    LOOP
        IF line LIKE '%dim_vals_idx%' THEN RETURN true; END IF;
    END LOOP;
    RETURN false;
END $$;
SET enable_seqscan = off;
SELECT fact_key.uses_index();
RESET enable_seqscan;

-- What came and went leaves no key behind.
SELECT count(*) AS owners FROM kpi_internal.owner \gset
INSERT INTO fact_key.long (id, d, owner, a) VALUES (10, '2026-01-01', 'gone', 'gone');
DELETE FROM fact_key.long WHERE id = 10;
INSERT INTO fact_key.long (id, d, owner, a) VALUES (11, '2026-01-01', 'moved', 'moved');
UPDATE fact_key.long SET owner = 'ann', a = NULL WHERE id = 11;
CALL kpi.refresh('k_long');
SELECT count(*) - :owners AS owners FROM kpi_internal.owner;
SELECT count(*) AS gone FROM kpi_internal.dim WHERE vals && '{gone,moved}';

-- An error of a refresh names the fact's day and owner.
\set SHOW_CONTEXT always
\set VERBOSITY default
-- (counts that no facts make, as the queue has them: capture/pack.c, cell/compact.c)
CREATE FUNCTION fact_key.little_endian(n bigint, bytes int) RETURNS bytea LANGUAGE sql AS $$
    SELECT string_agg(set_byte('\x00', 0, ((n >> (8 * i)) & 255)::int), '' ORDER BY i) FROM generate_series(0, bytes - 1) i
$$;
CREATE FUNCTION fact_key.base_128(n numeric) RETURNS bytea LANGUAGE sql AS $$
    WITH RECURSIVE d AS (SELECT 0 AS i, n AS rest UNION ALL SELECT i + 1, div(rest, 128) FROM d WHERE rest >= 128)
    SELECT string_agg(set_byte('\x00', 0, (rest % 128 + CASE WHEN rest >= 128 THEN 128 ELSE 0 END)::int), '' ORDER BY i) FROM d
$$;
DO $$
DECLARE
    key record;
    cell bytea;
    delta bytea;
BEGIN
    SELECT s.source_id, s.id AS stream_id, s.version, m.id AS measure_id INTO key
      FROM kpi_internal.stream s JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.stream_id = s.id JOIN kpi.source o ON o.id = s.source_id
     WHERE o.name = 'k_long';
    cell := '\x810101' || fact_key.base_128(key.measure_id) || '\x0101' || fact_key.base_128(2 * 4000000000000000000);
    delta := fact_key.little_endian('2026-05-05'::date - '2000-01-01'::date, 4) || fact_key.little_endian(8, 2)
          || '\x01616e6e00' || fact_key.little_endian(0, 8) || fact_key.little_endian(length(cell), 4) || cell;
    EXECUTE format('INSERT INTO kpi_internal.queue_%s_0 (captured_at, deltas, kind, data) VALUES (now(), 2, %L, $1)', key.source_id, 'd')
      USING '\x0100'::bytea || fact_key.little_endian(key.stream_id, 4) || fact_key.little_endian(key.version, 4) || delta || '\x01' || delta;
END $$;
SELECT kind, owner, day, dims, regexp_replace(cell::text, '[0-9]+:', '#:') AS cell FROM kpi_internal.delta;
CALL kpi.refresh('k_long');
\set SHOW_CONTEXT never
SELECT kpi.drop_source('k_long', cascade => true);
DROP SCHEMA fact_key CASCADE;
