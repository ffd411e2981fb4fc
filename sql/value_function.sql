-- kpi.value(): the value at one place is that of the views, for whoever may
-- read; and what is said of places that are none.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/value.sql
\set ECHO none
\i :oracle
\set ECHO all

SET kpi.now = '2026-11-15 12:00+00';
SELECT kpi.create_source('vt_month', relation => 'vt.costs', key => 'id', at => 'day', grain => 'month') > 0 AS source;
SELECT kpi.create_kpi('vt_month', source => 'vt_month', measure => 'sum(cost)') > 0 AS kpi;
SELECT kpi.create_kpi('vt_mixed', formula => 'vt_month + vt_cost') > 0 AS kpi;
CALL kpi.refresh();

-- every place of every view, by its names
CREATE FUNCTION vt.read_one_by_one(level text, suffix text) RETURNS TABLE (view text, rows bigint, differing bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT %1$L, count(*), count(*) FILTER (WHERE kpi.value(kpi, %2$s => %2$s, period => period) IS DISTINCT FROM value)
                                   FROM kpi.%1$s WHERE kpi LIKE ''vt\_%%''', level || '_' || suffix, level);
END
$$;
SELECT r.* FROM unnest('{team, member}'::text[]) WITH ORDINALITY l (level, n), vt.grains g, vt.read_one_by_one(level, suffix) r ORDER BY l.n, g.n;
CREATE FUNCTION vt.read_parts(suffix text) RETURNS TABLE (view text, rows bigint, differing bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT %1$L, count(*), count(*) FILTER (WHERE value IS DISTINCT FROM
                                        kpi.value(kpi, team => team, period => period, dimension => dimension, dimension_value => dimension_value))
                                   FROM kpi.%1$s WHERE kpi LIKE ''vt\_%%''', 'team_breakdown_' || suffix);
END
$$;
SELECT r.* FROM vt.grains g, vt.read_parts(suffix) r WHERE g.n > 2 ORDER BY g.n;
SELECT kpi.value('vt_month', period => '2026-11') = (SELECT sum(cost) FROM vt.costs WHERE day BETWEEN '2026-11-01' AND '2026-11-30') AS neither_is_the_company;
SELECT kpi.value('vt_sum', team => 'north', period => '2026-Q4') = (SELECT value FROM kpi.team_quarterly WHERE kpi = 'vt_sum' AND team = 'north' AND period = '2026-Q4') AS by_name,
       kpi.value('vt_sum', 'north', NULL, '2026-Q4') = kpi.value('vt_sum', team => 'north', period => '2026-Q4') AS by_position;
-- where there are no facts there is no value
SELECT kpi.value('vt_sum', team => 'north', period => '1999') AS sum, kpi.value('vt_rate', member => 'cid', period => '2199-12-31') AS rate,
       kpi.value('vt_mean', team => 'north', period => '1999-Q1') AS formula, kpi.value('vt_cost', team => 'south', period => '1999-W03') AS week,
       kpi.value('vt_sum', team => 'north', period => '2026', dimension => 'product', dimension_value => 'no such product') AS part;
-- but what adds up is 0 once there are facts earlier, whoever they are of and whatever they are broken down by
SELECT kpi.value('vt_sum', team => 'north', period => '2199') AS sum, kpi.value('vt_count', member => 'cid', period => '2199-12-31') AS count,
       kpi.value('vt_rate', team => 'north', period => '2199') AS rate, kpi.value('vt_mean', team => 'north', period => '2199-Q1') AS formula,
       kpi.value('vt_cost', team => 'south', period => '2199-W03') AS week,
       kpi.value('vt_sum', team => 'north', period => '2199', dimension => 'product', dimension_value => 'p') AS part,
       kpi.value('vt_cost', team => '(unassigned)', period => '2199') AS unassigned;
SELECT kpi.create_team('new') IS NOT NULL AS team;
SELECT kpi.value('vt_sum', team => 'new', period => '2199') AS nothing_ever;
SELECT kpi.drop_team('new');
SELECT kpi.create_kpi('vt_new', source => 'vt_deals', measure => 'count(*)') > 0 AS kpi;
SELECT kpi.value('vt_new', period => '2026') AS not_built;
SELECT kpi.drop_kpi('vt_new');
-- keys of other types than text
SELECT kpi.add_member(4711, team => 'north') IS NOT NULL AS member;
INSERT INTO vt.deals VALUES (90001, '4711', 'won', 42, 'p', '2026-11-02', '2026-11-03 12:00+00');
CALL kpi.refresh();
SELECT kpi.value('vt_sum', member => 4711, period => '2026-11') AS value;
SELECT kpi.drop_member(4711);
-- values that are null
SELECT (SELECT value FROM kpi.team_yearly WHERE kpi = 'vt_sum' AND team = 'company' AND period = '2026')
       = sum(kpi.value('vt_sum', team => 'company', period => '2026', dimension => 'product', dimension_value => p)) AS parts_add_up
  FROM unnest('{p, q, NULL}'::text[]) p;

-- a period finer than the facts of the source
SELECT kpi.value('vt_month', team => 'company', period => '2026-11-15');
SELECT kpi.value('vt_month', team => 'company', period => '2026-W46');
-- also where only one of the inputs lacks it: no part of a formula is left out in silence
SELECT kpi.value('vt_mixed', period => '2026-11-15');
SELECT kpi.value('vt_mixed', period => '2026-W46');
SELECT kpi.value('vt_mixed', period => '2026-11') = 2 * kpi.value('vt_cost', period => '2026-11') AS whole;
SELECT DISTINCT v.grain FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id WHERE k.name IN ('vt_month', 'vt_mixed') ORDER BY 1;
SELECT (SELECT count(*) FROM kpi.team_daily WHERE kpi IN ('vt_month', 'vt_mixed')) AS days, (SELECT count(*) FROM kpi.team_weekly WHERE kpi IN ('vt_month', 'vt_mixed')) AS weeks;

-- bad input
SELECT kpi.value('vt_sums', team => 'north', period => '2026');
SELECT kpi.value('VT_SUM', team => 'north', period => '2026');
SELECT kpi.value('nothing like it', team => 'north', period => '2026');
SELECT kpi.value('vt_sum', team => 'nort', period => '2026');
SELECT kpi.value('vt_sum', team => 'ann', period => '2026');
SELECT kpi.value('vt_sum', member => 'anne', period => '2026');
SELECT kpi.value('vt_sum', member => 'north', period => '2026');
SELECT kpi.value('vt_sum', team => 'north', period => '2026-13');
SELECT kpi.value('vt_sum', team => 'north', period => '2026-W54');
SELECT kpi.value('vt_sum', team => 'north', period => '2026Q4');
SELECT kpi.value('vt_sum', team => 'north', period => 'November');
SELECT kpi.value('vt_sum', team => 'north', period => 'FY2026');
SELECT kpi.value('vt_sum', team => 'north', period => '');
SELECT kpi.value('vt_sum', team => 'north', member => 'ann', period => '2026');
-- a KPI whose facts count for teams has no members, one whose facts count for the company alone no teams
SELECT kpi.value('vt_cost', member => 'ann', period => '2026');
SELECT kpi.value('vt_month', member => 'ann', period => '2026');
SELECT kpi.value('vt_month', team => 'north', period => '2026');
SELECT kpi.value('vt_cac', member => 'ann', period => '2026') IS NOT NULL AS of_both;
-- dimensions
SELECT kpi.value('vt_sum', team => 'north', period => '2026', dimension => 'produkt', dimension_value => 'p');
SELECT kpi.value('vt_sum', team => 'north', period => '2026', dimension => 'channel', dimension_value => 'ads');
SELECT kpi.value('vt_month', team => 'company', period => '2026', dimension => 'product', dimension_value => 'p');
SELECT kpi.value('vt_cac', team => 'north', period => '2026', dimension => 'product', dimension_value => 'p');
SELECT kpi.value('vt_sum', member => 'ann', period => '2026', dimension => 'product', dimension_value => 'p');
SELECT kpi.value('vt_sum', team => 'north', period => '2026-W46', dimension => 'product', dimension_value => 'p');
SELECT kpi.value('vt_sum', team => 'north', period => '2026-11-15', dimension => 'product', dimension_value => 'p');
SELECT kpi.value('vt_sum', team => 'north', period => '2026', dimension_value => 'p');
-- nothing is known of NULL
SELECT kpi.value(NULL, team => 'north', period => '2026');
SELECT kpi.value('vt_sum', team => 'north', period => NULL);

-- a reader may, without the right to anything inside; others may not
CREATE ROLE regress_kpi_reads;
CREATE ROLE regress_kpi_none;
GRANT USAGE ON SCHEMA kpi TO regress_kpi_none;
SELECT kpi.grant_reader('regress_kpi_reads');
CREATE VIEW vt.sums AS SELECT team, value, value_to_date, growth_ratio, yoy_growth_ratio FROM kpi.team_monthly WHERE kpi = 'vt_sum' AND period = '2026-11';
GRANT USAGE ON SCHEMA vt TO regress_kpi_reads, regress_kpi_none;
GRANT SELECT ON vt.sums TO regress_kpi_reads, regress_kpi_none;
SET ROLE regress_kpi_reads;
SELECT kpi.value('vt_sum', team => 'north', period => '2026-11') = (SELECT value FROM kpi.team_monthly WHERE kpi = 'vt_sum' AND team = 'north' AND period = '2026-11') AS reads;
SELECT count(*) > 0 AS reads FROM kpi.kpi_value;
SELECT count(*) > 0 AS reads FROM kpi.team_breakdown_monthly;
SELECT count(growth_ratio) > 0 AS reads FROM kpi.member_weekly;
SELECT count(growth_ratio) > 0 AS reads FROM vt.sums;
SELECT count(*) FROM kpi_internal.rollup_cell;
SELECT count(*) FROM vt.deals;
SET ROLE regress_kpi_none;
SELECT kpi.value('vt_sum', team => 'north', period => '2026-11');
SELECT count(*) FROM kpi.kpi_value;
SELECT count(*) FROM kpi.team_monthly;
RESET ROLE;
SELECT kpi.revoke_reader('regress_kpi_reads');
SET ROLE regress_kpi_reads;
SELECT kpi.value('vt_sum', team => 'north', period => '2026-11');
RESET ROLE;
-- what the views call is for their readers alone
SELECT p.proname FROM pg_proc p
 WHERE p.pronamespace IN ('kpi'::regnamespace, 'kpi_internal'::regnamespace) AND p.proname ~ '^(value|has_value|previous_|year_ago_|growth_|yoy_|numerator|denominator|facts$)'
   AND has_function_privilege('regress_kpi_none', p.oid, 'EXECUTE') ORDER BY 1;

SELECT kpi.drop_kpi('vt_mixed');
SELECT kpi.drop_source('vt_month', cascade => true);
SELECT vt.drop_all();
DROP SCHEMA vt CASCADE;
REVOKE USAGE ON SCHEMA kpi FROM regress_kpi_none;
DROP ROLE regress_kpi_reads, regress_kpi_none;
