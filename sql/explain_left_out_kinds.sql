-- What is left out of keyed sources, of sources that look up, and of days that are sealed, against
-- plain SQL over the tables.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-06-30 12:00 UTC';
CREATE SCHEMA lk;

-- rows of a query: those without key or entity are none, as of when all are read
CREATE TABLE lk.visit (visit int, place text, at date, amount numeric);
INSERT INTO lk.visit SELECT nullif(i % 50, 0), CASE WHEN i % 50 % 7 > 0 THEN 'p' || i % 4 END, CASE WHEN i % 50 % 11 > 0 THEN date '2026-01-05' + i % 60 END, CASE WHEN i % 50 % 13 > 0 THEN i END
  FROM generate_series(1, 200) i;
SELECT kpi.create_source('lk_visit', query => 'SELECT place, visit, min(at) AS at, sum(amount) AS amount FROM lk.visit GROUP BY place, visit', key => 'place, visit', entity => 'visit',
                         at => 'at', follow => '{"lk.visit": "visit"}') IS NOT NULL AS made,
       kpi.create_source('lk_place', query => 'SELECT visit, min(place) AS place, min(at) AS at, sum(amount) AS amount FROM lk.visit GROUP BY visit', key => 'visit', entity => 'place',
                         at => 'at') IS NOT NULL AS made;
SELECT kpi.create_kpi(k.name, source => k.source, measure => k.measure, filter => k.filter) IS NOT NULL AS made
  FROM (VALUES ('lk_visits', 'lk_visit', 'count(*)', NULL), ('lk_amount', 'lk_visit', 'sum(amount)', 'amount <> 11'), ('lk_places', 'lk_place', 'avg(amount)', $$place < 'p1'$$)) k (name, source, measure, filter);
CREATE VIEW lk.expected_keyed AS
WITH visit AS (SELECT place, visit, min(at) AS at, sum(amount) AS amount FROM lk.visit GROUP BY place, visit),
     place AS (SELECT visit, min(place) AS place, min(at) AS at, sum(amount) AS amount FROM lk.visit GROUP BY visit),
     rows (source, kpi, reason, day) AS (
     SELECT 'lk_visit', NULL, 'no_key', NULL::date FROM visit WHERE place IS NULL OR visit IS NULL
     UNION ALL SELECT 'lk_place', NULL, CASE WHEN visit IS NULL THEN 'no_key' ELSE 'no_entity' END, NULL FROM place WHERE visit IS NULL OR place IS NULL
     UNION ALL SELECT 'lk_visit', 'lk_visits', 'no_time', NULL FROM visit WHERE place IS NOT NULL AND visit IS NOT NULL AND at IS NULL
     UNION ALL SELECT 'lk_visit', 'lk_amount', CASE WHEN amount = 11 THEN 'filter_false' WHEN amount IS NULL THEN 'filter_null' ELSE 'no_time' END, at
                 FROM visit WHERE place IS NOT NULL AND visit IS NOT NULL AND ((amount <> 11) IS NOT TRUE OR at IS NULL)
     UNION ALL SELECT 'lk_place', 'lk_places', CASE WHEN place >= 'p1' THEN 'filter_false' WHEN at IS NULL THEN 'no_time' ELSE 'no_value' END, at
                 FROM place WHERE place IS NOT NULL AND visit IS NOT NULL AND (place >= 'p1' OR at IS NULL OR amount IS NULL))
SELECT source, kpi, reason, count(*) AS facts, min(day) AS first_day, max(day) AS last_day FROM rows GROUP BY 1, 2, 3;
CREATE VIEW lk.keyed_difference AS
WITH actual AS (SELECT source, kpi, reason, facts, first_day, last_day FROM kpi.left_out WHERE source IN ('lk_visit', 'lk_place'))
SELECT 'missing' AS what, e.* FROM (TABLE lk.expected_keyed EXCEPT TABLE actual) e UNION ALL SELECT 'wrong', a.* FROM (TABLE actual EXCEPT TABLE lk.expected_keyed) a;
CALL kpi.refresh();
SELECT source, kpi, reason, counts_for, facts, first_day, last_day FROM kpi.left_out WHERE source IN ('lk_visit', 'lk_place') ORDER BY source, kpi COLLATE "C", reason;
TABLE lk.keyed_difference ORDER BY 1, 2, 3, 4;
SELECT source, rows_without_key FROM kpi.source_status WHERE source IN ('lk_visit', 'lk_place') ORDER BY source;
-- facts come, go and change
INSERT INTO lk.visit SELECT 100 + i, CASE WHEN i % 3 > 0 THEN 'p1' END, date '2026-03-01' + i, i FROM generate_series(1, 20) i;
UPDATE lk.visit SET amount = NULL, at = NULL WHERE visit % 6 = 1;
UPDATE lk.visit SET place = 'p4' WHERE visit % 10 = 2;
DELETE FROM lk.visit WHERE visit IS NULL OR visit = 33;
UPDATE lk.visit SET place = NULL WHERE visit IN (14, 41);
CALL kpi.refresh();
-- of what is followed, rows without key are those of when all were read
SELECT * FROM lk.keyed_difference WHERE (source, reason) <> ('lk_visit', 'no_key') ORDER BY 1, 2, 3, 4;
TRUNCATE lk.visit;
INSERT INTO lk.visit SELECT nullif(i % 40, 0), CASE WHEN i % 9 > 0 THEN 'p' || i % 4 END, date '2026-01-05' + i % 50, i FROM generate_series(1, 120) i;
CALL kpi.refresh();
TABLE lk.keyed_difference ORDER BY 1, 2, 3, 4;
SELECT count(*) FROM kpi.verify('lk_visit');

-- what a lookup does not find counts, and is told of the source
CREATE TABLE lk.account (account int PRIMARY KEY, sector text, owner text);
CREATE TABLE lk.deal (id int PRIMARY KEY, account int, reseller int, at date, amount numeric);
INSERT INTO lk.account SELECT i, CASE WHEN i % 4 > 0 THEN 's' || i % 3 END, 'o' || i FROM generate_series(1, 12) i;
INSERT INTO lk.deal SELECT i, CASE WHEN i % 5 > 0 THEN i % 20 END, CASE WHEN i % 3 > 0 THEN i % 15 END, CASE WHEN i % 17 > 0 THEN date '2026-05-01' + i END, nullif(i % 8, 0) FROM generate_series(1, 100) i;
SELECT kpi.create_lookup('lk_sector', relation => 'lk.account', key => 'account', value => 'sector') IS NOT NULL AS made;
SELECT kpi.create_lookup('lk_reseller', relation => 'lk.account', key => 'account', value => 'owner') IS NOT NULL AS made;
SELECT kpi.create_source('lk_deal', relation => 'lk.deal', key => 'id', at => 'at', dimensions => $${"sector": "lookup('lk_sector', account)"}$$) IS NOT NULL AS made;
SELECT kpi.create_kpi('lk_deals', source => 'lk_deal', measure => 'count(*)', filter => $$lookup('lk_sector', account) <> 's1'$$) IS NOT NULL AS made,
       kpi.create_kpi('lk_sum', source => 'lk_deal', measure => 'sum(amount)', filter => $$lookup('lk_reseller', reseller) IS NOT NULL$$) IS NOT NULL AS made;
CREATE VIEW lk.expected_deal AS
WITH deal AS (SELECT d.*, a.account AS found, a.sector, r.account AS found_reseller, isfinite(d.at) AND d.at <= '2026-06-30' AS is_now
                FROM lk.deal d LEFT JOIN lk.account a ON a.account = d.account LEFT JOIN lk.account r ON r.account = d.reseller),
     rows (kpi, reason, day) AS (
     SELECT NULL, 'lookup_missing', NULL::date FROM deal WHERE account IS NOT NULL AND found IS NULL
     UNION ALL SELECT NULL, 'lookup_missing', NULL FROM deal WHERE reseller IS NOT NULL AND found_reseller IS NULL
     UNION ALL SELECT 'lk_deals', CASE WHEN sector = 's1' THEN 'filter_false' WHEN sector IS NULL THEN 'filter_null' WHEN at IS NULL THEN 'no_time' ELSE 'ahead' END, at
                 FROM deal WHERE (sector <> 's1') IS NOT TRUE OR is_now IS NOT TRUE
     UNION ALL SELECT 'lk_sum', CASE WHEN found_reseller IS NULL THEN 'filter_false' WHEN at IS NULL THEN 'no_time' WHEN amount IS NULL THEN 'no_value' ELSE 'ahead' END, at
                 FROM deal WHERE found_reseller IS NULL OR amount IS NULL OR is_now IS NOT TRUE)
SELECT kpi, reason, count(*) AS facts, min(day) AS first_day, max(day) AS last_day FROM rows GROUP BY 1, 2;
CREATE VIEW lk.deal_difference AS
WITH actual AS (SELECT kpi, reason, facts, first_day, last_day FROM kpi.left_out WHERE source = 'lk_deal')
SELECT 'missing' AS what, e.* FROM (TABLE lk.expected_deal EXCEPT TABLE actual) e UNION ALL SELECT 'wrong', a.* FROM (TABLE actual EXCEPT TABLE lk.expected_deal) a;
CALL kpi.refresh();
SELECT kpi, reason, counts_for, facts, first_day, last_day FROM kpi.left_out WHERE source = 'lk_deal' ORDER BY kpi COLLATE "C", reason;
TABLE lk.deal_difference ORDER BY 1, 2, 3;
-- what is looked up changes, and what looks
INSERT INTO lk.account VALUES (15, 's1', 'o15'), (16, NULL, 'o16');
DELETE FROM lk.account WHERE account IN (3, 7);
UPDATE lk.account SET sector = 's1' WHERE account = 4;
UPDATE lk.deal SET account = 3 WHERE id % 9 = 0;
UPDATE lk.deal SET account = NULL, at = '2026-06-01' WHERE id % 14 = 0;
DELETE FROM lk.deal WHERE id % 25 = 1;
CALL kpi.refresh();
TABLE lk.deal_difference ORDER BY 1, 2, 3;
SELECT count(*) FROM kpi.verify('lk_deal');

-- a partition that goes takes nothing along: what it left out stays counted
CREATE TABLE lk.sale (id int, owner text, at date NOT NULL, paid date, amount numeric) PARTITION BY RANGE (at);
CREATE TABLE lk.sale_01 PARTITION OF lk.sale FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE lk.sale_02 PARTITION OF lk.sale FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE lk.sale_03 PARTITION OF lk.sale DEFAULT;
INSERT INTO lk.sale SELECT i, CASE WHEN i % 6 > 0 THEN 'o' END, date '2026-01-01' + i % 90, CASE WHEN i % 4 > 0 THEN date '2026-01-01' + i % 50 WHEN i % 8 = 0 THEN date '1800-01-01' END,
       CASE WHEN i % 10 = 0 THEN 'NaN' WHEN i % 21 = 0 THEN 1e1000 WHEN i % 9 > 0 THEN i END
  FROM generate_series(1, 360) i;
SELECT kpi.create_source('lk_sale', relation => 'lk.sale', key => 'id', owner => 'owner', at => 'at', on_detach => 'seal') IS NOT NULL AS made;
SELECT kpi.create_kpi('lk_sales', source => 'lk_sale', measure => 'sum(amount)', filter => 'id % 7 > 0') IS NOT NULL AS made,
       kpi.create_kpi('lk_paid', source => 'lk_sale', measure => 'avg(amount)', at => 'paid') IS NOT NULL AS made,
       kpi.create_kpi('lk_share', source => 'lk_sale', measure => 'rate(10 / (id % 15) > 2, id % 2 = 0)') IS NOT NULL AS made;
-- those that are gone as well
CREATE TABLE lk.all_sales AS TABLE lk.sale;
CREATE VIEW lk.expected_sale AS
SELECT f.kpi, f.reason, count(*) AS facts, min(f.day) FILTER (WHERE f.day > '1900-01-01') AS first_day, max(f.day) FILTER (WHERE f.day > '1900-01-01') AS last_day
  FROM (SELECT k.*, CASE WHEN k.kpi = 'lk_sales' AND s.id % 7 = 0 THEN 'filter_false' WHEN k.day IS NULL THEN 'no_time' WHEN k.day < '1900-01-01' THEN 'day_out_of_range'
                         WHEN k.kpi = 'lk_share' AND s.id % 15 = 0 THEN 'error' WHEN k.kpi = 'lk_share' AND s.id % 2 = 1 OR k.kpi <> 'lk_share' AND s.amount IS NULL THEN 'no_value'
                         WHEN k.kpi <> 'lk_share' AND s.amount IN ('NaN', 'Infinity') THEN 'nonfinite' WHEN k.kpi <> 'lk_share' AND s.amount >= 1e1000 THEN 'too_long'
                         WHEN s.owner IS NULL THEN 'no_owner' ELSE 'unknown_owner' END AS reason
          FROM lk.all_sales s CROSS JOIN LATERAL (VALUES ('lk_sales', s.at), ('lk_paid', s.paid), ('lk_share', s.at)) k (kpi, day)) f
 GROUP BY 1, 2;
CREATE VIEW lk.sale_difference AS
WITH actual AS (SELECT kpi, reason, facts, first_day, last_day FROM kpi.left_out WHERE source = 'lk_sale')
SELECT 'missing' AS what, e.* FROM (TABLE lk.expected_sale EXCEPT TABLE actual) e UNION ALL SELECT 'wrong', a.* FROM (TABLE actual EXCEPT TABLE lk.expected_sale) a;
CALL kpi.refresh();
SELECT kpi, reason, counts_for, facts, first_day, last_day FROM kpi.left_out WHERE source = 'lk_sale' ORDER BY kpi COLLATE "C", reason;
TABLE lk.sale_difference ORDER BY 1, 2, 3;
ALTER TABLE lk.sale DETACH PARTITION lk.sale_01;
CALL kpi.refresh();
SELECT partition, first_day, last_day FROM kpi.sealed WHERE source = 'lk_sale';
TABLE lk.sale_difference ORDER BY 1, 2, 3;
SELECT * FROM kpi.verify('lk_sale');
-- with what was not refreshed, and by another that is dropped
UPDATE lk.sale SET amount = 'Infinity', owner = 'stranger' WHERE id % 11 = 0;
UPDATE lk.all_sales SET amount = 'Infinity', owner = 'stranger' WHERE id % 11 = 0 AND at >= '2026-02-01';
DROP TABLE lk.sale_02;
CALL kpi.refresh();
TABLE lk.sale_difference ORDER BY 1, 2, 3;
SELECT * FROM kpi.verify('lk_sale');
-- built anew
SELECT kpi.repair('lk_sale');
TABLE lk.sale_difference ORDER BY 1, 2, 3;
-- attached again
ALTER TABLE lk.sale ATTACH PARTITION lk.sale_01 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CALL kpi.refresh();
TABLE lk.sale_difference ORDER BY 1, 2, 3;
SELECT * FROM kpi.verify('lk_sale');

SELECT count(kpi.drop_source(s.name, cascade => true)) FROM kpi.source s;
SELECT kpi.drop_lookup('lk_sector'), kpi.drop_lookup('lk_reseller');
DROP SCHEMA lk CASCADE;
