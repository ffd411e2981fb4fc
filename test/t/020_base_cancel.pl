# Cancelling CALL kpi.refresh() costs the session nothing: whatever stops it,
# wherever it was called and however deep in it was, the next statement works.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('cancel');

# A fact whose evaluation never ends, in the session that is cancelled.  One that fails comes before it where
# the facts are to be read row by row.
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_kpi;
	CREATE TABLE deals (id integer PRIMARY KEY, day date DEFAULT '2026-03-04');
	CREATE TABLE probe (name text);
	CREATE FUNCTION slow(id integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		IF id = 1 THEN RAISE 'no number'; END IF;
		PERFORM pg_sleep(600) WHERE current_setting('application_name') = 'cancelled';
		RETURN id;
	END $$;
	SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', at => 'day');
	SELECT kpi.create_kpi('slow', source => 'deals', measure => 'sum(public.slow(id))')});

my $probe = 0;
my %call = (
	'in autocommit' => 'CALL kpi.refresh()',
	'of one source' => q{CALL kpi.refresh('deals')},
	'in a block' => "BEGIN;\nCALL kpi.refresh()",
	'after a savepoint' => "BEGIN;\nSAVEPOINT s;\nCALL kpi.refresh()",
	'in DO' => 'DO $$ BEGIN CALL kpi.refresh(); END $$',
	'in DO that goes on' => q{DO $$ BEGIN CALL kpi.refresh(); EXCEPTION WHEN query_canceled THEN RAISE NOTICE '%', sqlerrm; END $$});

my $sleeping = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = %d AND wait_event = 'PgSleep'};
my %cancel = (
	'statement_timeout' => undef,
	'pg_cancel_backend()' => sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend($_[1])") },
	'Ctrl-C' => sub { $_[0]->{stdin} .= "\cC"; $_[0]->{run}->pump_nb });
delete $cancel{'Ctrl-C'} unless eval { require IO::Pty; 1 };

# Has the session insert what another one can see; its output alone would do
# where a terminal does not mix it with the input.
sub works
{
	my ($session, $sql, $name) = @_;

	$probe++;
	$session->query(sprintf $sql, "INSERT INTO probe VALUES ($probe)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM probe WHERE name = '$probe'"), $name);
	return;
}

# One session for all, as a pool of connections would hand it out.
for my $cancel (sort keys %cancel)
{
	my $session = $cancel eq 'Ctrl-C' ? $node->interactive_psql('postgres') :
		$node->background_psql('postgres', on_error_stop => 0);
	$session->query(q{SET application_name = 'cancelled'});
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'cancelled'});

	for my $rows ('1, 2', '2')
	{
		$node->safe_psql('postgres', 'TRUNCATE deals; INSERT INTO deals ' . join ' UNION ALL ', map { "SELECT $_" } split /, /, $rows);
		for my $where (sort keys %call)
		{
			my $name = "$cancel $where, facts $rows";

			$session->{stderr} = '';
			$session->query(q{SET statement_timeout = '100ms'}) unless $cancel{$cancel};
			if ($cancel{$cancel})
			{
				$session->{stdin} .= "$call{$where};\n";
				$session->{run}->pump_nb;
				ok($node->poll_query_until('postgres', sprintf $sleeping, $pid), "$name: it runs");
				$cancel{$cancel}->($session, $pid);
			}
			else
			{
				$session->query($call{$where});
			}
			$session->query('ROLLBACK') if $call{$where} =~ /^BEGIN/;
			works($session, 'RESET statement_timeout; %s', "$name: the next statement works");
			like($session->{stderr}, qr/canceling statement due to/, "$name: it was cancelled");
			works($session, "ROLLBACK;\n%s", "$name: ROLLBACK works");
			works($session, "BEGIN;\n%s;\nCOMMIT", "$name: a block works");
			is($node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'cancelled'}), $pid,
				"$name: the session lives");
		}
	}
	$session->query("DISCARD ALL;\nRESET application_name");
	$session->quit;
}

like($node->safe_psql('postgres', q{SELECT status, facts_ignored FROM kpi.source_status}), qr/^building\|0$/, 'nothing came of it');
$node->safe_psql('postgres', 'DELETE FROM deals WHERE id = 2');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
$node->stop;
done_testing();
