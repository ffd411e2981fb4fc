-- Keys of teams and members of any type, and parents that come later.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET kpi.now = '2026-10-15 12:00+00';
CREATE SCHEMA people_keys;
CREATE VIEW people_keys.tree AS
SELECT t.key, t.name, u.key AS parent, p.since FROM kpi.team t JOIN kpi.team_parent p ON p.team_id = t.id JOIN kpi.team u ON u.id = p.parent_id
 WHERE t.id > 2;
CREATE VIEW people_keys.place AS
SELECT m.key AS member, m.name, t.key AS team, s.since, s.until
  FROM kpi.member m LEFT JOIN kpi.membership s ON s.member_id = m.id LEFT JOIN kpi.team t ON t.id = s.team_id;
CREATE TABLE people_keys.facts (id bigint PRIMARY KEY, owner bigint, team integer, at date, amount numeric);
SELECT kpi.create_source('pk', relation => 'people_keys.facts', key => 'id', owner => 'owner', at => 'at') > 0 AS created;
SELECT kpi.create_kpi('pk', source => 'pk', measure => 'sum(amount)') > 0 AS created;
INSERT INTO people_keys.facts VALUES (1, 42, 7, '2026-10-01', 1), (2, 43, 3, '2026-10-02', 10);

-- Each function by each type: text, integer, bigint, numeric, uuid; typed and as
-- literals. What is made as one is found as any.
CREATE FUNCTION people_keys.all_functions(kind text, top text, team text, member text, other text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    step text;
    goal bigint;
BEGIN
    FOREACH step IN ARRAY ARRAY[
        'SELECT kpi.create_team({top}, name => ''Top'')',
        'SELECT kpi.create_team(key => {team}, parent => {top}, name => ''Team'')',
        'SELECT kpi.alter_team(team => {team}, new_key => {other})',
        'SELECT kpi.alter_team({other}, new_key => {team}, name => ''T'')',
        'SELECT kpi.move_team({team}, parent => NULL, since => ''2026-01-01'')',
        'SELECT kpi.move_team(team => {team}, parent => {top}, since => ''2026-02-01'')',
        'SELECT kpi.add_member(key => {member}, team => {team}, name => ''M'')',
        'SELECT kpi.move_member(member => {member}, team => {top}, since => ''2026-03-01'', until => ''2026-04-01'')',
        'SELECT kpi.end_membership(member => {member}, until => ''2026-12-01'')',
        'SELECT kpi.alter_member(member => {member}, new_key => {other}, name => ''N'')',
        'SELECT kpi.alter_member({other}, new_key => {member})',
        'SELECT kpi.add_alias(member => {member}, alias => {other})',
        'SELECT kpi.drop_alias(alias => {other})',
        'SELECT kpi.add_alias({member}, {other}, source => ''pk'')',
        'SELECT kpi.drop_alias({other}, source => ''pk'')',
        'SELECT kpi.add_member({other})',
        'SELECT kpi.merge_member(member => {other}, into_member => {member})',
        'SELECT kpi.value(''pk'', team => {team}, period => ''2026-10'')',
        'SELECT kpi.value(''pk'', member => {member}, period => ''2026-10'')',
        'SELECT kpi.create_goal(''kt'', kpi => ''pk'', team => {team}, period => ''2026-10'', target => 5)',
        'SELECT kpi.create_goal(''km'', kpi => ''pk'', member => {member}, period => ''2026-10'', target => ''7'')']
    LOOP
        EXECUTE replace(replace(replace(replace(step, '{top}', format(kind, top)), '{team}', format(kind, team)), '{member}', format(kind, member)), '{other}', format(kind, other));
    END LOOP;
END
$$;
CREATE FUNCTION people_keys.look_and_drop() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT concat_ws(' ', 'team', key, name, 'under', parent, since) FROM people_keys.tree ORDER BY key, since NULLS FIRST;
    RETURN QUERY SELECT concat_ws(' ', 'member', member, name, 'in', team, since, until) FROM people_keys.place ORDER BY member, since NULLS FIRST;
    RETURN QUERY SELECT concat_ws(' ', 'alias', a.alias, 'of', m.key) FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id ORDER BY 1;
    RETURN QUERY SELECT concat_ws(' ', 'goal', g.name, t.key, m.key, g.target) FROM kpi.goal g LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member m ON m.id = g.member_id ORDER BY 1;
    PERFORM kpi.drop_goal(id) FROM kpi.goal;
    PERFORM kpi.drop_member(key) FROM kpi.member;
    PERFORM kpi.move_team(key, parent => NULL) FROM kpi.team WHERE id > 2;
    PERFORM kpi.drop_team(key) FROM kpi.team WHERE id > 2;
END
$$;
SELECT people_keys.all_functions('%L', 'top', 'emea', 'ann', 'amy');
SELECT * FROM people_keys.look_and_drop();
SELECT people_keys.all_functions('%L', '3', '7', '42', '43');
SELECT * FROM people_keys.look_and_drop();
SELECT people_keys.all_functions('%L::text', '3', '7', '42', '43');
SELECT count(*) FROM people_keys.look_and_drop();
SELECT people_keys.all_functions('%L::varchar(10)', '3', '7', '42', '43');
SELECT count(*) FROM people_keys.look_and_drop();
SELECT people_keys.all_functions('%s', '3', '7', '42', '43');
SELECT * FROM people_keys.look_and_drop();
SELECT people_keys.all_functions('%s::bigint', '3', '7', '42', '43');
SELECT count(*) FROM people_keys.look_and_drop();
SELECT people_keys.all_functions('%s.00', '3', '7', '42', '43');
SELECT * FROM people_keys.look_and_drop();
SELECT people_keys.all_functions('%L::uuid', '3c0d0000-0000-0000-0000-000000000003', '3C0D0000-0000-0000-0000-000000000007', '3c0d0000000000000000000000000042', '3c0d0000-0000-0000-0000-000000000043');
SELECT * FROM people_keys.look_and_drop();
-- ... and dropped by a key of another type than it was made by
SELECT kpi.create_team(7) > 0 AS created, kpi.add_member('42'::text, team => 7::bigint) > 0 AS added;
SELECT kpi.drop_member(42.0), kpi.drop_team('7');

-- A team's key beside one of another kind: a literal is a text beside whatever
-- key, a value is what it is. A parent is of its team's kind.
SELECT kpi.create_team('north') > 0 AS created, kpi.create_team(9, parent => '8') > 0 AS created, kpi.create_team('8', parent => NULL) > 0 AS created;
SELECT kpi.add_member(42, team => 'north') > 0 AS added, kpi.add_member('al', team => 9) > 0 AS added,
       kpi.add_member('3c0d0000-0000-0000-0000-000000000001'::uuid, team => 9::smallint) > 0 AS added,
       kpi.add_member(44, 'north'::varchar) > 0 AS added, kpi.add_member(45, 'north'::name, 'Five') > 0 AS added, kpi.add_member(46, NULL) > 0 AS added,
       kpi.add_member(47) > 0 AS added, kpi.add_member(key => 48, team => NULL::integer, name => 'Eight') > 0 AS added;
SELECT kpi.move_member(42, team => 9, since => '2026-05-01'), kpi.move_member('al', 'north', '2026-06-01'), kpi.move_member(42, '8', since => '2026-07-01');
SELECT kpi.add_alias(42, alias => 'agent-42'), kpi.add_alias('al', alias => 4200), kpi.add_alias(47, 4700::numeric, 'pk');
SELECT kpi.alter_member(48, new_key => 'eight'), kpi.alter_member('al', new_key => 49), kpi.alter_team('north', new_key => 10), kpi.alter_team(10, name => 'North');
SELECT kpi.create_goal(kpi => 'pk', team => NULL::text, member => '42', period => '2026-11', target => 5) > 0 AS created,
       kpi.create_goal(kpi => 'pk', team => NULL, member => 42, period => '2026-12', target => '5') > 0 AS created,
       kpi.create_goal(kpi => 'pk', member => NULL, period => '2026-12', target => 5.5) > 0 AS created,
       kpi.create_goal(kpi => 'pk', team => 9, period => '2026-12', target => 'at least 5', plan => 'p') > 0 AS created;
CALL kpi.refresh();
SELECT kpi.value('pk', member => 42, period => '2026-10') AS member, kpi.value('pk', team => '8', period => '2026-10') AS team, kpi.value('pk', period => '2026-10') AS company;
SELECT * FROM people_keys.look_and_drop();
-- Columns, each of its own type
CREATE TABLE people_keys.teams (id integer, boss integer);
INSERT INTO people_keys.teams VALUES (1, 2), (2, 4), (3, 4), (4, NULL);
CREATE TABLE people_keys.users (id uuid, name varchar(20), team smallint, since date);
INSERT INTO people_keys.users SELECT md5(n::text)::uuid, 'U' || n, n, '2026-01-01' FROM generate_series(1, 4) n;
-- in the order in which they come, parents after their teams
SELECT count(kpi.create_team(id, parent => boss)) FROM people_keys.teams;
SELECT count(kpi.add_member(id, team => team, name => name, since => since)) FROM people_keys.users;
SELECT * FROM people_keys.look_and_drop();

-- Types whose text does not show what is equal are refused, as they are for facts.
SELECT kpi.add_member(1.5::float8);
SELECT kpi.create_team('{"a": 1}'::jsonb);
SELECT kpi.add_member('x', team => '2026-01-01 12:00'::timestamptz);
SELECT kpi.value('pk', member => now(), period => '2026');
SELECT kpi.add_alias('x', alias => '\x00'::bytea);
SELECT kpi.create_goal(kpi => 'pk', team => 1::real, period => '2026', target => 1);
CREATE TYPE people_keys.fold;
CREATE FUNCTION people_keys.fold_in(cstring) RETURNS people_keys.fold LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION people_keys.fold_out(people_keys.fold) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE people_keys.fold (INPUT = people_keys.fold_in, OUTPUT = people_keys.fold_out, LIKE = text, CATEGORY = 'S', COLLATABLE = true);
SELECT kpi.add_member('Ann'::people_keys.fold);
CREATE COLLATION people_keys.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT kpi.add_member('Ann' COLLATE people_keys.any_case);
SELECT kpi.add_member('Ann', team => 'x' COLLATE people_keys.any_case);
-- (only a key's counts)
SELECT kpi.add_member('Ann', name => 'Ann' COLLATE people_keys.any_case) > 0 AS added;
SELECT kpi.drop_member('Ann');
SELECT kpi.add_member(' x'), kpi.add_member('');
SELECT kpi.create_team(NULL::integer);
SELECT kpi.add_member(7, 'nowhere');
SELECT kpi.move_team('company', parent => NULL);
SELECT count(*) FROM kpi.member WHERE key IN ('x', 'Ann', '7', '1.5');

-- A parent may come later in the transaction: until then it is under the company.
BEGIN;
SELECT kpi.create_team('a', parent => 'b', since => '2026-02-01') > 0 AS created;
SELECT * FROM people_keys.tree ORDER BY key, since NULLS FIRST;
SELECT kpi.add_member('42', team => 'a') > 0 AS added;
-- what is made and refreshed in between follows when the parent comes
SELECT kpi.create_goal('ga', kpi => 'pk', team => 'a', period => '2026-10', target => 5) > 0 AS created,
       kpi.create_goal('gb', kpi => 'pk', team => 'b', period => '2026-10', target => 5) > 0 AS created;
CALL kpi.refresh();
SELECT goal, team_path, actual FROM kpi.goal_progress ORDER BY 1;
SELECT kpi.create_team('b', parent => 'c', name => 'Bee') > 0 AS created;
SELECT kpi.create_team('c', name => 'Sea', since => '2026-01-01') > 0 AS created;
SELECT goal, team_path FROM kpi.goal_progress ORDER BY 1;
CALL kpi.refresh();
SELECT kpi.value('pk', team => 'c', period => '2026-10') AS c, kpi.value('pk', team => 'b', period => '2026-10') AS b;
COMMIT;
SELECT * FROM people_keys.tree ORDER BY key, since NULLS FIRST;
SELECT count(*) FROM kpi_internal.pending_team;
SELECT * FROM kpi.verify('pk');
SELECT count(*) FROM people_keys.look_and_drop();

-- One that does not come is an error at the end, which names it; nothing stays.
SELECT kpi.create_team('a', parent => 'b');
BEGIN;
SELECT kpi.create_team('emea') > 0 AS created, kpi.create_team('uk', parent => 'emae') > 0 AS created, kpi.create_team('dach', parent => 'emae') > 0 AS created;
COMMIT;
BEGIN;
SELECT kpi.create_team('a', parent => 'b') > 0 AS created;
SELECT kpi.move_team('a', parent => NULL);
COMMIT;
SELECT * FROM people_keys.tree;
-- that it is nobody's parent any more is enough if it is dropped
BEGIN;
SELECT kpi.create_team('a', parent => 'b') > 0 AS created;
SAVEPOINT s;
SELECT kpi.drop_team('b');
ROLLBACK TO s;
SELECT kpi.move_team('a', parent => NULL);
SELECT kpi.drop_team('b');
COMMIT;
BEGIN;
SELECT kpi.create_team('a', parent => 'b') > 0 AS created;
ROLLBACK;
BEGIN;
SELECT kpi.create_team('c', parent => 'b') > 0 AS created;
SAVEPOINT s;
SELECT kpi.create_team('b') > 0 AS created;
ROLLBACK TO s;
COMMIT;
BEGIN;
SAVEPOINT s;
SELECT kpi.create_team('c', parent => 'b') > 0 AS created;
ROLLBACK TO s;
SELECT kpi.create_team('c', parent => 'd') > 0 AS created;
COMMIT;
-- and before it comes it is neither moved nor altered
BEGIN;
SELECT kpi.create_team('c', parent => 'b') > 0 AS created;
SAVEPOINT s;
SELECT kpi.move_team('b', parent => NULL);
ROLLBACK TO s;
SELECT kpi.alter_team('b', name => 'Bee');
ROLLBACK;
-- nor can a team be above itself, whichever comes first
SELECT kpi.create_team('x', parent => 'x');
BEGIN;
SELECT kpi.create_team('x', parent => 'y') > 0 AS created;
SELECT kpi.create_team('y', parent => 'x');
ROLLBACK;
BEGIN;
SELECT kpi.create_team('x', parent => 'y') > 0 AS created;
SELECT kpi.create_team('y', calendar => 'lunar');
ROLLBACK;
BEGIN;
SELECT kpi.create_team('x', parent => 'y') > 0 AS created, kpi.create_team('y') > 0 AS created;
SELECT kpi.create_team('y');
ROLLBACK;
-- who must have it at once says so
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT kpi.create_team('x', parent => 'y');
ROLLBACK;
SELECT * FROM people_keys.tree ORDER BY key;
-- nor does the end of an editor's transaction need more rights
CREATE ROLE regress_people_keys;
SELECT kpi.grant_editor('regress_people_keys');
SET ROLE regress_people_keys;
BEGIN;
SELECT kpi.create_team('x', parent => 'y') > 0 AS created;
COMMIT;
BEGIN;
SELECT kpi.create_team('x', parent => 'y') > 0 AS created, kpi.create_team('y') > 0 AS created;
COMMIT;
RESET ROLE;
SELECT kpi.revoke_reader('regress_people_keys');
DROP ROLE regress_people_keys;
SELECT count(*) FROM people_keys.look_and_drop();
SELECT kpi.drop_source('pk', cascade => true);
RESET kpi.now;
DROP SCHEMA people_keys CASCADE;
