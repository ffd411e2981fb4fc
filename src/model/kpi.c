/*-------------------------------------------------------------------------
 *
 * kpi.c
 *	  KPIs and the measures below them, kept in this backend's memory.
 *
 * Invariant: formulas have no cycle (define/kpi.c refuses them).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "miscadmin.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

typedef struct KpiCache
{
	int			nkpis;
	KpiEntry   *kpis;			/* ascending id */
} KpiCache;

static int
compare_entries(const void *a, const void *b)
{
	int32		x = ((const KpiEntry *) a)->id;
	int32		y = ((const KpiEntry *) b)->id;

	return (x > y) - (x < y);
}

static KpiEntry *
find_entry(const KpiCache *in, int32 id)
{
	KpiEntry	wanted = {.id = id};

	return bsearch(&wanted, in->kpis, in->nkpis, sizeof(KpiEntry), compare_entries);
}

static Datum
column(Relation rel, HeapTuple tuple, const char *name, bool *isnull)
{
	return heap_getattr(tuple, get_attnum(RelationGetRelid(rel), name),
						RelationGetDescr(rel), isnull);
}

static int32
int_column(Relation rel, HeapTuple tuple, const char *name)
{
	bool		isnull;
	Datum		value = column(rel, tuple, name, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/* Leaves the id of a measure's source in calendar_id, for read_sources(). */
static void
read_kpis(KpiCache *new, Relation rel, Snapshot snapshot)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;
	int			room = 64;

	new->kpis = palloc(room * sizeof(KpiEntry));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiEntry   *kpi;
		Datum		formula;
		bool		isnull;

		if (new->nkpis == room)
		{
			room *= 2;
			new->kpis = repalloc(new->kpis, room * sizeof(KpiEntry));
		}
		kpi = &new->kpis[new->nkpis++];
		memset(kpi, 0, sizeof(KpiEntry));
		kpi->id = int_column(rel, tuple, "id");
		kpi->calendar_id = int_column(rel, tuple, "source_id");
		kpi->additive = DatumGetBool(column(rel, tuple, "is_additive", &isnull));
		formula = column(rel, tuple, "formula", &isnull);
		if (isnull)
			continue;
		kpi->formula = kpi_model_formula_parse(TextDatumGetCString(formula));
		kpi->ninputs = list_length(kpi_model_formula_names(kpi->formula));
		kpi->inputs = palloc0(Max(kpi->ninputs, 1) * sizeof(KpiEntry *));
	}
	systable_endscan(scan);
	qsort(new->kpis, new->nkpis, sizeof(KpiEntry), compare_entries);
}

/* Puts the source's calendar in the place of its id. */
static void
read_sources(KpiCache *new, Relation rel, Snapshot snapshot)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;
	int32	   *calendars = palloc0(Max(new->nkpis, 1) * sizeof(int32));

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		for (int i = 0; i < new->nkpis; i++)
			if (new->kpis[i].calendar_id == int_column(rel, tuple, "id"))
				calendars[i] = int_column(rel, tuple, "calendar_id");
	}
	systable_endscan(scan);
	for (int i = 0; i < new->nkpis; i++)
		new->kpis[i].calendar_id = calendars[i];
}

static void
read_inputs(KpiCache *new, Relation rel, Snapshot snapshot)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KpiEntry   *kpi = find_entry(new, int_column(rel, tuple, "kpi_id"));
		bool		isnull;
		char	   *name = TextDatumGetCString(column(rel, tuple, "name", &isnull));
		ListCell   *lc;

		/* Foreign keys do not hold where session_replication_role is replica. */
		if (kpi == NULL || kpi->formula == NULL)
			continue;
		foreach(lc, kpi_model_formula_names(kpi->formula))
		{
			if (strcmp(lfirst(lc), name) == 0)
				kpi->inputs[foreach_current_index(lc)] =
					find_entry(new, int_column(rel, tuple, "input_kpi_id"));
		}
	}
	systable_endscan(scan);
}

static List *
collect_leaves(const KpiEntry *kpi, List *leaves)
{
	check_stack_depth();
	if (kpi->formula == NULL)
		return list_append_unique_int(leaves, kpi->id);
	for (int i = 0; i < kpi->ninputs; i++)
		if (kpi->inputs[i])
			leaves = collect_leaves(kpi->inputs[i], leaves);
	return leaves;
}

static void
set_leaves(KpiCache *new)
{
	for (int i = 0; i < new->nkpis; i++)
	{
		KpiEntry   *kpi = &new->kpis[i];
		List	   *leaves = collect_leaves(kpi, NIL);
		ListCell   *lc;

		list_sort(leaves, list_int_cmp);
		kpi->leaves = palloc(Max(list_length(leaves), 1) * sizeof(int32));
		foreach(lc, leaves)
			kpi->leaves[kpi->nleaves++] = lfirst_int(lc);
		if (kpi->formula && kpi->nleaves > 0)
			kpi->calendar_id = find_entry(new, kpi->leaves[0])->calendar_id;
		if (kpi->calendar_id == 0)
			kpi->calendar_id = KPI_DEFAULT_CALENDAR;
	}
}

static void *
read_cache(Relation *rels, Snapshot snapshot)
{
	KpiCache   *new = palloc0(sizeof(KpiCache));

	read_kpis(new, rels[0], snapshot);
	read_sources(new, rels[1], snapshot);
	read_inputs(new, rels[2], snapshot);
	set_leaves(new);
	return new;
}

static KpiDefinitionCache cache = {
	.name = "KPIs",
	.tables = {{"kpi", "kpi"}, {"kpi", "source"}, {"kpi_internal", "formula_input"}},
	.read = read_cache
};

const KpiEntry *
kpi_model_kpi_find(int32 id)
{
	return find_entry(kpi_definition_cache_get(&cache), id);
}
