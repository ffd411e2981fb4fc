-- kpi.facts(left_out => ...): the facts that kpi.left_out counts, for each reason, by team, member,
-- period and dimension, against plain SQL; its example_key; and who may see them.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET kpi.now = '2026-05-20 12:00 UTC';
CREATE SCHEMA fl;
CREATE TABLE fl.deal (id int PRIMARY KEY, owner text, at date, until date, stage text, amount numeric, currency text, digits text);
INSERT INTO fl.deal
SELECT i, (ARRAY['ann', 'bob', NULL, 'nobody', 'annie'])[1 + i % 5],
       CASE WHEN i % 23 = 0 THEN NULL WHEN i % 47 = 0 THEN 'infinity' WHEN i % 37 = 0 THEN '1066-10-14' ELSE date '2026-01-03' + i * 7 % 170 END,
       CASE WHEN i % 3 = 0 THEN date '2026-01-03' + i * 7 % 170 + i % 40 - 4 END,
       CASE WHEN i % 19 <> 0 THEN (ARRAY['won', 'lost', 'open'])[1 + i / 7 % 3] END,
       CASE WHEN i % 11 = 0 THEN 'NaN'::numeric WHEN i % 31 <> 0 THEN 10 + i % 17 END, (ARRAY['EUR', 'USD', NULL])[1 + i / 5 % 3],
       CASE WHEN i % 17 = 0 THEN 'x' ELSE i::text END
  FROM generate_series(1, 300) i;
CREATE TABLE fl.sector (stage text PRIMARY KEY, sector text);
INSERT INTO fl.sector VALUES ('won', 'a'), ('open', 'b');
SELECT count(kpi.create_team(key)) FROM (VALUES ('fl_a'), ('fl_b')) t (key);
SELECT kpi.add_member('ann', team => 'fl_a') IS NOT NULL AS added, kpi.add_member('bob', team => 'fl_b') IS NOT NULL AS added;
SELECT kpi.move_member('ann', team => 'fl_b', since => '2026-04-01');
SELECT kpi.add_alias('ann', 'annie') IS NOT NULL AS added;
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.set_exchange_rate('USD', '2026-03-10', 0.9);
SELECT kpi.create_lookup('fl_sector', relation => 'fl.sector', key => 'stage', value => 'sector') IS NOT NULL AS made;
SELECT kpi.create_source('fl', relation => 'fl.deal', key => 'id', owner => 'owner', at => 'at', dimensions => '{"stage": "stage"}') IS NOT NULL AS made,
       kpi.create_source('fl_filtered', relation => 'fl.deal', key => 'id', owner => 'owner', at => 'at', filter => $$stage <> 'lost'$$) IS NOT NULL AS made,
       kpi.create_source('fl_looked', relation => 'fl.deal', key => 'id', owner => 'owner', at => 'at', dimensions => $${"sector": "lookup('fl_sector', stage)"}$$) IS NOT NULL AS made,
       kpi.create_source('fl_failing', relation => 'fl.deal', key => 'id', at => $$date '2026-01-01' + digits::int$$) IS NOT NULL AS made,
       kpi.create_source('fl_keyless', relation => 'fl.deal', at => 'at') IS NOT NULL AS made;
SELECT count(kpi.create_kpi(name, source => source, measure => measure, filter => filter, until => until))
  FROM (VALUES ('fl_count', 'fl', 'count(*)', $$stage = 'won'$$, NULL), ('fl_sum', 'fl', 'sum(amount)', NULL, NULL),
               ('fl_rate', 'fl', $$rate(stage = 'won', stage IN ('won', 'lost'))$$, NULL, NULL), ('fl_digits', 'fl', 'sum(digits::int)', $$stage <> 'open'$$, NULL),
               ('fl_money', 'fl', 'sum(amount, currency => currency)', NULL, NULL), ('fl_held', 'fl', 'balance(amount)', NULL, 'until'),
               ('fl_filtered', 'fl_filtered', 'count(*)', 'id > 20', NULL), ('fl_looked', 'fl_looked', 'sum(amount)', NULL, NULL),
               ('fl_failing', 'fl_failing', 'count(*)', NULL, NULL), ('fl_keyless', 'fl_keyless', 'count(*)', NULL, NULL)) k (name, source, measure, filter, until);
SELECT kpi.create_kpi('fl_share', formula => 'fl_sum / fl_count') > 0 AS kpi;
CALL kpi.refresh();

-- as many facts as are counted, for every reason that there is
CREATE VIEW fl.counted AS
SELECT l.reason, count(*) AS rows, sum(l.facts) AS facts, count(*) FILTER (WHERE f.facts IS DISTINCT FROM l.facts) AS differing,
       count(*) FILTER (WHERE l.reason NOT IN ('no_rate', 'lookup_missing') AND k.name <> 'fl_money'
                          AND (f.first_day, f.last_day) IS DISTINCT FROM (l.first_day, l.last_day)) AS of_other_days,
       count(*) FILTER (WHERE l.example_key IS NULL) AS without_example, count(*) FILTER (WHERE NOT f.is_example) AS wrong_example
  FROM kpi.left_out l
  JOIN kpi.kpi k ON k.source_id = l.source_id AND k.name = coalesce(l.kpi, 'fl_looked')
 CROSS JOIN LATERAL (SELECT count(*) AS facts, min(x.day) AS first_day, max(x.day) AS last_day, bool_or(x.fact_key = l.example_key) AS is_example
                       FROM kpi.facts(k.name, left_out => l.reason) x) f
 GROUP BY 1;
SELECT * FROM fl.counted ORDER BY reason COLLATE "C";

-- which they are
CREATE FUNCTION fl.keys(kpi text, reason text, team text DEFAULT NULL, member text DEFAULT NULL, period text DEFAULT NULL, stage text DEFAULT NULL)
RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT string_agg(f.fact_key, ' ' ORDER BY f.fact_key::int)
         FROM kpi.facts(kpi, team => team, member => member, period => period, dimension => CASE WHEN stage IS NOT NULL THEN 'stage' END,
                        dimension_value => stage, left_out => reason) f $$;
SELECT fl.keys('fl_sum', 'no_time') = string_agg(id::text, ' ' ORDER BY id) AS equal FROM fl.deal WHERE at IS NULL OR NOT isfinite(at);
SELECT fl.keys('fl_sum', 'day_out_of_range') = string_agg(id::text, ' ' ORDER BY id) AS equal FROM fl.deal WHERE at = '1066-10-14';
SELECT fl.keys('fl_held', 'end_before_start') = string_agg(id::text, ' ' ORDER BY id) AS equal FROM fl.deal WHERE until < at AND at > '1900-01-01' AND isfinite(at);
SELECT fl.keys('fl_filtered', 'filter_false') = string_agg(id::text, ' ' ORDER BY id) AS equal FROM fl.deal WHERE stage = 'lost' OR stage IS NOT NULL AND id <= 20;
SELECT fl.keys('fl_filtered', 'filter_null') = string_agg(id::text, ' ' ORDER BY id) AS equal FROM fl.deal WHERE stage IS NULL;
SELECT fl.keys('fl_failing', 'error') = string_agg(id::text, ' ' ORDER BY id) AS equal FROM fl.deal WHERE digits = 'x';
SELECT fl.keys('fl_looked', 'lookup_missing') = string_agg(id::text, ' ' ORDER BY id) AS equal FROM fl.deal WHERE stage = 'lost';
-- by member and team, those with a day by it, the others by today
SELECT fl.keys('fl_sum', 'nonfinite', member => 'ann') = string_agg(id::text, ' ' ORDER BY id) AS equal
  FROM fl.deal WHERE amount = 'NaN' AND owner IN ('ann', 'annie') AND at > '1900-01-01' AND isfinite(at);
SELECT fl.keys('fl_sum', 'nonfinite', team => 'fl_b', period => '2026-Q2') = string_agg(id::text, ' ' ORDER BY id) AS equal
  FROM fl.deal WHERE amount = 'NaN' AND owner IN ('ann', 'annie', 'bob') AND at >= '2026-04-01' AND at < '2026-07-01';
SELECT fl.keys('fl_sum', 'no_time', team => 'fl_b', period => '2026-Q2') = string_agg(id::text, ' ' ORDER BY id) AS equal
  FROM fl.deal WHERE owner IN ('ann', 'annie', 'bob') AND (at IS NULL OR NOT isfinite(at));
SELECT fl.keys('fl_sum', 'no_owner', team => '(unassigned)', period => '2026-04') = string_agg(id::text, ' ' ORDER BY id) AS equal
  FROM fl.deal WHERE owner IS NULL AND at >= '2026-04-01' AND at < '2026-05-01' AND amount <> 'NaN';
SELECT fl.keys('fl_sum', 'nonfinite', stage => 'won', period => '2026') = string_agg(id::text, ' ' ORDER BY id) AS equal
  FROM fl.deal WHERE amount = 'NaN' AND stage = 'won' AND at > '1900-01-01' AND isfinite(at);
-- what counts still has its value
SELECT sum(f.value) = (SELECT sum(amount) FROM fl.deal WHERE owner = 'nobody' AND at > '1900-01-01' AND isfinite(at) AND amount <> 'NaN') AS equal
  FROM kpi.facts('fl_sum', left_out => 'unknown_owner') f;
SELECT * FROM kpi.facts('fl_sum', member => 'ann', period => '2026-05', left_out => 'ahead');
SELECT * FROM kpi.facts('fl_count', member => 'bob', period => '2026-Q1', left_out => 'filter_null');
-- of a formula those of the KPIs that it is over
SELECT f.fact_kpi, count(*) FROM kpi.facts('fl_share', left_out => 'no_time') f GROUP BY 1 ORDER BY 1;
SELECT count(*) AS facts FROM kpi.facts('fl_keyless', left_out => 'no_time') f;
-- nothing, and nonsense
SELECT count(*) FROM kpi.facts('fl_sum', left_out => 'no_rate');
SELECT * FROM kpi.facts('fl_sum', left_out => 'no_tim');
SELECT * FROM kpi.facts('fl_sum');

-- with the rights of the reader: no example without them
CREATE ROLE regress_kpi_left_out_reader;
SELECT kpi.grant_reader('regress_kpi_left_out_reader');
SET ROLE regress_kpi_left_out_reader;
SELECT reason, facts, example_key FROM kpi.left_out WHERE kpi = 'fl_sum' ORDER BY reason COLLATE "C";
SELECT * FROM kpi.facts('fl_sum', left_out => 'no_time');
RESET ROLE;
GRANT USAGE ON SCHEMA fl TO regress_kpi_left_out_reader;
GRANT SELECT ON fl.deal TO regress_kpi_left_out_reader;
SET ROLE regress_kpi_left_out_reader;
SELECT reason, example_key IS NOT NULL AS has_example FROM kpi.left_out WHERE kpi = 'fl_sum' ORDER BY reason COLLATE "C";
SELECT count(*) > 0 AS facts FROM kpi.facts('fl_sum', left_out => 'no_time');
RESET ROLE;
-- nor who sees some of the rows only
ALTER TABLE fl.deal ENABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_left_out_reader;
SELECT count(*) > 0 AS rows, count(example_key) AS examples FROM kpi.left_out WHERE kpi = 'fl_sum';
RESET ROLE;

SELECT count(kpi.drop_kpi(k.name)) FROM (SELECT name FROM kpi.kpi ORDER BY id DESC) k;
SELECT count(kpi.drop_source(s.name)) FROM kpi.source s;
SELECT kpi.drop_lookup('fl_sector');
SELECT kpi.revoke_reader('regress_kpi_left_out_reader');
DROP OWNED BY regress_kpi_left_out_reader;
DROP ROLE regress_kpi_left_out_reader;
SELECT count(kpi.drop_member(m.key)) FROM kpi.member m;
SELECT count(kpi.drop_team(t.key)) FROM kpi.team t WHERE t.id > 2;
SELECT count(kpi.set_exchange_rate(r.currency, r.since, NULL)) FROM kpi.exchange_rate r;
UPDATE kpi.company SET currency = NULL;
DROP SCHEMA fl CASCADE;
