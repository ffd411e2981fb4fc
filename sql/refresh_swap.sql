-- Tables that are swapped under a source's name: the next refresh follows, and
-- nothing but what differs is written.
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SCHEMA sw;
CREATE TABLE sw.deals (id integer, owner_id text, amount numeric, day date);
INSERT INTO sw.deals SELECT i, 'o' || i % 7, i, date '2026-01-01' + i % 60 FROM generate_series(1, 700) i;
SELECT kpi.create_source('sw_deals', relation => 'sw.deals', key => 'id', owner => 'owner_id', at => 'day',
                         dimensions => '{"size": "CASE WHEN amount > 350 THEN ''big'' ELSE ''small'' END"}') > 0 AS created;
SELECT kpi.create_kpi('sw_revenue', source => 'sw_deals', measure => 'sum(amount)', unit => 'EUR') > 0 AS created;
SELECT kpi.create_kpi('sw_count', source => 'sw_deals', measure => 'count(*)', filter => 'amount > 10') > 0 AS created;
CALL kpi.refresh('sw_deals');

-- What is stored of each month against the facts; no rows: the same.
CREATE VIEW sw.differences AS
    SELECT *
      FROM (SELECT date_trunc('month', day)::date AS month, sum(amount) AS revenue, count(*) FILTER (WHERE amount > 10) AS deals
              FROM sw.deals GROUP BY 1) f
      FULL JOIN (SELECT r.period_start AS month, r.value AS stored_revenue, c.value AS stored_deals
                   FROM kpi.team_monthly r
                   LEFT JOIN kpi.team_monthly c ON c.kpi = 'sw_count' AND c.team = r.team AND c.period_start = r.period_start
                  WHERE r.kpi = 'sw_revenue' AND r.team = 'company') s USING (month)
     WHERE f.revenue IS DISTINCT FROM s.stored_revenue OR f.deals IS DISTINCT FROM s.stored_deals;
CREATE FUNCTION sw.look(OUT status text, OUT is_complete boolean, OUT is_fresh boolean, OUT differs bigint)
LANGUAGE sql AS $$
    SELECT s.status, f.is_complete,
           (SELECT bool_and(m.is_complete) FROM kpi.team_monthly m WHERE m.kpi = 'sw_revenue' AND m.team = 'company'),
           (SELECT count(*) FROM sw.differences)
      FROM kpi.source_status s JOIN kpi.freshness f USING (source_id) WHERE s.source = 'sw_deals' $$;
SELECT * FROM sw.look();

-- As dbt does it, in one transaction; one row changed, one lost, one new.
DROP VIEW sw.differences CASCADE;
BEGIN;
CREATE TABLE sw.deals__dbt_tmp AS
    SELECT id, owner_id, CASE WHEN id = 77 THEN 7700 ELSE amount END AS amount, day FROM sw.deals WHERE id <> 5
    UNION ALL SELECT 1001, 'o1', 55, '2026-02-03';
ALTER TABLE sw.deals RENAME TO deals__dbt_backup;
ALTER TABLE sw.deals__dbt_tmp RENAME TO deals;
DROP TABLE sw.deals__dbt_backup CASCADE;
COMMIT;
CREATE FUNCTION sw.differences() RETURNS TABLE (month date, revenue numeric, deals bigint, stored_revenue numeric, stored_deals numeric)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT * FROM (SELECT date_trunc('month', d.day)::date AS month, sum(d.amount) AS revenue, count(*) FILTER (WHERE d.amount > 10) AS deals
              FROM sw.deals d GROUP BY 1) f
      FULL JOIN (SELECT r.period_start AS month, r.value AS stored_revenue, c.value AS stored_deals
                   FROM kpi.team_monthly r
                   LEFT JOIN kpi.team_monthly c ON c.kpi = 'sw_count' AND c.team = r.team AND c.period_start = r.period_start
                  WHERE r.kpi = 'sw_revenue' AND r.team = 'company') s USING (month)
     WHERE f.revenue IS DISTINCT FROM s.stored_revenue OR f.deals IS DISTINCT FROM s.stored_deals;
END $$;
DROP FUNCTION IF EXISTS sw.look();
CREATE FUNCTION sw.look(OUT status text, OUT is_complete boolean, OUT is_fresh boolean, OUT differs bigint)
LANGUAGE sql AS $$
    SELECT s.status, f.is_complete,
           (SELECT bool_and(m.is_complete) FROM kpi.team_monthly m WHERE m.kpi = 'sw_revenue' AND m.team = 'company'),
           (SELECT count(*) FROM sw.differences())
      FROM kpi.source_status s JOIN kpi.freshness f USING (source_id) WHERE s.source = 'sw_deals' $$;
SELECT * FROM sw.look();
SELECT status, reason, hint FROM kpi.source_status WHERE source = 'sw_deals';
SELECT problem, detail, remedy FROM kpi.health() WHERE object = 'source "sw_deals"';
CALL kpi.refresh('sw_deals');
SELECT * FROM sw.look();
