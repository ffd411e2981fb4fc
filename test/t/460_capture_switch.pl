# kpi.capture = off: transactions leave a marker of each source they write to, sources
# stand still until it is on again, and are exact then, whatever came between.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('switch', 'max_prepared_transactions = 10', "kpi.worker_idle_timeout = '100ms'");
my $insert = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT (ARRAY['alice', 'bob', 'erin'])[1 + i % 3], 'dave', 'won', i, 1, 'p', '2026-03-01', '2026-03-05' FROM generate_series(1, 20) i};
my $costs = q{INSERT INTO crm.costs (team, day, cost) VALUES ('uk', '2026-03-07', 12.5)};
my $markers = q{SELECT string_agg(format('%s %s %s', s.name, d.kind, d.n), ', ' ORDER BY s.name, d.kind)
	FROM (SELECT source_id, kind, count(*) AS n FROM kpi_internal.delta GROUP BY 1, 2) d JOIN kpi.source s ON s.id = d.source_id};
my $status = q{SELECT status FROM kpi.source_status WHERE source = 'deals'};
my $builds = q{SELECT count(*) FROM kpi.refresh_log WHERE kind = 'build' AND source = 'deals'};

create_company($node, 'postgres', sql => "$insert; $costs;");
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'before');
my $writer = $node->background_psql('postgres');
my $other = $node->background_psql('postgres');

# New sessions and those that are there see it with their next statement.
sub switch
{
	my ($value) = @_;

	$node->safe_psql('postgres', "LOAD 'pg_kpi'; ALTER SYSTEM SET kpi.capture = $value");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('kpi.capture', true)", $value) or die "kpi.capture is not $value";
	for my $session ($writer, $other)
	{
		for (1 .. 1000)
		{
			last if $session->query_safe('SHOW kpi.capture') eq $value;
			$session->query_safe('SELECT pg_sleep(0.01)');
		}
	}
	return;
}

sub refresh
{
	my (undef, undef, $errors) = $node->psql('postgres', 'CALL kpi.refresh()');

	return $errors;
}

sub catches_up
{
	my ($name) = @_;

	switch('on');
	is(refresh(), '', "$name: nothing stands in the way");
	is($node->safe_psql('postgres', $status), 'active', "$name: it goes on");
	return is_exact($node, 'postgres', $name);
}

# ---- who may switch it ----

$node->safe_psql('postgres', q{CREATE ROLE anybody LOGIN; SELECT kpi.grant_reader('anybody')});
like(($node->psql('postgres', "SELECT kpi.version(); $_", extra_params => [ '-U', 'anybody' ]))[2], qr/permission denied|cannot be changed now/, "not for anybody: $_")
  foreach 'SET kpi.capture = off', 'ALTER SYSTEM SET kpi.capture = off', 'ALTER ROLE anybody SET kpi.capture = off';

# set before the library is loaded, it is nothing
$node->safe_psql('postgres', "GRANT ALL ON SCHEMA crm TO anybody; GRANT ALL ON ALL TABLES IN SCHEMA crm TO anybody");
$node->safe_psql('postgres', "SET kpi.capture = off; $costs", extra_params => [ '-U', 'anybody' ]);
is($node->safe_psql('postgres', $markers), 'costs d 1', 'nor before the library is loaded');
refresh();

# ---- what is left of transactions ----

switch('off');
$writer->query_safe($_) foreach
	"BEGIN; $insert; $insert; UPDATE crm.deals SET amount = amount + 1; DELETE FROM crm.deals WHERE id % 7 = 0; $costs; COMMIT",
	"BEGIN; SAVEPOINT s; $insert; ROLLBACK TO s; COMMIT",
	"BEGIN; $insert; ROLLBACK",
	"BEGIN; SAVEPOINT s; $insert; ROLLBACK TO s; UPDATE crm.deals SET amount = 5 WHERE id < 5; RELEASE s; SAVEPOINT t; DELETE FROM crm.deals WHERE id = 1; COMMIT",
	'UPDATE crm.deals SET amount = 0 WHERE false';
is($node->safe_psql('postgres', $markers), 'costs r 1, deals r 2', 'one marker for a source and a transaction that changes it');
my $had = $node->safe_psql('postgres', $builds);
like(refresh(), qr/WARNING:  source "deals" is not refreshed: kpi.capture is off.*HINT:  Set kpi.capture = on and reload the server/s, 'a refresh says so');
refresh();
$writer->query_safe($insert);
refresh();
is($node->safe_psql('postgres', $builds), $had, 'nothing is rebuilt');
is($node->safe_psql('postgres', $status), 'capture_off', 'the status says so');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT is_complete::text, ',') FROM kpi.freshness}), 'false', 'nothing is complete');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT is_complete::text, ',') FROM kpi.team_monthly WHERE kpi = 'won'}), 'false', 'nor is any number');
is($node->safe_psql('postgres', q{SELECT severity, problem, object FROM kpi.health() WHERE problem = 'capture_off' ORDER BY 3}),
	qq{warning|capture_off|setting kpi.capture\nwarning|capture_off|source "costs"\nwarning|capture_off|source "deals"}, 'kpi.health()');
like($node->safe_psql('postgres', q{SELECT source_name || ' ' || stored FROM kpi.verify() WHERE level = 'source' ORDER BY 1}),
	qr/^costs capture_off: kpi.capture is off, .*\ndeals capture_off: /, 'kpi.verify() does not pass it over');
$had = $node->safe_psql('postgres', $builds);
catches_up('on again');
is($node->safe_psql('postgres', $builds), $had + 1, 'by reading the facts once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.health() WHERE problem = 'capture_off'}), '0', 'and nothing is said of it');

# ---- what was captured before is applied, and a repair reads what is there ----

$writer->query_safe($insert);
switch('off');
is(refresh(), '', 'off, and all that has changed was captured');
is_exact($node, 'postgres', 'captured before');
$writer->query_safe($insert);
refresh();
$node->safe_psql('postgres', q{SELECT kpi.repair('deals')});
is($node->safe_psql('postgres', $status), 'active', 'repaired while it is off');
is_exact($node, 'postgres', 'repaired');
$writer->query_safe('TRUNCATE crm.costs');
$writer->query_safe($costs);
refresh();
is($node->safe_psql('postgres', $status), 'active', 'a source that nobody has written to goes on');
catches_up('after TRUNCATE');

# ---- in the middle of transactions ----

$writer->query_safe("BEGIN; $insert");
$other->query_safe('BEGIN');
switch('off');
$writer->query_safe('UPDATE crm.deals SET amount = amount + 1 WHERE id % 3 = 0');
$other->query_safe('UPDATE crm.deals SET quantity = 2 WHERE id % 3 = 1');
switch('on');
$other->query_safe('UPDATE crm.deals SET quantity = 3 WHERE id % 3 = 1');
is($node->safe_psql('postgres', 'SHOW kpi.capture'), 'on', 'on again');
$had = $node->safe_psql('postgres', $builds);
$writer->query_safe('COMMIT');
refresh();
is_exact($node, 'postgres', 'one that began on is captured');
is($node->safe_psql('postgres', $builds), $had, 'to its end');
$other->query_safe('COMMIT');
like($node->safe_psql('postgres', $markers), qr/deals r 1/, 'one that began off leaves a marker');
refresh();
is_exact($node, 'postgres', 'which counts after it is on');

# a refresh in a transaction that does not capture sees its changes, and later ones count, too
switch('off');
$other->query_safe("BEGIN; $insert");
switch('on');
$other->query_safe("CALL kpi.refresh('deals')");
is($other->query_safe(q{SELECT value FROM kpi.team_yearly WHERE kpi = 'won' AND team = 'company'}),
	$other->query_safe(q{SELECT count(*) FROM crm.deals WHERE stage = 'won'}), 'refreshed in the middle');
$other->query_safe("SAVEPOINT s; $insert; ROLLBACK TO s; DELETE FROM crm.deals WHERE id % 5 = 0; COMMIT");
catches_up('written after a refresh in the middle');

# ---- prepared transactions, and crashes ----

switch('off');
$node->safe_psql('postgres', "BEGIN; $insert; PREPARE TRANSACTION 'off'");
switch('on');
$node->safe_psql('postgres', "BEGIN; $insert; PREPARE TRANSACTION 'on'");
refresh();
is_exact($node, 'postgres', 'prepared');
$_->quit foreach $writer, $other;
$node->stop('immediate');
$node->start;
($writer, $other) = map { $node->background_psql('postgres') } 1, 2;
switch('off');
$node->safe_psql('postgres', q{COMMIT PREPARED 'on'});
refresh();
is_exact($node, 'postgres', 'what was prepared on is captured');
switch('on');
$node->safe_psql('postgres', q{COMMIT PREPARED 'off'});
refresh();
is_exact($node, 'postgres', 'what was prepared off is read');
switch('off');
$writer->query_safe($insert);
$_->quit foreach $writer, $other;
$node->stop('immediate');
$node->start;
($writer, $other) = map { $node->background_psql('postgres') } 1, 2;
catches_up('after a crash');

# ---- keyed sources: followed, and read by themselves ----

$node->safe_psql('postgres', q{
	CREATE SCHEMA part;
	CREATE TABLE part.call (owner text, day date) PARTITION BY RANGE (day);
	CREATE TABLE part.call_1 PARTITION OF part.call FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
	CREATE TABLE part.call_2 PARTITION OF part.call FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
	INSERT INTO part.call VALUES ('alice', '2026-03-01'), ('bob', '2025-03-01');
	SELECT kpi.create_source('followed', key => 'owner', entity => 'owner', owner => 'owner', at => 'day', follow => '{"part.call": "owner"}',
		query => 'SELECT owner, max(day) AS day, count(*) AS calls FROM part.call GROUP BY owner');
	SELECT kpi.create_source('reread', key => 'owner', entity => 'owner', owner => 'owner', at => 'day',
		query => 'SELECT owner, max(day) AS day, count(*) AS calls FROM part.call GROUP BY owner');
	SELECT kpi.create_kpi('followed', source => 'followed', measure => 'sum(calls)');
	SELECT kpi.create_kpi('reread', source => 'reread', measure => 'sum(calls)');
	CALL kpi.refresh()});
my $calls = q{SELECT string_agg(format('%s %s %s', kpi, team, value), ', ' ORDER BY kpi, team) FROM kpi.team_yearly
	WHERE kpi IN ('followed', 'reread') AND team IN ('company', 'dach') AND period_start = '2026-01-01'};
is($node->safe_psql('postgres', $calls), 'followed company 1, followed dach 1, reread company 1, reread dach 1', 'keyed sources');
switch('off');
$node->safe_psql('postgres', q{INSERT INTO part.call VALUES ('alice', '2026-04-01'), ('erin', '2026-03-01'); UPDATE part.call SET day = '2026-03-02' WHERE owner = 'bob'});
$node->safe_psql('postgres', q{BEGIN; TRUNCATE part.call_1; INSERT INTO part.call VALUES ('bob', '2025-03-01'); COMMIT});
refresh();
is($node->safe_psql('postgres', q{SELECT string_agg(source || ' ' || status, ', ' ORDER BY source) FROM kpi.source_status WHERE source IN ('followed', 'reread')}),
	'followed capture_off, reread active', 'what is followed waits');
is($node->safe_psql('postgres', $calls), 'followed company 1, followed dach 1, reread company 5, reread dach 4', 'what is read by itself does not');
switch('on');
refresh();
is($node->safe_psql('postgres', $calls), 'followed company 5, followed dach 4, reread company 5, reread dach 4', 'and then all is there');
$node->safe_psql('postgres', q{DELETE FROM part.call WHERE owner = 'bob'});
refresh();
is($node->safe_psql('postgres', $calls), 'followed company 3, followed dach 2, reread company 3, reread dach 2', 'followed as before');
$node->safe_psql('postgres', q{SELECT kpi.drop_source('followed', cascade => true); SELECT kpi.drop_source('reread', cascade => true)});

# ---- with workers, and a standby ----

$_->quit foreach $writer, $other;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_kpi'\nwal_level = replica\nmax_wal_senders = 4");
$node->restart;
($writer, $other) = map { $node->background_psql('postgres') } 1, 2;
my $current = q{SELECT bool_and(status = 'active' AND pending_deltas = 0) FROM kpi.source_status};
$node->poll_query_until('postgres', $current);
switch('off');
$had = $node->safe_psql('postgres', $builds);
my $log = -s $node->logfile;
$writer->query_safe("$insert; $insert");
$node->poll_query_until('postgres', "SELECT ($status) = 'capture_off'") or fail('the worker notes it');
$node->poll_query_until('postgres', q{SELECT bool_and(pid IS NULL) FROM kpi.worker_status WHERE kind = 'worker'}) or fail('no worker stays for it');
$writer->query_safe($insert);
$node->poll_query_until('postgres', q{SELECT bool_and(pid IS NULL AND pending_commits = 0) FROM kpi.worker_status WHERE kind = 'worker' AND task = 'deltas'})
	or fail('nor for what comes then');
is($node->safe_psql('postgres', $builds), $had, 'no worker rebuilds anything');
is(scalar(() = slurp_file($node->logfile, $log) =~ /WARNING:  source "deals" is not refreshed/g), 1, 'and says so once');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET kpi.capture');
$node->reload;
$node->poll_query_until('postgres', $current) or fail('workers catch up without a commit');
is_exact($node, 'postgres', 'workers, on again');

$writer->quit;
$other->quit;
$node->stop;
done_testing();
