-- Keyed sources over a CRM: what becomes of leads, of deals in their stages, and
-- of accounts.  Every KPI that stands on them is compared with test/crm/oracle.sql
-- at every team, month and quarter, before and after a day of corrections.
\getenv abs_srcdir PG_ABS_SRCDIR
\set crm :abs_srcdir /test/crm/crm.sql
\set oracle :abs_srcdir /test/crm/oracle.sql
\set ECHO none
\o /dev/null
\i :crm
\i :oracle
\o
\set ECHO all
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET datestyle = 'ISO';

CREATE TABLE crm.deal_split (deal_id bigint, owner_id text, share numeric NOT NULL, PRIMARY KEY (deal_id, owner_id));
CREATE INDEX ON crm.deal (account_id);
CREATE INDEX ON crm.deal (lead_id);
CREATE INDEX ON crm.deal (currency);
CREATE INDEX ON crm.lead (deal_id);
CREATE INDEX ON crm.subscription (account_id);
CREATE INDEX ON crm.subscription (previous_id);
CREATE INDEX ON crm.meeting (lead_id);

SELECT count(kpi.create_team(team, parent => parent))
FROM (SELECT * FROM crm.team WHERE parent IS NOT NULL ORDER BY parent <> 'company', team) t;
SELECT count(kpi.add_member(rep_id, team => team, until => nullif(until, 'infinity')))
FROM (SELECT * FROM crm.rep_team WHERE since = '-infinity' ORDER BY rep_id) m;
SELECT count(*) FROM (SELECT kpi.move_member(rep_id, team => team, since => since) FROM crm.rep_team WHERE since > '-infinity') m;

--
-- Leads, with their touches and what they were won by
--
SELECT kpi.create_source('lead_journey', key => 'lead_id', entity => 'lead_id', owner => 'owner_id', at => 'created_at', query => $$
  SELECT l.lead_id, l.owner_id, l.created_at, l.channel, l.temperature, a.first_touch_at, a.touches, a.first_conversation_at, a.first_call_at, a.refused_at,
         a.last_touch_at > a.refused_at AS recontacted, m.first_held_at, d.owner_id AS deal_owner_id, d.closed_at AS won_at,
         (SELECT count(*) FROM crm.activity x
          WHERE x.lead_id = l.lead_id AND x.kind IN ('call', 'email', 'social') AND NOT x.is_automated AND NOT x.is_inbound
                AND x.at >= l.created_at AND x.at <= d.closed_at) AS touches_to_win
  FROM crm.lead l
       LEFT JOIN LATERAL (SELECT min(x.at) FILTER (WHERE x.is_touch AND x.at >= l.created_at) AS first_touch_at,
                                 count(*) FILTER (WHERE x.is_touch AND x.at >= l.created_at) AS touches,
                                 min(x.at) FILTER (WHERE x.is_touch AND x.at >= l.created_at AND x.kind = 'call' AND x.outcome IN ('connected', 'refused')) AS first_conversation_at,
                                 min(x.at) FILTER (WHERE x.is_touch AND x.at >= l.created_at AND x.kind = 'call') AS first_call_at,
                                 max(x.at) FILTER (WHERE x.is_touch) AS last_touch_at,
                                 min(x.at) FILTER (WHERE x.outcome = 'refused') AS refused_at
                          FROM (SELECT *, kind IN ('call', 'email', 'social') AND NOT is_automated AND NOT is_inbound AS is_touch FROM crm.activity) x
                          WHERE x.lead_id = l.lead_id) a ON true
       LEFT JOIN (SELECT lead_id, min(starts_at) AS first_held_at FROM crm.meeting WHERE outcome = 'held' GROUP BY lead_id) m USING (lead_id)
       LEFT JOIN crm.deal d ON d.deal_id = l.deal_id AND d.stage = 'won' AND NOT d.is_deleted $$,
  follow => '{"crm.lead": "lead_id", "crm.activity": "lead_id", "crm.meeting": "lead_id", "crm.deal": "SELECT lead_id FROM crm.lead WHERE deal_id = changed.deal_id"}',
  dimensions => '{"temperature": "temperature", "channel": "channel", "touch_number": "least(touches_to_win, 13)::text"}') > 0 AS source;
SELECT count(kpi.create_kpi(name, source => 'lead_journey', measure => measure, filter => filter, owner => owner, at => at, unit => unit))
FROM (VALUES ('lead_response_minutes', 'avg(first_touch_at - created_at)', NULL, NULL, NULL, 'minutes'),
             ('lead_answered_within_1h_rate', $$rate(first_touch_at - created_at <= interval '1 hour', true)$$, NULL, NULL, NULL, NULL),
             ('touches_per_lead', 'ratio(touches, 1)', NULL, NULL, NULL, NULL),
             ('recontact_after_refusal_rate', 'rate(recontacted, true)', NULL, NULL, 'refused_at', NULL),
             ('won_on_touch_5_to_12_share', 'rate(touches_to_win BETWEEN 5 AND 12, true)', NULL, 'deal_owner_id', 'won_at', NULL),
             ('lead_to_win_rate', 'rate(won_at IS NOT NULL, true)', NULL, NULL, NULL, NULL),
             ('won', 'count(*)', NULL, 'deal_owner_id', 'won_at', NULL)) k (name, measure, filter, owner, at, unit);

--
-- The stays of deals in their stages, and a row a deal
--
SELECT kpi.create_source('stage_visit', key => 'id', entity => 'deal_id', owner => 'owner_id', at => 'left_at', query => $$
  SELECT h.id, h.deal_id, d.owner_id, h.stage, h.entered_at, lead(h.entered_at) OVER w AS left_at, lead(h.stage) OVER w AS next_stage
  FROM crm.deal_stage_history h JOIN crm.deal d USING (deal_id)
  WHERE NOT d.is_deleted
  WINDOW w AS (PARTITION BY h.deal_id ORDER BY h.entered_at, h.id) $$,
  follow => '{"crm.deal_stage_history": "deal_id", "crm.deal": "deal_id"}',
  dimensions => '{"stage": "stage", "next_stage": "next_stage"}') > 0 AS source;
SELECT count(kpi.create_kpi(name, source => 'stage_visit', measure => measure, filter => filter, unit => unit))
FROM (VALUES ('days_in_discovery', 'avg(left_at - entered_at)', $$stage = 'discovery'$$, 'days'),
             ('days_in_demo', 'avg(left_at - entered_at)', $$stage = 'demo'$$, 'days'),
             ('days_in_proposal', 'avg(left_at - entered_at)', $$stage = 'proposal'$$, 'days'),
             ('lost_in_discovery_share', $$rate(stage = 'discovery', true)$$, $$next_stage = 'lost'$$, NULL),
             ('lost_in_proposal_share', $$rate(stage = 'proposal', true)$$, $$next_stage = 'lost'$$, NULL),
             ('lost_in_negotiation_share', $$rate(stage = 'negotiation', true)$$, $$next_stage = 'lost'$$, NULL),
             ('lost_from', 'count(*)', $$next_stage = 'lost'$$, NULL)) k (name, measure, filter, unit);

SELECT kpi.create_source('deal_journey', key => 'deal_id', owner => 'owner_id', at => 'discovery_at', query => $$
  SELECT d.deal_id, d.owner_id, min(h.entered_at) FILTER (WHERE h.stage = 'discovery') AS discovery_at,
         min(h.entered_at) FILTER (WHERE h.stage = 'proposal') AS proposal_at,
         min(h.entered_at) FILTER (WHERE h.stage = 'negotiation') AS negotiation_at,
         min(h.entered_at) FILTER (WHERE h.stage = 'won') AS won_at
  FROM crm.deal d JOIN crm.deal_stage_history h USING (deal_id)
  WHERE NOT d.is_deleted
  GROUP BY d.deal_id $$,
  follow => '{"crm.deal_stage_history": "deal_id", "crm.deal": "deal_id"}') > 0 AS source;
SELECT count(kpi.create_kpi(name, source => 'deal_journey', measure => measure, at => at))
FROM (VALUES ('discovery_to_proposal_rate', 'rate(proposal_at >= discovery_at OR negotiation_at >= discovery_at OR won_at >= discovery_at, true)', NULL),
             ('negotiation_to_win_rate', 'rate(won_at >= negotiation_at, true)', 'negotiation_at')) k (name, measure, at);

--
-- Accounts: the deal that made a customer of them, and how long they were one
--
SELECT kpi.create_source('new_customer', key => 'account_id', owner => 'owner_id', at => 'closed_at', query => $$
  SELECT DISTINCT ON (account_id) account_id, owner_id, closed_at
  FROM crm.deal WHERE stage = 'won' AND NOT is_deleted ORDER BY account_id, closed_at, deal_id $$,
  follow => '{"crm.deal": "account_id"}') > 0 AS source;
SELECT kpi.create_kpi('new_customers', source => 'new_customer', measure => 'count(*)') > 0 AS kpi;
SELECT kpi.create_source('cost', relation => 'crm.cost', key => 'cost_id', team => 'team', at => 'month') > 0 AS source;
SELECT kpi.create_kpi('acquisition_cost', source => 'cost', measure => 'sum(amount)', filter => $$category IN ('sales', 'marketing')$$, direction => 'down') > 0 AS kpi,
       kpi.create_kpi('customer_acquisition_cost', formula => 'acquisition_cost / new_customers', direction => 'down') > 0 AS kpi;

-- days on which an account has a subscription, without a gap; who sold the first of them
SELECT kpi.create_source('customer_spell', key => 'account_id, began_on', entity => 'account_id', owner => 'owner_id', at => 'began_on', query => $$
  SELECT account_id, min(started_on) AS began_on, (array_agg(owner_id ORDER BY started_on, subscription_id))[1] AS owner_id,
         nullif(max(coalesce(ended_on, 'infinity')), 'infinity') AS ended_on,
         (array_agg(owner_id ORDER BY coalesce(ended_on, 'infinity') DESC, subscription_id))[1] AS last_owner_id
  FROM (SELECT s.*, count(*) FILTER (WHERE is_first) OVER (PARTITION BY account_id ORDER BY started_on, subscription_id) AS spell
        FROM (SELECT *, started_on > max(coalesce(ended_on, 'infinity')) OVER (PARTITION BY account_id ORDER BY started_on, subscription_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                        IS NOT FALSE AS is_first
              FROM crm.subscription WHERE started_on < ended_on OR ended_on IS NULL) s) s
  GROUP BY account_id, spell $$,
  follow => '{"crm.subscription": "account_id"}') > 0 AS source;
SELECT kpi.create_kpi('customers_won', source => 'customer_spell', measure => 'count(*)') > 0 AS kpi,
       kpi.create_kpi('customers_left', source => 'customer_spell', measure => 'count(*)', owner => 'last_owner_id', at => 'ended_on', direction => 'down') > 0 AS kpi,
       kpi.create_kpi('customer_days', source => 'customer_spell', measure => 'avg(ended_on - began_on)', owner => 'last_owner_id', at => 'ended_on') > 0 AS kpi;

--
-- Attributes of other tables: the account's segment, the day's rate, the version before
--
SELECT kpi.create_source('won_deal', key => 'deal_id', owner => 'owner_id', at => 'closed_at', query => $$
  SELECT d.deal_id, d.owner_id, d.closed_at, d.amount, a.segment,
         d.amount * CASE WHEN d.currency = 'EUR' THEN 1 ELSE (SELECT r.rate FROM crm.exchange_rate r
             WHERE r.currency = d.currency AND r.since <= (d.closed_at AT TIME ZONE 'UTC')::date ORDER BY r.since DESC LIMIT 1) END AS amount_eur
  FROM crm.deal d LEFT JOIN crm.account a USING (account_id)
  WHERE NOT d.is_deleted AND d.stage = 'won' $$,
  follow => '{"crm.deal": "deal_id", "crm.account": "SELECT deal_id FROM crm.deal WHERE account_id = changed.account_id",
              "crm.exchange_rate": "SELECT deal_id FROM crm.deal WHERE currency = changed.currency"}',
  dimensions => '{"segment": "segment"}') > 0 AS source;
SELECT kpi.create_kpi('revenue_eur', source => 'won_deal', measure => 'sum(amount_eur)') > 0 AS kpi,
       kpi.create_kpi('revenue_of_enterprise', source => 'won_deal', measure => 'sum(amount)', filter => $$segment = 'enterprise'$$) > 0 AS kpi;

SELECT kpi.create_source('expansion', key => 'subscription_id', owner => 'owner_id', at => 'started_on', query => $$
  SELECT s.subscription_id, s.owner_id, s.started_on, s.mrr - coalesce(p.mrr, 0) AS more
  FROM crm.subscription s LEFT JOIN crm.subscription p ON p.subscription_id = s.previous_id
  WHERE s.change IN ('upgrade', 'cross_sell') $$,
  follow => '{"crm.subscription": "SELECT changed.subscription_id UNION SELECT subscription_id FROM crm.subscription WHERE previous_id = changed.subscription_id"}') > 0 AS source;
SELECT kpi.create_kpi('mrr_expansion', source => 'expansion', measure => 'sum(more)') > 0 AS kpi;

--
-- A split deal: a row per share.  Shares add up to 1, so a member gets his share,
-- and a team and the company count a deal of their own people once.
--
SELECT kpi.create_source('deal_share', key => 'deal_id, owner_id', entity => 'deal_id', owner => 'owner_id', at => 'closed_at', query => $$
  SELECT d.deal_id, s.owner_id, d.closed_at, s.share, d.amount * s.share AS amount
  FROM crm.deal d JOIN crm.deal_split s USING (deal_id)
  WHERE NOT d.is_deleted AND d.stage = 'won'
  UNION ALL
  SELECT d.deal_id, coalesce(d.owner_id, ''), d.closed_at, 1, d.amount
  FROM crm.deal d
  WHERE NOT d.is_deleted AND d.stage = 'won' AND NOT EXISTS (SELECT FROM crm.deal_split s WHERE s.deal_id = d.deal_id) $$,
  follow => '{"crm.deal": "deal_id", "crm.deal_split": "deal_id"}') > 0 AS source;
SELECT kpi.create_kpi('revenue', source => 'deal_share', measure => 'sum(amount)') > 0 AS kpi,
       kpi.create_kpi('deals_won', source => 'deal_share', measure => 'sum(share)') > 0 AS kpi;

--
-- The oracle.  A customer spell day by day: an account has a subscription on
-- the day and has none on the day before, or the day after.
--
CREATE VIEW oracle.subscribed AS
SELECT s.account_id, d::date AS day, s.owner_id, s.subscription_id, s.started_on, s.ended_on
FROM crm.subscription s, generate_series(s.started_on, least(coalesce(s.ended_on, '2026-07-01'), '2026-07-01') - 1, interval '1 day') d;
CREATE VIEW oracle.customers_won AS SELECT 'customers_won'::text AS kpi, s.team, s.period, count(*)::numeric AS value
FROM (SELECT DISTINCT ON (account_id, day) * FROM oracle.subscribed f ORDER BY account_id, day, subscription_id) f
     JOIN oracle.scope s ON s.owner = coalesce(f.owner_id, '') AND s.day = f.day
WHERE NOT EXISTS (SELECT FROM crm.subscription b WHERE b.account_id = f.account_id AND b.started_on <= f.day - 1 AND (b.ended_on IS NULL OR b.ended_on > f.day - 1))
GROUP BY 2, 3;
CREATE VIEW oracle.customers_left AS SELECT 'customers_left'::text AS kpi, s.team, s.period, count(*)::numeric AS value
FROM (SELECT DISTINCT ON (account_id, ended_on) account_id, ended_on, owner_id FROM crm.subscription WHERE started_on < ended_on ORDER BY account_id, ended_on, subscription_id) f
     JOIN oracle.scope s ON s.owner = coalesce(f.owner_id, '') AND s.day = f.ended_on
WHERE NOT EXISTS (SELECT FROM crm.subscription b WHERE b.account_id = f.account_id AND b.started_on <= f.ended_on AND (b.ended_on IS NULL OR b.ended_on > f.ended_on))
GROUP BY 2, 3;
-- all days on which accounts that leave had been customers, over how many leave
CREATE VIEW oracle.customer_days AS SELECT 'customer_days'::text AS kpi, s.team, s.period, avg(f.ended_on - f.began_on) AS value
FROM (SELECT DISTINCT ON (e.account_id, e.ended_on) e.ended_on, e.owner_id,
             (SELECT max(b.started_on) FROM crm.subscription b
              WHERE b.account_id = e.account_id AND b.started_on < e.ended_on AND (b.ended_on > b.started_on OR b.ended_on IS NULL)
                    AND NOT EXISTS (SELECT FROM crm.subscription c WHERE c.account_id = b.account_id AND c.started_on <= b.started_on - 1
                                                                         AND (c.ended_on IS NULL OR c.ended_on > b.started_on - 1))) AS began_on
      FROM crm.subscription e WHERE e.started_on < e.ended_on
           AND NOT EXISTS (SELECT FROM crm.subscription c WHERE c.account_id = e.account_id AND c.started_on <= e.ended_on AND (c.ended_on IS NULL OR c.ended_on > e.ended_on))
      ORDER BY e.account_id, e.ended_on, e.subscription_id) f
     JOIN oracle.scope s ON s.owner = coalesce(f.owner_id, '') AND s.day = f.ended_on
GROUP BY 2, 3;
-- each deal to its owner where it is not split, else to each by his share
CREATE VIEW oracle.shared AS
SELECT d.deal_id, d.amount, d.closed_at, coalesce(p.owner_id, d.owner_id) AS owner_id, coalesce(p.share, 1) AS share
FROM crm.deal d LEFT JOIN crm.deal_split p USING (deal_id) WHERE d.stage = 'won' AND NOT d.is_deleted;
CREATE OR REPLACE VIEW oracle.revenue AS SELECT 'revenue'::text AS kpi, s.team, s.period, sum(f.amount * f.share) AS value
FROM oracle.shared f JOIN oracle.scope s ON s.owner = coalesce(f.owner_id, '') AND s.day = crm.day(f.closed_at) GROUP BY 2, 3;
CREATE OR REPLACE VIEW oracle.deals_won AS SELECT 'deals_won'::text AS kpi, s.team, s.period, sum(f.share) AS value
FROM oracle.shared f JOIN oracle.scope s ON s.owner = coalesce(f.owner_id, '') AND s.day = crm.day(f.closed_at) GROUP BY 2, 3;

CREATE TABLE oracle.compared (kpi text PRIMARY KEY);
INSERT INTO oracle.compared SELECT name FROM kpi.kpi WHERE name IN (SELECT viewname FROM pg_catalog.pg_views WHERE schemaname = 'oracle');

CREATE FUNCTION oracle.expected() RETURNS TABLE (kpi text, team text, period text, value numeric) LANGUAGE plpgsql AS $$
DECLARE v text;
BEGIN
    FOR v IN SELECT c.kpi FROM oracle.compared c LOOP
        RETURN QUERY EXECUTE format('SELECT kpi, team, period, value FROM oracle.%I', v);
    END LOOP;
END $$;

-- Rows that only one side has.  A quotient's last digits may differ.  Costs of
-- people without a team are 0 in a formula, and no row in the oracle.
CREATE FUNCTION oracle.difference() RETURNS TABLE (side text, kpi text, team text, period text, value numeric) LANGUAGE sql AS $$
WITH e AS MATERIALIZED (SELECT kpi, team, period, round(value, 10) AS value FROM oracle.expected()),
     a AS MATERIALIZED (SELECT v.kpi, v.team, v.period, round(v.value, 10) AS value
           FROM (SELECT kpi, team, period, value FROM kpi.team_monthly UNION ALL SELECT kpi, team, period, value FROM kpi.team_quarterly) v
                JOIN oracle.compared c USING (kpi) JOIN oracle.period p USING (period)
           WHERE v.kpi <> 'customer_acquisition_cost' OR v.team <> '(unassigned)')
SELECT * FROM (
    SELECT 'oracle', x.* FROM (TABLE e EXCEPT ALL TABLE a) x
    UNION ALL
    SELECT 'views', x.* FROM (TABLE a EXCEPT ALL TABLE e) x) d (side, kpi, team, period, value)
ORDER BY 2, 3, 4, 1 LIMIT 20
$$;
CREATE FUNCTION oracle.part_difference() RETURNS TABLE (side text, kpi text, dimension text, dimension_value text, team text, period text, value numeric) LANGUAGE sql AS $$
WITH e AS MATERIALIZED (SELECT CASE dimension WHEN 'lost_in_stage' THEN 'lost_from' ELSE kpi END AS kpi, CASE dimension WHEN 'lost_in_stage' THEN 'stage' ELSE dimension END AS dimension, dimension_value, team, period, round(value, 10) AS value
                        FROM oracle.breakdown WHERE (kpi, dimension) IN (('lead_answered_within_1h_rate', 'temperature'), ('won', 'touch_number'), ('deals_lost', 'lost_in_stage'))),
     a AS MATERIALIZED (SELECT v.kpi, v.dimension, v.dimension_value, v.team, v.period, round(v.value, 10) AS value
           FROM (SELECT kpi, dimension, dimension_value, team, period, value FROM kpi.team_breakdown_monthly
                 UNION ALL SELECT kpi, dimension, dimension_value, team, period, value FROM kpi.team_breakdown_quarterly) v
                JOIN oracle.period p USING (period)
           WHERE (kpi, dimension) IN (('lead_answered_within_1h_rate', 'temperature'), ('won', 'touch_number'), ('lost_from', 'stage')))
SELECT * FROM (
    SELECT 'oracle', x.* FROM (TABLE e EXCEPT ALL TABLE a) x
    UNION ALL
    SELECT 'views', x.* FROM (TABLE a EXCEPT ALL TABLE e) x) d (side, kpi, dimension, dimension_value, team, period, value)
ORDER BY 2, 3, 4, 5, 6, 1 LIMIT 20
$$;
-- what kpi.verify() finds in any source
CREATE FUNCTION oracle.found() RETURNS TABLE (source text, level text, stored text, expected text) LANGUAGE sql AS
$$ SELECT s.name, v.level, v.stored::text, v.expected::text FROM kpi.source s, LATERAL kpi.verify(s.name) v ORDER BY 1, 2 LIMIT 20 $$;

CALL kpi.refresh();
SELECT kpi, count(*) AS numbers FROM oracle.expected() GROUP BY kpi ORDER BY kpi;
SELECT count(*) AS parts FROM oracle.breakdown WHERE kpi IN ('lead_answered_within_1h_rate', 'won', 'deals_lost');
SELECT * FROM oracle.difference();
SELECT * FROM oracle.part_difference();
SELECT * FROM oracle.found();

--
-- A day of corrections
--
CREATE TABLE oracle.before AS SELECT * FROM oracle.expected();
CALL crm.correct();
-- nothing is computed before the refresh
SELECT count(*) > 0 AS waits FROM kpi_internal.delta;
CALL kpi.refresh();
SELECT * FROM oracle.difference();
SELECT * FROM oracle.part_difference();
SELECT * FROM oracle.found();
-- and each KPI has moved
SELECT count(DISTINCT kpi) FILTER (WHERE b.value IS DISTINCT FROM e.value) = count(DISTINCT kpi) AS moved
FROM oracle.before b FULL JOIN oracle.expected() e USING (kpi, team, period);

--
-- In parts, each with its refresh: more corrections, of everything that rows are linked by
--
INSERT INTO crm.deal_split SELECT deal_id, owner_id, 0.5 FROM crm.deal WHERE deal_id % 7 = 0 AND owner_id IS NOT NULL AND owner_id <> 'r02'
UNION ALL SELECT deal_id, 'r02', 0.5 FROM crm.deal WHERE deal_id % 7 = 0 AND owner_id IS NOT NULL AND owner_id <> 'r02';
CALL kpi.refresh('deal_share');
-- the company counts a deal once, whoever has a share of it: 0.5 and 0.5 of each
SELECT kpi, value = (SELECT count(*) FROM crm.deal WHERE stage = 'won' AND NOT is_deleted AND crm.day(closed_at) BETWEEN '2026-01-01' AND '2026-03-31') AS once
FROM kpi.team_quarterly WHERE kpi = 'deals_won' AND team = 'company' AND period = '2026-Q1';
SELECT member, value, value = (SELECT sum(share) FROM oracle.shared WHERE owner_id = member AND crm.day(closed_at) BETWEEN '2026-01-01' AND '2026-03-31') AS "his share"
FROM kpi.member_quarterly WHERE kpi = 'deals_won' AND member IN ('r01', 'r02') AND period = '2026-Q1' ORDER BY member;
-- shares change hands, and a split is given up
UPDATE crm.deal_split SET share = CASE owner_id WHEN 'r02' THEN 0.25 ELSE 0.75 END WHERE deal_id % 2 = 0;
UPDATE crm.deal_split SET owner_id = 'r03' WHERE owner_id = 'r02' AND deal_id % 3 = 0 AND NOT EXISTS (SELECT FROM crm.deal_split o WHERE o.deal_id = deal_split.deal_id AND o.owner_id = 'r03');
DELETE FROM crm.deal_split WHERE deal_id % 5 = 0;
-- leads that were won by other deals, in one transaction with these
BEGIN;
UPDATE crm.lead l SET deal_id = n.deal_id FROM crm.lead n WHERE n.lead_id = l.lead_id + 7 AND l.lead_id % 31 = 0 AND l.deal_id IS NOT NULL AND n.deal_id IS NOT NULL;
UPDATE crm.deal SET closed_at = closed_at - interval '12 days', owner_id = 'r09' WHERE deal_id % 29 = 0 AND stage = 'won';
COMMIT;
CALL kpi.refresh();
SELECT * FROM oracle.difference();
-- deleted deals are back, accounts have merged, a segment was wrong
UPDATE crm.deal SET is_deleted = false WHERE is_deleted AND deal_id % 2 = 0;
UPDATE crm.deal SET account_id = account_id / 2 WHERE account_id % 50 = 0;
UPDATE crm.account SET segment = 'enterprise' WHERE account_id % 40 = 0;
DELETE FROM crm.account WHERE account_id % 90 = 0;
CALL kpi.refresh();
DELETE FROM crm.deal_stage_history WHERE id % 97 = 0;
UPDATE crm.deal_stage_history SET deal_id = deal_id + 1 WHERE id % 113 = 0;
DELETE FROM crm.activity WHERE activity_id % 59 = 0;
UPDATE crm.subscription SET ended_on = started_on + 1, end_reason = 'price' WHERE subscription_id % 37 = 0;
CALL kpi.refresh('lead_journey');
CALL kpi.refresh();
SELECT * FROM oracle.difference();
SELECT * FROM oracle.part_difference();
SELECT * FROM oracle.found();
-- tables that are emptied, and are not after all
BEGIN;
TRUNCATE crm.meeting, crm.deal_split;
CALL kpi.refresh();
SELECT * FROM oracle.difference();
ROLLBACK;

--
-- Leave nothing behind
--
\o /dev/null
SELECT kpi.drop_kpi('customer_acquisition_cost');
SELECT kpi.drop_source(name, cascade => true) FROM kpi.source;
SELECT kpi.drop_member(rep_id) FROM crm.rep;
SELECT kpi.drop_team(team) FROM (SELECT * FROM crm.team WHERE parent IS NOT NULL ORDER BY parent = 'company', team) t;
CALL kpi.refresh();
\o
DROP SCHEMA crm, oracle CASCADE;
SELECT key FROM kpi.team ORDER BY id;
