/*-------------------------------------------------------------------------
 *
 * kpi_cache.h
 *	  KPIs and the measures below them, for views.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_KPI_CACHE_H
#define KPI_KPI_CACHE_H

#include "postgres.h"

#include "formula.h"

typedef struct KpiEntry
{
	int32		id;
	int32		calendar_id;	/* cuts its periods: of its source; a formula's
								 * is that of the first measure below it */
	bool		additive;
	KpiFormula *formula;		/* NULL: a measure */
	int			ninputs;
	struct KpiEntry **inputs;	/* in the order of the formula's names */
	int			nleaves;
	int32	   *leaves;			/* the measures below a formula, or itself */
} KpiEntry;

/*
 * From a backend-local cache that follows changes to the definitions; valid
 * until the next call that can process invalidations.  NULL if there is no
 * such KPI.
 */
extern const KpiEntry *kpi_entry_find(int32 id);

#endif							/* KPI_KPI_CACHE_H */
