-- What a fact means depends on no session: writers and refreshes under any
-- settings agree with GROUP BY under the defaults.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA settings;
CREATE TABLE settings.t (id integer PRIMARY KEY, dp double precision, r real, b bytea, i interval, at timestamptz, zone text, t text,
    pt point, amount numeric);
-- SAT is an abbreviation for Australians only: without a day such a fact fails.
-- That this function is immutable is its author's word.
CREATE FUNCTION settings.said(at timestamptz, dp double precision, i interval, amount numeric) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN concat_ws('|', at, at::date, dp, i, '3/4/2026'::date, to_char(at, 'TMMonth'), to_char(amount, 'L999D9'), to_tsvector('running'),
                     '{NULL}'::text[], to_char(at, 'TZ'));
END $$;
SELECT (SELECT count(*) > 0 FROM pg_config WHERE setting LIKE '%--with-libxml%') AS has_xml \gset
\if :has_xml
    \set xml 'xmlelement(name v, b, i, at, dp)::text'
\else
    \set xml 't'
\endif
SELECT kpi.create_source('st', relation => 'settings.t', at => 'at', owner => 'dp::text',
    dimensions => jsonb_build_object('dp', 'dp::text', 'r', 'r::text', 'b', 'b::text', 'pt', 'pt::text', 'q', 'quote_ident(t)',
        'xml', :'xml', 'said', 'settings.said(at, dp, i, amount)')) > 0 AS created;
SELECT kpi.create_kpi('st_n', source => 'st', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_kpi('st_zone', source => 'st', measure => 'sum(amount)', at => '(at AT TIME ZONE zone)') > 0 AS created;
SELECT kpi.create_kpi('st_backslash', source => 'st', measure => 'count(*)', filter => $$t = 'a\b' OR t = E'c\\d'$$) > 0 AS created;
SELECT kpi.create_kpi('st_array', source => 'st', measure => 'count(*)', filter => $$(ARRAY[NULL, t])[1] IS NOT DISTINCT FROM ('{NULL,x}'::text[])[1]$$) > 0 AS created;
CALL kpi.refresh('st');

-- The oracle, under the defaults.
CREATE VIEW settings.expected AS
SELECT d.dimension, d.value, count(*) AS n
  FROM settings.t, LATERAL (VALUES ('dp', dp::text), ('r', r::text), ('b', b::text), ('pt', pt::text), ('q', quote_ident(t)),
       ('said', settings.said(at, dp, i, amount))) d (dimension, value)
 GROUP BY 1, 2;
CREATE FUNCTION settings.differences() RETURNS TABLE (dimension text, found text, found_n numeric, expected text, n bigint) LANGUAGE sql
SET extra_float_digits = 1 SET bytea_output = hex SET IntervalStyle = postgres SET xmlbinary = base64 SET quote_all_identifiers = off
SET DateStyle = 'ISO, MDY' SET TimeZone = 'UTC' SET lc_time = 'C' SET lc_monetary = 'C' SET lc_numeric = 'C'
SET default_text_search_config = 'pg_catalog.english' SET array_nulls = on SET timezone_abbreviations = 'Default' AS $$
    SELECT coalesce(f.dimension, e.dimension), f.dimension_value, f.value, e.value, e.n
      FROM (SELECT b.* FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id
             WHERE k.name = 'st_n' AND b.team_id = 1 AND b.grain = 'year' AND b.dimension <> 'xml') f
      FULL JOIN settings.expected e ON e.dimension = f.dimension AND e.value = f.dimension_value
     WHERE e.n IS DISTINCT FROM f.value ORDER BY 1, 2, 4 $$;
-- All the settings at once, as default or as hostile as they come.
CREATE PROCEDURE settings.set(hostile boolean) LANGUAGE plpgsql AS $$
DECLARE s record;
BEGIN
    FOR s IN SELECT * FROM (VALUES ('extra_float_digits', '-3'), ('bytea_output', 'escape'), ('IntervalStyle', 'iso_8601'), ('xmlbinary', 'hex'),
        ('quote_all_identifiers', 'on'), ('DateStyle', 'German, DMY'), ('TimeZone', 'Asia/Kolkata'), ('lc_monetary', 'C.UTF-8'),
        ('lc_numeric', 'C.UTF-8'), ('lc_time', 'C.UTF-8'), ('default_text_search_config', 'pg_catalog.simple'), ('array_nulls', 'off'),
        ('timezone_abbreviations', 'Australia'), ('transform_null_equals', 'on'), ('xmloption', 'document'), ('backslash_quote', 'on'),
        ('standard_conforming_strings', 'off'), ('escape_string_warning', 'off')) v (name, value)
    LOOP
        IF hostile THEN EXECUTE format('SET %I = %L', s.name, s.value); ELSE EXECUTE format('RESET %I', s.name); END IF;
    END LOOP;
END $$;
CREATE PROCEDURE settings.fill(first integer) LANGUAGE sql AS $$
    INSERT INTO settings.t SELECT first + i, i / 7.0, i / 3.0, convert_to(i || chr(92) || 'x', 'UTF8'), make_interval(months => i, secs => -i * 1.5),
        '2026-03-03 20:30+00'::timestamptz + make_interval(hours => i), (ARRAY['EST', 'Europe/Berlin', 'SAT'])[1 + i % 3],
        (ARRAY['a' || chr(92) || 'b', 'c' || chr(92) || 'd', 'plain', 'Sel ect'])[1 + i % 4], point(i / 7.0, i / 9.0), i
      FROM generate_series(1, 24) i $$;

-- compiled and written under hostile settings, read under defaults
\c -
SET client_min_messages = warning;
CALL settings.set(true);
CALL settings.fill(0);
\c -
SET client_min_messages = warning;
CALL kpi.refresh('st');
SELECT * FROM settings.differences();
SELECT * FROM kpi.verify('st');
SELECT kpi, sum(value) AS value FROM kpi.team_yearly WHERE kpi LIKE 'st\_%' AND team = 'company' GROUP BY 1 ORDER BY 1;
SELECT period, value FROM kpi.team_daily WHERE kpi = 'st_zone' AND team = 'company' ORDER BY 1;
SELECT (at AT TIME ZONE zone)::date::text AS day, sum(amount) FROM settings.t WHERE zone <> 'SAT' GROUP BY 1 ORDER BY 1;
-- written under defaults, refreshed and verified under hostile ones
CALL settings.fill(100);
CALL settings.set(true);
CALL kpi.refresh('st');
SELECT * FROM settings.differences();
SELECT * FROM kpi.verify('st');
-- inserted under one, deleted under another, changed by a third
DELETE FROM settings.t WHERE id % 2 = 0;
CALL settings.set(false);
DELETE FROM settings.t WHERE id % 3 = 0;
SET extra_float_digits = 0;
UPDATE settings.t SET dp = dp + 1 WHERE id % 5 = 0;
CALL kpi.refresh('st');
SELECT * FROM settings.differences();
SELECT * FROM kpi.verify('st');
-- the settings of the session are its own
SHOW extra_float_digits;
SHOW DateStyle;
-- nothing is left of what is gone
RESET extra_float_digits;
DELETE FROM settings.t;
CALL kpi.refresh('st');
SELECT count(*) FROM kpi_internal.day_cell c JOIN kpi_internal.stream s ON s.id = c.stream_id JOIN kpi.source o ON o.id = s.source_id WHERE o.name = 'st';

-- read row by row, as a fact fails
CALL settings.set(true);
CALL settings.fill(0);
SELECT kpi.create_kpi('st_fails', source => 'st', measure => 'sum(1 / (amount - 3))') > 0 AS created;
CALL kpi.refresh('st');
SELECT * FROM settings.differences();
SELECT facts_ignored FROM kpi.source_status WHERE source = 'st';
SELECT * FROM kpi.verify('st');

-- What is stored reads the same to whoever alters it; what is given is standard SQL.
SELECT kpi.alter_source('st', filter => $$t <> 'x\y'$$);
CALL kpi.refresh('st');
CALL settings.set(false);
SELECT filter FROM kpi.source WHERE name = 'st';
SELECT k.name, k.filter, m.inputs[1] AS input1 FROM kpi.kpi k JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.kpi_id = k.id WHERE k.name IN ('st_backslash', 'st_array') ORDER BY 1;
SELECT kpi, value FROM kpi.team_yearly WHERE kpi = 'st_backslash' AND team = 'company';
SELECT count(*) FROM settings.t WHERE t IN (E'a\\b', E'c\\d');
SELECT * FROM kpi.verify('st');
SELECT kpi.drop_source('st', cascade => true);
DROP SCHEMA settings CASCADE;
