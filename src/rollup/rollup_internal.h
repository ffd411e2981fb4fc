/*-------------------------------------------------------------------------
 *
 * rollup_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_ROLLUP_INTERNAL_H
#define KPI_ROLLUP_INTERNAL_H

#include "base/base.h"
#include "refresh/refresh.h"
#include "rollup/rollup.h"

/* ---- table.c ---- */

/* The table that a definition has found, locked against changes of its columns. */
typedef struct KpiRollupTable
{
	const KpiRollup *rollup;	/* with the name that the table has now */
	Oid			relid;
	Oid			owner;
} KpiRollupTable;

/*
 * Finds the table and locks it (ROW EXCLUSIVE), for at most as long as
 * kpi_fact_lock_wait_begin() says.  Error, with what to do about it, if it is
 * gone or does not fit, or if its owner must not get what is written to it.
 */
extern KpiRollupTable kpi_rollup_table_open(KpiRollup *rollup);

/* Error if a trigger of the table would have to wait for the end of somebody else's transaction. */
extern void kpi_rollup_table_check_deferred(const KpiRollupTable *table);

/* ---- place.c ---- */

/* The key of a row. */
typedef struct KpiRollupPlace
{
	int32		scope_id;
	DateADT		start;
	char	   *label;			/* of the dimension's value; NULL: no
								 * dimension */
} KpiRollupPlace;

typedef struct KpiRollupPlaces
{
	int			n;
	KpiRollupPlace *items;
} KpiRollupPlaces;

/* As parameters: integer[], date[] and text[] (NULL without a dimension). */
extern void kpi_rollup_places_params(const KpiRollup *rollup, const KpiRollupPlaces *places,
									 KpiParam *scopes, KpiParam *starts, KpiParam *labels);

/*
 * Takes places from the queue as the active snapshot shows it, about as many as
 * one transaction should write, in the order of the key and each once.  0 of
 * them: the queue is empty.
 */
extern KpiRollupPlaces kpi_rollup_places_take(const KpiRollup *rollup);

/*
 * NULL, unless all rows are to be compared: the queue says so, the table is
 * another, or what all rows depend on has changed; then it is this now.
 */
extern char *kpi_rollup_new_shape(const KpiRollupTable *table);

/*
 * Calls a function with all places, some at a time, in which the active
 * snapshot shows cells or the table a row.
 */
extern void kpi_rollup_places_all(const KpiRollupTable *table,
								  void (*visit) (const KpiRollupPlaces *places, void *arg), void *arg);

/* Puts all of them into the queue in the place of what is there. */
extern void kpi_rollup_places_queue_all(const KpiRollupTable *table);

/* ---- row.c ---- */

/* The rows of some places, column by column in the order of the definition. */
typedef struct KpiRollupRows
{
	const KpiRollup *rollup;
	const KpiRollupPlaces *places;
	bool	   *exists;			/* by place: whether there is to be a row */
	Datum	  **values;			/* by column, then by place */
	bool	  **nulls;
} KpiRollupRows;

/* The ids of the table's KPIs, as integer[]. */
extern KpiParam kpi_rollup_kpis_param(const KpiRollup *rollup);

/* What the rows should be, as the active snapshot shows it. */
extern KpiRollupRows *kpi_rollup_rows_make(const KpiRollup *rollup, const KpiRollupPlaces *places);

/* ---- write.c ---- */

/* The keys of rows of the table after one of them (NULL: from the first), in their order. */
extern KpiRollupPlaces kpi_rollup_table_keys(const KpiRollupTable *table, const KpiRollupPlace *after);

/* Makes the table's rows so; own_transaction as for kpi_rollup_step(). */
extern void kpi_rollup_table_write(const KpiRollupTable *table, const KpiRollupRows *rows, bool own_transaction);

/* Reports each column that differs. */
extern void kpi_rollup_table_compare(const KpiRollupTable *table, const KpiRollupRows *rows, KpiReport *report);

#endif							/* KPI_ROLLUP_INTERNAL_H */
