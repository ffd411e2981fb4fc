-- Refresh: partitions that are attached or detached are followed.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
\set ECHO all

CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- The table becomes a partitioned one
SET client_min_messages = error;
CREATE FUNCTION rf.show() RETURNS TABLE (status text, reason text, hint text, revenue numeric) LANGUAGE sql AS
$$ SELECT s.status, s.reason, s.hint, (SELECT value FROM rf.company WHERE kpi = 'rf_revenue' AND grain = 'year') FROM kpi.source_status s WHERE s.source = 'rf' $$;
ALTER TABLE rf.deals ALTER amount TYPE numeric(12, 1);
ALTER TABLE rf.deals RENAME TO deals_old;
CREATE TABLE rf.deals (LIKE rf.deals_old) PARTITION BY RANGE (closed_at);
CREATE TABLE rf.deals_q1 PARTITION OF rf.deals FOR VALUES FROM ('2026-01-01') TO ('2026-04-01');
CREATE TABLE rf.deals_q2 (closed_at timestamptz, extra text, id bigint NOT NULL, owner text, stage text, amount numeric(12, 1),
                          product text, created_at timestamptz);
ALTER TABLE rf.deals_q2 DROP COLUMN extra;
INSERT INTO rf.deals_q2 VALUES ('2026-05-01', 1, 'bob', 'won', 7, 'p', '2026-04-01');
INSERT INTO rf.deals VALUES (2, 'ann', 'won', 3, 'p', '2026-02-01', '2026-02-02');
SELECT kpi.resume('rf');
CALL kpi.refresh('rf');
ALTER TABLE rf.deals ATTACH PARTITION rf.deals_q2 FOR VALUES FROM ('2026-04-01') TO ('2026-07-01');
INSERT INTO rf.deals VALUES (3, 'ann', 'won', 3, 'p', '2026-02-01', '2026-05-02');
CALL kpi.refresh('rf');
SELECT status, revenue, (SELECT sum(amount) FROM rf.deals) AS facts FROM rf.show();
INSERT INTO rf.deals_q2 VALUES ('2026-05-01', 4, 'bob', 'won', 11, 'p', '2026-04-01');
UPDATE rf.deals SET closed_at = '2026-06-01', amount = 5 WHERE id = 2;
CALL kpi.refresh('rf');
SELECT status, revenue, (SELECT sum(amount) FROM rf.deals) AS facts FROM rf.show();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
TRUNCATE rf.deals_q2;
CALL kpi.refresh('rf');
SELECT status, revenue, (SELECT sum(amount) FROM rf.deals) AS facts FROM rf.show();
INSERT INTO rf.deals VALUES (5, 'ann', 'won', 3, 'p', '2026-02-01', '2026-05-02');
CALL kpi.refresh('rf');
SELECT kpi.alter_source('rf', on_detach => 'remove');
ALTER TABLE rf.deals DETACH PARTITION rf.deals_q2;
CALL kpi.refresh('rf');
SELECT status, revenue, (SELECT sum(amount) FROM rf.deals) AS facts FROM rf.show();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

SELECT kpi.drop_source('rf', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
