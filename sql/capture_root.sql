-- A session that has written to a partition knows what its triggers compiled.
-- What happens to the partitioned table above it is news to it all the same.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_cr;
SELECT kpi.grant_editor('regress_cr');
CREATE SCHEMA cr;
GRANT USAGE ON SCHEMA cr TO regress_cr;
CREATE TABLE cr.deals (id integer, amount numeric, day date) PARTITION BY RANGE (id);
CREATE TABLE cr.deals_1 PARTITION OF cr.deals FOR VALUES FROM (0) TO (100);
GRANT SELECT, TRIGGER ON cr.deals TO regress_cr;
SET ROLE regress_cr;
SELECT kpi.create_source('cr', relation => 'cr.deals', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('cr', source => 'cr', measure => 'sum(amount)') > 0 AS created;
RESET ROLE;
CALL kpi.refresh('cr');
CREATE VIEW cr.markers AS SELECT d.kind FROM kpi_internal.delta d JOIN kpi.source s ON s.id = d.source_id
 WHERE s.name = 'cr' ORDER BY 1;
INSERT INTO cr.deals VALUES (1, 1, '2026-10-05');
SELECT * FROM cr.markers;
CALL kpi.refresh('cr');

-- A right of the definer is lost, and comes back before anybody looks.
REVOKE SELECT ON cr.deals FROM regress_cr;
INSERT INTO cr.deals VALUES (2, 10, '2026-10-05');
SELECT * FROM cr.markers;
GRANT SELECT ON cr.deals TO regress_cr;
CALL kpi.refresh('cr');
SELECT kpi.resume('cr');
CALL kpi.refresh('cr');
INSERT INTO cr.deals VALUES (3, 100, '2026-10-05');
CALL kpi.refresh('cr');

-- So with its name.
ALTER TABLE cr.deals RENAME TO deals_old;
INSERT INTO cr.deals_old VALUES (4, 1000, '2026-10-05');
SELECT * FROM cr.markers;
ALTER TABLE cr.deals_old RENAME TO deals;
CALL kpi.refresh('cr');
SELECT kpi.resume('cr');
CALL kpi.refresh('cr');
INSERT INTO cr.deals VALUES (5, 10000, '2026-10-05');
CALL kpi.refresh('cr');

-- And with its owner: the definer may be it, while of another a refresh has to
-- say what it means.
ALTER TABLE cr.deals OWNER TO regress_cr;
INSERT INTO cr.deals VALUES (6, 100000, '2026-10-05');
SELECT * FROM cr.markers;
CALL kpi.refresh('cr');
CREATE ROLE regress_cr_other;
ALTER TABLE cr.deals OWNER TO regress_cr_other;
INSERT INTO cr.deals VALUES (7, 1000000, '2026-10-05');
SELECT * FROM cr.markers;
ALTER TABLE cr.deals OWNER TO regress_cr;
CALL kpi.refresh('cr');
SELECT v.value, (SELECT sum(amount) FROM cr.deals) AS exact, s.status
  FROM kpi.team_yearly v, kpi.source_status s WHERE v.kpi = 'cr' AND v.team = 'company' AND s.source = 'cr';

SELECT kpi.drop_source('cr', cascade => true);
SELECT kpi.revoke_reader('regress_cr');
DROP SCHEMA cr CASCADE;
DROP ROLE regress_cr, regress_cr_other;
