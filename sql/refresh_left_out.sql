-- What KPIs leave out is counted by reason, and kept like any number.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE TABLE left_order (id integer PRIMARY KEY, rep text, stage text, is_test boolean, closed timestamptz, began date, ended date,
                         amount numeric, cost numeric, opened date);
SELECT kpi.create_source('left_orders', relation => 'left_order', key => 'id', owner => 'rep', at => 'closed', filter => 'NOT is_test') IS NOT NULL AS made;
SELECT count(kpi.create_kpi('left_' || name, source => 'left_orders', measure => measure, filter => filter, at => at, until => until)) FROM (VALUES
    ('count', 'count(*)', NULL, NULL, NULL), ('won', 'sum(amount)', 'stage = ''won''', NULL, NULL), ('avg', 'avg(amount)', NULL, NULL, NULL),
    ('known', 'count(cost)', NULL, NULL, NULL), ('rate', 'rate(amount > 10, cost > 5)', NULL, NULL, NULL), ('ratio', 'ratio(amount, cost)', NULL, NULL, NULL),
    ('median', 'median(amount)', NULL, NULL, NULL), ('reps', 'count(DISTINCT rep)', NULL, NULL, NULL), ('last', 'last(amount)', NULL, NULL, NULL),
    ('opened', 'count(*)', 'stage <> ''lost''', 'opened', NULL), ('held', 'balance(amount)', 'stage = ''won''', 'began', 'ended')) k (name, measure, filter, at, until);

-- What independent SQL says of the rows.
CREATE FUNCTION left_expected() RETURNS TABLE (kpi text, reason text, facts bigint, first_day date, last_day date) LANGUAGE sql AS $$
    SELECT k.kpi, r.reason, count(*), min(r.day), max(r.day) FROM (VALUES
        ('left_count'), ('left_won'), ('left_avg'), ('left_known'), ('left_rate'), ('left_ratio'), ('left_median'), ('left_reps'),
        ('left_last'), ('left_opened'), ('left_held')) k (kpi)
     CROSS JOIN left_order o
     CROSS JOIN LATERAL (SELECT CASE k.kpi WHEN 'left_opened' THEN o.opened::timestamp WHEN 'left_held' THEN o.began::timestamp
                                ELSE o.closed AT TIME ZONE (SELECT c.time_zone FROM kpi.source s JOIN kpi.calendar c ON c.id = s.calendar_id
                                                             WHERE s.name = 'left_orders') END AS time) t
     CROSS JOIN LATERAL (SELECT t.time IS NULL OR t.time IN ('-infinity', 'infinity') AS no_time,
                                t.time BETWEEN '1900-01-01' AND '2200-12-31 23:59:59.999999' AS in_range,
                                current_setting('lo.source_filter') = 'off' OR o.is_test = false AS source_filter,
                                CASE k.kpi WHEN 'left_won' THEN o.stage = ANY (current_setting('lo.won')::text[])
                                           WHEN 'left_held' THEN o.stage = 'won' WHEN 'left_opened' THEN o.stage <> 'lost' ELSE true END AS kpi_filter) f
     CROSS JOIN LATERAL (SELECT CASE WHEN f.in_range THEN t.time::date END AS day,
           CASE WHEN f.source_filter IS NULL THEN 'filter_null' WHEN NOT f.source_filter THEN 'filter_false'
                WHEN f.kpi_filter IS NULL THEN 'filter_null' WHEN NOT f.kpi_filter THEN 'filter_false'
                WHEN f.no_time THEN 'no_time'
                WHEN NOT f.in_range THEN 'day_out_of_range'
                WHEN k.kpi = 'left_held' AND o.ended < o.began THEN 'end_before_start'
                WHEN CASE k.kpi WHEN 'left_known' THEN o.cost IS NULL WHEN 'left_rate' THEN (o.cost > 5) IS NOT TRUE
                                WHEN 'left_ratio' THEN o.amount IS NULL AND o.cost IS NULL WHEN 'left_reps' THEN o.rep IS NULL
                                WHEN 'left_count' THEN false WHEN 'left_opened' THEN false ELSE o.amount IS NULL END THEN 'no_value' END AS reason) r
     WHERE r.reason IS NOT NULL GROUP BY k.kpi, r.reason $$;
CREATE FUNCTION left_kept() RETURNS TABLE (kpi text, reason text, facts bigint, first_day date, last_day date) LANGUAGE sql AS $$
    SELECT k.name, c.reason, c.facts, c.first_day, c.last_day FROM kpi.source s
     CROSS JOIN LATERAL kpi_internal.left_out_counts(s.id) c JOIN kpi.kpi k ON k.id = c.kpi_id WHERE s.name = 'left_orders' $$;
-- No difference, and each row of the table is in each KPI or left out of it.
CREATE VIEW left_differences AS
    (SELECT 'kept' AS side, * FROM left_kept() EXCEPT ALL SELECT 'kept', * FROM left_expected()) UNION ALL
    (SELECT 'expected', * FROM left_expected() EXCEPT ALL SELECT 'expected', * FROM left_kept());
CREATE VIEW left_sums AS
    SELECT k.name AS kpi, (SELECT count(*) FROM left_order) - coalesce((SELECT sum(c.facts) FROM kpi_internal.left_out_counts() c WHERE c.kpi_id = k.id), 0)
           - coalesce((SELECT sum(kpi_internal.cell_facts(d.cell, m.id)) FROM kpi_internal.day_cell d WHERE d.stream_id = m.stream_id), 0) AS missing
      FROM kpi.kpi k JOIN kpi_internal.measure m ON m.kpi_id = k.id AND m.role = 'value' WHERE k.name LIKE 'left\_%';
SET lo.source_filter = 'on';
SET lo.won = '{won}';

CREATE FUNCTION left_rows(first integer, last integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO left_order
    SELECT i, CASE WHEN i % 7 > 0 THEN 'rep' || i % 3 END, (ARRAY['won', 'lost', 'open', NULL])[1 + i % 4], CASE WHEN i % 11 = 0 THEN NULL ELSE i % 13 = 0 END,
           CASE i % 17 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' WHEN 2 THEN '1899-12-31 12:00+00' WHEN 3 THEN '2201-01-01 12:00+00' WHEN 4 THEN '-infinity'
                       WHEN 5 THEN '9999-01-01' ELSE '2026-01-01 10:00+00'::timestamptz + i % 90 * interval '11 hours' END,
           CASE i % 19 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' ELSE '2026-01-01'::date + i % 60 END,
           CASE i % 5 WHEN 0 THEN NULL ELSE '2026-01-20'::date + i % 30 END, CASE WHEN i % 6 > 0 THEN i % 40 END, CASE WHEN i % 9 > 2 THEN i % 12 END,
           CASE i % 23 WHEN 0 THEN NULL WHEN 1 THEN '0044-03-15 BC' ELSE '2026-02-01'::date + i % 20 END
      FROM generate_series(first, last) i $$;
SELECT left_rows(1, 1000);
CALL kpi.refresh();
SELECT * FROM left_kept() ORDER BY kpi COLLATE "C", reason COLLATE "C";
SELECT * FROM left_differences;
SELECT * FROM left_sums WHERE missing <> 0;
SELECT * FROM kpi.verify();

-- Writes are captured: rows that count for all KPIs bring nothing.
SELECT left_rows(1001, 1300);
UPDATE left_order SET is_test = NOT is_test WHERE id % 10 = 3;
UPDATE left_order SET stage = 'won' WHERE id % 10 = 4;
UPDATE left_order SET closed = closed + interval '3 days', amount = NULL WHERE id % 10 = 5;
UPDATE left_order SET ended = began - 1, opened = NULL WHERE id % 10 = 6;
UPDATE left_order SET cost = 100 WHERE cost IS NULL AND id % 4 = 0;
DELETE FROM left_order WHERE id % 10 = 7;
SELECT count(*) > 0 AS captured FROM kpi_internal.delta d JOIN kpi_internal.stream x ON x.id = d.stream_id WHERE x.part = 'left_out';
CALL kpi.refresh();
SELECT * FROM left_differences;
SELECT * FROM left_sums WHERE missing <> 0;
SELECT * FROM kpi.verify();
INSERT INTO left_order VALUES (5000, 'rep1', 'won', false, '2026-03-01 12:00+00', '2026-03-01', '2026-03-02', 20, 10, '2026-03-01');
SELECT count(*) FROM kpi_internal.delta d JOIN kpi_internal.stream x ON x.id = d.stream_id WHERE x.part = 'left_out';
BEGIN;
UPDATE left_order SET stage = 'lost';
SAVEPOINT a;
DELETE FROM left_order;
ROLLBACK TO a;
COMMIT;
CALL kpi.refresh();
SELECT * FROM left_differences;
SELECT * FROM kpi.verify();
UPDATE left_order SET stage = 'won' WHERE id % 3 > 0;

-- Definitions change.
SELECT kpi.alter_kpi('left_won', filter => 'stage IN (''won'', ''lost'')');
SET lo.won = '{won,lost}';
CALL kpi.refresh();
SELECT * FROM left_differences;
SELECT kpi.alter_source('left_orders', filter => '');
SET lo.source_filter = 'off';
CALL kpi.refresh();
SELECT * FROM left_differences;
SELECT * FROM left_sums WHERE missing <> 0;
SELECT * FROM kpi.verify();
SELECT kpi.alter_source('left_orders', filter => 'NOT is_test');
SET lo.source_filter = 'on';
SELECT kpi.create_calendar('left_calendar', time_zone => 'Pacific/Auckland') IS NOT NULL AS calendar;
SELECT kpi.alter_source('left_orders', calendar => 'left_calendar');
CALL kpi.refresh();
SELECT * FROM left_differences;
SELECT * FROM kpi.verify();
ALTER TABLE left_order RENAME COLUMN stage TO phase;
ALTER TABLE left_order RENAME COLUMN closed TO stage;
CALL kpi.refresh();
UPDATE left_order SET amount = 3 WHERE id % 10 = 1;
CALL kpi.refresh();
SELECT * FROM kpi.verify();
ALTER TABLE left_order RENAME COLUMN stage TO closed;
ALTER TABLE left_order RENAME COLUMN phase TO stage;
CALL kpi.refresh();
SELECT * FROM left_differences;

-- An expression that fails is an error of that KPI, counted once.
SELECT kpi.create_kpi('left_inverse', source => 'left_orders', measure => 'sum(1 / (amount - 7))', filter => 'stage = ''won''') IS NOT NULL AS made;
CALL kpi.refresh();
SELECT * FROM left_differences WHERE kpi <> 'left_inverse';
INSERT INTO left_order SELECT 6000, rep, 'won', false, '2026-03-01', began, ended, 7, cost, opened FROM left_order WHERE id = 5000;
CALL kpi.refresh();
DELETE FROM left_order WHERE id = 6000;
CALL kpi.refresh();
SELECT * FROM kpi.verify();
SELECT kpi.drop_kpi('left_inverse');

-- What verification finds, repair mends.
CREATE FUNCTION left_tamper() RETURNS void LANGUAGE sql AS $$
    UPDATE kpi_internal.day_cell d SET cell = d.cell OPERATOR(kpi.+) d.cell FROM kpi_internal.stream x
     WHERE x.id = d.stream_id AND x.part = 'left_out' AND x.at LIKE '%closed%' AND d.day = '2026-01-05' $$;
SELECT left_tamper();
SELECT level, scope, grain, period_start FROM kpi.verify();
SELECT count(*) > 0 AS differs FROM left_differences;
SELECT kpi.repair('left_orders');
SELECT * FROM left_differences;
SELECT * FROM kpi.verify();

-- In steps, and from a table that is read by an index.
CREATE INDEX ON left_order (closed);
TRUNCATE left_order;
SELECT left_rows(1, 3000);
CALL kpi.refresh();
SELECT * FROM left_differences;
SELECT * FROM kpi.verify();

-- Nothing is left behind.
SELECT kpi.drop_kpi(name) FROM kpi.kpi WHERE name IN ('left_opened', 'left_held');
SELECT x.at, count(m.id) FROM kpi_internal.stream x JOIN kpi_internal.measure m ON m.stream_id = x.id WHERE x.part = 'left_out' GROUP BY x.at;
CALL kpi.refresh();
SELECT * FROM left_differences WHERE kpi NOT IN ('left_opened', 'left_held');
SELECT kpi.drop_kpi(name) FROM kpi.kpi WHERE name LIKE 'left\_%';
SELECT count(*) FROM kpi_internal.stream WHERE part = 'left_out';
SELECT kpi.drop_source('left_orders');
SELECT kpi.drop_calendar('left_calendar');
SELECT count(*) FROM kpi_internal.day_cell;
DROP VIEW left_differences, left_sums;
DROP FUNCTION left_expected, left_kept, left_rows, left_tamper;
DROP TABLE left_order;
