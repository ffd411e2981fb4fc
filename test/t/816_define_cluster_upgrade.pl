# After pg_upgrade, and after VACUUM FULL of the catalog of triggers, nothing is read again
# that has not changed; what had waited is worked off.  The old server is that of
# KPI_OLD_PREFIX, or like the new one.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $prefix = $ENV{KPI_OLD_PREFIX};
my $old = PostgreSQL::Test::Cluster->new('old', $prefix ? (install_path => $prefix) : ());
my $new = PostgreSQL::Test::Cluster->new('new');
# The default is another in 18, and pg_upgrade wants them alike.
my %init = (extra => ['--data-checksums']);
my $write = q{INSERT INTO crm.deals (owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT (ARRAY['alice','bob','carol'])[i % 3 + 1], 'bob', (ARRAY['won','lost','open'])[i % 3 + 1], i / 8.0, i % 7, 'p' || i % 4,
		   '2026-01-01'::timestamptz + i * interval '7 hours', '2026-02-01'::timestamptz + i * interval '9 hours'
	FROM generate_series(1, 200) i};
my $unread = "$write; UPDATE crm.deals SET amount = amount + 1 WHERE owner_id = 'bob'; UPDATE kr.lead SET weight = weight + 1; DELETE FROM kr.part WHERE lead_id = 3";

# How often facts were read.
sub read_again
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{SELECT coalesce(sum(runs), 0) FROM kpi.refresh_log WHERE kind IN ('build', 'reattach', 'repair')});
}

sub goes_on
{
	my ($node, $name) = @_;
	my $before = read_again($node);

	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	is(read_again($node), $before, "$name: nothing is read again");
	is($node->safe_psql('postgres', q{SELECT string_agg(source || ' ' || status, ', ') FROM kpi.source_status WHERE status <> 'active'}), '', "$name: all active");
	is($node->safe_psql('postgres', q{SELECT sum(pending_deltas) FROM kpi.source_status}), '0', "$name: nothing waits");
	is(join("\n", grep { !/\|(leads|halves)\|/ } split /\n/, $node->safe_psql('postgres', difference_sql())), '', "$name: exact");
	is($node->safe_psql('postgres', q{SELECT kpi, value FROM kpi.team_yearly WHERE kpi IN ('leads', 'halves') AND team = 'company' ORDER BY kpi}),
		$node->safe_psql('postgres', q{SELECT 'halves', sum(weight / 2) FROM kr.part WHERE weight / 2 > 1 UNION ALL SELECT 'leads', count(*) FROM kr.lead}), "$name: the others, too");
	is($node->safe_psql('postgres', q{SELECT * FROM kpi.verify()}), '', "$name: verify");
	return;
}

$old->init(%init);
$old->append_conf('postgresql.conf', "timezone = 'UTC'");
$old->start;
create_company($old, 'postgres', sql => "$write;");
$old->safe_psql('postgres', q{
	CREATE SCHEMA kr;
	CREATE COLLATION kr.bytes FROM "C";
	CREATE DOMAIN kr.positive AS integer CHECK (VALUE >= 0);
	CREATE TYPE kr.mood AS ENUM ('cold', 'warm');
	CREATE FUNCTION kr.half(n integer, by integer DEFAULT 2) RETURNS integer IMMUTABLE RETURN n / by;
	CREATE FUNCTION kr.text_of(n integer) RETURNS text IMMUTABLE LANGUAGE plpgsql SET extra_float_digits = 0 AS $$BEGIN RETURN kr.half(n)::text; END$$;
	CREATE TABLE kr.lead (lead_id integer, owner text, at timestamptz, weight integer, mood kr.mood, name text COLLATE kr.bytes);
	CREATE TABLE kr.part (lead_id integer, owner text, at date, weight integer) PARTITION BY RANGE (at);
	CREATE TABLE kr.part_1 PARTITION OF kr.part FOR VALUES FROM (MINVALUE) TO ('2026-02-01');
	CREATE TABLE kr.part_2 PARTITION OF kr.part FOR VALUES FROM ('2026-02-01') TO (MAXVALUE);
	INSERT INTO kr.lead SELECT i, 'bob', '2026-02-01'::timestamptz + i * interval '1 day', i, 'warm', 'n' || i FROM generate_series(1, 40) i;
	INSERT INTO kr.part SELECT i, 'bob', date '2026-01-20' + i, i FROM generate_series(1, 40) i;
	SELECT kpi.create_source('leads', key => 'lead_id', entity => 'lead_id', owner => 'owner', at => 'at', follow => '{"kr.lead": "lead_id"}',
		query => 'SELECT lead_id, owner, at, kr.half(weight) AS weight, mood::text AS mood, name FROM kr.lead');
	SELECT kpi.create_kpi('leads', source => 'leads', measure => 'count(*)', filter => $$mood = 'warm'$$);
	SELECT kpi.create_source('parts', relation => 'kr.part', owner => 'owner', at => 'at', dimensions => '{"half": "kr.text_of(weight)"}');
	SELECT kpi.create_kpi('halves', source => 'parts', measure => 'sum(kr.half(weight)::kr.positive)', filter => $$kr.half(weight) > 1$$);
	CALL kpi.refresh();});
$old->safe_psql('postgres', $unread);
goes_on($old, 'before');
$old->safe_psql('postgres', "VACUUM FULL $_") for qw(pg_trigger pg_proc pg_constraint pg_attrdef);
$old->safe_psql('postgres', $unread);
goes_on($old, 'VACUUM FULL');

$old->safe_psql('postgres', $unread);
isnt($old->safe_psql('postgres', q{SELECT sum(pending_deltas) FROM kpi.source_status}), '0', 'something waits');
$old->stop;
$new->init(%init);
$new->append_conf('postgresql.conf', "timezone = 'UTC'");
chdir $new->basedir;
my ($old_bin, $bin) = map { $_->config_data('--bindir') } $old, $new;
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old_bin, '-B', $bin, '-s', $new->host,
	'-p', $old->port, '-P', $new->port ], 'pg_upgrade');
$new->start;
SKIP:
{
	skip 'from another major: KPI_OLD_CONFIG names none', 1 if !$prefix;
	isnt($new->pg_version->major, $old->pg_version->major, 'from ' . $old->pg_version->major . ' to ' . $new->pg_version->major);
}
isnt($new->safe_psql('postgres', q{SELECT sum(pending_deltas) FROM kpi.source_status}), '0', 'it waits still');
goes_on($new, 'pg_upgrade');
$new->safe_psql('postgres', $unread);
goes_on($new, 'afterwards');

# What has changed is noticed there as before.
my $trigger = 'kpi_capture_' . $new->safe_psql('postgres', q{SELECT id FROM kpi.source WHERE name = 'deals'});
$new->safe_psql('postgres', "BEGIN; ALTER TABLE crm.deals DISABLE TRIGGER $trigger; UPDATE crm.deals SET amount = amount + 3; ALTER TABLE crm.deals ENABLE ALWAYS TRIGGER $trigger; COMMIT");
my $read = read_again($new);
$new->safe_psql('postgres', 'CALL kpi.refresh()');
isnt(read_again($new), $read, 'a trigger that was off for a while: facts are read');
is($new->safe_psql('postgres', q{SELECT sum(value) = (SELECT sum(amount) FROM crm.deals WHERE stage = 'won') FROM kpi.team_yearly WHERE kpi = 'revenue' AND team = 'company'}), 't', 'and exact');
$new->safe_psql('postgres', 'CREATE OR REPLACE FUNCTION kr.half(n integer, by integer DEFAULT 2) RETURNS integer IMMUTABLE RETURN n / by + 1');
$new->safe_psql('postgres', 'CALL kpi.refresh()');
is($new->safe_psql('postgres', q{SELECT value = (SELECT sum(weight / 2 + 1) FROM kr.part WHERE weight / 2 + 1 > 1) FROM kpi.team_yearly WHERE kpi = 'halves' AND team = 'company'}), 't',
	'another body of a function');
$new->stop;
done_testing();
