-- Days from one to another as a period of kpi.value(), kpi.facts() and kpi.query(): the three agree, and with
-- plain SQL, for every kind of KPI.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all
SET kpi.now = '2026-11-15 12:00+00';
ALTER TABLE vt.deals ADD ended_on date;
UPDATE vt.deals SET ended_on = opened_on + id % 60 WHERE id % 4 > 0;
SELECT kpi.create_kpi('vt_held', source => 'vt_deals', measure => 'balance(amount)', at => 'opened_on', until => 'ended_on') > 0 AS kpi;
SELECT kpi.create_kpi('vt_growth', formula => 'vt_sum - previous(vt_sum)') > 0 AS kpi, kpi.create_kpi('vt_ytd', formula => 'ytd(vt_sum)') > 0 AS kpi;
CALL kpi.refresh();
CREATE FUNCTION vt.run(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE result numeric;
BEGIN
    EXECUTE query INTO result;
    RETURN result;
END
$$;
CREATE TABLE vt.ranges AS SELECT * FROM (VALUES ('2026-10-15..2026-12-15'), ('2024-02-10..2024-03-31'), ('2026-11-15..2026-11-15'), ('[2026-01-02,2026-11-16)')) r (range);
SELECT v.kpi, count(*) AS places, count(v.value) > 0 AS has_values, count(*) FILTER (WHERE round(v.value, 9) IS DISTINCT FROM round(vt.run(v.query), 9)) AS other_by_query,
       count(*) FILTER (WHERE v.kpi IN ('vt_sum', 'vt_count', 'vt_opened', 'vt_cost', 'vt_held', 'vt_ytd') AND coalesce(f.value, f.facts) IS DISTINCT FROM coalesce(v.value, 0)) AS other_by_facts,
       count(*) FILTER (WHERE v.kpi IN ('vt_rate', 'vt_avg') AND round(f.numerator / nullif(f.denominator, 0), 9) IS DISTINCT FROM round(v.value, 9)) AS other_by_ratio
  FROM (SELECT k.name AS kpi, r.range, s.team, s.member, kpi.value(k.name, team => s.team, member => s.member, period => r.range) AS value,
               kpi.query(k.name, team => s.team, member => s.member, period => r.range) AS query
          FROM vt.ranges r
         CROSS JOIN (VALUES ('company', NULL), ('south', NULL), ('(unassigned)', NULL), (NULL, 'bob')) s (team, member)
         CROSS JOIN kpi.kpi k WHERE k.name LIKE 'vt\_%' AND (s.member IS NULL OR k.name IN ('vt_sum', 'vt_count', 'vt_rate', 'vt_avg', 'vt_opened', 'vt_held', 'vt_mean', 'vt_share', 'vt_ytd'))) v
 CROSS JOIN LATERAL (SELECT count(*) AS facts, coalesce(sum(x.value), CASE WHEN count(*) = 0 THEN 0 END) AS value, sum(x.numerator) AS numerator, sum(x.denominator) AS denominator
                       FROM kpi.facts(v.kpi, team => v.team, member => v.member, period => v.range) x) f
 GROUP BY v.kpi ORDER BY v.kpi COLLATE "C";
-- what plain SQL says
SELECT kpi.value('vt_sum', period => r.range) = (SELECT sum(amount) FROM vt.deals d WHERE stage = 'won' AND (closed_at AT TIME ZONE 'UTC')::date BETWEEN s.since AND s.last) AS sum,
       kpi.value('vt_opened', period => r.range) = (SELECT count(*) FROM vt.deals d WHERE opened_on BETWEEN s.since AND s.last) AS opened,
       kpi.value('vt_held', period => r.range) = (SELECT sum(amount) FROM vt.deals d WHERE opened_on <= least(s.last, '2026-11-15') AND (ended_on > least(s.last, '2026-11-15') OR ended_on IS NULL)) AS held
  FROM vt.ranges r
 CROSS JOIN LATERAL (SELECT CASE WHEN r.range LIKE '[%' THEN lower(r.range::daterange) ELSE split_part(r.range, '..', 1)::date END AS since,
                            CASE WHEN r.range LIKE '[%' THEN upper(r.range::daterange) - 1 ELSE split_part(r.range, '..', 2)::date END AS last) s
 ORDER BY r.range COLLATE "C";
SELECT vt.run(kpi.query('vt_sum', period => '2026-10-15 .. 2026-12-15', to_date => true))
       = (SELECT sum(amount) FROM vt.deals WHERE stage = 'won' AND (closed_at AT TIME ZONE 'UTC')::date BETWEEN '2026-10-15' AND '2026-11-15') AS to_date;
-- what is left out of it
SELECT count(*) = (SELECT count(*) FROM vt.deals WHERE stage = 'won' AND (closed_at AT TIME ZONE 'UTC')::date BETWEEN '2026-11-16' AND '2026-12-10' AND owner <> 'nobody') AS equal
  FROM kpi.facts('vt_sum', period => '(2026-10-01,2026-12-10]', left_out => 'ahead');
-- days far away, and what is none
SELECT kpi.value('vt_sum', period => '1500-01-01..1500-02-01'), (SELECT count(*) FROM kpi.facts('vt_sum', period => '1890-01-01..1899-12-30'));
SELECT kpi.value('vt_sum', period => '2026-10-15..2026-10-14');
SELECT * FROM kpi.facts('vt_sum', period => '2026-10-15..');
SELECT kpi.query('vt_sum', period => '[2026-10-15,2026-11-15');
SELECT kpi.value('vt_sum', period => '2026-10..2026-11');
SELECT kpi.value('vt_sum', period => '2001-01-01..2026-12-31');
SELECT kpi.value('vt_sum', period => '2026-10-01..2026-10-31', dimension => 'product', dimension_value => 'p');
SELECT * FROM kpi.breakdown('vt_sum', by => '{product}', period => '2026-10-01..2026-10-31');

SELECT vt.drop_all();
DROP SCHEMA vt CASCADE;
