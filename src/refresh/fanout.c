/*-------------------------------------------------------------------------
 *
 * fanout.c
 *	  From day cells to the rollups of members and teams.
 *
 * A day cell counts for its owner's month (if a member), and for the day, the
 * month and, per dimension value, the month of the team and of each of its
 * ancestors; of streams with detail (kpi_model_stream_detail()) for more periods.
 * The value of a dimension is that of the cell, or of an attribute that the owner has
 * on its day.  Done in two steps, because many cells share a path of teams: first everything is
 * summed per path, days before months, then each path's few sums go to its teams.
 *
 * What a balance holds stays with its owner.  So a day cell counts also on each
 * later day on which its owner moves: there what it holds leaves the teams that the
 * owner leaves and arrives at those it comes to (kpi_cell_carry()); so it does where an
 * attribute becomes another.  That is linear in
 * the cell, as all is here: a delta of whatever day costs the later moves of its
 * owner, and the rollups are right whatever the order in which day cells come to
 * them.  They are rollups of later periods than the cell is of.
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

static DateADT
year_of(DateADT day)
{
	return kpi_calendar_period_start(KPI_ANCHOR_YEAR, day, kpi_calendar_get(KPI_DEFAULT_CALENDAR));
}

/* Adds a day cell to the periods of a scope, or of one value of a dimension there. */
static void
add_periods(KpiCellMap *rollups, const KpiCellItem *item, KpiScopeKind kind, int32 scope, int32 dim_value,
			bool with_days, bool with_years, bool subtract)
{
	int32		stream = item->key.day.stream_id;
	DateADT		day = item->key.day.day;

	if (with_days)
		add(rollups, rollup_key(stream, kind, scope, KPI_DAY, dim_value, day), item->cell, subtract);
	add(rollups, rollup_key(stream, kind, scope, KPI_MONTH, dim_value, month_of(day)), item->cell, subtract);
	if (with_years)
		add(rollups, rollup_key(stream, kind, scope, KPI_ANCHOR_YEAR, dim_value, year_of(day)), item->cell, subtract);
}

static void
add_member(KpiCellMap *rollups, int32 member_id, const KpiCellItem *item, int detail, bool subtract)
{
	if (member_id != 0)
		add_periods(rollups, item, KPI_SCOPE_MEMBER, member_id, 0, (detail & KPI_DETAIL_MEMBERS) != 0,
					(detail & KPI_DETAIL_YEARS) != 0, subtract);
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
add_path_without(KpiRun *run, int path, int without, const KpiCellItem *item, int detail, bool subtract,
				 KpiCellMap *rollups)
{
	int32		dim_combination = item->key.day.dim_combination_id;
	bool		with_years = (detail & KPI_DETAIL_YEARS) != 0;
	const int32 *teams;
	const int32 *others;
	int			nteams = kpi_refresh_path_teams(run->attributions, path, &teams);
	int			nothers = kpi_refresh_path_teams(run->attributions, without, &others);

	for (int t = 0; t < nteams; t++)
	{
		bool		is_new = !is_among(teams[t], others, nothers);

		if (is_new)
			add_periods(rollups, item, KPI_SCOPE_TEAM, teams[t], 0, true, with_years, subtract);
		else if (!run->source->has_attributes)
			continue;
		for (int k = 1; dim_combination != 0 && k <= run->source->ndims; k++)
		{
			int32		part = kpi_refresh_path_dim_value(run->attributions, path, dim_combination, k);

			if (is_new || part != kpi_refresh_path_dim_value(run->attributions, without, dim_combination, k))
				add_periods(rollups, item, KPI_SCOPE_TEAM, teams[t], part, (detail & KPI_DETAIL_PARTS) != 0,
							with_years, subtract);
		}
	}
}

/* ---- what is held and changes hands ---- */

static bool
is_same_move(const KpiOwnerAttribution *a, int i, const KpiOwnerAttribution *b)
{
	for (int j = 1; j < b->nspans; j++)
	{
		if (a->spans[i].since == b->spans[j].since)
			return a->spans[i].path == b->spans[j].path && a->spans[i - 1].path == b->spans[j - 1].path;
	}
	return false;
}

/*
 * Adds to carries what of a day cell is held when its owner moves on a later day; but
 * for the moves that another attribution of the owner (or NULL) has as well.
 */
static void
add_carries(const KpiOwnerAttribution *owner, const KpiOwnerAttribution *other, const KpiCellItem *item,
			bool subtract, KpiCellMap *carries)
{
	for (int i = 1; i < owner->nspans; i++)
	{
		const KpiAttribution *to = &owner->spans[i];
		const KpiAttribution *from = to - 1;
		KpiCellKey	key = {.carry = {
				item->key.day.stream_id, from->path, to->path, item->key.day.dim_combination_id, to->since
		}};
		KpiCell    *cell;

		if (to->since <= item->key.day.day || from->path == to->path || (other && is_same_move(owner, i, other)))
			continue;
		cell = kpi_cell_carry(item->cell, to->since);
		add(carries, key, cell, subtract);
		pfree(cell);
	}
}

/* From the teams that lose it to those that get it. */
static void
add_carry(KpiRun *run, const KpiCellItem *sum, KpiCellMap *rollups)
{
	const KpiCarryKey *key = &sum->key.carry;
	int			detail = kpi_model_stream_detail(kpi_model_stream_find(run->source, key->stream_id));
	KpiCellItem item = {
		.key = {.day = {key->stream_id, 0, key->day, key->dim_combination_id}},
		.cell = sum->cell
	};

	add_path_without(run, key->from, key->to, &item, detail, true, rollups);
	add_path_without(run, key->to, key->from, &item, detail, false, rollups);
}

void
kpi_refresh_fanout_carries(KpiRun *run, KpiCellMap *carries, KpiCellMap *rollups)
{
	const KpiCellItem *sum;

	kpi_refresh_cellmap_sort(carries);
	while ((sum = kpi_refresh_cellmap_next(carries)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		add_carry(run, sum, rollups);
	}
}

/* ---- cells whose owner counts elsewhere ---- */

void
kpi_refresh_fanout_move(KpiRun *run, const KpiOwnerAttribution *from, const KpiOwnerAttribution *to,
						const KpiCellItem *item, KpiCellMap *rollups, KpiCellMap *carries)
{
	const KpiStream *stream = kpi_model_stream_find(run->source, item->key.day.stream_id);
	int			detail = kpi_model_stream_detail(stream);
	DateADT		day = item->key.day.day;
	const KpiAttribution *before;
	const KpiAttribution *after;
	KpiCellItem converted = *item;

	if (day == KPI_ERROR_DAY)
		return;
	converted.cell = kpi_refresh_exchange_convert(run, stream, item);
	if (converted.cell == NULL)
		return;
	item = &converted;
	before = kpi_refresh_attribution_span(from, day);
	after = kpi_refresh_attribution_span(to, day);
	if (before->member_id != after->member_id)
	{
		add_member(rollups, before->member_id, item, detail, true);
		add_member(rollups, after->member_id, item, detail, false);
	}
	if (before->path != after->path)
	{
		add_path_without(run, before->path, after->path, item, detail, true, rollups);
		add_path_without(run, after->path, before->path, item, detail, false, rollups);
	}
	if (kpi_model_stream_has_balance(stream))
	{
		add_carries(from, to, item, true, carries);
		add_carries(to, from, item, false, carries);
	}
}

/* ---- day cells ---- */

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

/* What day cells are summed up in on their way to the rollups. */
typedef struct FanOut
{
	KpiCellMap *paths;
	KpiCellMap *carries;
	KpiCellMap *rollups;
} FanOut;

static void
sum_per_path(KpiRun *run, const KpiStream *stream, const KpiCellItem *item, const FanOut *out)
{
	DateADT		day = item->key.day.day;
	DateADT		month = month_of(day);
	int32		dim_combination = item->key.day.dim_combination_id;
	int			detail = kpi_model_stream_detail(stream);
	const KpiOwnerAttribution *owner = kpi_refresh_attribution_of(run->attributions, stream->owner_kind,
																  item->key.day.owner_id);
	const KpiAttribution *span = kpi_refresh_attribution_span(owner, day);
	KpiCellMap *paths = out->paths;

	add_member(out->rollups, span->member_id, item, detail, false);
	if (kpi_model_stream_has_balance(stream))
		add_carries(owner, NULL, item, false, out->carries);
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
sum_converted(KpiRun *run, const KpiStream *stream, const KpiCellItem *item, const FanOut *out)
{
	KpiCellItem converted = *item;

	converted.cell = kpi_refresh_exchange_convert(run, stream, item);
	if (converted.cell == NULL)
		kpi_refresh_exchange_leave_out(run, item, out->rollups);
	else
		sum_per_path(run, stream, &converted, out);
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
sum_days_per_path(KpiRun *run, KpiCellMap *days, const FanOut *out)
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
		if (run->source->streams[s].is_left_out)
			continue;
		run->at = (KpiFactsAt)
		{
			true, item->key.day.day, NULL, 0
		};
		built.cell = built_part(run, s, item);
		if (built.cell == item->cell || !kpi_cell_is_empty(built.cell))
			sum_converted(run, &run->source->streams[s], &built, out);
		if (built.cell != item->cell)
			pfree(built.cell);
	}
	run->at.is_known = false;
}

/* The month and the year that the sum of a path's period is part of. */
static void
add_longer(KpiRun *run, const KpiCellItem *sum, KpiCellMap *longer)
{
	const KpiPathKey *key = &sum->key.path;
	bool		has_months = key->dim_value_id == 0;
	int			detail = kpi_model_stream_detail(kpi_model_stream_find(run->source, key->stream_id));

	if (has_months && key->grain == KPI_DAY)
		add(longer, path_key(key->stream_id, key->path, KPI_MONTH, 0, month_of(key->start)), sum->cell, false);
	if ((detail & KPI_DETAIL_YEARS) && key->grain == (has_months ? KPI_DAY : KPI_MONTH))
		add(longer, path_key(key->stream_id, key->path, KPI_ANCHOR_YEAR, key->dim_value_id, year_of(key->start)),
			sum->cell, false);
}

void
kpi_refresh_fanout(KpiRun *run, KpiCellMap *days, KpiCellMap *rollups)
{
	FanOut		out = {
		.paths = kpi_refresh_cellmap_create(run),
		.carries = kpi_refresh_cellmap_create(run),
		.rollups = rollups
	};
	KpiCellMap *longer = kpi_refresh_cellmap_create(run);
	const KpiCellItem *sum;

	need_attributions(run, days);
	sum_days_per_path(run, days, &out);
	kpi_refresh_cellmap_sort(out.paths);
	while ((sum = kpi_refresh_cellmap_next(out.paths)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		add_longer(run, sum, longer);
		expand_path(run, sum, rollups);
	}
	kpi_refresh_cellmap_free(out.paths);
	kpi_refresh_cellmap_sort(longer);
	while ((sum = kpi_refresh_cellmap_next(longer)) != NULL)
		expand_path(run, sum, rollups);
	kpi_refresh_cellmap_free(longer);
	kpi_refresh_fanout_carries(run, out.carries, rollups);
	kpi_refresh_cellmap_free(out.carries);
}
