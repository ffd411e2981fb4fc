--
-- kpi.format(): values as text
--
SET client_min_messages = warning;
CREATE TABLE format_fact (id int PRIMARY KEY, at date, x numeric, took interval, won boolean);
SELECT kpi.create_source('format', 'format_fact', key => 'id', at => 'at') IS NOT NULL AS created;
SELECT count(kpi.create_kpi('format_' || name, 'format', measure, unit => unit, format => f, decimals => d))
FROM (VALUES ('plain', 'sum(x)', NULL, NULL, NULL), ('whole', 'sum(x)', 'EUR', 'number', 0),
             ('rate', 'rate(won, true)', NULL, 'percent', NULL), ('rate2', 'rate(won, true)', NULL, 'percent', 2),
             ('money', 'sum(x)', 'EUR', 'money', NULL), ('cash', 'sum(x)', NULL, 'money', 0),
             ('took', 'avg(took)', 'hours', 'duration', NULL), ('seconds', 'avg(took)', 'seconds', 'duration', 2),
             ('weeks', 'avg(took)', 'weeks', 'duration', NULL)) k(name, measure, unit, f, d);
SELECT v AS value, kpi.format(v, 'format_plain') AS plain, kpi.format(v, 'format_whole') AS whole,
       kpi.format(v, 'format_money') AS money, kpi.format(v, 'format_cash') AS cash
FROM unnest('{0,-0.004,0.5,999.995,1000,-1234567.899,12345678901234567890.5,0.12345678901234,1.500,NaN,Infinity}'::numeric[]) v;
SELECT v AS value, kpi.format(v, 'format_rate') AS rate, kpi.format(v, 'format_rate2') AS rate2
FROM unnest('{0,0.1234,0.12345,1,-0.5,2.5}'::numeric[]) v;
SELECT v AS hours, kpi.format(v, 'format_took') AS took, kpi.format(v, 'format_seconds') AS "as seconds", kpi.format(v, 'format_weeks') AS "as weeks"
FROM unnest('{0,0.001,0.99999,1,2.0833,-2.0833,23.9999,24,75.6,-0.0001,59.996,1e20}'::numeric[]) v;
SELECT kpi.format(NULL, 'format_plain') IS NULL AS of_null, kpi.format(1, NULL) IS NULL AS of_no_kpi;
SELECT kpi.format(1, 'format_monny');
SELECT kpi.drop_source('format', cascade => true);
DROP TABLE format_fact;
