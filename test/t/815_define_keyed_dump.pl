# Keyed sources and the tables of their rows survive dumps with grants and users'
# views.  The first refresh compares the rows with the query and rewrites none
# that is as it should be.
use strict;
use warnings FATAL => 'all';

use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('keyed_dump');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE kd_definer;
	CREATE ROLE kd_reader;
	CREATE EXTENSION pg_kpi;
	SELECT kpi.grant_editor('kd_definer');
	CREATE SCHEMA crm AUTHORIZATION kd_definer;
	SET ROLE kd_definer;
	CREATE TYPE crm.channel AS ENUM ('web', 'phone');
	CREATE TABLE crm.lead (lead_id integer PRIMARY KEY, owner_id text, created_at timestamptz NOT NULL, channel crm.channel);
	CREATE TABLE crm.activity (id integer PRIMARY KEY, lead_id integer, at timestamptz) PARTITION BY RANGE (id);
	CREATE TABLE crm.activity_1 PARTITION OF crm.activity FOR VALUES FROM (1) TO (1000);
	CREATE TABLE crm.activity_2 PARTITION OF crm.activity FOR VALUES FROM (1000) TO (5000);
	INSERT INTO crm.lead SELECT i, 'u' || i % 3, '2026-01-01'::timestamptz + i * interval '1 day', 'web' FROM generate_series(1, 50) i;
	INSERT INTO crm.activity SELECT i, i % 60, '2026-01-03'::timestamptz + i * interval '7 hours' FROM generate_series(1, 1500) i;
	CREATE VIEW crm.truth AS
		SELECT l.lead_id, l.owner_id, l.created_at, l.channel, count(a.at) AS touches
		  FROM crm.lead l LEFT JOIN crm.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at GROUP BY l.lead_id;
	SELECT kpi.create_source('journeys', key => 'lead_id', owner => 'owner_id', at => 'created_at', query => 'SELECT * FROM crm.truth',
		follow => '{"crm.lead": "lead_id", "crm.activity": "lead_id"}', dimensions => '{"channel": "channel::text"}');
	SELECT kpi.create_source('owners', key => 'owner_id', at => 'since',
		query => 'SELECT owner_id, min(created_at) AS since, sum(touches) AS touches FROM kpi_data.journeys GROUP BY owner_id',
		follow => '{"kpi_data.journeys": "owner_id"}');
	SELECT kpi.create_kpi('touches', source => 'journeys', measure => 'sum(touches)');
	SELECT kpi.create_kpi('owner_touches', source => 'owners', measure => 'sum(touches)');
	CREATE TABLE crm.owner (owner_id text PRIMARY KEY, office text);
	INSERT INTO crm.owner VALUES ('u0', 'Berlin'), ('u1', 'Wien');
	SELECT kpi.create_lookup('offices', relation => 'crm.owner', key => 'owner_id', value => 'office');
	SELECT kpi.create_source('leads', relation => 'crm.lead', key => 'lead_id', at => 'created_at');
	SELECT kpi.create_kpi('leads_of_wien', source => 'leads', measure => 'count(*)', filter => $$lookup('offices', owner_id) = 'Wien'$$);
	CREATE VIEW crm.busy AS SELECT lead_id, touches FROM kpi_data.journeys WHERE touches > 3;
	SELECT kpi.grant_source('journeys', 'kd_reader');
	GRANT USAGE ON SCHEMA crm TO kd_reader;
	GRANT SELECT ON crm.busy TO kd_reader;
	RESET ROLE;
	CALL kpi.refresh();
	INSERT INTO crm.activity VALUES (2000, 1, '2026-05-01')});
is(differences('postgres'), '2', 'what waits is not in the kept rows');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is(differences('postgres'), '0', 'until it is refreshed');

my $dump = $node->basedir . '/keyed';
my %restore = (
	plain => [ [ '-Fp' ], [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump ] ],
	custom => [ [ '-Fc' ], [ 'pg_restore', '--exit-on-error', $dump ] ],
	parallel => [ [ '-Fd', '--jobs=2' ], [ 'pg_restore', '--exit-on-error', '--jobs=2', $dump ] ],
	inserts => [ [ '-Fp', '--inserts' ], [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump ] ]);
for my $mode (sort keys %restore)
{
	restore($mode, @{ $restore{$mode} });
	like($node->safe_psql($mode, q{SELECT count(*) FROM kpi_data.journeys}), qr/^50$/, "$mode: the kept rows are there");
	is($node->safe_psql($mode, q{SELECT relacl FROM pg_class WHERE oid = 'kpi_data.journeys'::regclass}),
		$node->safe_psql('postgres', q{SELECT relacl FROM pg_class WHERE oid = 'kpi_data.journeys'::regclass}), "$mode: with their grants");
	is($node->safe_psql($mode, 'SET ROLE kd_reader; SELECT count(*) > 0 FROM kpi_data.journeys; SELECT count(*) > 0 FROM crm.busy'),
		"t\nt", "$mode: who could read them can, and the user's view");

	# before the first refresh, and wrong rows at that
	$node->safe_psql($mode, q{UPDATE kpi_data.journeys SET touches = 1000 WHERE lead_id = 7;
		DELETE FROM crm.activity WHERE lead_id = 8});
	my $xid = $node->safe_psql($mode, q{SELECT max(xmin::text::bigint) FROM kpi_data.journeys});
	$node->safe_psql($mode, 'CALL kpi.refresh()');
	is(differences($mode), '0', "$mode: the first refresh makes them what the query says");
	is($node->safe_psql($mode, "SELECT string_agg(lead_id::text, ' ' ORDER BY lead_id) FROM kpi_data.journeys WHERE xmin::text::bigint > $xid"),
		'7 8', "$mode: and rewrites no other");
	is($node->safe_psql($mode, q{UPDATE crm.owner SET office = 'Wien'; CALL kpi.refresh(); UPDATE crm.owner SET office = 'Graz' WHERE owner_id = 'u1';
		CALL kpi.refresh(); SELECT sum(value) = (SELECT count(*) FROM crm.lead WHERE owner_id = 'u0'),
		(SELECT facts_missing = (SELECT count(*) FROM crm.lead WHERE owner_id = 'u2') FROM kpi.lookup_status), (SELECT count(*) FROM kpi.verify('leads'))
		FROM kpi.team_monthly WHERE kpi = 'leads_of_wien' AND team = 'company'}), 't|t|0', "$mode: lookups go on");
	check_goes_on($mode);
	drop_extension($mode, 'after it was refreshed');
}

# a session that has the library drops it at once
restore('before', @{ $restore{custom} });
drop_extension('before', 'before it was refreshed', q{LOAD 'pg_kpi';});

restore('without_rows', [ '-Fc', '--exclude-schema=kpi_data' ], [ 'pg_restore', $dump ], 1);
is($node->safe_psql('without_rows', q{SELECT to_regclass('kpi_data.journeys') IS NULL}), 't', 'without rows: no table');
my ($out, $err);
$node->psql('without_rows', 'CALL kpi.refresh()', stdout => \$out, stderr => \$err);
like($err, qr/table kpi_data.journeys does not exist.*kpi\.resume\(\)/s, 'without rows: it is said');
$node->safe_psql('without_rows', q{SELECT kpi.resume('journeys')});
$node->safe_psql('without_rows', q{SELECT kpi.resume('owners')});
$node->safe_psql('without_rows', q{SELECT kpi.resume('leads')});
$node->safe_psql('without_rows', 'CALL kpi.refresh()');
is(differences('without_rows'), '0', 'without rows: they are made again');
check_goes_on('without_rows');

restore('without_owners', [ '-Fc' ], [ 'pg_restore', '--exit-on-error', '--no-owner', $dump ]);
$node->safe_psql('without_owners', 'GRANT ALL ON SCHEMA crm TO kd_definer; GRANT ALL ON ALL TABLES IN SCHEMA crm TO kd_definer');
$node->psql('without_owners', 'CALL kpi.refresh()', stdout => \$out, stderr => \$err);
like($err, qr/is suspended/, 'without owners: it is suspended');
$node->safe_psql('without_owners', q{SELECT kpi.resume('journeys')});
$node->safe_psql('without_owners', q{SELECT kpi.resume('owners')});
$node->safe_psql('without_owners', q{SELECT kpi.resume('leads')});
$node->safe_psql('without_owners', 'CALL kpi.refresh()');
is($node->safe_psql('without_owners', q{SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'kpi_data.journeys'::regclass}),
	'kd_definer', 'without owners: resumed, the definer has the rows again');
check_goes_on('without_owners');

# a schema, and its data later
$node->safe_psql('postgres', 'CREATE DATABASE in_two');
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'postgres' ], 'dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '--schema-only', '-d', 'in_two', $dump ], 'in two steps: the schema');
$node->safe_psql('in_two', 'CALL kpi.refresh()');
$node->command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '-d', 'in_two', $dump ], 'in two steps: the data');
$node->safe_psql('in_two', 'CALL kpi.refresh()');
is(differences('in_two'), '0', 'in two steps: the rows are what the query says');
check_goes_on('in_two');

$node->stop;
done_testing();

sub restore
{
	my ($name, $options, $command, $may_fail) = @_;

	unlink $dump;
	rmtree($dump) if -d $dump;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->command_ok([ 'pg_dump', @$options, '-f', $dump, 'postgres' ], "$name: dump");
	if ($may_fail)
	{
		$node->run_log([ @$command, '-d', $name ]);
		return;
	}
	$node->command_ok([ @$command, '-d', $name ], "$name: restore");
	return;
}

# Kept rows that are not as the query says, on either side.
sub differences
{
	my ($db) = @_;

	return $node->safe_psql($db, q{SELECT count(*) FROM (
		(SELECT lead_id, owner_id, created_at, channel, touches FROM kpi_data.journeys EXCEPT ALL SELECT * FROM crm.truth)
		UNION ALL (SELECT * FROM crm.truth EXCEPT ALL SELECT lead_id, owner_id, created_at, channel, touches FROM kpi_data.journeys)) d});
}

sub check_goes_on
{
	my ($db) = @_;

	$node->safe_psql($db, q{INSERT INTO crm.activity VALUES (3001, 3, '2026-06-01'), (101 + 3000, 51, '2026-06-01');
		UPDATE crm.lead SET owner_id = 'u9' WHERE lead_id = 4; DELETE FROM crm.lead WHERE lead_id = 5;
		INSERT INTO crm.lead VALUES (51, 'u1', '2026-04-01', 'phone');
		CALL kpi.refresh()});
	is(differences($db), '0', "$db: it goes on");
	is($node->safe_psql($db, q{SELECT string_agg(DISTINCT value::text, ' ') FROM kpi.team_yearly WHERE kpi IN ('touches', 'owner_touches') AND team = 'company'}),
		$node->safe_psql($db, 'SELECT sum(touches) FROM crm.truth'), "$db: the numbers are right");
	is($node->safe_psql($db, 'SELECT count(*) FROM kpi.verify()'), '0', "$db: and verified");
	# of journeys two, of owners one, of the leads that look up two: their own table and that of the lookup
	is($node->safe_psql($db, q{SELECT string_agg(tgrelid::regclass::text, ' ' ORDER BY tgrelid::regclass::text COLLATE "C") FROM pg_trigger
			WHERE tgname ~ '^kpi_follow_[0-9]' AND tgparentid = 0 AND tgenabled = 'A'}),
		'crm.activity crm.lead crm.lead crm.owner kpi_data.journeys', "$db: with the triggers");
	return;
}

sub drop_extension
{
	my ($db, $when, $load) = @_;
	my ($out, $err);

	$load //= '';
	$node->psql($db, "$load DROP EXTENSION pg_kpi", stdout => \$out, stderr => \$err);
	like($err, qr/view crm\.busy depends on table kpi_data\.journeys/, "$db: a view of the user's stops DROP EXTENSION $when");
	$node->safe_psql($db, "$load DROP VIEW crm.busy; DROP EXTENSION pg_kpi");
	is($node->safe_psql($db, q{SELECT count(*) FROM pg_namespace WHERE nspname ~ '^kpi'}), '0', "$db: without it, it goes $when");
	$node->safe_psql($db, q{INSERT INTO crm.activity VALUES (3002, 3, '2026-06-01')});
	return;
}
