-- kpi.preview_kpi() of a measure: what its facts would make of it is what kpi.alter_kpi() and a refresh make of it,
-- and nothing is changed.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all

SET kpi.now = '2026-11-15 12:00+00';
INSERT INTO vt.deals VALUES (900001, 'ann', 'won', NULL, 'p', '2026-10-01', '2026-10-02 12:00+00'), (900002, 'cid', 'won', 'NaN', 'p', '2026-10-01', '2026-10-02 12:00+00'),
       (900003, 'ann', 'won', 0, 'q', '2026-10-01', '2026-10-02 12:00+00');
CALL kpi.refresh();
SELECT vt.place_facts();
CREATE VIEW vt.sum_now AS
    SELECT 'month' AS grain, team, period, period_start, value FROM kpi.team_monthly WHERE kpi = 'vt_sum'
    UNION ALL SELECT 'week', team, period, period_start, value FROM kpi.team_weekly WHERE kpi = 'vt_sum'
    UNION ALL SELECT 'day', team, period, period_start, value FROM kpi.team_daily WHERE kpi = 'vt_sum'
    UNION ALL SELECT 'year', team, period, period_start, value FROM kpi.team_yearly WHERE kpi = 'vt_sum';
CREATE TABLE vt.was AS SELECT * FROM vt.sum_now;
CREATE TABLE vt.other (n integer, measure text, filter text, owner text, at text);
INSERT INTO vt.other VALUES
    (1, NULL, $$product = 'p'$$, NULL, NULL), (2, 'avg(amount)', '', NULL, NULL), (3, 'median(amount)', NULL, NULL, NULL),
    (4, $$rate(stage = 'won', stage IN ('won', 'lost'))$$, '', NULL, NULL), (5, NULL, NULL, NULL, 'opened_on'),
    (6, 'count(*)', NULL, 'coalesce(owner, ''cid'')', 'opened_on + 40'), (7, 'count(DISTINCT product)', '', NULL, NULL),
    (8, 'sum(1000 / amount)', NULL, NULL, NULL), (9, 'last(amount)', '', NULL, 'opened_on + 3');
CREATE TABLE vt.preview AS
SELECT o.n, grain, p.* FROM vt.other o, unnest('{day, week, month, year}'::text[]) grain,
       kpi.preview_kpi('vt_sum', measure => o.measure, filter => o.filter, owner => o.owner, at => o.at, grain => grain) p;
-- nothing is changed, and no writer has to wait
SELECT measure, filter, at FROM kpi.kpi WHERE name = 'vt_sum';
SELECT count(*) > 0 AS rows, count(*) FILTER (WHERE w.value IS DISTINCT FROM n.value) AS changed FROM vt.was w FULL JOIN vt.sum_now n USING (team, grain, period);
BEGIN;
SELECT count(*) > 0 AS rows FROM kpi.preview_kpi('vt_sum', filter => 'true');
SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'vt.deals'::regclass;
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = pg_backend_pid() AND l.mode LIKE '%Exclusive%' AND c.relkind = 'r';
ROLLBACK;
-- by independent SQL: two filters, another time
SELECT n, count(*) > 0 AS rows, count(*) FILTER (WHERE p.new_value IS DISTINCT FROM e.value) AS differing
  FROM (SELECT n, team, period_start, new_value FROM vt.preview WHERE n IN (1, 2) AND grain = 'month' AND new_value IS NOT NULL) p
  FULL JOIN (SELECT n, substr(scope, 6) AS team, vt.start(day, 'month') AS period_start,
                    CASE n WHEN 1 THEN sum(num) FILTER (WHERE num <> 'NaN') ELSE round(avg(num) FILTER (WHERE num <> 'NaN'), 10) END AS value
               FROM vt.scoped, generate_series(1, 2) n
              WHERE kpi = 'vt_avg' AND scope LIKE 'team %' AND (n = 2 OR dimensions ->> 'product' = 'p') GROUP BY 1, 2, 3
             HAVING count(num) FILTER (WHERE num <> 'NaN') > 0) e USING (n, team, period_start) GROUP BY n ORDER BY n;
-- old values are those before, new ones those after
SELECT n, count(*) > 0 AS rows, count(*) FILTER (WHERE p.old_value IS DISTINCT FROM w.value) AS differing
  FROM (SELECT * FROM vt.preview WHERE old_value IS NOT NULL) p FULL JOIN (SELECT o.n, w.* FROM vt.was w, vt.other o WHERE w.value IS NOT NULL) w USING (n, team, grain, period)
 GROUP BY n ORDER BY n;
CREATE TABLE vt.after (n integer, grain text, team text, period text, period_start date, value numeric);
\set ECHO none
SELECT format('SELECT kpi.alter_kpi(''vt_sum'', measure => %L, filter => %L, owner => %L, at => %L)', coalesce(measure, 'sum(amount)'), coalesce(filter, $$stage = 'won'$$), coalesce(owner, ''), coalesce(at, '')) AS a,
       'CALL kpi.refresh()' AS b, format('INSERT INTO vt.after SELECT %s, grain, team, period, period_start, value FROM vt.sum_now', n) AS c
  FROM vt.other ORDER BY n \gexec
\set ECHO all
SELECT n, count(*) > 0 AS rows, count(*) FILTER (WHERE p.new_value IS DISTINCT FROM a.value OR p.period_start <> a.period_start) AS differing,
       count(*) FILTER (WHERE p.new_value IS DISTINCT FROM p.old_value) > 0 AS some_change,
       count(*) FILTER (WHERE p.difference IS DISTINCT FROM p.new_value - p.old_value) AS wrong
  FROM (SELECT * FROM vt.preview WHERE new_value IS NOT NULL) p FULL JOIN (SELECT * FROM vt.after WHERE value IS NOT NULL) a USING (n, team, grain, period)
 GROUP BY n ORDER BY n;
SELECT kpi.alter_kpi('vt_sum', measure => 'sum(amount)', filter => $$stage = 'won'$$, owner => '', at => '');
CALL kpi.refresh();
SELECT count(*) FILTER (WHERE w.value IS DISTINCT FROM n.value) AS changed FROM vt.was w FULL JOIN vt.sum_now n USING (team, grain, period);
-- some periods; what waits for a refresh is in the new value
SELECT count(*), count(*) FILTER (WHERE p.new_value IS DISTINCT FROM a.value) AS differing
  FROM kpi.preview_kpi('vt_sum', filter => $$product = 'p'$$, since => '2026-04-01', until => '2026-11-02') p
  FULL JOIN (SELECT * FROM vt.after WHERE n = 1 AND grain = 'month' AND period_start >= '2026-04-01' AND period_start < '2026-11-02') a USING (team, period);
INSERT INTO vt.deals VALUES (900004, 'cid', 'won', 1000, 'p', '2026-10-01', '2026-10-02 12:00+00');
SELECT team, p.new_value - a.value AS more FROM kpi.preview_kpi('vt_sum', filter => $$product = 'p'$$, since => '2026-10-01', until => '2026-10-02') p
  JOIN (SELECT * FROM vt.after WHERE n = 1 AND grain = 'month') a USING (team, period) ORDER BY 1;
-- amounts in currencies
BEGIN;
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.set_exchange_rate('USD', '2020-01-01', 0.5);
SELECT new_value = (SELECT sum(CASE WHEN product = 'p' THEN amount ELSE amount * 0.5 END) FROM vt.deals WHERE stage = 'won' AND product IN ('p', 'q') AND amount <> 'NaN'
                       AND closed_at >= '2026-10-01' AND closed_at < '2026-11-01') AS right_value
  FROM kpi.preview_kpi('vt_sum', measure => 'sum(amount, currency => CASE product WHEN ''p'' THEN ''EUR'' WHEN ''q'' THEN ''USD'' ELSE ''PLN'' END)',
                       since => '2026-10-01', until => '2026-11-01') WHERE team = 'company';
ROLLBACK;

-- bad input
SELECT * FROM kpi.preview_kpi('vt_sums', measure => 'count(*)');
SELECT * FROM kpi.preview_kpi('vt_sum');
SELECT * FROM kpi.preview_kpi('vt_sum', measure => 'sum(amounts)');
SELECT * FROM kpi.preview_kpi('vt_sum', measure => '');
SELECT * FROM kpi.preview_kpi('vt_sum', filter => 'amount');
SELECT * FROM kpi.preview_kpi('vt_sum', formula => 'vt_count + 1');
SELECT * FROM kpi.preview_kpi('vt_mean', measure => 'count(*)');
SELECT * FROM kpi.preview_kpi('vt_sum', measure => 'count(*)', grain => 'months');
CREATE UNIQUE INDEX ON vt.around (n);
SELECT kpi.create_lookup('vt_size', relation => 'vt.around', key => 'n', value => 'day') IS NOT NULL AS lookup;
SELECT * FROM kpi.preview_kpi('vt_sum', filter => 'lookup(''vt_size'', id) IS NOT NULL');
-- who may alter it and read the facts may preview it, and nobody else
CREATE ROLE regress_kpi_previews;
SELECT kpi.grant_editor('regress_kpi_previews');
GRANT USAGE ON SCHEMA vt TO regress_kpi_previews;
GRANT SELECT ON vt.deals TO regress_kpi_previews;
SET ROLE regress_kpi_previews;
SELECT count(*) FROM kpi.preview_kpi('vt_sum', filter => 'true');
RESET ROLE;
SELECT kpi.revoke_reader('regress_kpi_previews');
REVOKE ALL ON SCHEMA vt FROM regress_kpi_previews;
REVOKE ALL ON vt.deals FROM regress_kpi_previews;
DROP ROLE regress_kpi_previews;
SELECT measure, filter FROM kpi.kpi WHERE name = 'vt_sum';
SELECT kpi.drop_lookup('vt_size');
SELECT vt.drop_all();
DROP SCHEMA vt CASCADE;
