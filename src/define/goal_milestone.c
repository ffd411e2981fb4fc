/*-------------------------------------------------------------------------
 *
 * goal_milestone.c
 *	  Milestones of goals: steps on the way, which a phased pace goes by.
 *
 * They are given as an object of days and numbers, and kept as rows of
 * kpi.goal_milestone.  Locks: those of these rows, after that of the goal.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "utils/builtins.h"

void
kpi_define_milestones_require(Jsonb *milestones)
{
	JsonbIterator *it = JsonbIteratorInit(&milestones->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *key = NULL;
	bool		good = JB_ROOT_IS_OBJECT(milestones) && JB_ROOT_COUNT(milestones) > 0;

	while (good && (token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
		{
			KpiGrain	grain;
			DateADT		day;

			kpi_calendar_period_parse(key, kpi_calendar_get(KPI_DEFAULT_CALENDAR), &grain, &day);
			good = grain == KPI_DAY && value.type == jbvNumeric;
		}
	}
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("milestones are malformed"),
				 errdetail("Read %s.", JsonbToCString(NULL, &milestones->root, VARSIZE(milestones))),
				 errhint("Give an object of days and numbers: '{\"2026-10-31\": 200000}'.")));
}

void
kpi_define_milestones_write(int64 goal_id, Jsonb *milestones)
{
	kpi_spi_exec("DELETE FROM kpi.goal_milestone m WHERE m.goal_id = $1", 1, KPI_INT8(goal_id));
	if (milestones != NULL)
		kpi_spi_exec("INSERT INTO kpi.goal_milestone (goal_id, day, amount)"
					 " SELECT $1, m.key::date, m.value::numeric FROM pg_catalog.jsonb_each_text($2) m ORDER BY m.key",
					 2, KPI_INT8(goal_id), KPI_VALUE(JSONBOID, JsonbPGetDatum(milestones)));
}

void
kpi_define_milestones_check(int64 goal_id, const KpiGoalPeriod *period, Numeric target)
{
	KpiRows		rows;
	char	   *last = NULL;

	if (period->recurring)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a goal that recurs has no milestones"),
				 errdetail("They are days, and the goal is for \"%s\".", period->name),
				 errhint("Make a goal for each period, with milestones of its own.")));
	kpi_rows_begin(&rows, "SELECT m.day, m.amount::text AS amount,"
				   " m.amount <= pg_catalog.lag(m.amount) OVER (ORDER BY m.day) AS falls, m.amount > $2 AS beyond"
				   " FROM kpi.goal_milestone m WHERE m.goal_id = $1 ORDER BY m.day",
				   2, KPI_INT8(goal_id), target == NULL ? KPI_NULL(NUMERICOID) : KPI_VALUE(NUMERICOID, NumericGetDatum(target)));
	while (kpi_rows_next(&rows))
	{
		DateADT		day = kpi_rows_date(&rows, "day", DATEVAL_NOBEGIN);
		char	   *milestone = psprintf("%s by %s", kpi_rows_text(&rows, "amount"), kpi_day_text(day));

		if (day < period->start || day > period->end)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("milestone %s is outside of period \"%s\"", kpi_day_text(day), period->name),
					 errhint("Give days from %s to %s.", kpi_day_text(period->start), kpi_day_text(period->end))));
		if (kpi_rows_bool(&rows, "falls"))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("milestones do not increase"),
					 errdetail("Read %s and then %s.", last, milestone),
					 errhint("Give what is to be reached in all by the end of each day.")));
		if (kpi_rows_bool(&rows, "beyond"))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("milestone %s is above the target", milestone),
					 errhint("Give milestones up to the target.")));
		last = milestone;
	}
	kpi_rows_end(&rows);
}
