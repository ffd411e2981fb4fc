-- The KPIs of oracle.sql as somebody declares them, one definition each (acceptance.definition), over the sources of crm.sql.
-- After crm.sql and oracle.sql, with the organisation in place.
CREATE INDEX ON crm.lead (deal_id);
CREATE INDEX ON crm.deal (account_id);
CREATE INDEX ON crm.meeting (lead_id);
CREATE INDEX ON crm.subscription (previous_id);

SELECT kpi.create_team(team, parent => parent) FROM (SELECT * FROM crm.team WHERE parent IS NOT NULL ORDER BY parent <> 'company', team) t;
SELECT kpi.add_member(rep_id, team => team, until => nullif(until, 'infinity')) FROM (SELECT * FROM crm.rep_team WHERE since = '-infinity' ORDER BY rep_id) m;
SELECT kpi.move_member(rep_id, team => team, since => since) FROM crm.rep_team WHERE since > '-infinity';

SELECT kpi.create_lookup('account_segment', relation => 'crm.account', key => 'account_id', value => 'segment');
SELECT kpi.create_lookup('subscription_mrr', relation => 'crm.subscription', key => 'subscription_id', value => 'mrr');

SELECT kpi.create_source('deals', relation => 'crm.deal', key => 'deal_id', owner => 'owner_id', at => 'closed_at', filter => 'NOT is_deleted',
    dimensions => '{"product": "product_id", "deal_type": "deal_type"}');
SELECT kpi.create_source('orders', relation => 'crm.order_line', key => 'line_id', owner => 'owner_id', at => 'ordered_at',
    dimensions => '{"location": "location", "product": "product_id"}');
SELECT kpi.create_source('activities', relation => 'crm.activity', key => 'activity_id', owner => 'owner_id', at => 'at');
SELECT kpi.create_source('meetings', relation => 'crm.meeting', key => 'meeting_id', owner => 'owner_id', at => 'starts_at');
SELECT kpi.create_source('leads', relation => 'crm.lead', key => 'lead_id', owner => 'owner_id', at => 'created_at', dimensions => '{"channel": "channel"}');
SELECT kpi.create_source('collateral', relation => 'crm.collateral_usage', key => 'id', owner => 'owner_id', at => 'used_at');
SELECT kpi.create_source('tools', relation => 'crm.tool_usage', key => 'id', owner => 'owner_id', at => 'used_at');
SELECT kpi.create_source('work', relation => 'crm.work_log', owner => 'rep_id', at => 'day');
SELECT kpi.create_source('feedback', relation => 'crm.feedback', key => 'feedback_id', owner => 'owner_id', at => 'given_at');
SELECT kpi.create_source('subscriptions', relation => 'crm.subscription', key => 'subscription_id', owner => 'owner_id', at => 'started_on',
    dimensions => '{"product": "product_id", "end_reason": "end_reason"}');
SELECT kpi.create_source('costs', relation => 'crm.cost', key => 'cost_id', team => 'team', at => 'month');

SELECT kpi.create_source('lead_journeys', key => 'lead_id', owner => 'owner_id', at => 'created_at', query => $$
  SELECT l.lead_id, l.owner_id, l.created_at, l.channel, l.temperature, a.first_touch_at, a.touches, a.refused_at,
         a.last_touch_at > a.refused_at AS recontacted, d.owner_id AS deal_owner_id, d.closed_at AS won_at,
         (SELECT count(*) FROM crm.activity x
          WHERE x.lead_id = l.lead_id AND x.kind IN ('call', 'email', 'social') AND NOT x.is_automated AND NOT x.is_inbound
                AND x.at >= l.created_at AND x.at <= d.closed_at) AS touches_to_win
  FROM crm.lead l
       LEFT JOIN LATERAL (SELECT min(x.at) FILTER (WHERE x.is_touch AND x.at >= l.created_at) AS first_touch_at,
                                 count(*) FILTER (WHERE x.is_touch AND x.at >= l.created_at) AS touches,
                                 max(x.at) FILTER (WHERE x.is_touch) AS last_touch_at,
                                 min(x.at) FILTER (WHERE x.outcome = 'refused') AS refused_at
                          FROM (SELECT *, kind IN ('call', 'email', 'social') AND NOT is_automated AND NOT is_inbound AS is_touch FROM crm.activity) x
                          WHERE x.lead_id = l.lead_id) a ON true
       LEFT JOIN crm.deal d ON d.deal_id = l.deal_id AND d.stage = 'won' AND NOT d.is_deleted $$,
  follow => '{"crm.lead": "lead_id", "crm.activity": "lead_id", "crm.deal": "SELECT lead_id FROM crm.lead WHERE deal_id = changed.deal_id"}',
  dimensions => '{"temperature": "temperature", "touch_number": "least(touches_to_win, 13)::text"}');
SELECT kpi.create_source('stage_visits', key => 'id', entity => 'deal_id', owner => 'owner_id', at => 'left_at', query => $$
  SELECT h.id, h.deal_id, d.owner_id, h.stage, h.entered_at, lead(h.entered_at) OVER w AS left_at, lead(h.stage) OVER w AS next_stage
  FROM crm.deal_stage_history h JOIN crm.deal d USING (deal_id)
  WHERE NOT d.is_deleted
  WINDOW w AS (PARTITION BY h.deal_id ORDER BY h.entered_at, h.id) $$,
  follow => '{"crm.deal_stage_history": "deal_id", "crm.deal": "deal_id"}', dimensions => '{"lost_in_stage": "stage"}');
SELECT kpi.create_source('deal_journeys', key => 'deal_id', owner => 'owner_id', at => 'discovery_at', query => $$
  SELECT d.deal_id, d.owner_id, min(h.entered_at) FILTER (WHERE h.stage = 'discovery') AS discovery_at,
         min(h.entered_at) FILTER (WHERE h.stage = 'proposal') AS proposal_at,
         min(h.entered_at) FILTER (WHERE h.stage = 'negotiation') AS negotiation_at,
         min(h.entered_at) FILTER (WHERE h.stage = 'won') AS won_at
  FROM crm.deal d JOIN crm.deal_stage_history h USING (deal_id)
  WHERE NOT d.is_deleted
  GROUP BY d.deal_id $$, follow => '{"crm.deal_stage_history": "deal_id", "crm.deal": "deal_id"}');
SELECT kpi.create_source('first_deals', key => 'account_id', owner => 'owner_id', at => 'closed_at', query => $$
  SELECT DISTINCT ON (account_id) account_id, owner_id, closed_at
  FROM crm.deal WHERE stage = 'won' AND NOT is_deleted ORDER BY account_id, closed_at, deal_id $$,
  follow => '{"crm.deal": "account_id"}');

CREATE SCHEMA acceptance;
CREATE TABLE acceptance.definition (position serial, name text PRIMARY KEY, source text, measure text, filter text, owner text, at text, until text, unit text);
INSERT INTO acceptance.definition (name, source, measure, filter, owner, at, until, unit) VALUES
('revenue', 'deals', 'sum(amount)', $$stage = 'won'$$, NULL, NULL, NULL, NULL),
('revenue_eur', 'deals', 'sum(amount, currency => currency)', $$stage = 'won'$$, NULL, NULL, NULL, NULL),
('revenue_of_enterprise', 'deals', 'sum(amount)', $$stage = 'won' AND lookup('account_segment', account_id) = 'enterprise'$$, NULL, NULL, NULL, NULL),
('deals_won', 'deals', 'count(*)', $$stage = 'won'$$, NULL, NULL, NULL, NULL),
('deals_lost', 'deals', 'count(*)', $$stage = 'lost'$$, NULL, NULL, NULL, NULL),
('deals_created', 'deals', 'count(*)', NULL, NULL, 'created_at', NULL, NULL),
('pipeline_generated', 'deals', 'sum(amount)', NULL, 'sdr_id', 'created_at', NULL, NULL),
('win_rate', 'deals', $$rate(stage = 'won', stage IN ('won', 'lost'))$$, NULL, NULL, NULL, NULL, NULL),
('average_deal_size', 'deals', 'avg(amount)', $$stage = 'won'$$, NULL, NULL, NULL, NULL),
('profit_margin', 'deals', 'ratio(amount - cost, amount)', $$stage = 'won'$$, NULL, NULL, NULL, NULL),
('sales_cycle_days', 'deals', 'avg(closed_at - created_at)', $$stage = 'won'$$, NULL, NULL, NULL, 'days'),
('largest_deal', 'deals', 'max(amount)', $$stage = 'won'$$, NULL, NULL, NULL, NULL),
('opportunity_to_win_rate', 'deals', $$rate(stage = 'won', true)$$, NULL, NULL, 'created_at', NULL, NULL),
('won_within_60_days_rate', 'deals', $$rate(stage = 'won' AND closed_at - created_at < interval '60 days', true)$$, NULL, NULL, 'created_at', NULL, NULL),
('open_deals', 'deals', 'balance(1)', NULL, NULL, 'created_at', 'closed_at', NULL),
('pipeline_value', 'deals', 'balance(amount)', NULL, NULL, 'created_at', 'closed_at', NULL),
('units_sold', 'orders', 'sum(units)', NULL, NULL, NULL, NULL, NULL),
('cost_of_goods_sold', 'orders', 'sum(units * unit_cost)', NULL, NULL, NULL, NULL, NULL),
('products_sold_distinct', 'orders', 'count(DISTINCT product_id)', NULL, NULL, NULL, NULL, NULL),
('calls_made', 'activities', 'count(*)', $$kind = 'call' AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('call_connect_rate', 'activities', $$rate(outcome IN ('connected', 'refused'), true)$$, $$kind = 'call' AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('cold_call_contacts_per_1000', 'activities', $$ratio(CASE WHEN outcome IN ('connected', 'refused') THEN 1000 ELSE 0 END, 1)$$, $$kind = 'call' AND is_cold AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('emails_sent', 'activities', 'count(*)', $$kind = 'email' AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('email_reply_rate', 'activities', 'rate(replied, true)', $$kind = 'email' AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('email_clicks_per_1000', 'activities', 'ratio(1000 * coalesce(clicks, 0), 1)', $$kind = 'email' AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('follow_up_reach_rate', 'activities', 'rate(delivered, true)', $$kind IN ('email', 'social') AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('personalization_elements', 'activities', 'avg(personalization)', $$kind = 'email' AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('social_touches', 'activities', 'count(*)', $$kind = 'social' AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('conversations', 'activities', 'count(*)', $$kind = 'call' AND outcome IN ('connected', 'refused') AND NOT is_automated$$, NULL, NULL, NULL, NULL),
('productive_conversations', 'activities', 'count(*)', $$kind = 'call' AND outcome = 'connected' AND duration_s >= 120 AND with_decision_maker AND NOT is_automated$$, NULL, NULL, NULL, NULL),
('decision_maker_share', 'activities', 'rate(with_decision_maker, true)', $$kind = 'call' AND outcome IN ('connected', 'refused') AND NOT is_automated$$, NULL, NULL, NULL, NULL),
('conversation_minutes', 'activities', 'ratio(duration_s, 60)', $$kind = 'call' AND outcome IN ('connected', 'refused') AND NOT is_automated$$, NULL, NULL, NULL, NULL),
('crm_entry_lag_hours', 'activities', 'avg(logged_at - at)', 'NOT is_automated', NULL, NULL, NULL, 'hours'),
('crm_logged_within_24h_rate', 'activities', $$rate(logged_at - at <= interval '24 hours', true)$$, 'NOT is_automated', NULL, NULL, NULL, NULL),
('touch_activities', 'activities', 'count(*)', $$kind IN ('call', 'email', 'social') AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('touches_of_leads', 'activities', 'count(lead_id)', $$kind IN ('call', 'email', 'social') AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('leads_touched', 'activities', 'count(DISTINCT lead_id)', $$kind IN ('call', 'email', 'social') AND NOT is_automated AND NOT is_inbound$$, NULL, NULL, NULL, NULL),
('meetings_booked', 'meetings', 'count(*)', NULL, NULL, 'booked_at', NULL, NULL),
('meetings_held', 'meetings', 'count(*)', $$outcome = 'held'$$, NULL, NULL, NULL, NULL),
('meeting_no_show_rate', 'meetings', $$rate(outcome = 'no_show', outcome IN ('held', 'no_show'))$$, NULL, NULL, NULL, NULL, NULL),
('meeting_cancel_rate', 'meetings', $$rate(outcome = 'cancelled', outcome <> 'scheduled')$$, NULL, NULL, NULL, NULL, NULL),
('meeting_reschedule_rate', 'meetings', 'rate(reschedules > 0, true)', NULL, NULL, 'booked_at', NULL, NULL),
('leads_created', 'leads', 'count(*)', NULL, NULL, NULL, NULL, NULL),
('qualified_leads', 'leads', 'count(*)', NULL, NULL, 'qualified_at', NULL, NULL),
('lead_qualification_rate', 'leads', 'rate(qualified_at IS NOT NULL, true)', NULL, NULL, NULL, NULL, NULL),
('lead_to_opportunity_rate', 'leads', 'rate(converted_at IS NOT NULL, true)', NULL, NULL, NULL, NULL, NULL),
('lead_to_opportunity_within_14_days_rate', 'leads', $$rate(converted_at - created_at < interval '14 days', true)$$, NULL, NULL, NULL, NULL, NULL),
('lead_score_average', 'leads', 'avg(score)', NULL, NULL, NULL, NULL, NULL),
('lead_quality_share', 'leads', 'rate(has_budget AND has_authority AND has_need AND has_timing, true)', NULL, NULL, NULL, NULL, NULL),
('collateral_uses', 'collateral', 'count(*)', NULL, NULL, NULL, NULL, NULL),
('collateral_rating', 'collateral', 'avg(rating)', NULL, NULL, NULL, NULL, NULL),
('tool_minutes', 'tools', 'sum(minutes)', NULL, NULL, NULL, NULL, NULL),
('tool_active_users', 'tools', 'count(DISTINCT owner_id)', 'owner_id IS NOT NULL', NULL, NULL, NULL, NULL),
('hours_worked', 'work', 'sum(hours)', NULL, NULL, NULL, NULL, NULL),
('customer_satisfaction', 'feedback', 'avg(score)', NULL, NULL, NULL, NULL, NULL),
('net_promoter_score', 'feedback', 'ratio(CASE WHEN score >= 9 THEN 100 WHEN score <= 6 THEN -100 ELSE 0 END, 1)', NULL, NULL, NULL, NULL, NULL),
('active_subscriptions', 'subscriptions', 'balance(1)', NULL, NULL, 'started_on', 'ended_on', NULL),
('mrr', 'subscriptions', 'balance(mrr)', NULL, NULL, 'started_on', 'ended_on', NULL),
('mrr_churned', 'subscriptions', 'sum(mrr)', $$end_reason <> 'upgraded'$$, NULL, 'ended_on', NULL, NULL),
('subscriptions_churned', 'subscriptions', 'count(*)', $$end_reason <> 'upgraded'$$, NULL, 'ended_on', NULL, NULL),
('mrr_expansion', 'subscriptions', $$sum(mrr - coalesce(lookup('subscription_mrr', previous_id), 0))$$, $$change IN ('upgrade', 'cross_sell')$$, NULL, NULL, NULL, NULL),
('upsells', 'subscriptions', 'count(*)', $$change = 'upgrade'$$, NULL, NULL, NULL, NULL),
('cross_sells', 'subscriptions', 'count(*)', $$change = 'cross_sell'$$, NULL, NULL, NULL, NULL),
('acquisition_cost', 'costs', 'sum(amount)', $$category IN ('sales', 'marketing')$$, NULL, NULL, NULL, NULL),
('operating_cost', 'costs', 'sum(amount)', NULL, NULL, NULL, NULL, NULL),
('lead_response_minutes', 'lead_journeys', 'avg(first_touch_at - created_at)', NULL, NULL, NULL, NULL, 'minutes'),
('lead_response_minutes_median', 'lead_journeys', 'median(first_touch_at - created_at)', NULL, NULL, NULL, NULL, 'minutes'),
('lead_answered_within_1h_rate', 'lead_journeys', $$rate(first_touch_at - created_at <= interval '1 hour', true)$$, NULL, NULL, NULL, NULL, NULL),
('touches_per_lead', 'lead_journeys', 'ratio(touches, 1)', NULL, NULL, NULL, NULL, NULL),
('recontact_after_refusal_rate', 'lead_journeys', 'rate(recontacted, true)', NULL, NULL, 'refused_at', NULL, NULL),
('won_on_touch_5_to_12_share', 'lead_journeys', 'rate(touches_to_win BETWEEN 5 AND 12, true)', NULL, 'deal_owner_id', 'won_at', NULL, NULL),
('lead_to_win_rate', 'lead_journeys', 'rate(won_at IS NOT NULL, true)', NULL, NULL, NULL, NULL, NULL),
('won', 'lead_journeys', 'count(*)', NULL, 'deal_owner_id', 'won_at', NULL, NULL),
('days_in_discovery', 'stage_visits', 'avg(left_at - entered_at)', $$stage = 'discovery'$$, NULL, NULL, NULL, 'days'),
('days_in_demo', 'stage_visits', 'avg(left_at - entered_at)', $$stage = 'demo'$$, NULL, NULL, NULL, 'days'),
('days_in_proposal', 'stage_visits', 'avg(left_at - entered_at)', $$stage = 'proposal'$$, NULL, NULL, NULL, 'days'),
('lost_in_discovery_share', 'stage_visits', $$rate(stage = 'discovery', true)$$, $$next_stage = 'lost'$$, NULL, NULL, NULL, NULL),
('lost_in_proposal_share', 'stage_visits', $$rate(stage = 'proposal', true)$$, $$next_stage = 'lost'$$, NULL, NULL, NULL, NULL),
('lost_in_negotiation_share', 'stage_visits', $$rate(stage = 'negotiation', true)$$, $$next_stage = 'lost'$$, NULL, NULL, NULL, NULL),
('lost_from', 'stage_visits', 'count(*)', $$next_stage = 'lost'$$, NULL, NULL, NULL, NULL),
('discovery_to_proposal_rate', 'deal_journeys', 'rate(proposal_at >= discovery_at OR negotiation_at >= discovery_at OR won_at >= discovery_at, true)', NULL, NULL, NULL, NULL, NULL),
('negotiation_to_win_rate', 'deal_journeys', 'rate(won_at >= negotiation_at, true)', NULL, NULL, 'negotiation_at', NULL, NULL),
('new_customers', 'first_deals', 'count(*)', NULL, NULL, NULL, NULL, NULL);
-- over these
INSERT INTO acceptance.definition (name, measure) VALUES
('activities_per_meeting', 'touch_activities / meetings_booked'),
('contact_frequency', 'touches_of_leads / leads_touched'),
('revenue_per_hour', 'revenue / hours_worked'),
('calls_per_hour', 'calls_made / hours_worked'),
('customer_acquisition_cost', 'acquisition_cost / new_customers'),
('mrr_opening', 'opening(mrr)'),
('mrr_daily_average', 'daily_average(mrr)'),
('arr', '12 * mrr'),
('subscriptions_opening', 'opening(active_subscriptions)'),
('churn_rate', 'subscriptions_churned / opening(active_subscriptions)'),
('retention_rate', '1 - subscriptions_churned / opening(active_subscriptions)'),
('upsell_rate', 'upsells / opening(active_subscriptions)'),
('average_revenue_per_subscription', 'mrr / active_subscriptions'),
('customer_lifetime_value', 'average_revenue_per_subscription * profit_margin / churn_rate'),
('revenue_growth', 'growth(revenue)'),
('revenue_year_to_date', 'ytd(revenue)');
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.set_exchange_rate(currency, since => since, rate => rate) FROM crm.exchange_rate ORDER BY currency, since;
SELECT CASE WHEN source IS NULL THEN kpi.create_kpi(name, formula => measure)
            ELSE kpi.create_kpi(name, source => source, measure => measure, filter => filter, owner => owner, at => at, until => until, unit => unit) END
  FROM acceptance.definition ORDER BY position;
