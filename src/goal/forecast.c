/*-------------------------------------------------------------------------
 *
 * forecast.c
 *	  Where a goal will end, how sure that is, and where it should be today.
 *
 * Pure arithmetic, as test/goals/MATH.md says it; test/goals/reference.py does the
 * same.  What the period has brought so far and what history says of it are
 * weighed against each other: at share G of the period, G to KPI_HISTORY_WEIGHT.
 * What is said of what is to come has a normal spread, cut at what is in.
 *
 * Invariant: low <= forecast <= high where there is a range, and as long as
 * anything can change no probability is nearer to 0 or 1 than CERTAIN.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "goal/goal_internal.h"

/* The 10 % quantile of the normal curve: the range holds 80 %. */
#define RANGE_Z 1.2815515655446004

#define CERTAIN 0.02

KpiStanding
kpi_goal_standing(double value, const KpiTarget *target)
{
	KpiStanding standing = {
		.to_target = (value > target->target) - (value < target->target),
		.to_high = (value > target->high) - (value < target->high)
	};

	return standing;
}

bool
kpi_goal_met(KpiTargetKind kind, const KpiStanding *standing)
{
	switch (kind)
	{
		case KPI_AT_LEAST:
			return standing->to_target >= 0;
		case KPI_AT_MOST:
			return standing->to_target <= 0;
		case KPI_BETWEEN:
			return standing->to_target >= 0 && standing->to_high <= 0;
	}
	elog(ERROR, "unrecognized kind of target %d", (int) kind);
	return false;
}

bool
kpi_goal_above_cap(KpiTargetKind kind, const KpiStanding *standing)
{
	return kind != KPI_AT_LEAST && (kind == KPI_AT_MOST ? standing->to_target : standing->to_high) > 0;
}

static double
ratio_or_unknown(double part, double whole)
{
	return whole != 0 ? part / whole : KPI_UNKNOWN;
}

/* The normal curve up to x. */
static double
normal(double x)
{
	return 0.5 * erfc(-x / sqrt(2));
}

/* That it ends within the target. */
static double
probability(const KpiTarget *target, double mean, double sd)
{
	double		p;

	if (target->kind == KPI_AT_LEAST)
		p = 1 - normal((target->target - mean) / sd);
	else if (target->kind == KPI_AT_MOST)
		p = normal((target->target - mean) / sd);
	else
		p = normal((target->high - mean) / sd) - normal((target->target - mean) / sd);
	return Min(Max(p, CERTAIN), 1 - CERTAIN);
}

/* What adds up and never falls is decided as soon as the target is reached, or the cap broken. */
static bool
is_decided(const KpiTarget *target, const KpiStanding *standing, bool may_fall, double *p)
{
	if (may_fall)
		return false;
	if (target->kind == KPI_AT_LEAST && standing->to_target >= 0)
		*p = 1;
	else if (kpi_goal_above_cap(target->kind, standing))
		*p = 0;
	else
		return false;
	return true;
}

/* Nothing changes it any more, or nearly so: p is what is said where the target is met. */
static void
settle(KpiOutlook *outlook, double value, bool met, double p)
{
	outlook->forecast = outlook->low = outlook->high = value;
	outlook->probability = met ? p : 1 - p;
}

static KpiOutlook
nothing_known(void)
{
	double		x = KPI_UNKNOWN;
	KpiOutlook	outlook = {x, x, x, x, x, x, x, x, x, x, x, x, x};

	return outlook;
}

/* The spread of what is to come, of mean "rest", when this share of the period is gone. */
static double
variance_of_rest(double noise, double rest, double gone)
{
	double		rate_error = KPI_RATE_ERROR * rest;

	return noise * rest * (1 + (1 - gone) / (KPI_HISTORY_WEIGHT + gone)) + rate_error * rate_error;
}

KpiOutlook
kpi_goal_outlook_additive(const KpiTarget *target, const KpiStanding *standing, const KpiAdditive *known)
{
	KpiOutlook	outlook = nothing_known();
	double		rest;

	outlook.actual = known->until_yesterday + known->today;
	outlook.expected = target->target * known->gone_today;
	outlook.attainment = ratio_or_unknown(outlook.actual, target->target);
	outlook.pace = ratio_or_unknown(outlook.actual, outlook.expected);
	if (known->over)
	{
		settle(&outlook, outlook.actual, kpi_goal_met(target->kind, standing), 1);
		return outlook;
	}

	outlook.rate = (KPI_HISTORY_WEIGHT * known->basis + known->until_yesterday) /
		(KPI_HISTORY_WEIGHT + known->gone_yesterday);
	outlook.forecast = known->until_yesterday +
		Max(known->today, (known->gone_today - known->gone_yesterday) * outlook.rate) +
		(1 - known->gone_today) * outlook.rate;
	if (isnan(known->noise) || !(outlook.rate > 0))
		return outlook;

	rest = (1 - known->gone_yesterday) * outlook.rate;
	outlook.sd = sqrt(variance_of_rest(known->noise, rest, known->gone_yesterday));
	if (outlook.sd > 0)
	{
		outlook.low = outlook.forecast - RANGE_Z * outlook.sd;
		outlook.high = outlook.forecast + RANGE_Z * outlook.sd;
		if (!known->may_fall)
		{
			outlook.low = Max(outlook.low, outlook.actual);
			outlook.high = Max(outlook.high, outlook.actual);
		}
		outlook.probability = probability(target, outlook.forecast, outlook.sd);
	}
	else
		settle(&outlook, outlook.actual, kpi_goal_met(target->kind, standing), 1 - CERTAIN);
	(void) is_decided(target, standing, known->may_fall, &outlook.probability);
	return outlook;
}

KpiOutlook
kpi_goal_outlook_quotient(const KpiTarget *target, const KpiStanding *standing, const KpiQuotient *known)
{
	KpiOutlook	outlook = nothing_known();
	double		left_n = 1 - known->gone_numerator;
	double		left_d = 1 - known->gone_denominator;
	double		n;
	double		d;
	double		all;
	double		rate_error;

	outlook.actual = known->value;
	outlook.expected = known->gone_denominator > 0 ?
		target->target * known->gone_numerator / known->gone_denominator : target->target;
	outlook.attainment = ratio_or_unknown(outlook.actual, target->target);
	outlook.pace = ratio_or_unknown(outlook.actual, outlook.expected);
	if (known->over)
	{
		if (!isnan(known->value))
			settle(&outlook, known->value, kpi_goal_met(target->kind, standing), 1);
		return outlook;
	}

	n = left_n * (KPI_HISTORY_WEIGHT * known->basis_numerator + known->numerator) /
		(KPI_HISTORY_WEIGHT + known->gone_numerator);
	d = left_d * (KPI_HISTORY_WEIGHT * known->basis_denominator + known->denominator) /
		(KPI_HISTORY_WEIGHT + known->gone_denominator);
	all = known->denominator + d;
	if (!(all > 0))
		return outlook;
	outlook.rest_numerator = n;
	outlook.rest_denominator = d;
	outlook.forecast = (known->numerator + n) / all;
	if (d <= 0)
	{
		KpiStanding end = n == 0 ? *standing : kpi_goal_standing(outlook.forecast, target);

		outlook.sd = 0;
		settle(&outlook, outlook.forecast, kpi_goal_met(target->kind, &end), 1 - CERTAIN);
		return outlook;
	}
	outlook.required_of_rest = (target->target * all - known->numerator) / d;
	if (isnan(known->noise))
		return outlook;

	rate_error = KPI_RATE_ERROR * n;
	outlook.sd = sqrt(known->noise * d * (1 + left_d / (KPI_HISTORY_WEIGHT + known->gone_denominator)) +
					  rate_error * rate_error) / all;
	outlook.low = outlook.forecast - RANGE_Z * outlook.sd;
	outlook.high = outlook.forecast + RANGE_Z * outlook.sd;
	if (known->bounded)
	{
		outlook.low = Max(outlook.low, 0.0);
		outlook.high = Min(outlook.high, 1.0);
	}
	if (outlook.sd > 0)
		outlook.probability = probability(target, outlook.forecast, outlook.sd);
	return outlook;
}

KpiOutlook
kpi_goal_outlook_known_denominator(const KpiTarget *target, const KpiStanding *standing,
								   const KpiAdditive *known, double denominator)
{
	KpiOutlook	outlook;
	KpiTarget	whole = {target->kind, target->target * denominator, target->high * denominator};

	if (!(denominator > 0))
		return nothing_known();
	outlook = kpi_goal_outlook_additive(&whole, standing, known);
	outlook.actual /= denominator;
	outlook.expected /= denominator;
	outlook.rate /= denominator;
	outlook.forecast /= denominator;
	outlook.sd /= denominator;
	outlook.low /= denominator;
	outlook.high /= denominator;
	return outlook;
}

/* The way from the opening to the target that is behind it; none to go: as good as it was, or not. */
static double
stock_pace(const KpiTarget *target, const KpiStock *known, double expected)
{
	bool		better = target->target >= known->opening ?
	known->now >= known->opening : known->now <= known->opening;

	if (expected != known->opening)
		return (known->now - known->opening) / (expected - known->opening);
	return better ? 1 : 0;
}

KpiOutlook
kpi_goal_outlook_stock(const KpiTarget *target, const KpiStanding *standing, const KpiStock *known)
{
	KpiOutlook	outlook = nothing_known();
	double		way = target->target - known->opening;
	double		left = 1 - known->gone_yesterday;
	double		rate_error;

	outlook.actual = known->now;
	outlook.expected = known->opening + way * known->gone_today;
	outlook.attainment = ratio_or_unknown(known->now - known->opening, way);
	if (known->over)
	{
		outlook.forecast = known->now;
		outlook.probability = kpi_goal_met(target->kind, standing) ? 1 : 0;
		return outlook;
	}
	outlook.pace = stock_pace(target, known, outlook.expected);
	outlook.rate = (KPI_HISTORY_WEIGHT * known->flow + known->now - known->opening) /
		(KPI_HISTORY_WEIGHT + known->gone_yesterday);
	outlook.forecast = known->now + left * outlook.rate;
	if (isnan(known->variance))
		return outlook;

	rate_error = KPI_RATE_ERROR * left * outlook.rate;
	outlook.sd = sqrt(known->variance * known->days * left * (1 + left / (KPI_HISTORY_WEIGHT + known->gone_yesterday)) +
					  rate_error * rate_error);
	if (outlook.sd > 0)
	{
		outlook.low = outlook.forecast - RANGE_Z * outlook.sd;
		outlook.high = outlook.forecast + RANGE_Z * outlook.sd;
		outlook.probability = probability(target, outlook.forecast, outlook.sd);
	}
	else
		settle(&outlook, known->now, kpi_goal_met(target->kind, standing), 1 - CERTAIN);
	return outlook;
}
