/*-------------------------------------------------------------------------
 *
 * calendar.h
 *	  Days, periods and working days.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CALENDAR_H
#define KPI_CALENDAR_H

#include "postgres.h"

#include "pgtime.h"
#include "utils/date.h"
#include "utils/timestamp.h"

/* ---- calendar.c ---- */

typedef enum KpiGrain
{
	KPI_DAY,
	KPI_WEEK,
	KPI_MONTH,
	KPI_QUARTER,
	KPI_YEAR,
	KPI_ANCHOR_YEAR				/* from January to December, whatever the
								 * calendar: a sum that sums over all days
								 * before one are made of, no period of
								 * anybody's */
} KpiGrain;

#define KPI_NGRAINS 5

/* Calendar 1, named 'default', exists from CREATE EXTENSION on. */
#define KPI_DEFAULT_CALENDAR 1

/*
 * Days that periods are computed of: years 1 to 9999.
 */
extern bool kpi_calendar_day_in_range(DateADT day);
extern DateADT kpi_calendar_day_clamp(DateADT day); /* the nearest of them */

/*
 * Days that facts may have, and kpi.calendar_day.  Others stand for no day
 * ("9999-12-31", "0001-01-01"): such a fact is left out and counted.  That is
 * far within what periods are computed of, so no calendar's arithmetic
 * overflows on a fact.
 */
#define KPI_MIN_FACT_YEAR 1900
#define KPI_MAX_FACT_YEAR 2200
extern bool kpi_calendar_fact_day_in_range(DateADT day);
extern DateADT kpi_calendar_first_fact_day(void);
extern DateADT kpi_calendar_last_fact_day(void);

extern bool kpi_calendar_grain_parse(const char *name, KpiGrain *grain);
extern KpiGrain kpi_calendar_grain(const char *name);	/* error if unknown */
extern const char *kpi_calendar_grain_name(KpiGrain grain);

typedef struct KpiCalendar
{
	int32		id;
	char	   *name;
	char	   *time_zone;
	int			week_start;		/* ISO day number, 1 = Monday */
	int			fiscal_start;	/* month 1..12 in which the year begins */
	bool		working_day[8]; /* by ISO day number, [0] unused */
	int			nholidays;
	DateADT    *holidays;		/* sorted */
} KpiCalendar;

/* Start and last day of the period of this grain that holds the day. */
extern DateADT kpi_calendar_period_start(KpiGrain grain, DateADT day, const KpiCalendar *cal);
extern DateADT kpi_calendar_period_end(KpiGrain grain, DateADT day, const KpiCalendar *cal);
extern DateADT kpi_calendar_period_shift(KpiGrain grain, DateADT start, int n, const KpiCalendar *cal);

/* The period's name ('2026-Q4'), into a buffer of KPI_PERIOD_NAME_LEN. */
#define KPI_PERIOD_NAME_LEN 32
extern void kpi_calendar_period_name(KpiGrain grain, DateADT start, const KpiCalendar *cal, char *buf);

/* Parses a period's name; error with a hint that lists the forms. */
extern void kpi_calendar_period_parse(const char *name, const KpiCalendar *cal,
									  KpiGrain *grain, DateADT *start);

/*
 * Working days in [since, until], both inclusive; 0 when until < since.  What
 * lies outside years 1 to 9999 counts nothing.
 */
extern int	kpi_calendar_workdays(DateADT since, DateADT until, const KpiCalendar *cal);
extern bool kpi_calendar_is_workday(DateADT day, const KpiCalendar *cal);

/* Today by kpi_now() in the calendar's time zone. */
extern DateADT kpi_calendar_today(const KpiCalendar *cal);
extern DateADT kpi_calendar_today_in(const char *time_zone);

/*
 * Weekday names as users write them ('mon', 'Monday'); 0 if it is none.  A
 * comma-separated list of them: false, and the bad piece in *bad (which may be
 * NULL), when it is not one.
 */
extern int	kpi_calendar_weekday_parse(const char *name);
extern const char *kpi_calendar_weekday_name(int iso_weekday);	/* 'Monday' */
extern bool kpi_calendar_working_days_parse(const char *list, bool working_day[8], const char **bad);

/* ---- work.c ---- */

/*
 * When so many seconds of working days have passed since a moment; DT_NOEND where
 * they never do.
 */
extern TimestampTz kpi_calendar_work_until(TimestampTz since, int64 seconds, const KpiCalendar *cal);

/* A local time, as AT TIME ZONE takes it, and the day of a moment; false: there is none. */
extern bool kpi_calendar_moment(Timestamp local, pg_tz *zone, TimestampTz *moment);
extern bool kpi_calendar_day_of_moment(TimestampTz moment, pg_tz *zone, DateADT *day);

/* ---- range.c ---- */

/*
 * Days from one to another, both included; false: it is no range.  *problem, unless it is NULL, is a sentence
 * that says what is wrong with it.
 */
extern bool kpi_calendar_range_parse(const char *text, const KpiCalendar *cal, DateADT *since, DateADT *last,
									 char **problem);

/* ---- cache.c ---- */

/*
 * From a backend-local cache that follows changes to kpi.calendar and
 * kpi.holiday.  Valid until the next call that can process invalidations.
 */
extern const KpiCalendar *kpi_calendar_get(int32 id);
extern const KpiCalendar *kpi_calendar_find(int32 id);	/* NULL if unknown */
extern int32 kpi_calendar_id(const char *name); /* error if unknown */

/* ---- day_table.c ---- */

/*
 * Makes kpi.calendar_day hold every day from since to until (whole years,
 * between 1900 and 2200) of every calendar.  Costs next to nothing when it
 * does already (day_table.c).
 */
extern void kpi_calendar_day_extend(DateADT since, DateADT until);

/* The same for today and as many years ahead as a new installation has. */
extern void kpi_calendar_day_follow(void);

#endif							/* KPI_CALENDAR_H */
