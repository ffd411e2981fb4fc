-- Which role is the definer of a source: the caller, or, of one who has more
-- rights than those on tables, the owner of the table; or a role that is named.
-- Such a role reads only what belongs to itself and to superusers.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_dd_super SUPERUSER;
CREATE ROLE regress_dd_app;
CREATE ROLE regress_dd_new;
CREATE ROLE regress_dd_reader;
CREATE ROLE regress_dd_editor;
SELECT kpi.grant_editor('regress_dd_editor');
CREATE SCHEMA dd;
GRANT USAGE, CREATE ON SCHEMA dd TO regress_dd_app;
SET ROLE regress_dd_app;
CREATE TABLE dd.deals (id integer, owner text, amount numeric, day date);
INSERT INTO dd.deals VALUES (1, 'ann', 10, '2026-10-05');
CREATE FUNCTION dd.net(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END';
RESET ROLE;
CREATE VIEW dd.status AS SELECT s.definer, t.status, t.reason, t.hint
  FROM kpi.source s JOIN kpi.source_status t ON t.source = s.name WHERE s.name = 'dd';
CREATE VIEW dd.total AS SELECT kpi, value FROM kpi.team_yearly WHERE kpi LIKE 'dd%' AND team = 'company' ORDER BY kpi;

-- The owner needs no rights of ours; what it needs of others' is said in full.
SET client_min_messages = notice;
SET ROLE regress_dd_super;
SELECT kpi.create_source('dd', relation => 'dd.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('dd', source => 'dd', measure => 'sum(dd.net(amount))') > 0 AS created;
CALL kpi.refresh('dd');
INSERT INTO dd.deals VALUES (2, 'ann', 5, '2026-10-05');
CALL kpi.refresh('dd');
SELECT * FROM dd.status;
SELECT * FROM dd.total;
SELECT * FROM kpi.verify('dd');
SELECT kpi.drop_source('dd', cascade => true);
REVOKE USAGE ON SCHEMA dd FROM regress_dd_app;
SELECT kpi.create_source('dd', relation => 'dd.deals', owner => 'owner', at => 'day');
GRANT USAGE ON SCHEMA dd TO regress_dd_app;
SELECT kpi.create_source('dd', relation => 'dd.deals', owner => 'owner', at => 'day', definer => 'regress_dd_reader');
GRANT USAGE ON SCHEMA dd TO regress_dd_reader; GRANT SELECT ON dd.deals TO regress_dd_reader;
SELECT kpi.create_source('dd', relation => 'dd.deals', owner => 'owner', at => 'day', definer => 'regress_dd_reader');
GRANT TRIGGER ON dd.deals TO regress_dd_reader;
SELECT kpi.create_source('dd', relation => 'dd.deals', owner => 'owner', at => 'day', definer => 'regress_dd_reader') > 0 AS created;
SELECT definer FROM dd.status;

-- Only a role that the caller may be.
SELECT kpi.alter_source('dd', definer => 'regress_dd_nobody');
SELECT kpi.alter_source('dd', definer => 'regress_dd_editor');
SELECT kpi.alter_source('dd', definer => 'regress_dd_super');
SELECT kpi.alter_source('dd', definer => 'regress_dd_app');
SELECT kpi.create_kpi('dd', source => 'dd', measure => 'sum(dd.net(amount))') > 0 AS created;
CALL kpi.refresh('dd');
SELECT * FROM dd.status;
SELECT * FROM dd.total;
RESET ROLE;
GRANT USAGE ON SCHEMA dd TO regress_dd_editor;
SET ROLE regress_dd_editor;
SELECT kpi.alter_source('dd', definer => 'regress_dd_editor');
SELECT kpi.create_source('dd2', relation => 'dd.deals', at => 'day', definer => 'regress_dd_app');
RESET ROLE;
GRANT regress_dd_app TO regress_dd_editor;
SET ROLE regress_dd_editor;
SELECT kpi.create_source('dd2', relation => 'dd.deals', at => 'day', definer => 'regress_dd_app') > 0 AS created;
SELECT definer FROM kpi.source WHERE name = 'dd2';
SELECT kpi.alter_source('dd2', definer => 'regress_dd_editor');
SELECT definer FROM kpi.source WHERE name = 'dd2';
SELECT kpi.drop_source('dd2');
RESET ROLE;
REVOKE regress_dd_app FROM regress_dd_editor;

-- Roles that count as a superuser does, by attribute or as members of members.
CREATE ROLE regress_dd_mighty;
CREATE ROLE regress_dd_between;
GRANT USAGE ON SCHEMA dd TO regress_dd_mighty;
GRANT SELECT, TRIGGER ON dd.deals TO regress_dd_mighty;
GRANT regress_dd_between TO regress_dd_mighty;
CREATE FUNCTION dd.try(grant_it text, take_it text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text := 'accepted';
BEGIN
    EXECUTE grant_it;
    BEGIN
        PERFORM kpi.create_source('dd2', relation => 'dd.deals', at => 'day', definer => 'regress_dd_mighty');
        PERFORM kpi.drop_source('dd2');
    EXCEPTION WHEN insufficient_privilege THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    END;
    EXECUTE take_it;
    RETURN substr(detail, strpos(detail, 'role "regress_dd_mighty"'));
END $$;
SELECT dd.try('ALTER ROLE regress_dd_mighty CREATEROLE', 'ALTER ROLE regress_dd_mighty NOCREATEROLE');
SELECT dd.try('ALTER ROLE regress_dd_mighty BYPASSRLS', 'ALTER ROLE regress_dd_mighty NOBYPASSRLS');
SELECT dd.try('ALTER ROLE regress_dd_mighty REPLICATION', 'ALTER ROLE regress_dd_mighty NOREPLICATION');
SELECT dd.try('ALTER ROLE regress_dd_between CREATEROLE', 'ALTER ROLE regress_dd_between NOCREATEROLE');
SELECT dd.try(format('GRANT %I TO regress_dd_between', r), format('REVOKE %I FROM regress_dd_between', r))
  FROM unnest('{pg_execute_server_program,pg_read_server_files,pg_write_server_files,pg_read_all_data,pg_write_all_data,regress_dd_super}'::text[]) r;
SELECT dd.try('GRANT pg_monitor TO regress_dd_between', 'REVOKE pg_monitor FROM regress_dd_between');
-- Its own table is its own code; a superuser's is nobody's that could gain.
ALTER ROLE regress_dd_mighty CREATEROLE;
CREATE TABLE dd.own (id integer, day date);
GRANT SELECT, TRIGGER ON dd.own TO regress_dd_mighty;
SELECT kpi.create_source('dd2', relation => 'dd.own', at => 'day', definer => 'regress_dd_mighty') > 0 AS created;
SELECT kpi.drop_source('dd2');
ALTER TABLE dd.own OWNER TO regress_dd_mighty;
SELECT kpi.grant_editor('regress_dd_mighty');
SET ROLE regress_dd_mighty;
SELECT kpi.create_source('dd2', relation => 'dd.own', at => 'day') > 0 AS created;
SELECT definer FROM kpi.source WHERE name = 'dd2';
SELECT kpi.drop_source('dd2');
-- Who is not the owner, and cannot be, does not become one by this.
SELECT kpi.create_source('dd2', relation => 'dd.deals', at => 'day');
RESET ROLE;
GRANT regress_dd_app TO regress_dd_mighty;
SET ROLE regress_dd_mighty;
SELECT kpi.create_source('dd2', relation => 'dd.deals', at => 'day') > 0 AS created;
SELECT kpi.drop_source('dd2');
-- Nor does its expression run another's function.
SELECT kpi.create_source('dd2', relation => 'dd.own', at => 'day', filter => 'dd.net(id) > 0');
RESET ROLE;

-- The table is given away: no write fails, and the source stops until somebody
-- says who its definer is.
SET client_min_messages = warning;
ALTER TABLE dd.deals OWNER TO regress_dd_new;
INSERT INTO dd.deals VALUES (3, 'ann', 100, '2026-10-05');
CALL kpi.refresh('dd');
SELECT * FROM dd.status;
GRANT USAGE ON SCHEMA dd TO regress_dd_new;
SELECT kpi.alter_source('dd', definer => 'regress_dd_new');
SELECT kpi.resume('dd');
CALL kpi.refresh('dd');
SELECT * FROM dd.status;
SELECT * FROM dd.total;
-- Another goes on with what it is granted.
ALTER TABLE dd.deals OWNER TO regress_dd_app;
GRANT SELECT, TRIGGER ON dd.deals TO regress_dd_new;
CALL kpi.refresh('dd');
INSERT INTO dd.deals VALUES (4, 'ann', 1000, '2026-10-05');
SELECT kpi.resume('dd');
CALL kpi.refresh('dd');
SELECT definer, status FROM dd.status;
SELECT * FROM dd.total;

-- The definer gets more rights: the owner takes its place, in the next pass.
ALTER ROLE regress_dd_new CREATEROLE;
INSERT INTO dd.deals VALUES (5, 'ann', 10000, '2026-10-05');
CALL kpi.refresh('dd');
SELECT definer, status FROM dd.status;
SELECT * FROM dd.total;
ALTER ROLE regress_dd_new NOCREATEROLE;

-- So it is with a source from before this rule.
CREATE PROCEDURE dd.age() LANGUAGE sql AS $$
    UPDATE kpi.source SET definer = 'regress_dd_super' WHERE name = 'dd';
    UPDATE kpi_internal.source_state t SET definer_oid = 'regress_dd_super'::regrole, table_owner = NULL
      FROM kpi.source s WHERE s.id = t.source_id AND s.name = 'dd';
$$;
CALL dd.age();
COMMENT ON TABLE dd.deals IS 'new to every session';
INSERT INTO dd.deals VALUES (6, 'ann', 100000, '2026-10-05');
SELECT kpi_internal.facts_query('dd');
CALL kpi.refresh('dd');
SELECT definer, status FROM dd.status;
SELECT * FROM dd.total;
INSERT INTO dd.deals VALUES (7, 'ann', 1000000, '2026-10-05');
CALL kpi.refresh('dd');
SELECT * FROM dd.total;
SELECT * FROM kpi.verify('dd');
-- In a definition, too.
CALL dd.age();
SELECT kpi.create_kpi('dd_count', source => 'dd', measure => 'count(*)') > 0 AS created;
SELECT definer FROM dd.status;
CALL kpi.refresh('dd');
SELECT * FROM dd.total;
-- Where the owner lacks something, the source stops and says what.
CALL dd.age();
REVOKE USAGE ON SCHEMA dd FROM regress_dd_app;
CALL kpi.refresh('dd');
SELECT * FROM dd.status;
GRANT USAGE ON SCHEMA dd TO regress_dd_app;
SELECT kpi.resume('dd');
CALL kpi.refresh('dd');
SELECT definer, status FROM dd.status;
SELECT kpi.drop_source('dd', cascade => true);

-- A partition of another role counts as the table does.
SET ROLE regress_dd_super;
CREATE TABLE dd.parts (id integer, day date) PARTITION BY RANGE (id);
CREATE TABLE dd.part_1 PARTITION OF dd.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE dd.part_2 PARTITION OF dd.parts FOR VALUES FROM (10) TO (20);
ALTER TABLE dd.part_2 OWNER TO regress_dd_app;
SELECT kpi.create_source('dd', relation => 'dd.parts', at => 'day');
ALTER TABLE dd.part_2 OWNER TO CURRENT_USER;
SELECT kpi.create_source('dd', relation => 'dd.parts', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('dd', source => 'dd', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('dd');
ALTER TABLE dd.part_2 OWNER TO regress_dd_app;
INSERT INTO dd.parts VALUES (1, '2026-10-05'), (11, '2026-10-05');
CALL kpi.refresh('dd');
SELECT * FROM dd.status;
ALTER TABLE dd.part_2 OWNER TO CURRENT_USER;
SELECT kpi.resume('dd');
CALL kpi.refresh('dd');
SELECT status FROM dd.status;
SELECT * FROM dd.total;
SELECT kpi.drop_source('dd', cascade => true);
-- A lesser role's partitions may be others', also where it has none itself.
ALTER TABLE dd.parts OWNER TO regress_dd_app;
ALTER TABLE dd.part_2 OWNER TO regress_dd_new;
SELECT kpi.create_source('dd', relation => 'dd.parts', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('dd', source => 'dd', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh('dd');
SELECT definer, status FROM dd.status;
SELECT * FROM dd.total;
SELECT kpi.drop_source('dd', cascade => true);

RESET ROLE;
SELECT kpi.revoke_reader('regress_dd_editor'), kpi.revoke_reader('regress_dd_mighty');
DROP SCHEMA dd CASCADE;
DROP ROLE regress_dd_super, regress_dd_app, regress_dd_new, regress_dd_reader, regress_dd_editor, regress_dd_mighty, regress_dd_between;
