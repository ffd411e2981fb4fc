/*-------------------------------------------------------------------------
 *
 * inval.h
 *	  Who is told when a table or a catalog entry has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_INVAL_H
#define KPI_INVAL_H

#include "postgres.h"

/*
 * Has a function called for each relcache invalidation, with the table's OID
 * or InvalidOid for all tables.  It must neither fail nor read a catalog.
 * Asking again for the same function is nothing.
 */
extern void kpi_on_relcache_change(void (*handler) (Oid relid));

/* The same for invalidations of a system cache (syscache.h). */
extern void kpi_on_syscache_change(int cacheid, void (*handler) (int cacheid));

#endif							/* KPI_INVAL_H */
