--
-- Balances: what teams hold at the end of each day, as facts and memberships say
--
SELECT kpi.create_team(key, parent => parent) IS NOT NULL AS team
FROM (VALUES ('bal_emea', NULL), ('bal_uk', 'bal_emea'), ('bal_dach', 'bal_emea'), ('bal_us', NULL)) t (key, parent);
SELECT kpi.add_member(key, team => team) IS NOT NULL AS member
FROM (VALUES ('bal_a', 'bal_uk'), ('bal_b', 'bal_dach'), ('bal_c', 'bal_us')) m (key, team);
SELECT kpi.add_alias('bal_a', alias => 'bal_A', source => NULL);
CREATE TABLE balance_facts (id int PRIMARY KEY, rep text, mrr numeric, started_on date, ended_on date, product text, region text);
INSERT INTO balance_facts
SELECT i, (ARRAY['bal_a', 'bal_b', 'bal_c', 'bal_A', 'bal_nobody', NULL])[1 + i % 6],
       CASE WHEN i % 17 = 0 THEN NULL WHEN i % 23 = 0 THEN 'NaN' ELSE i * 1.25 - 20 END,
       CASE WHEN i % 29 = 0 THEN NULL ELSE '2023-01-01'::date + i * 4 END,
       CASE i % 5 WHEN 0 THEN '2023-01-01'::date + i * 4 + i * 7 % 400 WHEN 1 THEN '2023-01-01'::date + i * 4 WHEN 2 THEN '9999-12-31'
                  WHEN 3 THEN CASE WHEN i % 4 = 0 THEN '2022-06-01'::date END END,
       'p' || i % 3, CASE WHEN i % 7 > 0 THEN 'r' || i % 2 END
FROM generate_series(1, 240) i;
SELECT kpi.create_source('balance', relation => 'balance_facts', key => 'id', owner => 'rep', at => 'started_on',
                         dimensions => '{"product": "product", "region": "region"}') IS NOT NULL AS source;
SELECT kpi.create_kpi('balance_mrr', source => 'balance', measure => 'balance(mrr)', until => 'ended_on') IS NOT NULL AS mrr,
       kpi.create_kpi('balance_new', source => 'balance', measure => 'count(*)') IS NOT NULL AS new,
       kpi.create_kpi('balance_one', source => 'balance', measure => 'balance(1)', until => 'ended_on', filter => $$product <> 'p1'$$) IS NOT NULL AS one;

-- The days on which something may be another number, and some others.
CREATE VIEW balance_day AS
SELECT day::date FROM generate_series('2022-12-30'::date, '2026-07-01', interval '19 days') day
UNION SELECT '2023-09-01' UNION SELECT '2023-08-31' UNION SELECT '2023-12-31' UNION SELECT '2024-01-01' UNION SELECT '2024-02-29';
-- Who holds a fact on a day: the team its owner belongs to then, and those above.
CREATE VIEW balance_held AS
SELECT f.*, d.day, coalesce(h.team_id, 2) AS team_id
FROM balance_facts f
JOIN balance_day d ON f.started_on <= d.day AND (f.ended_on IS NULL OR f.ended_on > d.day)
LEFT JOIN kpi.member_alias a ON a.alias = f.rep
LEFT JOIN kpi.member m ON m.key = f.rep OR m.id = a.member_id
LEFT JOIN kpi.membership h ON h.member_id = m.id AND (h.since IS NULL OR h.since <= d.day) AND (h.until IS NULL OR h.until > d.day)
WHERE f.ended_on IS NULL OR f.ended_on >= f.started_on;
CREATE VIEW balance_expected AS
SELECT k.kpi, t.ancestor AS team, coalesce(v.value, '') AS part, f.day, sum(k.amount) AS held
FROM balance_held f
JOIN kpi.team_ancestor t ON t.team_id = f.team_id AND (t.since IS NULL OR t.since <= f.day) AND (t.until IS NULL OR t.until > f.day)
CROSS JOIN LATERAL (VALUES ('balance_mrr', CASE WHEN f.mrr <> 'NaN' THEN f.mrr END),
                           ('balance_one', CASE WHEN f.product <> 'p1' THEN 1 END)) k (kpi, amount)
CROSS JOIN LATERAL (VALUES (NULL), ('product=' || f.product), ('region=' || coalesce(f.region, '-'))) v (value)
GROUP BY 1, 2, 3, 4 HAVING sum(k.amount) <> 0;
-- The same from rollups: whole calendar years, months and days before the day and on it.
CREATE VIEW balance_actual AS
SELECT k.name AS kpi, t.key AS team, coalesce(n.name || '=' || coalesce(x.vals[1], '-'), '') AS part, d.day, sum(b.amount) AS held
FROM balance_day d
JOIN kpi_internal.rollup_cell c
     ON c.grain = 5 AND c.start < date_trunc('year', d.day)
     OR c.grain = 2 AND c.start >= date_trunc('year', d.day) AND c.start < date_trunc('month', d.day)
     OR c.grain = 0 AND c.start >= date_trunc('month', d.day) AND c.start <= d.day
JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.stream_id = c.stream_id
JOIN kpi.kpi k ON k.id = m.kpi_id
JOIN kpi.team t ON t.id = c.scope_id
LEFT JOIN kpi_internal.dim x ON x.id = c.dim_id AND c.dim_id <> 0
LEFT JOIN kpi.dimension n ON n.source_id = x.source_id AND n.position = x.position
CROSS JOIN LATERAL kpi_internal.cell_balance(kpi_internal.merge(c.cell, coalesce(c.recent, $$v1{}$$)), m.id) b
WHERE c.scope_kind = 1 AND m.kind = 'balance'
GROUP BY 1, 2, 3, 4 HAVING sum(b.amount) <> 0;
CREATE VIEW balance_difference AS
(TABLE balance_expected EXCEPT TABLE balance_actual) UNION ALL (TABLE balance_actual EXCEPT TABLE balance_expected);
-- Sums of calendar years are those of their months, and the sums of days times amounts follow.
CREATE VIEW balance_uneven AS
SELECT c.stream_id, c.scope_kind, c.scope_id, c.dim_id, date_trunc('year', c.start) AS year
FROM kpi_internal.rollup_cell c JOIN kpi_internal.stream s ON s.id = c.stream_id
WHERE c.grain IN (2, 5) AND s.part = 'balance'
GROUP BY 1, 2, 3, 4, 5
HAVING NOT kpi_internal.is_empty(kpi_internal.subtract(coalesce(kpi_internal.merge(c.cell) FILTER (WHERE c.grain = 2), 'v1{}'),
                                     coalesce(kpi_internal.merge(c.cell) FILTER (WHERE c.grain = 5), 'v1{}')));
CREATE PROCEDURE balance_check() LANGUAGE plpgsql AS $$
DECLARE n record;
BEGIN
    CALL kpi.refresh();
    SELECT (SELECT count(*) FROM balance_expected) AS expected, (SELECT count(*) FROM balance_difference) AS differences,
           (SELECT count(*) FROM balance_uneven) AS uneven, (SELECT count(*) FROM kpi.verify('balance')) AS verified INTO n;
    RAISE NOTICE '% differences, % uneven years, % found by kpi.verify()', n.differences, n.uneven, n.verified;
    IF n.expected < 1000 THEN
        RAISE EXCEPTION 'too little to compare: %', n.expected;
    END IF;
END $$;
CALL balance_check();
-- In the company and the teams above those that moves are between nothing moves.
SELECT kpi.move_member('bal_a', team => 'bal_us', since => '2023-09-01');
CALL balance_check();
-- Into the past, and back.
SELECT kpi.move_member('bal_a', team => 'bal_dach', since => '2023-03-05', until => '2023-04-05');
SELECT kpi.move_member('bal_c', team => 'bal_uk', since => '2024-01-01');
CALL balance_check();
-- Backdated ends, reopened, other starts, owners and amounts, deleted.
UPDATE balance_facts SET ended_on = started_on + 40 WHERE id % 11 = 0;
UPDATE balance_facts SET ended_on = NULL WHERE id % 13 = 0;
UPDATE balance_facts SET ended_on = '2022-01-01' WHERE id % 31 = 0;
UPDATE balance_facts SET started_on = started_on - 100 WHERE id % 10 = 3;
UPDATE balance_facts SET rep = 'bal_c' WHERE id % 12 = 5;
UPDATE balance_facts SET mrr = 1000 WHERE id % 14 = 5;
UPDATE balance_facts SET region = 'r0' WHERE id % 9 = 5;
DELETE FROM balance_facts WHERE id % 16 = 3;
CALL balance_check();
-- A team moves, a member comes, an alias becomes another's.
SELECT kpi.move_team('bal_uk', parent => 'bal_us', since => '2024-06-01');
SELECT kpi.add_member('bal_nobody', team => 'bal_dach', since => '2023-11-11') IS NOT NULL AS member;
CALL balance_check();
SELECT kpi.move_team('bal_dach', parent => 'bal_us', since => '2023-02-02');
DELETE FROM balance_facts WHERE id % 8 = 1;
CALL balance_check();
-- Some days only are verified, and mended.
SELECT count(*) FROM kpi.verify('balance', '2023-06-01', '2023-09-01');
UPDATE kpi_internal.rollup_cell c SET cell = kpi_internal.merge(cell, cell)
FROM kpi_internal.stream s WHERE s.id = c.stream_id AND s.part = 'balance' AND c.grain = 5 AND c.scope_kind = 1 AND c.start = '2024-01-01' AND c.dim_id = 0;
SELECT count(*) > 0 AS found FROM kpi.verify('balance', '2023-06-01', '2023-09-01');
SELECT kpi.repair('balance', '2023-06-01', '2023-09-01') > 0 AS repaired;
CALL balance_check();
-- Nothing but rollups of days, months and years has cells, and only balances have years.
SELECT s.part, c.grain, count(*) FILTER (WHERE cell IS NULL) > 0 AS places, count(cell) > 0 AS cells
FROM kpi_internal.rollup_cell c JOIN kpi_internal.stream s ON s.id = c.stream_id GROUP BY 1, 2 ORDER BY 1, 2;
-- What is left out is counted.
SELECT facts_reversed, nonfinite_inputs FROM kpi.source_status WHERE source = 'balance';
SELECT count(*) FILTER (WHERE ended_on < started_on AND mrr IS NOT NULL) + count(*) FILTER (WHERE ended_on < started_on AND product <> 'p1') AS reversed FROM balance_facts;

-- Built in many steps, newest first, while facts change.
SET kpi.build_step = '1ms';
SELECT kpi.alter_kpi('balance_mrr', filter => 'id > 0');
CALL balance_check();
RESET kpi.build_step;
SELECT kpi.alter_kpi('balance_mrr', filter => '');
CALL balance_check();
SELECT kpi.drop_kpi('balance_mrr');
SELECT part, count(*) FROM kpi_internal.stream WHERE source_id = (SELECT id FROM kpi.source WHERE name = 'balance') GROUP BY 1 ORDER BY 1;
SELECT kpi.drop_source('balance', cascade => true);
SELECT count(*) FROM kpi_internal.rollup_cell WHERE grain = 5;
DROP TABLE balance_facts CASCADE;
SELECT count(kpi.drop_member(key)) FROM kpi.member WHERE key LIKE 'bal\_%';
-- Teams that had others under them stay, for what they were; nobody else needs these.
DELETE FROM kpi.team_parent WHERE team_id IN (SELECT id FROM kpi.team WHERE key LIKE 'bal\_%');
DELETE FROM kpi.team WHERE key LIKE 'bal\_%';
