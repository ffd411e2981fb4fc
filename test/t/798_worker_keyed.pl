# Keyed sources while nobody calls kpi.refresh(): writers that do not see each
# other change the links of a chain as fast as they can, the worker reads the
# entities that these touch, the builder all where that is asked for.  When the
# writers rest, the kept rows are those of the query, run by itself, and those
# of a source over the kept rows, too.  A source that nobody follows is read by its
# interval.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{KPI_SECONDS} || 8;
my $node = new_server('worker_keyed');
my $rows = q{SELECT c.account_id, c.owner, c.day, coalesce(sum(e.n), 0) AS n, count(DISTINCT d.deal_id) AS deals
	FROM wk.account c LEFT JOIN wk.deal d ON d.account_id = c.account_id LEFT JOIN wk.event e ON e.deal_id = d.deal_id
	GROUP BY c.account_id, c.owner, c.day};
my $owners = 'SELECT owner, max(day) AS day, sum(n) AS n FROM %s WHERE owner IS NOT NULL GROUP BY owner';

$node->safe_psql('postgres', qq{
	CREATE EXTENSION pg_kpi;
	CREATE SCHEMA wk;
	CREATE TABLE wk.account (account_id integer PRIMARY KEY, owner text, day date);
	CREATE TABLE wk.deal (deal_id integer PRIMARY KEY, account_id integer);
	CREATE TABLE wk.event (id bigserial PRIMARY KEY, deal_id integer, n integer);
	CREATE INDEX ON wk.deal (account_id);
	CREATE INDEX ON wk.event (deal_id);
	INSERT INTO wk.account SELECT i, 'o' || i % 7, date '2026-01-01' + i % 90 FROM generate_series(1, 300) i;
	INSERT INTO wk.deal SELECT i, 1 + i % 300 FROM generate_series(1, 900) i;
	INSERT INTO wk.event (deal_id, n) SELECT 1 + i % 900, i FROM generate_series(1, 3000) i;
	SELECT kpi.create_source('accounts', key => 'account_id', owner => 'owner', at => 'day', query => \$q\$$rows\$q\$,
		follow => '{"wk.account": "account_id", "wk.deal": "account_id", "wk.event": "SELECT account_id FROM wk.deal WHERE deal_id = changed.deal_id"}');
	SELECT kpi.create_kpi('n', source => 'accounts', measure => 'sum(n)');
	SELECT kpi.create_source('owners', key => 'owner', owner => 'owner', at => 'day', query => \$q\$@{[ sprintf $owners, 'kpi_data.accounts' ]}\$q\$,
		follow => '{"kpi_data.accounts": "owner"}');
	SELECT kpi.create_kpi('m', source => 'owners', measure => 'sum(n)');});

# Waits until all is as plain SQL says.
sub becomes_right
{
	my ($what) = @_;
	my $by_owner = sprintf $owners, "($rows) r";

	wait_for($node, 'postgres', "SELECT count(*) = 0 FROM (
			(($rows) EXCEPT ALL TABLE kpi_data.accounts) UNION ALL (TABLE kpi_data.accounts EXCEPT ALL ($rows))) x", "$what: the kept rows");
	wait_for($node, 'postgres', "SELECT count(*) = 0 FROM (
			(($by_owner) EXCEPT ALL TABLE kpi_data.owners) UNION ALL (TABLE kpi_data.owners EXCEPT ALL ($by_owner))) x", "$what: those over them");
	wait_for($node, 'postgres', 'SELECT count(*) = 0 FROM kpi_internal.delta', "$what: nothing waits");
	is($node->safe_psql('postgres', q{SELECT kpi, period_start, value FROM kpi.team_yearly WHERE team = 'company' ORDER BY 1, 2}),
		$node->safe_psql('postgres', "SELECT k, date_trunc('year', day)::date, sum(n) FROM (SELECT 'm', day, n FROM ($by_owner) o UNION ALL SELECT 'n', day, n FROM ($rows) r) x (k, day, n)
			GROUP BY 1, 2 ORDER BY 1, 2"), "$what: the numbers");
	is($node->safe_psql('postgres', 'SELECT * FROM kpi.verify()'), '', "$what: verified");
}

becomes_right('built');
$node->safe_psql('postgres', 'UPDATE wk.event SET n = n + 1, deal_id = deal_id % 900 + 1 WHERE id % 100 = 0');
becomes_right('some changed');

# rows in the order of their numbers, so that no writer waits for another for ever
my $file = $node->basedir . '/keyed.sql';
append_to_file($file, q{
\set a random(1, 300)
\set d random(1, 900)
\set e random(1, 3000)
\set what random(1, 7)
BEGIN;
\if :what = 1
UPDATE wk.account SET owner = nullif('o' || (:d % 8), 'o7'), day = day + 1 - 2 * (:e % 2) WHERE account_id = :a;
UPDATE wk.deal SET account_id = :a WHERE deal_id = :d;
\elif :what = 2
UPDATE wk.deal SET account_id = 1 + (account_id + :a) % 300 WHERE deal_id = :d;
SAVEPOINT s;
UPDATE wk.event SET n = n + 1 WHERE id = :e;
ROLLBACK TO s;
\elif :what = 3
INSERT INTO wk.event (deal_id, n) VALUES (:d, :a), (:d % 900 + 1, NULL);
\elif :what = 4
DELETE FROM wk.event WHERE id = :e + 1000;
\elif :what = 5
DELETE FROM wk.account WHERE account_id = :a;
INSERT INTO wk.event (deal_id, n) SELECT deal_id, 3 FROM wk.deal WHERE account_id = :a;
\elif :what = 6
INSERT INTO wk.account VALUES (:a, 'o1', '2026-01-05') ON CONFLICT (account_id) DO UPDATE SET owner = 'o2';
\else
UPDATE wk.event SET deal_id = :d WHERE id = :e;
\endif
END;
});

my @writers = map {
	IPC::Run::start([ 'pgbench', '-h', $node->host, '-p', $node->port, '-n', '-c', 3, '-T', $seconds, '--max-tries=5', '-f', $file, 'postgres' ], '>', \my $out, '2>&1')
} 1;
# what the builder is for, under the writers
for my $statement ('TRUNCATE wk.event', 'CREATE TABLE wk.new_deal (LIKE wk.deal INCLUDING ALL)',
	'BEGIN; LOCK TABLE wk.deal; INSERT INTO wk.new_deal SELECT * FROM wk.deal; ALTER TABLE wk.deal RENAME TO old_deal; ALTER TABLE wk.new_deal RENAME TO deal; COMMIT',
	'VACUUM FULL wk.account')
{
	$node->safe_psql('postgres', $statement);
	wait_for($node, 'postgres', q{SELECT pg_sleep(0.1) IS NOT NULL AND refreshed_at > now() - interval '10 seconds' FROM kpi.source_status WHERE source = 'accounts'}, 'it goes on');
}
ok($_->finish, 'writers wrote') for @writers;
cmp_ok($node->safe_psql('postgres', q{SELECT pg_stat_get_tuples_inserted('wk.event'::regclass)}), '>', 3000, 'much');
becomes_right('the writers rest');

# What nobody follows is read by its interval, and not in between; a reading that
# fails is tried again less and less often, and leaves what there is.
$node->safe_psql('postgres', q{
	CREATE TABLE wk.rate (id integer PRIMARY KEY, owner text, day date, parts integer);
	INSERT INTO wk.rate SELECT i, 'o1', '2026-01-01', 1 FROM generate_series(1, 50) i;
	CREATE FUNCTION wk.share(parts integer) RETURNS integer LANGUAGE sql STABLE AS 'SELECT 10 / parts';
	SELECT kpi.create_source('rates', key => 'id', owner => 'owner', at => 'day', query => 'SELECT id, owner, day, wk.share(parts) AS share FROM wk.rate');
	SELECT kpi.create_kpi('shares', source => 'rates', measure => 'sum(share)');
	SELECT kpi.set_refresh('rates', every => '2 seconds');});

my $shares = q{SELECT value FROM kpi.team_yearly WHERE kpi = 'shares' AND team = 'company'};

wait_for($node, 'postgres', "SELECT 500 = ($shares)", 'read by itself');
$node->safe_psql('postgres', 'UPDATE wk.rate SET parts = 2 WHERE id <= 25');
wait_for($node, 'postgres', "SELECT 375 = ($shares)", 'read again');
my %seen;
my $began = time;
for (1 .. 60)
{
	$seen{ $node->safe_psql('postgres', q{SELECT read_at FROM kpi.source_status WHERE source = 'rates'}) } = 1;
	select undef, undef, undef, 0.1;
}
cmp_ok(keys %seen, '<=', 2 + (time - $began) / 2, 'no more often than that');
cmp_ok(keys %seen, '>=', 2, 'and so often');
$node->safe_psql('postgres', 'UPDATE wk.rate SET parts = 0 WHERE id = 1');
wait_for($node, 'postgres', q{SELECT failures >= 3 AND last_error LIKE '%division by zero%' AND next_try > now() + interval '1 second'
	FROM kpi.source_status WHERE source = 'rates'}, 'a reading that fails is tried again, later');
is($node->safe_psql('postgres', $shares), 375, 'and keeps the numbers');
$node->safe_psql('postgres', 'UPDATE wk.rate SET parts = 5 WHERE id = 1');
wait_for($node, 'postgres', "SELECT 372 = ($shares)", 'until it works');
is($node->safe_psql('postgres', q{SELECT failures FROM kpi.source_status WHERE source = 'rates'}), 0, 'and nothing is left of it');

$node->stop;
done_testing();
