# kpi.goal_progress is published like any table: a subscriber that has the
# columns, and not the extension, has the rows.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->append_conf('postgresql.conf', "timezone = 'UTC'\n");
$publisher->start;
$publisher->safe_psql('postgres', q{ALTER DATABASE postgres SET kpi.now = '2026-02-10 12:00+00'});
create_company($publisher, 'postgres', sql => q{INSERT INTO crm.deals (owner_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT (ARRAY['alice', 'bob', 'carol', 'dave'])[i % 4 + 1], 'won', i, 1, 'p' || i % 2, '2026-01-01', '2026-01-01'::timestamptz + i * interval '12 hours'
	FROM generate_series(1, 200) i;});
my $create = q{SELECT kpi.create_goal('emea', kpi => 'revenue', team => 'emea', period => '2026-Q1', target => 20000),
	kpi.create_goal(kpi => 'win_rate', member => 'alice', period => '2026-02', target => 0.5),
	kpi.create_goal(kpi => 'mean', team => 'apac', period => '2026', target => 100)};
$publisher->safe_psql('postgres', "CALL kpi.refresh(); $create");

# The table as the publisher has it, which is all that a subscriber needs.
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->append_conf('postgresql.conf', "timezone = 'UTC'\n");
$subscriber->start;
$subscriber->safe_psql('postgres', 'CREATE SCHEMA kpi; CREATE TABLE kpi.goal_progress (' . $publisher->safe_psql('postgres',
	q{SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) FROM pg_attribute
	WHERE attrelid = 'kpi.goal_progress'::regclass AND attnum > 0}) . ', PRIMARY KEY (id))');
$publisher->safe_psql('postgres', 'CREATE PUBLICATION progress FOR TABLE kpi.goal_progress');
is($publisher->safe_psql('postgres', q{SELECT count(*) FROM kpi.health() WHERE problem = 'publication'}), '0', 'nothing is wrong with the publication');
$subscriber->safe_psql('postgres', 'CREATE SUBSCRIPTION progress CONNECTION $$' . $publisher->connstr('postgres') . '$$ PUBLICATION progress');
$subscriber->wait_for_subscription_sync($publisher, 'progress');

# After some statements the subscriber has what the publisher has, and the
# rows of so many goals are others than before.
my %row;
sub follows
{
	my ($name, $changed, $statements) = @_;

	$publisher->safe_psql('postgres', $statements);
	is($publisher->safe_psql('postgres', goal_difference_sql()), '', "$name: the rows are those of plain SQL");
	$publisher->wait_for_catchup('progress');
	my $rows = $subscriber->safe_psql('postgres', 'SELECT * FROM kpi.goal_progress ORDER BY id');
	is($rows, $publisher->safe_psql('postgres', 'SELECT * FROM kpi.goal_progress ORDER BY id'), "$name: the subscriber has them");
	my %before = %row;
	%row = map { /^(\d+)\|(.*)/ ? ($1 => $2) : die "no row: $_" } split /\n/, $rows;
	my %goal = (%before, %row);
	is(scalar(grep { ($before{$_} // '') ne ($row{$_} // '') } keys %goal), $changed, "$name: as many as have changed");
	return;
}

follows('the rows that are there', 3, 'SELECT 1');
follows('facts', 2, q{UPDATE crm.deals SET amount = amount + 1 WHERE owner_id = 'dave' OR owner_id = 'bob'; CALL kpi.refresh()});
follows('no change', 0, 'CALL kpi.refresh()');
follows('a team that is renamed', 2, q{SELECT kpi.alter_team('emea', name => 'Europe')});
follows('a goal that is altered', 1, q{SELECT kpi.alter_goal('emea', target => 10)});
follows('a goal that is new', 1, q{SELECT kpi.create_goal('new', kpi => 'revenue', period => '2026', target => 20000)});
follows('a day that begins', 4, q{SET kpi.now = '2026-02-11 12:00+00'; ALTER DATABASE postgres SET kpi.now = '2026-02-11 12:00+00'; CALL kpi.refresh()});
follows('a goal that is dropped', 1, q{SELECT kpi.drop_goal('new')});
follows('a refresh that is rolled back', 0, 'BEGIN; DELETE FROM crm.deals; CALL kpi.refresh(); ROLLBACK');
follows('everything anew', 3, q{TRUNCATE crm.deals; CALL kpi.refresh()});
is($subscriber->safe_psql('postgres', 'SELECT goal, actual, status FROM kpi.goal_progress ORDER BY goal_id'),
	"emea||no_data\nwin_rate alice 2026-02||no_data\nmean apac 2026||no_data", 'what a reader sees there');

$subscriber->stop;
$publisher->stop;
done_testing();
