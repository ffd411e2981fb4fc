# Every SQL block of the README, run in its order against a fresh database.  A
# block followed by a text block prints just that.
use strict;
use warnings FATAL => 'all';

use FindBin;
use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file("$FindBin::Bin/../../README.md");
my $node = new_node('readme');
my $session = '';
my $number = 0;

while ($readme =~ /^```sql\n(.*?)^```\n(?:\s*^```text\n(.*?)^```$)?/gms)
{
	my ($sql, $expected) = ($1, $2);
	my $line = 1 + (substr($readme, 0, $-[0]) =~ tr/\n//);
	my ($out, $err) = ('', '');
	my @command = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'));

	$number++;
	# a session's settings last for the blocks that follow
	$session .= join '', $sql =~ /^SET [^;]*;\n/gm;
	my $ok = IPC::Run::run(\@command, '<', \"$session$sql", '>', \$out, '2>', \$err);
	is($err, '', "README.md line $line runs") or diag $sql;
	if (defined $expected)
	{
		s/[ \t]+$//gm, s/\n+\z/\n/ for $out, $expected;
		is($out, $expected, "README.md line $line prints what it says");
	}
}
cmp_ok($number, '>', 5, 'the README has SQL');
is($node->safe_psql('postgres', q{SELECT v.* FROM kpi.source s, kpi.verify(s.name) v}), '', 'and its numbers are exact');

$node->stop;
done_testing();
