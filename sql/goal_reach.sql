-- Which goals a refresh looks at: those within the reach of what has changed.
SET client_min_messages = error;
SET kpi.now = '2026-11-15 12:00+00';
CREATE SCHEMA goal_reach;
CREATE TABLE goal_reach.deals (id integer PRIMARY KEY, owner text, product text, amount numeric, day date);
INSERT INTO goal_reach.deals VALUES (1, 'ann', 'a', 10, '2026-11-05'), (2, 'ann', 'b', 7, '2026-12-01'), (3, 'ann', 'a', 5, '2026-10-05');
SELECT kpi.create_team('reach') > 0 AS team, kpi.add_member('ann', team => 'reach') > 0 AS member;
SELECT kpi.create_source('reach', relation => 'goal_reach.deals', key => 'id', owner => 'owner', at => 'day', dimensions => '{"product": "product"}') > 0 AS source;
SELECT kpi.create_kpi('reach_sum', source => 'reach', measure => 'sum(amount)') > 0 AS kpi;
SELECT kpi.create_kpi('reach_twice', formula => 'reach_sum * 2') > 0 AS kpi;
CALL kpi.refresh();
SELECT count(kpi.create_goal(kpi => 'reach_sum', team => 'reach', period => period, target => 100)) FROM unnest('{2026-W46,2026-W45,2026-10,2026-11,2026-12,2026-Q4,2026}'::text[]) period;
SELECT kpi.create_goal(kpi => 'reach_sum', member => 'ann', period => '2026-11', target => 100) > 0 AS goal;
SELECT kpi.create_goal(kpi => 'reach_twice', period => '2026-11', target => 100) > 0 AS goal;
SELECT kpi.create_goal(kpi => 'reach_sum', team => 'reach', period => '2026-11', dimension => 'product', dimension_value => 'a', target => 100) > 0 AS goal;
CALL kpi.refresh();
-- what a refresh has written since it was asked last
CREATE TABLE goal_reach.seen AS SELECT id, xmin::text AS by FROM kpi.goal_progress;
CREATE FUNCTION goal_reach.written() RETURNS TABLE (goal text, actual numeric, to_date numeric) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT p.goal, p.actual, p.actual_to_date FROM kpi.goal_progress p JOIN goal_reach.seen s USING (id) WHERE p.xmin::text <> s.by ORDER BY p.goal_id;
    UPDATE goal_reach.seen s SET by = p.xmin::text FROM kpi.goal_progress p WHERE p.id = s.id;
END
$$;

-- its own periods, and no others
INSERT INTO goal_reach.deals VALUES (4, 'ann', 'b', 1, '2026-11-10');
CALL kpi.refresh();
SELECT * FROM goal_reach.written();
-- within one month, from before today to after it: no cell of a month changes
UPDATE goal_reach.deals SET day = '2026-11-25' WHERE id = 1;
CALL kpi.refresh();
SELECT * FROM goal_reach.written();
UPDATE goal_reach.deals SET day = '2026-11-12' WHERE id = 1;
CALL kpi.refresh();
SELECT * FROM goal_reach.written();
-- a change that changes nothing
UPDATE goal_reach.deals SET amount = 1.0, owner = 'ann' WHERE id = 4;
CALL kpi.refresh();
SELECT * FROM goal_reach.written();

-- A KPI whose later periods follow, as if it were a balance: rows of later periods
-- that were tampered with are written, those of earlier ones are not.
UPDATE kpi_internal.kpi_stream SET reach = 'later' WHERE kpi_id = (SELECT id FROM kpi.kpi WHERE name = 'reach_sum');
UPDATE kpi.goal_progress SET actual = -1 WHERE period IN ('2026-10', '2026-12') AND kpi = 'reach_sum';
UPDATE goal_reach.seen s SET by = p.xmin::text FROM kpi.goal_progress p WHERE p.id = s.id;
INSERT INTO goal_reach.deals VALUES (5, 'ann', 'b', 1, '2026-11-03');
CALL kpi.refresh();
SELECT * FROM goal_reach.written();
SELECT goal, actual FROM kpi.goal_progress WHERE actual = -1;

SELECT kpi.repair('reach');
SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.drop_source('reach', cascade => true);
SELECT kpi.drop_member('ann');
SELECT kpi.drop_team('reach');
DROP SCHEMA goal_reach CASCADE;
