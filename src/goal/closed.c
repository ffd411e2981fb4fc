/*-------------------------------------------------------------------------
 *
 * closed.c
 *	  Goals whose period is closed: what was reported of them holds.
 *
 * kpi.goal_reported has what was reported when the period of a goal was closed.  While
 * it is, the target in that period does not change (period.c), the goal is not
 * dropped, and what it reported is the baseline of relative targets (baseline.c).  Its
 * row of kpi.goal_progress goes on beside that, as facts move it.
 *
 * Locks: whoever closes a period, alters or drops a goal has the row of kpi.goal first.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "goal/goal_internal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static Numeric
copied(KpiRows *rows, const char *column)
{
	bool		isnull;
	Datum		datum = kpi_rows_datum(rows, column, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(datum);
}

/*
 * Goals of several plans may have been closed at different times: the last one says
 * what is known best.
 */
bool
kpi_goal_closed_value(const KpiProgram *program, const KpiPlace *place, DateADT end, KpiValue *value)
{
	bool		of_member = place->scope_kind == KPI_SCOPE_MEMBER;
	KpiRows		rows;
	bool		found;

	kpi_rows_begin_read(&rows, "SELECT r.reported_actual, r.reported_numerator, r.reported_denominator"
						" FROM kpi.goal g JOIN kpi.goal_reported r ON r.goal_id = g.id AND r.reopened_at IS NULL"
						" WHERE g.kpi_id = $1 AND CASE WHEN $2 THEN g.member_id = $3 ELSE g.team_id = $3 END"
						" AND CASE $4 WHEN 0 THEN g.dimension IS NULL ELSE EXISTS (SELECT FROM kpi.kpi k"
						"  JOIN kpi.dimension d ON d.source_id = k.source_id AND d.name = g.dimension"
						"  JOIN kpi_internal.dim x ON x.source_id = d.source_id AND x.position = d.position"
						"   AND x.vals = ARRAY[g.dimension_value] COLLATE \"C\""
						"  WHERE k.id = g.kpi_id AND x.id = $4) END"
						" AND r.period_start = $5 AND r.period_end = $6 ORDER BY r.reported_at DESC, r.id DESC LIMIT 1",
						6, KPI_INT4(program->nodes[program->nnodes - 1].kpi_id), KPI_BOOL(of_member),
						KPI_INT4(place->scope_id), KPI_INT4(place->dim_id),
						KPI_VALUE(DATEOID, DateADTGetDatum(place->start)), KPI_VALUE(DATEOID, DateADTGetDatum(end)));
	found = kpi_rows_next(&rows);
	if (found)
	{
		memset(value, 0, sizeof(*value));
		value->value = copied(&rows, "reported_actual");
		value->numerator = copied(&rows, "reported_numerator");
		value->denominator = copied(&rows, "reported_denominator");
	}
	kpi_rows_end(&rows);
	return found;
}

bool
kpi_goal_closed(int64 goal_id, DateADT start)
{
	return kpi_spi_exec("SELECT FROM kpi.goal_reported r WHERE r.goal_id = $1 AND r.period_start = $2 AND r.reopened_at IS NULL",
						2, KPI_INT8(goal_id), KPI_VALUE(DATEOID, DateADTGetDatum(start))) > 0;
}

/* ---- what is refused ---- */

/*
 * Error if one of the goals g of a condition is closed, which is to get another target from a
 * day on, or to go.
 */
static void
refuse_closed(bool target, const char *condition, KpiParam of, DateADT since)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, psprintf("SELECT coalesce('\"' || g.name || '\"', g.id::text) AS label, c.period, c.closed_by,"
								   " pg_catalog.to_char(c.closed_at, 'YYYY-MM-DD') AS closed_on, k.name AS kpi"
								   " FROM kpi.goal g JOIN kpi.goal_reported r ON r.goal_id = g.id AND r.reopened_at IS NULL"
								   " JOIN kpi.closed_period c ON c.id = r.closed_period_id JOIN kpi.kpi k ON k.id = g.kpi_id"
								   " WHERE %s AND (NOT $3 OR NOT g.is_recurring OR r.period_end >= $2) ORDER BY g.id, r.period_start LIMIT 1", condition), 3, of,
				   KPI_VALUE(DATEOID, DateADTGetDatum(since)), KPI_BOOL(target));
	if (kpi_rows_next(&rows))
	{
		char	   *goal = kpi_rows_text(&rows, "label");
		char	   *period = kpi_rows_text(&rows, "period");

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 target ?
				 errmsg("target of goal %s cannot be changed, as period \"%s\" is closed", goal, period) :
				 errmsg("goal %s cannot be dropped, as period \"%s\" is closed", goal, period),
				 errdetail("It was reported on %s by role \"%s\".", kpi_rows_text(&rows, "closed_on"),
						   kpi_rows_text(&rows, "closed_by")),
				 errhint("Run SELECT kpi.reopen_period(%s, kpis => ARRAY[%s], reason => '...') first.",
						 quote_literal_cstr(period), quote_literal_cstr(kpi_rows_text(&rows, "kpi")))));
	}
	kpi_rows_end(&rows);
}

/* A recurring goal has periods that go on. */
void
kpi_goal_closed_check_target(int64 goal_id, DateADT since)
{
	refuse_closed(true, "g.id = $1", KPI_INT8(goal_id), since);
}

/* The same of many goals, each for one period. */
void
kpi_goal_closed_check_targets(Datum goal_ids)
{
	refuse_closed(true, "g.id = ANY ($1)", KPI_VALUE(INT8ARRAYOID, goal_ids), 0);
}

void
kpi_goal_closed_check_drop(int64 goal_id)
{
	refuse_closed(false, "g.id = $1", KPI_INT8(goal_id), 0);
}

void
kpi_goal_closed_check_drop_of_kpi(int32 kpi_id)
{
	refuse_closed(false, "g.kpi_id = $1", KPI_INT4(kpi_id), 0);
}

void
kpi_goal_closed_check_drop_of_member(int32 member_id)
{
	refuse_closed(false, "g.member_id = $1", KPI_INT4(member_id), 0);
}

/* ---- when a period was closed or reopened ---- */

/*
 * Relative targets of periods that are not over, which compare with one for which something
 * else is reported now than they were made from.  Those over an average of periods stay:
 * which periods these are is another question every day.
 */
static void
follow_reported(Datum goal_ids)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT DISTINCT o.id FROM kpi.goal_reported r JOIN kpi.goal g ON g.id = r.goal_id"
				   " JOIN kpi.goal o ON o.kpi_id = g.kpi_id AND o.team_id IS NOT DISTINCT FROM g.team_id"
				   "  AND o.member_id IS NOT DISTINCT FROM g.member_id AND o.dimension IS NOT DISTINCT FROM g.dimension"
				   "  AND o.dimension_value IS NOT DISTINCT FROM g.dimension_value"
				   " JOIN kpi.goal_target t ON t.goal_id = o.id AND t.valid_until IS NULL AND t.baseline_period = r.period"
				   " WHERE r.goal_id = ANY ($1) AND r.reopened_at IS NULL AND t.baseline IS DISTINCT FROM r.reported_actual ORDER BY o.id",
				   1, KPI_VALUE(INT8ARRAYOID, goal_ids));
	while (kpi_rows_next(&rows))
	{
		int64		id = kpi_rows_int8(&rows, "id");

		kpi_spi_exec("SELECT FROM kpi.goal WHERE id = $1 FOR NO KEY UPDATE", 1, KPI_INT8(id));
		kpi_goal_targets_write(id, KPI_TARGET_REPORTED);
		kpi_goal_notify_goal(id);
	}
	kpi_rows_end(&rows);
}

void
kpi_goal_closed_write(Datum goal_ids)
{
	kpi_goal_recheck_later(goal_ids);
	kpi_goal_notify_rows(goal_ids, true);
	follow_reported(goal_ids);
}
