-- Refresh: people and teams that move.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
\set ECHO all

INSERT INTO rf.deals VALUES (2001, 'ann', 'won', 1000000000000.01 - 999999999999, 'p', '2026-03-01', '2026-03-02');
UPDATE rf.deals SET amount = amount * 2, owner = 'eve' WHERE id % 7 = 0;
DELETE FROM rf.deals WHERE id % 11 = 0;
CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- Transfers: the days before keep their team
SELECT kpi.move_member('ann', team => 'alps', since => '2026-04-01');
SELECT kpi.add_member('eve', team => 'north') IS NOT NULL AS member;
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT t.key, v.period, v.value FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id JOIN kpi.team t ON t.id = v.team_id
WHERE k.name = 'rf_won' AND v.grain = 'quarter' ORDER BY 1, 2;
SELECT CASE WHEN owner = 'bob' OR owner = 'ann' AND closed_at >= '2026-04-01' THEN 'alps'
            WHEN owner IN ('ann', 'eve') THEN 'north' ELSE '(unassigned)' END COLLATE "C" AS key,
       to_char(closed_at, 'YYYY"-Q"Q') AS period, count(*)
FROM rf.deals WHERE stage = 'won' AND closed_at IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2;
SELECT kpi.move_team('alps', parent => 'company', since => '2026-06-01');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.drop_member('eve');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

SELECT kpi.drop_source('rf', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
