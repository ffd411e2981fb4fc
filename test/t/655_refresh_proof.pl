# kpi.verify() where nothing can be written: on a standby, and in a transaction that is
# READ ONLY.  It says what it says on the primary, what waits is added up, and what is
# not compared is told.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "timezone = 'UTC'\nautovacuum = off");
$primary->start;
$primary->safe_psql(
	'postgres', q{
	CREATE EXTENSION pg_kpi;
	SELECT kpi.create_team('emea'), kpi.create_team('dach', parent => 'emea');
	SELECT kpi.add_member('ann', team => 'dach'), kpi.add_member('bob', team => 'emea');
	CREATE TABLE deals (id int GENERATED ALWAYS AS IDENTITY, rep text, closed date, until date, amount numeric, region text, PRIMARY KEY (id, closed))
		PARTITION BY RANGE (closed);
	CREATE TABLE deals_25 PARTITION OF deals FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
	CREATE TABLE deals_26 PARTITION OF deals FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	INSERT INTO deals (rep, closed, until, amount, region)
	SELECT (ARRAY['ann', 'bob', 'zoe'])[1 + i % 3], date '2025-10-01' + i, date '2025-11-01' + i + i % 60, i % 50, 'r' || i % 3
	FROM generate_series(1, 200) i;
	SELECT kpi.create_source('deals', relation => 'deals', key => 'id', owner => 'rep', at => 'closed', dimensions => '{"region": "region"}');	SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)');
	SELECT kpi.create_kpi('number', source => 'deals', measure => 'count(*)');
	SELECT kpi.create_kpi('largest', source => 'deals', measure => 'max(amount)');
	SELECT kpi.create_kpi('sizes', source => 'deals', measure => 'count(DISTINCT amount)');
	SELECT kpi.create_kpi('held', source => 'deals', measure => 'balance(1)', at => 'closed', until => 'until')});
$primary->safe_psql(
	'postgres', q{
	SELECT kpi.create_goal('year', kpi => 'revenue', team => 'emea', period => '2026', target => 5000);
	SELECT kpi.create_rollup('monthly', ARRAY['revenue', 'number']);
	CREATE TABLE visits (id int PRIMARY KEY, person text, day date);
	INSERT INTO visits SELECT i, 'ann', date '2026-01-01' + i FROM generate_series(1, 20) i;
	SELECT kpi.create_source('visits', query => 'SELECT id, person, day FROM public.visits', key => 'id', entity => 'id', owner => 'person', at => 'day',
		follow => '{"public.visits": "id"}');
	SELECT kpi.create_kpi('visits', source => 'visits', measure => 'count(*)');
	CALL kpi.refresh()});
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = 300s\nhot_standby_feedback = on");
$standby->start;

# What the standby says, rows and then notices.
sub standby_says
{
	my ($arguments) = @_;

	$primary->wait_for_catchup($standby);
	return proof($standby, $arguments);
}

# Nothing is written, so the transaction has no number.
sub proof
{
	my ($node, $arguments) = @_;
	my $number = $node eq $primary ? 'SELECT pg_current_xact_id_if_assigned() WHERE pg_current_xact_id_if_assigned() IS NOT NULL;' : '';
	my ($status, $out, $err) = $node->psql('postgres',
		'BEGIN READ ONLY; SELECT * FROM kpi.verify(' . ($arguments // '') . "); $number COMMIT");

	return join "\n", $status, $out, ($err =~ /(?:NOTICE|WARNING|ERROR): +(.*)/g);
}

sub sql
{
	return $primary->safe_psql('postgres', shift);
}

my $nothing = "0\n";

is(standby_says(), $nothing, 'exact');
is(proof($primary), $nothing, 'and so where the primary is only read, without a transaction number');

# ---- what waits ----

sql(q{INSERT INTO deals (rep, closed, until, amount, region) SELECT 'new' || i % 2, date '2026-06-01' + i % 9, '2026-06-20', i, 'other' || i % 4 FROM generate_series(1, 30) i;
	DELETE FROM deals WHERE amount >= 48 OR id BETWEEN 50 AND 60; UPDATE deals SET region = NULL WHERE id % 7 = 0});
my $waiting = sql('SELECT count(*) FROM kpi_internal.delta');
cmp_ok($waiting, '>', 0, 'changes wait');
is(standby_says(), $nothing, 'and are added up');
is(standby_says("'deals', since => '2026-06-01', until => '2026-07-01'"), $nothing, 'of a month as well');
sql(q{CREATE TABLE deals_27 PARTITION OF deals FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
	INSERT INTO deals (rep, closed, until, amount, region) VALUES ('zoe', '2027-02-02', NULL, 7, 'r1')});
is(standby_says(), $nothing, 'and the facts of a partition that no refresh has seen');
is(proof($primary), $nothing, 'and on the primary');
is(sql('SELECT count(*) >= ' . $waiting . ' FROM kpi_internal.delta'), 't', 'they wait still');
is(sql(q{SELECT count(*) FROM kpi_internal.owner WHERE key ~ 'new'}), '0', 'and nobody has a number yet');

# ---- damage ----

sql(q{CALL kpi.refresh();
	UPDATE kpi_internal.day_cell SET cell = cell OPERATOR(kpi.+) cell WHERE ctid =
		(SELECT d.ctid FROM kpi_internal.day_cell d JOIN kpi_internal.owner o ON o.id = d.owner_id WHERE o.key = 'ann' ORDER BY day, stream_id LIMIT 1);
	DELETE FROM kpi_internal.rollup_cell WHERE ctid =
		(SELECT ctid FROM kpi_internal.rollup_cell WHERE cell IS NOT NULL ORDER BY stream_id, scope_kind DESC, scope_id, grain DESC, start LIMIT 1);
	DELETE FROM kpi_internal.rollup_cell WHERE ctid =
		(SELECT ctid FROM kpi_internal.rollup_cell WHERE cell IS NULL ORDER BY stream_id, start, scope_id LIMIT 1);
	UPDATE kpi.goal_progress SET actual = actual + 1;
	UPDATE monthly SET number = number + 1 WHERE ctid = (SELECT ctid FROM monthly ORDER BY period_start, team_id LIMIT 1)});
my $said = standby_says();
for my $level ('day cell', 'rollup cell', 'place', 'goal', 'rollup table')
{
	like($said, qr/^[a-z.]+\|$level\|/m, "the standby names the damaged $level");
}
is(proof($primary), $said, 'so does the primary where it is only read');
is("0\n" . sql('SELECT * FROM kpi.verify()'), $said, 'and where it is not');
sql(q{SELECT kpi.repair('deals')});
is(standby_says(), $nothing, 'what is repaired is exact');
sql(q{ALTER TABLE kpi_data.visits DISABLE TRIGGER ALL; DELETE FROM kpi_data.visits WHERE id = 4});
like(standby_says("'visits'"), qr/^visits\|source\|.*\|suspended: the capture trigger of table kpi_data.visits is missing or disabled\|active$/m, 'a trigger that is off');
sql(q{SELECT kpi.resume('visits'); CALL kpi.refresh()});
is(standby_says(), $nothing, 'and is on again');

# ---- what is told ----

sql(q{UPDATE visits SET day = day + 1 WHERE id = 3});
is(standby_says("'visits'"), "0\n\nsource \"visits\": its cells are compared with its rows, and these not with what they are read from",
	'rows that are to be read');
sql(q{CALL kpi.refresh(); SELECT kpi.move_member('ann', 'emea', '2026-02-01')});
is(standby_says("'deals'"), join("\n", 0, '', 'source "deals": some rows of kpi.goal_progress were not compared',
		'source "deals": compared as of its last refresh, which knew another state of definitions', 'rollup table public.monthly was not compared'),
	'somebody who has moved');
sql(q{CALL kpi.refresh()});
is(standby_says(), $nothing, 'and has been followed');
sql('TRUNCATE deals_25');
is(standby_says("'deals'"), "0\ndeals|source|||||||to be computed anew from its facts|active", 'a source whose facts are to be read');
sql(q{SELECT kpi.pause('deals')});
is(standby_says("'deals'"), "0\ndeals|source|||||||paused|active", 'a paused one');
my ($status, $out, $err) = $standby->psql('postgres', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM kpi.verify()');
like($err, qr/cannot verify in a transaction of isolation level repeatable read/, 'not by an old snapshot');

# ---- and then ----

$primary->stop;
$standby->promote;
$standby->safe_psql('postgres', q{SELECT kpi.resume('deals'); CALL kpi.refresh()});
is($standby->safe_psql('postgres', 'SELECT * FROM kpi.verify()'), '', 'exact after the promotion');
$standby->stop;
done_testing();
