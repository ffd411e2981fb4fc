-- 85_reconcile: a reader's own numbers against those of a KPI (explain/reconcile.c).

-- Numbers of owners on days, theirs and ours (by the number of the owner, with a day more on both sides), compared by owner,
-- or by team where all of theirs are teams.  Reasons are what can be tested:
--   - unassigned owners: who owns the facts is nobody that is known, so they count for the company alone
--   - team of today: each fact at the team that its owner is in today makes theirs
--   - days: what is too much at the end of each period is at most what we have on the day after it (or, cut later, what
--     is missing at most what we have on its last day), so facts have moved to the day before (after) and nothing else
CREATE FUNCTION kpi_internal.reconcile_rows(owners text[], days date[], numbers numeric[], our_owners integer[], our_days date[], our_numbers numeric[],
                                            grain text, since date, until date, source_id integer, owner_kind integer, today date, differing_only boolean)
    RETURNS TABLE (owner text, member text, team text, period text, period_start date, theirs numeric, ours numeric, difference numeric, reason text)
    STABLE LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH theirs AS MATERIALIZED (
        SELECT '=' || u.owner COLLATE "C" AS owner, kpi.period_start(u.day, $7) AS start, sum(u.number) AS number
          FROM unnest($1, $2, $3) u (owner, day, number) GROUP BY 1, 2),
    known AS MATERIALIZED (     -- who facts are of
        SELECT o.id, '=' || o.key AS owner, z.member_id, z.teams AS teams_today,
               CASE WHEN $11 IN (0, 3) THEN coalesce(z.member_id, 0) = 0
                    ELSE NOT EXISTS (SELECT FROM kpi.team g WHERE g.key = o.key) END AS is_unknown
          FROM (SELECT DISTINCT u.id FROM unnest($4) u (id)) x
          JOIN kpi_internal.owner o ON o.id = x.id
          LEFT JOIN kpi_internal.applied_attribution z ON z.source_id = $10 AND z.owner_kind = $11 AND z.owner_id = x.id
                                                       AND z.since <= $12 AND z.until > $12),
    by_team AS MATERIALIZED (
        SELECT $11 IN (0, 3) AND coalesce(bool_and(EXISTS (SELECT FROM kpi.team g WHERE '=' || g.key = t.owner)
                                                   AND NOT EXISTS (SELECT FROM known k WHERE k.owner = t.owner)), false) AS holds
          FROM theirs t WHERE t.owner IS NOT NULL),
    fact AS MATERIALIZED (      -- our days, by what theirs are by; at_today: only where the team of today is meant
        SELECT k.owner, u.day, u.number, false AS at_today, k.is_unknown
          FROM unnest($4, $5, $6) u (id, day, number) JOIN known k ON k.id = u.id
         WHERE NOT (SELECT b.holds FROM by_team b)
        UNION ALL
        SELECT '=' || g.key, u.day, u.number, s.at_today, g.id = 2
          FROM unnest($4, $5, $6) u (id, day, number)
          JOIN known k ON k.id = u.id
          LEFT JOIN kpi_internal.applied_attribution z ON z.source_id = $10 AND z.owner_kind = $11 AND z.owner_id = u.id
                                                       AND z.since <= u.day AND z.until > u.day
         CROSS JOIN LATERAL (VALUES (false, z.teams), (true, k.teams_today)) s (at_today, teams)
          JOIN kpi.team g ON g.id = ANY (s.teams)
         WHERE (SELECT b.holds FROM by_team b)
           AND (g.id = 2 OR EXISTS (SELECT FROM theirs t WHERE t.owner = '=' || g.key))),
    ours AS MATERIALIZED (
        SELECT f.owner, kpi.period_start(f.day, $7) AS start, sum(f.number) FILTER (WHERE NOT f.at_today) AS number,
               sum(f.number) FILTER (WHERE f.at_today) AS number_today, bool_and(f.is_unknown) AS is_unknown
          FROM fact f WHERE f.day >= $8 AND f.day < $9 GROUP BY 1, 2),
    both_of AS MATERIALIZED (
        SELECT b.*, coalesce(b.theirs, 0) - coalesce(b.ours, 0) AS difference, kpi.period_end(b.start, $7) AS last
          FROM (SELECT coalesce(t.owner, o.owner) AS owner, coalesce(t.start, o.start) AS start, t.number AS theirs, o.number AS ours,
                       o.number_today, coalesce(o.is_unknown, false) AS is_unknown
                  FROM theirs t FULL JOIN ours o ON coalesce(t.owner, '') = coalesce(o.owner, '') AND t.start = o.start) b),
    moved AS MATERIALIZED (     -- owners of whom facts have moved by a day
        SELECT c.owner, bool_and(c.sum >= 0 AND c.sum <= c.day_after) OR bool_and(c.sum <= 0 AND -c.sum <= c.last_day) AS holds
          FROM (SELECT b.owner, sum(b.difference) OVER (PARTITION BY b.owner ORDER BY b.start) AS sum,
                       coalesce(n.number, 0) AS day_after, coalesce(e.number, 0) AS last_day
                  FROM both_of b
                  LEFT JOIN (SELECT f.owner, f.day, sum(f.number) AS number FROM fact f WHERE NOT f.at_today GROUP BY 1, 2) n
                    ON coalesce(n.owner, '') = coalesce(b.owner, '') AND n.day = b.last + 1
                  LEFT JOIN (SELECT f.owner, f.day, sum(f.number) AS number FROM fact f WHERE NOT f.at_today GROUP BY 1, 2) e
                    ON coalesce(e.owner, '') = coalesce(b.owner, '') AND e.day = b.last) c
         GROUP BY 1)
    SELECT substr(b.owner, 2), m.key, CASE WHEN $11 IN (1, 4) OR (SELECT x.holds FROM by_team x) THEN g.key ELSE h.key END,
           kpi.period_name(b.start, $7), b.start, b.theirs, b.ours, b.difference,
           CASE WHEN b.difference = 0 THEN NULL
                WHEN b.is_unknown AND b.theirs IS NULL THEN 'unassigned owners'
                WHEN b.theirs = b.number_today THEN 'team of today instead of then'
                WHEN v.holds THEN 'days cut in another zone'
                WHEN b.is_unknown THEN 'unassigned owners' END
      FROM both_of b
      LEFT JOIN moved v ON coalesce(v.owner, '') = coalesce(b.owner, '')
      LEFT JOIN known k ON k.owner = b.owner AND NOT (SELECT x.holds FROM by_team x)
      LEFT JOIN kpi.member m ON m.id = k.member_id
      LEFT JOIN kpi.team g ON '=' || g.key = b.owner
      LEFT JOIN kpi.membership s ON s.member_id = m.id AND least(b.last, $12) <@ daterange(s.since, s.until)
      LEFT JOIN kpi.team h ON h.id = s.team_id
     WHERE b.difference <> 0 OR NOT $13
     ORDER BY abs(b.difference) DESC, b.owner, b.start
$$;
COMMENT ON FUNCTION kpi_internal.reconcile_rows(text[], date[], numeric[], integer[], date[], numeric[], text, date, date, integer, integer, date, boolean) IS
'The rows of kpi.reconcile(): numbers of a reader and of the day cells of a stream, by owner or team and period, and why they differ';

CREATE FUNCTION kpi.reconcile(kpi text, query text, grain text DEFAULT 'month', since date DEFAULT NULL, until date DEFAULT NULL,
                              differing_only boolean DEFAULT true,
                              OUT owner text, OUT member text, OUT team text, OUT period text, OUT period_start date, OUT theirs numeric,
                              OUT ours numeric, OUT difference numeric, OUT reason text)
    RETURNS SETOF record STABLE COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_reconcile';
COMMENT ON FUNCTION kpi.reconcile(text, text, text, date, date, boolean) IS
'Your own numbers against those of a KPI that counts or sums, per owner and period, the largest difference (theirs - ours) first. query is one SELECT, run with your rights in a read-only transaction, of three columns: the owner as facts have it, or the key of a team in all rows; a date, timestamp or timestamptz (cut into days in the time zone of the calendar); the number. Days are summed into periods of the grain, from since until before until. member is whose the owner is, team where that was at the end of the period; of unknown owners null. reason is the likely one where it is one of: days cut in another zone (facts are in the period beside, by a day), team of today instead of then, unassigned owners (who owns the facts is no member, they count for the company alone); else null. differing_only => false shows equal rows too. Cost: the query, and the day cells of the KPI. Errors: KPI unknown (near names are offered), a formula, a rate or the like, in currencies, or without owners; grain unknown; a query that is not one SELECT or has other columns; two rows for one owner and day; a row without a day; since not before until'
;
