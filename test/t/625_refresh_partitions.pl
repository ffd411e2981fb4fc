# A random stream of a partitioned table: facts written, moved and deleted, while
# partitions are created, attached, detached, dropped, replaced and truncated, with
# refreshes, rollbacks and savepoints anywhere.  The oracle is plain SQL over the
# table and an archive of what is sealed, which this side keeps.
#
# KPI_SEED repeats a run, KPI_ROUNDS sets its length.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = srand($ENV{KPI_SEED} || time);
my $rounds = $ENV{KPI_ROUNDS} || 25;
note "seed $seed";

my $node = new_node('partitions', "kpi.segment_size = '8kB'");
my @kpis = qw(revenue won win_rate size created);
my @months = map { my $year = $_; map { sprintf '%d-%02d', $year, $_ } 1, 4, 7, 10 } 2025, 2026;

# What there is, by name: month; is_in, a partition of the table; is_seen, known to a
# refresh; is_lost, gone since the last one; is_there, as a table of its own.
my %part;
my $number = 0;
my $on_detach = 'seal';
# Something since the last refresh has all facts read again: then what is dropped
# could not be told apart.
my $doubt = 0;

create_company($node, 'postgres', kpis => \@kpis, table => 'PARTITION BY RANGE (closed_at)', sql => q{
	CREATE TABLE crm.rest PARTITION OF crm.deals DEFAULT;
	CREATE TABLE crm.hold (LIKE crm.deals);
	CREATE TABLE crm.archive (LIKE crm.deals, part text);});
$MEANING{deals} = '(SELECT id, owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at FROM crm.deals
	UNION ALL SELECT id, owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at FROM crm.archive) AS deals';
$node->safe_psql('postgres', join "\n", (map { create($_) } @months[ 0 .. 3 ]), refresh());

for my $round (1 .. $rounds)
{
	my $script = join "\n", map { step() } 1 .. 12;
	my ($out, $errors);

	$script .= "\n" . refresh();
	$node->psql('postgres', $script, stdout => \$out, stderr => \$errors, on_error_stop => 0, on_error_die => 0);
	my $ok = is(join("\n", grep { /ERROR|FATAL|PANIC|WARNING/ } split /\n/, $errors), '', "round $round: no error");
	$ok = is_exact($node, 'postgres', "round $round", @kpis) && $ok;
	$ok = is($node->safe_psql('postgres', q{SELECT a.part FROM crm.archive a EXCEPT SELECT s.partition FROM kpi.sealed s}),
		'', "round $round: what is sealed is listed") && $ok;
	next if $ok;
	diag "KPI_SEED=$seed repeats it.  The script of round $round:\n$script";
	last;
}
$node->stop;
done_testing();

sub pick { return $_[ rand @_ ]; }
sub chance { return rand() < $_[0]; }

sub bounds
{
	my ($year, $month) = split /-/, $_[0];

	return sprintf q{FOR VALUES FROM ('%d-%02d-01') TO ('%d-%02d-01')}, $year, $month,
	  $month == 10 ? ($year + 1, 1) : ($year, $month + 3);
}

sub columns { return 'id, owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at'; }

sub rows
{
	my ($table, $month, $n) = @_;
	my $day = defined $month ? "'$month-01'::timestamptz + (random() * 80) * interval '1 day'"
	  : "'2025-01-01'::timestamptz + (random() * 720) * interval '1 day'";

	return qq{INSERT INTO crm.$table (}
	  . ($table eq 'deals' ? '' : 'id, ')
	  . qq{owner_id, sdr_id, stage, amount, quantity, product, created_at, closed_at)
	SELECT }
	  . ($table eq 'deals' ? '' : '1000000 + (random() * 1000000)::int, ')
	  . qq{(ARRAY['alice','bob','carol','dave','erin','nobody'])[1 + (random() * 5)::int], 'bob', (ARRAY['won','lost','open'])[1 + (random() * 2)::int],
		(random() * 1000)::numeric(10,2), (random() * 9)::int, 'p' || (random() * 3)::int, '2025-01-01'::timestamptz + (random() * 700) * interval '1 day',
		} . (!defined $month && chance(0.1) ? 'NULL' : $day) . " FROM generate_series(1, $n);";
}

sub write_facts
{
	my $modulus = pick(3, 7, 50);
	my $some = sprintf 'id %% %d = %d', $modulus, rand $modulus;
	my $what = rand;

	return rows('deals', undef, 1 + int rand 20) if $what < 0.5;
	return "UPDATE crm.deals SET closed_at = closed_at + interval '3 months' WHERE $some;" if $what < 0.65;
	return "UPDATE crm.deals SET amount = amount + 1, owner_id = 'carol' WHERE $some;" if $what < 0.8;
	return sprintf q{SELECT kpi.move_member('%s', team => '%s', since => '%d-%02d-11');}, pick(qw(alice bob carol)), pick(qw(emea dach uk apac)), 2025 + rand 2, 1 + rand 12
	  if $what < 0.87;
	return "DELETE FROM crm.deals WHERE $some;";
}

# Rows that went to the default partition while there was no other make room.
sub in_place
{
	my ($month, $statement) = @_;
	my ($range) = bounds($month) =~ /FROM \(('.*?')\)/;
	my ($end) = bounds($month) =~ /TO \(('.*?')\)/;

	return "BEGIN; WITH moved AS (DELETE FROM crm.rest WHERE closed_at >= $range AND closed_at < $end RETURNING *) INSERT INTO crm.hold SELECT * FROM moved;\n"
	  . "$statement\nINSERT INTO crm.deals (" . columns() . ') SELECT ' . columns() . " FROM crm.hold; DELETE FROM crm.hold; COMMIT;";
}

sub create
{
	my ($month) = @_;
	my $name = 'd' . ($month =~ s/-//r) . '_' . ++$number;
	my $bounds = bounds($month);

	$part{$name} = { month => $month, is_in => 1, is_seen => 0, is_lost => 0, is_there => 1 };
	return in_place($month, "CREATE TABLE crm.$name PARTITION OF crm.deals $bounds;") if chance(0.5);
	return "CREATE TABLE crm.$name (LIKE crm.deals);\n" . rows($name, $month, 1 + int rand 30) . "\n"
	  . in_place($month, "ALTER TABLE crm.deals ATTACH PARTITION crm.$name $bounds;");
}

sub lost { return grep { $part{$_}{is_lost} } sort keys %part; }

sub archive { return "INSERT INTO crm.archive SELECT *, 'crm.$_[0]' FROM crm.$_[0];"; }

# Sealed by the next refresh, but for one that none has seen.
sub lose
{
	my ($name, $statement) = @_;
	my $script = ($part{$name}{is_seen} ? archive($name) . "\n" : '') . $statement;

	$part{$name}{is_lost} = $part{$name}{is_seen};
	$part{$name}{is_in} = $part{$name}{is_seen} = 0;
	return "BEGIN;\n" . (chance(0.3) ? write_facts() . "\n" : '') . "LOCK TABLE crm.deals;\n$script\nCOMMIT;";
}

sub refresh
{
	my @lost = lost();
	my %is_new = map { $part{$_}{month} => 1 } grep { $part{$_}{is_in} && !$part{$_}{is_seen} } keys %part;
	my $script = "CALL kpi.refresh('deals');";

	for my $name (@lost)
	{
		$part{$name}{is_lost} = 0;
		next if $on_detach eq 'seal' && !$is_new{ $part{$name}{month} };
		# its facts are in no number any more
		$script .= "\nDELETE FROM crm.archive WHERE part = 'crm.$name';";
		$part{$name}{is_removed} = 1;
	}
	$part{$_}{is_seen} = 1 for grep { $part{$_}{is_in} } keys %part;
	$doubt = 0;
	return $script;
}

sub partition_step
{
	my @in = grep { $part{$_}{is_in} } sort keys %part;
	my @out = grep { !$part{$_}{is_in} && $part{$_}{is_there} } sort keys %part;
	my %taken = map { $part{$_}{month} => 1 } @in;
	my @free = grep { !$taken{$_} } @months;
	my @lost = lost();
	my $what = rand;

	if ($what < 0.3 && @free)
	{
		my $month = pick(@free);
		my @replaced = grep { $part{$_}{month} eq $month } @lost;

		return refresh() if @replaced && @lost > 1;
		$doubt = 1 if @replaced;
		return create($month);
	}
	if ($what < 0.5 && @in)
	{
		return refresh() if $doubt || @lost;
		my $name = pick(@in);
		return lose($name, "ALTER TABLE crm.deals DETACH PARTITION crm.$name;");
	}
	if ($what < 0.65 && @in)
	{
		return refresh() if $doubt || grep { $part{$_}{is_there} } @lost;
		my $name = pick(@in);
		$part{$name}{is_there} = 0;
		return lose($name, "DROP TABLE crm.$name;");
	}
	if ($what < 0.8 && (@out = grep { !$taken{ $part{$_}{month} } } @out))
	{
		my $name = pick(@out);
		my $bounds = bounds($part{$name}{month});

		return refresh() if grep { $_ ne $name } @lost;
		$doubt = 1;
		my $was_lost = $part{$name}{is_lost};
		$part{$name}{is_lost} = 0;
		$part{$name}{is_in} = 1;
		# a refresh that has not missed it knows it still
		$part{$name}{is_seen} = $was_lost;
		return in_place($part{$name}{month}, "ALTER TABLE crm.deals ATTACH PARTITION crm.$name $bounds; DELETE FROM crm.archive WHERE part = 'crm.$name';");
	}
	if ($what < 0.87 && @out)
	{
		my $name = pick(@out);

		return "DELETE FROM crm.$name WHERE id % 3 = 1;\n" . rows($name, $part{$name}{month}, 3);
	}
	if ($what < 0.92 && @in)
	{
		return refresh() . "\nTRUNCATE crm." . pick(@in) . ";\n" . refresh();
	}
	return '' if @lost;
	$on_detach = pick(qw(seal seal remove));
	return "SELECT kpi.alter_source('deals', on_detach => '$on_detach');";
}

# What is undone, a refresh among it.
sub undone
{
	my @in = grep { $part{$_}{is_in} } sort keys %part;
	my @script = ('BEGIN;', write_facts());

	if (@in && !$doubt)
	{
		my $name = pick(@in);
		push @script, pick("DROP TABLE crm.$name;", "ALTER TABLE crm.deals DETACH PARTITION crm.$name;", "TRUNCATE crm.rest;") if !lost();
	}
	push @script, "CALL kpi.refresh('deals');" if chance(0.6);
	return join "\n", @script, 'ROLLBACK;';
}

sub step
{
	my $what = rand;

	return join "\n", 'BEGIN;', write_facts(), 'SAVEPOINT s;', write_facts(), (chance(0.5) ? 'ROLLBACK TO s;' : ()), 'COMMIT;' if $what < 0.2;
	return write_facts() if $what < 0.4;
	return refresh() if $what < 0.55;
	return undone() if $what < 0.65;
	return partition_step();
}
