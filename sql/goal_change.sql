-- Goals are looked at where cells below them have changed: also where a longer
-- period, the team or all facts together stay what they were.
SET client_min_messages = error;
SET kpi.now = '2026-06-30 12:00+00';
CREATE SCHEMA gc;
CREATE TABLE gc.deals (id integer PRIMARY KEY, owner text, product text, amount numeric, day date);
SELECT kpi.create_team('gc_t') > 0 AS team, kpi.add_member('gc_a', team => 'gc_t') > 0 AS member, kpi.add_member('gc_b', team => 'gc_t') > 0 AS member;
SELECT kpi.create_source('gc', relation => 'gc.deals', key => 'id', owner => 'owner', at => 'day', dimensions => '{"product": "product"}') > 0 AS source;
SELECT kpi.create_kpi('gc_revenue', source => 'gc', measure => 'sum(amount)') > 0 AS kpi, kpi.create_kpi('gc_deals', source => 'gc', measure => 'count(*)') > 0 AS kpi;
SELECT kpi.create_kpi('gc_mean', formula => 'gc_revenue / gc_deals') > 0 AS kpi, kpi.create_kpi('gc_double', formula => 'gc_mean * 2') > 0 AS kpi;
INSERT INTO gc.deals VALUES (1, 'gc_a', 'p', 10, '2026-03-03'), (2, 'gc_b', 'q', 4, '2026-03-12'), (3, 'nobody', 'p', 1, '2026-05-05');
CALL kpi.refresh('gc');
SELECT kpi.create_goal('member month', kpi => 'gc_revenue', member => 'gc_a', period => '2026-03', target => 10) > 0 AS goal,
       kpi.create_goal('team week', kpi => 'gc_revenue', team => 'gc_t', period => '2026-W10', target => 10) > 0 AS goal,
       kpi.create_goal('team month', kpi => 'gc_revenue', team => 'gc_t', period => '2026-03', target => 14) > 0 AS goal,
       kpi.create_goal('team quarter', kpi => 'gc_revenue', team => 'gc_t', period => '2026-Q1', target => 14) > 0 AS goal,
       kpi.create_goal('company year', kpi => 'gc_revenue', period => '2026', target => 15) > 0 AS goal,
       kpi.create_goal('product', kpi => 'gc_revenue', team => 'gc_t', period => '2026-03', dimension => 'product', dimension_value => 'p', target => 10) > 0 AS goal,
       kpi.create_goal('product year', kpi => 'gc_revenue', period => '2026', dimension => 'product', dimension_value => 'q', target => 4) > 0 AS goal,
       kpi.create_goal('mean', kpi => 'gc_mean', team => 'gc_t', period => '2026-03', target => 7) > 0 AS goal,
       kpi.create_goal('double', kpi => 'gc_double', team => 'gc_t', period => '2026-Q1', target => 14) > 0 AS goal;
-- the rechecks of what is new are done with
CALL kpi.refresh('gc');
CALL kpi.refresh('gc');
SELECT count(*) FROM kpi_internal.goal_recheck;
-- Which statuses change, and whether that is announced: what is settled is at once
CREATE TABLE gc.before AS SELECT goal_id, status FROM kpi.goal_progress;
CREATE FUNCTION gc.announced() RETURNS TABLE (goal text, status text, is_announced boolean) LANGUAGE sql AS $$
    WITH old AS (DELETE FROM gc.before RETURNING *),
         new AS (INSERT INTO gc.before SELECT goal_id, status FROM kpi.goal_progress RETURNING *)
    SELECT p.goal, new.status, new.status = s.status
      FROM new JOIN old USING (goal_id) JOIN kpi.goal_progress p USING (goal_id) JOIN kpi_internal.goal_status s USING (goal_id)
     WHERE new.status <> old.status ORDER BY p.goal_id
$$;
SELECT goal, status FROM kpi.goal_progress WHERE kpi LIKE 'gc_%' ORDER BY goal_id;

-- to another week of the month: the weeks
UPDATE gc.deals SET day = '2026-03-24' WHERE id = 1;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
-- to a colleague, and back to the week: the member, and the week of the team
UPDATE gc.deals SET owner = 'gc_b', day = '2026-03-03' WHERE id = 1;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
-- to another product
UPDATE gc.deals SET product = 'q' WHERE id = 1;
UPDATE gc.deals SET product = 'p' WHERE id = 2;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
UPDATE gc.deals SET product = 'p' WHERE id = 1;
UPDATE gc.deals SET product = 'p' WHERE id = 3;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
UPDATE gc.deals SET product = 'q' WHERE id = 2;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
-- to another quarter, so that formulas are over fewer facts
UPDATE gc.deals SET day = '2026-04-01' WHERE id = 2;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
UPDATE gc.deals SET amount = 13 WHERE id = 1;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
UPDATE gc.deals SET amount = 3 WHERE id = 1;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
-- nobody's facts become a member's of the team, who then leaves
UPDATE gc.deals SET day = '2026-03-04', amount = 20 WHERE id = 3;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
SELECT kpi.add_member('nobody', team => 'gc_t') > 0 AS member;
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
SELECT kpi.drop_member('nobody');
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
-- a formula that is written otherwise, under another one: at once
SELECT kpi.alter_kpi('gc_mean', formula => 'gc_revenue + 100');
SELECT * FROM gc.announced();
-- a change elsewhere: no goal
INSERT INTO gc.deals VALUES (4, 'gc_a', 'r', 1000, '2025-12-31');
CALL kpi.refresh('gc');
SELECT * FROM gc.announced();
-- weeks that begin otherwise
INSERT INTO gc.deals VALUES (5, 'gc_a', 'r', 10, '2026-05-10');
CALL kpi.refresh('gc');
SELECT kpi.drop_goal('team week');
SELECT kpi.alter_calendar('default', week_start => 'sunday');
SELECT kpi.create_goal('team week', kpi => 'gc_revenue', team => 'gc_t', period => '2026-W20', target => 10) > 0 AS goal;
SELECT status FROM kpi.goal_progress WHERE goal = 'team week';
CALL kpi.refresh('gc');
SELECT goal, p.status, p.status = s.status AS is_announced FROM kpi.goal_progress p JOIN kpi_internal.goal_status s USING (goal_id) WHERE goal = 'team week';

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.alter_calendar('default', week_start => 'monday');
SELECT kpi.drop_source('gc', cascade => true);
SELECT kpi.drop_member('gc_a'), kpi.drop_member('gc_b'), kpi.drop_team('gc_t');
DROP SCHEMA gc CASCADE;
CALL kpi.refresh();
