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
	SELECT kpi.create_goal('q1', kpi => 'revenue', team => 'emea', period => '2026-Q1', target => '2000');
	INSERT INTO crm.costs (team, day, cost) VALUES ('uk', '2026-03-07', 12.5), ('apac', '2026-04-07', 100);
	CALL kpi.refresh();});
# what is in the queue is not dumped, and need not be
$node->safe_psql('postgres', $write);

mkdir $dump;
for my $mode ([ 'plain', '--format=plain' ], [ 'custom', '--format=custom' ], [ 'parallel', '--format=directory', '--jobs=2' ])
{
	my ($name, @options) = @$mode;
	my $file = "$dump/$name";

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->command_ok([ 'pg_dump', '--file', $file, @options, '--dbname', $node->connstr('postgres') ], "$name: dump");
	if ($name eq 'plain')
	{
		$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($name), '-f', $file ],
			"$name: restore");
	}
	else
	{
		$node->command_ok([ 'pg_restore', '--exit-on-error', ($name eq 'parallel' ? '--jobs=2' : ()), '--dbname', $node->connstr($name), $file ],
			"$name: restore");
	}
	$node->safe_psql($name, 'CALL kpi.refresh()');
	is_exact($node, $name, "$name: restored");

	# and it goes on from there
	$node->safe_psql($name, "$write; DELETE FROM crm.deals WHERE id % 5 = 0; CALL kpi.refresh()");
	is_exact($node, $name, "$name: written to");
	is($node->safe_psql($name, q{SELECT goal, target FROM kpi.goal_progress}), 'q1|2000', "$name: the goal is there");
	$node->safe_psql($name, q{SELECT kpi.create_team('new', parent => 'emea'); SELECT kpi.add_member('new', team => 'new')});
	$node->safe_psql($name, q{SELECT kpi.create_kpi('late', source => 'deals', measure => 'count(*)')});
	pass("$name: definitions go on with ids of their own");
}

# a restore that leaves triggers in the state of plain ones, and a dump of the
# restored database
$node->safe_psql('postgres', 'CREATE DATABASE data_only');
$node->command_ok([ 'pg_dump', '--file', "$dump/schema", '--schema-only', '--dbname', $node->connstr('plain') ], 'dump the schema of a restored database');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('data_only'), '-f', "$dump/schema" ],
	'restore a schema without its data');
$node->safe_psql('data_only', 'CALL kpi.refresh()');
pass('and refresh it');

$node->stop;
done_testing();
