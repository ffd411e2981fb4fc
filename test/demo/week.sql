-- What the demo shows: the goals on Wednesday 18 November 2026, a week of
-- business, the goals after it.
SET client_min_messages = warning;
\pset linestyle unicode
\pset border 2
\pset pager off
\pset footer off

\echo
\echo '  The company'
SELECT (SELECT count(*) FROM crm.deals) AS deals,
       (SELECT min(created_at)::date FROM crm.deals) AS since,
       (SELECT count(*) FROM crm.reps) AS reps,
       (SELECT count(*) FROM kpi.team WHERE key NOT IN ('company', '(unassigned)')) AS teams,
       (SELECT count(*) FROM kpi.kpi) AS kpis;

\echo '  All rollups, for each team and rep, from one scan of each table:'
\timing on
CALL kpi.refresh();
\timing off

\o /dev/null
SELECT kpi.create_goal(t.name || ' revenue', kpi => 'revenue', team => t.key, period => '2026-Q4',
                       target => round(v.value * (0.95 + 0.3 * crm.roll(t.id, 1))::numeric, -4)::text)
FROM kpi.team t JOIN kpi.team_quarterly v ON v.team = t.key AND v.kpi = 'revenue' AND v.period = '2026-Q3'
ORDER BY t.id;
SELECT kpi.create_goal(t.name || ' win rate', kpi => 'win_rate', team => t.key, period => '2026-Q4', target => '0.36')
FROM kpi.team t WHERE t.key IN ('emea', 'americas', 'apac') ORDER BY t.id;
SELECT kpi.create_goal('Sales cycle', kpi => 'cycle', team => 'company', period => '2026-Q4', target => '22');
SELECT kpi.create_goal('Customer acquisition cost', kpi => 'cac', team => 'company', period => '2026', target => '265');
\o
CALL kpi.refresh();

CREATE VIEW crm.goals AS
SELECT repeat('  ', team_level) || team_name AS team, kpi, period,
       CASE direction WHEN 'up' THEN '≥ ' ELSE '≤ ' END
       || lpad(CASE WHEN kpi = 'win_rate' THEN to_char(target * 100, 'FM990.0%')
                    ELSE to_char(target, 'FM999,999,999') END, 10) AS target,
       lpad(CASE WHEN kpi = 'win_rate' THEN to_char(actual * 100, 'FM990.0%')
                 WHEN abs(actual) < 1000 THEN to_char(actual, 'FM990.0')
                 ELSE to_char(actual, 'FM999,999,999') END, 10) AS actual,
       rpad(repeat('█', greatest(0, least(20, round(attainment_ratio * 20)))::integer), 20, '░') AS progress,
       to_char(attainment_ratio * 100, '990%') AS attained,
       CASE WHEN kpi = 'revenue' THEN to_char(expected_today / target * 100, '990%') ELSE '' END AS by_now,
       status
FROM kpi.goal_progress
ORDER BY kpi <> 'revenue', kpi, team_path;

\echo
\echo '  The goals, on the evening of Wednesday 18 November 2026; by_now: where working days say they should be'
SELECT * FROM crm.goals;

-- A day at the office: deals are opened, decided, corrected, deleted.
-- Returns how many rows that changed.
CREATE FUNCTION crm.live(today date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint := 0;
    n bigint;
    salt integer := 100 * (today - date '2026-11-01');
BEGIN
    INSERT INTO crm.deals (owner_id, product, deal_type, stage, amount, cost, created_at)
    SELECT crm.pick((SELECT array_agg(key ORDER BY key) FROM crm.reps), crm.roll(i, salt)),
           crm.pick('{Basic,Basic,Pro,Enterprise}', crm.roll(i, salt + 1)), crm.pick('{new,new,expansion}', crm.roll(i, salt + 7)),
           'qualified', amount, 0.6 * amount, today + interval '8 hours' + i * interval '3 minutes'
    FROM generate_series(1, 180) AS i, LATERAL (SELECT (500 + 9000 * crm.roll(i, salt + 2) ^ 3)::numeric AS amount) a;
    GET DIAGNOSTICS n = ROW_COUNT;
    changed := changed + n;

    -- some of the open deals are decided
    UPDATE crm.deals SET stage = CASE WHEN crm.roll(id, 99) < 0.42 THEN 'won' ELSE 'lost' END,
                         furthest = CASE WHEN crm.roll(id, 99) < 0.42 THEN 'negotiation' ELSE furthest END,
                         closed_at = today + interval '16 hours'
    WHERE closed_at IS NULL AND crm.roll(id, salt + 3) < 0.08;
    GET DIAGNOSTICS n = ROW_COUNT;
    changed := changed + n;

    -- invoices correct amounts of the last weeks
    UPDATE crm.deals SET amount = amount * (0.9 + 0.2 * crm.roll(id, salt))::numeric
    WHERE stage = 'won' AND closed_at >= today - 45 AND crm.roll(id, salt + 4) < 0.02;
    GET DIAGNOSTICS n = ROW_COUNT;
    changed := changed + n;

    -- deals of last year are cancelled after all, duplicates are deleted
    UPDATE crm.deals SET stage = 'lost'
    WHERE stage = 'won' AND closed_at < '2026-01-01' AND crm.roll(id, salt + 5) < 0.001;
    GET DIAGNOSTICS n = ROW_COUNT;
    changed := changed + n;
    DELETE FROM crm.deals WHERE crm.roll(id, salt + 6) < 0.0003;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN changed + n;
END $$;

\echo '  A week of business, with a refresh at the end of each day'
\t on
\pset format unaligned
SELECT crm.live('2026-11-19') AS rows \gset
\echo '  Thursday 19:' :rows 'rows change'
SET kpi.now = '2026-11-19 18:00+00';
\timing on
CALL kpi.refresh();
\timing off
SELECT crm.live('2026-11-20') AS rows \gset
\echo '  Friday 20:' :rows 'rows change'
SET kpi.now = '2026-11-20 18:00+00';
\timing on
CALL kpi.refresh();
\timing off
SELECT crm.live('2026-11-23') AS rows \gset
SELECT kpi.move_member('anna', team => 'nordics', since => '2026-11-23') \g /dev/null
\echo '  Monday 23:' :rows 'rows change, and Anna moves from DACH to the Nordics'
SET kpi.now = '2026-11-23 18:00+00';
\timing on
CALL kpi.refresh();
\timing off
SELECT crm.live('2026-11-24') AS rows \gset
SELECT kpi.move_team('us-west', parent => 'apac', since => '2026-10-01') \g /dev/null
\echo '  Tuesday 24:' :rows 'rows change, and US West counts for APAC, from October on'
SET kpi.now = '2026-11-24 18:00+00';
\timing on
CALL kpi.refresh();
\timing off
SELECT crm.live('2026-11-25') AS rows \gset
\echo '  Wednesday 25:' :rows 'rows change'
SET kpi.now = '2026-11-25 18:00+00';
\timing on
CALL kpi.refresh();
\timing off
ALTER DATABASE crm SET kpi.now = '2026-11-25 18:00+00';
\pset format aligned
\t off

\echo
\echo '  The goals, on the evening of Wednesday 25 November 2026'
SELECT * FROM crm.goals;

\echo '  The quarter by product'
SELECT t.name AS team, b.dimension_value AS product, to_char(b.value, 'FM999,999,999') AS revenue
FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id JOIN kpi.team t ON t.id = b.team_id
WHERE k.name = 'revenue' AND b.dimension = 'product' AND b.period = '2026-Q4' AND t.key IN ('company', 'emea', 'americas', 'apac')
ORDER BY t.id, b.value DESC;

\echo '  kpi.verify() recomputes all of it from the facts and counts what differs'
SELECT count(*) AS differences FROM kpi.source s, kpi.verify(s.name);
