-- KPIs: measures of a source, formulas over KPIs.
SET client_min_messages = warning;
CREATE ROLE regress_kpi_definer;
CREATE ROLE regress_kpi_other;
GRANT USAGE ON SCHEMA kpi TO regress_kpi_definer, regress_kpi_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kpi TO regress_kpi_definer, regress_kpi_other;
CREATE SCHEMA kpi_test;
GRANT USAGE ON SCHEMA kpi_test TO regress_kpi_definer, regress_kpi_other;
CREATE DOMAIN kpi_test.euro AS numeric;
CREATE TABLE kpi_test.deals (
    id integer PRIMARY KEY,
    owner_id integer,
    sdr text,
    closed_at timestamptz,
    created_at timestamptz,
    stage text,
    amount numeric,
    quantity integer,
    price double precision,
    discount real,
    fee kpi_test.euro,
    cash money,
    product text,
    flag boolean
);
CREATE TABLE kpi_test.costs (month date, team text, spend numeric);
SELECT kpi.create_source('deals', relation => 'kpi_test.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
                         dimensions => '{"product": "product"}') > 0 AS created;
SELECT kpi.create_source('costs', relation => 'kpi_test.costs', team => 'team', at => 'month', grain => 'month') > 0 AS created;
CREATE VIEW kpi_test.measures AS
    SELECT k.name, k.measure, k.unit, k.is_additive, m.kind, m.inputs[1] AS input1, m.inputs[2] AS input2, m.divisor,
           dense_rank() OVER (ORDER BY m.stream_id) AS stream
      FROM kpi.kpi k JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.kpi_id = k.id;

-- Every kind, with and without a filter.
SELECT kpi.create_kpi('won',      source => 'deals', measure => 'count(*)', filter => $$stage = 'won'$$) > 0 AS created;
SELECT kpi.create_kpi('all',      source => 'deals', measure => 'COUNT( * )') > 0 AS created;
SELECT kpi.create_kpi('priced',   source => 'deals', measure => 'count(price)', filter => 'amount > 0') > 0 AS created;
SELECT kpi.create_kpi('revenue',  source => 'deals', measure => 'sum(amount)', filter => $$stage = 'won'$$, unit => 'EUR') > 0 AS created;
SELECT kpi.create_kpi('quantity', source => 'deals', measure => 'pg_catalog.sum(quantity)') > 0 AS created;
SELECT kpi.create_kpi('price',    source => 'deals', measure => 'avg(price)') > 0 AS created;
SELECT kpi.create_kpi('discount', source => 'deals', measure => 'avg(discount)', filter => 'quantity > 1') > 0 AS created;
SELECT kpi.create_kpi('fees',     source => 'deals', measure => 'sum(fee)') > 0 AS created;
SELECT kpi.create_kpi('win_rate', source => 'deals', measure => $$rate(stage = 'won', stage IN ('won', 'lost'))$$) > 0 AS created;
SELECT kpi.create_kpi('dear_rate', source => 'deals', measure => $$rate(amount / quantity > 10, true)$$, filter => 'quantity <> 0') > 0 AS created;
SELECT kpi.create_kpi('unit_price', source => 'deals', measure => 'ratio(amount, quantity)', filter => 'flag') > 0 AS created;
SELECT kpi.create_kpi('cycle',    source => 'deals', measure => 'avg(closed_at - created_at)', filter => $$stage = 'won'$$, direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('hours',    source => 'deals', measure => 'sum(closed_at - created_at)', unit => 'Hours', title => 'Hours worked', description => 'From lead to close') > 0 AS created;
SELECT kpi.create_kpi('time_per_piece', source => 'deals', measure => 'ratio(closed_at - created_at, quantity)', unit => 'minutes') > 0 AS created;
SELECT kpi.create_kpi('share_of_time', source => 'deals', measure => 'ratio(closed_at - created_at, closed_at - ''2020-01-01'')') > 0 AS created;
-- With an owner, a team or a time of their own: streams of their own.
SELECT kpi.create_kpi('created',  source => 'deals', measure => 'count(*)', at => 'created_at') > 0 AS created;
SELECT kpi.create_kpi('sourced',  source => 'deals', measure => 'count(*)', owner => 'sdr') > 0 AS created;
SELECT kpi.create_kpi('by_product', source => 'deals', measure => 'count(*)', team => 'product', at => 'created_at') > 0 AS created;
SELECT kpi.create_kpi('same',     source => 'deals', measure => 'count(*)', owner => 'owner_id', at => '(closed_at)') > 0 AS created;
SELECT * FROM kpi_test.measures ORDER BY name;
SELECT name, title, direction, description FROM kpi.kpi WHERE name IN ('hours', 'cycle') ORDER BY name;

-- What the queries give is what the words mean.
INSERT INTO kpi_test.deals VALUES
    (1, 7, 'eve', '2026-03-01 23:30+00', '2026-02-01', 'won', 100, 2, 9.5, 0.1, 1, 1, 'a', true),
    (2, 7, 'eve', '2026-03-01 01:00+00', '2026-02-20', 'lost', 50, 0, NULL, 0.2, 2, 1, 'b', false),
    (3, 8, NULL, '2026-03-02 00:00+00', '2026-03-01', 'won', 30, 4, 'NaN', NULL, NULL, 1, NULL, NULL),
    (4, NULL, 'bob', 'infinity', '2026-03-01', 'won', 1000, 4, 1, 1, 1, 1, 'a', true),
    (5, 8, 'bob', NULL, '2026-03-01', 'open', 70, 4, 1, 1, 1, 1, 'a', true);
CREATE FUNCTION kpi_test.facts(source text, kpi text DEFAULT NULL)
RETURNS TABLE (owner text, at text, day date, product text, inputs text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT f.owner::text, f.at::text, f.day, f.product, '
        '(SELECT string_agg(coalesce(e.value, ''-''), '' | '' ORDER BY e.ordinality) '
        '   FROM json_each_text(row_to_json(f)) WITH ORDINALITY e WHERE e.key ~ ''^m[0-9]'') '
        'FROM (%s) f', kpi_internal.facts_query(source, kpi));
END $$;
SET DateStyle = ISO;
SET TimeZone = 'UTC';
SELECT * FROM kpi_test.facts('deals') ORDER BY owner, at;
SELECT * FROM kpi_test.facts('deals', 'created') ORDER BY owner, at, product;
SELECT * FROM kpi_test.facts('deals', 'sourced') ORDER BY owner, at;
SELECT * FROM kpi_test.facts('deals', 'by_product') ORDER BY owner, at;
-- Of a KPI there is what counts for it: its inputs, and the facts its filter lets through.
SELECT kpi.create_kpi('big', source => 'deals', measure => 'rate(stage = ''won'', stage <> ''open'')', filter => 'amount > 40') > 0 AS created;
SELECT regexp_replace(kpi_internal.facts_query('deals', 'big'), 'm[0-9]+_', 'm#_', 'g');
SELECT * FROM kpi_test.facts('deals', 'big') ORDER BY owner, at;
SELECT kpi.drop_kpi('big');
-- The day is that of the calendar's zone, with clocks that change.
SELECT kpi.create_calendar('Berlin', 'Europe/Berlin') > 0 AS created;
SELECT kpi.alter_source('deals', calendar => 'Berlin');
SELECT owner, at, day FROM kpi_test.facts('deals') ORDER BY owner, at;
SELECT kpi.alter_source('deals', calendar => 'default');
SELECT kpi.drop_calendar('Berlin');
RESET DateStyle;
RESET TimeZone;
SELECT kpi_internal.facts_query('deals', 'nothing');
SELECT kpi_internal.facts_query('deals', 'spend');

-- Measures that are none.
CREATE FUNCTION kpi_test.try(measure text, filter text DEFAULT NULL, unit text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    hint text;
BEGIN
    PERFORM kpi.create_kpi('try', source => 'deals', measure => measure, filter => filter, unit => unit);
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN message || E'\nHINT: ' || hint;
END $$;
SELECT kpi.create_kpi('x', source => 'deals', measure => 'bit_xor(amount)');
SELECT kpi.create_kpi('x', source => 'deals', measure => 'sum(amont)');
SELECT kpi.create_kpi('x', source => 'deals', measure => 'sum(amount) FILTER (WHERE stage = ''won'')');
\pset format unaligned
\pset tuples_only on
SELECT m || ': ' || kpi_test.try(m) FROM unnest(ARRAY[
    'bit_and(amount)', 'percentile_cont(0.5) WITHIN GROUP (ORDER BY amount)', 'mode(amount)',
    'corr(amount, price)', 'nth_value(amount)', 'kpi_test.sum(amount)', 'sum(DISTINCT amount)',
    'sum(amount ORDER BY id)', 'sum(amount) OVER ()', 'sum(*)', 'count()', 'sum()', 'sum(amount, quantity)',
    'rate(flag)', 'ratio(amount)', 'count(VARIADIC ARRAY[1])', 'rate(cond => flag, of => true)',
    'sum(amount) / count(*)', 'amount', '42', '(SELECT 1)', 'sum(amount), 1', '', 'sum(amount', 'sum(sum(amount))',
    'sum((SELECT 1))', 'sum(stage)', 'sum(flag)', 'sum(cash)', 'sum(closed_at)', 'rate(stage, flag)', 'rate(flag, amount)',
    'ratio(amount, closed_at - created_at)', 'sum(amount * random())', 'count(generate_series(1, 3))', 'sum(ctid)', 'count(deals)']) m;
SELECT kpi_test.try('avg(closed_at - created_at)', unit => 'EUR');
SELECT kpi_test.try('sum(amount)', filter => 'amount');
SELECT kpi_test.try('sum(amount)', filter => 'sum(amount) > 1');
\pset tuples_only off
\pset format aligned
SELECT kpi.create_kpi('x');
SELECT kpi.create_kpi('x', measure => 'sum(amount)');
SELECT kpi.create_kpi('x', source => 'deals');
SELECT kpi.create_kpi('x', source => 'nothing', measure => 'count(*)');
SELECT kpi.create_kpi('won', source => 'deals', measure => 'count(*)');
SELECT kpi.create_kpi(NULL, source => 'deals', measure => 'count(*)');
SELECT kpi.create_kpi('x', source => 'deals', measure => 'count(*)', direction => 'left');
SELECT kpi.create_kpi('x', source => 'deals', measure => 'count(*)', owner => 'owner_id', team => 'product');
SELECT kpi.create_kpi('x', source => 'deals', measure => 'count(*)', at => 'product');
SELECT kpi.create_kpi('x', source => 'deals', measure => 'count(*)', owner => 'price');
SELECT kpi.create_kpi('x', source => 'deals', measure => 'count(*)', formula => 'won');
SELECT count(*) FROM kpi.kpi WHERE name IN ('x', 'try');

-- Formulas.
SELECT kpi.create_kpi('spend', source => 'costs', measure => 'sum(spend)', unit => 'EUR') > 0 AS created;
SELECT kpi.create_kpi('cac', formula => 'spend / won', unit => 'EUR', direction => 'down') > 0 AS created;
SELECT kpi.create_kpi('double cac', formula => '2 * cac + won - won') > 0 AS created;
SELECT k.name, k.kind, k.formula, f.name AS input, i.name AS input_kpi
  FROM kpi.kpi k JOIN kpi_internal.formula_input f ON f.kpi_id = k.id JOIN kpi.kpi i ON i.id = f.input_kpi_id ORDER BY k.name, f.name;
SELECT kpi.create_kpi('x', formula => 'spend / customers');
SELECT kpi.create_kpi('x', formula => 'x + won');
SELECT kpi.create_kpi('x', formula => '1 + 2');
SELECT kpi.create_kpi('x', formula => 'won +');
SELECT kpi.create_kpi('x', formula => 'won', source => 'deals');
SELECT kpi.alter_kpi('cac', formula => '"double cac" / 2');
SELECT kpi.alter_kpi('cac', formula => 'cac');
SELECT kpi.alter_kpi('cac', formula => '');
SELECT kpi.alter_kpi('cac', measure => 'count(*)');
SELECT kpi.alter_kpi('won', formula => 'spend');
SELECT kpi.alter_kpi('cac', formula => 'spend / nullif(won, 0)');
SELECT formula FROM kpi.kpi WHERE name = 'cac';

-- Changes: only what changes the meaning makes a new measure.
CREATE TABLE kpi_test.ids AS SELECT k.name, m.id FROM kpi.kpi k JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.kpi_id = k.id;
SELECT kpi.alter_kpi('won', new_name => 'won "deals"', direction => 'down', description => 'Deals that were won', unit => 'deals');
SELECT kpi.alter_kpi('all', title => 'All deals');
SELECT kpi.alter_kpi('hours', unit => 'days');
SELECT kpi.alter_kpi('revenue', filter => '');
SELECT kpi.alter_kpi('created', measure => 'sum(quantity)');
SELECT kpi.alter_kpi('sourced', owner => '', at => 'created_at');
SELECT kpi.alter_kpi('by_product', owner => 'sdr');
SELECT kpi.alter_kpi('same', title => '');
SELECT i.name, k.name AS new_name, m.id <> i.id AS is_new, k.title, k.unit, k.direction, k.filter, k.is_additive, s.owner_kind, s.owner, s.at
  FROM kpi_test.ids i JOIN kpi.kpi k ON k.name IN (i.name, i.name || ' "deals"')
  JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.kpi_id = k.id JOIN kpi_internal.stream s ON s.id = m.stream_id
 WHERE i.name IN ('won', 'all', 'hours', 'revenue', 'created', 'sourced', 'by_product', 'same') ORDER BY i.name;
SELECT name, title, formula FROM kpi.kpi WHERE kind = 'formula' ORDER BY name;
SELECT kpi.alter_kpi('all', new_name => 'hours');
SELECT kpi.alter_kpi('nothing', title => 'x');
SELECT kpi.alter_kpi('all', measure => 'sum(nothing)');
SELECT kpi.alter_kpi('all', direction => 'sideways');
SELECT kpi.alter_kpi('all', measure => '');

-- Rights: measures are the source's definer's, formulas an editor's or of the definer of all inputs.
ALTER TABLE kpi_test.deals OWNER TO regress_kpi_definer;
SET ROLE regress_kpi_definer;
SELECT kpi.create_source('mine', relation => 'kpi_test.deals', at => 'closed_at') > 0 AS created;
SELECT kpi.create_kpi('my_deals', source => 'mine', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_kpi('my_half', formula => 'my_deals / 2') > 0 AS created;
SELECT kpi.create_kpi('my_spend', formula => 'my_half * spend');
SELECT kpi.alter_kpi('cac', formula => 'my_deals');
SELECT kpi.alter_kpi('all', title => 'x');
SELECT kpi.drop_kpi('all');
SET ROLE regress_kpi_other;
SELECT kpi.create_kpi('theirs', source => 'mine', measure => 'count(*)');
SELECT kpi.alter_kpi('my_half', formula => 'my_deals / 3');
SELECT kpi.drop_kpi('my_half');
SELECT kpi.drop_kpi('my_deals', cascade => true);
RESET ROLE;
SELECT kpi.drop_source('mine', cascade => true);

-- Dropping.
INSERT INTO kpi.goal (name, kpi_id, team_id, grain, period, period_start, period_end, target, target_text)
    SELECT 'Spend less', id, 1, 'year', '2026', '2026-01-01', '2026-12-31', 10, '10' FROM kpi.kpi WHERE name = 'spend';
SELECT kpi.drop_kpi('spend');
SELECT kpi.drop_kpi('nothing');
SELECT kpi.drop_kpi('same');
SELECT kpi.drop_kpi('by_product');
SELECT s.owner_kind, s.owner, s.at FROM kpi_internal.stream s JOIN kpi.source o ON o.id = s.source_id WHERE o.name = 'deals' ORDER BY s.id;
SELECT kpi.drop_kpi('spend', cascade => true);
SELECT name FROM kpi.kpi WHERE kind = 'formula';
SELECT count(*) FROM kpi.goal;
SELECT kpi.drop_source('deals', cascade => true);
SELECT kpi.drop_source('costs');
SELECT (SELECT count(*) FROM kpi.kpi) AS kpis, (SELECT count(*) FROM kpi_internal.stream) AS streams,
       (SELECT count(*) FROM kpi_internal.measure) AS measures, (SELECT count(*) FROM kpi_internal.formula_input) AS inputs;
DROP SCHEMA kpi_test CASCADE;
DROP OWNED BY regress_kpi_definer, regress_kpi_other;
DROP ROLE regress_kpi_definer, regress_kpi_other;
