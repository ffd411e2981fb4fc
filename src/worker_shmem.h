/*-------------------------------------------------------------------------
 *
 * worker_shmem.h
 *	  What writers, the launcher and the workers share.
 *
 * Only there when the library is in shared_preload_libraries; without it
 * kpi_shared is NULL and waking is a no-op.  src/README explains the protocol.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_WORKER_SHMEM_H
#define KPI_WORKER_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/spin.h"

/* A database's worker. */
typedef enum KpiWorkerState
{
	KPI_WORKER_NONE,			/* there is none: the launcher starts one */
	KPI_WORKER_STARTING,		/* asked for, by the launcher */
	KPI_WORKER_AWAKE,			/* its latch wakes it */
	KPI_WORKER_LEAVING			/* reads the counter a last time */
} KpiWorkerState;

/* How a worker ended, for the launcher. */
typedef enum KpiWorkerOutcome
{
	KPI_WORKER_FAILED,			/* by an error */
	KPI_WORKER_LEFT,			/* nothing to do, or others wait */
	KPI_WORKER_NO_EXTENSION		/* the database does not have it */
} KpiWorkerOutcome;

#define KPI_NO_PROC PG_UINT32_MAX

/* A clock that goes back by less harms nothing: moments come that much later. */
#define KPI_CLOCK_TOLERANCE_MS 1000

/*
 * A database that has the extension, or is asked whether it has.  The
 * launcher alone gives a slot to a database and takes it away.
 */
typedef struct KpiSlot
{
	pg_atomic_uint32 dbid;		/* InvalidOid: free */
	pg_atomic_uint32 state;		/* KpiWorkerState */
	pg_atomic_uint32 procno;	/* of the worker, while AWAKE */
	pg_atomic_uint32 outcome;	/* KpiWorkerOutcome of the last worker */
	pg_atomic_uint32 ticket;	/* of the last start: an old one must not work */
	pg_atomic_uint32 confirmed; /* a worker has found the extension */
	pg_atomic_uint64 wakes;		/* commits that ask for work */
	pg_atomic_uint64 changes;	/* those that may have changed definitions;
								 * raised before wakes */
	pg_atomic_uint64 defined_at;	/* TimestampTz of the last definition */
	pg_atomic_uint64 defining_since;	/* since then they follow each other */
	pg_atomic_uint64 commands;	/* those that may have changed what sources
								 * stand on; raised before wakes */
	pg_atomic_uint64 looked;	/* commands after which sources were looked at */
	pg_atomic_uint64 drained;	/* wakes that are worked off */
	pg_atomic_uint64 next_due;	/* TimestampTz, when there is work anyway */
	pg_atomic_uint32 waiter;	/* pid of who the worker is cancelled for */
	pg_atomic_uint32 insists;	/* its refresh is not to be cancelled for one */
	pg_atomic_uint32 told_to_quit;	/* by the postmaster: another has crashed */
	pg_atomic_uint32 source_id; /* in hand, or 0 */

	slock_t		mutex;			/* of what follows, for kpi.worker_status */
	int			pid;			/* of the worker, 0: none */
	TimestampTz since;			/* when it came into its state */
	TimestampTz started;		/* when it was asked for */
	char		source[NAMEDATALEN];	/* in hand, or "" */
} KpiSlot;

/* Databases that have no slot and ask for one. */
#define KPI_ANNOUNCEMENTS 64

/* Databases that a command wants for itself. */
#define KPI_KEEP_OUTS 16

/*
 * A database whose worker crashed, and in which none has done all that was due
 * since then.
 */
typedef struct KpiCrash
{
	Oid			dbid;			/* InvalidOid: free */
	int			crashes;		/* in a row */
	TimestampTz last;
	int32		source_id;		/* in hand then, or 0 */
} KpiCrash;

#define KPI_CRASHES 64

typedef struct KpiShared
{
	pg_atomic_uint32 launcher_procno;
	pg_atomic_uint32 launcher_pid;
	pg_atomic_uint64 launcher_since;
	pg_atomic_uint32 waiting;	/* databases that wait for another's worker */
	pg_atomic_uint64 no_worker_since;	/* TimestampTz: the server has no place
										 * for one; 0: it has */
	pg_atomic_uint32 search_all;	/* more announced themselves than fit */
	pg_atomic_uint32 announced[KPI_ANNOUNCEMENTS];
	pg_atomic_uint64 keep_out[KPI_KEEP_OUTS];	/* database id << 32 | pid */
	slock_t		crash_mutex;
	KpiCrash	crashes[KPI_CRASHES];
	int			nslots;
	KpiSlot		slots[FLEXIBLE_ARRAY_MEMBER];
} KpiShared;

extern KpiShared *kpi_shared;

/* Set in workers: what they write themselves wakes nobody. */
extern bool kpi_am_worker;

/*
 * Reserves the memory, while shared_preload_libraries are loaded; on_new
 * is called by the postmaster when it has been made.
 */
extern void kpi_shmem_init(void (*on_new) (void));

/*
 * The current transaction, if it commits, wakes its database's worker;
 * definitions: it may have changed what sources there are and what they mean.
 */
extern void kpi_wake_request(bool definitions);

/* The same for another database, which may not be known yet. */
extern void kpi_wake_request_database(Oid dbid);

/*
 * The current transaction, if it commits, makes the worker look at its
 * sources' tables, rights and functions; everywhere: every database's worker.
 * Databases that are not known to have the extension are left alone.
 */
extern void kpi_wake_request_look(bool everywhere);

/*
 * Wakes at once.  Atomics only, no error is possible: usable in a commit
 * callback.
 */
extern void kpi_wake(Oid dbid, bool definitions);

extern void kpi_wake_launcher(void);

extern KpiSlot *kpi_slot_find(Oid dbid);

/* Whether databases can count on being worked on (worker_status.c). */
extern bool kpi_workers_run(void);

extern void kpi_slot_report(KpiSlot *slot, int pid, const char *source);

/*
 * Makes the worker of a database leave, waits until it is gone, and keeps
 * workers out of it until the transaction ends (worker_utility.c).  False:
 * no place to note that, or none is preloaded.
 */
extern bool kpi_keep_out(Oid dbid);
extern bool kpi_is_kept_out(Oid dbid);

/* ---- worker_crash.c ---- */

/* For the postmaster, when it has made shared memory. */
extern void kpi_crash_shmem_init(void);

/* Whether the database's worker crashed, and has not made up for it yet. */
extern bool kpi_crash_find(Oid dbid, KpiCrash *crash);

/* No worker is to be started before; DT_NOBEGIN: nothing is in the way. */
extern TimestampTz kpi_crash_retry_at(Oid dbid, TimestampTz now);

extern void kpi_crash_forget(Oid dbid);

/* ---- worker_waiters.c ---- */

/* For the launcher: cancels long refreshes that somebody waits for. */
extern void kpi_waiters_serve(TimestampTz now);

/* When to call that again; DT_NOEND: no worker is there. */
extern TimestampTz kpi_waiters_next_look(TimestampTz now);

/*
 * For a worker whose refresh was cancelled: the process id of who waited, 0:
 * that was not why.
 */
extern int	kpi_waiters_cancelled(KpiSlot *slot);

/*
 * For a worker that begins a refresh of a source that has given way so often
 * since one was done.
 */
extern void kpi_waiters_begin(KpiSlot *slot, int give_ways);

/* ---- worker_utility.c ---- */

extern void kpi_utility_init(void);

/* ---- worker_launcher.c, worker_main.c ---- */

extern void kpi_launcher_register(void);
extern PGDLLEXPORT void kpi_launcher_main(Datum arg);
extern PGDLLEXPORT void kpi_worker_main(Datum arg);

/* What a worker is started with (bgw_extra). */
typedef struct KpiWorkerOrder
{
	int			slot;
	uint32		ticket;
	Oid			dbid;
} KpiWorkerOrder;

#endif							/* KPI_WORKER_SHMEM_H */
