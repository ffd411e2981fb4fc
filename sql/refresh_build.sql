-- Builds: in steps, newest months first, each a transaction; stopped anywhere and
-- gone on with.  A function in the definition stops them: where it is told to, it
-- cancels the refresh.
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET kpi.now = '2026-06-15 12:00+00';
CREATE SCHEMA rbu;
CREATE TABLE rbu.stop (before date);
INSERT INTO rbu.stop VALUES ('2025-12-20');
CREATE FUNCTION rbu.passes(day date) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF day < (SELECT s.before FROM rbu.stop s) THEN
        PERFORM pg_cancel_backend(pg_backend_pid());
    END IF;
    RETURN true;
END
$$;
CREATE TABLE rbu.deals (id integer PRIMARY KEY, owner text, product text, amount integer, day date, pad text DEFAULT repeat('x', 200));
INSERT INTO rbu.deals SELECT i, 'm' || i % 7, 'p' || i % 3, i % 100, '2024-07-01'::date + i / 20 FROM generate_series(0, 15000) i;
CREATE INDEX ON rbu.deals (day);
ANALYZE rbu.deals;
SELECT count(kpi.create_team('rbu' || i)) FROM generate_series(1, 2) i;
SELECT count(kpi.add_member('m' || i, team => 'rbu' || (i % 2 + 1))) FROM generate_series(0, 5) i;
SELECT kpi.create_source('rbu', relation => 'rbu.deals', key => 'id', owner => 'owner', at => 'day',
                         filter => 'rbu.passes(day)', dimensions => '{"product": "product"}') > 0 AS source;
SELECT kpi.create_kpi('rbu_sum', source => 'rbu', measure => 'sum(amount)') > 0 AS kpi;
SELECT kpi.create_goal('this year', kpi => 'rbu_sum', team => 'rbu1', period => '2026-05', target => 1000) > 0 AS goal,
       kpi.create_goal('last year', kpi => 'rbu_sum', team => 'rbu1', period => '2025-05', target => 1000) > 0 AS goal;

-- The oracle: months of the company and of teams, by product
CREATE VIEW rbu.facts AS
    SELECT 'sum' AS kpi, d.* FROM rbu.deals d UNION ALL SELECT 'count', d.id, d.owner, d.product, 1, d.day, NULL FROM rbu.deals d;
CREATE FUNCTION rbu.differences(kpi_name text, since date)
RETURNS TABLE (period date, team text, product text, is numeric, should_be numeric) LANGUAGE sql AS $$
    WITH teams AS (
        SELECT f.kpi, f.amount, f.product, date_trunc('month', f.day)::date AS period, t.team
          FROM rbu.facts f
          LEFT JOIN (SELECT m.key, u.key AS team, h.since, h.until
                       FROM kpi.member m JOIN kpi.membership h ON h.member_id = m.id JOIN kpi.team u ON u.id = h.team_id) o
                 ON o.key = f.owner AND (o.since IS NULL OR o.since <= f.day) AND (o.until IS NULL OR o.until > f.day)
         CROSS JOIN LATERAL (VALUES ('company'), (coalesce(o.team, '(unassigned)'))) t (team)
         WHERE 'rbu_' || f.kpi = kpi_name),
    should AS (
        SELECT period, team, CASE WHEN grouping(product) = 1 THEN 'all' ELSE product END AS product, sum(amount) AS value FROM teams WHERE period >= since
         GROUP BY GROUPING SETS ((period, team), (period, team, product))),
    shown AS (
        SELECT period_start AS period, team, 'all' AS product, value FROM kpi.team_monthly WHERE kpi = kpi_name AND period_start >= since
        UNION ALL
        SELECT period_start, team, dimension_value, value FROM kpi.team_breakdown_monthly WHERE kpi = kpi_name AND period_start >= since)
    SELECT period, team, should.product, shown.value, should.value
      FROM should FULL JOIN shown USING (period, team) WHERE should.product IS NOT DISTINCT FROM shown.product
       AND should.value IS DISTINCT FROM shown.value
    UNION ALL
    SELECT 'infinity', NULL, NULL, (SELECT count(*) FROM shown), (SELECT count(*) FROM should)
     WHERE (SELECT count(*) FROM shown) <> (SELECT count(*) FROM should)
$$;
CREATE VIEW rbu.progress AS
    SELECT s.status, m.days_since, m.rollups_since, b.by_scan, b.facts > 0 AS has_read
      FROM kpi.source_status s
      JOIN kpi_internal.stream x ON x.source_id = s.source_id AND x.part <> 'left_out'
      JOIN kpi_internal.measure_built m ON m.stream_id = x.id
      LEFT JOIN kpi_internal.build b ON b.source_id = s.source_id WHERE s.source = 'rbu' ORDER BY m.measure_id;

-- By the index on the day: what was built stays, and says so.
SET kpi.build_step = 0;
CALL kpi.refresh('rbu');
SELECT * FROM rbu.progress;
SELECT * FROM rbu.differences('rbu_sum', '2026-01-01');
SELECT period, is_complete, complete_since FROM kpi.team_monthly
 WHERE kpi = 'rbu_sum' AND team = 'company' ORDER BY period_start;
SELECT period, is_complete, complete_since FROM kpi.team_quarterly
 WHERE kpi = 'rbu_sum' AND team = 'company' ORDER BY period_start;
SELECT goal, status, is_complete FROM kpi.goal_progress WHERE kpi = 'rbu_sum' ORDER BY goal_id;
SELECT is_complete FROM kpi.freshness WHERE source = 'rbu';
SELECT phase, complete_since, steps > 1 AS steps, facts_read, facts_left > 0 AS facts_left, facts_per_second > 0 AS rate,
       days_done, days_left, seconds_left >= 0 AS seconds_left FROM kpi.build_progress;

-- Cancelled: what is there is kept current, and the rest waits to be asked for.
SELECT kpi.cancel_build('rbu');
CALL kpi.refresh();
SELECT phase, complete_since FROM kpi.build_progress;
SELECT * FROM rbu.differences('rbu_sum', '2026-01-01');
SELECT level, stored, expected FROM kpi.verify('rbu');
SELECT bool_or(must_build) FROM kpi_internal.agenda WHERE source = 'rbu';
SELECT kpi.cancel_build('nothing');

-- Facts that change where numbers are there, and where they are not yet; then it goes on.
UPDATE rbu.stop SET before = '1999-01-01';
UPDATE rbu.deals SET amount = amount + 1 WHERE id % 10 = 0;
DELETE FROM rbu.deals WHERE id % 50 = 1;
UPDATE rbu.deals SET day = day - 200 WHERE id % 40 = 2;
INSERT INTO rbu.deals VALUES (20001, 'm1', 'p9', 5, '2026-05-01'), (20002, 'm2', 'p9', 6, '2025-01-31');
SELECT kpi.move_member('m3', team => 'rbu1', since => '2025-03-15') IS NOT NULL AS moved;
UPDATE rbu.stop SET before = '2025-07-20';
CALL kpi.refresh('rbu');
SELECT * FROM rbu.progress;
SELECT * FROM rbu.differences('rbu_sum', '2025-08-01');
SELECT goal, status, is_complete FROM kpi.goal_progress WHERE kpi = 'rbu_sum' ORDER BY goal_id;
UPDATE rbu.stop SET before = '1999-01-01';
CALL kpi.refresh('rbu');
SELECT * FROM rbu.progress;
SELECT * FROM rbu.differences('rbu_sum', '1999-01-01');
SELECT * FROM kpi.verify('rbu') LIMIT 9;
SELECT goal, status, is_complete FROM kpi.goal_progress WHERE kpi = 'rbu_sum' ORDER BY goal_id;
SELECT count(*) FROM kpi.build_progress;
SELECT kpi.cancel_build('rbu');

-- One more measure is built alone; the other stays complete, and fresh.
SELECT kpi.create_kpi('rbu_count', source => 'rbu', measure => 'count(*)') > 0 AS kpi;
UPDATE rbu.stop SET before = '2025-09-20';
CALL kpi.refresh('rbu');
SELECT * FROM rbu.progress;
SELECT kpi, bool_and(is_complete), min(complete_since) FROM kpi.team_monthly WHERE kpi LIKE 'rbu%' GROUP BY 1 ORDER BY 1;
SELECT * FROM rbu.differences('rbu_sum', '1999-01-01');
SELECT * FROM rbu.differences('rbu_count', '2025-10-01');
UPDATE rbu.stop SET before = '1999-01-01';
INSERT INTO rbu.deals VALUES (20003, 'm3', 'p9', 7, '2026-05-01'), (20004, 'm4', NULL, 8, '2024-10-31');
CALL kpi.refresh('rbu');
SELECT * FROM rbu.progress;
SELECT * FROM rbu.differences('rbu_sum', '1999-01-01');
SELECT * FROM rbu.differences('rbu_count', '1999-01-01');
SELECT * FROM kpi.verify('rbu') LIMIT 9;

-- Facts read again, of which none has changed: no cell is written.
SELECT kpi.resume('rbu');
CALL kpi.refresh('rbu');
SELECT bool_and(kind = 'build') AS are_builds, sum(cells) AS cells
  FROM (SELECT l.kind, l.cells FROM kpi.refresh_log l WHERE l.source = 'rbu' ORDER BY l.id DESC LIMIT 3) l;

-- Without an index: one scan for the day cells, then months of them into the rollups.
DROP INDEX rbu.deals_day_idx;
SELECT kpi.alter_source('rbu', filter => 'rbu.passes(day) AND amount > 0');
DELETE FROM rbu.deals WHERE amount = 0;
CALL kpi.refresh('rbu');
SELECT * FROM rbu.differences('rbu_sum', '1999-01-01');
SELECT * FROM rbu.differences('rbu_count', '1999-01-01');
SELECT * FROM kpi.verify('rbu') LIMIT 9;
SELECT count(*) > 20 AS many_steps FROM kpi.refresh_log l WHERE l.source = 'rbu' AND l.kind = 'build' AND l.cells > 0;

-- Months of day cells into the rollups, stopped by kpi.resume(), which is one transaction.
SELECT kpi.alter_source('rbu', filter => 'rbu.passes(day) AND amount > 1');
SELECT phase, complete_since, days_left FROM kpi.build_progress;
SELECT kpi.cancel_build('rbu');
CALL kpi.refresh();
SELECT phase, complete_since, days_left FROM kpi.build_progress;
DELETE FROM rbu.deals WHERE amount = 1;
SELECT kpi.resume('rbu');
SELECT * FROM rbu.progress;
SELECT * FROM rbu.differences('rbu_sum', '1999-01-01');

-- Some days of it.
DELETE FROM kpi_internal.day_cell c
 USING kpi_internal.stream s WHERE s.id = c.stream_id AND s.source_id = (SELECT id FROM kpi.source WHERE name = 'rbu') AND c.day = '2026-03-05';
DELETE FROM kpi_internal.rollup_cell c
 USING kpi_internal.stream s WHERE s.id = c.stream_id AND s.source_id = (SELECT id FROM kpi.source WHERE name = 'rbu') AND c.start = '2026-04-01' AND c.grain = 2;
SELECT level, grain, period_start, count(*) > 0 AS some FROM kpi.verify('rbu', since => '2026-03-31', until => '2026-04-01') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT level, grain, period_start, count(*) > 0 AS some FROM kpi.verify('rbu', since => '2026-04-30') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT count(*) FROM kpi.verify('rbu', until => '2026-03-01');
SELECT kpi.repair('rbu', since => '2026-03-10', until => '2026-03-11') > 0 AS mended;
SELECT level, grain, period_start, count(*) > 0 AS some FROM kpi.verify('rbu') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT kpi.repair('rbu') > 0 AS mended;
SELECT * FROM kpi.verify('rbu') LIMIT 9;
SELECT * FROM rbu.differences('rbu_sum', '1999-01-01');
-- a quarter that went with its months comes back with them
DELETE FROM kpi_internal.rollup_cell c
 USING kpi_internal.stream s WHERE s.id = c.stream_id AND s.source_id = (SELECT id FROM kpi.source WHERE name = 'rbu')
   AND (c.grain = 2 AND c.start BETWEEN '2026-04-01' AND '2026-06-30' OR c.grain = 3 AND c.start = '2026-04-01');
SELECT kpi.repair('rbu', since => '2026-04-01', until => '2026-07-01') > 0 AS mended;
SELECT * FROM kpi.verify('rbu') LIMIT 9;
SELECT kpi.verify('rbu', since => '2026-03-01', until => '2026-03-01');

SELECT kpi.drop_goal(id) FROM kpi.goal WHERE kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'rbu_sum');
SELECT kpi.drop_source('rbu', cascade => true);
SELECT count(kpi.drop_member('m' || i)) FROM generate_series(0, 5) i;
SELECT count(kpi.drop_team('rbu' || i)) FROM generate_series(1, 2) i;
SELECT count(*) FROM kpi_internal.build;
DROP SCHEMA rbu CASCADE;
