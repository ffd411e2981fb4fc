-- kpi.breakdown(): parts of a KPI, against plain SQL over facts, memberships and attributes.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA vf;
CREATE TABLE vf.deals (id int PRIMARY KEY, owner text, amount numeric, product text, region text, is_won boolean, closed date);
INSERT INTO vf.deals
SELECT i, (ARRAY['ann', 'bob', 'cid', 'who', NULL])[1 + i % 5], i, (ARRAY['p', 'q', NULL])[1 + i % 3], (ARRAY['x', 'y'])[1 + i % 2], i % 7 < 3, date '2026-01-01' + i % 180
FROM generate_series(1, 900) i;
SELECT kpi.create_team('north') IS NOT NULL AS a, kpi.create_team('alps', parent => 'north') IS NOT NULL AS b, kpi.create_team('south') IS NOT NULL AS c;
SELECT kpi.add_member('ann', team => 'north') IS NOT NULL AS a, kpi.add_member('bob', team => 'alps') IS NOT NULL AS b, kpi.add_member('cid', team => 'south') IS NOT NULL AS c;
SELECT kpi.set_attribute('ann', name => 'level', value => 'junior'), kpi.set_attribute('ann', name => 'level', value => 'senior', since => '2026-03-10');
SELECT kpi.move_member('bob', team => 'south', since => '2026-03-15');
SELECT kpi.create_source('vf', relation => 'vf.deals', key => 'id', owner => 'owner', at => 'closed',
                         dimensions => '{"product": "product", "region": "region", "level": "attribute(''level'')"}') IS NOT NULL AS source;
SELECT count(kpi.create_kpi(k.name, source => 'vf', measure => k.measure))
FROM (VALUES ('vf_sum', 'sum(amount)'), ('vf_n', 'count(*)'), ('vf_rate', 'rate(is_won, true)'), ('vf_avg', 'avg(amount)')) k (name, measure);
SELECT kpi.create_kpi('vf_mean', formula => 'vf_sum / vf_n') IS NOT NULL AS kpi;
CALL kpi.refresh('vf');

-- Every KPI, team and combination of what there is to break down by, of months and quarters.
CREATE FUNCTION vf.expected(kpi text, team text, first date, last date, by text[])
RETURNS TABLE (part_1 text, part_2 text, part_3 text, value numeric, facts bigint) LANGUAGE sql AS $$
    WITH placed AS (
        SELECT d.*, m.key AS member, a.value AS level, coalesce(t.key, '(unassigned)') AS own_team
          FROM vf.deals d LEFT JOIN kpi.member m ON m.key = d.owner
          LEFT JOIN kpi.membership s ON s.member_id = m.id AND d.closed <@ daterange(s.since, s.until)
          LEFT JOIN kpi.team t ON t.id = s.team_id
          LEFT JOIN kpi.member_attribute a ON a.member_id = m.id AND a.name = 'level' AND d.closed <@ daterange(a.since, a.until)
         WHERE d.closed BETWEEN first AND last
    ), counted AS (
        SELECT p.*, CASE expected.team WHEN 'company' THEN CASE own_team WHEN 'alps' THEN 'north' ELSE own_team END ELSE own_team END AS team
          FROM placed p
         WHERE expected.team = 'company' OR own_team = expected.team OR own_team = 'alps' AND expected.team = 'north'
    ), parted AS (
        SELECT c.*, x.names ->> by[1] AS part_1, x.names ->> by[2] AS part_2, x.names ->> by[3] AS part_3
          FROM counted c, LATERAL (SELECT jsonb_build_object('product', product, 'region', region, 'level', level, 'member', member, 'team', c.team)) x (names)
    )
    SELECT p.part_1, p.part_2, p.part_3,
           round(CASE kpi WHEN 'vf_sum' THEN sum(amount) WHEN 'vf_n' THEN count(*) WHEN 'vf_rate' THEN avg(is_won::int) ELSE avg(amount) END, 10),
           count(*) * CASE kpi WHEN 'vf_mean' THEN 2 ELSE 1 END
      FROM parted p GROUP BY 1, 2, 3
$$;
CREATE FUNCTION vf.differences() RETURNS TABLE (kpi text, team text, period text, by text[], n bigint) LANGUAGE sql AS $$
    SELECT k.kpi, t.team, p.period, b.by, d.n
      FROM (VALUES ('vf_sum'), ('vf_n'), ('vf_rate'), ('vf_avg'), ('vf_mean')) k (kpi),
           (VALUES ('company'), ('north'), ('south'), ('alps')) t (team),
           (VALUES ('2026-03', date '2026-03-01', date '2026-03-31'), ('2026-Q1', '2026-01-01', '2026-03-31'), ('2026-W12', '2026-03-16', '2026-03-22')) p (period, first, last),
           (VALUES ('{product}'::text[]), ('{level}'), ('{member}'), ('{team}'), ('{region,product}'), ('{member,level}'), ('{team,region,level}'), ('{product,member,region}')) b (by),
           LATERAL (SELECT count(*) AS n FROM (
               (SELECT part_1, part_2, part_3, round(value, 10), facts FROM kpi.breakdown(k.kpi, by => b.by, team => t.team, period => p.period)
                EXCEPT ALL SELECT * FROM vf.expected(k.kpi, t.team, p.first, p.last, b.by))
               UNION ALL
               (SELECT * FROM vf.expected(k.kpi, t.team, p.first, p.last, b.by)
                EXCEPT ALL SELECT part_1, part_2, part_3, round(value, 10), facts FROM kpi.breakdown(k.kpi, by => b.by, team => t.team, period => p.period))) x) d
     WHERE d.n > 0
$$;
SELECT count(*) FROM vf.expected('vf_sum', 'north', '2026-03-01', '2026-03-31', '{member,level}');
SELECT * FROM vf.differences();
UPDATE vf.deals SET amount = amount * 2, owner = 'cid' WHERE id % 13 = 0;
DELETE FROM vf.deals WHERE id % 17 = 0;
SELECT kpi.set_attribute('bob', name => 'level', value => 'senior', since => '2026-03-20');
CALL kpi.refresh('vf');
SELECT * FROM vf.differences();

-- Compared, ranked, shared.
SELECT part_1, value, share, rank, other, difference, facts, enough FROM kpi.breakdown('vf_n', by => '{member}', team => 'north', period => '2026-03', against => 'previous');
SELECT part_1, part_2, round(value, 4) AS value, share, rank, round(other, 4) AS other, round(difference, 4) AS difference, enough
FROM kpi.breakdown('vf_rate', by => '{region, product}', period => '2026-Q2', against => 'previous') ORDER BY rank;
SELECT part_1, value, other, enough FROM kpi.breakdown('vf_sum', by => '{product}', member => 'ann', period => '2026-03', against => 'year_ago') ORDER BY 1;
SET client_min_messages = error;
SELECT kpi.create_goal(kpi => 'vf_sum', team => 'south', period => '2026-03', target => 10000) IS NOT NULL AS goal;
SELECT part_1, value, other, difference, enough FROM kpi.breakdown('vf_sum', by => '{team}', period => '2026-03', against => 'target') ORDER BY 1;
SET client_min_messages = warning;
-- Of an open period as far as it has come, and as many days of the other.
UPDATE vf.deals SET closed = date_trunc('month', kpi.today())::date + (id % 75) - 45;
CALL kpi.refresh('vf');
SELECT count(*) AS differences FROM kpi.breakdown('vf_n', by => '{region}', period => to_char(kpi.today(), 'YYYY-MM'), against => 'previous') b
  FULL JOIN (SELECT region, count(*) FILTER (WHERE closed >= t.start AND closed <= kpi.today()) AS now,
                    count(*) FILTER (WHERE closed >= t.before AND closed <= least(t.before + (kpi.today() - t.start), t.start - 1)) AS before
               FROM vf.deals, (SELECT date_trunc('month', kpi.today())::date AS start, (date_trunc('month', kpi.today()) - interval '1 month')::date AS before) t
              GROUP BY 1) e ON e.region = b.part_1
 WHERE b.value IS DISTINCT FROM e.now OR b.other IS DISTINCT FROM e.before;

-- Mistakes.
SELECT * FROM kpi.breakdown('vf_sum', by => '{prodcut}', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sun', by => '{product}', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => '{product, product}', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => '{product, region, member, level}', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => '{}', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => NULL, period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => '{NULL}', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => '{product}');
SELECT * FROM kpi.breakdown('vf_sum', by => '{product}', period => '2026-13');
SELECT * FROM kpi.breakdown('vf_sum', by => '{product}', team => 'norht', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => '{product}', team => 'north', member => 'ann', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => '{team}', member => 'ann', period => '2026-03');
SELECT * FROM kpi.breakdown('vf_sum', by => '{product}', period => '2026-03', against => 'last');
SELECT count(*) FROM kpi.breakdown('vf_sum', by => '{product}', period => '1999-03');

CREATE ROLE regress_kpi_vf;
SET ROLE regress_kpi_vf;
SELECT count(*) FROM kpi.breakdown('vf_sum', by => '{product}', period => '2026-03');
RESET ROLE;
SELECT kpi.grant_reader('regress_kpi_vf');
SET ROLE regress_kpi_vf;
SELECT count(*) > 0 AS reads FROM kpi.breakdown('vf_sum', by => '{product}', period => to_char(kpi.today(), 'YYYY-MM'));
RESET ROLE;
SELECT kpi.revoke_reader('regress_kpi_vf');
DROP ROLE regress_kpi_vf;

SELECT kpi.drop_source('vf', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_member('cid'), kpi.drop_team('alps'), kpi.drop_team('north'), kpi.drop_team('south');
DROP SCHEMA vf CASCADE;
