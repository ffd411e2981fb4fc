--
-- What is little beside a large cell is added to the recent cell behind it: nobody
-- who reads sees a difference, and the large one stays where it is
--
CREATE SCHEMA rr;
SELECT kpi.create_team('rr_1') IS NOT NULL AND kpi.create_team('rr_2', parent => 'rr_1') IS NOT NULL AS teams;
SELECT kpi.add_member('rr_' || m, team => 'rr_2') IS NOT NULL AS member FROM generate_series(1, 3) m;
CREATE TABLE rr.visits (id serial PRIMARY KEY, rep text, account text, day date);
INSERT INTO rr.visits (rep, account, day) SELECT 'rr_' || 1 + i % 3, 'account ' || i % 5000, '2026-10-01'::date + i % 3 FROM generate_series(1, 9000) i;
SELECT kpi.create_source('rr_visits', relation => 'rr.visits', key => 'id', owner => 'rep', at => 'day') > 0 AS source;
SELECT kpi.create_kpi('rr_accounts', source => 'rr_visits', measure => 'count(DISTINCT account)') > 0 AS kpi;
CALL kpi.refresh('rr_visits');
CREATE VIEW rr.cell AS
SELECT c.* FROM kpi_internal.rollup_cell c JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.stream_id = c.stream_id JOIN kpi.kpi k ON k.id = m.kpi_id WHERE k.name = 'rr_accounts';
CREATE FUNCTION rr.check() RETURNS TABLE (recent boolean, places bigint, differing bigint, by_name boolean, to_date boolean, differences bigint) LANGUAGE sql AS $$
    WITH e AS (SELECT t.team, p.grain, p.start, count(DISTINCT v.account) AS value, count(v.account) AS facts
                 FROM rr.visits v, (VALUES ('company'), ('rr_1'), ('rr_2')) t (team),
                      LATERAL (SELECT g, date_trunc(g, v.day)::date FROM unnest('{day, week, month, quarter, year}'::text[]) g) p (grain, start)
                GROUP BY 1, 2, 3),
         a AS (SELECT t.key AS team, v.grain, v.period_start AS start, v.value, v.facts
                 FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id JOIN kpi.team t ON t.id = v.team_id
                WHERE k.name = 'rr_accounts')
    SELECT (SELECT count(c.recent) > 0 FROM rr.cell c), count(*), count(*) FILTER (WHERE e.value IS DISTINCT FROM a.value OR e.facts IS DISTINCT FROM a.facts),
           kpi.value('rr_accounts', team => 'rr_1', period => '2026-10') IS NOT DISTINCT FROM (SELECT nullif(count(DISTINCT account), 0) FROM rr.visits WHERE day < '2026-11-01'),
           (SELECT value_to_date FROM kpi.team_monthly WHERE kpi = 'rr_accounts' AND team = 'rr_1' AND period = '2026-10')
               IS NOT DISTINCT FROM (SELECT nullif(count(DISTINCT account), 0) FROM rr.visits WHERE day <= '2026-10-02'),
           (SELECT count(*) FROM kpi.verify('rr_visits'))
      FROM e FULL JOIN a USING (team, grain, start)
$$;
SET kpi.now = '2026-10-02 12:00+00';
SELECT * FROM rr.check();
CREATE TABLE rr.pages AS SELECT scope_id, scope_kind, grain, start, kpi_internal.cell_pack(cell)::text AS cell FROM rr.cell WHERE cell IS NOT NULL;
-- one more, one less, one moved, one that was there, one in a month of its own
INSERT INTO rr.visits (rep, account, day) VALUES ('rr_1', 'new', '2026-10-02'), ('rr_2', 'account 7', '2026-10-03'), ('rr_2', 'other', '2026-11-03');
CALL kpi.refresh('rr_visits');
SELECT * FROM rr.check();
DELETE FROM rr.visits WHERE account = 'account 11';
UPDATE rr.visits SET account = 'moved', day = '2026-10-01' WHERE id = 4700;
CALL kpi.refresh('rr_visits');
SELECT * FROM rr.check();
SELECT count(*) > 0 AS large, count(*) FILTER (WHERE kpi_internal.cell_pack(c.cell)::text IS DISTINCT FROM p.cell) AS written_anew
  FROM rr.cell c JOIN rr.pages p USING (scope_id, scope_kind, grain, start) WHERE c.recent IS NOT NULL;
-- taken back: there is no recent cell any more
UPDATE rr.visits SET account = 'account 4700', day = '2026-10-01'::date + 4700 % 3 WHERE account = 'moved';
DELETE FROM rr.visits WHERE id > 9000;
INSERT INTO rr.visits SELECT i, 'rr_' || 1 + i % 3, 'account ' || i % 5000, '2026-10-01'::date + i % 3 FROM generate_series(1, 9000) i ON CONFLICT DO NOTHING;
CALL kpi.refresh('rr_visits');
SELECT * FROM rr.check();
-- when much has come it is one cell again
INSERT INTO rr.visits (rep, account, day) VALUES ('rr_1', 'new', '2026-10-02');
CALL kpi.refresh('rr_visits');
INSERT INTO rr.visits (rep, account, day) SELECT 'rr_' || 1 + i % 3, 'more ' || i, '2026-10-02' FROM generate_series(1, 400) i;
CALL kpi.refresh('rr_visits');
SELECT * FROM rr.check();
-- people and facts leave; what is nothing is no row
INSERT INTO rr.visits (rep, account, day) VALUES ('rr_2', 'last', '2026-10-03');
CALL kpi.refresh('rr_visits');
SELECT kpi.move_member('rr_3', team => 'company', since => '2026-10-02');
SELECT kpi.move_member('rr_3', team => 'rr_2', since => '2026-10-02');
CALL kpi.refresh('rr_visits');
SELECT * FROM rr.check();
-- a recent cell that is wrong is found and mended
UPDATE kpi_internal.rollup_cell c SET recent = format('v1{%s:distinct facts=1 values=4711*1}', m.id)::kpi.cell
  FROM kpi_internal.measure m JOIN kpi.kpi k ON m.role <> 'left_out' AND k.id = m.kpi_id WHERE m.stream_id = c.stream_id AND k.name = 'rr_accounts' AND c.grain = 2 AND c.start = '2026-10-01' AND c.scope_id = 1 AND c.scope_kind = 1;
SELECT level, grain, period_start FROM kpi.verify('rr_visits');
SELECT kpi.repair('rr_visits');
SELECT * FROM rr.check();
DELETE FROM rr.visits WHERE account NOT LIKE 'account 1_';
CALL kpi.refresh('rr_visits');
SELECT * FROM rr.check();
DELETE FROM rr.visits;
CALL kpi.refresh('rr_visits');
SELECT count(*) AS nothing_left FROM rr.cell;
RESET kpi.now;
SELECT kpi.drop_source('rr_visits', cascade => true);
DROP SCHEMA rr CASCADE;
SELECT kpi.drop_member('rr_' || m) FROM generate_series(1, 3) m;
SELECT kpi.drop_team('rr_2'), kpi.drop_team('rr_1');
