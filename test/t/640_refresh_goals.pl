# Rows of kpi.goal_progress with a worker: somebody who has one locked holds no
# refresh back and does not keep the worker busy, and the row is right thereafter
# without another change; days that begin with a worker, without one and after a
# crash; goals made while a refresh has not committed.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $node = new_server('goals', 'kpi.now' => '2026-11-10 12:00+00');

define($node, 'postgres');
$node->safe_psql('postgres', q{INSERT INTO deals SELECT FROM generate_series(1, 10)});
count_is($node, 'postgres', 10, 'facts');
$node->safe_psql('postgres', q{
	SELECT kpi.create_goal('emea', kpi => 'deals', team => 'emea', period => '2026', target => 100000);
	SELECT kpi.create_goal('company', kpi => 'deals', period => '2026', target => 100000)});

sub set_now
{
	my ($now) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET kpi.now = '$now'");
	$node->reload;
	# Until the postmaster has read it, new sessions have the old one.
	$node->poll_query_until('postgres', "SELECT current_setting('kpi.now') = '$now'") or die "kpi.now is not $now";
	return;
}

sub set_enabled
{
	my ($value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET kpi.enabled = '$value'");
	$node->reload;
	return if $value eq 'on';
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker'})
	  or die 'there is still a worker';
	return;
}

# The rows are of the facts that there are.
sub rows_are_right
{
	my ($name) = @_;

	wait_for($node, 'postgres', q{SELECT bool_and(p.actual = (SELECT count(*) FROM deals)) FROM kpi.goal_progress p
		WHERE p.kpi = 'deals' AND p.grain = 'year'}, "$name: the numbers are those of the facts");
	wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM kpi_internal.goal_recheck}, "$name: nothing is to be looked at once more");
	is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT team_name, ' ') = (SELECT name FROM kpi.team WHERE key = 'emea')
		FROM kpi.goal_progress WHERE team = 'emea'}), 't', "$name: the name is the team's");
	exact($node, 'postgres', $name);
	return;
}

sub looks
{
	return $node->safe_psql('postgres', q{SELECT last_value FROM kpi_internal.goal_recheck_id_seq});
}

rows_are_right('at first');

# ---- a rename that is left open while facts stream in ----

$node->safe_psql('postgres', q{BEGIN; SELECT kpi.alter_team('emea', name => 'Europe'); PREPARE TRANSACTION 'rename'});
my $facts = $node->safe_psql('postgres', 'SELECT count(*) FROM deals');
my @writers = writers($node, 'postgres', 2);
wait_for($node, 'postgres', "SELECT actual > $facts + 200 FROM kpi.goal_progress WHERE goal = 'company'", 'a goal whose row is free follows the facts');
stop_writers($node, @writers);
wait_for($node, 'postgres', current(), 'the source is current');
is($node->safe_psql('postgres', q{SELECT team_name, actual FROM kpi.goal_progress WHERE goal = 'emea'}), "emea|$facts", 'the row that is locked stays what it was');
is($node->safe_psql('postgres', q{SELECT failures, last_error IS NULL FROM kpi.source_status WHERE source = 'deals'}), '0|t', 'and nothing failed');

# The worker looks at it no more often than four times a second, and does nothing else.
my $refreshes = q{SELECT sum(runs) FROM kpi.refresh_log};
my $before = $node->safe_psql('postgres', $refreshes);
my $began = looks();
my $started = Time::HiRes::time();
wait_for($node, 'postgres', "SELECT last_value >= $began + 8 FROM kpi_internal.goal_recheck_id_seq", 'it is looked at again and again');
my $looks = looks() - $began;
my $took = Time::HiRes::time() - $started;
cmp_ok($looks, '<=', $took / 0.25 + 2, 'but not without a pause');
is($node->safe_psql('postgres', $refreshes), $before, 'and nothing is refreshed for it');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.goal_recheck'), 1, 'the list does not grow');

# A crash keeps the transaction and the list.
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
wait_for($node, 'postgres', current(), 'the source is current after a crash');
$node->safe_psql('postgres', q{COMMIT PREPARED 'rename'});
wait_for($node, 'postgres', q{SELECT team_name = 'Europe' FROM kpi.goal_progress WHERE goal = 'emea'}, 'the rename is in the row');
rows_are_right('after the rename');

# One that is rolled back leaves the row to the facts.
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; SELECT kpi.alter_team('emea', name => 'Nowhere')});
$node->safe_psql('postgres', 'INSERT INTO deals SELECT FROM generate_series(1, 5)');
wait_for($node, 'postgres', current(), 'the source is current while a row is locked');
$session->query_safe('ROLLBACK');
rows_are_right('after a rename that did not happen');

# ---- what is made while a refresh has not committed ----

set_enabled('off');
$session->query_safe(q{BEGIN; INSERT INTO deals SELECT FROM generate_series(1, 7); CALL kpi.refresh('deals')});
$node->safe_psql('postgres', q{SELECT kpi.create_goal('new', kpi => 'deals', member => 'alice', period => '2026', target => 10)});
is($node->safe_psql('postgres', q{SELECT actual < (SELECT count(*) + 7 FROM deals) FROM kpi.goal_progress WHERE goal = 'new'}), 't', 'a new goal does not see the refresh');
$session->query_safe('COMMIT');
is($node->safe_psql('postgres', q{SELECT actual < (SELECT count(*) FROM deals) FROM kpi.goal_progress WHERE goal = 'new'}), 't', 'nor does the refresh see it');
set_enabled('on');
rows_are_right('a goal made meanwhile');

# ---- days ----

# All rows that are current are of the day, and what the day brings is in them.
sub day_is
{
	my ($day, $name) = @_;

	wait_for($node, 'postgres', qq{SELECT bool_and(as_of_day = '$day') FROM kpi.goal_progress WHERE is_current}, "$name: $day");
	wait_for($node, 'postgres', q{SELECT bool_and(p.actual_to_date = (SELECT count(*) FROM deals d WHERE (d.at AT TIME ZONE 'UTC')::date <= p.as_of_day))
		FROM kpi.goal_progress p WHERE p.is_current}, "$name: to date is to the day");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.health() WHERE problem = 'day_behind'}), 0, "$name: nothing is behind");
	return;
}

$node->safe_psql('postgres', q{INSERT INTO deals (at) SELECT '2026-11-10'::timestamptz + i * interval '1 day' FROM generate_series(1, 10) i});
rows_are_right('facts of days ahead');
day_is('2026-11-10', 'the day as it is');
set_now('2026-11-11 00:00+00');
day_is('2026-11-11', 'with a worker');
rows_are_right('with a worker');
set_now('2026-11-10 23:59:59+00');
day_is('2026-11-10', 'with a worker, back');

set_enabled('off');
set_now('2026-11-12 12:00+00');
like($node->safe_psql('postgres', q{SELECT detail FROM kpi.health() WHERE problem = 'day_behind'}), qr/ 3, the first by 2026-11-10/, 'without a worker it is said');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
day_is('2026-11-12', 'without a worker, the first refresh');

# A worker that is killed while it follows the day, and everybody with it.
$session->query_safe(q{BEGIN; LOCK TABLE kpi_internal.announced_day});
$node->safe_psql('postgres', q{INSERT INTO deals (at) VALUES ('2026-11-13 10:00+00')});
set_now('2026-11-14 12:00+00');
set_enabled('on');
wait_for($node, 'postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker' AND wait_event_type = 'Lock'}, 'the worker has begun to follow the day');
$node->stop('immediate');
$session->{run}->finish;
$node->start;
day_is('2026-11-14', 'after a crash');
rows_are_right('after a crash');

# A row that is locked when the day begins follows later.
$session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; SELECT kpi.alter_goal('emea', target => 7)});
set_now('2026-11-15 12:00+00');
wait_for($node, 'postgres', q{SELECT as_of_day = '2026-11-15' FROM kpi.goal_progress WHERE goal = 'company'}, 'the others follow the day');
is($node->safe_psql('postgres', q{SELECT as_of_day, target FROM kpi.goal_progress WHERE goal = 'emea'}), '2026-11-14|100000', 'one that is locked does not');
$session->query_safe('COMMIT');
day_is('2026-11-15', 'after who had it locked');
rows_are_right('after who had it locked');
is($node->safe_psql('postgres', q{SELECT target, status FROM kpi.goal_progress WHERE goal = 'emea'}), '7|achieved', 'with what was altered');

$session->quit;
$node->stop;
done_testing();
