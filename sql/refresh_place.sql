-- Refresh: places, the periods that have facts and no cell of their own, follow
-- the cells that come and go.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
-- Places of the stream of closed_at
CREATE VIEW rf.place AS
SELECT m.key AS member, t.key AS team, ('{day,week,month,quarter,year}'::text[])[1 + c.grain] AS grain, c.start,
       d.vals[1] AS product, c.dim_id <> 0 AS by_product
FROM kpi_internal.rollup_cell c
     LEFT JOIN kpi.team t ON c.scope_kind = 1 AND t.id = c.scope_id
     LEFT JOIN kpi.member m ON c.scope_kind = 2 AND m.id = c.scope_id
     LEFT JOIN kpi_internal.dim d ON d.id = c.dim_id AND c.dim_id <> 0
WHERE c.cell IS NULL AND c.stream_id = (SELECT x.stream_id FROM kpi_internal.measure x JOIN kpi.kpi k ON x.role <> 'left_out' AND k.id = x.kpi_id WHERE k.name = 'rf_won');
CREATE FUNCTION rf.check() RETURNS TABLE (what text, difference text) LANGUAGE sql AS $$
    SELECT 'verify', v::text FROM kpi.verify('rf') v
    UNION ALL SELECT 'facts', d::text FROM rf.difference() d
    -- places by product: quarters and years of teams
    UNION ALL
    SELECT 'product', x::text FROM (
        WITH f AS (SELECT DISTINCT d.closed_at::date AS day, d.product, coalesce(m.key, '') AS member
                   FROM rf.deals d LEFT JOIN kpi.member m ON m.key = d.owner WHERE isfinite(d.closed_at)),
             w AS (SELECT DISTINCT t.team, g.grain, date_trunc(g.grain, f.day::timestamp)::date AS start, f.product
                   FROM f, LATERAL (VALUES ('company'), (CASE WHEN member IN ('ann', 'bob') THEN 'north' ELSE '(unassigned)' END),
                                           (CASE member WHEN 'bob' THEN 'alps' ELSE 'company' END)) t (team),
                        (VALUES ('quarter'), ('year')) g (grain)),
             p AS (SELECT team, grain, start, product FROM rf.place WHERE by_product)
        (SELECT 'missing', * FROM (SELECT * FROM w EXCEPT ALL SELECT * FROM p) a)
        UNION ALL (SELECT 'surplus', * FROM (SELECT * FROM p EXCEPT ALL SELECT * FROM w) a)) x
$$;
-- From 2028 on, where only the facts of the test are
CREATE VIEW rf.ahead AS
SELECT coalesce(member, team) AS scope, grain, count(*), min(start) AS first, max(start) AS last
FROM rf.place WHERE NOT by_product AND start >= '2027-12-01' AND coalesce(team, '') <> 'company' GROUP BY 1, 2 ORDER BY 1, 2;
\set ECHO all

CALL kpi.refresh();
SELECT * FROM rf.check();
SELECT (member IS NULL) AS team, grain, by_product, count(*) > 0 AS some FROM rf.place GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT * FROM rf.ahead;

-- The first fact of a week brings them, one of another product or day there
-- brings only what it is the first of, and the last one takes them along
INSERT INTO rf.deals VALUES (3001, 'ann', 'won', 1, 'p', '2028-02-29', '2028-02-29 12:00+00');
CALL kpi.refresh();
SELECT * FROM rf.ahead;
INSERT INTO rf.deals VALUES (3002, 'ann', 'won', 1, 'q', '2028-02-29', '2028-02-29 12:00+00'),
                            (3003, 'ann', 'won', 1, NULL, '2028-02-28', '2028-02-28 12:00+00');
CALL kpi.refresh();
SELECT * FROM rf.ahead;
DELETE FROM rf.deals WHERE id = 3001;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
SELECT * FROM rf.check();
DELETE FROM rf.deals WHERE id = 3002;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
SELECT * FROM rf.check();

-- The last one goes and the first one comes in one refresh: of another product,
-- on another day of the week, in another week of the quarter
UPDATE rf.deals SET product = 'r' WHERE id = 3003;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
UPDATE rf.deals SET closed_at = '2028-03-01 12:00+00' WHERE id = 3003;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
UPDATE rf.deals SET closed_at = '2028-01-03 12:00+00' WHERE id = 3003;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
SELECT * FROM rf.check();

-- A fact that changes and stays where it is writes no place
CREATE TABLE rf.before AS SELECT ctid::text AS at, xmin::text AS by, stream_id, scope_kind, scope_id, grain, dim_id, start FROM kpi_internal.rollup_cell WHERE cell IS NULL;
UPDATE rf.deals SET amount = amount + 1;
CALL kpi.refresh();
SELECT count(*) FROM (SELECT * FROM rf.before EXCEPT ALL SELECT ctid::text, xmin::text, stream_id, scope_kind, scope_id, grain, dim_id, start FROM kpi_internal.rollup_cell WHERE cell IS NULL) x;
DROP TABLE rf.before;

-- An owner who is no member has no places, becomes one, and is none again:
-- while facts of his come and go, too
UPDATE rf.deals SET owner = 'zoe' WHERE id = 3003;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
SELECT kpi.add_member('zoe', team => 'north') IS NOT NULL AS member;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.drop_member('zoe');
INSERT INTO rf.deals VALUES (3004, 'zoe', 'won', 1, NULL, '2028-02-28', '2028-02-28 12:00+00');
CALL kpi.refresh();
SELECT * FROM rf.ahead;
SELECT * FROM rf.check();
SELECT kpi.add_member('zoe', team => 'alps') IS NOT NULL AS member;
DELETE FROM rf.deals WHERE id = 3003;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.drop_member('zoe');
DELETE FROM rf.deals WHERE id = 3004;
CALL kpi.refresh();
SELECT * FROM rf.ahead;
SELECT * FROM rf.check();

-- A team that moves: weeks, quarters and years of the teams above it
SELECT kpi.move_member('bob', team => 'north', since => '2026-03-05'), kpi.move_team('alps', parent => 'company', since => '2026-02-05');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT team, grain, count(*) FROM rf.place WHERE team IN ('alps', 'north') AND grain IN ('week', 'quarter') AND NOT by_product GROUP BY 1, 2 ORDER BY 1, 2;
SELECT t, g, count(DISTINCT date_trunc(g, day::timestamp)) FROM (
    SELECT d.closed_at::date AS day, x.t FROM rf.deals d, LATERAL (VALUES
        ('alps', owner = 'bob' AND closed_at < '2026-03-05'),
        ('north', owner = 'ann' OR owner = 'bob' AND (closed_at < '2026-02-05' OR closed_at >= '2026-03-05'))) x (t, counts)
    WHERE counts) f, unnest('{week,quarter}'::text[]) g GROUP BY 1, 2 ORDER BY 1, 2;

-- Weeks and years that begin otherwise: the places are made anew from the cells,
-- of streams that are built then as well, and of what comes in the same refresh
SELECT kpi.alter_calendar('default', week_start => 'sunday', fiscal_year_start => 2);
SET rf.week_start = -1;
SET rf.year_start = 1;
INSERT INTO rf.deals VALUES (3005, 'ann', 'won', 1, 'p', '2028-02-29', '2028-02-29 12:00+00');
DELETE FROM rf.deals WHERE id % 50 = 0;
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT * FROM rf.ahead;
SELECT kpi.alter_calendar('default', week_start => 'wednesday', fiscal_year_start => 1);
SET rf.week_start = 2;
SET rf.year_start = 0;
SELECT kpi.create_kpi('rf_other', source => 'rf', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.drop_kpi('rf_other');
SELECT kpi.alter_calendar('default', week_start => 'monday');
SET rf.week_start = 0;
CALL kpi.refresh();

-- Cells of nothing but a dropped KPI stay until somebody writes them, and so do
-- their places
SELECT kpi.create_kpi('rf_late', source => 'rf', measure => 'count(*)', filter => $$stage = 'late'$$) IS NOT NULL AS kpi;
INSERT INTO rf.deals VALUES (3006, 'ann', 'late', NULL, 'l', NULL, '2029-05-05 12:00+00');
CALL kpi.refresh();
SELECT kpi.drop_kpi('rf_late'), kpi.drop_kpi('rf_ratio', cascade => true);
CALL kpi.refresh();
SELECT coalesce(member, team) AS scope, grain, start, product FROM rf.place WHERE start >= '2029-01-01' ORDER BY 1, 2, 3, 4;
SELECT * FROM kpi.verify('rf');
SELECT kpi.repair('rf');
SELECT coalesce(member, team) AS scope, grain, start, product FROM rf.place WHERE start >= '2029-01-01' ORDER BY 1, 2, 3, 4;
SELECT * FROM kpi.verify('rf');

-- Damage is found, place by place, and mended
DELETE FROM kpi_internal.rollup_cell c USING kpi.member m
 WHERE m.key = 'ann' AND c.scope_kind = 2 AND c.scope_id = m.id AND c.start = '2028-02-28' AND c.cell IS NULL;
UPDATE kpi_internal.rollup_cell c SET start = '2030-01-01' FROM kpi.team t
 WHERE t.key = 'north' AND c.scope_kind = 1 AND c.scope_id = t.id AND c.start = '2028-01-01' AND c.grain = 4 AND c.dim_id = 0;
SELECT level, scope, grain, period_start, stored, expected FROM kpi.verify('rf') ORDER BY 2, 3, 4, 5;
SELECT kpi.repair('rf');
SELECT * FROM kpi.verify('rf');
SELECT kpi.repair('rf');

SELECT kpi.drop_source('rf', cascade => true);
SELECT count(*) FROM kpi_internal.rollup_cell;
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
