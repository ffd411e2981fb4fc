/*-------------------------------------------------------------------------
 *
 * goal_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_GOAL_INTERNAL_H
#define KPI_GOAL_INTERNAL_H

#include <math.h>

#include "goal/goal.h"
#include "utils/float.h"
#include "value/value.h"

/* ---- version.c ---- */

/* A version as it is stored. */
typedef struct KpiStoredVersion
{
	DateADT		since;
	char	   *target_text;
	Numeric		minimum;		/* or NULL */
	Numeric		stretch;
	bool		pending;		/* its day has not come */
} KpiStoredVersion;

/* KpiStoredVersion *, the last one first.  Within kpi_spi_begin(), as the last. */
extern List *kpi_goal_versions_read(int64 goal_id);

/* The one that applies on a day: the last that began by then, else the first. */
extern const KpiStoredVersion *kpi_goal_version_of_day(List *versions, DateADT day);

/* Makes what kpi.goal says that of today's version, and notes which are not to come any more. */
extern void kpi_goal_versions_begin(int64 goal_id, List *versions, DateADT today);

/* ---- notify.c ---- */

/*
 * Writes the rows of these goals (bigint[]), and tells of those whose status has changed.
 * Within kpi_spi_begin().
 */
extern void kpi_goal_notify_rows(Datum ids, bool wait);

/* ---- table.c ---- */

/*
 * Makes the rows of these goals (bigint[]) what they should be.  Without
 * waiting, those that somebody has locked are put on the list.  Returns the ids
 * (bigint[]) of the rows that were there and are locked by us now.  Within
 * kpi_spi_begin(), as the next.
 */
extern Datum kpi_goal_table_write(Datum goal_ids, bool wait);

/* Puts these goals on the list. */
extern void kpi_goal_recheck_later(Datum goal_ids);

/* ---- baseline.c ---- */

/*
 * The value of a place as goals take it: of nothing dated until its last day 0 where the KPI
 * adds up and anybody has a fact by then, else NULL.
 */
extern Numeric kpi_goal_value_or_zero(const KpiProgram *program, DateADT end, bool has_facts, const KpiValue *value);

/* ---- closed.c ---- */

/*
 * What was reported of a KPI at a place that ends on this day, where a goal for exactly that is
 * closed; false, and value is as it was, where none is.
 */
extern bool kpi_goal_closed_value(const KpiProgram *program, const KpiPlace *place, DateADT end, KpiValue *value);

/* Within kpi_spi_begin(): whether the period of a goal that begins on this day is closed. */
extern bool kpi_goal_closed(int64 goal_id, DateADT start);

/* kpi_goal_closed_check_target() of many goals (bigint[]), each for one period. */
extern void kpi_goal_closed_check_targets(Datum goal_ids);

/* ---- basis.c ---- */

/* A number as the arithmetic has it; NULL is 0. */
extern double kpi_goal_number(Numeric number);

/* ---- basis_table.c ---- */

/*
 * Freezes what the forecasts of these goals (bigint[]) are based on, of periods that have begun
 * and have nothing yet.  Waits for nobody: goals of a KPI for which somebody else does
 * that now are to be looked at once more.  Within kpi_spi_begin().
 */
extern void kpi_goal_basis_make(Datum goal_ids);

/* ---- reason.c ---- */

/* What a sentence about a goal needs. */
typedef struct KpiReason
{
	KpiTargetKind kind;
	bool		additive;
	int			rule;
	Numeric		target;
	Numeric		high;
	Numeric		actual;			/* to date; NULL: none */
	Numeric		ahead;			/* what is dated ahead; NULL: nothing */
	Numeric		expected;
	Numeric		forecast;
	double		probability;
	DateADT		start;
	const char *unit;
} KpiReason;

/* Why the status is what it is, in one sentence. */
extern char *kpi_goal_reason(const KpiReason *reason);

/* ---- what all the arithmetic shares ---- */

/*
 * The arithmetic of goals (test/goals/MATH.md) is in numbers of type double and
 * reads nothing: no tables, no caches, no clock.  A number that nobody knows is
 * NaN; so is what follows from it.
 */
#define KPI_UNKNOWN get_float8_nan()

/* Weight of history, in periods: at share G of a period evidence weighs G to this. */
#define KPI_HISTORY_WEIGHT 0.5

/* Relative error of the rate of what is to come, which more facts do not cure. */
#define KPI_RATE_ERROR 0.2

/* What a goal asks for, as a number. */
typedef struct KpiTarget
{
	KpiTargetKind kind;
	double		target;			/* of KPI_BETWEEN the lower bound */
	double		high;			/* of KPI_BETWEEN the upper one */
} KpiTarget;

/*
 * How what is in compares with the target: the signs of the differences.  Who has
 * exact decimals compares those, so that what is reached to the cent is reached.
 */
typedef struct KpiStanding
{
	int			to_target;
	int			to_high;
} KpiStanding;

extern KpiStanding kpi_goal_standing(double value, const KpiTarget *target);

/* Whether the target is met as it stands. */
extern bool kpi_goal_met(KpiTargetKind kind, const KpiStanding *standing);

/* Whether it is above what it should stay within; never of KPI_AT_LEAST. */
extern bool kpi_goal_above_cap(KpiTargetKind kind, const KpiStanding *standing);

/* ---- season.c: what history says ---- */

/* A period's length in months. */
extern double kpi_goal_grain_months(KpiGrain grain);

/* What a period brings: the decayed mean of totals of closed periods, the last one last. */
extern double kpi_goal_level(const double *totals, int n, KpiGrain grain);

/*
 * What the time of the year makes of it: the company's totals of the same period one,
 * two and three years ago, and its level just before each; 1 if none is known.
 */
extern double kpi_goal_season(const double *totals, const double *levels, int n);

/*
 * Noise: the variance of a day over its mean.  Values of the days of complete months, the
 * last month first; lengths has how many days each has.
 */
extern double kpi_goal_noise(const double *days, const int *lengths, int nmonths);

/* The same of a rate: numerators and denominators of days. */
extern double kpi_goal_noise_ratio(const double *numerators, const double *denominators, int n);

/* The share of a closed period's total that was in when a share of its days was gone. */
extern double kpi_goal_share_in(const double *days, int n, double gone);

/*
 * The share of a period that is gone, by what shares of the company's closed periods
 * were in then (the last one last) and by the calendar.
 */
extern double kpi_goal_profile(double calendar, const double *shares, int n);

/* Its two steps: the mean of the closed periods, and its weight against that of the calendar. */
extern double kpi_goal_profile_mean(const double *shares, int n, double *weight);
extern double kpi_goal_profile_with_calendar(double calendar, double mean, double weight);

/*
 * Shares and basis of the own days of a member who came or left within the
 * period, or of a goal's range, which begin and end at these shares of the period.
 */
extern void kpi_goal_own_span(double begins, double ends, double *yesterday, double *today, double *basis);

/* ---- forecast.c: where it will end ---- */

/* What is known of a KPI that accumulates. */
typedef struct KpiAdditive
{
	double		until_yesterday;	/* what is dated within the period */
	double		today;
	double		gone_yesterday; /* shares of the period gone by the ends of
								 * the days */
	double		gone_today;
	double		basis;			/* what a whole period brings */
	double		noise;
	bool		may_fall;
	bool		over;
} KpiAdditive;

/* Of an average, rate or ratio. */
typedef struct KpiQuotient
{
	double		value;			/* of what is in; not known: no facts */
	double		numerator;
	double		denominator;
	double		gone_numerator; /* shares gone by the end of today */
	double		gone_denominator;
	double		basis_numerator;
	double		basis_denominator;
	double		noise;
	bool		bounded;		/* within 0 and 1 */
	bool		over;
} KpiQuotient;

/* Of what is there, as customers: opening and now. */
typedef struct KpiStock
{
	double		opening;
	double		now;
	double		gone_yesterday;
	double		gone_today;
	double		flow;			/* level of the net flow of a period */
	double		variance;		/* of the net flow of a day */
	double		days;			/* of the period */
	bool		over;
} KpiStock;

/* Where it stands, and will end. */
typedef struct KpiOutlook
{
	double		actual;			/* to date */
	double		expected;		/* of it, by the end of today */
	double		attainment;		/* actual / target */
	double		pace;			/* actual / expected */
	double		rate;			/* a whole period's worth, as it goes */
	double		rest_numerator; /* what is to come, of a quotient */
	double		rest_denominator;
	double		required_of_rest;
	double		forecast;
	double		sd;
	double		low;			/* of the range that holds it with 80 % */
	double		high;
	double		probability;	/* that the target is met */
} KpiOutlook;

extern KpiOutlook kpi_goal_outlook_additive(const KpiTarget *target, const KpiStanding *standing,
											const KpiAdditive *known);
extern KpiOutlook kpi_goal_outlook_quotient(const KpiTarget *target, const KpiStanding *standing,
											const KpiQuotient *known);

/* Something additive over a denominator known from the start; target and standing are of the quotient. */
extern KpiOutlook kpi_goal_outlook_known_denominator(const KpiTarget *target, const KpiStanding *standing,
													 const KpiAdditive *known, double denominator);
extern KpiOutlook kpi_goal_outlook_stock(const KpiTarget *target, const KpiStanding *standing,
										 const KpiStock *known);

/* ---- pace.c: where it should be ---- */

/* Shares of a period gone by the end of a day, by all its days and by working days. */
extern double kpi_goal_gone_days(DateADT start, DateADT end, DateADT day);
extern double kpi_goal_gone_workdays(DateADT start, DateADT end, DateADT day, const KpiCalendar *cal);

/* A broken line through milestones: shares of the period, which increase, and values. */
extern double kpi_goal_phased(const double *shares, const double *values, int n, double gone);

/*
 * Working days of a member within a period, each times the ramp of the month of
 * tenure it lies in; beyond the ramp it counts as a whole.
 */
extern double kpi_goal_capacity(DateADT start, DateADT end, DateADT since, const double *ramp, int nramp,
								const KpiCalendar *cal);

/* ---- start.c: what is to be expected before a period begins ---- */

/* Of a scope in a period, by what history says of both. */
typedef struct KpiStart
{
	const KpiProgram *program;
	KpiPlace	place;
	DateADT		first;			/* days that count: of a range, or on which
								 * the member is there */
	DateADT		last;
	bool		down;			/* less is better */
	KpiShape	shape;
	KpiBasis	basis;			/* besides those of history: members */
	double		season;
	double		noise;			/* not known: no range */
	bool		noise_of_company;
	bool		may_fall;
	double		share;			/* of the period, that the days that count are */
	double		share_denominator;
	double		opening;		/* of a balance, when the period begins; what
								 * is over an opening is divided by */
	DateADT		ahead;			/* days until then, of what is held now */

	/* Without a history of its own: the mean of members, times */
	int			members;
	double		people;			/* so many whole ones */
	int32		team_id;		/* whose members; of a member the team it
								 * belongs to on the first day */
} KpiStart;

/*
 * False if nobody can know: there is no history, or of such a formula no forecast (basis).  Of the
 * days from first to last of the place.  The history is for the program and the place's start.
 */
extern bool kpi_goal_start(KpiHistory *history, const KpiProgram *program, const KpiPlace *place, DateADT first,
						   DateADT last, DateADT today, bool down, KpiStart *start);

/* Where it will end, and how sure it is that a target is met. */
extern KpiOutlook kpi_goal_start_outlook(const KpiStart *start, const KpiTarget *target);

/* ---- advice.c: what to ask for, and what to do ---- */

/* What is reached with probability 0.80, 0.50 and 0.25, said before the period. */
typedef struct KpiSuggestion
{
	double		cautious;
	double		likely;
	double		ambitious;
	double		sd;
} KpiSuggestion;

extern KpiSuggestion kpi_goal_suggest(double basis, double noise);

/* The same around whatever is likely; down: at most so much is asked for. */
extern KpiSuggestion kpi_goal_suggest_around(double likely, double sd, bool down);

/* ---- status.c: one word for it ---- */

/* What a status follows from. */
typedef struct KpiStatusGround
{
	KpiTarget	target;			/* target not known: there is none */
	KpiStanding standing;
	bool		additive;
	bool		complete;
	bool		started;
	bool		over;
	bool		may_fall;
	double		value;			/* not known: there is none */
	double		expected;
	double		gone;			/* share of the period */
	double		pace;			/* of a balance; else not known */
	double		probability;
} KpiStatusGround;

/* The status, and the number of the rule it follows from. */
extern const char *kpi_goal_status(const KpiStatusGround *ground, int *rule);

#endif							/* KPI_GOAL_INTERNAL_H */
