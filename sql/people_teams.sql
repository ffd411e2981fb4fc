-- Teams, their tree, members and memberships.

SELECT id, key, name FROM kpi.team ORDER BY id;
SELECT * FROM kpi.team_ancestor ORDER BY team_id, depth;

SELECT kpi.create_team('emea', parent => 'company', name => 'EMEA') > 2 AS created;
SELECT kpi.create_team('dach', parent => 'emea') > 2 AS created;
SELECT kpi.create_team('berlin', parent => 'dach') > 2 AS created;
-- before it is founded a team stands under the company
SELECT kpi.create_team('nordics', parent => 'emea', since => '2026-04-01', calendar => 'default') > 2 AS created;
SELECT t.key, t.name, c.name AS calendar, p.key AS parent, l.since, l.until
  FROM kpi.team t
  JOIN kpi.team_parent l ON l.team_id = t.id
  JOIN kpi.team p ON p.id = l.parent_id
  LEFT JOIN kpi.calendar c ON c.id = t.calendar_id
 ORDER BY t.key, l.since NULLS FIRST;

-- the tree, flattened: a move keeps rows of ancestors that stay
SELECT kpi.move_team('dach', parent => 'company', since => '2027-01-01');
SELECT team, ancestor, depth, since, until FROM kpi.team_ancestor
 WHERE team_id > 2 ORDER BY team, since NULLS FIRST, depth;
-- a move of the past reaches to the next recorded one
SELECT kpi.move_team('dach', parent => 'nordics', since => '2026-07-01');
SELECT team, ancestor, depth, since, until FROM kpi.team_ancestor
 WHERE team = 'berlin' ORDER BY since NULLS FIRST, depth;
-- above each other, but on different days
SELECT kpi.move_team('nordics', parent => 'dach', since => '2027-03-01');
SELECT team, ancestor, depth, since, until FROM kpi.team_ancestor
 WHERE team = 'nordics' ORDER BY since NULLS FIRST, depth;
-- a move back on the same day is as if it had never been
SELECT kpi.move_team('nordics', parent => 'emea', since => '2027-03-01');
-- always: all that was recorded is replaced
SELECT kpi.move_team('dach', parent => 'emea');
SELECT t.key AS team, p.key AS parent, l.since, l.until
  FROM kpi.team_parent l
  JOIN kpi.team t ON t.id = l.team_id
  JOIN kpi.team p ON p.id = l.parent_id
 WHERE t.key IN ('dach', 'nordics')
 ORDER BY l.team_id, l.since NULLS FIRST;

-- refused
SELECT kpi.move_team('emea', parent => 'berlin', since => '2026-07-01');
SELECT kpi.move_team('emea', parent => 'emea');
SELECT kpi.move_team('dach', parent => 'berlin');
SELECT kpi.move_team('company', parent => 'emea');
SELECT kpi.move_team('(unassigned)', parent => 'emea');
SELECT kpi.move_team('emea', parent => '(unassigned)');
SELECT kpi.move_team('apac', parent => 'emea');
SELECT kpi.move_team('emea', parent => 'apac');
SELECT kpi.move_team('emea', parent => 'company', since => 'infinity');
SELECT kpi.create_team('emea');
SELECT kpi.create_team('company');
SELECT kpi.create_team('(unassigned)');
SELECT kpi.create_team('apac', parent => 'global');
SELECT kpi.create_team('apac', parent => '(unassigned)');
SELECT kpi.create_team('apac', calendar => 'lunar');
SELECT kpi.create_team('');
SELECT kpi.create_team(' apac');
SELECT kpi.create_team(NULL);
SELECT kpi.create_team(repeat('x', 501));

-- a cycle that another move would close on some days only
SELECT kpi.move_team('nordics', parent => 'dach', since => '2026-07-01');
SELECT kpi.move_team('dach', parent => 'nordics', since => '2026-02-01');
SELECT kpi.move_team('nordics', parent => 'emea', since => '2026-07-01');

-- changes of what a team is called
SELECT kpi.alter_team('nordics', new_key => 'north', name => 'The North', calendar => '');
SELECT key, name, calendar_id FROM kpi.team WHERE key IN ('north', 'nordics');
SELECT kpi.alter_team('company', name => 'Acme');
SELECT kpi.alter_team('company', name => 'Company');
SELECT kpi.alter_team('company', new_key => 'acme');
SELECT kpi.alter_team('north', new_key => 'dach');
SELECT kpi.alter_team('(unassigned)', name => 'Nobody');
SELECT kpi.alter_team('nordics', name => 'x');

-- members: the first membership reaches back always
SELECT kpi.add_member('alice', team => 'emea', name => 'Alice Adams') > 0 AS added;
SELECT kpi.add_member('bob', team => 'dach', since => '2026-03-01', until => '2027-01-01') > 0 AS added;
-- a key of any type is stored as text
SELECT kpi.add_member(42) > 0 AS added;
SELECT kpi.move_member('alice', team => 'dach', since => '2026-07-01');

CREATE VIEW memberships AS
    SELECT m.key AS member, t.key AS team, s.since, s.until
      FROM kpi.membership s
      JOIN kpi.member m ON m.id = s.member_id
      JOIN kpi.team t ON t.id = s.team_id
     ORDER BY m.key, s.since NULLS FIRST;
SELECT * FROM memberships;
SELECT key, name FROM kpi.member ORDER BY key;

-- up to the next recorded membership
SELECT kpi.move_member('alice', team => 'north', since => '2026-05-01');
SELECT * FROM memberships WHERE member = 'alice';
-- a loan: exactly these days
SELECT kpi.move_member('alice', team => 'emea', since => '2026-09-01', until => '2026-10-01');
SELECT * FROM memberships WHERE member = 'alice';
-- the same day again corrects; where nothing changes, nothing is recorded
SELECT kpi.move_member('alice', team => 'emea', since => '2026-05-01');
SELECT kpi.move_member('alice', team => 'dach', since => '2026-09-01');
SELECT kpi.move_member('alice', team => 'dach', since => '2026-12-01');
SELECT * FROM memberships WHERE member = 'alice';
-- before the first; into a gap, without an end
SELECT kpi.move_member('bob', team => 'north', since => '-infinity');
SELECT kpi.move_member('bob', team => 'emea', since => '2027-06-01', until => 'infinity');
SELECT * FROM memberships WHERE member = 'bob';
-- leaving
SELECT kpi.end_membership('bob', until => '2026-10-01');
SELECT kpi.end_membership('alice', until => '2027-02-01');
SELECT * FROM memberships;

-- refused
SELECT kpi.add_member('alice', team => 'dach');
SELECT kpi.add_member('carol', team => 'apac');
SELECT kpi.add_member('carol', team => '(unassigned)');
SELECT kpi.add_member('carol', since => '2026-01-01');
SELECT kpi.add_member('carol', team => 'dach', since => '2026-02-01', until => '2026-02-01');
SELECT kpi.add_member('carol ', team => 'dach');
SELECT kpi.add_member(NULL);
SELECT kpi.move_member('carol', team => 'dach', since => '2026-01-01');
SELECT kpi.move_member('alice', team => 'apac', since => '2026-01-01');
SELECT kpi.move_member('alice', team => '(unassigned)', since => '2026-01-01');
SELECT kpi.move_member('alice', team => 'dach', since => NULL);
SELECT kpi.move_member('alice', team => 'dach', since => '2026-05-01', until => '2026-04-01');
SELECT kpi.move_member('bob', team => 'dach', since => '2026-01-01', until => '2028-01-01');
SELECT kpi.end_membership('alice', until => '2028-01-01');
SELECT kpi.end_membership('alice', until => NULL);
SELECT kpi.end_membership('carol', until => '2026-01-01');
SELECT * FROM memberships;

SELECT kpi.alter_member(42, new_key => 'carol', name => 'Carol');
SELECT kpi.alter_member('42', name => 'x');
SELECT kpi.alter_member('carol', new_key => 'bob');
SELECT key, name FROM kpi.member ORDER BY key;

-- nobody's history is dropped unseen
SELECT kpi.drop_team('emea');
SELECT kpi.drop_team('dach');
SELECT kpi.drop_team('berlin');
SELECT kpi.drop_team('berlin');
SELECT kpi.drop_team('company');
SELECT kpi.drop_team('(unassigned)');
SELECT kpi.drop_member('dave');

-- in one transaction the engine is told once, however much changes; a
-- rollback to a savepoint takes nothing from what comes after it
BEGIN;
CREATE TEMP TABLE before AS SELECT org FROM kpi_internal.version;
SELECT count(kpi.add_member('bulk' || n, team => 'dach')) FROM generate_series(1, 100) n;
SELECT s.org - b.org AS raised FROM kpi_internal.version s, before b;
ROLLBACK;
BEGIN;
CREATE TEMP TABLE before AS SELECT org FROM kpi_internal.version;
SAVEPOINT a;
SELECT kpi.drop_member('carol');
ROLLBACK TO a;
SELECT s.org - b.org AS raised FROM kpi_internal.version s, before b;
SELECT kpi.move_member('carol', team => 'north', since => '2026-01-01');
SELECT s.org - b.org AS raised FROM kpi_internal.version s, before b;
ROLLBACK;

DROP VIEW memberships;
SELECT kpi.drop_member(key) FROM kpi.member;
SELECT kpi.drop_team('north');
SELECT kpi.drop_team('dach');
SELECT kpi.drop_team('emea');
SELECT key FROM kpi.team ORDER BY id;
SELECT count(*) FROM kpi.team_parent;
