/*-------------------------------------------------------------------------
 *
 * project_day.h
 *	  The day of a fact's time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_PROJECT_DAY_H
#define KPI_PROJECT_DAY_H

#include "postgres.h"

#include "pgtime.h"
#include "utils/date.h"

/* A stretch of time in which the zone's offset is the same. */
typedef struct KpiZoneSpan
{
	pg_time_t	since;			/* Unix seconds, since <= t < until */
	pg_time_t	until;
	long int	gmtoff;
} KpiZoneSpan;

#define KPI_ZONE_SPANS 64

/* A time zone, and the stretches met last. */
typedef struct KpiZone
{
	pg_tz	   *tz;
	KpiZoneSpan spans[KPI_ZONE_SPANS];
} KpiZone;

extern void kpi_zone_open(KpiZone *zone, const char *name); /* error if unknown */

/*
 * The day of a date, timestamp or timestamp with time zone.  False when it is
 * infinite.
 */
extern bool kpi_day_of_time(KpiZone *zone, Oid type, Datum value, DateADT *day);

#endif							/* KPI_PROJECT_DAY_H */
