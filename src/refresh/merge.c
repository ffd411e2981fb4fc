/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Changes of day cells into the tables, and what is above them.
 *
 * The source's lock is held.  Changes of day cells are added to their rows, and,
 * as far as the rollups are built, to the rows of rollups above them; then the
 * places above rows that came or went are settled.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "refresh/refresh_internal.h"

static void
note_days(KpiRunStats *stats, KpiCellMap *days)
{
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(days);
	while ((item = kpi_refresh_cellmap_next(days)) != NULL)
	{
		DateADT		day = item->key.day.day;

		CHECK_FOR_INTERRUPTS();
		if (!kpi_calendar_fact_day_in_range(day))
			continue;
		stats->first_day = Min(stats->first_day, day);
		stats->last_day = Max(stats->last_day, day);
	}
}

void
kpi_refresh_merge(KpiRun *run, const KpiMerge *merge)
{
	if (merge->store)
		note_days(&run->stats, merge->store);
	if (merge->fan_out)
		kpi_refresh_fanout(run, merge->fan_out, merge->rollups);
	if (merge->store)
		kpi_refresh_table_apply(run, KPI_DAY_CELL, merge->store, merge->places, merge->all_new);
	kpi_refresh_cellmap_sort(merge->rollups);
	kpi_refresh_table_apply(run, KPI_ROLLUP_CELL, merge->rollups, merge->places,
							merge->all_new && !merge->some_held);
	CommandCounterIncrement();
	if (merge->places && !run->plan.new_periods)
		kpi_refresh_places_settle(merge->places);
}
