/*-------------------------------------------------------------------------
 *
 * value.h
 *	  The value of a KPI at a place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_VALUE_H
#define KPI_VALUE_H

#include "postgres.h"

#include "calendar/calendar.h"
#include "fmgr.h"
#include "model/model.h"
#include "utils/numeric.h"

/* Where a KPI has a value. */
typedef struct KpiPlace
{
	KpiScopeKind scope_kind;
	int32		scope_id;
	KpiGrain	grain;
	int32		dim_id;			/* a value of a dimension; 0: all facts */
	DateADT		start;
} KpiPlace;

/* What a KPI amounts to somewhere. */
typedef struct KpiValue
{
	Numeric		value;			/* each may be NULL */
	Numeric		numerator;
	Numeric		denominator;
	int64		facts;
} KpiValue;

/* ---- evaluate.c ---- */

/*
 * All that is dated within the place.  False when no fact counts there; then
 * *result is zeroed.  These read under the active snapshot, and the numbers
 * are in the current memory context.
 */
extern bool kpi_value_at(const KpiProgram *program, const KpiPlace *place, KpiValue *result);

/*
 * What is dated until that day, inclusive.  Of a dimension's value at a cost that
 * grows with what is dated on the rest of that day's month.
 */
extern bool kpi_value_until(const KpiProgram *program, const KpiPlace *place, DateADT day, KpiValue *result);

/*
 * What is dated from the start of the place until that day, inclusive, whether or not these
 * days are a period.
 */
extern bool kpi_value_between(const KpiProgram *program, const KpiPlace *place, DateADT day, KpiValue *result);

/*
 * Hands in what there is on each day from the start of the place until a day, inclusive, of
 * all facts, in any order; a day may come in several parts, which sum to it.  For one measure
 * at the cost of a scan.  Of a balance it is what came on the day less what went.
 */
extern void kpi_value_each_day(const KpiProgram *program, const KpiPlace *place, DateADT until,
							   void (*take) (void *arg, DateADT day, const KpiValue *value), void *arg);

/* What was held when the place began. */
extern bool kpi_value_opening(const KpiProgram *program, const KpiPlace *place, KpiValue *result);

/*
 * Whether the KPI's scope has a fact dated before the end of the place, so that
 * what adds up is 0 there and not unknown.
 */
extern bool kpi_value_has_begun(const KpiProgram *program, const KpiPlace *place);

/* ---- window.c ---- */

/*
 * Days whose facts count, of a place.  Compare with kpi_value_window_equal(), as there is
 * padding.
 */
typedef struct KpiWindow
{
	KpiPlace	place;
	DateADT		since;
	DateADT		until;			/* exclusive; since: no days, the moment
								 * before them */
	bool		is_period;		/* from the start of the place until its end,
								 * or a day before; false: any days */
} KpiWindow;

extern KpiWindow kpi_value_window(const KpiPlace *place);	/* the period */
extern KpiWindow kpi_value_window_until(const KpiPlace *place, DateADT day);	/* at most until its end */
extern KpiWindow kpi_value_window_days(const KpiPlace *place, DateADT since, DateADT day);	/* no period */
extern bool kpi_value_window_equal(const KpiWindow *a, const KpiWindow *b);

/*
 * Its last day; today, if it has begun and is not over.  One that has not begun
 * is taken as a whole.
 */
extern DateADT kpi_value_window_last(const KpiWindow *window, DateADT today);
extern KpiWindow kpi_value_window_to_date(const KpiWindow *window, DateADT today);

/* Whether today is one of the days of its period; of its own where it is none. */
extern bool kpi_value_window_is_open(const KpiWindow *window, DateADT today);

/*
 * The whole period before, and that of a year ago: of weeks the one 52 weeks ago.  False
 * where the window is no period.
 */
extern bool kpi_value_window_previous(const KpiWindow *window, KpiWindow *other);
extern bool kpi_value_window_year_ago(const KpiWindow *window, KpiWindow *other);

/*
 * Of another period what a period is compared with: all of it, or as many days after its start
 * as the one has come to, if that is open or not whole.
 */
extern KpiWindow kpi_value_window_as_far(const KpiWindow *window, const KpiWindow *other, DateADT today);

/*
 * From the start of the fiscal year, or quarter, that its last day lies in, until its end.
 */
extern KpiWindow kpi_value_window_ytd(const KpiWindow *window, const KpiProgram *program);
extern KpiWindow kpi_value_window_qtd(const KpiWindow *window, const KpiProgram *program);

/*
 * The n days that end with its last day; with the day of the last, the period of a grain that
 * it lies in and the n - 1 before it.  An open one ends today.
 */
extern KpiWindow kpi_value_window_rolling_days(const KpiWindow *window, int n, DateADT today);
extern KpiWindow kpi_value_window_rolling(const KpiWindow *window, int n, KpiGrain grain,
										  const KpiProgram *program, DateADT today);

/* The moment before its first day: what is held then is what it opens with. */
extern KpiWindow kpi_value_window_opening(const KpiWindow *window);

/* The same days of all facts, whatever value of a dimension it is of. */
extern KpiWindow kpi_value_window_whole(const KpiWindow *window);

/* The organisation's calendar as far as periods go, under the snapshot that showed the program. */
extern KpiCalendar kpi_value_calendar(const KpiProgram *program);

/* The place n periods later, or earlier. */
extern KpiPlace kpi_value_place_shift(const KpiPlace *place, int n);

/* The same a year earlier: of weeks 52 weeks, so that it is one. */
extern KpiPlace kpi_value_place_year_ago(const KpiPlace *place);

/* Its last day. */
extern DateADT kpi_value_place_end(const KpiPlace *place);

/* ---- place.c ---- */

/* A KPI and where it is asked for, by names. */
typedef struct KpiValueCall
{
	char	   *kpi;
	char	   *team;			/* NULL, as the next: the company */
	char	   *member;
	char	   *period;
	char	   *dimension;
	char	   *dimension_value;
	const KpiProgram *program;
	bool		has_breakdown;
	bool		for_members;
	bool		for_teams;
	KpiPlace	place;			/* of a range its first day */
	bool		is_range;		/* days that are no period: from the start of
								 * the place */
	DateADT		last;			/* to this day */
	bool		is_met;			/* false: no fact has the dimension's value */
} KpiValueCall;

/* The arguments kpi, team, member, period, dimension, dimension_value of a function, its first. */
extern void kpi_value_call_read(FunctionCallInfo fcinfo, KpiValueCall *call);

/*
 * Finds the program and the place; errors for what does not exist.  Within kpi_spi_begin(), as
 * those below.
 */
extern void kpi_value_call_find(KpiValueCall *call);

/* The program and the team or member alone. */
extern void kpi_value_call_find_scope(KpiValueCall *call);

/* Error if the KPI has no values of the place's grain. */
extern void kpi_value_call_check_grain(const KpiValueCall *call);

/* Finds the value of the dimension, if one is given, once the grain is known; sets is_met. */
extern void kpi_value_call_find_dimension(KpiValueCall *call);

/* Its days, at most until a last one. */
extern KpiWindow kpi_value_call_window(const KpiValueCall *call);
extern KpiWindow kpi_value_call_window_until(const KpiValueCall *call, DateADT day);

/* Whether facts can be dated within it: periods are not computed of days far away. */
extern bool kpi_value_call_may_have_facts(const KpiValueCall *call);

/* Whether its scope has a fact dated before its end, so that what adds up is 0 there and not unknown. */
extern bool kpi_value_call_has_begun(const KpiValueCall *call);

/* Evaluates a KPI in a window, as kpi_value_at() does in that of a place. */
extern bool kpi_value_in(const KpiProgram *program, const KpiWindow *window, KpiValue *result);

/* ---- evaluate.c ---- */

/* A KPI of the program that is read in a window. */
typedef struct KpiValueRead
{
	int			node;
	KpiWindow	window;
	bool		is_average;		/* of a balance on the days of the window */
}			KpiValueRead;

/*
 * The measures that the value in a window is computed of (KpiValueRead *), each once: of a formula those that it
 * comes to, in the windows in which it looks at them, whether or not they have facts there.
 */
extern List *kpi_value_reads(const KpiProgram *program, const KpiWindow *window);

/* ---- today.c ---- */

/*
 * The day that "to date" is by: today in the KPI's time zone, or the day until which its
 * sources have their facts, where that is known and is earlier.
 */
extern DateADT kpi_value_today(const KpiProgram *program);

/* ---- balance.c ---- */

/*
 * Whether a balance has a value where the window closes: not before the scope's first day, and not
 * where the window has not begun.
 */
extern bool kpi_value_has_balance(const KpiProgramNode *node, const KpiWindow *window, DateADT today);

/* ---- shown.c ---- */

/* So many decimals of what is not exact are shown. */
#define KPI_SHOWN_DECIMALS 10

/* Whether values of the KPI are exact: counts and sums are, quotients and formulas are not. */
extern bool kpi_value_is_exact(const KpiProgram *program);

/* A value of the KPI, or a difference of such, rounded to be shown; NULL stays NULL. */
extern Numeric kpi_value_shown(const KpiProgram *program, Numeric number);

/* Likewise a numerator or denominator. */
extern Numeric kpi_value_part_shown(const KpiProgram *program, Numeric number);

/* ---- format.c ---- */

/* A value of a KPI as text, as kpi.format() has it. */
extern char *kpi_value_formatted(Numeric number, const char *kpi);

/* ---- target.c ---- */

/*
 * What the goals of a plan ask for at exactly this place; NULL where there is none.  Error
 * if there are several.
 */
extern Numeric kpi_value_target(int32 kpi_id, const char *plan, const KpiPlace *place);

/* Their error, of two goals. */
pg_noreturn extern void kpi_value_refuse_goals(const char *plan, int64 first, int64 second);

#endif							/* KPI_VALUE_H */
