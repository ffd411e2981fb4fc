# Two-phase commit: prepared facts wait, across restarts and crashes, until
# they are committed, and count then.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('twophase', 'max_prepared_transactions = 10');
my $insert = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT 'alice', 'dave', 'won', i, 1, 'p', '2026-03-01', '2026-03-05' FROM generate_series(1, 50) i};

create_company($node, 'postgres', sql => "$insert;");
$node->safe_psql('postgres', 'CALL kpi.refresh()');

$node->safe_psql('postgres', "BEGIN; $insert; PREPARE TRANSACTION 'kept'");
$node->safe_psql('postgres', "BEGIN; DELETE FROM crm.deals WHERE id <= 10; PREPARE TRANSACTION 'dropped'");
$node->safe_psql('postgres', "BEGIN; SAVEPOINT a; $insert; ROLLBACK TO a;
	INSERT INTO crm.costs (team, day, cost) VALUES ('uk', '2026-03-07', 12.5); RELEASE a; PREPARE TRANSACTION 'costs'");
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'prepared, not committed');

$node->restart;
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'after a restart');

$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '3', 'all three are still prepared');
$node->safe_psql('postgres', q{COMMIT PREPARED 'kept'});
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'dropped'});
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'committed after a crash');
is($node->safe_psql('postgres', q{SELECT value FROM kpi.team_yearly WHERE kpi = 'won' AND team = 'company'}),
	'100', 'the committed deals count, the others do not');

$node->safe_psql('postgres', q{COMMIT PREPARED 'costs'});
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is_exact($node, 'postgres', 'crash after the second phase');
is($node->safe_psql('postgres', q{SELECT value FROM kpi.team_yearly WHERE kpi = 'spend' AND team = 'emea'}),
	'12.5', 'the costs are there');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kpi_internal.delta'), '0', 'nothing is left in the queue');

# ---- when rows were loaded ----

my $loaded = q{SELECT loaded_at AT TIME ZONE 'UTC' FROM kpi.freshness WHERE source = 'deals'};
$node->safe_psql('postgres', q{ALTER TABLE crm.deals ADD loaded timestamptz; SELECT kpi.alter_source('deals', loaded_at => 'loaded')});
$node->safe_psql('postgres', q{BEGIN; UPDATE crm.deals SET loaded = '2026-03-08 01:00+00' WHERE id = 20; PREPARE TRANSACTION 'loaded'});
$node->safe_psql('postgres', q{BEGIN; UPDATE crm.deals SET loaded = '2026-03-08 02:00+00' WHERE id = 21; PREPARE TRANSACTION 'dropped'});
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is($node->safe_psql('postgres', $loaded), '', 'loaded: prepared, not committed');
$node->safe_psql('postgres', q{COMMIT PREPARED 'loaded'});
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'dropped'});
$node->safe_psql('postgres', 'CALL kpi.refresh()');
is($node->safe_psql('postgres', $loaded), '2026-03-08 01:00:00', 'loaded: committed after a crash');

$node->stop;
done_testing();
