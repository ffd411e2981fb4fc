-- Refresh: more cells than are sorted in memory for the indexes at once, and
-- indexes that somebody has added to the tables of cells.
SET client_min_messages = warning;
CREATE SCHEMA rb;
CREATE TABLE rb.deals (id integer PRIMARY KEY, owner text, amount integer, day date);
INSERT INTO rb.deals SELECT i, 'o' || i % 40, i, '2023-01-01'::date + i / 40 FROM generate_series(0, 39999) i;
SELECT kpi.create_source('rb', relation => 'rb.deals', key => 'id', owner => 'owner', at => 'day') > 0 AS source;
SELECT kpi.create_kpi('rb_sum', source => 'rb', measure => 'sum(amount)') > 0 AS kpi;
SELECT stream_id AS s FROM kpi_internal.kpi_stream WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'rb') \gset

-- What is found by each index, against the rows there are
CREATE FUNCTION rb.uses(statement text, index text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP
        IF line LIKE '%' || index || '%' THEN RETURN true; END IF;
    END LOOP;
    RETURN false;
END
$$;
CREATE FUNCTION rb.found(s integer) RETURNS TABLE (index text, is_used boolean, missing bigint, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
    statement text;
    sum bigint;
BEGIN
    FOR index, statement IN VALUES
        ('day_cell_pkey', 'SELECT count(c.day) FROM (SELECT DISTINCT owner_id, day FROM rb.days) d CROSS JOIN LATERAL'
         ' (SELECT c.day FROM kpi_internal.day_cell c WHERE c.stream_id = %s AND c.owner_id = d.owner_id AND c.day = d.day AND c.dim_id = 0 OFFSET 0) c'),
        ('day_cell_day_idx', 'SELECT count(c.day) FROM (SELECT DISTINCT day FROM rb.days) d CROSS JOIN LATERAL'
         ' (SELECT c.day FROM kpi_internal.day_cell c WHERE c.stream_id = %s AND c.day = d.day OFFSET 0) c')
    LOOP
        EXECUTE format(statement, s) INTO sum;
        is_used := rb.uses(format(statement, s), index);
        missing := 40000 - sum;
        wrong := (SELECT count(*) FROM (SELECT owner_id, day FROM rb.days EXCEPT SELECT owner_id, day FROM kpi_internal.day_cell WHERE stream_id = s) x);
        RETURN NEXT;
    END LOOP;
END
$$;
CREATE VIEW rb.days AS
    SELECT o.id AS owner_id, d.day FROM rb.deals d JOIN kpi_internal.owner o ON o.key = d.owner;

SET maintenance_work_mem = '1MB';
CALL kpi.refresh('rb');
RESET maintenance_work_mem;
VACUUM ANALYZE kpi_internal.day_cell, kpi_internal.rollup_cell;
SET enable_seqscan = off;
SELECT * FROM rb.found(:s);
RESET enable_seqscan;
SELECT grain, count(*), sum(value) FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id WHERE k.name = 'rb_sum' AND v.team_id = 1 GROUP BY 1 ORDER BY 1;
SELECT 'day' AS grain, count(DISTINCT day), sum(amount) FROM rb.deals;
SELECT * FROM kpi.verify('rb');

-- indexes that the engine does not know fill as well: of some rows, of an expression
CREATE INDEX rb_some ON kpi_internal.day_cell (owner_id) WHERE day < '2023-06-01';
CREATE INDEX rb_month ON kpi_internal.rollup_cell (pg_catalog.date_part('month', start), scope_id);
UPDATE rb.deals SET day = day - 2000 WHERE day < '2023-02-01';
SELECT kpi.create_kpi('rb_count', source => 'rb', measure => 'count(*)') > 0 AS kpi;
CALL kpi.refresh('rb');
SELECT * FROM kpi.verify('rb');
ANALYZE kpi_internal.day_cell, kpi_internal.rollup_cell;
SET enable_seqscan = off;
SELECT * FROM rb.found(:s);
SELECT rb.uses($$SELECT count(*) FROM kpi_internal.day_cell WHERE owner_id > 0 AND day < '2023-06-01'$$, 'rb_some') AS is_used,
       (SELECT count(*) FROM kpi_internal.day_cell WHERE owner_id > 0 AND day < '2023-06-01') = (SELECT count(*) FROM rb.days WHERE day < '2023-06-01') AS all;
SELECT rb.uses($$SELECT count(*) FROM kpi_internal.rollup_cell WHERE date_part('month', start) = 7 AND scope_id = 1$$, 'rb_month') AS is_used,
       (SELECT count(*) FROM kpi_internal.rollup_cell WHERE date_part('month', start) = 7 AND scope_id = 1 AND grain = 0)
       = (SELECT count(DISTINCT day) FROM rb.days WHERE date_part('month', day) = 7) AS all;
RESET enable_seqscan;

SELECT kpi.drop_source('rb', cascade => true);
DROP INDEX kpi_internal.rb_some, kpi_internal.rb_month;
DROP SCHEMA rb CASCADE;
CALL kpi.refresh();
