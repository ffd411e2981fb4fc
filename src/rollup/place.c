/*-------------------------------------------------------------------------
 *
 * place.c
 *	  Which rows of a rollup table are to be looked at.
 *
 * Places come from the queue that refreshes fill (refresh/rollup_queue.c).  What
 * moves all rows (names, who is where, what a KPI means, how periods are cut) is
 * not followed place by place: the state of a table has, as text, what its rows
 * were written by, and when it is another, all places of the table are put into
 * the queue, to be worked off like any others.
 *
 * Everything is read under the active snapshot, and only what it shows of the
 * queue is taken out, so that values are never older than the places.
 *
 * Locks: ROW EXCLUSIVE on the queue.  The caller holds the rollup's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "refresh/refresh.h"
#include "rollup/rollup_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* About as many as one transaction should write. */
#define BATCH_PLACES 1000

/* ---- lists of places ---- */

static int
compare_places(const void *a, const void *b)
{
	const KpiRollupPlace *one = a;
	const KpiRollupPlace *other = b;
	int			difference = 0;

	if (one->scope_id != other->scope_id)
		return one->scope_id < other->scope_id ? -1 : 1;
	if (one->label != NULL && other->label != NULL)
		difference = strcmp(one->label, other->label);
	if (difference != 0)
		return difference;
	return one->start < other->start ? -1 : one->start > other->start;
}

/* In the order of the key, each once. */
static void
sort_places(KpiRollupPlaces *places)
{
	int			n = 0;

	if (places->n == 0)
		return;
	qsort(places->items, places->n, sizeof(KpiRollupPlace), compare_places);
	for (int i = 1; i < places->n; i++)
	{
		if (compare_places(&places->items[n], &places->items[i]) != 0)
			places->items[++n] = places->items[i];
	}
	places->n = n + 1;
}

static KpiParam
array_of(Oid type, int typlen, bool typbyval, Oid array_type, Datum *values, int n)
{
	return KPI_VALUE(array_type, PointerGetDatum(construct_array(values, n, type, typlen, typbyval, TYPALIGN_INT)));
}

void
kpi_rollup_places_params(const KpiRollup *rollup, const KpiRollupPlaces *places,
						 KpiParam *scopes, KpiParam *starts, KpiParam *labels)
{
	Datum	   *values = palloc(Max(places->n, 1) * sizeof(Datum));

	for (int i = 0; i < places->n; i++)
		values[i] = Int32GetDatum(places->items[i].scope_id);
	*scopes = array_of(INT4OID, sizeof(int32), true, INT4ARRAYOID, values, places->n);
	for (int i = 0; i < places->n; i++)
		values[i] = DateADTGetDatum(places->items[i].start);
	*starts = array_of(DATEOID, sizeof(DateADT), true, DATEARRAYOID, values, places->n);
	*labels = KPI_NULL(TEXTARRAYOID);
	if (rollup->dimension == NULL)
		return;
	for (int i = 0; i < places->n; i++)
		values[i] = CStringGetTextDatum(places->items[i].label);
	*labels = array_of(TEXTOID, -1, false, TEXTARRAYOID, values, places->n);
}

/* Adds the places in a row's columns scope_ids, starts and labels. */
static void
append_places(KpiRollupPlaces *places, const KpiRollup *rollup, KpiRows *row)
{
	Datum	   *scopes;
	Datum	   *starts;
	Datum	   *labels = NULL;
	int			n;
	int			same;
	bool		isnull;

	deconstruct_array(DatumGetArrayTypeP(kpi_rows_datum(row, "scope_ids", &isnull)), INT4OID, sizeof(int32), true,
					  TYPALIGN_INT, &scopes, NULL, &n);
	deconstruct_array(DatumGetArrayTypeP(kpi_rows_datum(row, "starts", &isnull)), DATEOID, sizeof(DateADT), true,
					  TYPALIGN_INT, &starts, NULL, &same);
	if (rollup->dimension != NULL)
		deconstruct_array(DatumGetArrayTypeP(kpi_rows_datum(row, "labels", &isnull)), TEXTOID, -1, false,
						  TYPALIGN_INT, &labels, NULL, &same);
	places->items = places->items == NULL ? palloc(n * sizeof(KpiRollupPlace)) :
		repalloc(places->items, (places->n + n) * sizeof(KpiRollupPlace));
	for (int i = 0; i < n; i++)
	{
		KpiRollupPlace *place = &places->items[places->n++];

		place->scope_id = DatumGetInt32(scopes[i]);
		place->start = DatumGetDateADT(starts[i]);
		place->label = labels ? TextDatumGetCString(labels[i]) : NULL;
	}
}

/* ---- the queue ---- */

static void
forget(const KpiRollup *rollup, List *ids)
{
	Datum	   *values = palloc(list_length(ids) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;
	KpiSpi		spi;

	foreach(lc, ids)
		values[n++] = Int64GetDatum(*(int64 *) lfirst(lc));
	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.rollup_queue q WHERE q.id = ANY ($1)", 1,
				 KPI_VALUE(INT8ARRAYOID, PointerGetDatum(construct_array(values, n, INT8OID, sizeof(int64),
																		 FLOAT8PASSBYVAL, TYPALIGN_DOUBLE))));
	kpi_spi_end(&spi);
}

KpiRollupPlaces
kpi_rollup_places_take(const KpiRollup *rollup)
{
	KpiRollupPlaces places = {0};
	List	   *ids = NIL;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT q.id, q.scope_ids, q.starts, q.labels FROM kpi_internal.rollup_queue q"
						" WHERE q.rollup_id = $1 ORDER BY q.id LIMIT 1000", 1, KPI_INT4(rollup->id));
	while (places.n < BATCH_PLACES && kpi_rows_next(&rows))
	{
		int64	   *id = palloc(sizeof(int64));

		*id = kpi_rows_int8(&rows, "id");
		ids = lappend(ids, id);
		append_places(&places, rollup, &rows);
	}
	kpi_rows_end(&rows);
	if (ids != NIL)
		forget(rollup, ids);
	sort_places(&places);
	return places;
}

char *
kpi_rollup_new_shape(const KpiRollupTable *table)
{
	char	   *shape = NULL;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT a.shape FROM kpi_internal.rollup_agenda a"
						" LEFT JOIN kpi_internal.rollup_state s ON s.rollup_id = a.rollup_id"
						" WHERE a.rollup_id = $1 AND (a.must_compare_all OR s.relid IS DISTINCT FROM $2)",
						2, KPI_INT4(table->rollup->id), KPI_VALUE(OIDOID, ObjectIdGetDatum(table->relid)));
	if (kpi_rows_next(&rows))
		shape = kpi_rows_text(&rows, "shape");
	kpi_rows_end(&rows);
	return shape;
}

/* ---- all places ---- */

/* Cells and places of KPIs $1, of grain $2, that begin on $3 or later. */
#define CELLS_OF(cells, scope_kind, dims) \
	" FROM kpi_internal.kpi_stream s JOIN " cells " c ON c.stream_id = s.stream_id" dims \
	" WHERE s.kpi_id = ANY ($1) AND c.grain = $2 AND c.start >= $3" \
	" AND c.scope_kind = " scope_kind

/* What facts bring, and each period of the scopes of balances, as the views have them. */
#define ROLLUP_CELLS \
	"LATERAL (SELECT r.stream_id, r.scope_kind, r.scope_id, r.grain, r.dim_id, r.start FROM kpi_internal.rollup_cell r" \
	" UNION ALL SELECT a.stream_id, a.scope_kind, a.scope_id, p.grain, a.dim_id, p.start" \
	" FROM kpi.calendar o" \
	" CROSS JOIN LATERAL kpi_internal.carried_periods(s.stream_id, $2, o.week_start, o.fiscal_year_start) p" \
	" JOIN kpi_internal.rollup_cell a ON a.stream_id = s.stream_id AND a.grain = 5 AND a.start <= p.last_day" \
	" WHERE s.is_carried AND o.id = 1)"

#define TEAM_CELLS CELLS_OF(ROLLUP_CELLS, "1", "") " AND c.dim_id = 0"
#define MEMBER_CELLS CELLS_OF(ROLLUP_CELLS, "2", "") " AND c.dim_id = 0"
#define MEMBER_DAYS CELLS_OF("kpi_internal.member_day", "2", " AND c.source_id = s.source_id AND c.owner_kind = s.owner_kind")
#define DIMENSION_CELLS \
	CELLS_OF(ROLLUP_CELLS, "1", \
			 " JOIN kpi_internal.dim x ON x.id = c.dim_id AND x.source_id = s.source_id" \
			 " JOIN kpi.dimension d ON d.source_id = s.source_id AND d.position = x.position AND d.name = $4" \
			 "  AND s.has_breakdown")

#define ALL_PLACES(cells, label) \
	"SELECT DISTINCT c.scope_id, c.start, " label " AS label" cells " ORDER BY 1, 3, 2"

/* Of the places $5, $6, $7 those without such a cell. */
#define PLACES_WITHOUT(cells) \
	"SELECT u.scope_id, u.start, u.label FROM unnest($5, $6, $7) u (scope_id, start, label)" \
	" WHERE NOT EXISTS (SELECT" cells " AND c.scope_id = u.scope_id AND c.start = u.start"

static const char *
all_places(const KpiRollup *rollup)
{
	if (rollup->dimension != NULL)
		return ALL_PLACES(DIMENSION_CELLS, "kpi_internal.dimension_label(x.vals[1])");
	if (!rollup->of_members)
		return ALL_PLACES(TEAM_CELLS, "NULL::text");
	return rollup->grain == KPI_DAY ? ALL_PLACES(MEMBER_DAYS, "NULL::text") : ALL_PLACES(MEMBER_CELLS, "NULL::text");
}

static const char *
places_without(const KpiRollup *rollup)
{
	if (rollup->dimension != NULL)
		return PLACES_WITHOUT(DIMENSION_CELLS) " AND kpi_internal.dimension_label(x.vals[1]) = u.label)";
	if (!rollup->of_members)
		return PLACES_WITHOUT(TEAM_CELLS) " AND $4::text IS NULL)";
	return rollup->grain == KPI_DAY ? PLACES_WITHOUT(MEMBER_DAYS) " AND $4::text IS NULL)" :
		PLACES_WITHOUT(MEMBER_CELLS) " AND $4::text IS NULL)";
}

/* The places in rows (scope_id, start, label), into the current memory. */
static KpiRollupPlaces
read_places(SPITupleTable *table, uint64 n)
{
	KpiRollupPlaces places = {.n = (int) n,.items = palloc(Max(n, 1) * sizeof(KpiRollupPlace))};

	for (int i = 0; i < places.n; i++)
	{
		bool		isnull;

		places.items[i].scope_id = DatumGetInt32(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		places.items[i].start = DatumGetDateADT(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));
		places.items[i].label = SPI_getvalue(table->vals[i], table->tupdesc, 3);
	}
	return places;
}

/* Where the first period begins that the table has. */
static DateADT
first_start(const KpiRollup *rollup)
{
	return kpi_calendar_period_start(rollup->grain, kpi_calendar_day_clamp(rollup->since),
									 kpi_calendar_get(KPI_DEFAULT_CALENDAR));
}

typedef struct Visitor
{
	void		(*visit) (const KpiRollupPlaces *places, void *arg);
	void	   *arg;
	MemoryContext context;		/* of one call */
} Visitor;

static void
visit		(Visitor *visitor, const KpiRollupPlaces *places)
{
	MemoryContext old = MemoryContextSwitchTo(visitor->context);

	if (places->n > 0)
		visitor->visit(places, visitor->arg);
	MemoryContextSwitchTo(old);
}

static void
visit_cells(const KpiRollup *rollup, Visitor *visitor)
{
	Oid			types[] = {INT4ARRAYOID, INT4OID, DATEOID, TEXTOID};
	Datum		values[] = {
		kpi_rollup_kpis_param(rollup).value, Int32GetDatum(rollup->grain), DateADTGetDatum(first_start(rollup)),
		KPI_TEXT(rollup->dimension).value
	};
	int			nargs = rollup->dimension != NULL ? 4 : 3;
	Portal		portal;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	portal = SPI_cursor_open_with_args(NULL, all_places(rollup), nargs, types, values, NULL, true, 0);
	for (;;)
	{
		KpiRollupPlaces places;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(visitor->context);
		SPI_cursor_fetch(portal, true, BATCH_PLACES);
		if (SPI_processed == 0)
			break;
		places = read_places(SPI_tuptable, SPI_processed);
		visit		(visitor, &places);

		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	kpi_spi_end(&spi);
}

/* Of some keys of the table those at whose place there is nothing (any more). */
static KpiRollupPlaces
leftovers(const KpiRollup *rollup, const KpiRollupPlaces *keys)
{
	KpiParam	scopes;
	KpiParam	starts;
	KpiParam	labels;
	KpiRows		rows;
	KpiRollupPlaces places;

	kpi_rollup_places_params(rollup, keys, &scopes, &starts, &labels);
	kpi_rows_begin_read(&rows, places_without(rollup), 7, kpi_rollup_kpis_param(rollup),
						KPI_INT4(rollup->grain), KPI_VALUE(DATEOID, DateADTGetDatum(first_start(rollup))),
						KPI_TEXT(rollup->dimension), scopes, starts, labels);
	places = read_places(rows.table, rows.n);
	kpi_rows_end(&rows);
	return places;
}

static void
visit_leftovers(const KpiRollupTable *table, Visitor *visitor)
{
	MemoryContext caller = MemoryContextSwitchTo(visitor->context);
	KpiRollupPlace last = {0};
	bool		is_first = true;

	for (;;)
	{
		KpiRollupPlaces keys;
		KpiRollupPlaces places;

		CHECK_FOR_INTERRUPTS();
		keys = kpi_rollup_table_keys(table, is_first ? NULL : &last);
		if (keys.n == 0)
			break;
		places = leftovers(table->rollup, &keys);
		visit		(visitor, &places);

		last = keys.items[keys.n - 1];
		is_first = false;
		if (last.label != NULL)
			last.label = MemoryContextStrdup(caller, last.label);
		MemoryContextReset(visitor->context);
	}
	MemoryContextSwitchTo(caller);
}

void
kpi_rollup_places_all(const KpiRollupTable *table,
					  void (*visit_places) (const KpiRollupPlaces *places, void *arg), void *arg)
{
	Visitor		visitor = {.visit = visit_places,.arg = arg};

	visitor.context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi rollup places", ALLOCSET_DEFAULT_SIZES);
	visit_cells(table->rollup, &visitor);
	visit_leftovers(table, &visitor);
	MemoryContextDelete(visitor.context);
}

static void
queue_places(const KpiRollupPlaces *places, void *arg)
{
	const KpiRollup *rollup = arg;
	KpiParam	scopes;
	KpiParam	starts;
	KpiParam	labels;
	KpiSpi		spi;

	kpi_rollup_places_params(rollup, places, &scopes, &starts, &labels);
	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.rollup_queue (rollup_id, scope_ids, starts, labels) VALUES ($1, $2, $3, $4)",
				 4, KPI_INT4(rollup->id), scopes, starts, labels);
	kpi_spi_end(&spi);
}

void
kpi_rollup_places_queue_all(const KpiRollupTable *table)
{
	const KpiRollup *rollup = table->rollup;
	List	   *ids = NIL;
	KpiRows		rows;

	/* What the snapshot shows, and nothing that has come since. */
	kpi_rows_begin_read(&rows, "SELECT q.id FROM kpi_internal.rollup_queue q WHERE q.rollup_id = $1",
						1, KPI_INT4(rollup->id));
	while (kpi_rows_next(&rows))
	{
		int64	   *id = palloc(sizeof(int64));

		*id = kpi_rows_int8(&rows, "id");
		ids = lappend(ids, id);
	}
	kpi_rows_end(&rows);
	if (ids != NIL)
		forget(rollup, ids);
	kpi_rollup_places_all(table, queue_places, unconstify(KpiRollup *, rollup));
}
