/*-------------------------------------------------------------------------
 *
 * base.h
 *	  The frame towards the server: settings, roles, statements, tables read and
 *	  written by their keys, errors caught, waking.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_BASE_H
#define KPI_BASE_H

#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/bitmapset.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "storage/spin.h"
#include "utils/date.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* ---- guc.c ---- */

/* Size, in kB, at which a writer's buffer of deltas is spilled to the queue. */
extern int	kpi_buffer_size;

/* Size, in kB, from which on a segment of a queue is grown (capture/segment.c). */
extern int	kpi_segment_size;

/* The library was loaded at server start: the background worker can run. */
extern bool kpi_preloaded;

/* How long, in ms, a lock on a user's table is waited for; 0: without end. */
extern int	kpi_lock_timeout;

/* How long, in ms, a worker spends on a part of a rollup table; 0: without end. */
extern int	kpi_rollup_timeout;

/* Refreshes that take this many ms are logged: 0 all, -1 none. */
extern int	kpi_log_min_duration;

/* Days for which kpi.refresh_log keeps a row; 0: none is written. */
extern int	kpi_log_retention;

/* NOTIFY kpi_refresh after each refresh that had something to do. */
extern bool kpi_notify_refresh;

/* Whether the launcher starts workers at all. */
extern bool kpi_enabled;
extern bool kpi_capture_enabled;

/* How many workers run at once, over all databases. */
extern int	kpi_max_workers;

/* How many databases the launcher keeps in mind. */
extern int	kpi_max_databases;

/* How long a worker waits for more work before it leaves, in ms. */
extern int	kpi_worker_idle_timeout;

/* How long a build waits for another definition after the last one, in ms. */
extern int	kpi_build_delay;
extern int	kpi_query_limit;

/* Seconds between two runs of the remembered queries of people. */
extern int	kpi_people_interval;

/* Days after the end of a period from which on kpi.health() reminds of closing it; 0: never. */
extern int	kpi_close_reminder;

/* So many goals of one team or member at once are not too many. */
extern int	kpi_focus_limit;

/* Why definitions are changed, for kpi.definition_log; NULL or empty: nothing is said. */
extern char *kpi_reason;

extern int	kpi_build_step;

/* Seconds after which the next database beyond kpi.max_databases is asked. */
extern int	kpi_naptime;

extern void kpi_guc_init(void);

/*
 * Returns the present moment: the setting kpi.now where it is set (tests, what-if
 * demonstrations), else the start of the current statement.
 */
extern TimestampTz kpi_now(void);

/* ---- extension.c ---- */

/* Returns the role that owns the extension; error if it is not installed. */
extern Oid	kpi_extension_owner(void);

/* Returns the version of its objects in this database; error if it is not installed. */
extern const char *kpi_extension_version(void);

/*
 * Compares the versions of the library and of its objects: < 0, the library is older;
 * 0, they are the same; > 0, it is newer, and ALTER EXTENSION pg_kpi UPDATE has not run.
 * "noted": as they were when they were looked up last.
 */
extern int	kpi_extension_difference(void);
extern int	kpi_extension_difference_noted(void);

/* Says what differs, and what to do about it, as sentences. */
extern char *kpi_extension_difference_text(void);
extern const char *kpi_extension_difference_remedy(void);

/* Raises an error unless they are the same: before anything is defined or refreshed. */
extern void kpi_extension_require(void);

/* ---- role.c ---- */

/* Returns the OID of kpi.<name> or kpi_internal.<name>; error if it does not exist. */
extern Oid	kpi_relation_oid(const char *schema, const char *name);

extern bool kpi_role_can_login(Oid role);

/*
 * Returns the role that has the name of a source's definer.  Error if there is
 * none, or if it is not the expected one (InvalidOid: any).
 */
extern Oid	kpi_definer_role(const char *source, const char *definer, Oid expected);

/*
 * Returns what a role is, or may become, that gives it more rights than tables:
 * "a superuser", "a member of pg_read_server_files", ...; NULL: nothing.
 */
extern const char *kpi_role_privilege(Oid role);

/*
 * Checks whether what belongs to the owner may run with the rights of the role:
 * anybody's with those of a role without such a privilege, else only its own and
 * that of superusers.
 */
extern bool kpi_role_trusts(Oid role, Oid owner);

/*
 * A switch of the current user in a security-restricted operation with
 * search_path pinned to "pg_catalog, pg_temp" and SQL read as the standard
 * says (expr/expr.h).  Used with the definer of a source before its
 * expressions are compiled or evaluated.
 */
typedef struct KpiUser
{
	Oid			save_user;
	int			save_sec_context;
	int			guc_nest_level;
} KpiUser;

extern void kpi_user_switch(KpiUser *state, Oid role);
extern void kpi_user_restore(KpiUser *state);

/*
 * Raises an error unless the current user may define organisation-wide things (teams,
 * members, calendars, goals, formulas): a superuser, the extension's owner or
 * a role that kpi.grant_editor() was called for; or if the library is of another
 * version than its objects.
 */
extern void kpi_require_editor(void);

/* ---- spi.c ---- */

/*
 * While it is open, the extension's owner is the current user, search_path is
 * "pg_catalog, pg_temp" and SPI is connected.  An error undoes all of it with
 * the (sub)transaction.
 */
typedef struct KpiSpi
{
	Oid			save_user;
	int			save_sec_context;
	int			guc_nest_level;
} KpiSpi;

extern void kpi_spi_begin(KpiSpi *spi);
extern void kpi_spi_end(KpiSpi *spi);

/*
 * Runs one statement with up to 16 parameters, given as pairs
 * (Oid type, Datum value) after nargs; a NULL parameter is written as
 * KPI_NULL(type).  Returns SPI_processed; rows are in SPI_tuptable.
 *	kpi_spi_exec(): may write, sees everything committed before it.
 *	kpi_spi_read(): reads under the active snapshot (which must be set).
 */
extern uint64 kpi_spi_exec(const char *sql, int nargs,...);
extern uint64 kpi_spi_read(const char *sql, int nargs,...);

/* For parameter lists: KPI_TEXT("x"), KPI_INT4(7); a NULL pointer is NULL. */
typedef struct KpiParam
{
	Oid			type;
	Datum		value;
	bool		isnull;
} KpiParam;

extern KpiParam KPI_TEXT(const char *value);
extern KpiParam KPI_INT4S(List *values);	/* as integer[]; NIL: empty */
extern KpiParam KPI_TEXTS(List *values);	/* char *, as text[]; NIL: empty */
extern KpiParam KPI_INT4(int32 value);
extern KpiParam KPI_INT8(int64 value);
extern KpiParam KPI_BOOL(bool value);
extern KpiParam KPI_VALUE(Oid type, Datum value);
extern KpiParam KPI_NULL(Oid type);

/* Column c (from 1) of row r (from 0) of SPI_tuptable. */
extern char *kpi_spi_text(uint64 r, int c); /* palloc'd in the SPI context;
											 * NULL if null */
extern int32 kpi_spi_int4(uint64 r, int c); /* 0 if null */
extern int64 kpi_spi_int8(uint64 r, int c);
extern bool kpi_spi_bool(uint64 r, int c);
extern Datum kpi_spi_datum(uint64 r, int c, bool *isnull);

/* ---- rows.c ---- */

/*
 * The rows of one statement:
 *
 *		kpi_rows_begin(&rows, "SELECT id, name FROM kpi.source WHERE grain = $1", 1, KPI_TEXT(grain));
 *		while (kpi_rows_next(&rows))
 *			f(kpi_rows_int4(&rows, "id"), kpi_rows_text(&rows, "name"));
 *		kpi_rows_end(&rows);
 *
 * It runs as within kpi_spi_begin(), which lasts to the end; there may be one
 * around it, and other statements in between.  The memory context stays the
 * caller's.  An error ends it, as it ends kpi_spi_begin().
 */
typedef struct KpiRows
{
	KpiSpi		spi;
	SPITupleTable *table;
	uint64		n;				/* rows in all */
	uint64		next;			/* rows that kpi_rows_next() has come to */
	int			column;			/* the one read last, from 0 */
} KpiRows;

/* As kpi_spi_exec() and kpi_spi_read(). */
extern void kpi_rows_begin(KpiRows *rows, const char *sql, int nargs,...);
extern void kpi_rows_begin_read(KpiRows *rows, const char *sql, int nargs,...);
extern bool kpi_rows_next(KpiRows *rows);
extern void kpi_rows_rewind(KpiRows *rows); /* before the first row again */
extern void kpi_rows_end(KpiRows *rows);

/* Hands out all rows as those of a set-returning function, columns by their names, and ends them. */
extern void kpi_rows_put(KpiRows *rows, ReturnSetInfo *rsinfo, const char *const *columns, int ncolumns);

/* A column of the row: of the type that is asked for; texts are of any type. */
extern char *kpi_rows_text(KpiRows *rows, const char *name);	/* palloc'd; NULL if
																 * null */
extern List *kpi_rows_texts(KpiRows *rows, const char *name);	/* a text[] without
																 * nulls; NIL if null */
extern int32 kpi_rows_int4(KpiRows *rows, const char *name);	/* 0 if null */
extern int64 kpi_rows_int8(KpiRows *rows, const char *name);
extern bool kpi_rows_bool(KpiRows *rows, const char *name);
extern Oid	kpi_rows_oid(KpiRows *rows, const char *name);
extern DateADT kpi_rows_date(KpiRows *rows, const char *name, DateADT if_null);
extern TimestampTz kpi_rows_time(KpiRows *rows, const char *name, TimestampTz if_null);
extern Datum kpi_rows_datum(KpiRows *rows, const char *name, bool *isnull); /* until the end */

/* The only column of a statement's first row; 0 or NULL if there is none or it is null. */
extern int32 kpi_first_int4(const char *sql, int nargs,...);
extern int64 kpi_first_int8(const char *sql, int nargs,...);
extern char *kpi_first_text(const char *sql, int nargs,...);

/* The only column of all its rows. */
extern List *kpi_all_int4(const char *sql, int nargs,...);
extern List *kpi_all_texts(const char *sql, int nargs,...);

/* ---- lookup.c ---- */

#define KPI_LOOKUP_MAX_KEYS 3

typedef struct KpiLookup
{
	MemoryContext mcxt;			/* of its scan */
	Relation	rel;
	Relation	index;
	int			nkeys;
	FmgrInfo	equal[KPI_LOOKUP_MAX_KEYS];
	IndexScanDesc scan;
	TupleTableSlot *found;		/* the row kpi_lookup_next() returned */
} KpiLookup;

/*
 * Opens a table for reading (ACCESS SHARE) by the first nkeys
 * columns of an index of it, as the snapshot shows it until it is closed.
 */
extern void kpi_lookup_open(KpiLookup *lookup, const char *schema, const char *table, const char *index,
							int nkeys, Snapshot snapshot);
extern void kpi_lookup_close(KpiLookup *lookup);

/* Looks for the rows with these values of the index's columns: one at a time, in its order; of no columns, all. */
extern void kpi_lookup_begin(KpiLookup *lookup, const Datum *keys);
extern bool kpi_lookup_next(KpiLookup *lookup);

/* A column of the row that was found, which is not null; until the next. */
extern Datum kpi_lookup_column(KpiLookup *lookup, AttrNumber attno);

/* ---- newest.c ---- */

/* Keys of more bytes are not told apart: each entry of them is looked at. */
#define KPI_NEWEST_MAX_KEY 64

typedef struct KpiNewest
{
	Relation	rel;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *found;		/* the row kpi_newest_next() returned */
	char		key[KPI_NEWEST_MAX_KEY];	/* of it, as the index has it */
	Size		key_size;		/* 0: none */
} KpiNewest;

/*
 * Looks for the rows of a table (ACCESS SHARE) by a unique index of it, else
 * (InvalidOid) its primary key, from behind, as the snapshot shows them.  The keys are numbered by columns of the
 * index.  What is allocated lasts until _end(), in the current memory context.
 */
extern void kpi_newest_begin(KpiNewest *newest, Oid relid, Oid index_id, Snapshot snapshot, ScanKey keys, int nkeys);
extern bool kpi_newest_next(KpiNewest *newest);
extern Datum kpi_newest_column(KpiNewest *newest, AttrNumber attno, bool *isnull);
extern void kpi_newest_end(KpiNewest *newest);

/* ---- keyed_table.c ---- */

#define KPI_KEYED_TABLE_MAX_KEYS 6

/* A row that was inserted and is not in the indexes yet. */
typedef struct KpiKeyedRow
{
	int32		keys[KPI_KEYED_TABLE_MAX_KEYS];
	ItemPointerData tid;
} KpiKeyedRow;

typedef struct KpiKeyedTable
{
	MemoryContext mcxt;			/* it and its scan live here */
	Relation	rel;
	Relation	index;			/* the unique index rows are found by */
	int			nkeys;
	FmgrInfo	key_eq[KPI_KEYED_TABLE_MAX_KEYS];
	FmgrInfo	key_ge[KPI_KEYED_TABLE_MAX_KEYS];
	FmgrInfo	key_le[KPI_KEYED_TABLE_MAX_KEYS];
	EState	   *estate;
	ResultRelInfo *rri;
	bool		sorts_rows;		/* the indexes have columns of the key only */
	Snapshot	snapshot;
	IndexScanDesc scan;
	int			scan_nkeys;
	IndexScanDesc newest;		/* for rows that are looked for alone, or NULL */
	bool		seeking;		/* the scan is kpi_keyed_table_seek()'s */
	bool		seek_entry;		/* it stands on an entry not yet passed */
	int			seek_nprefix;
	int32		seek_prefix[KPI_KEYED_TABLE_MAX_KEYS];
	TupleTableSlot *found;		/* the row kpi_keyed_table_next()/seek()
								 * returned */
	TupleTableSlot *write;
	TupleTableSlot **batch;		/* rows still to be inserted */
	int			nbatch;
	KpiKeyedRow *rows;			/* rows still to be entered into the indexes */
	int			nrows;
	int			max_rows;
	int64		nwritten;		/* rows inserted, updated, deleted */
} KpiKeyedTable;

/*
 * Opens a table for writing (ROW EXCLUSIVE) through its primary key, which is its
 * first nkeys columns, all of type int4 or date.  Reads are made under the
 * snapshot, which must stay registered until the table is closed.
 */
extern KpiKeyedTable *kpi_keyed_table_open(const char *schema, const char *table, int nkeys, Snapshot snapshot);
extern void kpi_keyed_table_close(KpiKeyedTable *keyed);

/*
 * Finds the row with this key into keyed->found.  If a key is asked for next that
 * has the same first nprefix columns and is some few rows behind it (near), it
 * is gone on to from there; nothing else may use the table's scan in between.
 */
extern bool kpi_keyed_table_seek(KpiKeyedTable *keyed, const int32 *keys, int nprefix, bool near_follows);

/*
 * Scans the rows whose first nprefix key columns equal prefix and whose next
 * key column is within [low, high] (not tested when nprefix = nkeys or bounded
 * is false), in the order of the key, one at a time into keyed->found.
 */
extern void kpi_keyed_table_scan(KpiKeyedTable *keyed, int nprefix, const int32 *prefix,
								 bool bounded, int32 low, int32 high);
extern bool kpi_keyed_table_next(KpiKeyedTable *keyed);

/*
 * Values are given for every column, in order; nulls may be NULL.  Inserted rows
 * are collected and written together, and their index entries in the order of
 * each index: at the latest by _close(), so nobody may look for them before.
 */
extern void kpi_keyed_table_insert(KpiKeyedTable *keyed, const Datum *values, const bool *nulls);
extern void kpi_keyed_table_update_found(KpiKeyedTable *keyed, const Datum *values, const bool *nulls);
extern void kpi_keyed_table_delete_found(KpiKeyedTable *keyed);

/* ---- args.c ---- */

/*
 * Reads a text; NULL if null or not given.  A polymorphic parameter (anycompatible: a plain
 * literal is text there) takes any type and yields its text.
 */
extern char *kpi_arg_text(FunctionCallInfo fcinfo, int n);

/* A day as it is given, or NULL, to be passed on. */
extern KpiParam kpi_arg_day_param(FunctionCallInfo fcinfo, int n);

/*
 * Writes a value, whose type is no domain, as facts write a key (kpi_expr_key_text()); under
 * pinned settings, KPI_SETTINGS_PRINT at least.
 */
extern char *kpi_key_text(Oid type, Datum value);

/* What keeps a text from being a name or key, "is empty"; NULL: nothing. */
extern const char *kpi_name_fault(const char *value);

/* Reads a name: error if null, empty, or with spaces around; "what" it names: "team". */
extern char *kpi_arg_name(FunctionCallInfo fcinfo, int n, const char *what);

/* The same, but NULL if null. */
extern char *kpi_arg_optional_name(FunctionCallInfo fcinfo, int n, const char *what);

/* Reads a day; null, and the infinite of the same side, are if_null. */
extern DateADT kpi_arg_day(FunctionCallInfo fcinfo, int n, const char *name, DateADT if_null);

/* Writes a day as '2026-10-05', whatever DateStyle says; open ends as 'always' and 'open'. */
extern char *kpi_day_text(DateADT day);

/* Writes the first few of some texts as 'a, b and 3 others'; NULL for none. */
extern char *kpi_list_join(List *texts);

/*
 * The same for what a query of one text column yields, parameter $1 an id.
 */
extern char *kpi_list_some(const char *sql, int32 id);

/* ---- wake.c ---- */

/* What a worker does; a database has at most one of each kind. */
typedef enum KpiWorkerKind
{
	KPI_WORKER_DELTAS,			/* applies the queue, and all else that is
								 * short */
	KPI_WORKER_BUILDS			/* the builder: reads facts */
} KpiWorkerKind;

#define KPI_WORKER_KINDS 2

/* The state of a post. */
typedef enum KpiWorkerState
{
	KPI_WORKER_NONE,			/* nobody is at it: the launcher starts one */
	KPI_WORKER_STARTING,		/* asked for, by the launcher */
	KPI_WORKER_AWAKE,			/* its latch wakes it */
	KPI_WORKER_LEAVING			/* reads the counter a last time */
} KpiWorkerState;

/* How a worker ended, for the launcher. */
typedef enum KpiWorkerOutcome
{
	KPI_WORKER_FAILED,			/* by an error */
	KPI_WORKER_LEFT,			/* nothing to do, or others wait */
	KPI_WORKER_NO_EXTENSION,	/* the database does not have it */
	KPI_WORKER_DIFFERS			/* the database has another version of it */
} KpiWorkerOutcome;

#define KPI_NO_PROC PG_UINT32_MAX

/* A clock that goes back by less harms nothing: moments come that much later. */
#define KPI_CLOCK_TOLERANCE_MS 1000

/* The post of a database's worker of one kind. */
typedef struct KpiPost
{
	pg_atomic_uint32 state;		/* KpiWorkerState */
	pg_atomic_uint32 procno;	/* of the worker, while AWAKE */
	pg_atomic_uint32 outcome;	/* KpiWorkerOutcome of the last worker */
	pg_atomic_uint32 ticket;	/* of the last start: an old one must not work */
	pg_atomic_uint64 wakes;		/* who asked for work: commits, or the other
								 * worker */
	pg_atomic_uint64 drained;	/* wakes that are worked off */
	pg_atomic_uint64 next_due;	/* TimestampTz, when there is work anyway */
	pg_atomic_uint32 waiter;	/* pid of who the worker is cancelled for */
	pg_atomic_uint32 uncancellable; /* its refresh is not to be cancelled for
									 * one */
	pg_atomic_uint32 told_to_quit;	/* by the postmaster: another has crashed */
	pg_atomic_uint32 source_id; /* in hand, or 0 */

	slock_t		mutex;			/* of what follows, for kpi.worker_status */
	int			pid;			/* of the worker, 0: none */
	TimestampTz since;			/* when it came into its state */
	TimestampTz started;		/* when it was asked for */
	char		source[NAMEDATALEN];	/* in hand, or "" */
} KpiPost;

/*
 * A database that has the extension, or is asked whether it has.  The
 * launcher alone gives a slot to a database and takes it away.
 */
typedef struct KpiSlot
{
	pg_atomic_uint32 dbid;		/* InvalidOid: free */
	pg_atomic_uint32 confirmed; /* a worker has found the extension */
	pg_atomic_uint32 differs;	/* a worker has said that it is of another
								 * version than the library */
	pg_atomic_uint64 changes;	/* commits that may have changed definitions;
								 * raised before wakes */
	pg_atomic_uint64 defined_at;	/* TimestampTz of the last definition */
	pg_atomic_uint64 defining_since;	/* since then they follow each other */
	pg_atomic_uint64 commands;	/* those that may have changed what sources
								 * depend on; raised before wakes */
	pg_atomic_uint64 rechecked; /* commands after which sources were rechecked */
	pg_atomic_uint32 builds_itself; /* the server has no process for a
									 * builder: the other worker builds */
	pg_atomic_uint32 built_last;	/* source of the last build: the next one
									 * is another's turn */
	pg_atomic_uint32 wanted;	/* source that the builder has, or had, and
								 * the other worker waits for; or 0 */
	pg_atomic_uint32 held_mark; /* xid: an older snapshot is held if the
								 * horizon is before it (worker/pace.c) */
	pg_atomic_uint64 held_since;	/* TimestampTz of the mark */
	pg_atomic_uint32 held_refreshes;	/* by the worker since then */
	KpiPost		posts[KPI_WORKER_KINDS];
} KpiSlot;

/* Databases that have no slot and ask for one. */
#define KPI_ANNOUNCEMENTS 64

/* Databases that a command wants for itself: no worker may be in them. */
#define KPI_EVICTIONS 16

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
	pg_atomic_uint32 waiting;	/* posts that wait for another's worker */
	pg_atomic_uint32 waiting_builds;	/* those that wait for a builder */
	pg_atomic_uint64 no_worker_since;	/* TimestampTz: the server has no
										 * place for one; 0: it has */
	pg_atomic_uint32 search_all;	/* more announced themselves than fit */
	pg_atomic_uint32 announced[KPI_ANNOUNCEMENTS];
	pg_atomic_uint64 evict[KPI_EVICTIONS];	/* database id << 32 | pid */
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
 * Has the current transaction, if it commits, wake its database's worker;
 * definitions: it may have changed what sources there are and what they mean.
 */
extern void kpi_wake_request(bool definitions);

/* The same for another database, which may not be known yet. */
extern void kpi_wake_request_database(Oid dbid);

/*
 * Has the current transaction, if it commits, make the worker recheck its
 * sources' tables, rights and functions; everywhere: every database's worker.
 * Databases that are not known to have the extension are left alone.
 */
extern void kpi_wake_request_recheck(bool everywhere);

/*
 * Wakes at once.  Atomics only, no error is possible: usable in a commit
 * callback.
 */
extern void kpi_wake(Oid dbid, bool definitions);

extern void kpi_wake_launcher(void);

extern KpiSlot *kpi_slot_find(Oid dbid);

/*
 * Wakes the worker at a post of this process's own database.  Atomics only, no
 * error is possible.
 */
extern void kpi_post_wake(KpiPost *post);

extern void kpi_post_report(KpiPost *post, int pid, const char *source);

/*
 * Evicts the workers of a database: makes them leave, waits until they are gone,
 * and lets none in until the transaction ends (worker/utility.c).  False: there is
 * no place to note that, or the library is not preloaded.
 */
extern bool kpi_evict(Oid dbid);
extern bool kpi_is_evicted(Oid dbid);

/* ---- trap.c ---- */

/* What an error is about, in the order of how much it stops. */
typedef enum KpiErrorClass
{
	KPI_ERROR_TRAPPED,			/* what was run: an expression, a definition */
	KPI_ERROR_CONFLICT,			/* somebody else held what was needed */
	KPI_ERROR_SERVER,			/* memory, disk, damaged data */
	KPI_ERROR_STOP				/* cancelled, or the session is to end */
} KpiErrorClass;

extern KpiErrorClass kpi_error_class(const ErrorData *error);

/*
 * Runs a function in a subtransaction, in the caller's memory context.  NULL,
 * or the error that rolled it back, in the caller's memory; an error of a class
 * beyond "most" is thrown again, but not before the subtransaction is over.
 */
extern ErrorData *kpi_try(KpiErrorClass most, void (*body) (void *arg), void *arg);

/* Runs the work in a subtransaction and takes back all it has written and locked; its error is the caller's. */
extern void kpi_undone(void (*body) (void *arg), void *arg);

/* The same, but what the work has left in *wanted says whether it is kept. */
extern void kpi_done_if(const bool *wanted, void (*body) (void *arg), void *arg);

/* When to try again after so many failures in a row, from 1 on: 1 s, doubled each time. */
#define KPI_MAX_RETRY_SECONDS 300
extern TimestampTz kpi_retry_at(TimestampTz now, int failures);

/* ---- invalidation.c ---- */

/*
 * Has a function called for each relcache invalidation, with the table's OID
 * or InvalidOid for all tables.  It must neither fail nor read a catalog.
 * Asking again for the same function is nothing.
 */
extern void kpi_on_relcache_change(void (*handler) (Oid relid));

/* The same for invalidations of a system cache (syscache.h). */
extern void kpi_on_syscache_change(int cacheid, void (*handler) (int cacheid));

/* ---- definition_cache.c ---- */

#define KPI_DEFINITION_CACHE_MAX_TABLES 3

/*
 * What a cache of definitions is made of: a static variable that names its
 * tables and has a function read them.
 */
typedef struct KpiDefinitionCache
{
	const char *name;			/* in the plural, for its memory context */
	struct
	{
		const char *schema;
		const char *name;
	}			tables[KPI_DEFINITION_CACHE_MAX_TABLES];

	/*
	 * Makes the contents of all rows of the tables, which are given in the
	 * same order, as the snapshot shows them; in the current memory context.
	 */
	void	   *(*read) (Relation *rels, Snapshot snapshot);

	/* The rest belongs to definition_cache.c. */
	bool		registered;
	int			ntables;
	Oid			relids[KPI_DEFINITION_CACHE_MAX_TABLES];
	uint64		generation;		/* of invalidations */
	uint64		loaded;			/* generation of the contents */
	MemoryContext context;
	void	   *contents;
	struct KpiDefinitionCache *next;
} KpiDefinitionCache;

/*
 * The contents, read anew if one of the tables has changed; valid until the
 * next call that can process invalidations.
 */
extern void *kpi_definition_cache_get(KpiDefinitionCache *cache);

/* ---- source_lock.c ---- */

/* Until the end of the transaction; for whom, and in which order, refresh/lock.c says. */
extern void kpi_source_lock(int32 source_id);

/* Whether another transaction has the lock at this moment. */
extern bool kpi_source_is_busy(int32 source_id);

/*
 * The lock under which what forecasts of a KPI are based on is made, until the end of the
 * transaction; false if another has it.
 */
extern bool kpi_basis_try_lock(int32 kpi_id);

/* ---- near.c ---- */

/* A few of the names (char *) that may have been meant, as '"revenue", "revenues"'; NULL: none is near. */
extern char *kpi_near_names(List *names, const char *wanted);

/* ---- snapshot.c ---- */

/* A snapshot, as far as it matters for what it shows. */
typedef struct KpiSnapshotNote
{
	uint64		nends;			/* of transactions and subtransactions */
	TransactionId xmin;
	TransactionId xmax;
	uint32		nrunning;
	uint32		nsubrunning;
	CommandId	command;
	bool		in_recovery;
} KpiSnapshotNote;

extern void kpi_snapshot_init(void);

/*
 * True if the active snapshot may show other rows than the one noted, and then
 * it is noted; a note that is all zero is of none.
 */
extern bool kpi_snapshot_changed(KpiSnapshotNote *note);

/*
 * While it is pinned all that is read of our own tables is what the active snapshot
 * shows: by statements, by lookups for what there is now (SnapshotSelf), and by
 * who asks for the latest snapshot.  For who writes nothing, and proves that all of
 * it fits together.  Whoever pins it unpins it, after an error as well.
 */
extern void kpi_snapshot_pin(bool pin);
extern bool kpi_snapshot_is_pinned(void);

/* The latest one; the active one while it is pinned. */
extern Snapshot kpi_snapshot_latest(void);

/* ---- pinned.c ---- */

/* What settings change; to be combined. */
#define KPI_SETTINGS_READ	0x01	/* how the text of an expression is read */
#define KPI_SETTINGS_PRINT	0x02	/* how built-in functions print values */
#define KPI_SETTINGS_ZONE	0x04	/* what abbreviations of time zones mean */
#define KPI_SETTINGS_CODE	0x08	/* what only a user's code can depend on */
#define KPI_SETTINGS_ALL	0x0F

/*
 * Gives every setting of these kinds that has another value the pinned one.
 * The caller is in a nest level of settings of its own (NewGUCNestLevel(), or
 * a subtransaction), whose end restores them.
 */
extern void kpi_settings_pin(int kinds);

/* A qualified name as it is stored: quoted where it must be, whatever the session has quoted. */
extern char *kpi_stored_name(const char *schema, const char *name);

/* ---- error_text.c ---- */

/*
 * A note is an error as it is stored: SQLSTATE, a blank, the message.  Notes
 * in our own words, which hold no data and are for everybody, have this.
 */
#define KPI_NOTE_OWN "00000 "

/* Makes the note of an error that ended what was done. */
extern char *kpi_error_note(const ErrorData *error);

/* The same for one that an expression raised for a fact: never our words. */
extern char *kpi_fact_error_note(const ErrorData *error);

/*
 * Returns what of a note is shown to a role, of a source that this definer made
 * (definer_oid: the role that had the name then, or InvalidOid): the message,
 * or the name of the condition and its SQLSTATE.
 */
extern char *kpi_note_shown(const char *note, Oid viewer, const char *definer, Oid definer_oid);

/*
 * Returns the name of the source if texts of its errors are not for the current
 * user; NULL if they are.  To be asked while no error is being handled.
 */
extern char *kpi_hidden_source(int32 source_id);

/*
 * Takes from an error what is not for everybody; true if there was any.  The
 * server's log has the rest as its detail.
 */
extern bool kpi_error_conceal(ErrorData *error, const char *source);

/* ---- for every room ---- */

/* Owner keys and dimension values longer than this are cut (fact/key.c). */
#define KPI_MAX_KEY 500

#endif							/* KPI_BASE_H */
