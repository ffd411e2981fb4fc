/*-------------------------------------------------------------------------
 *
 * cellmap.c
 *	  Sums of cells per key, collected in a hash and read in key order.
 *
 * A map lives in a memory context of its own and goes with it; lists point
 * into their map.  The order of a list is the order of the table's primary
 * key, so rows are found and written in the order of the index.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell.h"
#include "common/hashfn.h"
#include "refresh/refresh_internal.h"
#include "utils/memutils.h"

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
	MemoryContext mcxt;
	cellhash_hash *hash;
	CellEntry  *last;			/* of what was asked for last; or NULL */
};

KpiCellMap *
kpi_refresh_cellmap_create(MemoryContext parent)
{
	MemoryContext mcxt = AllocSetContextCreate(parent, "pg_kpi cells", ALLOCSET_DEFAULT_SIZES);
	KpiCellMap *map = MemoryContextAlloc(mcxt, sizeof(KpiCellMap));

	map->mcxt = mcxt;
	map->hash = cellhash_create(mcxt, 256, NULL);
	map->last = NULL;
	return map;
}

static inline bool
same_key(const KpiCellKey *a, const KpiCellKey *b)
{
	return memcmp(a, b, sizeof(KpiCellKey)) == 0;
}

/* The entry of a key.  Days come in order, so a sum is often asked for again. */
static CellEntry *
find_entry(KpiCellMap *map, const KpiCellKey *key, bool *found)
{
	*found = map->last != NULL && same_key(&map->last->key, key);
	if (!*found)
		map->last = cellhash_insert(map->hash, *key, found);
	return map->last;
}

/* A merge may move the cell to a larger place; the old one is not needed. */
static void
replace_cell(CellEntry *entry, KpiCell *cell)
{
	if (cell == entry->cell)
		return;
	pfree(entry->cell);
	entry->cell = cell;
}

void
kpi_refresh_cellmap_add(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell)
{
	bool		found;
	CellEntry  *entry = find_entry(map, key, &found);
	MemoryContext old = MemoryContextSwitchTo(map->mcxt);

	if (found)
		replace_cell(entry, kpi_cell_merge(entry->cell, cell));
	else
	{
		entry->cell = palloc(VARSIZE(cell));
		memcpy(entry->cell, cell, VARSIZE(cell));
	}
	MemoryContextSwitchTo(old);
}

void
kpi_refresh_cellmap_subtract(KpiCellMap *map, const KpiCellKey *key, const KpiCell *cell)
{
	bool		found;
	CellEntry  *entry = find_entry(map, key, &found);
	MemoryContext old = MemoryContextSwitchTo(map->mcxt);

	if (!found)
		entry->cell = kpi_cell_empty();
	replace_cell(entry, kpi_cell_subtract(entry->cell, cell));
	MemoryContextSwitchTo(old);
}

StaticAssertDecl(sizeof(KpiDayKey) == sizeof(KpiCellKey) && sizeof(KpiPathKey) == sizeof(KpiCellKey) &&
				 sizeof(KpiRollupKey) == sizeof(KpiCellKey),
				 "keys of cells must be of one size");

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

/*
 * Keys of a map can coincide once they are rewritten, where two texts that
 * differ in their bytes are one value.  Every key must come once, as its row
 * is written once.
 */
void
kpi_refresh_celllist_sort(KpiCellList *list)
{
	int			n = 0;

	sort_items(list->items, list->nitems);
	for (int i = 0; i < list->nitems; i++)
	{
		if (n > 0 && same_key(&list->items[n - 1].key, &list->items[i].key))
			list->items[n - 1].cell = kpi_cell_merge(list->items[n - 1].cell, list->items[i].cell);
		else
			list->items[n++] = list->items[i];
	}
	list->nitems = n;
}

KpiCellList *
kpi_refresh_cellmap_items(KpiCellMap *map)
{
	KpiCellList *list = MemoryContextAllocZero(map->mcxt, sizeof(KpiCellList));
	cellhash_iterator iterator;
	CellEntry  *entry;

	list->items = MemoryContextAllocHuge(map->mcxt,
										 Max(map->hash->members, 1) * sizeof(KpiCellItem));
	cellhash_start_iterate(map->hash, &iterator);
	while ((entry = cellhash_iterate(map->hash, &iterator)) != NULL)
	{
		KpiCellItem *item;

		if (kpi_cell_is_empty(entry->cell))
			continue;
		item = &list->items[list->nitems++];
		item->key = entry->key;
		item->cell = entry->cell;
	}
	return list;
}

KpiCellList *
kpi_refresh_cellmap_list(KpiCellMap *map)
{
	KpiCellList *list = kpi_refresh_cellmap_items(map);

	kpi_refresh_celllist_sort(list);
	return list;
}
