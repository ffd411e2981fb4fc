-- What oracle.sql is to say after r05 has been in us_east from 2025-05-12 to 2026-02-19, and from 2025-10-15 on the team uk is under amer.
UPDATE crm.rep_team SET until = '2025-05-12' WHERE rep_id = 'r05';
INSERT INTO crm.rep_team SELECT 'r05', v.team, v.since::date, v.until::date
  FROM (VALUES ('us_east', '2025-05-12', '2026-02-20'), ('dach', '2026-02-20', 'infinity')) v (team, since, until);
CREATE TABLE oracle.placement AS
SELECT team, above, date '-infinity' AS since, date 'infinity' AS until FROM oracle.team_above WHERE NOT (team = 'uk' AND above = 'emea')
UNION ALL VALUES ('uk', 'emea', date '-infinity', date '2025-10-15'), ('uk', 'amer', '2025-10-15', 'infinity');
TRUNCATE oracle.credit, oracle.scope;
INSERT INTO oracle.credit
SELECT o.owner, d::date, coalesce(a.above, x.above)
  FROM (SELECT rep_id AS owner FROM crm.rep UNION ALL VALUES ('ghost'), ('')) o CROSS JOIN generate_series(timestamp '2024-12-01', '2026-08-31', '1 day') d
  LEFT JOIN crm.rep_team m ON m.rep_id = o.owner AND d::date >= m.since AND d::date < m.until
  LEFT JOIN oracle.placement a ON a.team = m.team AND d::date >= a.since AND d::date < a.until
  LEFT JOIN (VALUES ('(unassigned)'), ('company')) x (above) ON m.rep_id IS NULL;
INSERT INTO oracle.scope SELECT c.owner, c.day, c.team, p.period FROM oracle.credit c JOIN oracle.period p ON c.day BETWEEN p.first_day AND p.last_day;
ANALYZE oracle.credit, oracle.scope;
CREATE OR REPLACE VIEW oracle.acquisition_cost AS SELECT 'acquisition_cost'::text AS kpi, a.above AS team, p.period, sum(c.amount)::numeric AS value
  FROM crm.cost c JOIN oracle.placement a ON a.team = c.team AND c.month >= a.since AND c.month < a.until JOIN oracle.period p ON c.month BETWEEN p.first_day AND p.last_day
 WHERE c.category IN ('sales', 'marketing') GROUP BY 2, 3;
CREATE OR REPLACE VIEW oracle.operating_cost AS SELECT 'operating_cost'::text AS kpi, a.above AS team, p.period, sum(c.amount)::numeric AS value
  FROM crm.cost c JOIN oracle.placement a ON a.team = c.team AND c.month >= a.since AND c.month < a.until JOIN oracle.period p ON c.month BETWEEN p.first_day AND p.last_day
 GROUP BY 2, 3;
