/*-------------------------------------------------------------------------
 *
 * day.c
 *	  The day of a fact's time, and the moment that a local one is, in the time zone
 *	  of its source's calendar.
 *
 * Looking up the offset of a time zone costs more than all the rest of a
 * fact's projection, so the stretches of time met last, in which it is the
 * same, are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "fact/fact_internal.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define SPAN_SHIFT 21			/* about 24 days of seconds in a slot */

void
kpi_fact_zone_open(KpiZone *zone, const char *name)
{
	memset(zone, 0, sizeof(KpiZone));
	zone->tz = pg_tzset(name);
	if (zone->tz == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name)));
}

/* Days are counted from 2000-01-01; seconds before it round down. */
static inline int64
floor_div(int64 dividend, int64 divisor)
{
	int64		quotient = dividend / divisor;

	return quotient - (dividend % divisor < 0);
}

/* The same day as (value AT TIME ZONE zone)::date. */
static DateADT
day_in_zone(KpiZone *zone, TimestampTz value)
{
	int64		seconds = floor_div(value, USECS_PER_SEC);
	pg_time_t	unix_seconds = seconds +
	(pg_time_t) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	KpiZoneSpan *span = &zone->spans[(unix_seconds >> SPAN_SHIFT) & (KPI_ZONE_SPANS - 1)];

	if (unix_seconds < span->since || unix_seconds >= span->until)
	{
		long int	before_gmtoff;
		long int	after_gmtoff;
		int			before_isdst;
		int			after_isdst;
		pg_time_t	boundary;
		int			found = pg_next_dst_boundary(&unix_seconds, &before_gmtoff, &before_isdst,
												 &boundary, &after_gmtoff, &after_isdst,
												 zone->tz);

		if (found < 0)
			return DATEVAL_NOBEGIN;
		span->since = unix_seconds;
		span->until = found > 0 ? boundary : PG_INT64_MAX;
		span->gmtoff = before_gmtoff;
	}
	return (DateADT) floor_div(seconds + span->gmtoff, SECS_PER_DAY);
}

bool
kpi_fact_day_of_time(KpiZone *zone, Oid type, Datum value, DateADT *day)
{
	switch (type)
	{
		case DATEOID:
			*day = DatumGetDateADT(value);
			return !DATE_NOT_FINITE(*day);
		case TIMESTAMPOID:
			if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
				return false;
			*day = (DateADT) floor_div(DatumGetTimestamp(value), USECS_PER_DAY);
			return true;
		default:
			if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)))
				return false;
			*day = day_in_zone(zone, DatumGetTimestampTz(value));
			return true;
	}
}

bool
kpi_fact_is_time(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
}

/* A day is the moment it begins. */
bool
kpi_fact_moment_of_time(KpiZone *zone, Oid type, Datum value, TimestampTz *moment)
{
	switch (type)
	{
		case DATEOID:
			{
				DateADT		day = DatumGetDateADT(value);

				return !DATE_NOT_FINITE(day) && kpi_calendar_day_in_range(day) &&
					kpi_calendar_moment((Timestamp) day * USECS_PER_DAY, zone->tz, moment);
			}
		case TIMESTAMPOID:
			return kpi_calendar_moment(DatumGetTimestamp(value), zone->tz, moment);
		default:
			*moment = DatumGetTimestampTz(value);
			return !TIMESTAMP_NOT_FINITE(*moment);
	}
}
