-- kpi.why(): just what waits of a fact is told to wait.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO';
SET kpi.now = '2026-11-27 12:00';
SELECT count(kpi.create_team(t)) FROM unnest('{ww_uk,ww_de}'::text[]) t;
SELECT kpi.add_member('ww_bob', team => 'ww_uk', since => '2026-01-01') IS NOT NULL AS made;
SELECT kpi.move_member('ww_bob', team => 'ww_de', since => '2026-06-01');
CREATE TABLE ww_deal (id integer PRIMARY KEY, owner text, divisor integer DEFAULT 1, product text, stage text DEFAULT 'won', amount numeric, closed date, ended date);
INSERT INTO ww_deal VALUES (1, 'a', 1, 'p', 'won', 10, '2026-03-05', '2026-07-01'), (2, 'a', 1, 'q', 'won', 20, '2026-03-05', NULL),
    (3, 'a', 1, 'p', 'won', 40, '2026-03-06', NULL), (4, 'a', 1, 'p', 'won', NULL, '2026-03-05', NULL), (5, 'b', 1, 'p', 'won', 80, '2026-03-05', NULL);
SELECT kpi.create_source('ww_deals', 'ww_deal', key => 'id', owner => 'substr(owner, 1, 100 / divisor)', at => 'closed', dimensions => '{"product": "product"}') > 0 AS made;
SELECT kpi.create_kpi('ww_sum', source => 'ww_deals', measure => 'sum(amount)', filter => $$stage = 'won'$$) > 0 AS made;
SELECT kpi.create_kpi('ww_today', source => 'ww_deals', measure => 'count(*)', credit => 'today') > 0 AS made;
SELECT kpi.create_kpi('ww_held', source => 'ww_deals', measure => 'balance(amount)', until => 'ended') > 0 AS made;
CALL kpi.refresh('ww_deals');
CREATE VIEW ww_why AS SELECT d.id, w.kpi, w.status, w.counts_for, w.team, w.detail FROM ww_deal d, LATERAL kpi.why('ww_deals', d.id) w;
SELECT id, kpi, status FROM ww_why WHERE status <> 'unknown_owner' ORDER BY id, kpi;
-- an amount: of the facts with the same owner, day and product, which are 1 and 4
UPDATE ww_deal SET amount = 11 WHERE id = 1;
SELECT id, kpi, status FROM ww_why WHERE status = 'pending' ORDER BY id, kpi;
CALL kpi.refresh('ww_deals');
-- its end: of what is held alone
UPDATE ww_deal SET ended = '2026-08-01' WHERE id = 1;
SELECT id, kpi, status FROM ww_why WHERE status = 'pending' ORDER BY id, kpi;
CALL kpi.refresh('ww_deals');
-- why it counts for nothing
UPDATE ww_deal SET stage = 'lost' WHERE id = 4;
SELECT id, kpi, status, detail FROM ww_why WHERE status = 'pending' AND id = 4 ORDER BY id, kpi;
CALL kpi.refresh('ww_deals');
SELECT kpi, status, counts_for FROM ww_why WHERE id = 4 ORDER BY kpi;
-- a fact that fails has no day and no owner
INSERT INTO ww_deal VALUES (6, 'a', 0, 'p', 'won', 10, '2026-03-05', NULL);
SELECT kpi, status, counts_for FROM ww_why WHERE id = 6 ORDER BY kpi;
SELECT id, kpi FROM ww_why WHERE status = 'pending' AND id <> 6 ORDER BY id, kpi;
CALL kpi.refresh('ww_deals');
SELECT kpi, status, counts_for FROM ww_why WHERE id = 6 ORDER BY kpi;
-- somebody whom no refresh has met
INSERT INTO ww_deal VALUES (7, 'ww_bob', 1, 'p', 'won', 10, '2026-03-05', NULL);
SELECT kpi, status, team FROM ww_why WHERE id = 7 ORDER BY kpi;
CALL kpi.refresh('ww_deals');
SELECT kpi, status, team FROM ww_why WHERE id = 7 ORDER BY kpi;
-- all is read again
BEGIN;
TRUNCATE ww_deal;
INSERT INTO ww_deal VALUES (1, 'a', 1, 'p', 'lost', NULL, '2026-03-05', NULL);
SELECT kpi, status, detail FROM ww_why ORDER BY kpi;
ROLLBACK;
SELECT kpi.resume('ww_deals');
SELECT kpi, status, detail FROM ww_why WHERE id = 7 ORDER BY kpi;
CALL kpi.refresh('ww_deals');
SELECT kpi, status FROM ww_why WHERE id = 7 ORDER BY kpi;
-- built from its day on
BEGIN;
UPDATE kpi_internal.measure_built b SET days_since = '2026-03-05' FROM kpi.kpi k WHERE k.id = b.kpi_id AND k.name = 'ww_sum';
SELECT status FROM ww_why WHERE id = 7 AND kpi = 'ww_sum';
UPDATE kpi_internal.measure_built b SET days_since = '2026-03-06' FROM kpi.kpi k WHERE k.id = b.kpi_id AND k.name = 'ww_sum';
SELECT status FROM ww_why WHERE id = 7 AND kpi = 'ww_sum';
ROLLBACK;

-- a keyed source: a key that is not there, paused and suspended
SELECT kpi.create_source('ww_kept', query => 'SELECT d.id, d.closed, d.amount FROM public.ww_deal d', key => 'id', entity => 'id', at => 'closed',
                         follow => '{"public.ww_deal": "SELECT changed.id"}') > 0 AS made;
SELECT kpi.create_kpi('ww_kept', source => 'ww_kept', measure => 'sum(amount)') > 0 AS made;
CALL kpi.refresh('ww_kept');
SELECT kpi.pause('ww_kept');
SELECT * FROM kpi.why('ww_kept', 99);
SELECT kpi.resume('ww_kept');
CALL kpi.refresh('ww_kept');
ALTER TABLE kpi_data.ww_kept DISABLE TRIGGER ALL;
SELECT status, detail FROM kpi.why('ww_kept', 99);
ALTER TABLE kpi_data.ww_kept ENABLE TRIGGER ALL;

DROP VIEW ww_why;
SELECT kpi.drop_source('ww_kept', cascade => true), kpi.drop_source('ww_deals', cascade => true);
DROP TABLE ww_deal;
SELECT kpi.drop_member('ww_bob'), kpi.drop_team('ww_uk'), kpi.drop_team('ww_de');
