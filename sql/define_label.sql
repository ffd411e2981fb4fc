--
-- How a KPI is shown, and where: decimals, format, section, sort
--
\set VERBOSITY default
CREATE TABLE label_sale (id int PRIMARY KEY, at date, amount numeric, won boolean, took interval);
SELECT kpi.create_source('label', 'label_sale', key => 'id', at => 'at') IS NOT NULL AS created;
CREATE VIEW label AS SELECT name, unit, decimals, format, section, sort FROM kpi.kpi WHERE name LIKE 'label%' ORDER BY name;

SELECT kpi.create_kpi('label_plain', 'label', 'sum(amount)') IS NOT NULL AS created;
SELECT kpi.create_kpi('label_revenue', 'label', 'sum(amount)', unit => 'EUR', decimals => 2, format => 'money',
                      section => 'Results', sort => 10) IS NOT NULL AS created;
SELECT kpi.create_kpi('label_rate', 'label', 'rate(won, true)', decimals => 0, format => 'percent', section => '', sort => -1)
       IS NOT NULL AS created;
SELECT kpi.create_kpi('label_took', 'label', 'avg(took)', format => 'duration', sort => 0) IS NOT NULL AS created;
SELECT kpi.create_kpi('label_per', formula => 'label_took / label_revenue', unit => 'hours', format => 'duration',
                      decimals => 10) IS NOT NULL AS created;
SELECT * FROM label;

-- NULL keeps; '' and -1 end what was said; no measure is built anew
SELECT id FROM kpi_internal.measure WHERE role = 'value' AND kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'label_revenue') \gset
SELECT kpi.alter_kpi('label_revenue', title => 'Revenue');
SELECT * FROM label WHERE name = 'label_revenue';
SELECT kpi.alter_kpi('label_revenue', decimals => -1, format => '', section => '', sort => -1);
SELECT * FROM label WHERE name = 'label_revenue';
SELECT kpi.alter_kpi('label_revenue', 'label_turnover', decimals => 0, format => 'number', section => 'Money', sort => 1);
SELECT * FROM label WHERE name = 'label_turnover';
SELECT count(*) AS same FROM kpi_internal.measure WHERE id = :id;
SELECT kpi.alter_kpi('label_per', section => 'Speed');
SELECT * FROM label WHERE name = 'label_per';

-- what is wrong
SELECT kpi.create_kpi('label_bad', 'label', 'count(*)', decimals => 11);
SELECT kpi.alter_kpi('label_plain', decimals => -2);
SELECT kpi.create_kpi('label_bad', 'label', 'count(*)', format => 'euro');
SELECT kpi.alter_kpi('label_plain', format => 'Percent');
SELECT kpi.create_kpi('label_bad', 'label', 'count(*)', section => ' Results');
SELECT kpi.create_kpi('label_bad', 'label', 'count(*)', sort => -7);
SELECT kpi.create_kpi('label_bad', 'label', 'sum(amount)', unit => 'EUR', format => 'duration');
SELECT kpi.create_kpi('label_bad', formula => 'label_took', format => 'duration');
SELECT kpi.alter_kpi('label_plain', format => 'duration');
SELECT kpi.alter_kpi('label_per', unit => 'EUR');
SELECT * FROM label;

DROP VIEW label;
SELECT kpi.drop_source('label', cascade => true);
DROP TABLE label_sale;
