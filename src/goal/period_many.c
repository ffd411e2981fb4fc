/*-------------------------------------------------------------------------
 *
 * period_many.c
 *	  What is asked for in the one period of each of many goals.
 *
 * The same versions as version.c and period.c write for one goal, by a few statements for all:
 * a target that is split over thousands of people has no time for one after the other.
 * Only for targets that are numbers, as those have nothing to be looked up.
 *
 * Locks: rows of kpi.goal_version and kpi.goal_target, after those of the goals.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "goal/goal_internal.h"
#include "miscadmin.h"

/* The goals, with what they ask for now. */
#define ASKED \
	"ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) WITH ORDINALITY n (goal_id, target, target_high, position) JOIN kpi.goal g ON g.id = n.goal_id"

void
kpi_goal_targets_write_many(Datum goal_ids, Datum targets, Datum highs, const char *kind)
{
	KpiParam	ids = KPI_VALUE(INT8ARRAYOID, goal_ids);
	KpiParam	low = KPI_VALUE(NUMERICARRAYOID, targets);
	KpiParam	high = KPI_VALUE(NUMERICARRAYOID, highs);

	kpi_goal_closed_check_targets(goal_ids);
	(void) kpi_spi_exec("UPDATE kpi.goal_target t SET valid_until = pg_catalog.clock_timestamp() FROM " ASKED
						" WHERE t.goal_id = n.goal_id AND t.valid_until IS NULL"
						" AND (t.target, t.target_high, t.target_text, t.target_kind) IS DISTINCT FROM (n.target, n.target_high, g.target_text, $4)",
						4, ids, low, high, KPI_TEXT(kind));

	/*
	 * What was altered in the midst of a period applies from today on, as in
	 * kpi_goal_version_add().
	 */
	(void) kpi_spi_exec("INSERT INTO kpi.goal_version"
						" (goal_id, version, since, target_text, target, target_high, minimum, stretch, made_by, reason)"
						" SELECT g.id, coalesce(v.version, 0) + 1,"
						"  CASE WHEN v.version IS NULL THEN g.period_start ELSE greatest(g.period_start, least(s.today, g.period_end)) END,"
						"  g.target_text, n.target, n.target_high, g.minimum, g.stretch, $4, nullif($5, '')"
						" FROM " ASKED
						" JOIN kpi_internal.kpi_state s ON s.kpi_id = g.kpi_id"
						" LEFT JOIN LATERAL (SELECT z.version, z.target_text FROM kpi.goal_version z WHERE z.goal_id = g.id"
						"  ORDER BY z.version DESC LIMIT 1) v ON true"
						" WHERE v.target_text IS DISTINCT FROM g.target_text ORDER BY n.position", 5, ids, low, high,
						KPI_TEXT(GetUserNameFromId(GetOuterUserId(), false)), KPI_TEXT(kpi_reason));
	/* Of a range the shortest period that holds it, as in forecast_period(). */
	(void) kpi_spi_exec("INSERT INTO kpi.goal_target (goal_id, period, period_start, period_end, version, target, target_high,"
						"  minimum, stretch, target_text, target_kind, is_fixed, forecast_grain, forecast_start)"
						" SELECT g.id, g.period, g.period_start, g.period_end, 1 + coalesce((SELECT pg_catalog.max(o.version)"
						"   FROM kpi.goal_target o WHERE o.goal_id = g.id), 0), n.target, n.target_high, g.minimum, g.stretch,"
						"  g.target_text, $4, true, f.grain, f.start"
						" FROM " ASKED
						" LEFT JOIN LATERAL (SELECT x.grain, CASE WHEN g.grain = 'range' THEN kpi.period_start(g.period_start, x.grain)"
						"   ELSE g.period_start END AS start"
						"  FROM (VALUES ('week', 1), ('month', 2), ('quarter', 3), ('year', 4)) x (grain, n)"
						"  WHERE CASE WHEN g.grain = 'range' THEN x.n > 1 AND kpi.period_end(g.period_start, x.grain) >= g.period_end"
						"   ELSE g.grain = x.grain END ORDER BY x.n LIMIT 1) f ON true"
						" WHERE NOT EXISTS (SELECT FROM kpi.goal_target o WHERE o.goal_id = g.id AND o.valid_until IS NULL)"
						" ORDER BY n.position", 4, ids, low, high, KPI_TEXT(kind));
}
