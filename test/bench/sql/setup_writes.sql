-- Tables to write to, each three times: nobody follows it, a trigger that does
-- nothing, captured.  Variables: rows (of the largest), small_rows, few_rows,
-- copy_rows, scattered and day (files).
\set owners 500
\ir common.sql

CREATE FUNCTION bench.empty_trigger() RETURNS trigger LANGUAGE c AS '$libdir/kpi_test', 'empty_trigger';

-- one: single rows; copy: filled and emptied; few: for statements that are rolled
-- back; big
SELECT format('CREATE TABLE %s_%s (LIKE deals INCLUDING ALL)', name, kind)
  FROM unnest('{one,copy,few,big}'::text[]) AS name, unnest('{plain,empty,captured}'::text[]) AS kind
\gexec
-- in no order
INSERT INTO big_plain
SELECT row_number() OVER (), owner_id, stage, amount, created_at, closed_at
  FROM (SELECT * FROM deals ORDER BY random()) x;
INSERT INTO one_plain SELECT * FROM big_plain WHERE id <= :small_rows;
INSERT INTO few_plain SELECT * FROM big_plain WHERE id <= :few_rows;
SELECT format('INSERT INTO %s_%s SELECT * FROM %1$s_plain', name, kind)
  FROM unnest('{one,few,big}'::text[]) AS name, unnest('{empty,captured}'::text[]) AS kind
\gexec
SELECT format('CREATE TRIGGER empty AFTER INSERT OR UPDATE OR DELETE ON %s_empty
               FOR EACH ROW EXECUTE FUNCTION bench.empty_trigger()', name)
  FROM unnest('{one,copy,few,big}'::text[]) AS name
\gexec
SELECT setval(pg_get_serial_sequence('one_' || kind, 'id'), :small_rows)
  FROM unnest('{plain,empty,captured}'::text[]) AS kind;
COPY (SELECT owner_id, stage, amount, created_at, closed_at FROM big_plain WHERE id <= :copy_rows)
  TO :'scattered' WITH (FORMAT csv);
COPY (SELECT owner_id, stage, amount, created_at, timestamptz '2026-11-18' + random() * interval '86399 s'
        FROM big_plain WHERE id <= :copy_rows)
  TO :'day' WITH (FORMAT csv);
DROP TABLE deals;

\ir people.sql
SELECT kpi.create_source(name, relation => 'public.' || name || '_captured', key => 'id', owner => 'owner_id',
                         at => 'closed_at')
  FROM unnest('{one,copy,few,big}'::text[]) AS name;
SELECT bench.create_kpis(name, name || '_') FROM unnest('{one,copy,few,big}'::text[]) AS name;

-- a statement for each row, as an application sends them
CREATE FUNCTION bench.update_singly(kind text, rows integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DO $do$ BEGIN FOR i IN 1 .. %s LOOP UPDATE few_%s SET id = id WHERE id = i; END LOOP; END $do$',
                   rows, kind);
END
$$;
CALL kpi.refresh();
VACUUM ANALYZE;
CHECKPOINT;
