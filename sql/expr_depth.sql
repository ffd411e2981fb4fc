-- An expression of any depth is refused, and takes no session with it.
CREATE SCHEMA depth_test;
CREATE TABLE depth_test.facts (n numeric, at date);
SELECT kpi.create_source('ed_facts', relation => 'depth_test.facts', at => 'at') > 0 AS created;
CREATE FUNCTION pg_temp.refused(sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql USING '1' || repeat('+1', 1000000);
    RETURN 'not refused';
EXCEPTION WHEN statement_too_complex THEN
    RETURN SQLERRM;
END $$;
SELECT pg_temp.refused($$SELECT kpi.create_kpi('ed', source => 'ed_facts', measure => $1)$$) AS measure,
       pg_temp.refused($$SELECT kpi.create_kpi('ed', source => 'ed_facts', measure => 'count(*)', filter => $1 || ' > 0')$$) AS filter,
       pg_temp.refused($$SELECT kpi.create_kpi('ed', formula => $1)$$) AS formula;
SELECT kpi.drop_source('ed_facts');
DROP TABLE depth_test.facts;
DROP SCHEMA depth_test;
