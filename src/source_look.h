/*-------------------------------------------------------------------------
 *
 * source_look.h
 *	  What the catalogs say against a source going on as it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_SOURCE_LOOK_H
#define KPI_SOURCE_LOOK_H

#include "postgres.h"

typedef struct KpiProblem
{
	char	   *reason;			/* in our own words */
	char	   *hint;
} KpiProblem;

/*
 * Whether the table of a source is not what it was: relid has its name now,
 * attached is the one that was refreshed last (InvalidOid: none).
 */
extern bool kpi_table_look(const char *relation, Oid relid, Oid attached, KpiProblem *problem);

/* The same, or a trigger of the source is missing or disabled. */
extern bool kpi_source_look(int32 source_id, const char *relation, Oid relid, Oid attached,
							KpiProblem *problem);

#endif							/* KPI_SOURCE_LOOK_H */
