/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Rows of one of our own tables, found and changed by its unique key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_STORE_H
#define KPI_STORE_H

#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#define KPI_STORE_MAX_KEYS 8

typedef struct KpiStore
{
	MemoryContext mcxt;			/* it and its scan live here */
	Relation	rel;
	Relation	index;			/* the unique index rows are found by */
	int			nkeys;
	AttrNumber	key_attrs[KPI_STORE_MAX_KEYS];	/* of the table */
	FmgrInfo	key_eq[KPI_STORE_MAX_KEYS];
	Oid			key_collation[KPI_STORE_MAX_KEYS];
	EState	   *estate;
	ResultRelInfo *rri;
	Snapshot	snapshot;
	IndexScanDesc scan;
	int			scan_nkeys;
	bool		seeking;		/* the scan is kpi_store_seek()'s */
	bool		seek_entry;		/* it stands on an entry not yet passed */
	int			seek_nprefix;
	Datum		seek_prefix[KPI_STORE_MAX_KEYS];
	bool		seek_nulls[KPI_STORE_MAX_KEYS];
	TupleTableSlot *found;		/* the row kpi_store_find()/next() returned */
	TupleTableSlot *write;
	TupleTableSlot **batch;		/* rows still to be inserted */
	int			nbatch;
	Oid			sequence;		/* of column "id", or InvalidOid */
	int64		nwritten;		/* rows inserted, updated, deleted */
} KpiStore;

/*
 * Opens a table for writing (ROW EXCLUSIVE) through the unique index with
 * this many key columns whose first column is first_key.  Reads are made
 * under the snapshot, which must stay registered until the store is closed.
 */
extern KpiStore *kpi_store_open(const char *schema, const char *table,
								const char *first_key, int nkeys, Snapshot snapshot);
extern void kpi_store_close(KpiStore *store);

/* Finds the row with this key into store->found; nulls may be NULL. */
extern bool kpi_store_find(KpiStore *store, const Datum *keys, const bool *nulls);

/*
 * The same for keys asked for in ascending order within each prefix of
 * nprefix columns; the columns after the prefix are of type int4, date or text
 * of collation "C", and not null.  Goes on from the last position when the
 * row is near.  Nothing else may use the store's scan in between.
 */
extern bool kpi_store_seek(KpiStore *store, int nprefix, const Datum *keys, const bool *nulls);

/*
 * Rows whose first nprefix key columns equal prefix and whose next key column
 * is within [low, high] (not tested when nprefix = nkeys or bounded is
 * false), in the order of the index, one at a time into store->found.
 */
extern void kpi_store_scan(KpiStore *store, int nprefix, const Datum *prefix,
						   bool bounded, Datum low, Datum high);
extern bool kpi_store_next(KpiStore *store);

/*
 * Values are given for every column, in order.  Inserted rows are collected
 * and written together: at the latest by kpi_store_flush() or _close().
 */
extern void kpi_store_flush(KpiStore *store);
extern void kpi_store_insert(KpiStore *store, const Datum *values, const bool *nulls);
extern void kpi_store_update_found(KpiStore *store, const Datum *values, const bool *nulls);
extern void kpi_store_delete_found(KpiStore *store);

/* The next value of the sequence behind column "id". */
extern int64 kpi_store_next_id(KpiStore *store);

#endif							/* KPI_STORE_H */
