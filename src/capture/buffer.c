/*-------------------------------------------------------------------------
 *
 * buffer.c
 *	  Facts of the running transaction, summed in memory.
 *
 * A fact costs a look-up and an addition, and no statement: it changes the delta
 * of its cell in the level of the current subtransaction (subxact.c).  When a
 * level grows beyond kpi.buffer_size it is spilled: its deltas are written to the
 * queue, by the subtransaction that made them, so they live and die with it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture_internal.h"
#include "cell/cell.h"
#include "common/hashfn.h"
#include "fact/fact.h"
#include "model/model.h"
#include "utils/memutils.h"

bool		kpi_capture_write_through = false;

/* The key of the fact at hand, built here before anything is allocated. */
static KpiDeltaKey *key_buffer = NULL;
static Size key_buffer_size = 0;

/* At most KPI_MAX_KEY bytes: keys are bounded, and what is not text is short. */
static inline char *
append_value(char *to, const char *value)
{
	Size		len;

	if (value == NULL)
	{
		*to = '\0';
		return to + 1;
	}
	len = strlen(value) + 1;
	Assert(len <= KPI_MAX_KEY + 1);
	*to = '\1';
	memcpy(to + 1, value, len);
	return to + 1 + len;
}

static void
make_room(int nvalues)
{
	Size		size = offsetof(KpiDeltaKey, values) + nvalues * (KPI_MAX_KEY + 2);

	if (size <= key_buffer_size)
		return;
	key_buffer = key_buffer ? repalloc(key_buffer, size) : MemoryContextAlloc(TopMemoryContext, size);
	key_buffer_size = size;
}

/* The key of a fact, in key_buffer, as a delta without a cell. */
static KpiDelta
fact_key(const KpiSource *source, const KpiStream *stream, Oid leaf, const KpiFact *fact)
{
	KpiDelta	model = {0};
	int			ndims = fact->failed ? 0 : kpi_model_stream_ndims(source, stream);
	char	   *to;

	make_room(1 + ndims);
	key_buffer->source_id = source->id;
	key_buffer->stream_id = stream->id;
	key_buffer->version = stream->version;
	key_buffer->day = fact->failed ? KPI_ERROR_DAY : fact->day;
	key_buffer->leaf = leaf;
	key_buffer->ndims = ndims;
	to = append_value(key_buffer->values, fact->failed ? NULL : fact->owner);
	for (int d = 0; d < ndims; d++)
		to = append_value(to, fact->dims[d]);

	model.key = key_buffer;
	model.key_len = to - (char *) key_buffer;
	return model;
}

/* The delta of the fact's cell in the level, made if need be. */
static KpiDelta *
fact_delta(KpiSubxactDeltas *subxact, const KpiSource *source, KpiProjection *proj, int s, Oid leaf,
		   const KpiFact *fact)
{
	KpiDelta	model = fact_key(source, &source->streams[s], leaf, fact);
	KpiDelta   *delta = subxact->last;

	if (delta != NULL && kpi_capture_same_key(delta, &model))
		return delta;
	model.hash = hash_bytes((unsigned char *) model.key, model.key_len);
	delta = kpi_capture_subxact_find(subxact, &model);
	if (delta == NULL)
		delta = kpi_capture_subxact_insert(subxact, &model,
										   fact->failed ? kpi_cell_empty() :
										   kpi_fact_projection_fresh_cell(proj, s));
	subxact->last = delta;
	return delta;
}

static void
spill(KpiSubxactDeltas *subxact)
{
	kpi_capture_flush_subxact(subxact);
	kpi_capture_subxact_clear(subxact);
}

void
kpi_capture_spill(KpiSubxactDeltas *subxact)
{
	if (kpi_capture_write_through || subxact->bytes > (Size) kpi_buffer_size * 1024)
		spill(subxact);
}

void
kpi_capture_fact(const KpiSource *source, KpiProjection *proj, int s, Oid leaf,
				 const KpiFact *fact, int sign)
{
	const KpiLayout *layout = kpi_fact_projection_layout(proj, s);
	KpiSubxactDeltas *subxact;
	KpiDelta   *delta;

	kpi_capture_note(source->id);
	if (kpi_fact_changes_nothing(layout, fact))
		return;

	subxact = kpi_capture_subxact_current();
	delta = fact_delta(subxact, source, proj, s, leaf, fact);
	kpi_capture_subxact_set_cell(subxact, delta, kpi_fact_change_cell(delta->cell, layout, fact, sign));
	if (fact->error != NULL)
		kpi_capture_subxact_set_error(subxact, delta, fact->error);

	kpi_capture_spill(subxact);
}

void
kpi_capture_loaded(int32 source_id, TimestampTz at)
{
	KpiSubxactDeltas *subxact = kpi_capture_subxact_current();

	kpi_capture_subxact_loaded(subxact, source_id, at);
	if (kpi_capture_write_through)
		spill(subxact);
}
