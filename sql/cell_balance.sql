--
-- The states of balances
--
SELECT kpi_internal.cell_agg('5:balance', v, d, s) AS cell
FROM (VALUES (10.5, 100, 1), (3, 110, -1), ('NaN', 111, 1), (NULL, 112, 1), (7, 113, 0), (8, NULL, 1), (9, 1, NULL)) x (v, d, s);
SELECT b.* FROM kpi_internal.cell_balance('v1{5:balance n=0 nonfinite=1 reversed=1 n_days=3 amount=7.5 amount_days=720}', 5) b;
SELECT b.* FROM kpi_internal.cell_balance('v1{5:sum n=1 nonfinite=0 sum=2}', 5) b;
SELECT * FROM kpi_internal.cell_final('v1{5:balance n=2 nonfinite=1 reversed=1 n_days=3 amount=7200 amount_days=720}', 5, 3600);
SELECT kpi_internal.cell_reversed('v1{4:balance n=0 nonfinite=0 reversed=2 n_days=3 amount=0 amount_days=0; 5:balance n=0 nonfinite=1 reversed=1 n_days=3 amount=7.5 amount_days=720}');
-- A group: what came goes, of any size.
CREATE TABLE cell_balance_facts AS
SELECT i, CASE i % 7 WHEN 0 THEN 'NaN'::numeric WHEN 1 THEN 1e40 + i WHEN 2 THEN -1e-30 * i WHEN 3 THEN 1e900 ELSE i - 200 END AS v,
       -40000 + i * 311 AS d, i / 7 % 3 - 1 AS s
FROM generate_series(1, 300) i;
SELECT kpi_internal.is_empty(kpi_internal.merge(c, kpi_internal.negate(c))) AS inverse, kpi_internal.cell_send(c) = kpi_internal.cell_send(c::text::kpi.cell) AS lossless
FROM (SELECT kpi_internal.cell_agg('5:balance', v, d, s) AS c FROM cell_balance_facts) x;
SELECT b.amount = e.amount AS amount, b.amount_days = e.amount_days AS amount_days, b.held - e.held AS held,
       b.nonfinite - e.nonfinite AS nonfinite, b.reversed - e.reversed AS reversed
FROM (SELECT kpi_internal.cell_agg('5:balance', v, d, s) AS c FROM cell_balance_facts) x,
     LATERAL kpi_internal.cell_balance(c, 5) b,
     (SELECT sum(v * s) FILTER (WHERE v < 'NaN') AS amount, sum(v * d * s) FILTER (WHERE v < 'NaN') AS amount_days,
             sum(s) FILTER (WHERE v < 'NaN') AS held, sum(s) FILTER (WHERE v = 'NaN') AS nonfinite,
             count(*) FILTER (WHERE s = 0) AS reversed FROM cell_balance_facts) e;
-- What moves is held from the day of the move on, and is nothing else.
SELECT kpi_internal.cell_carry('v1{0:errors n=1; 4:sum n=1 nonfinite=0 sum=2; 5:errors n=3; 5:balance n=-2 nonfinite=1 reversed=1 n_days=3 amount=-7.5 amount_days=720}', '2000-04-10');
SELECT kpi_internal.is_empty(kpi_internal.subtract(kpi_internal.cell_carry(kpi_internal.merge(a, b), '1987-05-06'),
                                 kpi_internal.merge(kpi_internal.cell_carry(a, '1987-05-06'), kpi_internal.cell_carry(b, '1987-05-06')))) AS additive
FROM (SELECT kpi_internal.cell_agg('5:balance', v, d, s) FILTER (WHERE i % 3 = 0) AS a,
             kpi_internal.cell_agg('5:balance', v, d, s) FILTER (WHERE i % 3 <> 0) AS b FROM cell_balance_facts) x;
SELECT kpi_internal.cell_agg('5:balance', 1, 2.5, 1);
DROP TABLE cell_balance_facts;
