# The arithmetic of goals: the library against test/goals/reference.py, to 6
# digits: on every worked example, and on random cases where there is python3.
#
# KPI_SEED repeats a run, KPI_ROUNDS sets how many random cases there are.
use strict;
use warnings FATAL => 'all';

use File::Basename;
use IPC::Cmd qw(can_run);
use IPC::Run;
use KpiTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{KPI_SEED} || time;
my $rounds = $ENV{KPI_ROUNDS} || 4000;
my $goals = dirname(__FILE__) . '/../goals';
my $node = new_node('mathematics');
my $examples = slurp_file("$goals/examples.json");
my $file = $node->basedir . '/cases.json';

note "seed $seed";
$node->safe_psql('postgres', 'CREATE EXTENSION pg_kpi');
$node->safe_psql('postgres', slurp_file("$goals/compute.sql"));

# Cases (JSON) differ from what is expected: none.
sub none_differs
{
	my ($json, $calls, $name) = @_;

	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS math.cases');
	# Not in the statement: it may be long.
	unlink $file;
	append_to_file($file, $json);
	is($node->safe_psql('postgres', qq{SET search_path = math;
		CREATE TABLE math.cases AS SELECT c.* FROM (SELECT pg_read_file('$file')::jsonb AS given) g, LATERAL ($calls) c;
		SELECT d FROM cases c, difference(c.name, c.called, c.inputs, c.expected) d LIMIT 20}),
		'', $name);
	note $node->safe_psql('postgres', 'SELECT count(*) FROM math.cases'), ' cases';
	return;
}

none_differs($examples, 'SELECT * FROM calls(g.given)', 'worked examples');
is($node->safe_psql('postgres', qq{SELECT x ->> 'name' FROM jsonb_array_elements(pg_read_file('$file')::jsonb) x
	WHERE NOT EXISTS (SELECT FROM math.cases c WHERE starts_with(c.name, x ->> 'name'))}), '', 'each is among the cases');
is($node->safe_psql('postgres', q{SET search_path = math; SELECT string_agg(d, '') FROM difference('x', 'level', '{"totals": [1], "grain": "month"}', '{"level": 1.00001}') d}),
	'x: level({"grain": "month", "totals": [1]}): level is 1, and 1.00001 by the reference', 'a wrong number would be seen');

SKIP:
{
	skip 'python3 is not installed', 1 unless can_run('python3');
	my ($stdout, $stderr);

	IPC::Run::run([ 'python3', "$goals/cross_check.py", $seed, $rounds ], '>', \$stdout, '2>', \$stderr) or die $stderr;
	none_differs($stdout,
		q{SELECT x ->> 'name' AS name, x ->> 'called' AS called, x -> 'inputs' AS inputs, x -> 'outputs' AS expected
		    FROM jsonb_array_elements(g.given) x}, "random cases, seed $seed");
}

$node->stop;
done_testing();
