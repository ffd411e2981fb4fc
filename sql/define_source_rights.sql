-- Sources: rights of who makes, alters and drops one.
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir /sql/include/source.sql
\set ECHO none
\i :setup
\set ECHO all

-- Rights: the owner, or SELECT and TRIGGER, and no row security.
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at');
RESET ROLE;
GRANT SELECT ON source_test.deals TO regress_kpi_definer;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at');
RESET ROLE;
GRANT TRIGGER ON source_test.deals TO regress_kpi_definer;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('x', relation => 'source_test.deals', at => 'closed_at', owner => 'owner_id') > 0 AS created;
SELECT name, definer FROM kpi.source WHERE name = 'x';
RESET ROLE;
ALTER TABLE source_test.deals ENABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('y', relation => 'source_test.deals', at => 'closed_at');
SELECT kpi.alter_source('x', at => 'month');
RESET ROLE;
ALTER TABLE source_test.deals DISABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_other;
SELECT kpi.alter_source('x', at => 'month');
SELECT kpi.drop_source('x');
SELECT kpi.create_kpi('x_count', source => 'x', measure => 'count(*)');
RESET ROLE;
-- A member of the definer's role may; expressions still run as the definer.
GRANT regress_kpi_definer TO regress_kpi_other;
REVOKE EXECUTE ON FUNCTION source_test.net FROM PUBLIC;
SET ROLE regress_kpi_other;
SELECT kpi.alter_source('x', at => 'month');
SELECT kpi.create_kpi('x_net', source => 'x', measure => 'sum(source_test.net(amount))');
RESET ROLE;
GRANT EXECUTE ON FUNCTION source_test.net TO PUBLIC;
-- A superuser's expressions call no function that another could replace.
SET ROLE regress_kpi_definer;
CREATE FUNCTION source_test.planted(numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
RESET ROLE;
SELECT kpi.create_source('y', relation => 'source_test.deals', at => 'closed_at', filter => 'source_test.planted(amount) > 0');
-- Whose role is gone.
UPDATE kpi.source SET definer = 'regress_kpi_gone' WHERE name = 'x';
SELECT kpi.alter_source('x', filter => 'amount > 0');
SELECT kpi.drop_source('x');

DROP SCHEMA source_test CASCADE;
DROP OWNED BY regress_kpi_definer, regress_kpi_other;
DROP ROLE regress_kpi_definer, regress_kpi_other;
