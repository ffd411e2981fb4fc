-- kpi.why(): what becomes of one fact in each KPI of its source.
SET timezone = 'UTC';
SET kpi.now = '2026-11-27 12:00';
SELECT kpi.create_team('why_uk') IS NOT NULL AS made;
SELECT kpi.create_team('why_ee', parent => 'why_uk') IS NOT NULL AS made;
SELECT kpi.add_member('why_ann', team => 'why_ee', since => '2026-01-01') IS NOT NULL AS made;
CREATE TABLE why_deal (id integer PRIMARY KEY, owner text, stage text, amount numeric, divisor integer DEFAULT 1,
                       closed_at timestamptz, ended_at timestamptz, code text);
INSERT INTO why_deal VALUES
    (1, 'why_ann', 'won', 100, 1, '2026-10-05 10:00', '2026-11-05', 'EUR'),
    (2, 'why_ann', 'lost', 10, 1, '2026-10-05 10:00', NULL, 'EUR'),
    (3, 'why_ann', NULL, 10, 1, '2026-10-05 10:00', NULL, 'EUR'),
    (4, 'why_ann', 'won', 10, 1, NULL, NULL, 'EUR'),
    (5, 'why_ann', 'won', 10, 1, '2300-01-01', NULL, 'EUR'),
    (6, 'why_ann', 'won', 10, 1, '2026-10-05', '2026-10-01', 'EUR'),
    (7, 'why_ann', 'won', 10, 0, '2026-10-05', NULL, 'EUR'),
    (8, 'why_ann', 'won', NULL, 1, '2026-10-05', NULL, 'EUR'),
    (9, 'why_ann', 'won', 'NaN', 1, '2026-10-05', NULL, 'EUR'),
    (10, 'why_ann', 'won', 10, 1, '2026-10-05', NULL, 'XXX'),
    (11, NULL, 'won', 10, 1, '2026-10-05', NULL, 'EUR'),
    (12, 'why_x9', 'won', 10, 1, '2026-10-05', NULL, 'EUR'),
    (13, 'why_ann', 'won', 10, 1, '2027-01-01', NULL, 'EUR'),
    (14, 'why_ann', 'draft', 10, 1, '2026-10-05', NULL, 'EUR');
SELECT kpi.create_source('why_deals', 'why_deal', key => 'id', owner => 'owner', at => 'closed_at',
                         filter => $$stage IS DISTINCT FROM 'draft'$$) IS NOT NULL AS made;
SELECT kpi.create_kpi('why_revenue', source => 'why_deals', measure => 'sum(amount)', filter => $$stage = 'won'$$) IS NOT NULL AS made;
SELECT kpi.create_kpi('why_rate', source => 'why_deals', measure => $$rate(stage = 'won', stage IN ('won', 'lost'))$$) IS NOT NULL AS made;
SELECT kpi.create_kpi('why_ratio', source => 'why_deals', measure => 'sum(amount / divisor)') IS NOT NULL AS made;
SELECT kpi.create_kpi('why_held', source => 'why_deals', measure => 'balance(1)', until => 'ended_at') IS NOT NULL AS made;
SELECT kpi.create_kpi('why_all', source => 'why_deals', measure => 'count(*)', owner => '', team => '') IS NOT NULL AS made;

-- not built yet
SELECT status, counts_for, detail FROM kpi.why('why_deals', key => 1, kpi => 'why_revenue');
CALL kpi.refresh('why_deals');

-- every reason
SELECT k.key, w.kpi, w.status, w.counts_for, w.team, w.member, w.owner, w.day, round(w.value, 2) AS value, w.numerator, w.denominator
  FROM generate_series(1, 14) k (key), LATERAL kpi.why('why_deals', k.key) w ORDER BY k.key, w.kpi;
SELECT DISTINCT ON (w.status, w.kpi) w.status, w.kpi, w.detail
  FROM generate_series(1, 14) k (key), LATERAL kpi.why('why_deals', k.key) w
 WHERE w.kpi <> 'why_all' ORDER BY w.status, w.kpi, k.key;

-- what counts is the number of the company
SELECT w.kpi, sum(w.value), (SELECT sum(v.value) FROM kpi.team_yearly v WHERE v.team = 'company' AND v.kpi = w.kpi) AS company
  FROM generate_series(1, 14) k (key), LATERAL kpi.why('why_deals', k.key) w
 WHERE w.kpi IN ('why_revenue', 'why_ratio', 'why_all') AND w.counts_for <> 'nothing' GROUP BY 1 ORDER BY 1;

-- what is left out is what is counted of it
SELECT coalesce(w.kpi, l.kpi) AS kpi, coalesce(w.reason, l.reason) AS reason, w.facts, l.facts
  FROM (SELECT w.kpi, w.status AS reason, count(*) AS facts
          FROM generate_series(1, 14) k (key), LATERAL kpi.why('why_deals', k.key) w
         WHERE w.status <> 'counted' GROUP BY 1, 2) w
  FULL JOIN (SELECT kpi, reason, facts FROM kpi.left_out WHERE source = 'why_deals') l
            ON l.kpi = w.kpi AND l.reason = w.reason
 WHERE w.facts IS DISTINCT FROM l.facts ORDER BY 1, 2;

-- a change waits: of the measures that it moves
UPDATE why_deal SET amount = 101 WHERE id = 1;
SELECT kpi, status, counts_for, value, detail FROM kpi.why('why_deals', '1');
UPDATE why_deal SET stage = 'lost' WHERE id = 11;
SELECT kpi, status, detail FROM kpi.why('why_deals', '11', 'why_revenue');
SELECT kpi.pause('why_deals');
SELECT kpi, status, detail FROM kpi.why('why_deals', '1', 'why_revenue');
SELECT kpi, status FROM kpi.why('why_deals', '12', 'why_revenue');
SELECT kpi.resume('why_deals');
CALL kpi.refresh('why_deals');
SELECT kpi, status, counts_for, value FROM kpi.why('why_deals', '1', 'why_revenue');

-- being built: the days before are still to come, and what is left out stays so
BEGIN;
UPDATE kpi_internal.measure_built b SET days_since = '2026-11-01'
  FROM kpi.kpi k WHERE k.id = b.kpi_id AND k.name = 'why_revenue';
SELECT w.status, w.counts_for, w.detail FROM (VALUES (1), (2), (13)) k (key), LATERAL kpi.why('why_deals', k.key, 'why_revenue') w ORDER BY k.key;
ROLLBACK;

-- amounts in currencies
BEGIN;
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.create_kpi('why_money', source => 'why_deals', measure => 'sum(amount, currency => code)') IS NOT NULL AS made;
CALL kpi.refresh('why_deals');
SELECT k.key, w.status, w.counts_for, w.value, w.detail FROM (VALUES (1), (9), (10)) k (key), LATERAL kpi.why('why_deals', k.key, 'why_money') w ORDER BY k.key;
SELECT kpi.set_exchange_rate('XXX', '2026-01-01', 0.5);
CALL kpi.refresh('why_deals');
SELECT w.status, w.counts_for, w.value FROM kpi.why('why_deals', 10, 'why_money') w;
ROLLBACK;

-- several facts with one key
SELECT kpi.alter_source('why_deals', key => 'code');
CALL kpi.refresh('why_deals');
SELECT count(*), count(DISTINCT w.status) FROM kpi.why('why_deals', 'EUR', 'why_revenue') w;
SELECT kpi.alter_source('why_deals', key => 'id');

-- who may read the facts
CREATE ROLE why_reader;
SELECT kpi.grant_reader('why_reader');
SET ROLE why_reader;
SELECT count(*) FROM kpi.why('why_deals', '1');
RESET ROLE;
GRANT SELECT ON why_deal TO why_reader;
SET ROLE why_reader;
SELECT count(*) FROM kpi.why('why_deals', '1');
-- what an expression says is for the definer
SELECT detail FROM kpi.why('why_deals', '7', 'why_ratio');
RESET ROLE;
REVOKE ALL ON why_deal FROM why_reader;
SELECT kpi.revoke_reader('why_reader');
DROP ROLE why_reader;

-- mistakes
SELECT * FROM kpi.why('why_dealz', '1');
SELECT * FROM kpi.why('why_deals', '99');
SELECT * FROM kpi.why('why_deals', 'no number');
SELECT * FROM kpi.why('why_deals', NULL::text);
SELECT * FROM kpi.why('why_deals', '1', 'why_revenuee');
SELECT kpi.create_kpi('why_double', formula => 'why_revenue * 2') IS NOT NULL AS made;
SELECT * FROM kpi.why('why_deals', '1', 'why_double');
SELECT kpi.alter_source('why_deals', key => '');
SELECT * FROM kpi.why('why_deals', '1');
SELECT kpi.alter_source('why_deals', key => 'id');

-- suspended
ALTER TABLE why_deal DISABLE TRIGGER ALL;
SELECT kpi, status, detail FROM kpi.why('why_deals', '1', 'why_all');
ALTER TABLE why_deal ENABLE TRIGGER ALL;

SELECT kpi.drop_source('why_deals', cascade => true);
DROP TABLE why_deal;
SELECT kpi.drop_member('why_ann'), kpi.drop_team('why_ee'), kpi.drop_team('why_uk');
