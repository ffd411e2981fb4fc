/*-------------------------------------------------------------------------
 *
 * rollup_queue.c
 *	  Which rows of rollup tables a refresh has moved.
 *
 * Rollup tables are written after the refresh (room rollup), whose last step is
 * to say where: it puts the places of the cells it touched into
 * kpi_internal.rollup_queue, as they are called in each table, in its own
 * transaction.  So a place is there exactly if the cells are what they are, and
 * whoever takes it out under a snapshot that shows it sees these cells.
 *
 * A row of the queue has up to BATCH_PLACES places, in arrays: a refresh writes
 * a row or two for each table and no more, and the writer takes whole rows.
 * A row without arrays means the whole table.  Places that come twice, by
 * several measures or refreshes, are the writer's to put together.
 *
 * Locks: ROW EXCLUSIVE on the queue; no row that anybody waits for.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "refresh/refresh_internal.h"
#include "utils/array.h"

/* What one transaction of the writer takes on. */
#define BATCH_PLACES 1000

bool		kpi_refresh_rollups_queued = false;

/* A rollup table that has a KPI of the source. */
typedef struct RollupTarget
{
	int32		id;
	bool		of_members;
	KpiGrain	grain;
	DateADT		since;
	int			position;		/* of its dimension in this source; 0: none */
	Bitmapset  *streams;		/* of the source, that its KPIs are measured
								 * on */
} RollupTarget;

/* Places on their way to the queue. */
typedef struct PlaceBuffer
{
	const RollupTarget *target;
	int			n;
	Datum	   *scopes;
	Datum	   *starts;
	Datum	   *dims;
} PlaceBuffer;

static List *
find_targets(int32 source_id)
{
	List	   *targets = NIL;
	RollupTarget *target = NULL;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT r.id, r.per = 'member' AS of_members, r.grain, r.since,"
				   " coalesce(d.position, 0)::integer AS position, s.stream_id"
				   " FROM kpi.rollup r"
				   " JOIN kpi.rollup_column c ON c.rollup_id = r.id"
				   " JOIN kpi_internal.kpi_stream s ON s.kpi_id = c.kpi_id AND s.source_id = $1"
				   " LEFT JOIN kpi.dimension d ON d.source_id = $1 AND d.name = r.dimension"
				   " ORDER BY r.id", 1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		int32		id = kpi_rows_int4(&rows, "id");

		if (target == NULL || target->id != id)
		{
			target = palloc0(sizeof(RollupTarget));
			target->id = id;
			target->of_members = kpi_rows_bool(&rows, "of_members");
			if (!kpi_calendar_grain_parse(kpi_rows_text(&rows, "grain"), &target->grain))
				elog(ERROR, "rollup table %d has no grain", id);
			target->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
			target->position = kpi_rows_int4(&rows, "position");
			targets = lappend(targets, target);
		}
		target->streams = bms_add_member(target->streams, kpi_rows_int4(&rows, "stream_id"));
	}
	kpi_rows_end(&rows);
	return targets;
}

static KpiParam
array_param(Oid type, Oid array_type, Datum *values, int n)
{
	return KPI_VALUE(array_type, PointerGetDatum(construct_array(values, n, type, sizeof(int32), true, TYPALIGN_INT)));
}

/* Values of dimensions are known to the table by their labels. */
static void
flush_places(PlaceBuffer *buffer)
{
	const RollupTarget *target = buffer->target;
	KpiSpi		spi;

	if (buffer->n == 0)
		return;
	kpi_spi_begin(&spi);
	if (target->position == 0)
		kpi_spi_exec("INSERT INTO kpi_internal.rollup_queue (rollup_id, scope_ids, starts) VALUES ($1, $2, $3)",
					 3, KPI_INT4(target->id), array_param(INT4OID, INT4ARRAYOID, buffer->scopes, buffer->n),
					 array_param(DATEOID, DATEARRAYOID, buffer->starts, buffer->n));
	else
		kpi_spi_exec("INSERT INTO kpi_internal.rollup_queue (rollup_id, scope_ids, starts, labels)"
					 " SELECT $1, p.scope_ids, p.starts, p.labels FROM ("
					 "  SELECT pg_catalog.array_agg(u.scope_id) AS scope_ids, pg_catalog.array_agg(u.start) AS starts,"
					 "   pg_catalog.array_agg(kpi_internal.dimension_label(d.vals[1])) AS labels"
					 "  FROM unnest($2, $3, $4) u (scope_id, start, dim_id)"
					 "  JOIN kpi_internal.dim d ON d.id = u.dim_id AND d.position = $5) p"
					 " WHERE p.scope_ids IS NOT NULL",
					 5, KPI_INT4(target->id), array_param(INT4OID, INT4ARRAYOID, buffer->scopes, buffer->n),
					 array_param(DATEOID, DATEARRAYOID, buffer->starts, buffer->n),
					 array_param(INT4OID, INT4ARRAYOID, buffer->dims, buffer->n), KPI_INT4(target->position));
	kpi_spi_end(&spi);
	buffer->n = 0;
	kpi_refresh_rollups_queued = true;
}

/* Adds the place that a day, or the first day of a month, belongs to. */
static void
add_place(PlaceBuffer *buffer, const KpiCalendar *calendar, int32 scope_id, DateADT day, int32 dim_id)
{
	const RollupTarget *target = buffer->target;
	DateADT		start = kpi_calendar_period_start(target->grain, day, calendar);
	int			last = buffer->n - 1;

	if (kpi_calendar_period_end(target->grain, start, calendar) < target->since)
		return;
	/* Cells come in order: neighbours belong to one place. */
	if (last >= 0 && DatumGetInt32(buffer->scopes[last]) == scope_id &&
		DatumGetDateADT(buffer->starts[last]) == start && DatumGetInt32(buffer->dims[last]) == dim_id)
		return;
	buffer->scopes[buffer->n] = Int32GetDatum(scope_id);
	buffer->starts[buffer->n] = DateADTGetDatum(start);
	buffer->dims[buffer->n] = Int32GetDatum(dim_id);
	if (++buffer->n == BATCH_PLACES)
		flush_places(buffer);
}

/* From the rollups of the grain that the periods are made of. */
static void
queue_rollups(PlaceBuffer *buffer, KpiCellMap *rollups)
{
	const RollupTarget *target = buffer->target;
	const KpiCalendar *calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	KpiGrain	grain = target->grain < KPI_MONTH ? KPI_DAY : KPI_MONTH;
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(rollups);
	while ((item = kpi_refresh_cellmap_next(rollups)) != NULL)
	{
		const KpiRollupKey *key = &item->key.rollup;

		if (bms_is_member(key->stream_id, target->streams) && key->grain == grain &&
			key->scope_kind == (target->of_members ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM) &&
			(key->dim_value_id != 0) == (target->position != 0))
			add_place(buffer, calendar, key->scope_id, key->start, key->dim_value_id);
	}
}

/* The days of members have no rollups: they are the day cells of their owners. */
static void
queue_member_days(PlaceBuffer *buffer, KpiRun *run, KpiCellMap *days)
{
	const KpiCalendar *calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(days);
	while ((item = kpi_refresh_cellmap_next(days)) != NULL)
	{
		const KpiDayKey *key = &item->key.day;
		const KpiAttribution *span;

		if (!bms_is_member(key->stream_id, buffer->target->streams) || key->day == KPI_ERROR_DAY)
			continue;
		span = kpi_refresh_attribution_at(run->attributions,
										  kpi_model_stream_find(run->source, key->stream_id)->owner_kind,
										  key->owner_id, key->day);
		if (span->member_id != 0)
			add_place(buffer, calendar, span->member_id, key->day, 0);
	}
}

static void
queue_whole(const RollupTarget *target)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.rollup_queue (rollup_id) VALUES ($1)", 1, KPI_INT4(target->id));
	kpi_spi_end(&spi);
	kpi_refresh_rollups_queued = true;
}

void
kpi_refresh_rollups_queue_all(int32 source_id)
{
	ListCell   *lc;

	foreach(lc, find_targets(source_id))
		queue_whole(lfirst(lc));
}

void
kpi_refresh_rollups_queue(KpiRun *run, KpiCellMap *days, KpiCellMap *rollups)
{
	List	   *targets;
	ListCell   *lc;
	PlaceBuffer buffer = {0};

	if (kpi_refresh_cellmap_is_empty(days) && kpi_refresh_cellmap_is_empty(rollups))
		return;
	targets = find_targets(run->source->id);
	if (targets == NIL)
		return;

	buffer.scopes = palloc(BATCH_PLACES * sizeof(Datum));
	buffer.starts = palloc(BATCH_PLACES * sizeof(Datum));
	buffer.dims = palloc(BATCH_PLACES * sizeof(Datum));
	foreach(lc, targets)
	{
		bool		member_days;

		buffer.target = lfirst(lc);
		member_days = buffer.target->of_members && buffer.target->grain < KPI_MONTH;

		/* Whose days are whose may have changed for any of them. */
		if (member_days && run->plan.people_moved)
			queue_whole(buffer.target);
		else if (member_days)
			queue_member_days(&buffer, run, days);
		else
			queue_rollups(&buffer, rollups);
		flush_places(&buffer);
	}
}
