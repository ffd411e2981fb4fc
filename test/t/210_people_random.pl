# A random organisation: members and teams that come, go, move, are merged and
# renamed, members that are known by other keys as well,
# mostly on the same few days so that their dates touch, calendars with other
# weeks, years, holidays and working days, and goals.  What belongs where is
# kept here day by day and not read from pg_kpi, which must accept and refuse
# the same, and have the numbers, ancestors and goals that plain SQL has.
#
# KPI_SEED repeats a run, KPI_ROUNDS sets its length.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = srand($ENV{KPI_SEED} || time);
my $rounds = $ENV{KPI_ROUNDS} || 20;
my $node = new_node('people', 'jit = off');

# Days are numbers from 2025-01-01 on; the first stands for all before it, too.
my $ndays = 820;
my @marks = map { 20 + int rand($ndays - 40) } 1 .. 5;
# Per team its parent on each day, per member its team on each day or undef.
my %parent;
my %team_of;
# Per source ('': all) and key of owners whose it is.
my %alias;
my %calendar = (
	default => { week_start => 1, year_start => 1, working => [ 1 .. 5 ], holidays => {} },
	berlin => { week_start => 7, year_start => 7, working => [ 1 .. 5 ], holidays => {} },
	gulf => { week_start => 6, year_start => 4, working => [ 1, 2, 3, 4, 7 ], holidays => {} });
# Per member the days on which memberships end whose later facts count for the team.
my %keeps;
my %team_calendar;
my %has_goal;    # "team x", "member y"
my $today = 400;
my $number = 10;    # of keys given here; those of set_up() are below
my @weekday = (undef, qw(monday tuesday wednesday thursday friday saturday sunday));

note "seed $seed";
set_up();
for my $round (1 .. $rounds)
{
	$today = pick(@marks) + pick(-1, 0, 0, 1) if chance(0.5);
	$node->safe_psql('postgres', sprintf q{ALTER DATABASE postgres SET kpi.now = '%s %s+00'}, day($today), pick('12:00', '22:30'));
	last if !round($round);
}
$node->stop;
done_testing();

sub pick { return $_[ rand @_ ]; }
sub chance { return rand() < $_[0]; }
# In an order that the seed alone decides.
sub teams { return sort keys %parent; }
sub members { return sort keys %team_of; }
sub alias_keys { my %k = map { map { $_ => 1 } keys %$_ } values %alias; return sort keys %k; }
sub day { return $_[0] <= 0 ? '-infinity' : $_[0] >= $ndays ? 'infinity' : date($_[0]); }

sub date
{
	my @t = gmtime(1735689600 + 86400 * $_[0]);
	return sprintf '%d-%02d-%02d', $t[5] + 1900, $t[4] + 1, $t[3];
}

# Where things happen.
sub random_day
{
	return 1 + int rand($ndays - 2) if chance(0.1);
	return pick(@marks) + pick(-1, 0, 0, 0, 1);
}

sub set_up
{
	$node->safe_psql(
		'postgres', q{
		CREATE EXTENSION pg_kpi;
		CREATE SCHEMA o;
		CREATE TABLE o.facts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner text, at timestamptz, amount numeric, kind text);
		CREATE TABLE o.budget (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, team text, day date, amount numeric);
		SELECT kpi.create_calendar('berlin', 'Europe/Berlin', week_start => 'sunday', fiscal_year_start => 7);
		SELECT kpi.create_calendar('gulf', 'Asia/Dubai', week_start => 'saturday', fiscal_year_start => 4, working_days => 'sun,mon,tue,wed,thu');
		SELECT kpi.create_source('facts', relation => 'o.facts', key => 'id', owner => 'owner', at => 'at', calendar => 'berlin');
		SELECT kpi.create_source('budget', relation => 'o.budget', key => 'id', team => 'team', at => 'day');
		SELECT kpi.create_kpi('gain', source => 'facts', measure => 'sum(amount)', filter => $$kind = 'a'$$);
		SELECT kpi.create_kpi('cost', source => 'facts', measure => 'sum(amount)', filter => $$kind = 'b'$$, direction => 'down');
		SELECT kpi.create_kpi('mean', source => 'facts', measure => 'avg(amount)');
		SELECT kpi.create_kpi('gain_now', source => 'facts', measure => 'sum(amount)', filter => $$kind = 'a'$$, credit => 'today');
		SELECT kpi.create_kpi('budget_now', source => 'budget', measure => 'sum(amount)', direction => 'down', credit => 'today');
		SELECT kpi.create_kpi('net', formula => 'gain - cost');
		SELECT kpi.create_kpi('budget', source => 'budget', measure => 'sum(amount)', direction => 'down');
		-- What a statement does, or which error it raises, in one session.
		CREATE FUNCTION o.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
		BEGIN
			EXECUTE statement;
			RETURN 'done';
		EXCEPTION WHEN OTHERS THEN
			RETURN 'refused: ' || SQLERRM;
		END $$;
		CREATE TABLE o.membership (member text, since date, until date, team text);
		CREATE TABLE o.alias (key text, member text);
		-- the same with the days on which facts of who has left still count for the last team
		CREATE TABLE o.credited (member text, since date, until date, team text);
		CREATE TABLE o.parent (team text, since date, until date, parent text);
		CREATE TABLE o.calendar (name text, week_start int, year_start int, working int[]);
		CREATE TABLE o.holiday (calendar text, day date);
		CREATE TABLE o.team_calendar (team text, calendar text);
		CREATE TABLE o.number (kpi text, scope text, key text, grain text, start date, value numeric, to_date numeric);
		-- The day of a KPI, in its source's calendar.
		CREATE FUNCTION o.today(kpi text) RETURNS date LANGUAGE sql STABLE AS $$
			SELECT (current_setting('kpi.now')::timestamptz AT TIME ZONE CASE WHEN kpi LIKE 'budget%' THEN 'UTC' ELSE 'Europe/Berlin' END)::date $$;
		-- The first day of a period, and the day after it.
		CREATE FUNCTION o.begins(grain text, day date, week_start int, year_start int) RETURNS date LANGUAGE sql IMMUTABLE AS $$
			SELECT CASE grain WHEN 'day' THEN day
				WHEN 'week' THEN day - (extract(isodow FROM day)::int - week_start + 7) % 7
				WHEN 'month' THEN date_trunc('month', day::timestamp)::date
				ELSE (date_trunc(grain, date_trunc('month', day::timestamp) - make_interval(months => year_start - 1))
					  + make_interval(months => year_start - 1))::date END $$;
		CREATE FUNCTION o.ends(grain text, start date) RETURNS date LANGUAGE sql AS $$
			SELECT (start + CASE grain WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || grain)::interval END)::date $$;
		CREATE FUNCTION o.workdays(first date, last date, calendar text) RETURNS int LANGUAGE sql STABLE AS $$
			SELECT count(*)::int FROM o.calendar c, generate_series(first::timestamp, last, '1 day') d
			WHERE c.name = calendar AND extract(isodow FROM d)::int = ANY (c.working)
				  AND NOT EXISTS (SELECT FROM o.holiday h WHERE h.calendar = c.name AND h.day = d::date) $$});
	$parent{company} = [];
	my @script = map { create_team("t$_") } 1 .. 5;
	push @script, map { add_member("m$_") } 1 .. 6;
	$node->safe_psql('postgres', join '', map { "$_->[0];\n" } grep { !$_->[1] } @script);
	return;
}

# ---- the organisation: [ statement, whether it must be refused ] ----

# The first day after this one on which something else begins, as it is kept:
# what touches and is the same is one.
sub next_start
{
	my ($line, $day) = @_;

	for my $d ($day + 1 .. $ndays - 1)
	{
		next if !defined $line->[$d];
		return $d if !defined $line->[ $d - 1 ] || $line->[ $d - 1 ] ne $line->[$d];
	}
	return $ndays;
}

sub set_days
{
	my ($line, $since, $until, $value) = @_;

	$line->[$_] = $value for $since .. $until - 1;
	return;
}

sub is_cyclic
{
	for my $d (0 .. $ndays - 1)
	{
		for my $team (teams())
		{
			my ($at, $steps) = ($team, 0);

			while ($at ne 'company')
			{
				$at = $parent{$at}[$d];
				return 1 if ++$steps > keys %parent;
			}
		}
	}
	return 0;
}

sub create_team
{
	my $key = shift // 't' . ++$number;
	my $under = pick(teams());
	my $since = chance(0.5) ? 0 : random_day();

	$parent{$key} = [ ('company') x $ndays ];
	set_days($parent{$key}, $since, $ndays, $under);
	return [ sprintf(q{SELECT kpi.create_team('%s', parent => '%s', since => '%s')}, $key, $under, day($since)), 0 ];
}

# A team whose parent comes after it.
sub create_two_teams
{
	my ($first, $second) = ('t' . ++$number, 't' . ++$number);
	my $under = pick(teams());
	my $since = chance(0.5) ? 0 : random_day();

	$parent{$_} = [ ('company') x $ndays ] for $first, $second;
	set_days($parent{$first}, $since, $ndays, $second);
	set_days($parent{$second}, 0, $ndays, $under);
	return [ sprintf(q{SELECT kpi.create_team('%s', parent => '%s', since => '%s'), kpi.create_team('%2$s', parent => '%4$s')}, $first, $second, day($since), $under), 0 ];
}

sub move_team
{
	my ($key, $under) = (pick(grep { $_ ne 'company' } teams()), pick(teams()));
	my $always = chance(0.1);
	my $since = $always ? 0 : random_day();
	my @before = @{ $parent{$key} };

	set_days($parent{$key}, $since, $always ? $ndays : next_start(\@before, $since), $under);
	my $refused = is_cyclic();
	$parent{$key} = \@before if $refused;
	return [ sprintf(q{SELECT kpi.move_team('%s', parent => '%s'%s)}, $key, $under, $always ? '' : ", since => '" . day($since) . "'"), $refused ];
}

sub drop_team
{
	my $key = pick(grep { $_ ne 'company' } teams());
	my $refused = $has_goal{"team $key"} ? 1 : 0;

	for my $line (map { @$_ } [ map { $parent{$_} } grep { $_ ne $key } teams() ], [ values %team_of ])
	{
		$refused = 1 if grep { defined $_ && $_ eq $key } @$line;
	}
	if (!$refused)
	{
		delete $parent{$key};
		delete $team_calendar{$key};
	}
	return [ "SELECT kpi.drop_team('$key')", $refused ];
}

sub add_member
{
	my ($key) = @_;
	my $team = pick(teams());
	my ($since, $until) = sort { $a <=> $b } random_day(), random_day();
	my $refused = exists $team_of{$key} || $since == $until || grep({ $_ eq $key } alias_keys()) ? 1 : 0;

	$since = 0 if !$refused && chance(0.3);
	$until = $ndays if !$refused && chance(0.5);
	if (!$refused)
	{
		$team_of{$key} = [ (undef) x $ndays ];
		set_days($team_of{$key}, $since, $until, $team);
	}
	return [ sprintf(q{SELECT kpi.add_member('%s', team => '%s', since => '%s', until => '%s')}, $key, $team, day($since), day($until)), $refused ];
}

sub move_member
{
	my ($key, $team) = (pick(members()), pick(teams()));
	my $since = chance(0.1) ? 0 : random_day();
	my $until = chance(0.4) ? random_day() : undef;
	my $next = next_start($team_of{$key}, $since);
	my $refused = defined $until && ($until <= $since || $next < $until) ? 1 : 0;

	if (!$refused)
	{
		forget_ends($key, $since, $until // $next);
		# joined with what ends on that day, if that is of the same team
		delete $keeps{$key}{$since} if $since > 0 && ($team_of{$key}[ $since - 1 ] // '') eq $team;
		set_days($team_of{$key}, $since, $until // $next, $team);
	}
	return [ sprintf(q{SELECT kpi.move_member('%s', team => '%s', since => '%s'%s)}, $key, $team, day($since),
			defined $until ? ", until => '" . day($until) . "'" : ''), $refused ];
}

# Memberships that end within these days, or with them, do so no more.
sub forget_ends
{
	my ($key, $since, $until) = @_;

	delete $keeps{$key}{$_} for grep { $_ > $since && $_ <= $until } keys %{ $keeps{$key} };
	return;
}

sub end_membership
{
	my $key = pick(members());
	my $until = random_day();
	my $later = pick(undef, 'unassigned', 'last_team', 'last_team');
	my $line = $team_of{$key};
	my $team = $line->[ $until - 1 ];

	if (defined $team)
	{
		my $end = $until;

		$line->[ $end++ ] = undef while $end < $ndays && defined $line->[$end] && $line->[$end] eq $team;
		forget_ends($key, $until, $end);
		delete $keeps{$key}{$until};
		$keeps{$key}{$until} = 1 if ($later // '') eq 'last_team';
	}
	return [ sprintf(q{SELECT kpi.end_membership('%s', until => '%s'%s)}, $key, day($until),
			defined $later ? ", later_facts => '$later'" : ''), defined $team ? 0 : 1 ];
}

sub drop_member
{
	my $key = pick(members());
	my $refused = $has_goal{"member $key"} ? 1 : 0;

	if (!$refused)
	{
		delete $team_of{$key};
		for my $of (values %alias)
		{
			delete @$of{ grep { $of->{$_} eq $key } keys %$of };
		}
		delete $keeps{$key};
	}
	return [ "SELECT kpi.drop_member('$key')", $refused ];
}

sub add_alias
{
	my ($key, $member) = (pick("a" . ++$number, 'ghost', "m$number", alias_keys(), pick(members())), pick(members()));
	my $source = pick('', 'facts', 'facts', 'budget');
	my $refused = exists $team_of{$key} ? 1 : 0;

	for my $other ('', 'facts', 'budget')
	{
		$refused = 1 if exists $alias{$other}{$key} && ($other eq '' || $source eq '' || $source eq $other);
	}
	$alias{$source}{$key} = $member if !$refused;
	return [ sprintf(q{SELECT kpi.add_alias('%s', alias => '%s'%s)}, $member, $key, $source ? ", source => '$source'" : ''), $refused ];
}

sub drop_alias
{
	my ($key, $source) = (pick('ghost', alias_keys(), alias_keys()), pick('', '', 'facts', 'budget'));
	my @of = grep { exists $alias{$_}{$key} } $source ? $source : ('', 'facts', 'budget');

	delete $alias{$_}{$key} for @of;
	return [ sprintf(q{SELECT kpi.drop_alias('%s'%s)}, $key, $source ? ", source => '$source'" : ''), @of ? 0 : 1 ];
}

sub merge_member
{
	my ($key, $into) = (pick(members()), pick(members()));
	my $goals = pick('move', 'move', 'drop');
	my $refused = $key eq $into ? 1 : 0;

	if (!$refused)
	{
		delete $team_of{$key};
		for my $of (values %alias)
		{
			$_ = $into for grep { $_ eq $key } values %$of;
		}
		$alias{''}{$key} = $into;
		my $had_goal = delete $has_goal{"member $key"};
		$has_goal{"member $into"} = 1 if $had_goal && $goals eq 'move';
	}
	return [ "SELECT kpi.merge_member('$key', into_member => '$into', goals => '$goals')", $refused ];
}

sub rename_one
{
	my ($what, $of) = chance(0.5) ? ('member', \%team_of) : ('team', \%parent);
	my $key = pick(grep { $_ ne 'company' } sort keys %$of);
	my $new = ($what eq 'team' ? 't' : 'm') . ++$number;

	$of->{$new} = delete $of->{$key};
	if ($what eq 'member')
	{
		for my $of_source (values %alias)
		{
			$_ = $new for grep { $_ eq $key } values %$of_source;
		}
	}
	$has_goal{"$what $new"} = delete $has_goal{"$what $key"};
	$keeps{$new} = delete $keeps{$key} if $what eq 'member';
	if ($what eq 'team')
	{
		$team_calendar{$new} = delete $team_calendar{$key};
		for my $line (values %parent, values %team_of)
		{
			$_ = $new for grep { defined $_ && $_ eq $key } @$line;
		}
	}
	return [ "SELECT kpi.alter_$what('$key', new_key => '$new')", 0 ];
}

# ---- calendars; undef: whether it is refused follows from the goals ----

sub change_calendar
{
	my $name = pick(sort keys %calendar);
	my $calendar = $calendar{$name};
	my $what = rand;

	if ($what < 0.4)
	{
		my $day = date(random_day());
		my $is = $calendar->{holidays}{$day};

		$is ? delete $calendar->{holidays}{$day} : ($calendar->{holidays}{$day} = 1);
		return [ $is ? "SELECT kpi.drop_holiday('$day', '$name')" : "SELECT kpi.add_holiday('$day', 'x', '$name')", 0 ];
	}
	if ($what < 0.7)
	{
		my $team = pick(teams());
		my $own = pick(undef, sort keys %calendar);

		$team_calendar{$team} = $own;
		return [ sprintf(q{SELECT kpi.alter_team('%s', calendar => '%s')}, $team, $own // ''), 0 ];
	}
	if ($what < 0.8)
	{
		my @days = sort grep { chance(0.7) } 1 .. 7;

		@days = (3) if !@days;
		$calendar->{working} = \@days;
		return [ sprintf(q{SELECT kpi.alter_calendar('%s', working_days => '%s')}, $name, join ',', map { $weekday[$_] } @days), 0 ];
	}
	my ($what_starts, $value) = $what < 0.9 ? ('week_start', 1 + int rand 7) : ('year_start', pick(1, 2, 4, 7, 10, 12));
	my $argument = $what_starts eq 'week_start' ? "week_start => '$weekday[$value]'" : "fiscal_year_start => $value";
	return [ "SELECT kpi.alter_calendar('$name', $argument)", $name eq 'default' ? undef : 0,
		sub { $calendar->{$what_starts} = $value } ];
}

sub change_goal
{
	if (chance(0.3))
	{
		%has_goal = ();
		return [ 'SELECT kpi.drop_goal(id) FROM kpi.goal', 0 ];
	}
	my $scope = pick('team', 'team', 'member');
	my $key = pick($scope eq 'team' ? teams() : members());
	my $kpi = pick(qw(gain gain_now cost mean net), $scope eq 'team' ? qw(budget budget_now) : ());
	my $grain = pick($scope eq 'team' ? 'week' : (), qw(month quarter year));

	$number++;
	$has_goal{"$scope $key"} = 1;
	return [ sprintf(q{SELECT kpi.create_goal('g%d', kpi => '%s', %s => '%s', period => kpi.period_name('%s', '%s'), target => %.2f, plan => '%d', pace => 'workdays')},
			$number, $kpi, $scope, $key, date(random_day()), $grain, rand(3000) - 500, $number), 0 ];
}

sub write_facts
{
	my $what = rand;

	return [ sprintf('DELETE FROM o.facts WHERE id %% 3 = %d', rand 3), 0 ] if $what < 0.15;
	return [ sprintf(q{UPDATE o.facts SET owner = '%s' WHERE id %% 7 = %d}, pick(members()), rand 7), 0 ] if $what < 0.2;
	return [ 'INSERT INTO o.budget (team, day, amount) VALUES ' . join(', ', map {
			sprintf q{('%s', '%s', %d)}, pick(teams(), 'nowhere'), date(random_day()), rand 100 } 1 .. 4), 0 ] if $what < 0.4;
	return [ 'INSERT INTO o.facts (owner, at, amount, kind) VALUES ' . join(', ', map {
			sprintf q{(%s, '%s %s+00', %d, '%s')}, chance(0.05) ? 'NULL' : "'" . pick(members(), "m$number", 'ghost', alias_keys()) . "'",
			  date(random_day()), pick('00:00', '12:00', '21:59', '22:30', '23:59:59'), rand(1000) - 100, pick(qw(a b c)) } 1 .. 8), 0 ];
}

sub change
{
	my $what = rand;

	return write_facts() if $what < 0.25;
	return move_member() if $what < 0.42;
	return move_team() if $what < 0.53;
	return end_membership() if $what < 0.58;
	return add_alias() if $what < 0.63;
	return drop_alias() if $what < 0.65;
	return merge_member() if $what < 0.67 && keys %team_of > 3;
	return change_calendar() if $what < 0.76;
	return change_goal() if $what < 0.85;
	return chance(0.5) ? create_team() : create_two_teams() if $what < 0.88 && keys %parent < 9;
	return drop_team() if $what < 0.91 && keys %parent > 4;
	return add_member(pick("m" . ++$number, members(), 'ghost', alias_keys())) if $what < 0.95 && keys %team_of < 10;
	return drop_member() if $what < 0.97 && keys %team_of > 3;
	return rename_one();
}

# What a session sees between changes, so that its caches are warm.
sub look
{
	return [ 'SELECT count(kpi_internal.team_path(id)) FROM kpi.team', 0 ] if chance(0.5);
	return [ 'SELECT count(status) FROM kpi.goal_progress', 0 ];
}

# ---- a round ----

sub round
{
	my ($round) = @_;
	my @changes = map { (change(), chance(0.3) ? look() : (), chance(0.1) ? [ 'refresh', 0 ] : ()) } 1 .. 6 + rand 12;
	my $script = join '', map { $_->[0] eq 'refresh' ? "CALL kpi.refresh();\nSELECT 'done';\n" : "SELECT o.attempt(\$x\$$_->[0]\$x\$);\n" } @changes;
	my @results = split /\n/, $node->safe_psql('postgres', $script);
	my $ok = is(scalar @results, scalar @changes, "round $round: every statement has a result");

	for my $i (0 .. $#changes)
	{
		my ($statement, $refused, $apply) = @{ $changes[$i] };
		my $is_refused = $results[$i] ne 'done' ? 1 : 0;

		$refused //= $is_refused;
		$apply->() if $apply && !$is_refused;
		$ok = is($is_refused, $refused, "round $round: " . ($refused ? 'refused' : 'accepted')) && $ok;
		diag "$statement: $results[$i]" if $is_refused != $refused;
	}
	$node->safe_psql('postgres', model_sql() . expected_numbers_sql() . "\nCALL kpi.refresh();\n");
	$ok = is($node->safe_psql('postgres', unannounced_sql()), '', "round $round: the status of each goal is announced") && $ok;
	$ok = is($node->safe_psql('postgres', number_sql()), '', "round $round: the numbers are those of plain SQL") && $ok;
	$ok = is($node->safe_psql('postgres', ancestor_sql()), '', "round $round: the ancestors are") && $ok;
	$ok = is($node->safe_psql('postgres', goal_sql()), '', "round $round: the goals are") && $ok;
	$ok = is($node->safe_psql('postgres', workday_sql()), '', "round $round: the days of the calendars are") && $ok;
	$ok = is($node->safe_psql('postgres', q{SELECT v.* FROM kpi.source s, kpi.verify(s.name) v}), '', "round $round: kpi.verify() finds nothing") && $ok;
	diag "KPI_SEED=$seed repeats it; the script of round $round:\n$script" if !$ok;
	return $ok;
}

# Rows of what belongs where from when until when.
sub line_rows
{
	my (%lines) = @_;
	my @rows;

	for my $key (sort keys %lines)
	{
		for (my ($d, $end) = (0); $d < @{ $lines{$key} }; $d = $end)
		{
			my $value = $lines{$key}[$d];

			for ($end = $d + 1; $end < $ndays && ($lines{$key}[$end] // '') eq ($value // ''); $end++) { }
			push @rows, sprintf "('%s', '%s', '%s', '%s')", $key, day($d), day($end), $value if defined $value;
		}
	}
	return @rows;
}

# The team that facts of a member count for on each day.
sub credited
{
	my ($key) = @_;
	my @line = @{ $team_of{$key} };
	my $last;

	for my $d (0 .. $ndays - 1)
	{
		if (defined $line[$d])
		{
			$last = $line[$d];
			next;
		}
		$last = undef if $d == 0 || defined $team_of{$key}[ $d - 1 ] && !$keeps{$key}{$d};
		$line[$d] = $last;
	}
	return \@line;
}

sub model_sql
{
	my %rows = (
		membership => [ line_rows(%team_of) ],
		alias => [ map { my $of = $alias{$_} // {}; map { "('$_', '$of->{$_}')" } sort keys %$of } '', 'facts' ],
		credited => [ line_rows(map { $_ => credited($_) } members()) ],
		parent => [ line_rows(%parent) ],
		team_calendar => [ map { "('$_', '$team_calendar{$_}')" } grep { defined $team_calendar{$_} } sort keys %team_calendar ],
		calendar => [ map { sprintf "('%s', %d, %d, '{%s}')", $_, @{ $calendar{$_} }{qw(week_start year_start)}, join ',', @{ $calendar{$_}{working} } } sort keys %calendar ],
		holiday => [ map { my $c = $_; map { "('$c', '$_')" } sort keys %{ $calendar{$c}{holidays} } } sort keys %calendar ]);

	return join '', map { "TRUNCATE o.$_;\n" . (@{ $rows{$_} } ? "INSERT INTO o.$_ VALUES " . join(', ', @{ $rows{$_} }) . ";\n" : '') } sort keys %rows;
}

# The numbers of plain SQL.
sub expected_numbers_sql
{
	return q{
	TRUNCATE o.number;
	INSERT INTO o.number
	WITH RECURSIVE fact (kpi, of_team, owner, day, num, den) AS (
		SELECT k, false, coalesce(a.member, owner), (at AT TIME ZONE 'Europe/Berlin')::date, sum(amount), CASE k WHEN 'mean' THEN count(*) END
		FROM o.facts LEFT JOIN o.alias a ON a.key = owner, unnest('{gain,gain_now,cost,mean}'::text[]) k
		WHERE replace(k, '_now', '') = CASE kind WHEN 'a' THEN 'gain' WHEN 'b' THEN 'cost' END OR k = 'mean'
		GROUP BY 1, 2, 3, 4
		UNION ALL
		SELECT k, true, team, day, sum(amount), NULL FROM o.budget, unnest('{budget,budget_now}'::text[]) k GROUP BY 1, 3, 4),
	-- whose teams count: those of the fact's day, or of the organisation's today
	credit AS (
		SELECT f.*, CASE WHEN kpi LIKE '%\_now' THEN (current_setting('kpi.now')::timestamptz AT TIME ZONE 'UTC')::date ELSE day END AS credit_day
		FROM fact f),
	placed AS (
		SELECT f.*, coalesce(CASE WHEN NOT of_team THEN m.team WHEN owner = 'company' THEN owner ELSE p.team END, '(unassigned)') AS team
		FROM credit f
			 LEFT JOIN o.credited m ON NOT of_team AND m.member = owner AND credit_day >= m.since AND credit_day < m.until
			 LEFT JOIN o.parent p ON of_team AND p.team = owner AND credit_day >= p.since AND credit_day < p.until),
	up (credit_day, team, ancestor) AS (
		SELECT DISTINCT credit_day, team, team FROM placed
		UNION ALL
		SELECT up.credit_day, up.team, coalesce(p.parent, 'company')
		FROM up LEFT JOIN o.parent p ON p.team = up.ancestor AND up.credit_day >= p.since AND up.credit_day < p.until
		WHERE up.ancestor <> 'company'),
	scoped AS (
		SELECT p.kpi, p.day, p.num, p.den, 'team' AS scope, up.ancestor AS key FROM placed p JOIN up USING (credit_day, team)
		UNION ALL
		SELECT p.kpi, p.day, p.num, p.den, 'member', p.owner FROM placed p
		WHERE NOT of_team AND p.owner IN (SELECT m.key FROM kpi.member m)),
	measured AS (
		SELECT kpi, scope, key, g AS grain, o.begins(g, day, c.week_start, c.year_start) AS start,
			   CASE WHEN kpi = 'mean' THEN sum(num) / sum(den) ELSE sum(num) END AS value,
			   CASE WHEN kpi = 'mean' THEN sum(num) FILTER (WHERE day <= today) / sum(den) FILTER (WHERE day <= today)
					ELSE sum(num) FILTER (WHERE day <= today) END AS to_date
		FROM scoped CROSS JOIN LATERAL (SELECT o.today(kpi)) t (today), unnest('{day,week,month,quarter,year}'::text[]) g, o.calendar c
		WHERE c.name = 'default'
		GROUP BY 1, 2, 3, 4, 5)
	SELECT * FROM measured
	UNION ALL
	SELECT 'net', scope, key, grain, start, coalesce(sum(value) FILTER (WHERE kpi = 'gain'), 0) - coalesce(sum(value) FILTER (WHERE kpi = 'cost'), 0),
		   CASE WHEN count(to_date) > 0 THEN coalesce(sum(to_date) FILTER (WHERE kpi = 'gain'), 0) - coalesce(sum(to_date) FILTER (WHERE kpi = 'cost'), 0) END
	FROM measured WHERE kpi IN ('gain', 'cost') GROUP BY 2, 3, 4, 5;};
}

sub number_sql
{
	my $actual = join "\nUNION ALL\n", map {
		my ($suffix, $scope) = @$_;
		"SELECT kpi, '$scope', $scope, grain, period_start, value FROM kpi.${scope}_$suffix"
	} map { [ $_, 'team' ], [ $_, 'member' ] } qw(daily weekly monthly quarterly yearly);

	return qq{
	WITH e AS (SELECT kpi, scope, key, grain, start, round(value, 6) AS value FROM o.number),
	a AS (SELECT kpi, scope, key, grain, start, round(value, 6) FROM ($actual) AS x (kpi, scope, key, grain, start, value))
	(SELECT 'expected', * FROM (SELECT * FROM e EXCEPT ALL SELECT * FROM a) x)
	UNION ALL
	(SELECT 'actual', * FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM e) x)
	ORDER BY 2, 3, 4, 5, 6 LIMIT 20};
}

# On each day on which something may change and the day before it.
sub ancestor_sql
{
	return q{
	WITH RECURSIVE days AS (
		SELECT DISTINCT d - n AS day FROM (SELECT since FROM o.parent UNION SELECT until FROM o.parent) x (d), generate_series(0, 1) n
		WHERE isfinite(d)),
	up (day, team, ancestor, distance) AS (
		SELECT d.day, t.key, t.key, 0 FROM days d, (SELECT DISTINCT team FROM o.parent) t (key)
		UNION ALL
		SELECT u.day, u.team, p.parent, u.distance + 1 FROM up u JOIN o.parent p ON p.team = u.ancestor AND u.day >= p.since AND u.day < p.until),
	a AS (
		SELECT d.day, a.team, a.ancestor, a.depth FROM days d
			 JOIN kpi.team_ancestor a ON (a.since IS NULL OR a.since <= d.day) AND (a.until IS NULL OR a.until > d.day)
		WHERE a.team_id > 2)
	(SELECT 'expected', * FROM (SELECT * FROM up EXCEPT ALL SELECT * FROM a) x)
	UNION ALL
	(SELECT 'actual', * FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM up) x) LIMIT 20};
}

# Where each goal stands, by the working days of its team's calendar as the
# tree stands today.
sub goal_sql
{
	return q{
	WITH RECURSIVE goal AS (
		SELECT g.id, k.name AS kpi, CASE WHEN g.member_id IS NULL THEN 'team' ELSE 'member' END AS scope, coalesce(t.key, m.key) AS key,
			   g.grain, b.start, o.ends(g.grain, b.start) - 1 AS last, g.target,
			   o.today(k.name) AS today,
			   k.name IN ('gain', 'gain_now', 'cost', 'budget', 'budget_now', 'net') AS additive, k.name IN ('cost', 'budget', 'budget_now') AS down,
			   CASE k.name WHEN 'net' THEN '{gain,cost}' ELSE ARRAY[k.name] END AS inputs
		FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member m ON m.id = g.member_id
			 JOIN o.calendar c ON c.name = 'default' CROSS JOIN LATERAL (SELECT o.begins(g.grain, g.period_start, c.week_start, c.year_start) AS start) b),
	of_team AS (
		SELECT g.*, coalesce(CASE g.scope WHEN 'team' THEN g.key ELSE m.team END, 'company') AS team, n.value, n.to_date
		FROM goal g
			 LEFT JOIN o.membership m ON g.scope = 'member' AND m.member = g.key AND least(g.today, g.last) >= m.since AND least(g.today, g.last) < m.until
			 LEFT JOIN o.number n ON n.kpi = g.kpi AND n.scope = g.scope AND n.key = g.key AND n.grain = g.grain AND n.start = g.start),
	way (id, today, team, steps) AS (
		SELECT id, today, team, 0 FROM of_team
		UNION ALL
		SELECT w.id, w.today, p.parent, steps + 1 FROM way w JOIN o.parent p ON p.team = w.team AND w.today >= p.since AND w.today < p.until),
	worked AS MATERIALIZED (
		SELECT g.*, CASE WHEN w.n = 0 THEN g.last - g.start + 1 ELSE w.n END AS total,
			   CASE WHEN w.n = 0 THEN greatest(least(g.today, g.last) - g.start + 1, 0) ELSE o.workdays(g.start, least(g.today, g.last), c.calendar) END AS elapsed,
			   CASE WHEN additive AND b.has_begun THEN coalesce(g.value, 0) ELSE g.value END AS whole,
			   CASE WHEN additive AND b.has_begun THEN coalesce(g.to_date, 0) WHEN NOT additive THEN g.to_date END AS actual
		FROM of_team g
			 CROSS JOIN LATERAL (SELECT coalesce((SELECT tc.calendar FROM way JOIN o.team_calendar tc ON tc.team = way.team
												  WHERE way.id = g.id ORDER BY steps LIMIT 1), 'default') AS calendar) c
			 CROSS JOIN LATERAL (SELECT o.workdays(g.start, g.last, c.calendar) AS n OFFSET 0) w
			 CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM o.number f WHERE f.kpi = ANY (g.inputs) AND f.scope = 'team' AND f.key = 'company'
												  AND f.grain = 'day' AND f.start <= g.last) AS has_begun OFFSET 0) b),
	-- the probability is taken as it stands
	paced AS (
		SELECT w.*, p.attainment_probability AS p, p.status_rule, b.may_fall IS TRUE AS may_fall, CASE WHEN additive THEN round(w.target * elapsed / total, 6) ELSE w.target END AS due, CASE WHEN down THEN -1 ELSE 1 END AS better
		FROM worked w LEFT JOIN kpi.goal_progress p ON p.goal_id = w.id
			 LEFT JOIN kpi.forecast_basis b ON b.kpi_id = p.kpi_id AND b.grain = p.grain AND b.period_start = p.period_start
				AND b.team_id IS NOT DISTINCT FROM CASE WHEN p.member_id IS NULL THEN p.team_id END AND b.member_id IS NOT DISTINCT FROM p.member_id
		-- who came or left within the period is judged over his own days (KpiTest.pm asks about those)
		WHERE NOT EXISTS (SELECT FROM (SELECT min(m.since) AS since, max(m.until) AS until FROM o.membership m WHERE w.scope = 'member' AND m.member = w.key) m
						   WHERE m.since > w.start OR m.until <= w.last)),
	pace AS (
		SELECT *, CASE WHEN NOT down AND due > 0 THEN actual / due WHEN NOT down THEN (actual >= due)::int WHEN actual > 0 THEN due / actual ELSE 1 END AS in_pace FROM paced),
	e AS (
		SELECT id, start, last, round(whole, 6), round(actual, 6), due, round(elapsed::numeric / total, 6),
			   CASE WHEN today < start THEN 'not_started'
					WHEN actual IS NULL THEN 'no_data'
					WHEN today > last THEN CASE WHEN better * (actual - target) >= 0 THEN 'achieved' WHEN down AND additive THEN 'over_limit' ELSE 'missed' END
					WHEN additive AND down AND actual > target AND NOT may_fall THEN 'over_limit'
					WHEN additive AND NOT down AND target > 0 AND actual >= target THEN 'achieved'
					WHEN p >= 0.5 OR p IS NULL AND (in_pace >= 0.95 OR status_rule = 13) THEN 'on_track'
					WHEN p >= 0.2 OR p IS NOT NULL AND status_rule = 11 OR p IS NULL AND in_pace >= 0.8 THEN 'at_risk'
					ELSE 'behind' END
		FROM pace),
	a AS (SELECT goal_id, period_start, period_end, round(actual, 6), round(actual_to_date, 6), expected_today, elapsed_ratio, status FROM kpi.goal_progress
		WHERE goal_id IN (SELECT id FROM e))
	(SELECT 'expected', * FROM (SELECT * FROM e EXCEPT ALL SELECT * FROM a) x)
	UNION ALL
	(SELECT 'actual', * FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM e) x)
	ORDER BY 2, 1 LIMIT 20};
}

# The date dimension: every day once, worked or not, with its periods.
sub workday_sql
{
	return q{
	SELECT * FROM (
		SELECT c.name, d.day, d.is_working_day, d.week_start, d.year_start,
			   extract(isodow FROM d.day)::int = ANY (m.working) AND NOT EXISTS (SELECT FROM o.holiday h WHERE h.calendar = c.name AND h.day = d.day) AS worked,
			   d.day - (extract(isodow FROM d.day)::int - m.week_start + 7) % 7 AS week,
			   (date_trunc('year', date_trunc('month', d.day) - make_interval(months => m.year_start - 1)) + make_interval(months => m.year_start - 1))::date AS year
		FROM kpi.calendar_day d JOIN kpi.calendar c ON c.id = d.calendar_id JOIN o.calendar m ON m.name = c.name
		WHERE d.day BETWEEN '2024-12-20' AND '2027-04-10') x
	WHERE is_working_day <> worked OR week_start <> week OR year_start <> year
	LIMIT 20};
}
