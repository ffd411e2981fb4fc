# Caches in a backend's memory give their answers also when whatever they look
# up has them invalidated; only servers built with assertions can be told so.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('caches');

if ($node->psql('postgres', 'SET debug_discard_caches = 1') != 0)
{
	plan skip_all => 'debug_discard_caches needs a server built with assertions';
}

create_company($node, 'postgres', kpis => [ 'spend', 'won', 'per_won' ]);

# One function for each of the three: calendars, teams, KPIs.
my %answer = (
	q{kpi.period_start('2026-10-07', 'quarter')} => '2026-10-01',
	q{kpi_internal.team_path((SELECT id FROM kpi.team WHERE key = 'uk'))} => undef,
	q{kpi_internal.kpi_calendar((SELECT id FROM kpi.kpi WHERE name = 'per_won'))} => '1');

for my $call (sort keys %answer)
{
	my $expected = $answer{$call} // $node->safe_psql('postgres', "SELECT $call");
	my $answer = $node->safe_psql(
		'postgres',
		"SET debug_discard_caches = 1; SELECT $call",
		timeout => $PostgreSQL::Test::Utils::timeout_default);

	is($answer, $expected, "$call while caches are discarded");
}

done_testing();
