/*-------------------------------------------------------------------------
 *
 * fanout.c
 *	  From day cells to the rollups of members and teams.
 *
 * A day cell counts for its owner's month (if a member), and for the day, the
 * month and, per dimension value, the month of the team and of each of its
 * ancestors; of streams with detail (kpi_model_stream_detail()) for more days.  The value of a
 * dimension is that of the cell, or of an attribute that the owner has on its day.  Done in two
 * steps, because many cells share a path of teams:
 * first everything is summed per path, days before months, then each path's few
 * sums go to its teams.
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

static void
add_member(KpiCellMap *rollups, int32 member_id, const KpiCellItem *item, int detail, DateADT month, bool subtract)
{
	const KpiDayKey *key = &item->key.day;

	if (member_id == 0)
		return;
	add(rollups, rollup_key(key->stream_id, KPI_SCOPE_MEMBER, member_id, KPI_MONTH, 0, month), item->cell, subtract);
	if (detail & KPI_DETAIL_MEMBERS)
		add(rollups, rollup_key(key->stream_id, KPI_SCOPE_MEMBER, member_id, KPI_DAY, 0, key->day), item->cell, subtract);
}

static bool
is_among(int32 team, const int32 *teams, int nteams)
{
	for (int t = 0; t < nteams; t++)
	{
		if (teams[t] == team)
			return true;
	}
	return false;
}

/*
 * Adds a day cell to the rollups of a path that another does not have: to all of its teams that
 * are not among the other's, and of those that are to the values that differ, as only
 * attributes do.
 */
static void
add_path_without(KpiRun *run, int path, int without, const KpiCellItem *item, int detail, DateADT month,
				 bool subtract, KpiCellMap *rollups)
{
	int32		stream = item->key.day.stream_id;
	int32		dim_combination = item->key.day.dim_combination_id;
	const int32 *teams;
	const int32 *others;
	int			nteams = kpi_refresh_path_teams(run->attributions, path, &teams);
	int			nothers = kpi_refresh_path_teams(run->attributions, without, &others);

	for (int t = 0; t < nteams; t++)
	{
		bool		is_new = !is_among(teams[t], others, nothers);

		if (is_new)
		{
			add(rollups, rollup_key(stream, KPI_SCOPE_TEAM, teams[t], KPI_DAY, 0, item->key.day.day), item->cell,
				subtract);
			add(rollups, rollup_key(stream, KPI_SCOPE_TEAM, teams[t], KPI_MONTH, 0, month), item->cell, subtract);
		}
		else if (!run->source->has_attributes)
			continue;
		for (int k = 1; dim_combination != 0 && k <= run->source->ndims; k++)
		{
			int32		part = kpi_refresh_path_dim_value(run->attributions, path, dim_combination, k);

			if (!is_new && part == kpi_refresh_path_dim_value(run->attributions, without, dim_combination, k))
				continue;
			add(rollups, rollup_key(stream, KPI_SCOPE_TEAM, teams[t], KPI_MONTH, part, month), item->cell, subtract);
			if (detail & KPI_DETAIL_PARTS)
				add(rollups, rollup_key(stream, KPI_SCOPE_TEAM, teams[t], KPI_DAY, part, item->key.day.day), item->cell,
					subtract);
		}
	}
}

void
kpi_refresh_fanout_move(KpiRun *run, const KpiAttribution *from, const KpiAttribution *to, const KpiCellItem *item,
						KpiCellMap *rollups)
{
	DateADT		month;

	const KpiStream *stream = kpi_model_stream_find(run->source, item->key.day.stream_id);
	int			detail = kpi_model_stream_detail(stream);
	KpiCellItem converted = *item;

	if (item->key.day.day == KPI_ERROR_DAY)
		return;
	converted.cell = kpi_refresh_exchange_convert(run, stream, item);
	if (converted.cell == NULL)
		return;
	item = &converted;
	month = month_of(item->key.day.day);
	if (from->member_id != to->member_id)
	{
		add_member(rollups, from->member_id, item, detail, month, true);
		add_member(rollups, to->member_id, item, detail, month, false);
	}
	if (from->path != to->path)
	{
		add_path_without(run, from->path, to->path, item, detail, month, true, rollups);
		add_path_without(run, to->path, from->path, item, detail, month, false, rollups);
	}
}

/* Loads the attributions of all owners that cells of a stream have. */
static void
need_attributions(KpiRun *run, KpiCellMap *days)
{
	int			max = 1024;
	int32	   *owners = palloc(max * sizeof(int32));
	int			n = 0;
	int32		stream_id = 0;
	const KpiStream *stream = NULL;
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(days);
	while ((item = kpi_refresh_cellmap_next(days)) != NULL)
	{
		const KpiDayKey *key = &item->key.day;

		if (stream == NULL || stream_id != key->stream_id)
		{
			if (stream)
				kpi_refresh_attribution_need(run->attributions, stream->owner_kind, owners, n);
			n = 0;
			stream_id = key->stream_id;
			stream = kpi_model_stream_find(run->source, stream_id);
		}
		if (n > 0 && owners[n - 1] == key->owner_id)
			continue;
		if (n == max)
		{
			max *= 2;
			owners = repalloc_huge(owners, max * sizeof(int32));
		}
		owners[n++] = key->owner_id;
	}
	if (stream)
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
	int			detail = kpi_model_stream_detail(stream);
	const KpiAttribution *span = kpi_refresh_attribution_at(run->attributions, stream->owner_kind,
															item->key.day.owner_id, day);

	add_member(rollups, span->member_id, item, detail, month, false);
	add(paths, path_key(stream->id, span->path, KPI_DAY, 0, day), item->cell, false);
	for (int k = 1; dim_combination != 0 && k <= run->source->ndims; k++)
	{
		int32		part = kpi_refresh_path_dim_value(run->attributions, span->path, dim_combination, k);

		add(paths, path_key(stream->id, span->path, KPI_MONTH, part, month), item->cell, false);
		if (detail & KPI_DETAIL_PARTS)
			add(paths, path_key(stream->id, span->path, KPI_DAY, part, day), item->cell, false);
	}
}

/* Its amounts in the company's currency, or among those that are left out. */
static void
sum_converted(KpiRun *run, const KpiStream *stream, const KpiCellItem *item, KpiCellMap *paths,
			  KpiCellMap *rollups)
{
	KpiCellItem converted = *item;

	converted.cell = kpi_refresh_exchange_convert(run, stream, item);
	if (converted.cell == NULL)
		kpi_refresh_exchange_leave_out(run, item, rollups);
	else
		sum_per_path(run, stream, &converted, paths, rollups);
	if (converted.cell != NULL && converted.cell != item->cell)
		pfree(converted.cell);
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

/*
 * What of a day cell goes to the rollups: the cell itself, or a copy without
 * the states of measures whose rollups are not built for its day.
 */
static KpiCell *
built_part(KpiRun *run, int s, const KpiCellItem *item)
{
	KpiCell    *part;

	if (!run->build.streams[s].is_partial)
		return item->cell;
	part = kpi_cell_pack(item->cell);
	kpi_refresh_build_drop_rollups(run, s, part, item->key.day.day);
	return part;
}

static void
sum_days_per_path(KpiRun *run, KpiCellMap *days, KpiCellMap *paths, KpiCellMap *rollups)
{
	const KpiCellItem *item;
	int			s = 0;

	kpi_refresh_cellmap_rewind(days);
	while ((item = kpi_refresh_cellmap_next(days)) != NULL)
	{
		KpiCellItem built = *item;

		CHECK_FOR_INTERRUPTS();
		if (item->key.day.day == KPI_ERROR_DAY)
			continue;
		while (run->source->streams[s].id < item->key.day.stream_id)
			s++;
		run->at = (KpiFactsAt)
		{
			true, item->key.day.day, NULL, 0
		};
		built.cell = built_part(run, s, item);
		if (built.cell == item->cell || !kpi_cell_is_empty(built.cell))
			sum_converted(run, &run->source->streams[s], &built, paths, rollups);
		if (built.cell != item->cell)
			pfree(built.cell);
	}
	run->at.is_known = false;
}

void
kpi_refresh_fanout(KpiRun *run, KpiCellMap *days, KpiCellMap *rollups)
{
	KpiCellMap *paths = kpi_refresh_cellmap_create(run);
	KpiCellMap *months = kpi_refresh_cellmap_create(run);
	const KpiCellItem *sum;

	need_attributions(run, days);
	sum_days_per_path(run, days, paths, rollups);
	kpi_refresh_cellmap_sort(paths);
	while ((sum = kpi_refresh_cellmap_next(paths)) != NULL)
	{
		const KpiPathKey *key = &sum->key.path;

		CHECK_FOR_INTERRUPTS();
		if (key->grain == KPI_DAY && key->dim_value_id == 0)
			add(months, path_key(key->stream_id, key->path, KPI_MONTH, 0, month_of(key->start)), sum->cell, false);
		expand_path(run, sum, rollups);
	}
	kpi_refresh_cellmap_free(paths);
	kpi_refresh_cellmap_sort(months);
	while ((sum = kpi_refresh_cellmap_next(months)) != NULL)
		expand_path(run, sum, rollups);
	kpi_refresh_cellmap_free(months);
}
