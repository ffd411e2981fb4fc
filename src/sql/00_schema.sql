-- 00_schema: the two schemas.  A schema of that name that is already there
-- makes the script fail, so nobody can plant objects for it to use.

-- CREATE EXTENSION runs this as a superuser and looks names up in the schema
-- it is given as well, public if none: an operator planted there that fits
-- better than that of pg_catalog would run.  In every script of the extension
-- this is the first statement; it holds to the end of the script, and not for
-- whoever called it.  Not "schema = pg_catalog" in the control file: dumps say
-- WITH SCHEMA public.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA kpi;
COMMENT ON SCHEMA kpi IS 'pg_kpi: the API and the tables and views people read';

CREATE SCHEMA kpi_internal;
COMMENT ON SCHEMA kpi_internal IS 'pg_kpi: queue, cells and state; written by the engine only, nobody else has rights here';

-- One row. Every change of a definition that the engine must follow raises a
-- number here, in the same transaction; its row lock makes such changes wait
-- for each other, so that checks across rows (overlaps, cycles) hold.
CREATE TABLE kpi_internal.version (
    id       integer PRIMARY KEY CHECK (id = 1),
    org      bigint NOT NULL,
    calendar bigint NOT NULL,
    names    bigint NOT NULL,
    rates    bigint NOT NULL,
    zone_told boolean NOT NULL
);
COMMENT ON TABLE kpi_internal.version IS 'Versions of the definitions. UPDATE on this table marks a role as editor (kpi.grant_editor).';
COMMENT ON COLUMN kpi_internal.version.id IS 'Always 1';
COMMENT ON COLUMN kpi_internal.version.org IS 'Raised by every change of teams, members and memberships';
COMMENT ON COLUMN kpi_internal.version.calendar IS 'Raised by every change of a calendar''s periods or working days, and of the calendars of teams';
COMMENT ON COLUMN kpi_internal.version.names IS 'Raised by every change of what a team or member is called';
COMMENT ON COLUMN kpi_internal.version.rates IS 'Raised by every change of exchange rates';
COMMENT ON COLUMN kpi_internal.version.zone_told IS 'Whether somebody has said, or was told, in which time zone the default calendar cuts days';

INSERT INTO kpi_internal.version VALUES (1, 1, 1, 1, 1, false);
