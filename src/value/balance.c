/*-------------------------------------------------------------------------
 *
 * balance.c
 *	  What is held: balances, by sums over all days before one.
 *
 * What is held when a day ends is the sum of all that has arrived and left until
 * then.  So of cells of whole years (KPI_ANCHOR_YEAR), of the months since and
 * the days since then: three ranges of an index in each of the two streams, that of what
 * arrives and that of what leaves.  Who goes through the periods of a team asks for one
 * after the other, so the sums met last are kept for each of the balances and scopes met last,
 * as long as the active snapshot shows the same, and another is made of the nearest by what lies
 * between.
 *
 * A balance is there from the scope's first day on, also where all has left again.  Of a
 * period that is open it is that of today: what is dated later does not count yet.
 *
 * As in cells.c: no SPI, the active snapshot, ACCESS SHARE on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/base.h"
#include "common/hashfn.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "value/value_internal.h"

/* ---- what is kept ---- */

#define HOLDINGS 64				/* a power of 2 */
#define POINTS 8				/* one row asks for four at most: as in
								 * cells.c */

/* Days between two sums beyond which years are fewer cells. */
#define NEAR_DAYS 200

/* Whose balance, of which measures; each column counts as a key. */
typedef struct HoldingKey
{
	KpiDays		days;			/* of the stream of what arrives; since and
								 * until are 0 */
	int32		measure_id;
	int32		end_stream_id;
	int32		end_measure_id;
} HoldingKey;

/* The sum of all days before one: a state of each of the two measures. */
typedef struct Point
{
	DateADT		until;
	KpiCell    *sum;			/* NULL: not in use */
} Point;

typedef struct Holding
{
	HoldingKey	key;
	bool		used;
	bool		has_first;
	DateADT		first;			/* first day with cells, once has_first;
								 * DATEVAL_NOEND: there is none */
	int			oldest;			/* point to be replaced next */
	Point		points[POINTS];
} Holding;

static KpiSnapshotNote holdings_snapshot;
static MemoryContext holdings_cxt = NULL;
static Holding *holdings = NULL;

static void
forget_all(void)
{
	if (holdings_cxt == NULL)
		holdings_cxt = AllocSetContextCreate(TopMemoryContext, "pg_kpi balances", ALLOCSET_DEFAULT_SIZES);
	holdings = NULL;
	MemoryContextReset(holdings_cxt);
	holdings = MemoryContextAllocZero(holdings_cxt, HOLDINGS * sizeof(Holding));
}

static void
forget_points(Holding *holding)
{
	for (int i = 0; i < POINTS; i++)
	{
		if (holding->points[i].sum != NULL)
			pfree(holding->points[i].sum);
		holding->points[i].sum = NULL;
	}
}

/* The entry of a balance and scope, emptied of another's. */
static Holding *
find_holding(const KpiProgramNode *node, const KpiPlace *place)
{
	HoldingKey	key = {
		.days = {
			.source_id = node->source_id,.stream_id = node->stream_id,.owner_kind = node->owner_kind,
			.scope_kind = place->scope_kind,.scope_id = place->scope_id,.dim_id = place->dim_id,
			.detail = node->detail
		},
		.measure_id = node->measure_id,.end_stream_id = node->end_stream_id,.end_measure_id = node->end_measure_id
	};
	Holding    *holding;

	if (kpi_snapshot_changed(&holdings_snapshot) || holdings == NULL)
		forget_all();
	holding = &holdings[hash_bytes((const unsigned char *) &key, sizeof(key)) & (HOLDINGS - 1)];
	if (holding->used && memcmp(&holding->key, &key, sizeof(key)) == 0)
		return holding;
	forget_points(holding);
	holding->used = true;
	holding->has_first = false;
	holding->key = key;
	return holding;
}

/* ---- sums ---- */

typedef struct Summing
{
	KpiCell    *sum;
	int32		measure_id;
	bool		subtract;
} Summing;

static void
add_cell(void *arg, DateADT start, Datum datum)
{
	Summing    *summing = arg;
	const KpiCell *cell = kpi_cell_of_measure(datum, summing->measure_id);

	if (summing->subtract)
		summing->sum = kpi_cell_subtract(summing->sum, cell);
	else
		summing->sum = kpi_cell_merge(summing->sum, cell);
}

/* Adds the cells of a grain that begin on these days, of both streams, or takes them from the sum. */
static KpiCell *
add_cells(KpiCell *sum, const Holding *holding, KpiGrain grain, DateADT since, DateADT until, bool subtract)
{
	Summing		summing = {sum, holding->key.measure_id, subtract};
	KpiDays		days = holding->key.days;

	if (since >= until)
		return sum;
	days.since = since;
	days.until = until;
	kpi_value_each_cell(&days, grain, add_cell, &summing);
	if (holding->key.end_stream_id == 0)
		return summing.sum;
	summing.measure_id = holding->key.end_measure_id;
	days.stream_id = holding->key.end_stream_id;
	kpi_value_each_cell(&days, grain, add_cell, &summing);
	return summing.sum;
}

static DateADT
start_of(KpiGrain grain, DateADT day)
{
	static const KpiCalendar any = {.week_start = 1,.fiscal_start = 1};

	return kpi_calendar_period_start(grain, day, &any);
}

/* Adds days since a month's first, by themselves or as the month less the others. */
static KpiCell *
add_begun_month(KpiCell *sum, const Holding *holding, DateADT month, DateADT until, bool subtract)
{
	DateADT		end = kpi_calendar_period_shift(KPI_MONTH, month, 1, NULL);

	if (until - month <= (end - month) / 2)
		return add_cells(sum, holding, KPI_DAY, month, until, subtract);
	sum = add_cells(sum, holding, KPI_MONTH, month, end, subtract);
	return add_cells(sum, holding, KPI_DAY, until, end, !subtract);
}

/* Days within one month alone; else the months between, and what has begun of the last less what had of the first. */
static KpiCell *
add_days(KpiCell *sum, const Holding *holding, DateADT since, DateADT until, bool subtract)
{
	DateADT		first = start_of(KPI_MONTH, since);
	DateADT		last = start_of(KPI_MONTH, until);

	if (first == last)
		return add_cells(sum, holding, KPI_DAY, since, until, subtract);
	sum = add_begun_month(sum, holding, first, since, !subtract);
	sum = add_cells(sum, holding, KPI_MONTH, first, last, subtract);
	return add_begun_month(sum, holding, last, until, subtract);
}

static KpiCell *
sum_before(const Holding *holding, DateADT until)
{
	DateADT		year = start_of(KPI_ANCHOR_YEAR, until);
	DateADT		month = start_of(KPI_MONTH, until);
	KpiCell    *sum = kpi_cell_empty();

	sum = add_cells(sum, holding, KPI_ANCHOR_YEAR, kpi_calendar_first_fact_day(), year, false);
	sum = add_cells(sum, holding, KPI_MONTH, year, month, false);
	return add_begun_month(sum, holding, month, until, false);
}

/* The kept sum of the nearest day, or NULL. */
static const Point *
nearest_point(const Holding *holding, DateADT until)
{
	const Point *nearest = NULL;

	for (int i = 0; i < POINTS; i++)
	{
		const Point *point = &holding->points[i];

		if (point->sum != NULL && (nearest == NULL || abs(point->until - until) < abs(nearest->until - until)))
			nearest = point;
	}
	return nearest;
}

/* The sum of all days before one; valid until the next few are asked for. */
static const KpiCell *
held_before(Holding *holding, DateADT until)
{
	const Point *near = nearest_point(holding, until);
	Point	   *point;
	KpiCell    *sum;

	if (near != NULL && near->until == until)
		return near->sum;
	if (near == NULL || abs(near->until - until) > NEAR_DAYS)
		sum = sum_before(holding, until);
	else
	{
		sum = palloc(VARSIZE(near->sum));
		memcpy(sum, near->sum, VARSIZE(near->sum));
		sum = near->until < until ? add_days(sum, holding, near->until, until, false) :
			add_days(sum, holding, until, near->until, true);
	}
	sum = kpi_cell_pack(sum);
	point = &holding->points[holding->oldest];
	holding->oldest = (holding->oldest + 1) % POINTS;
	if (point->sum != NULL)
		pfree(point->sum);
	point->sum = NULL;
	point->sum = MemoryContextAlloc(holdings_cxt, VARSIZE(sum));
	memcpy(point->sum, sum, VARSIZE(sum));
	point->until = until;
	return point->sum;
}

/* ---- the first day ---- */

typedef struct First
{
	int32		measure_id;
	DateADT		start;
} First;

static void
find_first(void *arg, DateADT start, Datum cell)
{
	First	   *first = arg;

	if (start < first->start && !kpi_cell_is_empty(kpi_cell_of_measure(cell, first->measure_id)))
		first->start = start;
}

/* Nothing leaves before something has arrived. */
static DateADT
first_cell(const Holding *holding, KpiGrain grain, DateADT since, DateADT until)
{
	First		first = {holding->key.measure_id, DATEVAL_NOEND};
	KpiDays		days = holding->key.days;

	days.since = since;
	days.until = until;
	kpi_value_each_cell(&days, grain, find_first, &first);
	return first.start;
}

static DateADT
first_day(Holding *holding)
{
	DateADT		first;

	if (holding->has_first)
		return holding->first;
	first = first_cell(holding, KPI_ANCHOR_YEAR, kpi_calendar_first_fact_day(), kpi_calendar_last_fact_day() + 1);
	if (first != DATEVAL_NOEND)
		first = first_cell(holding, KPI_MONTH, first, kpi_calendar_period_shift(KPI_ANCHOR_YEAR, first, 1, NULL));
	if (first != DATEVAL_NOEND)
		first = first_cell(holding, KPI_DAY, first, kpi_calendar_period_shift(KPI_MONTH, first, 1, NULL));
	holding->first = first;
	holding->has_first = true;
	return first;
}

/* The first year of all scopes: found by the index of periods. */
bool
kpi_value_first_year(int32 stream_id, DateADT *start)
{
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "rollup_cell"), AccessShareLock);
	Relation	index = index_open(kpi_relation_oid("kpi_internal", "rollup_cell_period_idx"), AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;
	bool		found;

	kpi_value_key(&keys[0], Anum_rollup_stream_id, stream_id);
	kpi_value_key(&keys[1], Anum_rollup_grain, KPI_ANCHOR_YEAR);
	scan = systable_beginscan_ordered(rel, index, GetActiveSnapshot(), lengthof(keys), keys);
	tuple = systable_getnext_ordered(scan, ForwardScanDirection);
	found = HeapTupleIsValid(tuple);
	if (found)
		*start = DatumGetDateADT(heap_getattr(tuple, Anum_rollup_start, RelationGetDescr(rel), &isnull));
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return found;
}

/* ---- values ---- */

/* What of both measures a cell has; amounts of none are 0. */
static void
balance_of(const HoldingKey *key, const KpiCell *cell, KpiBalance *balance)
{
	KpiBalance	end;

	kpi_cell_balance(cell, key->measure_id, balance);
	if (balance->amount == NULL)
		balance->amount = balance->amount_days = int64_to_numeric(0);
	if (key->end_stream_id == 0 || !kpi_cell_balance(cell, key->end_measure_id, &end))
		return;
	balance->held += end.held;
	balance->amount = numeric_add_opt_error(balance->amount, end.amount, NULL);
	balance->amount_days = numeric_add_opt_error(balance->amount_days, end.amount_days, NULL);
}

static Numeric
divided(Numeric amount, int64 divisor)
{
	return divisor == 1 ? amount : numeric_div_opt_error(amount, int64_to_numeric(divisor), NULL);
}

static void
held_when_ends(Holding *holding, DateADT day, KpiBalance *balance)
{
	balance_of(&holding->key, held_before(holding, day + 1), balance);
}

/* The day at whose end a window's value is what is held; false: it has none. */
static bool
closing_day(Holding *holding, const KpiWindow *window, DateADT today, DateADT *day)
{
	*day = Min(window->until - 1, today);
	return window->since <= today && first_day(holding) <= *day;
}

bool
kpi_value_balance(const KpiProgramNode *node, const KpiWindow *window, DateADT today, KpiValue *result)
{
	Holding    *holding = find_holding(node, &window->place);
	KpiBalance	balance;
	DateADT		day;

	if (!closing_day(holding, window, today, &day))
		return false;
	held_when_ends(holding, day, &balance);
	result->value = divided(balance.amount, node->divisor);
	result->facts = balance.held;
	return true;
}

bool
kpi_value_has_balance(const KpiProgramNode *node, const KpiWindow *window, DateADT today)
{
	DateADT		day;

	return closing_day(find_holding(node, &window->place), window, today, &day);
}

/*
 * With H held before the first day s, and A and B the sums of amounts and of amounts times their days on
 * the days from s to e: H * (e - s + 1) + A * (e + 1) - B (cell/balance.c).
 */
bool
kpi_value_daily_average(const KpiProgramNode *node, const KpiWindow *window, DateADT today, KpiValue *result)
{
	Holding    *holding = find_holding(node, &window->place);
	KpiBalance	before;
	KpiBalance	at_end;
	Numeric		sum;
	Numeric		changed;
	DateADT		day;
	int			ndays;

	if (!closing_day(holding, window, today, &day) || day < window->since)
		return false;
	ndays = day + 1 - window->since;
	held_when_ends(holding, window->since - 1, &before);
	held_when_ends(holding, day, &at_end);
	sum = numeric_mul_opt_error(before.amount, int64_to_numeric(ndays), NULL);
	changed = numeric_sub_opt_error(at_end.amount, before.amount, NULL);
	sum = numeric_add_opt_error(sum, numeric_mul_opt_error(changed, int64_to_numeric(day + 1), NULL), NULL);
	changed = numeric_sub_opt_error(at_end.amount_days, before.amount_days, NULL);
	sum = numeric_sub_opt_error(sum, changed, NULL);
	result->value = divided(sum, (int64) ndays * node->divisor);
	result->facts = at_end.held;
	return true;
}

/* ---- what comes and goes, day by day ---- */

typedef struct FlowReader
{
	const KpiProgramNode *node;
	int32		measure_id;
	void		(*take) (void *arg, DateADT day, const KpiValue *value);
	void	   *arg;
} FlowReader;

static void
take_flow(void *arg, DateADT day, Datum cell)
{
	FlowReader *reader = arg;
	KpiBalance	balance;
	KpiValue	value = {0};

	if (!kpi_cell_balance(kpi_cell_of_measure(cell, reader->measure_id), reader->measure_id, &balance))
		return;
	value.value = divided(balance.amount, reader->node->divisor);
	value.facts = balance.held;
	reader->take(reader->arg, day, &value);
}

void
kpi_value_each_flow(const KpiProgramNode *node, const KpiPlace *place, DateADT until,
					void (*take) (void *arg, DateADT day, const KpiValue *value), void *arg)
{
	FlowReader	reader = {node, node->measure_id, take, arg};
	KpiDays		days = find_holding(node, place)->key.days;

	days.since = place->start;
	days.until = until + 1;
	kpi_value_each_cell(&days, KPI_DAY, take_flow, &reader);
	if (node->end_stream_id == 0)
		return;
	reader.measure_id = node->end_measure_id;
	days.stream_id = node->end_stream_id;
	kpi_value_each_cell(&days, KPI_DAY, take_flow, &reader);
}
