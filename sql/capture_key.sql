-- Capture: keys of many types, and cells that are too wide for a row.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set ECHO none
\i :oracle
\set ECHO all

CREATE TYPE mood AS ENUM ('calm', 'angry');
CREATE DOMAIN code AS text;
CREATE TABLE keys (u uuid, e mood, b boolean, n numeric, c char(5), d date, m code, i bigint, v varchar(9), at timestamptz);
SELECT kpi.create_source('keys', relation => 'capture_test.keys', owner => 'u', at => 'at',
    dimensions => '{"e": "e", "b": "b", "n": "n", "c": "c", "d": "d", "m": "m", "i": "i", "v": "v", "et": "e::text"}') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('keys', source => 'keys', measure => 'count(*)')),
    (kpi.create_kpi('keys_e', source => 'keys', measure => 'count(*)', owner => 'e')),
    (kpi.create_kpi('keys_v', source => 'keys', measure => 'count(*)', owner => 'v')),
    (kpi.create_kpi('keys_m', source => 'keys', measure => 'count(*)', owner => 'm', at => '(d + 1)::timestamp')),
    (kpi.create_kpi('keys_c', source => 'keys', measure => 'sum(n * i - n / 3 + abs(n))', owner => 'c')),
    (kpi.create_kpi('keys_t', source => 'keys', measure => 'avg(at - TIMESTAMPTZ ''2000-01-01 00:00+00'')', owner => 'i'))) k;
INSERT INTO keys VALUES
    ('01234567-89ab-cdef-0123-456789abcdef', 'angry', true, 1.50, 'ab', '2026-01-01', 'x', 9223372036854775807, 'v', '2026-01-01 12:00+00'),
    ('01234567-89ab-cdef-0123-456789abcdef', 'calm', false, 1e-50, 'ab', '2026-01-01', 'y', -1, '', '2026-01-02 12:00+00'),
    (NULL, NULL, NULL, 1e300, NULL, '0001-01-01', NULL, NULL, NULL, '2026-01-02 12:00+00'),
    (NULL, NULL, NULL, 'NaN', NULL, '9000-01-01', NULL, 3, NULL, '0002-01-02 12:00+00'),
    (NULL, NULL, NULL, 'Infinity', NULL, NULL, '', 3, NULL, 'infinity');
UPDATE keys SET i = -i, u = 'fedcba98-89ab-cdef-0123-456789abcdef', e = 'calm' WHERE b;
SELECT * FROM differences('keys');
SELECT kpi.drop_source('keys', cascade => true);
DROP TABLE keys;
CALL empty_queue();

-- cells that are too wide for a row
CREATE TABLE wide (id int, owner text, amount numeric, day date);
SELECT kpi.create_source('wide', relation => 'capture_test.wide', owner => 'owner', at => 'day') > 0 AS created;
SELECT count(kpi.create_kpi('wide_' || i, source => 'wide', measure => format('sum(amount * %s)', i))) FROM generate_series(1, 90) i;
INSERT INTO wide VALUES (1, 'ann', 10::numeric ^ 200 + 0.1, '2026-01-01'), (2, 'bob', 1, '2026-01-01'), (3, 'bob', NULL, '2026-01-01');
INSERT INTO wide SELECT 4, 'ann', 1, '2026-01-01';
DELETE FROM wide WHERE id = 1;
INSERT INTO wide SELECT i, 'ann' || i, repeat('7', 150)::numeric + i, '2026-01-01' FROM generate_series(1, 100) i;
SELECT count(*) > count(DISTINCT owner) AS split, count(DISTINCT owner) AS owners FROM kpi_internal.delta WHERE owner ~ '^ann[0-9]';
CREATE VIEW out_of_line AS
SELECT sum(pg_relation_size(reltoastrelid)) > 0 AS out_of_line FROM pg_class
 WHERE relnamespace = 'kpi_internal'::regnamespace AND relname ~ '^queue_[0-9]+_[01]$';
SELECT * FROM out_of_line;
SELECT * FROM differences('wide');
SELECT kpi.drop_source('wide', cascade => true);
DROP TABLE wide;
CALL empty_queue();

-- keys that are too wide for a row are stored out of line, with others beside it that are not
CREATE TABLE long (id int, day date, t text);
SELECT kpi.create_source('long', relation => 'capture_test.long', at => 'day',
    dimensions => (SELECT jsonb_object_agg('d' || i, format('substr(t, %s, 400)', 400 * i - 399)) FROM generate_series(1, 60) i)) > 0 AS created;
SELECT kpi.create_kpi('long', source => 'long', measure => 'count(*)') > 0 AS created;
INSERT INTO long VALUES (1, '2026-01-02', 'a'), (2, '2026-01-02', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 750) i)),
    (3, '2026-01-02', 'b');
SELECT * FROM out_of_line;
SELECT count(*) FROM differences('long');
SELECT kpi.drop_source('long', cascade => true);

DROP SCHEMA capture_test CASCADE;
