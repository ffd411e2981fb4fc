-- Who defines a KPI of which much counts for nothing is told by the first refresh after it, once.
SET timezone = 'UTC';
CREATE SCHEMA ln;
CREATE TABLE ln.deal (id int PRIMARY KEY, at date, close date, stage text, amount numeric, digits text);
INSERT INTO ln.deal SELECT i, date '2026-01-01' + i % 90, NULL, 'won', CASE WHEN i > 1900 THEN 'NaN' ELSE i::numeric END, CASE WHEN i % 4 = 0 THEN 'x' ELSE '1' END
  FROM generate_series(1, 2089) i;
SELECT kpi.create_source('ln', relation => 'ln.deal', key => 'id', at => 'at') IS NOT NULL AS made;
SELECT kpi.create_kpi('ln_all', source => 'ln', measure => 'count(*)') IS NOT NULL AS made,
       kpi.create_kpi('ln_closed', source => 'ln', measure => 'count(*)', at => 'close') IS NOT NULL AS made,
       kpi.create_kpi('ln_amount', source => 'ln', measure => 'sum(amount)') IS NOT NULL AS made,
       kpi.create_kpi('ln_digits', source => 'ln', measure => 'sum(digits::int)') IS NOT NULL AS made,
       kpi.create_kpi('ln_open', source => 'ln', measure => 'count(*)', filter => $$stage = 'open'$$) IS NOT NULL AS made;
CALL kpi.refresh('ln');
-- once
UPDATE ln.deal SET stage = 'open' WHERE id = 1;
CALL kpi.refresh();
SELECT problem, object, detail FROM kpi.health() WHERE problem IN ('left_out', 'no_facts') ORDER BY object COLLATE "C";
-- what another has built meanwhile is told as well, and what was changed
SELECT kpi.create_kpi('ln_later', source => 'ln', measure => 'avg(amount)', at => 'close') IS NOT NULL AS made;
SELECT count(*) FROM kpi.verify('ln');
CALL kpi.refresh();
SELECT kpi.alter_kpi('ln_later', at => 'at', filter => 'id > 1900');
CALL kpi.refresh('ln');
SELECT kpi.alter_kpi('ln_later', title => 'Later');
CALL kpi.refresh('ln');
-- one in twenty is not much, nor are facts of other KPIs
UPDATE ln.deal SET amount = 1 WHERE id BETWEEN 1901 AND 1985;
SELECT kpi.alter_kpi('ln_amount', measure => 'avg(amount)');
SELECT kpi.create_kpi('ln_first', source => 'ln', measure => 'count(*)', filter => 'id = 1') IS NOT NULL AS made;
SELECT kpi.create_kpi('ln_rate', source => 'ln', measure => $$rate(id = 1, stage = 'open')$$) IS NOT NULL AS made;
CALL kpi.refresh();
-- the source means something else
SELECT kpi.alter_source('ln', filter => 'at > ''2026-03-25''');
CALL kpi.refresh();
-- facts that come later
DELETE FROM ln.deal;
SELECT kpi.create_kpi('ln_none', source => 'ln', measure => 'sum(amount)') IS NOT NULL AS made;
CALL kpi.refresh();
INSERT INTO ln.deal VALUES (1, '2026-04-01', NULL, 'won', NULL, '1'), (2, NULL, NULL, 'won', 1, '1');
CALL kpi.refresh();
SELECT count(*) FROM kpi_internal.left_out_unsaid;

SELECT kpi.drop_source('ln', cascade => true);
DROP TABLE ln.deal;
DROP SCHEMA ln;
