# What waits of a source that nobody refreshes is compacted by the worker, and
# means what it meant.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('compact', 'kpi.segment_size' => '16kB');
my $pending = q{(SELECT pending_deltas FROM kpi.source_status WHERE source = 'deals')};

define($node, 'postgres');
wait_for($node, 'postgres', q{SELECT status = 'active' FROM kpi.source_status}, 'it is built');

# So much, in transactions of one row, that it is more than four pages.
sub write_much
{
	$node->safe_psql('postgres', q{DO $$ BEGIN FOR i IN 1 .. 1000 LOOP
		INSERT INTO deals (owner, at, amount) VALUES ('o' || i % 10, '2026-03-04', i); COMMIT; END LOOP; END $$});
	return;
}

# ---- paused ----

$node->safe_psql('postgres', q{SELECT kpi.pause('deals')});
write_much();
wait_for($node, 'postgres', "SELECT $pending < 700", 'what waits of a paused source becomes less');
cmp_ok($node->safe_psql('postgres', "SELECT $pending"), '>=', 10, 'but something waits');
is($node->safe_psql('postgres', q{SELECT kpi_internal.merge(cell) FROM kpi_internal.delta}), 'v1{1:count n=1000}', 'and amounts to the same');
is($node->safe_psql('postgres', q{SELECT oldest_pending_seconds IS NULL AND status = 'paused' FROM kpi.source_status}), 't', 'the status is there');
cmp_ok($node->safe_psql('postgres', q{SELECT lag_seconds FROM kpi.freshness}), '>', 0, 'and how long it has waited');

my @writers = writers($node, 'postgres', 3);
write_much() for 1 .. 3;
stop_writers($node, @writers);
wait_for($node, 'postgres', "SELECT $pending < (SELECT count(*) FROM deals) - 2000", 'under writers as well');
$node->safe_psql('postgres', q{SELECT kpi.resume('deals')});
exact($node, 'postgres', 'paused');

# ---- markers stay ----

$node->safe_psql('postgres', q{SELECT kpi.pause('deals'); TRUNCATE deals});
$node->safe_psql('postgres', q{TRUNCATE deals}) for 1 .. 3;
write_much();
wait_for($node, 'postgres', "SELECT $pending < 700", 'markers: compacted');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi_internal.delta WHERE kind = 'r'}), 1, 'markers: one is left');
$node->safe_psql('postgres', q{SELECT kpi.resume('deals')});
exact($node, 'postgres', 'markers');

# ---- beside a function that is replaced ----

# The writer has captured by the function that was, and commits when it is
# another, and the numbers have been made by that.
$node->safe_psql('postgres', q{
	CREATE FUNCTION worth(numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
	SELECT kpi.create_kpi('worth', source => 'deals', measure => 'sum(public.worth(amount))');
	CALL kpi.refresh()});
my $worth = q{SELECT (SELECT v.value FROM kpi.team_yearly v WHERE v.kpi = 'worth' AND v.team = 'company') = (SELECT sum(worth(amount)) FROM deals)};
is($node->safe_psql('postgres', $worth), 't', 'replaced: before');
my $writer = $node->background_psql('postgres');
$writer->query_safe(q{BEGIN; INSERT INTO deals (owner, at, amount) VALUES ('o1', '2026-03-04', 100)});
$node->safe_psql('postgres', q{CREATE OR REPLACE FUNCTION worth(numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 10 * $1; END'});
$node->safe_psql('postgres', q{CALL kpi.refresh('deals'); SELECT kpi.pause('deals')});
is($node->safe_psql('postgres', $worth), 't', 'replaced: the numbers are those of the new one');
$writer->query_safe('COMMIT');
$writer->quit;
write_much();
wait_for($node, 'postgres', "SELECT $pending < 700", 'replaced: compacted');
$node->safe_psql('postgres', q{SELECT kpi.resume('deals')});
exact($node, 'postgres', 'replaced');
is($node->safe_psql('postgres', $worth), 't', 'replaced: what the old one captured is computed anew');

# ---- more than one step, and what cannot be compacted ----

$node->safe_psql('postgres', q{SELECT kpi.pause('deals')});
$node->safe_psql('postgres', q{INSERT INTO deals (owner, at, amount) SELECT 'x' || i % 300000, '2026-03-04', 1 FROM generate_series(1, 300000) i});
$node->safe_psql('postgres', q{INSERT INTO deals (owner, at, amount) SELECT 'x' || i % 300000, '2026-03-04', 1 FROM generate_series(1, 300000) i});
my $size = q{(SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relname ~ '^queue_[0-9]+_[01]$')};
wait_for($node, 'postgres', q{SELECT queue_blocks > 0 FROM kpi_internal.source_state}, 'much: it comes to an end');
cmp_ok($node->safe_psql('postgres', "SELECT $size / 8192"), '<', 8000, 'much: and takes no more than before');
$node->safe_psql('postgres', q{SELECT kpi.resume('deals')});
exact($node, 'postgres', 'much');

# ---- when rows were loaded ----

$node->safe_psql('postgres', q{ALTER TABLE deals ADD loaded timestamptz; SELECT kpi.alter_source('deals', loaded_at => 'loaded')});
wait_for($node, 'postgres', q{SELECT loaded_by IS NOT NULL FROM kpi_internal.source_state}, 'loaded: read by itself');
$node->safe_psql('postgres', q{SELECT kpi.pause('deals'); UPDATE deals SET loaded = '2026-05-01' WHERE id = (SELECT max(id) FROM deals)});
$node->safe_psql('postgres', q{UPDATE deals SET loaded = '2026-05-03' WHERE id = (SELECT max(id) FROM deals)});
$node->safe_psql('postgres', q{UPDATE deals SET loaded = '2026-05-02' WHERE id = (SELECT max(id) FROM deals)});
write_much();
wait_for($node, 'postgres', "SELECT $pending BETWEEN 1 AND 699", 'loaded: compacted');
is($node->safe_psql('postgres', q{SELECT loaded_at IS NULL FROM kpi.freshness}), 't', 'loaded: not in the numbers yet');
$node->safe_psql('postgres', q{SELECT kpi.resume('deals')});
is($node->safe_psql('postgres', q{SELECT loaded_at::date FROM kpi.freshness}), '2026-05-03', 'loaded: the latest is left');

$node->stop;
done_testing();
