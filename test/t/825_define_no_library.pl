# A library that is missing: tables can be written again after kpi.detach_all(), and
# with the library back, sources after kpi.resume().
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('library');
my $write = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	VALUES ('alice', 'bob', 'won', 10, 1, 'p', '2026-03-01', '2026-03-05')};

create_company($node, 'postgres', sql => "$write;");
$node->safe_psql('postgres', q{
	CREATE SCHEMA part;
	CREATE TABLE part.call (owner text, day date) PARTITION BY RANGE (day);
	CREATE TABLE part.call_1 PARTITION OF part.call FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
	CREATE TABLE part.call_2 PARTITION OF part.call FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
	SELECT kpi.create_source('calls', relation => 'part.call', owner => 'owner', at => 'day');
	SELECT kpi.create_source('entities', key => 'owner', entity => 'owner', owner => 'owner', at => 'day', follow => '{"part.call": "owner"}',
		query => 'SELECT owner, max(day) AS day FROM part.call GROUP BY owner');
	SELECT kpi.create_kpi('calls', source => 'calls', measure => 'count(*)');
	SELECT kpi.create_kpi('callers', source => 'entities', measure => 'count(*)');
	CREATE ROLE editor LOGIN;
	SELECT kpi.grant_editor('editor');
	CALL kpi.refresh();});
is($node->psql('postgres', 'SELECT kpi.detach_all()', extra_params => [ '-U', 'editor' ]), 3, 'not for editors');

# Sessions of a server whose files are gone find as little.
my $elsewhere = q{UPDATE pg_proc SET probin = '%s' WHERE probin = '%s'};
$node->safe_psql('postgres', sprintf $elsewhere, '$libdir/pg_kpi_gone', '$libdir/pg_kpi');
for my $statement ($write, 'TRUNCATE part.call', q{INSERT INTO part.call VALUES ('bob', '2026-02-01')})
{
	my (undef, undef, $error) = $node->psql('postgres', $statement);

	like($error, qr/could not access file "\$libdir\/pg_kpi_gone"/, 'a table cannot be written');
}
is($node->safe_psql('postgres', q{SELECT relation, count(*) FROM kpi.detach_all() GROUP BY 1 ORDER BY 1}),
	"crm.costs|2\ncrm.deals|2\nkpi_data.entities|2\npart.call|4\npart.call_1|2\npart.call_2|2", 'the triggers that were there');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgname ~ '^kpi_(capture|truncate|follow)'}), '0', 'none is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi.detach_all()'), '0', 'and once more nothing');
$node->safe_psql('postgres', "$write; UPDATE crm.deals SET amount = 12; INSERT INTO part.call VALUES ('bob', '2026-02-01'), ('bob', '2025-02-01')");

$node->safe_psql('postgres', sprintf $elsewhere, '$libdir/pg_kpi', '$libdir/pg_kpi_gone');
$node->safe_psql('postgres', $write);
$node->psql('postgres', 'CALL kpi.refresh()');
is($node->safe_psql('postgres', q{SELECT DISTINCT status FROM kpi.source_status}), 'suspended', 'sources are suspended with the library back');
is($node->safe_psql('postgres', q{SELECT value FROM kpi.team_yearly WHERE kpi = 'won' AND team = 'company'}), '1', 'with their numbers of before');
$node->safe_psql('postgres', 'SELECT kpi.resume()');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is(join("\n", grep { !/\|(calls|callers)\|/ } split /\n/, $node->safe_psql('postgres', difference_sql())), '', 'exact after kpi.resume()');
is($node->safe_psql('postgres', q{SELECT kpi, sum(value) FROM kpi.team_yearly WHERE kpi IN ('calls', 'callers') AND team = 'company' GROUP BY kpi ORDER BY kpi}), "callers|1\ncalls|2", 'the others, too');
is($node->safe_psql('postgres', 'SELECT * FROM kpi.verify()'), '', 'verify');
$node->safe_psql('postgres', $write);
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is($node->safe_psql('postgres', q{SELECT value FROM kpi.team_yearly WHERE kpi = 'won' AND team = 'company'}), '4', 'and goes on');

# Uninstalling without the library takes no more.
$node->safe_psql('postgres', sprintf $elsewhere, '$libdir/pg_kpi_gone', '$libdir/pg_kpi');
$node->safe_psql('postgres', 'DROP EXTENSION pg_kpi CASCADE');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal}), '0', 'no trigger is left by DROP EXTENSION');
$node->safe_psql('postgres', $write);
$node->stop;
done_testing();
