/*-------------------------------------------------------------------------
 *
 * ops_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_OPS_INTERNAL_H
#define KPI_OPS_INTERNAL_H


/* What the functions that operate a source must know of it. */
typedef struct KpiPolicy
{
	int32		source_id;
	char	   *name;
	bool		paused;
	bool		suspended;
	bool		held;
	bool		build_cancelled;
} KpiPolicy;

/*
 * Reads a source's policy as committed now.  Error if the source does not exist,
 * or the current user is neither its definer nor an editor.
 */
extern KpiPolicy *kpi_ops_policy_open(const char *name);

extern bool kpi_ops_source_is_paused(int32 source_id);

/* Raises the error of a function that refreshes just this source. */
extern void kpi_ops_require_not_paused(int32 source_id, const char *name);

/* ---- build.c ---- */

/* Whether kpi.cancel_build() has stopped the build of a source; ends that. */
extern bool kpi_ops_build_is_cancelled(int32 source_id);
extern void kpi_ops_build_go_on(int32 source_id);

/* ---- policy.c ---- */

/* Makes a source manual: something else than the worker refreshes it. */
extern void kpi_ops_policy_set_manual(int32 source_id);

#endif							/* KPI_OPS_INTERNAL_H */
