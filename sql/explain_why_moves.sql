-- kpi.why() after people have moved: the team of the day, of today, as the last refresh knew it; balances, formulas.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO';
SET kpi.now = '2026-11-27 12:00';
SELECT count(kpi.create_team(t)) FROM unnest('{wm_uk,wm_de}'::text[]) t;
SELECT kpi.add_member('wm_ann', team => 'wm_uk', since => '2026-01-01') IS NOT NULL AS made;
CREATE TABLE wm_deal (id integer PRIMARY KEY, owner text, team text, amount numeric, closed date, ended date);
INSERT INTO wm_deal VALUES (1, 'wm_ann', 'wm_de', 10, '2026-03-05', '2026-07-01'), (2, 'wm_ann', 'wm_uk', 20, '2026-08-05', NULL),
    (3, 'wm_ann', NULL, 40, '2025-08-05', NULL), (4, 'wm_a', 'wm_xx', 80, '2026-08-05', NULL);
SELECT kpi.create_source('wm_deals', 'wm_deal', key => 'id', owner => 'owner', at => 'closed') > 0 AS made;
SELECT kpi.create_kpi('wm_then', source => 'wm_deals', measure => 'sum(amount)') > 0 AS made;
SELECT kpi.create_kpi('wm_today', source => 'wm_deals', measure => 'sum(amount)', credit => 'today') > 0 AS made;
SELECT kpi.create_kpi('wm_team', source => 'wm_deals', measure => 'sum(amount)', owner => '', team => 'team') > 0 AS made;
SELECT kpi.create_kpi('wm_held', source => 'wm_deals', measure => 'balance(amount)', until => 'ended') > 0 AS made;
SELECT kpi.create_kpi('wm_double', formula => 'wm_then * 2 + wm_held') > 0 AS made;
SELECT kpi.add_alias('wm_ann', 'wm_a') IS NOT NULL AS made;
CALL kpi.refresh('wm_deals');
CREATE VIEW wm_why AS
SELECT k.key, w.kpi, w.status, w.counts_for, w.team, w.member, w.owner, w.day, w.value FROM generate_series(1, 4) k (key), LATERAL kpi.why('wm_deals', k.key) w;
SELECT * FROM wm_why ORDER BY key, kpi;
-- until a refresh the numbers are those of before, and so is what is said
CREATE VIEW wm_difference AS
SELECT kpi, team, w.value AS of_facts, v.value FROM
    (SELECT kpi, team, sum(value) AS value FROM wm_why WHERE counts_for <> 'nothing' AND kpi <> 'wm_held' GROUP BY 1, 2) w
    FULL JOIN (SELECT kpi, team, sum(value) AS value FROM kpi.team_yearly
                WHERE team <> 'company' AND kpi IN ('wm_then', 'wm_today', 'wm_team') GROUP BY 1, 2) v USING (kpi, team)
 WHERE w.value IS DISTINCT FROM v.value ORDER BY 1, 2;
SELECT * FROM wm_difference;
SELECT kpi.move_member('wm_ann', team => 'wm_de', since => '2026-06-01');
SELECT kpi.drop_alias('wm_a');
SELECT * FROM wm_difference;
CALL kpi.refresh('wm_deals');
SELECT * FROM wm_difference;
SELECT * FROM wm_why WHERE kpi IN ('wm_then', 'wm_today', 'wm_held') ORDER BY key, kpi;
SELECT kpi, detail FROM kpi.why('wm_deals', 3) ORDER BY kpi;
SELECT kpi, detail FROM kpi.why('wm_deals', 4) ORDER BY kpi;
-- a balance counts on its day; what it held has ended, and it is a fact of it still
UPDATE wm_deal SET ended = '2026-02-01' WHERE id = 1;
SELECT status, detail FROM kpi.why('wm_deals', 1, 'wm_held');
CALL kpi.refresh('wm_deals');
SELECT status, counts_for, detail FROM kpi.why('wm_deals', 1, 'wm_held');
-- a dimension that is an attribute of people leaves nobody out
SELECT kpi.set_attribute('wm_ann', 'role', 'rep', since => '2026-04-01');
SELECT kpi.alter_source('wm_deals', dimensions => '{"role": "attribute(''role'')"}');
CALL kpi.refresh('wm_deals');
SELECT key, status, counts_for FROM wm_why WHERE kpi = 'wm_then' ORDER BY key;
-- a formula has no facts of its own
SELECT * FROM kpi.why('wm_deals', 1, 'wm_double');
SELECT * FROM kpi.why('wm_deal', 1);
SELECT * FROM kpi.why('wm_deals', 1, 'wm_them');
SELECT * FROM kpi.why('wm_deals', 5);
SELECT * FROM kpi.why('wm_deals', ''::text);
SELECT * FROM kpi.why('wm_deals', repeat('x', 600));

DROP VIEW wm_difference, wm_why;
SELECT kpi.drop_kpi('wm_double');
SELECT kpi.drop_source('wm_deals', cascade => true);
DROP TABLE wm_deal;
SELECT kpi.drop_member('wm_ann'), kpi.drop_team('wm_uk'), kpi.drop_team('wm_de');
