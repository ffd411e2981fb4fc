# Timeouts that a server or a database sets for its sessions are not for the
# workers: a first refresh takes as long as it takes.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('timeouts');
my @timeouts = qw(statement_timeout idle_in_transaction_session_timeout idle_session_timeout);

push @timeouts, 'transaction_timeout' if $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000;
$node->safe_psql('postgres', "ALTER DATABASE postgres SET $_ = '500ms'") for @timeouts;
$ENV{PGOPTIONS} = join(' ', map { "-c $_=0" } @timeouts);

# Reading the one fact takes longer than any of them allows.
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION pg_kpi;
	CREATE TABLE deals (id bigserial PRIMARY KEY, at timestamptz DEFAULT '2026-03-04 05:06');
	INSERT INTO deals DEFAULT VALUES;
	CREATE FUNCTION slow(timestamptz) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS
		'BEGIN PERFORM pg_catalog.pg_sleep(1.5); RETURN $1; END';
	SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', at => 'public.slow(at)');
	SELECT kpi.create_kpi('deals', source => 'deals', measure => 'count(*)')});
count_is($node, 'postgres', 1, 'the worker takes its time');
unlike(slurp_file($node->logfile), qr/due to .*timeout/, 'and nothing stopped it');

done_testing();
