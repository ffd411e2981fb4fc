# ALTER EXTENSION UPDATE, from each released version (test/released) and from one
# that is made up here, so that there is one: what it leaves is what CREATE
# EXTENSION makes, and definitions, numbers and changes that wait survive.  What
# released scripts call in the library is there.
use strict;
use warnings FATAL => 'all';

use File::Copy qw(copy);
use FindBin;
use KpiCatalogue;
use KpiTest;
use KpiVersion;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $current = $EXTENSION{version};
my $released = "$FindBin::Bin/../released";
my @versions = map { m{/pg_kpi--([0-9.]+)\.sql$} } glob "$released/pg_kpi--*.sql";
my $node = new_node('upgrade');

# ---- the library ----

# The functions of a script that the library does not have.
sub missing_functions
{
	my ($script) = @_;
	my %symbol = map { $_ => 1 } $script =~ /AS\s+'MODULE_PATHNAME',\s*'(\w+)'/gi;

	return 'none is called' if !%symbol;
	return $node->safe_psql('postgres', q{
		CREATE TEMPORARY TABLE missing (symbol text);
		DO $do$
		DECLARE
			s text;
		BEGIN
			FOREACH s IN ARRAY string_to_array('} . join(' ', sort keys %symbol) . q{', ' ') LOOP
				BEGIN
					EXECUTE format('CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE c AS %L, %L', '$libdir/pg_kpi', s);
					DROP FUNCTION pg_temp.f();
				EXCEPTION WHEN undefined_function THEN
					INSERT INTO missing VALUES (s);
				END;
			END LOOP;
		END $do$;
		SELECT symbol FROM missing ORDER BY 1});
}

is(missing_functions($EXTENSION{script}), '', 'the library has what its script calls');
is(missing_functions(slurp_file("$released/pg_kpi--$_.sql")), '', "the library has what the script of $_ calls") foreach @versions;
is(missing_functions("AS 'MODULE_PATHNAME', 'kpi_sql_value' AS 'MODULE_PATHNAME', 'kpi_sql_missing'"), 'kpi_sql_missing', 'one that it has not is found');
unlike($EXTENSION{script}, qr/AS\s+'MODULE_PATHNAME'\s*(?![,\s])/i, 'each function of the script names what it calls');

# ---- what the comparison sees ----

my $catalogue = '(' . catalogue_sql() . ')';

$node->safe_psql('postgres', "CREATE EXTENSION pg_kpi; CREATE TABLE public.before AS $catalogue");
foreach my $change (
	'ALTER FUNCTION kpi.health() COST 7',
	'CREATE OR REPLACE FUNCTION kpi.grant_reader(role text) RETURNS void LANGUAGE sql AS $$ SELECT $$',
	q{COMMENT ON FUNCTION kpi.health() IS 'x'},
	'COMMENT ON COLUMN kpi.team.name IS NULL',
	'GRANT EXECUTE ON FUNCTION kpi.health() TO PUBLIC',
	'REVOKE USAGE ON SCHEMA kpi FROM pg_monitor',
	'ALTER EXTENSION pg_kpi DROP FUNCTION kpi.health()',
	'CREATE FUNCTION kpi.more() RETURNS void LANGUAGE sql AS $$ SELECT $$; ALTER EXTENSION pg_kpi ADD FUNCTION kpi.more()',
	'CREATE OR REPLACE VIEW kpi.worker_status AS SELECT w.* FROM (TABLE kpi.worker_status) w',
	'ALTER VIEW kpi.worker_status SET (security_barrier)',
	'ALTER TABLE kpi.team ADD COLUMN more text',
	'ALTER TABLE kpi.team ALTER COLUMN name SET DEFAULT $$x$$',
	'ALTER TABLE kpi.team ALTER COLUMN name SET STORAGE plain',
	'ALTER TABLE kpi_internal.version ADD CONSTRAINT more CHECK (org > 0)',
	'CREATE INDEX more ON kpi.team (name)',
	'ALTER TABLE kpi_internal.day_cell SET (fillfactor = 33)',
	'ALTER SEQUENCE kpi.team_id_seq INCREMENT 7',
	'ALTER TABLE kpi.team DISABLE TRIGGER USER',
	'ALTER OPERATOR kpi.= (kpi.cell, kpi.cell) SET (RESTRICT = NONE)',
	'ALTER TYPE kpi.cell SET (STORAGE = external)',
	'CREATE RULE more AS ON INSERT TO kpi_internal.version DO NOTHING',
	q{UPDATE pg_extension SET extcondition[1] = 'WHERE false' WHERE extname = 'pg_kpi'},
	q{UPDATE pg_extension SET extconfig = extconfig[2:], extcondition = extcondition[2:] WHERE extname = 'pg_kpi'},
	q{DELETE FROM pg_init_privs WHERE objoid = 'kpi.health()'::regprocedure})
{
	cmp_ok($node->safe_psql('postgres', "BEGIN; $change; SELECT count(*) FROM ((TABLE public.before EXCEPT $catalogue) UNION ALL ($catalogue EXCEPT TABLE public.before)) d; ROLLBACK;"),
		'>', 0, "seen: $change");
}
is($node->safe_psql('postgres', "(TABLE public.before EXCEPT $catalogue) UNION ALL ($catalogue EXCEPT TABLE public.before)"), '', 'and nothing else');

# ---- a version that is made up ----

my ($drop, $create) = ('', '');
foreach my $function ($EXTENSION{script} =~ /^(CREATE FUNCTION kpi\.version\(.*?;\nCOMMENT ON FUNCTION kpi\.version\(\) IS\n'.*?';\n)/ms)
{
	$drop = 'DROP FUNCTION kpi.version(); ALTER FUNCTION kpi.health() COST 7; ALTER TABLE kpi_internal.version DROP CONSTRAINT version_id_check;';
	$create = qq{SET LOCAL search_path = pg_catalog, pg_temp;
		$function
		REVOKE ALL ON FUNCTION kpi.version() FROM PUBLIC;
		GRANT EXECUTE ON FUNCTION kpi.version() TO pg_monitor;
		ALTER FUNCTION kpi.health() COST 1;
		ALTER TABLE kpi_internal.version ADD CONSTRAINT version_id_check CHECK (id = 1);};
}
my ($made_up, $careless) = ('0.0.3.1', '0.0.3.2');
write_script($_, "$EXTENSION{script}\n$drop") foreach $made_up, $careless;
write_script("$made_up--$current", $create);
write_script("$careless--$current", $create =~ s/^COMMENT ON .*?';\n//msr =~ s/^\s*GRANT [^;]*;//mr);

my $made_up_dump = $node->basedir . '/dump.sql';
$node->safe_psql('postgres', 'CREATE DATABASE company');
create_company($node, 'company');
$node->safe_psql('company', q{
	INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT (ARRAY['alice', 'bob', 'carol', 'zoe'])[1 + i % 4], 'erin', (ARRAY['won', 'lost', 'open'])[1 + i % 3], i, i % 5, 'p' || i % 2,
		   timestamptz '2026-01-01' + i * interval '1 day', timestamptz '2026-02-01' + i * interval '1 day'
	  FROM generate_series(1, 200) i;
	SELECT kpi.create_goal('more', kpi => 'won', team => 'emea', period => '2026', target => 100);
	SELECT kpi.add_holiday('2026-04-06', 'Easter Monday')});
$node->command_ok([ 'pg_dump', '--file', $made_up_dump, '--dbname', $node->connstr('company') ], 'a dump of a company');
# for test/released (doc/release.md)
copy($made_up_dump, "$ENV{KPI_KEEP_DUMP}/pg_kpi--$current.dump") or die "the dump is not kept: $!" if $ENV{KPI_KEEP_DUMP};

# ---- updates ----

# Rows of a query that only one of two databases has.
sub differences
{
	my ($one, $other, $sql) = @_;
	my %seen;

	$seen{$_}++ foreach split /\n/, $node->safe_psql($one, $sql);
	$seen{$_}-- foreach split /\n/, $node->safe_psql($other, $sql);
	return join "\n", map { ($seen{$_} > 0 ? "$one: " : "$other: ") . $_ } sort grep { $seen{$_} } keys %seen;
}

# A database with the extension in a version, and the definitions of a dump.  They are restored, and their facts
# read, by this library, which does so only where it is told that the versions are the same.
sub new_company
{
	my ($database, $version, $dump) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, qq{CREATE EXTENSION pg_kpi VERSION '$version';
		UPDATE pg_extension SET extversion = '$current' WHERE extname = 'pg_kpi'});
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr($database) ], "$database: the dump is restored");
	$node->safe_psql($database, qq{CALL kpi.refresh();
		UPDATE pg_extension SET extversion = '$version' WHERE extname = 'pg_kpi';
		INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
			SELECT 'bob', 'bob', 'won', i, 1, 'p1', '2026-03-01', '2026-03-05' FROM generate_series(1, 20) i;
		UPDATE crm.deals SET amount = amount + 1 WHERE id % 3 = 0;
		DELETE FROM crm.deals WHERE id % 7 = 0;
		INSERT INTO crm.costs (team, day, cost) VALUES ('emea', '2026-03-02', 5)});
	return;
}

sub updates
{
	my ($version, $dump) = @_;
	my $name = 'of_' . $version =~ s/\W/_/gr;
	my @kpis;

	# what is installed
	$node->safe_psql('postgres', "CREATE DATABASE bare_$name; CREATE DATABASE new_bare_$name");
	$node->safe_psql("bare_$name", "CREATE EXTENSION pg_kpi VERSION '$version'; ALTER EXTENSION pg_kpi UPDATE");
	$node->safe_psql("new_bare_$name", 'CREATE EXTENSION pg_kpi');
	is(differences("bare_$name", "new_bare_$name", seed_sql() . 'SELECT * FROM seed'), '', "$version: rows that are there from the start");

	# what has been used
	new_company($name, $version, $dump);
	new_company("new_$name", $current, $dump);
	cmp_ok($node->safe_psql($name, 'SELECT sum(pending_deltas) FROM kpi.source_status'), '>', 0, "$version: changes wait");
	$node->safe_psql($name, 'ALTER EXTENSION pg_kpi UPDATE');
	is(differences($name, "new_$name", "SELECT kind, name, replace(what, E'\\n', ' ') FROM ($catalogue) c"), '', "$version: updated, it is as if it were new");
	is($node->safe_psql($name, 'SELECT installed FROM kpi.version()'), $current, "$version: its version");
	$node->safe_psql($name, 'CALL kpi.refresh()');
	@kpis = grep { $KPI{$_} } split /\n/, $node->safe_psql($name, 'SELECT name FROM kpi.kpi');
	is_exact($node, $name, $version, @kpis);
	return;
}

updates($made_up, $made_up_dump);
updates($_, "$released/pg_kpi--$_.dump") foreach grep { $_ ne $current } @versions;

$node->safe_psql('postgres', 'CREATE DATABASE careless; CREATE DATABASE new');
$node->safe_psql('careless', "CREATE EXTENSION pg_kpi VERSION '$careless'; ALTER EXTENSION pg_kpi UPDATE");
$node->safe_psql('new', 'CREATE EXTENSION pg_kpi');
is(differences('careless', 'new', "SELECT kind, name FROM ($catalogue) c"), '', 'a careless script makes all there is');
like(differences('careless', 'new', "SELECT kind, name, sum FROM ($catalogue) c"), qr/\Acareless: function\|kpi\.version\(\)\|\w+\nnew: function\|kpi\.version\(\)\|\w+\z/, 'but without a comment and a privilege');

# Nothing that others have made is found before what is meant: as in the script of an installation.
foreach my $path (glob "$EXTENSION{directory}/pg_kpi--*--*.sql")
{
	my ($from, $to) = $path =~ /--([0-9.]+)--([0-9.]+)\.sql$/;

	like(slurp_file($path), qr/\A(?:\\echo .*\n|--.*\n|\s*\n)*SET LOCAL search_path = pg_catalog, pg_temp;/, "the script from $from to $to begins with its search_path")
	  if grep { $_ eq $from } @versions;
}

done_testing();
