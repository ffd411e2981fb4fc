-- Refresh: facts that no KPI can take.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
\set ECHO all

INSERT INTO rf.deals VALUES (2002, 'bob', 'lost', 5, NULL, '2026-03-01', '2026-03-02');
CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- Facts that no KPI can take: ignored and counted, in scans as in capture
SELECT kpi.create_kpi('rf_inverse', source => 'rf', measure => 'sum(1 / (amount - 5))') IS NOT NULL AS kpi;
CALL kpi.refresh();
SELECT facts_ignored, last_fact_error FROM kpi.source_status WHERE source = 'rf';
SELECT count(*) FROM rf.deals WHERE amount = 5 AND closed_at IS NOT NULL;
UPDATE rf.deals SET amount = 5 WHERE id IN (100, 101);
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
UPDATE rf.deals SET amount = 6 WHERE amount = 5;
INSERT INTO rf.deals VALUES (2003, 'bob', 'won', 'NaN', NULL, '2026-03-01', '2026-03-02'), (2004, 'bob', 'won', 1, NULL, '2026-03-01', 'infinity');
CALL kpi.refresh();
SELECT facts_ignored, nonfinite_inputs FROM kpi.source_status WHERE source = 'rf';
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.drop_kpi('rf_inverse');

SELECT kpi.drop_source('rf', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();
