--
-- Balances: what must be given, and what cannot be
--
CREATE TABLE balance_spell (id int PRIMARY KEY, rep text, n numeric, span interval, d_from date, d_until date, t_from timestamp, t_until timestamp,
                            z_from timestamptz, z_until timestamptz);
SELECT kpi.create_source('spells', relation => 'balance_spell', key => 'id', owner => 'rep', at => 'd_from') IS NOT NULL AS source;
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'sum(n)', until => 'd_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(rep)', until => 'd_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n, n)', until => 'd_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(*)', until => 'd_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', until => 'n');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', until => 'd_untill');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', until => 'now()');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', until => 't_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', until => 'z_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', at => 't_from', until => 'd_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', at => 't_from', until => 'z_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', at => 'z_from', until => 'd_until');
SELECT kpi.create_kpi('b', source => 'spells', measure => 'balance(n)', at => 'z_from', until => 't_until');
SELECT kpi.create_kpi('b', formula => 'a / 2', until => 'd_until');
SELECT count(*) FROM kpi.kpi;
-- The hints are right.
SELECT kpi.create_kpi('b1', source => 'spells', measure => 'balance(n)', until => $$(z_until AT TIME ZONE 'UTC')::date$$) IS NOT NULL AS b1,
       kpi.create_kpi('b2', source => 'spells', measure => 'balance(n)', at => 't_from', until => '(d_until)::timestamp') IS NOT NULL AS b2,
       kpi.create_kpi('b3', source => 'spells', measure => 'balance(n)', at => 'z_from', until => $$(d_until)::timestamp AT TIME ZONE 'UTC'$$) IS NOT NULL AS b3,
       kpi.create_kpi('b4', source => 'spells', measure => 'balance(1)', until => 'd_until', filter => 'n > 0') IS NOT NULL AS b4,
       kpi.create_kpi('b5', source => 'spells', measure => 'balance(span)', until => 'd_until', unit => 'hours') IS NOT NULL AS b5;
SELECT name, measure, until, unit, is_additive FROM kpi.kpi ORDER BY name;
SELECT k.name, m.role, m.kind, s.part, s.at, m.inputs[3] AS direction, m.divisor FROM kpi.kpi k JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.kpi_id = k.id
JOIN kpi_internal.stream s ON s.id = m.stream_id WHERE k.name IN ('b3', 'b5') ORDER BY k.name, m.role DESC;
-- Which changes make it another.
CREATE FUNCTION balance_measures() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(m.id::text, ',' ORDER BY m.id) FROM kpi_internal.measure m JOIN kpi.kpi k ON m.role <> 'left_out' AND k.id = m.kpi_id WHERE k.name = 'b4' $$;
SELECT balance_measures() AS before \gset
SELECT kpi.alter_kpi('b4', until => 'd_until', title => 'B');
SELECT balance_measures() = :'before' AS same;
SELECT kpi.alter_kpi('b4', until => 'd_until + 1');
SELECT balance_measures() = :'before' AS same;
SELECT kpi.alter_kpi('b4', until => '');
SELECT kpi.alter_kpi('b4', at => 't_from');
SELECT kpi.alter_source('spells', at => 'z_from');
SELECT kpi.alter_kpi('b4', measure => 'count(*)', until => '');
SELECT kpi.alter_kpi('b4', measure => 'balance(2)', until => 'd_until');
-- What the columns are called follows, also in conditions made of them.
INSERT INTO balance_spell (id, rep, n, d_from, d_until) VALUES (1, 'r', 3, '2024-01-01', '2024-03-01'), (2, 'r', 4, '2024-01-01', NULL);
CALL kpi.refresh();
ALTER TABLE balance_spell RENAME d_until TO d_to;
ALTER TABLE balance_spell RENAME d_from TO d_since;
INSERT INTO balance_spell (id, rep, n, d_since, d_to) VALUES (3, 'r', 5, '2024-02-01', '2024-03-05');
CALL kpi.refresh();
SELECT until FROM kpi.kpi WHERE name = 'b4';
SELECT count(*) FROM kpi.verify();
SELECT m.role, c.start, b.amount, b.held FROM kpi_internal.rollup_cell c JOIN kpi_internal.measure m ON m.role <> 'left_out' AND m.stream_id = c.stream_id
JOIN kpi.kpi k ON k.id = m.kpi_id AND k.name = 'b4' CROSS JOIN LATERAL kpi_internal.cell_balance(c.cell, m.id) b
WHERE c.scope_kind = 1 AND c.scope_id = 1 AND c.grain = 2 ORDER BY 1 DESC, 2;
SELECT kpi.drop_source('spells', cascade => true);
