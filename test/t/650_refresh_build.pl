# Builds in the smallest steps, while writers write, members move and whoever
# builds is cancelled, terminated or gone with the server: what is left at the end
# must be that of plain SQL.
use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = srand($ENV{KPI_SEED} || time);
my $node = new_node('build', 'kpi.build_step = 0');
my $dir = $node->basedir;
my @database = ('-h', $node->host, '-p', $node->port, 'postgres');

note "seed $seed";
append_to_file("$dir/write", q{
\set owner random(0, 6)
\set day random(0, 400)
\set what random(1, 12)
\set id random(1, 800)
\if :what <= 4
INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
VALUES ((ARRAY['alice', 'bob', 'carol', 'dave', 'erin', 'nobody'])[:owner], 'bob', (ARRAY['won', 'lost'])[1 + :what % 2], :id / 7.0, :what,
		'p' || :what, '2026-01-01'::timestamptz + :day * interval '1 day', '2025-02-01'::timestamptz + :day * interval '1 day');
\elif :what = 5
DELETE FROM crm.deals WHERE id = :id;
\elif :what = 6
INSERT INTO crm.costs (team, day, cost) VALUES ((ARRAY['dach', 'uk', 'apac'])[:owner], '2026-01-01'::date + :day, :id);
\elif :what = 7
UPDATE crm.deals SET closed_at = closed_at - interval '7 months' WHERE id = :id;
\elif :what = 8
UPDATE crm.deals SET closed_at = '2500-01-01' WHERE id = :id;
\elif :what = 9
SELECT kpi.move_member((ARRAY['alice', 'bob', 'carol', 'dave', 'erin', 'erin', 'erin'])[1 + :owner], team => (ARRAY['emea', 'dach', 'uk', 'apac'])[1 + :id % 4],
	since => '2025-06-01'::date + :day);
\elif :what = 10
COPY crm.deals (owner_id, stage, amount, created_at, closed_at) FROM PROGRAM 'printf "alice\twon\t5\t2026-01-01\t2025-05-05\ncarol\twon\t6\t2026-01-01\t2026-05-05\n"';
\else
UPDATE crm.deals SET amount = amount + 1, owner_id = (ARRAY['alice', 'bob', 'carol'])[:owner] WHERE id = :id;
\endif
});
# What has something built again, all of it or a measure.
append_to_file("$dir/rebuild", q{
\set what random(1, 5)
\if :what = 1
SELECT kpi.resume('deals');
\elif :what = 2
SELECT kpi.alter_source('deals', filter => '', dimensions => '{"product": "product"}');
\elif :what = 3
SELECT kpi.alter_source('deals', filter => '', dimensions => '{"product": "product", "stage": "stage"}');
\elif :what = 4
SELECT kpi.create_kpi('passing', source => 'deals', measure => 'sum(quantity)');
SELECT kpi.drop_kpi('passing');
\else
SELECT kpi.alter_kpi('won', filter => 'stage = $$won$$ AND id > 0');
SELECT kpi.alter_kpi('won', filter => 'stage = $$won$$');
\endif
\set pause random(1, 300)
\sleep :pause ms
});
append_to_file("$dir/refresh", "CALL kpi.refresh();\n");

create_company($node, 'postgres', sql => q{
	INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT (ARRAY['alice', 'bob', 'carol', 'dave', 'erin', 'nobody'])[1 + i % 6], 'bob', (ARRAY['won', 'lost'])[1 + i % 2], i, 1, 'p' || i % 4,
		'2026-01-01', '2024-10-01'::timestamptz + i * interval '1 day' FROM generate_series(1, 600) i;});

for my $round (1 .. 2)
{
	my ($out, $err, $ignored) = ('') x 3;

	$node->safe_psql('postgres', $round % 2 ? 'CREATE INDEX deals_closed_at ON crm.deals (closed_at); ANALYZE crm.deals' : 'DROP INDEX crm.deals_closed_at');
	my $rebuilder = IPC::Run::start([ 'pgbench', '-n', '-t', 12, '-f', "$dir/rebuild", @database ], '>', \$ignored, '2>', \$ignored);
	my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', 3, '-j', 2, '-T', 6, '-R', 60, '-f', "$dir/write", @database ], '>', \$out, '2>', \$err);
	my $refresher = IPC::Run::start([ 'pgbench', '-n', '-T', 5, '-f', "$dir/refresh", @database ], '>', \$ignored, '2>', \$ignored);

	# whoever refreshes meets its end, again and again
	for (1 .. 12)
	{
		select undef, undef, undef, rand 0.4;
		$node->safe_psql('postgres', sprintf q{
			SELECT %s(pid) FROM pg_stat_activity WHERE query LIKE 'CALL kpi.refresh%%' AND pid <> pg_backend_pid()},
			rand() < 0.5 ? 'pg_cancel_backend' : 'pg_terminate_backend');
		$refresher->pumpable and next;
		$refresher->finish;
		$refresher = IPC::Run::start([ 'pgbench', '-n', '-T', 5, '-f', "$dir/refresh", @database ], '>', \$ignored, '2>', \$ignored);
	}
	$_->finish for $rebuilder, $writers, $refresher;
	unlike($err, qr/ERROR|abort/, "round $round: no writer fails");
	# what the oracle takes it to mean
	$node->safe_psql('postgres', q{SELECT kpi.alter_source('deals', filter => '', dimensions => '{"product": "product"}');
		SELECT kpi.alter_kpi('won', filter => 'stage = $$won$$')});
	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi.build_progress'), '0', "round $round: all is built");
	is_exact($node, 'postgres', "round $round");
}

# The server goes in the middle of a build.
for my $round (1 .. 2)
{
	my ($ignored, $steps) = ('');

	$node->safe_psql('postgres', q{SELECT kpi.alter_source('deals', filter => 'id <> } . $round . q{')});
	my $build = IPC::Run::start([ 'psql', '-X', '-c', 'CALL kpi.refresh()', @database[0 .. 3], 'postgres' ], '>', \$ignored, '2>', \$ignored);
	ok($node->poll_query_until('postgres', 'SELECT coalesce((SELECT steps FROM kpi.build_progress WHERE steps > ' . int(rand 6) . '), 0) > 0
		OR NOT EXISTS (SELECT FROM kpi.build_progress)'), "crash $round: in the middle of a build");
	$node->stop('immediate');
	$build->finish;
	$node->start;
	$node->safe_psql('postgres', q{UPDATE crm.deals SET amount = amount + 1 WHERE id % 3 = 0; SELECT kpi.move_member('bob', team => 'uk', since => '2025-09-09')});
	note $node->safe_psql('postgres', q{SELECT phase, complete_since, steps FROM kpi.build_progress});
	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	$node->safe_psql('postgres', q{SELECT kpi.alter_source('deals', filter => '')});
	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	is_exact($node, 'postgres', "crash $round");
}

$node->stop;
done_testing();
