-- kpi.resume() without a name accepts nobody new: neither another owner of a
-- table nor another role under the definer's name.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE ROLE regress_all_owner;
CREATE ROLE regress_all_heir;
CREATE ROLE regress_all_definer;
CREATE SCHEMA resume_all;
GRANT ALL ON SCHEMA resume_all TO regress_all_owner, regress_all_heir, regress_all_definer;
CREATE TABLE resume_all.sales (d date, amount integer);
CREATE TABLE resume_all.visits (d date);
INSERT INTO resume_all.sales VALUES ('2026-01-01', 5);
ALTER TABLE resume_all.sales OWNER TO regress_all_owner;
GRANT SELECT, TRIGGER ON resume_all.sales, resume_all.visits TO regress_all_definer;
SELECT kpi.create_source('all_sales', relation => 'resume_all.sales', at => 'd', definer => 'regress_all_definer') > 0 AS created;
SELECT kpi.create_kpi('all_sales', source => 'all_sales', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_source('all_visits', relation => 'resume_all.visits', at => 'd') > 0 AS created;
SELECT kpi.create_kpi('all_visits', source => 'all_visits', measure => 'count(*)') > 0 AS created;
CALL kpi.refresh();
CREATE VIEW resume_all.status AS
    SELECT source, status, reason FROM kpi.source_status WHERE source LIKE 'all\_%' ORDER BY source;
\set all 'CALL kpi.refresh(); SELECT kpi.resume(); CALL kpi.refresh(); SELECT * FROM resume_all.status;'

-- given to another role, while another source can be resumed
ALTER TABLE resume_all.sales OWNER TO regress_all_heir;
ALTER TABLE resume_all.visits DISABLE TRIGGER USER;
:all
SELECT kpi.resume('all_sales');
CALL kpi.refresh();
SELECT * FROM resume_all.status;

-- to the definer: nobody new
ALTER TABLE resume_all.sales OWNER TO regress_all_definer;
ALTER TABLE resume_all.sales DISABLE TRIGGER USER;
:all
ALTER TABLE resume_all.sales OWNER TO regress_all_heir;
GRANT SELECT, TRIGGER ON resume_all.sales TO regress_all_definer;
CALL kpi.refresh();
SELECT kpi.resume('all_sales');
CALL kpi.refresh();
SELECT * FROM resume_all.status;

-- a definer without rights on the table holds no other source back
REVOKE SELECT ON resume_all.sales FROM regress_all_definer;
SELECT kpi.pause('all_visits');
:all
GRANT SELECT ON resume_all.sales TO regress_all_definer;
:all

-- the definer is gone, and then another has its name
DROP OWNED BY regress_all_definer;
DROP ROLE regress_all_definer;
ALTER TABLE resume_all.visits DISABLE TRIGGER USER;
:all
CREATE ROLE regress_all_definer;
GRANT USAGE ON SCHEMA resume_all TO regress_all_definer;
GRANT SELECT, TRIGGER ON resume_all.sales TO regress_all_definer;
:all
SELECT kpi.resume('all_sales');
CALL kpi.refresh();
SELECT * FROM resume_all.status;
SELECT * FROM kpi.verify('all_sales');

SELECT kpi.drop_source('all_sales', cascade => true);
SELECT kpi.drop_source('all_visits', cascade => true);
DROP SCHEMA resume_all CASCADE;
DROP ROLE regress_all_owner, regress_all_heir, regress_all_definer;
