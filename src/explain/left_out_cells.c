/*-------------------------------------------------------------------------
 *
 * left_out_cells.c
 *	  What is left out of KPIs and is in cells: how many facts, and on which days.
 *
 * Facts that a KPI counts, and not everywhere, or not yet (left_out.c: those that it does not
 * count).  They are in the cells that values are made of, so nothing is kept twice:
 *
 *	no_rate			amounts without a rate, under the company's months
 *	no_owner, unknown_owner
 *					the day cells of owners that no member or team is known of
 *	ahead			the company's days after the one by which the KPI is judged
 *
 * Beside them, as if it were a reason: counted, what the company's value is made of.
 *
 * A fact has one reason, the first of these that holds, as the parts of a cell are
 * apart: of an owner that is unknown the amounts with a rate are counted, and of the
 * days ahead those whose owner is known.
 *
 * Cost: the months of the company; the days ahead; and the day cells of unknown owners, which are
 * looked for where team (unassigned) has any facts at all.  It does not grow with
 * the number of owners that are known.  Who asks for what counts for nothing only is
 * spared the last two.
 *
 * Read under the active snapshot, as the extension's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "cell/cell.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(kpi_sql_left_out_cells);

/* In the order in which they are tested. */
typedef enum LeftOutReason
{
	NO_RATE,
	NO_OWNER,
	UNKNOWN_OWNER,
	AHEAD,
	COUNTED,					/* no reason: in the company's value */
	NREASONS
} LeftOutReason;

static const char *const reason_names[NREASONS] = {
	[NO_RATE] = "no_rate",[NO_OWNER] = "no_owner",
	[UNKNOWN_OWNER] = "unknown_owner",[AHEAD] = "ahead",[COUNTED] = "counted"
};

/* Facts of a reason. */
typedef struct LeftOut
{
	int64		facts;
	DateADT		first;			/* DATEVAL_NOEND and DATEVAL_NOBEGIN while no */
	DateADT		last;			/* day is known */
} LeftOut;

typedef struct CountedMeasure
{
	int32		id;
	int32		kpi_id;
	LeftOut		reasons[NREASONS];
} CountedMeasure;

/* Facts of unknown owners on a day ahead, for all measures of the stream. */
typedef struct DayAhead
{
	DateADT		day;			/* the key */
	int64	   *facts;
} DayAhead;

typedef struct CountedStream
{
	int32		id;
	int32		source_id;
	KpiOwnerKind owner_kind;
	bool		has_currency;
	DateADT		today;
	int			nmeasures;
	CountedMeasure *measures;	/* ascending id */
	HTAB	   *ahead;			/* of DayAhead */
	MemoryContext mcxt;
	MemoryContext per_cell;		/* the current one where cells are tallied */
} CountedStream;

/* Columns of kpi_internal.day_cell. */
enum
{
	DAY_DAY = 3,
	DAY_DIM,
	DAY_CELL
};

/* ---- counting ---- */

static void
count(LeftOut *left_out, int64 facts, DateADT first, DateADT last)
{
	if (facts == 0)
		return;
	left_out->first = Min(left_out->first, first);
	left_out->last = Max(left_out->last, last);
	left_out->facts += facts;
}

static CountedMeasure *
find_measure(const CountedStream *stream, int32 id)
{
	int			low = 0;
	int			high = stream->nmeasures;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (stream->measures[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < stream->nmeasures && stream->measures[low].id == id ? &stream->measures[low] : NULL;
}

/* What to do with what a measure has in a cell. */
typedef void (*OnTally) (CountedStream *stream, CountedMeasure *measure, const KpiTally *tally, DateADT first, DateADT last,
						 LeftOutReason reason);

static void
tally_cell(CountedStream *stream, const KpiCell *cell, DateADT first, DateADT last, LeftOutReason reason, OnTally on_tally)
{
	KpiTally   *tallies = palloc(cell->nstates * sizeof(KpiTally));
	int			n = kpi_cell_tally(cell, tallies, cell->nstates);

	for (int i = 0; i < n; i++)
	{
		CountedMeasure *measure = find_measure(stream, tallies[i].measure_id);

		if (measure != NULL)
			on_tally(stream, measure, &tallies[i], first, last, reason);
	}
}

/* The cells of a statement's rows; a large one has two parts (refresh/cell_table.c). */
static void
tally_rows(CountedStream *stream, KpiRows *rows, LeftOutReason reason, OnTally on_tally)
{
	while (kpi_rows_next(rows))
	{
		DateADT		first = kpi_rows_date(rows, "first_day", DATEVAL_NOBEGIN);
		DateADT		last = kpi_rows_date(rows, "last_day", DATEVAL_NOBEGIN);
		bool		isnull;
		bool		is_whole;
		Datum		datum = kpi_rows_datum(rows, "cell", &isnull);
		Datum		recent = kpi_rows_datum(rows, "recent", &is_whole);
		MemoryContext old = MemoryContextSwitchTo(stream->per_cell);
		KpiCell    *cell;

		CHECK_FOR_INTERRUPTS();
		cell = is_whole ? kpi_cell_from_datum(datum) :
			kpi_cell_merge(kpi_cell_copy_from_datum(datum), kpi_cell_from_datum(recent));
		tally_cell(stream, cell, first, last, reason, on_tally);
		MemoryContextSwitchTo(old);
		MemoryContextReset(stream->per_cell);
	}
	kpi_rows_end(rows);
}

/* ---- the company's cells ---- */

/* But for numbers that no value can have. */
static void
add_facts(CountedStream *stream, CountedMeasure *measure, const KpiTally *tally, DateADT first, DateADT last,
		  LeftOutReason reason)
{
	count(&measure->reasons[reason], tally->facts - tally->nonfinite, first, last);
}

static void
count_company(CountedStream *stream)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT r.start AS first_day, r.start AS last_day, r.cell, r.recent"
						" FROM kpi_internal.rollup_cell r"
						" WHERE r.stream_id = $1 AND r.scope_kind = 1 AND r.scope_id = 1 AND r.grain = 2 AND r.dim_id = 0",
						1, KPI_INT4(stream->id));
	tally_rows(stream, &rows, COUNTED, add_facts);
	if (!stream->has_currency)
		return;
	kpi_rows_begin_read(&rows, "SELECT r.start AS first_day, (r.start + interval '1 month')::date - 1 AS last_day, r.cell, r.recent"
						" FROM kpi_internal.dim d"
						" JOIN kpi_internal.rollup_cell r ON r.stream_id = $1 AND r.scope_kind = 1 AND r.scope_id = 1"
						"  AND r.grain = 2 AND r.dim_id = d.id"
						" WHERE d.source_id = $2 AND d.position = 1 + (SELECT pg_catalog.count(*) FROM kpi.dimension n WHERE n.source_id = $2)",
						2, KPI_INT4(stream->id), KPI_INT4(stream->source_id));
	/* Below them is what has no rate. */
	tally_rows(stream, &rows, NO_RATE, add_facts);
}

/* ---- owners that nobody knows ---- */

static void
add_unknown(CountedStream *stream, CountedMeasure *measure, const KpiTally *tally, DateADT first, DateADT last, LeftOutReason reason)
{
	int64		facts = tally->facts - tally->nonfinite;
	DayAhead   *ahead;
	bool		found;

	count(&measure->reasons[reason], facts, first, last);
	if (first <= stream->today)
		return;
	ahead = hash_search(stream->ahead, &first, HASH_ENTER, &found);
	if (!found)
		ahead->facts = MemoryContextAllocZero(stream->mcxt, stream->nmeasures * sizeof(int64));
	ahead->facts[measure - stream->measures] += facts;
}

/* The rates by which a stream's amounts are converted; NULL: they are not. */
static KpiExchange *
exchange_of(const CountedStream *stream, const KpiStream **converted)
{
	KpiSource  *source;

	if (!stream->has_currency)
		return NULL;
	source = kpi_model_source_load(stream->source_id, true);
	*converted = kpi_model_stream_find(source, stream->id);
	return *converted ? kpi_refresh_exchange_create(CurrentMemoryContext, source) : NULL;
}

static void
count_unknown(CountedStream *stream)
{
	const KpiStream *converted = NULL;
	KpiExchange *exchange;
	KpiLookup	cells;
	List	   *owners;
	ListCell   *lc;

	if (stream->owner_kind == KPI_OWNER_COMPANY ||
		kpi_first_int4("SELECT 1 FROM kpi_internal.rollup_cell r WHERE r.stream_id = $1 AND r.scope_kind = 1 AND r.scope_id = 2"
					   " AND r.grain = 2 AND r.dim_id = 0 LIMIT 1", 1, KPI_INT4(stream->id)) == 0)
		return;
	owners = kpi_all_int4("SELECT DISTINCT a.owner_id FROM kpi_internal.applied_attribution a"
						  " WHERE a.source_id = $1 AND a.owner_kind = $2 AND a.member_id = 0 AND a.teams[1] = 2",
						  2, KPI_INT4(stream->source_id), KPI_INT4(stream->owner_kind));
	exchange = exchange_of(stream, &converted);
	kpi_lookup_open(&cells, "kpi_internal", "day_cell", "day_cell_pkey", 2, GetActiveSnapshot());
	foreach(lc, owners)
	{
		Datum		key[] = {Int32GetDatum(stream->id), Int32GetDatum(lfirst_int(lc))};

		kpi_lookup_begin(&cells, key);
		while (kpi_lookup_next(&cells))
		{
			DateADT		day = DatumGetDateADT(kpi_lookup_column(&cells, DAY_DAY));
			MemoryContext old;

			CHECK_FOR_INTERRUPTS();
			if (DATE_NOT_FINITE(day) ||
				(exchange != NULL &&
				 !kpi_refresh_exchange_has_rate(exchange, converted,
												DatumGetInt32(kpi_lookup_column(&cells, DAY_DIM)), day)))
				continue;
			old = MemoryContextSwitchTo(stream->per_cell);
			tally_cell(stream, kpi_cell_from_datum(kpi_lookup_column(&cells, DAY_CELL)), day, day,
					   lfirst_int(lc) == 0 ? NO_OWNER : UNKNOWN_OWNER, add_unknown);
			MemoryContextSwitchTo(old);
			MemoryContextReset(stream->per_cell);
		}
	}
	kpi_lookup_close(&cells);
}

/* ---- days ahead ---- */

static void
add_ahead(CountedStream *stream, CountedMeasure *measure, const KpiTally *tally, DateADT first, DateADT last, LeftOutReason reason)
{
	int64		facts = tally->facts - tally->nonfinite;
	DayAhead   *unknown = hash_search(stream->ahead, &first, HASH_FIND, NULL);

	if (unknown != NULL)
		facts -= unknown->facts[measure - stream->measures];
	count(&measure->reasons[reason], facts, first, last);
}

static void
count_ahead(CountedStream *stream)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT r.start AS first_day, r.start AS last_day, r.cell, r.recent"
						" FROM kpi_internal.rollup_cell r"
						" WHERE r.stream_id = $1 AND r.scope_kind = 1 AND r.scope_id = 1 AND r.grain = 0 AND r.dim_id = 0"
						" AND r.start > $2",
						2, KPI_INT4(stream->id), KPI_VALUE(DATEOID, DateADTGetDatum(stream->today)));
	tally_rows(stream, &rows, AHEAD, add_ahead);
}

/* ---- all of it ---- */

static void
put_stream(ReturnSetInfo *rsinfo, const CountedStream *stream)
{
	for (int i = 0; i < stream->nmeasures; i++)
	{
		for (int r = 0; r < NREASONS; r++)
		{
			const LeftOut *left_out = &stream->measures[i].reasons[r];
			Datum		values[6];
			bool		nulls[6] = {0};

			if (left_out->facts == 0)
				continue;
			values[0] = Int32GetDatum(stream->source_id);
			values[1] = Int32GetDatum(stream->measures[i].kpi_id);
			values[2] = CStringGetTextDatum(reason_names[r]);
			values[3] = Int64GetDatum(left_out->facts);
			values[4] = DateADTGetDatum(left_out->first);
			values[5] = DateADTGetDatum(left_out->last);
			nulls[4] = nulls[5] = left_out->first > left_out->last;
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
}

static void
count_stream(ReturnSetInfo *rsinfo, CountedStream *stream, bool for_nothing)
{
	HASHCTL		ctl = {.keysize = sizeof(DateADT),.entrysize = sizeof(DayAhead),.hcxt = CurrentMemoryContext};

	stream->mcxt = CurrentMemoryContext;
	stream->ahead = hash_create("pg_kpi days ahead", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	stream->per_cell = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi left out cell", ALLOCSET_DEFAULT_SIZES);
	count_company(stream);
	if (!for_nothing)
	{
		count_unknown(stream);
		count_ahead(stream);
	}
	put_stream(rsinfo, stream);
}

/* Measures by streams; what leaves a balance is the same fact as what comes, and is not counted again. */
static List *
read_streams(int32 source_id)
{
	static const LeftOut nothing = {.first = DATEVAL_NOEND,.last = DATEVAL_NOBEGIN};
	List	   *streams = NIL;
	CountedStream *stream = NULL;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT x.id, x.source_id, x.currency IS NOT NULL AS has_currency, s.owner_kind,"
						" kpi_internal.today_of(s.program) AS today, m.id AS measure_id, m.kpi_id"
						" FROM kpi_internal.stream x"
						" JOIN kpi_internal.measure m ON m.stream_id = x.id AND m.role = 'value'"
						" JOIN kpi_internal.kpi_stream s ON s.stream_id = x.id AND s.kpi_id = m.kpi_id"
						" WHERE $1 IN (0, x.source_id) ORDER BY x.id, m.id", 1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		CountedMeasure *measure;

		if (stream == NULL || stream->id != kpi_rows_int4(&rows, "id"))
		{
			stream = palloc0(sizeof(CountedStream));
			stream->id = kpi_rows_int4(&rows, "id");
			stream->source_id = kpi_rows_int4(&rows, "source_id");
			stream->owner_kind = kpi_rows_int4(&rows, "owner_kind");
			stream->has_currency = kpi_rows_bool(&rows, "has_currency");
			stream->today = kpi_rows_date(&rows, "today", DATEVAL_NOEND);
			stream->measures = palloc0(rows.n * sizeof(CountedMeasure));
			streams = lappend(streams, stream);
		}
		measure = &stream->measures[stream->nmeasures++];
		for (int r = 0; r < NREASONS; r++)
			measure->reasons[r] = nothing;
		measure->id = kpi_rows_int4(&rows, "measure_id");
		measure->kpi_id = kpi_rows_int4(&rows, "kpi_id");
	}
	kpi_rows_end(&rows);
	return streams;
}

/* kpi_internal.left_out_cells(of_source, for_nothing): a NULL source is all. */
Datum
kpi_sql_left_out_cells(PG_FUNCTION_ARGS)
{
	bool		for_nothing = PG_GETARG_BOOL(1);
	KpiSpi		spi;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	kpi_spi_begin(&spi);
	foreach(lc, read_streams(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0)))
		count_stream((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc), for_nothing);
	kpi_spi_end(&spi);
	return (Datum) 0;
}
