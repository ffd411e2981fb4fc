/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  The day cells of a stream as its facts say.
 *
 * ACCESS SHARE is held on the table and its leaves, and the run's snapshot is
 * active.  First the facts query is run as one grouped statement
 * (fact/cells.c), which the planner can spread over parallel workers, or do by
 * an index where only some days are wanted.  If an
 * expression raises an error for some fact, that attempt is rolled back and the
 * rows are read one by one through the same projection that capture uses, which
 * ignores and counts just those facts.  If it then meets no row on which an
 * expression fails, the statement failed for another reason, which may be that
 * the rows are not where they are read one by one: its error ends the run.  Both
 * run as the source's definer.
 *
 * A fact that is ignored as a whole has no day, and one whose day is none that
 * facts may have is counted like it.  Both are part of the days from the first
 * there is.  So who reads some days by an index, and would miss them, is told that
 * there are any, and reads the rest in one scan.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/tableam.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "optimizer/cost.h"
#include "refresh/refresh_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

typedef struct FactScan
{
	DestReceiver receiver;		/* must be first */
	KpiRun	   *run;
	int			s;
	const KpiStream *stream;
	const KpiFactPart *part;
	KpiCellMap *cells;			/* appended to by the grouped statement */
	KpiDict    *dict;
	bool		counts_only;	/* the facts of the measures, into ncounted */
	int64		ncounted;
	bool		counts_errors;	/* facts that are ignored as a whole */
	int64		nfacts;
	int64		nleft_out;		/* of them, of days that facts cannot have */
	KpiFactEstimate *estimate;	/* where it goes, where one is wanted */
	MemoryContext row_cxt;
	bool		unexplained;	/* the grouped statement failed, and no row
								 * yet shows why */
} FactScan;

/* Columns of kpi_fact_cells_run(). */
enum
{
	CELLS_OWNER,
	CELLS_DAY,
	CELLS_DIMS,
	CELLS_CELL,
	CELLS_FACTS
};

/* The array with every element bounded as capture bounds it. */
static Datum
bounded_dim_combination(Datum dim_combination)
{
	ArrayType  *array = DatumGetArrayTypeP(dim_combination);
	Datum	   *elems;
	bool	   *nulls;
	int			n;
	int			lbound = 1;

	/* Short as a whole: no element can be long. */
	if (VARSIZE(array) <= KPI_MAX_KEY)
		return PointerGetDatum(array);

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			elems[i] = CStringGetTextDatum(kpi_fact_key_bounded(TextDatumGetCString(elems[i])));
	}
	return PointerGetDatum(construct_md_array(elems, nulls, 1, &n, &lbound, TEXTOID,
											  -1, false, TYPALIGN_INT));
}

static int
owner_number(FactScan *scan, Datum owner)
{
	text	   *key = DatumGetTextPP(owner);

	if (VARSIZE_ANY_EXHDR(key) > KPI_MAX_KEY)
	{
		char	   *bounded = kpi_fact_key_bounded(text_to_cstring(key));

		return kpi_refresh_dict_owner(scan->dict, bounded, strlen(bounded));
	}
	return kpi_refresh_dict_owner(scan->dict, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
}

static int
dim_combination_number(FactScan *scan, Datum dim_combination)
{
	return kpi_refresh_dict_dim_combination(scan->dict, dim_combination, false);
}

/* Facts of days that facts cannot have, left out as capture leaves them out. */
static void
add_left_out(FactScan *scan)
{
	KpiCellKey	key = {.columns = {0}};

	if (scan->nleft_out == 0)
		return;
	key.day.stream_id = scan->stream->id;
	key.day.day = KPI_ERROR_DAY;
	kpi_refresh_cellmap_append(scan->cells, &key, kpi_cell_add_error(kpi_cell_empty(), 0, scan->nleft_out));
	kpi_refresh_note_fact_error(scan->run, KPI_DAY_ERROR);
}

static bool
is_wanted(const FactScan *scan, DateADT day)
{
	return day >= scan->part->since && day < scan->part->until;
}

static void
note_first_day(FactScan *scan, DateADT day)
{
	if (kpi_calendar_fact_day_in_range(day))
		scan->run->build.first_day = Min(scan->run->build.first_day, day);
}

/* Groups come once each, but for those without a day. */
static void
add_group(FactScan *scan, TupleTableSlot *slot, DateADT day)
{
	KpiCellKey	key = {.columns = {0}};
	KpiCell    *cell;

	if (scan->counts_only)
	{
		scan->ncounted += kpi_refresh_facts_of(scan->stream, scan->part->measures,
											   DatumGetKpiCellP(slot->tts_values[CELLS_CELL]));
		return;
	}
	key.day.stream_id = scan->stream->id;
	if (!slot->tts_isnull[CELLS_OWNER])
		key.day.owner_id = owner_number(scan, slot->tts_values[CELLS_OWNER]);
	key.day.day = day;
	if (!slot->tts_isnull[CELLS_DIMS])
	{
		Datum		dim_combination = bounded_dim_combination(slot->tts_values[CELLS_DIMS]);

		key.day.dim_combination_id = dim_combination_number(scan, dim_combination);
	}
	cell = DatumGetKpiCellP(slot->tts_values[CELLS_CELL]);
	if (!kpi_cell_is_empty(cell))
		kpi_refresh_cellmap_append(scan->cells, &key, cell);
	note_first_day(scan, day);
}

static bool
receive_cell(TupleTableSlot *slot, DestReceiver *self)
{
	FactScan   *scan = (FactScan *) self;
	MemoryContext old = MemoryContextSwitchTo(scan->row_cxt);
	DateADT		day;
	int64		facts;

	slot_getallattrs(slot);
	day = slot->tts_isnull[CELLS_DAY] ? KPI_NO_DAY : DatumGetDateADT(slot->tts_values[CELLS_DAY]);
	if (scan->stream->is_left_out && !kpi_calendar_fact_day_in_range(day))
		day = KPI_NO_DAY;
	facts = DatumGetInt64(slot->tts_values[CELLS_FACTS]);
	if (!scan->stream->is_left_out && !kpi_calendar_fact_day_in_range(day))
		scan->nleft_out += facts;
	else if (is_wanted(scan, day))
	{
		scan->nfacts += facts;
		add_group(scan, slot, day);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->row_cxt);
	return true;
}

static void
receiver_noop(DestReceiver *self)
{
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
scan_begin(FactScan *scan)
{
	scan->cells = kpi_refresh_cellmap_create(scan->run);
	scan->dict = kpi_refresh_dict_create(scan->run->mcxt);
	kpi_refresh_cellmap_use_dict(scan->cells, scan->dict, scan->run->source);
	scan->nfacts = 0;
	scan->ncounted = 0;
	scan->nleft_out = 0;
}

static void
scan_drop(FactScan *scan)
{
	kpi_refresh_cellmap_free(scan->cells);
}

void
kpi_refresh_scan_as_definer(const KpiRun *run, KpiUser *user)
{
	char		mem[32];

	kpi_user_switch(user, kpi_model_source_definer(run->source));
	/* Of all the processes that the planner may spread it over. */
	snprintf(mem, sizeof(mem), "%dkB", Max(maintenance_work_mem / 2 / (1 + max_parallel_workers_per_gather), 64));
	(void) set_config_option("work_mem", mem, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("hash_mem_multiplier", "1", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);

	/*
	 * A role that lost its exemption meanwhile must fail, not count some
	 * rows.
	 */
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	kpi_settings_pin(KPI_SETTINGS_ALL);
}

static void
scan_grouped(void *arg)
{
	FactScan   *scan = arg;
	KpiUser		user;

	kpi_refresh_scan_as_definer(scan->run, &user);
	kpi_fact_cells_run(scan->run->source, scan->stream, scan->part, scan->run->table.relid,
					   scan->run->table.leaves, &scan->receiver);
	kpi_user_restore(&user);
}

static void
estimate(void *arg)
{
	FactScan   *scan = arg;
	KpiUser		user;

	kpi_refresh_scan_as_definer(scan->run, &user);
	kpi_fact_cells_estimate(scan->run->source, scan->stream, scan->part, scan->run->table.relid,
							scan->run->table.leaves, scan->estimate);
	kpi_user_restore(&user);
}

bool
kpi_refresh_scan_estimate(KpiRun *run, int s, const KpiFactPart *part, KpiFactEstimate *to)
{
	FactScan	scan = {.run = run,.s = s,.stream = &run->source->streams[s],.part = part,.estimate = to};

	return kpi_try(KPI_ERROR_TRAPPED, estimate, &scan) == NULL;
}

static Datum
dim_combination_array(char **dims, int n)
{
	Datum	   *elems = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc(n * sizeof(bool));
	int			lbound = 1;

	for (int i = 0; i < n; i++)
	{
		nulls[i] = dims[i] == NULL;
		elems[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(dims[i]);
	}
	return PointerGetDatum(construct_md_array(elems, nulls, 1, &n, &lbound, TEXTOID,
											  -1, false, TYPALIGN_INT));
}

/* A fact as a cell of its own, with the states that are wanted. */
static KpiCell *
fact_cell(FactScan *scan, const KpiLayout *layout, const KpiFact *fact)
{
	KpiCell    *cell = kpi_fact_change_cell(NULL, layout, fact, 1);

	kpi_refresh_keep_measures(cell, scan->stream, scan->part->measures);
	return cell;
}

/* One fact, or what is left of it. */
static void
add_fact(FactScan *scan, const KpiLayout *layout, const KpiFact *fact)
{
	int			ndims = kpi_model_stream_ndims(scan->run->source, scan->stream);
	KpiCellKey	key = {.columns = {0}};

	key.day.stream_id = scan->stream->id;
	if ((fact->failed && !fact->out_of_range) || fact->failed_measures != NULL)
		scan->unexplained = false;
	if (!fact->failed && !is_wanted(scan, fact->day))
		return;
	if (scan->counts_only)
	{
		if (!fact->failed)
			scan->ncounted += kpi_refresh_facts_of(scan->stream, scan->part->measures,
												   fact_cell(scan, layout, fact));
		return;
	}
	if (fact->error)
		kpi_refresh_note_fact_error(scan->run, fact->error);
	scan->nfacts++;
	if (fact->failed)
	{
		key.day.day = KPI_ERROR_DAY;
		if (scan->counts_errors)
			kpi_refresh_cellmap_add(scan->cells, &key, fact_cell(scan, layout, fact));
		return;
	}

	scan->run->at = (KpiFactsAt)
	{
		true, fact->day, fact->owner, fact->owner ? strlen(fact->owner) : 0
	};
	if (fact->owner)
		key.day.owner_id = kpi_refresh_dict_owner(scan->dict, fact->owner, strlen(fact->owner));
	key.day.day = fact->day;
	if (ndims > 0)
		key.day.dim_combination_id = dim_combination_number(scan, dim_combination_array(fact->dims, ndims));
	kpi_refresh_cellmap_add(scan->cells, &key, fact_cell(scan, layout, fact));
	note_first_day(scan, fact->day);
	scan->run->at.is_known = false;
}

static void
scan_leaf(FactScan *scan, Oid leaf)
{
	Relation	rel = table_open(leaf, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	KpiProjection *proj = kpi_fact_projection_create(scan->run->source, leaf, scan->run->mcxt, NULL);
	const KpiLayout *layout = kpi_fact_projection_layout(proj, scan->s);
	TableScanDesc table_scan = table_beginscan(rel, scan->run->snapshot, 0, NULL);

	while (table_scan_getnextslot(table_scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(scan->row_cxt);
		KpiFact		fact;

		CHECK_FOR_INTERRUPTS();
		kpi_fact_project(proj, scan->s, slot, &fact);
		if (fact.is_event || fact.failed)
			add_fact(scan, layout, &fact);

		/*
		 * Of what is left out, each row is counted, whatever its time fails
		 * on.
		 */
		if (scan->unexplained && (scan->stream->is_left_out || !(fact.is_event || fact.failed)))
			scan->unexplained = !kpi_fact_project_hides_error(proj, scan->s, slot);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scan->row_cxt);
	}
	table_endscan(table_scan);
	kpi_fact_projection_free(proj);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/*
 * The planner reads whatever partitions there are.  One that has come since the
 * others were locked and looked at is left to the next refresh.
 */
static bool
may_group(const KpiRunTable *table)
{
	return list_difference_oid(kpi_model_leaf_relids(table->relid), table->leaves) == NIL;
}

static void
scan_one_by_one(FactScan *scan, ErrorData *error)
{
	ListCell   *lc;

	scan->unexplained = error != NULL;
	foreach(lc, scan->run->table.leaves)
		scan_leaf(scan, lfirst_oid(lc));
	if (scan->unexplained)
		ReThrowError(error);
}

/*
 * Whether the grouped statement did it.  What it has put together when it fails
 * is dropped.
 */
static bool
try_grouped(FactScan *scan, ErrorData **error)
{
	*error = NULL;
	if (!may_group(&scan->run->table))
		return false;
	*error = kpi_try(KPI_ERROR_TRAPPED, scan_grouped, scan);
	if (*error == NULL)
		return true;
	scan_drop(scan);
	scan_begin(scan);
	return false;
}

#define CELL_RECEIVER { \
	.receiveSlot = receive_cell, \
	.rStartup = receiver_startup, \
	.rShutdown = receiver_noop, \
	.rDestroy = receiver_noop, \
	.mydest = DestNone \
}

int64
kpi_refresh_scan_count(KpiRun *run, int s, const Bitmapset *measures, const KpiDays *days)
{
	KpiFactPart part = {
		.measures = unconstify(Bitmapset *, measures),
		.since = days->since,
		.until = days->until
	};
	FactScan	scan = {
		.receiver = CELL_RECEIVER,
		.run = run,
		.s = s,
		.stream = &run->source->streams[s],
		.part = &part,
		.counts_only = true
	};
	ErrorData  *error;

	scan.row_cxt = AllocSetContextCreate(run->mcxt, "pg_kpi fact", ALLOCSET_DEFAULT_SIZES);
	scan_begin(&scan);
	if (!try_grouped(&scan, &error))
		scan_one_by_one(&scan, error);
	MemoryContextDelete(scan.row_cxt);
	scan_drop(&scan);
	return scan.ncounted;
}

static void
add_sealed_cell(FactScan *scan, const KpiSealedCell *sealed, bool is_grouped)
{
	KpiCellKey	key = {.columns = {0}};

	if (sealed->day == KPI_ERROR_DAY && !scan->counts_errors)
		return;
	kpi_refresh_drop_unknown_states(sealed->cell, scan->stream);
	kpi_refresh_keep_measures(sealed->cell, scan->stream, scan->part->measures);
	if (kpi_cell_is_empty(sealed->cell))
		return;
	key.day.stream_id = scan->stream->id;
	key.day.day = sealed->day;
	if (sealed->owner)
		key.day.owner_id = kpi_refresh_dict_owner(scan->dict, sealed->owner, strlen(sealed->owner));
	key.day.dim_combination_id = kpi_refresh_dict_dim_combination(scan->dict, sealed->dims, !sealed->has_dims);
	if (is_grouped)
		kpi_refresh_cellmap_append(scan->cells, &key, sealed->cell);
	else
		kpi_refresh_cellmap_add(scan->cells, &key, sealed->cell);
	note_first_day(scan, sealed->day);
}

/* Facts that are gone with their partitions, as if they were there. */
static void
add_sealed(FactScan *scan, bool is_grouped)
{
	KpiSealedRows rows;
	KpiSealedCell sealed;
	MemoryContext old;

	kpi_refresh_sealed_begin(&rows, scan->stream->id, scan->part->since, scan->part->until);
	old = MemoryContextSwitchTo(scan->row_cxt);
	while (kpi_refresh_sealed_next(&rows, &sealed))
	{
		CHECK_FOR_INTERRUPTS();
		add_sealed_cell(scan, &sealed, is_grouped);
		MemoryContextReset(scan->row_cxt);
	}
	MemoryContextSwitchTo(old);
	kpi_refresh_sealed_end(&rows);
}

KpiCellMap *
kpi_refresh_scan_facts(KpiRun *run, int s, const KpiFactPart *part, bool by_index, int64 *nfacts)
{
	FactScan	scan = {
		.receiver = CELL_RECEIVER,
		.run = run,
		.s = s,
		.stream = &run->source->streams[s],
		.part = part,
		.counts_errors = part->since == KPI_ERROR_DAY &&
		(part->measures == NULL || !kpi_refresh_build_counts_errors(run, s, part->measures))
	};
	bool		is_grouped;
	ErrorData  *error;

	scan.row_cxt = AllocSetContextCreate(run->mcxt, "pg_kpi fact", ALLOCSET_DEFAULT_SIZES);
	scan_begin(&scan);
	is_grouped = try_grouped(&scan, &error);
	if (by_index && (!is_grouped || scan.nleft_out > 0))
	{
		scan_drop(&scan);
		MemoryContextDelete(scan.row_cxt);
		return NULL;
	}
	if (!is_grouped)
		scan_one_by_one(&scan, error);
	else if (scan.counts_errors)
		add_left_out(&scan);
	add_sealed(&scan, is_grouped);
	MemoryContextDelete(scan.row_cxt);
	kpi_refresh_cellmap_sort(scan.cells);
	*nfacts = scan.nfacts;
	return scan.cells;
}

/* What is built of some changes of day cells. */
static KpiCellMap *
built_part(KpiRun *run, int s, KpiCellMap *cells)
{
	KpiCellMap *built = kpi_refresh_cellmap_create(run);
	const KpiCellItem *item;

	while ((item = kpi_refresh_cellmap_next(cells)) != NULL)
	{
		KpiCell    *cell = kpi_cell_pack(item->cell);

		if (kpi_refresh_build_takes(run, s, cell, item->key.day.day))
			kpi_refresh_cellmap_append(built, &item->key, cell);
		pfree(cell);
	}
	kpi_refresh_cellmap_sort(built);
	kpi_refresh_cellmap_free(cells);
	return built;
}

KpiCellMap *
kpi_refresh_scan_new_leaves(KpiRun *run, int s)
{
	KpiFactPart part = {.since = DATEVAL_NOBEGIN,.until = DATEVAL_NOEND};
	FactScan	scan = {.run = run,.s = s,.stream = &run->source->streams[s],.part = &part,.counts_errors = true};
	ListCell   *lc;

	scan.row_cxt = AllocSetContextCreate(run->mcxt, "pg_kpi fact", ALLOCSET_DEFAULT_SIZES);
	scan_begin(&scan);
	foreach(lc, run->table.new_leaves)
		scan_leaf(&scan, lfirst_oid(lc));
	MemoryContextDelete(scan.row_cxt);
	kpi_refresh_cellmap_sort(scan.cells);
	return built_part(run, s, scan.cells);
}
