-- A source gets another table, a KPI another source, a rollup table other rows: what is over them stays.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset format unaligned
CREATE ROLE regress_move_editor;
CREATE ROLE regress_move_other;
SELECT kpi.grant_editor('regress_move_editor'), kpi.grant_editor('regress_move_other');
CREATE SCHEMA move_test AUTHORIZATION regress_move_editor;
SET ROLE regress_move_editor;
CREATE TABLE move_test.deals (id integer PRIMARY KEY, owner_id text, amount numeric, product text, closed_at date);
INSERT INTO move_test.deals SELECT i, 'mv_ann', 1, 'p' || i % 2, date '2026-01-15' + i FROM generate_series(1, 40) i;
CREATE TABLE move_test.orders (closed_at date, product text, amount numeric, owner_id text, id integer PRIMARY KEY, note text);
INSERT INTO move_test.orders SELECT date '2026-02-01' + i, 'q', 10, 'mv_ann', i, NULL FROM generate_series(1, 5) i;
CREATE TABLE move_test.calls (id integer PRIMARY KEY, caller text, amount numeric, product text, called_at date);
INSERT INTO move_test.calls SELECT i, 'mv_ann', 3, 'r', date '2026-03-01' + i FROM generate_series(1, 7) i;
ANALYZE move_test.deals, move_test.orders, move_test.calls;
CREATE TABLE move_test.document (doc jsonb);
INSERT INTO move_test.document VALUES ('{
  "teams": [{"key": "mv_team"}],
  "members": [{"key": "mv_ann", "memberships": [{"team": "mv_team"}]}],
  "sources": [{"name": "mv_deals", "relation": "move_test.deals", "key": "id", "owner": "owner_id", "at": "closed_at", "dimensions": {"product": "product"}},
              {"name": "mv_calls", "relation": "move_test.calls", "key": "id", "owner": "caller", "at": "called_at"}],
  "kpis": [{"name": "mv_sum", "source": "mv_deals", "measure": "sum(amount)"},
           {"name": "mv_count", "source": "mv_deals", "measure": "count(*)"},
           {"name": "mv_mean", "formula": "mv_sum / mv_count"}],
  "goals": [{"name": "mv_goal", "kpi": "mv_sum", "team": "mv_team", "period": "2026", "target": "100"}],
  "rollups": [{"name": "move_test.by_month", "kpis": ["mv_sum", "mv_mean"]}]
}');
SELECT count(*) FROM move_test.document, kpi.apply(doc);
CALL kpi.refresh();
-- Its history is that of the goal.
SELECT kpi.alter_goal('mv_goal', target => '200');
UPDATE move_test.document SET doc = jsonb_set(doc, '{goals,0,target}', '"200"');
CREATE VIEW move_test.numbers AS
    SELECT kpi, period, value, (SELECT count(*) FROM kpi.goal g JOIN kpi.goal_target t ON t.goal_id = g.id WHERE g.name = 'mv_goal') AS targets,
           (SELECT actual FROM kpi.goal_progress WHERE goal = 'mv_goal') AS actual
      FROM kpi.team_monthly WHERE kpi ~ '^mv_' AND team = 'mv_team' ORDER BY kpi, period;
SELECT * FROM move_test.numbers;
-- What is asked for is what a dry run says, done, and nothing the second time.
CREATE FUNCTION move_test.change(path text, value jsonb) RETURNS TABLE (action text, kind text, name text, facts bigint, detail text) LANGUAGE plpgsql AS $$
DECLARE
    wanted jsonb;
    dry text[];
    done text[] := '{}';
    a record;
BEGIN
    UPDATE move_test.document SET doc = CASE WHEN value IS NULL THEN doc #- path::text[] ELSE jsonb_set(doc, path::text[], value) END
     RETURNING doc INTO wanted;
    dry := ARRAY(SELECT d::text FROM kpi.apply(wanted, dry_run => true) d);
    FOR a IN SELECT * FROM kpi.apply(wanted) LOOP
        done := done || a::text;
        SELECT a.action, a.kind, a.name, a.facts, a.detail INTO action, kind, name, facts, detail;
        RETURN NEXT;
    END LOOP;
    ASSERT done = dry, 'a dry run says something else';
    ASSERT NOT EXISTS (SELECT FROM kpi.apply(wanted)) AND NOT EXISTS (SELECT FROM kpi.apply(kpi.export())), 'it differs still';
END $$;

-- ---- the table of a source ----
SELECT id AS source_id FROM kpi.source WHERE name = 'mv_deals' \gset
SELECT * FROM move_test.change('{sources,0,relation}', '"move_test.orders"');
SELECT tgrelid::regclass FROM pg_trigger WHERE tgname ~ ('^kpi_(capture|truncate)_' || :source_id || '$') ORDER BY tgname;
SELECT relation, id = :source_id AS is_same FROM kpi.source WHERE name = 'mv_deals';
INSERT INTO move_test.deals VALUES (99, 'mv_ann', 1000, 'p', '2026-02-01');
CALL kpi.refresh();
INSERT INTO move_test.orders VALUES ('2026-02-03', 'q', 7, 'mv_ann', 99, NULL);
DELETE FROM move_test.deals;
CALL kpi.refresh();
SELECT * FROM move_test.numbers;
SELECT * FROM kpi.verify('mv_deals');
SELECT mv_sum, mv_mean, period FROM move_test.by_month WHERE team = 'mv_team';
-- by hand: the same table under another name of it is no change; what does not fit is refused, with all that is as it was
SET search_path = move_test, public;
SELECT kpi.alter_source('mv_deals', relation => 'orders');
RESET search_path;
RESET ROLE;
SELECT count(*) FROM kpi_internal.unbuilt u WHERE u.source_id = :source_id;
SET ROLE regress_move_editor;
SELECT kpi.alter_source('mv_deals', relation => 'move_test.calls');
SELECT kpi.alter_source('mv_deals', relation => 'move_test.nothing');
SELECT kpi.alter_source('mv_deals', relation => 'move_test.numbers');
SELECT kpi.apply(jsonb_set(doc, '{sources,0,relation}', '"move_test.calls"')) FROM move_test.document;
SELECT kpi.alter_source('mv_deals', relation => 'move_test.calls', owner => 'caller', at => 'called_at');
CALL kpi.refresh();
SELECT * FROM move_test.numbers;
SELECT kpi.alter_source('mv_deals', relation => 'move_test.orders', owner => 'owner_id', at => 'closed_at');
CALL kpi.refresh();
SELECT * FROM kpi.verify('mv_deals');
-- a table that was dropped; a source that does not follow and would be suspended by a swap
SELECT kpi.alter_source('mv_calls', on_swap => 'suspend');
SELECT kpi.create_kpi('mv_calls', source => 'mv_calls', measure => 'count(*)') > 0;
CALL kpi.refresh('mv_calls');
ALTER TABLE move_test.calls RENAME TO calls_gone;
CREATE TABLE move_test.calls (LIKE move_test.calls_gone INCLUDING ALL);
DROP TABLE move_test.calls_gone;
CALL kpi.refresh('mv_calls');
SELECT status FROM kpi.source_status WHERE source = 'mv_calls';
CREATE TABLE move_test.calls2 (LIKE move_test.calls INCLUDING ALL);
INSERT INTO move_test.calls2 VALUES (1, 'mv_ann', 1, 'r', '2026-05-05');
SELECT kpi.alter_source('mv_calls', relation => 'move_test.calls2');
CALL kpi.refresh('mv_calls');
SELECT status FROM kpi.source_status WHERE source = 'mv_calls';
SELECT kpi, period, value FROM kpi.team_yearly WHERE kpi = 'mv_calls' AND team = 'mv_team';
SELECT kpi.drop_kpi('mv_calls');
UPDATE move_test.document SET doc = jsonb_set(doc, '{sources,1}', doc #> '{sources,1}' || '{"relation": "move_test.calls2", "on_swap": "suspend"}');
SELECT * FROM move_test.document, kpi.apply(doc);
-- rights: of the source, and of the definer on the table
RESET ROLE;
CREATE TABLE move_test.secret (LIKE move_test.orders INCLUDING ALL);
SET ROLE regress_move_editor;
SELECT kpi.alter_source('mv_deals', relation => 'move_test.secret');
SET ROLE regress_move_other;
SELECT kpi.alter_source('mv_deals', relation => 'move_test.orders');
SELECT kpi.alter_kpi('mv_sum', source => 'mv_calls');
SET ROLE regress_move_editor;
-- what is sealed would be lost
CREATE TABLE move_test.parts (LIKE move_test.orders) PARTITION BY RANGE (closed_at);
CREATE TABLE move_test.parts_1 PARTITION OF move_test.parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE move_test.parts_2 PARTITION OF move_test.parts FOR VALUES FROM ('2026-02-01') TO ('2027-01-01');
INSERT INTO move_test.parts SELECT date '2026-01-20' + i, 'q', 10, 'mv_ann', i, NULL FROM generate_series(1, 20) i;
SELECT kpi.alter_source('mv_deals', relation => 'move_test.parts');
CALL kpi.refresh();
ALTER TABLE move_test.parts DETACH PARTITION move_test.parts_1;
DROP TABLE move_test.parts_1;
CALL kpi.refresh();
SELECT * FROM move_test.numbers;
SELECT kpi.apply(doc) FROM move_test.document;
SELECT kpi.alter_kpi('mv_sum', source => 'mv_calls');
SELECT * FROM move_test.numbers;
SELECT kpi.alter_source('mv_deals', relation => 'move_test.orders', discard_sealed => true);
CALL kpi.refresh();
SELECT * FROM move_test.numbers;
SELECT * FROM kpi.verify('mv_deals');

-- ---- the source of a KPI ----
SELECT id AS kpi_id FROM kpi.kpi WHERE name = 'mv_sum' \gset
INSERT INTO move_test.calls2 VALUES (2, 'mv_ann', 5, 'r', '2026-03-05');
ANALYZE move_test.calls2;
SELECT * FROM move_test.change('{kpis,0,source}', '"mv_calls"');
INSERT INTO move_test.calls2 VALUES (3, 'mv_ann', 6, 'r', '2026-03-06');
INSERT INTO move_test.orders VALUES ('2026-03-03', 'q', 700, 'mv_ann', 100, NULL);
CALL kpi.refresh();
SELECT * FROM move_test.numbers;
SELECT id = :kpi_id AS is_same FROM kpi.kpi WHERE name = 'mv_sum';
SELECT kpi FROM kpi.verify('mv_deals') UNION ALL SELECT kpi FROM kpi.verify('mv_calls');
RESET ROLE;
SELECT count(*) AS left_behind FROM kpi_internal.stream s WHERE NOT EXISTS (SELECT FROM kpi_internal.measure m WHERE m.stream_id = s.id);
SELECT count(*) AS strays FROM kpi_internal.day_cell d WHERE NOT EXISTS (SELECT FROM kpi_internal.stream s WHERE s.id = d.stream_id);
SELECT kpi.create_source('mv_secret', relation => 'move_test.secret', owner => 'owner_id', at => 'closed_at') > 0 AS made;
SET ROLE regress_move_editor;
SELECT kpi.alter_kpi('mv_sum', source => 'mv_secret');
RESET ROLE;
SELECT kpi.drop_source('mv_secret');
SET ROLE regress_move_editor;
-- what does not fit, and what it cannot be
SELECT kpi.alter_kpi('mv_count', source => 'mv_nothing');
SELECT kpi.alter_kpi('mv_count', source => 'mv_calls', measure => 'sum(note)');
SELECT kpi.alter_kpi('mv_count', source => '');
SELECT kpi.alter_kpi('mv_mean', source => 'mv_calls');
SELECT kpi.apply('{"kpis": [{"name": "mv_count", "formula": "mv_sum"}]}');
SELECT kpi.create_goal('mv_product', kpi => 'mv_count', team => 'mv_team', period => '2026', target => '1', dimension => 'product', dimension_value => 'q') > 0;
SELECT kpi.alter_kpi('mv_count', source => 'mv_calls');
SELECT kpi.drop_goal('mv_product');
ANALYZE move_test.calls2, move_test.orders;
SELECT * FROM move_test.change('{kpis,0}', '{"name": "mv_sum", "source": "mv_deals", "measure": "sum(amount * 2)"}');
CALL kpi.refresh();
SELECT * FROM move_test.numbers;

-- ---- what a rollup table has ----
GRANT SELECT ON move_test.by_month TO regress_move_other;
ALTER TABLE move_test.by_month ADD COLUMN note text;
CREATE INDEX by_month_start ON move_test.by_month (period_start);
CREATE FUNCTION move_test.shape() RETURNS TABLE (is_same boolean, columns text, key text, comment text, is_granted boolean) LANGUAGE sql AS $$
    SELECT to_regclass('move_test.by_month') = current_setting('move_test.relid')::oid,
           (SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ' ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'move_test.by_month'::regclass AND attnum > 0 AND NOT attisdropped),
           (SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'move_test.by_month'::regclass AND contype = 'p'),
           obj_description('move_test.by_month'::regclass, 'pg_class'), has_table_privilege('regress_move_other', 'move_test.by_month', 'SELECT')
$$;
SELECT set_config('move_test.relid', to_regclass('move_test.by_month')::oid::text, false) <> '';
SELECT * FROM move_test.change('{rollups,0,grain}', '"quarter"');
SELECT count(*) FROM move_test.by_month;
SELECT * FROM move_test.shape();
CALL kpi.refresh();
SELECT team, period, mv_sum, mv_mean FROM move_test.by_month WHERE team = 'mv_team' ORDER BY period;
SELECT * FROM move_test.change('{rollups,0,per}', '"member"');
SELECT * FROM move_test.shape();
CALL kpi.refresh();
SELECT member, team, period, mv_sum, mv_mean FROM move_test.by_month WHERE member = 'mv_ann' ORDER BY period;
SELECT * FROM move_test.change('{rollups,0}', '{"name": "move_test.by_month", "kpis": ["mv_count"], "dimension": "product"}');
SELECT * FROM move_test.shape();
CALL kpi.refresh();
SELECT team, dimension_value, period, mv_count FROM move_test.by_month WHERE team = 'mv_team' ORDER BY period;
INSERT INTO move_test.orders VALUES ('2026-02-03', 's', 7, 'mv_ann', 101, NULL);
CALL kpi.refresh();
SELECT team, dimension_value, period, mv_count FROM move_test.by_month WHERE team = 'mv_team' ORDER BY period, dimension_value;
-- refused, with all as it was
SELECT kpi.alter_rollup('move_test.by_month', per => 'member');
SELECT kpi.alter_rollup('move_test.by_month', grain => 'day');
SELECT kpi.alter_rollup('move_test.by_month', grain => 'hour');
SELECT kpi.alter_rollup('move_test.by_month', per => 'region', dimension => '');
SELECT kpi.alter_rollup('move_test.by_month', dimension => 'region');
SELECT kpi.alter_rollup('move_test.by_month', kpis => '{"member": "mv_count"}');
SELECT kpi.alter_rollup('move_test.by_month', per => 'member', dimension => '');
SELECT kpi.alter_rollup('move_test.by_month', kpis => '{mv_count}');
CALL kpi.refresh();
CREATE VIEW move_test.reader AS SELECT team, mv_count FROM move_test.by_month;
CREATE VIEW move_test.labels AS SELECT dimension_value FROM move_test.by_month;
SELECT kpi.alter_rollup('move_test.by_month', dimension => '');
DROP VIEW move_test.labels;
SET ROLE regress_move_other;
SELECT kpi.alter_rollup('move_test.by_month', grain => 'year');
SET ROLE regress_move_editor;
SELECT count(*) FROM move_test.by_month WHERE team = 'mv_team';
SELECT * FROM move_test.change('{rollups,0,dimension}', NULL);
SELECT * FROM move_test.shape();
CALL kpi.refresh();
SELECT * FROM move_test.reader WHERE team = 'mv_team';
SELECT * FROM kpi.verify('mv_deals');

-- A KPI with its table goes to a source that is made in the same document, and the one before is dropped.
UPDATE move_test.document SET doc = jsonb_set(jsonb_set(jsonb_set(doc, '{sources}', '[{"name": "mv_new", "relation": "move_test.orders", "key": "id", "owner": "owner_id", "at": "closed_at"}]'),
    '{kpis,0,source}', '"mv_new"'), '{kpis,1,source}', '"mv_new"');
SELECT action, kind, name, detail FROM move_test.document, kpi.apply(doc, prune => true, dry_run => true) WHERE name ~ '^mv_';
SELECT count(*) FROM kpi.apply((SELECT doc FROM move_test.document));
SELECT kpi.drop_source('mv_deals'), kpi.drop_source('mv_calls');
CALL kpi.refresh();
SELECT * FROM move_test.numbers;

SELECT action, kind, name, detail FROM kpi.apply('{"rollups": [], "goals": [], "kpis": [], "sources": [], "members": [], "teams": []}', prune => true) WHERE name ~ 'm[ov]';
RESET ROLE;
SELECT kpi.revoke_reader('regress_move_editor'), kpi.revoke_reader('regress_move_other');
DROP SCHEMA move_test CASCADE;
DROP OWNED BY regress_move_editor;
DROP ROLE regress_move_editor, regress_move_other;
