-- kpi.freshness: how long the oldest change has waited that is not in the numbers.
SET client_min_messages = warning;
CREATE SCHEMA fresh;
CREATE TABLE fresh.deals (id integer PRIMARY KEY, day date, amount numeric);
CREATE TABLE fresh.leads (id integer PRIMARY KEY, day date);
INSERT INTO fresh.deals VALUES (1, '2026-10-05', 7);
SELECT kpi.create_source('fresh_deals', relation => 'fresh.deals', at => 'day') > 0 AS made;
SELECT kpi.create_source('fresh_leads', relation => 'fresh.leads', at => 'day') > 0 AS made;
SELECT kpi.create_kpi('fresh_sum', source => 'fresh_deals', measure => 'sum(amount)') > 0 AS made;
SELECT kpi.create_kpi('fresh_leads', source => 'fresh_leads', measure => 'count(*)') > 0 AS made;

CREATE VIEW fresh.seen AS
SELECT source, as_of IS NOT NULL AS has_as_of, refreshed_at IS NOT NULL AS is_refreshed,
       CASE WHEN lag_seconds = 0 THEN 'none' WHEN lag_seconds < 300 THEN 'seconds'
            WHEN lag_seconds BETWEEN 3600 AND 3900 THEN 'an hour'
            WHEN lag_seconds BETWEEN 3 * 86400 AND 3 * 86400 + 300 THEN 'three days' ELSE lag_seconds::text END AS lag,
       is_complete
  FROM kpi.freshness WHERE source LIKE 'fresh%' ORDER BY source;

-- what waits was captured earlier than it was
CREATE PROCEDURE fresh.earlier(lag interval) LANGUAGE plpgsql AS $$
DECLARE
    segment name;
BEGIN
    FOR segment IN SELECT c.relname FROM pg_class c
                    WHERE c.relnamespace = 'kpi_internal'::regnamespace AND c.relname ~ '^queue_[0-9]+_[01]$'
    LOOP
        EXECUTE format('UPDATE kpi_internal.%I SET captured_at = captured_at - $1', segment) USING lag;
    END LOOP;
END $$;

-- never computed: everything waits, since the source was made
UPDATE kpi.source SET created_at = created_at - interval '1 hour' WHERE name = 'fresh_deals';
SELECT * FROM fresh.seen;
CALL kpi.refresh();
SELECT * FROM fresh.seen;

-- nothing has happened for three days: no lag, and no days of it when something does
UPDATE kpi_internal.source_state SET as_of = as_of - interval '3 days', refreshed_at = refreshed_at - interval '3 days'
 WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'fresh_deals');
SELECT * FROM fresh.seen;
BEGIN;
INSERT INTO fresh.deals VALUES (2, '2026-10-06', 5);
SELECT * FROM fresh.seen;
ROLLBACK;
SELECT * FROM fresh.seen;
INSERT INTO fresh.deals VALUES (2, '2026-10-06', 5);
SELECT source, lag, is_complete FROM fresh.seen;
-- of several the oldest counts
CALL fresh.earlier('1 hour');
INSERT INTO fresh.deals VALUES (3, '2026-10-07', 5);
SELECT source, lag FROM fresh.seen;
-- what was captured long before it committed was not committed before the last refresh
CALL fresh.earlier('30 days');
SELECT source, lag FROM fresh.seen;
-- a pause keeps it waiting
SELECT kpi.pause('fresh_deals');
CALL kpi.refresh();
SELECT * FROM fresh.seen;
SELECT kpi.resume('fresh_deals');
CALL kpi.refresh();
SELECT * FROM fresh.seen;

-- TRUNCATE waits too; a change that changes no number does not
TRUNCATE fresh.leads;
SELECT source, lag FROM fresh.seen;
CALL kpi.refresh();
UPDATE fresh.deals SET id = 4 WHERE id = 3;
SELECT source, lag FROM fresh.seen;

-- a KPI that is not built yet lacks numbers, and no change waits
SELECT kpi.create_kpi('fresh_count', source => 'fresh_deals', measure => 'count(*)') > 0 AS made;
SELECT source, lag, is_complete FROM fresh.seen;
CALL kpi.refresh();
SELECT source, lag, is_complete FROM fresh.seen;

-- where changes are not captured nobody knows what is missing
UPDATE kpi_internal.source_state SET as_of = as_of - interval '1 hour'
 WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'fresh_deals');
ALTER TABLE fresh.deals DISABLE TRIGGER USER;
SELECT source, lag, is_complete FROM fresh.seen;
CALL kpi.refresh();
SELECT source, lag, is_complete FROM fresh.seen;
ALTER TABLE fresh.deals ENABLE TRIGGER USER;
SELECT kpi.resume('fresh_deals');
CALL kpi.refresh();
SELECT source, lag, is_complete FROM fresh.seen;

-- for readers and for those who monitor
CREATE ROLE regress_fresh_reader;
CREATE ROLE regress_fresh_monitor;
GRANT pg_monitor TO regress_fresh_monitor;
SELECT kpi.grant_reader('regress_fresh_reader');
SET ROLE regress_fresh_reader;
SELECT count(*) FROM kpi.freshness WHERE lag_seconds = 0 AND source LIKE 'fresh%';
SET ROLE regress_fresh_monitor;
SELECT count(*) FROM kpi.freshness WHERE lag_seconds = 0 AND source LIKE 'fresh%';
RESET ROLE;
SELECT kpi.revoke_reader('regress_fresh_reader');
DROP ROLE regress_fresh_reader, regress_fresh_monitor;

SELECT kpi.drop_source('fresh_deals', cascade => true), kpi.drop_source('fresh_leads', cascade => true);
DROP SCHEMA fresh CASCADE;
