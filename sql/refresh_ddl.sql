-- Refresh: DDL of the table that is followed, and DDL that suspends the source.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
\set ECHO all

SELECT kpi.alter_source('rf', dimensions => '{"size": "CASE WHEN amount > 50 THEN ''large'' ELSE ''small'' END", "stage": "stage"}');
CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- TRUNCATE, and DDL that is followed
TRUNCATE rf.deals;
CALL kpi.refresh();
SELECT count(*) FROM rf.company;
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
INSERT INTO rf.deals SELECT i, 'ann', 'won', i + 0.55, 'p', '2026-02-01', '2026-02-02' FROM generate_series(1, 10) i;
CALL kpi.refresh();
ALTER TABLE rf.deals ALTER amount TYPE numeric(12, 1);
CALL kpi.refresh();
SELECT value FROM rf.company WHERE kpi = 'rf_revenue' AND grain = 'year';
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SET client_min_messages = error;

-- DDL that suspends: the numbers stay, the status says why, resume mends
CREATE FUNCTION rf.show() RETURNS TABLE (status text, reason text, hint text, revenue numeric) LANGUAGE sql AS
$$ SELECT s.status, s.reason, s.hint, (SELECT value FROM rf.company WHERE kpi = 'rf_revenue' AND grain = 'year') FROM kpi.source_status s WHERE s.source = 'rf' $$;
ALTER TABLE rf.deals DISABLE TRIGGER ALL;
INSERT INTO rf.deals VALUES (11, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
SELECT source_name, level, stored, expected FROM kpi.verify('rf');
SELECT kpi.repair('rf');
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT * FROM rf.show();

ALTER TABLE rf.deals RENAME TO deals_old;
INSERT INTO rf.deals_old VALUES (12, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
ALTER TABLE rf.deals_old RENAME TO deals;
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT * FROM rf.show();

ALTER TABLE rf.deals RENAME TO deals_old;
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
CREATE TABLE rf.deals (LIKE rf.deals_old INCLUDING ALL);
INSERT INTO rf.deals SELECT * FROM rf.deals_old LIMIT 3;
CALL kpi.refresh('rf');
SELECT * FROM rf.show();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT revenue = (SELECT sum(amount) FROM rf.deals) AS rebuilt FROM rf.show();
INSERT INTO rf.deals_old VALUES (13, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
INSERT INTO rf.deals VALUES (14, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf');
SELECT revenue = (SELECT sum(amount) FROM rf.deals) AS right FROM rf.show();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

ALTER TABLE rf.deals RENAME COLUMN amount TO sum;
INSERT INTO rf.deals VALUES (15, 'ann', 'won', 1, 'p', '2026-02-01', '2026-02-02');
CALL kpi.refresh('rf');
SELECT status, reason, hint FROM rf.show();
ALTER TABLE rf.deals RENAME COLUMN sum TO amount;
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
SELECT status, revenue = (SELECT sum(amount) FROM rf.deals) AS right FROM rf.show();
ALTER TABLE rf.deals ALTER amount TYPE text;
CALL kpi.refresh('rf');
SELECT status, reason FROM rf.show();
ALTER TABLE rf.deals ALTER amount TYPE numeric USING amount::numeric;
DROP TABLE rf.deals;
CALL kpi.refresh('rf');
SELECT status FROM rf.show();
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');

SELECT kpi.drop_source('rf', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
