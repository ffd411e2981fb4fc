-- What an expression's text means follows from what others own.  Code that
-- belongs neither to the definer nor to a superuser, and was not there when the
-- definer last defined or resumed, is not run but suspends the source.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_code_definer;
CREATE ROLE regress_code_owner;
CREATE ROLE regress_code_third;
SELECT kpi.grant_editor('regress_code_definer'), kpi.grant_editor('regress_code_third');
CREATE SCHEMA fc AUTHORIZATION regress_code_owner;
GRANT USAGE, CREATE ON SCHEMA fc TO regress_code_definer, regress_code_third;
-- Notes who runs what, and what that could do; the rows of a failed try stay.
CREATE TABLE fc.seen (what text, who name);
GRANT ALL ON fc.seen TO PUBLIC;
CREATE SEQUENCE fc.calls;
GRANT ALL ON fc.calls TO PUBLIC;
CREATE VIEW fc.status AS SELECT status, reason FROM kpi.source_status WHERE source = 'fc_deals';
CREATE VIEW fc.total AS SELECT kpi, value FROM kpi.team_yearly WHERE kpi LIKE 'fc\_%' AND team = 'company' ORDER BY 1;
SET ROLE regress_code_owner;
CREATE FUNCTION fc.act(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'regress_code_definer' THEN
        PERFORM nextval('fc.calls');
    END IF;
END $$;
CREATE FUNCTION fc.note(what text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM fc.act(what); END';
CREATE TABLE fc.deals (id integer PRIMARY KEY, owner text, stage text, amount numeric, day date);
GRANT SELECT, TRIGGER ON fc.deals TO regress_code_definer;
INSERT INTO fc.deals VALUES (1, 'ann', 'won', 10, '2026-10-05'), (2, 'bob', 'lost', 20, '2026-10-06');
-- Known when the source is made: functions, an operator, a domain, a collation.
CREATE FUNCTION fc.net(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n / 2; END';
CREATE FUNCTION fc.plus(a numeric, b numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN a + b; END';
CREATE OPERATOR fc.<+> (FUNCTION = fc.plus, LEFTARG = numeric, RIGHTARG = numeric);
CREATE DOMAIN fc.price AS numeric CHECK (VALUE > -1000);
CREATE COLLATION fc.order_of (provider = libc, locale = 'C');
SET ROLE regress_code_definer;
SELECT kpi.create_source('fc_deals', relation => 'fc.deals', owner => 'owner', at => 'day', filter => $$stage COLLATE fc.order_of <= 'zzz'$$) > 0 AS created;
SELECT kpi.create_kpi('fc_amount', source => 'fc_deals', measure => 'sum(amount + 0)') > 0 AS created;
SELECT kpi.create_kpi('fc_net', source => 'fc_deals', measure => 'sum(fc.net(amount) OPERATOR(fc.<+>) 1::fc.price)') > 0 AS created;
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.total;

-- A deployment: another body, dropped and made again, GRANT, another constraint.
SET ROLE regress_code_owner;
CREATE OR REPLACE FUNCTION fc.net(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n * 2; END';
ALTER DOMAIN fc.price ADD CHECK (VALUE < 1000);
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.total;
SET ROLE regress_code_owner;
DROP FUNCTION fc.net(numeric);
CREATE FUNCTION fc.net(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n * 3; END';
RESET ROLE;
INSERT INTO fc.deals VALUES (3, 'ann', 'won', 30, '2026-10-07');
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.total;
SELECT * FROM fc.status;

-- The attack: a used column gets a type with an implicit cast of its owner's.
-- The writer's own backend meets it first, and the write goes on.
SET ROLE regress_code_owner;
CREATE TYPE fc.trap AS (n numeric);
CREATE FUNCTION fc.spring(fc.trap) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM fc.note(''cast''); RETURN 1; END';
CREATE CAST (fc.trap AS numeric) WITH FUNCTION fc.spring(fc.trap) AS IMPLICIT;
ALTER TABLE fc.deals ALTER amount TYPE fc.trap USING ROW(amount)::fc.trap;
INSERT INTO fc.deals VALUES (4, 'ann', 'won', ROW(1), '2026-10-05');
UPDATE fc.deals SET owner = 'eve' WHERE id = 4;
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
SELECT source_name, level, stored FROM kpi.verify('fc_deals');
SELECT * FROM fc.total;
-- nor does a reader have it run
SELECT kpi_internal.facts_query('fc_deals') <> '' AS shown;
SELECT kpi_internal.facts_query('fc_deals', 'fc_amount') <> '' AS shown;
SELECT is_called FROM fc.calls;
-- Only the definer accepts it, and whoever acts for it and names the source.
SELECT kpi.resume();
SET ROLE regress_code_third;
SELECT kpi.resume('fc_deals');
CALL kpi.refresh('fc_deals');
RESET ROLE;
SELECT is_called FROM fc.calls;
SET ROLE regress_code_definer;
SELECT kpi.resume('fc_deals');
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
SELECT * FROM fc.total WHERE kpi = 'fc_amount';
SELECT is_called FROM fc.calls;
SELECT setval('fc.calls', 1, false) AS from_one;
SET ROLE regress_code_owner;
ALTER TABLE fc.deals ALTER amount TYPE numeric USING (amount).n;
DROP CAST (fc.trap AS numeric);
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;

-- Another owner of a known function, ...
\set as_known 'SET ROLE regress_code_definer; SELECT kpi.resume(''fc_deals''); RESET ROLE; CALL kpi.refresh(''fc_deals''); SELECT status FROM fc.status; SELECT setval(''fc.calls'', 1, false) AS from_one;'
ALTER FUNCTION fc.net(numeric) OWNER TO regress_code_third;
SET ROLE regress_code_third;
CREATE OR REPLACE FUNCTION fc.net(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM fc.note(''owner''); RETURN 1; END';
RESET ROLE;
INSERT INTO fc.deals VALUES (5, 'ann', 'won', 1, '2026-10-05');
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
SELECT is_called FROM fc.calls;
ALTER FUNCTION fc.net(numeric) OWNER TO regress_code_owner;
:as_known
-- ... a better match under the name, made by another role, ...
SET ROLE regress_code_owner;
ALTER TABLE fc.deals ALTER amount TYPE integer;
SET ROLE regress_code_third;
CREATE FUNCTION fc.net(n integer) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM fc.note(''match''); RETURN 1; END';
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
SELECT is_called FROM fc.calls;
DROP FUNCTION fc.net(integer);
:as_known
-- ... an operator that was replaced by another's, ...
SET ROLE regress_code_owner;
DROP OPERATOR fc.<+> (numeric, numeric);
SET ROLE regress_code_third;
CREATE OPERATOR fc.<+> (FUNCTION = pg_catalog.numeric_sub, LEFTARG = numeric, RIGHTARG = numeric);
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
:as_known
-- ... a constraint that calls another's function, in a domain whose literals are
-- read while parsing, ...
SET ROLE regress_code_definer;
SELECT kpi.create_kpi('fc_read', source => 'fc_deals', measure => 'count(*)', filter => $$'{1}'::fc.price[] IS NOT NULL$$) > 0 AS created;
RESET ROLE;
CALL kpi.refresh('fc_deals');
SET ROLE regress_code_third;
CREATE FUNCTION fc.ok(n numeric) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM fc.note(''domain''); RETURN true; END';
SET ROLE regress_code_owner;
ALTER DOMAIN fc.price ADD CHECK (fc.ok(VALUE)) NOT VALID;
INSERT INTO fc.deals VALUES (6, 'ann', 'won', 1, '2026-10-05');
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
SELECT is_called FROM fc.calls;
SET ROLE regress_code_owner;
ALTER DOMAIN fc.price DROP CONSTRAINT price_check2;
RESET ROLE;
:as_known
-- ... and a collation.
SET ROLE regress_code_owner;
CREATE COLLATION fc.odd (provider = icu, locale = 'und-u-ks-level1');
ALTER TABLE fc.deals ALTER owner TYPE text COLLATE fc.odd;
SET ROLE regress_code_definer;
SELECT kpi.create_kpi('fc_ann', source => 'fc_deals', measure => 'count(*)', filter => $$owner > 'ann'$$) > 0 AS created;
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT status FROM fc.status;
SET ROLE regress_code_owner;
CREATE COLLATION fc.other (provider = icu, locale = 'und-u-ks-level1');
ALTER TABLE fc.deals ALTER owner TYPE text COLLATE fc.other;
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
:as_known

-- Another KPI accepts what it reaches itself, and nothing for the others.
SET ROLE regress_code_owner;
CREATE CAST (fc.trap AS numeric) WITH FUNCTION fc.spring(fc.trap) AS IMPLICIT;
ALTER TABLE fc.deals ALTER amount TYPE fc.trap USING ROW(amount)::fc.trap;
SET ROLE regress_code_definer;
SELECT kpi.create_kpi('fc_count', source => 'fc_deals', measure => 'count(*)') > 0 AS created;
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
SELECT is_called FROM fc.calls;

-- After a restore the state is gone: what the texts name is accepted, a cast
-- that comes with a column's type is not.
DELETE FROM kpi_internal.source_state WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'fc_deals');
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
SELECT is_called FROM fc.calls;
SET ROLE regress_code_owner;
ALTER TABLE fc.deals ALTER amount TYPE numeric USING (amount).n;
DROP CAST (fc.trap AS numeric);
RESET ROLE;
DELETE FROM kpi_internal.source_state WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'fc_deals');
SET ROLE regress_code_definer;
SELECT kpi.drop_kpi('fc_ann');
RESET ROLE;
CALL kpi.refresh('fc_deals');
SELECT * FROM fc.status;
SELECT * FROM fc.total;
-- From then on it is known.
SELECT unnest(regexp_replace(code::text, ' of \d+', '', 'g')::text[]) AS known FROM kpi_internal.source_state
 WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'fc_deals') ORDER BY 1;
SELECT * FROM kpi.verify('fc_deals');

-- Nobody got what he had not.
SELECT rolname, rolsuper, pg_has_role(oid, 'pg_execute_server_program', 'MEMBER') AS programs FROM pg_roles
 WHERE rolname LIKE 'regress\_code\_%' ORDER BY 1;
SELECT kpi.drop_source('fc_deals', cascade => true);
DROP SCHEMA fc CASCADE;
SELECT kpi.revoke_reader('regress_code_definer'), kpi.revoke_reader('regress_code_third');
DROP ROLE regress_code_definer, regress_code_owner, regress_code_third;
