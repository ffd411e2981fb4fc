-- kpi.facts(): the facts that make a number are those of the views, for every kind of KPI, scope and
-- grain, after moves; and who may see them.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all
SET kpi.now = '2026-11-15 12:00+00';
-- more kinds: spread, extremes, different values, what is held, credit of today, another period
ALTER TABLE vt.deals ADD ended_on date;
UPDATE vt.deals SET ended_on = opened_on + id % 60 WHERE id % 4 > 0;
SELECT count(kpi.create_kpi(name, source => 'vt_deals', measure => measure, filter => filter, at => at, until => until, credit => credit))
  FROM (VALUES ('vt_median', 'median(amount)', NULL, NULL, NULL, 'then'), ('vt_max', 'max(amount)', NULL, NULL, NULL, 'then'),
               ('vt_last', 'last(amount)', NULL, NULL, NULL, 'then'), ('vt_products', 'count(DISTINCT product)', NULL, NULL, NULL, 'then'),
               ('vt_held', 'balance(amount)', NULL, 'opened_on', 'ended_on', 'then'),
               ('vt_today', 'sum(amount)', $$stage = 'won'$$, NULL, NULL, 'today')) k (name, measure, filter, at, until, credit);
SELECT kpi.create_kpi('vt_ytd', formula => 'ytd(vt_sum)') > 0 AS kpi;
SELECT kpi.add_alias('ann', 'nobody') IS NOT NULL AS alias;
SELECT kpi.move_member('ann', team => 'alps', since => '2026-04-01', until => '2026-10-20');
CALL kpi.refresh();

CREATE FUNCTION vt.of_facts(kpi text, team text, member text, period text) RETURNS TABLE (fact_kpi text, facts bigint, value numeric, numerator numeric, denominator numeric)
LANGUAGE sql STABLE AS $$
    SELECT f.fact_kpi, count(*), sum(f.value), sum(f.numerator), sum(f.denominator) FROM kpi.facts(kpi, team => team, member => member, period => period) f GROUP BY 1
$$;
-- per view, how many rows there are and how many the facts do not make
CREATE FUNCTION vt.compare(level text, suffix text, since date) RETURNS TABLE (view text, kpi text, rows bigint, differing bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT %1$L, v.kpi, count(*), count(*) FILTER (WHERE CASE
                 WHEN v.kpi IN (''vt_sum'', ''vt_cost'', ''vt_held'', ''vt_today'', ''vt_ytd'') THEN coalesce(f.value, 0) IS DISTINCT FROM v.value
                 WHEN v.kpi IN (''vt_rate'', ''vt_avg'') THEN (f.numerator, f.denominator, f.facts) IS DISTINCT FROM (v.numerator, v.denominator, v.facts)
                 ELSE coalesce(f.facts, 0) IS DISTINCT FROM v.facts END
               OR (v.kpi <> ''vt_ytd'' AND coalesce(f.facts, 0) IS DISTINCT FROM v.facts))
           FROM kpi.%1$s v LEFT JOIN LATERAL vt.of_facts(v.kpi, %2$s, v.period) f ON true
          WHERE v.kpi = ANY (''{vt_sum, vt_count, vt_rate, vt_avg, vt_opened, vt_cost, vt_median, vt_max, vt_last, vt_products, vt_held, vt_today, vt_ytd}'')
            AND v.period_start >= $1 GROUP BY 2', level || '_' || suffix, CASE level WHEN 'team' THEN 'v.team, NULL' ELSE 'NULL, v.member' END)
       USING since;
END
$$;
SELECT r.kpi, r.view, r.rows > 0 AS has_rows, r.differing
  FROM (VALUES ('team', 'monthly', date '2026-01-01'), ('team', 'quarterly', '2026-01-01'), ('team', 'yearly', '2023-01-01'), ('team', 'weekly', '2026-10-19'),
               ('team', 'daily', '2026-11-09'), ('member', 'monthly', '2026-01-01'), ('member', 'yearly', '2023-01-01')) l (level, suffix, since),
       vt.compare(level, suffix, since) r WHERE r.kpi <> 'vt_ytd' OR r.view !~ 'weekly' ORDER BY 1, 2;
-- (a week that two years share has in a year to date the facts of its own days as well)
-- a formula has the facts of the KPIs it is over
SELECT f.fact_kpi, count(*) > 0 AS facts, round(sum(f.value), 2) = round(kpi.value(f.fact_kpi, team => 'south', period => '2026'), 2) AS is_value
  FROM kpi.facts('vt_margin', team => 'south', period => '2026') f GROUP BY 1 ORDER BY 1;
-- values of a dimension
SELECT p, (SELECT sum(value) FROM kpi.facts('vt_sum', team => 'south', period => '2026', dimension => 'product', dimension_value => p))
          IS NOT DISTINCT FROM kpi.value('vt_sum', team => 'south', period => '2026', dimension => 'product', dimension_value => p) AS equal
  FROM unnest('{p, q, NULL}'::text[]) p;
SELECT * FROM kpi.facts('vt_sum', team => 'north', period => '2026-04');
SELECT * FROM kpi.facts('vt_rate', member => 'cid', period => '2026-11-16');
-- nothing there
SELECT count(*) FROM kpi.facts('vt_sum', team => 'north', period => '1999');
SELECT count(*) FROM kpi.facts('vt_held', team => 'north', period => '2199');
-- what is unknown
SELECT * FROM kpi.facts('vt_sun', period => '2026');
SELECT * FROM kpi.facts('vt_sum', team => 'nord', period => '2026');
SELECT * FROM kpi.facts('vt_sum', period => '2026-13');
SELECT * FROM kpi.facts('vt_sum', period => '2026', dimension => 'produkt', dimension_value => 'p');

-- an index on the time is used, whatever the table has
CREATE INDEX ON vt.deals (closed_at);
SET enable_seqscan = off;
SELECT count(*) > 0 AS facts FROM kpi.facts('vt_sum', period => '2026-11');
RESET enable_seqscan;

-- the reader needs rights on the table, all or the columns used
CREATE ROLE regress_kpi_facts_reader;
SELECT kpi.grant_reader('regress_kpi_facts_reader');
SET ROLE regress_kpi_facts_reader;
SELECT count(*) FROM kpi.facts('vt_sum', period => '2026-11');
RESET ROLE;
GRANT USAGE ON SCHEMA vt TO regress_kpi_facts_reader;
GRANT SELECT (id, owner) ON vt.deals TO regress_kpi_facts_reader;
SET ROLE regress_kpi_facts_reader;
SELECT count(*) FROM kpi.facts('vt_sum', period => '2026-11');
RESET ROLE;
GRANT SELECT (stage, amount, product, opened_on, closed_at, ended_on) ON vt.deals TO regress_kpi_facts_reader;
SET ROLE regress_kpi_facts_reader;
SELECT count(*) > 0 AS facts FROM kpi.facts('vt_sum', period => '2026-11');
RESET ROLE;
ALTER TABLE vt.deals ENABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_facts_reader;
SELECT count(*) FROM kpi.facts('vt_sum', period => '2026-11');
RESET ROLE;
ALTER TABLE vt.deals DISABLE ROW LEVEL SECURITY;

-- functions of a KPI's author run with the author's rights, whoever reads
CREATE ROLE regress_kpi_facts_author;
SELECT kpi.grant_editor('regress_kpi_facts_author');
CREATE SCHEMA facts_own AUTHORIZATION regress_kpi_facts_author;
SET ROLE regress_kpi_facts_author;
CREATE TABLE facts_own.deals (id integer, amount numeric, day date);
INSERT INTO facts_own.deals VALUES (1, 10, '2026-11-02');
CREATE FUNCTION facts_own.role_of(numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN current_user = 'regress_kpi_facts_author' THEN $1 ELSE -1 END;
END $$;
SELECT kpi.create_source('facts_own', relation => 'facts_own.deals', key => 'id', at => 'day') > 0 AS source;
SELECT kpi.create_kpi('facts_own', source => 'facts_own', measure => 'sum(facts_own.role_of(amount))') > 0 AS kpi;
CREATE INDEX ON facts_own.deals (facts_own.role_of(amount));
RESET ROLE;
SELECT fact_key, value FROM kpi.facts('facts_own', period => '2026-11');

SELECT kpi.drop_source('facts_own', cascade => true);
SELECT kpi.revoke_reader('regress_kpi_facts_author'), kpi.revoke_reader('regress_kpi_facts_reader');
DROP OWNED BY regress_kpi_facts_author, regress_kpi_facts_reader;
DROP ROLE regress_kpi_facts_author, regress_kpi_facts_reader;
SELECT kpi.drop_alias('nobody') IS NOT NULL AS alias;
SELECT vt.drop_all();
DROP SCHEMA vt CASCADE;
