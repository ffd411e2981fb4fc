/*-------------------------------------------------------------------------
 *
 * refresh_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_REFRESH_INTERNAL_H
#define KPI_REFRESH_INTERNAL_H

#include "access/transam.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "cell/cell.h"
#include "datatype/timestamp.h"
#include "goal/goal.h"
#include "model/model.h"
#include "nodes/pg_list.h"
#include "refresh/refresh.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"

/* ---- cellmap.c ---- */

#define KPI_CELL_KEY_COLUMNS 6

/* A row of kpi_internal.day_cell, in the order of its primary key. */
typedef struct KpiDayKey
{
	int32		stream_id;
	int32		owner_id;		/* 0: none */
	DateADT		day;			/* or KPI_ERROR_DAY */
	int32		dim_combination_id; /* 0: no dimensions */
	int32		unused[2];
} KpiDayKey;

/* What is summed up per path (attribution.c) on its way to the teams. */
typedef struct KpiPathKey
{
	int32		stream_id;
	int32		path;
	int32		grain;			/* KpiGrain */
	int32		dim_value_id;	/* 0: whatever the dimensions */
	DateADT		start;
	int32		unused[1];
} KpiPathKey;

/*
 * A row of kpi_internal.rollup_cell, in the order of its primary key.  In some
 * periods it is a place, and has no cell (place.c).
 */
typedef struct KpiRollupKey
{
	int32		stream_id;
	int32		scope_kind;		/* KpiScopeKind */
	int32		scope_id;
	int32		grain;			/* KpiGrain */
	int32		dim_value_id;	/* 0: whatever the dimensions */
	DateADT		start;
} KpiRollupKey;

/*
 * What a map or a list is by.  Each key is of the whole size, what it does not
 * use 0, so one way of hashing and comparing does for all: by columns.
 */
typedef union KpiCellKey
{
	int32		stream_id;		/* the first column of each */
	KpiDayKey	day;
	KpiPathKey	path;
	KpiRollupKey rollup;
	int32		columns[KPI_CELL_KEY_COLUMNS];
} KpiCellKey;

/* How many columns of a key come before one of them. */
#define KPI_KEY_COLUMNS_BEFORE(type, field) ((int) (offsetof(type, field) / sizeof(int32)))

typedef struct KpiCellItem
{
	KpiCellKey	key;
	KpiCell    *cell;			/* NULL: a place */
} KpiCellItem;

/* A sum of cells per key, in a hash. */
typedef struct KpiCellMap KpiCellMap;

/* Items in ascending order of their keys, each key once. */
typedef struct KpiCellList
{
	int			nitems;
	KpiCellItem *items;
} KpiCellList;

extern KpiCellMap *kpi_refresh_cellmap_create(MemoryContext parent);
extern void kpi_refresh_cellmap_add(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell);
extern void kpi_refresh_cellmap_subtract(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell);

/* The non-empty cells, which stay the map's; items are in no order. */
extern KpiCellList *kpi_refresh_cellmap_list(KpiCellMap *map);
extern KpiCellList *kpi_refresh_cellmap_items(KpiCellMap *map);

/*
 * Sorts items whose keys may repeat and sums the cells of each key.  The
 * cells must be palloc'd; they stay where they are.
 */
extern void kpi_refresh_celllist_sort(KpiCellList *list);
extern int	kpi_refresh_cellkey_compare(const KpiCellKey *a, const KpiCellKey *b);

/* ---- dictionary.c ---- */

/*
 * Texts met while cells are collected get a local number.
 */
typedef struct KpiDict KpiDict;

extern KpiDict *kpi_refresh_dict_create(MemoryContext parent);
extern int	kpi_refresh_dict_owner(KpiDict *dict, const char *key, int len);	/* key NULL: no owner */

/* A text[] of each dimension's value, or none. */
extern int	kpi_refresh_dict_dim_combination(KpiDict *dict, Datum dim_combination, bool isnull);

/*
 * Puts the rows of kpi_internal.owner and kpi_internal.dim in the place of the
 * local numbers in the keys of day cells, and sorts the list.  Texts that no
 * cell of the list has get no row.
 */
extern void kpi_refresh_dict_resolve(KpiDict *dict, const KpiSource *source, KpiCellList *days);

/* The key of an owner, palloc'd, or NULL for no owner; owners is open by owner_pkey. */
extern char *kpi_refresh_owner_key(KpiLookup *owners, int32 owner_id);

/* The dim value at a position, from 1, of a dim combination; both are rows of kpi_internal.dim. */
extern int32 kpi_refresh_dim_value(const KpiSource *source, int32 dim_combination_id, int position);

/* Starts with an empty cache of kpi_refresh_dim_value(). */
extern void kpi_refresh_dim_values_forget(void);

/*
 * After all cells were made anew: removes the rows of dimensions that the source
 * has not any more.  While cells name them they stay, as a refresh that began
 * before the definition changed may still be writing such cells.
 */
extern void kpi_refresh_dim_sweep(const KpiSource *source);

/* ---- queue.c ---- */

/* Facts of which owner and day are being worked on, for errors. */
typedef struct KpiFactsAt
{
	bool		is_known;
	DateADT		day;
	const char *owner;			/* or NULL */
	int			owner_len;
} KpiFactsAt;

/* The table under a source, as a run finds and locks it. */
typedef struct KpiRunTable
{
	Oid			relid;
	List	   *leaves;
	Oid			locked_relid;	/* the table with ACCESS SHARE, before S */
	List	   *locked;			/* and its leaves */
	List	   *leaf_states;	/* kpi_capture_trigger_state() of each, before
								 * S */
} KpiRunTable;

/*
 * What a run makes: decided before the first delta is read, beside the
 * definition, which stays what it is.
 */
typedef struct KpiPlan
{
	Bitmapset  *build;			/* numbers of streams made from the facts,
								 * which have their deltas; of the others each
								 * measure is built */
	bool		new_periods;	/* others than the places are of */
	bool		people_moved;	/* since the attributions were stored */
} KpiPlan;

/* What a run has met and written so far, for those who ask what it did. */
typedef struct KpiRunStats
{
	int64		ndeltas;		/* consumed, markers too */
	int64		ncells;			/* rows of cells written */
	DateADT		first_day;		/* of all cells touched */
	DateADT		last_day;
	char	   *fact_error;		/* note of the last one met */
	KpiChanges	changes;		/* for the goals that follow from them */
} KpiRunStats;

typedef struct KpiAttributions KpiAttributions;

/*
 * One engine transaction on one source.  A function that needs only a part of
 * it takes that part.
 */
typedef struct KpiRun
{
	const KpiSource *source;	/* NULL: not loaded yet, or gone */
	MemoryContext mcxt;
	Snapshot	snapshot;		/* S: registered and active */
	TimestampTz as_of;
	KpiRunTable table;
	KpiPlan		plan;
	KpiRunStats stats;
	KpiAttributions *attributions;
	KpiCalendar calendar;		/* how it cuts periods, its names are not kept */
	KpiFactsAt	at;
	bool		shows_keys;		/* to whom this session's errors go */
} KpiRun;

typedef struct KpiQueue
{
	KpiCellMap *cells;			/* keys with local numbers of owners and of
								 * dim combinations */
	KpiDict    *dict;
	bool		recompute;		/* a marker asks for it */
	char	   *suspend;		/* a marker says so: why */
} KpiQueue;

/* Reads, and takes out of the queue, all deltas of the source visible in the run's snapshot. */
extern KpiQueue *kpi_refresh_queue_consume(KpiRun *run);

/*
 * Looks for markers only, changing nothing, and for deltas of transactions
 * before suspect_before (which may be invalid).
 */
extern void kpi_refresh_queue_peek(int32 source_id, Snapshot snapshot, FullTransactionId suspect_before,
								   bool *recompute, char **suspend);

/* ---- scan.c ---- */

/*
 * The day cells of stream number s as the facts say, at the run's snapshot.
 * The caller holds ACCESS SHARE on the table and its leaves.
 */
extern KpiCellList *kpi_refresh_scan_facts(KpiRun *run, int s);

/* ---- attribution.c ---- */

typedef struct KpiAttribution
{
	DateADT		since;
	DateADT		until;			/* exclusive */
	int32		member_id;		/* or 0 */
	int			path;			/* index of a list of teams */
} KpiAttribution;

typedef struct KpiOwnerKey
{
	int32		owner_kind;		/* KpiOwnerKind */
	int32		owner_id;
} KpiOwnerKey;

/* Where the facts of one owner count: a span for each day there can be. */
typedef struct KpiOwnerAttribution
{
	KpiOwnerKey key;
	int			nspans;
	KpiAttribution *spans;
} KpiOwnerAttribution;

/* An owner whose facts count elsewhere than they did. */
typedef struct KpiTransfer
{
	KpiOwnerAttribution from;
	const KpiOwnerAttribution *to;
} KpiTransfer;

extern KpiAttributions *kpi_refresh_attribution_create(MemoryContext parent, int32 source_id,
													   Snapshot snapshot);

/*
 * Loads the attributions of these owners (of a stream's owner kind), each given
 * once: as the last refresh applied them, or from the definitions for owners not
 * met before.
 */
extern void kpi_refresh_attribution_need(KpiAttributions *attributions, KpiOwnerKind kind,
										 const int32 *owner_ids, int n);
extern const KpiAttribution *kpi_refresh_attribution_at(KpiAttributions *attributions, KpiOwnerKind kind,
														int32 owner_id, DateADT day);
extern const KpiAttribution *kpi_refresh_attribution_span(const KpiOwnerAttribution *entry, DateADT day);
extern int	kpi_refresh_path_teams(KpiAttributions *attributions, int path, const int32 **teams);

/*
 * Forgets what was applied: from now on the definitions are asked.  keyed:
 * what is stored is forgotten too and written anew.
 */
extern void kpi_refresh_attribution_reset(KpiAttributions *attributions, bool keyed);

/*
 * Makes anew, from the definitions, what is stored of all owners.  Returns
 * those it differs for (KpiTransfer *), in the attributions' memory.
 */
extern List *kpi_refresh_attribution_renew(KpiAttributions *attributions);

/* ---- fanout.c ---- */

/* Adds each day cell to the rollups of its scopes, sign +1 or -1. */
extern void kpi_refresh_fanout(KpiRun *run, const KpiCellList *days, KpiCellMap *rollups);

/* Adds one day cell to the rollups of one span's scopes. */
extern void kpi_refresh_fanout_span(KpiRun *run, const KpiAttribution *span, const KpiCellItem *item,
									bool subtract, KpiCellMap *rollups);

/* ---- place.c ---- */

/* Places above cells that came or went. */
typedef struct KpiPlaces KpiPlaces;

extern KpiPlaces *kpi_refresh_places_create(KpiRun *run);

/*
 * Notes the places above a cell that is there, or is gone; or only those of a
 * member for which a day cell counts now, or (owner 0) did.
 */
extern void kpi_refresh_places_add_rollup(KpiPlaces *places, const KpiRollupKey *key, bool is_gone);
extern void kpi_refresh_places_add_day(KpiPlaces *places, const KpiDayKey *key, bool is_gone);
extern void kpi_refresh_places_add_member(KpiPlaces *places, int32 member_id, int32 owner_id,
										  const KpiDayKey *key, bool is_gone);

/* Whether a place was noted. */
extern bool kpi_refresh_places_contain(const KpiPlaces *places, const KpiCellKey *key);

/* Adds what was noted to a list, at its end. */
extern void kpi_refresh_places_append(const KpiPlaces *places, KpiCellList *list);

/* Makes the rows of places what the cells, which are written, say of those noted. */
extern void kpi_refresh_places_settle(KpiPlaces *places);

/* Makes the places of a stream anew from its cells. */
extern void kpi_refresh_places_renew(KpiRun *run, const KpiStream *stream);

/* Whether a row has no cell because of its key. */
extern bool kpi_refresh_is_place(const KpiRollupKey *key);

/* ---- change.c ---- */

/* Notes what has changed: rollups, or the days of the members that day cells count for. */
extern void kpi_refresh_change_add_rollups(KpiRun *run, const KpiCellList *rollups);
extern void kpi_refresh_change_add_days(KpiRun *run, const KpiCellList *days);
extern void kpi_refresh_change_add_member(KpiRun *run, int32 member_id, const KpiDayKey *key);

/* ---- transfer.c ---- */

/*
 * Follows changes of the organisation: adds to *rollups what moves between
 * scopes because of them, and notes the days and places of members who come or go.
 */
extern void kpi_refresh_transfer(KpiRun *run, KpiCellMap *rollups, KpiPlaces *places);

/* ---- cell_table.c ---- */

/* Which of the two tables of cells, and so which of their keys. */
typedef enum KpiCellTable
{
	KPI_DAY_CELL,
	KPI_ROLLUP_CELL
} KpiCellTable;

extern KpiKeyedTable *kpi_refresh_table_open(KpiCellTable table, Snapshot snapshot);

/* Finds the row of an item, all of which are looked for in the list's order. */
extern bool kpi_refresh_table_seek(KpiKeyedTable *keyed, KpiCellTable table, const KpiCellList *list, int i);

/* Of the row that was found; the cell is a copy, or NULL. */
extern KpiCellKey kpi_refresh_table_found_key(KpiKeyedTable *keyed);
extern KpiCell *kpi_refresh_table_found_cell(KpiKeyedTable *keyed);

/* Drops, in place, the states of measures that the stream does not have (any more). */
extern void kpi_refresh_drop_unknown_states(KpiCell *cell, const KpiStream *stream);

/*
 * Merges each delta into its row; a cell that becomes empty disappears.  Notes
 * the places above what comes and goes.
 */
extern void kpi_refresh_table_apply(KpiRun *run, KpiCellTable table, const KpiCellList *deltas,
									KpiPlaces *places);

/*
 * Compares the rows of one stream with what they should be; with mend, also
 * makes them so.  report may be NULL.  Rows of nothing but dropped measures are
 * no difference, nor are the places above them, which are kept in left.
 */
extern void kpi_refresh_table_sync(KpiRun *run, KpiCellTable table, int32 stream_id,
								   const KpiCellList *expected, bool mend, KpiReport *report,
								   KpiPlaces *left);

/* ---- state.c ---- */

/* kpi_internal.source_state and what differs from it. */
typedef struct KpiSourceState
{
	bool		suspended;		/* already: reason and hint say why */
	bool		recompute;		/* all streams, from the facts */
	bool		unattached;		/* never seen yet, and a trigger is missing */
	bool		new_periods;	/* the calendar cuts others than before */
	char	   *suspend_reason; /* must be suspended: why, as a note */
	char	   *suspend_hint;
	int64		org_version;	/* as of S */
	int64		applied_org_version;
	char	   *calendar_shape;
	Bitmapset  *used_columns;	/* numbers of those that expressions use */
	Datum		columns;		/* jsonb: how each column is stored */
	Datum		fingerprints;	/* jsonb: what expressions reach */
	FullTransactionId suspect_before;	/* transactions before it may have
										 * captured with what expressions
										 * reached before */
} KpiSourceState;

/*
 * Compares the source with its state, under the run's snapshot; also finds the
 * table and its leaves, and puts another definer into the source where the one
 * it has must not read the table.
 */
extern KpiSourceState *kpi_refresh_source_state_examine(KpiSource *source, Snapshot snapshot,
														const KpiCalendar *calendar, KpiRunTable *table);

/*
 * Notes what is to be known of the locked leaves and their triggers.  To be
 * called before the snapshot is taken: what changes afterwards differs from
 * it at the next refresh.
 */
extern void kpi_refresh_source_state_recheck(int32 source_id, KpiRunTable *table);

/* Notes it, and tells the writers of the table that the source names. */
extern void kpi_refresh_source_state_suspend(int32 source_id, Oid relid, const char *reason,
											 const char *hint);

/* Writes what the run has achieved. */
extern void kpi_refresh_source_state_save(const KpiRun *run, const KpiSourceState *state, double duration_ms);

/* ---- goal_check.c ---- */

/* Reports, and with mend mends, rows of kpi.goal_progress of KPIs that the source feeds. */
extern void kpi_refresh_goals_check(int32 source_id, bool mend, KpiReport *report);

/* ---- rollup_queue.c ---- */

/*
 * Puts into the queue of rollup tables which of their rows the run has moved: by
 * the day cells and rollups it touched, or all where streams are built.
 */
extern void kpi_refresh_rollups_queue(KpiRun *run, const KpiCellList *days, const KpiCellList *rollups);

/* ---- log.c ---- */

/* What a run did. */
typedef struct KpiLogEntry
{
	int32		source_id;
	const char *source;			/* its name; of a failure NULL */
	const char *kind;			/* refresh, build, verify or repair */
	TimestampTz started;
	double		duration_ms;
	int64		ndeltas;
	int64		ncells;
	const char *sqlstate;		/* NULL: it succeeded */
	const char *error;
} KpiLogEntry;

/*
 * Tells of a run that succeeded, in its transaction; nothing of a refresh
 * that found nothing to do.
 */
extern void kpi_refresh_log_run(const KpiLogEntry *entry);

/* ---- recheck.c ---- */

typedef struct KpiProblem
{
	char	   *reason;			/* in our own words */
	char	   *hint;
} KpiProblem;

/*
 * Whether the table of a source is not what it was: relid has its name now,
 * attached is the one that was refreshed last (InvalidOid: none).
 */
extern bool kpi_refresh_table_recheck(const char *relation, Oid relid, Oid attached, KpiProblem *problem);

/* The same, or a trigger of the source is missing or disabled. */
extern bool kpi_refresh_source_recheck(int32 source_id, const char *relation, Oid relid, Oid attached,
									   KpiProblem *problem);

#endif							/* KPI_REFRESH_INTERNAL_H */
