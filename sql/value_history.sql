-- Histories longer than what is read and kept of a team at a time, with months
-- without facts, walked through both ways and by a formula over two streams.
SET client_min_messages = warning;
SET kpi.now = '2026-11-15 12:00+00';
CREATE SCHEMA history_test;
CREATE TABLE history_test.facts (id integer PRIMARY KEY, amount numeric NOT NULL, day date NOT NULL, other date NOT NULL);
INSERT INTO history_test.facts
SELECT i, i % 7 + 1, date '1996-01-10' + i * 31, date '1996-02-20' + i * 31
  FROM generate_series(0, 370) i WHERE i % 11 NOT IN (3, 4, 5, 6);
SELECT count(kpi.create_source('history', relation => 'history_test.facts', key => 'id', at => 'day')) AS sources,
       count(kpi.create_kpi('vh_sum', source => 'history', measure => 'sum(amount)')) AS kpis,
       count(kpi.create_kpi('vh_other', source => 'history', measure => 'sum(amount)', at => 'other')) AS kpis,
       count(kpi.create_kpi('vh_ratio', formula => 'vh_sum / vh_other')) AS kpis;
CALL kpi.refresh();

CREATE FUNCTION history_test.amount(column_name text, since date, until date) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    result numeric;
BEGIN
    EXECUTE format('SELECT sum(amount) FROM history_test.facts WHERE %1$I >= $1 AND %1$I < $2', column_name)
       INTO result USING since, until;
    RETURN result;
END
$$;
CREATE VIEW history_test.expected AS
    SELECT k.kpi, g.grain, p.start::date AS start, p.start::date - x.back AS before,
           CASE k.kpi WHEN 'vh_sum' THEN a.sum WHEN 'vh_other' THEN a.other ELSE coalesce(a.sum, 0) / nullif(a.other, 0) END AS value
      FROM unnest('{vh_sum,vh_other,vh_ratio}'::text[]) AS k (kpi)
     CROSS JOIN (VALUES ('month', interval '1 month'), ('quarter', '3 months'), ('year', '1 year')) AS g (grain, length)
     CROSS JOIN LATERAL generate_series(timestamp '1996-01-01', '2027-12-01', g.length) AS p (start)
     CROSS JOIN LATERAL (SELECT g.length) AS x (back)
     CROSS JOIN LATERAL (
           SELECT history_test.amount('day', p.start::date, (p.start + g.length)::date) AS sum,
                  history_test.amount('other', p.start::date, (p.start + g.length)::date) AS other) a
     WHERE a.sum IS NOT NULL AND k.kpi <> 'vh_other' OR a.other IS NOT NULL AND k.kpi <> 'vh_sum';

-- rows, and how many differ, going up and down
CREATE FUNCTION history_test.compare(direction text) RETURNS TABLE (grain text, rows bigint, differ bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
        WITH v AS MATERIALIZED (SELECT * FROM (
                  SELECT kpi, grain, period_start, value, previous_value, year_ago_value FROM kpi.team_monthly WHERE team = 'company'
                  UNION ALL SELECT kpi, grain, period_start, value, previous_value, year_ago_value FROM kpi.team_quarterly WHERE team = 'company'
                  UNION ALL SELECT kpi, grain, period_start, value, previous_value, year_ago_value FROM kpi.team_yearly WHERE team = 'company'
                  OFFSET 0) x ORDER BY kpi, grain, period_start %1$s),
             e AS MATERIALIZED (SELECT * FROM history_test.expected)
        SELECT coalesce(v.grain, e.grain), count(v), count(*) FILTER (WHERE round(v.value, 10) IS DISTINCT FROM round(e.value, 10)
                   OR v.kpi IS NULL OR e.kpi IS NULL
                   OR round(v.previous_value, 10) IS DISTINCT FROM round(p.value, 10)
                   OR round(v.year_ago_value, 10) IS DISTINCT FROM round(y.value, 10))
          FROM v FULL JOIN e ON e.kpi = v.kpi AND e.grain = v.grain AND e.start = v.period_start
          LEFT JOIN e p ON p.kpi = e.kpi AND p.grain = e.grain AND p.start = e.before
          LEFT JOIN e y ON y.kpi = e.kpi AND y.grain = e.grain AND y.start = e.start - interval '1 year'
         GROUP BY 1 ORDER BY 1$query$, direction);
END
$$;
SELECT * FROM history_test.compare('ASC');
SELECT * FROM history_test.compare('DESC');

-- As many months at once as there are, time and again, and then few.
SELECT y, round(kpi.value('vh_ratio', period => y::text), 10) = round(e.value, 10) AS is_right,
       kpi.value('vh_sum', period => (y + 100)::text) AS is_nothing
  FROM generate_series(2000, 2020, 4) y
  JOIN history_test.expected e ON e.kpi = 'vh_ratio' AND e.grain = 'year' AND e.start = make_date(y, 1, 1)
 ORDER BY y;

SELECT count(kpi.drop_source(name, cascade => true)) FROM kpi.source;
DROP SCHEMA history_test CASCADE;
