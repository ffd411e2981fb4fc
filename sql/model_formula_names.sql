-- Names of KPIs in formulas: read as SQL reads names of columns.
\set SHOW_CONTEXT never
\set VERBOSITY default
CREATE FUNCTION pg_temp.f(formula text) RETURNS numeric LANGUAGE sql AS
    $$SELECT kpi_internal.formula_value(formula, ARRAY['a', 'A', 'Ä "1"', 'user', 'all', 'time', 'value', 'month', 'a$1', 'größe', repeat('n', 100), repeat('N', 100), repeat('n', 63)],
                                        ARRAY[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])$$;
-- Capitals stand in double quotes, and so do keywords; those that may name a column need not.
SELECT pg_temp.f('A') AS one, pg_temp.f('"A"') AS two, pg_temp.f('"Ä ""1"""') AS three, pg_temp.f('"user"') AS four, pg_temp.f('"all" - a') AS four_too,
       pg_temp.f('value * Month') AS fifty_six, pg_temp.f('a$1') AS nine, pg_temp.f('größe') AS ten;
SELECT pg_temp.f('user + 1');
SELECT pg_temp.f('1 + time + a');
SELECT pg_temp.f('all - a');
SELECT pg_temp.f(' /* all */ ALL a');
SELECT pg_temp.f('distinct a');
SELECT pg_temp.f('case + a');
SELECT pg_temp.f('a * end');
SELECT pg_temp.f('null + a');
SELECT pg_temp.f('a - True');
SELECT pg_temp.f('größe + default');
-- A keyword that stands in quotes, or is meant as a function, is not what is wrong.
SELECT pg_temp.f('"user" + coalesce(a, 1) + ');
SELECT pg_temp.f('U&"\0061" + a');
-- Comments are SQL's.
SELECT pg_temp.f('a /* the "A" */ + -- of all
                  "A"') AS three, pg_temp.f('/* a */ a') AS one;
-- Names are as long as those of KPIs may be, and nobody is told that they are cut.
SELECT pg_temp.f(repeat('N', 100)) AS eleven, pg_temp.f('"' || repeat('N', 100) || '"') AS twelve,
       pg_temp.f(repeat('n', 63)) AS thirteen, pg_temp.f(repeat('n', 64)) AS none;
-- Settings of the session do not matter.
SET standard_conforming_strings = off;
SET quote_all_identifiers = on;
SELECT pg_temp.f('"Ä ""1""" + a') AS four;
RESET standard_conforming_strings;
RESET quote_all_identifiers;

-- Renaming puts the new name where the old one stands, and nowhere else.
CREATE SCHEMA names_test;
CREATE TABLE names_test.facts (n numeric, at date);
INSERT INTO names_test.facts VALUES (5, '2026-01-01');
SELECT kpi.create_source('fn_facts', relation => 'names_test.facts', at => 'at') > 0 AS created;
SELECT count(kpi.create_kpi(name, source => 'fn_facts', measure => 'sum(n)')) FROM unnest('{fn_a,fn_b,Capital,user}'::text[]) name;
SELECT kpi.create_kpi('fn_f', formula => 'fn_a + "fn_a" * FN_A /* fn_a */ - "Capital" + fn_b + "user" - fn_a -- fn_a') > 0 AS created;
SELECT kpi.create_kpi('fn_g', formula => 'Capital + 1');
SELECT kpi.create_kpi('fn_g', formula => 'user + 1');
CREATE FUNCTION pg_temp.renamed(old_name text, new_name text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kpi.alter_kpi(old_name, new_name => new_name);
    RETURN (SELECT formula FROM kpi.kpi WHERE name = 'fn_f');
END $$;
SELECT pg_temp.renamed('fn_a', 'order');
SELECT pg_temp.renamed('order', 'Two "words"');
SELECT pg_temp.renamed('Two "words"', 'fn_a');
SELECT pg_temp.renamed('user', 'value');
SELECT pg_temp.renamed('value', repeat('x', 100));
SELECT pg_temp.renamed(repeat('x', 100), 'fn_c');
SELECT pg_temp.renamed('Capital', 'capital');
SELECT f.name, k.name AS kpi FROM kpi_internal.formula_input f JOIN kpi.kpi k ON k.id = f.input_kpi_id
 WHERE f.kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'fn_f') ORDER BY 1;
CALL kpi.refresh();
SELECT value, 5 + 5 * 5 - 5 + 5 + 5 - 5 AS expected FROM kpi.team_yearly WHERE kpi = 'fn_f' AND team = 'company';
SELECT kpi.drop_source('fn_facts', cascade => true);
DROP TABLE names_test.facts;
DROP SCHEMA names_test;
