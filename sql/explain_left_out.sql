-- What is left out, by reason, against plain SQL over the facts: kpi.left_out says of each KPI
-- how many facts of which days, whatever changes.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-05-20 12:00 UTC';
CREATE SCHEMA lo;
CREATE TABLE lo.deal (id int PRIMARY KEY, owner text, team text, at date, until date, stage text, amount numeric, cost numeric, currency text, digits text);
CREATE FUNCTION lo.fill(low int, high int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO lo.deal
    SELECT i, (ARRAY['ann', 'bob', NULL, 'nobody', 'annie', 'stranger'])[1 + i % 6], (ARRAY['lo_a', 'lo_b', NULL, 'elsewhere'])[1 + i / 2 % 4],
           CASE WHEN i % 23 <> 0 THEN date '2026-01-03' + i * 7 % 170 END,
           CASE WHEN i % 3 = 0 THEN date '2026-01-03' + i * 7 % 170 + i % 40 - 4 END,
           CASE WHEN i % 19 <> 0 THEN (ARRAY['won', 'lost', 'open'])[1 + i / 7 % 3] END,
           CASE WHEN i % 11 = 0 THEN 'NaN' WHEN i % 29 = 0 THEN repeat('9', 1001)::numeric WHEN i % 28 = 0 THEN 1e500 WHEN i % 31 <> 0 THEN 10 + i % 17 END,
           CASE WHEN i % 13 <> 0 THEN i % 7 END, (ARRAY['EUR', 'USD', 'GBP', NULL])[1 + i / 5 % 4],
           CASE WHEN i % 17 = 0 THEN 'x' ELSE i::text END
      FROM generate_series(low, high) i
$$;
SELECT lo.fill(1, 900);
SELECT kpi.create_team('lo_a') IS NOT NULL AS made, kpi.create_team('lo_b') IS NOT NULL AS made;
SELECT kpi.add_member('ann', team => 'lo_a') IS NOT NULL AS added;
SELECT kpi.add_member('bob', team => 'lo_b', since => '2026-02-01') IS NOT NULL AS added;
SELECT kpi.add_alias('ann', 'annie') IS NOT NULL AS added;
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.set_exchange_rate('USD', '2026-03-10', 0.9);

SELECT kpi.create_source('lo', relation => 'lo.deal', key => 'id', owner => 'owner', at => 'at', dimensions => '{"stage": "stage"}') IS NOT NULL AS made;
SELECT kpi.create_kpi(name, source => 'lo', measure => measure, filter => filter) IS NOT NULL AS made
  FROM (VALUES ('lo_count', 'count(*)', $$stage = 'won'$$), ('lo_sum', 'sum(amount)', NULL), ('lo_rate', $$rate(stage = 'won', stage IN ('won', 'lost'))$$, NULL),
               ('lo_ratio', 'ratio(amount, cost)', NULL), ('lo_digits', 'sum(digits::int)', $$stage <> 'open'$$), ('lo_median', 'median(amount)', NULL),
               ('lo_spread', 'stddev(amount)', NULL), ('lo_shares', $$rate(1 / (id % 22) >= 0, stage IN ('won', 'lost'))$$, NULL),
               ('lo_max', 'max(amount)', NULL), ('lo_distinct', 'count(DISTINCT stage)', NULL),
               ('lo_money', 'sum(amount, currency => currency)', NULL)) k (name, measure, filter);
SELECT kpi.create_kpi('lo_held', source => 'lo', measure => 'balance(amount)', until => 'until') IS NOT NULL AS made,
       kpi.create_kpi('lo_team', source => 'lo', measure => 'sum(amount)', team => 'team') IS NOT NULL AS made,
       kpi.create_kpi('lo_today', source => 'lo', measure => 'sum(amount)', credit => 'today') IS NOT NULL AS made,
       kpi.create_kpi('lo_until', source => 'lo', measure => 'sum(amount)', at => 'until') IS NOT NULL AS made,
       kpi.create_kpi('lo_owner', source => 'lo', measure => 'sum(amount)', filter => $$stage = 'won'$$, at => 'until', owner => $$owner || left((1 / (id % 21))::text, 0)$$) IS NOT NULL AS made;

-- What it should be, from the facts alone: the first reason that holds.
CREATE FUNCTION lo.fault(x numeric, digits int DEFAULT 1000) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN x IN ('NaN', 'Infinity', '-Infinity') THEN 'nonfinite' WHEN abs(x) >= ('1' || repeat('0', digits))::numeric THEN 'too_long' END $$;
CREATE VIEW lo.expected AS
SELECT f.kpi, f.reason, count(*) AS facts, min(f.day) FILTER (WHERE f.has_day) AS first_day, max(f.day) FILTER (WHERE f.has_day) AS last_day
  FROM (SELECT k.kpi, k.day, isfinite(k.day) AND extract(year FROM k.day) BETWEEN 1900 AND 2200 AS has_day,
               CASE WHEN NOT k.filter THEN 'filter_false'
                    WHEN k.filter IS NULL THEN 'filter_null'
                    WHEN k.day IS NULL OR k.day IN ('infinity', '-infinity') THEN 'no_time'
                    WHEN extract(year FROM k.day) NOT BETWEEN 1900 AND 2200 THEN 'day_out_of_range'
                    WHEN k.kpi = 'lo_held' AND d.until < d.at THEN 'end_before_start'
                    WHEN k.kpi = 'lo_digits' AND d.digits !~ '^\d+$' OR k.kpi = 'lo_shares' AND d.id % 22 = 0 OR k.kpi = 'lo_owner' AND d.id % 21 = 0 THEN 'error'
                    WHEN NOT k.has_value THEN 'no_value'
                    WHEN k.fault IS NOT NULL THEN k.fault
                    WHEN k.kpi = 'lo_money' AND coalesce(d.currency <> 'EUR' AND NOT EXISTS (
                         SELECT FROM kpi.exchange_rate r WHERE r.exchange = 'daily' AND r.currency = d.currency AND r.since <= k.day), d.currency IS NULL)
                         THEN 'no_rate'
                    WHEN k.owner IS NULL THEN 'no_owner'
                    WHEN NOT k.is_known THEN 'unknown_owner'
                    WHEN k.day > (current_setting('kpi.now')::timestamptz)::date THEN 'ahead' END AS reason
          FROM lo.deal d
         CROSS JOIN LATERAL (VALUES (lo.fault(d.amount), lo.fault(d.cost), EXISTS (SELECT FROM kpi.member m WHERE m.key = d.owner) OR d.owner = 'annie')) z (amount, cost, owner)
         CROSS JOIN LATERAL (VALUES
               ('lo_count', d.stage = 'won', d.at, d.owner, z.owner, true, NULL::text), ('lo_sum', true, d.at, d.owner, z.owner, d.amount IS NOT NULL, z.amount),
               ('lo_rate', true, d.at, d.owner, z.owner, coalesce(d.stage IN ('won', 'lost'), false), NULL),
               ('lo_ratio', true, d.at, d.owner, z.owner, coalesce(d.amount, d.cost) IS NOT NULL, coalesce(z.amount, z.cost)),
               ('lo_digits', d.stage <> 'open', d.at, d.owner, z.owner, d.digits IS NOT NULL, NULL), ('lo_median', true, d.at, d.owner, z.owner, d.amount IS NOT NULL, z.amount),
               ('lo_max', true, d.at, d.owner, z.owner, d.amount IS NOT NULL, z.amount), ('lo_distinct', true, d.at, d.owner, z.owner, d.stage IS NOT NULL, NULL),
               ('lo_money', true, d.at, d.owner, z.owner, d.amount IS NOT NULL, z.amount), ('lo_held', true, d.at, d.owner, z.owner, d.amount IS NOT NULL, z.amount),
               ('lo_team', true, d.at, d.team, EXISTS (SELECT FROM kpi.team t WHERE t.key = d.team), d.amount IS NOT NULL, z.amount),
               ('lo_today', true, d.at, d.owner, z.owner, d.amount IS NOT NULL, z.amount), ('lo_spread', true, d.at, d.owner, z.owner, d.amount IS NOT NULL, lo.fault(d.amount, 500)),
               ('lo_shares', true, d.at, d.owner, z.owner, coalesce(d.stage IN ('won', 'lost'), false), NULL),
               ('lo_owner', d.stage = 'won', d.until, d.owner, z.owner, d.amount IS NOT NULL, z.amount), ('lo_until', true, d.until, d.owner, z.owner, d.amount IS NOT NULL, z.amount))
               k (kpi, filter, day, owner, is_known, has_value, fault)) f
 WHERE f.reason IS NOT NULL GROUP BY 1, 2;
-- Of amounts without a rate the months are known.
CREATE FUNCTION lo.first_day(kpi text, reason text, day date) RETURNS date LANGUAGE sql AS
    $$ SELECT CASE WHEN kpi = 'lo_money' AND reason = 'no_rate' THEN date_trunc('month', day)::date ELSE day END $$;
CREATE FUNCTION lo.last_day(kpi text, reason text, day date) RETURNS date LANGUAGE sql AS
    $$ SELECT CASE WHEN kpi = 'lo_money' AND reason = 'no_rate' THEN (date_trunc('month', day) + interval '1 month')::date - 1 ELSE day END $$;
CREATE VIEW lo.difference AS
WITH expected AS (
     SELECT kpi, reason, facts, lo.first_day(kpi, reason, first_day) AS first_day, lo.last_day(kpi, reason, last_day) AS last_day
       FROM lo.expected),
     actual AS (
     SELECT kpi, reason, facts, lo.first_day(kpi, reason, first_day) AS first_day, lo.last_day(kpi, reason, last_day) AS last_day
       FROM kpi.left_out WHERE source = 'lo')
SELECT 'missing' AS what, e.* FROM (TABLE expected EXCEPT TABLE actual) e
UNION ALL SELECT 'wrong', a.* FROM (TABLE actual EXCEPT TABLE expected) a;

UPDATE lo.deal SET at = '1066-10-14' WHERE id % 101 = 0;
UPDATE lo.deal SET at = 'infinity' WHERE id % 103 = 0;
CALL kpi.refresh();
SELECT kpi, reason, counts_for, facts, first_day, last_day FROM kpi.left_out WHERE kpi IN ('lo_digits', 'lo_held', 'lo_money') ORDER BY kpi COLLATE "C", reason;
TABLE lo.difference ORDER BY 1, 2, 3;
-- days at the edges
BEGIN;
UPDATE lo.deal SET at = (ARRAY['-infinity', '1899-12-31', '1900-01-01', '2200-12-31', '2201-01-01'])[1 + id % 5]::date WHERE id % 107 = 0;
CALL kpi.refresh();
TABLE lo.difference ORDER BY 1, 2, 3;
ROLLBACK;

-- more than one in twenty counts for nothing
SELECT problem, object, detail, remedy FROM kpi.health() WHERE problem IN ('left_out', 'no_facts') ORDER BY object COLLATE "C";

-- facts change, and go
UPDATE lo.deal SET owner = 'nobody', amount = NULL WHERE id % 5 = 0;
UPDATE lo.deal SET amount = 5, at = at + 30, until = until + 30 WHERE id % 7 = 0;
UPDATE lo.deal SET digits = '12' WHERE id % 34 = 0;
DELETE FROM lo.deal WHERE id % 9 = 0 OR at < '2026-01-20';
SELECT lo.fill(1001, 1200);
CALL kpi.refresh();
TABLE lo.difference ORDER BY 1, 2, 3;
-- somebody becomes known, and a team; a rate comes, one goes
SELECT kpi.add_member('nobody', team => 'lo_b') IS NOT NULL AS added, kpi.create_team('elsewhere') IS NOT NULL AS made;
SELECT kpi.drop_member('bob');
SELECT kpi.set_exchange_rate('GBP', '2026-05-01', 1.2);
SELECT kpi.set_exchange_rate('USD', '2026-03-10', NULL);
SELECT kpi.set_exchange_rate('USD', '2026-04-10', 0.8);
CALL kpi.refresh();
TABLE lo.difference ORDER BY 1, 2, 3;
-- the day passes, without a refresh
SET kpi.now = '2026-06-05 12:00 UTC';
SELECT count(*) AS ahead, min(first_day) FROM kpi.left_out WHERE reason = 'ahead';
TABLE lo.difference ORDER BY 1, 2, 3;
-- built anew
UPDATE lo.deal SET amount = 'Infinity' WHERE id % 50 = 0;
SELECT count(*) FROM kpi.repair('lo');
TABLE lo.difference ORDER BY 1, 2, 3;
-- time, owner and dimension may fail: after the filters, and only then
SELECT kpi.create_source('lo_wrong', relation => 'lo.deal', key => 'id', owner => $$owner || left((1 / (id % 7))::text, 0)$$, at => 'at + 0 / (id % 9)', filter => $$stage <> 'lost'$$,
                         dimensions => '{"part": "10 / (id % 8)"}') IS NOT NULL AS made;
SELECT kpi.create_kpi('lw_won', source => 'lo_wrong', measure => 'count(*)', filter => $$stage = 'won'$$) IS NOT NULL AS made,
       kpi.create_kpi('lw_open', source => 'lo_wrong', measure => 'sum(amount)', filter => $$stage = 'open' AND amount > 0$$) IS NOT NULL AS made,
       kpi.create_kpi('lw_dimension', source => 'lo_wrong', measure => 'count(*)', filter => $$id % 7 > 0 OR stage = 'open'$$, owner => 'owner') IS NOT NULL AS made;
CREATE VIEW lo.wrong AS
SELECT f.kpi, f.reason, count(*) AS facts, min(f.day) AS first_day, max(f.day) AS last_day
  FROM (SELECT k.kpi, CASE WHEN d.id % 9 <> 0 AND isfinite(d.at) AND extract(year FROM d.at) BETWEEN 1900 AND 2200 THEN d.at END AS day,
               CASE WHEN d.stage = 'lost' OR NOT k.filter THEN 'filter_false' WHEN d.stage IS NULL OR k.filter IS NULL THEN 'filter_null'
                    WHEN d.id % 9 = 0 THEN 'error' WHEN d.at IS NULL OR NOT isfinite(d.at) THEN 'no_time'
                    WHEN extract(year FROM d.at) NOT BETWEEN 1900 AND 2200 THEN 'day_out_of_range'
                    WHEN d.id % 8 = 0 OR d.id % 7 = 0 AND k.kpi <> 'lw_dimension' THEN 'error'
                    WHEN k.kpi = 'lw_open' THEN lo.fault(d.amount) END AS reason
          FROM lo.deal d
         CROSS JOIN LATERAL (VALUES ('lw_won', d.stage = 'won'), ('lw_open', d.stage = 'open' AND d.amount > 0), ('lw_dimension', d.id % 7 > 0 OR d.stage = 'open')) k (kpi, filter)) f
 WHERE f.reason IS NOT NULL GROUP BY 1, 2;
CREATE VIEW lo.wrong_difference AS
WITH actual AS (SELECT kpi, reason, facts, first_day, last_day FROM kpi.left_out WHERE source = 'lo_wrong' AND reason NOT IN ('no_owner', 'unknown_owner', 'ahead'))
SELECT 'missing' AS what, e.* FROM (TABLE lo.wrong EXCEPT TABLE actual) e UNION ALL SELECT 'wrong', a.* FROM (TABLE actual EXCEPT TABLE lo.wrong) a;
CALL kpi.refresh();
SELECT kpi, reason, facts FROM lo.wrong WHERE reason = 'error' ORDER BY kpi;
TABLE lo.wrong_difference ORDER BY 1, 2, 3;
UPDATE lo.deal SET at = '1066-10-14' WHERE id % 47 = 0;
UPDATE lo.deal SET id = id + 100000, owner = 'bob' WHERE id % 5 = 0;
UPDATE lo.deal SET stage = 'open', at = NULL WHERE id % 29 = 3;
UPDATE lo.deal SET id = id + 1 WHERE id = (SELECT max(id) FROM lo.deal);
CALL kpi.refresh();
TABLE lo.wrong_difference ORDER BY 1, 2, 3;
TABLE lo.difference ORDER BY 1, 2, 3;
SELECT count(*) FROM kpi.verify('lo_wrong');
SELECT count(kpi.drop_source(s.name, cascade => true)) FROM kpi.source s WHERE s.name = 'lo_wrong';
-- a fact of which the time fails has no day
CREATE TABLE lo.visit (id int, month int);
INSERT INTO lo.visit VALUES (1, 2), (2, 13), (3, 0);
SELECT kpi.create_source('lo_visit', relation => 'lo.visit', key => 'id', at => 'make_date(2026, month, 1)') IS NOT NULL AS made;
SELECT kpi.create_kpi('lo_visits', source => 'lo_visit', measure => 'count(*)') IS NOT NULL AS made;
CALL kpi.refresh();
SELECT kpi, reason, counts_for, facts, first_day, last_day FROM kpi.left_out WHERE source = 'lo_visit' ORDER BY reason;
-- rows of a query that are no facts, and lookups that find nothing, are of the source
CREATE TABLE lo.account (account int PRIMARY KEY, sector text);
CREATE TABLE lo.order (id int PRIMARY KEY, account int, customer int, at date);
INSERT INTO lo.account SELECT i, 's' || i % 2 FROM generate_series(1, 5) i;
INSERT INTO lo.order SELECT i, nullif(i % 8, 0), nullif(i % 4, 0), date '2026-02-01' + i FROM generate_series(1, 40) i;
SELECT kpi.create_lookup('lo_sector', relation => 'lo.account', key => 'account', value => 'sector') IS NOT NULL AS made;
SELECT kpi.create_source('lo_order', relation => 'lo.order', key => 'id', at => 'at', dimensions => $${"sector": "lookup('lo_sector', account)"}$$) IS NOT NULL AS made;
SELECT kpi.create_source('lo_customer', query => 'SELECT customer, min(at) AS at FROM lo.order GROUP BY customer', key => 'customer', at => 'at',
                         follow => '{"lo.order": "customer"}') IS NOT NULL AS made;
SELECT kpi.create_kpi('lo_orders', source => 'lo_order', measure => 'count(*)') IS NOT NULL AS made, kpi.create_kpi('lo_customers', source => 'lo_customer', measure => 'count(*)') IS NOT NULL AS made;
CALL kpi.refresh();
SELECT source, kpi, reason, counts_for, facts, first_day, last_day FROM kpi.left_out WHERE source IN ('lo_order', 'lo_customer') ORDER BY source, reason;
SELECT count(*) AS missing FROM lo.order o WHERE o.account IS NOT NULL AND NOT EXISTS (SELECT FROM lo.account a WHERE a.account = o.account);

SELECT count(kpi.drop_kpi(k.name)) FROM kpi.kpi k;
SELECT count(kpi.drop_source(s.name)) FROM kpi.source s;
SELECT count(*) FROM kpi.left_out;
SELECT kpi.drop_lookup('lo_sector');
SELECT count(kpi.drop_member(m.key)) FROM kpi.member m;
SELECT count(kpi.drop_team(t.key)) FROM kpi.team t WHERE t.id > 2;
SELECT count(kpi.set_exchange_rate(r.currency, r.since, NULL)) FROM kpi.exchange_rate r;
UPDATE kpi.company SET currency = NULL;
DROP SCHEMA lo CASCADE;
