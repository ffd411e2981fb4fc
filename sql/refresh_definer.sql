-- Refresh: a definer who is gone or has lost rights, and refreshes that others call.
SET client_min_messages = error;
SET TimeZone = 'UTC';
CREATE SCHEMA rf;
CREATE TABLE rf.deals_old (id bigint, owner text, stage text, amount numeric(12,1), product text, created_at timestamptz, closed_at timestamptz);
INSERT INTO rf.deals_old SELECT i, 'ann', 'won', i, 'p', '2026-02-01', '2026-02-02' FROM generate_series(1, 10) i;

-- A definer who is gone or has lost the rights
CREATE ROLE rf_definer;
SELECT kpi.grant_editor('rf_definer');
GRANT USAGE ON SCHEMA rf TO rf_definer;
ALTER TABLE rf.deals_old OWNER TO rf_definer;
SET ROLE rf_definer;
SELECT kpi.create_source('rf_own', relation => 'rf.deals_old', owner => 'owner', at => 'closed_at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf_own_count', source => 'rf_own', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh('rf_own');
SELECT * FROM kpi.verify('rf_own');
RESET ROLE;
ALTER TABLE rf.deals_old OWNER TO CURRENT_USER;
REVOKE ALL ON rf.deals_old FROM rf_definer;
INSERT INTO rf.deals_old VALUES (16, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf_own');
SELECT status, reason, hint FROM kpi.source_status WHERE source = 'rf_own';
GRANT SELECT, TRIGGER ON rf.deals_old TO rf_definer;
SELECT kpi.resume('rf_own');
CALL kpi.refresh('rf_own');
SELECT status FROM kpi.source_status WHERE source = 'rf_own';
SELECT * FROM kpi.verify();

-- Partitions that others make are attached by anybody's refresh; resuming is the definer's
CREATE ROLE rf_other;
SELECT kpi.grant_editor('rf_other');
CREATE SCHEMA rf2 AUTHORIZATION rf_definer;
SET ROLE rf_definer;
CREATE TABLE rf2.facts (id int, at date) PARTITION BY RANGE (at);
SELECT kpi.create_source('rf2', relation => 'rf2.facts', at => 'at') IS NOT NULL AS source;
SELECT kpi.create_kpi('rf2_count', source => 'rf2', measure => 'count(*)') IS NOT NULL AS kpi;
CALL kpi.refresh('rf2');
RESET ROLE;
CREATE TABLE rf2.facts_2026 PARTITION OF rf2.facts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO rf2.facts VALUES (1, '2026-05-05');
SET ROLE rf_other;
CALL kpi.refresh('rf2');
SELECT kpi.resume('rf2');
CALL kpi.refresh('rf2');
SET ROLE rf_definer;
SELECT kpi.resume('rf2');
CALL kpi.refresh('rf2');
RESET ROLE;
SELECT * FROM kpi.verify('rf2');
SELECT kpi.drop_source('rf2', cascade => true);
SELECT kpi.revoke_editor('rf_other');
DROP SCHEMA rf2 CASCADE;
DROP OWNED BY rf_other;
DROP ROLE rf_other;

SELECT kpi.drop_source('rf_own', cascade => true);
SELECT kpi.revoke_editor('rf_definer');
DROP SCHEMA rf CASCADE;
DROP OWNED BY rf_definer;
DROP ROLE rf_definer;
