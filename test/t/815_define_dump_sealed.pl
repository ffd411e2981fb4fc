# What is sealed of partitions that are gone is in a dump: restored, the numbers are
# the same, and a detached partition can come back.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('sealed');
my $dump = $node->backup_dir . '_dump';

# The oracle: the rows of dropped and detached partitions are in crm.archive.
my $differences = q{
	WITH f AS (SELECT * FROM crm.calls UNION ALL SELECT * FROM crm.archive),
	should AS (
		SELECT k.kpi, date_trunc('month', f.day)::date AS period, t.team, sum(k.n) AS value
		  FROM f CROSS JOIN LATERAL (VALUES ('calls', 1::numeric), ('talked', f.minutes)) k (kpi, n)
		  LEFT JOIN kpi.member m ON m.key = f.owner
		  LEFT JOIN kpi.membership h ON h.member_id = m.id AND f.day >= coalesce(h.since, '-infinity') AND f.day < coalesce(h.until, 'infinity')
		  LEFT JOIN kpi.team u ON u.id = h.team_id
		 CROSS JOIN LATERAL (VALUES ('company'), (coalesce(u.key, '(unassigned)'))) t (team)
		 GROUP BY 1, 2, 3),
	parts AS (SELECT 'part ' || coalesce(kind, 'NULL'), date_trunc('month', day)::date, 'company', count(*)::numeric FROM f GROUP BY 1, 2),
	shown AS (SELECT kpi, period_start, team, value FROM kpi.team_monthly WHERE kpi IN ('calls', 'talked')
		 UNION ALL SELECT 'part ' || coalesce(dimension_value, 'NULL'), period_start, team, value FROM kpi.team_breakdown_monthly
					WHERE kpi = 'calls' AND dimension = 'kind' AND team = 'company')
	(SELECT 'should', * FROM (SELECT * FROM should UNION ALL SELECT * FROM parts) s EXCEPT SELECT 'should', * FROM shown)
	UNION ALL (SELECT 'shown', * FROM shown EXCEPT SELECT 'shown', * FROM (SELECT * FROM should UNION ALL SELECT * FROM parts) s)};
my $numbers = q{SELECT kpi, team, period, value, numerator, facts, is_complete, complete_since FROM kpi.team_monthly
	UNION ALL SELECT kpi, member, period, value, numerator, facts, is_complete, complete_since FROM kpi.member_daily ORDER BY 1, 2, 3};
my $sealed = q{SELECT source, partition, first_day, last_day, facts, is_detached, missing_until, sealed_at FROM kpi.sealed ORDER BY 2};

sub is_right
{
	my ($db, $name) = @_;

	is($node->safe_psql($db, $differences), '', "$name: the numbers are those of plain SQL");
	return is($node->safe_psql($db, 'SELECT * FROM kpi.verify()'), '', "$name: and kpi.verify() finds nothing");
}

$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_kpi;
	SELECT kpi.create_team('uk'), kpi.create_team('dach');
	SELECT kpi.add_member('alice', team => 'uk'), kpi.add_member('bob', team => 'dach');
	CREATE SCHEMA crm;
	CREATE TABLE crm.calls (id integer, owner text, kind text, minutes numeric, day date) PARTITION BY RANGE (day);
	CREATE TABLE crm."Calls 1" PARTITION OF crm.calls FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	CREATE TABLE crm.calls_2 PARTITION OF crm.calls FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
	CREATE TABLE crm.calls_3 PARTITION OF crm.calls DEFAULT;
	CREATE TABLE crm.archive (LIKE crm.calls);
	INSERT INTO crm.calls SELECT i, (ARRAY['alice', 'bob', 'it''s', NULL])[1 + i % 4], (ARRAY['in', 'out "of', NULL])[1 + i % 3], i / 7.0, '2026-01-01'::date + i % 100
	  FROM generate_series(1, 400) i;
	SELECT kpi.create_source('calls', relation => 'crm.calls', owner => 'owner', at => 'day', dimensions => '{"kind": "kind"}');
	SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)'), kpi.create_kpi('talked', source => 'calls', measure => 'sum(minutes)');
	CALL kpi.refresh();
	INSERT INTO crm.archive SELECT * FROM crm."Calls 1";
	DROP TABLE crm."Calls 1";
	CALL kpi.refresh();
	INSERT INTO crm.archive SELECT * FROM crm.calls_2;
	ALTER TABLE crm.calls DETACH PARTITION crm.calls_2;
	CALL kpi.refresh();
	SELECT kpi.create_kpi('late', source => 'calls', measure => 'count(*)');
	CALL kpi.refresh();
	INSERT INTO crm.calls VALUES (1001, 'bob', 'in', 5, '2026-01-07');});
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_right('postgres', 'before the dump');
is($node->safe_psql('postgres', q{SELECT count(*), bool_and(facts > 0) FROM kpi.sealed}), '2|t', 'two partitions are sealed');

mkdir $dump;
for my $mode ([ 'plain', '--format=plain' ], [ 'custom', '--format=custom' ], [ 'parallel', '--format=directory', '--jobs=2' ])
{
	my ($name, @options) = @$mode;
	my $file = "$dump/$name";

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->command_ok([ 'pg_dump', '--file', $file, @options, '--dbname', $node->connstr('postgres') ], "$name: dump");
	$node->command_ok($name eq 'plain'
		? [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($name), '-f', $file ]
		: [ 'pg_restore', '--exit-on-error', ($name eq 'parallel' ? '--jobs=2' : ()), '--dbname', $node->connstr($name), $file ],
		"$name: restore");
	$node->safe_psql($name, 'CALL kpi.refresh()');
	is_right($name, "$name: restored");
	is($node->safe_psql($name, $numbers), $node->safe_psql('postgres', $numbers), "$name: all numbers are the same");
	is($node->safe_psql($name, $sealed), $node->safe_psql('postgres', $sealed), "$name: and what is sealed");

	# it goes on: later facts, another partition that goes, the detached one back
	$node->safe_psql($name, q{
		INSERT INTO crm.calls VALUES (1002, 'alice', 'in', 6, '2026-01-08');
		DELETE FROM crm.calls_2 WHERE id % 5 = 0;
		DELETE FROM crm.archive WHERE day >= '2026-02-01';
		ALTER TABLE crm.calls ATTACH PARTITION crm.calls_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
		CALL kpi.refresh();
		INSERT INTO crm.archive SELECT * FROM crm.calls_3;
		DROP TABLE crm.calls_3;
		CALL kpi.refresh();});
	is_right($name, "$name: gone on");
	is($node->safe_psql($name, q{SELECT string_agg(partition, ' ' ORDER BY partition) FROM kpi.sealed}), 'crm."Calls 1" crm.calls_3',
		"$name: the one that is back is not sealed any more");
}

$node->stop;
done_testing();
