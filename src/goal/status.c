/*-------------------------------------------------------------------------
 *
 * status.c
 *	  One word for where a goal stands: the first rule that fits.
 *
 * The rules are the table of test/goals/MATH.md, in its order; the number of the
 * one that decides is stored beside the status.  There are no thresholds of a
 * goal's own and no memory of what was said before, so a status means the
 * same in every row, and does not depend on how often somebody looks.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "goal/goal_internal.h"

/* Probabilities from which on a goal is on track, or at risk. */
#define ON_TRACK 0.5
#define AT_RISK 0.2

/* The same of the pace, where there is no probability. */
#define PACE_ON_TRACK 0.95
#define PACE_AT_RISK 0.80

/* Nobody is behind before this share of a period. */
#define TOO_EARLY 0.05

/* How what is in compares with what is expected: 1 and more is good. */
static double
pace_of(const KpiStatusGround *ground)
{
	const KpiTarget *target = &ground->target;
	double		value = ground->value;

	if (!isnan(ground->pace))
		return ground->pace;
	if (target->kind == KPI_BETWEEN)
		return value >= (ground->additive ? target->target * ground->gone : target->target) &&
			ground->standing.to_high <= 0;
	if (target->kind == KPI_AT_MOST)
		return value > 0 ? ground->expected / value : 1;
	if (ground->expected > 0)
		return value / ground->expected;
	return value >= ground->expected;
}

static const char *
status_over(const KpiStatusGround *ground, int *rule)
{
	if (isnan(ground->value))
	{
		*rule = 3;
		return "no_data";
	}
	if (kpi_goal_met(ground->target.kind, &ground->standing))
	{
		*rule = 4;
		return "achieved";
	}
	if (ground->additive && kpi_goal_above_cap(ground->target.kind, &ground->standing))
	{
		*rule = 5;
		return "over_limit";
	}
	*rule = 6;
	return "missed";
}

/* By a number that says how good it looks; the rules of its three answers follow each other. */
static const char *
graded(double grade, double on_track, double at_risk, int first_rule, int *rule)
{
	if (grade >= on_track)
	{
		*rule = first_rule;
		return "on_track";
	}
	if (grade >= at_risk)
	{
		*rule = first_rule + 1;
		return "at_risk";
	}
	*rule = first_rule + 2;
	return "behind";
}

static const char *
status_running(const KpiStatusGround *ground, int *rule)
{
	bool		too_early = ground->gone < TOO_EARLY;

	if (ground->additive && !ground->may_fall && !isnan(ground->value) &&
		kpi_goal_above_cap(ground->target.kind, &ground->standing))
	{
		*rule = 7;
		return "over_limit";
	}
	if (ground->additive && ground->target.kind == KPI_AT_LEAST && ground->target.target > 0 &&
		!isnan(ground->value) && ground->standing.to_target >= 0)
	{
		*rule = 8;
		return "achieved";
	}
	if (isnan(ground->value))
	{
		*rule = 9;
		return "no_data";
	}
	if (!isnan(ground->probability))
		return graded(ground->probability, ON_TRACK, too_early ? 0 : AT_RISK, 10, rule);
	if (too_early)
	{
		*rule = 13;
		return "on_track";
	}
	return graded(pace_of(ground), PACE_ON_TRACK, PACE_AT_RISK, 14, rule);
}

const char *
kpi_goal_status(const KpiStatusGround *ground, int *rule)
{
	if (isnan(ground->target.target))
	{
		*rule = 0;
		return "no_target";
	}
	if (!ground->complete)
	{
		*rule = 1;
		return "incomplete";
	}
	if (!ground->started)
	{
		*rule = 2;
		return "not_started";
	}
	return ground->over ? status_over(ground, rule) : status_running(ground, rule);
}
