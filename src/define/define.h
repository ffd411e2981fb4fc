/*-------------------------------------------------------------------------
 *
 * define.h
 *	  The functions that create, alter and drop.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_DEFINE_H
#define KPI_DEFINE_H

#include "postgres.h"

#include "fmgr.h"
#include "model/model.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

/*
 * What the rows of a source mean has changed: keeps writers out until the
 * transaction ends, makes every backend read the definition anew and starts a
 * new version in each of its streams.  Checks no rights.
 */
extern void kpi_define_source_redefined(int32 source_id);

/*
 * Makes the kept table of a keyed source fit its query again, or anew if it is gone;
 * where the query cannot be analysed, only a missing table is an error.  Code of others
 * that it reaches runs only with accept.  Its next refresh reads all.  NULL: it is none.
 */
extern KpiKeyed *kpi_define_keyed_restore(KpiSource *source, bool accept);

/* Puts triggers on what it follows, and takes them from all else. */
extern void kpi_define_keyed_attach(int32 source_id, const KpiKeyed *keyed, Oid definer);

/* Error unless the current user may change the source and its KPIs. */
extern void kpi_define_require_source_rights(const char *name);

/* The partitions of a source that are sealed, with their days, as one text; NULL: none is. */
extern char *kpi_define_sealed_days(int32 source_id);

/* Whether the current user may change what this definer made. */
extern bool kpi_define_is_definer(const char *definer);

#endif							/* KPI_DEFINE_H */
