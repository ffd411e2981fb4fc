/*-------------------------------------------------------------------------
 *
 * sync.h
 *	  Teams and people from the users' own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_SYNC_H
#define KPI_SYNC_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/timestamp.h"

/* What kpi.sync_people() is asked for. */
typedef struct KpiSyncOrder
{
	char	   *teams;			/* a query; NULL: they stay as they are */
	char	   *members;		/* a query; NULL: they stay as they are */
	bool		history;		/* since and until of the query are real */
	bool		partial;		/* rows that are refused do not keep the rest */
	bool		keep_missing;	/* who is not in the query is only listed */
} KpiSyncOrder;

/* What a row of kpi.sync_people() says. */
typedef struct KpiSyncChange
{
	const char *action;
	char	   *object;
	char	   *what;
	char	   *reason;			/* NULL: the query says so */
} KpiSyncChange;

/* ---- plan.c ---- */

/*
 * Makes teams and people what the queries say, which run as the current user;
 * with dry_run only tells.  Returns the changes (KpiSyncChange), teams first,
 * each by key.  Error, without partial, if a row is refused.
 */
extern List *kpi_sync_people(const KpiSyncOrder *order, bool dry_run);

/* ---- remembered.c ---- */

/* Has the worker do it again and again, as the current user; error if that may not be. */
extern void kpi_sync_remember(const KpiSyncOrder *order);

/* Ends that; false if nothing was remembered. */
extern bool kpi_sync_forget(void);

/* Lets the worker go on with what was restored from a dump. */
extern void kpi_sync_take_up(void);

/* When the worker is to do it next, by the real clock; DT_NOEND: nothing is remembered, or taken up. */
extern TimestampTz kpi_sync_due_at(void);

/* Does it once, if it is due, within the caller's transaction. */
extern void kpi_sync_step(void);

/* Notes the error that ended that, in another transaction; true: it is the one of last time. */
extern bool kpi_sync_note_failure(const ErrorData *error);

#endif							/* KPI_SYNC_H */
