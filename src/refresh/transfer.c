/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  Moves cells between scopes when the organisation has changed.
 *
 * Each stored day cell of an owner whose attribution changed is taken from the
 * scopes that it no longer counts for and given to the new ones.  So a transfer
 * costs the cells of the people it touches.  What of these is held on later days on
 * which they move is taken and given as well.  The cells are those of before the
 * run's deltas: these are fanned out by the new attributions.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "utils/snapmgr.h"

static void
move_cells(KpiRun *run, KpiKeyedTable *days, const KpiTransfer *transfer, KpiCellMap *rollups,
		   KpiCellMap *carries, KpiPlaces *places)
{
	int32		owner_id = transfer->from.key.owner_id;

	for (int s = 0; s < run->source->nstreams; s++)
	{
		const KpiStream *stream = &run->source->streams[s];
		int32		owner[] = {stream->id, owner_id};

		if (stream->owner_kind != transfer->from.key.owner_kind)
			continue;
		kpi_keyed_table_scan(days, lengthof(owner), owner, false, 0, 0);
		while (kpi_keyed_table_next(days))
		{
			KpiCellItem item;
			const KpiAttribution *from;
			const KpiAttribution *to;

			CHECK_FOR_INTERRUPTS();
			item.key = kpi_refresh_table_found_key(days);
			item.cell = kpi_refresh_table_found_cell(days);

			/*
			 * The rollups lose those of KPIs that were dropped when they are
			 * written.
			 */
			kpi_refresh_drop_unknown_states(item.cell, stream);
			kpi_refresh_build_drop_rollups(run, s, item.cell, item.key.day.day);
			kpi_refresh_fanout_move(run, &transfer->from, transfer->to, &item, rollups, carries);
			from = kpi_refresh_attribution_span(&transfer->from, item.key.day.day);
			to = kpi_refresh_attribution_span(transfer->to, item.key.day.day);
			if (from->member_id != to->member_id)
			{
				kpi_refresh_change_add_member(run, from->member_id, &item.key.day);
				kpi_refresh_change_add_member(run, to->member_id, &item.key.day);
				kpi_refresh_places_add_member(places, from->member_id, &item.key.day, true);
				kpi_refresh_places_add_member(places, to->member_id, &item.key.day, false);
			}
			pfree(item.cell);
		}
	}
}

void
kpi_refresh_transfer(KpiRun *run, KpiCellMap *rollups, KpiPlaces *places)
{
	List	   *transfers;
	Snapshot	snapshot;
	KpiKeyedTable *days;
	KpiCellMap *carries;
	ListCell   *lc;

	if (!run->plan.people_moved && !run->plan.day_came)
		return;

	transfers = kpi_refresh_attribution_renew(run->attributions);
	/* Not the run's: what it has deleted moves nowhere. */
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	days = kpi_refresh_table_open(KPI_DAY_CELL, snapshot);
	carries = kpi_refresh_cellmap_create(run);
	foreach(lc, transfers)
		move_cells(run, days, lfirst(lc), rollups, carries, places);
	kpi_refresh_fanout_carries(run, carries, rollups);
	kpi_refresh_cellmap_free(carries);
	kpi_keyed_table_close(days);
	UnregisterSnapshot(snapshot);
}
