-- Periods are those of the organisation's calendar; that of a source cuts its
-- days, that of a team says which of them are worked.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-11-05 12:00:00+00';
CREATE SCHEMA org_calendar;
CREATE TABLE org_calendar.deals (id integer PRIMARY KEY, owner text, amount numeric, product text, closed_at timestamptz);
SELECT kpi.create_team('oc_sales') > 0 AS created;
SELECT kpi.add_member('oc_ann', team => 'oc_sales') > 0 AS created;
-- Weeks of the default calendar begin on Monday, of this one on Sunday; its
-- years in July, its days five hours later.
SELECT kpi.create_calendar('oc_source', 'America/New_York', week_start => 'sunday', fiscal_year_start => 7) > 0 AS created;
SELECT kpi.create_source('oc_deals', relation => 'org_calendar.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product"}', calendar => 'oc_source') > 0 AS created;
SELECT kpi.create_kpi('oc_revenue', source => 'oc_deals', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('oc_double', formula => 'oc_revenue * 2') > 0 AS created;
-- 100 on Sunday the 8th, 7 on Monday the 2nd; the third is on Sunday night in
-- New York, Monday in UTC
INSERT INTO org_calendar.deals VALUES
    (1, 'oc_ann', 7, 'a', '2026-11-02 12:00Z'), (2, 'oc_ann', 100, 'a', '2026-11-08 12:00Z'),
    (3, 'oc_ann', 1000, 'b', '2026-11-09 03:00Z'), (4, 'oc_ann', 20, 'b', '2026-07-01 02:00Z');
CALL kpi.refresh();
-- the team and its only member have the same weeks, months, quarters, years
CREATE VIEW org_calendar.numbers AS
    SELECT kpi, 'team' AS scope, grain, period, period_start, period_end, value FROM kpi.team_weekly WHERE team = 'oc_sales'
    UNION ALL SELECT kpi, 'team', grain, period, period_start, period_end, value FROM kpi.team_monthly WHERE team = 'oc_sales'
    UNION ALL SELECT kpi, 'team', grain, period, period_start, period_end, value FROM kpi.team_quarterly WHERE team = 'oc_sales'
    UNION ALL SELECT kpi, 'team', grain, period, period_start, period_end, value FROM kpi.team_yearly WHERE team = 'oc_sales'
    UNION ALL SELECT kpi, 'member', grain, period, period_start, period_end, value FROM kpi.member_weekly WHERE member = 'oc_ann'
    UNION ALL SELECT kpi, 'member', grain, period, period_start, period_end, value FROM kpi.member_monthly WHERE member = 'oc_ann'
    UNION ALL SELECT kpi, 'member', grain, period, period_start, period_end, value FROM kpi.member_quarterly WHERE member = 'oc_ann'
    UNION ALL SELECT kpi, 'member', grain, period, period_start, period_end, value FROM kpi.member_yearly WHERE member = 'oc_ann';
CREATE VIEW org_calendar.compared AS
    SELECT kpi, grain, period, period_start, period_end,
           max(value) FILTER (WHERE scope = 'team') AS team, max(value) FILTER (WHERE scope = 'member') AS member
      FROM org_calendar.numbers GROUP BY 1, 2, 3, 4, 5
     ORDER BY kpi, array_position('{week,month,quarter,year}', grain), period_start;
SELECT * FROM org_calendar.compared;
-- and they are what plain SQL says: Monday weeks, calendar years, New York days
SELECT grain, date_trunc(grain, closed_at AT TIME ZONE 'America/New_York')::date AS period_start, sum(amount)
  FROM org_calendar.deals, unnest('{week,month,quarter,year}'::text[]) grain
 GROUP BY 1, 2 ORDER BY array_position('{week,month,quarter,year}', grain), 2;
SELECT 'team' AS scope, period, value FROM kpi.team_daily WHERE team = 'oc_sales' AND kpi = 'oc_revenue'
UNION ALL SELECT 'member', period, value FROM kpi.member_daily WHERE kpi = 'oc_revenue' ORDER BY 1, 2;
SELECT grain, period, period_start, dimension_value, value FROM kpi.kpi_breakdown b JOIN kpi.team t ON t.id = b.team_id
 WHERE t.key = 'oc_sales' AND kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'oc_revenue')
 ORDER BY array_position('{week,month,quarter,year}', grain), period_start, dimension_value;

-- so have goals, and what they say is the number of the view
SELECT kpi.create_goal('oc week', kpi => 'oc_revenue', team => 'oc_sales', period => '2026-W45', target => 10) > 0 AS created;
SELECT kpi.create_goal('oc quarter', kpi => 'oc_revenue', member => 'oc_ann', period => '2026-Q4', target => 10) > 0 AS created;
SELECT kpi.create_goal('oc year', kpi => 'oc_double', team => 'oc_sales', period => '2026', target => 10) > 0 AS created;
SELECT goal, period, period_start, period_end, actual FROM kpi.goal_progress ORDER BY goal_id;
SELECT kpi.create_goal('x', kpi => 'oc_revenue', team => 'oc_sales', period => 'FY2027', target => 10);

-- what the source's calendar cuts besides its days moves no goal
SELECT kpi.alter_calendar('oc_source', week_start => 'wed', fiscal_year_start => 2);
SELECT kpi.alter_source('oc_deals', calendar => 'default');
CALL kpi.refresh();
SELECT goal, period, period_start, period_end, actual FROM kpi.goal_progress ORDER BY goal_id;
SELECT * FROM org_calendar.compared WHERE kpi = 'oc_revenue' AND grain = 'week';
SELECT kpi.alter_source('oc_deals', calendar => 'oc_source');
CALL kpi.refresh();

-- the organisation's does: what goals stand on it refuses to change, each grain
SELECT kpi.alter_calendar('default', week_start => 'sunday');
SELECT kpi.drop_goal('oc week');
SELECT kpi.alter_calendar('default', fiscal_year_start => 2);
SELECT kpi.drop_goal('oc quarter');
SELECT kpi.alter_calendar('default', fiscal_year_start => 4);
SELECT kpi.drop_goal('oc year');
SELECT kpi.alter_calendar('default', week_start => 'sunday', fiscal_year_start => 7);
CALL kpi.refresh();
SELECT * FROM org_calendar.compared WHERE kpi = 'oc_revenue';
SELECT count(*) FROM kpi.source s, kpi.verify(s.name) v;

-- a team's calendar: its holidays and working days, nothing else
SELECT kpi.create_calendar('oc_team', 'UTC', week_start => 'tue', fiscal_year_start => 3, working_days => 'mon,tue') > 0 AS created;
SELECT kpi.add_holiday('2026-11-02', 'Day off', 'oc_team');
SELECT kpi.alter_team('oc_sales', calendar => 'oc_team');
SELECT kpi.create_goal('oc month', kpi => 'oc_revenue', member => 'oc_ann', period => '2026-11', target => 80) > 0 AS created;
SELECT kpi.create_goal('oc company', kpi => 'oc_revenue', period => '2026-W46', target => 80) > 0 AS created;
SELECT goal, period, period_start, period_end, round(elapsed_ratio * 8, 2) AS of_8, expected_today, workdays_left FROM kpi.goal_progress ORDER BY goal_id;

SELECT kpi.drop_goal('oc month'), kpi.drop_goal('oc company');
SELECT kpi.drop_source('oc_deals', cascade => true);
SELECT kpi.drop_member('oc_ann');
SELECT kpi.drop_team('oc_sales');
SELECT kpi.drop_calendar('oc_team'), kpi.drop_calendar('oc_source');
SELECT kpi.alter_calendar('default', week_start => 'mon', fiscal_year_start => 1);
DROP SCHEMA org_calendar CASCADE;
