-- Sealing while a build goes on: what was read stays, what was not is lost, and is
-- said to be.  A function in the definition stops the build where it is told to.
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET kpi.now = '2026-06-15 12:00+00';
CREATE SCHEMA rsb;
CREATE TABLE rsb.stop (before date);
INSERT INTO rsb.stop VALUES ('2025-12-20');
CREATE FUNCTION rsb.passes(day date) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF day < (SELECT s.before FROM rsb.stop s) THEN
        PERFORM pg_cancel_backend(pg_backend_pid());
    END IF;
    RETURN true;
END
$$;
CREATE TABLE rsb.deals (id integer, owner text, amount integer, day date, pad text DEFAULT repeat('x', 200)) PARTITION BY RANGE (day);
CREATE TABLE rsb.deals_2024 PARTITION OF rsb.deals FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE rsb.deals_2025a PARTITION OF rsb.deals FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
CREATE TABLE rsb.deals_2025b PARTITION OF rsb.deals FOR VALUES FROM ('2025-07-01') TO ('2026-01-01');
CREATE TABLE rsb.deals_2026 PARTITION OF rsb.deals FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON rsb.deals (day);
INSERT INTO rsb.deals SELECT i, 'm' || i % 7, i % 100, '2024-07-01'::date + i / 20 FROM generate_series(0, 15000) i;
ANALYZE rsb.deals;
CREATE TABLE rsb.counted AS SELECT * FROM rsb.deals;
SELECT kpi.create_source('rsb', relation => 'rsb.deals', key => 'id', owner => 'owner', at => 'day', filter => 'rsb.passes(day)') > 0 AS source;
SELECT kpi.create_kpi('rsb_sum', source => 'rsb', measure => 'sum(amount)') > 0 AS kpi;
CREATE VIEW rsb.differences AS
    SELECT period, s.value AS should, t.value AS shown
      FROM (SELECT date_trunc('month', day)::date AS period, sum(amount) AS value FROM rsb.counted GROUP BY 1) s
      FULL JOIN (SELECT period_start AS period, value FROM kpi.team_monthly WHERE kpi = 'rsb_sum' AND team = 'company') t USING (period)
     WHERE s.value IS DISTINCT FROM t.value;

SET kpi.build_step = 0;
CALL kpi.refresh('rsb');
SELECT days_since, rollups_since FROM kpi_internal.measure_built;
-- one that was read, one of which a part was, and one that was not
SELECT kpi.cancel_build('rsb');
UPDATE rsb.stop SET before = '1999-01-01';
DROP TABLE rsb.deals_2026;
CALL kpi.refresh();
DROP TABLE rsb.deals_2025b;
CALL kpi.refresh();
DROP TABLE rsb.deals_2025a;
CALL kpi.refresh();
SELECT days_since, rollups_since FROM kpi_internal.measure_built;
CALL kpi.refresh('rsb');
SELECT partition, first_day, last_day, facts, missing_until FROM kpi.sealed ORDER BY sealed_at;
DELETE FROM rsb.counted WHERE day >= '2025-01-01' AND day < '2026-01-01';
SELECT * FROM rsb.differences;
SELECT min(complete_since) AS complete_since, min(period_start) FILTER (WHERE is_complete) AS first_complete,
       max(period_start) FILTER (WHERE NOT is_complete) AS last_not_complete
  FROM kpi.team_monthly WHERE kpi = 'rsb_sum' AND team = 'company';
SELECT * FROM kpi.verify('rsb');

-- While facts are read again, stored cells are of before
UPDATE rsb.stop SET before = '2024-09-20';
SELECT kpi.resume('rsb');
CALL kpi.refresh('rsb');
DROP TABLE rsb.deals_2024;
CALL kpi.refresh('rsb');
SELECT status, reason FROM kpi.source_status WHERE source = 'rsb';
UPDATE rsb.stop SET before = '1999-01-01';
SELECT kpi.resume('rsb');
CALL kpi.refresh('rsb');
SELECT partition, first_day, last_day, facts, missing_until FROM kpi.sealed ORDER BY sealed_at;
DELETE FROM rsb.counted WHERE day < '2025-01-01';
SELECT * FROM rsb.differences;
SELECT * FROM kpi.verify('rsb');
SELECT min(complete_since) AS complete_since FROM kpi.team_monthly WHERE kpi = 'rsb_sum' AND team = 'company';

SELECT kpi.drop_source('rsb', cascade => true);
DROP SCHEMA rsb CASCADE;
