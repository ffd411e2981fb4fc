# The KPIs of test/crm/oracle.sql explained, after corrections and a dozen moves of members: what kpi.query() returns is
# run by a role that has rights on the facts and none on anything of pg_kpi, and gives the number of kpi.value(), of the
# views to date, and of the oracle; and the rows that kpi.facts() returns make the number of kpi.value(), of days to years.
#
# Places are chosen at random: KPI_SEED repeats a run.
use strict;
use warnings FATAL => 'all';

use FindBin;
use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{KPI_SEED} || time;
my $node = new_node('explain_crm', "kpi.now = '2026-05-20 12:00:00+00'");

$node->safe_psql('postgres', 'CREATE EXTENSION pg_kpi');
run_crm($node, $_) for qw(crm.sql oracle.sql kpis.sql compare.sql people.sql explain.sql);
$node->safe_psql('postgres', 'CALL kpi.refresh()');
$node->safe_psql('postgres', qq{SET client_min_messages = warning; CALL crm.correct();
	SELECT kpi.set_exchange_rate(currency, since => since, rate => rate) FROM crm.exchange_rate WHERE currency = 'USD' AND since = '2025-05-01';
	CALL acceptance.move_people('$seed', 12);
	CALL acceptance.credit_people(); CALL acceptance.choose('$seed'); CALL kpi.refresh(); CALL acceptance.compute()});

$node->safe_psql('postgres', 'CALL acceptance.ask()');
is($node->safe_psql('postgres', 'SELECT * FROM acceptance.answer_difference()'), '', 'queries give the numbers');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT (team, member)), count(DISTINCT (grain, is_open)), count(*) = 16 * (SELECT count(*) FROM acceptance.definition) - 12,
		count(*) FILTER (WHERE value <> 0) > 0.7 * count(*) FROM acceptance.answered}), '4|4|t|t', 'of all KPIs, and most are not 0');
is($node->psql('postgres', q{SELECT acceptance.answer('SELECT kpi.value(''revenue'', period => ''2026'')')}), 3, 'who runs them may not call what is ours');

$node->safe_psql('postgres', qq{CALL acceptance.choose_facts('$seed', 1); CALL acceptance.list_facts()});
is($node->safe_psql('postgres', 'SELECT * FROM acceptance.fact_difference()'), '', 'facts make the numbers');
is($node->safe_psql('postgres', 'SELECT * FROM acceptance.misplaced LIMIT 20'), '', 'each of them once, for whom it counts');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT l.kpi) = (SELECT count(*) FROM acceptance.definition), count(DISTINCT l.grain), count(DISTINCT (l.team IS NULL, l.member IS NULL)),
		count(DISTINCT l.id) > 0.6 * (SELECT count(*) FROM acceptance.looked_at) FROM acceptance.looked_at l JOIN acceptance.found f USING (id)}), 't|5|3|t', 'of all KPIs, grains and scopes, and most have some');

diag "KPI_SEED=$seed repeats it." if !Test::More->builder->is_passing;
$node->stop;
done_testing();
