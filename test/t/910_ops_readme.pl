# Every SQL block of the README, and of a guide, run in its order against a fresh
# server.  A block followed by a text block prints just that.
use strict;
use warnings FATAL => 'all';

use FindBin;
use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The file, and how many blocks it has at least; conf: settings of its server, database: where it is
# run, after: files that are run before.
sub runs
{
	my ($path, $least, %is) = @_;
	my $root = "$FindBin::Bin/../..";
	my $text = slurp_file("$root/$path");
	my $node = new_node($path =~ s/\W/_/gr, @{ $is{conf} // [] });
	my $database = $is{database} // 'postgres';
	my $session = '';
	my $number = 0;

	$node->safe_psql('postgres', "CREATE DATABASE $database") if $database ne 'postgres';
	command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-o', '/dev/null', '-f', "$root/$_" ], "$_ runs") for @{ $is{after} // [] };
	while ($text =~ /^```sql\n(.*?)^```\n(?:\s*^```text\n(.*?)^```$)?/gms)
	{
		my ($sql, $expected) = ($1, $2);
		my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
		my ($out, $err) = ('', '');
		my @command = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database));

		$number++;
		# a session's settings last for the blocks that follow
		$session .= join '', $sql =~ /^SET [^;]*;\n/gm;
		my $ok = IPC::Run::run(\@command, '<', \"$session$sql", '>', \$out, '2>', \$err);
		# in which zone days are cut is told
		$err =~ s/^NOTICE:  days (?:are|of source \S+ are) cut in time zone .*\nDETAIL:.*\nHINT:.*\n//mg;
		is($err, '', "$path line $line runs") or diag $sql;
		if (defined $expected)
		{
			s/[ \t]+$//gm, s/\n+\z/\n/ for $out, $expected;
			is($out, $expected, "$path line $line prints what it says");
		}
	}
	cmp_ok($number, '>=', $least, "$path has SQL");
	is($node->safe_psql($database, q{SELECT v.* FROM kpi.source s, kpi.verify(s.name) v}), '', "$path: numbers are exact");
	$node->stop;
	return;
}

runs('README.md', 6);
runs('doc/dbt.md', 8);
# its goal is for a period that is not over
runs('doc/formulas.md', 5, conf => ["kpi.now = '2026-03-31 18:00:00+00'"]);
runs('doc/git.md', 6);
runs('doc/operations.md', 8);
# on the CRM of the demo
runs('doc/goals.md', 18, database => 'crm', after => [ 'test/demo/crm.sql', 'test/demo/week.sql' ]);
done_testing();
