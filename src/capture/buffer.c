/*-------------------------------------------------------------------------
 *
 * buffer.c
 *	  Deltas of the running transaction, in memory.
 *
 * A fact costs a look-up and an addition, and no statement.  All memory is
 * below TopTransactionContext, so the end of the transaction frees it.
 *
 * Each (sub)transaction that captured something has a level: abort of the
 * subtransaction drops it, commit merges it into its parent's.  When a level
 * grows beyond kpi.buffer_size it is spilled: its deltas are written to the
 * queue, by the subtransaction that made them, so they live and die with it.
 *
 * kpi_capture_flush_now() in a subtransaction must show a refresh all that
 * the transaction did, outer levels included, but rows written now vanish
 * when the current subtransaction aborts, and the outer levels' changes do
 * not.  So outer levels are written and kept, with written_at telling by which
 * nesting level's fate the rows live: abort of that level makes them unwritten
 * again; commit hands the rows to the level above, and once that is the
 * deltas' own level, rows and deltas share one fate and the deltas are
 * dropped.  A level receives facts only while it is the current one, and then
 * no deeper level exists, so what it holds is never written in part.
 *
 * Merging at a subtransaction's commit can fail for lack of memory.  Then the
 * outer level would hold some of the inner one's deltas; kpi_capture_merge_failed
 * makes the flush ask for a recomputation of the sources instead.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "capture/capture_internal.h"
#include "cell/cell.h"
#include "common/hashfn.h"
#include "fact/fact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "model/model.h"
#include "utils/memutils.h"

typedef struct DeltaEntry
{
	KpiDelta   *delta;
	uint32		hash;
	char		status;
} DeltaEntry;

static inline bool
same_key(const KpiDelta *a, const KpiDelta *b)
{
	return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

#define SH_PREFIX delta
#define SH_ELEMENT_TYPE DeltaEntry
#define SH_KEY_TYPE KpiDelta *
#define SH_KEY delta
#define SH_HASH_KEY(tb, key) ((key)->hash)
#define SH_EQUAL(tb, a, b) same_key(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) ((entry)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Bytes in the blocks that deltas are cut from. */
#define FIRST_BLOCK_SIZE 2048
#define MAX_BLOCK_SIZE (256 * 1024)

KpiSubxactDeltas *kpi_capture_subxact_top = NULL;
bool		kpi_capture_merge_failed = false;

/* True while an inner level is being merged into an outer one. */
static bool merging = false;

/* The key of the fact at hand, built here before anything is allocated. */
static KpiDeltaKey *key_buffer = NULL;
static Size key_buffer_size = 0;

KpiSubxactDeltas *
kpi_capture_subxact_current(void)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	KpiSubxactDeltas *subxact = kpi_capture_subxact_top;

	if (subxact != NULL && subxact->nest_level == nest_level)
		return subxact;

	subxact = MemoryContextAllocZero(TopTransactionContext, sizeof(KpiSubxactDeltas));
	subxact->nest_level = nest_level;
	subxact->context = AllocSetContextCreate(TopTransactionContext, "pg_kpi deltas",
											 ALLOCSET_DEFAULT_SIZES);
	subxact->parent = kpi_capture_subxact_top;
	kpi_capture_subxact_top = subxact;
	return subxact;
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
	subxact->written_at = 0;
}

/* Memory of the level's deltas. */
static void *
level_alloc(KpiSubxactDeltas *subxact, Size size)
{
	KpiArenaBlock *block = subxact->block;
	void	   *place;

	size = MAXALIGN(size);
	subxact->bytes += size;
	while (block != NULL && block->size - block->used < size && block->next != NULL)
		block = block->next;
	if (block == NULL || block->size - block->used < size)
	{
		Size		block_size = block ? Min(block->size * 2, MAX_BLOCK_SIZE) : FIRST_BLOCK_SIZE;
		KpiArenaBlock *new_block;

		block_size = Max(block_size, size);
		new_block = MemoryContextAlloc(subxact->context,
									   offsetof(KpiArenaBlock, data) + block_size);
		new_block->next = NULL;
		new_block->size = block_size;
		new_block->used = 0;
		if (block != NULL)
			block->next = new_block;
		else
			subxact->first_block = new_block;
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
			visit(subxact->few[i], arg);
		return;
	}

	delta_start_iterate(subxact->hash, &iterator);
	while ((entry = delta_iterate(subxact->hash, &iterator)) != NULL)
		visit(entry->delta, arg);
}

static KpiDelta *
find_delta(KpiSubxactDeltas *subxact, KpiDelta *wanted)
{
	DeltaEntry *entry;

	if (subxact->hash != NULL)
	{
		entry = delta_lookup(subxact->hash, wanted);
		return entry ? entry->delta : NULL;
	}

	for (int i = 0; i < subxact->ndeltas; i++)
	{
		if (subxact->few[i]->hash == wanted->hash && same_key(subxact->few[i], wanted))
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

/* Adds a delta that is not there yet, with copies of the key and this cell. */
static KpiDelta *
insert_delta(KpiSubxactDeltas *subxact, const KpiDelta *model, const KpiCell *cell)
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
		delta_hash *hash = delta_create(subxact->context, 4 * KPI_FEW_DELTAS, NULL);

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
 * A cell function may return a larger cell, in whatever context was current
 * (one for garbage); then that is kept.  The old one stays where it is until
 * the level is cleared: cells grow by a quarter at least, and seldom.
 */
static void
keep_cell(KpiSubxactDeltas *subxact, KpiDelta *delta, KpiCell *cell)
{
	if (cell == delta->cell)
		return;

	delta->cell = level_alloc(subxact, VARSIZE(cell));
	memcpy(delta->cell, cell, VARSIZE(cell));
}

/* One line of at most KPI_ERROR_LEN bytes. */
static void
set_note(KpiSubxactDeltas *subxact, KpiDelta *delta, const char *message)
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

static Size
value_size(const char *value)
{
	return value ? strlen(value) + 2 : 1;
}

static char *
append_value(char *to, const char *value)
{
	Size		len;

	if (value == NULL)
	{
		*to = '\0';
		return to + 1;
	}
	len = strlen(value) + 1;
	*to = '\1';
	memcpy(to + 1, value, len);
	return to + 1 + len;
}

/* The key of a fact, in key_buffer, as a delta without a cell. */
static KpiDelta
fact_key(const KpiSource *source, const KpiStream *stream, const KpiFact *fact)
{
	KpiDelta	model = {0};
	int			ndims = fact->failed ? 0 : source->ndims;
	const char *owner = fact->failed ? NULL : fact->owner;
	Size		size = offsetof(KpiDeltaKey, values) + value_size(owner);
	char	   *to;

	for (int d = 0; d < ndims; d++)
		size += value_size(fact->dims[d]);
	if (size > key_buffer_size)
	{
		Size		new_size = Max(size, 512);

		key_buffer = key_buffer ? repalloc(key_buffer, new_size) :
			MemoryContextAlloc(TopMemoryContext, new_size);
		key_buffer_size = new_size;
	}

	key_buffer->source_id = source->id;
	key_buffer->stream_id = stream->id;
	key_buffer->version = stream->version;
	key_buffer->day = fact->failed ? KPI_ERROR_DAY : fact->day;
	key_buffer->ndims = ndims;
	to = append_value(key_buffer->values, owner);
	for (int d = 0; d < ndims; d++)
		to = append_value(to, fact->dims[d]);

	model.key = key_buffer;
	model.key_len = to - (char *) key_buffer;
	return model;
}

/* Applies the fact to a cell; garbage goes to the current memory context. */
static KpiCell *
change_cell(KpiCell *cell, const KpiLayout *layout, const KpiFact *fact, int sign)
{
	KpiCell    *given = cell;

	if (fact->failed)
		return kpi_cell_add_error(cell, 0, sign);
	if (fact->failed_measures == NULL)
		return kpi_cell_add_fact(cell, layout, fact->inputs, fact->isnull, sign);

	for (int m = 0; m < layout->nmeasures; m++)
	{
		const KpiLayoutMeasure *measure = &layout->measures[m];
		KpiCell    *before = cell;

		if (bms_is_member(m, fact->failed_measures))
			cell = kpi_cell_add_error(cell, measure->id, sign);
		else
			cell = kpi_cell_add_measure(cell, layout, m, &fact->inputs[measure->first_input],
										&fact->isnull[measure->first_input], sign);
		if (cell != before && before != given)
			pfree(before);
	}
	return cell;
}

void
kpi_capture_fact(const KpiSource *source, KpiProjection *proj, int s,
				 const KpiFact *fact, int sign)
{
	KpiSubxactDeltas *subxact = kpi_capture_subxact_current();
	const KpiLayout *layout = kpi_fact_projection_layout(proj, s);
	KpiDelta	model = fact_key(source, &source->streams[s], fact);
	KpiDelta   *delta = subxact->last;

	if (delta == NULL || !same_key(delta, &model))
	{
		model.hash = hash_bytes((unsigned char *) model.key, model.key_len);
		delta = find_delta(subxact, &model);
	}
	if (delta == NULL)
	{
		KpiCell    *cell = fact->failed ? kpi_cell_empty() : kpi_cell_for_layout(layout);

		delta = insert_delta(subxact, &model, cell);
		pfree(cell);
	}
	subxact->last = delta;

	keep_cell(subxact, delta, change_cell(delta->cell, layout, fact, sign));
	if (fact->error != NULL)
		set_note(subxact, delta, fact->error);

	if (kpi_capture_write_through || subxact->bytes > (Size) kpi_buffer_size * 1024)
	{
		kpi_capture_subxact_write(subxact);
		kpi_capture_subxact_clear(subxact);
	}
}

/* ---- subtransactions ---- */

static void
merge_delta(KpiDelta *delta, void *arg)
{
	KpiSubxactDeltas *subxact = arg;
	KpiDelta   *mine = find_delta(subxact, delta);

	if (mine == NULL)
		mine = insert_delta(subxact, delta, delta->cell);
	else
		keep_cell(subxact, mine, kpi_cell_merge(mine->cell, delta->cell));
	if (delta->error != NULL)
		set_note(subxact, mine, delta->error);
}

/* Moves or merges the deltas of the top level into its parent. */
static void
merge_into_parent(KpiSubxactDeltas *child)
{
	KpiSubxactDeltas *parent = child->parent;
	MemoryContext oldcontext;

	if (parent->ndeltas == 0)
	{
		MemoryContextDelete(parent->context);
		parent->context = child->context;
		parent->first_block = child->first_block;
		parent->block = child->block;
		parent->bytes = child->bytes;
		parent->ndeltas = child->ndeltas;
		memcpy(parent->few, child->few, sizeof(parent->few));
		parent->hash = child->hash;
		parent->last = child->last;
	}
	else
	{
		merging = true;
		oldcontext = MemoryContextSwitchTo(child->context);
		kpi_capture_subxact_foreach(child, merge_delta, parent);
		MemoryContextSwitchTo(oldcontext);
		merging = false;
		MemoryContextDelete(child->context);
	}

	oldcontext = MemoryContextSwitchTo(TopTransactionContext);
	parent->markers = list_concat(parent->markers, child->markers);
	MemoryContextSwitchTo(oldcontext);
	kpi_capture_subxact_top = parent;
	pfree(child);
}

/* The subtransaction at this nesting level becomes part of the one above. */
static void
subtransaction_committed(int nest_level)
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
	if (kpi_capture_subxact_top->parent != NULL && kpi_capture_subxact_top->parent->nest_level == nest_level - 1)
		merge_into_parent(kpi_capture_subxact_top);
	else
		kpi_capture_subxact_top->nest_level = nest_level - 1;
}

static void
subtransaction_aborted(int nest_level)
{
	kpi_capture_merge_failed |= merging;
	merging = false;

	while (kpi_capture_subxact_top != NULL && kpi_capture_subxact_top->nest_level >= nest_level)
	{
		KpiSubxactDeltas *subxact = kpi_capture_subxact_top;

		kpi_capture_subxact_top = subxact->parent;
		MemoryContextDelete(subxact->context);
		pfree(subxact);
	}
	for (KpiSubxactDeltas *subxact = kpi_capture_subxact_top; subxact != NULL; subxact = subxact->parent)
	{
		if (subxact->written_at >= nest_level)
			subxact->written_at = 0;
	}
}

void
kpi_capture_subtransaction_callback(SubXactEvent event, SubTransactionId mySubid,
									SubTransactionId parentSubid, void *arg)
{
	if (kpi_capture_subxact_top == NULL)
		return;

	if (event == SUBXACT_EVENT_COMMIT_SUB)
		subtransaction_committed(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		subtransaction_aborted(GetCurrentTransactionNestLevel());
}

/* The transaction is over: its memory goes with TopTransactionContext. */
void
kpi_capture_buffer_forget(void)
{
	kpi_capture_subxact_top = NULL;
	kpi_capture_merge_failed = false;
	merging = false;
}
