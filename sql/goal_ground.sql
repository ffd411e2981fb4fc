-- What goals stand on: it is not taken away unseen, and no goal is made that
-- has none.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET kpi.now = '2026-11-20 12:00:00+00';
CREATE SCHEMA ground_test;
CREATE TABLE ground_test.deals (id integer PRIMARY KEY, owner text, team text, stage text, amount numeric, product text, closed_at date);
INSERT INTO ground_test.deals VALUES
    (1, 'gr_ann', 'gr_emea', 'won', 1000, 'a', '2026-11-03'), (2, 'gr_ann', 'gr_emea', 'lost', 500, 'b', '2026-11-04'),
    (3, NULL, NULL, 'won', 20, 'c', '2026-11-05');
SELECT kpi.create_team('gr_emea') > 0 AS created;
SELECT kpi.add_member('gr_ann', team => 'gr_emea') > 0 AS created;
SELECT kpi.create_source('gr_deals', relation => 'ground_test.deals', key => 'id', owner => 'owner', at => 'closed_at',
                         dimensions => '{"product": "product", "stage": "stage"}') > 0 AS created;
SELECT kpi.create_source('gr_site', relation => 'ground_test.deals', key => 'id', at => 'closed_at') > 0 AS created;
SELECT kpi.create_kpi('gr_revenue', source => 'gr_deals', measure => 'sum(amount)') > 0 AS created;
SELECT kpi.create_kpi('gr_won', source => 'gr_deals', measure => 'count(*)', filter => $$stage = 'won'$$) > 0 AS created;
SELECT kpi.create_kpi('gr_rate', source => 'gr_deals', measure => $$rate(stage = 'won', true)$$) > 0 AS created;
SELECT kpi.create_kpi('gr_of_teams', source => 'gr_deals', measure => 'sum(amount)', team => 'team') > 0 AS created;
SELECT kpi.create_kpi('gr_visits', source => 'gr_site', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_kpi('gr_per_visit', formula => 'gr_visits * 2') > 0 AS created;
SELECT kpi.create_kpi('gr_mixed', formula => 'gr_revenue / gr_visits') > 0 AS created;

-- before there are numbers nobody knows which values there are
SELECT kpi.create_goal('early', kpi => 'gr_revenue', team => 'gr_emea', period => '2026-Q4', target => 1, dimension => 'product', dimension_value => 'z') > 0 AS created;
SELECT kpi.drop_goal('early');
CALL kpi.refresh();

-- refused: nobody's facts
SELECT kpi.create_goal('x', kpi => 'gr_visits', team => 'gr_emea', period => '2026-11', target => 1);
SELECT kpi.create_goal('x', kpi => 'gr_visits', member => 'gr_ann', period => '2026-11', target => 1);
SELECT kpi.create_goal('x', kpi => 'gr_visits', team => '(unassigned)', period => '2026-11', target => 1);
SELECT kpi.create_goal('x', kpi => 'gr_per_visit', team => 'gr_emea', period => '2026-11', target => 1);
SELECT kpi.create_goal('x', kpi => 'gr_of_teams', member => 'gr_ann', period => '2026-11', target => 1);
-- the company has facts of everybody's, a formula those of its inputs
SELECT kpi.create_goal('site', kpi => 'gr_visits', period => '2026-11', target => 1) > 0 AS created;
SELECT kpi.create_goal('mixed', kpi => 'gr_mixed', member => 'gr_ann', period => '2026-11', target => 1) > 0 AS created;
SELECT kpi.create_goal('of teams', kpi => 'gr_of_teams', team => 'gr_emea', period => '2026-11', target => 1) > 0 AS created;
-- refused: below 0 where a KPI cannot be
SELECT kpi.create_goal('x', kpi => 'gr_won', team => 'gr_emea', period => '2026-11', target => -5);
SELECT kpi.create_goal('x', kpi => 'gr_rate', team => 'gr_emea', period => '2026-11', target => '-0.5');
SELECT kpi.create_goal('loss', kpi => 'gr_revenue', team => 'gr_emea', period => '2026-11', target => -5) > 0 AS created;
SELECT kpi.create_goal('loss per visit', kpi => 'gr_mixed', team => 'gr_emea', period => '2026-11', target => -5) > 0 AS created;
SELECT kpi.create_goal('none', kpi => 'gr_won', team => 'gr_emea', period => '2026-11', target => 0) > 0 AS created;
SELECT kpi.alter_goal('none', target => -1);
SELECT kpi.alter_goal('loss', target => -1);
SELECT name, target FROM kpi.goal ORDER BY id;

-- accepted, and said: a value nobody has, a period that is over, a percentage
SELECT kpi.create_goal('typo', kpi => 'gr_revenue', team => 'gr_emea', period => '2026-Q4', target => 1, dimension => 'product', dimension_value => 'A') > 0 AS created;
SELECT kpi.create_goal('no product', kpi => 'gr_revenue', team => 'gr_emea', period => '2026-Q4', target => 1, dimension => 'product') > 0 AS created;
-- of the company, if not of the team
SELECT kpi.create_goal('c', kpi => 'gr_revenue', team => 'gr_emea', period => '2026-Q4', target => 1, dimension => 'product', dimension_value => 'c') > 0 AS created;
SELECT kpi.create_goal('past', kpi => 'gr_revenue', team => 'gr_emea', period => '2026-10', target => 1) > 0 AS created;
SELECT kpi.create_goal('week 46', kpi => 'gr_revenue', team => 'gr_emea', period => '2026-W46', target => 1) > 0 AS created;
SELECT kpi.create_goal('week 47', kpi => 'gr_revenue', team => 'gr_emea', period => '2026-W47', target => 1) > 0 AS created;
SELECT kpi.create_goal('rate', kpi => 'gr_rate', team => 'gr_emea', period => '2026-11', target => '65') > 0 AS created;
SELECT kpi.create_goal('rate 2', kpi => 'gr_rate', team => 'gr_emea', period => '2026-Q4', target => 650) > 0 AS created;
SELECT kpi.create_goal('rate 3', kpi => 'gr_rate', team => 'gr_emea', period => '2026', target => 1) > 0 AS created;
SELECT kpi.create_goal('rate 4', kpi => 'gr_rate', team => 'gr_emea', period => '2025', target => 12.5) > 0 AS created;
SELECT kpi.alter_goal('rate 3', target => 1.5);
SELECT kpi.alter_goal('past', target => 2);
SELECT kpi.alter_goal('past', name => 'gone');
-- it is over when its last day is
SET kpi.now = '2026-11-22 23:59+00';
SELECT kpi.alter_goal('week 47', target => 2);
SET kpi.now = '2026-11-23 00:00+00';
SELECT kpi.alter_goal('week 47', target => 3);
SET kpi.now = '2026-11-20 12:00+00';

-- what goals stand on stays: a dimension removed, renamed, given another meaning
SELECT kpi.alter_source('gr_deals', dimensions => '{"stage": "stage"}');
SELECT kpi.alter_source('gr_deals', dimensions => '{"produkt": "product", "stage": "stage"}');
SELECT kpi.alter_source('gr_deals', dimensions => '{}');
SELECT kpi.alter_source('gr_deals', dimensions => '{"product": "upper(product)"}');
SELECT kpi.alter_source('gr_deals', dimensions => '{"product": "product", "stage": "stage"}');
-- the owner, of the source and of a KPI, and of what a formula is over
SELECT kpi.alter_source('gr_deals', owner => '');
SELECT kpi.alter_source('gr_deals', team => 'team');
SELECT kpi.alter_kpi('gr_of_teams', team => '', owner => 'owner');
SELECT kpi.drop_goal('of teams');
SELECT kpi.alter_kpi('gr_of_teams', team => '', owner => 'owner');
SELECT kpi.alter_kpi('gr_of_teams', team => 'team');
SELECT kpi.alter_kpi('gr_mixed', formula => 'gr_visits + 1');
SELECT kpi.alter_kpi('gr_mixed', formula => 'gr_of_teams / gr_visits');
-- the grain
SELECT kpi.alter_source('gr_deals', grain => 'month');
-- the kind of measure: a sum may be below 0, a count not; a rate is a fraction
SELECT kpi.alter_kpi('gr_revenue', measure => 'count(*)');
SELECT kpi.drop_goal('loss');
BEGIN;
SELECT kpi.alter_kpi('gr_revenue', measure => 'count(*)');
SELECT kpi.create_goal('won', kpi => 'gr_won', team => 'gr_emea', period => '2026-Q4', target => 7) > 0 AS created;
SELECT kpi.alter_kpi('gr_won', measure => $$rate(stage = 'won', true)$$, filter => '');
ROLLBACK;
-- many are not all named
SELECT count(kpi.create_goal('many ' || i, kpi => 'gr_revenue', team => 'gr_emea', period => '2026-11', target => 1, plan => i::text,
                             dimension => 'product', dimension_value => 'a')) FROM generate_series(1, 5) i;
SELECT kpi.alter_source('gr_deals', dimensions => '{}');

-- nothing was changed by what was refused, and other changes are free
SELECT name, owner, team, grain FROM kpi.source WHERE name LIKE 'gr%' ORDER BY 1;
SELECT d.position, d.name, d.expression FROM kpi.dimension d ORDER BY d.source_id, 1;
SELECT kpi.alter_source('gr_deals', new_name => 'gr_all', filter => 'amount > 0');
SELECT kpi.alter_kpi('gr_revenue', filter => 'amount > 0', unit => 'EUR');
CALL kpi.refresh();
SELECT count(*) FROM kpi.source s, kpi.verify(s.name) v;

SELECT count(kpi.drop_goal(id)) FROM kpi.goal;
SELECT kpi.alter_source('gr_all', dimensions => '{}', owner => '', grain => 'month');
SELECT kpi.drop_source('gr_all', cascade => true);
SELECT kpi.drop_source('gr_site', cascade => true);
SELECT kpi.drop_member('gr_ann');
SELECT kpi.drop_team('gr_emea');
DROP SCHEMA ground_test CASCADE;
