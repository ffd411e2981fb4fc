/*-------------------------------------------------------------------------
 *
 * cells_query.h
 *	  The facts query, grouped into cells.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_CELLS_QUERY_H
#define KPI_CELLS_QUERY_H

#include "postgres.h"

#include "def.h"
#include "tcop/dest.h"

/*
 * Runs the facts query of one stream over a table known by its OID, grouped,
 * under the active snapshot: columns owner text, day date, dims text[] (NULL
 * without dimensions), cell kpi.cell, facts bigint (how many the group has).  The current user is the source's definer
 * (kpi_user_switch()).  The table and its leaves, all that may be read, are
 * locked.
 */
extern void kpi_cells_run(const KpiSource *source, const KpiStream *stream,
						  Oid relid, List *leaves, DestReceiver *dest);

#endif							/* KPI_CELLS_QUERY_H */
