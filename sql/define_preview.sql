-- kpi.preview_move(): what a move of a member would change.
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-05-20 12:00 UTC';
CREATE SCHEMA pv;
CREATE TABLE pv.deals (id int PRIMARY KEY, owner text, amount numeric, closed_at date);
INSERT INTO pv.deals
SELECT i, (ARRAY['ann','bob'])[1 + i % 2], i % 13, date '2026-01-03' + i % 170 FROM generate_series(1, 600) i;
SELECT kpi.create_team('pv_a') IS NOT NULL AS made;
SELECT kpi.create_team('pv_a1', parent => 'pv_a') IS NOT NULL AS made;
SELECT kpi.create_team('7', parent => 'pv_a') IS NOT NULL AS made;
SELECT kpi.create_team('pv_b') IS NOT NULL AS made;
SELECT kpi.add_member('ann', team => 'pv_a1') IS NOT NULL AS added;
SELECT kpi.add_member('bob', team => 'pv_b') IS NOT NULL AS added;
SELECT kpi.create_source('pv', relation => 'pv.deals', key => 'id', owner => 'owner', at => 'closed_at') IS NOT NULL AS made;
SELECT kpi.create_kpi('pv_sum', source => 'pv', measure => 'sum(amount)') IS NOT NULL AS made;
SELECT kpi.create_kpi('pv_now', source => 'pv', measure => 'count(*)', credit => 'today') IS NOT NULL AS made;
SELECT kpi.create_kpi('pv_mean', formula => 'pv_sum / nullif(pv_now, 0)') IS NOT NULL AS made;
CALL kpi.refresh();
SELECT kpi.create_goal('B in May', kpi => 'pv_sum', team => 'pv_b', period => '2026-05', target => '500') IS NOT NULL AS made;
SELECT kpi.create_goal('A1 in May', kpi => 'pv_sum', team => 'pv_a1', period => '2026-05', target => '300') IS NOT NULL AS made;
SELECT kpi.create_goal('Ann in May', kpi => 'pv_sum', member => 'ann', period => '2026-05', target => '300') IS NOT NULL AS made;
CALL kpi.refresh();

-- Nothing of it stays: not a row of these, nor a lock, nor a notice
CREATE VIEW pv.traces AS
    SELECT (SELECT md5(string_agg(c::text || c.xmin || c.ctid, ' ' ORDER BY c.ctid)) FROM kpi_internal.rollup_cell c) AS cells,
           (SELECT md5(string_agg(c::text || c.xmin || c.ctid, ' ' ORDER BY c.ctid)) FROM kpi_internal.applied_attribution c) AS attributions,
           (SELECT md5(string_agg(c::text || c.xmin || c.ctid, ' ' ORDER BY c.ctid)) FROM kpi.membership c) AS memberships,
           (SELECT md5(string_agg(c::text || c.xmin || c.ctid, ' ' ORDER BY c.ctid)) FROM kpi.goal_progress c) AS goals,
           (SELECT md5(string_agg(c::text, ' ' ORDER BY c::text)) FROM kpi_internal.version c) AS versions,
           (SELECT count(*) FROM kpi.refresh_log) AS logged,
           (SELECT count(*) FROM kpi_internal.goal_recheck) AS rechecks,
           (SELECT count(*) FROM kpi.goal_event) AS events,
           (SELECT sum(pending_deltas) FROM kpi.source_status) AS pending;
INSERT INTO pv.deals VALUES (1001, 'ann', 100, '2026-05-05'), (1002, 'bob', 10, '2026-05-06');
CREATE TABLE pv.traces_before AS TABLE pv.traces;
LISTEN kpi_progress;
BEGIN;
CREATE TABLE pv.preview AS
SELECT * FROM kpi.preview_move('ann', team => 'pv_b', since => '2026-04-01');
SELECT count(*) AS locks FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory';
SELECT count(*) AS row_locks FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'kpi_internal.version'::regclass AND mode = 'RowExclusiveLock';
COMMIT;
SELECT count(*) AS differ FROM (TABLE pv.traces_before EXCEPT TABLE pv.traces) d;
UNLISTEN kpi_progress;
SELECT * FROM pv.preview ORDER BY kind DESC, kpi, scope_team, scope_member, grain, period, goal;

-- It says what then happens: every value and goal that differs
CREATE VIEW pv.values AS
    SELECT v.kpi, v.team, v.grain, v.period, v.value FROM (TABLE kpi.team_monthly UNION ALL TABLE kpi.team_quarterly UNION ALL TABLE kpi.team_yearly) v
     WHERE v.kpi LIKE 'pv\_%';
CREATE VIEW pv.goals AS SELECT goal, kpi, period, actual, status FROM kpi.goal_progress WHERE kpi LIKE 'pv\_%';
CALL kpi.refresh();
CREATE TABLE pv.values_before AS TABLE pv.values;
CREATE TABLE pv.goals_before AS TABLE pv.goals;
CREATE FUNCTION pv.compare(OUT of text, OUT said bigint, OUT differ bigint) RETURNS SETOF record LANGUAGE sql AS $$
    WITH happened AS (
        SELECT kpi, team, grain, period, b.value AS before, a.value AS after
          FROM pv.values_before b FULL JOIN pv.values a USING (kpi, team, grain, period) WHERE b.value IS DISTINCT FROM a.value),
    said AS (SELECT kpi, scope_team AS team, grain, period, round(before, 10) AS before, round(after, 10) AS after FROM pv.preview WHERE kind = 'kpi')
    SELECT 'values', (SELECT count(*) FROM said), count(*) FROM (
        (TABLE said EXCEPT SELECT kpi, team, grain, period, round(before, 10), round(after, 10) FROM happened)
        UNION ALL (SELECT kpi, team, grain, period, round(before, 10), round(after, 10) FROM happened EXCEPT TABLE said)) d
    UNION ALL
    SELECT 'goals', (SELECT count(*) FROM pv.preview WHERE kind = 'goal'), count(*) FROM (
        WITH happened AS (
            SELECT b.goal, b.period, b.actual AS before, a.actual AS after, b.status AS status_before, a.status AS status_after
              FROM pv.goals_before b JOIN pv.goals a USING (goal, period) WHERE (b.actual, b.status) IS DISTINCT FROM (a.actual, a.status)),
        said AS (SELECT goal, period, before, after, status_before, status_after FROM pv.preview WHERE kind = 'goal')
        (TABLE said EXCEPT TABLE happened) UNION ALL (TABLE happened EXCEPT TABLE said)) d
$$;
BEGIN;
SELECT kpi.move_member('ann', team => 'pv_b', since => '2026-04-01');
CALL kpi.refresh();
SELECT * FROM pv.compare();
ROLLBACK;

-- Some days only, in which today is not; a day to come; keys that are numbers
TRUNCATE pv.preview;
INSERT INTO pv.preview SELECT * FROM kpi.preview_move('ann', team => 'pv_b', since => '2026-02-10', until => '2026-03-05');
SELECT DISTINCT kind, kpi, scope_team FROM pv.preview ORDER BY 1, 2, 3;
BEGIN;
SELECT kpi.move_member('ann', team => 'pv_b', since => '2026-02-10', until => '2026-03-05');
CALL kpi.refresh();
SELECT * FROM pv.compare();
ROLLBACK;
TRUNCATE pv.preview;
INSERT INTO pv.preview SELECT * FROM kpi.preview_move('ann', team => 7, since => '2026-06-01');
SELECT DISTINCT kind, kpi, scope_team, grain FROM pv.preview ORDER BY 1, 2, 3, 4;
BEGIN;
SELECT kpi.move_member('ann', team => '7', since => '2026-06-01');
CALL kpi.refresh();
SELECT * FROM pv.compare();
ROLLBACK;
-- Nothing would change
SELECT * FROM kpi.preview_move('ann', team => 'pv_a1', since => '2026-04-01');

-- In a transaction that has written facts, and may go on
BEGIN;
INSERT INTO pv.deals VALUES (1003, 'ann', 1000, '2026-05-07');
SELECT kpi, scope_team, period, before, after FROM kpi.preview_move('ann', team => 'pv_b', since => '2026-05-01')
 WHERE kind = 'kpi' AND kpi = 'pv_sum' AND grain = 'month' ORDER BY 1, 2, 3;
COMMIT;
CALL kpi.refresh();
SELECT * FROM kpi.verify('pv');
SELECT kpi.value('pv_sum', team => 'pv_a1', period => '2026-05') = sum(amount) AS exact FROM pv.deals
 WHERE owner = 'ann' AND closed_at BETWEEN '2026-05-01' AND '2026-05-31';
-- A source that is paused is left out
SELECT kpi.pause('pv');
SELECT count(*) FROM kpi.preview_move('ann', team => 'pv_b', since => '2026-05-01');
SELECT kpi.resume('pv');
-- Refused, as the move is; and the transaction of a repeatable read
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM kpi.preview_move('ann', team => 'pv_b', since => '2026-05-01');
ROLLBACK;
SELECT * FROM kpi.preview_move('eve', team => 'pv_b', since => '2026-05-01');
SELECT * FROM kpi.preview_move('ann', team => 'pv_x', since => '2026-05-01');
SELECT * FROM kpi.preview_move('ann', team => '(unassigned)', since => '2026-05-01');
SELECT * FROM kpi.preview_move('ann', team => 'pv_b', since => NULL);
SELECT * FROM kpi.preview_move('ann', team => 'pv_b', since => '2026-05-01', until => '2026-04-01');
SELECT * FROM kpi.preview_move(NULL::text, team => 'pv_b', since => '2026-05-01');
CREATE ROLE pv_reader;
SELECT kpi.grant_reader('pv_reader');
SET ROLE pv_reader;
SELECT * FROM kpi.preview_move('ann', team => 'pv_b', since => '2026-05-01');
RESET ROLE;
SELECT kpi.revoke_reader('pv_reader');
CREATE ROLE pv_editor;
SELECT kpi.grant_editor('pv_editor');
SET ROLE pv_editor;
SELECT count(*) > 0 AS rows FROM kpi.preview_move('ann', team => 'pv_b', since => '2026-05-01');
RESET ROLE;
SELECT kpi.revoke_editor('pv_editor'), kpi.revoke_reader('pv_editor');
DROP ROLE pv_reader, pv_editor;
SELECT kpi.drop_source('pv', cascade => true), kpi.drop_member('ann'), kpi.drop_member('bob');
SELECT kpi.drop_team('pv_a1'), kpi.drop_team('7'), kpi.drop_team('pv_a'), kpi.drop_team('pv_b');
SET client_min_messages = warning;
DROP SCHEMA pv CASCADE;
RESET kpi.now;
