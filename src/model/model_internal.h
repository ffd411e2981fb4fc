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

#define KPI_MEASURE_MAX_ARGS 3

/* What an argument of a measure may be. */
typedef enum KpiMeasureArg
{
	KPI_ARG_ANY,
	KPI_ARG_CONDITION,			/* boolean */
	KPI_ARG_NUMBER,				/* a number, or an interval in seconds */
	KPI_ARG_CONSTANT,			/* a number as it is written */
	KPI_ARG_KEY					/* any text, as owners and dimensions have it */
} KpiMeasureArg;

/* A measure as it was written, its arguments checked. */
typedef struct KpiMeasureCall
{
	const char *text;			/* of the whole */
	const char *kpi_name;
	const char *filter;			/* the KPI's, or NULL */
	bool		star;			/* kind(*): without arguments */
	bool		given[KPI_MEASURE_MAX_ARGS];
	KpiExpr		args[KPI_MEASURE_MAX_ARGS];
	int			locations[KPI_MEASURE_MAX_ARGS];	/* in text */
	char	   *values[KPI_MEASURE_MAX_ARGS];	/* the arguments as cells take
												 * them */
} KpiMeasureCall;

/*
 * A way to write measures, and what follows from it.  How many inputs its kind
 * has and what their states do is KpiKindOps' (room cell).  Two ways may make the
 * same kind.
 */
typedef struct KpiMeasureKind
{
	const char *name;			/* of the aggregate */
	KpiKind		kind;
	const char *usage;			/* its forms, for hints */
	bool		takes_star;
	bool		distinct;		/* name(DISTINCT x) */
	bool		is_large;		/* as in KpiMeasureDef */
	int			nargs;			/* that must be given, in their order */
	int			noptions;		/* behind these: by name, or not at all */
	KpiMeasureArg args[KPI_MEASURE_MAX_ARGS];
	const char *names[KPI_MEASURE_MAX_ARGS];	/* of the options */
	bool		additive;		/* values of different days add up */
	KpiReach	reach;
	KpiMeasureRange range;

	/*
	 * Sets def->inputs, has_value, options and parameter, and unit and
	 * divisor of a value that is a duration. What the filter leaves out must
	 * not be evaluated.
	 */
	void		(*set_inputs) (KpiMeasureDef *def, const KpiMeasureCall *call);
} KpiMeasureKind;

/* Error at an argument of the measure. */
pg_noreturn extern void kpi_model_measure_fail(const KpiMeasureCall *call, int arg, const char *message,
											   const char *hint);

/* The number of an argument that is KPI_ARG_CONSTANT; error outside of what it may be. */
extern float8 kpi_model_measure_constant(const KpiMeasureCall *call, int arg, float8 least, float8 most,
										 const char *message, const char *hint);

/* Whether an argument is an interval. */
extern bool kpi_model_measure_is_interval(const KpiMeasureCall *call, int arg);

/* The value is a duration: it needs a unit, and a divisor from seconds. */
extern void kpi_model_measure_set_duration(KpiMeasureDef *def, const KpiMeasureCall *call);

/* A condition, or a value, where the call's filter is met; else not true, or NULL. */
extern char *kpi_model_measure_filtered(const KpiMeasureCall *call, const char *condition);
extern char *kpi_model_measure_filtered_value(const KpiMeasureCall *call, int arg);

/* Makes an argument the input, which a fact needs to count. */
extern void kpi_model_measure_take_value(KpiMeasureDef *def, const KpiMeasureCall *call, int arg);

/* ---- measure_basic.c ---- */

extern const KpiMeasureKind kpi_model_measure_count;
extern const KpiMeasureKind kpi_model_measure_sum;
extern const KpiMeasureKind kpi_model_measure_avg;
extern const KpiMeasureKind kpi_model_measure_rate;
extern const KpiMeasureKind kpi_model_measure_ratio;

/* ---- measure_balance.c ---- */

extern const KpiMeasureKind kpi_model_measure_balance;

/* ---- measure_distinct.c ---- */

extern const KpiMeasureKind kpi_model_measure_distinct;
extern const KpiMeasureKind kpi_model_measure_distinct_approx;

/* Error without what count_distinct_approx() is computed by. */
extern void kpi_model_distinct_need_hll(void);

/* ---- measure_spread.c ---- */

extern const KpiMeasureKind kpi_model_measure_median;
extern const KpiMeasureKind kpi_model_measure_percentile;
extern const KpiMeasureKind kpi_model_measure_stddev;
extern const KpiMeasureKind kpi_model_measure_variance;

/* ---- lookback.c ---- */

/* Sets what of a program's nodes follows from the others. */
extern void kpi_model_program_look_back(KpiProgram *program);

/* ---- measure_extreme.c ---- */

extern const KpiMeasureKind kpi_model_measure_min;
extern const KpiMeasureKind kpi_model_measure_max;
extern const KpiMeasureKind kpi_model_measure_first;
extern const KpiMeasureKind kpi_model_measure_last;

#endif							/* KPI_MODEL_INTERNAL_H */
