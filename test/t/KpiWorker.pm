# For the tests of the background workers: servers that preload the library,
# and databases with a source that counts.
package KpiWorker;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

our @EXPORT = qw(new_server define count_is current wait_for exact timed worker_pid builder_pid building writers stop_writers);

# A running server with the library preloaded and these settings besides.
sub new_server
{
	my ($name, %setting) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	%setting = (
		'kpi.worker_idle_timeout' => '200ms',
		'kpi.build_delay' => '50ms',
		'max_prepared_transactions' => 5,
		'restart_after_crash' => 'on',
		'autovacuum' => 'off',
		%setting);
	$node->init(allows_streaming => delete $setting{allows_streaming});
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_kpi'");
	$node->append_conf('postgresql.conf', "$_ = '$setting{$_}'") for sort keys %setting;
	$node->start;
	return $node;
}

# The extension and a source "deals" with one KPI that counts its rows.
sub define
{
	my ($node, $database) = @_;

	$node->safe_psql($database, q{
		CREATE EXTENSION pg_kpi;
		SELECT kpi.create_team('emea'), kpi.add_member('alice', team => 'emea');
		CREATE TABLE deals (id bigserial PRIMARY KEY, owner text DEFAULT 'alice', at timestamptz DEFAULT '2026-03-04 05:06',
			amount numeric DEFAULT 1);
		SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', owner => 'owner', at => 'at');
		SELECT kpi.create_kpi('deals', source => 'deals', measure => 'count(*)')});
	return;
}

sub wait_for
{
	my ($node, $database, $query, $name) = @_;

	ok($node->poll_query_until($database, $query), $name);
	return;
}

# SQL: the KPI says what the table has.
sub current
{
	return q{SELECT coalesce((SELECT v.value FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id
		WHERE k.name = 'deals' AND v.team_id = 1 AND v.grain = 'year'), 0) = (SELECT count(*) FROM deals)};
}

# Waits until the KPI has the value, without asking for a refresh.
sub count_is
{
	my ($node, $database, $count, $name) = @_;

	wait_for($node, $database, qq{SELECT v.value = $count FROM kpi.kpi_value v JOIN kpi.kpi k ON k.id = v.kpi_id
		WHERE k.name = 'deals' AND v.team_id = 1 AND v.grain = 'year'}, $name);
	return;
}

sub exact
{
	my ($node, $database, $name) = @_;

	wait_for($node, $database, 'SELECT count(*) = 0 FROM kpi_internal.delta', "$name: the queue is empty");
	is($node->safe_psql($database, 'SELECT * FROM kpi.verify()'), '', "$name: exact");
	is($node->safe_psql($database, current()), 't', "$name: as many as there are");
	return;
}

# Runs a statement and asserts that it took less than so many seconds.
sub timed
{
	my ($node, $database, $statement, $limit, $name) = @_;
	my $began = Time::HiRes::time();
	my ($status, $stdout, $stderr) = $node->psql($database, $statement);
	my $took = Time::HiRes::time() - $began;

	is($status, 0, "$name: done") or diag($stderr);
	cmp_ok($took, '<', $limit, "$name: in time");
	return;
}

# The process id of a database's worker, which is awake.
sub worker_pid
{
	my ($node, $database) = @_;

	return $node->safe_psql('postgres',
		qq{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_kpi worker' AND datname = '$database'});
}

# The process id of a database's builder, which is awake.
sub builder_pid
{
	my ($node, $database) = @_;

	return $node->safe_psql('postgres',
		qq{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_kpi builder' AND datname = '$database'});
}

# Waits until the builder has a source in hand.
sub building
{
	my ($node, $database, $source, $name) = @_;

	wait_for($node, $database, qq{SELECT EXISTS (SELECT FROM kpi.worker_status
		WHERE database = '$database' AND task = 'builds' AND state = 'working' AND source = '$source')}, $name);
	return;
}

# Sessions that write without pause until they are stopped or the server is.
sub writers
{
	my ($node, $database, $number) = @_;

	return map {
		IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr($database), '-c',
			q{DO $$ BEGIN LOOP INSERT INTO deals (amount) VALUES (random()); COMMIT; PERFORM pg_sleep(0.002); END LOOP; END $$} ],
			'<', \undef, '>', \my $out, '2>', \my $err)
	} 1 .. $number;
}

# A session does not notice that its client is gone, so it is ended itself.
sub stop_writers
{
	my ($node, @writers) = @_;

	$node->poll_query_until('postgres', q{SELECT count(pg_terminate_backend(pid)) = 0 FROM pg_stat_activity
		WHERE query LIKE 'DO $$ BEGIN LOOP%'}) or die 'writers do not stop';
	$_->finish for @writers;
	return;
}

1;
