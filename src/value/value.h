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
 * at the cost of a scan.
 */
extern void kpi_value_each_day(const KpiProgram *program, const KpiPlace *place, DateADT until,
							   void (*take) (void *arg, DateADT day, const KpiValue *value), void *arg);

/* The place n periods later, or earlier. */
extern KpiPlace kpi_value_place_shift(const KpiPlace *place, int n);

/* The same a year earlier: of weeks 52 weeks, so that it is one. */
extern KpiPlace kpi_value_place_year_ago(const KpiPlace *place);

/* Its last day. */
extern DateADT kpi_value_place_end(const KpiPlace *place);

/*
 * Whether the KPI's scope has a fact dated before the end of the place, so that
 * what adds up is 0 there and not unknown.
 */
extern bool kpi_value_has_begun(const KpiProgram *program, const KpiPlace *place);

/* ---- today.c ---- */

/*
 * The day that "to date" is by: today in the KPI's time zone, or the day until which its
 * sources have their facts, where that is known and is earlier.
 */
extern DateADT kpi_value_today(const KpiProgram *program);

#endif							/* KPI_VALUE_H */
