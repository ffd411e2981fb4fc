# Whom a long refresh yields to and to whom not, and what a worker that fails
# takes with it.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('ways', 'kpi.worker_idle_timeout' => 0);

define($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
		-- for the worker, not for writers
		IF current_setting('application_name') = 'pg_kpi' THEN PERFORM pg_sleep(0.03); END IF;
		RETURN $1;
	END $$;
	CREATE TABLE unrelated ();
	INSERT INTO deals SELECT FROM generate_series(1, 100)});
count_is($node, 'postgres', 100, 'facts');

# Has the worker build the source anew, by another expression each time.
my $builds = 0;
sub build
{
	my ($name, $also) = @_;

	$builds++;
	$node->safe_psql('postgres', join '; ', "BEGIN; SELECT kpi.alter_source('deals', owner => 'public.slow(owner || ''$builds'')')", $also // (), 'COMMIT');
	building($node, 'postgres', 'deals', "$name: the builder is busy");
	return;
}

sub is_built
{
	my ($name) = @_;

	wait_for($node, 'postgres', q{SELECT count(*) = 0 FROM kpi_internal.stream s JOIN kpi_internal.measure m ON m.stream_id = s.id
		WHERE NOT EXISTS (SELECT FROM kpi_internal.measure_built b WHERE b.measure_id = m.id AND b.version = s.version AND b.rollups_since = '-infinity')
			OR EXISTS (SELECT FROM kpi_internal.source_state t WHERE t.build_due)}, "$name: it is built");
	return;
}

sub gave_way
{
	return () = slurp_file($node->logfile) =~ /refresh of source "deals" gave way/g;
}

# ---- who waits for something else ----

my $holder = $node->background_psql('postgres');
my $waiter = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK unrelated');
$waiter->query_until(qr/begin/, "\\echo begin\nBEGIN; LOCK unrelated; COMMIT;\n");
wait_for($node, 'postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'unrelated'::regclass AND NOT granted}, 'somebody waits for a session');
build('a waiter for something else');
is_built('a waiter for something else');
is(gave_way(), 0, 'the worker is not in its way');
$holder->query_safe('COMMIT');
$_->quit for $holder, $waiter;

# ---- it yields, but not for ever ----

my $alterer = $node->background_psql('postgres');
build('a waiter for the table');
$alterer->query_safe('ALTER TABLE deals ADD COLUMN a integer');
is_built('a waiter for the table');
is(gave_way(), 1, 'the worker gives way');
# The pauses between five times add up to half a minute, so this begins there.
build('after five times', 'UPDATE kpi_internal.source_state SET yields = 5');
$alterer->query_safe('ALTER TABLE deals ADD COLUMN b integer');
is_built('after five times');
is(gave_way(), 1, 'it goes on to the end');
is($node->safe_psql('postgres', 'SELECT yields FROM kpi_internal.source_state'), 0, 'and begins to count anew');
$alterer->quit;
$node->safe_psql('postgres', q{SELECT kpi.alter_source('deals', owner => 'owner')});

# ---- a worker that fails, and no commit after it ----

$node->safe_psql('postgres', q{
	CREATE TABLE flag ();
	CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM public.flag) THEN PERFORM pg_sleep(600); END IF;
		RETURN NEW;
	END $$;
	CREATE TRIGGER hang BEFORE UPDATE ON kpi_internal.source_state FOR EACH ROW EXECUTE FUNCTION hang();
	SELECT kpi.set_refresh('deals', every => '1 second')});
my $refreshed = $node->safe_psql('postgres', 'SELECT refreshed_at FROM kpi.source_status');
wait_for($node, 'postgres', "SELECT refreshed_at > timestamptz '$refreshed' + interval '1 second' FROM kpi.source_status", 'an interval');
$node->safe_psql('postgres', 'INSERT INTO flag DEFAULT VALUES');
wait_for($node, 'postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker' AND wait_event = 'PgSleep'},
	'a worker that has come for the next one hangs');
$refreshed = $node->safe_psql('postgres', 'SELECT refreshed_at FROM kpi.source_status');
$node->safe_psql('postgres', 'DELETE FROM flag');
is($node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker'}), 't', 'and is ended');
wait_for($node, 'postgres', "SELECT refreshed_at > '$refreshed' FROM kpi.source_status", 'another one comes by itself');
exact($node, 'postgres', 'at the end');

$node->stop;
done_testing();
