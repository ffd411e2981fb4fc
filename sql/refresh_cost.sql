-- Refresh: what a refresh of one change reads follows the change, not the
-- facts, owners, values of dimensions, members and teams that there are.
-- In a database of its own: thousands of members leave their mark on plans.
SELECT current_database() AS home \gset
CREATE DATABASE pg_kpi_cost;
\c pg_kpi_cost
SET client_min_messages = warning;
CREATE EXTENSION pg_kpi;
CREATE SCHEMA rc;
CREATE TABLE rc.f (id int PRIMARY KEY, owner text, day date, amount int, product text);
CREATE TABLE rc.read (change text, was_small boolean, relation regclass, blocks bigint, tuples bigint);

-- What this session has read of tables of pg_kpi and of their indexes.  Rows of
-- the queue that were consumed are not the next refresh's doing.
CREATE VIEW rc.counter AS
SELECT c.oid::regclass AS relation, pg_stat_get_xact_blocks_fetched(c.oid) AS blocks,
       pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid) AS tuples
FROM pg_class c
WHERE c.relnamespace IN ('kpi'::regnamespace, 'kpi_internal'::regnamespace) AND c.relkind IN ('r', 'i')
  AND c.relname !~ '^queue_';
CREATE FUNCTION rc.measure(change text, was_small boolean, dml text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE dml;
    CREATE TEMP TABLE before ON COMMIT DROP AS SELECT * FROM rc.counter;
    CALL kpi.refresh('rc');
    INSERT INTO rc.read
    SELECT change, was_small, relation, a.blocks - b.blocks, a.tuples - b.tuples FROM rc.counter a JOIN before b USING (relation);
END $$;
CREATE FUNCTION rc.add(since int, until int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kpi.create_team('rc team ' || i / 10) FROM generate_series(since, until) i WHERE i % 10 = 0;
    PERFORM kpi.add_member('rc ' || i, 'rc team ' || i / 10) FROM generate_series(since, until) i;
    INSERT INTO rc.f SELECT i, 'rc ' || i, date '2026-01-01' + i % 300, i, 'p' || i FROM generate_series(since, until) i WHERE i % 10 > 0;
END $$;
-- Each change in sessions that have made it before: plans are kept
CREATE FUNCTION rc.change(what text, was_small boolean, n int) RETURNS void LANGUAGE sql AS $$
    SELECT rc.measure(what, was_small, CASE what
        WHEN 'amount' THEN format('UPDATE rc.f SET amount = amount + 1 WHERE id = %s', n)
        WHEN 'day' THEN format('UPDATE rc.f SET day = day + 1 WHERE id = %s', n)
        WHEN 'known value' THEN format('UPDATE rc.f SET product = ''p%s'' WHERE id = %s', n + 1, n)
        WHEN 'new value' THEN format('UPDATE rc.f SET product = ''q%s'' WHERE id = %s', n, n)
        WHEN 'known owner' THEN format('UPDATE rc.f SET owner = ''rc %s'' WHERE id = %s', n + 1, n)
        WHEN 'new owner' THEN format('UPDATE rc.f SET owner = ''nobody %s'' WHERE id = %s', n, n)
        WHEN 'new owner, a member' THEN format('UPDATE rc.f SET owner = ''rc %s'' WHERE id = %s', n / 10 * 10, n)
        WHEN 'gone' THEN format('DELETE FROM rc.f WHERE id = %s', n) END)
$$;
\set changes 'unnest(\'{amount,day,known value,new value,known owner,new owner,"new owner, a member",gone}\'::text[]) WITH ORDINALITY w (what, i)'
\set change 'SELECT format(\'SELECT rc.change(%L, %L, %s)\', what,'

SELECT rc.add(10, 99);
SELECT kpi.create_source('rc', 'rc.f', key => 'id', owner => 'owner', at => 'day', dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_kpi('rc_amount', source => 'rc', measure => 'sum(amount)') > 0 AS created;
CALL kpi.refresh('rc');
ANALYZE;
\set ECHO none
\o /dev/null
:change true, 10 * n + i) FROM generate_series(1, 6) n, :changes ORDER BY n, i \gexec
\o
\set ECHO all
-- 30 times as many
SELECT rc.add(100, 3099);
CALL kpi.refresh('rc');
\set ECHO none
\o /dev/null
:change false, 1000 + 10 * n + i) FROM generate_series(1, 3) n, :changes ORDER BY n, i \gexec
\o
\set ECHO all
-- Indexes are higher now
SELECT change, relation, max(blocks) FILTER (WHERE was_small) AS blocks, max(blocks) FILTER (WHERE NOT was_small) AS blocks_then,
       max(tuples) FILTER (WHERE was_small) AS tuples, max(tuples) FILTER (WHERE NOT was_small) AS tuples_then
FROM rc.read GROUP BY change, relation
HAVING max(blocks) FILTER (WHERE NOT was_small) > 20 + 3 * max(blocks) FILTER (WHERE was_small)
    OR max(tuples) FILTER (WHERE NOT was_small) > 40 + max(tuples) FILTER (WHERE was_small)
ORDER BY change COLLATE "C", relation::text COLLATE "C";
SELECT change, sum(blocks) > 50 AS was_read FROM rc.read GROUP BY change, was_small ORDER BY change COLLATE "C", was_small;
SELECT * FROM kpi.verify('rc');

\c :home
DROP DATABASE pg_kpi_cost;
