-- What kpi.query() says of the KPIs of the CRM beside oracle.sql, and whether what it returns has anything of pg_kpi in it.
-- After compare.sql.
CREATE TABLE acceptance.place (team text, member text, grain text, period text, is_open boolean, to_date boolean);

-- Months and quarters that are over, and those of today, mostly to date, of the company, two teams and a member.
CREATE PROCEDURE acceptance.choose(seed text) LANGUAGE sql AS $$
TRUNCATE acceptance.place;
SELECT setseed(abs(hashtext(seed)) / 2147483648.0);
INSERT INTO acceptance.place
SELECT s.team, s.member, p.grain, p.period, p.is_open, p.is_open AND random() < 0.7
  FROM (VALUES (NULL, NULL)
        UNION ALL (SELECT team, NULL FROM (SELECT team FROM crm.team WHERE team <> 'company' UNION ALL VALUES ('(unassigned)')) t ORDER BY random() LIMIT 2)
        UNION ALL (SELECT NULL, rep_id FROM crm.rep ORDER BY random() LIMIT 1)) s (team, member)
 CROSS JOIN ((SELECT grain, period, false FROM oracle.period WHERE grain = 'month' AND last_day BETWEEN '2025-02-01' AND kpi.today() - 1 ORDER BY random() LIMIT 1)
             UNION ALL (SELECT grain, period, false FROM oracle.period WHERE grain = 'quarter' AND last_day BETWEEN '2025-04-01' AND kpi.today() - 1 ORDER BY random() LIMIT 1)
             UNION ALL SELECT grain, period, true FROM oracle.period WHERE kpi.today() BETWEEN first_day AND last_day) p (grain, period, is_open);
$$;

-- Who has rights on the facts, and none on anything of ours.
CREATE ROLE auditor;
GRANT USAGE ON SCHEMA crm TO auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA crm TO auditor;
CREATE FUNCTION acceptance.answer(query text) RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER SET jit = off SET search_path = pg_catalog AS $$
DECLARE
    answer numeric;
BEGIN
    EXECUTE query INTO STRICT answer;
    RETURN answer;
END
$$;
ALTER FUNCTION acceptance.answer(text) OWNER TO auditor;

CREATE TABLE acceptance.answered (kpi text, team text, member text, grain text, period text, is_open boolean, to_date boolean, value numeric, expected numeric);
-- Costs are of teams.
CREATE PROCEDURE acceptance.ask() LANGUAGE sql AS $$
TRUNCATE acceptance.answered;
INSERT INTO acceptance.answered
SELECT d.name, p.team, p.member, p.grain, p.period, p.is_open, p.to_date,
       acceptance.answer(kpi.query(d.name, team => p.team, member => p.member, period => p.period, to_date => p.to_date)),
       CASE WHEN p.to_date THEN (SELECT s.value_to_date FROM kpi.series(d.name, team => p.team, member => p.member, grain => p.grain) s WHERE s.is_current)
            ELSE kpi.value(d.name, team => p.team, member => p.member, period => p.period) END
  FROM acceptance.definition d CROSS JOIN acceptance.place p
 WHERE p.member IS NULL OR d.name NOT IN ('acquisition_cost', 'operating_cost', 'customer_acquisition_cost');
$$;

-- Of what both compute by the same divisions in another order the last digits may differ.
CREATE FUNCTION acceptance.is_near(kpi text, a numeric, b numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN kpi LIKE '%median%' THEN NOT acceptance.differs(kpi, a, b)
            ELSE a IS NOT DISTINCT FROM b OR coalesce(abs(a - b) <= 1e-10 * greatest(abs(a), 1), false) END
$$;

-- Answers that are not what kpi.value() or the views say, and of what is over what oracle.sql says.
CREATE FUNCTION acceptance.answer_difference() RETURNS TABLE (kpi text, team text, member text, period text, to_date boolean, value numeric, expected numeric, oracle text)
LANGUAGE sql AS $$
SELECT a.kpi, a.team, a.member, a.period, a.to_date, a.value, a.expected, CASE WHEN e.kpi IS NULL THEN 'no row' ELSE coalesce(e.value::text, 'no value') END
  FROM acceptance.answered a
  LEFT JOIN acceptance.expected e ON e.kpi = a.kpi AND e.team = coalesce(a.team, 'company') AND e.period = a.period
 WHERE NOT acceptance.is_near(a.kpi, a.value, a.expected)
    OR (NOT a.is_open AND a.member IS NULL AND a.kpi IN (SELECT x.kpi FROM acceptance.expected x)
        AND CASE WHEN e.kpi IS NULL THEN a.value <> 0 ELSE acceptance.differs(a.kpi, a.value, e.value) END)
 ORDER BY 1, 2, 3, 4, 5
$$;

--
-- What kpi.facts() lists, and the number that it makes
--

-- For each KPI, of the company, where there are facts, a team (which may be the company) and a member, periods of some grains.
CREATE TABLE acceptance.looked_at (id serial PRIMARY KEY, kpi text, team text, member text, grain text, period text, first_day date);
CREATE PROCEDURE acceptance.choose_facts(seed text, grains integer) LANGUAGE plpgsql AS $$
DECLARE
    of acceptance.definition;
    kind text;
    length text;
    first date;
BEGIN
    PERFORM setseed(abs(hashtext(seed)) / 2147483648.0);
    TRUNCATE acceptance.looked_at;
    FOR of IN SELECT * FROM acceptance.definition ORDER BY position LOOP
        FOREACH kind IN ARRAY '{company, team, member}'::text[] LOOP
            CONTINUE WHEN kind = 'member' AND (of.source = 'costs' OR of.name = 'customer_acquisition_cost');
            FOR length IN SELECT g FROM unnest('{day, week, month, quarter, year}'::text[]) g WHERE kind <> 'company' OR g IN ('quarter', 'year')
                           ORDER BY random() LIMIT grains LOOP
                first := kpi.period_start(date '2025-01-01' + CASE kind WHEN 'company' THEN 200 + (random() * 250)::integer ELSE (random() * 510)::integer END, length);
                INSERT INTO acceptance.looked_at (kpi, team, member, grain, period, first_day)
                SELECT of.name, (SELECT team FROM crm.team WHERE kind = 'team' ORDER BY random() LIMIT 1), (SELECT rep_id FROM crm.rep WHERE kind = 'member' ORDER BY random() LIMIT 1),
                       length, kpi.period_name(first, length), first;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

CREATE TABLE acceptance.found (id integer, fact_kpi text, fact_key text, day date, owner text, fact_member text, fact_team text, value numeric, numerator numeric, denominator numeric,
                               period_start date, period_end date, whole boolean);
-- The KPIs that the facts are of, in the periods that they are of; of a daily average apart.
CREATE VIEW acceptance.found_sum AS
SELECT f.id, f.fact_kpi, f.period_start, f.period_end, d.measure LIKE 'balance%' AND f.denominator IS NOT NULL AS is_average,
       CASE WHEN d.measure LIKE 'count(DISTINCT%' THEN count(DISTINCT coalesce(o.product_id::text, a.lead_id::text, f.owner))
            WHEN d.measure ~ '^(avg|rate|ratio)\(' THEN sum(f.numerator) / nullif(sum(f.denominator), 0)
            WHEN d.measure LIKE 'max(%' THEN max(f.value)
            WHEN d.measure LIKE 'median(%' THEN (percentile_cont(0.5) WITHIN GROUP (ORDER BY f.value))::numeric
            WHEN d.measure LIKE 'balance%' AND f.denominator IS NOT NULL THEN sum(f.numerator) / max(f.denominator)
            ELSE sum(f.value) END AS value
  FROM acceptance.found f JOIN acceptance.definition d ON d.name = f.fact_kpi
  LEFT JOIN crm.order_line o ON f.fact_kpi = 'products_sold_distinct' AND o.line_id = f.fact_key::bigint
  LEFT JOIN crm.activity a ON f.fact_kpi = 'leads_touched' AND a.activity_id = f.fact_key::bigint
 GROUP BY f.id, f.fact_kpi, f.period_start, f.period_end, d.measure, d.measure LIKE 'balance%' AND f.denominator IS NOT NULL;

CREATE TABLE acceptance.found_number AS TABLE acceptance.found_sum WITH NO DATA;

CREATE PROCEDURE acceptance.list_facts() LANGUAGE sql AS $$
TRUNCATE acceptance.found, acceptance.found_number;
INSERT INTO acceptance.found
SELECT l.id, f.* FROM acceptance.looked_at l CROSS JOIN LATERAL kpi.facts(l.kpi, team => l.team, member => l.member, period => l.period) f;
INSERT INTO acceptance.found_number TABLE acceptance.found_sum;
ANALYZE acceptance.found, acceptance.found_number;
$$;

-- The formulas over these: k in the period itself, b in what was before it.
CREATE VIEW acceptance.made AS
SELECT l.*, n.facts, CASE
       WHEN d.source IS NOT NULL OR l.kpi IN ('mrr_daily_average', 'revenue_year_to_date') THEN n.only
       WHEN l.kpi = 'activities_per_meeting' THEN coalesce((k -> 'touch_activities')::numeric, 0) / nullif((k -> 'meetings_booked')::numeric, 0)
       WHEN l.kpi = 'contact_frequency' THEN coalesce((k -> 'touches_of_leads')::numeric, 0) / nullif((k -> 'leads_touched')::numeric, 0)
       WHEN l.kpi = 'revenue_per_hour' THEN coalesce((k -> 'revenue')::numeric, 0) / nullif((k -> 'hours_worked')::numeric, 0)
       WHEN l.kpi = 'calls_per_hour' THEN coalesce((k -> 'calls_made')::numeric, 0) / nullif((k -> 'hours_worked')::numeric, 0)
       WHEN l.kpi = 'customer_acquisition_cost' THEN coalesce((k -> 'acquisition_cost')::numeric, 0) / nullif((k -> 'new_customers')::numeric, 0)
       WHEN l.kpi = 'mrr_opening' THEN (b -> 'mrr')::numeric
       WHEN l.kpi = 'subscriptions_opening' THEN (b -> 'active_subscriptions')::numeric
       WHEN l.kpi = 'arr' THEN 12 * (k -> 'mrr')::numeric
       WHEN l.kpi = 'churn_rate' THEN coalesce((k -> 'subscriptions_churned')::numeric, 0) / (b -> 'active_subscriptions')::numeric
       WHEN l.kpi = 'retention_rate' THEN 1 - coalesce((k -> 'subscriptions_churned')::numeric, 0) / (b -> 'active_subscriptions')::numeric
       WHEN l.kpi = 'upsell_rate' THEN coalesce((k -> 'upsells')::numeric, 0) / (b -> 'active_subscriptions')::numeric
       WHEN l.kpi = 'average_revenue_per_subscription' THEN (k -> 'mrr')::numeric / (k -> 'active_subscriptions')::numeric
       WHEN l.kpi = 'customer_lifetime_value' THEN (k -> 'mrr')::numeric / (k -> 'active_subscriptions')::numeric * (k -> 'profit_margin')::numeric
                                                   / nullif((k -> 'subscriptions_churned')::numeric / (b -> 'active_subscriptions')::numeric, 0)
       WHEN l.kpi = 'revenue_growth' THEN round((coalesce((k -> 'revenue')::numeric, 0) - (b -> 'revenue')::numeric) / nullif(abs((b -> 'revenue')::numeric), 0), 6)
       END AS value
  FROM acceptance.looked_at l JOIN acceptance.definition d ON d.name = l.kpi
 CROSS JOIN LATERAL (SELECT count(*) AS facts, min(n.value) AS only, jsonb_object_agg(n.fact_kpi, n.value) FILTER (WHERE n.period_start >= l.first_day) AS k,
                            jsonb_object_agg(n.fact_kpi, n.value) FILTER (WHERE n.period_start < l.first_day) AS b
                       FROM acceptance.found_number n WHERE n.id = l.id) n;

-- Facts that do not make the number, where there is one; without facts it is 0 or none.
CREATE FUNCTION acceptance.fact_difference() RETURNS TABLE (kpi text, team text, member text, period text, numbers bigint, made numeric, expected numeric) LANGUAGE sql AS $$
SELECT m.kpi, m.team, m.member, m.period, m.facts, m.value, v.value
  FROM acceptance.made m CROSS JOIN LATERAL kpi.value(m.kpi, team => m.team, member => m.member, period => m.period) v (value)
 WHERE CASE WHEN m.facts = 0 THEN v.value <> 0 ELSE NOT acceptance.is_near(m.kpi, m.value, v.value) END
 ORDER BY 1, 2, 3, 4
$$;

-- Rows that are there twice, or for whom they do not count: of owners in their teams of that day, of a balance at its end.
CREATE VIEW acceptance.misplaced AS
SELECT l.kpi, l.team, l.member, l.period, f.*
  FROM acceptance.found f JOIN acceptance.looked_at l USING (id) JOIN acceptance.definition d ON d.name = f.fact_kpi
  LEFT JOIN oracle.credit c ON c.owner = coalesce(f.owner, '') AND c.team = coalesce(l.team, 'company')
                               AND c.day = CASE WHEN d.measure LIKE 'balance%' THEN least(f.period_end, kpi.today()) ELSE f.day END
  LEFT JOIN crm.rep_team t ON t.rep_id = c.owner AND c.day >= t.since AND c.day < t.until
 WHERE d.source <> 'costs' AND f.day <= (SELECT max(day) FROM oracle.credit) AND NOT (d.measure LIKE 'balance%' AND f.denominator IS NOT NULL)
   AND (c.team IS NULL OR f.fact_team <> coalesce(t.team, '(unassigned)') OR f.fact_member IS DISTINCT FROM (SELECT rep_id FROM crm.rep WHERE rep_id = f.owner)
        OR (l.member IS NOT NULL AND f.owner IS DISTINCT FROM l.member))
UNION ALL
SELECT l.kpi, l.team, l.member, l.period, f.*
  FROM acceptance.found f JOIN acceptance.looked_at l USING (id) WHERE f.fact_key IS NOT NULL
 GROUP BY l.id, f.id, f.fact_kpi, f.fact_key, f.day, f.owner, f.fact_member, f.fact_team, f.value, f.numerator, f.denominator, f.period_start, f.period_end, f.whole HAVING count(*) > 1;
