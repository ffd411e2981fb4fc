-- kpi.apply() of documents that are wrong, old, or would drop what is in use: a line that says what it is about, and
-- nothing is done.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SCHEMA bad_test;
CREATE TABLE bad_test.deals (id integer PRIMARY KEY, owner_id text, account integer, amount numeric, product text, closed_at date);
CREATE TABLE bad_test.accounts (id integer PRIMARY KEY, industry text);
SELECT count(*) FROM kpi.apply('{
  "calendars": [{"name": "b_cal", "time_zone": "Europe/Berlin"}],
  "holidays": [{"day": "2026-05-01", "name": "Labour", "calendar": "b_cal"}],
  "teams": [{"key": "b_top", "calendar": "b_cal"}, {"key": "b_low", "parent": "b_top"}, {"key": "b_free"}],
  "members": [{"key": "b_ann", "memberships": [{"team": "b_low"}], "attributes": [{"name": "level", "value": "senior"}]}],
  "lookups": [{"name": "b_accounts", "relation": "bad_test.accounts", "key": "id", "value": "industry"}],
  "sources": [{"name": "b_deals", "relation": "bad_test.deals", "key": "id", "owner": "owner_id", "at": "closed_at", "dimensions": {"product": "product"}},
              {"name": "b_looked", "relation": "bad_test.deals", "key": "id", "owner": "owner_id", "at": "closed_at", "dimensions": {"industry": "lookup(''b_accounts'', account)"}}],
  "aliases": [{"alias": "ann@b", "member": "b_ann", "source": "b_deals"}],
  "kpis": [{"name": "b_count", "source": "b_deals", "measure": "count(*)"}, {"name": "b_sum", "source": "b_deals", "measure": "sum(amount)"},
           {"name": "b_mean", "formula": "b_sum / b_count"}, {"name": "b_looked", "source": "b_looked", "measure": "count(*)"}],
  "goals": [{"name": "b_goal", "kpi": "b_sum", "team": "b_low", "period": "2100", "target": "10", "dimension": "product", "dimension_value": "p"},
            {"name": "b_own", "kpi": "b_count", "member": "b_ann", "period": "2100", "target": "10"}],
  "rollups": [{"name": "bad_test.monthly", "kpis": ["b_mean"]}]
}');
-- What is said of a document, and whether anything is another than it was.
CREATE FUNCTION bad_test.said(document text, prune boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := kpi.export();
    logged bigint := (SELECT max(id) FROM kpi.definition_log);
    dry text;
    said text;
    detail text;
    hint text;
    is_dry boolean;
BEGIN
    FOREACH is_dry IN ARRAY '{true,false}'::boolean[] LOOP
        BEGIN
            said := 'nothing is wrong: ' || (SELECT count(*) FROM kpi.apply(document::jsonb, dry_run => is_dry, prune => said.prune));
            SET CONSTRAINTS ALL IMMEDIATE;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            said := concat_ws(E'\n    ', sqlstate || ' ' || sqlerrm, nullif(detail, ''), nullif(hint, ''));
        END;
        IF is_dry THEN
            dry := said;
        END IF;
    END LOOP;
    IF dry <> said THEN
        said := said || E'\n    BUT A DRY RUN: ' || dry;
    END IF;
    IF kpi.export() <> before OR EXISTS (SELECT FROM kpi.definition_log WHERE id > logged) THEN
        said := said || E'\n    BUT SOMETHING IS DONE';
    END IF;
    RETURN said;
END $$;
CREATE TABLE bad_test.document (n integer GENERATED ALWAYS AS IDENTITY, document text, prune boolean NOT NULL DEFAULT false);

-- ---- what is in use stays, whoever prunes ----
INSERT INTO bad_test.document (document, prune) VALUES
    ('{"calendars": []}', true),
    ('{"teams": []}', true),
    ('{"members": []}', true),
    ('{"lookups": []}', true),
    ('{"sources": []}', true),
    ('{"kpis": []}', true),
    ('{"kpis": [{"name": "b_mean", "formula": "b_sum / b_count"}]}', true),
    ('{"goals": [], "kpis": []}', true),
    ('{"rollups": [], "kpis": [{"name": "b_mean", "formula": "b_sum / 2"}, {"name": "b_sum", "source": "b_deals", "measure": "sum(amount)"}]}', true),
    ('{"sources": [{"name": "b_deals", "relation": "bad_test.deals", "key": "id", "owner": "owner_id", "at": "closed_at"}]}', false),
    ('{"sources": [{"name": "b_deals", "relation": "bad_test.deals", "key": "id", "at": "closed_at", "dimensions": {"product": "product"}}]}', false),
    ('{"teams": [{"key": "b_top"}, {"key": "b_low", "parent": "b_top"}, {"key": "b_free"}], "calendars": [], "members": []}', true);
SELECT document, bad_test.said(document, prune) FROM bad_test.document ORDER BY n;

-- ---- what is no document, has what is unknown, or is of another type ----
TRUNCATE bad_test.document;
INSERT INTO bad_test.document (document) VALUES
    ('null'), ('17'), ('"kpis"'), ('[{"kpis": []}]'), ('true'),
    ('{"": []}'), ('{"kpis": null, "KPIs": []}'), ('{"version": 1, "kpis": []}'), ('{"kpis": [[]]}'), ('{"kpis": [null]}'), ('{"kpis": "b_sum"}'),
    ('{"company": [{}]}'), ('{"company": {"name": "Acme"}}'), ('{"people_sync": []}'), ('{"people_sync": {"dry_run": true}}'),
    ('{"teams": [{"key": "b_new"}], "kpis": [{"name": "b_sum", "source": "b_deals", "measure": "sum(amount)", "colour": "red"}]}'),
    ('{"teams": [{"key": "b_new", "moves": {"since": "2026-01-01"}}]}'),
    ('{"teams": [{"key": "b_new", "moves": ["2026-01-01"]}]}'),
    ('{"teams": [{"key": "b_new", "since": "2026-01-01"}]}'),
    ('{"teams": [{"key": true}]}'),
    ('{"members": [{"key": "b_new", "team": "b_low"}]}'),
    ('{"members": [{"key": "b_new", "memberships": [{"since": "2026-01-01"}]}]}'),
    ('{"members": [{"key": "b_new", "attributes": [{"name": "level"}]}]}'),
    ('{"members": [{"key": "b_new", "attributes": [{"name": "level", "value": []}]}]}'),
    ('{"holidays": [{"name": "Labour"}]}'),
    ('{"holidays": [{"day": 20260501, "name": "Labour"}]}'),
    ('{"calendars": [{"name": "b_new", "fiscal_year_start": "april"}]}'),
    ('{"sources": [{"name": "b_new", "relation": "bad_test.deals", "at": "closed_at", "dimensions": "product"}]}'),
    ('{"sources": [{"name": "b_new", "relation": "bad_test.deals", "at": "closed_at", "hold_if_lost": "0.3"}]}'),
    ('{"sources": [{"name": "b_new", "relation": "bad_test.deals", "at": "closed_at", "refresh": []}]}'),
    ('{"sources": [{"name": "b_new", "relation": "bad_test.deals", "at": "closed_at", "refresh": {"every": 5}}]}'),
    ('{"kpis": [{"name": 7, "source": "b_deals", "measure": "count(*)"}]}'),
    ('{"kpis": [{"name": "b_new", "source": "b_deals", "measure": "count(*)", "sort": "first"}]}'),
    ('{"kpis": [{"name": "b_new", "source": "b_deals", "measure": {"sum": "amount"}}]}'),
    ('{"goals": [{"kpi": "b_sum", "period": "2100", "target": ["10"]}]}'),
    ('{"goals": [{"kpi": "b_sum", "period": 2100, "target": "10"}]}'),
    ('{"goals": [{"kpi": "b_sum", "period": "2100", "target": "10", "milestones": ["2100-06-30"]}]}'),
    ('{"goals": [{"kpi": "b_sum", "period": "2100", "target": "10", "id": 5}]}'),
    ('{"rollups": [{"name": "bad_test.new", "kpis": "b_sum"}]}'),
    ('{"rollups": [{"name": "bad_test.new"}]}'),
    ('{"exchange_rates": [{"currency": "USD", "rate": "1.1"}]}'),
    ('{"aliases": [{"member": "b_ann"}]}'),
    ('{"lookups": [{"name": "b_new", "relation": "bad_test.accounts", "key": "id"}]}'),
    ('{"teams": [{"key": "b_new"}, {"key": "b_new", "name": "New"}]}'),
    ('{"rollups": [{"name": "bad_test.new", "kpis": ["b_sum"]}, {"name": "\"bad_test\".\"new\"", "kpis": ["b_count"]}]}'),
    ('{"holidays": [{"day": "2026-05-01", "name": "Labour"}, {"day": "2026-05-01", "name": "May", "calendar": "default"}]}');
SELECT document, bad_test.said(document, prune) FROM bad_test.document ORDER BY n;

-- ---- what only the functions know: the first fault after much that is right ----
TRUNCATE bad_test.document;
INSERT INTO bad_test.document (document) VALUES
    ('{"teams": [{"key": "b_new"}], "kpis": [{"name": "b_new", "source": "b_deals", "measure": "sum(nothing)"}]}'),
    ('{"teams": [{"key": "b_new"}], "holidays": [{"day": "first of May", "name": "Labour"}]}'),
    ('{"teams": [{"key": "b_new", "moves": [{"parent": "b_nothing", "since": "2026-01-01"}]}]}'),
    ('{"members": [{"key": "b_new", "memberships": [{"team": "b_low"}]}, {"key": "b_other", "memberships": [{"team": "b_nothing"}]}]}'),
    ('{"members": [{"key": "b_new", "memberships": [{"team": "b_low", "since": "tomorrow or so"}]}]}'),
    ('{"sources": [{"name": "b_new", "relation": "bad_test.deals", "key": "id", "at": "closed_at"}, {"name": "b_next", "relation": "bad_test.nothing", "at": "closed_at"}]}'),
    ('{"sources": [{"name": "b_new", "relation": "bad_test.deals", "key": "id", "at": "closed_at", "dimensions": {"product": 7}}]}'),
    ('{"sources": [{"name": "b_new", "relation": "bad_test.deals", "key": "id", "at": "closed_at", "refresh": {"mode": "often"}}]}'),
    ('{"kpis": [{"name": "b_new", "source": "b_deals", "measure": "count(*)", "decimals": 2.5}]}'),
    ('{"kpis": [{"name": "b_new", "formula": "b_sum / b_nothing"}]}'),
    ('{"goals": [{"kpi": "b_sum", "period": "2100", "target": "10"}, {"kpi": "b_nothing", "period": "2100", "target": "10"}]}'),
    ('{"goals": [{"kpi": "b_sum", "period": "some day", "target": "10"}]}'),
    ('{"rollups": [{"name": "bad_test.new", "kpis": [7]}]}'),
    ('{"rollups": [{"name": "bad_test.deals", "kpis": ["b_sum"]}]}');
SELECT document, bad_test.said(document, prune) FROM bad_test.document ORDER BY n;

-- ---- what an earlier version has written: what came since is as if it had not been given ----
SELECT action, kind, name, new FROM kpi.apply('{"kpis": [{"name": "b_count", "source": "b_deals", "measure": "count(*)"}],
    "sources": [{"name": "b_deals", "relation": "bad_test.deals", "key": "id", "owner": "owner_id", "at": "closed_at", "dimensions": {"product": "product"}}]}', dry_run => true);
-- and null is what is not given
SELECT action, kind, name, new FROM kpi.apply('{"kpis": [{"name": "b_count", "source": "b_deals", "measure": "count(*)", "title": null, "decimals": null, "filter": null}]}', dry_run => true);
SELECT action, kind, name, new FROM kpi.apply('{"teams": null, "kpis": []}', dry_run => true);

-- All of it goes in the order in which it depends on each other, and nothing else does.
SELECT action, kind, name, detail FROM kpi.apply('{"calendars": [], "holidays": [], "teams": [], "members": [], "lookups": [], "sources": [], "aliases": [], "kpis": [], "goals": [], "rollups": []}',
    prune => true) WHERE name ~ 'b_|bad_|ann';
SELECT name FROM kpi.calendar WHERE name ~ '^b_' UNION ALL SELECT key FROM kpi.team WHERE key ~ '^b_' UNION ALL SELECT key FROM kpi.member WHERE key ~ '^b_';
DROP SCHEMA bad_test CASCADE;
