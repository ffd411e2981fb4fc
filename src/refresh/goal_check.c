/*-------------------------------------------------------------------------
 *
 * goal_check.c
 *	  Whether the rows of goals are what they should be.
 *
 * To be asked when those that a refresh has moved are written, and before cells
 * are mended: what they move is written again.  Rows on the list of those to be
 * looked at once more are known not to be in their final state, and left out.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "goal/goal.h"
#include "refresh/refresh_internal.h"

/* Rows of goals of source $1; after it a condition on d. */
#define DIFFERENCES \
	"SELECT * FROM kpi_internal.goal_difference d" \
	" WHERE EXISTS (SELECT FROM kpi_internal.kpi_stream s WHERE s.kpi_id = d.kpi_id AND s.source_id = $1)" \
	" AND NOT EXISTS (SELECT FROM kpi_internal.goal_recheck r WHERE r.goal_id = d.goal_id)"

static void
report_goals(const char *sql, int32 source_id, KpiReport *report)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, sql, 1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		KpiDifference diff = {
			.level = "goal",
			.kpi = kpi_rows_text(&rows, "kpi"),
			.team_id = kpi_rows_int4(&rows, "team_id"),
			.member_id = kpi_rows_int4(&rows, "member_id"),
			.grain = kpi_rows_text(&rows, "grain"),
			.start = kpi_rows_date(&rows, "period_start", DATEVAL_NOBEGIN),
			.stored = kpi_rows_text(&rows, "stored"),
			.expected = kpi_rows_text(&rows, "expected")
		};

		kpi_refresh_report(report, &diff);
	}
	kpi_rows_end(&rows);
}

void
kpi_refresh_goals_check(int32 source_id, bool mend, KpiReport *report)
{
	kpi_goal_notify_days();
	report_goals(DIFFERENCES " ORDER BY d.goal_id", source_id, report);
	if (mend)
		kpi_goal_notify_source(source_id);
}

/* Rows of goal_progress p that are to be looked at, as their day has come. */
#define IS_DUE \
	"(p.is_stale OR EXISTS (SELECT FROM kpi_internal.kpi_stream f WHERE f.kpi_id = p.kpi_id AND f.position = 1" \
	"  AND kpi_internal.goal_day_matters(p.period_start, p.period_end, p.as_of_day, kpi_internal.today_of(f.program))))"

/*
 * All are while a day has begun that nobody has announced, or calendars have
 * changed: which of them these concern is not looked for.
 */
bool
kpi_refresh_goals_prove(int32 source_id, KpiReport *report)
{
	if (kpi_first_int4("SELECT 1 FROM kpi.goal g JOIN kpi_internal.kpi_stream s ON s.kpi_id = g.kpi_id"
					   " WHERE s.source_id = $1 LIMIT 1", 1, KPI_INT4(source_id)) == 0)
		return false;
	if (kpi_first_int4("SELECT 1 FROM kpi.calendar c LEFT JOIN kpi_internal.announced_day a ON a.calendar_id = c.id"
					   " WHERE a.day IS DISTINCT FROM kpi_internal.today(c.id)"
					   " UNION ALL SELECT 1 FROM kpi_internal.source_state t, kpi_internal.version v"
					   "  WHERE t.source_id = $1 AND t.goals_calendar IS DISTINCT FROM v.calendar LIMIT 1",
					   1, KPI_INT4(source_id)) != 0)
		return true;
	report_goals(DIFFERENCES " AND NOT EXISTS (SELECT FROM kpi.goal_progress p WHERE p.goal_id = d.goal_id AND " IS_DUE ")"
				 " ORDER BY d.goal_id", source_id, report);
	return kpi_first_int4("SELECT 1 FROM kpi_internal.kpi_stream s JOIN kpi.goal_progress p ON p.kpi_id = s.kpi_id"
						  " WHERE s.source_id = $1 AND (" IS_DUE
						  "  OR EXISTS (SELECT FROM kpi_internal.goal_recheck r WHERE r.goal_id = p.goal_id)) LIMIT 1",
						  1, KPI_INT4(source_id)) != 0;
}
