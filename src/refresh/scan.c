/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  The day cells of a stream as its facts say.
 *
 * ACCESS SHARE is held on the table and its leaves, and the run's snapshot is
 * active.  First the facts query is run as one grouped statement
 * (fact/cells.c), which the planner can spread over parallel workers.  If an
 * expression raises an error for some fact, that attempt is rolled back and the
 * rows are read one by one through the same projection that capture uses, which
 * ignores and counts just those facts.  If it then meets no row on which an
 * expression fails, the statement failed for another reason, which may be that
 * the rows are not where they are read one by one: its error ends the run.  Both
 * run as the source's definer.
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
#include "refresh/refresh_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

typedef struct FactScan
{
	DestReceiver receiver;		/* must be first */
	KpiRun	   *run;
	const KpiStream *stream;
	KpiCellList *list;			/* the grouped statement's rows */
	int			max_items;
	KpiCellMap *cells;			/* of facts read one by one */
	KpiDict    *dict;
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

static void
append_item(FactScan *scan, const KpiCellKey *key, KpiCell *cell)
{
	KpiCellList *list = scan->list;

	if (list->nitems == scan->max_items)
	{
		scan->max_items *= 2;
		list->items = repalloc_huge(list->items, scan->max_items * sizeof(KpiCellItem));
	}
	list->items[list->nitems].key = *key;
	list->items[list->nitems++].cell = cell;
}

static void
add_group(FactScan *scan, TupleTableSlot *slot)
{
	KpiCellKey	key = {.columns = {0}};
	KpiCell    *cell;

	key.day.stream_id = scan->stream->id;
	if (!slot->tts_isnull[CELLS_OWNER])
		key.day.owner_id = owner_number(scan, slot->tts_values[CELLS_OWNER]);
	key.day.day = DatumGetDateADT(slot->tts_values[CELLS_DAY]);
	if (!slot->tts_isnull[CELLS_DIMS])
	{
		Datum		dim_combination = bounded_dim_combination(slot->tts_values[CELLS_DIMS]);

		key.day.dim_combination_id = dim_combination_number(scan, dim_combination);
	}

	/* Groups come once each: no need to look for equal keys. */
	MemoryContextSwitchTo(scan->run->mcxt);
	cell = DatumGetKpiCellPCopy(slot->tts_values[CELLS_CELL]);
	if (!kpi_cell_is_empty(cell))
		append_item(scan, &key, cell);
}

/* Facts of a day that facts cannot have, left out as capture leaves them out. */
static void
add_left_out(FactScan *scan, int64 facts)
{
	KpiCellKey	key = {.columns = {0}};

	key.day.stream_id = scan->stream->id;
	key.day.day = KPI_ERROR_DAY;
	MemoryContextSwitchTo(scan->run->mcxt);
	append_item(scan, &key, kpi_cell_add_error(kpi_cell_empty(), 0, facts));
	scan->run->stats.fact_error = KPI_DAY_ERROR;
}

static bool
receive_cell(TupleTableSlot *slot, DestReceiver *self)
{
	FactScan   *scan = (FactScan *) self;
	MemoryContext old = MemoryContextSwitchTo(scan->row_cxt);

	slot_getallattrs(slot);
	if (kpi_calendar_fact_day_in_range(DatumGetDateADT(slot->tts_values[CELLS_DAY])))
		add_group(scan, slot);
	else
		add_left_out(scan, DatumGetInt64(slot->tts_values[CELLS_FACTS]));
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
scan_reset(FactScan *scan)
{
	scan->max_items = 1024;
	scan->list = palloc0(sizeof(KpiCellList));
	scan->list->items = palloc(scan->max_items * sizeof(KpiCellItem));
	scan->cells = kpi_refresh_cellmap_create(scan->run->mcxt);
	scan->dict = kpi_refresh_dict_create(scan->run->mcxt);
}

/* The grouped statement, as the definer, with memory for the whole hash. */
static void
scan_grouped(void *arg)
{
	FactScan   *scan = arg;
	KpiUser		user;
	char		mem[32];

	kpi_user_switch(&user, kpi_model_source_definer(scan->run->source));
	snprintf(mem, sizeof(mem), "%dkB", Max(work_mem, maintenance_work_mem));
	(void) set_config_option("work_mem", mem, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);

	/*
	 * A role that lost its exemption meanwhile must fail, not count some
	 * rows.
	 */
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	kpi_fact_cells_run(scan->run->source, scan->stream, scan->run->table.relid, scan->run->table.leaves,
					   &scan->receiver);
	kpi_user_restore(&user);
}

static Datum
dim_combination_array(const KpiSource *source, char **dims)
{
	Datum	   *elems = palloc(source->ndims * sizeof(Datum));
	bool	   *nulls = palloc(source->ndims * sizeof(bool));
	int			n = source->ndims;
	int			lbound = 1;

	for (int i = 0; i < n; i++)
	{
		nulls[i] = dims[i] == NULL;
		elems[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(dims[i]);
	}
	return PointerGetDatum(construct_md_array(elems, nulls, 1, &n, &lbound, TEXTOID,
											  -1, false, TYPALIGN_INT));
}

/* One fact, or what is left of it, as a cell of its own. */
static void
add_fact(FactScan *scan, const KpiLayout *layout, const KpiFact *fact)
{
	KpiCellKey	key = {.columns = {0}};

	key.day.stream_id = scan->stream->id;
	if ((fact->failed && !fact->out_of_range) || fact->failed_measures != NULL)
		scan->unexplained = false;
	if (fact->error)
		scan->run->stats.fact_error = MemoryContextStrdup(scan->run->mcxt, fact->error);
	if (fact->failed)
	{
		key.day.day = KPI_ERROR_DAY;
		kpi_refresh_cellmap_add(scan->cells, &key, kpi_fact_change_cell(NULL, layout, fact, 1));
		return;
	}

	scan->run->at = (KpiFactsAt)
	{
		true, fact->day, fact->owner, fact->owner ? strlen(fact->owner) : 0
	};
	if (fact->owner)
		key.day.owner_id = kpi_refresh_dict_owner(scan->dict, fact->owner, strlen(fact->owner));
	key.day.day = fact->day;
	if (scan->run->source->ndims > 0)
		key.day.dim_combination_id =
			dim_combination_number(scan, dim_combination_array(scan->run->source, fact->dims));
	kpi_refresh_cellmap_add(scan->cells, &key, kpi_fact_change_cell(NULL, layout, fact, 1));
	scan->run->at.is_known = false;
}

static void
scan_leaf(FactScan *scan, Oid leaf, int s)
{
	Relation	rel = table_open(leaf, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	KpiProjection *proj = kpi_fact_projection_create(scan->run->source, leaf, scan->run->mcxt, NULL);
	const KpiLayout *layout = kpi_fact_projection_layout(proj, s);
	TableScanDesc table_scan = table_beginscan(rel, scan->run->snapshot, 0, NULL);

	while (table_scan_getnextslot(table_scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(scan->row_cxt);
		KpiFact		fact;

		CHECK_FOR_INTERRUPTS();
		kpi_fact_project(proj, s, KPI_ALL_COLUMNS, slot, &fact);
		if (fact.is_event || fact.failed)
			add_fact(scan, layout, &fact);
		else if (scan->unexplained)
			scan->unexplained = !kpi_fact_project_hides_error(proj, s, slot);
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

KpiCellList *
kpi_refresh_scan_facts(KpiRun *run, int s)
{
	FactScan	scan = {
		.receiver = {
			.receiveSlot = receive_cell,
			.rStartup = receiver_startup,
			.rShutdown = receiver_noop,
			.rDestroy = receiver_noop,
			.mydest = DestNone
		},
		.run = run,
		.stream = &run->source->streams[s]
	};
	bool		grouped = may_group(&run->table);
	ErrorData  *error = NULL;

	scan.row_cxt = AllocSetContextCreate(run->mcxt, "pg_kpi fact", ALLOCSET_DEFAULT_SIZES);
	scan_reset(&scan);
	if (grouped)
		error = kpi_try(KPI_ERROR_TRAPPED, scan_grouped, &scan);
	if (!grouped || error != NULL)
	{
		ListCell   *lc;

		scan_reset(&scan);
		scan.unexplained = error != NULL;
		foreach(lc, run->table.leaves)
			scan_leaf(&scan, lfirst_oid(lc), s);
		if (scan.unexplained)
			ReThrowError(error);
		scan.list = kpi_refresh_cellmap_items(scan.cells);
	}
	kpi_refresh_dict_resolve(scan.dict, run->source, scan.list);
	MemoryContextDelete(scan.row_cxt);
	return scan.list;
}
