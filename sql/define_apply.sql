-- kpi.apply(): what changes, what is refused, and with whose rights.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset format unaligned
CREATE ROLE regress_apply_editor;
CREATE ROLE regress_apply_reader;
SELECT kpi.grant_editor('regress_apply_editor'), kpi.grant_reader('regress_apply_reader');
CREATE SCHEMA apply_test;
GRANT USAGE, CREATE ON SCHEMA apply_test TO regress_apply_editor;
SET ROLE regress_apply_editor;
CREATE TABLE apply_test.deals (id integer PRIMARY KEY, owner_id text, sdr_id text, stage text, amount numeric, product text, region text, closed_at timestamptz, created_at timestamptz);
INSERT INTO apply_test.deals SELECT i, 'a_bob', 'a_eve', 'won', i, 'p', 'r', '2026-01-01', '2026-01-01' FROM generate_series(1, 100) i;
ANALYZE apply_test.deals;
CREATE TABLE apply_test.document (doc jsonb);
INSERT INTO apply_test.document VALUES ('{
  "teams": [{"key": "a_uk", "parent": "a_emea"}, {"key": "a_emea", "name": "EMEA"}],
  "members": [{"key": "a_bob", "memberships": [{"team": "a_uk"}]}, {"key": 17, "name": "Seventeen"}],
  "sources": [{"name": "a_deals", "relation": "apply_test.deals", "key": "id", "owner": "owner_id", "at": "closed_at",
               "dimensions": {"product": "product"}, "grain": "day"}],
  "kpis": [{"name": "a_size", "formula": "a_revenue / a_won"},
           {"name": "a_won", "source": "a_deals", "measure": "count(*)", "direction": "up"},
           {"name": "a_revenue", "source": "a_deals", "measure": "sum(amount)", "filter": "stage = ''won''"}],
  "goals": [{"name": "Spring", "kpi": "a_won", "team": "a_uk", "period": "2100-Q1", "target": 10}]
}');
-- an editor, who is the definer; 20 KPIs more are the same build
SELECT action, kind, name, facts FROM apply_test.document, kpi.apply(doc);
SELECT count(*) FILTER (WHERE action = 'create'), count(*) FILTER (WHERE action = 'build'), sum(facts)
  FROM kpi.apply((SELECT jsonb_build_object('kpis', jsonb_agg(jsonb_build_object('name', 'a_more' || i, 'source', 'a_deals', 'measure', 'sum(amount + ' || i || ')')))
                    FROM generate_series(1, 20) i), dry_run => true);
-- the same again, though not all of it is written as it is exported
SELECT * FROM apply_test.document, kpi.apply(doc);
SELECT a.* FROM apply_test.document, kpi.apply(doc - 'teams' - 'members', dry_run => true) a;
CALL kpi.refresh();
SELECT kpi, team, value FROM kpi.team_yearly WHERE kpi ~ '^a_' ORDER BY kpi, team;

-- What differs is changed, what is not given has its default; with the builds that follow.
CREATE FUNCTION apply_test.differs(path text, value jsonb) RETURNS TABLE (action text, kind text, name text, said jsonb, facts bigint) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE apply_test.document SET doc = CASE WHEN value IS NULL THEN doc #- path::text[] ELSE jsonb_set(doc, path::text[], value) END;
    RETURN QUERY SELECT a.action, a.kind, a.name, a.new, a.facts FROM apply_test.document d, kpi.apply(d.doc) a;
    IF EXISTS (SELECT FROM apply_test.document d, kpi.apply(d.doc)) THEN
        RAISE EXCEPTION 'it differs still';
    END IF;
END $$;
SELECT * FROM apply_test.differs('{teams,1,name}', NULL);
SELECT * FROM apply_test.differs('{teams,0,moves}', '[{"since": "2026-06-01"}, {"since": "2026-09-01", "parent": "a_emea"}]');
SELECT * FROM apply_test.differs('{teams,0,moves}', '[{"since": "2026-09-01"}]');
SELECT * FROM apply_test.differs('{members,0,memberships}', '[{"team": "a_uk", "since": "2025-01-01", "until": "2025-06-01"}, {"team": "a_emea", "since": "2025-09-01", "until": "2026-03-01", "later_facts": "last_team"}]');
SELECT * FROM apply_test.differs('{members,0,memberships}', '[{"team": "a_emea", "since": "2025-03-01", "until": "2026-03-01"}, {"team": "a_uk", "since": "2026-03-01"}]');
SELECT * FROM apply_test.differs('{members,0,memberships}', NULL);
SELECT * FROM apply_test.differs('{members,0,attributes}', '[{"name": "level", "value": "junior", "until": "2026-02-01"}, {"name": "level", "value": "senior", "since": "2026-03-01"}]');
SELECT * FROM apply_test.differs('{members,0,attributes}', '[{"name": "level", "value": "senior"}, {"name": "office", "value": "b", "since": "2026-01-01", "until": "2026-02-01"}]');
SELECT * FROM apply_test.differs('{members,0,attributes}', NULL);
SELECT * FROM apply_test.differs('{members,0,memberships}', '[{"team": "a_uk"}]');
SELECT action, kind, name, facts FROM apply_test.differs('{sources,0,dimensions}', '{"product": "product", "region": "upper(region)"}');
SELECT action, kind, name, said -> 'refresh', facts FROM apply_test.differs('{sources,0,refresh}', '{"mode": "manual", "stale_after": "90 minutes"}');
SELECT action, kind, name, said -> 'refresh', facts FROM apply_test.differs('{sources,0,refresh}', NULL);
SELECT action, kind, name, said -> 'filter', facts FROM apply_test.differs('{sources,0,filter}', '"amount > 1"');
SELECT action, kind, name, said -> 'filter', facts FROM apply_test.differs('{sources,0,filter}', NULL);
SELECT * FROM apply_test.differs('{kpis,1,title}', '"Won deals"');
SELECT * FROM apply_test.differs('{kpis,1,decimals}', '2');
SELECT * FROM apply_test.differs('{kpis,1,decimals}', NULL);
SELECT * FROM apply_test.differs('{kpis,1,title}', NULL);
SELECT * FROM apply_test.differs('{kpis,1,direction}', '"down"');
SELECT * FROM apply_test.differs('{kpis,1,direction}', NULL);
SELECT action, kind, name, said -> 'team', facts FROM apply_test.differs('{kpis,1,owner}', '"sdr_id"');
SELECT * FROM apply_test.differs('{kpis,0,formula}', '"a_revenue / a_won * 2"');
SELECT * FROM apply_test.differs('{goals,0,target}', '"15..20"');
SELECT * FROM apply_test.differs('{goals,0}', '{"name": "Spring", "kpi": "a_won", "team": "a_uk", "period": "2100-Q1", "target": "12", "milestones": {"2100-02-01": 5}, "review_on": "2026-02-01"}');
SELECT * FROM apply_test.differs('{goals,0}', '{"name": "Spring", "kpi": "a_won", "team": "a_uk", "period": "2100-Q1", "target": "12"}');

-- Only kinds that are there are looked at; what is left out goes where it is pruned.
SELECT action, kind, name FROM kpi.apply('{"kpis": []}');
SELECT action, kind, name FROM kpi.apply('{"goals": []}', prune => true, dry_run => true);
SELECT kpi.apply('{"kpis": []}', prune => true);
SELECT kpi.apply('{"sources": []}', prune => true);
SELECT kpi.apply('{"members": [], "teams": []}', prune => true);
SELECT action, kind, name FROM apply_test.document, kpi.apply(doc #- '{kpis,0}' #- '{kpis,1}', prune => true, dry_run => true);
-- a dimension and the goal that needs it
SELECT action, kind, name FROM kpi.apply('{"goals": [{"name": "Region", "kpi": "a_won", "period": "2100", "target": 1, "dimension": "region", "dimension_value": "R"}]}');
SELECT kpi.apply(doc #- '{sources,0,dimensions,region}') FROM apply_test.document;
SELECT action, kind, name FROM apply_test.document, kpi.apply(doc #- '{sources,0,dimensions,region}', prune => true, dry_run => true);
SELECT action, kind, name FROM apply_test.document, kpi.apply(doc, prune => true);

-- What is wrong is named, and nothing is done.
SELECT kpi.apply(NULL);
SELECT kpi.apply('[]');
SELECT kpi.apply('{"kpi": []}');
SELECT kpi.apply('{"anything": []}');
SELECT kpi.apply('{"kpis": {}}');
SELECT kpi.apply('{"kpis": ["a_won"]}');
SELECT kpi.apply('{"company": []}');
SELECT kpi.apply('{"teams": [{"key": "a_new"}], "kpis": [{"name": "a_new", "mesure": "count(*)"}]}');
SELECT kpi.apply('{"kpis": [{"name": "a_new", "measure": 7}]}');
SELECT kpi.apply('{"kpis": [{"name": "a_new", "decimals": "two"}]}');
SELECT kpi.apply('{"sources": [{"name": "a_new", "dimensions": ["product"]}]}');
SELECT kpi.apply('{"sources": [{"name": "a_new", "refresh": {"mod": "manual"}}]}');
SELECT kpi.apply('{"teams": [{"key": "a_new"}, {"key": "a_old", "moves": [{"parent": "a_new"}]}]}');
SELECT kpi.apply('{"members": [{"key": "a_new", "memberships": [{"team": "a_uk", "from": "2026-01-01"}]}]}');
SELECT kpi.apply('{"kpis": [{"title": "New"}]}');
SELECT kpi.apply('{"goals": [{"kpi": "a_won"}]}');
SELECT kpi.apply('{"kpis": [{"name": "a_new"}, {"name": "a_new"}]}');
SELECT kpi.apply('{"goals": [{"kpi": "a_won", "period": "2027", "target": 1}, {"kpi": "a_won", "period": "2027", "target": 2, "plan": "default", "team": "company"}]}');
\set SHOW_CONTEXT always
SELECT kpi.apply('{"teams": [{"key": "a_new"}], "kpis": [{"name": "a_new", "source": "a_deal", "measure": "count(*)"}]}');
SELECT kpi.apply('{"kpis": [{"name": "a_new", "source": "a_deals", "measure": "count(*)", "filter": "stag = 1"}]}', dry_run => true);
\set SHOW_CONTEXT never
SELECT kpi.apply('{"teams": [{"key": "a_new", "parent": "a_missing"}]}');
SELECT kpi.apply('{"kpis": [{"name": "a_x", "formula": "a_y + 1"}, {"name": "a_y", "formula": "a_x + 1"}]}');
SELECT kpi.apply('{"sources": [{"name": "a_deals", "query": "SELECT 1", "key": "id", "at": "closed_at"}]}');
SELECT kpi.apply('{"kpis": [{"name": "a_won", "formula": "a_revenue"}]}');
SELECT count(*) AS nothing_half_done FROM kpi.team WHERE key = 'a_new';
SELECT a.* FROM apply_test.document, kpi.apply(doc, prune => true, dry_run => true) a;

-- Rights are the caller's.
RESET ROLE;
CREATE ROLE regress_apply_other;
SELECT kpi.grant_editor('regress_apply_other');
SET ROLE regress_apply_other;
SELECT action, kind, name FROM kpi.apply('{"teams": [{"key": "a_other"}]}', dry_run => true);
SELECT kpi.apply('{"kpis": [{"name": "a_other", "source": "a_deals", "measure": "count(*)"}]}');
SELECT kpi.apply('{"kpis": []}', prune => true);
SET ROLE regress_apply_reader;
SELECT jsonb_array_length(kpi.export() -> 'kpis');
SELECT kpi.apply('{"teams": [{"key": "a_other"}]}');
RESET ROLE;
-- What is given is no code.
SET ROLE regress_apply_editor;
SELECT kpi.apply(jsonb_build_object('teams', jsonb_build_array(jsonb_build_object('key', $$a'); DROP TABLE apply_test.deals; --\$$, 'name', $$\'"$$))), dry_run => true);
RESET ROLE;

SELECT action, kind, name FROM kpi.apply('{"goals": [], "kpis": [], "sources": [], "members": [], "teams": []}', prune => true);
SELECT kpi.revoke_reader('regress_apply_editor'), kpi.revoke_reader('regress_apply_reader'), kpi.revoke_reader('regress_apply_other');
DROP SCHEMA apply_test CASCADE;
DROP OWNED BY regress_apply_editor;
DROP ROLE regress_apply_editor, regress_apply_reader, regress_apply_other;
