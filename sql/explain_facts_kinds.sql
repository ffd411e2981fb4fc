-- The facts of currencies, keyed sources, lookups, partitions, expressions that fail and balances: they sum
-- to the value, and are those of plain SQL.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET kpi.now = '2026-05-20 12:00 UTC';
CREATE SCHEMA fk;
CREATE TABLE fk.order (id int, account int, owner text, at date, until date, amount numeric, currency text, digits text) PARTITION BY RANGE (at);
CREATE TABLE fk.order_1 PARTITION OF fk.order FOR VALUES FROM ('2026-01-01') TO ('2026-03-01');
CREATE TABLE fk.order_2 PARTITION OF fk.order FOR VALUES FROM ('2026-03-01') TO ('2026-07-01') PARTITION BY LIST (currency);
CREATE TABLE fk.order_2_eur PARTITION OF fk.order_2 FOR VALUES IN ('EUR');
CREATE TABLE fk.order_2_other PARTITION OF fk.order_2 DEFAULT;
CREATE TABLE fk.account (id int PRIMARY KEY, region text);
INSERT INTO fk.account SELECT i, 'r' || i % 2 FROM generate_series(1, 6) i;
INSERT INTO fk.order
SELECT i, 1 + i % 8, (ARRAY['ann', 'bob', NULL, 'nobody'])[1 + i % 4], date '2026-01-01' + i * 11 % 170, CASE WHEN i % 3 > 0 THEN date '2026-01-01' + i * 11 % 170 + i % 50 END,
       CASE WHEN i % 13 <> 0 THEN 10 + i % 17 + 0.5 END, (ARRAY['EUR', 'USD', 'GBP', NULL])[1 + i / 5 % 4], CASE WHEN i % 17 = 0 THEN 'x' ELSE i::text END
  FROM generate_series(1, 400) i;
SELECT count(kpi.create_team(key)) FROM (VALUES ('fk_a'), ('fk_b')) t (key);
SELECT kpi.add_member('ann', team => 'fk_a') IS NOT NULL AS added, kpi.add_member('bob', team => 'fk_b') IS NOT NULL AS added;
SELECT kpi.move_member('ann', team => 'fk_b', since => '2026-04-01');
SELECT kpi.alter_company(currency => 'EUR');
SELECT count(kpi.set_exchange_rate(currency, since, rate)) FROM (VALUES ('USD', date '2026-01-10', 0.9), ('USD', '2026-03-10', 0.8), ('GBP', '2026-02-01', 1.25)) r (currency, since, rate);
SELECT kpi.create_lookup('fk_account', relation => 'fk.account', key => 'id', value => 'region') > 0 AS lookup;
SELECT kpi.create_source('fk', relation => 'fk.order', key => 'id', owner => 'owner', at => 'at') > 0 AS source,
       kpi.create_source('fk_looked', relation => 'fk.order', key => 'id', owner => 'owner', at => 'at', dimensions => $${"region": "lookup('fk_account', account)"}$$) > 0 AS source,
       kpi.create_source('fk_keyed', query => 'SELECT account, owner, min(at) AS first_at, sum(amount) AS amount FROM fk.order GROUP BY account, owner',
                         key => 'account, owner', entity => 'account', owner => 'owner', at => 'first_at', follow => '{"fk.order": "account"}') > 0 AS source;
SELECT count(kpi.create_kpi(name, source => source, measure => measure, filter => filter, until => until))
  FROM (VALUES ('fk_sum', 'fk', 'sum(amount)', NULL, NULL), ('fk_money', 'fk', 'sum(amount, currency => currency)', NULL, NULL),
               ('fk_digits', 'fk', 'sum(digits::int)', NULL, NULL), ('fk_hundredth', 'fk', 'sum(amount)', '100 / (id % 25) > 5', NULL), ('fk_held', 'fk', 'balance(amount)', NULL, 'until'),
               ('fk_looked', 'fk_looked', 'sum(amount)', $$lookup('fk_account', account) = 'r1'$$, NULL), ('fk_keyed', 'fk_keyed', 'sum(amount)', NULL, NULL)) k (name, source, measure, filter, until);
CALL kpi.refresh();

-- what plain SQL says of each fact
CREATE FUNCTION fk.rate(of_currency text, day date) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN of_currency = 'EUR' THEN 1 ELSE (SELECT r.rate FROM (VALUES ('USD', date '2026-01-10', 0.9), ('USD', '2026-03-10', 0.8), ('GBP', '2026-02-01', 1.25)) r (currency, since, rate)
            WHERE r.currency = of_currency AND r.since <= day ORDER BY r.since DESC LIMIT 1) END $$;
CREATE TABLE fk.expected AS
          SELECT 'fk_sum' AS kpi, id::text AS key, at AS day, amount AS value, owner, NULL::date AS until FROM fk.order WHERE amount IS NOT NULL
UNION ALL SELECT 'fk_money', id::text, at, amount * fk.rate(currency, at), owner, NULL FROM fk.order WHERE amount IS NOT NULL AND fk.rate(currency, at) IS NOT NULL
UNION ALL SELECT 'fk_digits', id::text, at, CASE WHEN digits <> 'x' THEN digits::int END, owner, NULL FROM fk.order WHERE digits <> 'x'
UNION ALL SELECT 'fk_hundredth', id::text, at, amount, owner, NULL FROM fk.order WHERE amount IS NOT NULL AND 100 / nullif(id % 25, 0) > 5
UNION ALL SELECT 'fk_held', id::text, at, amount, owner, coalesce(until, 'infinity') FROM fk.order WHERE amount IS NOT NULL
UNION ALL SELECT 'fk_looked', o.id::text, o.at, o.amount, o.owner, NULL FROM fk.order o JOIN fk.account a ON a.id = o.account WHERE a.region = 'r1' AND o.amount IS NOT NULL
UNION ALL SELECT 'fk_keyed', account || ', ' || owner, min(at), sum(amount), owner, NULL FROM fk.order WHERE owner IS NOT NULL GROUP BY account, owner;
CREATE FUNCTION fk.team_of(owner text, day date) RETURNS text LANGUAGE sql AS
    $$ SELECT CASE WHEN owner = 'ann' AND day < '2026-04-01' THEN 'fk_a' WHEN owner IN ('ann', 'bob') THEN 'fk_b' ELSE '(unassigned)' END $$;
CREATE FUNCTION fk.expected_in(of_kpi text, in_team text, of_member text, since date, last date) RETURNS TABLE (key text, day date, owner text, member text, team text, value numeric) LANGUAGE sql AS $$
    SELECT e.key, e.day, e.owner, CASE WHEN e.owner IN ('ann', 'bob') THEN e.owner END, t.team, e.value
      FROM fk.expected e
     CROSS JOIN LATERAL (SELECT CASE WHEN e.until IS NULL THEN e.day ELSE least(last, '2026-05-20') END AS counted) c
     CROSS JOIN LATERAL (SELECT fk.team_of(e.owner, c.counted) AS team) t
     WHERE e.kpi = of_kpi AND (in_team IS NULL OR t.team = in_team) AND (of_member IS NULL OR e.owner = of_member)
       AND CASE WHEN e.until IS NULL THEN e.day BETWEEN since AND last ELSE e.day <= c.counted AND e.until > c.counted END $$;
CREATE VIEW fk.compared AS
SELECT k.name AS kpi, count(*) AS places, count(v.value) > 0 AS has_values, count(*) FILTER (WHERE f.facts IS DISTINCT FROM e.facts) AS other_facts,
       count(*) FILTER (WHERE f.value IS DISTINCT FROM coalesce(v.value, 0)) AS other_value, count(*) FILTER (WHERE f.value IS DISTINCT FROM e.value) AS other_sum
  FROM kpi.kpi k
 CROSS JOIN (VALUES ('2026-02', date '2026-02-01', date '2026-02-28'), ('2026-Q2', '2026-04-01', '2026-06-30'), ('2026', '2026-01-01', '2026-12-31'),
                    ('2026-02-20..2026-04-10', '2026-02-20', '2026-04-10')) p (period, since, last)
 CROSS JOIN (VALUES (NULL, NULL), ('fk_a', NULL), ('fk_b', NULL), ('(unassigned)', NULL), (NULL, 'ann')) s (team, member)
 CROSS JOIN LATERAL (SELECT kpi.value(k.name, team => s.team, member => s.member, period => p.period) AS value) v
 CROSS JOIN LATERAL (SELECT array_agg((x.fact_key, x.day, x.owner, x.fact_member, x.fact_team, trim_scale(x.value)) ORDER BY x.fact_key COLLATE "C") AS facts, coalesce(sum(x.value), 0) AS value
                       FROM kpi.facts(k.name, team => s.team, member => s.member, period => p.period) x) f
 CROSS JOIN LATERAL (SELECT array_agg((x.key, x.day, x.owner, x.member, x.team, trim_scale(x.value)) ORDER BY x.key COLLATE "C") AS facts, coalesce(sum(x.value), 0) AS value
                       FROM fk.expected_in(k.name, s.team, s.member, p.since, p.last) x) e
 GROUP BY 1;
SELECT * FROM fk.compared ORDER BY kpi COLLATE "C";
-- rows of the query that are no facts
SELECT l.reason, l.facts = count(f.day) AS equal, count(f.fact_key) AS keys, bool_and(f.owner IS NULL) AS without_owner,
       count(f.day) = (SELECT count(DISTINCT account) FROM fk.order WHERE owner IS NULL) AS as_expected, sum(f.value) AS value
  FROM kpi.left_out l CROSS JOIN kpi.facts('fk_keyed', left_out => l.reason) f WHERE l.source = 'fk_keyed' AND l.kpi IS NULL GROUP BY l.reason, l.facts;
SELECT count(*) FROM kpi.facts('fk_keyed', left_out => 'no_entity');
SELECT count(*) FROM kpi.facts('fk_sum', left_out => 'no_key');
-- after moves, other rates, changes and a partition more
SELECT kpi.set_exchange_rate('USD', '2026-03-10', NULL);
CREATE OR REPLACE FUNCTION fk.rate(of_currency text, day date) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN of_currency = 'EUR' THEN 1 WHEN of_currency = 'USD' AND day >= '2026-01-10' THEN 0.9 WHEN of_currency = 'GBP' AND day >= '2026-02-01' THEN 1.25 END $$;
CREATE TABLE fk.order_3 PARTITION OF fk.order FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
UPDATE fk.order SET at = at + 90, currency = 'USD' WHERE id % 10 = 0;
UPDATE fk.order SET owner = 'ann' WHERE id % 6 = 0;
DELETE FROM fk.account WHERE id = 3;
CALL kpi.refresh();
DELETE FROM fk.expected;
INSERT INTO fk.expected
          SELECT 'fk_sum' AS kpi, id::text AS key, at AS day, amount AS value, owner, NULL::date AS until FROM fk.order WHERE amount IS NOT NULL
UNION ALL SELECT 'fk_money', id::text, at, amount * fk.rate(currency, at), owner, NULL FROM fk.order WHERE amount IS NOT NULL AND fk.rate(currency, at) IS NOT NULL
UNION ALL SELECT 'fk_digits', id::text, at, CASE WHEN digits <> 'x' THEN digits::int END, owner, NULL FROM fk.order WHERE digits <> 'x'
UNION ALL SELECT 'fk_hundredth', id::text, at, amount, owner, NULL FROM fk.order WHERE amount IS NOT NULL AND 100 / nullif(id % 25, 0) > 5
UNION ALL SELECT 'fk_held', id::text, at, amount, owner, coalesce(until, 'infinity') FROM fk.order WHERE amount IS NOT NULL AND coalesce(until, 'infinity') >= at
UNION ALL SELECT 'fk_looked', o.id::text, o.at, o.amount, o.owner, NULL FROM fk.order o JOIN fk.account a ON a.id = o.account WHERE a.region = 'r1' AND o.amount IS NOT NULL
UNION ALL SELECT 'fk_keyed', account || ', ' || owner, min(at), sum(amount), owner, NULL FROM fk.order WHERE owner IS NOT NULL GROUP BY account, owner;
SELECT * FROM fk.compared ORDER BY kpi COLLATE "C";

SELECT count(kpi.drop_kpi(name)) FROM (SELECT name FROM kpi.kpi ORDER BY id DESC) k;
SELECT count(kpi.drop_source(name)) FROM kpi.source;
SELECT kpi.drop_lookup('fk_account');
SELECT count(kpi.drop_member(key)) FROM kpi.member;
SELECT count(kpi.drop_team(key)) FROM kpi.team WHERE id > 2;
SELECT count(kpi.set_exchange_rate(r.currency, r.since, NULL)) FROM kpi.exchange_rate r;
UPDATE kpi.company SET currency = NULL;
DROP SCHEMA fk CASCADE;
