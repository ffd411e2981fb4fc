-- percentile(), median(), stddev() and variance() as KPIs: of teams, periods and
-- parts, under corrections, against plain SQL.
SET client_min_messages = warning;
CREATE SCHEMA pct;
SELECT kpi.create_team('north') IS NOT NULL AND kpi.create_team('oslo', parent => 'north') IS NOT NULL AND kpi.create_team('south') IS NOT NULL AS teams;
SELECT kpi.add_member('ann', team => 'oslo') IS NOT NULL AND kpi.add_member('bob', team => 'north') IS NOT NULL AND kpi.add_member('cid', team => 'south') IS NOT NULL AS members;
CREATE TABLE pct.deals (id integer PRIMARY KEY, owner text, day date, product text, amount numeric, took interval, score double precision);
INSERT INTO pct.deals
SELECT i, (ARRAY['ann', 'bob', 'cid', 'dan'])[1 + i % 4], date '2026-01-01' + i * 7 % 200, (ARRAY['a', 'b', NULL])[1 + i % 3],
       CASE WHEN i % 50 = 0 THEN 'NaN' WHEN i % 49 = 0 THEN NULL WHEN i % 10 = 0 THEN 0 ELSE (i * 7919 % 10007 - 500) / 7.0 END,
       make_interval(secs => (i * 7919 % 100003) * 9.7), ln(i)
  FROM generate_series(1, 3000) i;
SELECT kpi.create_source('pct', relation => 'pct.deals', key => 'id', owner => 'owner', at => 'day', dimensions => '{"product": "product"}') > 0 AS source;
SELECT count(kpi.create_kpi('pct_' || name, source => 'pct', measure => measure, unit => unit, filter => filter)) AS kpis
  FROM (VALUES ('median', 'median(amount)', NULL, NULL), ('p90', 'percentile(0.9, amount)', NULL, NULL), ('fine', 'percentile(0.25, amount, error => 0.001)', NULL, NULL),
               ('least', 'percentile(0, amount)', NULL, 'amount > 0'), ('took', 'median(took)', 'hours', NULL), ('days', 'percentile(.75, took)', NULL, NULL),
               ('stddev', 'stddev(amount)', NULL, NULL), ('variance', 'variance(amount)', NULL, NULL), ('spread', 'stddev(took)', 'minutes', NULL),
               ('count', 'count(*)', NULL, NULL)) m (name, measure, unit, filter);
SELECT k.name, k.measure, k.unit, k.is_additive, m.kind, m.options, m.parameter, m.divisor, m.inputs
  FROM kpi.kpi k JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.kpi_id = k.id WHERE k.name LIKE 'pct%' ORDER BY k.name;
-- each percentile has a stream of its own, so that the wide cell stays small
SELECT count(DISTINCT m.stream_id) AS streams, count(DISTINCT m.stream_id) FILTER (WHERE m.kind = 'percentile') AS of_percentiles
  FROM kpi_internal.measure m JOIN kpi.kpi k ON m.role <> 'left_out' AND k.id = m.kpi_id WHERE k.name LIKE 'pct%';

-- The oracle: plain SQL over the facts of a team, a period and a product ('': all).
CREATE VIEW pct.fact AS
SELECT d.*, t.team, p.part, g.grain, CASE g.grain WHEN 'month' THEN to_char(day, 'YYYY-MM') WHEN 'quarter' THEN to_char(day, 'YYYY-"Q"Q') ELSE to_char(day, 'YYYY-MM-DD') END AS period
  FROM pct.deals d, unnest('{day, month, quarter}'::text[]) g (grain), unnest(ARRAY['', d.product]) p (part),
       LATERAL unnest(CASE owner WHEN 'ann' THEN '{oslo, north, company}' WHEN 'bob' THEN '{north, company}' WHEN 'cid' THEN '{south, company}' ELSE '{company}' END::text[]) t (team)
 WHERE p.part IS NOT NULL AND (p.part = '' OR g.grain <> 'day');
CREATE VIEW pct.expected AS
SELECT team, grain, period, part, v.kpi, v.value, v.error, v.ad_hoc,
       CASE WHEN v.kpi IN ('pct_median', 'pct_p90', 'pct_fine') THEN f.size ELSE 0 END AS size
  FROM (SELECT team, grain, period, part,
               percentile_cont(ARRAY[0.5, 0.9, 0.25]) WITHIN GROUP (ORDER BY amount) FILTER (WHERE amount <> 'NaN') AS p,
               min(amount) FILTER (WHERE amount > 0 AND amount <> 'NaN') AS least,
               percentile_cont(ARRAY[0.5, 0.75]) WITHIN GROUP (ORDER BY extract(epoch FROM took)) AS took,
               stddev(amount) FILTER (WHERE amount <> 'NaN') AS stddev, variance(amount) FILTER (WHERE amount <> 'NaN') AS variance,
               stddev(extract(epoch FROM took)) / 60 AS spread,
               greatest(-max(amount) FILTER (WHERE amount < 0), min(amount) FILTER (WHERE amount > 0 AND amount <> 'NaN')) AS size,
               kpi.median(amount) AS median, kpi.percentile(0.9, amount) AS p90, kpi.median(extract(epoch FROM took)) / 3600 AS hours
          FROM pct.fact GROUP BY team, grain, period, part) f,
       LATERAL (VALUES ('pct_median', p[1]::numeric, 0.01, median), ('pct_p90', p[2]::numeric, 0.01, p90), ('pct_fine', p[3]::numeric, 0.001, NULL),
                       ('pct_least', least, 0.01, NULL), ('pct_took', took[1]::numeric / 3600, 0.01, hours), ('pct_days', took[2]::numeric / 86400, 0.01, NULL),
                       ('pct_stddev', stddev, 1e-9, NULL), ('pct_variance', variance, 1e-9, NULL), ('pct_spread', spread, 1e-9, NULL)) v (kpi, value, error, ad_hoc);
CREATE VIEW pct.shown AS
SELECT team, grain, period, '' AS part, kpi, value FROM kpi.team_daily
UNION ALL SELECT team, grain, period, '', kpi, value FROM kpi.team_monthly
UNION ALL SELECT team, grain, period, '', kpi, value FROM kpi.team_quarterly
UNION ALL SELECT team, grain, period, dimension_value, kpi, value FROM kpi.team_breakdown_monthly WHERE dimension = 'product'
UNION ALL SELECT team, grain, period, dimension_value, kpi, value FROM kpi.team_breakdown_quarterly WHERE dimension = 'product';
-- Between two values, a percentile is off by up to the error of the larger of both,
-- which is more than that of itself where they have different signs.
CREATE VIEW pct.compared AS
SELECT kpi, count(*) AS places, count(e.value) AS with_value, count(e.ad_hoc) AS ad_hoc,
       count(*) FILTER (WHERE (e.value IS NULL) <> (s.value IS NULL) OR abs(s.value - e.value) > e.error * greatest(abs(e.value), e.size) + 1e-9) AS wrong,
       count(*) FILTER (WHERE round(s.value, 8) <> round(e.ad_hoc, 8)) AS not_as_ad_hoc
  FROM pct.expected e LEFT JOIN pct.shown s USING (team, grain, period, part, kpi) GROUP BY kpi;
CALL kpi.refresh('pct');
SELECT * FROM pct.compared ORDER BY kpi;
SELECT * FROM kpi.verify('pct');

-- Corrected, deleted, added, moved from owner to owner and to other days and parts.
UPDATE pct.deals SET amount = amount * 3 - 10 WHERE id % 7 = 0;
UPDATE pct.deals SET amount = 'NaN', took = NULL WHERE id % 91 = 0;
UPDATE pct.deals SET owner = 'bob', product = 'b' WHERE id % 11 = 0;
UPDATE pct.deals SET day = day - 40 WHERE id % 13 = 0;
DELETE FROM pct.deals WHERE id % 5 = 0 OR (owner = 'cid' AND day >= '2026-05-01');
INSERT INTO pct.deals SELECT 10000 + i, 'ann', '2026-03-03', 'a', exp(i % 40 - 12), interval '1 second' * i, i FROM generate_series(1, 500) i;
CALL kpi.refresh('pct');
SELECT * FROM pct.compared ORDER BY kpi;
SELECT * FROM kpi.verify('pct');
-- and of teams after somebody's move
SELECT kpi.move_member('ann', team => 'south', since => '2026-03-01');
CALL kpi.refresh('pct');
SELECT kpi.value('pct_took', team => 'south', period => '2026-03') =
       (SELECT round(kpi.median(extract(epoch FROM took)) / 3600, 10) FROM pct.deals WHERE owner IN ('ann', 'cid') AND to_char(day, 'YYYY-MM') = '2026-03') AS moved;
SELECT * FROM kpi.verify('pct');
-- what is the same as before when all that was changed is undone, to the byte
CREATE TABLE pct.before AS SELECT c.stream_id, c.owner_id, c.day, c.cell::text FROM kpi_internal.day_cell c JOIN kpi_internal.stream s ON s.id = c.stream_id JOIN kpi.source o ON o.id = s.source_id WHERE o.name = 'pct';
UPDATE pct.deals SET amount = amount + 1000000, day = day + 100;
CALL kpi.refresh('pct');
UPDATE pct.deals SET amount = amount - 1000000, day = day - 100;
CALL kpi.refresh('pct');
SELECT count(*) AS differing FROM (SELECT stream_id, owner_id, day, cell::text FROM kpi_internal.day_cell c JOIN kpi_internal.stream s ON s.id = c.stream_id JOIN kpi.source o ON o.id = s.source_id WHERE o.name = 'pct'
                                   EXCEPT SELECT * FROM pct.before) d;

-- What is outside of the buckets is counted, and left in.
INSERT INTO pct.deals SELECT 20000 + i, 'cid', '2030-01-01', 'a', x, NULL, NULL FROM unnest('{1e-12, -1e-12, 1e20, 0, NaN, Infinity}'::numeric[]) WITH ORDINALITY u (x, i);
CALL kpi.refresh('pct');
SELECT clamped_inputs, nonfinite_inputs > 0 AS nonfinite FROM kpi.source_status WHERE source = 'pct';
SELECT kpi, value, facts FROM kpi.team_yearly WHERE kpi IN ('pct_median', 'pct_p90', 'pct_least') AND team = 'south' AND period = '2030' ORDER BY kpi;
DELETE FROM pct.deals WHERE id > 20000;
CALL kpi.refresh('pct');
SELECT clamped_inputs FROM kpi.source_status WHERE source = 'pct';

-- In formulas and goals.
SELECT kpi.create_kpi('pct_skew', formula => 'pct_p90 / pct_median') > 0 AS kpi;
SELECT round(value, 6) = round(kpi.value('pct_p90', team => 'north', period => '2026-02') / kpi.value('pct_median', team => 'north', period => '2026-02'), 6) AS formula
  FROM kpi.team_monthly WHERE kpi = 'pct_skew' AND team = 'north' AND period = '2026-02';

-- Errors: what is wrong, and how to mend it.
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(1.5, amount)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(-0.1, amount)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(score, amount)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(0.5 + 0.4, amount)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => $$percentile('0.9', amount)$$);
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(NULL, amount)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(90, amount)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(amount, 0.9)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(amount)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(0.9, amount, 0.01)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'percentile(0.9, product)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(day)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(*)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(DISTINCT amount)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(amount, error => 0)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(amount, error => 0.5)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(amount, error => score)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(amount, errors => 0.01)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(amount, error => 0.01, error => 0.02)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'median(took)', unit => 'EUR');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'variance(took)');
SELECT kpi.create_kpi('bad', source => 'pct', measure => 'stddev(product)');
SELECT count(*) AS nothing_changed FROM kpi.kpi WHERE name = 'bad';
-- another p of the same histogram builds it anew as another KPI would; so does a finer one
SELECT kpi.alter_kpi('pct_p90', measure => 'percentile(0.1, amount, error => 0.002)');
CALL kpi.refresh('pct');
SELECT m.options, m.parameter FROM kpi_internal.measure m JOIN kpi.kpi k ON m.role <> 'left_out' AND k.id = m.kpi_id WHERE k.name = 'pct_p90';
SELECT count(*) FILTER (WHERE abs(s.value - e.value) > 0.002 * greatest(abs(e.value), e.size) + 1e-9) AS wrong, count(*) > 0 AS compared
  FROM (SELECT team, grain, period, part, percentile_cont(0.1) WITHIN GROUP (ORDER BY amount) FILTER (WHERE amount <> 'NaN')::numeric AS value,
               greatest(-max(amount) FILTER (WHERE amount < 0), min(amount) FILTER (WHERE amount > 0 AND amount <> 'NaN')) AS size
          FROM pct.fact WHERE team = 'company' GROUP BY 1, 2, 3, 4) e JOIN pct.shown s USING (team, grain, period, part) WHERE s.kpi = 'pct_p90';
SELECT * FROM kpi.verify('pct');

SELECT kpi.drop_kpi('pct_skew');
SELECT kpi.drop_source('pct', cascade => true);
SELECT kpi.drop_member(m) FROM unnest('{ann, bob, cid}'::text[]) m;
SELECT kpi.drop_team(t) FROM unnest('{oslo, north, south}'::text[]) t;
DROP SCHEMA pct CASCADE;
