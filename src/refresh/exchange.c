/*-------------------------------------------------------------------------
 *
 * exchange.c
 *	  Amounts in currencies: converted where day cells become rollups.
 *
 * A day cell of a stream with a currency has it as the last of its values of
 * dimensions, and amounts as facts have them.  Rollups have amounts of the company's
 * currency: each day cell is multiplied by the rate of its day.  Cells are linear in
 * their amounts, so when a rate changes the rollups change by the day cells it is
 * of, multiplied by the difference; no fact is read.
 *
 * What has no rate counts for nothing.  It is kept as it is under the company's
 * months, with the currency as the value of a dimension behind the source's own
 * (kpi.amount_without_rate shows it), so it is counted as exactly as what counts.
 *
 * Invariant: rollups are by the rates as of source_state.rates_version.  Until
 * kpi_refresh_exchange_follow() a run converts by these: the rates of today, less
 * what kpi_internal.rate_change says has changed since.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "miscadmin.h"
#include "model/model.h"
#include "people/people.h"
#include "refresh/refresh_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Columns of kpi_internal.day_cell and kpi_internal.dim. */
enum
{
	DAY_STREAM = 1,
	DAY_OWNER,
	DAY_DAY,
	DAY_DIM,
	DAY_CELL
};

enum
{
	DIM_ID = 1,
	DIM_SOURCE,
	DIM_POSITION,
	DIM_VALS
};

typedef struct RateKey
{
	char		exchange[NAMEDATALEN];
	char		currency[NAMEDATALEN];
}			RateKey;

/* Ascending; each until the next. */
typedef struct RateList
{
	RateKey		key;
	int			n;
	DateADT    *since;
	Numeric    *rates;			/* NULL: as none */
}			RateList;

/* Which rates amounts of a combination of values are converted by. */
typedef struct CombinationKey
{
	int32		stream_id;
	int32		dim_combination_id;
}			CombinationKey;

typedef struct CombinationEntry
{
	CombinationKey key;
	RateList   *rates;			/* NULL: it has no currency */
}			CombinationEntry;

struct KpiExchange
{
	MemoryContext mcxt;
	const KpiSource *source;
	char	   *own_currency;	/* the company's; or NULL */
	int64		applied;		/* the version that rates are as of */
	int64		current;
	HTAB	   *rates;			/* of RateList */
	HTAB	   *combinations;	/* of CombinationEntry */
};

/* ---- rates ---- */

static void
forget(KpiExchange *exchange)
{
	HASHCTL		rates = {.keysize = sizeof(RateKey),.entrysize = sizeof(RateList),.hcxt = exchange->mcxt};
	HASHCTL		combinations = {.keysize = sizeof(CombinationKey),.entrysize = sizeof(CombinationEntry),
	.hcxt = exchange->mcxt};

	exchange->rates = hash_create("pg_kpi rates", 32, &rates, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	exchange->combinations = hash_create("pg_kpi currencies", 64, &combinations,
										 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

KpiExchange *
kpi_refresh_exchange_create(MemoryContext parent, const KpiSource *source)
{
	KpiExchange *exchange;
	KpiRows		rows;

	if (!kpi_model_source_has_currency(source))
		return NULL;
	exchange = MemoryContextAllocZero(parent, sizeof(KpiExchange));
	exchange->mcxt = AllocSetContextCreate(parent, "pg_kpi exchange", ALLOCSET_DEFAULT_SIZES);
	exchange->source = source;
	exchange->own_currency = kpi_first_text("SELECT currency FROM kpi.company", 0);
	kpi_rows_begin_read(&rows, "SELECT v.rates, coalesce(s.rates_version, v.rates) AS applied FROM kpi_internal.version v"
						" LEFT JOIN kpi_internal.source_state s ON s.source_id = $1", 1, KPI_INT4(source->id));
	if (kpi_rows_next(&rows))
	{
		exchange->current = kpi_rows_int8(&rows, "rates");
		exchange->applied = kpi_rows_int8(&rows, "applied");
	}
	kpi_rows_end(&rows);
	forget(exchange);
	return exchange;
}

static void
add_rate(KpiExchange *exchange, RateList * list, int max, DateADT since, Numeric rate)
{
	MemoryContext old = MemoryContextSwitchTo(exchange->mcxt);

	if (list->n == 0)
	{
		list->since = palloc(max * sizeof(DateADT));
		list->rates = palloc(max * sizeof(Numeric));
	}
	list->since[list->n] = since;
	list->rates[list->n++] = rate ? DatumGetNumericCopy(NumericGetDatum(rate)) : NULL;
	MemoryContextSwitchTo(old);
}

/* Those of the version that is applied: what a later one has changed is what it was. */
static void
read_rates(KpiExchange *exchange, RateList * list)
{
	KpiRows		rows;

	if (exchange->own_currency != NULL && strcmp(exchange->own_currency, list->key.currency) == 0)
	{
		add_rate(exchange, list, 1, DATEVAL_NOBEGIN, int64_to_numeric(1));
		return;
	}
	kpi_rows_begin_read(&rows, "SELECT coalesce(c.since, r.since) AS since,"
						"  CASE WHEN c.since IS NULL THEN r.rate ELSE c.rate END AS rate"
						" FROM (SELECT since, rate FROM kpi.exchange_rate WHERE exchange = $1 AND currency = $2) r"
						" FULL JOIN (SELECT DISTINCT ON (since) since, rate FROM kpi_internal.rate_change"
						"  WHERE exchange = $1 AND currency = $2 AND version > $3 ORDER BY since, version) c"
						"  ON c.since = r.since"
						" WHERE c.since IS NULL OR c.rate IS NOT NULL ORDER BY 1",
						3, KPI_TEXT(list->key.exchange), KPI_TEXT(list->key.currency), KPI_INT8(exchange->applied));
	while (kpi_rows_next(&rows))
	{
		bool		isnull;
		Datum		rate = kpi_rows_datum(&rows, "rate", &isnull);

		add_rate(exchange, list, rows.n, kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN), DatumGetNumeric(rate));
	}
	kpi_rows_end(&rows);
}

static RateList *
find_rates(KpiExchange *exchange, const char *name, const char *currency)
{
	RateKey		key;
	RateList   *list;
	bool		found;

	memset(&key, 0, sizeof(key));
	strlcpy(key.exchange, name, sizeof(key.exchange));
	strlcpy(key.currency, currency, sizeof(key.currency));
	list = hash_search(exchange->rates, &key, HASH_ENTER, &found);
	if (!found)
	{
		list->n = 0;
		read_rates(exchange, list);
	}
	return list;
}

/* The last of a combination's values; NULL if that is none, or no code at all. */
static char *
currency_of(int32 dim_combination_id)
{
	char	   *currency = NULL;
	Datum	   *vals;
	bool	   *nulls;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(kpi_refresh_dim_combination(dim_combination_id)), TEXTOID, -1, false,
					  TYPALIGN_INT, &vals, &nulls, &n);
	if (!nulls[n - 1] && VARSIZE_ANY_EXHDR(DatumGetPointer(vals[n - 1])) < NAMEDATALEN)
		currency = TextDatumGetCString(vals[n - 1]);
	return currency;
}

static RateList *
rates_of(KpiExchange *exchange, const KpiStream *stream, int32 dim_combination_id)
{
	CombinationKey key = {stream->id, dim_combination_id};
	CombinationEntry *entry = hash_search(exchange->combinations, &key, HASH_FIND, NULL);
	char	   *currency;
	RateList   *rates;
	bool		found;

	if (entry != NULL)
		return entry->rates;
	currency = currency_of(dim_combination_id);
	rates = currency ? find_rates(exchange, stream->exchange, currency) : NULL;
	entry = hash_search(exchange->combinations, &key, HASH_ENTER, &found);
	entry->rates = rates;
	return rates;
}

/* NULL: there is none on that day. */
static Numeric
rate_on(const RateList * list, DateADT day)
{
	int			low = 0;
	int			high = list ? list->n : 0;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (list->since[middle] <= day)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? NULL : list->rates[low - 1];
}

/* ---- converting ---- */

KpiCell *
kpi_refresh_exchange_convert(KpiRun *run, const KpiStream *stream, const KpiCellItem *item)
{
	Numeric		rate;

	if (stream->currency == NULL || run->exchange == NULL)
		return item->cell;
	rate = rate_on(rates_of(run->exchange, stream, item->key.day.dim_combination_id), item->key.day.day);
	return rate == NULL ? NULL : kpi_cell_scale(item->cell, rate);
}

bool
kpi_refresh_exchange_has_rate(KpiExchange *exchange, const KpiStream *stream, int32 dim_combination_id,
							  DateADT day)
{
	if (stream->currency == NULL || exchange == NULL)
		return true;
	return rate_on(rates_of(exchange, stream, dim_combination_id), day) != NULL;
}

Numeric
kpi_refresh_exchange_rate(KpiExchange *exchange, const KpiStream *stream, const char *currency, DateADT day)
{
	return strlen(currency) < NAMEDATALEN ? rate_on(find_rates(exchange, stream->exchange, currency), day) : NULL;
}

/* The company's month and the currency, as the value of a dimension behind the source's own. */
static KpiCellKey
left_out_key(KpiRun *run, const KpiCellItem *item)
{
	const KpiDayKey *day = &item->key.day;
	KpiCellKey	key = {.rollup = {
			day->stream_id, KPI_SCOPE_TEAM, KPI_TEAM_COMPANY, KPI_MONTH,
			kpi_refresh_dim_value(run->source, day->dim_combination_id, run->source->ndims + 1),
			kpi_calendar_period_start(KPI_MONTH, day->day, kpi_calendar_get(KPI_DEFAULT_CALENDAR))
	}};

	return key;
}

void
kpi_refresh_exchange_leave_out(KpiRun *run, const KpiCellItem *item, KpiCellMap *rollups)
{
	KpiCellKey	key = left_out_key(run, item);

	kpi_refresh_cellmap_add(rollups, &key, item->cell);
}

/* ---- rates that have changed ---- */

typedef struct Moved
{
	KpiExchange before;
	KpiExchange *after;
	KpiCellMap *differences;	/* of converted day cells */
	KpiCellMap *rollups;
}			Moved;

static void
add_difference(KpiRun *run, Moved * moved, const KpiStream *stream, const KpiCellItem *item)
{
	int32		combination = item->key.day.dim_combination_id;
	Numeric		before = rate_on(rates_of(&moved->before, stream, combination), item->key.day.day);
	Numeric		after = rate_on(rates_of(moved->after, stream, combination), item->key.day.day);
	KpiCellKey	left_out;

	if (before == after ||
		(before != NULL && after != NULL &&
		 DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(before), NumericGetDatum(after)))))
		return;
	left_out = left_out_key(run, item);
	if (before != NULL)
		kpi_refresh_cellmap_subtract(moved->differences, &item->key, kpi_cell_scale(item->cell, before));
	else
		kpi_refresh_cellmap_subtract(moved->rollups, &left_out, item->cell);
	if (after != NULL)
		kpi_refresh_cellmap_add(moved->differences, &item->key, kpi_cell_scale(item->cell, after));
	else
		kpi_refresh_cellmap_add(moved->rollups, &left_out, item->cell);
}

/* The stored day cells of a stream on these days; until is exclusive. */
static void
add_differences(KpiRun *run, Moved * moved, int s, DateADT since, DateADT until)
{
	const KpiStream *stream = &run->source->streams[s];
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "day_cell"), AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext per_cell = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi exchange cell",
												   ALLOCSET_DEFAULT_SIZES);

	ScanKeyInit(&keys[0], DAY_STREAM, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(stream->id));
	ScanKeyInit(&keys[1], DAY_DAY, BTGreaterEqualStrategyNumber, F_DATE_GE, DateADTGetDatum(since));
	ScanKeyInit(&keys[2], DAY_DAY, BTLessStrategyNumber, F_DATE_LT, DateADTGetDatum(until));
	scan = systable_beginscan(rel, kpi_relation_oid("kpi_internal", "day_cell_day_idx"), true, run->snapshot,
							  lengthof(keys), keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		MemoryContext old = MemoryContextSwitchTo(per_cell);
		KpiCellItem item = {.key = {.columns = {0}}};
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		item.key.day.stream_id = stream->id;
		item.key.day.owner_id = DatumGetInt32(heap_getattr(tuple, DAY_OWNER, desc, &isnull));
		item.key.day.day = DatumGetDateADT(heap_getattr(tuple, DAY_DAY, desc, &isnull));
		item.key.day.dim_combination_id = DatumGetInt32(heap_getattr(tuple, DAY_DIM, desc, &isnull));
		item.cell = DatumGetKpiCellPCopy(heap_getattr(tuple, DAY_CELL, desc, &isnull));
		kpi_refresh_drop_unknown_states(item.cell, stream);
		kpi_refresh_build_drop_rollups(run, s, item.cell, item.key.day.day);
		add_difference(run, moved, stream, &item);
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_cell);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	MemoryContextDelete(per_cell);
}

/*
 * The days within which rates of an exchange are others: from the first that has changed until
 * the next of its currency, before or after the change.  False: none is.
 */
static bool
changed_days(const KpiExchange *exchange, const KpiStream *stream, DateADT *since, DateADT *until)
{
	KpiRows		rows;
	bool		found;

	kpi_rows_begin_read(&rows, "SELECT pg_catalog.min(c.since) AS since,"
						" pg_catalog.max(coalesce(least("
						"  (SELECT pg_catalog.min(r.since) FROM kpi.exchange_rate r"
						"    WHERE r.exchange = c.exchange AND r.currency = c.currency AND r.since > c.since),"
						"  (SELECT pg_catalog.min(o.since) FROM kpi_internal.rate_change o"
						"    WHERE o.exchange = c.exchange AND o.currency = c.currency AND o.since > c.since AND o.version > $2)),"
						"  'infinity')) AS until"
						" FROM kpi_internal.rate_change c"
						" WHERE c.exchange = $1 AND c.version > $2 HAVING pg_catalog.count(*) > 0",
						2, KPI_TEXT(stream->exchange), KPI_INT8(exchange->applied));
	found = kpi_rows_next(&rows);
	if (found)
	{
		*since = Max(kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN), kpi_calendar_first_fact_day());
		*until = kpi_rows_date(&rows, "until", DATEVAL_NOEND);
	}
	kpi_rows_end(&rows);
	return found;
}

void
kpi_refresh_exchange_follow(KpiRun *run, KpiCellMap *rollups)
{
	KpiExchange *exchange = run->exchange;
	Moved		moved = {.after = exchange,.rollups = rollups};
	KpiCellMap *none;
	DateADT		since;
	DateADT		until;

	if (exchange == NULL || exchange->applied == exchange->current)
		return;
	moved.before = *exchange;
	exchange->applied = exchange->current;
	forget(exchange);
	moved.differences = kpi_refresh_cellmap_create(run);
	for (int s = 0; s < run->source->nstreams; s++)
	{
		if (run->source->streams[s].currency != NULL &&
			changed_days(&moved.before, &run->source->streams[s], &since, &until))
			add_differences(run, &moved, s, since, until);
	}
	kpi_refresh_cellmap_sort(moved.differences);
	/* What is converted already. */
	run->exchange = NULL;
	kpi_refresh_fanout(run, moved.differences, rollups);
	run->exchange = exchange;
	kpi_refresh_change_add_days(run, moved.differences);
	none = kpi_refresh_cellmap_create(run);
	kpi_refresh_cellmap_sort(none);
	kpi_refresh_rollups_queue(run, moved.differences, none);
	kpi_refresh_cellmap_free(none);
	kpi_refresh_cellmap_free(moved.differences);
}

bool
kpi_refresh_exchange_waits(const KpiRun *run)
{
	return run->exchange != NULL && run->exchange->applied != run->exchange->current;
}

void
kpi_refresh_exchange_save(const KpiRun *run)
{
	KpiSpi		spi;

	if (run->exchange == NULL)
		return;
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.source_state SET rates_version = $2 WHERE source_id = $1"
				 " AND rates_version IS DISTINCT FROM $2",
				 2, KPI_INT4(run->source->id), KPI_INT8(run->exchange->applied));
	kpi_spi_end(&spi);
}
