# Random tables of teams and users, with all that is wrong in such tables, synced
# again and again on days that go by.  What teams and memberships must be then is
# said by plain SQL over those tables and what was there before, day by day; a dry
# run must have told the same, and a second run has nothing to do.
#
# KPI_SEED repeats a run, KPI_ROUNDS sets its length.
use strict;
use warnings FATAL => 'all';

use KpiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = srand($ENV{KPI_SEED} || time);
my $rounds = $ENV{KPI_ROUNDS} || 40;
my $node = new_node('sync', 'jit = off');
my $today = 100;    # days from 2026-01-01 on

note "seed $seed";
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_kpi;
	CREATE SCHEMA o;
	CREATE TABLE o.teams (key text, name text, parent text);
	CREATE TABLE o.users (key text, name text, team text, since date, until date);
	CREATE TABLE o.told (n bigint, action text, object text, what text, reason text);
	CREATE TABLE o.old_parent (team text, day date, parent text);
	CREATE TABLE o.old_team (member text, day date, team text);
	CREATE FUNCTION o.days() RETURNS SETOF date LANGUAGE sql STABLE AS $$
		SELECT d::date FROM generate_series(timestamp '2025-12-01', '2026-12-31', '1 day') d $$;
	-- What is recorded, day by day.
	CREATE VIEW o.parent AS SELECT t.key AS team, d AS day, p.key AS parent FROM kpi.team t JOIN kpi.team_parent l ON l.team_id = t.id
		JOIN kpi.team p ON p.id = l.parent_id JOIN o.days() d ON d >= coalesce(l.since, '-infinity') AND d < coalesce(l.until, 'infinity')
		WHERE t.id > 2;
	CREATE VIEW o.team AS SELECT m.key AS member, d AS day, t.key AS team FROM kpi.member m JOIN kpi.membership s ON s.member_id = m.id
		JOIN kpi.team t ON t.id = s.team_id JOIN o.days() d ON d >= coalesce(s.since, '-infinity') AND d < coalesce(s.until, 'infinity');
	-- Rows that may not be done: of themselves, with what depends on them, and in a circle of the tree that would be then.
	CREATE FUNCTION o.bad_teams() RETURNS TABLE (key text) LANGUAGE plpgsql AS $$
	DECLARE
		bad text[] := ARRAY(SELECT t.key FROM o.teams t GROUP BY t.key HAVING count(*) > 1
			UNION SELECT t.key FROM o.teams t WHERE t.parent = '(unassigned)'
				OR t.parent NOT IN (SELECT x.key FROM o.teams x UNION SELECT k.key FROM kpi.team k));
		more text[];
	BEGIN
		LOOP
			bad := ARRAY(WITH RECURSIVE d (key) AS (SELECT unnest(bad) UNION SELECT t.key FROM d JOIN o.teams t ON t.parent = d.key) SELECT d.key FROM d);
			more := ARRAY(
				WITH RECURSIVE edge AS (
					SELECT t.key, coalesce(t.parent, 'company') AS parent FROM o.teams t WHERE t.key <> ALL (bad)
					UNION ALL SELECT p.team, p.parent FROM o.parent p
					 WHERE p.day = kpi.today() AND p.team NOT IN (SELECT t.key FROM o.teams t WHERE t.key <> ALL (bad))),
				up (key, above) AS (SELECT e.key, e.parent FROM edge e UNION SELECT u.key, e.parent FROM up u JOIN edge e ON e.key = u.above)
				SELECT u.key FROM up u WHERE u.key = u.above AND u.key IN (SELECT t.key FROM o.teams t WHERE t.key <> ALL (bad)));
			EXIT WHEN more = '{}';
			bad := bad || more;
		END LOOP;
		RETURN QUERY SELECT unnest(bad);
	END $$;
	CREATE FUNCTION o.bad_users(history boolean) RETURNS TABLE (key text) LANGUAGE sql AS $$
		SELECT u.key FROM o.users u GROUP BY u.key HAVING count(*) > 1 AND NOT history
		UNION SELECT u.key FROM o.users u WHERE u.team IN (SELECT b.key FROM o.bad_teams() b)
			OR u.team NOT IN (SELECT t.key FROM o.teams t UNION SELECT t.key FROM kpi.team t) OR u.team = '(unassigned)' OR u.until < u.since
		UNION SELECT a.key FROM (SELECT *, row_number() OVER () AS n FROM o.users) a JOIN (SELECT *, row_number() OVER () AS n FROM o.users) b
			ON a.key = b.key AND a.n < b.n WHERE history
			AND greatest(coalesce(a.since, '-infinity'), coalesce(b.since, '-infinity')) < least(coalesce(a.until, 'infinity'), coalesce(b.until, 'infinity'))
			AND coalesce(a.since, '-infinity') < coalesce(a.until, 'infinity') AND coalesce(b.since, '-infinity') < coalesce(b.until, 'infinity') $$});

for my $round (1 .. $rounds)
{
	last if !round($round);
}
$node->stop;
done_testing();

sub pick { return $_[ rand @_ ]; }
sub chance { return rand() < $_[0]; }
sub quote { return defined $_[0] ? "'$_[0]'" : 'NULL'; }

sub date
{
	my @t = gmtime(1767225600 + 86400 * $_[0]);
	return sprintf '%d-%02d-%02d', $t[5] + 1900, $t[4] + 1, $t[3];
}

sub some_date { return chance(0.5) ? undef : date($today + int(rand(60)) - 40); }

# A tree that is one, mostly, and users in it.
sub fill
{
	my ($is_history) = @_;
	my $wrong = chance(0.5) ? 0.03 : 0;
	my (@teams, @users, %sql);

	for my $team (map { "t$_" } 1 .. 12)
	{
		next if chance(0.1);
		my $parent = @teams && chance(0.7) ? pick(@teams)->[0] : undef;

		$parent = pick('t1' .. 't9', 'nowhere', '(unassigned)') if chance($wrong);
		push @teams, [ $team, pick(undef, "$team", "Team $team"), $parent ];
	}
	# Not always the same above the same.
	my %other = map { ("t$_" => "t$_") } 1 .. 12;
	if (chance(0.5))
	{
		my @keys = sort keys %other;
		my ($a, $b) = (pick(@keys), pick(@keys));
		@other{ $a, $b } = ($b, $a);
	}
	for my $team (@teams)
	{
		$team->[0] = $other{ $team->[0] };
		$team->[2] = $other{ $team->[2] } // $team->[2] if defined $team->[2];
	}
	push @teams, [ pick(@teams)->[0], 'twice', undef ] if @teams && chance(5 * $wrong);
	for my $user (map { "u$_" } 1 .. 15)
	{
		next if chance(0.15);
		for (1 .. ($is_history || chance($wrong) ? 1 + int(rand(3)) : 1))
		{
			my ($since, $until) = (some_date(), some_date());

			($since, $until) = ($until, $since) if defined $since && defined $until && $until lt $since && !chance($wrong);
			push @users, [ $user, "Name $user", chance(0.1) ? undef : chance($wrong) ? pick('nowhere', '(unassigned)') :
				  chance(0.1) || !@teams ? 'company' : pick(@teams)->[0], $since, $until ];
		}
	}
	push @users, [ 'u0', 'Always', undef, undef, undef ];
	return join '', 'TRUNCATE o.teams, o.users;',
	  (map { sprintf "INSERT INTO o.teams VALUES (%s);\n", join ', ', map { quote($_) } @$_ } sort { rand() <=> 0.5 } @teams),
	  (map { sprintf "INSERT INTO o.users VALUES (%s);\n", join ', ', map { quote($_) } @$_ } sort { rand() <=> 0.5 } @users);
}

# Days on which a team is not where it must be, and the same of members.
sub differences_sql
{
	my ($history, $keep) = @_;

	return qq{
		WITH bad AS (SELECT key FROM o.bad_teams_now), expected AS (
			SELECT t.key AS team, d AS day, CASE WHEN d < kpi.today() AND o.team IS NOT NULL THEN o.parent ELSE coalesce(t.parent, 'company') END AS parent
			  FROM o.teams t CROSS JOIN o.days() d LEFT JOIN o.old_parent o ON o.team = t.key AND o.day = d
			 WHERE t.key NOT IN (SELECT key FROM bad)
			UNION ALL SELECT o.team, o.day, o.parent FROM o.old_parent o
			 WHERE o.team NOT IN (SELECT t.key FROM o.teams t WHERE t.key NOT IN (SELECT key FROM bad))
			   AND o.team IN (SELECT key FROM kpi.team))
		SELECT 'team', e.team, e.day, e.parent, p.parent FROM expected e FULL JOIN o.parent p USING (team, day) WHERE e.parent IS DISTINCT FROM p.parent
		UNION ALL
		SELECT * FROM (
		WITH bad AS (SELECT key FROM o.bad_users_now), good AS (SELECT * FROM o.users u WHERE u.key NOT IN (SELECT key FROM bad)),
		later AS (SELECT g.key, min(x.day) AS day FROM good g JOIN o.old_team x ON x.member = g.key
			LEFT JOIN o.old_team y ON y.member = x.member AND y.day = x.day - 1
			WHERE x.day > greatest(kpi.today(), coalesce(g.since, '-infinity')) AND x.team IS DISTINCT FROM y.team AND x.team IS DISTINCT FROM g.team GROUP BY g.key),
		expected AS (
			SELECT g.key AS member, d AS day, g.team FROM good g CROSS JOIN o.days() d
			 WHERE ($history OR g.key NOT IN (SELECT key FROM o.old_member)) AND d >= coalesce(g.since, '-infinity') AND d < coalesce(g.until, 'infinity')
			UNION ALL
			-- known, today: what was up to today, or to when the row begins; then the row, up to the next
			-- membership in another team that was recorded already
			SELECT g.key, d, CASE WHEN d < greatest(kpi.today(), coalesce(g.since, '-infinity')) THEN o.team
			                      WHEN d < coalesce(g.until, 'infinity') AND g.team IS NOT NULL THEN CASE WHEN d < coalesce(n.day, 'infinity') THEN g.team ELSE o.team END END
			  FROM good g CROSS JOIN o.days() d LEFT JOIN o.old_team o ON o.member = g.key AND o.day = d
			  LEFT JOIN later n ON n.key = g.key
			 WHERE NOT $history AND g.key IN (SELECT key FROM o.old_member)
			UNION ALL
			SELECT o.member, o.day, o.team FROM o.old_team o
			 WHERE o.member NOT IN (SELECT key FROM good)
			   AND (o.day < kpi.today() OR $keep OR o.member IN (SELECT key FROM o.users)))
		SELECT 'member', member, day, e.team, t.team FROM (SELECT * FROM expected WHERE team IS NOT NULL) e FULL JOIN o.team t USING (member, day)
		 WHERE e.team IS DISTINCT FROM t.team) m
		LIMIT 10};
}

sub round
{
	my ($round) = @_;
	my $history = chance(0.3) ? 'true' : 'false';
	my $keep = chance(0.3) ? 'true' : 'false';
	my $call = sprintf q{kpi.sync_people('SELECT * FROM o.teams', 'SELECT * FROM o.users', effective => '%s', missing => '%s', partial => true},
	  $history eq 'true' ? 'history' : 'today', $keep eq 'true' ? 'keep' : 'end';
	my $name = "seed $seed, round $round, $call";

	$today += pick(0, 1, 1, 3);
	$node->safe_psql('postgres', sprintf q{ALTER DATABASE postgres SET kpi.now = '%s 12:00+00'}, date($today));
	$node->safe_psql('postgres', fill($history eq 'true'));
	$node->safe_psql('postgres', q{
		TRUNCATE o.old_parent, o.old_team;
		INSERT INTO o.old_parent SELECT * FROM o.parent;
		INSERT INTO o.old_team SELECT * FROM o.team;
		ANALYZE o.old_parent, o.old_team;
		DROP TABLE IF EXISTS o.old_member, o.bad_teams_now, o.bad_users_now;
		CREATE TABLE o.old_member AS SELECT key FROM kpi.member;
		CREATE TABLE o.bad_teams_now AS SELECT key FROM o.bad_teams();
		CREATE TABLE o.bad_users_now AS SELECT key FROM o.bad_users(} . $history . ')');
	my $dry = $node->safe_psql('postgres', "SELECT * FROM $call, dry_run => true)");
	my $is_refused = $node->safe_psql('postgres', q{SELECT count(*) > 0 FROM (SELECT FROM o.bad_teams_now UNION ALL SELECT FROM o.bad_users_now) b});
	my ($status) = $node->psql('postgres', 'SELECT * FROM ' . ($call =~ s/partial => true/partial => false/r) . ', dry_run => true)');

	is($status != 0 ? 't' : 'f', $is_refused, "$name: refused as a whole or not") or return 0;
	is($node->safe_psql('postgres', "SELECT * FROM $call)"), $dry, "$name: as it was told") or return 0;
	my @refused = $dry =~ /^refused\|(?:team|member) "([^"]+)"/mg;
	is(join(' ', sort @refused),
		$node->safe_psql('postgres', q{SELECT string_agg(key, ' ' ORDER BY key COLLATE "C")
			FROM (SELECT key FROM o.bad_teams_now UNION ALL SELECT key FROM o.bad_users_now) b}), "$name: these are refused") or return 0;
	is($node->safe_psql('postgres', differences_sql($history, $keep)), '', "$name: everybody is where he must be") or return 0;
	is($node->safe_psql('postgres', q{SELECT t.key, t.name, k.name FROM o.teams t LEFT JOIN kpi.team k USING (key)
		WHERE t.key NOT IN (SELECT key FROM o.bad_teams_now) AND (k.key IS NULL OR t.name <> k.name)
		UNION ALL SELECT u.key, u.name, m.name FROM o.users u LEFT JOIN kpi.member m USING (key)
		WHERE u.key NOT IN (SELECT key FROM o.bad_users_now) AND u.name IS DISTINCT FROM m.name}), '', "$name: and called what he is") or return 0;
	is($node->safe_psql('postgres', "SELECT * FROM $call) WHERE action NOT IN ('refused', 'missing')"), '', "$name: nothing is left to do") or return 0;
	is($node->safe_psql('postgres', q{SELECT count(*) FROM kpi.team_ancestor WHERE team = ancestor AND depth > 0}), '0', "$name: a tree");
	return 1;
}
