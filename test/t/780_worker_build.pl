# KPIs that are defined one after the other, each in a transaction of its own,
# are built together; a build that can wait does not wait for ever.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('build', 'kpi.build_delay' => '10s');

sub set_delay
{
	my ($delay) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET kpi.build_delay = '$delay'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('kpi.build_delay') = '$delay'") or die "kpi.build_delay is not $delay";
	return;
}

# What the worker did for a source, by what it is called in kpi.refresh_log.
sub builds
{
	my ($source) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM kpi.refresh_log WHERE source = '$source' AND kind = 'build'");
}

define($node, 'postgres');
$node->safe_psql('postgres', 'INSERT INTO deals SELECT FROM generate_series(1, 100)');
$node->safe_psql('postgres', "SELECT kpi.create_kpi('k$_', source => 'deals', measure => 'sum(amount * $_)')") for 1 .. 12;
$node->safe_psql('postgres', "SELECT kpi.create_kpi('f$_', formula => 'k$_ / deals')") for 1 .. 3;
wait_for($node, 'postgres', q{SELECT value = 3 FROM kpi.team_yearly WHERE kpi = 'f3' AND team = 'company'}, 'a dozen KPIs and formulas are there');
is(builds('deals'), 1, 'and were built once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.team_yearly WHERE kpi ~ '^[kf][0-9]+$' AND team = 'company'}), 15, 'all of them');
exact($node, 'postgres', 'together');

# Others do not wait for a build, and whoever asks for it does not either.
set_delay('1h');
$node->safe_psql('postgres', q{
	CREATE TABLE calls (at date DEFAULT '2026-03-04');
	SELECT kpi.create_source('calls', relation => 'public.calls', at => 'at');
	SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)')});
$node->safe_psql('postgres', 'INSERT INTO deals DEFAULT VALUES');
count_is($node, 'postgres', 101, 'a source that has nothing new is refreshed');
is(builds('calls'), 0, 'while another waits');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is(builds('calls'), 1, 'CALL kpi.refresh() builds at once');

# Definitions without end: a build is due after ten times the delay.
set_delay('700ms');
my $n = 0;
$node->safe_psql('postgres', q{SELECT kpi.create_kpi('endless', source => 'calls', measure => 'count(*)', filter => 'at > ''2026-01-01''')});
until ($node->safe_psql('postgres', q{SELECT EXISTS (SELECT FROM kpi_internal.measure_built b JOIN kpi.kpi k ON k.id = b.kpi_id WHERE k.name = 'endless')}) eq 't')
{
	last if ++$n > 500;
	$node->safe_psql('postgres', "SELECT kpi.create_team('t$n')");
}
cmp_ok($n, '<=', 500, 'it is built while others go on defining');
cmp_ok($n, '>', 1, 'and not at once');

# A server that starts has nothing to wait for.
set_delay('1h');
$node->safe_psql('postgres', q{SELECT kpi.create_kpi('late', source => 'calls', measure => 'count(*)')});
$node->append_conf('postgresql.conf', 'kpi.enabled = off');
$node->stop('fast');
$node->append_conf('postgresql.conf', "kpi.enabled = on");
$node->start;
wait_for($node, 'postgres', q{SELECT EXISTS (SELECT FROM kpi_internal.measure_built b JOIN kpi.kpi k ON k.id = b.kpi_id WHERE k.name = 'late')},
	'what was defined before a restart is built');
$node->stop;
done_testing();
