-- Definitions as one document, and made of one.
SET client_min_messages = warning;
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset format unaligned
CREATE ROLE regress_export_owner;
CREATE SCHEMA export_test AUTHORIZATION regress_export_owner;
SET ROLE regress_export_owner;
CREATE TABLE export_test.deals (id integer PRIMARY KEY, owner_id text, account integer, stage text, amount numeric, currency text, product text, closed_at timestamptz);
CREATE TABLE export_test.accounts (id integer PRIMARY KEY, industry text);
CREATE TABLE export_test.leads (id integer PRIMARY KEY, owner_id text, created_at timestamptz);
CREATE TABLE export_test.activities (id integer PRIMARY KEY, lead_id integer, at timestamptz);
CREATE INDEX ON export_test.activities (lead_id);
RESET ROLE;

-- What CREATE EXTENSION makes is there.
SELECT jsonb_pretty(kpi.export());
CREATE TABLE export_test.document AS SELECT kpi.export() AS before;

-- Of each kind, with options and without.
SELECT kpi.create_calendar('export de', 'Europe/Berlin', week_start => 'sunday', fiscal_year_start => 4) > 0 AS made;
SELECT kpi.add_holiday('2026-12-25', 'Christmas'), kpi.add_holiday('2026-10-03', 'Unity', calendar => 'export de');
SELECT kpi.create_team('e_emea', name => 'EMEA', calendar => 'export de') > 0, kpi.create_team('e_uk', parent => 'e_emea') > 0,
       kpi.create_team('e_apac') > 0;
SELECT kpi.move_team('e_uk', parent => 'e_apac', since => '2026-04-01'), kpi.move_team('e_uk', parent => 'company', since => '2026-09-01');
SELECT kpi.add_member('e_bob', team => 'e_emea') > 0, kpi.add_member('e_eve') > 0,
       kpi.add_member('e_alice', team => 'e_uk', name => 'Alice', since => '2025-01-01') > 0;
SELECT kpi.move_member('e_bob', team => 'e_uk', since => '2026-03-01'), kpi.move_member('e_bob', team => NULL, since => '2026-08-01');
SELECT kpi.end_membership('e_alice', until => '2026-06-01', later_facts => 'last_team');
SELECT kpi.set_attribute('e_bob', 'level', 'junior'), kpi.set_attribute('e_bob', 'level', 'senior', since => '2026-02-01'),
       kpi.set_attribute('e_bob', 'office', 'it''s "far"', since => '2026-02-01', until => '2026-05-01');
SELECT kpi.create_lookup('accounts', 'export_test.accounts', 'id', 'industry') > 0;
SELECT kpi.create_source('e_deals', relation => 'export_test.deals', key => 'id', owner => 'owner_id', at => 'closed_at',
                         filter => 'amount >= 0', dimensions => '{"product": "product", "level": "attribute(''level'')"}', hold_if_lost => 0.5) > 0;
SELECT kpi.set_refresh('e_deals', every => '5 minutes', stale_after => '36 hours');
SELECT kpi.create_source('e_leads', query => 'SELECT l.id, l.owner_id, l.created_at, min(a.at) AS first_at FROM export_test.leads l LEFT JOIN export_test.activities a ON a.lead_id = l.id GROUP BY l.id',
                         key => 'id', follow => '{"export_test.leads": "id", "export_test.activities": "lead_id"}', owner => 'owner_id', at => 'created_at') > 0;
-- reads the rows of another, and comes before it by its name
SELECT kpi.create_source('e_answers', query => 'SELECT id, owner_id, first_at FROM kpi_data.e_leads WHERE first_at IS NOT NULL', key => 'id',
                         follow => '{"kpi_data.e_leads": "id"}', owner => 'owner_id', at => 'first_at') > 0;
SELECT kpi.add_alias('e_bob', alias => 'robert'), kpi.add_alias('e_bob', alias => 'rob', source => 'e_deals');
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.set_exchange_rate('USD', NULL, 0.9), kpi.set_exchange_rate('USD', '2026-01-01', 0.92), kpi.set_exchange_rate('USD', '2026-01-01', 0.95, exchange => 'budget');
SELECT kpi.create_kpi('e_won', source => 'e_deals', measure => 'count(*)', filter => $$stage = 'won'$$, decimals => 0, section => 'Sales', sort => 2) > 0;
SELECT kpi.create_kpi('e_revenue', source => 'e_deals', measure => 'sum(amount, currency => currency)', exchange => 'budget', unit => 'EUR', title => 'Revenue', format => 'money') > 0;
SELECT kpi.create_kpi('e_answer', source => 'e_leads', measure => 'avg(first_at - created_at)', unit => 'hours', direction => 'down', credit => 'today') > 0;
SELECT kpi.create_kpi('e_a_formula', formula => 'e_deal_size * 2') IS NULL;
SELECT kpi.create_kpi('e_deal_size', formula => 'e_revenue / e_won', unit => 'EUR') > 0;
SELECT kpi.create_kpi('e_a_formula', formula => 'e_deal_size * 2') > 0;
SELECT kpi.create_goal('Q4', kpi => 'e_revenue', team => 'e_emea', period => '2026-Q4', target => '2000000', minimum => 10.50, milestones => '{"2026-10-31": 100}', responsible => 'Eve') > 0;
SELECT kpi.create_goal(kpi => 'e_won', member => 'e_alice', period => 'every month of 2026', target => 10, plan => 'high', pace => 'linear', review_on => '2026-12-01') > 0;
SELECT kpi.create_goal(kpi => 'e_won', period => '2026', target => '10..20', dimension => 'product', dimension_value => 'a') > 0;
SELECT kpi.create_rollup('export_test.monthly', kpis => '{"Umsatz": "e_revenue", "e_won": "e_won"}', since => '2026-01-01') > 0;
SELECT kpi.create_rollup('export_test.weekly', kpis => '{e_won}', per => 'member', grain => 'week') > 0;
-- definers by name; that of the caller has another in each installation
SELECT jsonb_pretty(replace(kpi.export()::text, format('"definer": "%s"', current_user), '"definer": "me"')::jsonb);
SET IntervalStyle = iso_8601; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Tokyo';
ALTER TABLE export_test.document ADD whole jsonb;
UPDATE export_test.document SET whole = kpi.export();
RESET IntervalStyle; RESET DateStyle; RESET TimeZone;
SELECT kpi.export() = whole AS same_in_any_style FROM export_test.document;
SELECT string_agg(k, ', ' ORDER BY k COLLATE "C") AS without_people FROM jsonb_object_keys(kpi.export(people => false)) k;

-- What is so already is not touched.
SELECT * FROM kpi.apply(kpi.export());
SELECT * FROM kpi.apply(kpi.export(), prune => true);
SELECT * FROM kpi.apply('{}', prune => true);

-- All of it goes, and comes again; each as a dry run before.
CREATE FUNCTION export_test.document(kinds jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(k, coalesce(kinds -> k, '[]')) FROM unnest('{calendars,holidays,teams,members,lookups,sources,aliases,exchange_rates,kpis,goals,rollups}'::text[]) k
$$;
SELECT action, kind, name, old IS NULL AS no_old, new IS NULL AS no_new FROM export_test.document, kpi.apply(export_test.document(before), dry_run => true, prune => true);
SELECT kpi.export() = whole AS same FROM export_test.document;
SELECT count(*) FROM export_test.document, kpi.apply(export_test.document(before), prune => true);
SELECT kpi.export() - 'company' = before AS gone FROM export_test.document;
DROP TABLE export_test.monthly, export_test.weekly;
INSERT INTO export_test.deals SELECT i, 'e_bob', 1, 'won', i, 'EUR', 'a', '2026-10-01' FROM generate_series(1, 1000) i;
ANALYZE export_test.deals;
CREATE TEMP TABLE dry AS SELECT a.* FROM export_test.document, kpi.apply(whole, dry_run => true) WITH ORDINALITY a;
SELECT kpi.export() - 'company' = before AS still_gone FROM export_test.document;
SELECT action, kind, name, facts, seconds FROM dry ORDER BY ordinality;
SELECT a.* FROM export_test.document, kpi.apply(whole) WITH ORDINALITY a EXCEPT SELECT * FROM dry;
SELECT kpi.export() = whole AS same FROM export_test.document;
SELECT * FROM export_test.document, kpi.apply(whole);
ALTER SCHEMA export_test OWNER TO CURRENT_USER;
CALL kpi.refresh();
SELECT kpi, value FROM kpi.team_yearly WHERE team = 'company' AND kpi ~ '^e_' ORDER BY kpi;

-- The rest of the tests have what they had.
SELECT count(*) FROM export_test.document, kpi.apply(export_test.document(before), prune => true);
SELECT kpi.export() - 'company' = before AS gone FROM export_test.document;
UPDATE kpi.company SET currency = NULL;
DROP SCHEMA export_test CASCADE;
DROP OWNED BY regress_export_owner;
DROP ROLE regress_export_owner;
