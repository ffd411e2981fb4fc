# Writers, refreshes, moves and definitions all at once, as fast as they can;
# what is left at the end must be that of plain SQL.
use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('concurrent', "kpi.segment_size = '8kB'");
my $dir = $node->basedir;
my %script = (
	# most of what a CRM does: one row, or a few in a transaction
	write => q{
\set owner random(0, 6)
\set day random(0, 400)
\set what random(1, 10)
\set id random(1, 1000)
\if :what <= 5
INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
VALUES ((ARRAY['alice', 'bob', 'carol', 'dave', 'erin', 'nobody'])[:owner], 'bob', (ARRAY['won', 'lost'])[1 + :what % 2], :id / 7.0, :what,
		'p' || :what, '2026-01-01'::timestamptz + :day * interval '1 day', '2026-02-01'::timestamptz + :day * interval '1 day');
\elif :what = 6
DELETE FROM crm.deals WHERE id = :id;
\elif :what = 7
INSERT INTO crm.costs (team, day, cost) VALUES ((ARRAY['dach', 'uk', 'apac'])[:owner], '2026-01-01'::date + :day, :id);
\elif :what = 8
BEGIN;
UPDATE crm.deals SET stage = 'won', closed_at = closed_at + interval '1 week' WHERE id = :id;
SAVEPOINT s;
INSERT INTO crm.deals (owner_id, stage, amount, created_at, closed_at) VALUES ('alice', 'won', 1e6, '2026-01-01', '2026-01-01');
ROLLBACK TO s;
INSERT INTO crm.deals (owner_id, stage, amount, created_at, closed_at) VALUES ('erin', 'won', 0.01, '2026-01-01', '2026-01-01');
END;
\else
UPDATE crm.deals SET amount = amount + 1, owner_id = (ARRAY['alice', 'bob', 'carol'])[:owner] WHERE id = :id;
\endif
},
	# a snapshot older than the definitions it meets, perhaps
	repeatable => q{
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM crm.costs;
INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, created_at, closed_at)
VALUES ('carol', 'alice', 'won', 5, 1, '2026-05-01', '2026-06-01');
END;
},
	refresh => 'CALL kpi.refresh();',
	define => q{
\set member random(1, 5)
\set team random(1, 4)
\set day random(0, 400)
SELECT kpi.move_member((ARRAY['alice', 'bob', 'carol', 'dave', 'erin'])[:member], team => (ARRAY['emea', 'dach', 'uk', 'apac'])[:team],
	since => '2026-01-01'::date + :day);
SELECT kpi.create_kpi('passing', source => 'deals', measure => 'sum(quantity)', at => 'created_at');
CALL kpi.refresh();
SELECT kpi.move_team('uk', parent => (ARRAY['emea', 'company', 'apac'])[1 + :day % 3], since => '2026-01-01'::date + :day);
SELECT kpi.drop_kpi('passing');
});

for my $name (keys %script)
{
	append_to_file("$dir/$name", $script{$name});
}

create_company($node, 'postgres', sql => q{
	INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT 'alice', 'bob', 'won', i, 1, 'p1', '2026-01-01', '2026-02-01' FROM generate_series(1, 1000) i;});

for my $round (1 .. 3)
{
	my @common = ('pgbench', '-n');
	my @database = ('-h', $node->host, '-p', $node->port, 'postgres');
	my ($out1, $out2, $err1, $err2) = ('') x 4;
	my $writers = IPC::Run::start([ @common, '-c', 4, '-j', 2, '-t', 250, '-f', "$dir/write\@20", '-f', "$dir/repeatable\@2",
			'-f', "$dir/refresh\@1", @database ], '>', \$out1, '2>', \$err1);
	my $definer = IPC::Run::start([ @common, '-c', 1, '-t', 20, '-f', "$dir/define", @database ], '>', \$out2, '2>', \$err2);

	$writers->finish;
	$definer->finish;
	unlike($err1, qr/ERROR|abort/, "round $round: no writer and no refresh fails");
	unlike($err2, qr/ERROR|abort/, "round $round: no definition fails");
	like($out1, qr{transactions actually processed: 1000/1000}, "round $round: all was written");
	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.delta'), '0', "round $round: nothing is left in the queue");
	is_exact($node, 'postgres', "round $round");
}

$node->stop;
done_testing();
