# Queries for monitoring: each of doc/monitoring/queries.yaml, and those of the check_postgres lines of doc/operations.md,
# run as a role that has pg_monitor and nothing else. They return the columns that are declared, labels as texts and the rest as
# numbers, and show what has gone wrong.
use strict;
use warnings FATAL => 'all';

use FindBin;
use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $doc = "$FindBin::Bin/../../doc";
my $node = new_node('monitoring');

# The queries of the file: name => { query, columns: [ name, usage ] }.
sub queries
{
	my ($text) = @_;
	my %queries;

	while ($text =~ /^(\w+):\n  query: \|\n((?:    .*\n)+)  metrics:\n((?:    .*\n)+)/mg)
	{
		my ($name, $query, $metrics) = ($1, $2, $3);
		my @columns;

		push @columns, [ $1, $2 ] while $metrics =~ /^    - (\w+):\n        usage: "(\w+)"\n        description: "[^"]+"\n/mg;
		is(scalar(@columns), scalar(() = $metrics =~ /usage:/g), "$name: all metrics are read");
		$queries{$name} = { query => $query, columns => \@columns };
	}
	is(scalar(keys %queries), scalar(() = $text =~ /^\w+:/mg), 'all queries are read');
	return %queries;
}

my %queries = queries(slurp_file("$doc/monitoring/queries.yaml"));
my @checks = slurp_file("$doc/operations.md") =~ /^check_postgres\.pl .*--query="([^"]+)"/mg;
is(scalar(@checks), 2, 'two lines of check_postgres');

$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_kpi;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	CREATE SCHEMA crm;
	CREATE TABLE crm.deals (id integer PRIMARY KEY, owner_id text, amount numeric, closed_on date);
	CREATE TABLE crm.calls (id integer PRIMARY KEY, at date);
	INSERT INTO crm.deals SELECT i, 'o' || i % 9, i, date '2026-01-01' + i % 90 FROM generate_series(1, 1000) i;
	SELECT kpi.create_source('deals', relation => 'crm.deals', key => 'id', owner => 'owner_id', at => 'closed_on');
	SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)', unit => 'EUR');
	SELECT kpi.create_rollup('crm.monthly', kpis => '{revenue}');
	CALL kpi.refresh();
	SELECT kpi.create_source('calls', relation => 'crm.calls', key => 'id', at => 'at');
	SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)');
	SELECT kpi.pause('deals');
	UPDATE crm.deals SET amount = amount + 1 WHERE id <= 5});

# as text, a row a line
sub as_watcher
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'psql', '-X', '-A', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' user=watcher' ], '<', \$sql, '>', \$out, '2>', \$err);
	is($err, '', 'no error') or diag $sql;
	return $out;
}

foreach my $name (sort keys %queries)
{
	my ($query, @columns) = ($queries{$name}{query}, @{ $queries{$name}{columns} });
	my ($header) = split /\n/, as_watcher("$query;");

	is($header, join('|', map { $_->[0] } @columns), "$name has the columns that it says");
	unlike($node->psql('postgres', $query, extra_params => [ '-U', 'watcher', '-t', '-A' ]), qr/\|\|/, "$name has no null");
	# of labels texts, of all else what the exporter takes for a number
	my $types = join ' AND ', map { "pg_typeof(q.$_->[0])::text " . ($_->[1] eq 'LABEL' ? q{IN ('text', 'name')} : q{IN ('bigint', 'integer', 'numeric', 'double precision')}) } @columns;
	unlike(as_watcher("SELECT 'wrong' FROM ($query) q WHERE NOT ($types);"), qr/wrong/m, "$name: types");
	my $labels = join ', ', map { "q.$_->[0]" } grep { $_->[1] eq 'LABEL' } @columns;
	unlike(as_watcher("SELECT 'twice' FROM ($query) q GROUP BY $labels HAVING count(*) > 1;"), qr/^twice/m, "$name: a row for each label");
	cmp_ok(scalar(grep { $_->[1] =~ /^(?:GAUGE|COUNTER)$/ } @columns), '>', 0, "$name has a number");
}

sub value
{
	my ($name, $select) = @_;
	return (split /\n/, as_watcher("SELECT $select FROM ($queries{$name}{query}) q;"))[1];
}

is(value('pg_kpi_source', q{string_agg(concat_ws(' ', source, is_running, pending_deltas > 0), ', ' ORDER BY source)}), 'calls 1 f, deals 0 t', 'what is paused, and what waits');
is(value('pg_kpi_freshness', q{string_agg(concat_ws(' ', source, is_complete, lag_seconds > 0), ', ' ORDER BY source)}), 'calls 0 t, deals 1 t', 'what is not built');
is(value('pg_kpi_build', q{string_agg(source, ', ')}), 'calls', 'what is to be built');
is(value('pg_kpi_rollup', q{count(*)}), '1', 'rollup tables');
is(value('pg_kpi_health', q{string_agg(severity, ', ' ORDER BY severity)}), 'error, notice, warning', 'severities without problems, too');
is(value('pg_kpi_storage', q{string_agg(part, ', ' ORDER BY part COLLATE "C") || bool_and(bytes > 0)}), 'day_cell, other, queue, rollup_celltrue', 'sizes');

# both checks: a value for each, and more when something is wrong
sub checked
{
	return map { (split /\n/, as_watcher("$_;"))[1] } @checks;
}

like(join(' ', map { (split /\n/, as_watcher("$_;"))[0] } @checks), qr/^result result$/, 'the column that check_postgres wants');
my ($lag) = checked();
cmp_ok($lag, '>=', 0, 'a lag');
$node->safe_psql('postgres', q{SELECT kpi.resume('deals'); CALL kpi.refresh()});
is((checked())[0], '0', 'nothing waits');
my $errors = (checked())[1];
$node->safe_psql('postgres', q{ALTER TABLE crm.deals DISABLE TRIGGER ALL});
cmp_ok((checked())[1], '>', $errors, 'a trigger that is disabled is an error');
$node->safe_psql('postgres', q{ALTER TABLE crm.deals ENABLE TRIGGER ALL});

$node->stop;
done_testing();
