# Definitions come back from a dump in every way pg_dump and pg_restore have:
# in any order, and also what CREATE EXTENSION makes itself.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('restore');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_kpi');
$node->safe_psql('postgres', q{
	SELECT kpi.alter_calendar('default', time_zone => 'Europe/Berlin', fiscal_year_start => 4);
	SELECT kpi.create_calendar('gone', 'UTC');
	SELECT kpi.create_calendar('gulf', 'Asia/Dubai', week_start => 'sunday', working_days => 'sun,mon,tue,wed,thu');
	SELECT kpi.drop_calendar('gone');
	SELECT kpi.add_holiday(date '2001-01-01' + i * 37, 'day ' || i, 'gulf') FROM generate_series(1, 200) i;
	SELECT kpi.add_holiday('2026-12-25', 'Christmas');
	CREATE TABLE deals (id integer PRIMARY KEY, owner text, at timestamptz, amount numeric, product text);
	SELECT kpi.create_source('deals', relation => 'public.deals', key => 'id', owner => 'owner', at => 'at',
		dimensions => '{"product": "product"}', calendar => 'gulf');
	SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)');
	SELECT kpi.create_kpi('deals', source => 'deals', measure => 'count(*)', owner => 'product');
	SELECT kpi.create_kpi('mean', formula => 'revenue / deals');
	SELECT kpi.alter_company(currency => 'EUR'), kpi.set_exchange_rate('USD', '2026-01-01', 0.9);
	SELECT kpi.set_exchange_rate('USD', NULL, 0.8, exchange => 'plan');
	SELECT kpi.create_kpi('revenue_eur', source => 'deals', measure => 'sum(amount, currency => product)', exchange => 'plan');
	SELECT kpi.alter_team('company', name => 'ACME', calendar => 'gulf');
	SELECT kpi.create_team('emea'), kpi.create_team('dach', parent => 'emea');
	SELECT kpi.move_team('dach', parent => 'company', since => '2027-01-01');
	SELECT kpi.add_member('alice', team => 'dach'), kpi.add_member('bob', team => 'emea');
	SELECT kpi.move_member('bob', team => 'dach', since => '2026-07-01');
	SELECT kpi.add_alias('bob', alias => 'agent-1'), kpi.add_alias('alice', alias => 'agent-2', source => 'deals');
	SELECT kpi.create_goal('2026', kpi => 'revenue', team => 'dach', period => '2026', target => '1000');
	SELECT kpi.alter_goal('2026', target => '1200', reason => 'more');
	SELECT kpi.create_plan('2099'), kpi.create_goal(kpi => 'revenue', team => 'dach', period => '2099', target => '9', plan => '2099')});

# the keys of calendar_day differ, which is all right
my $contents = q{
	SELECT 'calendar', c::text FROM kpi.calendar c ORDER BY id;
	SELECT 'holidays', count(*), md5(string_agg(h::text, ';' ORDER BY id)) FROM kpi.holiday h;
	SELECT 'days', calendar_id, count(*), md5(string_agg((to_jsonb(d) - 'id')::text, ';' ORDER BY day))
	  FROM kpi.calendar_day d GROUP BY calendar_id ORDER BY calendar_id;
	SELECT s FROM kpi.source s ORDER BY id;
	SELECT d FROM kpi.dimension d ORDER BY id;
	SELECT k FROM kpi.kpi k ORDER BY id;
	SELECT t FROM kpi_internal.stream t ORDER BY id;
	SELECT m FROM kpi_internal.measure m ORDER BY id;
	SELECT f FROM kpi_internal.formula_input f ORDER BY f;
	SELECT t FROM kpi.team t ORDER BY id;
	SELECT p FROM kpi.team_parent p ORDER BY id;
	SELECT m FROM kpi.member m ORDER BY id;
	SELECT m FROM kpi.membership m ORDER BY id;
	SELECT a FROM kpi.member_alias a ORDER BY id;
	SELECT c FROM kpi.company c;
	SELECT r FROM kpi.exchange_rate r ORDER BY id;
	SELECT g FROM kpi.goal g ORDER BY id;
	SELECT p FROM kpi.plan p ORDER BY name;
	SELECT v FROM kpi.goal_version v ORDER BY goal_id, version;
	SELECT 'last id', last_value FROM kpi.calendar_id_seq UNION ALL SELECT 'last id', last_value FROM kpi.holiday_id_seq};
my $expected = $node->safe_psql('postgres', $contents);
like($expected, qr/FY|Europe/, 'the default calendar was changed');

my $archive = $node->basedir . '/archive';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $archive, 'postgres' ], 'dump');
for my $way ([ 'archive' ], [ 'one transaction', '-1' ], [ 'in parallel', '-j', '4' ])
{
	my ($name, @options) = @$way;

	check($name, 'pg_restore', '--exit-on-error', @options, '-d', 'copy', $archive);
}

my $script = $node->basedir . '/script';
for my $options ([], ['--inserts'], [ '--column-inserts', '--rows-per-insert=50' ])
{
	my $name = join(' ', 'script', @$options);

	$node->command_ok([ 'pg_dump', @$options, '-f', $script, 'postgres' ], "dump: $name");
	check($name, 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'copy', '-f', $script);
}

$node->stop;
done_testing();

# Runs the command to restore into a new database "copy".
sub check
{
	my ($name, @command) = @_;

	$node->safe_psql('postgres', 'CREATE DATABASE copy');
	$node->command_ok(\@command, "restore: $name");
	is($node->safe_psql('copy', $contents), $expected, "the same: $name");
	$node->safe_psql('postgres', 'DROP DATABASE copy');
}
