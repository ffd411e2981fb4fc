# DROP EXTENSION leaves the users' tables as if it had never been there, and
# CREATE EXTENSION starts afresh.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('extension');
my $write = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	VALUES ('alice', 'bob', 'won', 10, 1, 'p', '2026-03-01', '2026-03-05')};

create_company($node, 'postgres', sql => "$write;");
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'before');

# sessions that have written already, and one that is writing
my $writer = $node->background_psql('postgres');
$writer->query_safe($write);
my $reader = $node->background_psql('postgres');
$reader->query_safe('SELECT count(*) FROM kpi.goal_progress');

$node->safe_psql('postgres', 'DROP EXTENSION pg_kpi');
is($node->safe_psql('postgres', q{SELECT tgname FROM pg_trigger WHERE NOT tgisinternal}), '', 'no trigger is left');
is($node->safe_psql('postgres', q{SELECT nspname FROM pg_namespace WHERE nspname LIKE 'kpi%'}), '', 'no schema is left');
$writer->query_safe("$write; UPDATE crm.deals SET amount = 11; DELETE FROM crm.deals WHERE amount = 12");
$writer->query_safe('BEGIN; TRUNCATE crm.costs; ' . $write . '; SAVEPOINT a; ' . $write . '; ROLLBACK TO a; COMMIT');
is($node->safe_psql('postgres', 'SELECT count(*) FROM crm.deals'), '4', 'the tables are written as before');

create_tables_anew('kept');
$writer->query_safe($write);
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'created again');
is($reader->query_safe(q{SELECT value FROM kpi.team_yearly WHERE kpi = 'won' AND team = 'company'}),
	'5', 'a session from before sees the new numbers');
$writer->query_safe('UPDATE crm.deals SET amount = amount + 1');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'written by a session from before');

# in one transaction, and undone
$node->safe_psql('postgres', "BEGIN; $write; DROP EXTENSION pg_kpi; $write; ROLLBACK");
$node->safe_psql('postgres', $write);
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'a drop rolled back');

# a damaged one can be dropped, too, in a session that has the library
is($node->safe_psql('postgres', q{CALL kpi.refresh(); BEGIN; ALTER EXTENSION pg_kpi DROP FUNCTION kpi.capture_truncate();
		DROP FUNCTION kpi.capture_truncate() CASCADE; DROP EXTENSION pg_kpi;
		SELECT (SELECT count(*) FROM pg_extension WHERE extname = 'pg_kpi'),
			   (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'kpi%'),
			   (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal);
		ROLLBACK}),
	'0|0|0', 'a damaged extension is dropped');

# a schema of that name that somebody planted makes it fail
$node->safe_psql('postgres', 'DROP EXTENSION pg_kpi; CREATE SCHEMA kpi');
my ($ret, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION pg_kpi');
like($err, qr/schema "kpi" already exists/, 'a planted schema is refused');
$node->safe_psql('postgres', 'DROP SCHEMA kpi; CREATE EXTENSION pg_kpi');
create_tables_anew('anew');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'without it all is well');

$_->quit for $writer, $reader;
$node->stop;
done_testing();

# The same company on the facts that are there, whose tables go to another
# schema.
sub create_tables_anew
{
	my ($schema) = @_;

	$node->safe_psql('postgres', "ALTER SCHEMA crm RENAME TO $schema");
	create_company($node, 'postgres');
	$node->safe_psql('postgres', qq{INSERT INTO crm.deals OVERRIDING SYSTEM VALUE SELECT * FROM $schema.deals;
		SELECT setval(pg_get_serial_sequence('crm.deals', 'id'), max(id)) FROM crm.deals});
	return;
}
