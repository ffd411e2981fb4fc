# The two tables of a source's queue: written by turns, emptied as a whole, and
# nothing lost or counted twice however transactions, crashes and prepared
# transactions fall between.
use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('queue', 'max_prepared_transactions = 10', "kpi.segment_size = '8kB'", 'autovacuum = off',
	'log_lock_waits = on', "deadlock_timeout = '10ms'");
my $insert = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT (ARRAY['alice', 'bob', 'carol'])[i % 3 + 1], 'dave', 'won', i, 1, 'p' || i, '2026-03-01'::date + i % 100, '2026-03-05'::date + i % 50
	FROM generate_series(1, 400) i};

create_company($node, 'postgres', sql => "$insert;");
$node->safe_psql('postgres', 'CALL kpi.refresh()');
my ($first, $second) = map { "kpi_internal.queue_" . $node->safe_psql('postgres', q{SELECT id FROM kpi.source WHERE name = 'deals'}) . "_$_" } 0, 1;

sub of_segment
{
	my ($function, $segment) = @_;

	return $node->safe_psql('postgres', "SELECT $function('$segment')");
}

sub file { return of_segment('pg_relation_filenode', @_) }
sub size { return of_segment('pg_relation_size', @_) }

sub refresh
{
	my ($name) = @_;

	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.delta'), '0', "$name: nothing is left in the queue");
	is_exact($node, 'postgres', $name);
	return;
}

sub crash
{
	$node->stop('immediate');
	$node->start;
	return;
}

# ---- emptied as a whole ----

is(size($first), 0, 'the first is empty');
$node->safe_psql('postgres', $insert);
cmp_ok(size($first), '>', 8192, 'it is written to');
is(size($second), 0, 'by one transaction alone');
my $file = file($first);
refresh('emptied');
isnt(file($first), $file, 'it has got a new file');
is(size($first), 0, 'that is empty');

# ---- a snapshot from before ----

my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM crm.deals');
for my $round (1 .. 10)
{
	$node->safe_psql('postgres', "$insert LIMIT 100");
	$node->safe_psql('postgres', 'CALL kpi.refresh()');
}
is($holder->query_safe('SELECT status, pending_deltas FROM kpi.source_status WHERE source = \'deals\''), 'active|0', 'under an old snapshot the status is there');
cmp_ok(size($first) + size($second), '<=', 3 * 8192, 'and nothing piles up');
$holder->query_safe('COMMIT');
refresh('old snapshot');

# ---- a prepared transaction, across the switch and crashes ----

$node->safe_psql('postgres', "BEGIN; $insert; PREPARE TRANSACTION 'early'");
cmp_ok(size($first), '>', 8192, 'prepared: it has written to the first');
($file, my $other_file) = (file($first), file($second));
$node->safe_psql('postgres', $insert);
cmp_ok(size($second), '>', 8192, 'prepared: others write to the second');
refresh('prepared');
is(file($first), $file, 'prepared: the first is kept');
isnt(file($second), $other_file, 'prepared: the second is emptied');
$node->safe_psql('postgres', $insert);
crash();
refresh('prepared, after a crash');
$node->safe_psql('postgres', $insert);
$node->safe_psql('postgres', q{COMMIT PREPARED 'early'});
crash();
is(file($first), $file, 'committed: the first is still there');
refresh('committed, after a crash');
refresh('committed, once more');
$node->safe_psql('postgres', $insert);
refresh('committed, and on');
isnt(file($first), $file, 'committed: then the first is emptied');

$node->safe_psql('postgres', $insert);
$node->safe_psql('postgres', "BEGIN; DELETE FROM crm.deals WHERE id % 3 = 0; PREPARE TRANSACTION 'undone'");
refresh('prepared beside what waits');
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'undone'});
refresh('rolled back');

# ---- crashes around the refresh ----

$node->safe_psql('postgres', $insert);
$node->safe_psql('postgres', 'CALL kpi.refresh()');
crash();
refresh('crash after a refresh');

$node->safe_psql('postgres', $insert);
$holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; CALL kpi.refresh()');
is($holder->query_safe(q{SELECT pending_deltas FROM kpi.source_status WHERE source = 'deals'}), 0, 'who has refreshed sees it');
cmp_ok($node->safe_psql('postgres', q{SELECT pending_deltas FROM kpi.source_status WHERE source = 'deals'}), '>', 100, 'nobody else does, or waits');
$node->safe_psql('postgres', $insert);
crash();
$holder->{run}->kill_kill;
refresh('crash in a refresh');

# who refreshes may be prepared himself
for my $end ('COMMIT', 'ROLLBACK')
{
	$node->safe_psql('postgres', $insert);
	$node->safe_psql('postgres', q{BEGIN; CALL kpi.refresh(); PREPARE TRANSACTION 'refresh'});
	$node->safe_psql('postgres', $insert);
	crash();
	$node->safe_psql('postgres', "$end PREPARED 'refresh'");
	refresh("a refresh that was prepared, $end");
}

# ---- what commits after the snapshot of a refresh, into what it then empties ----

my $pending = q{SELECT pending_deltas FROM kpi.source_status WHERE source = 'deals'};
$node->safe_psql('postgres', $insert);
my $waiting = $node->safe_psql('postgres', $pending);
cmp_ok($waiting, '>', 100, 'late: much waits');
$holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; LOCK TABLE $second IN ACCESS EXCLUSIVE MODE");
my $late = $node->background_psql('postgres');
$late->query_until(qr/sent/, "\\echo sent\nCALL kpi.refresh('deals');\n\\echo done\n");
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = '$second'::regclass AND NOT granted"),
	'late: the refresh has its snapshot, and waits');
$file = file($first);
$node->safe_psql('postgres', $insert);
$holder->query_safe('COMMIT');
$holder->quit;
$late->query_until(qr/done/, '');
$late->quit;
is(file($first), $file, 'late: it is not emptied');
is($node->safe_psql('postgres', $pending), $waiting, 'late: what came waits, and nothing else');
refresh('late');

# ---- writers under refreshes ----

my %script = (
	write => q{
\set n random(1, 200)
INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
SELECT (ARRAY['alice', 'bob', 'carol'])[i % 3 + 1], 'dave', 'won', i, 1, 'p' || i % 10, '2026-03-01'::date + i, '2026-03-05'::date + i
  FROM generate_series(1, :n) i;
},
	savepoint => q{
\set id random(1, 20000)
BEGIN;
UPDATE crm.deals SET amount = amount + 1 WHERE id BETWEEN :id AND :id + 50;
SAVEPOINT s;
DELETE FROM crm.deals WHERE id BETWEEN :id AND :id + 100;
ROLLBACK TO s;
DELETE FROM crm.deals WHERE id BETWEEN :id AND :id + 10;
END;
},
	refresh => 'CALL kpi.refresh();');
my $dir = $node->basedir;
for my $name (keys %script)
{
	append_to_file("$dir/$name", $script{$name});
}
my @database = ('-h', $node->host, '-p', $node->port, 'postgres');
my ($out1, $out2, $err1, $err2) = ('') x 4;
my $log = -s $node->logfile;
($file, $other_file) = (file($first), file($second));
my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-j', 2, '-t', 100, '-f', "$dir/write\@4", '-f', "$dir/savepoint\@1", @database ],
	'>', \$out1, '2>', \$err1);
my $refresher = IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-t', 40, '-f', "$dir/refresh", @database ], '>', \$out2, '2>', \$err2);
$writers->finish;
$refresher->finish;
unlike($err1 . $err2, qr/ERROR|abort/, 'writers: none fails, and no refresh');
like($out1, qr{transactions actually processed: 400/400}, 'writers: all was written');
isnt(file($first), $file, 'writers: the first was emptied meanwhile');
isnt(file($second), $other_file, 'writers: and the second');
unlike(slurp_file($node->logfile, $log), qr/still waiting for RowExclusiveLock/, 'writers: none has waited for the queue');
refresh('writers');

# ---- tables of sources that are no more ----

$node->safe_psql('postgres', q{CREATE TABLE other (at date); SELECT kpi.create_source('other', relation => 'public.other', at => 'at')});
my $other = 'kpi_internal.queue_' . $node->safe_psql('postgres', q{SELECT id FROM kpi.source WHERE name = 'other'}) . '_1';
$holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; LOCK TABLE $other IN ACCESS SHARE MODE");
$node->safe_psql('postgres', q{SELECT kpi.drop_source('other')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi_internal.queue_orphan}), 1, 'one that is in use keeps nobody waiting');
$holder->query_safe('COMMIT');
$holder->quit;
$node->safe_psql('postgres', q{SELECT kpi.create_source('other', relation => 'public.other', at => 'at')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi_internal.queue_orphan}), 0, 'and is dropped when another source is created');

# ---- the extension goes, and its tables with it ----

$node->safe_psql('postgres', $insert);
$node->safe_psql('postgres', "BEGIN; $insert; DROP EXTENSION pg_kpi; COMMIT");
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname ~ '^queue_[0-9]'}), 0, 'DROP EXTENSION leaves nothing');

$node->stop;
done_testing();
