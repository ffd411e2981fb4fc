-- Refresh: what changes in the organisation or the calendar touches what it must, and nothing else.
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-05-20 12:00 UTC';
CREATE SCHEMA tc;
CREATE TABLE tc.deals (id int PRIMARY KEY, owner text, region text, amount numeric, closed_at timestamptz);
CREATE TABLE tc.visits (id int PRIMARY KEY, owner text, at timestamptz);
INSERT INTO tc.deals
SELECT i, (ARRAY['ann','bob','cid','new'])[1 + i % 4], (ARRAY['e','w'])[1 + i / 7 % 2], i % 13,
       timestamptz '2025-11-03 12:00 UTC' + i % 200 * interval '1 day' FROM generate_series(1, 1200) i;
-- a few of them late in the evening
UPDATE tc.deals SET closed_at = '2026-02-10 23:30 UTC' WHERE id IN (100, 200);
INSERT INTO tc.visits SELECT id, owner, closed_at FROM tc.deals;
SELECT kpi.create_calendar('tc', 'UTC') IS NOT NULL AS made;
SELECT kpi.create_team('tc_a') IS NOT NULL AS made;
SELECT kpi.create_team('tc_a1', parent => 'tc_a') IS NOT NULL AS made;
SELECT kpi.create_team('tc_b') IS NOT NULL AS made;
SELECT kpi.add_member('ann', team => 'tc_a1') IS NOT NULL AS added;
SELECT kpi.add_member('bob', team => 'tc_a1') IS NOT NULL AS added;
SELECT kpi.add_member('cid', team => 'tc_b') IS NOT NULL AS added;
SELECT kpi.create_source('tc', relation => 'tc.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"region": "region"}', calendar => 'tc') IS NOT NULL AS made;
SELECT kpi.create_source('tc_visits', relation => 'tc.visits', key => 'id', owner => 'owner', at => 'at') IS NOT NULL AS made;
SELECT kpi.create_kpi('tc_sum', source => 'tc', measure => 'sum(amount)') IS NOT NULL AS made;
SELECT kpi.create_kpi('tc_visits', source => 'tc_visits', measure => 'count(*)') IS NOT NULL AS made;
CALL kpi.refresh();

CREATE VIEW tc.cell AS
    SELECT s.name AS source, 'rollup' AS kind, CASE c.scope_kind WHEN 1 THEN 'team ' || t.key ELSE 'member ' || m.key END AS scope,
           c.grain, c.dim_id, c.start, c.cell IS NULL AS is_place, c.cell::text AS cell, c.xmin AS version, c.ctid AS place
      FROM kpi_internal.rollup_cell c JOIN kpi_internal.stream x ON x.id = c.stream_id JOIN kpi.source s ON s.id = x.source_id
      LEFT JOIN kpi.team t ON c.scope_kind = 1 AND t.id = c.scope_id LEFT JOIN kpi.member m ON c.scope_kind = 2 AND m.id = c.scope_id
     WHERE s.name IN ('tc', 'tc_visits')
    UNION ALL
    SELECT s.name, 'day', 'owner ' || o.key, 0, c.dim_id, c.day, false, c.cell::text, c.xmin, c.ctid
      FROM kpi_internal.day_cell c JOIN kpi_internal.stream x ON x.id = c.stream_id JOIN kpi.source s ON s.id = x.source_id
      JOIN kpi_internal.owner o ON o.id = c.owner_id
     WHERE s.name IN ('tc', 'tc_visits');
CREATE TABLE tc.before AS TABLE tc.cell;
-- Rows that were written, deleted or inserted since; and of these, those that say the same as before
CREATE VIEW tc.touched AS
    SELECT source, kind, scope, count(*) AS rows, min(coalesce(a.start, b.start)) AS first, max(coalesce(a.start, b.start)) AS last,
           count(*) FILTER (WHERE a.cell IS NOT DISTINCT FROM b.cell AND a.is_place IS NOT DISTINCT FROM b.is_place) AS needless
      FROM tc.before b FULL JOIN tc.cell a USING (source, kind, scope, grain, dim_id, start)
     WHERE a.version IS DISTINCT FROM b.version OR a.place IS DISTINCT FROM b.place
     GROUP BY 1, 2, 3;
CREATE PROCEDURE tc.remember() LANGUAGE sql AS $$ TRUNCATE tc.before; INSERT INTO tc.before TABLE tc.cell $$;

-- A membership of the past: two months of two teams, and not the company
SELECT kpi.move_member('ann', team => 'tc_b', since => '2026-01-10', until => '2026-02-20');
CALL kpi.refresh();
SELECT * FROM tc.touched ORDER BY 1, 2, 3;
SELECT * FROM kpi.verify('tc');
CALL tc.remember();
-- A team moves: those above it, on the days on which they are others
SELECT kpi.move_team('tc_a1', parent => 'tc_b', since => '2026-03-01');
CALL kpi.refresh();
SELECT * FROM tc.touched ORDER BY 1, 2, 3;
SELECT * FROM kpi.verify('tc');
CALL tc.remember();
-- An owner becomes known
SELECT kpi.add_member('new', team => 'tc_a', since => '2026-04-01') IS NOT NULL AS added;
CALL kpi.refresh();
SELECT * FROM tc.touched ORDER BY 1, 2, 3;
SELECT * FROM kpi.verify('tc');
CALL tc.remember();
-- What moves nobody: a team, a member without facts, a name, a move to where somebody is
SELECT kpi.create_team('tc_c') IS NOT NULL AS made, kpi.add_member('dee', team => 'tc_c') IS NOT NULL AS added;
SELECT kpi.move_member('cid', team => 'tc_b', since => '2026-02-01'), kpi.alter_member('cid', name => 'Cid');
CALL kpi.refresh();
SELECT * FROM tc.touched ORDER BY 1, 2, 3;
-- The time zone of a calendar: the facts of its sources whose day is another
SELECT kpi.alter_calendar('tc', time_zone => 'Europe/Berlin');
CALL kpi.refresh();
SELECT * FROM tc.touched ORDER BY 1, 2, 3;
SELECT * FROM kpi.verify('tc');
SELECT kpi.value('tc_sum', period => '2026-02-11') = sum(amount) AS exact FROM tc.deals
 WHERE (closed_at AT TIME ZONE 'Europe/Berlin')::date = '2026-02-11';
CALL tc.remember();
-- The fiscal year of the organisation: places of quarters and years, no cell
SELECT fiscal_year_start FROM kpi.calendar WHERE id = 1 \gset
SELECT kpi.alter_calendar('default', fiscal_year_start => 2);
CALL kpi.refresh();
SELECT source, kind, scope, a.grain, count(*) AS rows, bool_and(coalesce(a.is_place, b.is_place)) AS places
  FROM tc.before b FULL JOIN tc.cell a USING (source, kind, scope, grain, dim_id, start)
 WHERE (a.version IS DISTINCT FROM b.version OR a.place IS DISTINCT FROM b.place) AND scope = 'team tc_b'
 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
SELECT count(*) AS cells_written FROM tc.before b FULL JOIN tc.cell a USING (source, kind, scope, grain, dim_id, start)
 WHERE (a.version IS DISTINCT FROM b.version OR a.place IS DISTINCT FROM b.place) AND NOT coalesce(a.is_place, b.is_place);
SELECT sum(needless) AS needless FROM tc.touched;
SELECT * FROM kpi.verify('tc');
SELECT kpi.alter_calendar('default', fiscal_year_start => :fiscal_year_start);
CALL kpi.refresh();

SELECT kpi.drop_source('tc', cascade => true), kpi.drop_source('tc_visits', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_member('cid'), kpi.drop_member('dee'), kpi.drop_member('new');
SELECT kpi.drop_team('tc_a1'), kpi.drop_team('tc_a'), kpi.drop_team('tc_b'), kpi.drop_team('tc_c'), kpi.drop_calendar('tc');
SET client_min_messages = warning;
DROP SCHEMA tc CASCADE;
RESET kpi.now;
