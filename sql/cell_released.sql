-- Cells of every kind as released versions have written them, by test/released/cells.sql:
-- they are read, in each of their forms.
SET client_min_messages = warning;
SET search_path = public, kpi, kpi_internal;
CREATE TABLE cell_released (version text, kinds text, cell text, sent bytea, stored bytea);
\set lines `cat "$PG_ABS_SRCDIR/test/released/cells.tsv"`
INSERT INTO cell_released
SELECT f[1], f[2], f[3], decode(substr(f[4], 4), 'hex'), decode(substr(f[5], 4), 'hex')
  FROM string_to_table(:'lines', E'\n') line, string_to_array(line, E'\t') f;
SELECT DISTINCT kind FROM cell_released, regexp_split_to_table(kinds, ' ') kind ORDER BY 1;

-- What the server sends and is sent, and what is in tables.
CREATE TABLE cell_copied (id serial, cell kpi.cell);
CREATE FUNCTION of_sent(bytes bytea) RETURNS kpi.cell LANGUAGE plpgsql AS $$
DECLARE
    file text := current_setting('data_directory') || '/pg_kpi_cell_released.bin';
    result kpi.cell;
BEGIN
    EXECUTE pg_catalog.format('COPY (SELECT %L::bytea) TO %L (FORMAT binary)', bytes, file);
    EXECUTE pg_catalog.format('COPY cell_copied (cell) FROM %L (FORMAT binary)', file);
    SELECT cell INTO STRICT result FROM cell_copied ORDER BY id DESC LIMIT 1;
    RETURN result;
END $$;
CREATE FUNCTION of_stored(bytes bytea) RETURNS kpi.cell LANGUAGE internal STRICT AS 'xmltotext';

SELECT version, kinds, count(*) AS cells,
       bool_and(cell::kpi.cell::text = cell) AS as_text,
       bool_and(of_sent(sent)::text = cell) AS as_sent,
       bool_and(of_stored(stored)::text = cell) AS as_stored,
       bool_and(cell_send(cell::kpi.cell) = cell_send(of_stored(stored))) AS sent_again,
       bool_and(is_empty(of_stored(stored) - cell::kpi.cell)) AS the_same
  FROM cell_released
 GROUP BY version, kinds ORDER BY version, kinds;

-- What they amount to.
SELECT r.version, m.state[2] AS kind, f.value, f.numerator, f.denominator, f.facts, f.nonfinite, f.errors
  FROM cell_released r, regexp_matches(r.cell, '[{ ](\d+):([a-z_]+)', 'g') m (state),
       cell_final(of_stored(r.stored), m.state[1]::integer) f
 WHERE m.state[2] NOT IN ('balance', 'left_out', 'distinct_approx')
 ORDER BY 1, 2, 3, 4;
SELECT version, b.* FROM cell_released r, regexp_matches(r.cell, '(\d+):balance') m (state), cell_balance(of_stored(r.stored), m.state[1]::integer) b ORDER BY 1, 2;

DROP TABLE cell_released, cell_copied;
DROP FUNCTION of_sent(bytea), of_stored(bytea);
