-- kpi.preview_kpi(): what another formula would make of a KPI is what kpi.alter_kpi() makes of it, and nothing is changed.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all

SET kpi.now = '2026-11-15 12:00+00';
CALL kpi.refresh();
CREATE VIEW vt.grain_now AS SELECT v.team, v.grain, v.period, v.period_start, v.value FROM
    (SELECT 'month' AS grain, * FROM (SELECT team, period, period_start, value FROM kpi.team_monthly WHERE kpi = 'vt_mean') m
     UNION ALL SELECT 'week', * FROM (SELECT team, period, period_start, value FROM kpi.team_weekly WHERE kpi = 'vt_mean') w
     UNION ALL SELECT 'year', * FROM (SELECT team, period, period_start, value FROM kpi.team_yearly WHERE kpi = 'vt_mean') y) v;
CREATE TABLE vt.was AS SELECT * FROM vt.grain_now;
CREATE TABLE vt.preview AS
SELECT grain, p.* FROM unnest('{week, month, year}'::text[]) grain, kpi.preview_kpi('vt_mean', 'vt_sum / vt_opened', grain => grain) p;
SELECT kpi.preview_kpi('vt_mean', 'vt_cost * 2', grain => 'year', since => '2026-01-01', until => '2027-01-01');
-- nothing is changed, nothing is locked
SELECT formula FROM kpi.kpi WHERE name = 'vt_mean';
SELECT count(*) > 0 AS rows, count(*) FILTER (WHERE w.value IS DISTINCT FROM n.value) AS changed FROM vt.was w FULL JOIN vt.grain_now n USING (team, grain, period);
BEGIN;
SELECT count(*) > 0 AS rows FROM kpi.preview_kpi('vt_mean', 'vt_sum / vt_opened');
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('vt.deals'::regclass, 'vt.costs'::regclass);
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode LIKE '%Exclusive%' AND relation::regclass::text LIKE 'kpi%';
ROLLBACK;
-- old values are those before, new ones those after
SELECT count(*) > 0 AS rows, count(*) FILTER (WHERE p.old_value IS DISTINCT FROM w.value) AS differing
  FROM (SELECT * FROM vt.preview WHERE old_value IS NOT NULL) p FULL JOIN (SELECT * FROM vt.was WHERE value IS NOT NULL) w USING (team, grain, period);
SELECT kpi.alter_kpi('vt_mean', formula => 'vt_sum / vt_opened');
CALL kpi.refresh();
SELECT count(*) > 0 AS rows, count(*) FILTER (WHERE p.new_value IS DISTINCT FROM n.value OR p.period_start <> n.period_start) AS differing
  FROM (SELECT * FROM vt.preview WHERE new_value IS NOT NULL) p FULL JOIN (SELECT * FROM vt.grain_now WHERE value IS NOT NULL) n USING (team, grain, period);
SELECT count(*) FILTER (WHERE new_value IS DISTINCT FROM old_value) > 0 AS some_change, count(*) FILTER (WHERE old_value IS NULL) > 0 AS some_come,
       count(*) FILTER (WHERE difference IS DISTINCT FROM new_value - old_value) AS wrong FROM vt.preview;

-- bad input
SELECT * FROM kpi.preview_kpi('vt_means', 'vt_sum');
SELECT * FROM kpi.preview_kpi('vt_sum', 'vt_count');
SELECT * FROM kpi.preview_kpi('vt_mean', 'vt_sum / vt_nothing');
SELECT * FROM kpi.preview_kpi('vt_mean', 'vt_sum /');
SELECT * FROM kpi.preview_kpi('vt_mean', 'vt_mean + 1');
SELECT * FROM kpi.preview_kpi('vt_mean', '');
SELECT * FROM kpi.preview_kpi('vt_mean', NULL);
SELECT * FROM kpi.preview_kpi('vt_mean', 'vt_sum', grain => 'months');
-- an editor who may alter it may preview it, and nobody else
CREATE ROLE regress_kpi_previews;
SELECT kpi.grant_reader('regress_kpi_previews');
SET ROLE regress_kpi_previews;
SELECT count(*) FROM kpi.preview_kpi('vt_mean', 'vt_sum');
RESET ROLE;
SELECT kpi.grant_editor('regress_kpi_previews');
SET ROLE regress_kpi_previews;
SELECT count(*) > 0 AS rows FROM kpi.preview_kpi('vt_mean', 'vt_sum');
RESET ROLE;
SELECT kpi.revoke_reader('regress_kpi_previews');
DROP ROLE regress_kpi_previews;
SELECT formula FROM kpi.kpi WHERE name = 'vt_mean';
SELECT vt.drop_all();
DROP SCHEMA vt CASCADE;
