-- Capture: expressions run as the definer, whoever writes.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/capture.sql
\set ECHO none
\i :oracle
\set ECHO all

CREATE TABLE odd (id int, a int, b int, at timestamp);
CREATE ROLE regress_kpi_definer;
CREATE ROLE regress_kpi_writer;
SELECT kpi.grant_editor('regress_kpi_definer');
GRANT USAGE, CREATE ON SCHEMA capture_test TO regress_kpi_definer, regress_kpi_writer;
GRANT ALL ON TABLE odd TO regress_kpi_writer, regress_kpi_definer;
CREATE FUNCTION who(i int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN RETURN current_user || ' ' || current_setting('search_path'); END $$;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('odd', relation => 'capture_test.odd', at => 'at', owner => 'capture_test.who(a)') > 0 AS created;
SELECT kpi.create_kpi('plain', source => 'odd', measure => 'count(*)') > 0 AS created;
SET ROLE regress_kpi_writer;
INSERT INTO odd VALUES (1, 5, 2, '2026-01-01');
RESET ROLE;
SELECT owner, cell FROM queue;
-- a definer without rights, and one that is gone
REVOKE ALL ON TABLE odd FROM regress_kpi_definer;
INSERT INTO odd VALUES (2, 5, 2, '2026-01-01');
SELECT kind, error FROM kpi_internal.delta WHERE kind <> 'd';
CALL empty_queue();
GRANT ALL ON TABLE odd TO regress_kpi_definer;
ALTER ROLE regress_kpi_definer RENAME TO regress_kpi_definer2;
INSERT INTO odd VALUES (3, 5, 2, '2026-01-01');
SELECT kind, error FROM kpi_internal.delta;
ALTER ROLE regress_kpi_definer2 RENAME TO regress_kpi_definer;
INSERT INTO odd VALUES (4, 5, 2, '2026-01-01');
SELECT owner, cell FROM queue WHERE kind = 'd';
SELECT kpi.drop_source('odd', cascade => true);
CALL empty_queue();
DROP TABLE odd;

DROP SCHEMA capture_test CASCADE;
SELECT kpi.revoke_reader('regress_kpi_definer');
DROP ROLE regress_kpi_definer, regress_kpi_writer;
