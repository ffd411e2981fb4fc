-- Expressions that write.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_trust_evil;
SELECT kpi.grant_editor('regress_trust_evil');
CREATE SCHEMA trust_test AUTHORIZATION regress_trust_evil;
GRANT USAGE ON SCHEMA trust_test TO PUBLIC;
SET ROLE regress_trust_evil;
CREATE TABLE trust_test.deals (id integer, owner text, amount numeric, day date);

-- An expression that writes to its own table, or to another source, or starts
-- a refresh, spoils nobody's numbers.
CREATE TABLE trust_test.other (id integer, owner text, day date);
CREATE FUNCTION trust_test.write_more(i integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF i BETWEEN 1 AND 3 THEN
        INSERT INTO trust_test.deals SELECT i * 10, repeat('x', 3000) || n, 1, '2026-10-06' FROM generate_series(1, 3) n;
        INSERT INTO trust_test.deals SELECT i + 1, repeat('y', 3000), 1, '2026-10-06' WHERE i < 3;
        GRANT SELECT ON trust_test.deals TO regress_trust_evil;
        INSERT INTO trust_test.other VALUES (i, 'ann', '2026-10-06');
    END IF;
    IF i = 7 THEN
        CALL kpi.refresh('t_own');
    END IF;
    IF i = 8 THEN
        PERFORM kpi.drop_source('t_other', cascade => true);
    END IF;
END $$;
CREATE FUNCTION trust_test.writes(i integer, t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM trust_test.write_more(i);
    RETURN upper(t) || i;
END $$;
TRUNCATE trust_test.deals;
SELECT kpi.create_source('t_own', relation => 'trust_test.deals', at => 'day', owner => $$lower(owner) || left(trust_test.writes(id, owner), 5)$$,
    dimensions => '{"a": "left(owner, 9) || id::text", "b": "left(trust_test.writes(-id, owner), 9)"}') > 0 AS created;
SELECT kpi.create_kpi('t_own', source => 't_own', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_source('t_other', relation => 'trust_test.other', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('t_other', source => 't_other', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh();
INSERT INTO trust_test.deals VALUES (1, 'ann', 1, '2026-10-06');
UPDATE trust_test.deals SET id = 0, amount = 5 WHERE id IN (1, 2, 3);
INSERT INTO trust_test.deals VALUES (7, 'ann', 100, '2026-10-06'), (8, 'ann', 100, '2026-10-06');
UPDATE trust_test.deals SET id = 3 WHERE owner = 'ann' AND id = 0;
CALL kpi.refresh();
SELECT source, status, facts_ignored, last_fact_error FROM kpi.source_status WHERE source IN ('t_own', 't_other') ORDER BY 1;
SELECT kpi, value FROM kpi.team_daily WHERE kpi IN ('t_own', 't_other') AND team = 'company' ORDER BY 1;
SELECT sum(amount) FILTER (WHERE id NOT IN (7, 8)) FROM trust_test.deals;
SELECT count(*) FROM trust_test.other;
SELECT * FROM kpi.verify('t_other');
SELECT kpi.drop_source('t_own', cascade => true);
SELECT kpi.drop_source('t_other', cascade => true);
RESET ROLE;

SELECT kpi.revoke_reader('regress_trust_evil');
DROP SCHEMA trust_test CASCADE;
DROP ROLE regress_trust_evil;
