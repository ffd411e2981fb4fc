# Three nights of dbt over the models that sources are made of: its statements as
# the macros of dbt-postgres issue them.  Nobody calls anything: the worker keeps
# the numbers, and they are what SQL of our own says of the models.
use strict;
use warnings FATAL => 'all';

use KpiWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('dbt', autovacuum => 'on');
my $schema = '"postgres"."analytics"';

sub set_now
{
	my ($now) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET kpi.now = '$now'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('kpi.now') = '$now'") or die "kpi.now is not $now";
	return;
}

sub as_dbt
{
	my (@statements) = @_;

	return $node->safe_psql('postgres', join("\n", map { "$_;" } @statements),
		extra_params => [ '-U', 'dbt' ]);
}

# ---- the materializations ----

my $run = 0;

# dbt's own name of a temporary relation ends in the time of day.
sub tmp_name
{
	my ($model) = @_;

	return sprintf '%s__dbt_tmp%012d', $model, 30_000_000_000 + $run++;
}

# materializations/models/table.sql, and an incremental model's full refresh.
# $inside: what dbt does before it commits, like grants and indexes.
sub table
{
	my ($model, $select, %option) = @_;

	as_dbt(
		qq{drop table if exists $schema."${model}__dbt_tmp" cascade},
		qq{drop table if exists $schema."${model}__dbt_backup" cascade},
		'BEGIN',
		qq{/* {"app": "dbt", "node_id": "model.shop.$model"} */ create  table $schema."${model}__dbt_tmp"\n as\n (\n$select\n )},
		$option{index} ? qq{create index if not exists "idx_${\ $run++ }" on $schema."${model}__dbt_tmp" ($option{index})} : (),
		$option{is_new} ? () : qq{alter table $schema."$model" rename to "${model}__dbt_backup"},
		qq{alter table $schema."${model}__dbt_tmp" rename to "$model"},
		qq{grant select on $schema."$model" to bi},
		'COMMIT',
		qq{drop table if exists $schema."${model}__dbt_backup" cascade});
	return;
}

# A run of an incremental model, or of a snapshot: what is new goes to a temporary
# table, and from there as @merge says of it.
sub increment
{
	my ($model, $select, $added, @merge) = @_;
	my $tmp = tmp_name($model);

	s/__TMP__/"$tmp"/g, s/__TARGET__/$schema."$model"/g for @merge;
	as_dbt('BEGIN', qq{create temporary table "$tmp"\n as\n (\n$select\n )},
		# on_schema_change: append_new_columns
		(map { qq{alter table $schema."$model" add column $_} } @$added),
		@merge, 'COMMIT', qq{drop table if exists "$tmp" cascade});
	return;
}

sub delete_insert
{
	my ($model, $columns, $select, @added) = @_;

	increment($model, $select, \@added,
		q{delete from __TARGET__ as DBT_INTERNAL_DEST where (id) in (select distinct id from __TMP__ as DBT_INTERNAL_SOURCE)},
		qq{insert into __TARGET__ ($columns) (select $columns from __TMP__)});
	return;
}

sub merge
{
	my ($model, $columns, $select) = @_;
	my @columns = split /, /, $columns;
	my $set = join ', ', map { "$_ = DBT_INTERNAL_SOURCE.$_" } @columns;
	my $values = join ', ', map { "DBT_INTERNAL_SOURCE.$_" } @columns;

	increment($model, $select, [],
		qq{merge into __TARGET__ as DBT_INTERNAL_DEST using __TMP__ as DBT_INTERNAL_SOURCE}
			. q{ on (DBT_INTERNAL_SOURCE.id = DBT_INTERNAL_DEST.id)}
			. qq{ when matched then update set $set when not matched then insert ($columns) values ($values)});
	return;
}

# What a snapshot adds to its rows: strategy timestamp, by updated_at.
my $snapshot_columns = q{md5(coalesce(cast(id as varchar ), '') || '|' || coalesce(cast(updated_at as varchar ), '')) as dbt_scd_id,
	updated_at as dbt_updated_at, updated_at as dbt_valid_from, nullif(updated_at, updated_at) as dbt_valid_to};

sub snapshot_new
{
	my ($model, $select) = @_;

	as_dbt('BEGIN', qq{create  table $schema."$model" as ( select *, $snapshot_columns from ( $select ) sbq )}, 'COMMIT');
	return;
}

sub snapshot
{
	my ($model, $columns, $select) = @_;
	my $all = "$columns, dbt_updated_at, dbt_valid_from, dbt_valid_to, dbt_scd_id";

	increment($model,
		qq{with snapshot_query as ( $select ),
		snapshotted_data as ( select *, id as dbt_unique_key from $schema."$model" where dbt_valid_to is null ),
		insertions_source_data as ( select *, id as dbt_unique_key, $snapshot_columns from snapshot_query ),
		updates_source_data as ( select *, id as dbt_unique_key, updated_at as dbt_updated_at, updated_at as dbt_valid_from,
			updated_at as dbt_valid_to from snapshot_query ),
		insertions as ( select 'insert' as dbt_change_type, source_data.* from insertions_source_data as source_data
			left outer join snapshotted_data on snapshotted_data.dbt_unique_key = source_data.dbt_unique_key
			where snapshotted_data.dbt_unique_key is null
			or ( snapshotted_data.dbt_unique_key is not null and ( (snapshotted_data.dbt_valid_from < source_data.updated_at) ) ) ),
		updates as ( select 'update' as dbt_change_type, source_data.*, snapshotted_data.dbt_scd_id from updates_source_data as source_data
			join snapshotted_data on snapshotted_data.dbt_unique_key = source_data.dbt_unique_key
			where ( (snapshotted_data.dbt_valid_from < source_data.updated_at) ) )
		select dbt_change_type, $all from insertions union all select dbt_change_type, $all from updates},
		[],
		q{update __TARGET__ set dbt_valid_to = DBT_INTERNAL_SOURCE.dbt_valid_to from __TMP__ as DBT_INTERNAL_SOURCE}
			. q{ where DBT_INTERNAL_SOURCE.dbt_scd_id::text = __TARGET__.dbt_scd_id::text}
			. q{ and DBT_INTERNAL_SOURCE.dbt_change_type::text in ('update'::text, 'delete'::text) and __TARGET__.dbt_valid_to is null},
		qq{insert into __TARGET__ ($all) select $all from __TMP__ as DBT_INTERNAL_SOURCE}
			. q{ where DBT_INTERNAL_SOURCE.dbt_change_type::text = 'insert'::text});
	return;
}

# A seed: made or, with --full-refresh, made again; else emptied. Rows come in batches.
sub seed
{
	my ($model, $how, @rows) = @_;
	my $create = qq{create table $schema."$model" ("team" text, "month" date, "amount" integer)};
	my @begin = $how eq 'truncate' ? qq{truncate table $schema."$model"} :
		$how eq 'again' ? (qq{drop table if exists $schema."$model" cascade}, $create) : $create;
	my @batches;

	while (my @batch = splice @rows, 0, 2)
	{
		push @batches, qq{insert into $schema."$model" ("team", "month", "amount") values } . join ',', map { "($_)" } @batch;
	}
	as_dbt('BEGIN', @begin, @batches, 'COMMIT');
	return;
}

# ---- the shop ----

my %model = (
	fct_deals => q{select id, owner, stage, amount, closed_at, _extracted_at from raw.deals},
	fct_calls => q{select id, owner, day, seconds, _extracted_at from raw.calls},
	fct_visits => q{select id, owner, day, pages, _extracted_at from raw.visits});
my $since = q{where _extracted_at > (select max(_extracted_at) from analytics.};
my $customers = q{select id, owner, plan, mrr, updated_at from raw.customers};

# What an extractor brings in the night of a day: what happened on it, some of it twice, some of it late.
sub extract
{
	my ($night, $factor) = @_;

	set_now("$night 03:00+00");
	$node->safe_psql('postgres', qq{
		INSERT INTO raw.deals SELECT coalesce((SELECT max(id) FROM raw.deals), 0) + i, 'rep' || i % 4, CASE WHEN i % 3 = 0 THEN 'won' ELSE 'lost' END,
			$factor * i, date '$night' - i % 5, '$night 02:00Z' FROM generate_series(1, 60) i;
		UPDATE raw.deals SET stage = 'won', _extracted_at = '$night 02:00Z' WHERE id % 10 = 7;
		DELETE FROM raw.deals WHERE id % 23 = 5;
		INSERT INTO raw.calls SELECT coalesce((SELECT max(id) FROM raw.calls), 0) + i, 'rep' || i % 4, date '$night' - i % 3, 10 * $factor + i,
			'$night 02:10Z' FROM generate_series(1, 40) i;
		UPDATE raw.calls SET seconds = seconds + 1, _extracted_at = '$night 02:10Z' WHERE id % 9 = 4;
		INSERT INTO raw.visits SELECT coalesce((SELECT max(id) FROM raw.visits), 0) + i, 'rep' || i % 4, date '$night' - i % 3, i,
			'$night 02:20Z' FROM generate_series(1, 40) i;
		UPDATE raw.visits SET pages = pages + 2, owner = 'rep1', _extracted_at = '$night 02:20Z' WHERE id % 7 = 4;
		INSERT INTO raw.customers SELECT coalesce((SELECT max(id) FROM raw.customers), 0) + i, 'rep' || i % 4, 'basic', 10, '$night 01:00'
			FROM generate_series(1, 10) i;
		UPDATE raw.customers SET plan = 'pro', mrr = mrr + 10, updated_at = '$night 01:30' WHERE id % 4 = 1 AND updated_at < '$night'});
	return;
}

# KPI, its values by member and month or, of the seed, by team; and the same in SQL.
my %expected = (
	revenue => q{SELECT owner, date_trunc('month', closed_at)::date, sum(amount) FROM analytics.fct_deals WHERE stage = 'won' GROUP BY 1, 2},
	talked => q{SELECT owner, date_trunc('month', day)::date, sum(seconds) FROM analytics.fct_calls GROUP BY 1, 2},
	pages => q{SELECT owner, date_trunc('month', day)::date, sum(pages) FROM analytics.fct_visits GROUP BY 1, 2},
	mrr_now => q{SELECT owner, date_trunc('month', updated_at)::date, sum(mrr) FROM analytics.customers_snapshot WHERE dbt_valid_to IS NULL GROUP BY 1, 2},
	budget => q{SELECT team, month, sum(amount) FROM analytics.budget GROUP BY 1, 2});

sub exact_now
{
	my ($name) = @_;

	wait_for($node, 'postgres', q{SELECT bool_and(f.is_complete AND f.lag_seconds = 0) AND min(s.status) = 'active' AND max(s.status) = 'active'
		AND (SELECT bool_and(state IN ('asleep', 'waiting for more', 'leaving')) FROM kpi.worker_status WHERE kind = 'worker')
		FROM kpi.freshness f JOIN kpi.source_status s USING (source_id)}, "$name: the worker has done it");
	for my $kpi (sort keys %expected)
	{
		my $values = $kpi eq 'budget' ? q{SELECT team, period_start, value FROM kpi.team_monthly WHERE team <> 'company'} :
			q{SELECT member, period_start, value FROM kpi.member_monthly WHERE true};

		is($node->safe_psql('postgres', qq{SELECT count(*) FROM (
				(($values AND kpi = '$kpi') EXCEPT ALL ($expected{$kpi})) UNION ALL (($expected{$kpi}) EXCEPT ALL ($values AND kpi = '$kpi'))) d}),
			0, "$name: $kpi is what the model says");
		cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM ($expected{$kpi}) e"), '>', 1, "$name: which is something");
	}
	is($node->safe_psql('postgres', q{SELECT * FROM kpi.verify()}), '', "$name: verify");
	return;
}

$node->safe_psql('postgres', q{
	CREATE ROLE dbt LOGIN; CREATE ROLE bi;
	CREATE EXTENSION pg_kpi;
	SELECT kpi.alter_calendar('default', time_zone => 'UTC');
	SELECT kpi.grant_editor('dbt'), kpi.grant_reader('bi');
	CREATE SCHEMA raw; GRANT USAGE ON SCHEMA raw TO dbt; CREATE SCHEMA analytics AUTHORIZATION dbt;
	GRANT TEMPORARY ON DATABASE postgres TO dbt;
	ALTER DEFAULT PRIVILEGES IN SCHEMA raw GRANT SELECT ON TABLES TO dbt;
	CREATE TABLE raw.deals (id integer, owner text, stage text, amount numeric, closed_at date, _extracted_at timestamptz);
	CREATE TABLE raw.calls (id integer, owner text, day date, seconds integer, _extracted_at timestamptz);
	CREATE TABLE raw.visits (id integer, owner text, day date, pages integer, _extracted_at timestamptz);
	CREATE TABLE raw.customers (id integer, owner text, plan text, mrr integer, updated_at timestamp);
	SELECT kpi.create_team('north'), kpi.create_team('south');
	SELECT kpi.add_member('rep' || i, team => CASE WHEN i % 2 = 0 THEN 'north' ELSE 'south' END) FROM generate_series(0, 3) i});

# ---- the first night: everything is made, and then defined, by dbt ----

extract('2026-11-23', 10);
table('fct_deals', $model{fct_deals}, is_new => 1, index => 'closed_at');
table($_, $model{$_}, is_new => 1) for qw(fct_calls fct_visits);
snapshot_new('customers_snapshot', $customers);
seed('budget', 'new', q{'north', '2026-11-01', 100}, q{'south', '2026-11-01', 200}, q{'north', '2026-12-01', 110});
as_dbt(q{SELECT kpi.create_source('deals', relation => 'analytics.fct_deals', key => 'id', owner => 'owner', at => 'closed_at', loaded_at => '_extracted_at')},
	q{SELECT kpi.create_source('calls', relation => 'analytics.fct_calls', key => 'id', owner => 'owner', at => 'day', loaded_at => '_extracted_at')},
	q{SELECT kpi.create_source('visits', relation => 'analytics.fct_visits', key => 'id', owner => 'owner', at => 'day', loaded_at => '_extracted_at')},
	q{SELECT kpi.create_source('customers', relation => 'analytics.customers_snapshot', key => 'dbt_scd_id', owner => 'owner', at => 'updated_at', filter => 'dbt_valid_to IS NULL')},
	q{SELECT kpi.create_source('budget', relation => 'analytics.budget', team => 'team', at => 'month')},
	q{SELECT kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)', filter => $$stage = 'won'$$)},
	q{SELECT kpi.create_kpi('talked', source => 'calls', measure => 'sum(seconds)')},
	q{SELECT kpi.create_kpi('pages', source => 'visits', measure => 'sum(pages)')},
	q{SELECT kpi.create_kpi('mrr_now', source => 'customers', measure => 'sum(mrr)')},
	q{SELECT kpi.create_kpi('budget', source => 'budget', measure => 'sum(amount)')},
	q{SELECT kpi.set_refresh(s, stale_after => '26 hours') FROM unnest('{deals,calls,visits}'::text[]) s},
	q{SELECT kpi.create_goal('Revenue', kpi => 'revenue', period => '2026-11', target => 100000)},
	q{SELECT kpi.create_goal('Calls', kpi => 'talked', period => '2026-11', target => 100000)});
exact_now('first night');
is($node->safe_psql('postgres', q{SELECT source, loaded_at AT TIME ZONE 'UTC', is_stale FROM kpi.freshness ORDER BY source}),
	"budget||f\ncalls|2026-11-23 02:10:00|f\ncustomers||f\ndeals|2026-11-23 02:00:00|f\nvisits|2026-11-23 02:20:00|f",
	'first night: loaded when the rows say');

# ---- the second: a new column, and late facts ----

extract('2026-11-24', 20);
table('fct_deals', $model{fct_deals}, index => 'closed_at');
delete_insert('fct_calls', 'id, owner, day, seconds, _extracted_at, is_long',
	"select id, owner, day, seconds, _extracted_at, seconds > 200 as is_long from raw.calls $since fct_calls)", '"is_long" boolean');
merge('fct_visits', 'id, owner, day, pages, _extracted_at', "$model{fct_visits} $since fct_visits)");
snapshot('customers_snapshot', 'id, owner, plan, mrr, updated_at', $customers);
seed('budget', 'truncate', q{'north', '2026-11-01', 120}, q{'south', '2026-11-01', 200}, q{'south', '2026-12-01', 90});
exact_now('second night');
as_dbt(q{SELECT kpi.create_kpi('long_calls', source => 'calls', measure => 'count(*)', filter => 'is_long')});
$expected{long_calls} = q{SELECT owner, date_trunc('month', day)::date, count(*) FROM analytics.fct_calls WHERE is_long GROUP BY 1, 2};
exact_now('a KPI over the new column');

# ---- the third: dbt build --full-refresh ----

extract('2026-11-25', 30);
table('fct_deals', $model{fct_deals}, index => 'closed_at');
table('fct_calls', 'select id, owner, day, seconds, _extracted_at, seconds > 200 as is_long from raw.calls');
table('fct_visits', $model{fct_visits});
snapshot('customers_snapshot', 'id, owner, plan, mrr, updated_at', $customers);
seed('budget', 'again', q{'north', '2026-11-01', 130}, q{'south', '2026-11-01', 210});
exact_now('third night');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT loaded_at::date::text, ' ') FROM kpi.freshness WHERE loaded_at IS NOT NULL}),
	'2026-11-25', 'third night: loaded when the rows say');

# ---- what is left of them ----

is($node->safe_psql('postgres', q{SELECT goal, target, actual_to_date = (SELECT sum(amount) FROM analytics.fct_deals WHERE stage = 'won' AND closed_at >= '2026-11-01'
		AND closed_at <= '2026-11-25'), as_of_day FROM kpi.goal_progress WHERE goal = 'Revenue'}), 'Revenue|100000|t|2026-11-25', 'the goal stands where it should');
is($node->safe_psql('postgres', q{SELECT g.name, string_agg(h.day::text, ' ' ORDER BY h.day) FROM kpi.goal_progress_history h JOIN kpi.goal g ON g.id = h.goal_id
		GROUP BY 1 ORDER BY 1}), "Calls|2026-11-23 2026-11-24\nRevenue|2026-11-23 2026-11-24", 'and its history is kept');
is($node->safe_psql('postgres', q{SELECT problem, object, detail FROM kpi.health() WHERE severity <> 'notice'}), '', 'nothing is wrong');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT source, ' ' ORDER BY source) FROM kpi.refresh_log WHERE kind = 'reattach'}),
	'budget calls deals visits', 'the tables that were swapped are logged');
is($node->safe_psql('postgres', q{SELECT DISTINCT l.kind FROM kpi.refresh_log l WHERE l.sqlstate IS NOT NULL}), '', 'no refresh has failed');

# ---- a night without a load ----

set_now('2026-11-27 12:00+00');
wait_for($node, 'postgres', q{SELECT count(*) = 3 FROM kpi.health() WHERE problem = 'stale'}, 'without a load the sources are stale');
is($node->safe_psql('postgres', q{SELECT count(*), min(as_of_day), count(*) FILTER (WHERE is_complete) FROM kpi.goal_progress}),
	'2|2026-11-25|2', 'and their goals are judged by the day of the last one');

$node->stop;
done_testing();
