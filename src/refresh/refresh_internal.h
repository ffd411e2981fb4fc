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
#include "fact/fact.h"
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

/* What is held and changes hands on a day, summed up per paths (fanout.c). */
typedef struct KpiCarryKey
{
	int32		stream_id;
	int32		from;			/* path */
	int32		to;
	int32		dim_combination_id;
	DateADT		day;
	int32		unused[1];
} KpiCarryKey;

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
	KpiCarryKey carry;
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

/*
 * What the maps of a run hold in memory, and may hold: what goes beyond goes to
 * a sort on disk.
 */
typedef struct KpiCellMemory
{
	Size		used;
	Size		limit;
} KpiCellMemory;

typedef struct KpiDict KpiDict;
typedef struct KpiRun KpiRun;

/* A sum of cells per key: filled, then sorted, then read. */
typedef struct KpiCellMap KpiCellMap;

extern void kpi_refresh_cell_memory_init(KpiCellMemory *memory);
extern KpiCellMap *kpi_refresh_cellmap_create(KpiRun *run);

/*
 * Owners and dimensions in the keys are numbers of the dictionary, and become those of
 * rows.  It is freed with the map.
 */
extern void kpi_refresh_cellmap_use_dict(KpiCellMap *map, KpiDict *dict, const KpiSource *source);
extern void kpi_refresh_cellmap_add(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell);
extern void kpi_refresh_cellmap_subtract(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell);
extern void kpi_refresh_cellmap_add_place(KpiCellMap *map, const KpiCellKey *key);

/*
 * Adds without looking whether the key is there: for cells whose keys come once
 * each, or nearly.  A map is filled by this or by the others.
 */
extern void kpi_refresh_cellmap_append(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell);

/* From here on the map is read: its items in ascending order, none of them an empty cell. */
extern void kpi_refresh_cellmap_sort(KpiCellMap *map);
extern void kpi_refresh_cellmap_rewind(KpiCellMap *map);

/* NULL at the end; else valid until the next call, and the cell is the map's. */
extern const KpiCellItem *kpi_refresh_cellmap_next(KpiCellMap *map);

/* The key of what comes next, or NULL; that may turn out to be nothing. */
extern const KpiCellKey *kpi_refresh_cellmap_peek(const KpiCellMap *map);

/* Of a sorted map: certainly nothing is in it. */
extern bool kpi_refresh_cellmap_is_empty(const KpiCellMap *map);
extern void kpi_refresh_cellmap_free(KpiCellMap *map);
extern int	kpi_refresh_cellkey_compare(const KpiCellKey *a, const KpiCellKey *b);

/* ---- dictionary.c ---- */

/*
 * Texts met while cells are collected get a local number.
 */
extern KpiDict *kpi_refresh_dict_create(MemoryContext parent);
extern int	kpi_refresh_dict_owner(KpiDict *dict, const char *key, int len);	/* key NULL: no owner */

/* A text[] of each dimension's value, or none. */
extern int	kpi_refresh_dict_dim_combination(KpiDict *dict, Datum dim_combination, bool isnull);

/*
 * Numbers become those of rows of kpi_internal.owner and kpi_internal.dim in three
 * steps: all keys that are to be stored are said to be used, so that texts of none
 * of them get no row; rows are found or made; keys are translated.
 */
extern void kpi_refresh_dict_use(KpiDict *dict, const KpiDayKey *key);
extern void kpi_refresh_dict_resolve(KpiDict *dict, const KpiSource *source);
extern void kpi_refresh_dict_translate(const KpiDict *dict, KpiDayKey *key);
extern void kpi_refresh_dict_free(KpiDict *dict);

/* The key of an owner, palloc'd, or NULL for no owner; owners is open by owner_pkey. */
extern char *kpi_refresh_owner_key(KpiLookup *owners, int32 owner_id);

/* The dim value at a position, from 1, of a dim combination; both are rows of kpi_internal.dim. */
extern int32 kpi_refresh_dim_value(const KpiSource *source, int32 dim_combination_id, int position);

/* The dim value of a text (NULL: none) at a position: that of an attribute, which comes with no combination. */
extern int32 kpi_refresh_dim_value_of_text(const KpiSource *source, int position, const char *text);

/* The values of a combination, text[]. */
extern Datum kpi_refresh_dim_combination(int32 dim_combination_id);

/* Starts with an empty cache of kpi_refresh_dim_value(). */
extern void kpi_refresh_dim_values_forget(void);

/*
 * From here to the end of the run no rows are made: texts without one get numbers below
 * zero.  What these stand for: an owner's key; a value of a dimension (NULL: none), with
 * the position of the dimension.
 */
extern void kpi_refresh_dict_write_none(MemoryContext mcxt);
extern const char *kpi_refresh_unwritten_owner(int32 owner_id);
extern int	kpi_refresh_unwritten_dim_value(int32 dim_value_id, const char **value);

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
	bool		hold_checked;	/* and is not to be held back */
	Oid			reattached;		/* the table to which capture was moved */
	List	   *known;			/* those that the last refresh saw, gone ones
								 * as well */
	List	   *new_leaves;		/* that none has seen */
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
	bool		new_periods;	/* others than the places are of */
	bool		people_moved;	/* since the attributions were stored */
	bool		day_came;		/* and there are KPIs with credit today */
} KpiPlan;

/* What a run has met and written so far, for those who ask what it did. */
typedef struct KpiRunStats
{
	int64		ndeltas;		/* consumed, markers too */
	int64		ncells;			/* rows of cells written */
	TimestampTz loaded_at;		/* the latest met; DT_NOBEGIN: none */
	bool		loaded_is_read; /* from all facts */
	DateADT		first_day;		/* of all cells touched */
	DateADT		last_day;
	char	   *fact_error;		/* note of the last one met */
	KpiChanges	changes;		/* for the goals that follow from them */
} KpiRunStats;

typedef struct KpiAttributions KpiAttributions;

/* Which rows of the query of a keyed source are read. */
typedef enum KpiReading
{
	KPI_READ_NOTED,				/* those of entities that were noted */
	KPI_READ_NEWER,				/* those that were changed since */
	KPI_READ_ALL
} KpiReading;

/* What a run has found of a keyed source (keyed.c). */
typedef struct KpiKeyedRun
{
	KpiKeyed   *keyed;
	KpiKeyedReads *reads;		/* as found after S */
	List	   *locked;			/* OIDs with ACCESS SHARE since before S */
	char	   *state;			/* of what is read, after S */
	char	   *state_before;	/* before S, when it was locked */
	char	   *known_state;	/* as the last reading saw it; or NULL */
	List	   *unattached;		/* relations of which a trigger is missing */
	KpiReading	reading;		/* that is due, whatever was noted */
	bool		has_notes;		/* or what wants looking at in the queue */
	TimestampTz read_at;		/* as of when any were read */
	TimestampTz whole_at;		/* and all */
	int64		kept_rows;		/* about */
	int32		refresh_seconds;	/* of its policy, or 0 */
	int64		nchanges;		/* rows that were written */
	char	   *problem;		/* of what was read, as a note; or NULL */
	char	   *hint;
	bool		may_lose;		/* any share of the rows */
	bool		is_held;		/* as this many were left */
	int64		rows_after;
	List	   *lookups;		/* KpiRefreshLookup */
} KpiKeyedRun;

/* ---- lookup.c ---- */

/* Something that a keyed source looks up. */
typedef struct KpiRefreshLookup
{
	char	   *name;
	char	   *column;			/* of the kept rows, with what was found */
	char	   *missing;		/* and with the key that was not */
	int64		missing_rows;	/* more than were kept; or of all */
} KpiRefreshLookup;

extern List *kpi_refresh_lookups_load(int32 source_id);

/* Their names, for people. */
extern char *kpi_refresh_lookups_names(List *lookups);

/* Counts the rows that were read, before they are written, as the definer; entities as for kpi_fact_kept_write(). */
extern void kpi_refresh_lookups_count(List *lookups, KpiKept *kept, const KpiEntities *entities);

/* After it.  Within kpi_spi_begin(). */
extern void kpi_refresh_lookups_save(int32 source_id, List *lookups, bool is_whole);

/* How far a measure is built (build.c). */
typedef struct KpiFrontier
{
	DateADT		days_since;
	DateADT		rollups_since;
} KpiFrontier;

/* How far the measures of a stream are. */
typedef struct KpiStreamBuild
{
	bool		is_partial;		/* one of them is not complete */
	KpiFrontier *measures;		/* as the stream's */
} KpiStreamBuild;

/* What is built of the source, and how the build goes on. */
typedef struct KpiBuild
{
	KpiStreamBuild *streams;	/* as the source's */
	bool		is_cancelled;	/* by kpi.cancel_build(): no steps */
	bool		is_stored;		/* kpi_internal.build has a row of it */
	bool		is_changed;		/* and is to be written */
	bool		by_scan;		/* the rest of the facts in one scan: reading
								 * by index would miss some, or cost more */
	bool		wiped;			/* this run has deleted cells of old
								 * definitions */
	bool		has_lost_measures;	/* some were dropped since it began, whose
									 * states are still in the cells */
	int			nsteps;			/* of this run */
	int			months;			/* of the next step */
	int64		facts;			/* read so far, by all its runs */
	int64		expected_facts; /* estimated when it began */
	int64		milliseconds;	/* that its steps took */
	DateADT		first_day;		/* of the facts, as far as they were read */
} KpiBuild;

/* What a proof finds waiting, and adds to what is stored (prove.c). */
typedef struct KpiPending
{
	KpiCellMap *days;			/* changes of day cells, sorted */
	KpiCellMap *rollups;		/* and of the rollups above them */
	int64		nunknown;		/* cells found that are to be made anew */
} KpiPending;

/*
 * One engine transaction on one source.  A function that needs only a part of
 * it takes that part.
 */
struct KpiRun
{
	const KpiSource *source;	/* NULL: not loaded yet, or gone */
	MemoryContext mcxt;
	KpiCellMemory memory;		/* of all its maps */
	Snapshot	snapshot;		/* S: registered and active */
	TimestampTz as_of;
	KpiRunTable table;
	KpiKeyedRun *keyed;			/* NULL: a table of the user's own */
	KpiPlan		plan;
	KpiBuild	build;
	KpiRunStats stats;
	KpiAttributions *attributions;
	KpiExchange *exchange;		/* NULL: amounts are not converted */
	KpiPending *pending;		/* of a proof; else NULL */
	KpiCalendar calendar;		/* how it cuts periods, its names are not kept */
	DateADT		today;			/* by it */
	KpiFactsAt	at;
	bool		shows_keys;		/* to whom this session's errors go */
	KpiCellMap *unknown[2];		/* by KpiCellTable: cells that are to be made
								 * anew (unknown.c); or NULL */
	bool		reads_unknown;	/* the facts of days that wait for that */
	bool		may_read;		/* facts, if they are locked */
	bool		unknown_waits;	/* for another run to read facts */
};

typedef struct KpiQueue
{
	KpiCellMap *cells;			/* keys with local numbers of owners and of
								 * dim combinations */
	KpiDict    *dict;
	bool		recompute;		/* a marker asks for it */
	char	   *suspend;		/* a marker says so: why */
} KpiQueue;

/* Keeps the last error of a fact: there may be as many as facts. */
extern void kpi_refresh_note_fact_error(KpiRun *run, const char *error);

/* Reads all deltas of the source visible in the run's snapshot, which stay. */
extern KpiQueue *kpi_refresh_queue_sum(KpiRun *run);

/* Reads, and takes out of the queue, all deltas of the source visible in the run's snapshot. */
extern KpiQueue *kpi_refresh_queue_consume(KpiRun *run);

/*
 * Looks for markers only, changing nothing, and for deltas of transactions
 * before suspect_before (which may be invalid; *suspect: there are some).
 */
extern void kpi_refresh_queue_peek(int32 source_id, Snapshot snapshot, FullTransactionId suspect_before,
								   bool *recompute, bool *suspect, char **suspend);

/* ---- scan.c ---- */

/*
 * The day cells of stream number s as the facts of some days say, at the run's
 * snapshot, with the states of some measures; sorted.  The caller holds ACCESS SHARE
 * on the table and its leaves.  Days from the first there is: facts without one
 * as well.  by_index: the planner is expected to read those days alone, and if
 * some fact cannot be counted that way the result is NULL.  Counts the facts.
 */
extern KpiCellMap *kpi_refresh_scan_facts(KpiRun *run, int s, const KpiFactPart *part, bool by_index,
										  int64 *nfacts);

/* How many facts some measures count, summed over them; nothing is stored. */
extern int64 kpi_refresh_scan_count(KpiRun *run, int s, const Bitmapset *measures, const KpiDays *days);

/* What the planner expects of that; false: it cannot be planned. */
extern bool kpi_refresh_scan_estimate(KpiRun *run, int s, const KpiFactPart *part, KpiFactEstimate *estimate);

/* ---- keyed.c ---- */

/*
 * Looks at what a keyed source reads, under the snapshot; nothing if it is none.
 * Returns why it must be suspended, as a note, with a hint; or NULL.
 */
extern char *kpi_refresh_keyed_examine(KpiRun *run, char **hint);

/* Whether there may be anything to read for it. */
extern bool kpi_refresh_keyed_is_due(const KpiRun *run);

/* Whether all that would be read was locked before S, and its triggers are there. */
extern bool kpi_refresh_keyed_is_locked(const KpiRun *run);

/* Attaches them and locks it, before the snapshot is taken anew. */
extern void kpi_refresh_keyed_lock(KpiRun *run);

/*
 * Brings the kept rows to what the query says at S, of the entities that changes
 * have touched or of all.  False, and nothing is done, if all must be read and
 * may not be.  What it writes is captured; nothing is, if run->keyed->problem
 * is set.
 */
extern bool kpi_refresh_keyed_apply(KpiRun *run, bool all, bool may_read_all);

/* Locks what is read, as a proof does: triggers stay as they are. */
extern void kpi_refresh_keyed_lock_reads(KpiRun *run);

/*
 * Whether the kept rows are what the query says as far as anybody can know: why
 * they may not be, in words, or NULL.  Changes nothing.
 */
extern char *kpi_refresh_keyed_waits(const KpiRun *run);

/* Reports kept rows that are not as the query says. */
extern void kpi_refresh_keyed_verify(KpiRun *run, KpiReport *report);

/*
 * From here on as the source's definer, until kpi_user_restore(), with half of the memory
 * that maintenance may take.
 */
extern void kpi_refresh_scan_as_definer(const KpiRun *run, KpiUser *user);

/* The day cells of the facts in leaves that no refresh has seen, as far as measures are built. */
extern KpiCellMap *kpi_refresh_scan_new_leaves(KpiRun *run, int s);

/* ---- build_state.c ---- */

extern bool kpi_refresh_is_built(const KpiFrontier *frontier);

/* To be called when frontiers of a stream have moved. */
extern void kpi_refresh_build_look_at(KpiRun *run, int s);

/* The frontiers of the source as they are stored.  is_noted: something says that it is being built. */
extern void kpi_refresh_build_load(KpiRun *run, bool is_noted);

/* Whether a measure is not complete. */
extern bool kpi_refresh_build_is_due(const KpiRun *run);

/* Notes that all facts are to be read anew; that, and new measures, as stored from now on. */
extern void kpi_refresh_build_begin(KpiRun *run, bool recompute);

/* Writes the frontiers, if there is anything new. */
extern void kpi_refresh_build_save(KpiRun *run);

/* ---- build.c ---- */

/*
 * One step towards completeness: facts of some days into cells, or day cells into
 * rollups.
 */
extern void kpi_refresh_build_step(KpiRun *run);

/*
 * Drops, in place, of a change of a day cell the states of measures that are not
 * built for its day: the build reads them with the facts.  False: nothing is left.
 */
extern bool kpi_refresh_build_takes(KpiRun *run, int s, KpiCell *cell, DateADT day);

/* The same of what is on its way to the rollups, which will have it with the day cell. */
extern void kpi_refresh_build_drop_rollups(KpiRun *run, int s, KpiCell *cell, DateADT day);

/* Whether facts that are ignored as a whole are counted, by others than some measures. */
extern bool kpi_refresh_build_counts_errors(const KpiRun *run, int s, const Bitmapset *without);

/* ---- merge.c ---- */

/* Changes of day cells, sorted, on their way into the tables. */
typedef struct KpiMerge
{
	KpiCellMap *store;			/* into day cells; or NULL */
	KpiCellMap *fan_out;		/* into rollups, most often the same; or NULL */
	KpiCellMap *rollups;		/* where they are summed up, with what is
								 * there already */
	struct KpiPlaces *places;	/* NULL: places come later */
	bool		all_new;		/* none of the cells has a row */
	bool		some_held;		/* but for rollups of periods that are there
								 * already: what is held moves later */
} KpiMerge;

extern void kpi_refresh_merge(KpiRun *run, const KpiMerge *merge);

/* ---- attribution.c ---- */

typedef struct KpiAttribution
{
	DateADT		since;
	DateADT		until;			/* exclusive */
	int32		member_id;		/* or 0 */
	int			path;			/* number of a list of teams, and of the
								 * values that attributes have */
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

extern KpiAttributions *kpi_refresh_attribution_create(MemoryContext parent, const KpiSource *source,
													   Snapshot snapshot, DateADT today);

/*
 * Loads the attributions of these owners (of a stream's owner kind), each given
 * once: as the last refresh applied them, or from the definitions for owners not
 * met before.
 */
extern void kpi_refresh_attribution_need(KpiAttributions *attributions, KpiOwnerKind kind,
										 const int32 *owner_ids, int n);
extern const KpiOwnerAttribution *kpi_refresh_attribution_of(KpiAttributions *attributions, KpiOwnerKind kind,
															 int32 owner_id);
extern const KpiAttribution *kpi_refresh_attribution_at(KpiAttributions *attributions, KpiOwnerKind kind,
														int32 owner_id, DateADT day);
extern const KpiAttribution *kpi_refresh_attribution_span(const KpiOwnerAttribution *entry, DateADT day);

/*
 * The owners that count for a member on any day (not 0), as it is applied: its key's, and
 * those of its aliases.  A lookup for many, to be closed with kpi_lookup_close().
 */
extern void kpi_refresh_member_owners_open(KpiLookup *owners);
extern List *kpi_refresh_member_owners(KpiLookup *owners, int32 source_id, int32 member_id);

extern int	kpi_refresh_path_teams(KpiAttributions *attributions, int path, const int32 **teams);

/*
 * The dim value of dimension number k, from 1, of facts with this combination that count for a
 * path: that of its owner's attribute, or of the fact's own.
 */
extern int32 kpi_refresh_path_dim_value(KpiAttributions *attributions, int path, int32 dim_combination_id, int k);

/*
 * Forgets what was applied: from now on the definitions are asked.  keyed:
 * what is stored is forgotten too and written anew, is_part: only of the owners
 * that are met.
 */
extern void kpi_refresh_attribution_reset(KpiAttributions *attributions, bool keyed, bool is_part);

/*
 * Makes anew, from the definitions, what is stored of all owners.  Returns
 * those it differs for (KpiTransfer *), in the attributions' memory.
 */
extern List *kpi_refresh_attribution_renew(KpiAttributions *attributions);

/* ---- credit.c ---- */

/*
 * Whether KPIs of the source count for the teams of another day than today, and,
 * after the state of the source was saved, that they count for those of today.
 */
extern bool kpi_refresh_credit_is_due(const KpiSource *source, DateADT today);
extern void kpi_refresh_credit_save(const KpiSource *source, DateADT today);

/* ---- exchange.c ---- */

/*
 * What a day cell is worth in rollups: its own cell, or a copy with other amounts.
 * NULL: its currency has no rate on its day, and kpi_refresh_exchange_leave_out()
 * counts it as left out.
 */
extern KpiCell *kpi_refresh_exchange_convert(KpiRun *run, const KpiStream *stream, const KpiCellItem *item);
extern void kpi_refresh_exchange_leave_out(KpiRun *run, const KpiCellItem *item, KpiCellMap *rollups);

/* Adds what rates that have changed since the last refresh make of the stored day cells. */
extern void kpi_refresh_exchange_follow(KpiRun *run, KpiCellMap *rollups);
extern void kpi_refresh_exchange_save(const KpiRun *run);

/* Whether there are any that the rollups do not follow yet. */
extern bool kpi_refresh_exchange_waits(const KpiRun *run);

/* ---- fanout.c ---- */

/* Adds each day cell to the rollups of its scopes, as far as these are built; days are sorted. */
extern void kpi_refresh_fanout(KpiRun *run, KpiCellMap *days, KpiCellMap *rollups);

/*
 * Takes one day cell from the rollups that it no longer counts for, and adds it to
 * those it counts for now.  What changes hands on later days is summed up in carries,
 * to be added to the rollups when all cells have moved.
 */
extern void kpi_refresh_fanout_move(KpiRun *run, const KpiOwnerAttribution *from, const KpiOwnerAttribution *to,
									const KpiCellItem *item, KpiCellMap *rollups, KpiCellMap *carries);
extern void kpi_refresh_fanout_carries(KpiRun *run, KpiCellMap *carries, KpiCellMap *rollups);

/* ---- place.c ---- */

/* Places above cells that came or went. */
typedef struct KpiPlaces KpiPlaces;

extern KpiPlaces *kpi_refresh_places_create(KpiRun *run);
extern void kpi_refresh_places_free(KpiPlaces *places);

/*
 * Notes the places above a cell that is there, or is gone; or only those of a
 * member for which a day cell counts now, or did.
 */
extern void kpi_refresh_places_add_rollup(KpiPlaces *places, const KpiRollupKey *key, bool is_gone);
extern void kpi_refresh_places_add_day(KpiPlaces *places, const KpiDayKey *key, bool is_gone);
extern void kpi_refresh_places_add_member(KpiPlaces *places, int32 member_id, const KpiDayKey *key, bool is_gone);

/* Whether a place was noted. */
extern bool kpi_refresh_places_contain(const KpiPlaces *places, const KpiCellKey *key);

/* Adds, as places of their own, all that are above a cell. */
extern void kpi_refresh_places_above_rollup(KpiRun *run, const KpiRollupKey *key, KpiCellMap *to);
extern void kpi_refresh_places_above_day(KpiRun *run, const KpiDayKey *key, KpiCellMap *to);

/* Makes the rows of places what the cells, which are written, say of those noted. */
extern void kpi_refresh_places_settle(KpiPlaces *places);

/* Makes the places of a stream anew from its cells. */
extern void kpi_refresh_places_renew(KpiRun *run, const KpiStream *stream);

/* Whether a row has no cell because of its key. */
extern bool kpi_refresh_is_place(const KpiRollupKey *key);

/* ---- change.c ---- */

/* Notes what has changed: rollups, or the days of the members that day cells count for. */
extern void kpi_refresh_change_add_rollups(KpiRun *run, KpiCellMap *rollups);
extern void kpi_refresh_change_add_days(KpiRun *run, KpiCellMap *days);
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

/* Finds the row of a key; keys come in order, and next, or NULL, is the one that comes then. */
extern bool kpi_refresh_table_seek(KpiKeyedTable *keyed, KpiCellTable table, const KpiCellKey *key,
								   const KpiCellKey *next);

/* Of the row that was found; the cell is a copy, or NULL. */
extern KpiCellKey kpi_refresh_table_found_key(KpiKeyedTable *keyed);
extern KpiCell *kpi_refresh_table_found_cell(KpiKeyedTable *keyed);

/* The first day of what a row is of. */
extern DateADT kpi_refresh_key_start(KpiCellTable table, const KpiCellKey *key);

/* A copy of a stored cell (or of none) without the states of measures that were dropped since. */
extern KpiCell *kpi_refresh_present_states(const KpiSource *source, int32 stream_id, const KpiCell *stored);

/* Writes a row of its own, or another cell into the one that was found. */
extern void kpi_refresh_table_insert(KpiKeyedTable *keyed, const KpiCellItem *item);
extern void kpi_refresh_table_update_found(KpiKeyedTable *keyed, const KpiCellKey *key, const KpiCell *cell);

/* Notes the places above a row that has come or is gone; places may be NULL. */
extern void kpi_refresh_places_note(KpiPlaces *places, KpiCellTable table, const KpiCellKey *key, bool is_gone);

/* Drops, in place, the states of measures that the stream does not have (any more). */
extern void kpi_refresh_drop_unknown_states(KpiCell *cell, const KpiStream *stream);

/* Keeps, in place, the states of some measures of the stream (NULL: of all). */
extern void kpi_refresh_keep_measures(KpiCell *cell, const KpiStream *stream, const Bitmapset *measures);

/*
 * Merges each delta into its row; a cell that becomes empty disappears.  Notes
 * the places above what comes and goes, unless places is NULL.  all_new: no key
 * has a row, so none is looked for.
 */
extern void kpi_refresh_table_apply(KpiRun *run, KpiCellTable table, KpiCellMap *deltas, KpiPlaces *places,
									bool all_new);

/* Writes cells in place of those that are stored; sorted. */
extern void kpi_refresh_table_replace(KpiRun *run, KpiCellTable table, KpiCellMap *cells);

/* Notes, for kpi_refresh_unknown_mend(), the rows of these keys, sorted, whose cells do not tell their value. */
extern void kpi_refresh_table_note_unknown(KpiRun *run, KpiCellTable table, KpiCellMap *keys);

/* ---- unknown.c ---- */

/* Notes that a cell has facts but no value. */
extern void kpi_refresh_unknown_note(KpiRun *run, KpiCellTable table, const KpiCellKey *key);

/* Whether days wait for their facts to be read for that. */
extern bool kpi_refresh_unknown_waits(const KpiRun *run);

/* Makes what was noted anew, as far as that goes without facts, or with. */
extern void kpi_refresh_unknown_mend(KpiRun *run, bool reads_facts);

/* ---- cell_table.c, day cells ---- */

/* The stored day cells of a stream within some days, one after the other. */
typedef struct KpiDayRows
{
	KpiKeyedTable *keyed;
	Snapshot	snapshot;
	int32		stream_id;
	DateADT		since;
	DateADT		until;			/* exclusive */
	int32		owner_id;		/* whose days are read; -1: all of all owners */
	bool		more;			/* a row was found */
	KpiCellKey	key;
} KpiDayRows;

extern void kpi_refresh_day_rows_begin(KpiDayRows *rows, int32 stream_id, DateADT since, DateADT until);
extern void kpi_refresh_day_rows_next(KpiDayRows *rows);
extern void kpi_refresh_day_rows_end(KpiDayRows *rows);

/* Deletes the cells and places of a stream; false: there were none. */
extern bool kpi_refresh_table_wipe(int32 stream_id);

/* ---- compare.c ---- */

/* What the rows of a stream should be. */
typedef struct KpiExpected
{
	KpiCellMap *cells;
	KpiCellMap *places;			/* NULL: places are not looked at */
	DateADT		since;			/* rows of other days and periods are not */
	DateADT		until;			/* exclusive */
	bool		is_part;		/* not of all days: who mends settles places */
} KpiExpected;

/*
 * Compares the rows of one stream with what they should be; with mend, also
 * makes them so, of a part noting places above what comes and goes in left.  Rows of
 * nothing but dropped measures are no difference, nor are the places above
 * them, which are kept in left.
 */
extern void kpi_refresh_table_sync(KpiRun *run, KpiCellTable table, int32 stream_id,
								   const KpiExpected *expected, bool mend, KpiReport *report,
								   KpiPlaces *left);

/* ---- check.c ---- */

/*
 * Compares, and with mend makes, the cells of some days as the facts say.  Of some
 * days no places.
 */
extern void kpi_refresh_check(KpiRun *run, bool mend, const KpiDays *days, KpiReport *report);

/* ---- state.c ---- */

/* kpi_internal.source_state and what differs from it. */
typedef struct KpiSourceState
{
	bool		suspended;		/* already: reason and hint say why */
	bool		recompute;		/* all streams, from the facts */
	bool		marked;			/* as a writer asks for it */
	bool		unattached;		/* never seen yet, and a trigger is missing */
	bool		swapped;		/* another table has the name, and is followed */
	bool		accepts_loss;	/* kpi.resume() has said so */
	bool		new_periods;	/* the calendar cuts others than before */
	bool		build_noted;	/* a build or its cancellation is */
	char	   *loaded_by;		/* by which expression it is known when rows
								 * were loaded */
	List	   *lost;			/* leaves that are known and gone */
	List	   *moved;			/* leaves whose state is what it was, in other
								 * words */
	List	   *moved_states;	/* these, text by text */
	bool		seals;			/* their facts are to be sealed */
	bool		lifts;			/* sealed ones are back */
	char	   *detaching;		/* a leaf that is going: facts cannot be read */
	char	   *suspend_reason; /* must be suspended: why, as a note */
	char	   *suspend_hint;
	int64		org_version;	/* as of S */
	int64		applied_org_version;
	char	   *calendar_shape;
	Datum		columns;		/* jsonb: how each column is stored */
	Datum		fingerprints;	/* jsonb: what expressions reach */
	FullTransactionId suspect_before;	/* transactions before it may have
										 * captured with what expressions
										 * reached before */
} KpiSourceState;

/* ---- loaded.c ---- */

/* Whether when rows were loaded last is not known, and must be read from the facts. */
extern bool kpi_refresh_loaded_is_due(const KpiSource *source, const KpiSourceState *state);

/* Reads it, in the place of what the queue says. */
extern void kpi_refresh_loaded_read(KpiRun *run);

/* Stores what this run has met of it, and that it read facts.  The source has a row of its state. */
extern void kpi_refresh_loaded_save(const KpiRun *run, const KpiSourceState *state);

/* Columns have other names: by the same expression as before it is known. */
extern void kpi_refresh_loaded_rename(int32 source_id, const List *renames);

/* The moment until which the source has its facts (kpi_internal.source_load); DT_NOEND: it says none. */
extern TimestampTz kpi_refresh_loaded_until(const KpiSource *source);

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

/*
 * After the versions of the streams were raised: what is built of the last ones is
 * still there, and all facts are to be read.  Within kpi_spi_begin().
 */
extern void kpi_refresh_source_state_keep_built(int32 source_id);

/* Has writers of a table, which may be gone, load its sources anew. */
extern void kpi_refresh_tell_writers(Oid relid);

/* Notes it, and tells the writers of the table that the source names. */
extern void kpi_refresh_source_state_suspend(int32 source_id, Oid relid, const char *reason,
											 const char *hint);

/*
 * Notes that it stands still, held or capture_off, and when a worker looks again; NULL: not
 * by itself.  False: it did already.
 */
extern bool kpi_refresh_source_state_stop(int32 source_id, const char *status, const char *reason,
										  const char *hint, KpiParam next_try);

/* Writes what the run has achieved. */
extern void kpi_refresh_source_state_save(const KpiRun *run, const KpiSourceState *state, KpiRunMode mode,
										  double duration_ms);

/* ---- leaf.c ---- */

/*
 * What is to be done about leaves that have come or gone.  To be called when all
 * else that makes the cells doubtful was looked for.
 */
extern void kpi_refresh_leaves_decide(const KpiSource *source, KpiRunTable *table, KpiSourceState *state);

/* Whether leaves are so small that whoever applies deltas can read them; locks them, but waits for nobody. */
extern bool kpi_refresh_leaves_are_small(List *leaves);

/* Within kpi_spi_begin(): notes the leaves that the run has seen. */
extern void kpi_refresh_leaves_save(int32 source_id, const KpiRunTable *table, const KpiSourceState *state);

/* Forgets what was seen of all, and notes that the facts of lost ones are lost; of lost ones alone. */
extern void kpi_refresh_leaves_forget(int32 source_id);
extern void kpi_refresh_leaves_forget_lost(int32 source_id);

/* As oid[]. */
extern KpiParam kpi_refresh_oids(List *oids);

/* ---- seal.c ---- */

/* A cell of facts that are gone. */
typedef struct KpiSealedCell
{
	DateADT		day;
	char	   *owner;			/* or NULL */
	bool		has_dims;
	Datum		dims;			/* text[], until the next */
	KpiCell    *cell;			/* palloc'd */
} KpiSealedCell;

/* Those of a stream within some days, one after the other. */
typedef struct KpiSealedRows
{
	KpiKeyedTable *keyed;
	Snapshot	snapshot;
} KpiSealedRows;

extern void kpi_refresh_sealed_begin(KpiSealedRows *rows, int32 stream_id, DateADT since, DateADT until);
extern bool kpi_refresh_sealed_next(KpiSealedRows *rows, KpiSealedCell *sealed);
extern void kpi_refresh_sealed_end(KpiSealedRows *rows);

/* Keeps what lost leaves held: all deltas that the snapshot shows were merged. */
extern void kpi_refresh_seal(KpiRun *run, List *lost);

/* Within kpi_spi_begin(): writes the names of the lost leaves of a seal. */
extern void kpi_refresh_seal_partitions(KpiParam seal_id, KpiParam source_id, KpiParam lost);

/* Drops the seals of leaves that are back, whose facts will be read. */
extern void kpi_refresh_seals_lift(int32 source_id, List *leaves);

/* ---- goal_check.c ---- */

/* Reports, and with mend mends, rows of kpi.goal_progress of KPIs that the source feeds. */
extern void kpi_refresh_goals_check(int32 source_id, bool mend, KpiReport *report);

/* Reports the same and changes nothing, but for rows that are to be looked at anyway; whether there are any. */
extern bool kpi_refresh_goals_prove(int32 source_id, KpiReport *report);

/* ---- prove.c ---- */

/* Why nothing can be proved of the source, as verification would tell; NULL: it can be. */
extern char *kpi_refresh_prove_stops(const KpiRun *run, const KpiSourceState *state);
extern void kpi_refresh_prove_stopped(const KpiRun *run, const KpiSourceState *state, KpiReport *report);

/* Reports what verification would, and says what waits. */
extern void kpi_refresh_prove(KpiRun *run, const KpiDays *days, KpiReport *report);

/* ---- rollup_queue.c ---- */

/*
 * Puts into the queue of rollup tables which of their rows the run has moved, by
 * the day cells and rollups it touched.
 */
extern void kpi_refresh_rollups_queue(KpiRun *run, KpiCellMap *days, KpiCellMap *rollups);

/* All rows of these tables. */
extern void kpi_refresh_rollups_queue_all(int32 source_id);

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
/* A source is held from now on. */
extern void kpi_refresh_log_held(int32 source_id, const char *source, TimestampTz started);

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

/* ---- hold.c ---- */

/* Whether kpi_refresh_is_held() may say yes, so that the table is to be left alone before. */
extern bool kpi_refresh_may_be_held(const KpiSource *source);

/*
 * Whether so many facts are gone, or a swapped table has facts of so many sealed days,
 * that the source is to be held back (which it then is); nothing has been
 * consumed yet.  Where facts are read, the table is locked.
 */
extern bool kpi_refresh_is_held(KpiRun *run, const KpiSourceState *state);

/*
 * Whether a writer asks for all facts to be read, and that waits for kpi.capture to be on;
 * which is then noted.
 */
extern bool kpi_refresh_waits_for_capture(const KpiRun *run, const KpiSourceState *state, KpiRunMode mode);

/* Holds it back: of so many facts that many would be left. */
extern void kpi_refresh_hold(const KpiRun *run, int64 before, int64 after, TimestampTz started);

/* How many facts some measures of a stream count in a cell, summed over them. */
extern int64 kpi_refresh_facts_of(const KpiStream *stream, const Bitmapset *measures, const KpiCell *cell);

/* ---- reattach.c ---- */

/*
 * Moves capture to the table that has come under the source's name.  To be called
 * after it was found to fit, and before the snapshot under which facts are read.
 */
extern void kpi_refresh_reattach(const KpiSource *source, Oid relid);

/* ---- follow.c ---- */

/* Whether kpi_refresh_follow_names() would do anything. */
extern bool kpi_refresh_must_follow(const KpiSource *source);

#endif							/* KPI_REFRESH_INTERNAL_H */
