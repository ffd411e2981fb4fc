/*-------------------------------------------------------------------------
 *
 * measure.h
 *	  A KPI's measure: one aggregate over the facts of a source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_MEASURE_H
#define KPI_MEASURE_H

#include "cell.h"
#include "expr.h"

typedef struct KpiMeasureDef
{
	KpiKind		kind;
	char	   *text;			/* as kpi.kpi.measure shows it */
	char	   *input1;			/* as in kpi_internal.measure */
	char	   *input2;			/* or NULL */
	int32		divisor;
	char	   *unit;			/* as given, or what durations are counted in */
	bool		additive;		/* values of different days add up */
} KpiMeasureDef;

/*
 * Checks a measure and combines it with the KPI's filter (a checked boolean
 * expression, or NULL).  Runs as the current user, who must be the source's
 * definer.
 */
extern KpiMeasureDef *kpi_measure_parse(Oid relid, const char *text, const char *filter,
										const char *unit, const char *kpi_name);

#endif							/* KPI_MEASURE_H */
