/*-------------------------------------------------------------------------
 *
 * model_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_MODEL_INTERNAL_H
#define KPI_MODEL_INTERNAL_H

#include "expr/expr.h"
#include "model/model.h"
#include "utils/jsonb.h"

/* ---- rename.c ---- */

/* kpi_model_renames() for the attached table and its columns as they were seen. */
extern List *kpi_model_renames_for(Oid relid, Oid attached, Jsonb *columns);

/* Puts source->renames into all that was loaded. */
extern void kpi_model_rename_source(KpiSource *source);

/* ---- measure.c ---- */

#define KPI_MEASURE_MAX_ARGS 2

/* What an argument of a measure may be. */
typedef enum KpiMeasureArg
{
	KPI_ARG_ANY,
	KPI_ARG_CONDITION,			/* boolean */
	KPI_ARG_NUMBER				/* a number, or an interval in seconds */
} KpiMeasureArg;

/* A measure as it was written, its arguments checked. */
typedef struct KpiMeasureCall
{
	const char *text;			/* of the whole */
	const char *kpi_name;
	const char *filter;			/* the KPI's, or NULL */
	bool		star;			/* kind(*): without arguments */
	KpiExpr		args[KPI_MEASURE_MAX_ARGS];
	int			locations[KPI_MEASURE_MAX_ARGS];	/* in text */
	char	   *values[KPI_MEASURE_MAX_ARGS];	/* the arguments as cells take
												 * them */
} KpiMeasureCall;

/*
 * How a kind of measure is written, and what follows from its being that
 * kind.  How many inputs it has and what their states do is KpiKindOps' (room
 * cell).
 */
typedef struct KpiMeasureKind
{
	const char *usage;			/* its forms, for hints */
	bool		takes_star;
	int			nargs;
	KpiMeasureArg args[KPI_MEASURE_MAX_ARGS];
	bool		additive;		/* values of different days add up */
	KpiReach	reach;
	KpiMeasureRange range;

	/*
	 * Sets def->inputs, and unit and divisor of a value that is a duration.
	 * What the filter leaves out must not be evaluated.
	 */
	void		(*set_inputs) (KpiMeasureDef *def, const KpiMeasureCall *call);
} KpiMeasureKind;

/* Error at an argument of the measure. */
pg_noreturn extern void kpi_model_measure_fail(const KpiMeasureCall *call, int arg, const char *message,
											   const char *hint);

/* Whether an argument is an interval. */
extern bool kpi_model_measure_is_interval(const KpiMeasureCall *call, int arg);

/* The value is a duration: it needs a unit, and a divisor from seconds. */
extern void kpi_model_measure_set_duration(KpiMeasureDef *def, const KpiMeasureCall *call);

/* A condition, or a value, where the call's filter is met; else not true, or NULL. */
extern char *kpi_model_measure_filtered(const KpiMeasureCall *call, const char *condition);
extern char *kpi_model_measure_filtered_value(const KpiMeasureCall *call, int arg);

/* ---- measure_basic.c ---- */

extern const KpiMeasureKind kpi_model_measure_count;
extern const KpiMeasureKind kpi_model_measure_sum;
extern const KpiMeasureKind kpi_model_measure_avg;
extern const KpiMeasureKind kpi_model_measure_rate;
extern const KpiMeasureKind kpi_model_measure_ratio;

#endif							/* KPI_MODEL_INTERNAL_H */
