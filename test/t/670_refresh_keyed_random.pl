# A random stream of everything that happens to the tables of keyed sources:
# links of a chain that change in one transaction and in several, in whatever
# order these commit, rows whose key or entity moves, is NULL or is of a type
# that a writer's settings print otherwise, savepoints, prepared transactions,
# and tables that are swapped, renamed and back, truncated, and partitions that
# come and go.  After each refresh the kept rows are those of the query, run by
# itself, and after each round every number is that of plain SQL.
#
# KPI_SEED repeats a run, KPI_ROUNDS sets its length.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = srand($ENV{KPI_SEED} || time);
my $rounds = $ENV{KPI_ROUNDS} || 25;
my $writers = 3;

# Sources: their definition, the query, the columns of the key and of the
# entity, and who a row counts for and when.  In the queries {s} is the schema.
my %SOURCE = (
	# one row for an account, of what happened to the leads of its deals
	chain => {
		query => q{SELECT c.account_id, c.owner, c.since, d.deals, d.leads, d.weight, d.first_at, d.last_on
			FROM {s}.account c LEFT JOIN (
				SELECT d.account_id, count(DISTINCT d.deal_id) AS deals, count(DISTINCT l.lead_id) AS leads, sum(a.weight) AS weight,
					   min(a.at) AS first_at, max(d.closed_on) AS last_on
				FROM {s}.deal d LEFT JOIN {s}.lead l ON l.deal_id = d.deal_id LEFT JOIN {s}.activity a ON a.lead_id = l.lead_id
				GROUP BY d.account_id) d USING (account_id)},
		key => [qw(account_id)],
		entity => [qw(account_id)],
		owner => 'owner',
		at => 'since',
		number => 'weight',
		follow => q{"{s}.account": "account_id", "{s}.deal": "account_id",
			"{s}.lead": "SELECT account_id FROM {s}.deal WHERE deal_id = changed.deal_id",
			"{s}.activity": "SELECT d.account_id FROM {s}.lead l JOIN {s}.deal d ON d.deal_id = l.deal_id WHERE l.lead_id = changed.lead_id"},
	},
	# several rows for a deal, whose keys come, go and move
	item => {
		query => q{SELECT i.code, i.deal_id, d.closed_on, a.owner, i.weight, lag(i.code) OVER w AS before, count(*) OVER (PARTITION BY i.deal_id) AS n
			FROM {s}.item i LEFT JOIN {s}.deal d ON d.deal_id = i.deal_id LEFT JOIN {s}.account a ON a.account_id = d.account_id
			WINDOW w AS (PARTITION BY i.deal_id ORDER BY i.weight, i.item_id)},
		key => [qw(code)],
		entity => [qw(deal_id)],
		owner => 'owner',
		at => 'closed_on',
		number => 'n',
		follow => q{"{s}.item": "deal_id", "{s}.deal": "deal_id", "{s}.account": "SELECT deal_id FROM {s}.deal WHERE account_id = changed.account_id"},
	},
	# one table in two roles
	renewal => {
		query => q{SELECT d.deal_id, a.owner, d.closed_on, d.amount - coalesce(p.amount, 0) AS more
			FROM {s}.deal d LEFT JOIN {s}.deal p ON p.deal_id = d.previous_id JOIN {s}.account a ON a.account_id = d.account_id},
		key => [qw(deal_id)],
		entity => [qw(deal_id)],
		owner => 'owner',
		at => 'closed_on',
		number => 'more',
		follow => q{"{s}.deal": "SELECT changed.deal_id UNION ALL SELECT deal_id FROM {s}.deal WHERE previous_id = changed.deal_id",
			"{s}.account": "SELECT deal_id FROM {s}.deal WHERE account_id = changed.account_id"},
	},
	# an entity of several columns, whose texts depend on settings
	mark => {
		query => q{SELECT mark, rate, signed_at, closed_on, min(owner) AS owner, count(*) AS deals, sum(amount) AS amount
			FROM {s}.deal LEFT JOIN {s}.account USING (account_id) GROUP BY 1, 2, 3, 4 HAVING count(*) > 0},
		key => [qw(mark rate signed_at closed_on)],
		entity => [qw(mark rate signed_at closed_on)],
		owner => 'owner',
		at => 'closed_on',
		number => 'amount',
		follow => q{"{s}.deal": "mark, rate, signed_at, closed_on",
			"{s}.account": "SELECT mark, rate, signed_at, closed_on FROM {s}.deal WHERE account_id = changed.account_id"},
	},
	# the kept rows of another
	people => {
		query => q{SELECT owner AS who, count(*) AS accounts, sum(weight) AS weight, max(since) AS last_on FROM kpi_data.chain GROUP BY owner},
		key => [qw(who)],
		entity => [qw(who)],
		owner => 'who',
		at => 'last_on',
		number => 'weight',
		follow => q{"kpi_data.chain": "owner"},
	});
my @sources = qw(chain item renewal mark people);

# What writers change.
my %columns = (
	account => [qw(owner since note)],
	deal => [qw(account_id previous_id amount closed_on mark rate signed_at note)],
	lead => [qw(deal_id note)],
	activity => [qw(lead_id at weight note)],
	item => [qw(deal_id weight)]);

my $node = new_node('keyed', "kpi.segment_size = '8kB'", 'max_prepared_transactions = 20');
my $main = $node->background_psql('postgres', on_error_stop => 0);
# the limit is for a query, not for all that a session lives
$main->set_query_timer_restart;
my @sessions;    # each with its open transaction
my $unattached = 0;
my $number = 0;
my @script;

note "seed $seed";
define();
for my $round (1 .. $rounds)
{
	@script = ();
	my $ok = eval { play($round) };

	next if $ok;
	fail("round $round: $@") if $@;
	diag "KPI_SEED=$seed repeats it.  Round $round:\n" . join("\n", @script);
	last;
}
$_->{psql}->quit for @sessions;
$main->quit;
$node->stop;
done_testing();

sub pick { return $_[ rand @_ ]; }
sub chance { return rand() < $_[0]; }

sub meant
{
	my ($text) = @_;

	return $text =~ s/\{s\}/kr/gr;
}

sub columns { return join ', ', @_; }

sub define
{
	$node->safe_psql('postgres', q{
		CREATE EXTENSION pg_kpi;
		SELECT kpi.create_team('north'), kpi.create_team('south');
		SELECT kpi.add_member('ann', team => 'north'), kpi.add_member('bob', team => 'north'), kpi.add_member('cid', team => 'south');
		CREATE SCHEMA kr;
		CREATE TABLE kr.account (account_id integer, owner text, since date, note text);
		CREATE TABLE kr.deal (deal_id integer, account_id integer, previous_id integer, amount numeric, closed_on date, mark char(4), rate double precision,
			signed_at timestamptz, note text);
		CREATE TABLE kr.lead (lead_id integer, deal_id integer, note text);
		CREATE TABLE kr.activity (activity_id integer, lead_id integer, at timestamptz, weight integer, note text) PARTITION BY RANGE (activity_id);
		CREATE TABLE kr.activity_1 PARTITION OF kr.activity FOR VALUES FROM (MINVALUE) TO (500);
		-- whose columns have other numbers
		CREATE TABLE kr.activity_2 (note text, gone integer, weight integer, at timestamptz, lead_id integer, activity_id integer);
		ALTER TABLE kr.activity_2 DROP gone;
		ALTER TABLE kr.activity ATTACH PARTITION kr.activity_2 FOR VALUES FROM (500) TO (MAXVALUE);
		CREATE TABLE kr.item (item_id integer, code text UNIQUE, deal_id integer, weight integer);
		INSERT INTO kr.account SELECT i, (ARRAY['ann', 'bob', 'cid'])[1 + i % 3], date '2026-01-01' + 20 * i FROM generate_series(1, 9) i;
		INSERT INTO kr.deal SELECT i, 1 + i % 9, i - 4, i, date '2026-02-01' + i, 'ab', 0.5, '2026-02-01 10:00+00' FROM generate_series(1, 24) i;
		INSERT INTO kr.lead SELECT i, 1 + i % 24 FROM generate_series(1, 30) i;
		INSERT INTO kr.activity SELECT 20 * i, 1 + i % 30, timestamptz '2026-01-01 00:00+00' + i * interval '5 hours', i FROM generate_series(1, 45) i;
		INSERT INTO kr.item SELECT i, 'i' || i, 1 + i % 24, i % 5 FROM generate_series(1, 40) i;});
	for my $name (@sources)
	{
		my $source = $SOURCE{$name};

		$node->safe_psql('postgres', sprintf q{
			SELECT kpi.create_source('%s', key => '%s', entity => '%s', owner => '%s', at => '%s', query => $q$%s$q$, follow => '{%s}');
			SELECT kpi.create_kpi('%s_n', source => '%s', measure => 'count(*)'), kpi.create_kpi('%s_sum', source => '%s', measure => 'sum(%s)');},
			$name, columns(@{ $source->{key} }), columns(@{ $source->{entity} }), $source->{owner}, $source->{at}, meant($source->{query}),
			meant($source->{follow}), $name, $name, $name, $name, $source->{number});
		# what it is to read, whatever the engine is said to be
		$node->safe_psql('postgres', "CREATE VIEW kr.${name}_rows AS SELECT * FROM (" . meant($source->{query}) . ') q WHERE '
			  . join(' AND ', map { "$_ IS NOT NULL" } @{ $source->{key} }, @{ $source->{entity} })) if $name ne 'people';
	}
	# over the kept rows of the other as they should be
	$node->safe_psql('postgres', 'CREATE VIEW kr.people_rows AS SELECT * FROM (' . (meant($SOURCE{people}{query}) =~ s/kpi_data\.chain/kr.chain_rows/r)
		  . ') q WHERE who IS NOT NULL');
	$node->safe_psql('postgres', 'CALL kpi.refresh()');
	push @sessions, { n => $_, psql => $node->background_psql('postgres', on_error_stop => 0), open => 0 } for 0 .. $writers - 1;
	$_->{psql}->set_query_timer_restart for @sessions;
	return;
}

# ---- what is written ----

# Writers keep to rows of their own, so that none waits for another, but not to
# entities of their own.
sub own
{
	my ($n, $column) = @_;
	my $modulus = pick(2, 3, 5);

	return sprintf '%s %% %d = %d AND %s %% %d = %d', $column, $writers, $n, $column, $modulus, rand $modulus;
}

sub new_id
{
	my ($n) = @_;

	return $writers * (400 + $number++) + $n;
}

sub nullable
{
	my ($value) = @_;

	return chance(0.1) ? 'NULL' : $value;
}

sub account { return nullable(1 + int rand 10); }
sub deal { return nullable(1 + int rand 26); }
sub day { return nullable(sprintf q{'2026-%02d-%02d'}, 1 + rand 6, pick(1, 2, 28)); }

sub value_of
{
	my ($column) = @_;

	return account() if $column eq 'account_id';
	return deal() if $column =~ /^(deal_id|previous_id)$/;
	return nullable(1 + int rand 32) if $column eq 'lead_id';
	return nullable(pick(q{'ann'}, q{'bob'}, q{'cid'}, q{'zoe'}, q{''})) if $column eq 'owner';
	return day() if $column =~ /^(since|closed_on)$/;
	return nullable(sprintf '%.1f', rand 100) if $column eq 'amount';
	return nullable(int rand 9) if $column eq 'weight';
	return nullable(pick(q{'a'}, q{'ab'}, q{'ab x'}, q{''})) if $column eq 'mark';
	return nullable(pick('0.1::float8 + 0.2', '0.3', '1e22', '-0.0', '0.0', q{'NaN'})) if $column eq 'rate';
	return nullable(pick(q{'2026-03-04 05:06:07.000001+00'}, q{'2026-03-04 05:06:07+03'}, q{'2026-04-03 22:00+00'})) if $column =~ /^(signed_at|at)$/;
	return nullable(q{'note } . int(rand 3) . q{'});
}

sub write_rows
{
	my ($n, $table) = @_;

	$table //= pick(sort(keys %columns), 'deal', 'lead', 'activity');
	my $id = "${table}_id";
	my @all = @{ $columns{$table} };
	my $what = rand;

	if ($table eq 'item' && chance(0.3))
	{
		# keys change hands between rows, by way of none
		my ($one, $other) = map { $writers * int(rand 14) + $n } 1, 2;

		return '' if $one == $other;
		return sprintf q{WITH codes AS MATERIALIZED (SELECT item_id, code FROM kr.item WHERE item_id IN (%1$d, %2$d)) SELECT set_config('kr.one', coalesce((SELECT code FROM codes WHERE item_id = %1$d), ''), false);
			UPDATE kr.item i SET code = NULL WHERE item_id = %1$d;
			WITH moved AS (SELECT code FROM kr.item WHERE item_id = %2$d) SELECT set_config('kr.other', coalesce((SELECT code FROM moved), ''), false);
			UPDATE kr.item SET code = NULL WHERE item_id = %2$d;
			UPDATE kr.item SET code = nullif(current_setting('kr.other'), '') WHERE item_id = %1$d;
			UPDATE kr.item SET code = nullif(current_setting('kr.one'), '') WHERE item_id = %2$d;}, $one, $other;
	}
	if ($what < 0.3)
	{
		my @rows = map {
			my $new = new_id($n);
			my $head = $table eq 'item' ? "$new, " . nullable("'j$new'") : $new;
			'(' . join(', ', $head, map { value_of($_) } @all) . ')'
		} 1 .. 1 + rand 4;
		return '' if $table eq 'account';
		return "INSERT INTO kr.$table (" . columns($id, ($table eq 'item' ? 'code' : ()), @all) . ') VALUES ' . join(', ', @rows) . ';';
	}
	return "DELETE FROM kr.$table WHERE " . own($n, $id) . " AND $id % 4 = " . int(rand 4) . ';' if $what < 0.4;
	# a link is taken over from another row
	return 'UPDATE kr.lead l SET deal_id = (SELECT max(deal_id) FROM kr.lead o WHERE o.lead_id < l.lead_id AND o.lead_id > l.lead_id - 7) WHERE ' . own($n, 'l.lead_id') . ';'
	  if $table eq 'lead' && $what < 0.55;
	# rows that move between partitions
	return "UPDATE kr.activity SET activity_id = activity_id + $writers * 40 WHERE " . own($n, 'activity_id') . ';' if $table eq 'activity' && $what < 0.5;
	my @set = map { pick(@all) } 1 .. 1 + rand 2;
	my %set = map { $_ => 1 } @set;
	# rows that are of no entity
	return "UPDATE kr.item SET deal_id = NULL WHERE " . own($n, 'item_id') . ';' if $table eq 'item' && $what < 0.5;
	return "UPDATE kr.$table SET " . join(', ', map { "$_ = " . value_of($_) } sort keys %set) . ' WHERE ' . own($n, $id) . ';';
}

sub setting
{
	return sprintf q{SET %s;}, pick('DateStyle = German', q{DateStyle = 'SQL, DMY'}, 'DateStyle = ISO', q{TimeZone = 'Asia/Kathmandu'}, q{TimeZone = 'UTC'},
		'extra_float_digits = -10', 'extra_float_digits = 1', q{IntervalStyle = sql_standard}, 'session_replication_role = replica',
		'session_replication_role = DEFAULT', q{kpi.buffer_size = '64kB'});
}

# What is done to tables while nobody writes to them.
sub change_tables
{
	my $table = pick(qw(account deal lead item));
	my $what = int rand 10;

	if ($what == 0)
	{
		$unattached = 1;
		return "BEGIN; CREATE TABLE kr.new_$table (LIKE kr.$table INCLUDING ALL); INSERT INTO kr.new_$table SELECT * FROM kr.$table WHERE ${table}_id % 7 > 0;"
		  . " ALTER TABLE kr.$table RENAME TO old_$table; ALTER TABLE kr.new_$table RENAME TO $table;"
		  . (chance(0.5) ? " UPDATE kr.old_$table SET ${table}_id = ${table}_id + 1000000;" : '')
		  . views() . "DROP TABLE kr.old_$table; COMMIT;";
	}
	if ($what == 1)
	{
		# away and back, and written meanwhile
		return "ALTER TABLE kr.$table RENAME TO other; " . (write_rows(0, $table) =~ s/kr\.$table\b/kr.other/gr) . " ALTER TABLE kr.other RENAME TO $table;";
	}
	if ($what == 2)
	{
		# another one has the name for a while
		return "BEGIN; ALTER TABLE kr.$table RENAME TO other; CREATE TABLE kr.$table (LIKE kr.other); COMMIT; INSERT INTO kr.$table SELECT * FROM kr.other LIMIT 3;"
		  . (write_rows(0, $table) =~ s/kr\.$table\b/kr.other/gr) . " BEGIN; DROP TABLE kr.$table; ALTER TABLE kr.other RENAME TO $table; COMMIT;";
	}
	return 'TRUNCATE kr.' . pick(qw(item activity lead)) . ';' if $what == 3 && chance(0.5);
	return sprintf 'TRUNCATE kr.activity_%d;', 1 + rand 2 if $what == 3;
	if ($what == 4)
	{
		$unattached = 1;
		return q{ALTER TABLE kr.activity DETACH PARTITION kr.activity_1;} . (chance(0.7) ? 'UPDATE kr.activity_1 SET weight = weight + 1;' : '')
		  . q{ALTER TABLE kr.activity ATTACH PARTITION kr.activity_1 FOR VALUES FROM (MINVALUE) TO (500);};
	}
	if ($what == 5)
	{
		$unattached = 1;
		return "BEGIN; ALTER TABLE kr.$table DISABLE TRIGGER USER; " . write_rows(1, $table) . " ALTER TABLE kr.$table ENABLE TRIGGER USER; COMMIT;";
	}
	if ($what == 6)
	{
		return "ALTER TABLE kr.$table ADD extra integer DEFAULT 7; ALTER TABLE kr.$table DROP extra;";
	}
	if ($what == 7)
	{
		return "VACUUM FULL kr.$table;";
	}
	if ($what == 8)
	{
		# a column has another name for a while
		my $column = pick(grep { $_ ne 'note' } @{ $columns{$table} });

		return "ALTER TABLE kr.$table RENAME $column TO other; UPDATE kr.$table SET other = " . value_of($column)
		  . " WHERE ${table}_id % 3 = 1; ALTER TABLE kr.$table RENAME other TO $column;";
	}
	return 'BEGIN; ' . write_rows(0) . write_rows(1) . 'CALL kpi.refresh(); ' . write_rows(2) . pick('COMMIT;', 'ROLLBACK;');
}

# Views know tables by number: they are made anew over the ones of today.
sub views
{
	return join '', map {
		my $name = $_;
		my $query = $name eq 'people' ? meant($SOURCE{people}{query}) =~ s/kpi_data\.chain/kr.chain_rows/r : meant($SOURCE{$name}{query});

		"CREATE OR REPLACE VIEW kr.${name}_rows AS SELECT * FROM ($query) q WHERE "
		  . join(' AND ', map { "$_ IS NOT NULL" } @{ $SOURCE{$name}{key} }, @{ $SOURCE{$name}{entity} }) . ';'
	} @sources;
}

# ---- sessions ----

sub run
{
	my ($psql, $sql, $who) = @_;

	push @script, "$who: $sql";
	my $out = $psql->query($sql);
	my $errors = $psql->{stderr};

	$psql->{stderr} = '';
	my @unexpected = grep { /ERROR|FATAL|PANIC|WARNING|error:/ && !/no transaction in progress/ } split /\n/, $errors;
	die join("\n", @unexpected) . "\n" if @unexpected;
	return $out;
}

sub step
{
	my ($session) = @_;
	my $n = $session->{n};
	my $what = rand;
	my $sql;

	# rows of its own are locked until what it has prepared is over
	if ($session->{prepared})
	{
		return if $what < 0.5;
		$sql = sprintf q{%s PREPARED '%s';}, pick(qw(COMMIT COMMIT ROLLBACK)), delete $session->{prepared};
	}
	elsif (!$session->{open})
	{
		$sql = chance(0.15) ? setting() : chance(0.7) ? 'BEGIN;' : write_rows($n);
		$session->{open} = 1 if $sql eq 'BEGIN;';
		$session->{saved} = 0;
	}
	elsif ($what < 0.6) { $sql = write_rows($n); }
	elsif ($what < 0.7) { $sql = 'SAVEPOINT s;'; $session->{saved} = 1; }
	elsif ($what < 0.78 && $session->{saved}) { $sql = pick('ROLLBACK TO s;', 'ROLLBACK TO s;', 'RELEASE s;'); $session->{saved} = 0 if $sql =~ /RELEASE/; }
	elsif ($what < 0.82)
	{
		$session->{prepared} = 'p' . ++$number;
		$sql = "PREPARE TRANSACTION '$session->{prepared}';";
		$session->{open} = 0;
	}
	else
	{
		$sql = chance(0.75) ? 'COMMIT;' : 'ROLLBACK;';
		$session->{open} = 0;
	}
	run($session->{psql}, $sql, "writer $n") if $sql;
	return;
}

sub settle
{
	for my $session (shuffle(@sessions))
	{
		run($session->{psql}, pick('COMMIT;', 'COMMIT;', 'ROLLBACK;'), "writer $session->{n}") if $session->{open};
		$session->{open} = 0;
		run($main, sprintf(q{%s PREPARED '%s';}, pick(qw(COMMIT COMMIT ROLLBACK)), delete $session->{prepared}), 'main') if $session->{prepared};
	}
	return;
}

# ---- the oracle ----

sub rows_difference
{
	return join ' UNION ALL ', map {
		"SELECT '$_ missing', x::text FROM (TABLE kr.${_}_rows EXCEPT ALL TABLE kpi_data.$_) x UNION ALL SELECT '$_ kept', x::text FROM (TABLE kpi_data.$_ EXCEPT ALL TABLE kr.${_}_rows) x"
	} @sources;
}

sub numbers_difference
{
	my $facts = join ' UNION ALL ', map {
		my $s = $SOURCE{$_};
		"SELECT '${_}_n', $s->{owner}, $s->{at}::date, 1::numeric FROM kr.${_}_rows UNION ALL SELECT '${_}_sum', $s->{owner}, $s->{at}::date, $s->{number}::numeric FROM kr.${_}_rows WHERE $s->{number} IS NOT NULL"
	} @sources;

	return qq{WITH fact (kpi, owner, day, n) AS ($facts),
		placed AS (SELECT f.*, s.scope, s.key, g.grain, date_trunc(g.grain, day)::date AS start
			FROM fact f LEFT JOIN (VALUES ('ann', 'north'), ('bob', 'north'), ('cid', 'south')) m (member, team) ON m.member = f.owner,
				LATERAL (VALUES ('team', 'company'), ('team', coalesce(m.team, '(unassigned)')), ('member', m.member)) s (scope, key),
				(VALUES ('month'), ('year'), ('day')) g (grain)
			WHERE f.day IS NOT NULL AND s.key IS NOT NULL),
		expected AS (SELECT kpi, scope, key, grain, start, sum(n) AS value, count(*) AS facts FROM placed GROUP BY 1, 2, 3, 4, 5),
		actual AS (SELECT kpi, 'team' AS scope, team AS key, grain, period_start, value, facts FROM kpi.team_daily
			UNION ALL SELECT kpi, 'team', team, grain, period_start, value, facts FROM kpi.team_monthly
			UNION ALL SELECT kpi, 'team', team, grain, period_start, value, facts FROM kpi.team_yearly
			UNION ALL SELECT kpi, 'member', member, grain, period_start, value, facts FROM kpi.member_daily
			UNION ALL SELECT kpi, 'member', member, grain, period_start, value, facts FROM kpi.member_monthly
			UNION ALL SELECT kpi, 'member', member, grain, period_start, value, facts FROM kpi.member_yearly)
		SELECT 'expected', x::text FROM (TABLE expected EXCEPT ALL TABLE actual) x UNION ALL SELECT 'actual', x::text FROM (TABLE actual EXCEPT ALL TABLE expected) x ORDER BY 1, 2 LIMIT 20};
}

sub refresh
{
	my ($what) = @_;

	run($main, 'CALL kpi.refresh();', 'main');
	$unattached = 0;
	my $difference = $node->safe_psql('postgres', rows_difference());
	return 1 if $difference eq '';
	is($difference, '', $what);
	return 0;
}

sub play
{
	my ($round) = @_;

	for my $n (1 .. 6 + rand 20)
	{
		my $what = rand;

		if ($what < 0.82) { step(pick(@sessions)); }
		elsif ($what < 0.94)
		{
			settle() if $unattached;
			return 0 if !refresh("round $round, step $n: kept rows are those of the query");
		}
		else
		{
			settle();
			my $sql = change_tables();
			run($main, $sql, 'main') if $sql;
		}
	}
	settle();
	return 0 if !refresh("round $round: kept rows are those of the query");
	my $ok = is($node->safe_psql('postgres', numbers_difference()), '', "round $round: every number is that of plain SQL");
	return is($node->safe_psql('postgres', q{SELECT s.name, v FROM kpi.source s, LATERAL kpi.verify(s.name) v ORDER BY 1, 2}), '', "round $round: verified") && $ok;
}
