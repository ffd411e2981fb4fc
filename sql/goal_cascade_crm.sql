-- kpi.cascade() on the real CRM export, from the top to the bottom: a goal for a year, from what
-- the year before has brought, to quarters by their season, and each quarter to regions, managers and
-- agents by what they have brought.  What the parts should be is said by SQL that knows nothing of it.
--
-- The data is not part of the project: KPI_CRM_DATA says where it is.
\set crm_data ../shared/data/crm
\getenv crm_data KPI_CRM_DATA
SET client_min_messages = error;
SET datestyle = 'ISO, MDY';
SET kpi.now = '2018-01-10 12:00:00+00';
CREATE SCHEMA crmc;
CREATE TABLE crmc.pipeline (opportunity_id text PRIMARY KEY, sales_agent text, product text, account text, deal_stage text, engage_date date, close_date date, close_value numeric);
CREATE TABLE crmc.sales_team (sales_agent text, manager text, regional_office text);
\set load '\\copy crmc.pipeline FROM ''' :crm_data '/sales_pipeline.csv'' WITH (FORMAT csv, HEADER)'
:load
\set load '\\copy crmc.sales_team FROM ''' :crm_data '/sales_teams.csv'' WITH (FORMAT csv, HEADER)'
:load
SELECT count(kpi.create_team(office)) FROM (SELECT DISTINCT regional_office AS office FROM crmc.sales_team ORDER BY 1) o;
SELECT count(kpi.create_team(manager, parent => office)) FROM (SELECT DISTINCT manager, regional_office AS office FROM crmc.sales_team ORDER BY 1) m;
SELECT count(kpi.add_member(sales_agent, team => manager)) FROM (SELECT * FROM crmc.sales_team ORDER BY sales_agent) a;
SELECT kpi.create_source('crmc', relation => 'crmc.pipeline', key => 'opportunity_id', owner => 'sales_agent', at => 'close_date') > 0 AS created;
SELECT kpi.create_kpi('revenue', source => 'crmc', measure => 'sum(close_value)', filter => $$deal_stage = 'Won'$$, unit => 'USD') > 0 AS created;
CALL kpi.refresh();

-- every part of a goal that is cut, with what it is cut from
CREATE TABLE crmc.run (n integer GENERATED ALWAYS AS IDENTITY, parent_id bigint, across text, step numeric, over_assign numeric, dry boolean, part jsonb);
CREATE PROCEDURE crmc.cut(parent bigint, across text, by text, step numeric, over_assign numeric) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 2 LOOP
        INSERT INTO crmc.run (parent_id, across, step, over_assign, dry, part)
        SELECT parent, cut.across, cut.step, cut.over_assign, i = 1, to_jsonb(c)
          FROM kpi.cascade(parent, across => cut.across, by => cut.by, step => cut.step, over_assign => cut.over_assign, dry_run => i = 1) c;
    END LOOP;
END $$;
CREATE VIEW crmc.part AS
    SELECT r.parent_id, r.across, r.step, r.over_assign, x.goal_id, coalesce(x.team, x.member) AS key, x.period, x.weight, x.target, x.action, x.message, p.target AS parent_target
      FROM crmc.run r CROSS JOIN LATERAL jsonb_to_record(r.part) AS x (goal_id bigint, team text, member text, period text, weight numeric, target numeric, action text, message text)
      JOIN kpi.goal_target p ON p.goal_id = r.parent_id AND p.valid_until IS NULL
     WHERE NOT r.dry;

SELECT kpi.create_goal('crmc year', kpi => 'revenue', period => '2018', target => '+5% yoy') > 0 AS created;
-- what it asks for is a number of facts
SELECT t.target = round(1.05 * f.won, 6) AS same, round(t.target, 2) AS target
  FROM kpi.goal_target t JOIN kpi.goal g ON g.id = t.goal_id AND g.name = 'crmc year'
 CROSS JOIN (SELECT sum(close_value) AS won FROM crmc.pipeline WHERE deal_stage = 'Won' AND close_date BETWEEN '2017-01-01' AND '2017-12-31') f;
DO $$
DECLARE
    goal bigint := id FROM kpi.goal WHERE name = 'crmc year';
BEGIN
    CALL crmc.cut(goal, 'quarters', 'season', 0.01, 1);
    FOR goal IN SELECT goal_id FROM crmc.part WHERE across = 'quarters' ORDER BY goal_id LOOP
        CALL crmc.cut(goal, 'teams', 'history', 0.01, 1.08);
    END LOOP;
    -- the managers of the regions, and their agents
    FOR goal IN SELECT goal_id FROM crmc.part WHERE across = 'teams' AND key IN (SELECT regional_office FROM crmc.sales_team) ORDER BY goal_id LOOP
        CALL crmc.cut(goal, 'teams', 'history', 0.01, 1.03);
    END LOOP;
    FOR goal IN SELECT goal_id FROM crmc.part WHERE across = 'teams' AND key IN (SELECT manager FROM crmc.sales_team) ORDER BY goal_id LOOP
        CALL crmc.cut(goal, 'members', 'history', 0.01, 1);
    END LOOP;
END $$;

SELECT CASE WHEN across <> 'teams' THEN across WHEN key IN (SELECT manager FROM crmc.sales_team) THEN 'managers' ELSE 'regions' END AS level,
       count(DISTINCT parent_id) AS parents, count(*) AS parts, string_agg(DISTINCT action, ' ') AS actions, count(message) AS messages
  FROM crmc.part GROUP BY 1 ORDER BY 3;
-- a dry run has said all of that before
SELECT count(*) AS same FROM crmc.run d JOIN crmc.run r ON r.parent_id = d.parent_id AND NOT r.dry AND r.part - 'goal_id' = d.part - 'goal_id' WHERE d.dry;
SELECT count(*) AS made FROM crmc.run WHERE dry AND part ->> 'goal_id' IS NOT NULL;
-- each level sums to the cent, in what was said and in what is there
SELECT p.parent_id, sum(p.target), sum(t.target), round(max(p.parent_target * p.over_assign) / max(p.step)) * max(p.step) AS meant
  FROM crmc.part p JOIN kpi.goal g ON g.id = p.goal_id AND g.parent_id = p.parent_id JOIN kpi.goal_target t ON t.goal_id = p.goal_id AND t.valid_until IS NULL
 GROUP BY 1 HAVING NOT (sum(p.target) = round(max(p.parent_target * p.over_assign) / max(p.step)) * max(p.step) AND sum(t.target) = sum(p.target)
                        AND bool_and(p.target % p.step = 0) AND min(p.target) > 0);
SELECT * FROM kpi.goal_mismatch WHERE kpi = 'revenue';
-- each part is its share of what its weight says, down to the step; what is left goes to the largest remainders, of equals to the first key
WITH exact AS (
    SELECT p.*, round(parent_target * over_assign / step) * weight / sum(weight) OVER w AS share, round(parent_target * over_assign / step) AS total
      FROM crmc.part p WINDOW w AS (PARTITION BY parent_id)
), given AS (
    SELECT e.*, row_number() OVER (PARTITION BY parent_id ORDER BY share - floor(share) DESC, key COLLATE "C", period) AS n,
           total - sum(floor(share)) OVER (PARTITION BY parent_id) AS left_over FROM exact e)
SELECT across, key, period, target, (floor(share) + (n <= left_over)::integer) * step AS should_be FROM given
 WHERE target <> (floor(share) + (n <= left_over)::integer) * step;
-- weights: the level that forecasts begin with; of who has no history the mean of the others
SELECT p.across, p.key, p.period, p.weight, l.level FROM crmc.part p
  JOIN kpi.goal g ON g.id = p.goal_id JOIN kpi_internal.kpi_state s ON s.kpi_id = g.kpi_id
 CROSS JOIN LATERAL kpi_internal.forecast_scope_of(s.program, CASE WHEN g.member_id IS NULL THEN 1 ELSE 2 END, coalesce(g.member_id, g.team_id), 0, 3, '2018-01-01') l
 WHERE p.across <> 'quarters' AND p.message IS NULL AND p.weight IS DISTINCT FROM l.level::numeric;
SELECT key, message, count(*) FROM crmc.part WHERE message IS NOT NULL GROUP BY 1, 2 ORDER BY 1;
SELECT period, round(weight, 4) AS weight, target FROM crmc.part WHERE across = 'quarters' ORDER BY period;
SELECT key, target FROM crmc.part WHERE across = 'teams' AND period = '2018-Q1' ORDER BY key IN (SELECT manager FROM crmc.sales_team), key;

-- a deal that comes late raises the year before, and nothing of what is agreed
INSERT INTO crmc.pipeline VALUES ('LATE1', 'Anna Snelling', 'GTXPro', NULL, 'Won', '2017-11-02', '2017-11-10', 1000.01);
CALL kpi.refresh();
SELECT * FROM kpi.goal_mismatch WHERE kpi = 'revenue';

SELECT kpi.drop_source('crmc', cascade => true);
SELECT count(kpi.drop_member(sales_agent)) FROM crmc.sales_team;
SELECT count(kpi.drop_team(manager)) FROM (SELECT DISTINCT manager FROM crmc.sales_team) m;
SELECT count(kpi.drop_team(regional_office)) FROM (SELECT DISTINCT regional_office FROM crmc.sales_team) m;
DROP SCHEMA crmc CASCADE;
