/*-------------------------------------------------------------------------
 *
 * known_code.h
 *	  Code of others that the definer of a source has accepted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_KNOWN_CODE_H
#define KPI_KNOWN_CODE_H

#include "def.h"

/*
 * Accepts what the source's expressions reach, or with a kpi_id what that
 * KPI's reach besides.  The caller acts for the definer.
 */
extern void kpi_code_accept(int32 source_id, int32 kpi_id);

/* Stores what was met as what is known. */
extern void kpi_code_save(const KpiSource *source);

/* The entries that a text[] holds, in the current memory context. */
extern List *kpi_code_list(Datum array);

#endif							/* KPI_KNOWN_CODE_H */
