# The largest value of a day when all those that its cell knew are gone: missing
# until the builder has read the facts of the day, and nobody has to ask for it;
# also when the server crashes meanwhile.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('unknown');

define($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE TABLE slowly (yes boolean);
	CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
		-- for the builder, not for writers
		IF current_setting('application_name') = 'pg_kpi' AND EXISTS (SELECT FROM public.slowly) THEN PERFORM pg_sleep(600); END IF;
		RETURN $1;
	END $$;
	SELECT kpi.alter_source('deals', owner => 'public.slow(owner)');
	SELECT kpi.create_kpi('largest', source => 'deals', measure => 'max(amount)'), kpi.create_kpi('latest', source => 'deals', measure => 'last(amount)');
	INSERT INTO deals (amount) SELECT i FROM generate_series(1, 500) i});

# SQL: of how many facts, and what they are.
my $now = q{SELECT string_agg(concat_ws(' ', kpi, team, facts, coalesce(value::text, 'missing')), ', ' ORDER BY kpi, team)
	FROM kpi.team_yearly WHERE kpi IN ('largest', 'latest') AND team IN ('company', 'emea')};

sub are
{
	my ($facts, $value, $name) = @_;
	my $expected = join ', ', map { my $kpi = $_; map { "$kpi $_ $facts $value" } qw(company emea) } qw(largest latest);

	wait_for($node, 'postgres', "SELECT ($now) = '$expected'", $name);
	return;
}

are(500, 500, 'built');
$node->safe_psql('postgres', 'DELETE FROM deals WHERE amount > 100');
are(100, 100, 'more are gone than are known: read again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.unknown_day'), 0, 'no day is left');
exact($node, 'postgres', 'read again');

$node->safe_psql('postgres', q{INSERT INTO slowly VALUES (true)});
$node->safe_psql('postgres', 'DELETE FROM deals WHERE amount > 50');
building($node, 'postgres', 'deals', 'the builder reads facts');
are(50, 'missing', 'meanwhile the value is missing');
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM kpi_internal.unknown_day'), 't', 'and it is known of which days');
$node->safe_psql('postgres', 'DELETE FROM slowly');
my $pid = builder_pid($node, 'postgres');
kill 'KILL', $pid;
$node->wait_for_log(qr/\(PID $pid\) was terminated by signal 9/);
ok($node->poll_query_until('postgres', 'SELECT true'), 'the server is there again');
are(50, 50, 'after the crash the facts are read');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.unknown_day'), 0, 'no day is left then, either');
exact($node, 'postgres', 'crashed');

$node->stop;
done_testing();
