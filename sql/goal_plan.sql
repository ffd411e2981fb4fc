-- Drafts are in kpi.goal and kpi.goal_target, and nowhere else until they are published.
SET kpi.now = '2026-11-10 12:00+00';
SET client_min_messages = warning;
CREATE SCHEMA gp;
CREATE TABLE gp.deals (owner text, amount numeric, day date);
INSERT INTO gp.deals SELECT 'gp_a', 10, d FROM generate_series('2026-09-01'::date, '2026-11-09', '1 day') d;
SELECT kpi.create_source('gp', relation => 'gp.deals', owner => 'owner', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('gp_money', source => 'gp', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('gp_share', formula => $$gp_money / target(gp_money, 'gp27')$$) > 0 AS created;
SELECT kpi.create_team('gp_t') IS NOT NULL AS created;
SELECT kpi.add_member('gp_a', team => 'gp_t', since => '2020-01-01') IS NOT NULL AS created;
CALL kpi.refresh();

-- what create_goal() names is published at once
SELECT kpi.create_goal(kpi => 'gp_money', team => 'gp_t', period => '2026-11', target => 300, plan => 'gp_now') > 0 AS created;
SELECT name, status, is_draft, created_by = current_user AS mine, published_at IS NOT NULL AS published, published_by = current_user AS by_me, reason FROM kpi.plan WHERE name LIKE 'gp%';
SELECT kpi.create_plan('gp27');
SELECT kpi.create_goal('gp year', kpi => 'gp_money', team => 'gp_t', period => '2026', target => 1000, plan => 'gp27', review_on => '2026-11-01') > 0 AS created;
SELECT kpi.create_goal('gp nov', kpi => 'gp_money', member => 'gp_a', period => '2026-11', target => 100, plan => 'gp27') > 0 AS created;
SELECT kpi.create_goal('gp months', kpi => 'gp_money', team => 'gp_t', period => 'every month of 2026', target => 50, plan => 'gp27') > 0 AS created;
SELECT name, plan, is_draft FROM kpi.goal WHERE plan LIKE 'gp%' ORDER BY id;
CREATE VIEW gp.seen AS
    SELECT (SELECT count(*) FROM kpi.goal_progress WHERE plan = 'gp27') AS rows,
           (SELECT count(*) FROM kpi.goal_target t JOIN kpi.goal g ON g.id = t.goal_id WHERE g.plan = 'gp27') AS targets,
           (SELECT count(*) FROM kpi_internal.goal_status s JOIN kpi.goal g ON g.id = s.goal_id WHERE g.plan = 'gp27') AS statuses,
           (SELECT count(*) FROM kpi.goal_event WHERE plan = 'gp27') AS events,
           (SELECT count(*) FROM kpi_internal.goal_recheck r JOIN kpi.goal g ON g.id = r.goal_id WHERE g.plan = 'gp27') AS rechecks,
           (SELECT count(*) FROM kpi.forecast_basis b JOIN kpi.kpi k ON k.id = b.kpi_id WHERE k.name = 'gp_money' AND (b.grain = 'year' OR b.member_id IS NOT NULL)) AS bases,
           (SELECT count(*) FROM kpi.health() WHERE problem = 'review_due' AND object LIKE '%gp year%') AS reviews,
           (SELECT jsonb_array_length(jsonb_path_query_array(kpi.export(), '$.goals[*] ? (@.plan == "gp27")'))) AS exported,
           (SELECT count(*) FROM kpi.definition_log WHERE kind = 'goal' AND name LIKE 'gp27%') AS logged,
           kpi.value('gp_share', period => '2026', team => 'gp_t') AS share;
SELECT * FROM gp.seen;
-- whatever happens to them
CALL kpi.refresh();
INSERT INTO gp.deals VALUES ('gp_a', 200, '2026-11-09');
CALL kpi.refresh();
SELECT kpi.alter_goal('gp year', target => 1200);
SELECT kpi.alter_kpi('gp_money', title => 'Money');
SELECT kpi.alter_team('gp_t', name => 'T');
SELECT kpi.renew_forecast('gp year');
SELECT kpi.drop_goal('gp months');
SET kpi.now = '2026-11-12 12:00+00';
CALL kpi.refresh();
SELECT * FROM gp.seen;
SELECT * FROM kpi.verify('gp');
-- a document does not drop what it cannot name
SELECT action, name FROM kpi.apply(kpi.export(), prune => true);
SELECT period, target FROM kpi.series('gp_money', grain => 'year', team => 'gp_t', since => '2026-01-01', until => '2027-01-01', plan => 'gp27');

-- published: as if they had been made now
SELECT kpi.publish_plan('gp27', reason => 'the board said yes');
CALL kpi.refresh();
SELECT status, published_by = current_user AS by_me, reason FROM kpi.plan WHERE name = 'gp27';
SELECT goal, actual_to_date, target, status FROM kpi.goal_progress WHERE plan = 'gp27' ORDER BY goal;
SELECT rows, targets, statuses, events, bases > 0 AS bases, reviews, exported, logged, share FROM gp.seen;
SELECT * FROM kpi.verify('gp');
-- the refresh follows them, too
INSERT INTO gp.deals VALUES ('gp_a', 5, '2026-11-11');
CALL kpi.refresh();
SELECT goal, actual_to_date FROM kpi.goal_progress WHERE plan = 'gp27' ORDER BY goal;

-- bad input
SELECT kpi.publish_plan('gp27');
SELECT kpi.publish_plan('gp_now', reason => 'again');
SELECT kpi.publish_plan('gp28');
SELECT kpi.create_plan('gp27');
SELECT kpi.create_plan(' gp');
SELECT kpi.create_plan(NULL);
SELECT kpi.drop_plan('gp27');
SELECT kpi.drop_plan('nothing like it');
SELECT kpi.create_plan('gp29');
SELECT kpi.create_plan('gp29');
-- a draft goes with its goals; a plan that is published only when it has none
SELECT kpi.create_goal(kpi => 'gp_money', team => 'gp_t', period => '2027', target => 1000, plan => 'gp29') > 0 AS created;
SELECT kpi.drop_plan('gp29');
SELECT count(*) FROM kpi.goal WHERE plan = 'gp29';
SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE plan LIKE 'gp%';
SELECT kpi.drop_plan('gp27'), kpi.drop_plan('gp_now');
SELECT count(*) FROM kpi.plan WHERE name LIKE 'gp%';
SELECT kpi.drop_kpi('gp_share');
SELECT kpi.drop_source('gp', cascade => true);
SELECT kpi.drop_member('gp_a');
SELECT kpi.drop_team('gp_t');
DROP SCHEMA gp CASCADE;
RESET kpi.now;
