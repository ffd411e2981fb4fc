-- Refresh: the most extreme values of partitions that are gone stay among those of the facts that are left.
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA sx;
CREATE TABLE sx.deals (id bigint, region text, amount numeric, at date) PARTITION BY LIST (region);
CREATE TABLE sx.east PARTITION OF sx.deals FOR VALUES IN ('east');
CREATE TABLE sx.west PARTITION OF sx.deals FOR VALUES IN ('west');
CREATE TABLE sx.archive (LIKE sx.deals);
-- West has 100 facts a day, east 50 on two days, of which it has the largest, the smallest and the last.
INSERT INTO sx.deals SELECT g, 'west', (g * 7919) % 10007, date '2026-01-01' + g % 10 FROM generate_series(1, 1000) g;
INSERT INTO sx.deals SELECT 2000 + g, 'east', CASE WHEN g % 2 = 0 THEN 20000 ELSE -20000 END + g, date '2026-01-01' + g % 2 FROM generate_series(1, 100) g;
SELECT kpi.create_source('sx', relation => 'sx.deals', key => 'id', at => 'at') > 0 AS made;
SELECT count(kpi.create_kpi('sx_' || split_part(m, '(', 1), source => 'sx', measure => m)) AS made FROM unnest(ARRAY['min(amount)', 'max(amount)', 'first(amount)', 'last(amount)']) m;
CALL kpi.refresh('sx');
CREATE VIEW sx.wrong AS
WITH fact AS (SELECT * FROM sx.deals UNION ALL SELECT * FROM sx.archive)
SELECT kpi, start, v.value AS ours, o.value AS theirs
  FROM (SELECT kpi, period_start AS start, value FROM kpi.team_daily WHERE team = 'company' UNION ALL
        SELECT kpi, period_start - 1000, value FROM kpi.team_monthly WHERE team = 'company') v
  FULL JOIN (SELECT k.kpi, d.start, CASE k.kpi WHEN 'sx_min' THEN min(amount) WHEN 'sx_max' THEN max(amount)
                      WHEN 'sx_first' THEN (array_agg(amount ORDER BY at, id))[1] ELSE (array_agg(amount ORDER BY at DESC, id DESC))[1] END AS value
               FROM fact, LATERAL (VALUES (at), (date_trunc('month', at)::date - 1000)) d (start),
                    (VALUES ('sx_min'), ('sx_max'), ('sx_first'), ('sx_last')) k (kpi) GROUP BY 1, 2) o USING (kpi, start)
 WHERE kpi LIKE 'sx\_%' AND v.value IS DISTINCT FROM o.value;
SELECT * FROM sx.wrong ORDER BY 1, 2;

INSERT INTO sx.archive SELECT * FROM sx.east;
DROP TABLE sx.east;
CALL kpi.refresh('sx');
-- Sealed are the two days that had facts of it.
SELECT s.first_day, s.last_day, s.facts, (SELECT count(DISTINCT c.day) FROM kpi_internal.sealed_cell c WHERE c.seal_id = i.id) AS days
  FROM kpi.sealed s, kpi_internal.seal i WHERE s.source = 'sx';
SELECT * FROM sx.wrong ORDER BY 1, 2;
SELECT * FROM kpi.verify('sx');
-- All that is left of a day goes, of one that has sealed facts and of one that has none.
DELETE FROM sx.deals WHERE at IN ('2026-01-02', '2026-01-05');
CALL kpi.refresh('sx');
-- what the seal does not know is missing, not wrong
SELECT count(*) FILTER (WHERE ours IS NOT NULL) AS wrong, count(*) AS missing FROM sx.wrong;
SELECT * FROM kpi.verify('sx');
-- More than what is sealed, and gone again.
INSERT INTO sx.deals SELECT 5000 + g, 'west', 90000 + g, date '2026-01-01' + g % 2 FROM generate_series(1, 200) g;
CALL kpi.refresh('sx');
SELECT count(*) FILTER (WHERE ours IS NOT NULL) AS wrong, count(*) AS missing FROM sx.wrong;
DELETE FROM sx.deals WHERE id > 5000;
CALL kpi.refresh('sx');
SELECT count(*) FILTER (WHERE ours IS NOT NULL) AS wrong, count(*) AS missing FROM sx.wrong;
SELECT * FROM kpi.verify('sx');
SELECT kpi.resume('sx');
CALL kpi.refresh('sx');
SELECT count(*) FILTER (WHERE ours IS NOT NULL) AS wrong, count(*) AS missing FROM sx.wrong;
SELECT * FROM kpi.verify('sx');
SELECT count(*) AS unknown_days FROM kpi_internal.unknown_day;
SELECT kpi.drop_source('sx', cascade => true);
SET client_min_messages = warning;
DROP SCHEMA sx CASCADE;
