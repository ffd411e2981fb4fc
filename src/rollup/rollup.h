/*-------------------------------------------------------------------------
 *
 * rollup.h
 *	  Rollup tables: tables of the users' own that are kept as the views say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_ROLLUP_H
#define KPI_ROLLUP_H

#include "postgres.h"

#include "calendar/calendar.h"
#include "nodes/pg_list.h"
#include "refresh/refresh.h"

/* ---- table.c ---- */

/* A column of a rollup table that is ours to write. */
typedef struct KpiRollupColumn
{
	char	   *name;
	Oid			type;
	bool		is_name;		/* of the key, or what follows from it */
	bool		is_key;			/* of the primary key */
	bool		is_null;		/* may be */
	int32		kpi_id;			/* or 0: none (any more) */
	char	   *comment;		/* or NULL */
} KpiRollupColumn;

/* kpi.rollup with kpi.rollup_column */
typedef struct KpiRollup
{
	int32		id;
	char	   *relation;		/* qualified and quoted */
	bool		of_members;		/* else of teams */
	KpiGrain	grain;
	char	   *dimension;		/* or NULL */
	DateADT		since;			/* or DATEVAL_NOBEGIN */
	List	   *columns;		/* KpiRollupColumn *, in the order of the
								 * table */
} KpiRollup;

/* Reads a definition as it is committed now; NULL if it is gone. */
extern KpiRollup *kpi_rollup_load(int32 id);

/* The columns that each rollup table has before those of KPIs. */
extern List *kpi_rollup_name_columns(bool of_members, bool has_dimension);

/* The table, by the OID that was known or else by its name; InvalidOid if there is none. */
extern Oid	kpi_rollup_relid(const KpiRollup *rollup);

/*
 * The table that has the name now is the one, and nothing is known of its rows:
 * all are compared.
 */
extern void kpi_rollup_adopt(const KpiRollup *rollup);

/*
 * One at a time writes or redefines a rollup table, to the end of the
 * transaction.  Waits as kpi_fact_lock_wait_begin() says.
 */
extern void kpi_rollup_lock(const KpiRollup *rollup);

/* ---- step.c ---- */

/*
 * Brings a part of a rollup table up to date; false: there was nothing to do.
 * own_transaction: the transaction is for this alone, so that deferred triggers
 * need not be refused.
 */
extern bool kpi_rollup_step(int32 rollup_id, bool own_transaction);

/*
 * The tables that there is something to do for now; when the next of those that
 * wait after a failure is to be tried (by kpi_now(); DT_NOEND: there is none).
 * all: also those that no refresh has moved, but a definition or a new day.
 * is_called: by somebody, who does not wait for the next try but after a lock.
 */
extern List *kpi_rollup_due(bool all, bool is_called, TimestampTz *next_try);

/*
 * Notes the error that ended a step; returns when to try again, and whether the
 * last step has failed by the same.
 */
extern TimestampTz kpi_rollup_note_failure(int32 rollup_id, const ErrorData *error, bool *is_known);

/*
 * Brings a table up to date in subtransactions.  An error, unless the session is
 * to stop what it does, is noted and returned; else NULL.
 */
extern ErrorData *kpi_rollup_write_caught(int32 rollup_id);

/* Warns of an error that ended a step, as far as its text is for the current user. */
extern void kpi_rollup_warn(int32 rollup_id, const ErrorData *error);

/* Compares all rows with what they should be; with mend, makes them so. */
extern void kpi_rollup_verify(int32 rollup_id, bool mend, KpiReport *report);

/*
 * Reports and writes nothing, where the snapshot is pinned (base/snapshot.c).  Not
 * compared is a table of which rows wait to be written.  Returns the error that ended it,
 * or NULL.
 */
extern ErrorData *kpi_rollup_prove_caught(int32 rollup_id, KpiReport *report, bool *is_compared);

#endif							/* KPI_ROLLUP_H */
