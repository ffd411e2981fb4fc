/*-------------------------------------------------------------------------
 *
 * place.c
 *	  Places: the periods in which a scope has facts but no cell of its own.
 *
 * A place is a row of kpi_internal.rollup_cell without a cell.  It is there
 * exactly while at least one row of cells is below it:
 *
 *	week of a team				its day cells
 *	quarter, year (any scope)	its month cells, of the same dimension value
 *	week of a member			day_cell, of the owners that count for it
 *
 * So only cells that come and go concern places.  Both are noted while cells
 * are written and worked off when all are: a place all of whose cells came
 * exists, one that lost a cell is looked at below.  Which owners count for a
 * member (its key, and its aliases) the attributions say that are applied; whatever
 * changes that notes all days of the owner (transfer.c).
 *
 * The calendar is the run's, by which the state of the source is saved: when
 * the default calendar cuts periods otherwise than that says, all places are
 * made anew from the cells.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct PlaceEntry
{
	KpiCellKey	key;			/* the hash key */
	bool		lost_cells;		/* so there may be none left */
} PlaceEntry;

typedef PlaceEntry *PlacePointer;

#define ST_SORT sort_places
#define ST_ELEMENT_TYPE PlacePointer
#define ST_COMPARE(a, b) kpi_refresh_cellkey_compare(&(*(a))->key, &(*(b))->key)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

struct KpiPlaces
{
	KpiRun	   *run;
	MemoryContext mcxt;
	HTAB	   *entries;
	bool		lost_cells;		/* one of them has */
};

KpiPlaces *
kpi_refresh_places_create(KpiRun *run)
{
	MemoryContext mcxt = AllocSetContextCreate(run->mcxt, "pg_kpi places", ALLOCSET_DEFAULT_SIZES);
	KpiPlaces  *places = MemoryContextAlloc(mcxt, sizeof(KpiPlaces));
	HASHCTL		ctl = {.keysize = sizeof(KpiCellKey),.entrysize = sizeof(PlaceEntry),.hcxt = mcxt};

	places->run = run;
	places->mcxt = mcxt;
	places->lost_cells = false;
	places->entries = hash_create("pg_kpi places", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return places;
}

void
kpi_refresh_places_free(KpiPlaces *places)
{
	MemoryContextDelete(places->mcxt);
}

bool
kpi_refresh_is_place(const KpiRollupKey *key)
{
	return key->grain != KPI_MONTH && key->grain != KPI_DAY && key->grain != KPI_ANCHOR_YEAR;
}

bool
kpi_refresh_places_contain(const KpiPlaces *places, const KpiCellKey *key)
{
	return hash_search(places->entries, key, HASH_FIND, NULL) != NULL;
}

/* The place of a grain above something of a day, of whose scope and value a key is. */
static KpiCellKey
place_key(const KpiRun *run, const KpiRollupKey *key, KpiGrain grain, DateADT day)
{
	KpiCellKey	place = {.rollup = *key};

	place.rollup.grain = grain;
	place.rollup.start = kpi_calendar_period_start(grain, day, &run->calendar);
	return place;
}

static void
add_place(KpiPlaces *places, const KpiRollupKey *key, KpiGrain grain, DateADT day, bool is_gone)
{
	KpiCellKey	place = place_key(places->run, key, grain, day);
	PlaceEntry *entry;
	bool		found;

	entry = hash_search(places->entries, &place, HASH_ENTER, &found);
	if (!found)
		entry->lost_cells = false;
	entry->lost_cells |= is_gone;
	places->lost_cells |= is_gone;
}

void
kpi_refresh_places_add_rollup(KpiPlaces *places, const KpiRollupKey *key, bool is_gone)
{
	if (key->grain == KPI_DAY)
		add_place(places, key, KPI_WEEK, key->start, is_gone);
	else if (key->grain == KPI_MONTH)
	{
		add_place(places, key, KPI_QUARTER, key->start, is_gone);
		add_place(places, key, KPI_YEAR, key->start, is_gone);
	}
}

void
kpi_refresh_places_add_member(KpiPlaces *places, int32 member_id, const KpiDayKey *key, bool is_gone)
{
	KpiRollupKey scope = {key->stream_id, KPI_SCOPE_MEMBER, member_id};

	if (member_id == 0 || key->day == KPI_ERROR_DAY)
		return;
	add_place(places, &scope, KPI_WEEK, key->day, is_gone);
}

/* The member for whom an owner counts on a day; 0: none. */
static int32
member_of_day(KpiRun *run, const KpiDayKey *key)
{
	KpiOwnerKind kind = kpi_model_stream_find(run->source, key->stream_id)->owner_kind;

	if (!kpi_model_owner_is_member(kind) || key->day == KPI_ERROR_DAY)
		return 0;
	kpi_refresh_attribution_need(run->attributions, kind, &key->owner_id, 1);
	return kpi_refresh_attribution_at(run->attributions, kind, key->owner_id, key->day)->member_id;
}

void
kpi_refresh_places_add_day(KpiPlaces *places, const KpiDayKey *key, bool is_gone)
{
	kpi_refresh_places_add_member(places, member_of_day(places->run, key), key, is_gone);
}

void
kpi_refresh_places_above_rollup(KpiRun *run, const KpiRollupKey *key, KpiCellMap *to)
{
	static const KpiGrain above_days[] = {KPI_WEEK};
	static const KpiGrain above_months[] = {KPI_QUARTER, KPI_YEAR};
	const KpiGrain *grains = key->grain == KPI_DAY ? above_days : above_months;
	int			n = key->grain == KPI_DAY ? lengthof(above_days) :
	key->grain == KPI_MONTH ? lengthof(above_months) : 0;

	for (int i = 0; i < n; i++)
	{
		KpiCellKey	place = place_key(run, key, grains[i], key->start);

		kpi_refresh_cellmap_add_place(to, &place);
	}
}

void
kpi_refresh_places_above_day(KpiRun *run, const KpiDayKey *key, KpiCellMap *to)
{
	KpiRollupKey scope = {key->stream_id, KPI_SCOPE_MEMBER, member_of_day(run, key)};
	KpiCellKey	place;

	if (scope.scope_id == 0)
		return;
	place = place_key(run, &scope, KPI_WEEK, key->day);
	kpi_refresh_cellmap_add_place(to, &place);
}

/* What was noted, in the order of its keys. */
static PlacePointer *
sorted_places(KpiPlaces *places, int *n)
{
	PlacePointer *sorted;
	HASH_SEQ_STATUS status;
	PlaceEntry *entry;

	*n = 0;
	sorted = MemoryContextAllocHuge(places->mcxt,
									Max(hash_get_num_entries(places->entries), 1) * sizeof(PlacePointer));
	hash_seq_init(&status, places->entries);
	while ((entry = hash_seq_search(&status)) != NULL)
		sorted[(*n)++] = entry;
	sort_places(sorted, *n);
	return sorted;
}

static void
insert_place(KpiKeyedTable *rollups, const KpiCellKey *key)
{
	Datum		values[KPI_CELL_KEY_COLUMNS + 2] = {0};
	bool		nulls[KPI_CELL_KEY_COLUMNS + 2] = {[KPI_CELL_KEY_COLUMNS] = true, true};

	for (int i = 0; i < KPI_CELL_KEY_COLUMNS; i++)
		values[i] = Int32GetDatum(key->columns[i]);
	kpi_keyed_table_insert(rollups, values, nulls);
}

/* What look_below() reads. */
typedef struct Below
{
	KpiKeyedTable *rollups;
	KpiKeyedTable *days;
	KpiLookup	owners;			/* applied attributions, by member */
} Below;

static bool
has_day_cells(const KpiPlaces *places, Below *below, const KpiRollupKey *key, DateADT end)
{
	List	   *owners = kpi_refresh_member_owners(&below->owners, places->run->source->id, key->scope_id);
	ListCell   *lc;
	bool		found = false;

	foreach(lc, owners)
	{
		int32		owner[] = {key->stream_id, lfirst_int(lc)};

		kpi_keyed_table_scan(below->days, lengthof(owner), owner, true, key->start, end);
		found = kpi_keyed_table_next(below->days);
		if (found)
			break;
	}
	list_free(owners);
	return found;
}

/* Whether a row of cells is below a place. */
static bool
has_cells(const KpiPlaces *places, Below *below, const PlaceEntry *entry)
{
	const KpiRollupKey *key = &entry->key.rollup;
	bool		is_week = key->grain == KPI_WEEK;
	DateADT		end = kpi_calendar_period_end(key->grain, key->start, &places->run->calendar);
	int32		scope[] = {
		key->stream_id, key->scope_kind, key->scope_id, is_week ? KPI_DAY : KPI_MONTH, key->dim_value_id
	};

	if (is_week && key->scope_kind == KPI_SCOPE_MEMBER)
		return has_day_cells(places, below, key, end);
	kpi_keyed_table_scan(below->rollups, lengthof(scope), scope, true, key->start, end);
	return kpi_keyed_table_next(below->rollups);
}

/* Looks below places that lost cells: from now on that says which have none. */
static void
look_below(KpiPlaces *places, KpiKeyedTable *rollups, Snapshot snapshot)
{
	Below		below = {rollups, kpi_refresh_table_open(KPI_DAY_CELL, snapshot)};
	HASH_SEQ_STATUS status;
	PlaceEntry *entry;

	kpi_refresh_member_owners_open(&below.owners);
	hash_seq_init(&status, places->entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (entry->lost_cells)
			entry->lost_cells = !has_cells(places, &below, entry);
	}
	kpi_lookup_close(&below.owners);
	kpi_keyed_table_close(below.days);
}

/* Inserts the places that are missing, deletes those whose last cell is lost. */
static void
write_places(KpiPlaces *places, KpiKeyedTable *rollups)
{
	int			n;
	PlacePointer *sorted = sorted_places(places, &n);

	for (int i = 0; i < n; i++)
	{
		const PlaceEntry *entry = sorted[i];
		bool		found;

		CHECK_FOR_INTERRUPTS();
		found = kpi_refresh_table_seek(rollups, KPI_ROLLUP_CELL, &entry->key, i + 1 < n ? &sorted[i + 1]->key : NULL);
		if (found && entry->lost_cells)
			kpi_keyed_table_delete_found(rollups);
		else if (!found && !entry->lost_cells)
			insert_place(rollups, &entry->key);
	}
	pfree(sorted);
}

void
kpi_refresh_places_settle(KpiPlaces *places)
{
	KpiRun	   *run = places->run;
	Snapshot	snapshot;
	KpiKeyedTable *rollups;

	if (hash_get_num_entries(places->entries) == 0)
		return;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	rollups = kpi_refresh_table_open(KPI_ROLLUP_CELL, snapshot);
	if (places->lost_cells)
		look_below(places, rollups, snapshot);
	write_places(places, rollups);
	run->stats.ncells += rollups->nwritten;
	kpi_keyed_table_close(rollups);
	UnregisterSnapshot(snapshot);
}

/* Notes the places above all day cells of members in a stream. */
static void
add_stored_days(KpiPlaces *places, const KpiStream *stream, Snapshot snapshot)
{
	KpiKeyedTable *days;

	if (!kpi_model_owner_is_member(stream->owner_kind))
		return;
	days = kpi_refresh_table_open(KPI_DAY_CELL, snapshot);
	kpi_keyed_table_scan(days, 1, &stream->id, false, 0, 0);
	while (kpi_keyed_table_next(days))
	{
		KpiCellKey	key = kpi_refresh_table_found_key(days);

		CHECK_FOR_INTERRUPTS();
		kpi_refresh_places_add_day(places, &key.day, false);
	}
	kpi_keyed_table_close(days);
}

/* Places that the calendar cuts as before are not written. */
void
kpi_refresh_places_renew(KpiRun *run, const KpiStream *stream)
{
	KpiPlaces  *places = kpi_refresh_places_create(run);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	KpiKeyedTable *rollups = kpi_refresh_table_open(KPI_ROLLUP_CELL, snapshot);

	kpi_keyed_table_scan(rollups, 1, &stream->id, false, 0, 0);
	while (kpi_keyed_table_next(rollups))
	{
		KpiCellKey	key = kpi_refresh_table_found_key(rollups);

		CHECK_FOR_INTERRUPTS();
		if (!kpi_refresh_is_place(&key.rollup))
			kpi_refresh_places_add_rollup(places, &key.rollup, false);
	}
	add_stored_days(places, stream, snapshot);

	kpi_keyed_table_scan(rollups, 1, &stream->id, false, 0, 0);
	while (kpi_keyed_table_next(rollups))
	{
		KpiCellKey	key = kpi_refresh_table_found_key(rollups);

		CHECK_FOR_INTERRUPTS();
		if (kpi_refresh_is_place(&key.rollup) && !kpi_refresh_places_contain(places, &key))
			kpi_keyed_table_delete_found(rollups);
	}
	write_places(places, rollups);
	run->stats.ncells += rollups->nwritten;
	kpi_keyed_table_close(rollups);
	UnregisterSnapshot(snapshot);
	MemoryContextDelete(places->mcxt);
}
