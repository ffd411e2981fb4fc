/*-------------------------------------------------------------------------
 *
 * season.c
 *	  What history says of a period before it begins: level, season, noise, and the
 *	  profile by which it fills.
 *
 * Pure arithmetic, as test/goals/MATH.md says it; test/goals/reference.py does the
 * same.  It reads nothing and changes nothing but what it is handed.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "goal/goal_internal.h"

/* After as many months a past period counts half. */
#define HALF_LIFE 6.0

/* What a past period counts in the profile, against the one after it. */
#define PROFILE_DECAY 0.8

/* Of how many periods the calendar's own profile has the weight. */
#define CALENDAR_WEIGHT 0.25

/* A season is not taken for stronger than this, either way. */
#define MAX_SEASON 4.0

/* Noise is of as many months at most. */
#define MAX_NOISE_MONTHS 12

double
kpi_goal_grain_months(KpiGrain grain)
{
	const double month = 30.4375;

	switch (grain)
	{
		case KPI_DAY:
			return 1 / month;
		case KPI_WEEK:
			return 7 / month;
		case KPI_MONTH:
			return 1;
		case KPI_QUARTER:
			return 3;
		case KPI_YEAR:
			return 12;
		case KPI_ANCHOR_YEAR:
			break;
	}
	elog(ERROR, "unrecognized grain %d", (int) grain);
	return 0;
}

/* What a period counts, against the one after it. */
static double
decay(KpiGrain grain)
{
	return pow(0.5, kpi_goal_grain_months(grain) / HALF_LIFE);
}

double
kpi_goal_level(const double *totals, int n, KpiGrain grain)
{
	double		factor = decay(grain);
	double		weight = 1;
	double		sum = 0;
	double		weights = 0;

	for (int i = n - 1; i >= 0; i--)
	{
		sum += weight * totals[i];
		weights += weight;
		weight *= factor;
	}
	return n > 0 ? sum / weights : KPI_UNKNOWN;
}

/* The geometric mean, with one more year in which nothing was seasonal. */
double
kpi_goal_season(const double *totals, const double *levels, int n)
{
	double		sum = 0;
	int			known = 0;

	for (int i = 0; i < n; i++)
	{
		if (!(levels[i] > 0 && totals[i] > 0))
			continue;
		sum += log(Min(Max(totals[i] / levels[i], 1 / MAX_SEASON), MAX_SEASON));
		known++;
	}
	return exp(sum / (known + 1));
}

double
kpi_goal_noise(const double *days, const int *lengths, int nmonths)
{
	double		weight = 1;
	double		numerator = 0;
	double		denominator = 0;

	for (int m = 0; m < Min(nmonths, MAX_NOISE_MONTHS); m++)
	{
		double		sum = 0;
		double		squares = 0;

		for (int i = 0; i < lengths[m]; i++)
			sum += days[i];
		for (int i = 0; i < lengths[m]; i++)
		{
			double		off = days[i] - sum / lengths[m];

			squares += off * off;
		}
		if (lengths[m] > 0)
		{
			numerator += weight * squares;
			denominator += weight * sum * (lengths[m] - 1) / lengths[m];
		}
		weight *= decay(KPI_MONTH);
		days += lengths[m];
	}
	return denominator > 0 ? numerator / denominator : KPI_UNKNOWN;
}

double
kpi_goal_noise_ratio(const double *numerators, const double *denominators, int n)
{
	double		numerator = 0;
	double		denominator = 0;
	double		squares = 0;

	for (int i = 0; i < n; i++)
	{
		numerator += numerators[i];
		denominator += denominators[i];
	}
	if (!(denominator > 0))
		return KPI_UNKNOWN;
	for (int i = 0; i < n; i++)
	{
		double		off = numerators[i] - numerator / denominator * denominators[i];

		squares += off * off;
	}
	return squares / denominator;
}

/* Linear between the ends of days. */
double
kpi_goal_share_in(const double *days, int n, double gone)
{
	double		position = gone * n;
	int			whole = Max(Min((int) position, n), 0);
	double		total = 0;
	double		in = 0;

	for (int i = 0; i < n; i++)
	{
		total += days[i];
		if (i < whole)
			in += days[i];
	}
	if (!(total > 0))
		return KPI_UNKNOWN;
	if (whole < n)
		in += (position - whole) * days[whole];
	return in / total;
}

double
kpi_goal_profile_mean(const double *shares, int n, double *weight)
{
	double		decayed = 1;
	double		sum = 0;

	*weight = 0;
	for (int i = n - 1; i >= 0; i--)
	{
		if (!isnan(shares[i]))
		{
			sum += decayed * shares[i];
			*weight += decayed;
		}
		decayed *= PROFILE_DECAY;
	}
	return *weight > 0 ? sum / *weight : 0;
}

double
kpi_goal_profile_with_calendar(double calendar, double mean, double weight)
{
	double		share = (CALENDAR_WEIGHT * calendar + weight * mean) / (CALENDAR_WEIGHT + weight);

	return Min(Max(share, 0.0), 1.0);
}

double
kpi_goal_profile(double calendar, const double *shares, int n)
{
	double		weight;
	double		mean = kpi_goal_profile_mean(shares, n, &weight);

	return kpi_goal_profile_with_calendar(calendar, mean, weight);
}

/* A span in which history brought nothing is gone when it is over. */
void
kpi_goal_own_span(double begins, double ends, double *yesterday, double *today, double *basis)
{
	double		span = ends - begins;

	*yesterday = span > 0 ? Min(Max((*yesterday - begins) / span, 0.0), 1.0) : *yesterday >= ends;
	*today = span > 0 ? Min(Max((*today - begins) / span, 0.0), 1.0) : *today >= ends;
	*basis *= Max(span, 0.0);
}
