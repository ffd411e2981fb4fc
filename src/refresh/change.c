/*-------------------------------------------------------------------------
 *
 * change.c
 *	  What a run has changed, for whatever follows from cells.
 *
 * Those who look for what follows are told the cells: of teams and members, and
 * days of members, which are read from the base cells.  A sum of nothing is no
 * change: a fact that moves from one day to another changes both days and not
 * the month.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell.h"
#include "fact/fact.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/memutils.h"

/* So many changes are no fewer than all that there are. */
#define MOST_CELLS 200000

static void
add(KpiRun *run, const KpiRollupKey *key)
{
	KpiChanges *changes = &run->stats.changes;
	KpiChangedCell *cell;

	if (changes->all)
		return;
	if (changes->ncells == MOST_CELLS)
	{
		changes->all = true;
		return;
	}
	if (changes->ncells == changes->max_cells)
	{
		changes->max_cells = Max(changes->max_cells * 2, 1024);
		changes->cells = changes->cells == NULL ?
			MemoryContextAlloc(run->mcxt, changes->max_cells * sizeof(KpiChangedCell)) :
			repalloc(changes->cells, changes->max_cells * sizeof(KpiChangedCell));
	}
	cell = &changes->cells[changes->ncells++];
	cell->stream_id = key->stream_id;
	cell->scope_kind = key->scope_kind;
	cell->scope_id = key->scope_id;
	cell->grain = key->grain;
	cell->dim_id = key->dim_value_id;
	cell->start = key->start;
}

void
kpi_refresh_change_add_member(KpiRun *run, int32 member_id, const KpiDayKey *key)
{
	KpiRollupKey day = {key->stream_id, KPI_SCOPE_MEMBER, member_id, KPI_DAY, 0, key->day};

	if (member_id != 0 && key->day != KPI_ERROR_DAY)
		add(run, &day);
}

void
kpi_refresh_change_add_days(KpiRun *run, KpiCellMap *days)
{
	KpiDayKey	last = {0};
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(days);
	while (!run->stats.changes.all && (item = kpi_refresh_cellmap_next(days)) != NULL)
	{
		const KpiDayKey *key = &item->key.day;
		KpiOwnerKind kind = kpi_model_stream_find(run->source, key->stream_id)->owner_kind;

		CHECK_FOR_INTERRUPTS();
		if (!kpi_model_owner_is_member(kind) || key->day == KPI_ERROR_DAY ||
			memcmp(&last, key, offsetof(KpiDayKey, dim_combination_id)) == 0)
			continue;
		kpi_refresh_change_add_member(run, kpi_refresh_attribution_at(run->attributions, kind, key->owner_id,
																	  key->day)->member_id, key);
		last = *key;
	}
}

void
kpi_refresh_change_add_rollups(KpiRun *run, KpiCellMap *rollups)
{
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(rollups);
	while (!run->stats.changes.all && (item = kpi_refresh_cellmap_next(rollups)) != NULL)
		add(run, &item->key.rollup);
}
