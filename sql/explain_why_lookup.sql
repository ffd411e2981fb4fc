-- kpi.why() of sources with lookups and of keyed sources: what is not found, what waits.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO';
SET kpi.now = '2026-11-27 12:00';
SELECT kpi.create_team('wl_uk') IS NOT NULL AS made;
SELECT kpi.add_member('wl_ann', team => 'wl_uk', since => '2026-01-01') IS NOT NULL AS made;
CREATE TABLE wl_account (account integer PRIMARY KEY, sector text, manager text, weight numeric);
CREATE TABLE wl_deal (id integer PRIMARY KEY, account integer, owner text, closed date, amount numeric);
INSERT INTO wl_account VALUES (1, 'steel', 'wl_ann', 2);
INSERT INTO wl_deal VALUES (1, 1, 'wl_ann', '2026-05-05', 10), (2, 9, 'wl_ann', '2026-05-05', 10), (3, NULL, 'wl_ann', '2026-05-05', 10),
    (4, 9, NULL, '2026-05-05', 10), (5, 9, 'wl_ann', '2027-05-05', 10), (6, 9, 'wl_ann', NULL, 10);
SELECT kpi.create_lookup('wl_sector', relation => 'wl_account', key => 'account', value => 'sector') > 0 AS made;
SELECT kpi.create_lookup('wl_weight', relation => 'wl_account', key => 'account', value => 'weight') > 0 AS made;
SELECT kpi.create_source('wl_deals', 'wl_deal', key => 'id', owner => 'owner', at => 'closed') > 0 AS made;
SELECT kpi.create_kpi('wl_count', source => 'wl_deals', measure => 'count(*)') > 0 AS made;
SELECT kpi.create_kpi('wl_steel', source => 'wl_deals', measure => 'count(*)', filter => $$coalesce(lookup('wl_sector', account), 'steel') = 'steel'$$) > 0 AS made;
SELECT kpi.create_kpi('wl_not_steel', source => 'wl_deals', measure => 'count(*)', filter => $$lookup('wl_sector', account) <> 'steel'$$) > 0 AS made;
SELECT kpi.create_kpi('wl_weighted', source => 'wl_deals', measure => $$sum(amount * lookup('wl_weight', account))$$) > 0 AS made;
CALL kpi.refresh('wl_deals');
SELECT k.key, w.kpi, w.status, w.counts_for, w.member, w.value FROM generate_series(1, 6) k (key), LATERAL kpi.why('wl_deals', k.key) w ORDER BY k.key, w.kpi;
-- the lookup and the column; texts as they were typed
SELECT kpi, status, detail FROM kpi.why('wl_deals', 2) ORDER BY kpi;
SELECT kpi, status, detail FROM kpi.why('wl_deals', 3) WHERE kpi <> 'wl_count' ORDER BY kpi;
SELECT status, detail FROM (VALUES (4), (5), (6)) k (key), LATERAL kpi.why('wl_deals', k.key, 'wl_steel') ORDER BY k.key;
-- a dimension concerns all KPIs
SELECT kpi.alter_source('wl_deals', dimensions => jsonb_build_object('sector', $$lookup('wl_sector', account)$$));
CALL kpi.refresh('wl_deals');
SELECT kpi, status FROM kpi.why('wl_deals', 2) ORDER BY kpi;
-- as kpi.left_out has it
SELECT reason, facts FROM kpi.left_out WHERE source = 'wl_deals' AND kpi IS NULL;
-- what comes to be found
INSERT INTO wl_account VALUES (9, 'glass', 'wl_ann', 3);
SELECT kpi, status, counts_for, detail FROM kpi.why('wl_deals', 2, 'wl_count');
CALL kpi.refresh('wl_deals');
SELECT kpi, status, value FROM kpi.why('wl_deals', 2) ORDER BY kpi;
-- the keys that were not found are for who may read them
CREATE ROLE wl_reader;
SELECT kpi.grant_reader('wl_reader');
GRANT USAGE ON SCHEMA kpi_data TO wl_reader;
GRANT SELECT (id, owner, closed, amount, wl_sector, wl_weight) ON kpi_data.wl_deals TO wl_reader;
SET ROLE wl_reader;
SELECT count(*) FROM kpi.why('wl_deals', 2);
RESET ROLE;
GRANT SELECT (wl_sector_missing, wl_weight_missing) ON kpi_data.wl_deals TO wl_reader;
SET ROLE wl_reader;
SELECT count(*) FROM kpi.why('wl_deals', 2);
RESET ROLE;

-- a keyed source: a key of several columns, rows of its query
CREATE TABLE wl_line (deal integer, line integer, price numeric, PRIMARY KEY (deal, line));
INSERT INTO wl_line VALUES (1, 1, 5), (1, 2, 6), (2, 1, 7), (8, 1, 8);
SELECT kpi.create_source('wl_lines', query => 'SELECT l.deal, l.line, d.owner, d.closed, l.price FROM public.wl_line l JOIN public.wl_deal d ON d.id = l.deal',
                         key => 'deal, line', entity => 'deal', owner => 'owner', at => 'closed',
                         follow => '{"public.wl_line": "SELECT changed.deal", "public.wl_deal": "SELECT changed.id"}') > 0 AS made;
SELECT kpi.create_kpi('wl_price', source => 'wl_lines', measure => 'sum(price)') > 0 AS made;
SELECT status, counts_for, detail FROM kpi.why('wl_lines', '1, 2');
CALL kpi.refresh('wl_lines');
SELECT status, counts_for, member, owner, day, value, detail FROM kpi.why('wl_lines', '1, 2');
UPDATE wl_line SET price = 9 WHERE (deal, line) = (1, 2);
SELECT status, counts_for, value, detail FROM kpi.why('wl_lines', '1, 2');
CALL kpi.refresh('wl_lines');
SELECT status, value FROM kpi.why('wl_lines', '1, 2');
SELECT * FROM kpi.why('wl_lines', '8, 1');
-- a row that is not kept yet
INSERT INTO wl_line VALUES (2, 2, 1);
SELECT status, counts_for, detail FROM kpi.why('wl_lines', '2, 2');
SELECT kpi.pause('wl_lines');
SELECT status, counts_for, detail FROM kpi.why('wl_lines', '2, 2');
SELECT kpi.resume('wl_lines');
CALL kpi.refresh('wl_lines');
SELECT status, value FROM kpi.why('wl_lines', '2, 2');
SET ROLE wl_reader;
SELECT * FROM kpi.why('wl_lines', '1, 2');
RESET ROLE;

REVOKE ALL ON kpi_data.wl_deals FROM wl_reader;
REVOKE ALL ON SCHEMA kpi_data FROM wl_reader;
SELECT kpi.revoke_reader('wl_reader');
DROP ROLE wl_reader;
SELECT kpi.drop_source('wl_lines', cascade => true), kpi.drop_source('wl_deals', cascade => true);
SELECT kpi.drop_lookup('wl_sector'), kpi.drop_lookup('wl_weight');
DROP TABLE wl_deal, wl_account, wl_line;
SELECT kpi.drop_member('wl_ann'), kpi.drop_team('wl_uk');
