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

/* A change that moves more places of a team or member than this has the whole table looked at. */
#define MAX_MOVED_PLACES 1000

bool		kpi_refresh_rollups_queued = false;

/* A stream of the source, that KPIs of the table are measured on. */
typedef struct RollupStream
{
	int32		stream_id;
	KpiLookback lookback;		/* the longest of these KPIs */
	bool		by_dimension;	/* its cells of values of the dimension are
								 * those of the rows */
} RollupStream;

/* A rollup table that has a KPI of the source. */
typedef struct RollupTarget
{
	int32		id;
	bool		of_members;
	KpiGrain	grain;
	DateADT		since;
	int			position;		/* of its dimension in this source; 0: none */
	List	   *streams;		/* RollupStream * */
} RollupTarget;

/* Places on their way to the queue. */
typedef struct PlaceBuffer
{
	const RollupTarget *target;
	int			n;
	Datum	   *scopes;
	Datum	   *starts;
	Datum	   *dims;
	const RollupStream *stream; /* the last that was added */
	int32		scope_id;
	int32		dim_id;
	DateADT		first_start;	/* whose places from here */
	DateADT		next_start;		/* until before here are */
	bool		too_many;		/* the whole table is to be looked at */
} PlaceBuffer;

static RollupStream *
find_stream(const RollupTarget *target, int32 stream_id)
{
	ListCell   *lc;

	foreach(lc, target->streams)
	{
		if (((RollupStream *) lfirst(lc))->stream_id == stream_id)
			return lfirst(lc);
	}
	return NULL;
}

/* A KPI of the table is measured on the stream in this row. */
static void
add_stream(RollupTarget *target, KpiRows *row)
{
	int32		stream_id = kpi_rows_int4(row, "stream_id");
	RollupStream *stream = find_stream(target, stream_id);

	if (stream == NULL)
	{
		stream = palloc0(sizeof(RollupStream));
		stream->stream_id = stream_id;
		stream->by_dimension = true;
		target->streams = lappend(target->streams, stream);
	}
	stream->by_dimension &= kpi_rows_bool(row, "has_breakdown");
	stream->lookback.all |= kpi_rows_bool(row, "looks_at_all");
	stream->lookback.periods = Max(stream->lookback.periods, kpi_rows_int4(row, "reach_periods"));
	stream->lookback.days = Max(stream->lookback.days, kpi_rows_int4(row, "reach_days"));
}

static List *
find_targets(int32 source_id)
{
	List	   *targets = NIL;
	RollupTarget *target = NULL;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT r.id, r.per = 'member' AS of_members, r.grain, r.since,"
				   " coalesce(d.position, 0)::integer AS position, s.stream_id, s.has_breakdown, s.reach = 'later' AS looks_at_all,"
				   " s.reach_periods, s.reach_days"
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
		add_stream(target, &rows);
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

static void
add_place(PlaceBuffer *buffer, int32 scope_id, DateADT start, int32 dim_id)
{
	buffer->scopes[buffer->n] = Int32GetDatum(scope_id);
	buffer->starts[buffer->n] = DateADTGetDatum(start);
	buffer->dims[buffer->n] = Int32GetDatum(dim_id);
	if (++buffer->n == BATCH_PLACES)
		flush_places(buffer);
}

/*
 * Adds the places that days, of one place at most, move: their own, and those that look back at
 * them.  Cells come in order, so what was added for the one before is not added again.
 */
static void
add_places(PlaceBuffer *buffer, const RollupStream *stream, const KpiCalendar *calendar, int32 scope_id,
		   DateADT day, DateADT last, int32 dim_id)
{
	const RollupTarget *target = buffer->target;
	DateADT		own = kpi_calendar_period_start(target->grain, day, calendar);
	DateADT		start = own;
	bool		is_next = buffer->stream == stream && buffer->scope_id == scope_id && buffer->dim_id == dim_id &&
	own >= buffer->first_start && own <= buffer->next_start;

	if (is_next)
		start = buffer->next_start;
	for (int n = 0; start == own || kpi_model_lookback_since(&stream->lookback, target->grain, start) <= last; n++)
	{
		if (n == MAX_MOVED_PLACES)
		{
			buffer->too_many = true;
			return;
		}
		if (kpi_calendar_period_end(target->grain, start, calendar) >= target->since)
			add_place(buffer, scope_id, start, dim_id);
		start = kpi_calendar_period_shift(target->grain, start, 1, calendar);
	}
	buffer->stream = stream;
	buffer->scope_id = scope_id;
	buffer->dim_id = dim_id;
	buffer->next_start = start;
	if (!is_next)
		buffer->first_start = own;
}

/* Whether a change of the stream can move any row of the table, so that its places need not be known. */
static bool
moves_all(const RollupTarget *target, const RollupStream *stream)
{
	return stream->lookback.all || (target->position != 0 && !stream->by_dimension);
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
	while (!buffer->too_many && (item = kpi_refresh_cellmap_next(rollups)) != NULL)
	{
		const KpiRollupKey *key = &item->key.rollup;
		const RollupStream *stream = find_stream(target, key->stream_id);

		if (stream == NULL || key->grain != grain ||
			key->scope_kind != (target->of_members ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM))
			continue;
		if (moves_all(target, stream))
			buffer->too_many = true;
		else if ((key->dim_value_id != 0) == (target->position != 0))
			add_places(buffer, stream, calendar, key->scope_id, key->start,
					   kpi_calendar_period_end(grain, key->start, calendar), key->dim_value_id);
	}
}

/* The days of members have no rollups: they are the day cells of their owners. */
static void
queue_member_days(PlaceBuffer *buffer, KpiRun *run, KpiCellMap *days)
{
	const KpiCalendar *calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	const KpiCellItem *item;

	kpi_refresh_cellmap_rewind(days);
	while (!buffer->too_many && (item = kpi_refresh_cellmap_next(days)) != NULL)
	{
		const KpiDayKey *key = &item->key.day;
		const RollupStream *stream = find_stream(buffer->target, key->stream_id);
		const KpiAttribution *span;

		if (stream == NULL || key->day == KPI_ERROR_DAY)
			continue;
		span = kpi_refresh_attribution_at(run->attributions,
										  kpi_model_stream_find(run->source, key->stream_id)->owner_kind,
										  key->owner_id, key->day);
		if (span->member_id != 0 && moves_all(buffer->target, stream))
			buffer->too_many = true;
		else if (span->member_id != 0)
			add_places(buffer, stream, calendar, span->member_id, key->day, key->day, 0);
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
		if (buffer.too_many)
			queue_whole(buffer.target);
		buffer.too_many = false;
		buffer.stream = NULL;
	}
}
