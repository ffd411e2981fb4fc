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

void
kpi_refresh_goals_check(int32 source_id, bool mend, KpiReport *report)
{
	KpiRows		rows;
	KpiSpi		spi;

	kpi_goal_notify_days();
	kpi_spi_begin(&spi);
	kpi_rows_begin(&rows, "SELECT * FROM kpi_internal.goal_difference d"
				   " WHERE EXISTS (SELECT FROM kpi_internal.kpi_stream s"
				   "  WHERE s.kpi_id = d.kpi_id AND s.source_id = $1)"
				   " AND NOT EXISTS (SELECT FROM kpi_internal.goal_recheck r WHERE r.goal_id = d.goal_id)"
				   " ORDER BY d.goal_id", 1, KPI_INT4(source_id));
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
	kpi_spi_end(&spi);
	if (mend)
		kpi_goal_notify_source(source_id);
}
