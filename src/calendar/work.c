/*-------------------------------------------------------------------------
 *
 * work.c
 *	  Time that counts: that of a calendar's working days.
 *
 * Calendars know days and no hours, so all of a working day counts, as long as
 * it is where clocks change, and nothing of any other.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "calendar/calendar.h"
#include "fmgr.h"
#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_sql_work_until);

/* Nobody who waits for longer finds a working day. */
#define MAX_DAYS 3660

bool
kpi_calendar_moment(Timestamp local, pg_tz *zone, TimestampTz *moment)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (TIMESTAMP_NOT_FINITE(local) || timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	tz = DetermineTimeZoneOffset(&tm, zone);
	return tm2timestamp(&tm, fsec, &tz, moment) == 0;
}

bool
kpi_calendar_day_of_moment(TimestampTz moment, pg_tz *zone, DateADT *day)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (zone == NULL || TIMESTAMP_NOT_FINITE(moment) ||
		timestamp2tm(moment, &tz, &tm, &fsec, NULL, zone) != 0)
		return false;
	*day = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
	return true;
}

static bool
day_begin(DateADT day, pg_tz *zone, TimestampTz *moment)
{
	return kpi_calendar_moment((Timestamp) day * USECS_PER_DAY, zone, moment);
}

TimestampTz
kpi_calendar_work_until(TimestampTz since, int64 seconds, const KpiCalendar *cal)
{
	pg_tz	   *zone = pg_tzset(cal->time_zone);
	int64		left = seconds * USECS_PER_SEC;
	TimestampTz begin = since;
	TimestampTz end;
	DateADT		day;

	if (!kpi_calendar_day_of_moment(since, zone, &day))
		return DT_NOEND;
	for (int i = 0; i < MAX_DAYS && day_begin(day + 1, zone, &end); i++, day++)
	{
		if (kpi_calendar_is_workday(day, cal))
		{
			if (left < end - begin)
				return begin + left;
			left -= end - begin;
		}
		begin = end;
	}
	return DT_NOEND;
}

/* kpi_internal.work_until(since, seconds, calendar_id): NULL where that never comes. */
Datum
kpi_sql_work_until(PG_FUNCTION_ARGS)
{
	TimestampTz until = kpi_calendar_work_until(PG_GETARG_TIMESTAMPTZ(0), PG_GETARG_INT32(1),
												kpi_calendar_get(PG_GETARG_INT32(2)));

	if (until == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(until);
}
