-- Rows of the queue as released versions have written them, by test/released/queue.sql: they say
-- what they said.  An updated library meets them, and so does a server after pg_upgrade.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE TABLE queue_released (n integer, version text, kind "char", deltas integer, error text, data bytea, says jsonb);
\set lines `cat "$PG_ABS_SRCDIR/test/released/queue.tsv"`
INSERT INTO queue_released
SELECT n, f[1], f[2]::"char", f[3]::integer, nullif(f[4], '\N'), decode(substr(nullif(f[5], '\N'), 4), 'hex'), replace(nullif(f[6], '\N'), '\\', '\')::jsonb
  FROM string_to_table(:'lines', E'\n') WITH ORDINALITY l (line, n), string_to_array(line, E'\t') f;
SELECT version, kind, count(*) AS rows, sum(deltas) AS deltas FROM queue_released GROUP BY version, kind ORDER BY version, kind;

CREATE SCHEMA released;
CREATE TABLE released.deals (owner text, day date);
SELECT kpi.create_source('released', relation => 'released.deals', owner => 'owner', at => 'day') AS id \gset
SELECT format('queue_%s_0', :id) AS segment \gset
CREATE FUNCTION released.says(segment text, r queue_released) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    says jsonb;
BEGIN
    EXECUTE format('DELETE FROM kpi_internal.%I', segment);
    EXECUTE format('INSERT INTO kpi_internal.%I (captured_at, deltas, kind, error, data) VALUES (now(), $1, $2, $3, $4)', segment)
      USING r.deltas, r.kind, r.error, r.data;
    SELECT jsonb_agg(to_jsonb(d) - '{source_id,captured_at,lowest_xid}'::text[]) INTO says FROM kpi_internal.delta d WHERE r.data IS NOT NULL;
    RETURN says;
END $$;
SELECT r.version, r.kind, d.says ->> 'stream_id' AS stream, d.says ->> 'owner' AS owner, d.says ->> 'day' AS day, d.says ->> 'dims' AS dims,
       d.says ->> 'cell' AS cell, d.says ->> 'error' AS error
  FROM queue_released r, jsonb_array_elements(r.says) WITH ORDINALITY d (says, n) ORDER BY r.n, d.n;
SELECT r.version, r.kind, released.says(:'segment', r) IS NOT DISTINCT FROM r.says AS the_same FROM queue_released r ORDER BY r.n;
SELECT kpi.drop_source('released');
DROP SCHEMA released CASCADE;
DROP TABLE queue_released;
