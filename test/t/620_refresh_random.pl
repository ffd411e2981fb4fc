# A random stream of everything users do: facts inserted, updated, deleted and
# truncated, in transactions with savepoints and rollbacks, refreshes anywhere,
# members and teams that move, KPIs and goals that come and go.  After each
# round every number must be that of plain SQL.
#
# KPI_SEED repeats a run, KPI_ROUNDS sets its length.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = srand($ENV{KPI_SEED} || time);
my $rounds = $ENV{KPI_ROUNDS} || 30;
my $node = new_node('random');
my %active = map { $_ => 1 } qw(revenue won win_rate size created spend per_won);
my @teams = qw(emea dach uk apac);
my @members = qw(alice bob carol dave erin);
# What KPIs may be altered to, and the facts that count then.
my $of_deals = 'SELECT owner_id, closed_at, product, 1, NULL FROM crm.deals';
my %original = map { $_ => $KPI{$_}{facts} } keys %KPI;
my @alterations = (
	[ 'won', q{filter => $$stage = 'lost'$$}, "$of_deals WHERE stage = 'lost'" ],
	[ 'won', q{filter => ''}, $of_deals ],
	[ 'won', q{filter => $$stage = 'won'$$}, $original{won} ],
	[ 'created', q{at => 'closed_at'}, $of_deals ],
	[ 'created', q{at => 'created_at'}, $original{created} ],
	[ 'sourced', q{owner => 'owner_id'}, $original{sourced} =~ s/sdr_id/owner_id/r ],
	[ 'sourced', q{owner => 'sdr_id'}, $original{sourced} ],
	[ 'size', q{measure => 'avg(quantity)'},
		'SELECT owner_id, closed_at, product, quantity, 1 FROM crm.deals WHERE quantity IS NOT NULL' ],
	[ 'size', q{measure => 'avg(amount)'}, $original{size} ]);
my $team_number = 0;
my $goal_number = 0;

note "seed $seed";
create_company($node, 'postgres', kpis => [ keys %active ]);

for my $round (1 .. $rounds)
{
	my $script = round();
	my ($out, $err);

	$node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0, on_error_die => 0);
	my @unexpected = grep { /ERROR|FATAL|PANIC|WARNING/ && !expected_error($_) } split /\n/, $err;
	my $ok = is("@unexpected", '', "round $round: only errors that were asked for");
	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	$ok = is_exact($node, 'postgres', "round $round", grep { $active{$_} } keys %active) && $ok;
	$ok = is($node->safe_psql('postgres', goal_difference()), '', "round $round: goals have their KPI's value") && $ok;
	if (!$ok)
	{
		diag "KPI_SEED=$seed repeats it; the script of round $round:\n$script";
		diag $node->safe_psql('postgres', q{SELECT source, status, reason FROM kpi.source_status;
			SELECT name, kind FROM kpi.kpi ORDER BY id});
		last;
	}
}

$node->stop;
done_testing();

sub pick { return $_[ rand @_ ]; }
sub chance { return rand() < $_[0]; }

# A move into an own subteam, a team dropped with members, a second goal of the
# same kind: refused, as the stream does not know what is there.  Goals for
# what is past, and of rates above 1, are warned of.
sub expected_error
{
	return $_[0] =~ /ERROR:  (?:member|team) "|ERROR:  there is already a goal|WARNING:  (?:period|target) /;
}

sub quoted
{
	return defined $_[0] ? "'$_[0]'" : 'NULL';
}

sub random_day
{
	return sprintf '%d-%02d-%02d', 2025 + rand 2, 1 + rand 12, 1 + rand 28;
}

sub random_time
{
	return 'NULL' if chance(0.1);
	return q{'infinity'} if chance(0.01);
	return sprintf q{'%s %s+00'}, random_day(), pick('00:00:00', '23:59:59.999999', '12:34:56', '00:00:00.000001');
}

sub random_amount
{
	return 'NULL' if chance(0.1);
	return pick(q{'NaN'}, q{'Infinity'}, q{'-Infinity'}) if chance(0.03);
	return pick('1e30', '-1e30', '1e-20', '123456789012345678901234567890.123456789', '0') if chance(0.05);
	return sprintf '%.*f', int rand 5, rand(20000) - 2000;
}

sub random_value
{
	my ($column) = @_;

	return quoted(pick(@members, 'nobody', 'zoe', '', undef)) if $column =~ /^(owner_id|sdr_id)$/;
	return quoted(pick(qw(open won won lost))) if $column eq 'stage';
	return random_amount() if $column eq 'amount';
	return chance(0.1) ? 'NULL' : int rand 10 if $column eq 'quantity';
	return quoted(pick('p1', 'p2', 'a longer name, with a comma', '', undef)) if $column eq 'product';
	return random_time() if $column eq 'closed_at';
	return sprintf q{'%s 10:00+00'}, random_day();    # created_at
}

sub write_facts
{
	my @columns = qw(owner_id sdr_id stage amount quantity product created_at closed_at);
	my $modulus = pick(2, 3, 7, 50);
	my $some = sprintf 'id %% %d = %d', $modulus, rand $modulus;
	my $what = rand;

	if ($what < 0.4)
	{
		my @rows = map { '(' . join(', ', map { random_value($_) } @columns) . ')' } 1 .. 1 + rand 12;
		return 'INSERT INTO crm.deals (' . join(', ', @columns) . ") VALUES\n" . join(",\n", @rows) . ';';
	}
	if ($what < 0.7)
	{
		my $column = pick(@columns);
		return "UPDATE crm.deals SET $column = " . random_value($column) . " WHERE $some;";
	}
	return "UPDATE crm.deals SET closed_at = closed_at + interval '1 month', amount = amount / 3 WHERE $some;"
	  if $what < 0.75;
	return "DELETE FROM crm.deals WHERE $some;" if $what < 0.83;
	return 'TRUNCATE crm.deals;' if $what < 0.835;
	return sprintf(q{INSERT INTO crm.costs (team, day, cost) VALUES (%s, %s, %s);},
		quoted(pick(@teams, 'company', 'no such team', undef)), quoted(random_day()), random_amount())
	  if $what < 0.95;
	return "UPDATE crm.costs SET cost = cost * 2 WHERE $some;" if $what < 0.98;
	return "DELETE FROM crm.costs WHERE $some;";
}

sub change_organisation
{
	my $what = rand;

	if ($what < 0.6)
	{
		return sprintf q{SELECT kpi.move_member('%s', team => '%s', since => '%s');},
		  pick(@members), pick(@teams, 'company'), random_day();
	}
	if ($what < 0.75)
	{
		return sprintf q{SELECT kpi.move_team('%s', parent => '%s', since => '%s');},
		  pick(@teams), pick(@teams, 'company'), random_day();
	}
	return sprintf q{SELECT kpi.end_membership('%s', until => '%s');}, pick(@members), random_day()
	  if $what < 0.8;
	if ($what < 0.87)
	{
		$team_number++;
		push @teams, "team$team_number";
		return sprintf q{SELECT kpi.create_team('team%d', parent => '%s');}, $team_number, pick('company', 'emea', 'uk');
	}
	return sprintf q{SELECT kpi.drop_member('%s');}, pick(@members) if $what < 0.9;
	return sprintf q{SELECT kpi.add_member('%s', team => '%s');}, pick(@members, 'nobody', 'zoe'), pick(@teams);
}

# KPIs are created and dropped outside of transactions, as this side keeps
# track of which there are.
sub change_kpis
{
	my $kpi = pick(sort keys %KPI);

	if ($active{$kpi})
	{
		return '' if keys %active < 4;
		return '' if grep { $active{$_} && grep { $_ eq $kpi } @{ $KPI{$_}{quotient} // [] } } keys %KPI;
		delete $active{$kpi};
		return "SELECT kpi.drop_goal(id) FROM kpi.goal WHERE kpi_id = (SELECT id FROM kpi.kpi WHERE name = '$kpi');\n"
		  . "SELECT kpi.drop_kpi('$kpi');";
	}
	return '' if grep { !$active{$_} } @{ $KPI{$kpi}{quotient} // [] };
	$active{$kpi} = 1;
	$KPI{$kpi}{facts} = $original{$kpi};
	return "SELECT kpi.create_kpi('$kpi', $KPI{$kpi}{create});";
}

# What a KPI, its source or the calendar means changes under the facts.
sub change_meaning
{
	my $what = rand;

	if ($what < 0.6)
	{
		my ($kpi, $argument, $facts) = @{ pick(@alterations) };
		return '' if !$active{$kpi};
		$KPI{$kpi}{facts} = $facts;
		return "SELECT kpi.alter_kpi('$kpi', $argument);";
	}
	if ($what < 0.8)
	{
		my $filter = pick('', q{quantity > 3}, q{product IS DISTINCT FROM 'p2'});
		$deals = $filter ? "(SELECT * FROM crm.deals WHERE $filter) AS deals" : 'crm.deals';
		return "SELECT kpi.alter_source('deals', filter => \$\$$filter\$\$);";
	}
	if ($what < 0.9)
	{
		$time_zone = pick('UTC', 'America/New_York', 'Asia/Tokyo');
		return "SELECT kpi.alter_calendar('default', time_zone => '$time_zone');";
	}
	$week_start = pick(0, 5, 6);
	return "SELECT kpi.alter_calendar('default', week_start => '" . (qw(monday . . . . saturday sunday))[$week_start] . "');";
}

sub change_goals
{
	my @kpis = grep { $active{$_} } sort keys %active;

	return 'SELECT kpi.drop_goal(id) FROM kpi.goal ORDER BY id LIMIT 1;' if chance(0.2);
	$goal_number++;
	return sprintf q{SELECT kpi.create_goal('goal %d', kpi => '%s', team => '%s', period => '%s', target => '%d');},
	  $goal_number, pick(@kpis), pick('company', 'emea', 'dach', 'uk', 'apac'),
	  pick('2025', '2026', '2025-Q3', '2026-Q1', '2026-05', '2025-12'), 1 + rand 1000;
}

sub transaction
{
	my @script = ('BEGIN;');
	my @savepoints;

	for (1 .. 3 + rand 12)
	{
		if (chance(0.2))
		{
			push @savepoints, 's' . scalar @savepoints;
			push @script, "SAVEPOINT $savepoints[-1];";
		}
		elsif (@savepoints && chance(0.25))
		{
			push @script, (chance(0.6) ? 'ROLLBACK TO ' : 'RELEASE ') . $savepoints[-1] . ';';
			pop @savepoints if $script[-1] =~ /^RELEASE/;
		}
		elsif (chance(0.08))
		{
			push @script, 'CALL kpi.refresh();';
		}
		elsif (chance(0.08))
		{
			push @script, change_organisation();
		}
		else
		{
			push @script, write_facts();
		}
	}
	return @script, (chance(0.75) ? 'COMMIT;' : 'ROLLBACK;');
}

sub round
{
	my @script = ('\set ON_ERROR_ROLLBACK on');

	push @script, "SET kpi.buffer_size = '64kB';" if chance(0.3);
	for (1 .. 4 + rand 10)
	{
		my $what = rand;

		push @script, transaction() if $what < 0.3;
		push @script, write_facts() if $what >= 0.3 && $what < 0.65;
		push @script, 'CALL kpi.refresh();' if $what >= 0.65 && $what < 0.73;
		push @script, change_organisation() if $what >= 0.73 && $what < 0.85;
		push @script, change_kpis() if $what >= 0.85 && $what < 0.93;
		push @script, change_meaning() if $what >= 0.93 && $what < 0.96;
		push @script, change_goals() if $what >= 0.96;
	}
	return join "\n", @script;
}

# Goals of a team and a period, against the values of the same KPI there.
sub goal_difference
{
	return q{
	SELECT g.goal, g.actual, v.value FROM kpi.goal_progress g
		 LEFT JOIN (SELECT kpi, team, grain, period_start, value FROM kpi.team_monthly
					UNION ALL SELECT kpi, team, grain, period_start, value FROM kpi.team_quarterly
					UNION ALL SELECT kpi, team, grain, period_start, value FROM kpi.team_yearly) v
		 USING (kpi, team, grain, period_start)
	WHERE g.actual IS DISTINCT FROM v.value AND NOT (v.value IS NULL AND g.actual = 0)};
}
