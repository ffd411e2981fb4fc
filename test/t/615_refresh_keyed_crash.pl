# The server dies under a keyed source: when changes are noted and not read yet,
# while all rows or those of some entities are read, while they are written, and
# before the commit.  Afterwards the kept rows are those of the query, run by
# itself, and the numbers those of plain SQL.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('keyed_crash', 'max_prepared_transactions = 2', 'restart_after_crash = on');
my $query = q{SELECT d.deal_id, d.owner, d.closed_on, kc.passed(sum(e.n)) AS n FROM kc.deal d LEFT JOIN kc.event e USING (deal_id)
	GROUP BY d.deal_id, d.owner, d.closed_on};

# the query waits where an advisory lock is held
$node->safe_psql('postgres', qq{
	CREATE EXTENSION pg_kpi;
	SELECT kpi.create_team('north'), kpi.add_member('ann', team => 'north');
	CREATE SCHEMA kc;
	CREATE FUNCTION kc.passed(n numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS
		'BEGIN PERFORM pg_advisory_lock_shared(14), pg_advisory_unlock_shared(14); RETURN n; END';
	CREATE TABLE kc.deal (deal_id integer PRIMARY KEY, owner text, closed_on date);
	CREATE TABLE kc.event (id integer, deal_id integer, n numeric);
	CREATE INDEX ON kc.event (deal_id);
	INSERT INTO kc.deal SELECT i, (ARRAY['ann', 'bob'])[1 + i % 2], date '2026-01-01' + i % 90 FROM generate_series(1, 2000) i;
	INSERT INTO kc.event SELECT i, i % 2100, i FROM generate_series(1, 5000) i;
	SELECT kpi.create_source('deals', key => 'deal_id', owner => 'owner', at => 'closed_on', query => \$q\$$query\$q\$,
		follow => '{"kc.deal": "deal_id", "kc.event": "deal_id"}');
	SELECT kpi.create_kpi('n', source => 'deals', measure => 'sum(n)');});

my $rows = "SELECT deal_id, owner, closed_on, sum(n) AS n FROM kc.deal LEFT JOIN kc.event USING (deal_id) GROUP BY 1, 2, 3";

# Whether all is as plain SQL says, after one refresh.
sub is_right
{
	my ($what) = @_;

	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	is($node->safe_psql('postgres', "SELECT count(*) FROM ((($rows) EXCEPT ALL TABLE kpi_data.deals) UNION ALL (TABLE kpi_data.deals EXCEPT ALL ($rows))) x"),
		0, "$what: the kept rows");
	is($node->safe_psql('postgres', "SELECT period_start, value, facts FROM kpi.team_monthly WHERE kpi = 'n' AND team = 'company' ORDER BY 1"),
		$node->safe_psql('postgres', "SELECT date_trunc('month', closed_on)::date, trim_scale(sum(n)), count(n) FROM ($rows) r GROUP BY 1 ORDER BY 1"), "$what: the numbers");
	is($node->safe_psql('postgres', q{SELECT * FROM kpi.verify('deals')}), '', "$what: verified");
}

# The refresh waits while it reads or writes, and is killed there: the backend,
# which takes the server with it.  What was noted is as it was.
sub dies_during
{
	my ($lock, $what) = @_;
	my $waiting = $node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.delta');
	my $locker = $node->background_psql('postgres');

	$locker->query_safe($lock);
	my $refresher = $node->background_psql('postgres', on_error_stop => 0);
	$refresher->query_until(qr/start/, "\\echo start\nCALL kpi.refresh();\n");
	ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL kpi.refresh%' AND wait_event_type = 'Lock'}),
		"$what: the refresh is half way");
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL kpi.refresh%'});
	kill 'KILL', $pid;
	eval { $_->{run}->finish } for $locker, $refresher;
	ok($node->poll_query_until('postgres', 'SELECT true'), "$what: the server is back");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.delta'), $waiting, "$what: what was noted waits");
	is_right($what);
}

my $read = 'SELECT pg_advisory_lock(14)';
my $write = 'BEGIN; SELECT count(*) FROM (SELECT FROM kpi_data.deals FOR UPDATE) x';
my $change = q{UPDATE kc.event SET deal_id = deal_id + 1, n = n + 0.5 WHERE id % 50 = 0; DELETE FROM kc.deal WHERE deal_id % 97 = 3;
	INSERT INTO kc.event SELECT i, i % 1000, i FROM generate_series(6000, 6100) i;};

dies_during($read, 'first reading of all');

# noted, and not read yet; another writer has not committed
$node->safe_psql('postgres', $change);
$node->safe_psql('postgres', q{BEGIN; UPDATE kc.deal SET owner = 'ann' WHERE deal_id % 5 = 0; PREPARE TRANSACTION 'p'});
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; DELETE FROM kc.event WHERE id % 2 = 0; SAVEPOINT a; UPDATE kc.event SET n = 0');
$node->stop('immediate');
eval { $open->quit };
$node->start;
is_right('crash between a change and its refresh');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
is_right('a prepared change that outlived it');

$node->safe_psql('postgres', $change);
dies_during($read, 'reading of some entities');
$node->safe_psql('postgres', $change);
dies_during($write, 'writing of some entities');
$node->safe_psql('postgres', "TRUNCATE kc.event; $change");
dies_during($read, 'reading of all');
$node->safe_psql('postgres', 'ALTER TABLE kc.event ALTER n TYPE integer; ALTER TABLE kc.event ALTER n TYPE numeric USING n + 0.25');
dies_during($write, 'writing of all');

# done, and not committed
$node->safe_psql('postgres', $change);
my $refresher = $node->background_psql('postgres');
$refresher->query_safe('BEGIN; CALL kpi.refresh()');
$node->stop('immediate');
eval { $refresher->quit };
$node->start;
is_right('crash before the commit of a refresh');

$node->stop;
done_testing();
