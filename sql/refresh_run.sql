--
-- Refresh: exactly once, what it follows, what suspends a source
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';

CREATE SCHEMA rf;
CREATE TABLE rf.deals (
    id bigint PRIMARY KEY,
    owner text,
    stage text,
    amount numeric(12,2),
    product text,
    created_at timestamptz,
    closed_at timestamptz
);
INSERT INTO rf.deals
SELECT i, (ARRAY['ann', 'bob', 'eve', NULL])[1 + i % 4], (ARRAY['won', 'lost', 'open'])[1 + i % 3],
       (i % 100) + 0.25, (ARRAY['p', 'q', NULL])[1 + i % 3],
       timestamptz '2026-01-01 12:00+00' + (i % 200) * interval '1 day',
       CASE WHEN i % 3 < 2 THEN timestamptz '2026-01-05 12:00+00' + (i % 200) * interval '1 day' END
FROM generate_series(1, 1000) i;

SELECT kpi.create_team('north') IS NOT NULL AS team, kpi.create_team('alps', parent => 'north') IS NOT NULL AS team;
SELECT kpi.add_member('ann', team => 'north') IS NOT NULL AS member, kpi.add_member('bob', team => 'alps') IS NOT NULL AS member;
SELECT kpi.create_source('rf', relation => 'rf.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product"}') IS NOT NULL AS source;
SELECT count(kpi.create_kpi(name, source => 'rf', measure => measure, filter => filter, at => at))
FROM (VALUES ('rf_revenue', 'sum(amount)', $$stage = 'won'$$, NULL),
             ('rf_won', 'count(*)', $$stage = 'won'$$, NULL),
             ('rf_size', 'avg(amount)', $$stage = 'won'$$, NULL),
             ('rf_rate', $$rate(stage = 'won', stage IN ('won', 'lost'))$$, NULL, NULL),
             ('rf_ratio', 'ratio(amount, 10)', NULL, NULL),
             ('rf_opened', 'count(*)', NULL, 'created_at')) k(name, measure, filter, at);
SELECT kpi.create_kpi('rf_mean', formula => 'rf_revenue / rf_won') IS NOT NULL AS kpi;

CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');

-- What the facts amount to in plain SQL: the rows that only one side has.  The
-- settings are what the definitions say at the moment.
SET rf.won = 'won';
SET rf.left_out = 'nothing';
SET rf.time_zone = 'UTC';
SET rf.week_start = 0;
SET rf.year_start = 0;
CREATE FUNCTION rf.difference() RETURNS TABLE (side text, kpi text, scope text, grain text, period_start date, value numeric, facts bigint)
LANGUAGE sql AS $$
WITH RECURSIVE fact AS (
    SELECT k.kpi, d.owner, k.num, k.den, (k.at AT TIME ZONE current_setting('rf.time_zone'))::date AS day
    FROM (SELECT *, nullif(amount, 'NaN') AS sum, (amount <> 'NaN')::int AS one FROM rf.deals) d,
         LATERAL (VALUES ('rf_revenue', closed_at, stage = 'won', sum, NULL),
                         ('rf_won', closed_at, stage = ANY (string_to_array(current_setting('rf.won'), ' ')), 1, NULL),
                         ('rf_size', closed_at, stage = 'won', coalesce(sum, 0), one),
                         ('rf_rate', closed_at, stage IN ('won', 'lost'), (stage = 'won')::int, 1),
                         ('rf_ratio', closed_at, true, coalesce(sum, 0), 10 * one),
                         ('rf_opened', created_at, true, 1, NULL)) k (kpi, at, counts, num, den)
    WHERE k.counts AND isfinite(k.at) AND coalesce(d.product, '') <> current_setting('rf.left_out')
), placed AS (
    SELECT f.*, p.key AS member, coalesce(m.team_id, 2) AS team_id
    FROM fact f LEFT JOIN kpi.member p ON p.key = f.owner
         LEFT JOIN kpi.membership m ON m.member_id = p.id AND f.day <@ daterange(m.since, m.until)
), up AS (
    SELECT DISTINCT day, team_id, team_id AS ancestor_id FROM placed
    UNION
    SELECT u.day, u.team_id, t.parent_id FROM up u JOIN kpi.team_parent t ON t.team_id = u.ancestor_id AND u.day <@ daterange(t.since, t.until)
), scoped AS (
    SELECT p.*, 'team ' || t.key AS scope FROM placed p JOIN up USING (day, team_id) JOIN kpi.team t ON t.id = up.ancestor_id
    UNION ALL
    SELECT p.*, 'member ' || p.member FROM placed p WHERE p.member IS NOT NULL
), number AS (
    SELECT kpi, scope, grain,
           CASE WHEN grain = 'week' THEN date_trunc('week', (day - w)::timestamp)::date + w
                WHEN grain IN ('quarter', 'year') THEN (date_trunc(grain, day - y) + y)::date
                ELSE date_trunc(grain, day::timestamp)::date END AS start,
           CASE WHEN count(den) = 0 THEN sum(num) ELSE sum(num) / nullif(sum(den), 0) END AS value, count(*) AS facts
    FROM scoped, unnest(ARRAY['day', 'week', 'month', 'quarter', 'year']) AS grain,
         (SELECT current_setting('rf.week_start')::int AS w, make_interval(months => current_setting('rf.year_start')::int) AS y) s
    GROUP BY 1, 2, 3, 4
), expected AS (
    SELECT kpi, scope, grain, start, round(value, 6) AS value, facts FROM number
    UNION ALL
    SELECT 'rf_mean', scope, grain, start, round(coalesce(r.value, 0) / nullif(coalesce(w.value, 0), 0), 6), coalesce(r.facts, 0) + coalesce(w.facts, 0)
    FROM (SELECT * FROM number WHERE kpi = 'rf_revenue') r
    FULL JOIN (SELECT * FROM number WHERE kpi = 'rf_won') w USING (scope, grain, start)
), actual AS (
    SELECT kpi, scope, grain, period_start, round(value, 6), facts
    FROM (SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_daily UNION ALL
          SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_weekly UNION ALL
          SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_monthly UNION ALL
          SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_quarterly UNION ALL
          SELECT kpi, 'team ' || team, grain, period_start, value, facts FROM kpi.team_yearly UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_daily UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_weekly UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_monthly UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_quarterly UNION ALL
          SELECT kpi, 'member ' || member, grain, period_start, value, facts FROM kpi.member_yearly) v (kpi, scope, grain, period_start, value, facts)
    WHERE kpi IN ('rf_revenue', 'rf_won', 'rf_size', 'rf_rate', 'rf_ratio', 'rf_opened', 'rf_mean')
)
SELECT * FROM (
    (SELECT 'facts', * FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM actual) x)
    UNION ALL
    (SELECT 'views', * FROM (SELECT * FROM actual EXCEPT ALL SELECT * FROM expected) x)) d
-- what a formula of nothing but NaN is: see formula.sql
WHERE kpi <> 'rf_mean' OR value <> 0
ORDER BY 2, 3, 4, 5, 1 LIMIT 20
$$;
SELECT * FROM rf.difference();

-- The whole company, from the facts and as stored
CREATE VIEW rf.company AS
SELECT k.name AS kpi, v.grain, v.period, round(v.value, 6) AS value, v.facts
FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id JOIN kpi.team t ON t.id = v.team_id
WHERE t.key = 'company' AND k.name LIKE 'rf%';
SELECT kpi, period, value, facts FROM rf.company WHERE grain = 'quarter' ORDER BY kpi, period;
SELECT sum(amount) FILTER (WHERE stage = 'won') AS revenue, count(*) FILTER (WHERE stage = 'won') AS won,
       round(avg(amount) FILTER (WHERE stage = 'won'), 6) AS size,
       round(count(*) FILTER (WHERE stage = 'won')::numeric / count(*), 6) AS rate,
       round(sum(amount) / (count(*) * 10), 6) AS ratio
FROM rf.deals WHERE closed_at IS NOT NULL GROUP BY date_trunc('quarter', closed_at) ORDER BY date_trunc('quarter', closed_at);

-- Every change is followed
INSERT INTO rf.deals VALUES (2001, 'ann', 'won', 1000000000000.01 - 999999999999, 'p', '2026-03-01', '2026-03-02');
UPDATE rf.deals SET amount = amount * 2, owner = 'eve' WHERE id % 7 = 0;
DELETE FROM rf.deals WHERE id % 11 = 0;
SELECT count(*) > 0 AS captured FROM kpi_internal.delta;
CALL kpi.refresh();
SELECT count(*) AS left_in_queue FROM kpi_internal.delta;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- Inside a transaction: what if; then as if nothing had happened
SELECT value FROM rf.company WHERE kpi = 'rf_won' AND period = '2026';
BEGIN;
UPDATE rf.deals SET stage = 'won' WHERE closed_at IS NOT NULL;
SAVEPOINT a;
DELETE FROM rf.deals WHERE owner = 'ann';
CALL kpi.refresh();
SELECT value = (SELECT count(*) FROM rf.deals WHERE closed_at IS NOT NULL) AS sees_all FROM rf.company WHERE kpi = 'rf_won' AND period = '2026';
ROLLBACK TO a;
CALL kpi.refresh();
SELECT value = (SELECT count(*) FROM rf.deals WHERE closed_at IS NOT NULL) AS sees_all FROM rf.company WHERE kpi = 'rf_won' AND period = '2026';
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
CALL kpi.refresh();
ROLLBACK;
SELECT value FROM rf.company WHERE kpi = 'rf_won' AND period = '2026';
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL kpi.refresh();
ROLLBACK;
BEGIN READ ONLY;
CALL kpi.refresh();
ROLLBACK;

-- Transfers: the days before keep their team
SELECT kpi.move_member('ann', team => 'alps', since => '2026-04-01');
SELECT kpi.add_member('eve', team => 'north') IS NOT NULL AS member;
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT t.key, v.period, v.value FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id JOIN kpi.team t ON t.id = v.team_id
WHERE k.name = 'rf_won' AND v.grain = 'quarter' ORDER BY 1, 2;
SELECT CASE WHEN owner = 'bob' OR owner = 'ann' AND closed_at >= '2026-04-01' THEN 'alps'
            WHEN owner IN ('ann', 'eve') THEN 'north' ELSE '(unassigned)' END COLLATE "C" AS key,
       to_char(closed_at, 'YYYY"-Q"Q') AS period, count(*)
FROM rf.deals WHERE stage = 'won' AND closed_at IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2;
SELECT kpi.move_team('alps', parent => 'company', since => '2026-06-01');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.drop_member('eve');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- New and changed KPIs are built by the next refresh; dropped ones go at once
SELECT kpi.create_kpi('rf_lost', source => 'rf', measure => 'count(*)', filter => $$stage = 'lost'$$) IS NOT NULL AS kpi;
SELECT kpi.alter_kpi('rf_won', filter => $$stage IN ('won', 'lost')$$);
SET rf.won = 'won lost';
INSERT INTO rf.deals VALUES (2002, 'bob', 'lost', 5, NULL, '2026-03-01', '2026-03-02');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi, value FROM rf.company WHERE grain = 'year' ORDER BY kpi;
SELECT count(*) FILTER (WHERE stage = 'lost') AS lost, count(*) FILTER (WHERE stage IN ('won', 'lost')) AS won FROM rf.deals WHERE closed_at IS NOT NULL;
SELECT kpi.drop_kpi('rf_lost');
SELECT count(*) FROM rf.company WHERE kpi = 'rf_lost';
SELECT kpi.alter_source('rf', filter => $$coalesce(product, '') <> 'q'$$);
SET rf.left_out = 'q';
UPDATE rf.deals SET product = 'q' WHERE id < 50;
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.alter_source('rf', dimensions => '{"size": "CASE WHEN amount > 50 THEN ''large'' ELSE ''small'' END", "stage": "stage"}');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT b.dimension, b.dimension_value, b.value FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id
WHERE k.name = 'rf_opened' AND b.grain = 'year' AND b.team_id = 1 ORDER BY 1, 2;
SELECT 'size' AS dimension, CASE WHEN amount > 50 THEN 'large' ELSE 'small' END AS dimension_value, count(*) FROM rf.deals WHERE coalesce(product, '') <> 'q' GROUP BY 2
UNION ALL SELECT 'stage', stage, count(*) FROM rf.deals WHERE coalesce(product, '') <> 'q' GROUP BY 2 ORDER BY 1, 2;

-- The calendar: other weeks, other years, other days
SELECT kpi.alter_calendar('default', week_start => 'sunday', fiscal_year_start => 4);
SET rf.week_start = -1;
SET rf.year_start = 3;
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi, period, value FROM rf.company WHERE kpi = 'rf_won' AND grain = 'year' ORDER BY period;
-- a quarter that begins on the same day has another name
SELECT DISTINCT v.period, d.quarter, v.period_start FROM kpi.kpi_value v
  JOIN kpi.calendar_day d ON d.calendar_id = 1 AND d.day = v.period_start WHERE v.grain = 'quarter' ORDER BY 3;
SELECT count(*) FROM kpi.kpi_breakdown v
  JOIN kpi.calendar_day d ON d.calendar_id = 1 AND d.day = v.period_start WHERE v.grain = 'quarter' AND v.period <> d.quarter;
SELECT kpi.alter_calendar('default', week_start => 'monday', fiscal_year_start => 1, time_zone => 'Pacific/Kiritimati');
SET rf.week_start = 0;
SET rf.year_start = 0;
SET rf.time_zone = 'Pacific/Kiritimati';
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.alter_calendar('default', time_zone => 'UTC');
SET rf.time_zone = 'UTC';
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- Facts that no KPI can take: ignored and counted, in scans as in capture
SELECT kpi.create_kpi('rf_inverse', source => 'rf', measure => 'sum(1 / (amount - 5))') IS NOT NULL AS kpi;
CALL kpi.refresh();
SELECT facts_ignored, last_fact_error FROM kpi.source_status WHERE source = 'rf';
SELECT count(*) FROM rf.deals WHERE amount = 5 AND closed_at IS NOT NULL AND coalesce(product, '') <> 'q';
UPDATE rf.deals SET amount = 5 WHERE id IN (100, 101);
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
UPDATE rf.deals SET amount = 6 WHERE amount = 5;
INSERT INTO rf.deals VALUES (2003, 'bob', 'won', 'NaN', NULL, '2026-03-01', '2026-03-02'), (2004, 'bob', 'won', 1, NULL, '2026-03-01', 'infinity');
CALL kpi.refresh();
SELECT facts_ignored, nonfinite_inputs FROM kpi.source_status WHERE source = 'rf';
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.drop_kpi('rf_inverse');

-- Damage is found and mended
UPDATE kpi.kpi_value SET value = value + 1 WHERE kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'rf_won') AND grain = 'year' AND team_id = 1;
DELETE FROM kpi_internal.rollup_cell WHERE scope_kind = 2;
DELETE FROM kpi_internal.day_cell WHERE day = '2026-03-02';
SELECT level, count(*) > 0 AS found FROM kpi.verify('rf') GROUP BY level ORDER BY level;
SELECT level, kpi, scope, grain, period_start, expected FROM kpi.verify('rf') WHERE level = 'value' AND kpi = 'rf_won' AND grain = 'year' AND scope = 'team company';
SELECT kpi.repair('rf') > 0 AS mended;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.repair('rf');

-- TRUNCATE, and DDL that is followed
TRUNCATE rf.deals;
CALL kpi.refresh();
SELECT count(*) FROM rf.company;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
INSERT INTO rf.deals SELECT i, 'ann', 'won', i + 0.55, 'p', '2026-02-01', '2026-02-02' FROM generate_series(1, 10) i;
CALL kpi.refresh();
ALTER TABLE rf.deals ALTER amount TYPE numeric(12, 1);
CALL kpi.refresh();
SELECT value FROM rf.company WHERE kpi = 'rf_revenue' AND grain = 'year';
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SET client_min_messages = error;

-- DDL that suspends: the numbers stay, the status says why, resume mends
CREATE FUNCTION rf.show() RETURNS TABLE (status text, reason text, hint text, revenue numeric) LANGUAGE sql AS
$$ SELECT s.status, s.reason, s.hint, (SELECT value FROM rf.company WHERE kpi = 'rf_revenue' AND grain = 'year') FROM kpi.source_status s WHERE s.source = 'rf' $$;
ALTER TABLE rf.deals DISABLE TRIGGER ALL;
INSERT INTO rf.deals VALUES (11, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
SELECT source_name, level, stored, expected FROM kpi.verify('rf');
SELECT kpi.repair('rf');
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT * FROM rf.show();

ALTER TABLE rf.deals RENAME TO deals_old;
INSERT INTO rf.deals_old VALUES (12, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
ALTER TABLE rf.deals_old RENAME TO deals;
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT * FROM rf.show();

ALTER TABLE rf.deals RENAME TO deals_old;
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
CREATE TABLE rf.deals (LIKE rf.deals_old INCLUDING ALL);
INSERT INTO rf.deals SELECT * FROM rf.deals_old LIMIT 3;
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT revenue = (SELECT sum(amount) FROM rf.deals) AS rebuilt FROM rf.show();
INSERT INTO rf.deals_old VALUES (13, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
INSERT INTO rf.deals VALUES (14, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf');
SELECT revenue = (SELECT sum(amount) FROM rf.deals) AS right FROM rf.show();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

ALTER TABLE rf.deals RENAME COLUMN amount TO sum;
INSERT INTO rf.deals VALUES (15, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf');
SELECT status, reason, hint FROM rf.show();
ALTER TABLE rf.deals RENAME COLUMN sum TO amount;
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT status, revenue = (SELECT sum(amount) FROM rf.deals) AS right FROM rf.show();
ALTER TABLE rf.deals ALTER amount TYPE text;
CALL kpi.refresh('rf');
SELECT status, reason FROM rf.show();
ALTER TABLE rf.deals ALTER amount TYPE numeric USING amount::numeric;
DROP TABLE rf.deals;
CALL kpi.refresh('rf');
SELECT status FROM rf.show();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');

-- Partitions: attached ones are followed, detached ones suspend
CREATE TABLE rf.deals (LIKE rf.deals_old) PARTITION BY RANGE (closed_at);
CREATE TABLE rf.deals_q1 PARTITION OF rf.deals FOR VALUES FROM ('2026-01-01') TO ('2026-04-01');
CREATE TABLE rf.deals_q2 (closed_at timestamptz, extra text, id bigint NOT NULL, owner text, stage text, amount numeric(12, 1),
                          product text, created_at timestamptz);
ALTER TABLE rf.deals_q2 DROP COLUMN extra;
INSERT INTO rf.deals_q2 VALUES ('2026-05-01', 1, 'bob', 'won', 7, 'p', '2026-04-01');
INSERT INTO rf.deals VALUES (2, 'ann', 'won', 3, 'p', '2026-02-01', '2026-02-02');
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
ALTER TABLE rf.deals ATTACH PARTITION rf.deals_q2 FOR VALUES FROM ('2026-04-01') TO ('2026-07-01');
INSERT INTO rf.deals VALUES (3, 'ann', 'won', 3, 'p', '2026-02-01', '2026-05-02');
CALL kpi.refresh('rf');
SELECT status, revenue, (SELECT sum(amount) FROM rf.deals) AS facts FROM rf.show();
INSERT INTO rf.deals_q2 VALUES ('2026-05-01', 4, 'bob', 'won', 11, 'p', '2026-04-01');
UPDATE rf.deals SET closed_at = '2026-06-01', amount = 5 WHERE id = 2;
CALL kpi.refresh('rf');
SELECT status, revenue, (SELECT sum(amount) FROM rf.deals) AS facts FROM rf.show();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
TRUNCATE rf.deals_q2;
CALL kpi.refresh('rf');
SELECT status, revenue, (SELECT sum(amount) FROM rf.deals) AS facts FROM rf.show();
INSERT INTO rf.deals VALUES (5, 'ann', 'won', 3, 'p', '2026-02-01', '2026-05-02');
CALL kpi.refresh('rf');
ALTER TABLE rf.deals DETACH PARTITION rf.deals_q2;
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
TRUNCATE rf.deals_q2;
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT status, revenue, (SELECT sum(amount) FROM rf.deals) AS facts FROM rf.show();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- A definer who is gone or has lost the rights
CREATE ROLE rf_definer;
SELECT kpi.grant_editor('rf_definer');
GRANT USAGE ON SCHEMA rf TO rf_definer;
ALTER TABLE rf.deals_old OWNER TO rf_definer;
SET ROLE rf_definer;
SELECT kpi.create_source('rf_own', relation => 'rf.deals_old', owner => 'owner', at => 'closed_at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf_own_count', source => 'rf_own', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh('rf_own');
SELECT * FROM kpi.verify('rf_own');
RESET ROLE;
ALTER TABLE rf.deals_old OWNER TO CURRENT_USER;
REVOKE ALL ON rf.deals_old FROM rf_definer;
INSERT INTO rf.deals_old VALUES (16, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf_own');
SELECT status, reason, hint FROM kpi.source_status WHERE source = 'rf_own';
GRANT SELECT, TRIGGER ON rf.deals_old TO rf_definer;
SELECT kpi.resume('rf_own');
CALL kpi.refresh('rf_own');
SELECT status FROM kpi.source_status WHERE source = 'rf_own';
SELECT * FROM kpi.verify();

-- Partitions that others make are attached by anybody's refresh; resuming is the definer's
CREATE ROLE rf_other;
SELECT kpi.grant_editor('rf_other');
CREATE SCHEMA rf2 AUTHORIZATION rf_definer;
SET ROLE rf_definer;
CREATE TABLE rf2.facts (id int, at date) PARTITION BY RANGE (at);
SELECT kpi.create_source('rf2', relation => 'rf2.facts', at => 'at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf2_count', source => 'rf2', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh('rf2');
RESET ROLE;
CREATE TABLE rf2.facts_2026 PARTITION OF rf2.facts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO rf2.facts VALUES (1, '2026-05-05');
SET ROLE rf_other;
CALL kpi.refresh('rf2');
SELECT kpi.resume('rf2');
CALL kpi.refresh('rf2');
SET ROLE rf_definer;
SELECT kpi.resume('rf2');
CALL kpi.refresh('rf2');
RESET ROLE;
SELECT * FROM kpi.verify('rf2');
SELECT kpi.drop_source('rf2', cascade => true);
SELECT kpi.revoke_editor('rf_other');
DROP SCHEMA rf2 CASCADE;
DROP OWNED BY rf_other;
DROP ROLE rf_other;

-- One source's error holds no other back, and is shown until it is refreshed.
CREATE TABLE rf.bad (at date);
CREATE TABLE rf.good (at date);
SELECT kpi.create_source('rf_bad', relation => 'rf.bad', at => 'at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf_bad', source => 'rf_bad', measure => 'count(*)') IS NOT NULL AS kpi;
SELECT kpi.create_source('rf_good', relation => 'rf.good', at => 'at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf_good', source => 'rf_good', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh();
CREATE FUNCTION rf.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.source_id = (SELECT id FROM kpi.source WHERE name = 'rf_bad') AND NEW.refreshed_at <> OLD.refreshed_at THEN
        RAISE 'out of order' USING DETAIL = 'A detail.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE UPDATE ON kpi_internal.source_state FOR EACH ROW EXECUTE FUNCTION rf.fail();
INSERT INTO rf.bad VALUES ('2026-01-01');
INSERT INTO rf.good VALUES ('2026-01-01');
SET client_min_messages = warning;
CALL kpi.refresh();
SET client_min_messages = error;
CALL kpi.refresh();
CREATE VIEW rf.both AS
SELECT k.name, v.value FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id
WHERE k.name IN ('rf_bad', 'rf_good') AND v.team_id = 1 AND v.grain = 'year' ORDER BY 1;
SELECT * FROM rf.both;
SELECT source, status, failures, last_sqlstate, last_error, pending_deltas FROM kpi.source_status
WHERE source LIKE 'rf\_%d' ORDER BY source;
\set SHOW_CONTEXT never
CALL kpi.refresh('rf_bad');
\unset SHOW_CONTEXT
-- In a transaction.
BEGIN;
INSERT INTO rf.good VALUES ('2026-01-02');
CALL kpi.refresh();
SELECT * FROM rf.both;
ROLLBACK;
DROP TRIGGER fail ON kpi_internal.source_state;
CALL kpi.refresh();
SELECT * FROM rf.both;
SELECT failures, last_sqlstate, last_error FROM kpi.source_status WHERE source = 'rf_bad';
SELECT * FROM kpi.verify();
SELECT kpi.drop_source('rf_bad', cascade => true), kpi.drop_source('rf_good', cascade => true);

-- Mistakes
CALL kpi.refresh('nothing');
SELECT * FROM kpi.verify('nothing');
SELECT kpi.repair('nothing');
SELECT kpi.resume('nothing');

SELECT kpi.drop_source('rf_own', cascade => true), kpi.drop_source('rf', cascade => true);
SELECT count(*) FROM kpi_internal.day_cell;
SELECT count(*) FROM kpi_internal.rollup_cell;
SELECT count(*) FROM kpi.kpi_value;
SELECT count(*) FROM kpi.kpi_breakdown;
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
SELECT kpi.revoke_editor('rf_definer');
BEGIN;
CREATE TABLE rf.facts (at date);
SELECT kpi.create_source('rf_gone', relation => 'rf.facts', at => 'at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf_gone_count', source => 'rf_gone', measure => 'count(*)') IS NOT NULL AS kpi;
INSERT INTO rf.facts VALUES ('2026-01-01');
SELECT kpi.drop_source('rf_gone', cascade => true);
COMMIT;
SELECT count(*) AS left_in_queue FROM kpi_internal.delta;
CALL kpi.refresh();
SELECT count(*) AS left_in_queue FROM kpi_internal.delta;
DROP SCHEMA rf CASCADE;
DROP OWNED BY rf_definer;
DROP ROLE rf_definer;
CALL kpi.refresh();
