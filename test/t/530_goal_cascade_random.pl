# kpi.cascade() on random trees: parts sum exactly, whoever weighs more never gets less, and
# the order in which people and facts were made does not matter.
#
# KPI_SEED repeats a run, KPI_ROUNDS sets how many trees there are.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{KPI_SEED} || time;
my $rounds = $ENV{KPI_ROUNDS} || 6;
my $node = new_node('cascade');

note "seed $seed";
srand($seed);

# What parts should be: the largest remainder, of equals the first by key and period; and in the order of weights.
my $setup = q{
SET client_min_messages = warning;
CREATE EXTENSION pg_kpi;
CREATE TABLE deals (id integer PRIMARY KEY, owner text, day date, amount numeric(12,2));
CREATE TABLE part (cut integer, n integer GENERATED ALWAYS AS IDENTITY, total numeric, step numeric, key text, period text, weight numeric, target numeric, action text);
CREATE VIEW wrong AS
    WITH exact AS (    -- without a quotient, which would be rounded: div and mod are exact
             SELECT p.*, div(total / step * weight, sum(weight) OVER w) AS whole, mod(total / step * weight, sum(weight) OVER w) AS rest
               FROM part p WINDOW w AS (PARTITION BY cut)),
         given AS (SELECT e.*, row_number() OVER (PARTITION BY cut ORDER BY rest DESC, key COLLATE "C", n) AS place,
                          total / step - sum(whole) OVER (PARTITION BY cut) AS left_over FROM exact e)
    SELECT cut, concat_ws(' ', 'part', key, period, target, 'and not', (whole + (place <= left_over)::integer) * step) AS what
      FROM given WHERE target <> (whole + (place <= left_over)::integer) * step
    UNION ALL SELECT cut, concat_ws(' ', 'sum', sum(target), 'and not', max(total)) FROM part GROUP BY cut HAVING sum(target) <> max(total)
    UNION ALL SELECT a.cut, concat_ws(' ', a.key, a.weight, a.target, 'but', b.key, b.weight, b.target)
      FROM part a JOIN part b ON b.cut = a.cut AND b.weight > a.weight AND b.target < a.target;
};
$node->safe_psql('postgres', $setup);

sub shuffled { return map { $_->[0] } sort { $a->[1] <=> $b->[1] } map { [ $_, rand ] } @_; }

# One tree: made in two orders of everything, it is cut the same.
for my $round (1 .. $rounds)
{
	my @teams = map { "t$_" } 1 .. 2 + int(rand(4));
	my %below = map { $teams[$_] => $_ > 1 && rand() < 0.5 ? $teams[ int(rand($_)) ] : 'company' } 0 .. $#teams;
	my @members = map { "m$_" } 1 .. 3 + int(rand(12));
	my %joins = map { $_ => $teams[ int(rand(@teams)) ] } @members;
	my %since = map { $_ => rand() < 0.3 ? sprintf("since => '2026-%02d-%02d'", 10 + int(rand(3)), 1 + int(rand(28))) : '' } @members;
	my %moves = map { $_ => [ $teams[ int(rand(@teams)) ], sprintf('2026-%02d-%02d', 10 + int(rand(3)), 2 + int(rand(27))) ] } grep { rand() < 0.3 && $since{$_} eq '' } @members;
	# whoever comes or moves leaves after that
	my %ends = map { $_ => sprintf('2026-12-%02d', $since{$_} ne '' || $moves{$_} ? 29 + int(rand(3)) : 2 + int(rand(25))) } grep { rand() < 0.2 } @members;
	my @facts = map { sprintf("('%s', date '2025-01-01' + %d, %.2f)", $members[ int(rand(@members)) ], int(rand(630)), rand(1000)) } 1 .. 30 * @members;
	my $step = (0.01, 0.05, 1, 0.01)[ int(rand(4)) ];
	my $target = $step * (1 + int(rand(1000000)));
	my $over = (1, 1.08, 1.333)[ int(rand(3)) ];
	my @weights = map { (0, 1, 1, 2, 3.7, 10)[ int(rand(6)) ] } @members;
	my $weights = join(', ', map { qq("$members[$_]": ) . ($_ == 0 ? 1 : $weights[$_]) } 0 .. $#members);
	my $first;

	for my $order (0, 1)
	{
		my @made = $order ? shuffled(@members) : @members;
		my $sql = "SET client_min_messages = warning; SET kpi.now = '2026-11-10 12:00:00+00'; TRUNCATE part, deals;\n";

		$sql .= "SELECT kpi.create_team('$_', parent => '$below{$_}');\n" for @teams;
		$sql .= "SELECT kpi.add_member('$_', " . join(', ', grep { $_ ne '' } "team => '$joins{$_}'", $since{$_}) . ");\n" for @made;
		$sql .= "SELECT kpi.move_member('$_', team => '$moves{$_}[0]', since => '$moves{$_}[1]');\n" for grep { $moves{$_} } @made;
		$sql .= "SELECT kpi.end_membership('$_', until => '$ends{$_}');\n" for grep { $ends{$_} } @made;
		$sql .= "SELECT kpi.set_ramp('{0.25, 0.5, 0.75}');\n";
		$sql .= "SELECT kpi.create_source('deals', relation => 'deals', key => 'id', owner => 'owner', at => 'day');\n";
		$sql .= "SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)');\n";
		$sql .= 'INSERT INTO deals SELECT row_number() OVER (), v.* FROM (VALUES ' . join(', ', $order ? shuffled(@facts) : @facts) . ") v;\nCALL kpi.refresh();\n";
		$sql .= "SELECT kpi.create_goal('g', kpi => 'revenue', period => '2026-Q4', target => $target);\n";
		my $cut = 0;
		for my $how ("'members', by => 'history'", "'members', by => 'capacity'", "'members', by => 'equal'", "'members', by => '{$weights}'",
			"'teams', by => 'history'", "'teams', by => 'equal'", "'months', by => 'season'", "'weeks', by => 'capacity'")
		{
			$cut++;
			$sql .= "INSERT INTO part (cut, total, step, key, period, weight, target, action) SELECT $cut, round($target * $over / $step) * $step, $step,"
				. " coalesce(c.member, c.team), c.period, c.weight, c.target, c.action"
				. " FROM kpi.cascade('g', across => $how, step => $step, over_assign => $over, dry_run => true) c WHERE c.weight IS NOT NULL;\n";
		}
		my $label = "tree $round of seed $seed, order $order";

		$node->safe_psql('postgres', $sql);
		is($node->safe_psql('postgres', 'SELECT DISTINCT cut FROM part ORDER BY 1'), join("\n", 1 .. $cut), "$label: all is cut");
		is($node->safe_psql('postgres', 'SELECT * FROM wrong LIMIT 10'), '', "$label: sums, remainders and weights");
		my $rows = $node->safe_psql('postgres', q{SELECT cut, key, period, round(weight, 6), target FROM part ORDER BY cut, key COLLATE "C", period});

		is($rows, $first, "$label: as in the other order") if $order;
		$first = $rows;
		$node->safe_psql('postgres', "SET client_min_messages = warning; SELECT kpi.drop_source('deals', cascade => true); SELECT kpi.set_ramp(NULL);"
			. join('', map { "SELECT kpi.drop_member('$_');" } @members) . join('', map { "SELECT kpi.drop_team('$_');" } reverse @teams));
	}
}

$node->stop;
done_testing();
