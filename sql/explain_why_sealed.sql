-- kpi.why() over a partitioned table: facts of partitions, and of those that are gone.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO';
SET kpi.now = '2026-11-27 12:00';
SELECT kpi.create_team('ws_uk') IS NOT NULL AS made;
SELECT kpi.add_member('ws_ann', team => 'ws_uk', since => '2025-01-01') IS NOT NULL AS made;
CREATE TABLE ws_deal (id integer, owner text, amount numeric, closed_at timestamptz) PARTITION BY RANGE (closed_at);
CREATE TABLE ws_2025 PARTITION OF ws_deal FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE ws_2026 PARTITION OF ws_deal FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO ws_deal VALUES (1, 'ws_ann', 10, '2025-05-05'), (2, 'ws_ann', 20, '2025-06-06'), (3, 'ws_ann', 40, '2026-05-05'), (4, 'ws_x9', 80, '2026-06-06');
SELECT kpi.create_source('ws_deals', 'ws_deal', key => 'id', owner => 'owner', at => 'closed_at') IS NOT NULL AS made;
SELECT kpi.create_kpi('ws_revenue', source => 'ws_deals', measure => 'sum(amount)') IS NOT NULL AS made;
CALL kpi.refresh('ws_deals');
SELECT k.key, w.status, w.counts_for, w.team, w.member, w.day, w.value FROM generate_series(1, 4) k (key), LATERAL kpi.why('ws_deals', k.key) w ORDER BY k.key;

-- a partition is gone, and no refresh has noticed
DROP TABLE ws_2025;
SELECT * FROM kpi.why('ws_deals', 1) \gx
SELECT status, detail FROM kpi.why('ws_deals', 3);
-- sealed: nobody can tell whether it was one of those; a KPI that comes later is without them
CALL kpi.refresh('ws_deals');
SELECT kpi.create_kpi('ws_deals', source => 'ws_deals', measure => 'count(*)') IS NOT NULL AS made;
CALL kpi.refresh('ws_deals');
SELECT kpi, status, counts_for, team, member, owner, day, value, detail FROM kpi.why('ws_deals', 1);
SELECT kpi, status FROM kpi.why('ws_deals', 1, 'ws_deals');
-- what is there on sealed days counts
CREATE TABLE ws_late PARTITION OF ws_deal FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO ws_deal VALUES (5, 'ws_ann', 160, '2025-05-05');
SELECT kpi, status FROM kpi.why('ws_deals', 5);
CALL kpi.refresh('ws_deals');
SELECT kpi, status, counts_for, member, day, value FROM kpi.why('ws_deals', 5);
SELECT kpi, value FROM kpi.member_yearly WHERE member = 'ws_ann' AND period_start = '2025-01-01' ORDER BY kpi;
-- another table has come under the name, with facts on sealed days: the numbers are those of before
CREATE TABLE ws_new (LIKE ws_deal);
INSERT INTO ws_new VALUES (1, 'ws_ann', 10, '2025-05-05'), (3, 'ws_ann', 40, '2026-05-05');
ALTER TABLE ws_deal RENAME TO ws_old;
ALTER TABLE ws_new RENAME TO ws_deal;
SELECT kpi, status, counts_for, detail FROM kpi.why('ws_deals', 3);
SET client_min_messages = error;
CALL kpi.refresh('ws_deals');
SET client_min_messages = warning;
SELECT kpi, status, counts_for, detail FROM kpi.why('ws_deals', 3);
-- what is sealed is given up
SELECT kpi.alter_source('ws_deals', discard_sealed => true);
CALL kpi.refresh('ws_deals');
SELECT kpi, status, counts_for FROM kpi.why('ws_deals', 1);
SELECT * FROM kpi.why('ws_deals', 2);

SELECT kpi.drop_source('ws_deals', cascade => true);
DROP TABLE ws_deal, ws_old;
SELECT kpi.drop_member('ws_ann'), kpi.drop_team('ws_uk');
