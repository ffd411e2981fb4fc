# A dump, restored into another database, has all definitions; one refresh
# makes the numbers.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dump');
my $dump = $node->backup_dir . '_dump';
my $write = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT (ARRAY['alice','bob','carol','dave','erin','nobody'])[i % 6 + 1], 'bob', (ARRAY['won','lost','open'])[i % 3 + 1],
		   i / 8.0, i % 7, 'p' || i % 4, '2026-01-01'::timestamptz + i * interval '7 hours',
		   '2026-02-01'::timestamptz + i * interval '9 hours'
	FROM generate_series(1, 300) i};

create_company($node, 'postgres', sql => "$write;");
$node->safe_psql('postgres', q{
	SELECT kpi.move_member('bob', team => 'uk', since => '2026-03-01');
	SELECT kpi.move_team('uk', parent => 'apac', since => '2026-04-01');
	SELECT kpi.add_alias('carol', alias => 'nobody', source => 'deals'), kpi.merge_member('erin', into_member => 'dave');
	SELECT kpi.create_goal('q1', kpi => 'revenue', team => 'emea', period => '2026-Q1', target => '1000000');
	INSERT INTO crm.costs (team, day, cost) VALUES ('uk', '2026-03-07', 12.5), ('apac', '2026-04-07', 100);
	SELECT kpi.create_kpi('won_now', source => 'deals', measure => 'count(*)', filter => $$stage = 'won'$$, credit => 'today');
	SELECT kpi.end_membership('carol', until => '2031-01-01', later_facts => 'last_team');
	CREATE SCHEMA reporting;
	SELECT kpi.create_rollup('reporting.by_month', kpis => '{revenue, won}');
	SELECT kpi.create_rollup('reporting.by_rep', kpis => '{revenue}', per => 'member', grain => 'week', since => '2026-02-10');
	CALL kpi.refresh();
	SELECT kpi.alter_goal('q1', target => '1');
	SELECT kpi.alter_goal('q1', target => '2000', reason => 'as agreed');
	CREATE TABLE crm.quota AS SELECT 'revenue'::text AS kpi, 'emea'::text AS team, 300 AS q1, '400' AS q2;
	SELECT kpi.import_goals('crm.quota', plan => 'next', year => '2099');
	SELECT kpi.set_ramp('{0.25, 0.5}'), kpi.set_ramp('{0.1, 0.75}', team => 'uk'), kpi.set_ramp('{0.4}', member => 'alice');
	SELECT kpi.create_goal('2098', kpi => 'revenue', team => 'emea', period => '2098', target => 4000);
	SELECT kpi.cascade('2098', across => 'quarters', by => 'equal', over_assign => 1.1);
	SELECT kpi.alter_goal((SELECT min(id) FROM kpi.goal WHERE cascaded = 'quarters'), name => 'mine', parent => 'q1');
	SELECT kpi.close_period('2026-Q1', reason => 'then'), kpi.reopen_period('2026-Q1', reason => 'too soon'), kpi.close_period('2026-Q1', reason => 'now');
	CREATE INDEX ON reporting.by_month (period);
	ALTER TABLE reporting.by_month ADD COLUMN note text DEFAULT 'mine';
	CREATE TABLE crm.leads (team text);
	INSERT INTO crm.leads SELECT key FROM kpi.team WHERE id > 2;
	SELECT kpi.sync_people('SELECT team AS key FROM crm.leads', NULL, remember => true)});
# what is in the queue is not dumped, and need not be
$node->safe_psql('postgres', $write);
is($node->safe_psql('postgres', q{SELECT pending_deltas > 0 FROM kpi.source_status WHERE source = 'deals'}), 't', 'something waits');

# What cannot be computed anew.
my $frozen = q{SELECT t FROM kpi.goal_target t; SELECT b FROM kpi.forecast_basis b; SELECT c FROM kpi_internal.forecast_company c;
	SELECT v FROM kpi.goal_version v ORDER BY goal_id, version; SELECT p FROM kpi.plan p ORDER BY name; SELECT g FROM kpi.goal g ORDER BY id;
	SELECT c FROM kpi.closed_period c; SELECT r FROM kpi.goal_reported r; SELECT r FROM kpi.ramp r ORDER BY r};
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi.goal_reported'), '2', 'and something is reported');
is($node->safe_psql('postgres', q{SELECT count(g.altered_at), (SELECT count(*) FROM kpi.ramp) FROM kpi.goal g WHERE g.parent_id IS NOT NULL}), '1|5',
	'goals are parts of others, and people ramp');
my $cut = q{SELECT period, target, action, message FROM kpi.cascade('2098', across => 'quarters', by => 'equal', over_assign => 1.2, dry_run => true) ORDER BY 1};
isnt($node->safe_psql('postgres', 'SELECT count(*) FROM kpi.forecast_basis'), '0', 'a forecast is based on something');
my $of_people = q{SELECT name, credit FROM kpi.kpi WHERE credit <> 'then'; SELECT member_id, until, later_facts FROM kpi.membership WHERE until IS NOT NULL;
	SELECT team, period, value FROM kpi.team_yearly WHERE kpi = 'won_now' ORDER BY team, period};
my $events = q{SELECT id, goal, kpi, team, period, old_status, status, target, happened_at FROM kpi.goal_event ORDER BY id};
isnt($node->safe_psql('postgres', $events), '', 'something was announced');

mkdir $dump;
for my $mode ([ 'plain', '--format=plain' ], [ 'custom', '--format=custom' ], [ 'parallel', '--format=directory', '--jobs=2' ])
{
	my ($name, @options) = @$mode;
	my $file = "$dump/$name";

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->command_ok([ 'pg_dump', '--file', $file, @options, '--dbname', $node->connstr('postgres') ], "$name: dump");
	if ($name eq 'plain')
	{
		unlike(slurp_file($file), qr/queue_[0-9]/, "$name: nothing of the queue is in it");
		$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($name), '-f', $file ],
			"$name: restore");
	}
	else
	{
		$node->command_ok([ 'pg_restore', '--exit-on-error', ($name eq 'parallel' ? '--jobs=2' : ()), '--dbname', $node->connstr($name), $file ],
			"$name: restore");
	}
	is($node->safe_psql($name, q{SELECT s.status, p.teams ~ 'FROM crm.leads' FROM kpi.people_sync_status s, kpi.people_sync p}), 'restored|t',
		"$name: queries of people are not run before all is there");
	my $definitions = 'SELECT jsonb_pretty(kpi.export())';
	is($node->safe_psql($name, $definitions), $node->safe_psql('postgres', $definitions), "$name: what is exported is what was");
	is($node->safe_psql($name, 'SELECT * FROM kpi.apply(kpi.export())'), '', "$name: and nothing is to be applied");
	my $log = q{SELECT id, role, action, kind, name, old, new FROM kpi.definition_log WHERE id > 0 ORDER BY id};
	is($node->safe_psql($name, $log), $node->safe_psql('postgres', $log), "$name: who has defined what is known, and the restore is no definition");
	# writers come before the first refresh has made a queue
	$node->safe_psql($name, 'DELETE FROM crm.deals WHERE id % 11 = 0');
	$node->safe_psql($name, 'CALL kpi.refresh()');
	like($node->safe_psql($name, $of_people), qr/\Awon_now\|today\n(?:.*\|unassigned\n)*\d+\|2031-01-01\|last_team\n(?:.*\|unassigned\n)*apac\|/,
		"$name: whose the facts are of who has moved or left");
	is($node->safe_psql($name, q{SELECT * FROM kpi.verify('deals')}), '', "$name: and exact");
	$node->safe_psql($name, q{SELECT kpi.drop_kpi('won_now')});
	is_exact($node, $name, "$name: restored");
	is($node->safe_psql($name, 'SELECT status FROM kpi.people_sync_status'), 'waiting', "$name: but then");
	is($node->safe_psql($name, $events), $node->safe_psql('postgres', $events), "$name: what was announced of goals is there, and nothing else");
	is(rollup_differences($node, $name), '', "$name: rollup tables are what the views say");
	is($node->safe_psql($name, q{SELECT count(*) > 0, bool_and(note = 'mine') FROM reporting.by_month}), 't|t', "$name: and the user's own");

	# and it goes on from there
	$node->safe_psql($name, "$write; DELETE FROM crm.deals WHERE id % 5 = 0; CALL kpi.refresh()");
	is_exact($node, $name, "$name: written to");
	is(rollup_differences($node, $name), '', "$name: and rollup tables go on");
	is($node->safe_psql($name, q{SELECT goal, target FROM kpi.goal_progress WHERE period_end < '2098-01-01'}), 'q1|2000', "$name: the goal is there");
	is($node->safe_psql($name, $frozen), $node->safe_psql('postgres', $frozen), "$name: with its target what its forecast is based on and what was reported");
	is($node->safe_psql($name, $cut), $node->safe_psql('postgres', $cut), "$name: its parts are known, and those that were altered");
	is($node->safe_psql($name, q{SELECT kpi.publish_plan('next'); SELECT goal, target FROM kpi.goal_progress WHERE plan = 'next' ORDER BY goal}),
		"\nrevenue emea 2099-Q1|300\nrevenue emea 2099-Q2|400", "$name: a draft is one until it is published");
	is($node->safe_psql($name, q{SELECT p.reported_actual = r.reported_actual AND p.restated_difference = p.actual - r.reported_actual AND p.restated_difference <> 0
		FROM kpi.goal_progress p JOIN kpi.goal_reported r ON r.goal_id = p.goal_id AND r.reopened_at IS NULL}), 't', "$name: and restated since");
	$node->safe_psql($name, q{SELECT kpi.create_team('new', parent => 'emea'); SELECT kpi.add_member('new', team => 'new');
		SELECT kpi.create_kpi('late', source => 'deals', measure => 'count(*)');
		INSERT INTO crm.deals (owner_id, created_at, closed_at) VALUES ('new', '2026-05-01', '2026-05-02');
		CALL kpi.refresh()});
	is($node->safe_psql($name, q{SELECT
			(SELECT id = (SELECT max(id) FROM kpi.team) FROM kpi.team WHERE key = 'new'),
			(SELECT id = (SELECT max(id) FROM kpi.member) FROM kpi.member WHERE key = 'new'),
			(SELECT id = (SELECT max(id) FROM kpi.kpi) FROM kpi.kpi WHERE name = 'late'),
			(SELECT value FROM kpi.team_yearly WHERE kpi = 'late' AND team = 'new'),
			(SELECT sum(value) FROM kpi.team_yearly WHERE kpi = 'late' AND team = 'company')
				= (SELECT count(closed_at) FROM crm.deals)}),
		't|t|t|1|t', "$name: definitions go on with ids of their own, and count");
}

# a restore that leaves triggers in the state of plain ones, and a dump of the
# restored database
$node->safe_psql('postgres', 'CREATE DATABASE data_only');
$node->command_ok([ 'pg_dump', '--file', "$dump/schema", '--schema-only', '--dbname', $node->connstr('plain') ], 'dump the schema of a restored database');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('data_only'), '-f', "$dump/schema" ],
	'restore a schema without its data');
$node->safe_psql('data_only', 'CALL kpi.refresh()');
is($node->safe_psql('data_only', q{SELECT (SELECT count(*) FROM kpi.source), (SELECT count(*) FROM kpi.kpi), (SELECT count(*) FROM kpi.goal),
		(SELECT count(*) FROM kpi.kpi_value), (SELECT string_agg(key, ' ' ORDER BY key) FROM kpi.team)}),
	'0|0|0|0|(unassigned) company', 'and it has what CREATE EXTENSION makes, and nothing else');

# The triggers are those of a source that is not there: they are in nobody's
# way, and not in that of a source that gets its number.
$node->safe_psql('data_only', "$write; DELETE FROM crm.deals WHERE id % 5 = 0");
is($node->safe_psql('data_only', 'SELECT count(*) FROM kpi_internal.delta'), '0', 'what they see is nothing to do');
$node->safe_psql('data_only', qq{
	SELECT kpi.create_source('deals', relation => 'crm.deals', owner => 'owner_id', at => 'created_at');
	SELECT kpi.create_kpi('all', source => 'deals', measure => 'count(*)');
	CALL kpi.refresh();
	$write; DELETE FROM crm.deals WHERE id % 7 = 0;
	CALL kpi.refresh()});
is($node->safe_psql('data_only', q{SELECT period, value FROM kpi.team_monthly WHERE team = 'company' ORDER BY period}),
	$node->safe_psql('data_only', q{SELECT to_char(created_at, 'YYYY-MM'), count(*) FROM crm.deals GROUP BY 1 ORDER BY 1}),
	'a source on these tables counts each fact once');

$node->stop;
done_testing();
