/*-------------------------------------------------------------------------
 *
 * period_view.c
 *	  Periods for the views of schema kpi, by the calendar's id.
 *
 * Views ask on every row, so calendars are read through calendar_cache.c
 * only.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "calendar.h"
#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_view_period_start);
PG_FUNCTION_INFO_V1(kpi_view_period_end);
PG_FUNCTION_INFO_V1(kpi_view_period_name);
PG_FUNCTION_INFO_V1(kpi_view_day_of);

static KpiGrain
view_grain(FunctionCallInfo fcinfo, int n)
{
	KpiGrain	grain;
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(n));

	if (!kpi_grain_parse(name, &grain))
		elog(ERROR, "unknown grain \"%s\"", name);
	return grain;
}

/* kpi_internal.period_start(day, grain, calendar_id) */
Datum
kpi_view_period_start(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(kpi_period_start(view_grain(fcinfo, 1), PG_GETARG_DATEADT(0),
									   kpi_calendar_get(PG_GETARG_INT32(2))));
}

/* kpi_internal.period_end(day, grain, calendar_id) */
Datum
kpi_view_period_end(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(kpi_period_end(view_grain(fcinfo, 1), PG_GETARG_DATEADT(0),
									 kpi_calendar_get(PG_GETARG_INT32(2))));
}

/* kpi_internal.period_name(period_start, grain, calendar_id) */
Datum
kpi_view_period_name(PG_FUNCTION_ARGS)
{
	char		name[KPI_PERIOD_NAME_LEN];

	kpi_period_name(view_grain(fcinfo, 1), PG_GETARG_DATEADT(0),
					kpi_calendar_get(PG_GETARG_INT32(2)), name);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* kpi_internal.day_of(moment, calendar_id): the day in its time zone. */
Datum
kpi_view_day_of(PG_FUNCTION_ARGS)
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
