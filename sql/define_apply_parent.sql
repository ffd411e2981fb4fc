-- kpi.export() and kpi.apply(): the goal that a goal is a part of.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset format unaligned
SET kpi.now = '2026-11-10 12:00:00+00';
CREATE SCHEMA ap;
CREATE TABLE ap.deals (id integer PRIMARY KEY, owner text, day date, amount numeric, product text);
INSERT INTO ap.deals SELECT i, (ARRAY['ap_ann','ap_bob'])[1 + i % 2], date '2026-01-01' + i % 300, i, 'a' FROM generate_series(1, 500) i;
SELECT count(kpi.create_team(k)) FROM unnest('{ap_emea,ap_apac}'::text[]) k;
SELECT kpi.add_member('ap_ann', team => 'ap_emea') > 0, kpi.add_member('ap_bob', team => 'ap_apac') > 0;
SELECT kpi.create_source('ap', relation => 'ap.deals', key => 'id', owner => 'owner', at => 'day', dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_kpi('ap_revenue', source => 'ap', measure => 'sum(amount)') > 0 AS created, kpi.create_kpi('ap_won', source => 'ap', measure => 'count(*)') > 0 AS won;
CALL kpi.refresh();
CREATE VIEW ap.goal AS
    SELECT k.name AS kpi, concat_ws(' ', g.name, t.key, m.key, g.dimension_value, g.period) AS goal, g.plan, concat_ws(' ', pk.name, p.name, pt.key, pm.key, p.dimension_value, p.period) AS parent, g.altered_at IS NOT NULL AS altered
      FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member m ON m.id = g.member_id
      LEFT JOIN kpi.goal p ON p.id = g.parent_id LEFT JOIN kpi.kpi pk ON pk.id = p.kpi_id LEFT JOIN kpi.team pt ON pt.id = p.team_id LEFT JOIN kpi.member pm ON pm.id = p.member_id
     WHERE k.name LIKE 'ap\_%' ORDER BY k.name, coalesce(t.key, m.key) COLLATE "C", g.period_start, g.period_end, g.id;
CREATE TABLE ap.document (label text, doc jsonb);

-- A tree of three levels whose goals have no names; one of a dimension's value; one in a plan of its own; and a draft above one.
SELECT kpi.create_goal(kpi => 'ap_revenue', period => '2026', target => 400000) AS year \gset
SELECT kpi.create_goal(kpi => 'ap_revenue', member => 'ap_ann', period => '2026', target => 5) AS of_ann \gset
SELECT kpi.create_goal('the quarter', kpi => 'ap_revenue', period => '2026-Q4', target => 100000, parent => :year) AS quarter \gset
SELECT count(*) FROM kpi.cascade('the quarter', across => 'teams', by => 'equal');
SELECT kpi.create_goal(kpi => 'ap_won', team => 'ap_emea', period => '2026', target => 50, plan => 'stretch', parent => :of_ann) > 0 AS made;
SELECT kpi.create_goal(kpi => 'ap_won', period => '2026', target => 40, dimension => 'product', dimension_value => 'a') AS of_a \gset
SELECT kpi.create_goal(kpi => 'ap_won', team => 'ap_apac', period => '2026-12', target => 4, parent => :of_a) > 0 AS made;
CREATE TABLE ap.sheet AS SELECT 'ap_won'::text AS kpi, 3 AS target, '2026-11'::text AS period;
SELECT count(*) FROM kpi.import_goals('ap.sheet', plan => 'ap next');
SELECT kpi.create_goal(kpi => 'ap_won', team => 'ap_apac', period => '2026-11', target => 4, parent => (SELECT id FROM kpi.goal WHERE is_draft)) > 0 AS made;
SELECT * FROM ap.goal;
INSERT INTO ap.document SELECT 'whole', jsonb_build_object('goals', (SELECT jsonb_agg(g) FROM jsonb_array_elements(kpi.export() -> 'goals') g WHERE g ->> 'kpi' LIKE 'ap\_%'));
SELECT jsonb_pretty(jsonb_agg(g - 'target')) FROM ap.document, jsonb_array_elements(doc -> 'goals') g;

-- What is so already is not touched: not by a document that says it otherwise, either.
SELECT a.* FROM ap.document, kpi.apply(doc) a;
SELECT * FROM kpi.apply('{"goals": [
    {"kpi": "ap_revenue", "team": "ap_emea", "period": "2026-Q4", "target": 50000, "parent": "the quarter"},
    {"kpi": "ap_revenue", "team": "ap_apac", "period": "2026-Q4", "target": 50000, "parent": {"kpi": "ap_revenue", "plan": "default", "team": "company", "period": "2026-Q4"}}]}');
SELECT count(*) FILTER (WHERE altered) AS altered FROM ap.goal;

-- Where there is none of them it makes them, whichever comes first; and then nothing more.
SELECT kpi.alter_goal('the quarter', parent => ''), kpi.alter_goal(:year, parent => 'the quarter');
SELECT action, name, old -> 'parent' AS old, new -> 'parent' AS new FROM ap.document, kpi.apply(doc);
SELECT a.* FROM ap.document, kpi.apply(doc) a;
SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE NOT is_draft AND kpi_id IN (SELECT id FROM kpi.kpi WHERE name LIKE 'ap\_%');
INSERT INTO ap.document SELECT 'backwards', jsonb_build_object('goals', jsonb_agg(g ORDER BY n DESC)) FROM ap.document, jsonb_array_elements(doc -> 'goals') WITH ORDINALITY g (g, n);
SELECT action, name, new -> 'parent' AS parent FROM ap.document d, kpi.apply(doc) WHERE label = 'backwards';
SELECT * FROM ap.goal;
SELECT a.* FROM ap.document, kpi.apply(doc) a;

-- Above and below change places, one gets another name, and one goes: children by its name follow.
SELECT action, name, old -> 'parent' AS old, new -> 'parent' AS new, new ->> 'name' AS called FROM kpi.apply('{"goals": [
    {"kpi": "ap_revenue", "team": "ap_emea", "period": "2026-Q4", "target": 50000, "parent": "Q4"},
    {"kpi": "ap_revenue", "team": "ap_apac", "period": "2026-Q4", "target": 50000},
    {"kpi": "ap_revenue", "period": "2026", "target": "400000", "parent": "Q4"},
    {"name": "Q4", "kpi": "ap_revenue", "period": "2026-Q4", "target": 100000}]}');
SELECT * FROM ap.goal WHERE kpi = 'ap_revenue';
-- the log knows it
SELECT l.action, l.name, l.old -> 'parent' AS old, l.new -> 'parent' AS new FROM kpi.definition_log l
 WHERE l.kind = 'goal' AND l.name LIKE 'ap\_revenue%' ORDER BY l.id DESC LIMIT 4;

-- What is wrong changes nothing.
CREATE FUNCTION ap.wrong(parent jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text; detail text; hint text; context text;
BEGIN
    PERFORM kpi.apply(jsonb_build_object('goals', jsonb_build_array(jsonb_build_object('kpi', 'ap_won', 'team', 'ap_emea', 'period', '2026-10', 'target', 1, 'parent', parent))));
    RETURN 'nothing is wrong';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    RETURN concat_ws(' | ', SQLSTATE, said, nullif(detail, ''), nullif(hint, ''), substring(context FROM 'goals\[\d+\] of the definitions'));
END $$;
SELECT ap.wrong('"nobody knows"');
SELECT ap.wrong('{"kpi": "ap_revenue", "period": "2031"}');
SELECT ap.wrong('{"kpi": "ap_revenue", "period": "2026", "plan": "stretch"}');
SELECT ap.wrong('{"kpi": "ap_revenue"}');
SELECT ap.wrong('{"kpi": "ap_revenue", "periods": "2026"}');
SELECT ap.wrong('{"kpi": 1, "period": "2026"}');
SELECT ap.wrong('17');
SELECT ap.wrong('["the quarter"]');
SELECT ap.wrong('{"kpi": "ap_won", "team": "ap_emea", "period": "2026-10"}');
\set VERBOSITY terse
SELECT * FROM kpi.apply('{"goals": [
    {"name": "the year", "kpi": "ap_revenue", "period": "2026", "target": "400000", "parent": {"kpi": "ap_revenue", "period": "2026-Q4"}},
    {"name": "Q4", "kpi": "ap_revenue", "period": "2026-Q4", "target": 100000, "parent": {"kpi": "ap_revenue", "period": "2026"}}]}');
SELECT * FROM ap.goal WHERE kpi = 'ap_revenue';

SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE kpi_id IN (SELECT id FROM kpi.kpi WHERE name LIKE 'ap\_%');
SELECT kpi.drop_plan('ap next');
SELECT kpi.drop_source('ap', cascade => true);
SELECT count(kpi.drop_member(k)) FROM unnest('{ap_ann,ap_bob}'::text[]) k;
SELECT count(kpi.drop_team(k)) FROM unnest('{ap_emea,ap_apac}'::text[]) k;
DROP SCHEMA ap CASCADE;
RESET kpi.now;
