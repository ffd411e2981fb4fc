-- Sources: changes, and tables that are gone.
\getenv abs_srcdir PG_ABS_SRCDIR
\set setup :abs_srcdir /sql/include/source.sql
\set ECHO none
\i :setup
\set ECHO all

SELECT kpi.create_source('deals', relation => 'source_test.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
    filter => 'is_deleted IS NOT TRUE',
    dimensions => '{"product": "product", "size": "CASE WHEN amount > 50000 THEN ''large'' ELSE ''small'' END"}') > 0 AS created;

-- Changes: NULL keeps, an empty text clears.
SELECT kpi.create_kpi('n', source => 'deals', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_kpi('early', source => 'deals', measure => 'count(*)', at => 'created_at') > 0 AS created;
CREATE VIEW source_test.streams AS
    SELECT dense_rank() OVER (ORDER BY s.id) AS stream, s.version, s.owner_kind, s.owner, s.at, k.name AS kpi
      FROM kpi_internal.stream s LEFT JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.stream_id = s.id LEFT JOIN kpi.kpi k ON k.id = m.kpi_id WHERE s.part <> 'left_out';
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('deals', new_name => 'all deals', grain => 'week');
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('all deals', new_name => 'deals', filter => 'amount > 0');
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('deals', team => 'team', filter => '', key => '', dimensions => '{}');
SELECT name, key, owner, team, at, filter, grain FROM kpi.source;
SELECT count(*) FROM kpi.dimension;
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('deals', team => '', at => 'created_at');
SELECT * FROM source_test.streams ORDER BY stream, kpi;
SELECT kpi.alter_source('deals', owner => 'owner_id', team => 'team');
SELECT kpi.alter_source('deals', at => '');
SELECT kpi.alter_source('deals', calendar => 'moon');
SELECT kpi.alter_source('nothing', at => 'month');
ALTER TABLE source_test.deals DROP COLUMN created_at;
SELECT kpi.alter_source('deals', filter => 'amount > 1');
SELECT kpi.alter_source('deals', at => 'closed_at');
SELECT kpi.alter_kpi('early', at => 'closed_at');
SELECT kpi.alter_source('deals', at => 'closed_at');
SELECT * FROM source_test.streams ORDER BY stream, kpi;

-- A table that is gone.
BEGIN;
DROP TABLE source_test.deals CASCADE;
SELECT kpi.alter_source('deals', at => 'month');
ROLLBACK;
BEGIN;
DROP TABLE source_test.deals CASCADE;
SELECT kpi_internal.facts_query('deals');
ROLLBACK;
BEGIN;
DROP TABLE source_test.deals CASCADE;
SELECT kpi.drop_source('deals', cascade => true);
ROLLBACK;

-- Dropping.
SELECT kpi.drop_source('deals');
SELECT kpi.drop_source('nothing');
SELECT kpi.drop_source('deals', cascade => true);
SELECT (SELECT count(*) FROM kpi.source) AS sources, (SELECT count(*) FROM kpi.kpi) AS kpis,
       (SELECT count(*) FROM kpi_internal.stream) AS streams, (SELECT count(*) FROM kpi_internal.measure) AS measures;

DROP SCHEMA source_test CASCADE;
DROP OWNED BY regress_kpi_definer, regress_kpi_other;
DROP ROLE regress_kpi_definer, regress_kpi_other;
