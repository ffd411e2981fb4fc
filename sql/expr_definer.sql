-- The definer of a source is the role that made it, not whoever has its name:
-- what happens to the role stops the source, and kpi.resume() by somebody who
-- may accepts the role as it is then.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA definer_test;
CREATE TABLE definer_test.deals (id integer PRIMARY KEY, owner text, day date, amount numeric);
INSERT INTO definer_test.deals VALUES (1, 'ann', '2026-10-05', 10);
CREATE TABLE definer_test.seen (who name);
GRANT INSERT ON definer_test.seen TO PUBLIC;
CREATE FUNCTION definer_test.note() RETURNS void LANGUAGE sql AS 'INSERT INTO definer_test.seen VALUES (current_user)';
CREATE FUNCTION definer_test.net(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM definer_test.note();
    RETURN n;
END $$;
CREATE VIEW definer_test.status AS SELECT source, status, reason, hint FROM kpi.source_status ORDER BY source;
CREATE VIEW definer_test.total AS SELECT value FROM kpi.team_monthly WHERE kpi = 'a_amount' AND team = 'company';
CREATE PROCEDURE definer_test.role(options text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE ROLE regress_definer ' || options;
    GRANT USAGE ON SCHEMA definer_test TO regress_definer;
    GRANT SELECT, TRIGGER ON definer_test.deals TO regress_definer;
    PERFORM kpi.grant_editor('regress_definer');
END $$;
CREATE PROCEDURE definer_test.unrole() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kpi.revoke_reader('regress_definer');
    DROP OWNED BY regress_definer;
    DROP ROLE regress_definer;
END $$;

CALL definer_test.role('LOGIN');
SET ROLE regress_definer;
SELECT kpi.create_source('a_deals', relation => 'definer_test.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('a_amount', source => 'a_deals', measure => 'sum(definer_test.net(amount))') > 0 AS created;
RESET ROLE;
CALL kpi.refresh('a_deals');
SELECT * FROM definer_test.total;

-- LOGIN is lost: the source stops, also when it comes back.
ALTER ROLE regress_definer NOLOGIN;
INSERT INTO definer_test.deals VALUES (2, 'ann', '2026-10-06', 20);
CALL kpi.refresh('a_deals');
SELECT * FROM definer_test.status;
SELECT * FROM definer_test.total;
SELECT source_name, level, stored FROM kpi.verify('a_deals');
ALTER ROLE regress_definer LOGIN;
CALL kpi.refresh('a_deals');
SELECT kpi.resume('a_deals');
CALL kpi.refresh('a_deals');
SELECT * FROM definer_test.total;
-- It goes on without, if somebody says so.
ALTER ROLE regress_definer NOLOGIN;
CALL kpi.refresh('a_deals');
SELECT kpi.resume('a_deals');
CALL kpi.refresh('a_deals');
SELECT status FROM definer_test.status;
-- LOGIN that comes and goes later counts, too.
ALTER ROLE regress_definer LOGIN;
CALL kpi.refresh('a_deals');
ALTER ROLE regress_definer NOLOGIN;
CALL kpi.refresh('a_deals');
SELECT kpi.resume('a_deals');

-- Each right that it needs is needed.
REVOKE SELECT ON definer_test.deals FROM regress_definer;
CALL kpi.refresh('a_deals');
SELECT kpi.resume('a_deals');
GRANT SELECT ON definer_test.deals TO regress_definer;
SELECT kpi.resume('a_deals');
REVOKE TRIGGER ON definer_test.deals FROM regress_definer;
CALL kpi.refresh('a_deals');
GRANT TRIGGER ON definer_test.deals TO regress_definer;
SELECT kpi.resume('a_deals');

-- The role has another name.
ALTER ROLE regress_definer RENAME TO regress_definer_2;
CALL kpi.refresh('a_deals');
ALTER ROLE regress_definer_2 RENAME TO regress_definer;
SELECT kpi.resume('a_deals');

-- The role is dropped.  Writes go on, and nothing runs.
CALL definer_test.unrole();
TRUNCATE definer_test.seen;
INSERT INTO definer_test.deals VALUES (3, 'ann', '2026-10-07', 30);
CALL kpi.refresh('a_deals');
SELECT * FROM definer_test.status;
SELECT kpi.resume('a_deals');

-- Another role that comes under its name inherits nothing by that: not even
-- where no refresh has seen that the first was gone.
CALL definer_test.role('LOGIN');
SELECT kpi.resume('a_deals');
CALL kpi.refresh('a_deals');
SELECT * FROM definer_test.total;
CALL definer_test.unrole();
CALL definer_test.role('LOGIN');
TRUNCATE definer_test.seen;
INSERT INTO definer_test.deals VALUES (4, 'ann', '2026-10-08', 40);
SELECT kpi.create_kpi('a_count', source => 'a_deals', measure => 'count(*)');
CALL kpi.refresh('a_deals');
SELECT * FROM definer_test.status;
SELECT * FROM kpi.verify('a_deals');
SELECT * FROM definer_test.seen;
-- An editor that is neither cannot accept it, the new role can.
CREATE ROLE regress_definer_other;
SELECT kpi.grant_editor('regress_definer_other');
SET ROLE regress_definer_other;
SELECT kpi.resume('a_deals');
SELECT kpi.resume();
RESET ROLE;
SET ROLE regress_definer;
SELECT kpi.resume('a_deals');
RESET ROLE;
CALL kpi.refresh('a_deals');
SELECT * FROM definer_test.total;
SELECT DISTINCT who FROM definer_test.seen;
SELECT * FROM kpi.verify('a_deals');
SELECT kpi.drop_source('a_deals', cascade => true);

-- Dropped and made again before the first refresh.
SET ROLE regress_definer;
SELECT kpi.create_source('a_deals', relation => 'definer_test.deals', owner => 'owner', at => 'day') > 0 AS created;
RESET ROLE;
CALL definer_test.unrole();
CALL definer_test.role('LOGIN');
CALL kpi.refresh('a_deals');
SELECT kpi.drop_source('a_deals', cascade => true);
CALL definer_test.unrole();

-- A role that owns tables and never could log in is no reason to stop.
CALL definer_test.role('NOLOGIN');
SET ROLE regress_definer;
SELECT kpi.create_source('a_deals', relation => 'definer_test.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('a_amount', source => 'a_deals', measure => 'sum(amount)') > 0 AS created;
RESET ROLE;
CALL kpi.refresh('a_deals');
INSERT INTO definer_test.deals VALUES (5, 'ann', '2026-10-08', 50);
CALL kpi.refresh('a_deals');
SELECT * FROM definer_test.status;
SELECT * FROM definer_test.total;

SELECT kpi.drop_source('a_deals', cascade => true);
CALL definer_test.unrole();
SELECT kpi.revoke_reader('regress_definer_other');
DROP ROLE regress_definer_other;
DROP SCHEMA definer_test CASCADE;
