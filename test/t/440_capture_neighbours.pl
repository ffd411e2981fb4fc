# Other extensions in a writer's session: one that writes facts when the
# transaction commits, after pg_kpi has written what it captured, and one that
# takes as many of the backend's places for callbacks as Citus does.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('neighbours');

$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_kpi;
	CREATE FUNCTION at_pre_commit(text) RETURNS void LANGUAGE c STRICT AS 'kpi_test';
	CREATE FUNCTION take_relcache_slots(integer) RETURNS void LANGUAGE c STRICT AS 'kpi_test';
	CREATE TABLE deals (id bigserial PRIMARY KEY, owner text, amount numeric, day date DEFAULT '2026-03-04');
	SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', owner => 'owner', at => 'day');
	SELECT kpi.create_kpi('amount', source => 'deals', measure => 'sum(amount)');
	CALL kpi.refresh()});

sub amount_is
{
	my ($amount, $name) = @_;

	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	is($node->safe_psql('postgres', q{
		SELECT coalesce((SELECT value FROM kpi.team_yearly WHERE kpi = 'amount' AND team = 'company'), 0), coalesce(sum(amount), 0) FROM deals}),
		"$amount|$amount", $name);
	is($node->safe_psql('postgres', q{SELECT * FROM kpi.verify('deals')}), '', "$name: kpi.verify() finds nothing");
	return;
}

my $late = q{SELECT at_pre_commit($$INSERT INTO deals (owner, amount) SELECT 'o' || i, 10 FROM generate_series(1, 3) i$$)};

$node->safe_psql('postgres', "BEGIN; $late; INSERT INTO deals (owner, amount) VALUES ('a', 1); COMMIT");
amount_is(31, 'facts written after the flush at commit');
$node->safe_psql('postgres', "BEGIN; $late; COMMIT");
amount_is(61, 'without any before');
$node->safe_psql('postgres', "BEGIN; $late; SAVEPOINT s; INSERT INTO deals (owner, amount) VALUES ('a', 1); RELEASE s; COMMIT;
	INSERT INTO deals (owner, amount) VALUES ('b', 2); BEGIN; INSERT INTO deals (owner, amount) VALUES ('b', 4); ROLLBACK");
amount_is(94, 'the next transaction has a buffer again');
$node->safe_psql('postgres', q{BEGIN; SELECT at_pre_commit('UPDATE deals SET amount = 0 WHERE amount > 0');
	INSERT INTO deals (owner, amount) VALUES ('a', 1); COMMIT});
amount_is(0, 'changes of what was just written');

is($node->psql('postgres', q{
		SELECT take_relcache_slots(5);
		INSERT INTO deals (owner, amount) VALUES ('a', 5);
		SELECT count(*) FROM kpi.team_monthly;
		SELECT kpi.create_team('emea');
		INSERT INTO deals (owner, amount) VALUES ('a', 6);
		CALL kpi.refresh()}), 0, 'a session in which others have taken five callbacks');
amount_is(11, 'and what it wrote');

$node->stop;
done_testing();
