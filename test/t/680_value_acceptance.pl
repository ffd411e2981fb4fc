# All KPIs of test/crm/oracle.sql, declared once each and compared with it at every team, month and quarter: of a CRM as
# it is, after a day of corrections whose refresh dies with the server half way, and after a rep and a team have moved
# in the past.  Eleven of them at every member, and by weeks, after each of these two.
#
# A difference that is no error: where nothing is held, and where there are no facts, the oracle has no row, and
# we may have one of 0 or without a value.  Medians are within 1 %.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# With wal_level = minimal a crash may take back numbers of sequences whose first was drawn where they were created.
my $node = new_node('acceptance', 'wal_level = replica', "kpi.now = '2026-07-15 12:00:00+00'", "timezone = 'UTC'", 'restart_after_crash = on');

# The differences of teams' months and quarters, as they would be told; and that there was something to compare.
sub compare
{
	my ($what) = @_;

	$node->safe_psql('postgres', 'CALL acceptance.compute(); CALL acceptance.read()');
	for my $function (qw(difference part_difference))
	{
		is($node->safe_psql('postgres', "SELECT * FROM acceptance.$function() WHERE wrong > 0"), '', "$what: $function");
	}
	is($node->safe_psql('postgres', q{SELECT string_agg(kpi, ' ') FROM (SELECT DISTINCT kpi FROM acceptance.expected EXCEPT SELECT kpi FROM acceptance.actual) x}),
		'', "$what: every KPI of the oracle has numbers");
	return;
}

# And of members, and of weeks.
sub compare_near
{
	my ($what) = @_;

	$node->safe_psql('postgres', 'CALL acceptance.compute_near()');
	is($node->safe_psql('postgres', 'SELECT * FROM acceptance.near_difference() WHERE wrong > 0'), '', "$what: near_difference");
	is($node->safe_psql('postgres', q{SELECT count(DISTINCT kpi), count(DISTINCT (scope, grain)) FROM acceptance.actual_near}), '11|3', "$what: of eleven KPIs");
	is($node->safe_psql('postgres', 'SELECT * FROM kpi.verify()'), '', "$what: verified");
	return;
}

$node->safe_psql('postgres', 'CREATE EXTENSION pg_kpi');
run_crm($node, $_) for qw(crm.sql oracle.sql kpis.sql compare.sql);
is($node->safe_psql('postgres', q{SELECT string_agg(viewname, ' ' ORDER BY viewname) FROM pg_views WHERE schemaname = 'oracle'
		AND viewname NOT IN ('lead_journey', 'stage_visit', 'deal_journey', 'new_customer', 'breakdown') AND viewname NOT IN (SELECT name FROM kpi.kpi)}),
	'', 'every KPI of the oracle is declared');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
compare('as it is');

# The refresh waits to write the kept rows that it has read, with others written already.
$node->safe_psql('postgres', 'CREATE TABLE acceptance.before AS TABLE acceptance.actual');
$node->safe_psql('postgres', 'CALL crm.correct()');
$node->safe_psql('postgres', q{SELECT kpi.set_exchange_rate(currency, since => since, rate => rate) FROM crm.exchange_rate WHERE currency = 'USD' AND since = '2025-05-01'});
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; SELECT count(*) FROM (SELECT FROM kpi_data.stage_visits FOR UPDATE) x');
my $refresher = $node->background_psql('postgres', on_error_stop => 0);
$refresher->query_until(qr/start/, "\\echo start\nCALL kpi.refresh();\n");
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL kpi.refresh%' AND wait_event_type = 'Lock'}),
	'the refresh is half way');
$node->stop('immediate');
eval { $_->{run}->finish } for $locker, $refresher;
$node->start;
$node->safe_psql('postgres', 'CALL kpi.refresh()');
compare('corrected, after a restart');
compare_near('corrected, after a restart');
is($node->safe_psql('postgres', q{SELECT string_agg(kpi, ' ' ORDER BY kpi COLLATE "C") FROM (SELECT kpi FROM acceptance.before b FULL JOIN acceptance.actual a USING (kpi, team, period)
		WHERE kpi IN (SELECT kpi FROM acceptance.expected) GROUP BY kpi HAVING count(*) FILTER (WHERE a.value IS DISTINCT FROM b.value) = 0) x}),
	'collateral_rating collateral_uses cross_sells customer_satisfaction meeting_cancel_rate meeting_reschedule_rate meetings_booked net_promoter_score'
	  . ' products_sold_distinct tool_active_users tool_minutes upsells', 'and the corrections have moved each KPI but those of whose facts nothing was corrected');

# A rep has been elsewhere for a while, and a team with all its people, from within a month on.
$node->safe_psql('postgres', q{
	SELECT kpi.move_member('r05', team => 'us_east', since => '2025-05-12', until => '2026-02-20');
	SELECT kpi.move_team('uk', parent => 'amer', since => '2025-10-15')});
run_crm($node, 'moves.sql');
$node->safe_psql('postgres', 'CALL kpi.refresh()');
compare('moved');
compare_near('moved');

$node->stop;
done_testing();
