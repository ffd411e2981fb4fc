/*-------------------------------------------------------------------------
 *
 * view.c
 *	  Periods and days for the views of schema kpi.
 *
 * Cheap enough for every row of a view: calendars come from the cache of the
 * backend.  Periods are those of the organisation's calendar, the default one;
 * a source's own only says when its days begin.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "calendar/calendar.h"
#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_sql_view_period_start);
PG_FUNCTION_INFO_V1(kpi_sql_view_period_name);
PG_FUNCTION_INFO_V1(kpi_sql_view_day_of);

static KpiGrain
view_grain(FunctionCallInfo fcinfo, int n)
{
	KpiGrain	grain;
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(n));

	if (!kpi_calendar_grain_parse(name, &grain))
		elog(ERROR, "unknown grain \"%s\"", name);
	return grain;
}

/* kpi_internal.period_start(day, grain) */
Datum
kpi_sql_view_period_start(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(kpi_calendar_period_start(view_grain(fcinfo, 1), PG_GETARG_DATEADT(0),
												kpi_calendar_get(KPI_DEFAULT_CALENDAR)));
}

/* kpi_internal.period_name(period_start, grain) */
Datum
kpi_sql_view_period_name(PG_FUNCTION_ARGS)
{
	char		name[KPI_PERIOD_NAME_LEN];

	kpi_calendar_period_name(view_grain(fcinfo, 1), PG_GETARG_DATEADT(0),
							 kpi_calendar_get(KPI_DEFAULT_CALENDAR), name);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* kpi_internal.day_of(moment, calendar_id): the day in its time zone. */
Datum
kpi_sql_view_day_of(PG_FUNCTION_ARGS)
{
	TimestampTz moment = PG_GETARG_TIMESTAMPTZ(0);
	const KpiCalendar *cal = kpi_calendar_get(PG_GETARG_INT32(1));
	pg_tz	   *zone = pg_tzset(cal->time_zone);
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (zone == NULL || TIMESTAMP_NOT_FINITE(moment) ||
		timestamp2tm(moment, &tz, &tm, &fsec, NULL, zone) != 0)
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE);
}
