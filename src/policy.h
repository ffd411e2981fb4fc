/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  When sources are refreshed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_POLICY_H
#define KPI_POLICY_H

#include "postgres.h"

/* What the functions that operate a source must know of it. */
typedef struct KpiPolicy
{
	int32		source_id;
	char	   *name;
	bool		paused;
	bool		suspended;
} KpiPolicy;

/*
 * As committed now.  Error if the source does not exist, or the current user
 * is neither its definer nor an editor.
 */
extern KpiPolicy *kpi_policy_open(const char *name);

extern bool kpi_source_is_paused(int32 source_id);

/* Raises the error of a function that refreshes just this source. */
extern void kpi_require_not_paused(int32 source_id, const char *name);

/* A source becomes manual: something else than the worker refreshes it. */
extern void kpi_policy_set_manual(int32 source_id);

#endif							/* KPI_POLICY_H */
