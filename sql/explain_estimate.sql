-- kpi.estimate_source(): what a source would cost, counted where the table is small, and nothing is changed.
SET client_min_messages = warning;
CREATE SCHEMA et;
CREATE TABLE et.deals (id integer PRIMARY KEY, owner_id text, product text, stage text, amount numeric, closed_at timestamptz, until timestamptz);
INSERT INTO et.deals SELECT i, nullif('m' || i % 7, 'm6'), 'p' || i % 3, CASE WHEN i % 4 = 0 THEN 'lost' ELSE 'won' END, i,
    timestamptz '2025-11-01 12:00+00' + i % 201 * interval '1 day', timestamptz '2026-08-01 12:00+00' + i % 31 * interval '1 day' FROM generate_series(1, 3000) i;
INSERT INTO et.deals VALUES (3001, 'm1', 'p1', 'won', 1, NULL, NULL), (3002, 'm1', 'p1', 'won', 1, '1800-01-01', NULL);
SELECT kpi.create_team('et_top') > 0 AS made;
SELECT kpi.create_team('et_sub', parent => 'et_top') > 0 AS made;
SELECT count(kpi.add_member('m' || i, team => CASE WHEN i < 2 THEN 'et_top' ELSE 'et_sub' END)) FROM generate_series(1, 4) i;
SELECT kpi.move_member('m1', team => 'et_sub', since => '2026-01-15');

CREATE TABLE et.estimate AS
SELECT 'plain' AS name, e.* FROM kpi.estimate_source('et_plain', relation => 'et.deals', key => 'id', owner => 'owner_id', at => 'closed_at', measures => '{count(*),sum(amount),avg(amount)}') e
UNION ALL SELECT 'filtered', e.* FROM kpi.estimate_source('et_filtered', relation => 'et.deals', at => 'closed_at', filter => $$stage = 'won'$$) e
UNION ALL SELECT 'parts', e.* FROM kpi.estimate_source('et_parts', relation => 'et.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
    dimensions => '{"product": "product", "stage": "stage"}', measures => '{sum(amount),median(amount),min(amount)}') e
UNION ALL SELECT 'monthly', e.* FROM kpi.estimate_source('et_monthly', relation => 'et.deals', key => 'id', team => $$'et_sub'$$, at => 'closed_at', grain => 'month', measures => '{count(DISTINCT product)}') e;
-- nothing is changed, and no lock is left but that of a SELECT
SELECT count(*) FROM kpi.source WHERE name LIKE 'et_%';
SELECT count(*) FROM kpi.kpi WHERE name LIKE 'measure%';
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'et.deals'::regclass;
SELECT count(*) FROM kpi.definition_log WHERE name LIKE 'et_p%';
BEGIN;
SELECT facts, facts_read FROM kpi.estimate_source('et_plain', relation => 'et.deals', at => 'closed_at');
SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'et.deals'::regclass;
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode LIKE '%Exclusive%' AND relation::regclass::text LIKE 'kpi%' AND relation::regclass::text NOT LIKE '%_seq' ORDER BY 1, 2;
ROLLBACK;

-- rows are as many as then come
SELECT kpi.create_source('et_plain', relation => 'et.deals', key => 'id', owner => 'owner_id', at => 'closed_at') > 0 AS made;
SELECT count(kpi.create_kpi('et_plain' || n, source => 'et_plain', measure => m)) FROM unnest('{count(*),sum(amount),avg(amount)}'::text[]) WITH ORDINALITY u (m, n);
SELECT kpi.create_source('et_filtered', relation => 'et.deals', at => 'closed_at', filter => $$stage = 'won'$$) > 0 AS made;
SELECT count(kpi.create_kpi('et_filtered', source => 'et_filtered', measure => 'count(*)'));
SELECT kpi.create_source('et_parts', relation => 'et.deals', key => 'id', owner => 'owner_id', at => 'closed_at', dimensions => '{"product": "product", "stage": "stage"}') > 0 AS made;
SELECT count(kpi.create_kpi('et_parts' || n, source => 'et_parts', measure => m)) FROM unnest('{sum(amount),median(amount),min(amount)}'::text[]) WITH ORDINALITY u (m, n);
SELECT kpi.create_source('et_monthly', relation => 'et.deals', key => 'id', team => $$'et_sub'$$, at => 'closed_at', grain => 'month') > 0 AS made;
SELECT count(kpi.create_kpi('et_monthly', source => 'et_monthly', measure => 'count(DISTINCT product)'));
CALL kpi.refresh();
CREATE VIEW et.stored AS
SELECT substr(s.name, 4) AS name, (SELECT count(*) FROM kpi_internal.day_cell d JOIN kpi_internal.stream x ON x.id = d.stream_id WHERE x.source_id = s.id) AS day_cells,
       (SELECT count(*) FROM kpi_internal.rollup_cell r JOIN kpi_internal.stream x ON x.id = r.stream_id WHERE x.source_id = s.id) AS rollup_cells,
       (SELECT sum(pg_column_size(d.*)) FROM kpi_internal.day_cell d JOIN kpi_internal.stream x ON x.id = d.stream_id WHERE x.source_id = s.id)
       + (SELECT sum(pg_column_size(r.*)) FROM kpi_internal.rollup_cell r JOIN kpi_internal.stream x ON x.id = r.stream_id WHERE x.source_id = s.id) AS row_bytes
  FROM kpi.source s WHERE s.name LIKE 'et_%';
SELECT name, e.facts, e.facts_read, e.day_cells, e.day_cells - t.day_cells AS more_day_cells, e.rollup_cells, e.rollup_cells - t.rollup_cells AS more_rollup_cells,
       e.bytes BETWEEN 1.5 * t.row_bytes AND 3 * t.row_bytes AS bytes_fit, e.bytes_per_fact = round(e.bytes::numeric / e.facts) AS per_fact,
       e.wal_bytes_per_change BETWEEN 100 AND 5000 AS wal_fits, e.build_seconds BETWEEN 0 AND 60 AS seconds_fit
  FROM et.estimate e JOIN et.stored t USING (name) ORDER BY name;
SELECT count(*) FROM kpi.verify('et_parts');

-- no facts
CREATE TABLE et.empty (LIKE et.deals);
SELECT * FROM kpi.estimate_source('et_empty', relation => 'et.empty', owner => 'owner_id', at => 'closed_at');

-- bad input: the errors of what it would create
\set VERBOSITY default
SELECT * FROM kpi.estimate_source('et_plain', relation => 'et.deals', at => 'closed_at');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deal', at => 'closed_at');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.stored', at => 'name');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals');
SELECT * FROM kpi.estimate_source('et_new', at => 'closed_at');
SELECT * FROM kpi.estimate_source(NULL, relation => 'et.deals', at => 'closed_at');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at', filter => 'amount');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at', dimensions => '{"day": "product"}');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at', grain => 'days');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at', measures => '{count(*),mode(amount)}');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at', measures => '{}');
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at', measures => NULL);
CREATE TABLE et.products (product text PRIMARY KEY, family text);
SELECT kpi.create_lookup('et_families', relation => 'et.products', key => 'product', value => 'family') > 0 AS created;
SELECT * FROM kpi.estimate_source('et_new', relation => 'et.deals', key => 'id', at => 'closed_at', dimensions => $${"family": "lookup('et_families', product)"}$$);
SELECT kpi.drop_lookup('et_families');
SELECT count(*) FROM kpi.source WHERE name = 'et_new';

-- who may create the source may ask, and nobody else
CREATE ROLE regress_kpi_estimator;
GRANT USAGE ON SCHEMA et TO regress_kpi_estimator;
SELECT kpi.grant_reader('regress_kpi_estimator');
SET ROLE regress_kpi_estimator;
SELECT facts FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at');
RESET ROLE;
SELECT kpi.grant_editor('regress_kpi_estimator');
SET ROLE regress_kpi_estimator;
SELECT facts FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at');
RESET ROLE;
GRANT SELECT, TRIGGER ON et.deals TO regress_kpi_estimator;
SET ROLE regress_kpi_estimator;
SELECT facts FROM kpi.estimate_source('et_new', relation => 'et.deals', at => 'closed_at');
RESET ROLE;

-- code of a table's owner runs as the owner, whoever asks, and cannot become anybody else
CREATE TABLE et.trap (id integer, at date);
INSERT INTO et.trap VALUES (1, '2026-01-01');
GRANT CREATE ON SCHEMA et TO regress_kpi_estimator;
ALTER TABLE et.trap OWNER TO regress_kpi_estimator;
SET ROLE regress_kpi_estimator;
CREATE FUNCTION et.spy(id integer) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'as %', current_user;
    BEGIN RESET ROLE; EXCEPTION WHEN others THEN RAISE WARNING '%', sqlerrm; END;
    RETURN true;
END $$;
RESET ROLE;
SELECT facts FROM kpi.estimate_source('et_trap', relation => 'et.trap', at => 'at', filter => 'et.spy(id)');

SELECT kpi.revoke_reader('regress_kpi_estimator');
SELECT count(kpi.drop_source(name, cascade => true)) FROM kpi.source WHERE name LIKE 'et_%';
SELECT count(kpi.drop_member('m' || i)) FROM generate_series(1, 4) i;
SELECT kpi.drop_team('et_sub');
SELECT kpi.drop_team('et_top');
DROP SCHEMA et CASCADE;
DROP ROLE regress_kpi_estimator;
