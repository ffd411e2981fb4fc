--
-- Balances as the views show them: what is held when periods close, also where nothing happens
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-06-15 12:00+00';
SELECT kpi.alter_calendar('default', fiscal_year_start => 4);
SELECT count(kpi.create_team(key, parent => 'company')) FROM (VALUES ('held_a'), ('held_b')) t (key);
SELECT count(kpi.add_member('held_' || g, team => CASE WHEN g % 2 = 0 THEN 'held_a' ELSE 'held_b' END)) FROM generate_series(1, 4) g;
CREATE TABLE held_facts (id integer PRIMARY KEY, rep text, mrr numeric, started_on date, ended_on date, product text);
-- Some end after today, some start then; those of rep 4 have all ended.
INSERT INTO held_facts
SELECT g, 'held_' || 1 + g % 4, g % 50 + 0.5, date '2024-02-10' + g * 7919 % 900,
       CASE WHEN g % 4 = 3 OR g % 3 > 0 THEN date '2024-02-10' + g * 7919 % 900 + g * 31 % 300 END, 'p' || g % 2
  FROM generate_series(1, 200) g WHERE g % 4 < 3 OR g * 7919 % 900 < 300;
SELECT kpi.create_source('held', relation => 'held_facts', key => 'id', owner => 'rep', at => 'started_on', dimensions => '{"product": "product"}') > 0 AS source;
SELECT count(kpi.create_kpi(name, source => 'held', measure => measure, until => 'ended_on'))
  FROM (VALUES ('held_mrr', 'balance(mrr)'), ('held_count', 'balance(1)')) k (name, measure);
SELECT kpi.create_kpi('held_new', source => 'held', measure => 'count(*)') > 0 AS new,
       kpi.create_kpi('held_mean', formula => 'held_mrr / held_count') > 0 AS mean,
       kpi.create_kpi('held_rate', formula => 'held_new / opening(held_count)') > 0 AS rate,
       kpi.create_kpi('held_average', formula => 'daily_average(held_mrr)') > 0 AS average;
CALL kpi.refresh();

-- What facts say: for each team and member the periods from its first day until today.
CREATE VIEW held_fact AS
SELECT t.level, t.key, f.* FROM held_facts f
  JOIN kpi.member m ON m.key = f.rep JOIN kpi.membership h ON h.member_id = m.id JOIN kpi.team a ON a.id = h.team_id
 CROSS JOIN LATERAL (VALUES ('team', 'company'), ('team', a.key), ('member', m.key)) t (level, key);
CREATE VIEW held_period AS
SELECT g.grain, p::date AS start, (p + g.step)::date - 1 AS last, least((p + g.step)::date - 1, '2026-06-15') AS day
  FROM (VALUES ('day', interval '1 day', date '2024-01-01'), ('week', '1 week', '2024-01-01'), ('month', '1 month', '2024-01-01'),
               ('quarter', '3 months', '2024-01-01'), ('year', '1 year', '2023-04-01')) g (grain, step, since),
       generate_series(g.since, timestamp '2026-06-15', g.step) p;
CREATE VIEW held_at AS      -- what is held at the end of each day
SELECT k.level, k.key, k.first, d.day, v.*
  FROM (SELECT level, key, min(started_on) AS first FROM held_fact GROUP BY 1, 2) k,
       (SELECT day FROM held_period UNION SELECT last FROM held_period) d,
       LATERAL (SELECT coalesce(sum(mrr), 0) AS mrr, count(*) AS held FROM held_fact f
                 WHERE f.level = k.level AND f.key = k.key AND f.started_on <= d.day AND (f.ended_on IS NULL OR f.ended_on > d.day)) v;
CREATE TABLE held_expected AS
SELECT a.level, a.key, p.grain, p.start, p.last, a.mrr, a.held FROM held_at a JOIN held_period p ON p.day = a.day AND a.first <= p.day;
CREATE VIEW held_actual AS
SELECT v.kpi_id, k.name AS kpi, coalesce(t.key, m.key) AS key, v.scope AS level, v.grain, v.period_start AS start, v.value, v.facts, v.numerator
  FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id LEFT JOIN kpi.team t ON t.id = v.team_id LEFT JOIN kpi.member m ON m.id = v.member_id;
-- Of members the view of all values has no days.
CREATE VIEW held_difference AS
SELECT kpi, level, key, grain, start, value, facts, 'actual' AS what FROM held_actual WHERE kpi IN ('held_mrr', 'held_count', 'held_mean')
EXCEPT ALL
SELECT k.kpi, level, key, grain, start, k.value, k.facts, 'actual' FROM held_expected
 CROSS JOIN LATERAL (VALUES ('held_mrr', mrr, held), ('held_count', held, held), ('held_mean', round(mrr / nullif(held, 0), 10), 2 * held)) k (kpi, value, facts)
 WHERE level = 'team' OR grain <> 'day';
CREATE VIEW held_missing AS
SELECT k.kpi, level, key, grain, start FROM held_expected, (VALUES ('held_mrr'), ('held_count'), ('held_mean')) k (kpi) WHERE level = 'team' OR grain <> 'day'
EXCEPT ALL
SELECT kpi, level, key, grain, start FROM held_actual;
SELECT grain, level, count(*) AS places, count(*) FILTER (WHERE held = 0) > 0 AS some_hold_nothing FROM held_expected GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM held_difference ORDER BY 1, 2, 3, 4, 5 LIMIT 5;
SELECT * FROM held_missing ORDER BY 1, 2, 3, 4, 5 LIMIT 5;

-- The other columns: closings of other periods, open or not; no sides.
SELECT count(*) AS months, count(*) FILTER (WHERE
       (v.value, v.value_to_date, v.previous_value, v.year_ago_value, v.growth_ratio)
       IS DISTINCT FROM (e.mrr, e.mrr, p.mrr, y.mrr, round((e.mrr - p.mrr) / nullif(p.mrr, 0), 6))
       OR v.numerator IS NOT NULL OR v.denominator IS NOT NULL) AS differing, count(*) FILTER (WHERE v.is_current) AS current
  FROM kpi.team_monthly v
  LEFT JOIN held_expected e ON e.level = 'team' AND e.grain = 'month' AND e.key = v.team AND e.start = v.period_start
  LEFT JOIN held_expected p ON p.level = 'team' AND p.grain = 'month' AND p.key = v.team AND p.start = v.period_start - interval '1 month'
  LEFT JOIN held_expected y ON y.level = 'team' AND y.grain = 'month' AND y.key = v.team AND y.start = v.period_start - interval '1 year'
 WHERE v.kpi = 'held_mrr';
-- By dimension.
SELECT b.grain, count(*) AS parts, count(*) FILTER (WHERE b.value <> e.mrr OR b.facts <> e.held) AS differing
  FROM (SELECT grain, team, dimension_value, period_end, value, facts FROM kpi.team_breakdown_monthly WHERE kpi = 'held_mrr'
        UNION ALL SELECT grain, team, dimension_value, period_end, value, facts FROM kpi.team_breakdown_yearly WHERE kpi = 'held_mrr') b,
       LATERAL (SELECT coalesce(sum(mrr), 0) AS mrr, count(*) AS held FROM held_fact f
                 WHERE f.level = 'team' AND f.key = b.team AND f.product = b.dimension_value AND f.started_on <= least(b.period_end, '2026-06-15')
                   AND (f.ended_on IS NULL OR f.ended_on > least(b.period_end, '2026-06-15'))) e
 GROUP BY 1 ORDER BY 1;
-- A ratio with what a period opens with; the mean of the days' ends.
SELECT count(*) AS months, count(*) FILTER (WHERE v.value IS DISTINCT FROM round(e.value, 10)) AS differing
  FROM kpi.team_monthly v,
       LATERAL (SELECT (SELECT count(*) FROM held_fact f WHERE f.level = 'team' AND f.key = v.team AND f.started_on BETWEEN v.period_start AND v.period_end)::numeric
                       / nullif(count(*), 0) AS value FROM held_fact f
                 WHERE f.level = 'team' AND f.key = v.team AND f.started_on < v.period_start AND (f.ended_on IS NULL OR f.ended_on >= v.period_start)) e
 WHERE v.kpi = 'held_rate' AND v.period_start <= '2026-06-01';
SELECT v.grain, count(*) AS periods, count(*) FILTER (WHERE round(v.value, 10) IS DISTINCT FROM round(e.value, 10)) AS differing
  FROM held_actual v,
       LATERAL (SELECT avg((SELECT coalesce(sum(f.mrr), 0) FROM held_fact f WHERE f.level = 'team' AND f.key = v.key
                               AND f.started_on <= d AND (f.ended_on IS NULL OR f.ended_on > d))) AS value
                  FROM generate_series(v.start::timestamp, least((SELECT p.last FROM held_period p WHERE p.grain = v.grain AND p.start = v.start), '2026-06-15'),
                                       '1 day') d) e
 WHERE v.kpi = 'held_average' AND v.level = 'team' AND v.grain IN ('month', 'quarter') GROUP BY 1 ORDER BY 1;
-- One place by its name: what has not begun has no value, before the first day there is none.
SELECT kpi.value('held_mrr', team => 'held_a', period => '2026-06') = (SELECT mrr FROM held_expected WHERE key = 'held_a' AND grain = 'month' AND start = '2026-06-01') AS open,
       kpi.value('held_mrr', period => '2026-07') AS later, kpi.value('held_mrr', period => '2023-01') AS before,
       kpi.value('held_mrr', member => 'held_4', period => '2026-05') AS ended;

-- Past midnight there is a row for the new day, with no write; what ends then counts no more.
SET kpi.now = '2026-07-01 00:00+00';
SELECT period, value = (SELECT sum(mrr) FROM held_facts WHERE started_on <= '2026-07-01' AND (ended_on IS NULL OR ended_on > '2026-07-01')) AS right_value, is_current
  FROM kpi.team_monthly WHERE kpi = 'held_mrr' AND team = 'company' AND period_start >= '2026-07-01';
SELECT count(*) AS days FROM kpi.team_daily WHERE kpi = 'held_mrr' AND team = 'company' AND period_start = '2026-07-01';

SELECT count(kpi.drop_kpi(name)) FROM (VALUES ('held_average'), ('held_rate'), ('held_mean')) k (name);
SELECT kpi.drop_source('held', cascade => true);
DROP VIEW held_missing, held_difference, held_actual;
DROP TABLE held_expected;
DROP VIEW held_at, held_period, held_fact;
DROP TABLE held_facts;
SELECT count(kpi.drop_member('held_' || g)) FROM generate_series(1, 4) g;
SELECT count(kpi.drop_team(key)) FROM (VALUES ('held_a'), ('held_b')) t (key);
SELECT kpi.alter_calendar('default', fiscal_year_start => 1);
