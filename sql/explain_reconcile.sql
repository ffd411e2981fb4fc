-- kpi.reconcile(): own numbers against those of a KPI, each of the reasons, and queries that are none.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-06-15 12:00+00';
CREATE SCHEMA rec;
CREATE TABLE rec.users (key text PRIMARY KEY, team text);
INSERT INTO rec.users VALUES ('rec_ann', 'rec_north'), ('rec_bob', 'rec_south'), ('rec_cid', 'rec_south');
CREATE TABLE rec.deals (id integer PRIMARY KEY, owner text, amount numeric, closed_at timestamptz);
-- one in the evening of the last day of each month, one on the first day, others between
INSERT INTO rec.deals SELECT 10 * m + o, (ARRAY['rec_ann', 'rec_bob', 'rec_cid'])[o], 100 * m + o, make_timestamptz(2026, m, 28, 21, 30, 0) FROM generate_series(1, 5) m, generate_series(1, 3) o;
INSERT INTO rec.deals VALUES (1001, 'rec_ann', 7, '2026-02-28 23:30+00'), (1002, 'rec_ann', 9, '2026-03-31 22:30+00'),
                             (1003, 'rec_nobody', 50, '2026-03-10 12:00+00'), (1004, NULL, 60, '2026-03-11 12:00+00'),
                             (1005, 'rec_cid', 3, NULL), (1006, 'rec_cid', NULL, '2026-03-12 12:00+00');
SELECT count(kpi.create_team(key, parent => 'company')) FROM (VALUES ('rec_north'), ('rec_south')) t (key);
SELECT kpi.add_member('rec_ann', team => 'rec_north') IS NOT NULL AS ann, kpi.add_member('rec_bob', team => 'rec_north') IS NOT NULL AS bob,
       kpi.add_member('rec_cid', team => 'rec_south') IS NOT NULL AS cid;
SELECT kpi.move_member('rec_bob', team => 'rec_south', since => '2026-04-01');
SELECT kpi.create_calendar('rec', time_zone => 'UTC') > 0 AS calendar;
SELECT kpi.create_source('rec_deals', relation => 'rec.deals', key => 'id', owner => 'owner', at => 'closed_at', calendar => 'rec') > 0 AS source;
SELECT kpi.create_kpi('rec_sum', source => 'rec_deals', measure => 'sum(amount)') > 0 AS sum,
       kpi.create_kpi('rec_count', source => 'rec_deals', measure => 'count(*)') > 0 AS count,
       kpi.create_kpi('rec_avg', source => 'rec_deals', measure => 'avg(amount)') > 0 AS avg,
       kpi.create_kpi('rec_share', formula => 'rec_sum / rec_count') > 0 AS formula;
CALL kpi.refresh();

-- the same: nothing differs, whatever the numbers and days are cut as
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at, sum(amount) FROM rec.deals WHERE closed_at IS NOT NULL GROUP BY 1, 2');
SELECT * FROM kpi.reconcile('rec_count', 'SELECT owner, closed_at::date, count(*) FROM rec.deals WHERE closed_at IS NOT NULL GROUP BY 1, 2', grain => 'day');
SELECT * FROM kpi.reconcile('rec_sum', $$SELECT owner, date_trunc('month', closed_at AT TIME ZONE 'UTC'), sum(amount)::float8 FROM rec.deals WHERE closed_at IS NOT NULL GROUP BY 1, 2$$, grain => 'quarter');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at, sum(amount) FROM rec.deals WHERE closed_at IS NOT NULL GROUP BY 1, 2',
                            grain => 'month', since => '2026-03-01', until => '2026-04-01', differing_only => false);
-- what the reader leaves out differs, for no reason that is known
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at, sum(amount) FROM rec.deals WHERE closed_at IS NOT NULL AND id <> 22 GROUP BY 1, 2');
-- unassigned owners
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT u.key, d.closed_at, sum(d.amount) FROM rec.deals d JOIN rec.users u ON u.key = d.owner WHERE closed_at IS NOT NULL GROUP BY 1, 2');
-- days cut in another zone, to either side
SELECT * FROM kpi.reconcile('rec_sum', $$SELECT owner, (closed_at AT TIME ZONE 'Europe/Berlin')::date, sum(amount) FROM rec.deals WHERE closed_at IS NOT NULL GROUP BY 1, 2$$);
SELECT * FROM kpi.reconcile('rec_sum', $$SELECT owner, date_trunc('month', closed_at AT TIME ZONE 'Europe/Berlin'), sum(amount) FROM rec.deals WHERE closed_at IS NOT NULL GROUP BY 1, 2$$);
INSERT INTO rec.deals VALUES (1007, 'rec_cid', 11, '2026-05-01 02:00+00');
CALL kpi.refresh();
SELECT * FROM kpi.reconcile('rec_count', $$SELECT owner, (closed_at AT TIME ZONE 'America/New_York')::date, count(*) FROM rec.deals WHERE closed_at IS NOT NULL GROUP BY 1, 2$$);
-- a fact that is in the month beside, but not by a day, is none of that
SELECT * FROM kpi.reconcile('rec_sum', $$SELECT owner, closed_at::date - CASE id WHEN 32 THEN 30 ELSE 0 END, sum(amount) FROM rec.deals WHERE closed_at IS NOT NULL GROUP BY 1, 2$$);
-- by team: that of today instead of then
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT u.team, d.closed_at::date, sum(d.amount) FROM rec.deals d JOIN rec.users u ON u.key = d.owner WHERE closed_at IS NOT NULL GROUP BY 1, 2');
SELECT * FROM kpi.reconcile('rec_sum', $$SELECT t.key, d.closed_at::date, sum(d.amount) FROM rec.deals d JOIN kpi.member m ON m.key = d.owner
    JOIN kpi.membership s ON s.member_id = m.id AND closed_at::date <@ daterange(s.since, s.until) JOIN kpi.team t ON t.id = s.team_id GROUP BY 1, 2$$);
SELECT r.team, r.period, r.ours = kpi.value('rec_sum', team => r.team, period => r.period) AS as_the_value
  FROM kpi.reconcile('rec_sum', 'SELECT u.team, d.closed_at::date, sum(d.amount) FROM rec.deals d JOIN rec.users u ON u.key = d.owner WHERE closed_at IS NOT NULL GROUP BY 1, 2',
                     differing_only => false) r ORDER BY 1, 2;

-- bad input
SELECT * FROM kpi.reconcile('rec_summ', 'SELECT 1');
SELECT * FROM kpi.reconcile('rec_avg', 'SELECT 1');
SELECT * FROM kpi.reconcile('rec_share', 'SELECT 1');
SELECT * FROM kpi.reconcile('rec_sum', NULL);
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT 1', grain => 'months');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT 1', since => '2026-03-01', until => '2026-03-01');
SELECT * FROM kpi.reconcile('rec_sum', '');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT 1; SELECT 2');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, amount FROM rec.deals');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at::text AS day, amount FROM rec.deals');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at, owner FROM rec.deals');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at, amount FROM rec.deals ORDER BY id');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, date ''2026-03-01'', 1 FROM rec.deals');
SELECT * FROM kpi.reconcile('rec_sum', 'DELETE FROM rec.deals RETURNING owner, closed_at, amount');
SELECT * FROM kpi.reconcile('rec_sum', 'WITH d AS (DELETE FROM rec.deals RETURNING owner, closed_at, amount) SELECT * FROM d');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at, amount FROM rec.deals FOR UPDATE');
CREATE FUNCTION rec.writes() RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN DELETE FROM rec.deals; RETURN 1; END $$;
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT ''x'', date ''2026-03-01'', rec.writes()');
SELECT count(*) AS facts FROM rec.deals;
-- the transaction goes on as it was
BEGIN;
SELECT count(*) FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at, amount FROM rec.deals WHERE id = 11', since => '2026-01-01', until => '2026-02-01');
SHOW transaction_read_only;
SAVEPOINT s;
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT ''x'', date ''2026-03-01'', rec.writes()');
ROLLBACK TO s;
SHOW transaction_read_only;
ROLLBACK;

-- with the rights of the reader, and none of ours
CREATE ROLE regress_kpi_reconciles;
SELECT kpi.grant_reader('regress_kpi_reconciles');
SET ROLE regress_kpi_reconciles;
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT owner, closed_at, amount FROM rec.deals');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT ''x'', date ''2026-03-01'', count(*) FROM kpi_internal.day_cell');
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT current_user, date ''2026-03-01'', 1') WHERE theirs IS NOT NULL;
RESET ROLE;
SELECT kpi.revoke_reader('regress_kpi_reconciles');
SET ROLE regress_kpi_reconciles;
SELECT * FROM kpi.reconcile('rec_sum', 'SELECT current_user, date ''2026-03-01'', 1');
RESET ROLE;
DROP ROLE regress_kpi_reconciles;

SELECT kpi.drop_kpi('rec_share');
SELECT kpi.drop_source('rec_deals', cascade => true);
SELECT kpi.drop_calendar('rec');
SELECT count(kpi.drop_member(key)) FROM kpi.member WHERE key LIKE 'rec\_%';
SELECT count(kpi.drop_team(key)) FROM kpi.team WHERE key LIKE 'rec\_%';
DROP SCHEMA rec CASCADE;
