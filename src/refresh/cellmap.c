/*-------------------------------------------------------------------------
 *
 * cellmap.c
 *	  Sums of cells per key: collected in any order, read in that of the keys.
 *
 * A map is filled, then sorted, then read, as often as wanted.  While a run's
 * maps are small they are hashes in memory.  When together they hold more than
 * their share of maintenance_work_mem, the one that grows is emptied into a
 * sort (tuplesort), which has its own bound and goes to temporary files; the
 * sums of one key that were emptied at different times meet again where the
 * sort is read.  So the memory of a run does not grow with the cells it makes,
 * and few cells cost what a hash costs.  One hash of everything, however much
 * that is, is faster by the sort and has no bound.
 *
 * The order is that of the table's primary key, so rows are found and written
 * in the order of the index.
 *
 * Keys of day cells may have the local numbers of a dictionary while the map is
 * filled.  Nothing can be written then, as the cells may come from a parallel
 * statement, so what is emptied waits in a file of its own until all texts are
 * known and have their rows.
 *
 * Files belong to the resource owner under which the map was made, however deep
 * in subtransactions it is filled.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "refresh/refresh_internal.h"
#include "storage/buffile.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplesort.h"

typedef struct CellEntry
{
	KpiCellKey	key;
	KpiCell    *cell;
	uint32		hash;
	char		status;
} CellEntry;

static inline uint32
hash_key(const KpiCellKey *key)
{
	return hash_bytes((const unsigned char *) key, sizeof(KpiCellKey));
}

#define SH_PREFIX cellhash
#define SH_ELEMENT_TYPE CellEntry
#define SH_KEY_TYPE KpiCellKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_key(&key)
#define SH_EQUAL(tb, a, b) (memcmp(&(a), &(b), sizeof(KpiCellKey)) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

struct KpiCellMap
{
	KpiCellMemory *memory;		/* shared with the other maps of the run */
	MemoryContext parent;
	MemoryContext mcxt;			/* of the hash and the list, with their cells */
	Size		counted;		/* of mcxt, in memory->used */
	cellhash_hash *hash;		/* NULL: empty, or a list was appended to */
	CellEntry  *last;			/* of what was asked for last; or NULL */
	int			nitems;			/* appended, or what the hash had when sorted */
	int			max_items;
	KpiCellItem *items;
	KpiDict    *dict;			/* whose numbers the keys have; or NULL */
	const KpiSource *source;	/* the dictionary's */
	ResourceOwner owner;
	BufFile    *spool;			/* of a map with a dictionary: what was
								 * emptied; or NULL */
	Tuplesortstate *sort;		/* NULL: nothing was emptied */

	/* Of reading. */
	MemoryContext read_cxt;
	int			next;			/* in items */
	bool		has_ahead;		/* what the sort gives next */
	KpiCellItem ahead;
	KpiCellItem item;			/* that was returned last */
};

/* Entries before a map is worth emptying. */
#define MIN_EMPTIED 1024

void
kpi_refresh_cell_memory_init(KpiCellMemory *memory)
{
	memory->used = 0;
	memory->limit = maintenance_work_mem * (Size) 1024 / 2;
}

/* Of a sort, in kilobytes: a run has up to four at a time. */
static int
sort_memory(void)
{
	return Max(maintenance_work_mem / 8, 64);
}

static void
begin_contents(KpiCellMap *map)
{
	map->hash = NULL;
	map->last = NULL;
	map->nitems = 0;
	map->max_items = 0;
	map->items = NULL;
}

KpiCellMap *
kpi_refresh_cellmap_create(KpiRun *run)
{
	KpiCellMap *map = MemoryContextAllocZero(run->mcxt, sizeof(KpiCellMap));

	map->memory = &run->memory;
	map->owner = CurrentResourceOwner;
	map->parent = run->mcxt;
	map->mcxt = AllocSetContextCreate(run->mcxt, "pg_kpi cells", ALLOCSET_DEFAULT_SIZES);
	begin_contents(map);
	return map;
}

void
kpi_refresh_cellmap_use_dict(KpiCellMap *map, KpiDict *dict, const KpiSource *source)
{
	map->dict = dict;
	map->source = source;
}

void
kpi_refresh_cellmap_free(KpiCellMap *map)
{
	if (map->spool)
		BufFileClose(map->spool);
	if (map->sort)
		tuplesort_end(map->sort);
	if (map->read_cxt)
		MemoryContextDelete(map->read_cxt);
	if (map->dict)
		kpi_refresh_dict_free(map->dict);
	MemoryContextDelete(map->mcxt);
	map->memory->used -= map->counted;
	pfree(map);
}

/* ---- order ---- */

StaticAssertDecl(sizeof(KpiDayKey) == sizeof(KpiCellKey) && sizeof(KpiPathKey) == sizeof(KpiCellKey) &&
				 sizeof(KpiRollupKey) == sizeof(KpiCellKey),
				 "keys of cells must be of one size");

static inline bool
same_key(const KpiCellKey *a, const KpiCellKey *b)
{
	return memcmp(a, b, sizeof(KpiCellKey)) == 0;
}

static pg_attribute_always_inline int
compare_keys(const KpiCellKey *a, const KpiCellKey *b)
{
	for (int i = 0; i < KPI_CELL_KEY_COLUMNS; i++)
	{
		if (a->columns[i] != b->columns[i])
			return a->columns[i] < b->columns[i] ? -1 : 1;
	}
	return 0;
}

int
kpi_refresh_cellkey_compare(const KpiCellKey *a, const KpiCellKey *b)
{
	return compare_keys(a, b);
}

/* qsort specialized for items: half a million of them are common. */
#define ST_SORT sort_items
#define ST_ELEMENT_TYPE KpiCellItem
#define ST_COMPARE(a, b) compare_keys(&(a)->key, &(b)->key)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* What is added to a cell may move it to a larger place; the old one is not needed. */
static void
replace_cell(KpiCell **place, KpiCell *cell)
{
	if (cell == *place)
		return;
	pfree(*place);
	*place = cell;
}

/*
 * Keys can coincide once they are those of rows, where two texts that differ in
 * their bytes are one value.  Every key must come once, as its row is written
 * once.
 */
static void
sort_and_sum(KpiCellMap *map)
{
	MemoryContext old = MemoryContextSwitchTo(map->mcxt);
	int			n = 0;

	sort_items(map->items, map->nitems);
	for (int i = 0; i < map->nitems; i++)
	{
		KpiCellItem *item = &map->items[i];

		if (n == 0 || !same_key(&map->items[n - 1].key, &item->key))
			map->items[n++] = *item;
		else if (item->cell != NULL)
			replace_cell(&map->items[n - 1].cell, kpi_cell_merge(map->items[n - 1].cell, item->cell));
	}
	map->nitems = n;
	MemoryContextSwitchTo(old);
}

/* ---- out of memory, into the sort ---- */

/* A key as bytes that compare as its columns do. */
static void
write_key(const KpiCellKey *key, char *to)
{
	for (int i = 0; i < KPI_CELL_KEY_COLUMNS; i++)
	{
		uint32		column = pg_hton32((uint32) key->columns[i] ^ 0x80000000);

		memcpy(to + i * sizeof(uint32), &column, sizeof(uint32));
	}
}

static void
read_key(const char *from, KpiCellKey *key)
{
	for (int i = 0; i < KPI_CELL_KEY_COLUMNS; i++)
	{
		uint32		column;

		memcpy(&column, from + i * sizeof(uint32), sizeof(uint32));
		key->columns[i] = (int32) (pg_ntoh32(column) ^ 0x80000000);
	}
}

#define KEY_BYTES (KPI_CELL_KEY_COLUMNS * sizeof(uint32))

/* The key, then the cell in the form in which it is stored; a place has none. */
static bytea *
item_row(const KpiCellItem *item)
{
	struct varlena *stored = item->cell ? kpi_cell_compact(item->cell) : NULL;
	Size		size = VARHDRSZ + KEY_BYTES + (stored ? VARSIZE_ANY(stored) : 0);
	bytea	   *row = palloc(size);

	SET_VARSIZE(row, size);
	write_key(&item->key, VARDATA(row));
	if (stored)
	{
		memcpy(VARDATA(row) + KEY_BYTES, stored, VARSIZE_ANY(stored));
		pfree(stored);
	}
	return row;
}

static void
put_row(KpiCellMap *map, bytea *row)
{
	if (map->sort == NULL)
		map->sort = tuplesort_begin_datum(BYTEAOID, ByteaLessOperator, InvalidOid, false, sort_memory(), NULL,
										  TUPLESORT_RANDOMACCESS);
	tuplesort_putdatum(map->sort, PointerGetDatum(row), false);
}

/* With a dictionary the key has its numbers, and the row waits. */
static void
empty_item(KpiCellMap *map, const KpiCellItem *item)
{
	bytea	   *row = item_row(item);
	int32		size = VARSIZE(row);

	if (map->dict)
	{
		if (map->spool == NULL)
			map->spool = BufFileCreateTemp(false);
		kpi_refresh_dict_use(map->dict, &item->key.day);
		BufFileWrite(map->spool, &size, sizeof(size));
		BufFileWrite(map->spool, row, size);
	}
	else
		put_row(map, row);
	pfree(row);
}

/* What the hash has becomes a list. */
static void
list_entries(KpiCellMap *map)
{
	cellhash_iterator iterator;
	CellEntry  *entry;

	if (map->hash == NULL)
		return;
	map->items = MemoryContextAllocHuge(map->mcxt, Max(map->hash->members, 1) * sizeof(KpiCellItem));
	cellhash_start_iterate(map->hash, &iterator);
	while ((entry = cellhash_iterate(map->hash, &iterator)) != NULL)
	{
		KpiCellItem *item = &map->items[map->nitems];

		if (entry->cell != NULL && kpi_cell_is_empty(entry->cell))
			continue;
		item->key = entry->key;
		item->cell = entry->cell;
		map->nitems++;
	}
	cellhash_destroy(map->hash);
	map->hash = NULL;
	map->last = NULL;
}

/* Empties the hash or the list. */
static void
empty_map(KpiCellMap *map)
{
	MemoryContext old = MemoryContextSwitchTo(map->parent);
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = map->owner;
	list_entries(map);
	for (int i = 0; i < map->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		empty_item(map, &map->items[i]);
	}
	CurrentResourceOwner = owner;
	MemoryContextReset(map->mcxt);
	begin_contents(map);
	MemoryContextSwitchTo(old);
}

/* All texts have rows: what waited gets its place in the order. */
static void
sort_spooled(KpiCellMap *map)
{
	int32		size;

	if (BufFileSeek(map->spool, 0, 0, SEEK_SET) != 0)
		elog(ERROR, "could not rewind a temporary file of cells");
	while (BufFileRead(map->spool, &size, sizeof(size)) == sizeof(size))
	{
		bytea	   *row = palloc(size);
		KpiCellKey	key;

		CHECK_FOR_INTERRUPTS();
		if (BufFileRead(map->spool, row, size) != size)
			elog(ERROR, "could not read a temporary file of cells");
		read_key(VARDATA(row), &key);
		kpi_refresh_dict_translate(map->dict, &key.day);
		write_key(&key, VARDATA(row));
		put_row(map, row);
		pfree(row);
	}
	BufFileClose(map->spool);
	map->spool = NULL;
}

/* Keys get the numbers of rows. */
static void
resolve_numbers(KpiCellMap *map)
{
	if (map->dict == NULL)
		return;
	for (int i = 0; i < map->nitems; i++)
		kpi_refresh_dict_use(map->dict, &map->items[i].key.day);
	kpi_refresh_dict_resolve(map->dict, map->source);
	for (int i = 0; i < map->nitems; i++)
		kpi_refresh_dict_translate(map->dict, &map->items[i].key.day);
}

/*
 * To be called after something was added.  A map that is small itself stays:
 * to empty it again and again would cost much and free little.
 */
static void
count_memory(KpiCellMap *map)
{
	KpiCellMemory *memory = map->memory;
	Size		now = MemoryContextMemAllocated(map->mcxt, false);

	memory->used += now - map->counted;
	map->counted = now;
	if (memory->used <= memory->limit || now < memory->limit / 8 ||
		(map->hash ? map->hash->members : map->nitems) < MIN_EMPTIED)
		return;
	empty_map(map);
	now = MemoryContextMemAllocated(map->mcxt, false);
	memory->used -= map->counted - now;
	map->counted = now;
}

/* ---- filling ---- */

/* The entry of a key.  Days come in order, so a sum is often asked for again. */
static CellEntry *
find_entry(KpiCellMap *map, const KpiCellKey *key, bool *found)
{
	*found = map->last != NULL && same_key(&map->last->key, key);
	if (!*found)
	{
		if (map->hash == NULL)
			map->hash = cellhash_create(map->mcxt, 256, NULL);
		map->last = cellhash_insert(map->hash, *key, found);
	}
	return map->last;
}

static KpiCell *
copy_cell(const KpiCell *cell)
{
	KpiCell    *copy = palloc(VARSIZE(cell));

	memcpy(copy, cell, VARSIZE(cell));
	return copy;
}

void
kpi_refresh_cellmap_add(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell)
{
	bool		found;
	CellEntry  *entry = find_entry(map, key, &found);
	MemoryContext old = MemoryContextSwitchTo(map->mcxt);

	if (found)
		replace_cell(&entry->cell, kpi_cell_merge(entry->cell, cell));
	else
		entry->cell = copy_cell(cell);
	MemoryContextSwitchTo(old);
	count_memory(map);
}

void
kpi_refresh_cellmap_subtract(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell)
{
	bool		found;
	CellEntry  *entry = find_entry(map, key, &found);
	MemoryContext old = MemoryContextSwitchTo(map->mcxt);

	if (!found)
		entry->cell = kpi_cell_empty();
	replace_cell(&entry->cell, kpi_cell_subtract(entry->cell, cell));
	MemoryContextSwitchTo(old);
	count_memory(map);
}

void
kpi_refresh_cellmap_add_place(KpiCellMap *map, const KpiCellKey *key)
{
	bool		found;
	CellEntry  *entry = find_entry(map, key, &found);

	entry->cell = NULL;
	count_memory(map);
}

void
kpi_refresh_cellmap_append(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell)
{
	MemoryContext old = MemoryContextSwitchTo(map->mcxt);
	KpiCellItem *item;

	if (map->nitems == map->max_items)
	{
		map->max_items = Max(map->max_items * 2, 1024);
		map->items = map->items == NULL ? palloc(map->max_items * sizeof(KpiCellItem)) :
			repalloc_huge(map->items, map->max_items * sizeof(KpiCellItem));
	}
	item = &map->items[map->nitems++];
	item->key = *key;
	item->cell = copy_cell(cell);
	MemoryContextSwitchTo(old);
	count_memory(map);
}

/* ---- reading ---- */

/* What the sort gives next, in memory of its own. */
static void
read_ahead(KpiCellMap *map)
{
	Datum		value;
	bytea	   *row;
	Size		size;

	map->has_ahead = kpi_compat_tuplesort_next(map->sort, &value);
	if (!map->has_ahead)
		return;
	row = (bytea *) DatumGetPointer(value);
	size = VARSIZE(row) - VARHDRSZ - KEY_BYTES;
	read_key(VARDATA(row), &map->ahead.key);
	map->ahead.cell = NULL;
	if (size > 0)
	{
		char	   *stored = palloc(size);

		memcpy(stored, VARDATA(row) + KEY_BYTES, size);
		map->ahead.cell = DatumGetKpiCellPCopy(PointerGetDatum(stored));
		if ((char *) map->ahead.cell != stored)
			pfree(stored);
	}
	pfree(row);
}

/* The sum of all that the sort has of the next key; false at the end. */
static bool
next_sum(KpiCellMap *map)
{
	KpiCellItem *item = &map->item;

	if (item->cell)
		pfree(item->cell);
	item->cell = NULL;
	if (!map->has_ahead)
		return false;
	*item = map->ahead;
	read_ahead(map);
	while (map->has_ahead && same_key(&map->ahead.key, &item->key))
	{
		if (map->ahead.cell)
		{
			replace_cell(&item->cell, kpi_cell_merge(item->cell, map->ahead.cell));
			pfree(map->ahead.cell);
		}
		read_ahead(map);
	}
	return true;
}

/*
 * The next sum that is of something.  Sums that were emptied into the sort as
 * they were can come to nothing here.
 */
static const KpiCellItem *
next_of_sort(KpiCellMap *map)
{
	MemoryContext old = MemoryContextSwitchTo(map->read_cxt);
	bool		found;

	do
		found = next_sum(map);
	while (found && map->item.cell != NULL && kpi_cell_is_empty(map->item.cell));
	MemoryContextSwitchTo(old);
	return found ? &map->item : NULL;
}

static void
rewind_sort(KpiCellMap *map)
{
	MemoryContext old = MemoryContextSwitchTo(map->read_cxt);

	MemoryContextReset(map->read_cxt);
	map->item.cell = NULL;
	read_ahead(map);
	MemoryContextSwitchTo(old);
}

/* Brings together what was emptied and what was not. */
static void
sort_emptied(KpiCellMap *map)
{
	MemoryContext old = MemoryContextSwitchTo(map->parent);

	empty_map(map);
	map->memory->used -= map->counted;
	map->counted = 0;
	if (map->spool)
	{
		resolve_numbers(map);
		sort_spooled(map);
	}
	tuplesort_performsort(map->sort);
	map->read_cxt = AllocSetContextCreate(map->parent, "pg_kpi sorted cells", ALLOCSET_DEFAULT_SIZES);
	rewind_sort(map);
	MemoryContextSwitchTo(old);
}

void
kpi_refresh_cellmap_sort(KpiCellMap *map)
{
	list_entries(map);
	if (map->sort != NULL || map->spool != NULL)
		sort_emptied(map);
	else
	{
		resolve_numbers(map);
		sort_and_sum(map);
	}
	map->next = 0;
}

void
kpi_refresh_cellmap_rewind(KpiCellMap *map)
{
	map->next = 0;
	if (map->sort == NULL)
		return;
	tuplesort_rescan(map->sort);
	rewind_sort(map);
}

const KpiCellItem *
kpi_refresh_cellmap_next(KpiCellMap *map)
{
	if (map->sort != NULL)
		return next_of_sort(map);
	return map->next < map->nitems ? &map->items[map->next++] : NULL;
}

const KpiCellKey *
kpi_refresh_cellmap_peek(const KpiCellMap *map)
{
	if (map->sort != NULL)
		return map->has_ahead ? &map->ahead.key : NULL;
	return map->next < map->nitems ? &map->items[map->next].key : NULL;
}

bool
kpi_refresh_cellmap_is_empty(const KpiCellMap *map)
{
	return map->sort == NULL && map->nitems == 0;
}
