# Time moves, and no fact: the worker follows the days of each calendar, across
# days of 23, 24 and 25 hours and midnights that do not exist or come twice,
# and clocks that are set forward and back.  The clock is kpi.now, which stands
# still until it is set; waiting uses the real one.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use Test::More;

my $node = new_server('time');

sub set_now
{
	my ($now) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET kpi.now = '$now'");
	$node->reload;
	# Until the postmaster has read it, new sessions have the old one.
	$node->poll_query_until('postgres', "SELECT current_setting('kpi.now') = '$now'") or die "kpi.now is not $now";
	return;
}

# ---- when a day begins ----

# Zone, the day, the moment when it begins there.
my @days = (
	[ 'Europe/Berlin', '2026-07-01', '2026-06-30 22:00+00' ],
	[ 'Europe/Berlin', '2026-03-29', '2026-03-28 23:00+00' ],
	[ 'Europe/Berlin', '2026-03-30', '2026-03-29 22:00+00' ],
	[ 'Europe/Berlin', '2026-10-26', '2026-10-25 23:00+00' ],
	[ 'America/New_York', '2026-03-09', '2026-03-09 04:00+00' ],
	[ 'America/New_York', '2026-11-02', '2026-11-02 05:00+00' ],
	[ 'Australia/Lord_Howe', '2026-04-06', '2026-04-05 13:30+00' ],
	[ 'Australia/Lord_Howe', '2026-10-05', '2026-10-04 13:00+00' ],
	# clocks go from 0:00 to 1:00: there is no midnight
	[ 'America/Sao_Paulo', '2018-11-04', '2018-11-04 03:00+00' ],
	[ 'Asia/Beirut', '2022-03-27', '2022-03-26 22:00+00' ],
	# from 24:00 to 23:00: the hour before midnight comes twice
	[ 'America/Sao_Paulo', '2018-02-18', '2018-02-18 03:00+00' ],
	# from 1:00 to 0:00: midnight comes twice
	[ 'America/Havana', '2026-11-01', '2026-11-01 04:00+00' ],
	# the day before does not exist
	[ 'Pacific/Apia', '2011-12-31', '2011-12-30 10:00+00' ]);

$node->safe_psql('postgres', 'CREATE DATABASE days');
$node->safe_psql('days', q{CREATE EXTENSION pg_kpi});
my $distance = 100;
for my $case (@days)
{
	my ($zone, $day, $begin) = @$case;

	# Another distance each time, so that what the case before left is no answer.
	$distance += 100;
	$node->safe_psql('days', "SELECT kpi.alter_calendar('default', time_zone => '$zone')");
	set_now($node->safe_psql('days', "SELECT timestamptz '$begin' - interval '$distance s'"));
	wait_for($node, 'days', qq{SELECT next_due - clock_timestamp() BETWEEN interval '@{[ $distance - 60 ]} s' AND interval '$distance s'
		FROM kpi.worker_status WHERE database = 'days'}, "$zone: $day begins at $begin");
	is($node->safe_psql('days', qq{SELECT day < '$day' FROM kpi_internal.announced_day}), 't', 'and not before');
	set_now($begin);
	wait_for($node, 'days', "SELECT day = '$day' FROM kpi_internal.announced_day", 'then it has begun');
}
$node->safe_psql('postgres', 'DROP DATABASE days');

# ---- what follows from the date alone ----

set_now('2026-11-03 12:00+00');
define($node, 'postgres');
$node->safe_psql('postgres', q{
	INSERT INTO deals (at) SELECT '2026-11-03' FROM generate_series(1, 10);
	CREATE TABLE calls (id bigserial PRIMARY KEY, at timestamptz);
	INSERT INTO calls (at) VALUES ('2026-11-03');
	SELECT kpi.create_calendar('tokyo', 'Asia/Tokyo');
	SELECT kpi.create_source('calls', relation => 'public.calls', key => 'id', at => 'at', calendar => 'tokyo');
	SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)')});
count_is($node, 'postgres', 10, 'deals');
wait_for($node, 'postgres', q{SELECT count(*) = 1 FROM kpi.team_yearly WHERE kpi = 'calls' AND team = 'company'}, 'calls');
$node->safe_psql('postgres', q{
	SELECT kpi.create_goal('deals', kpi => 'deals', period => '2026-11', target => 20);
	SELECT kpi.create_goal('calls', kpi => 'calls', period => '2026-11', target => 2)});
my $announced = q{SELECT string_agg(g.name || ' ' || s.status, ', ' ORDER BY g.id)
	FROM kpi_internal.goal_status s JOIN kpi.goal g ON g.id = s.goal_id};

# The statuses that are announced, and the payloads a listener got for them.
sub announced_is
{
	my ($statuses, $payloads, $name) = @_;
	my @wanted = split(/, /, $payloads);
	my @got;

	wait_for($node, 'postgres', "SELECT ($announced) = '$statuses'", "$name: statuses");
	# A listener is signalled just after the commit is visible.
	for (1 .. 1000)
	{
		push @got, map { /"goal":"(\w+)".*"old_status":"(\w+)","status":"(\w+)"/ ? "$1 $2 $3" : $_ }
		  $node->{listener}->query_safe('SELECT 1') =~ /"kpi_progress" with payload "(.*)" received/g;
		last if @got >= @wanted;
	}
	is(join(', ', @got), $payloads, "$name: each change once");
	return;
}

wait_for($node, 'postgres', "SELECT ($announced) = 'deals on_track, calls on_track'", 'the first statuses');
$node->{listener} = $node->background_psql('postgres');
$node->{listener}->query_safe('LISTEN kpi_progress');
announced_is('deals on_track, calls on_track', '', 'nothing has changed');
set_now('2026-11-27 12:00+00');
wait_for($node, 'postgres', q{SELECT count(*) = 2 FROM kpi.goal_progress WHERE status = 'behind'}, 'a late day: the goals are behind');
announced_is('deals on_track, calls on_track', '', 'and nobody is told as yet');
set_now('2026-11-27 15:00+00');
announced_is('deals on_track, calls behind', 'calls on_track behind', 'when the next day begins in Tokyo, they are still');
set_now('2026-11-30 14:59:59+00');
announced_is('deals behind, calls behind', 'deals on_track behind', 'and later elsewhere');
set_now('2026-11-30 15:00+00');
announced_is('deals behind, calls missed', 'calls behind missed', 'the month ends in Tokyo');
set_now('2026-12-01 00:00+00');
announced_is('deals missed, calls missed', 'deals behind missed', 'and nine hours later elsewhere');
set_now('2036-01-01 00:00+00');
wait_for($node, 'postgres', q{SELECT max(day) = '2046-12-31' FROM kpi.calendar_day}, 'far ahead');
announced_is('deals missed, calls missed', '', 'far ahead');
set_now('2026-11-03 12:00+00');
wait_for($node, 'postgres', q{SELECT count(*) = 2 FROM kpi.goal_progress WHERE status = 'on_track'}, 'the clock is set back');
announced_is('deals missed, calls missed', '', 'which is to last for a day, too');
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'postgres', 11, 'facts are counted then, too');

# ---- an error there keeps no source back ----

$node->safe_psql('postgres', q{
	CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no new day'; END $$;
	CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON kpi_internal.announced_day FOR EACH ROW EXECUTE FUNCTION fail()});
set_now('2026-11-04 12:00+00');
$node->wait_for_log(qr/could not follow the beginning of a day: no new day/);
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'postgres', 12, 'sources go on');
$node->safe_psql('postgres', 'DROP TRIGGER fail ON kpi_internal.announced_day');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; UPDATE kpi_internal.announced_day SET day = day');
set_now('2026-11-05 12:00+00');
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'postgres', 13, 'nor does somebody who holds its row');
$holder->query_safe('ROLLBACK');
$holder->quit;

# ---- sources with an interval, and a clock that is set back ----

$node->safe_psql('postgres', q{SELECT kpi.set_refresh('deals', every => '1 hour')});
set_now('2100-01-01 00:00+00');
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'postgres', 14, 'an interval is over');
# What a worker wrote before the clock was set back is of the future now.
$node->safe_psql('postgres', q{
	UPDATE kpi_internal.source_state SET refreshed_at = '2100-01-01', next_try = '2100-01-01';
	INSERT INTO deals DEFAULT VALUES});
set_now('2026-11-05 12:00+00');
count_is($node, 'postgres', 15, 'it does not wait for a moment that was noted before');
exact($node, 'postgres', 'at the end');

# ---- who belongs elsewhere from a day on, and KPIs that count for the teams of today ----

$node->safe_psql('postgres', q{
	CREATE TABLE visits (id bigserial PRIMARY KEY, owner text, day date);
	INSERT INTO visits (owner, day) SELECT 'mia', date '2026-10-01' + i FROM generate_series(0, 9) i;
	SELECT kpi.create_team('before'), kpi.create_team('after');
	SELECT kpi.add_member('mia', team => 'before');
	SELECT kpi.move_member('mia', team => 'after', since => '2026-11-07');
	SELECT kpi.create_source('visits', relation => 'public.visits', key => 'id', owner => 'owner', at => 'day');
	SELECT kpi.create_kpi('visits', source => 'visits', measure => 'count(*)');
	SELECT kpi.create_kpi('visits_now', source => 'visits', measure => 'count(*)', credit => 'today')});
my $visits = q{SELECT string_agg(kpi || ' ' || team || ' ' || value, ', ' ORDER BY kpi, team) FROM kpi.team_monthly
	WHERE kpi ~ '^visits' AND team <> 'company' AND is_complete};
wait_for($node, 'postgres', "SELECT ($visits) = 'visits before 10, visits_now before 10'", 'a move of a day to come has moved nothing');
set_now('2026-11-06 23:59:50+00');
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'postgres', 16, 'the day before is over in a moment');
is($node->safe_psql('postgres', $visits), 'visits before 10, visits_now before 10', 'and nothing has moved');
set_now('2026-11-07 00:00:00+00');
wait_for($node, 'postgres', "SELECT ($visits) = 'visits before 10, visits_now after 10'", 'its day has begun, and no fact has come');
exact($node, 'postgres', 'then');
set_now('2026-11-06 12:00+00');
wait_for($node, 'postgres', "SELECT ($visits) = 'visits before 10, visits_now before 10'", 'the clock is set back');

# ---- no moment at all ----

my ($status, $stdout, $stderr) = $node->psql('postgres', q{ALTER SYSTEM SET kpi.now = 'tomorrow evening'});
like($stderr, qr/invalid value for parameter "kpi.now": "tomorrow evening"\nDETAIL:  It is not a moment.\nHINT:  Give a date and a time/,
	'what is no moment is refused');

$node->{listener}->quit;
$node->stop;
done_testing();
