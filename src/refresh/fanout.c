/*-------------------------------------------------------------------------
 *
 * fanout.c
 *	  From day cells to the rollups of members and teams.
 *
 * A day cell counts for its owner's month (if a member), and for the day, the
 * month and, per dimension value, the month of the team and of each of its
 * ancestors.  Done in two steps, because many cells share a path of teams:
 * first everything is summed per path, days before months, then each path's few
 * sums go to its teams.  Works in memory only.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "calendar/calendar.h"
#include "cell/cell.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"

static KpiCellKey
path_key(int32 stream, int32 path, KpiGrain grain, int32 dim_value, DateADT start)
{
	KpiCellKey	key = {.path = {stream, path, grain, dim_value, start}};

	return key;
}

static KpiCellKey
rollup_key(int32 stream, KpiScopeKind kind, int32 scope, KpiGrain grain, int32 dim_value, DateADT start)
{
	KpiCellKey	key = {.rollup = {stream, kind, scope, grain, dim_value, start}};

	return key;
}

static void
add(KpiCellMap *map, KpiCellKey key, const KpiCell *cell, bool subtract)
{
	if (subtract)
		kpi_refresh_cellmap_subtract(map, &key, cell);
	else
		kpi_refresh_cellmap_add(map, &key, cell);
}

static DateADT
month_of(DateADT day)
{
	return kpi_calendar_period_start(KPI_MONTH, day, kpi_calendar_get(KPI_DEFAULT_CALENDAR));
}

void
kpi_refresh_fanout_span(KpiRun *run, const KpiAttribution *span, const KpiCellItem *item,
						bool subtract, KpiCellMap *rollups)
{
	int32		stream = item->key.day.stream_id;
	DateADT		day = item->key.day.day;
	int32		dim_combination = item->key.day.dim_combination_id;
	DateADT		month;
	const int32 *teams;
	int			nteams;

	if (day == KPI_ERROR_DAY)
		return;
	month = month_of(day);
	if (span->member_id != 0)
		add(rollups, rollup_key(stream, KPI_SCOPE_MEMBER, span->member_id, KPI_MONTH, 0, month),
			item->cell, subtract);
	nteams = kpi_refresh_path_teams(run->attributions, span->path, &teams);
	for (int t = 0; t < nteams; t++)
	{
		add(rollups, rollup_key(stream, KPI_SCOPE_TEAM, teams[t], KPI_DAY, 0, day), item->cell, subtract);
		add(rollups, rollup_key(stream, KPI_SCOPE_TEAM, teams[t], KPI_MONTH, 0, month), item->cell, subtract);
		for (int k = 1; dim_combination != 0 && k <= run->source->ndims; k++)
			add(rollups, rollup_key(stream, KPI_SCOPE_TEAM, teams[t], KPI_MONTH,
									kpi_refresh_dim_value(run->source, dim_combination, k), month),
				item->cell, subtract);
	}
}

/* Loads the attributions of all owners that cells of the stream have. */
static void
need_attributions(KpiRun *run, const KpiStream *stream, const KpiCellList *days)
{
	int32	   *owners = palloc(Max(days->nitems, 1) * sizeof(int32));
	int			n = 0;

	for (int i = 0; i < days->nitems; i++)
	{
		const KpiDayKey *key = &days->items[i].key.day;

		if (key->stream_id == stream->id && (n == 0 || owners[n - 1] != key->owner_id))
			owners[n++] = key->owner_id;
	}
	kpi_refresh_attribution_need(run->attributions, stream->owner_kind, owners, n);
	pfree(owners);
}

static void
sum_per_path(KpiRun *run, const KpiStream *stream, const KpiCellItem *item, KpiCellMap *paths,
			 KpiCellMap *rollups)
{
	DateADT		day = item->key.day.day;
	DateADT		month = month_of(day);
	int32		dim_combination = item->key.day.dim_combination_id;
	const KpiAttribution *span = kpi_refresh_attribution_at(run->attributions, stream->owner_kind,
															item->key.day.owner_id, day);

	if (span->member_id != 0)
		add(rollups, rollup_key(stream->id, KPI_SCOPE_MEMBER, span->member_id, KPI_MONTH, 0, month),
			item->cell, false);
	add(paths, path_key(stream->id, span->path, KPI_DAY, 0, day), item->cell, false);
	for (int k = 1; dim_combination != 0 && k <= run->source->ndims; k++)
		add(paths, path_key(stream->id, span->path, KPI_MONTH,
							kpi_refresh_dim_value(run->source, dim_combination, k), month),
			item->cell, false);
}

static void
expand_path(KpiRun *run, const KpiCellItem *item, KpiCellMap *rollups)
{
	const KpiPathKey *key = &item->key.path;
	const int32 *teams;
	int			nteams = kpi_refresh_path_teams(run->attributions, key->path, &teams);

	for (int t = 0; t < nteams; t++)
		add(rollups, rollup_key(key->stream_id, KPI_SCOPE_TEAM, teams[t], key->grain, key->dim_value_id,
								key->start),
			item->cell, false);
}

void
kpi_refresh_fanout(KpiRun *run, const KpiCellList *days, KpiCellMap *rollups)
{
	KpiCellMap *paths = kpi_refresh_cellmap_create(run->mcxt);
	KpiCellMap *months = kpi_refresh_cellmap_create(run->mcxt);
	KpiCellList *sums;

	for (int s = 0; s < run->source->nstreams; s++)
		need_attributions(run, &run->source->streams[s], days);

	for (int i = 0, s = 0; i < days->nitems; i++)
	{
		const KpiCellItem *item = &days->items[i];

		CHECK_FOR_INTERRUPTS();
		while (run->source->streams[s].id < item->key.day.stream_id)
			s++;
		run->at = (KpiFactsAt)
		{
			true, item->key.day.day, NULL, 0
		};
		if (item->key.day.day != KPI_ERROR_DAY)
			sum_per_path(run, &run->source->streams[s], item, paths, rollups);
	}
	run->at.is_known = false;
	sums = kpi_refresh_cellmap_list(paths);
	for (int i = 0; i < sums->nitems; i++)
	{
		const KpiPathKey *key = &sums->items[i].key.path;

		if (key->grain == KPI_DAY)
			add(months, path_key(key->stream_id, key->path, KPI_MONTH, 0, month_of(key->start)),
				sums->items[i].cell, false);
		expand_path(run, &sums->items[i], rollups);
	}
	sums = kpi_refresh_cellmap_items(months);
	for (int i = 0; i < sums->nitems; i++)
		expand_path(run, &sums->items[i], rollups);
}
