/*-------------------------------------------------------------------------
 *
 * refresh.h
 *	  The queue and the facts into cells, exactly once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_REFRESH_H
#define KPI_REFRESH_H

#include "postgres.h"

#include "access/transam.h"
#include "calendar/calendar.h"
#include "datatype/timestamp.h"
#include "model/model.h"
#include "nodes/pg_list.h"
#include "utils/tuplestore.h"

/* ---- queue.c ---- */

/*
 * Deletes what a source has in the queue, whose versions are past or which asks
 * for what is done anyway.  The caller holds the source's lock.
 */
extern void kpi_refresh_queue_forget(int32 source_id);

/* Whether anything of the source waits. */
extern bool kpi_refresh_queue_waits(int32 source_id, Snapshot snapshot);

/*
 * What a source has waiting that nobody refreshes becomes few rows, if it is much
 * and was not compacted already; false: nothing was done.  It takes the source's
 * lock, and is one step of bounded size: it may be called again at once.
 */
extern bool kpi_refresh_queue_is_crowded(int32 source_id);
extern bool kpi_refresh_queue_compact(int32 source_id);

/* ---- follow.c ---- */

/*
 * Where the table of a source or its columns have other names than the definition
 * says, stores it with the new ones; false: they have not.
 */
extern bool kpi_refresh_follow_names(int32 source_id);

/* ---- exchange.c ---- */

typedef struct KpiExchange KpiExchange;

/* The rates that the rollups of the source are by; NULL if no amount of it has a currency. */
extern KpiExchange *kpi_refresh_exchange_create(MemoryContext parent, const KpiSource *source);

/* Whether they have one for day cells of that combination of values; of NULL always. */
extern bool kpi_refresh_exchange_has_rate(KpiExchange *exchange, const KpiStream *stream,
										  int32 dim_combination_id, DateADT day);

/* The rate of a currency, of a stream that has one; NULL: there is none. */
extern Numeric kpi_refresh_exchange_rate(KpiExchange *exchange, const KpiStream *stream, const char *currency,
										 DateADT day);

/* ---- report.c ---- */

/* One difference between what is stored and what should be. */
typedef struct KpiDifference
{
	const char *level;			/* day cell, rollup cell, place, goal, source */
	bool		level_is_source;	/* no scope and no period */
	const char *kpi;			/* name of it, or of several; or NULL */
	int32		team_id;		/* at most one of the three is not 0 */
	int32		member_id;
	int32		owner_id;
	const char *owner;			/* its key, where it has no row; or NULL */
	const char *grain;
	DateADT		start;
	const char *dimension;		/* each of the rest may be NULL */
	const char *dimension_value;
	const char *stored;
	const char *expected;
} KpiDifference;

/* Where differences go. */
typedef struct KpiReport
{
	Tuplestorestate *tupstore;	/* NULL: they are only counted */
	TupleDesc	tupdesc;
	const char *source_name;
	int64		ndifferences;
} KpiReport;

extern void kpi_refresh_report(KpiReport *report, const KpiDifference *diff);

/* The one text that a query for id $1 finds, or the id itself where the row is gone. */
extern char *kpi_refresh_name_of(const char *sql, int32 id);

/* ---- run.c ---- */

typedef enum KpiRunMode
{
	KPI_RUN_REFRESH,			/* with a step or some of what is to be built */
	KPI_RUN_DELTAS,				/* without: what needs facts to be read is
								 * left */
	KPI_RUN_RECHECK,			/* see whether the source can be refreshed */
	KPI_RUN_ACCEPT,				/* the same, and from now on the code of
								 * others that it reaches is known */
	KPI_RUN_VERIFY,				/* refresh, then report differences */
	KPI_RUN_REPAIR,				/* refresh, then mend and count them */
	KPI_RUN_PROVE				/* report differences and write nothing: what
								 * waits is added up in memory */
} KpiRunMode;

typedef enum KpiRunResult
{
	KPI_RUN_DONE,
	KPI_RUN_MORE,				/* so far, and more is to be built: by another
								 * call of KPI_RUN_REFRESH */
	KPI_RUN_BUILD_DUE,			/* of KPI_RUN_DELTAS, nothing was done: facts
								 * must be read before */
	KPI_RUN_RECHECKED,			/* it can be refreshed */
	KPI_RUN_SUSPENDED,			/* nothing was done: see kpi.source_status */
	KPI_RUN_RENAMED,			/* never returned: its names are to be
								 * followed first */
	KPI_RUN_GONE				/* the source was dropped meanwhile */
} KpiRunResult;

/* Whole months. */
typedef struct KpiDays
{
	DateADT		since;
	DateADT		until;			/* exclusive */
} KpiDays;

extern const KpiDays kpi_refresh_all_days;

/*
 * The caller holds the locks of kpi_refresh_lock_sources().  Verification and
 * repair look at what belongs to the given days, without places.
 */
extern KpiRunResult kpi_refresh_source(int32 source_id, KpiRunMode mode, KpiReport *report);
extern KpiRunResult kpi_refresh_source_days(int32 source_id, KpiRunMode mode, const KpiDays *days,
											KpiReport *report);

/* ---- state.c ---- */

/*
 * Forgets what was seen of a source, whose version was just raised: the next refresh
 * reads all facts.
 */
extern void kpi_refresh_source_state_reset(int32 source_id, Oid relid, Oid definer);

/* What places depend on besides the cells, as text: how periods are cut. */
extern char *kpi_refresh_calendar_shape(const KpiCalendar *calendar);

/* ---- build_state.c ---- */

/*
 * The version of a source's streams was just raised, and most of what they have stored
 * is what the facts say still: the next refresh reads them and writes what differs.
 */
extern void kpi_refresh_build_compare(int32 source_id);

/* ---- leaf.c ---- */

/* Whether a partition is gone that no refresh has missed yet. */
extern bool kpi_refresh_leaves_are_lost(int32 source_id);

/* ---- hold.c ---- */

/* Whether another table has the source's name now while facts of the one before are sealed. */
extern bool kpi_refresh_seals_are_of_another(int32 source_id);

/* ---- seal.c ---- */

/*
 * Drops all that is sealed of a source; the caller has it computed anew, and
 * holds its lock.
 */
extern void kpi_refresh_seals_discard(int32 source_id);

/* ---- lock.c ---- */

/*
 * Begins engine work: refuses where the snapshot is already fixed, writes
 * this transaction's own buffered deltas, and takes until the end of the
 * transaction the lock of a source (0: of every source, in ascending order).
 * Returns their ids.
 */
extern List *kpi_refresh_lock_sources(int32 source_id);

/*
 * The same sources for KPI_RUN_PROVE, without any lock.  The caller has pinned the
 * snapshot (base/snapshot.c).
 */
extern List *kpi_refresh_sources_to_prove(int32 source_id);

/*
 * Only waits until no engine transaction works on the source, and keeps them
 * waiting until the transaction ends: for who drops what they write to.
 */
extern void kpi_refresh_lock_source(int32 source_id);

/* ---- rollup_queue.c ---- */

/* A refresh of this process has moved rows of rollup tables since this was cleared. */
extern bool kpi_refresh_rollups_queued;

/* ---- log.c ---- */

/*
 * Notes in kpi.refresh_log a refresh that failed; for the worker, in a
 * transaction of its own after the refresh was rolled back.
 */
extern void kpi_refresh_log_failure(int32 source_id, TimestampTz started, double duration_ms,
									const char *sqlstate, const char *message);

#endif							/* KPI_REFRESH_H */
