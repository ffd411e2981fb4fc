-- The author of a source is the role that made it, not whoever has its name:
-- what happens to the role stops the source, and kpi.resume() by somebody who
-- may accepts the role as it is then.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA author_test;
CREATE TABLE author_test.deals (id integer PRIMARY KEY, owner text, day date, amount numeric);
INSERT INTO author_test.deals VALUES (1, 'ann', '2026-10-05', 10);
CREATE TABLE author_test.seen (who name);
GRANT INSERT ON author_test.seen TO PUBLIC;
CREATE FUNCTION author_test.note() RETURNS void LANGUAGE sql AS 'INSERT INTO author_test.seen VALUES (current_user)';
CREATE FUNCTION author_test.net(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM author_test.note();
    RETURN n;
END $$;
CREATE VIEW author_test.status AS SELECT source, status, reason, hint FROM kpi.source_status ORDER BY source;
CREATE VIEW author_test.total AS SELECT value FROM kpi.team_monthly WHERE kpi = 'a_amount' AND team = 'company';
CREATE PROCEDURE author_test.role(options text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE ROLE regress_author ' || options;
    GRANT USAGE ON SCHEMA author_test TO regress_author;
    GRANT SELECT, TRIGGER ON author_test.deals TO regress_author;
    PERFORM kpi.grant_editor('regress_author');
END $$;
CREATE PROCEDURE author_test.unrole() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kpi.revoke_reader('regress_author');
    DROP OWNED BY regress_author;
    DROP ROLE regress_author;
END $$;

CALL author_test.role('LOGIN');
SET ROLE regress_author;
SELECT kpi.create_source('a_deals', relation => 'author_test.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('a_amount', source => 'a_deals', measure => 'sum(author_test.net(amount))') > 0 AS created;
RESET ROLE;
CALL kpi.refresh('a_deals');
SELECT * FROM author_test.total;

-- LOGIN is lost: the source stops, also when it comes back.
ALTER ROLE regress_author NOLOGIN;
INSERT INTO author_test.deals VALUES (2, 'ann', '2026-10-06', 20);
CALL kpi.refresh('a_deals');
SELECT * FROM author_test.status;
SELECT * FROM author_test.total;
SELECT source_name, level, stored FROM kpi.verify('a_deals');
ALTER ROLE regress_author LOGIN;
CALL kpi.refresh('a_deals');
SELECT kpi.resume('a_deals');
CALL kpi.refresh('a_deals');
SELECT * FROM author_test.total;
-- It goes on without, if somebody says so.
ALTER ROLE regress_author NOLOGIN;
CALL kpi.refresh('a_deals');
SELECT kpi.resume('a_deals');
CALL kpi.refresh('a_deals');
SELECT status FROM author_test.status;
-- LOGIN that comes and goes later counts, too.
ALTER ROLE regress_author LOGIN;
CALL kpi.refresh('a_deals');
ALTER ROLE regress_author NOLOGIN;
CALL kpi.refresh('a_deals');
SELECT kpi.resume('a_deals');

-- Each right that it needs is needed.
REVOKE SELECT ON author_test.deals FROM regress_author;
CALL kpi.refresh('a_deals');
SELECT kpi.resume('a_deals');
GRANT SELECT ON author_test.deals TO regress_author;
SELECT kpi.resume('a_deals');
REVOKE TRIGGER ON author_test.deals FROM regress_author;
CALL kpi.refresh('a_deals');
GRANT TRIGGER ON author_test.deals TO regress_author;
SELECT kpi.resume('a_deals');

-- The role has another name.
ALTER ROLE regress_author RENAME TO regress_author_2;
CALL kpi.refresh('a_deals');
ALTER ROLE regress_author_2 RENAME TO regress_author;
SELECT kpi.resume('a_deals');

-- The role is dropped.  Writes go on, and nothing runs.
CALL author_test.unrole();
TRUNCATE author_test.seen;
INSERT INTO author_test.deals VALUES (3, 'ann', '2026-10-07', 30);
CALL kpi.refresh('a_deals');
SELECT * FROM author_test.status;
SELECT kpi.resume('a_deals');

-- Another role that comes under its name inherits nothing by that: not even
-- where no refresh has seen that the first was gone.
CALL author_test.role('LOGIN');
SELECT kpi.resume('a_deals');
CALL kpi.refresh('a_deals');
SELECT * FROM author_test.total;
CALL author_test.unrole();
CALL author_test.role('LOGIN');
TRUNCATE author_test.seen;
INSERT INTO author_test.deals VALUES (4, 'ann', '2026-10-08', 40);
SELECT kpi.create_kpi('a_count', source => 'a_deals', measure => 'count(*)');
CALL kpi.refresh('a_deals');
SELECT * FROM author_test.status;
SELECT * FROM kpi.verify('a_deals');
SELECT * FROM author_test.seen;
-- An editor that is neither cannot accept it, the new role can.
CREATE ROLE regress_author_other;
SELECT kpi.grant_editor('regress_author_other');
SET ROLE regress_author_other;
SELECT kpi.resume('a_deals');
SELECT kpi.resume();
RESET ROLE;
SET ROLE regress_author;
SELECT kpi.resume('a_deals');
RESET ROLE;
CALL kpi.refresh('a_deals');
SELECT * FROM author_test.total;
SELECT DISTINCT who FROM author_test.seen;
SELECT * FROM kpi.verify('a_deals');
SELECT kpi.drop_source('a_deals', cascade => true);

-- Dropped and made again before the first refresh.
SET ROLE regress_author;
SELECT kpi.create_source('a_deals', relation => 'author_test.deals', owner => 'owner', at => 'day') > 0 AS created;
RESET ROLE;
CALL author_test.unrole();
CALL author_test.role('LOGIN');
CALL kpi.refresh('a_deals');
SELECT kpi.drop_source('a_deals', cascade => true);
CALL author_test.unrole();

-- A role that owns tables and never could log in is no reason to stop.
CALL author_test.role('NOLOGIN');
SET ROLE regress_author;
SELECT kpi.create_source('a_deals', relation => 'author_test.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('a_amount', source => 'a_deals', measure => 'sum(amount)') > 0 AS created;
RESET ROLE;
CALL kpi.refresh('a_deals');
INSERT INTO author_test.deals VALUES (5, 'ann', '2026-10-08', 50);
CALL kpi.refresh('a_deals');
SELECT * FROM author_test.status;
SELECT * FROM author_test.total;

SELECT kpi.drop_source('a_deals', cascade => true);
CALL author_test.unrole();
SELECT kpi.revoke_reader('regress_author_other');
DROP ROLE regress_author_other;
DROP SCHEMA author_test CASCADE;
