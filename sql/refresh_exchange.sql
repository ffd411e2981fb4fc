-- Refresh: amounts in currencies, converted by the rate of their day.
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-05-20 12:00 UTC';
CREATE SCHEMA mo;
CREATE TABLE mo.deals (id int PRIMARY KEY, owner text, amount numeric, cost numeric, currency text, closed_at date, product text);
CREATE FUNCTION mo.fill(low int, high int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO mo.deals
    SELECT i, (ARRAY['ann','bob','cid','nobody'])[1 + i % 4], 10 + i % 17, i % 7, (ARRAY['EUR','USD','GBP','SEK',NULL])[1 + i / 3 % 5],
           date '2026-01-03' + i * 7 % 170, (ARRAY['a','b',NULL])[1 + i / 5 % 3]
      FROM generate_series(low, high) i
$$;
SELECT mo.fill(1, 800);
SELECT kpi.create_team('mo_a') IS NOT NULL AS made;
SELECT kpi.create_team('mo_a1', parent => 'mo_a') IS NOT NULL AS made;
SELECT kpi.create_team('mo_b') IS NOT NULL AS made;
SELECT kpi.add_member('ann', team => 'mo_a1') IS NOT NULL AS added;
SELECT kpi.add_member('bob', team => 'mo_a') IS NOT NULL AS added;
SELECT kpi.add_member('cid', team => 'mo_b') IS NOT NULL AS added;
SELECT kpi.create_source('mo', relation => 'mo.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product"}') IS NOT NULL AS made;

-- Mistakes, and what is to be said first.
SELECT kpi.create_kpi('mo_x', source => 'mo', measure => 'sum(amount, currency => currency)');
SELECT kpi.set_exchange_rate('USD', '2026-01-01', 0.9);
SELECT kpi.alter_company(currency => 'euro');
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.set_exchange_rate('usd', '2026-01-01', 0.9);
SELECT kpi.set_exchange_rate('EUR', '2026-01-01', 1);
SELECT kpi.set_exchange_rate('USD', '2026-01-01', 0);
SELECT kpi.set_exchange_rate('USD', '2026-01-01', -1);
SELECT kpi.set_exchange_rate('USD', '2026-01-01', 'NaN');
SELECT kpi.set_exchange_rate('USD', '2026-01-01', 'infinity');
SELECT kpi.set_exchange_rate('USD', '2026-01-01', NULL);
SELECT kpi.set_exchange_rate('USD', 'infinity', 2);
SELECT kpi.set_exchange_rate('USD', '2026-01-01', 2, exchange => repeat('x', 64));
SELECT kpi.create_kpi('mo_x', source => 'mo', measure => 'sum(amount, currency => currency)', exchange => 'budget');
SELECT kpi.create_kpi('mo_x', source => 'mo', measure => 'sum(amount)', exchange => 'daily');
SELECT kpi.create_kpi('mo_x', source => 'mo', measure => 'sum(amount, money => currency)');
SELECT kpi.create_kpi('mo_x', source => 'mo', measure => 'sum(amount, currency)');
SELECT kpi.create_kpi('mo_x', source => 'mo', measure => 'avg(make_interval(days => id), currency => currency)');
SELECT kpi.create_kpi('mo_x', source => 'mo', measure => 'sum(amount, currency => amount::float8)');
SELECT kpi.create_source('mo_y', relation => 'mo.deals', at => 'closed_at', dimensions => '{"amount_currency": "currency"}');
SELECT count(*) FROM kpi.exchange_rate;

SELECT kpi.set_exchange_rate('USD', NULL, 0.9, exchange => 'budget-2026');
SELECT kpi.create_kpi('mo_x', source => 'mo', measure => 'sum(amount, currency => currency)', exchange => 'budget-2025');
SELECT kpi.create_kpi('mo_sum', source => 'mo', measure => 'sum(amount, currency => currency)') IS NOT NULL AS made;
SELECT kpi.create_kpi('mo_avg', source => 'mo', measure => 'avg(amount, currency => currency)') IS NOT NULL AS made;
SELECT kpi.create_kpi('mo_margin', source => 'mo', measure => 'ratio(amount - cost, amount, currency => currency)') IS NOT NULL AS made;
SELECT kpi.create_kpi('mo_budget', source => 'mo', measure => 'sum(amount, currency => currency)', exchange => 'budget-2026') IS NOT NULL AS made;
SELECT kpi.create_kpi('mo_plain', source => 'mo', measure => 'count(*)') IS NOT NULL AS made;
SELECT name, measure, exchange FROM kpi.kpi WHERE name LIKE 'mo\_%' ORDER BY name;
SELECT count(*), count(x.currency) FROM kpi_internal.stream x JOIN kpi.source s ON s.id = x.source_id WHERE s.name = 'mo';
SELECT kpi.alter_company(currency => 'USD');

-- What it should be, from the definitions alone.
CREATE FUNCTION mo.rate(wanted text, code text, day date) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN code = 'EUR' THEN 1 ELSE
           (SELECT r.rate FROM kpi.exchange_rate r WHERE r.exchange = wanted AND r.currency = code AND r.since <= day
             ORDER BY r.since DESC LIMIT 1) END
$$;
CREATE FUNCTION mo.teams(who text, day date) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up (id, key) AS (
        SELECT t.id, t.key FROM kpi.team t
         WHERE t.key = coalesce((SELECT u.key FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id JOIN kpi.team u ON u.id = s.team_id
                                  WHERE m.key = who AND (s.since IS NULL OR s.since <= day) AND (s.until IS NULL OR s.until > day)), '(unassigned)')
        UNION ALL
        SELECT t.id, t.key FROM up JOIN kpi.team_parent p ON p.team_id = up.id JOIN kpi.team t ON t.id = p.parent_id)
    SELECT key FROM up
$$;
CREATE VIEW mo.fact AS
    SELECT d.*, x.exchange, mo.rate(x.exchange, d.currency, d.closed_at) AS rate
      FROM mo.deals d CROSS JOIN (VALUES ('daily'), ('budget-2026')) x (exchange);
CREATE VIEW mo.expected AS
    WITH f AS MATERIALIZED (SELECT * FROM mo.fact WHERE rate IS NOT NULL),
    scope AS (
        SELECT f.*, 'team' AS scope, t.team AS name, NULL::text AS part FROM f CROSS JOIN LATERAL mo.teams(f.owner, f.closed_at) t (team)
        UNION ALL SELECT f.*, 'part', t.team, coalesce(f.product, '-') FROM f CROSS JOIN LATERAL mo.teams(f.owner, f.closed_at) t (team)
        UNION ALL SELECT f.*, 'member', f.owner, NULL FROM f WHERE f.owner <> 'nobody')
    SELECT k.kpi, s.scope, s.name, s.part, g.grain, date_trunc(g.grain, s.closed_at::timestamp)::date AS start,
           CASE k.kpi WHEN 'mo_avg' THEN avg(s.amount * s.rate) WHEN 'mo_margin' THEN sum((s.amount - s.cost) * s.rate) / nullif(sum(s.amount * s.rate), 0)
                      ELSE sum(s.amount * s.rate) END AS value, count(*) AS facts
      FROM scope s
      JOIN (VALUES ('mo_sum', 'daily'), ('mo_avg', 'daily'), ('mo_margin', 'daily'), ('mo_budget', 'budget-2026')) k (kpi, exchange)
           ON k.exchange = s.exchange
     CROSS JOIN (VALUES ('day'), ('week'), ('month'), ('quarter'), ('year')) g (grain)
     WHERE s.scope <> 'part' OR g.grain IN ('month', 'quarter', 'year')
     GROUP BY 1, 2, 3, 4, 5, 6;
CREATE VIEW mo.shown AS
    SELECT kpi, 'team' AS scope, team AS name, NULL AS part, grain, period_start AS start, value, facts FROM
        (SELECT * FROM kpi.team_daily UNION ALL SELECT * FROM kpi.team_weekly UNION ALL SELECT * FROM kpi.team_monthly
         UNION ALL SELECT * FROM kpi.team_quarterly UNION ALL SELECT * FROM kpi.team_yearly) v
    UNION ALL SELECT kpi, 'member', member, NULL, grain, period_start, value, facts FROM
        (SELECT * FROM kpi.member_daily UNION ALL SELECT * FROM kpi.member_weekly UNION ALL SELECT * FROM kpi.member_monthly
         UNION ALL SELECT * FROM kpi.member_quarterly UNION ALL SELECT * FROM kpi.member_yearly) v
    UNION ALL SELECT kpi, 'part', team, coalesce(dimension_value, '-'), grain, period_start, value, facts FROM
        (SELECT * FROM kpi.team_breakdown_monthly UNION ALL SELECT * FROM kpi.team_breakdown_quarterly
         UNION ALL SELECT * FROM kpi.team_breakdown_yearly) v;
CREATE FUNCTION mo.differences() RETURNS TABLE (differs bigint, rows bigint, verify bigint) LANGUAGE sql AS $$
    WITH e AS (SELECT kpi, scope, name, part, grain, start, round(value, 10) AS value, facts FROM mo.expected),
         s AS (SELECT kpi, scope, name, part, grain, start, round(value, 10) AS value, facts FROM mo.shown WHERE kpi LIKE 'mo\_%' AND kpi <> 'mo_plain')
    SELECT (SELECT count(*) FROM ((TABLE e EXCEPT TABLE s) UNION ALL (TABLE s EXCEPT TABLE e)) d),
           (SELECT count(*) FROM e), (SELECT count(*) FROM kpi.verify('mo'))
$$;

CALL kpi.refresh();
SELECT * FROM mo.differences();
-- What is left out is counted.
SELECT kpi, exchange, currency, sum(facts), min(period), max(period) FROM kpi.amount_without_rate GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT object, detail, remedy FROM kpi.health() WHERE problem LIKE 'rate%' ORDER BY 1, 2;

-- Rates come: no fact is read.
SELECT kpi.set_exchange_rate('USD', '2026-01-01', 0.92), kpi.set_exchange_rate('GBP', '2026-02-10', 1.17),
       kpi.set_exchange_rate('SEK', NULL, 0.0881);
CALL kpi.refresh();
SELECT * FROM mo.differences();
SELECT l.kind FROM kpi.refresh_log l WHERE l.source = 'mo' AND l.kind <> 'verify' ORDER BY l.id DESC LIMIT 1;
SELECT kpi, currency, sum(facts), min(period), max(period) FROM kpi.amount_without_rate WHERE kpi = 'mo_sum' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT object, detail FROM kpi.health() WHERE problem = 'rate_old' ORDER BY 1, 2;
-- Rates of later days, corrected, taken back; facts and people at once.
SELECT count(kpi.set_exchange_rate('USD', d::date, 0.9 + extract(day FROM d)::numeric / 1000)) FROM generate_series(timestamp '2026-03-01', '2026-05-19', '3 days') d;
CALL kpi.refresh();
SELECT * FROM mo.differences();
SELECT kpi.set_exchange_rate('USD', '2026-04-06', 0.5), kpi.set_exchange_rate('GBP', '2026-02-10', NULL),
       kpi.set_exchange_rate('GBP', '2026-03-10', 1.2), kpi.set_exchange_rate('USD', '2026-01-01', 0.92);
SELECT mo.fill(801, 900);
UPDATE mo.deals SET currency = 'USD', amount = amount + 1 WHERE id % 9 = 0;
DELETE FROM mo.deals WHERE id % 11 = 0;
SELECT kpi.move_member('ann', team => 'mo_b', since => '2026-03-15');
CALL kpi.refresh();
SELECT * FROM mo.differences();
-- To date, of members and parts too.
SELECT count(*) AS differs FROM kpi.team_breakdown_monthly v
 WHERE v.kpi = 'mo_sum' AND v.period = '2026-05'
   AND round(v.value_to_date, 10) IS DISTINCT FROM (SELECT round(sum(f.amount * f.rate), 10) FROM mo.fact f, mo.teams(f.owner, f.closed_at) t (team)
        WHERE f.exchange = 'daily' AND f.rate IS NOT NULL AND f.closed_at BETWEEN '2026-05-01' AND '2026-05-20'
          AND t.team = v.team AND f.product IS NOT DISTINCT FROM v.dimension_value);
SELECT count(*) AS differs FROM kpi.member_monthly v
 WHERE v.kpi = 'mo_sum' AND v.period = '2026-05'
   AND round(v.value_to_date, 10) IS DISTINCT FROM (SELECT round(sum(f.amount * f.rate), 10) FROM mo.fact f
        WHERE f.exchange = 'daily' AND f.rate IS NOT NULL AND f.closed_at BETWEEN '2026-05-01' AND '2026-05-20' AND f.owner = v.member);
-- A change that is rolled back was none; a KPI that changes its exchange.
BEGIN;
SELECT kpi.set_exchange_rate('USD', '2026-04-06', 0.6);
CALL kpi.refresh();
ROLLBACK;
CALL kpi.refresh();
SELECT * FROM mo.differences();
SELECT kpi.alter_kpi('mo_budget', exchange => 'daily');
SELECT kpi.alter_kpi('mo_budget', exchange => 'budget-2026');
CALL kpi.refresh();
SELECT * FROM mo.differences();
SELECT kpi.alter_kpi('mo_budget', measure => 'sum(amount)');
SELECT name, measure, exchange FROM kpi.kpi WHERE name = 'mo_budget';
SELECT kpi.alter_kpi('mo_budget', measure => 'sum(amount, currency => currency)', exchange => 'budget-2026');
-- A renamed column is followed.
ALTER TABLE mo.deals RENAME currency TO code;
UPDATE mo.deals SET code = 'GBP' WHERE id % 13 = 0;
CALL kpi.refresh();
SELECT * FROM mo.differences();
SELECT measure FROM kpi.kpi WHERE name = 'mo_sum';
SELECT count(*) AS changes_that_wait FROM kpi_internal.rate_change;
SELECT kpi.drop_source('mo', cascade => true);
SELECT count(kpi.set_exchange_rate(currency, since, NULL, exchange)) FROM kpi.exchange_rate;
SELECT count(*) FROM kpi.exchange_rate;
DROP SCHEMA mo CASCADE;
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_member('cid');
SELECT kpi.drop_team('mo_a1'), kpi.drop_team('mo_a'), kpi.drop_team('mo_b');
