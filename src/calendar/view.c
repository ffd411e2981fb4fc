/*-------------------------------------------------------------------------
 *
 * view.c
 *	  Periods for the views of schema kpi.
 *
 * Computed from their arguments alone, so cheap enough for every row, and by
 * the calendar that the view's snapshot shows.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "calendar/calendar.h"
#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_view_period_name);
PG_FUNCTION_INFO_V1(kpi_sql_view_period_end);

/* kpi_internal.period_name(period_start, grain, fiscal_year_start) */
Datum
kpi_sql_view_period_name(PG_FUNCTION_ARGS)
{
	KpiCalendar calendar = {.fiscal_start = PG_GETARG_INT16(2)};
	char		name[KPI_PERIOD_NAME_LEN];

	kpi_calendar_period_name((KpiGrain) PG_GETARG_INT32(1), PG_GETARG_DATEADT(0), &calendar, name);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* kpi_internal.period_end(period_start, grain): its last day. */
Datum
kpi_sql_view_period_end(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(kpi_calendar_period_shift((KpiGrain) PG_GETARG_INT32(1), PG_GETARG_DATEADT(0), 1, NULL) - 1);
}
