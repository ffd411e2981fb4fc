-- What kpi.cascade() refuses, and that nothing is half done then.
SET client_min_messages = warning;
\set VERBOSITY default
\set SHOW_CONTEXT never
SET kpi.now = '2026-11-10 12:00:00+00';
SELECT kpi.create_team('gb_emea') > 0 AS created;
SELECT kpi.create_team('gb_empty') > 0 AS created;
SELECT kpi.create_team('gb_uk', parent => 'gb_emea') > 0 AS created;
SELECT kpi.add_member('gb_ann', team => 'gb_uk') > 0 AS added;
CREATE SCHEMA gb;
CREATE TABLE gb.deals (id integer PRIMARY KEY, owner text, day date, amount numeric(12,2), kind text);
INSERT INTO gb.deals SELECT i, 'gb_ann', date '2026-01-01' + i, i, 'new' FROM generate_series(0, 300) i;
SELECT kpi.create_source('gb', relation => 'gb.deals', key => 'id', owner => 'owner', at => 'day', dimensions => '{"kind": "kind"}') > 0 AS created;
SELECT kpi.create_kpi('gb_revenue', source => 'gb', measure => 'sum(amount)') > 0 AS created;
CALL kpi.refresh();
SELECT kpi.create_goal('gb goal', kpi => 'gb_revenue', team => 'gb_emea', period => '2026-Q4', target => 100.005) > 0 AS created;
SELECT kpi.create_goal('gb empty', kpi => 'gb_revenue', team => 'gb_empty', period => '2026-Q4', target => 100) > 0 AS created;
SELECT kpi.create_goal('gb every', kpi => 'gb_revenue', team => 'gb_emea', period => 'every month of 2026', target => 100) > 0 AS created;
SELECT kpi.create_goal('gb ann', kpi => 'gb_revenue', member => 'gb_ann', period => '2026-11', target => 100) > 0 AS created;
SELECT kpi.create_goal('gb kind', kpi => 'gb_revenue', team => 'gb_emea', period => '2026', target => 100, dimension => 'kind', dimension_value => 'new') > 0 AS created;
-- onto nobody
SELECT * FROM kpi.cascade('gb empty', across => 'members');
SELECT * FROM kpi.cascade('gb empty', across => 'teams');
SELECT * FROM kpi.cascade('gb ann', across => 'teams');
SELECT * FROM kpi.cascade('gb ann', across => 'members');
SELECT * FROM kpi.cascade('gb kind', across => 'members');
-- a total that cannot be split
SELECT * FROM kpi.cascade('gb goal', across => 'teams');
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 0.01, dry_run => true);
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 0);
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 'NaN');
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 0.001, over_assign => -1);
-- weights
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 0.001, by => '{"gb_uk": -1}');
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 0.001, by => '{"gb_uk": 0}');
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 0.001, by => '{"gb_ukk": 1}');
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 0.001, by => '{"gb_uk": "1"}');
SELECT * FROM kpi.cascade('gb goal', across => 'teams', step => 0.001, by => '{}');
SELECT * FROM kpi.cascade('gb goal', across => 'months', step => 0.001, by => '{"2026-Q4": 1}');
-- ways to cut
SELECT * FROM kpi.cascade('gb goal', across => 'regions');
SELECT * FROM kpi.cascade('gb goal', across => NULL);
SELECT * FROM kpi.cascade('gb goal', across => 'teams', by => 'luck');
SELECT * FROM kpi.cascade('gb goal', across => 'teams', by => 'season');
SELECT * FROM kpi.cascade('gb goal', across => 'months', by => 'history');
SELECT * FROM kpi.cascade('gb goal', across => 'quarters');
SELECT * FROM kpi.cascade('gb ann', across => 'months');
SELECT * FROM kpi.cascade('gb every', across => 'teams');
SELECT * FROM kpi.cascade('gb nobody', across => 'teams');
SELECT * FROM kpi.cascade(-1, across => 'teams');
SELECT * FROM kpi.cascade(NULL::bigint, across => 'teams');
-- activities
SELECT * FROM kpi.cascade('gb goal', across => 'teams', steps => '{gb_revenue}');
SELECT * FROM kpi.cascade('gb goal', across => 'activities', per => 'gb_revenue');
SELECT * FROM kpi.cascade('gb goal', across => 'activities', steps => '{gb_revenue}');
SELECT * FROM kpi.cascade('gb goal', across => 'activities', by => 'equal', steps => '{gb_revenue}', per => 'gb_revenue');
-- nothing is done
SELECT count(*) FROM kpi.goal WHERE parent_id IS NOT NULL;
-- a reader cannot
CREATE ROLE regress_gb_reader;
SELECT kpi.grant_reader('regress_gb_reader');
SET ROLE regress_gb_reader;
SELECT * FROM kpi.cascade('gb goal', across => 'months');
SELECT count(*) FROM kpi.goal_mismatch;
SELECT count(*) FROM kpi.goal_next;
RESET ROLE;
SELECT kpi.revoke_reader('regress_gb_reader');
DROP ROLE regress_gb_reader;

SELECT count(kpi.drop_goal(g.id)) FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id WHERE k.name = 'gb_revenue';
SELECT kpi.drop_source('gb', cascade => true);
SELECT kpi.drop_member('gb_ann');
SELECT kpi.drop_team('gb_uk'), kpi.drop_team('gb_emea'), kpi.drop_team('gb_empty');
DROP SCHEMA gb CASCADE;
