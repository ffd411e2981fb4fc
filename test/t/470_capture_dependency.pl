# What the triggers depend on: on no extension, as Citus refuses tables whose triggers do;
# and DROP EXTENSION drops them all the same, with the library loaded or not, and after a
# restore.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dependency');
my $insert = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	VALUES ('alice', 'bob', 'won', 10, 1, 'p', '2026-03-01', '2026-03-05')};
# Of the tables of users: what Citus looks for before it takes one, and all triggers.
my $tables = q{pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('crm', 'part', 'kpi_data')};
my $on_extensions = "SELECT t.tgname FROM $tables JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid WHERE d.refclassid = 'pg_extension'::regclass";
my $triggers = "SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.relname), ' ') FROM $tables WHERE NOT tgisinternal";
my $attached = 'crm.costs crm.deals kpi_data.entities part.call part.call_1 part.call_2 part.call_3';

sub create
{
	my ($database) = @_;

	create_company($node, $database, sql => "$insert;");
	$node->safe_psql($database, q{
		CREATE SCHEMA part;
		CREATE TABLE part.call (owner text, day date) PARTITION BY RANGE (day);
		CREATE TABLE part.call_1 PARTITION OF part.call FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
		CREATE TABLE part.call_2 PARTITION OF part.call FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
		SELECT kpi.create_source('calls', relation => 'part.call', owner => 'owner', at => 'day');
		SELECT kpi.create_source('entities', key => 'owner', entity => 'owner', owner => 'owner', at => 'day', follow => '{"part.call": "owner"}',
			query => 'SELECT owner, max(day) AS day FROM part.call GROUP BY owner');
		SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)');
		SELECT kpi.create_kpi('callers', source => 'entities', measure => 'count(*)');
		CREATE TABLE part.call_3 PARTITION OF part.call FOR VALUES FROM ('2027-01-01') TO (MAXVALUE);
		INSERT INTO part.call VALUES ('alice', '2026-03-01'), ('bob', '2025-03-01');
		CALL kpi.refresh()});
	return;
}

# Of the company, and of calls by a count.
sub is_right
{
	my ($database, $name) = @_;
	my $differences = $node->safe_psql($database, difference_sql());

	is(join("\n", grep { !/\|(calls|callers|own|given|kept)\|/ } split /\n/, $differences), '', "$name: the numbers are those of plain SQL");
	is($node->safe_psql($database, q{SELECT sum(value) FROM kpi.team_yearly WHERE kpi = 'calls' AND team = 'company'}),
		$node->safe_psql($database, 'SELECT count(*) FROM part.call'), "$name: and of calls");
	is($node->safe_psql($database, q{SELECT sum(value) FROM kpi.team_yearly WHERE kpi = 'callers' AND team = 'company'}),
		$node->safe_psql($database, 'SELECT count(DISTINCT owner) FROM part.call'), "$name: and of callers");
	return;
}

sub is_gone
{
	my ($database, $name) = @_;

	is($node->safe_psql($database, $triggers), '', "$name: no trigger is left");
	is($node->safe_psql($database, q{SELECT nspname FROM pg_namespace WHERE nspname ~ '^kpi'}), '', "$name: nor anything else");
	$node->safe_psql($database, "$insert; INSERT INTO part.call VALUES ('bob', '2026-02-01')");
	return;
}

create('postgres');
is($node->safe_psql('postgres', $on_extensions), '', 'no trigger depends on an extension');
is($node->safe_psql('postgres', $triggers), $attached, 'and all are there');

# ---- the objects they depend on, and their tables ----

like(($node->psql('postgres', 'DROP FUNCTION kpi.capture()'))[2], qr/extension pg_kpi requires it/, 'the function cannot be dropped by itself');
$node->safe_psql('postgres', "BEGIN; DROP EXTENSION pg_kpi; $insert; ROLLBACK");
is($node->safe_psql('postgres', $triggers), $attached, 'rolled back, they are there');
$node->safe_psql('postgres', "$insert; INSERT INTO part.call VALUES ('erin', '2027-02-01'); CALL kpi.refresh()");
is_right('postgres', 'rolled back');
$node->safe_psql('postgres', q{CREATE TABLE crm.other (LIKE crm.costs);
	SELECT kpi.create_source('other', relation => 'crm.other', owner => 'team', at => 'day');
	CREATE TABLE crm.third (LIKE crm.costs);
	SELECT kpi.create_source('third', relation => 'crm.third', owner => 'team', at => 'day');
	DROP TABLE crm.other; SELECT kpi.drop_source('third')});
is($node->safe_psql('postgres', $triggers), $attached, 'DROP TABLE and kpi.drop_source()');
$node->safe_psql('postgres', q{SELECT kpi.drop_source('other')});
$node->safe_psql('postgres', 'ALTER TABLE part.call DETACH PARTITION part.call_1; ALTER TABLE part.call ATTACH PARTITION part.call_1 FOR VALUES FROM (MINVALUE) TO (\'2026-01-01\'); CALL kpi.refresh()');
is($node->safe_psql('postgres', $on_extensions), '', 'partitions that come and go');

# ---- restored ----

my $dump = $node->backup_dir . '/dump.sql';
mkdir $node->backup_dir;
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'dumped');
unlike(slurp_file($dump), qr/DEPENDS ON EXTENSION/, 'a dump says nothing of it');
for my $database ('refreshed', 'early', 'former')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_ok([ 'psql', '-X', '-q', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $dump ], "restored as $database");
}
# as triggers of version 0.1.0 come
$node->safe_psql('former', q{SELECT format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION pg_kpi', tgname, tgrelid::regclass)
	FROM pg_trigger WHERE tgrelid = 'crm.deals'::regclass AND NOT tgisinternal \gexec});
isnt($node->safe_psql('former', $on_extensions), '', 'those of an earlier version do');
for my $database ('refreshed', 'former')
{
	$node->safe_psql($database, 'CALL kpi.refresh()');
	is($node->safe_psql($database, $on_extensions), '', "$database: the first refresh binds them");
	is_right($database, $database);
	$node->safe_psql($database, 'DROP EXTENSION pg_kpi');
	is_gone($database, "$database: DROP EXTENSION");
}
like(($node->psql('early', 'DROP EXTENSION pg_kpi'))[2], qr/HINT:  Use DROP \.\.\. CASCADE/, 'before it, a session without the library says CASCADE');
$node->safe_psql('early', q{LOAD 'pg_kpi'; DROP EXTENSION pg_kpi});
is_gone('early', 'with the library, before the first refresh');

# ---- DROP OWNED BY ----

$node->safe_psql('postgres', 'DROP EXTENSION pg_kpi; DROP SCHEMA crm CASCADE; DROP SCHEMA part CASCADE');
$node->safe_psql('postgres', 'CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE definer LOGIN; CREATE ROLE loader LOGIN; SET ROLE boss; CREATE EXTENSION pg_kpi');
create('postgres');
$node->safe_psql('postgres', q{
	GRANT USAGE ON SCHEMA crm TO definer, loader;
	CREATE TABLE crm.own (id int PRIMARY KEY, owner text, day date);
	INSERT INTO crm.own VALUES (1, 'alice', '2026-03-01'), (2, 'bob', '2026-03-01');
	CREATE TABLE crm.given AS TABLE crm.own;
	ALTER TABLE crm.own OWNER TO definer;
	ALTER TABLE crm.given OWNER TO loader;
	GRANT SELECT, TRIGGER ON crm.given TO definer;
	SELECT kpi.grant_editor('definer')});
$node->safe_psql('postgres', qq{
	SELECT kpi.create_source('$_', relation => 'crm.$_', owner => 'owner', at => 'day');
	SELECT kpi.create_kpi('$_', source => '$_', measure => 'count(*)')}, extra_params => [ '-U', 'definer' ]) foreach 'own', 'given';
$node->safe_psql('postgres', q{
	SELECT kpi.create_source('kept', key => 'owner', entity => 'owner', owner => 'owner', at => 'day', follow => '{"crm.own": "owner"}',
		query => 'SELECT owner, max(day) AS day FROM crm.own GROUP BY owner');
	SELECT kpi.create_kpi('kept', source => 'kept', measure => 'count(*)')}, extra_params => [ '-U', 'definer' ]);
$node->safe_psql('postgres', 'CALL kpi.refresh()');
my $stand = q{SELECT string_agg(format('%s %s', source, status), ', ' ORDER BY source) FROM kpi.source_status WHERE source IN ('own', 'given', 'kept')};
my $values = q{SELECT string_agg(format('%s %s', kpi, value), ', ' ORDER BY kpi) FROM kpi.team_yearly WHERE kpi IN ('own', 'given', 'kept') AND team = 'company'};
is($node->safe_psql('postgres', $stand), 'given active, kept active, own active', 'sources of a role');

$node->safe_psql('postgres', 'BEGIN; DROP OWNED BY definer CASCADE; ROLLBACK; CALL kpi.refresh()');
is($node->safe_psql('postgres', $stand), 'given active, kept active, own active', 'DROP OWNED BY rolled back');
$node->safe_psql('postgres', 'DROP OWNED BY definer');
$node->psql('postgres', 'CALL kpi.refresh()');
is($node->safe_psql('postgres', $stand), 'given suspended, kept suspended, own suspended', 'DROP OWNED BY the definer suspends its sources');
like($node->safe_psql('postgres', q{SELECT string_agg(hint, ' ' ORDER BY source) FROM kpi.source_status WHERE source IN ('own', 'given')}),
	qr/GRANT SELECT, TRIGGER ON crm.given TO definer; SELECT kpi.resume.*Create the table again/, 'which say what to do');
is($node->safe_psql('postgres', $values), 'given 2, kept 2, own 2', 'and keep their numbers');
$node->safe_psql('postgres', q{INSERT INTO crm.given VALUES (3, 'bob', '2026-03-01')}, extra_params => [ '-U', 'loader' ]);
$node->safe_psql('postgres', q{GRANT USAGE ON SCHEMA crm TO definer; GRANT SELECT, TRIGGER ON crm.given TO definer; SELECT kpi.resume('given'); CALL kpi.refresh('given')});
is($node->safe_psql('postgres', $values), 'given 3, kept 2, own 2', 'and can be resumed');

$node->safe_psql('postgres', 'DROP OWNED BY loader');
$node->psql('postgres', 'CALL kpi.refresh()');
is($node->safe_psql('postgres', q{SELECT format('%s: %s', status, reason) FROM kpi.source_status WHERE source = 'given'}),
	'suspended: table crm.given does not exist', 'DROP OWNED BY the owner of the table');
$node->safe_psql('postgres', qq{SELECT kpi.drop_source('$_', cascade => true)}) foreach 'given', 'own', 'kept';
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_right('postgres', 'the other sources');

# Whose tables they are makes no difference: the extension goes.
my $writer = $node->background_psql('postgres');
$writer->query_safe($insert);
$node->safe_psql('postgres', 'ALTER SCHEMA crm OWNER TO loader; ALTER SCHEMA part OWNER TO loader; DROP OWNED BY boss');
is_gone('postgres', 'DROP OWNED BY the owner of the extension');
$writer->query_safe("$insert; UPDATE crm.deals SET amount = 1; TRUNCATE crm.costs");
$writer->quit;
$node->stop;
done_testing();
