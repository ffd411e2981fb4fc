-- kpi.set_ramp() and what members can work: against days counted one by one in SQL.
SET client_min_messages = warning;
SET kpi.now = '2026-11-20 12:00:00+00';
SELECT kpi.create_calendar('ramp_saturday', time_zone => 'UTC', working_days => 'sat') > 0 AS created;
SELECT count(kpi.create_team(x.key, parent => x.parent)) FROM (VALUES ('ramp_all', NULL), ('ramp_north', 'ramp_all'), ('ramp_south', 'ramp_all')) x (key, parent);
SELECT kpi.create_team('ramp_west', parent => 'ramp_south', calendar => 'ramp_saturday') > 0 AS created;
SELECT kpi.add_holiday('2026-11-09', 'test of ramps');
SELECT count(kpi.add_member(x.key, team => x.team, since => x.since::date, until => x.until::date))
  FROM (VALUES ('ramp_old', 'ramp_north', NULL, NULL), ('ramp_oct', 'ramp_north', '2026-10-15', NULL), ('ramp_nov', 'ramp_north', '2026-11-16', NULL),
               ('ramp_gone', 'ramp_north', '2026-09-01', '2026-11-11'), ('ramp_moved', 'ramp_north', '2026-10-01', NULL),
               ('ramp_west', 'ramp_west', '2026-11-01', NULL), ('ramp_next', 'ramp_north', '2026-12-01', NULL)) x (key, team, since, until);
SELECT kpi.move_member('ramp_moved', 'ramp_south', since => '2026-11-12');

-- every day of every member, with the ramp that counts on it
CREATE SCHEMA ramp_test;
CREATE FUNCTION ramp_test.capacity(of_team text, first_day date, last_day date, OUT member text, OUT days numeric, OUT workdays bigint) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT m.key,
           sum(CASE WHEN w.works THEN coalesce((SELECT array_agg(r.share ORDER BY r.month) FROM kpi.ramp r
                                                  LEFT JOIN kpi.team_ancestor a ON a.team_id = s.team_id AND a.ancestor_id = r.team_id
                                                        AND coalesce(a.since, '-infinity') <= d.day AND coalesce(a.until, 'infinity') > d.day
                                                 WHERE r.member_id = m.id OR a.ancestor_id IS NOT NULL
                                                 GROUP BY a.depth ORDER BY a.depth NULLS FIRST LIMIT 1)
                                              [1 + (extract(year FROM age(d.day, h.hired)) * 12 + extract(month FROM age(d.day, h.hired)))::integer], 1)
                    ELSE 0 END),
           count(*) FILTER (WHERE w.works)
      FROM kpi.member m
      JOIN kpi.membership s ON s.member_id = m.id
     CROSS JOIN LATERAL (SELECT CASE WHEN count(*) = count(x.since) THEN min(x.since) END AS hired FROM kpi.membership x WHERE x.member_id = m.id) h
     CROSS JOIN LATERAL (SELECT g::date AS day FROM generate_series(first_day, last_day, interval '1 day') g) d
     CROSS JOIN LATERAL (SELECT (SELECT CASE c.working_days WHEN 'sat' THEN extract(isodow FROM d.day) = 6 ELSE extract(isodow FROM d.day) <= 5 END
                                          AND NOT EXISTS (SELECT FROM kpi.holiday y WHERE y.calendar_id = c.id AND y.day = d.day)
                                   FROM kpi.team t JOIN kpi.calendar c ON c.id = coalesce(t.calendar_id, 1) WHERE t.id = s.team_id) AS works) w
     WHERE coalesce(s.since, '-infinity') <= d.day AND coalesce(s.until, 'infinity') > d.day
       AND EXISTS (SELECT FROM kpi.team_ancestor a WHERE a.team_id = s.team_id AND a.ancestor = of_team
                      AND coalesce(a.since, '-infinity') <= d.day AND coalesce(a.until, 'infinity') > d.day)
     GROUP BY m.key $$;
-- where both differ; how many they agree on
CREATE FUNCTION ramp_test.compare(OUT equal bigint, OUT ramping bigint, OUT wrong text) RETURNS record LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE z.same), count(*) FILTER (WHERE z.same AND z.days < z.workdays),
           string_agg(concat_ws(' ', z.team, z.first_day, z.last_day, z.member, z.days, z.workdays, z.found, z.found_workdays), E'\n') FILTER (WHERE z.same IS NOT TRUE)
      FROM (SELECT t.key AS team, p.*, coalesce(x.member, x.key) AS member, x.days, x.workdays, x.found, x.found_workdays,
                   abs(x.days - x.found::numeric) < 1e-9 AND x.workdays = x.found_workdays AS same
              FROM (VALUES ('2026-11-01'::date, '2026-11-30'::date), ('2026-10-01', '2026-12-31'), ('2026-11-09', '2026-11-09'), ('2026-08-01', '2027-03-31')) p (first_day, last_day)
             CROSS JOIN (SELECT id, key FROM kpi.team WHERE key LIKE 'ramp%' OR id = 1) t
             CROSS JOIN LATERAL (SELECT (o).*, n.key, n.found, n.found_workdays
                                   FROM ramp_test.capacity(t.key, p.first_day, p.last_day) o
                                   FULL JOIN (SELECT m.key, c.days AS found, c.workdays AS found_workdays
                                                FROM kpi_internal.member_capacity(t.id, 0, p.first_day, p.last_day) c JOIN kpi.member m ON m.id = c.member_id) n
                                     ON n.key = o.member) x) z $$;

-- the worked example of test/goals (group 25): 21 days, less the holiday
SELECT kpi.set_ramp('{0.25, 0.5, 0.75}');
SELECT m.key, c.days, c.workdays FROM kpi_internal.member_capacity(1, 0, '2026-11-01', '2026-11-30') c JOIN kpi.member m ON m.id = c.member_id WHERE m.key LIKE 'ramp%';
SELECT * FROM ramp_test.compare();
-- the nearest one counts: a team's, a lower team's, a member's; a whole from the first day on; an end
SELECT kpi.set_ramp('{0, 0.3333, 0.5, 1, 0.9}', team => 'ramp_all');
SELECT * FROM ramp_test.compare();
SELECT kpi.set_ramp(ARRAY[0.1, 0.2], team => 'ramp_south');
SELECT kpi.set_ramp('{1}', member => 'ramp_oct');
SELECT kpi.set_ramp('{0.8}', member => 'ramp_moved');
SELECT kpi.set_ramp('{0.4}', member => 'ramp_moved');
SELECT team, member, month, share FROM kpi.ramp ORDER BY 1, 2, 3;
SELECT * FROM ramp_test.compare();
-- a team that is placed elsewhere within the days
SELECT kpi.set_ramp(NULL, member => 'ramp_moved');
SELECT kpi.move_team('ramp_west', NULL, since => '2026-12-05');
SELECT * FROM ramp_test.compare();
SELECT kpi.set_ramp(NULL, team => 'ramp_all'), kpi.set_ramp(NULL, team => 'ramp_all');
SELECT * FROM ramp_test.compare();
-- a document has them
SELECT kpi.export() -> 'ramps';
SELECT action, kind, name, old, new FROM kpi.apply('{"ramps": [{"ramp": [0.5]}, {"team": "ramp_all", "ramp": [0.25, 1]}]}', prune => true);
SELECT kpi.export() -> 'ramps';
SELECT action, kind, name, old -> 'ramp' AS old, new -> 'ramp' AS new FROM kpi.definition_log WHERE kind = 'ramp' AND name ~ '^(ramp|company)' ORDER BY id;

-- mistakes
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT kpi.set_ramp('{0.25, 1.5}');
SELECT kpi.set_ramp('{-0.1}', team => 'ramp_all');
SELECT kpi.set_ramp('{NaN}');
SELECT kpi.set_ramp('{0.5, NULL}');
SELECT kpi.set_ramp('{}');
SELECT kpi.set_ramp('{{0.5}, {0.6}}');
SELECT kpi.set_ramp('{0.5}', member => 'ramp_nobody');
SELECT kpi.set_ramp('{0.5}', team => 'ramp_nowhere');
SELECT kpi.set_ramp('{0.5}', member => 'ramp_oct', team => 'ramp_all');
SELECT kpi.set_ramp('{0.5}', team => '(unassigned)');
SELECT kpi.export() -> 'ramps';

SELECT count(kpi.drop_member(key)) FROM kpi.member WHERE key LIKE 'ramp%';
SELECT kpi.move_team('ramp_west', NULL);
SELECT count(kpi.move_team(key, NULL)) FROM kpi.team WHERE key IN ('ramp_north', 'ramp_south');
SELECT count(kpi.drop_team(key)) FROM kpi.team WHERE key LIKE 'ramp%';
SELECT kpi.set_ramp(NULL);
SELECT count(*) FROM kpi.ramp;
SELECT kpi.drop_calendar('ramp_saturday');
SELECT kpi.drop_holiday('2026-11-09');
DROP SCHEMA ramp_test CASCADE;
