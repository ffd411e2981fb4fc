/*-------------------------------------------------------------------------
 *
 * subxact.c
 *	  What each subtransaction has captured and not written, in memory.
 *
 * All memory is below TopTransactionContext, so the end of the transaction
 * frees it.
 *
 * Each (sub)transaction that captured something has a level: abort of the
 * subtransaction drops it, commit merges it into its parent's.  A level receives
 * facts only while it is the current one, and then no deeper level exists, so
 * what it holds is never written in part.
 *
 * Outer levels may be written and kept (flush.c), with written_at telling by
 * which nesting level's fate the rows live: abort of that level makes them
 * unwritten again; commit hands the rows to the level above, and once that is the
 * deltas' own level, rows and deltas share one fate and the deltas are
 * dropped.
 *
 * Merging at a subtransaction's commit can fail for lack of memory.  Then the
 * outer level would hold some of the inner one's deltas; kpi_capture_merge_failed
 * makes the flush ask for a recomputation of the sources instead.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "capture/capture_internal.h"
#include "cell/cell.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

typedef struct DeltaEntry
{
	KpiDelta   *delta;
	uint32		hash;
	char		status;
} DeltaEntry;

#define SH_PREFIX delta
#define SH_ELEMENT_TYPE DeltaEntry
#define SH_KEY_TYPE KpiDelta *
#define SH_KEY delta
#define SH_HASH_KEY(tb, key) ((key)->hash)
#define SH_EQUAL(tb, a, b) kpi_capture_same_key(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) ((entry)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * Bytes in the blocks that deltas are cut from.  The first one comes with the
 * level, in one piece of memory: most transactions need no more.
 */
#define LEVEL_SIZE 2048
#define FIRST_BLOCK_SIZE (LEVEL_SIZE - MAXALIGN(sizeof(KpiSubxactDeltas)) - offsetof(KpiArenaBlock, data))
#define SECOND_BLOCK_SIZE (8 * 1024)
#define MAX_BLOCK_SIZE (256 * 1024)

KpiSubxactDeltas *kpi_capture_subxact_top = NULL;
bool		kpi_capture_merge_failed = false;

/* True while an inner level is being merged into an outer one. */
static bool merging = false;

KpiSubxactDeltas *
kpi_capture_subxact_create(MemoryContext mcxt)
{
	KpiSubxactDeltas *subxact = MemoryContextAlloc(mcxt, LEVEL_SIZE);

	memset(subxact, 0, sizeof(KpiSubxactDeltas));
	subxact->first_block = (KpiArenaBlock *) ((char *) subxact + MAXALIGN(sizeof(KpiSubxactDeltas)));
	subxact->first_block->next = NULL;
	subxact->first_block->size = FIRST_BLOCK_SIZE;
	subxact->first_block->used = 0;
	subxact->block = subxact->first_block;
	return subxact;
}

KpiSubxactDeltas *
kpi_capture_subxact_current(void)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	KpiSubxactDeltas *subxact = kpi_capture_subxact_top;

	if (subxact != NULL && subxact->nest_level == nest_level)
		return subxact;

	subxact = kpi_capture_subxact_create(TopTransactionContext);
	subxact->nest_level = nest_level;
	subxact->parent = kpi_capture_subxact_top;
	kpi_capture_subxact_top = subxact;
	return subxact;
}

/* Where a level has what it came without. */
static MemoryContext
level_context(KpiSubxactDeltas *subxact)
{
	if (subxact->context == NULL)
		subxact->context = AllocSetContextCreate(TopTransactionContext, "pg_kpi deltas",
												 ALLOCSET_DEFAULT_SIZES);
	return subxact->context;
}

static void
free_level(KpiSubxactDeltas *subxact)
{
	if (subxact->context != NULL)
		MemoryContextDelete(subxact->context);
	list_free_deep(subxact->loaded);
	pfree(subxact);
}

void
kpi_capture_subxact_clear(KpiSubxactDeltas *subxact)
{
	for (KpiArenaBlock *block = subxact->first_block; block != NULL; block = block->next)
		block->used = 0;
	subxact->block = subxact->first_block;
	if (subxact->hash != NULL)
		delta_reset(subxact->hash);
	subxact->bytes = 0;
	subxact->ndeltas = 0;
	subxact->last = NULL;
	list_free_deep(subxact->loaded);
	subxact->loaded = NIL;
	subxact->written_at = 0;
}

/* In TopTransactionContext, or, of what is no (sub)transaction's, where the level is. */
void
kpi_capture_subxact_loaded(KpiSubxactDeltas *subxact, int32 source_id, TimestampTz at)
{
	KpiLoaded  *loaded;
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, subxact->loaded)
	{
		loaded = lfirst(lc);
		if (loaded->source_id != source_id)
			continue;
		loaded->at = Max(loaded->at, at);
		return;
	}
	old = MemoryContextSwitchTo(GetMemoryChunkContext(subxact));
	loaded = palloc(sizeof(KpiLoaded));
	loaded->source_id = source_id;
	loaded->at = at;
	subxact->loaded = lappend(subxact->loaded, loaded);
	MemoryContextSwitchTo(old);
}

TimestampTz
kpi_capture_subxact_loaded_at(const KpiSubxactDeltas *subxact, int32 source_id)
{
	ListCell   *lc;

	foreach(lc, subxact->loaded)
	{
		KpiLoaded  *loaded = lfirst(lc);

		if (loaded->source_id == source_id)
			return loaded->at;
	}
	return DT_NOBEGIN;
}

/* Memory of the level's deltas. */
static void *
level_alloc(KpiSubxactDeltas *subxact, Size size)
{
	KpiArenaBlock *block = subxact->block;
	void	   *place;

	size = MAXALIGN(size);
	subxact->bytes += size;
	while (block->size - block->used < size && block->next != NULL)
		block = block->next;
	if (block->size - block->used < size)
	{
		Size		block_size = Max(Min(Max(block->size * 2, SECOND_BLOCK_SIZE), MAX_BLOCK_SIZE), size);
		KpiArenaBlock *new_block = MemoryContextAlloc(level_context(subxact),
													  offsetof(KpiArenaBlock, data) + block_size);

		new_block->next = NULL;
		new_block->size = block_size;
		new_block->used = 0;
		block->next = new_block;
		block = new_block;
	}
	subxact->block = block;
	place = block->data + block->used;
	block->used += size;
	return place;
}

void
kpi_capture_subxact_foreach(KpiSubxactDeltas *subxact, void (*visit) (KpiDelta *delta, void *arg), void *arg)
{
	delta_iterator iterator;
	DeltaEntry *entry;

	if (subxact->hash == NULL)
	{
		for (int i = 0; i < subxact->ndeltas; i++)
			visit		(subxact->few[i], arg);

		return;
	}

	delta_start_iterate(subxact->hash, &iterator);
	while ((entry = delta_iterate(subxact->hash, &iterator)) != NULL)
		visit		(entry->delta, arg);
}

KpiDelta *
kpi_capture_subxact_find(KpiSubxactDeltas *subxact, KpiDelta *wanted)
{
	DeltaEntry *entry;

	if (subxact->hash != NULL)
	{
		entry = delta_lookup(subxact->hash, wanted);
		return entry ? entry->delta : NULL;
	}

	for (int i = 0; i < subxact->ndeltas; i++)
	{
		if (subxact->few[i]->hash == wanted->hash && kpi_capture_same_key(subxact->few[i], wanted))
			return subxact->few[i];
	}
	return NULL;
}

static void
index_delta(delta_hash *hash, KpiDelta *delta)
{
	bool		found;

	delta_insert(hash, delta, &found)->delta = delta;
}

KpiDelta *
kpi_capture_subxact_insert(KpiSubxactDeltas *subxact, const KpiDelta *model, const KpiCell *cell)
{
	KpiDelta   *delta = level_alloc(subxact, sizeof(KpiDelta) + model->key_len);

	*delta = *model;
	delta->key = (KpiDeltaKey *) (delta + 1);
	memcpy(delta->key, model->key, model->key_len);
	delta->cell = level_alloc(subxact, VARSIZE(cell));
	memcpy(delta->cell, cell, VARSIZE(cell));
	delta->error = NULL;

	if (subxact->hash == NULL && subxact->ndeltas == KPI_FEW_DELTAS)
	{
		delta_hash *hash = delta_create(level_context(subxact), 4 * KPI_FEW_DELTAS, NULL);

		for (int i = 0; i < KPI_FEW_DELTAS; i++)
			index_delta(hash, subxact->few[i]);
		subxact->hash = hash;
	}
	if (subxact->hash != NULL)
		index_delta(subxact->hash, delta);
	else
		subxact->few[subxact->ndeltas] = delta;

	subxact->ndeltas++;
	subxact->bytes += sizeof(DeltaEntry) * 2;
	return delta;
}

/*
 * The old cell stays where it is until the level is cleared: cells grow by a
 * quarter at least, and seldom.
 */
void
kpi_capture_subxact_set_cell(KpiSubxactDeltas *subxact, KpiDelta *delta, KpiCell *cell)
{
	if (cell == delta->cell)
		return;

	delta->cell = level_alloc(subxact, VARSIZE(cell));
	memcpy(delta->cell, cell, VARSIZE(cell));
}

/* One line of at most KPI_ERROR_LEN bytes. */
void
kpi_capture_subxact_set_error(KpiSubxactDeltas *subxact, KpiDelta *delta, const char *message)
{
	int			len = strlen(message);

	if (len > KPI_ERROR_LEN)
		len = pg_mbcliplen(message, len, KPI_ERROR_LEN);
	if (delta->error == NULL)
		delta->error = level_alloc(subxact, KPI_ERROR_LEN + 1);
	memcpy(delta->error, message, len);
	delta->error[len] = '\0';
	for (char *c = delta->error; *c != '\0'; c++)
	{
		if (*c == '\n' || *c == '\r' || *c == '\t')
			*c = ' ';
	}
}

/* ---- ends of subtransactions ---- */

static void
merge_delta(KpiDelta *delta, void *arg)
{
	KpiSubxactDeltas *subxact = arg;
	KpiDelta   *mine = kpi_capture_subxact_find(subxact, delta);

	if (mine == NULL)
		mine = kpi_capture_subxact_insert(subxact, delta, delta->cell);
	else
		kpi_capture_subxact_set_cell(subxact, mine, kpi_cell_merge(mine->cell, delta->cell));
	if (delta->error != NULL)
		kpi_capture_subxact_set_error(subxact, mine, delta->error);
}

static void
merge_loaded(const KpiSubxactDeltas *from, KpiSubxactDeltas *to)
{
	ListCell   *lc;

	foreach(lc, from->loaded)
	{
		KpiLoaded  *loaded = lfirst(lc);

		kpi_capture_subxact_loaded(to, loaded->source_id, loaded->at);
	}
}

/*
 * The top level becomes part of its parent: takes its place if that holds nothing,
 * else is merged into it.
 */
static void
merge_into_parent(KpiSubxactDeltas *child)
{
	KpiSubxactDeltas *parent = child->parent;
	MemoryContext oldcontext = MemoryContextSwitchTo(TopTransactionContext);

	if (parent->ndeltas == 0)
	{
		merge_loaded(parent, child);
		child->markers = list_concat(parent->markers, child->markers);
		child->nest_level = parent->nest_level;
		child->parent = parent->parent;
		kpi_capture_subxact_top = child;
		free_level(parent);
	}
	else
	{
		merging = true;
		MemoryContextSwitchTo(level_context(child));
		kpi_capture_subxact_foreach(child, merge_delta, parent);
		MemoryContextSwitchTo(TopTransactionContext);
		merging = false;
		merge_loaded(child, parent);
		parent->markers = list_concat(parent->markers, child->markers);
		kpi_capture_subxact_top = parent;
		free_level(child);
	}
	MemoryContextSwitchTo(oldcontext);
}

void
kpi_capture_subxact_committed(int nest_level)
{
	for (KpiSubxactDeltas *subxact = kpi_capture_subxact_top; subxact != NULL; subxact = subxact->parent)
	{
		if (subxact->written_at != nest_level)
			continue;
		subxact->written_at = nest_level - 1;
		if (subxact->nest_level == subxact->written_at)
			kpi_capture_subxact_clear(subxact);
	}

	if (kpi_capture_subxact_top == NULL || kpi_capture_subxact_top->nest_level < nest_level)
		return;
	if (kpi_capture_subxact_top->parent != NULL &&
		kpi_capture_subxact_top->parent->nest_level == nest_level - 1)
		merge_into_parent(kpi_capture_subxact_top);
	else
		kpi_capture_subxact_top->nest_level = nest_level - 1;
}

void
kpi_capture_subxact_aborted(int nest_level)
{
	kpi_capture_merge_failed |= merging;
	merging = false;

	while (kpi_capture_subxact_top != NULL && kpi_capture_subxact_top->nest_level >= nest_level)
	{
		KpiSubxactDeltas *subxact = kpi_capture_subxact_top;

		kpi_capture_subxact_top = subxact->parent;
		free_level(subxact);
	}
	for (KpiSubxactDeltas *subxact = kpi_capture_subxact_top; subxact != NULL; subxact = subxact->parent)
	{
		if (subxact->written_at >= nest_level)
			subxact->written_at = 0;
	}
}

/* The transaction is over: its memory goes with TopTransactionContext. */
void
kpi_capture_subxact_forget(void)
{
	kpi_capture_subxact_top = NULL;
	kpi_capture_merge_failed = false;
	merging = false;
}
