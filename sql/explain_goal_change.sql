-- Why a goal moved between two days: new facts by part and all else, which add up to what was said.
SET client_min_messages = error;
SET kpi.now = '2026-11-02 12:00+00';
CREATE SCHEMA egc;
CREATE TABLE egc.deals (id integer PRIMARY KEY, owner text, product text, amount numeric, day date);
SELECT kpi.create_team('egc') > 0 AS team, kpi.create_team('egc_n', parent => 'egc') > 0 AS team, kpi.create_team('egc_s', parent => 'egc') > 0 AS team;
SELECT kpi.add_member('egc_a', team => 'egc_n', since => '2026-01-01') > 0 AS member, kpi.add_member('egc_b', team => 'egc_s', since => '2026-01-01') > 0 AS member,
       kpi.add_member('egc_c', team => 'egc', since => '2026-01-01') > 0 AS member, kpi.add_member('egc_d', team => 'egc_s', since => '2026-11-04', until => '2026-11-06') > 0 AS member;
SELECT kpi.create_source('egc', relation => 'egc.deals', key => 'id', owner => 'owner', at => 'day', dimensions => '{"product": "product", "region": "left(owner, 3)"}') > 0 AS source;
SELECT kpi.create_kpi('egc_money', source => 'egc', measure => 'sum(amount)') > 0 AS kpi, kpi.create_kpi('egc_mean', source => 'egc', measure => 'avg(amount)') > 0 AS kpi,
       kpi.create_kpi('egc_double', formula => 'egc_money * 2') > 0 AS kpi;
INSERT INTO egc.deals VALUES (1, 'egc_a', 'p', 100.50, '2026-11-01'), (2, 'egc_b', 'q', 40, '2026-11-02'), (3, 'egc_c', NULL, 7, '2026-11-02'), (4, 'nobody', 'p', 1, '2026-11-01');
CALL kpi.refresh('egc');
SELECT kpi.create_goal('egc', kpi => 'egc_money', team => 'egc', period => '2026-11', target => 1000) > 0 AS goal,
       kpi.create_goal('egc company', kpi => 'egc_money', period => '2026-11', target => 2000) > 0 AS goal,
       kpi.create_goal('egc p', kpi => 'egc_money', team => 'egc', period => '2026-11', dimension => 'product', dimension_value => 'p', target => 500) > 0 AS goal,
       kpi.create_goal('egc a', kpi => 'egc_money', member => 'egc_a', period => '2026-11', target => 300) > 0 AS goal,
       kpi.create_goal('egc d', kpi => 'egc_money', member => 'egc_d', period => '2026-11', target => 30) > 0 AS goal,
       kpi.create_goal('egc months', kpi => 'egc_money', team => 'egc', period => 'every month of 2026', plan => 'default', dimension => 'product', dimension_value => 'q', target => 100) > 0 AS goal,
       kpi.create_goal('egc mean', kpi => 'egc_mean', team => 'egc', period => '2026-11', target => 50) > 0 AS goal,
       kpi.create_goal('egc double', kpi => 'egc_double', team => 'egc', period => '2026-11', target => 50) > 0 AS goal;
CALL kpi.refresh();

-- new facts alone
SET kpi.now = '2026-11-03 12:00+00';
INSERT INTO egc.deals VALUES (5, 'egc_a', 'q', 10, '2026-11-03'), (6, 'egc_a', 'p', 20, '2026-11-03'), (7, 'egc_b', 'p', 5.25, '2026-11-03'),
                             (8, 'egc_c', 'q', 2, '2026-11-03'), (9, 'nobody', 'q', 3, '2026-11-03'), (10, 'egc_b', 'p', 99, '2026-11-20');
CALL kpi.refresh();
SELECT * FROM kpi.goal_change('egc', since => '2026-11-02');
SELECT cause, part, amount FROM kpi.goal_change('egc', since => '2026-11-02', by => 'member');
SELECT cause, part, amount FROM kpi.goal_change('egc', since => '2026-11-02', by => 'product');
SELECT cause, part, amount FROM kpi.goal_change('egc company', since => '2026-11-02', by => 'member');
SELECT cause, part, amount FROM kpi.goal_change('egc p', since => '2026-11-02');
SELECT cause, part, amount FROM kpi.goal_change('egc a', since => '2026-11-02');
SELECT cause, part, amount FROM kpi.goal_change('egc a', since => '2026-11-02', by => 'product');
SELECT cause, part, amount FROM kpi.goal_change('egc months', since => '2026-11-02');
-- from the beginning
SELECT cause, part, amount, target_amount, since_day, until_day FROM kpi.goal_change('egc', since => '2026-10-31', by => 'product');

-- corrected, deleted and late facts, the target
SET kpi.now = '2026-11-05 12:00+00';
UPDATE egc.deals SET amount = 90.50 WHERE id = 1;
DELETE FROM egc.deals WHERE id = 3;
INSERT INTO egc.deals VALUES (11, 'egc_a', 'p', 8, '2026-11-03'), (12, 'egc_a', 'p', 30, '2026-11-05'), (13, 'egc_d', 'q', 4, '2026-11-04'), (14, 'egc_d', 'q', 6, '2026-11-06');
SELECT kpi.alter_goal('egc', target => 1200, since => '2026-11-04', reason => 'a rep more');
CALL kpi.refresh();
SELECT * FROM kpi.goal_change('egc', since => '2026-11-04', by => 'product');
SELECT cause, part, amount, target_amount, since_day, until_day FROM kpi.goal_change('egc', since => '2026-11-02', until => '2026-11-03');

-- somebody moved, back to the beginning of the month, and somebody gone
SET kpi.now = '2026-11-08 12:00+00';
SELECT kpi.move_member('egc_a', team => 'company', since => '2026-11-01');
INSERT INTO egc.deals VALUES (15, 'egc_a', 'p', 16, '2026-11-07'), (16, 'egc_b', 'q', 32, '2026-11-08');
CALL kpi.refresh();
SET kpi.now = '2026-11-09 12:00+00';
CALL kpi.refresh();
SELECT * FROM kpi.goal_change('egc', since => '2026-11-05', until => '2026-11-08');
SELECT cause, part, amount, since_day, until_day FROM kpi.goal_change('egc d', since => '2026-11-05');

-- what is said of each goal, on all pairs of days and by all parts: the sum is the difference of what was said
CREATE VIEW egc.said AS
    SELECT h.goal_id, h.day, coalesce(h.actual_to_date, 0) AS actual, coalesce(h.target, 0) AS target
      FROM kpi.goal_progress_history h JOIN kpi.goal g ON g.id = h.goal_id
     WHERE g.name LIKE 'egc%' AND g.name NOT IN ('egc mean', 'egc double') AND h.period_start = '2026-11-01'
     UNION ALL
    SELECT p.goal_id, '2026-11-09', coalesce(p.actual_to_date, 0), coalesce(p.target, 0)
      FROM kpi.goal_progress p JOIN kpi.goal g ON g.id = p.goal_id
     WHERE g.name LIKE 'egc%' AND g.name NOT IN ('egc mean', 'egc double') AND p.period_start = '2026-11-01';
SELECT count(*) AS compared, count(*) FILTER (WHERE c.amount <> b.actual - a.actual OR c.target_amount <> b.target - a.target) AS wrong,
       count(*) FILTER (WHERE c.rest <> 0) AS with_rest
  FROM egc.said a JOIN egc.said b ON b.goal_id = a.goal_id AND b.day > a.day JOIN kpi.goal g ON g.id = a.goal_id
 CROSS JOIN (VALUES (NULL), ('team'), ('member'), ('product')) p (by)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(x.amount), 0) AS amount, coalesce(sum(x.target_amount), 0) AS target_amount,
              sum(x.amount) FILTER (WHERE x.cause = 'corrections_and_moves') AS rest
         FROM kpi.goal_change(g.id, a.day, b.day, p.by) x) c
 WHERE g.member_id IS NULL OR p.by IS NULL OR p.by = 'product';
-- and new facts are those of the table that are dated so
SELECT x.since, x.until, f.part, f.amount, d.amount AS of_facts
  FROM (VALUES ('2026-11-02'::date, '2026-11-08'::date), ('2026-11-03', '2026-11-09'), ('2026-11-05', '2026-11-08')) x (since, until)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(z.amount) FILTER (WHERE z.part = 'p'), 0) AS p, sum(z.amount) FILTER (WHERE z.part = 'q') AS q
         FROM kpi.goal_change('egc', x.since, x.until, 'product') z WHERE z.cause = 'new_facts') c
 CROSS JOIN LATERAL (VALUES ('p', c.p), ('q', c.q)) f (part, amount)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(e.amount), 0) AS amount FROM egc.deals e
        WHERE e.day > x.since AND e.day <= x.until AND e.product = f.part AND (e.owner IN ('egc_b', 'egc_c') OR e.owner = 'egc_d' AND e.day < '2026-11-06')) d
 ORDER BY 1, 2, 3;

-- after its period it may be corrected still
SET kpi.now = '2026-12-03 12:00+00';
CALL kpi.refresh();
SET kpi.now = '2026-12-04 12:00+00';
UPDATE egc.deals SET amount = amount + 1 WHERE id = 16;
CALL kpi.refresh();
SELECT cause, part, amount, since_day, until_day FROM kpi.goal_change('egc', since => '2026-11-09');

-- what cannot be told
SELECT kpi.goal_change('egc mean', since => '2026-11-02');
SELECT kpi.goal_change('egc double', since => '2026-11-02');
SELECT kpi.goal_change('egc nowhere', since => '2026-11-02');
SELECT kpi.goal_change(-1, since => '2026-11-02');
SELECT kpi.goal_change('egc', since => NULL);
SELECT kpi.goal_change('egc', since => '2026-11-05', until => '2026-11-05');
SELECT kpi.goal_change('egc', since => '2026-12-04');
SELECT kpi.goal_change('egc', since => '2026-11-01');
SELECT kpi.goal_change('egc', since => '2026-11-05', by => 'produkt');
SELECT kpi.goal_change('egc', since => '2026-11-05', by => '');
SELECT kpi.goal_change('egc a', since => '2026-11-05', by => 'member');
SELECT kpi.create_goal('egc', kpi => 'egc_money', team => 'egc_s', period => '2026-12', target => 10) > 0 AS goal;
SET client_min_messages = notice;
DO $$ BEGIN PERFORM kpi.goal_change('egc', since => '2026-11-02'); EXCEPTION WHEN ambiguous_parameter THEN RAISE NOTICE '%', sqlerrm; END $$;
SET client_min_messages = error;

SELECT count(kpi.drop_goal(id)) FROM kpi.goal WHERE kpi_id IN (SELECT id FROM kpi.kpi WHERE name LIKE 'egc%');
SELECT kpi.drop_kpi('egc_double');
SELECT kpi.drop_source('egc', cascade => true);
SELECT kpi.drop_member('egc_a'), kpi.drop_member('egc_b'), kpi.drop_member('egc_c'), kpi.drop_member('egc_d');
SELECT kpi.drop_team('egc_n'), kpi.drop_team('egc_s');
SELECT kpi.drop_team('egc');
DROP SCHEMA egc CASCADE;
RESET kpi.now;
