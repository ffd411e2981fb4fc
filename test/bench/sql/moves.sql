-- A member with three years of facts moves for all days, and back; a team of 200
-- such members, and back; and then nobody.  Between them what the one before left
-- is vacuumed: people do not move to and fro.
SELECT CASE WHEN EXISTS (SELECT FROM kpi.membership s JOIN kpi.member m ON m.id = s.member_id JOIN kpi.team t ON t.id = s.team_id
                          WHERE m.key = '9900' AND t.key = 'large') THEN 'team1000' ELSE 'large' END AS team,
       CASE WHEN EXISTS (SELECT FROM kpi.team_parent p JOIN kpi.team t ON t.id = p.team_id JOIN kpi.team u ON u.id = p.parent_id
                          WHERE t.key = 'large' AND u.key = 'team86') THEN 'team341' ELSE 'team86' END AS parent \gset
BEGIN;
SELECT kpi.move_member('9900', team => :'team', since => '-infinity');
\ir on.sql
\warn @time member
CALL kpi.refresh('deals');
\ir off.sql
COMMIT;
VACUUM kpi_internal.rollup_cell;
BEGIN;
SELECT kpi.move_team('large', parent => :'parent');
\ir on.sql
\warn @time team
CALL kpi.refresh('deals');
\ir off.sql
COMMIT;
VACUUM kpi_internal.rollup_cell;
SELECT kpi.alter_member('9900', new_key => '9900');
\ir on.sql
\warn @time nobody
CALL kpi.refresh('deals');
\ir off.sql
