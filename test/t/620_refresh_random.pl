# A random stream of everything users do: facts inserted, updated, deleted and
# truncated, in transactions with savepoints and rollbacks, refreshes anywhere,
# members and teams that move, members that are known by other keys or merged, KPIs and goals that come and go, days that pass.
# After each round every number must be that of plain SQL.
#
# KPI_SEED repeats a run, KPI_ROUNDS sets its length, KPI_WITHOUT leaves out
# some of what is in %with.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use KpiTest;
use KpiWhy;
use POSIX qw(strftime);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = srand($ENV{KPI_SEED} || time);
my $rounds = $ENV{KPI_ROUNDS} || 20;

# Besides facts and people that come and go:
my %with = map { $_ => 1 } (
	'alias',        # other keys of members, and members that are merged
	'balance',      # what is held, whose owners move
	'cancel',       # refreshes that a timeout ends, outside of transactions
	'day',          # days that mean "never", or are not in any calendar
	'different',    # values that are counted once
	'dimension',    # dimensions added, altered and dropped
	'extreme',      # the largest and the last of what may go again
	'fiscal',       # years that begin in another month
	'float',        # real and double precision
	'goal',         # goals of members and dimension values, on whatever is altered
	'loaded',       # rows say when they were loaded
	'money',        # amounts in currencies, by rates that change
	'owner',        # facts that count for another column, or for the company
	'percentile',   # what is no sum over a sum
	'role',         # tables that belong to another role, which writes to them
	'switch',       # capture is switched off and on, between transactions and in them
	'swap',         # tables that are swapped, tables and columns that are renamed
	'step',         # builds in the smallest steps, of which some are cancelled
	'setting');     # writers whose settings change how values are written
delete @with{ split ' ', $ENV{KPI_WITHOUT} // '' };

my $node = new_node('random', "kpi.segment_size = '8kB'");
my %active = map { $_ => 1 } qw(revenue won win_rate size created spend per_won);
my @teams = qw(emea dach uk apac);
my @members = qw(alice bob carol dave erin);
my @columns = qw(owner_id sdr_id stage amount quantity product created_at closed_at);
# Dimensions that deals may have: their names, and expressions they may have.
my %dimension = (
	product => [ 'product', 'upper(product)' ],
	stage => ['stage'],
	size => [ q{CASE WHEN quantity > 4 THEN 'many' WHEN quantity < 2 THEN 'few' END}, q{CASE WHEN amount < 0 THEN 'less' END} ],
	quantity => [ 'quantity', 'quantity / 3' ]);
# Days that stand for none at all, and those at the ends of what counts.
my @never = ('0001-01-01 00:00:00', '9999-12-31 23:59:59', '1899-12-31 23:59:59', '1900-01-01 00:00:00',
	'2200-12-31 23:59:59', '2201-01-01 00:00:00');
# What the session of a writer may say.
my %setting = (
	extra_float_digits => [ -15, -1, 0, 1, 3 ],
	bytea_output => [qw(hex escape)],
	DateStyle => [ 'ISO, MDY', 'SQL, DMY', 'German', 'Postgres, YMD' ],
	IntervalStyle => [qw(postgres sql_standard postgres_verbose iso_8601)],
	TimeZone => [qw(UTC Asia/Kathmandu America/St_Johns Pacific/Kiritimati)],
	xmlbinary => [qw(base64 hex)],
	quote_all_identifiers => [qw(on off)],
	lc_monetary => [qw(C C.UTF-8)]);

if ($with{float})
{
	for my $measure ([ 'score', 'sum', 'NULL' ], [ 'weight', 'avg', "(weight NOT IN ('NaN', 'Infinity', '-Infinity'))::int" ])
	{
		my ($column, $aggregate, $denominator) = @$measure;

		# their exact value is what they are written as
		$KPI{$column} = {
			create => "source => 'deals', measure => '$aggregate($column)'",
			facts => "SELECT {owner}, closed_at, {dimensions}, CASE WHEN $column NOT IN ('NaN', 'Infinity', '-Infinity')
				THEN ${column}::text::numeric WHEN '$aggregate' = 'avg' THEN 0 END, $denominator
				FROM {deals} WHERE $column IS NOT NULL"
		};
		$active{$column} = 1;
		push @columns, $column;
	}
}
if ($with{different})
{
	$KPI{amounts} = {
		create => q{source => 'deals', measure => 'count(DISTINCT amount)'},
		facts => 'SELECT {owner}, closed_at, {dimensions}, amount, NULL FROM {deals} WHERE amount IS NOT NULL',
		aggregate => 'nullif(count(DISTINCT num) FILTER (WHERE {where}), 0)'
	};
	$active{amounts} = 1;
}
if ($with{percentile})
{
	$KPI{typical} = {
		create => q{source => 'deals', measure => 'median(amount)'},
		facts => 'SELECT {owner}, closed_at, {dimensions}, amount, NULL FROM {deals} WHERE amount IS NOT NULL',
		aggregate => 'kpi.median(num) FILTER (WHERE {where})'
	};
	$active{typical} = 1;
}
if ($with{money})
{
	my $code = q{(ARRAY['EUR', 'USD', 'GBP'])[1 + abs(quantity) % 3]};

	$KPI{converted} = {
		create => "source => 'deals', measure => 'sum(amount, currency => @{[ $code =~ s/'/''/gr ]})'",
		facts => qq{SELECT {owner}, closed_at, {dimensions}, CASE WHEN amount NOT IN ('NaN', 'Infinity', '-Infinity') THEN amount * x.rate END, NULL
			FROM {deals} CROSS JOIN LATERAL (SELECT CASE $code WHEN 'EUR' THEN 1 ELSE
				(SELECT r.rate FROM kpi.exchange_rate r WHERE r.exchange = 'daily' AND r.currency = $code
					AND r.since <= (closed_at AT TIME ZONE '{time_zone}')::date ORDER BY r.since DESC LIMIT 1) END) x (rate)
			WHERE amount IS NOT NULL AND x.rate IS NOT NULL}
	};
	$active{converted} = 1;
}
if ($with{extreme})
{
	my $finite = q{CASE WHEN amount NOT IN ('NaN', 'Infinity', '-Infinity') THEN amount END};

	$KPI{largest} = {
		create => q{source => 'deals', measure => 'max(amount)'},
		facts => "SELECT {owner}, closed_at, {dimensions}, $finite, NULL FROM {deals} WHERE amount IS NOT NULL",
		aggregate => 'max(num) FILTER (WHERE {where})'
	};
	$KPI{latest} = {
		create => q{source => 'deals', measure => 'last(amount)'},
		facts => "SELECT {owner}, closed_at, {dimensions}, $finite, id FROM {deals} WHERE amount IS NOT NULL",
		aggregate => '(array_agg(num ORDER BY at DESC, den DESC) FILTER (WHERE num IS NOT NULL AND {where}))[1]'
	};
	$active{$_} = 1 for qw(largest latest);
}
if ($with{setting})
{
	$dimension{$_} = ["${_}::text"] for qw(exact took code);
	push @columns, qw(exact took code);
}

push @columns, 'loaded' if $with{loaded};

# What KPIs may be altered to, and the facts that count then.
my $of_deals = 'SELECT {owner}, closed_at, {dimensions}, 1, NULL FROM {deals}';
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
		'SELECT {owner}, closed_at, {dimensions}, quantity, 1 FROM {deals} WHERE quantity IS NOT NULL' ],
	[ 'size', q{measure => 'avg(amount)'}, $original{size} ]);
my $day = 20148;    # 2025-03-01
my $team_number = 0;
my $goal_number = 0;
my $plan_number = 0;
my $round_number = 0;

note "seed $seed";
create_company(
	$node, 'postgres',
	kpis => [ keys %active ],
	sql => q{SELECT kpi.alter_company(currency => 'EUR'), kpi.set_exchange_rate('USD', '2025-01-15', 0.9);
		ALTER TABLE crm.deals ADD score real, ADD weight double precision, ADD exact double precision, ADD took interval,
			ADD code bytea;
		CREATE ROLE regress_crm;} . ($with{role} ? q{
		GRANT USAGE ON SCHEMA crm TO regress_crm;
		ALTER TABLE crm.deals OWNER TO regress_crm;
		ALTER TABLE crm.costs OWNER TO regress_crm;} : ''));
is($node->safe_psql('postgres', 'SELECT DISTINCT definer FROM kpi.source'), 'regress_crm', 'read with the rights of the tables\' owner')
  if $with{role};
# It is compared by an oracle of its own, and has no goals.
$node->safe_psql('postgres', q{SELECT kpi.create_kpi('held', source => 'deals', measure => 'balance(quantity)', at => 'created_at', until => 'closed_at')})
  if $with{balance};
# What any committed row has said is kept beside it, by a trigger of the user's own.
$node->safe_psql('postgres', q{
	ALTER TABLE crm.deals ADD loaded timestamptz;
	CREATE TABLE crm.loaded (at timestamptz);
	GRANT INSERT ON crm.loaded TO regress_crm;
	CREATE FUNCTION crm.note_loaded() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO crm.loaded VALUES (NEW.loaded); RETURN NULL; END';
	CREATE TRIGGER note_loaded AFTER INSERT OR UPDATE ON crm.deals FOR EACH ROW WHEN (NEW.loaded IS NOT NULL) EXECUTE FUNCTION crm.note_loaded();
	SELECT kpi.alter_source('deals', loaded_at => 'loaded')}) if $with{loaded};
# A dimension whose text no setting can be trusted with may be refused, too.
for my $name (grep { $dimension{$_}[0] =~ /::text/ } sort keys %dimension)
{
	my %dimensions = (%{ $MEANING{dimensions} }, $name => $dimension{$name}[0]);

	if ($node->psql('postgres', alter_dimensions(\%dimensions)) == 0)
	{
		$MEANING{dimensions} = \%dimensions;
	}
	else
	{
		delete $dimension{$name};
	}
}

# Rollup tables of all there is, by periods that cells are and are not stored of.
for my $grain (qw(day week month quarter year))
{
	my $teams = join ',', grep { $active{$_} } sort keys %KPI;
	my $members = join ',', grep { $active{$_} && $KPI{$_}{facts} && !$KPI{$_}{team} } sort keys %KPI;

	$node->safe_psql('postgres', "SELECT kpi.create_rollup('crm.teams_$grain', kpis => '{$teams}', grain => '$grain');
		SELECT kpi.create_rollup('crm.members_$grain', kpis => '{$members}', per => 'member', grain => '$grain')");
}

for my $round (1 .. $rounds)
{
	my $before = $node->safe_psql('postgres', definitions());

	$round_number = $round;
	$node->safe_psql('postgres', next_day());
	my $script = round();
	my ($ok, $errors) = eval { play($round, $script) };

	next if $ok;
	fail("round $round: $@") if $@;
	diag "KPI_SEED=$seed repeats it.  The script of round $round, after definitions $before:\n$script";
	diag "Its errors:\n$errors" if defined $errors;
	diag "Round $round failed: KPI_SEED=$seed KPI_ROUNDS=$rounds repeats it.";    # last, as logs are cut
	last;
}

$node->stop;
done_testing();

# Runs a round's script and looks at what is left.
sub play
{
	my ($round, $script) = @_;
	my ($out, $errors);

	$node->psql('postgres', $script, stdout => \$out, stderr => \$errors, on_error_stop => 0, on_error_die => 0);
	my @unexpected = grep { /ERROR|FATAL|PANIC|WARNING|error:/ && !expected_error($_) } split /\n/, $errors;
	my $ok = is("@unexpected", '', "round $round: only errors that were asked for");
	$ok = take_over($round, scalar $errors =~ /ERROR:  .*\b(?:goals?|dimension|rollup tables)\b/) && $ok;
	capture_on() if $with{switch};
	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	$ok = is_exact($node, 'postgres', "round $round", grep { $active{$_} } keys %active) && $ok;
	$ok = is($node->safe_psql('postgres', balance_difference_sql()), '', "round $round: what is held is what plain SQL says") && $ok
	  if $with{balance};
	$ok = is($node->safe_psql('postgres', left_out_difference_sql()), '', "round $round: what is left out is what plain SQL says") && $ok
	  if $active{revenue};
	$ok = is($node->safe_psql('postgres', explained_difference_sql("$seed.$round")), '', "round $round: facts and queries make the numbers") && $ok
	  if $round % 6 == 1;    # they read all facts
	$ok = is($node->safe_psql('postgres', why_difference_sql("$seed.$round")), '', "round $round: why facts count or not is what facts and views say") && $ok
	  if $round % 3 == 2;
	$ok = is($node->safe_psql('postgres', goal_difference()), '', "round $round: goals have their KPI's value") && $ok;
	$ok = is(rollup_differences($node, 'postgres'), '', "round $round: rollup tables are what the views say") && $ok;
	$ok = is($node->safe_psql('postgres', loaded_difference()), '', "round $round: loaded when the rows say") && $ok if $with{loaded};
	$ok = is($node->safe_psql('postgres', goals_without_ground()), '', "round $round: and something to stand on") && $ok;
	return ($ok, $errors);
}

# When a session hears of it is up to the server.  While it is off refreshes do not see what
# a swapped table is like, and cannot follow its columns then.
my $switched;

sub switch_capture
{
	$switched = 1;
	return sprintf "RESET ROLE;\nLOAD 'pg_kpi';\nALTER SYSTEM SET kpi.capture = %s;\n%s", pick(qw(on off off)),
	  chance(0.7) ? 'SELECT pg_reload_conf(), pg_sleep(0.02);' : '';
}

sub capture_on
{
	$node->safe_psql('postgres', "LOAD 'pg_kpi'; ALTER SYSTEM SET kpi.capture = on");
	$node->reload;
	$node->poll_query_until('postgres', q{SELECT current_setting('kpi.capture')}, 'on') or die 'capture is not on';
	$node->safe_psql('postgres', 'SELECT kpi.resume()') if $switched;
	return;
}

# Not before what a row says that is there, and not after what any row has said.  A
# table that took the name of another is noted only by its rows.
sub loaded_difference
{
	return q{SELECT f.loaded_at, d.latest, l.latest FROM kpi.freshness f,
		(SELECT max(loaded) AS latest FROM crm.deals) d, (SELECT max(at) AS latest FROM crm.loaded) l
		WHERE f.source = 'deals' AND (coalesce(f.loaded_at, '-infinity') < coalesce(d.latest, '-infinity')
			OR coalesce(f.loaded_at, '-infinity') > coalesce(greatest(d.latest, l.latest), '-infinity'))};
}

# Days pass, from before most facts to after all of them: what is dated ahead
# comes to count.
sub next_day
{
	$day += rand(2 * 800 / $rounds);
	return sprintf q{ALTER DATABASE postgres SET kpi.now = '%s'},
	  strftime('%Y-%m-%d %H:%M:%S+00', gmtime(int($day) * 86400 + pick(0, 86399, int rand 86400)));
}

sub pick { return $_[ rand @_ ]; }
sub chance { return rand() < $_[0]; }

# A move into an own subteam, a team dropped with members, a second goal of the
# same kind, what a goal stands on taken away: refused, as the stream does not
# know what is there.  Goals for what is past, and of rates above 1, are warned of.
sub expected_error
{
	return $_[0] =~ /ERROR:  (?:member|team|alias) "/
	  || $_[0] =~ /ERROR:  ".*" is (?:an alias|no alias|the key) /
	  || $_[0] =~ /ERROR:  .*\b(?:goals?|rollup tables)\b/
	  || $_[0] =~ /WARNING:  (?:period|target) /
	  || $_[0] =~ /WARNING:  .*\bgoal\b/
	  || $_[0] =~ /WARNING:  no fact of KPI /
	  || $switched && $_[0] =~ /WARNING:  source ".*" is (?:not refreshed: kpi.capture is off|suspended: column ".*" does not exist)/
	  || $_[0] =~ /ERROR:  KPI ".*" has no dimension/
	  || $_[0] =~ /ERROR:  canceling statement due to statement timeout/;
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
	return quoted(pick(@never) . '+00') if $with{day} && chance(0.05);
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
	return pick(qw(0.1 0.3 7654321 16777217 1e-20 3e38 NULL 'NaN' '-Infinity')) if $column =~ /^(score|weight)$/;
	return pick(qw(0.1 0.3 1e22 1234567.125), '1 / 3.0', 'NULL') if $column eq 'exact';
	return pick(q{'1 day'}, q{'3 hours'}, q{'1 mon -2 days'}, 'NULL') if $column eq 'took';
	return pick(q{'\x00ff5c'}, q{'\x61'}, 'NULL') if $column eq 'code';
	return random_time() if $column eq 'closed_at';
	# Later in each round, and never before today, which it would be the end of.
	return chance(0.1) ? 'NULL' : sprintf q{timestamptz '2100-01-01 00:00+00' + interval '%d days %d seconds'}, $round_number, rand 86400
	  if $column eq 'loaded';
	return quoted(pick(@never) . '+00') if $with{day} && chance(0.05);
	return sprintf q{'%s 10:00+00'}, random_day();    # created_at
}

sub write_facts
{
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
		quoted(pick(@teams, 'company', 'no such team', undef)),
		quoted($with{day} && chance(0.05) ? substr(pick(@never), 0, 10) : random_day()), random_amount())
	  if $what < 0.95;
	return "UPDATE crm.costs SET cost = cost * 2 WHERE $some;" if $what < 0.98;
	return "DELETE FROM crm.costs WHERE $some;";
}

sub change_organisation
{
	my $what = rand;

	return change_aliases() if $with{alias} && $what < 0.15;
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

sub change_aliases
{
	my $key = pick(@members, 'nobody', 'zoe', 'zoe');
	my $source = pick('', q{, source => 'deals'}, q{, source => 'costs'});
	my $what = rand;

	return sprintf q{SELECT kpi.add_alias('%s', alias => '%s'%s);}, pick(@members), $key, $source if $what < 0.6;
	return sprintf q{SELECT kpi.drop_alias('%s'%s);}, $key, $source if $what < 0.85;
	return sprintf q{SELECT kpi.merge_member('%s', into_member => '%s', goals => '%s');}, pick(@members), pick(@members), pick('move', 'drop');
}

sub change_rates
{
	return 'SELECT kpi.set_exchange_rate(currency, since, NULL) FROM (SELECT * FROM kpi.exchange_rate ORDER BY md5(id || since::text) LIMIT 1) r;'
	  if chance(0.2);
	return sprintf q{SELECT kpi.set_exchange_rate('%s', '%s', %.4f);}, pick('USD', 'GBP'), random_day(), 0.5 + rand;
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
		  . "SELECT kpi.drop_kpi('$kpi', cascade => true);";
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

	if ($what < 0.25)
	{
		my ($kpi, $argument, $facts) = @{ pick(@alterations) };
		return '' if !$active{$kpi};
		$KPI{$kpi}{facts} = $facts;
		return "SELECT kpi.alter_kpi('$kpi', $argument);";
	}
	if ($what < 0.35)
	{
		my $filter = pick('', q{quantity > 3}, q{product IS DISTINCT FROM 'p2'});
		$MEANING{filter} = $filter || 'true';
		$MEANING{deals} = $filter ? "(SELECT * FROM crm.deals WHERE $filter) AS deals" : 'crm.deals';
		return "SELECT kpi.alter_source('deals', filter => \$\$$filter\$\$);";
	}
	return change_dimensions() if $what < 0.65;
	if ($what < 0.78)
	{
		return '' if !$with{owner};
		$MEANING{owner} = pick('owner_id', 'sdr_id', undef);
		return sprintf q{SELECT kpi.alter_source('deals', owner => '%s');}, $MEANING{owner} // '';
	}
	if ($what < 0.85)
	{
		$MEANING{time_zone} = pick('UTC', 'America/New_York', 'Asia/Tokyo');
		return "SELECT kpi.alter_calendar('default', time_zone => '$MEANING{time_zone}');";
	}
	if ($what < 0.93)
	{
		$MEANING{week_start} = pick(0, 5, 6);
		return sprintf q{SELECT kpi.alter_calendar('default', week_start => '%s');},
		  (qw(monday . . . . saturday sunday))[ $MEANING{week_start} ];
	}
	return '' if !$with{fiscal};
	$MEANING{year_start} = pick(0, 0, 3, 9);
	return sprintf q{SELECT kpi.alter_calendar('default', fiscal_year_start => %d);}, $MEANING{year_start} + 1;
}

# One dimension comes, goes, or has another expression.
sub change_dimensions
{
	return '' if !$with{dimension};
	my $name = pick(sort keys %dimension);
	my $expression = pick(@{ $dimension{$name} }, undef);
	my %dimensions = %{ $MEANING{dimensions} };

	delete $dimensions{$name};
	$dimensions{$name} = $expression if defined $expression;
	$MEANING{dimensions} = \%dimensions;
	return alter_dimensions(\%dimensions);
}

sub alter_dimensions
{
	my ($dimensions) = @_;

	return q{SELECT kpi.alter_source('deals', dimensions => jsonb_build_object(}
	  . join(', ', map { "'$_', \$\$$dimensions->{$_}\$\$" } sort keys %$dimensions) . '));';
}

# What the definitions are.
sub definitions
{
	return q{SELECT jsonb_build_object('owner', s.owner, 'time_zone', c.time_zone, 'week_start', c.week_start - 1,
			'year_start', c.fiscal_year_start - 1,
			'dimensions', (SELECT coalesce(jsonb_object_agg(d.name, d.expression), '{}') FROM kpi.dimension d WHERE d.source_id = s.id))
		FROM kpi.source s JOIN kpi.calendar c ON c.id = s.calendar_id WHERE s.name = 'deals'};
}

# What was asked for is what there is, unless a goal stands on it: then what
# there is holds.
sub take_over
{
	my ($round, $refused) = @_;
	my $is = decode_json($node->safe_psql('postgres', definitions()));

	if ($refused)
	{
		@MEANING{ keys %$is } = values %$is;
		return 1;
	}
	my %asked = %MEANING{ grep { $_ ne 'dimensions' } keys %$is };

	return is_deeply([ \%asked, [ sort keys %{ $MEANING{dimensions} } ] ],
		[ { %$is{ keys %asked } }, [ sort keys %{ $is->{dimensions} } ] ], "round $round: the definitions are as they were made");
}

sub change_goals
{
	my @kpis = grep { $active{$_} && !$KPI{$_}{aggregate} } sort keys %active;
	my $kpi = pick(@kpis);
	my $scope = sprintf q{team => '%s'}, pick('company', 'emea', 'dach', 'uk', 'apac');

	return 'SELECT kpi.drop_goal(id) FROM kpi.goal ORDER BY id LIMIT 1;' if chance(0.2);
	return sprintf 'SELECT kpi.alter_goal(id, target => %d) FROM kpi.goal ORDER BY id DESC LIMIT 1;', rand 1000 if chance(0.2);
	# a draft is followed from here on, and the next one begins
	return sprintf q{SELECT kpi.publish_plan(name) FROM kpi.plan WHERE is_draft; SELECT kpi.create_plan('plan %d');}, ++$plan_number if chance(0.1);
	return sprintf q{SELECT kpi.alter_team('%s', name => 'Team %d');}, pick(qw(emea dach uk apac company)), rand 1000 if chance(0.2);
	return sprintf q{SELECT kpi.alter_member('%s', name => 'Member %d');}, pick(@members), rand 1000 if chance(0.1);
	return sprintf q{SELECT kpi.add_holiday('%1$s', 'Day off') WHERE NOT EXISTS (SELECT FROM kpi.holiday WHERE day = '%1$s');}, random_day() if chance(0.1);
	return 'SELECT kpi.drop_holiday(day) FROM kpi.holiday LIMIT 1;' if chance(0.05);
	# what counts for nobody has goals of the company only
	$scope = q{team => 'company'} if !defined $MEANING{owner};
	if ($with{goal} && chance(0.6))
	{
		my ($dimension) = pick(sort keys %{ $MEANING{dimensions} });

		if (defined $dimension && $KPI{$kpi}{facts} && !$KPI{$kpi}{team} && chance(0.6))
		{
			$scope .= ", dimension => '$dimension', dimension_value => " . quoted(pick('p1', 'P1', 'won', 'many', '1', ''));
		}
		elsif (defined $MEANING{owner} && !$KPI{$kpi}{team} && $KPI{$kpi}{facts})
		{
			$scope = sprintf q{member => '%s'}, pick(@members);
		}
	}
	$goal_number++;
	return sprintf q{SELECT kpi.create_goal(%s, kpi => '%s', %s, period => '%s', target => '%d', pace => 'workdays', plan => '%s');},
	  chance(0.3) ? 'NULL' : "'goal $goal_number'", $kpi, $scope, pick('2025', '2026', '2025-Q3', '2026-Q1', '2026-05', '2025-12'), 1 + rand 1000,
	  chance(0.3) ? "plan $plan_number" : 'default';
}

# Another table under the name of deals, or another name for it or its columns,
# with writes and refreshes between; in the end all has the names it had.
# Where a table is gone, nobody knows what its columns were called last: before
# it goes a refresh has followed them.
my $swaps = 0;
my $renamed;

sub change_table
{
	my $what = rand;
	my $refresh = chance(0.5) ? 'CALL kpi.refresh();' : '';
	# what it is called otherwise can be followed of a table that a refresh has seen
	my $seen = 'RESET ROLE; CALL kpi.refresh();';

	if ($what < 0.35)
	{
		my ($column, $other) = @{ pick([ 'amount', 'was' ], [ 'owner_id', 'was' ], [ 'owner_id', 'sdr_id' ], [ 'quantity', 'was' ], [ 'closed_at', 'was' ]) };
		$renamed = 1;
		my $there = "ALTER TABLE crm.deals RENAME COLUMN $column TO aside;";
		my $write = sprintf 'UPDATE crm.deals SET stage = %s WHERE id %% 5 = %d;', quoted(pick(qw(open won lost))), rand 5;

		return "$seen $there $refresh $write ALTER TABLE crm.deals RENAME COLUMN aside TO $column; CALL kpi.refresh();" if $other eq 'was';
		return "$seen $there ALTER TABLE crm.deals RENAME COLUMN $other TO $column; ALTER TABLE crm.deals RENAME COLUMN aside TO $other;"
		  . " $write $refresh $write $there ALTER TABLE crm.deals RENAME COLUMN $other TO $column; ALTER TABLE crm.deals RENAME COLUMN aside TO $other; CALL kpi.refresh();";
	}
	return "$seen ALTER TABLE crm.deals RENAME TO others; INSERT INTO crm.others SELECT * FROM crm.others WHERE false;"
	  . " DELETE FROM crm.others WHERE id % 11 = 3; $refresh ALTER TABLE crm.others RENAME TO deals;"
	  if $what < 0.55;
	$swaps++;
	my $delete = chance(0.3) ? 'DELETE FROM crm.deals WHERE id % 7 = 1;' : '';
	my $owner = $with{role} ? "ALTER TABLE crm.swap$swaps OWNER TO regress_crm;" : '';
	$owner .= " CREATE TRIGGER note_loaded AFTER INSERT OR UPDATE ON crm.swap$swaps FOR EACH ROW WHEN (NEW.loaded IS NOT NULL) EXECUTE FUNCTION crm.note_loaded();"
	  if $with{loaded};

	return 'RESET ROLE;' . ($renamed ? ' CALL kpi.refresh();' : '') . " CREATE TABLE crm.swap$swaps (LIKE crm.deals INCLUDING ALL); $owner"
	  . " INSERT INTO crm.swap$swaps SELECT * FROM crm.deals WHERE id % 13 <> 5;"
	  . " SELECT setval(pg_get_serial_sequence('crm.swap$swaps', 'id'), (SELECT coalesce(max(id), 1) FROM crm.deals));"
	  . " ALTER TABLE crm.deals RENAME TO old$swaps; ALTER TABLE crm.swap$swaps RENAME TO deals; $delete"
	  . (chance(0.6) ? " DROP TABLE crm.old$swaps;" : " DELETE FROM crm.old$swaps WHERE id % 3 = 1; $refresh UPDATE crm.old$swaps SET amount = 1e9;");
}

# Who writes, and how it writes values.
sub change_session
{
	return 'SET ROLE regress_crm;' if $with{role} && chance(0.4);
	return 'RESET ROLE;' if !$with{setting} || chance(0.2);
	my $name = pick(sort keys %setting);

	return "SET $name = " . quoted(pick(@{ $setting{$name} })) . ';';
}

# A refresh that ends anywhere; in case a slow machine ends its end, too, that
# comes more than once.
sub cancelled_refresh
{
	return sprintf("RESET ROLE;\nSET statement_timeout = %d;\nCALL kpi.refresh();\n", 2 + rand pick(30, 150)) . "RESET statement_timeout;\n" x 3;
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
			push @script, 'RESET ROLE; CALL kpi.refresh();';
		}
		elsif ($with{switch} && chance(0.03))
		{
			push @script, 'RESET ROLE; SELECT pg_reload_conf(), pg_sleep(0.02);';
		}
		elsif ($with{swap} && chance(0.06))
		{
			push @script, change_table();
		}
		elsif (chance(0.08))
		{
			push @script, 'RESET ROLE; ' . ($with{money} && chance(0.3) ? change_rates() : change_organisation());
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

	my $steps = $with{step} && chance(0.5);

	$renamed = $switched = 0;
	push @script, "SET kpi.buffer_size = '64kB';" if chance(0.3);
	push @script, 'SET kpi.build_step = 0;' if $steps;
	for (1 .. 4 + rand 10)
	{
		my $what = rand;

		push @script, switch_capture() if $with{switch} && chance(0.15);
		push @script, change_session(), write_facts() if $with{role} || $with{setting};
		push @script, 'RESET ROLE;' if $what >= 0.5;
		push @script, cancelled_refresh() if $with{cancel} && chance($steps ? 0.2 : 0.05);
		push @script, transaction() if $what < 0.25;
		push @script, write_facts() if $what >= 0.25 && $what < 0.5;
		push @script, change_table() if $with{swap} && chance(0.1);
		push @script, 'CALL kpi.refresh();' if $what >= 0.5 && $what < 0.6;
		push @script, change_rates() if $with{money} && $what >= 0.5 && chance(0.2);
		push @script, change_organisation() if $what >= 0.6 && $what < 0.72;
		push @script, change_kpis() if $what >= 0.72 && $what < 0.8;
		push @script, change_meaning() if $what >= 0.8 && $what < 0.92;
		push @script, map { change_goals() } 1 .. 8 if $what >= 0.92;
	}
	return join "\n", @script;
}

# Goals of a period, against the values of the same KPI there.
sub goal_difference
{
	return q{
	SELECT g.goal, g.actual, v.value FROM kpi.goal_progress g
		 LEFT JOIN (SELECT kpi, team, NULL AS member, grain, period_start, value, NULL AS dimension, NULL AS dimension_value
					  FROM kpi.team_monthly
					UNION ALL SELECT kpi, team, NULL, grain, period_start, value, NULL, NULL FROM kpi.team_quarterly
					UNION ALL SELECT kpi, team, NULL, grain, period_start, value, NULL, NULL FROM kpi.team_yearly
					UNION ALL SELECT kpi, NULL, member, grain, period_start, value, NULL, NULL FROM kpi.member_monthly
					UNION ALL SELECT kpi, NULL, member, grain, period_start, value, NULL, NULL FROM kpi.member_quarterly
					UNION ALL SELECT kpi, NULL, member, grain, period_start, value, NULL, NULL FROM kpi.member_yearly
					UNION ALL SELECT k.name, t.key, NULL, b.grain, b.period_start, b.value, b.dimension, b.dimension_value
					  FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id JOIN kpi.team t ON t.id = b.team_id) v
		   ON v.kpi = g.kpi AND v.team IS NOT DISTINCT FROM CASE g.scope WHEN 'team' THEN g.team END AND v.member IS NOT DISTINCT FROM g.member
		  AND v.grain = g.grain AND v.period_start = g.period_start
		  AND v.dimension IS NOT DISTINCT FROM g.dimension AND v.dimension_value IS NOT DISTINCT FROM g.dimension_value
	WHERE g.actual IS DISTINCT FROM v.value AND NOT (v.value IS NULL AND g.actual = 0)
	  -- of a member who came or left within the period the days count on which he was there
	  AND NOT (g.member_id IS NOT NULL AND EXISTS (
		SELECT FROM kpi.membership h WHERE h.member_id = g.member_id
		   AND (h.since > g.period_start AND h.since <= g.period_end OR h.until > g.period_start AND h.until <= g.period_end)))};
}

# Goals of a dimension that its KPI has not, or of a part of the company where
# its facts count for the company alone.
sub goals_without_ground
{
	return q{
	SELECT g.name, g.dimension, g.team_id, g.member_id
	FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id JOIN kpi.source s ON s.id = k.source_id
	WHERE (g.dimension IS NOT NULL AND NOT EXISTS (SELECT FROM kpi.dimension d WHERE d.source_id = s.id AND d.name = g.dimension))
	   OR ((g.member_id IS NOT NULL OR g.team_id <> 1) AND coalesce(k.owner, k.team, s.owner, s.team) IS NULL)};
}
