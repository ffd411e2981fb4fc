# Text, binary and stored forms of cells, sound ones and mutated ones: nothing
# but a clean error of input refuses one, and what is accepted is a cell: it
# goes through text and binary form unharmed, and merging and negating it are
# what they say.  Of what is stored, damage may have made another cell that
# looks sound, or none: no server dies of it.
#
# KPI_SEED repeats a run, KPI_FUZZ_SECONDS sets its length.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $seed = srand($ENV{KPI_SEED} || time);
my $seconds = $ENV{KPI_FUZZ_SECONDS} || 20;
my $batch_size = 400;
my $node = new_node('fuzz', 'restart_after_crash = on');
my $file = $node->basedir . '/image';
my %accepted = map { $_ => 0 } qw(text binary stored);
my %refused = %accepted;

note "seed $seed";
# A copy of a bytea's field in COPY's binary format is what the type's binary
# input is given.  xmltotext() returns its argument as it is: what is stored.
$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION pg_kpi;
	CREATE SCHEMA fuzz;
	CREATE TABLE fuzz.cell (cell kpi.cell);
	CREATE FUNCTION fuzz.stored(bytea) RETURNS kpi.cell LANGUAGE internal STRICT AS 'xmltotext';
	CREATE FUNCTION fuzz.image(kpi.cell) RETURNS bytea LANGUAGE internal STRICT AS 'xmltotext';
	CREATE FUNCTION fuzz.of_text(input text) RETURNS kpi.cell LANGUAGE sql AS 'SELECT input::kpi.cell';
	CREATE FUNCTION fuzz.of_stored(input text) RETURNS kpi.cell LANGUAGE sql AS 'SELECT fuzz.stored(input::bytea)';
	CREATE FUNCTION fuzz.of_binary(input text) RETURNS kpi.cell LANGUAGE plpgsql AS \$\$
	DECLARE
		result kpi.cell;
	BEGIN
		EXECUTE format('COPY (SELECT %L::bytea) TO %L (FORMAT binary)', input, '$file');
		COPY fuzz.cell FROM '$file' (FORMAT binary);
		DELETE FROM fuzz.cell RETURNING cell INTO result;
		RETURN result;
	END \$\$;
} . q{
	-- What is wrong with a cell that was accepted.
	CREATE FUNCTION fuzz.wrong(c kpi.cell) RETURNS text LANGUAGE plpgsql SET search_path = kpi, kpi_internal, pg_catalog AS $$
	DECLARE
		again kpi.cell;
	BEGIN
		IF c::text::kpi.cell <> c OR c::text::kpi.cell::text <> c::text THEN
			RETURN 'text';
		END IF;
		again := fuzz.of_binary(kpi_internal.cell_send(c)::text);
		IF again <> c OR again::text <> c::text OR kpi_internal.cell_send(again) <> kpi_internal.cell_send(c) THEN
			RETURN 'binary';
		END IF;
		-- that something is not known does not go away
		IF c::text !~ 'bounded=1' AND (NOT kpi_internal.is_empty(c - c) OR NOT kpi_internal.is_empty(c + (- c))) OR - (- c) <> c THEN
			RETURN 'inverse';
		END IF;
		IF (c = 'v1{}') <> kpi_internal.is_empty(c) OR c + 'v1{}' <> c THEN
			RETURN 'zero';
		END IF;
		PERFORM kpi_internal.cell_final(c, id) FROM generate_series(0, 3) id;
		BEGIN
			IF (c + c) - c <> c OR (SELECT kpi_internal.merge(x) FROM unnest(ARRAY[c, c]) x) <> c + c THEN
				RETURN 'merge';
			END IF;
		EXCEPTION WHEN numeric_value_out_of_range THEN
			-- twice as much may be too much
		END;
		RETURN NULL;
	END $$;
	-- Takes inputs: accepted, refused, and what should not have been.
	CREATE FUNCTION fuzz.take(form text, inputs text[], states text[],
							  OUT accepted integer, OUT refused integer, OUT problems text) LANGUAGE plpgsql AS $$
	DECLARE
		input text;
		problem text;
		c kpi.cell;
	BEGIN
		accepted := 0;
		refused := 0;
		FOREACH input IN ARRAY inputs LOOP
			c := NULL;
			BEGIN
				problem := NULL;
				EXECUTE format('SELECT fuzz.of_%s($1)', form) INTO c USING input;
				problem := fuzz.wrong(c);
				accepted := accepted + 1;
			EXCEPTION WHEN OTHERS THEN
				IF sqlstate <> ALL (states) OR c IS NOT NULL THEN
					problem := sqlstate || ' ' || sqlerrm;
				END IF;
				refused := refused + 1;
			END;
			CONTINUE WHEN form = 'stored' AND problem !~ '^(XX000|53|57)';
			IF problem IS NOT NULL THEN
				problems := concat_ws(E'\n', problems, format('%s: %s', problem, quote_literal(left(input, 2000))));
			END IF;
		END LOOP;
	END $$;

	-- Cells as they are stored.
	CREATE TABLE fuzz.facts (owner text, day date, a numeric, b integer);
	INSERT INTO fuzz.facts SELECT 'o' || i % 7, date '2026-01-01' + i % 50,
		CASE i % 6 WHEN 0 THEN 'NaN' WHEN 1 THEN 1e300 WHEN 2 THEN -1e-30 * i WHEN 3 THEN NULL ELSE i * 1.01 END, i * (-1) ^ i
	FROM generate_series(1, 600) i;
	SELECT kpi.create_source('fuzz', relation => 'fuzz.facts', key => 'b', owner => 'owner', at => 'day');
	SELECT kpi.create_kpi('k' || i, source => 'fuzz', measure => m)
	FROM unnest(ARRAY['count(*)', 'sum(a)', 'avg(b)', 'rate(b > 0, true)', 'ratio(a, b)', 'sum(1 / (b - 7))',
	'median(b)', 'percentile(0.9, a, error => 0.05)', 'count(DISTINCT a)', 'count(DISTINCT b)', 'stddev(b)', 'variance(a)',
	'max(a)', 'min(b)', 'first(a)', 'last(b)']) WITH ORDINALITY u (m, i);
	CALL kpi.refresh();});

# What is given to each form, and the errors that may refuse it.
my %form = (
	text => { states => ['22P02'], make => sub { return chance(0.2) ? random_text() : mutated_text(random_text()) } },
	binary => { states => [ '22P03', '08P01' ], make => sub { return mutated_bytes('binary') } },
	stored => { states => [ 'XX001', '0A000' ], make => sub { return mutated_bytes('stored') } });
my @stored = split /\n/, $node->safe_psql('postgres',
	q{SELECT substr(fuzz.image(cell)::text, 3) FROM kpi_internal.day_cell ORDER BY 1});
my @binary;
my $end = Time::HiRes::time() + $seconds;
my $batches = 0;

cmp_ok(scalar @stored, '>', 40, 'there are stored cells');
BATCH: while (Time::HiRes::time() < $end)
{
	@binary = split /\n/, $node->safe_psql('postgres', 'SELECT substr(kpi_internal.cell_send(c::kpi.cell)::text, 3) FROM unnest('
			. array_of(map { random_text() } 1 .. 50) . ') c');
	for my $form (sort keys %form)
	{
		my @inputs = map { $form{$form}{make}->() } 1 .. $batch_size;
		my ($ok, $problems) = take($form, @inputs);

		next if $ok && $problems eq '';
		fail("batch $batches of $form");
		diag "KPI_SEED=$seed repeats it.\n" . ($ok ? $problems : culprit($form, @inputs));
		last BATCH;
	}
	$batches++;
}
for my $form (sort keys %form)
{
	cmp_ok($accepted{$form}, '>', 0, "$form: sound cells are accepted");
	cmp_ok($refused{$form}, '>', 0, "$form: others are not");
	note "$form: $accepted{$form} accepted, $refused{$form} refused";
}
cmp_ok($batches, '>', 0, 'time for one batch');

$node->stop;
done_testing();

sub pick { return $_[ rand @_ ]; }
sub chance { return rand() < $_[0]; }

sub array_of
{
	return 'ARRAY[' . join(', ', map { "E'" . s/([\\'])/\\$1/gr . "'" } @_) . ']::text[]';
}

# True if the server is alive, and what it found.
sub take
{
	my ($form, @inputs) = @_;
	my ($out, $err);
	my $status = eval {
		$node->psql('postgres', "SELECT accepted, refused, problems FROM fuzz.take('$form', "
				. array_of(@inputs) . ', ' . array_of(@{ $form{$form}{states} }) . ')', stdout => \$out, stderr => \$err);
	};

	return (0, '') if !defined $status || $status == 2;
	return (1, $err) if $status != 0;
	my ($accepted, $refused, $problems) = split /\|/, $out, 3;
	$accepted{$form} += $accepted;
	$refused{$form} += $refused;
	return (1, $problems);
}

# The input that a server does not survive, if it is one.
sub culprit
{
	my ($form, @inputs) = @_;
	my $kills = sub {
		my $is_alive = (take($form, @_))[0];

		$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
		return !$is_alive;
	};

	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';

	while (@inputs > 1)
	{
		my @first = splice @inputs, 0, @inputs / 2;

		@inputs = @first if $kills->(@first);
	}
	return "The server does not survive $form $inputs[0]" if $kills->(@inputs);
	return 'The server does not survive the batch, though each single input.';
}

# ---- text ----

sub random_count
{
	return pick(0, 1, -1, 7, 4611686018427387903, -4611686018427387903, int(rand(1e6)), -int(rand(1e6)));
}

sub random_sum
{
	my $digits = pick(1, 3, 9, 30, 1000);

	return pick('0', '-0', '0.000', '-1', '1', '0.' . '0' x 40 . '1', '9' x 1000, '-' . '9' x 999 . '.' . '9' x 20)
	  if chance(0.2);
	return pick('', '-') . join('', map { int rand 10 } 1 .. $digits)
	  . (chance(0.5) ? '.' . join('', map { int rand 10 } 1 .. 1 + rand 20) : '');
}

sub random_histogram
{
	my $fine = pick(4, 35, 36, 400);
	my $last = 80 * $fine;
	my %buckets;

	for (1 .. pick(0, 1, 3, 40))
	{
		$buckets{ pick(0, 1, -1, $last, -$last, int(rand(2 * $last)) - $last) } =
		  pick(1, -1, 2, 70368744177663, -70368744177663, 1 + int(rand(1000)));
	}
	return sprintf 'nonfinite=%s clamped=%s per_doubling=%s buckets=%s', random_count(), random_count(), $fine,
	  join(',', map { "$_:$buckets{$_}" } sort { $a <=> $b } keys %buckets);
}

# The most extreme values, and how far they are known.
sub random_extreme
{
	my ($kind) = @_;
	my %at = map { int(rand(2000)) - 1000 => 1 } 1 .. pick(0, 1, 3, 31);
	my @at = sort { $kind =~ /min|first/ ? $a <=> $b : $b <=> $a } keys %at;
	my $point = sub {
		return sprintf 'value=%.2f', $_[0] / 4 if $kind =~ /^m/;
		return sprintf 'at=%d %s value=%s', $_[0], pick('key=' . random_sum(), 'text=' . pick('', '00ff', 'c3a4', '61' x 256)), random_sum();
	};
	my $bounded = chance(0.5);
	my $bound = $kind =~ /min|first/ ? 1001 : -1001;

	return join ' ', "$kind n=" . random_count(), 'nonfinite=' . random_count(), 'entries=' . @at, 'bounded=' . ($bounded ? 1 : 0),
	  ($bounded ? $point->($bound) : ()), map { 'count=' . pick(1, -1, 7, 4611686018427387903) . ' ' . $point->($_) } @at;
}

sub random_multiset
{
	my %values;
	my $facts = 0;

	return sprintf 'facts=%s forgotten=%s*%s', random_count(), 1 + int(rand(1e9)), random_count() if chance(0.2);
	for (1 .. pick(0, 1, 3, 40))
	{
		$values{ pick(0, 1, -1, '9223372036854775807', '-9223372036854775808', int(rand(2e6)) - 1e6, int(rand(1000))) } =
		  pick(1, 1, -1, 2, 70368744177663, 1 + int(rand(1000)));
	}
	$facts += $_ for values %values;
	return sprintf 'facts=%s values=%s', $facts, join(',', map { "$_*$values{$_}" } sort { $a <=> $b } keys %values);
}

# A cell that is to be accepted.
sub random_text
{
	my $id = 0;
	my @states;

	for (1 .. rand 6)
	{
		$id += 1 + int(chance(0.1) ? rand 1e9 : rand 3);
		last if $id > 2147483647;
		push @states, "$id:" . pick(
			sub { 'count n=' . random_count() },
			sub { sprintf '%s n=%s nonfinite=%s sum=%s', pick('sum', 'avg'), random_count(), random_count(), random_sum() },
			sub { sprintf 'rate num=%s den=%s', random_count(), random_count() },
			sub { sprintf 'ratio n=%s nonfinite=%s num=%s den=%s', random_count(), random_count(), random_sum(), random_sum() },
			sub { sprintf '%s n=%s nonfinite=%s sum=%s squares=%s', pick('variance', 'stddev'), random_count(), random_count(), random_sum(), random_sum() },
			sub { 'percentile ' . random_histogram() },
			sub { random_extreme(pick(qw(min max first last))) },
			sub { pick('distinct ', 'distinct_approx ') . random_multiset() },
			sub { 'errors n=' . random_count() })->();
	}
	return 'v1{' . join('; ', @states) . '}';
}

sub mutated_text
{
	my ($text) = @_;

	for (1 .. 1 + rand 3)
	{
		my $at = int rand(1 + length $text);
		my $length = int rand(1 + pick(1, 1, 4, length($text) - $at));

		if (chance(0.3))
		{
			my @numbers = ($text =~ /-?\d+/g);
			my $number = pick(@numbers);
			my $other = pick('', '-', '--1', '+1', '00', '-0', '1e5', '.5', '5.', 'NaN', 'Infinity', '0x1F', '1_000', 2147483647,
				2147483648, '4611686018427387904', '-4611686018427387904', '9223372036854775807', '-9223372036854775808',
				'9223372036854775808', '9' x 40, '9' x 1001, '0' x 2000 . '7', '0.' . '3' x 16383, '0.' . '3' x 16384, ' 1', "\t1");
			$text =~ s/\Q$number\E/$other/ if defined $number;
		}
		elsif (chance(0.3))
		{
			my $other = random_text();
			substr($text, $at, $length) = substr($other, int rand length $other, 1 + rand 20);
		}
		elsif (chance(0.3))
		{
			substr($text, $at, 0) = substr($text, $at, $length);
		}
		else
		{
			substr($text, $at, $length) = pick('', '{', '}', ':', ';', '=', '-', '.', ' ', "\t", "\n", "\x0b", '0', '9', 'n', 'v', 'sum', 'median',
				'"', "'", '\\', "\x01", "\x7f", "\xc3\xa4", "\xc2\xa0", "\xe2\x82\xac", 'x' x 70);
		}
	}
	# Another encoding's bytes never reach the type.
	utf8::decode(my $copy = $text) or $text =~ s/[\x80-\xff]//g;
	return $text;
}

# ---- bytes, in hexadecimal digits ----

sub mutated_bytes
{
	my ($form) = @_;
	my $corpus = $form eq 'binary' ? \@binary : \@stored;
	my $bytes = pack 'H*', pick(@$corpus);
	# The first byte of what is stored says that it is compact.
	my $first = $form eq 'stored' ? 1 : 0;

	for (1 .. (chance(0.15) ? 0 : 1 + rand 3))
	{
		my $at = $first + int rand(length($bytes) - $first);
		my $length = int rand(1 + pick(1, 4, 8, length($bytes) - $at));

		if (chance(0.3))
		{
			substr($bytes, $at, 1) ^= chr(1 << rand 8);
		}
		elsif (chance(0.3))
		{
			substr($bytes, $at, 1) = chr pick(0, 1, 2, 3, 4, 5, 6, 7, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xfe, 0xff, rand 256);
		}
		elsif (chance(0.3))
		{
			my $number = pick(pack('N', pick(0, 1, 2, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff)),
				pack('n', pick(0, 1, 9999, 10000, 0x4000, 0x7fff, 0xc000, 0xd000, 0xf000, 0xffff)),
				pack('NN', pick(0, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xc0000000), pick(0, 1, 0xffffffff)),
				"\xff" x 9 . "\x01");
			substr($bytes, $at, length $number) = $number;
		}
		elsif (chance(0.5))
		{
			my $other = pack 'H*', pick(@$corpus);
			substr($bytes, $at, $length) = substr($other, int rand length $other, 1 + rand 20);
		}
		else
		{
			substr($bytes, $at, $length) = chance(0.5) ? '' : substr($bytes, $at, $length) x 2;
		}
	}
	return '\\x' . unpack('H*', length $bytes > $first ? $bytes : "\x81");
}
