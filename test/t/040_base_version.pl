# A library and objects of different versions: facts are captured, everything
# else waits or says what to do, and all goes on by itself when they fit again.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use KpiVersion;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Earlier versions: one that has all that the library reads, and one that has not;
# and a later one.
my $current = $EXTENSION{version};
my ($earlier, $foreign, $later) = ('0.0.2.1', '0.0.1.1', '99.0.0.1');
my %to = ($earlier => '', $foreign => 'ALTER TABLE kpi_internal.source_state RENAME COLUMN code TO former_code', $later => '');
my %from = (%to, $foreign => 'ALTER TABLE kpi_internal.source_state RENAME COLUMN former_code TO code');
foreach my $version (keys %to)
{
	write_script("$current--$version", "$to{$version};\n");
	write_script("$version--$current", "$from{$version};\n");
}

my $node = new_node('version', "shared_preload_libraries = 'pg_kpi'", "kpi.worker_idle_timeout = '200ms'");
create_company($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE TABLE crm.stages (id bigint PRIMARY KEY, owner text, day date);
	SELECT kpi.create_source('stages', query => 'SELECT id, owner, day FROM crm.stages', key => 'id', owner => 'owner', at => 'day',
		follow => '{"crm.stages": "id"}');
	SELECT kpi.create_kpi('stages', source => 'stages', measure => 'count(*)')});
$KPI{stages} = { create => q{measure => 'count(*)'}, facts => q{SELECT owner, day::timestamp AT TIME ZONE 'UTC', '{}'::jsonb, 1, NULL FROM crm.stages} };
my $writer = $node->background_psql('postgres');
my $number = 0;

# Whatever writers do.
sub writes
{
	my $sql = q{
		INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
			SELECT (ARRAY['alice', 'bob', 'zoe'])[1 + i % 3], 'bob', 'won', i, 1, 'p', '2026-03-01', '2026-03-05' FROM generate_series(1, 20) i;
		UPDATE crm.deals SET amount = amount + 1 WHERE id % 3 = 0;
		DELETE FROM crm.deals WHERE id % 7 = 0;
		BEGIN; SAVEPOINT s; DELETE FROM crm.deals; ROLLBACK TO s; UPDATE crm.deals SET owner_id = 'erin' WHERE id % 5 = 0; COMMIT;
		TRUNCATE crm.costs;
		INSERT INTO crm.costs (team, day, cost) VALUES ('emea', '2026-03-02', 5);
		UPDATE crm.stages SET owner = 'bob' WHERE id % 2 = 0;
		};
	$number++;
	$sql .= "INSERT INTO crm.stages VALUES ($number, 'alice', '2026-03-01');";
	$writer->query_safe($sql);
	$node->safe_psql('postgres', $sql =~ s/VALUES \($number/VALUES (-$number/r);
	return;
}

# Workers have done all there is to do, and it is right.
sub is_current
{
	my ($name) = @_;

	$node->poll_query_until('postgres', q{SELECT fits AND (SELECT bool_and(status = 'active' AND pending_deltas = 0) FROM kpi.source_status)
		AND (SELECT coalesce(sum(value), 0) FROM kpi.team_yearly WHERE kpi = 'stages' AND team = 'company') = (SELECT count(*) FROM crm.stages)
		AND (SELECT coalesce(sum(value), 0) FROM kpi.team_yearly WHERE kpi = 'won' AND team = 'company') = (SELECT count(*) FROM crm.deals WHERE stage = 'won')
		FROM kpi.version()}) or fail("$name: all is done");
	is($node->safe_psql('postgres', 'SELECT * FROM kpi.health() WHERE severity = $$error$$'), '', "$name: it is well");
	return is_exact($node, 'postgres', $name);
}

sub is_refused
{
	my ($sql, $hint, $name) = @_;
	my ($ret, $out, $err) = $node->psql('postgres', $sql);

	like($err, qr/versions?.*^DETAIL:  The library is of version \Q$current\E, .*^HINT:  $hint/ms, "$name is refused: $sql");
	return;
}

sub differs
{
	my ($version, $remedy, $name) = @_;
	my $log = -s $node->logfile;

	$node->safe_psql('postgres', "ALTER EXTENSION pg_kpi UPDATE TO '$version'");
	writes();
	is($node->safe_psql('postgres', 'SELECT * FROM kpi.version()'), "$current|$version|f", "$name: kpi.version()");
	like($node->safe_psql('postgres', 'SELECT * FROM kpi.health()'),
		qr/^error\|version\|extension "pg_kpi"\|The library is of version \Q$current\E, its objects in this database are of version \Q$version\E\.[^\n]*\|$remedy[^\n]*$/,
		"$name: kpi.health() says that, and what to do");
	is_refused($_, $remedy, $name) foreach
		'CALL kpi.refresh()', q{CALL kpi.refresh('deals')}, 'SELECT * FROM kpi.verify()', q{SELECT kpi.repair('deals')},
		q{SELECT kpi.create_team('new')}, q{SELECT kpi.move_member('alice', team => 'uk', since => '2026-03-01')},
		q{SELECT kpi.alter_kpi('won', description => 'x')}, q{SELECT kpi.drop_source('costs', cascade => true)};
	$node->wait_for_log(qr/worker of database "postgres" leaves: the library of extension "pg_kpi"/, $log);
	ok($node->poll_query_until('postgres', q{SELECT bool_and(pid IS NULL) FROM kpi.worker_status WHERE kind = 'worker'}),
		"$name: no worker stays");
	writes();
	return;
}

writes();
is_current('before');

differs($earlier, 'Run ALTER EXTENSION pg_kpi UPDATE', 'an earlier version');
cmp_ok($node->safe_psql('postgres', q{SELECT sum(pending_deltas) FROM kpi.source_status}), '>', 0, 'changes wait');
cmp_ok($node->safe_psql('postgres', q{SELECT kpi.value('won', team => 'emea', period => '2026')}), '>', 0, 'numbers are read');
my $builds = $node->safe_psql('postgres', q{SELECT count(*) FROM kpi.refresh_log WHERE kind = 'build' AND source = 'deals'});
$node->safe_psql('postgres', 'ALTER EXTENSION pg_kpi UPDATE');
is_current('after an earlier version');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.refresh_log WHERE kind = 'build' AND source = 'deals'}),
	$builds, 'what was captured is used');
writes();
is_current('in sessions from before');

differs($foreign, 'Run ALTER EXTENSION pg_kpi UPDATE', 'a version that lacks a column');
my ($ret, $out, $err) = $node->psql('postgres', q{SELECT * FROM kpi.why('deals', '1')});
like($err, qr/^HINT:  The library is of version .* Run ALTER EXTENSION pg_kpi UPDATE\.$/m, 'an error over what is missing says what to do');
$node->safe_psql('postgres', "ALTER EXTENSION pg_kpi UPDATE TO '$current'");
is_current('after one that lacks a column');
writes();
is_current('in sessions from before that');

differs($later, 'Restart the server', 'a later version');
$node->safe_psql('postgres', "ALTER EXTENSION pg_kpi UPDATE TO '$current'");
is_current('after a later version');
writes();
is_current('in sessions from before that one');

# without the worker's library
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$writer->quit;
$node->restart;
like($node->safe_psql('postgres', "ALTER EXTENSION pg_kpi UPDATE TO '$later'; SELECT remedy FROM kpi.health()"),
	qr/^Connect anew/, 'not preloaded: the session has an older library');
$node->safe_psql('postgres', "ALTER EXTENSION pg_kpi UPDATE TO '$earlier'; DROP EXTENSION pg_kpi");
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal}), '0', 'what differs can be dropped');

done_testing();
