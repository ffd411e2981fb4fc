/*-------------------------------------------------------------------------
 *
 * fact_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FACT_INTERNAL_H
#define KPI_FACT_INTERNAL_H

#include "expr/expr.h"
#include "fact/fact.h"
#include "model/model.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/date.h"

/* ---- query.c ---- */

/* A column: an expression over the columns of the table, in parentheses. */
typedef struct KpiFactColumn
{
	const char *name;
	char	   *text;
} KpiFactColumn;

/*
 * The columns owner, at, day, the dimensions by name, then the inputs m<id>_1,
 * m<id>_2, ... of the given measures (NULL: all); and the condition that rows meet.
 */
extern List *kpi_fact_columns(const KpiSource *source, const KpiStream *stream,
							  const Bitmapset *which, Oid at_type);
extern char *kpi_fact_condition(const KpiSource *source, const KpiStream *stream);

/* ---- day.c ---- */

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

extern void kpi_fact_zone_open(KpiZone *zone, const char *name);	/* error if unknown */

/*
 * The day of a date, timestamp or timestamp with time zone.  False when it is
 * infinite.
 */
extern bool kpi_fact_day_of_time(KpiZone *zone, Oid type, Datum value, DateADT *day);

/* ---- guard.c ---- */

/*
 * The risk of an expression while kpi_fact_guard_holds() for the non-null values
 * of all columns that this adds to *columns (attribute numbers).
 */
extern KpiExprRisk kpi_fact_guarded_risk(Node *node, Bitmapset **columns);

/* Tests a column's value: numeric, timestamp or timestamptz. */
extern bool kpi_fact_guard_holds(Oid type, Datum value);

/* ---- share.c ---- */

/*
 * Compiles a list of expressions into one projection.  *conditions, unless
 * NULL, must be evaluated before it, and its slot be the inner tuple of the
 * expression context.
 */
extern void kpi_fact_build_inputs(List *nodes, ExprContext *econtext,
								  ProjectionInfo **conditions, ProjectionInfo **inputs);

/* ---- storage.c ---- */

/*
 * Why the table's rows cannot be followed, as a clause that begins with the
 * table, or NULL.
 */
extern char *kpi_fact_storage_problem(Oid relid);

/* ---- used.c ---- */

typedef struct KpiUsedColumn
{
	AttrNumber	attno;
	int16		typlen;
	bool		typbyval;
} KpiUsedColumn;

typedef struct KpiUsedColumns
{
	bool		any;			/* whole rows or system columns: whatever changes */
	int			n;
	KpiUsedColumn *columns;		/* by attno */
	AttrNumber	max_attno;
} KpiUsedColumns;

/* The bit of one in a set of them: all beyond the last share it. */
#define KPI_COLUMN_BIT(i) (UINT64CONST(1) << Min(i, 63))
#define KPI_ALL_COLUMNS PG_UINT64_MAX

/* Of the given attributes, which are numbered as pull_varattnos() does. */
extern void kpi_fact_used_collect(KpiUsedColumns *used, TupleDesc desc, const Bitmapset *attrs);
extern KpiColumnSet kpi_fact_used_set(const KpiUsedColumns *used, const Bitmapset *attrs);

/* Which of the columns differ between the two rows. */
extern KpiColumnSet kpi_fact_used_changed(const KpiUsedColumns *used, TupleTableSlot *old_slot,
										  TupleTableSlot *new_slot);

#endif							/* KPI_FACT_INTERNAL_H */
