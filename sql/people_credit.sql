-- People: whose the facts of somebody are who has moved or left.
SET TIME ZONE 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-05-20 12:00 UTC';
CREATE SCHEMA cr;
CREATE TABLE cr.deals (id int PRIMARY KEY, owner text, region text, amount numeric, closed_at date);
INSERT INTO cr.deals
SELECT i, (ARRAY['ann','bob','cid','dee','nobody'])[1 + i % 5], (ARRAY['e','w'])[1 + i / 7 % 2], i % 13,
       date '2025-11-03' + i % 240
  FROM generate_series(1, 1500) i;
SELECT kpi.create_team('cr_a') IS NOT NULL AS made;
SELECT kpi.create_team('cr_a1', parent => 'cr_a') IS NOT NULL AS made;
SELECT kpi.create_team('cr_b') IS NOT NULL AS made;
SELECT kpi.add_member('ann', team => 'cr_a1') IS NOT NULL AS added;
SELECT kpi.add_member('bob', team => 'cr_a') IS NOT NULL AS added;
SELECT kpi.add_member('cid', team => 'cr_b', since => '2026-02-10') IS NOT NULL AS added;
SELECT kpi.add_member('dee', team => 'cr_b') IS NOT NULL AS added;
SELECT kpi.create_source('cr', relation => 'cr.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"region": "region"}') IS NOT NULL AS made;
SELECT kpi.create_kpi('cr_then', source => 'cr', measure => 'sum(amount)') IS NOT NULL AS made;
SELECT kpi.create_kpi('cr_today', source => 'cr', measure => 'sum(amount)', credit => 'today') IS NOT NULL AS made;
SELECT kpi.create_kpi('cr_share', formula => 'cr_today / nullif(cr_then, 0)') IS NOT NULL AS made;
SELECT name, credit FROM kpi.kpi WHERE name LIKE 'cr\_%' ORDER BY name;
-- one stream for each credit
SELECT owner_kind, credit, count(*) FROM (SELECT * FROM kpi_internal.stream WHERE part <> 'left_out') s JOIN kpi.source o ON o.id = s.source_id
 WHERE o.name = 'cr' GROUP BY 1, 2 ORDER BY 1, 2;
CALL kpi.refresh();
SELECT * FROM kpi.verify('cr');

-- What it should be, from the definitions alone: of each fact the team that
-- counts, on its day or (credit today) on today's, and those above it.
CREATE FUNCTION cr.team_on(member_key text, day date) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT t.key FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id JOIN kpi.team t ON t.id = s.team_id
                      WHERE m.key = member_key AND (s.since IS NULL OR s.since <= day)
                        AND (s.until IS NULL OR s.until > day OR s.later_facts = 'last_team')
                      ORDER BY s.since DESC NULLS LAST LIMIT 1), '(unassigned)')
$$;
CREATE FUNCTION cr.above(team_key text, day date) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up (id, key) AS (
        SELECT id, key FROM kpi.team WHERE key = team_key
        UNION ALL
        SELECT t.id, t.key FROM up JOIN kpi.team_parent p ON p.team_id = up.id
               AND (p.since IS NULL OR p.since <= day) AND (p.until IS NULL OR p.until > day)
          JOIN kpi.team t ON t.id = p.parent_id)
    SELECT key FROM up
$$;
CREATE VIEW cr.expected AS
    WITH fact AS MATERIALIZED (
        SELECT d.*, c.credit, CASE c.credit WHEN 'then' THEN d.closed_at ELSE kpi.today() END AS day
          FROM cr.deals d CROSS JOIN (VALUES ('then'), ('today')) c (credit)),
    owned AS MATERIALIZED (
        SELECT u.owner, u.day, a.key FROM (SELECT DISTINCT owner, day FROM fact) u
         CROSS JOIN LATERAL cr.above(cr.team_on(u.owner, u.day), u.day) a (key))
    SELECT 'cr_' || f.credit AS kpi, o.key AS team, NULL::text AS region, g.grain,
           date_trunc(g.grain, f.closed_at::timestamp)::date AS start, sum(f.amount) AS value
      FROM fact f JOIN owned o ON o.owner = f.owner AND o.day = f.day
     CROSS JOIN (VALUES ('day'), ('week'), ('month'), ('quarter'), ('year')) g (grain)
     GROUP BY 1, 2, 4, 5
    UNION ALL
    SELECT 'cr_' || f.credit, o.key, f.region, 'month', date_trunc('month', f.closed_at::timestamp)::date, sum(f.amount)
      FROM fact f JOIN owned o ON o.owner = f.owner AND o.day = f.day
     GROUP BY 1, 2, 3, 5;
CREATE VIEW cr.shown AS
    SELECT k.name AS kpi, t.key AS team, NULL::text AS region, v.grain, v.period_start AS start, v.value
      FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id JOIN kpi.team t ON t.id = v.team_id
     WHERE k.name IN ('cr_then', 'cr_today')
    UNION ALL
    SELECT b.kpi, b.team, b.dimension_value, 'month', b.period_start, b.value
      FROM kpi.team_breakdown_monthly b WHERE b.kpi IN ('cr_then', 'cr_today');
CREATE VIEW cr.difference AS
    SELECT 'shown' AS side, s.* FROM (TABLE cr.shown EXCEPT TABLE cr.expected) s
    UNION ALL
    SELECT 'expected', e.* FROM (TABLE cr.expected EXCEPT TABLE cr.shown) e;
-- of members, who keep their facts, by day; of teams to date
CREATE VIEW cr.expected_day AS
    SELECT 'cr_' || c.credit AS kpi, d.owner AS member, d.closed_at AS start, sum(d.amount) AS value
      FROM cr.deals d CROSS JOIN (VALUES ('then'), ('today')) c (credit) WHERE d.owner <> 'nobody' GROUP BY 1, 2, 3;
CREATE VIEW cr.shown_day AS
    SELECT kpi, member, period_start AS start, value FROM kpi.member_daily WHERE kpi IN ('cr_then', 'cr_today');
CREATE VIEW cr.expected_to_date AS
    SELECT 'cr_' || c.credit AS kpi, a.key AS team, d.region, sum(d.amount) FILTER (WHERE d.closed_at <= kpi.today()) AS value
      FROM cr.deals d CROSS JOIN (VALUES ('then'), ('today')) c (credit)
     CROSS JOIN LATERAL (SELECT CASE c.credit WHEN 'then' THEN d.closed_at ELSE kpi.today() END) w (day)
     CROSS JOIN LATERAL cr.above(cr.team_on(d.owner, w.day), w.day) a (key)
     WHERE date_trunc('month', d.closed_at) = date_trunc('month', kpi.today()) GROUP BY 1, 2, 3;
CREATE VIEW cr.shown_to_date AS
    SELECT kpi, team, dimension_value AS region, value_to_date AS value FROM kpi.team_breakdown_monthly
     WHERE kpi IN ('cr_then', 'cr_today') AND is_current;
SELECT count(*) > 1000 AS many FROM cr.expected;
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;
SELECT count(*) FROM (TABLE cr.shown_day EXCEPT TABLE cr.expected_day UNION ALL (TABLE cr.expected_day EXCEPT TABLE cr.shown_day)) d;
SELECT count(*) FROM (TABLE cr.shown_to_date EXCEPT TABLE cr.expected_to_date UNION ALL (TABLE cr.expected_to_date EXCEPT TABLE cr.shown_to_date)) d;

-- A move of the past, of today, of tomorrow
SELECT kpi.move_member('ann', team => 'cr_b', since => '2026-03-15');
CALL kpi.refresh('cr');
SELECT * FROM kpi.verify('cr');
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;
SELECT kpi.move_member('bob', team => 'cr_b', since => '2026-05-21');
SELECT kpi.move_team('cr_a1', parent => 'cr_b', since => '2026-05-22');
INSERT INTO cr.deals VALUES (9001, 'bob', 'e', 5, '2026-05-30'), (9002, 'ann', 'w', 7, '2026-05-25');
CALL kpi.refresh('cr');
SELECT * FROM kpi.verify('cr');
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;
SELECT is_complete FROM kpi.freshness WHERE source = 'cr';
-- Tomorrow begins: the numbers are not those of today until somebody refreshes
SET kpi.now = '2026-05-21 00:10 UTC';
SELECT is_complete FROM kpi.freshness WHERE source = 'cr';
SELECT kpi, bool_and(is_complete) AS is_complete FROM kpi.team_yearly WHERE kpi LIKE 'cr\_%' GROUP BY 1 ORDER BY 1;
SELECT must_refresh FROM kpi_internal.agenda WHERE source = 'cr';
CREATE TABLE cr.before AS
    SELECT c.stream_id, c.scope_kind, c.scope_id, c.grain, c.dim_id, c.start, c.xmin AS version, c.ctid AS place FROM kpi_internal.rollup_cell c;
CALL kpi.refresh();
SELECT is_complete FROM kpi.freshness WHERE source = 'cr';
SELECT kpi, bool_and(is_complete) AS is_complete FROM kpi.team_yearly WHERE kpi LIKE 'cr\_%' GROUP BY 1 ORDER BY 1;
SELECT must_refresh FROM kpi_internal.agenda WHERE source = 'cr';
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;
SELECT * FROM kpi.verify('cr');
SELECT count(*) FROM (TABLE cr.shown_day EXCEPT TABLE cr.expected_day UNION ALL (TABLE cr.expected_day EXCEPT TABLE cr.shown_day)) d;
SELECT count(*) FROM (TABLE cr.shown_to_date EXCEPT TABLE cr.expected_to_date UNION ALL (TABLE cr.expected_to_date EXCEPT TABLE cr.shown_to_date)) d;
-- Only that owner's cells have moved, and only those of credit today
CREATE VIEW cr.moved AS
    SELECT x.credit, t.key AS team, min(c.grain) AS grains_since, count(*) > 0 AS written
      FROM kpi_internal.rollup_cell c
      JOIN kpi_internal.stream x ON x.id = c.stream_id
      LEFT JOIN kpi.team t ON t.id = c.scope_id AND c.scope_kind = 1
     WHERE NOT EXISTS (SELECT FROM cr.before b WHERE b.stream_id = c.stream_id AND b.scope_kind = c.scope_kind AND b.scope_id = c.scope_id
                          AND b.grain = c.grain AND b.dim_id = c.dim_id AND b.start = c.start AND b.version = c.xmin AND b.place = c.ctid)
     GROUP BY 1, 2;
SELECT * FROM cr.moved ORDER BY 1, 2;
-- A day on which nobody moves writes nothing
TRUNCATE cr.before;
SET kpi.now = '2026-05-23 09:00 UTC';
CALL kpi.refresh('cr');
INSERT INTO cr.before SELECT c.stream_id, c.scope_kind, c.scope_id, c.grain, c.dim_id, c.start, c.xmin AS version, c.ctid AS place FROM kpi_internal.rollup_cell c;
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;
SET kpi.now = '2026-05-24 09:00 UTC';
SELECT is_complete FROM kpi.freshness WHERE source = 'cr';
CALL kpi.refresh('cr');
SELECT * FROM cr.moved;
SELECT * FROM kpi.verify('cr');

-- Who leaves: later facts count for nobody's team, or for the last
SELECT kpi.end_membership('dee', until => '2026-04-10');
SELECT kpi.end_membership('cid', until => '2026-05-05', later_facts => 'last_team');
CALL kpi.refresh('cr');
SELECT * FROM kpi.verify('cr');
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;
SELECT m.key, t.key AS team, s.since, s.until, s.later_facts FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id
  JOIN kpi.team t ON t.id = s.team_id WHERE m.key IN ('cid', 'dee') ORDER BY 1, s.since;
-- they are shown as having left
SELECT member, team, period, value FROM kpi.member_monthly WHERE kpi = 'cr_then' AND member IN ('cid', 'dee')
   AND period >= '2026-03' ORDER BY member, period;
-- changed afterwards
SELECT kpi.end_membership('dee', until => '2026-04-10', later_facts => 'last_team');
SELECT kpi.end_membership('cid', until => '2026-05-05');
CALL kpi.refresh('cr');
SELECT * FROM kpi.verify('cr');
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;
SELECT m.key, s.until, s.later_facts FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id
 WHERE m.key IN ('cid', 'dee') ORDER BY 1, 2;
-- a later move ends it
SELECT kpi.move_member('dee', team => 'cr_a', since => '2026-05-10');
CALL kpi.refresh('cr');
SELECT * FROM kpi.verify('cr');
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;
SELECT t.key AS team, s.since, s.until, s.later_facts FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id
  JOIN kpi.team t ON t.id = s.team_id WHERE m.key = 'dee' ORDER BY s.since NULLS FIRST;
-- and one that begins before its end takes its end away
SELECT kpi.move_member('dee', team => 'cr_a', since => '2026-04-01');
SELECT t.key AS team, s.since, s.until, s.later_facts FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id
  JOIN kpi.team t ON t.id = s.team_id WHERE m.key = 'dee' ORDER BY s.since NULLS FIRST;
CALL kpi.refresh('cr');
SELECT * FROM cr.difference ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 10;

-- Another credit is another stream, built from the facts
SELECT kpi.alter_kpi('cr_then', credit => 'today'), kpi.alter_kpi('cr_today', credit => 'then');
CALL kpi.refresh();
SELECT * FROM kpi.verify('cr');
SELECT count(*) AS differences FROM (SELECT kpi, team, region, grain, start, value FROM cr.shown
    EXCEPT SELECT CASE kpi WHEN 'cr_then' THEN 'cr_today' ELSE 'cr_then' END, team, region, grain, start, value FROM cr.expected) d;
SELECT name, credit FROM kpi.kpi WHERE name LIKE 'cr\_%' ORDER BY name;
-- Facts that count for teams: the teams above are those of today
CREATE TABLE cr.calls (id int PRIMARY KEY, team text, at date);
INSERT INTO cr.calls SELECT i, (ARRAY['cr_a1','cr_a'])[1 + i % 2], date '2026-01-01' + i FROM generate_series(1, 160) i;
SELECT kpi.create_source('cr_calls', relation => 'cr.calls', key => 'id', team => 'team', at => 'at') IS NOT NULL AS made;
SELECT kpi.create_kpi('cr_calls', source => 'cr_calls', measure => 'count(*)', credit => 'today') IS NOT NULL AS made;
CALL kpi.refresh('cr_calls');
SELECT * FROM kpi.verify('cr_calls');
SELECT team, sum(value) FROM kpi.team_monthly WHERE kpi = 'cr_calls' GROUP BY 1 ORDER BY 1;
SELECT kpi.move_team('cr_a1', parent => 'cr_a', since => '2026-05-24');
CALL kpi.refresh('cr_calls');
SELECT * FROM kpi.verify('cr_calls');
SELECT team, sum(value) FROM kpi.team_monthly WHERE kpi = 'cr_calls' GROUP BY 1 ORDER BY 1;

-- Refused
SELECT kpi.create_kpi('cr_x', source => 'cr', measure => 'count(*)', credit => 'tomorrow');
SELECT kpi.create_kpi('cr_x', formula => 'cr_then', credit => 'today');
SELECT kpi.alter_kpi('cr_share', credit => 'today');
SELECT kpi.end_membership('ann', until => '2026-07-01', later_facts => 'nobody');
SELECT kpi.end_membership('cid', until => '2026-05-20', later_facts => 'last_team');

SELECT kpi.drop_source('cr', cascade => true), kpi.drop_source('cr_calls', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_member('cid'), kpi.drop_member('dee');
SELECT kpi.drop_team('cr_a1'), kpi.drop_team('cr_a'), kpi.drop_team('cr_b');
SET client_min_messages = warning;
DROP SCHEMA cr CASCADE;
RESET kpi.now;
