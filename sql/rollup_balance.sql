-- Rollup tables of balances: rows of periods without facts, the next day, a correction long ago.
SET client_min_messages = error;
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-11-15 12:00+00';
CREATE SCHEMA rb;
CREATE TABLE rb.sub (id int PRIMARY KEY, owner text, plan text, mrr numeric, started date, ended date);
INSERT INTO rb.sub
SELECT i, (ARRAY['ann','bob'])[1 + i % 2], (ARRAY['s','m'])[1 + i / 2 % 2], 10 + i % 5, date '2025-03-05' + i * 17,
       CASE WHEN i % 3 = 0 THEN date '2025-03-05' + i * 17 + 90 END
  FROM generate_series(0, 15) i;
SELECT kpi.create_team('rb') > 0 AS team, kpi.create_team('rb1', parent => 'rb') > 0 AS team;
SELECT kpi.add_member('ann', team => 'rb') > 0 AS member, kpi.add_member('bob', team => 'rb1') > 0 AS member;
SELECT kpi.create_source('rb', relation => 'rb.sub', key => 'id', owner => 'owner', at => 'started', dimensions => '{"plan": "plan"}') > 0 AS source;
SELECT kpi.create_kpi('rb_mrr', source => 'rb', measure => 'balance(mrr)', until => 'ended') > 0 AS kpi;
SELECT kpi.create_kpi('rb_new', source => 'rb', measure => 'count(*)') > 0 AS kpi;
SELECT kpi.create_kpi('rb_share', formula => 'rb_new / opening(rb_mrr)') > 0 AS kpi;
CALL kpi.refresh();
SELECT kpi.create_rollup('rb.month', kpis => '{rb_mrr, rb_new, rb_share}', per => 'team', grain => 'month') IS NOT NULL AS made;
SELECT kpi.create_rollup('rb.day', kpis => '{rb_mrr}', per => 'team', grain => 'day') IS NOT NULL AS made;
SELECT kpi.create_rollup('rb.member_day', kpis => '{rb_mrr, rb_new}', per => 'member', grain => 'day') IS NOT NULL AS made;
SELECT kpi.create_rollup('rb.member_quarter', kpis => '{rb_mrr}', per => 'member', grain => 'quarter') IS NOT NULL AS made;
SELECT kpi.create_rollup('rb.plan', kpis => '{rb_mrr}', per => 'team', grain => 'month', dimension => 'plan') IS NOT NULL AS made;
CALL kpi.refresh();
-- What the views say, against what the tables have.
CREATE FUNCTION rb.pivot(of_view regclass, scope name, is_part boolean) RETURNS TABLE (who text, part text, start date, mrr numeric, new numeric, share numeric) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$SELECT %I, %s, period_start, max(value) FILTER (WHERE kpi = 'rb_mrr'), max(value) FILTER (WHERE kpi = 'rb_new'),
        max(value) FILTER (WHERE kpi = 'rb_share') FROM %s WHERE kpi LIKE 'rb\_%%' %s GROUP BY 1, 2, 3$q$,
        scope, CASE WHEN is_part THEN 'dimension_value' ELSE 'NULL' END, of_view, CASE WHEN is_part THEN $q$AND dimension = 'plan'$q$ ELSE '' END);
END $$;
CREATE FUNCTION rb.wrong() RETURNS TABLE (t text, rows bigint, differ bigint) LANGUAGE sql AS $$
    SELECT 'month', (SELECT count(*) FROM rb.month), count(*) FROM (SELECT team, period_start, rb_mrr, rb_new, round(rb_share, 6) AS share FROM rb.month) a
      FULL JOIN (SELECT * FROM rb.pivot('kpi.team_monthly', 'team', false)) e ON e.who = a.team AND e.start = a.period_start
     WHERE (a.rb_mrr, a.rb_new, a.share) IS DISTINCT FROM (e.mrr, e.new, round(e.share, 6)) OR e.who IS NULL OR a.team IS NULL
    UNION ALL
    SELECT 'day', (SELECT count(*) FROM rb.day), count(*) FROM rb.day a
      FULL JOIN (SELECT * FROM rb.pivot('kpi.team_daily', 'team', false) WHERE mrr IS NOT NULL) e ON e.who = a.team AND e.start = a.period_start
     WHERE a.rb_mrr IS DISTINCT FROM e.mrr OR e.who IS NULL OR a.team IS NULL
    UNION ALL
    SELECT 'member_day', (SELECT count(*) FROM rb.member_day), count(*) FROM rb.member_day a
      FULL JOIN (SELECT * FROM rb.pivot('kpi.member_daily', 'member', false)) e ON e.who = a.member AND e.start = a.period_start
     WHERE (a.rb_mrr, a.rb_new) IS DISTINCT FROM (e.mrr, e.new) OR e.who IS NULL OR a.member IS NULL
    UNION ALL
    SELECT 'member_quarter', (SELECT count(*) FROM rb.member_quarter), count(*) FROM rb.member_quarter a
      FULL JOIN (SELECT * FROM rb.pivot('kpi.member_quarterly', 'member', false) WHERE mrr IS NOT NULL) e ON e.who = a.member AND e.start = a.period_start
     WHERE a.rb_mrr IS DISTINCT FROM e.mrr OR e.who IS NULL OR a.member IS NULL
    UNION ALL
    SELECT 'plan', (SELECT count(*) FROM rb.plan), count(*) FROM rb.plan a
      FULL JOIN (SELECT * FROM rb.pivot('kpi.team_breakdown_monthly', 'team', true) WHERE mrr IS NOT NULL) e
           ON e.who = a.team AND e.start = a.period_start AND e.part = a.dimension_value
     WHERE a.rb_mrr IS DISTINCT FROM e.mrr OR e.who IS NULL OR a.team IS NULL
$$;
SELECT * FROM rb.wrong();
UPDATE rb.sub SET mrr = 100 WHERE id = 1;
INSERT INTO rb.sub VALUES (100, 'bob', 'm', 7, '2025-04-01', '2025-06-01');
CALL kpi.refresh();
SELECT * FROM rb.wrong();
SELECT kpi.move_member('bob', team => 'rb', since => '2026-02-10');
CALL kpi.refresh();
SELECT * FROM rb.wrong();
-- the next day, and the next month, without a write
SET kpi.now = '2026-11-16 12:00+00';
CALL kpi.refresh();
SELECT * FROM rb.wrong();
SET kpi.now = '2026-12-02 12:00+00';
CALL kpi.refresh();
SELECT * FROM rb.wrong();
DELETE FROM rb.sub WHERE id < 3;
CALL kpi.refresh();
SELECT * FROM rb.wrong();
SELECT * FROM kpi.verify('rb');
SELECT count(kpi.drop_rollup(relation)) FROM kpi.rollup WHERE relation LIKE 'rb.%';
SELECT kpi.drop_source('rb', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob');
SELECT kpi.drop_team('rb1'), kpi.drop_team('rb');
DROP SCHEMA rb CASCADE;
