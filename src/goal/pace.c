/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  How far a period has gone by calendars and milestones, and how much of it a
 *	  member can work.
 *
 * Pure arithmetic, as test/goals/MATH.md says it.  Days are inclusive.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "goal/goal_internal.h"
#include "utils/datetime.h"

double
kpi_goal_gone_days(DateADT start, DateADT end, DateADT day)
{
	if (day < start)
		return 0;
	return (Min(day, end) - start + 1) / (double) (end - start + 1);
}

/* A period without any working day goes by all its days. */
double
kpi_goal_gone_workdays(DateADT start, DateADT end, DateADT day, const KpiCalendar *cal)
{
	int			all = kpi_calendar_workdays(start, end, cal);

	if (day < start)
		return 0;
	if (all == 0)
		return kpi_goal_gone_days(start, end, day);
	return kpi_calendar_workdays(start, Min(day, end), cal) / (double) all;
}

double
kpi_goal_phased(const double *shares, const double *values, int n, double gone)
{
	double		share = 0;
	double		value = 0;

	for (int i = 0; i < n; i++)
	{
		if (gone <= shares[i])
			return shares[i] > share ?
				value + (values[i] - value) * (gone - share) / (shares[i] - share) : values[i];
		share = shares[i];
		value = values[i];
	}
	return value;
}

/* Whole months from one day to a later one. */
static int
months_since(DateADT since, DateADT day)
{
	int			year,
				month,
				mday,
				since_year,
				since_month,
				since_mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	j2date(since + POSTGRES_EPOCH_JDATE, &since_year, &since_month, &since_mday);
	return (year - since_year) * MONTHS_PER_YEAR + month - since_month - (mday < since_mday);
}

/* Days beyond the ramp are counted together. */
double
kpi_goal_capacity(DateADT start, DateADT end, DateADT since, const double *ramp, int nramp, const KpiCalendar *cal)
{
	DateADT		day = Max(start, since);
	double		capacity = 0;

	for (; day <= end; day++)
	{
		int			month = months_since(since, day);

		if (month >= nramp)
			break;
		if (kpi_calendar_is_workday(day, cal))
			capacity += ramp[month];
	}
	return capacity + kpi_calendar_workdays(day, end, cal);
}
