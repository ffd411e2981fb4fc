-- Rows of the queue that are damaged: an error, whatever it is, and no crash.
SET client_min_messages = warning;
CREATE SCHEMA damaged;
CREATE TABLE damaged.deals (owner text, day date, amount numeric, product text, discount numeric);
SELECT kpi.create_source('damaged', relation => 'damaged.deals', owner => 'owner', at => 'day', dimensions => '{"product": "product"}') AS id \gset
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('damaged_sum', source => 'damaged', measure => 'sum(amount)')),
    (kpi.create_kpi('damaged_rate', source => 'damaged', measure => 'avg(1 / discount)'))) v;
CALL kpi.refresh('damaged');
INSERT INTO damaged.deals VALUES ('ann', '2026-01-01', 10, 'p', 1), (NULL, '2026-01-02', 1e30, NULL, 0), ('bob', '2026-01-02', 3, 'p', 0.5);
SELECT format('queue_%s_0', :id) AS segment \gset
SELECT kind, owner, day, dims, cell IS NOT NULL AS has_cell, error IS NOT NULL AS has_error FROM kpi_internal.delta WHERE source_id = :id ORDER BY owner;

-- Each byte is another, or the value ends there: all are read as what they are
-- or refused with an error of ours.
CREATE FUNCTION damaged.read(segment text, data bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE kpi_internal.%I SET data = $1', segment) USING data;
    PERFORM d.cell::text, d.owner, d.dims FROM kpi_internal.delta d;
    RETURN 'read';
EXCEPTION WHEN data_corrupted OR feature_not_supported OR invalid_text_representation OR numeric_value_out_of_range
    OR character_not_in_repertoire OR datetime_field_overflow THEN
    RETURN 'refused';
END $$;
SELECT data AS whole FROM kpi_internal.:"segment" \gset
SELECT damaged.read(:'segment', :'whole');
SELECT count(*) > 0 AS refused, count(*) FILTER (WHERE r NOT IN ('read', 'refused')) AS else
  FROM generate_series(0, length(:'whole'::bytea) - 1) i, unnest('{0,1,2,127,128,255}'::int[]) b,
       damaged.read(:'segment', set_byte(:'whole', i, b)) r
 WHERE r <> 'read';
SELECT r, count(*) > 0 AS some FROM generate_series(1, length(:'whole'::bytea) - 1) i, damaged.read(:'segment', substr(:'whole'::bytea, 1, i)) r
 GROUP BY r ORDER BY r;
SELECT damaged.read(:'segment', '');
SELECT damaged.read(:'segment', '\x02');
SELECT damaged.read(:'segment', '\x01');

-- Such a row stops the source, until it is built from its facts.
UPDATE kpi_internal.:"segment" SET data = substr(:'whole'::bytea, 1, 20);
CALL kpi.refresh('damaged');
UPDATE kpi_internal.:"segment" SET data = NULL;
\set VERBOSITY sqlstate
CALL kpi.refresh('damaged');
\set VERBOSITY default
UPDATE kpi_internal.:"segment" SET data = '\x05';
CALL kpi.refresh('damaged');
SELECT kpi.resume('damaged');
CALL kpi.refresh('damaged');
SELECT * FROM kpi.verify('damaged');
SELECT kpi, value FROM kpi.team_yearly WHERE kpi LIKE 'damaged%' AND team = 'company' ORDER BY 1;
SELECT kpi.drop_source('damaged', cascade => true);
DROP SCHEMA damaged CASCADE;
