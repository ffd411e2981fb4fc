/*-------------------------------------------------------------------------
 *
 * cells.c
 *	  Sums of cells over days, found by the primary keys of their tables.
 *
 * A period is put together from the fewest cells: whole months, and the days
 * at its ends; where most of a month counts, the month less the days that do
 * not.  Teams have cells of days and months; members those of months, and of
 * their days the base cells of their owners, as the last refresh attributed them
 * (applied_attribution).  Values of dimensions have months only (ahead.c).  Streams
 * with detail (kpi_model_stream_detail()) have cells of these days as well.
 *
 * An extreme cannot always be taken away again: where a difference does not tell the
 * value, the days that count are added up.
 *
 * The columns of a row of a view are separate calls, and rows of several KPIs
 * ask for the same cells, so the sums met last are kept as long as the active
 * snapshot shows the same: a table of MEMO_SIZE places, each taken by the last
 * that fell on it.  Who goes through the periods of a team or member asks for its
 * months again and again; then they are read together and kept (months_at()).
 *
 * No SPI, no rights, nothing written: works in parallel workers, and whoever
 * may call the functions that use it.  Locks: ACCESS SHARE on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "base/base.h"
#include "common/hashfn.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "value/value_internal.h"

/* ---- what is kept ---- */

#define MEMO_SIZE 1024			/* a power of 2 */

/* Larger cells are not kept: that bounds the memory. */
#define MEMO_MAX_CELL 8192

typedef struct MemoEntry
{
	KpiDays		days;
	bool		used;
	KpiCell    *cell;			/* NULL: there are none */
} MemoEntry;

static KpiSnapshotNote memo_snapshot;
static MemoryContext memo_cxt = NULL;
static MemoEntry *memo = NULL;

/* Whose owner's cells were asked for last. */
static struct
{
	int32		source_id;
	int32		member_id;
	List	   *owner_ids;		/* in memo_cxt */
}			last_member;

/* Months around those that were asked for, of as many streams as formulas usually go over. */
#define MONTHS_STREAMS 8		/* a power of 2 */
#define MONTHS_ASKED 5			/* one row asks for four at most: the one
								 * before it, that of a year ago, both to date */
#define MONTHS_AROUND 1100		/* days, to both sides */
#define MONTHS_MAX_CELLS 96

typedef struct Months
{
	KpiDays		days;			/* since until: those that are kept */
	int			nasked;			/* how often for others, in a row; 0: never */
	bool		kept;
	int			n;
	DateADT		starts[MONTHS_MAX_CELLS];
	KpiCell    *cells[MONTHS_MAX_CELLS];
	MemoryContext cxt;			/* of the cells; NULL: none yet */
} Months;

static Months *months = NULL;

static void
forget_all(void)
{
	if (memo_cxt == NULL)
		memo_cxt = AllocSetContextCreate(TopMemoryContext, "pg_kpi values", ALLOCSET_DEFAULT_SIZES);
	memo = NULL;
	months = NULL;
	last_member.source_id = 0;
	last_member.owner_ids = NIL;
	MemoryContextReset(memo_cxt);
	months = MemoryContextAllocZero(memo_cxt, MONTHS_STREAMS * sizeof(Months));
	memo = MemoryContextAllocZero(memo_cxt, MEMO_SIZE * sizeof(MemoEntry));
}

static MemoEntry *
memo_entry(const KpiDays *days)
{
	return &memo[hash_bytes((const unsigned char *) days, sizeof(KpiDays)) & (MEMO_SIZE - 1)];
}

/* ---- reading ---- */

void
kpi_value_key(ScanKey key, AttrNumber attno, int32 value)
{
	ScanKeyInit(key, attno, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(value));
}

/* Days from since until, exclusive, as two keys. */
static void
key_days(ScanKey keys, AttrNumber attno, DateADT since, DateADT until)
{
	ScanKeyInit(&keys[0], attno, BTGreaterEqualStrategyNumber, F_DATE_GE, DateADTGetDatum(since));
	ScanKeyInit(&keys[1], attno, BTLessStrategyNumber, F_DATE_LT, DateADTGetDatum(until));
}

/* Begins to look for cells by the primary key of their table. */
static void
begin_cells(KpiNewest *cells, const char *table, ScanKey keys, int nkeys)
{
	kpi_newest_begin(cells, kpi_relation_oid("kpi_internal", table), InvalidOid, GetActiveSnapshot(), keys, nkeys);
}

/* Adds a cell to the sum, or takes it from it; a sum is made of the first. */
static KpiCell *
sum_cell(KpiCell *sum, Datum cell, bool subtract)
{
	if (subtract)
		return kpi_cell_subtract(sum != NULL ? sum : kpi_cell_empty(), DatumGetKpiCellP(cell));
	return sum == NULL ? DatumGetKpiCellPCopy(cell) : kpi_cell_merge(sum, DatumGetKpiCellP(cell));
}

/* The same of all cells that the keys find; recent_attno 0: there are no recent ones. */
static KpiCell *
sum_cells(KpiCell *sum, const char *table, AttrNumber cell_attno, AttrNumber recent_attno, ScanKey keys, int nkeys,
		  bool subtract)
{
	KpiNewest	cells;

	begin_cells(&cells, table, keys, nkeys);
	while (kpi_newest_next(&cells))
	{
		bool		isnull;
		Datum		cell = kpi_newest_column(&cells, cell_attno, &isnull);

		if (isnull)
			continue;
		sum = sum_cell(sum, cell, subtract);
		if (recent_attno == 0)
			continue;
		cell = kpi_newest_column(&cells, recent_attno, &isnull);
		if (!isnull)
			sum = sum_cell(sum, cell, subtract);
	}
	kpi_newest_end(&cells);
	return sum;
}

static void
rollup_keys(ScanKey keys, const KpiDays *days, KpiGrain grain, DateADT since, DateADT until)
{
	kpi_value_key(&keys[0], Anum_rollup_stream_id, days->stream_id);
	kpi_value_key(&keys[1], Anum_rollup_scope_kind, days->scope_kind);
	kpi_value_key(&keys[2], Anum_rollup_scope_id, days->scope_id);
	kpi_value_key(&keys[3], Anum_rollup_grain, grain);
	kpi_value_key(&keys[4], Anum_rollup_dim_id, days->dim_id);
	key_days(&keys[5], Anum_rollup_start, since, until);
}

/* Cells of one grain, day or month, that begin on these days. */
static KpiCell *
sum_rollups(KpiCell *sum, const KpiDays *days, KpiGrain grain, DateADT since, DateADT until, bool subtract)
{
	ScanKeyData keys[7];

	rollup_keys(keys, days, grain, since, until);
	return sum_cells(sum, "rollup_cell", Anum_rollup_cell, Anum_rollup_recent, keys, lengthof(keys), subtract);
}

/* Reads the months from since until; false if they are too many, or too large. */
static bool
read_months(Months *entry, DateADT since, DateADT until)
{
	ScanKeyData keys[7];
	KpiNewest	cells;
	bool		fits = true;

	rollup_keys(keys, &entry->days, KPI_MONTH, since, until);
	begin_cells(&cells, "rollup_cell", keys, lengthof(keys));
	while (fits && kpi_newest_next(&cells))
	{
		bool		isnull;
		Datum		cell = kpi_newest_column(&cells, Anum_rollup_cell, &isnull);
		MemoryContext old = MemoryContextSwitchTo(entry->cxt);

		entry->starts[entry->n] = DatumGetDateADT(kpi_newest_column(&cells, Anum_rollup_start, &isnull));
		entry->cells[entry->n] = DatumGetKpiCellPCopy(cell);
		MemoryContextSwitchTo(old);
		/* one that has a recent one beside it is larger */
		fits = entry->cells[entry->n]->used <= MEMO_MAX_CELL && ++entry->n < MONTHS_MAX_CELLS;
	}
	kpi_newest_end(&cells);
	return fits;
}

/*
 * The months that are kept, if these are among them; else NULL.  They are read when the same team
 * or member has been asked for some times in a row: who wants one row pays for no others.
 * Where they do not fit it is not tried again.
 */
static const Months *
months_at(const KpiDays *days, DateADT since, DateADT until)
{
	Months	   *entry = &months[days->stream_id & (MONTHS_STREAMS - 1)];

	if (entry->nasked == 0 || memcmp(&entry->days, days, offsetof(KpiDays, since)) != 0)
	{
		entry->days = *days;
		entry->nasked = 0;
		entry->kept = false;
	}
	if (entry->kept && since >= entry->days.since && until <= entry->days.until)
		return entry;
	if (++entry->nasked != MONTHS_ASKED)
		return NULL;
	entry->kept = false;
	entry->n = 0;
	if (entry->cxt == NULL)
		entry->cxt = AllocSetContextCreate(memo_cxt, "pg_kpi months", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(entry->cxt);
	entry->days.since = since - MONTHS_AROUND;
	entry->days.until = until + MONTHS_AROUND;
	if (!read_months(entry, entry->days.since, entry->days.until))
		return NULL;
	entry->kept = true;
	entry->nasked = 1;
	return entry;
}

static KpiCell *
sum_months(KpiCell *sum, const KpiDays *days, DateADT since, DateADT until)
{
	const Months *at = months_at(days, since, until);

	if (at == NULL)
		return sum_rollups(sum, days, KPI_MONTH, since, until, false);
	for (int i = 0; i < at->n; i++)
	{
		if (at->starts[i] >= since && at->starts[i] < until)
			sum = kpi_cell_merge(sum != NULL ? sum : kpi_cell_empty(), at->cells[i]);
	}
	return sum;
}

/* Owners whose facts count for a member: its key, and its aliases. */
static List *
read_owners(int32 source_id, int32 member_id)
{
	Relation	rel = table_open(kpi_relation_oid("kpi_internal", "applied_attribution"), AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *owner_ids = NIL;

	kpi_value_key(&keys[0], Anum_applied_source_id, source_id);
	kpi_value_key(&keys[1], Anum_applied_member_id, member_id);
	scan = systable_beginscan(rel, kpi_relation_oid("kpi_internal", "applied_attribution_member_idx"), true,
							  GetActiveSnapshot(), 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		owner_ids = list_append_unique_int(owner_ids,
										   DatumGetInt32(heap_getattr(tuple, Anum_applied_owner_id,
																	  RelationGetDescr(rel), &isnull)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner_ids;
}

static List *
owners_of(int32 source_id, int32 member_id)
{
	if (last_member.source_id != source_id || last_member.member_id != member_id)
	{
		MemoryContext old;
		List	   *owner_ids = read_owners(source_id, member_id);

		last_member.source_id = 0;
		old = MemoryContextSwitchTo(memo_cxt);
		list_free(last_member.owner_ids);
		last_member.owner_ids = list_copy(owner_ids);
		MemoryContextSwitchTo(old);
		last_member.source_id = source_id;
		last_member.member_id = member_id;
	}
	return last_member.owner_ids;
}

const List *
kpi_value_member_owners(int32 source_id, int32 member_id)
{
	if (kpi_snapshot_changed(&memo_snapshot) || memo == NULL)
		forget_all();
	return owners_of(source_id, member_id);
}

/* Else days of members are cells of their owners. */
static bool
has_day_rollups(const KpiDays *days)
{
	return days->scope_kind == KPI_SCOPE_TEAM || (days->detail & KPI_DETAIL_MEMBERS) != 0;
}

static KpiCell *
sum_days(KpiCell *sum, const KpiDays *days, DateADT since, DateADT until, bool subtract)
{
	ListCell   *lc;

	if (since >= until)
		return sum;
	if (has_day_rollups(days))
		return sum_rollups(sum, days, KPI_DAY, since, until, subtract);
	foreach(lc, owners_of(days->source_id, days->scope_id))
	{
		ScanKeyData keys[4];

		kpi_value_key(&keys[0], Anum_day_stream_id, days->stream_id);
		kpi_value_key(&keys[1], Anum_day_owner_id, lfirst_int(lc));
		key_days(&keys[2], Anum_day_day, since, until);
		sum = sum_cells(sum, "day_cell", Anum_day_cell, 0, keys, 4, subtract);
	}
	return sum;
}

/* ---- cells, one by one ---- */

/* Hands in each cell that the keys find. */
static void
each_cell(const char *table, AttrNumber start_attno, AttrNumber cell_attno, AttrNumber recent_attno, ScanKey keys, int nkeys,
		  void (*take) (void *arg, DateADT start, Datum cell), void *arg)
{
	KpiNewest	cells;

	begin_cells(&cells, table, keys, nkeys);
	while (kpi_newest_next(&cells))
	{
		bool		isnull;
		DateADT		start = DatumGetDateADT(kpi_newest_column(&cells, start_attno, &isnull));
		Datum		cell = kpi_newest_column(&cells, cell_attno, &isnull);

		if (isnull)
			continue;
		if (recent_attno != 0)
		{
			Datum		recent = kpi_newest_column(&cells, recent_attno, &isnull);

			if (!isnull)
				cell = PointerGetDatum(sum_cell(DatumGetKpiCellPCopy(cell), recent, false));
		}
		take(arg, start, cell);
	}
	kpi_newest_end(&cells);
}

void
kpi_value_each_cell(const KpiDays *days, KpiGrain grain, void (*take) (void *arg, DateADT start, Datum cell), void *arg)
{
	ScanKeyData keys[7];
	ListCell   *lc;

	if (kpi_snapshot_changed(&memo_snapshot) || memo == NULL)
		forget_all();
	if (grain != KPI_DAY || has_day_rollups(days))
	{
		rollup_keys(keys, days, grain, days->since, days->until);
		each_cell("rollup_cell", Anum_rollup_start, Anum_rollup_cell, Anum_rollup_recent, keys, 7, take, arg);
		return;
	}
	foreach(lc, owners_of(days->source_id, days->scope_id))
	{
		kpi_value_key(&keys[0], Anum_day_stream_id, days->stream_id);
		kpi_value_key(&keys[1], Anum_day_owner_id, lfirst_int(lc));
		key_days(&keys[2], Anum_day_day, days->since, days->until);
		each_cell("day_cell", Anum_day_day, Anum_day_cell, 0, keys, 4, take, arg);
	}
}

/* ---- putting periods together ---- */

static DateADT
month_of(DateADT day)
{
	static const KpiCalendar any = {.week_start = 1,.fiscal_start = 1};

	return kpi_calendar_period_start(KPI_MONTH, day, &any);
}

static DateADT
next_month(DateADT month)
{
	return kpi_calendar_period_shift(KPI_MONTH, month, 1, NULL);
}

/*
 * Days within one month: by themselves, or, if it may subtract, as the month less the
 * others if those are fewer.
 */
static KpiCell *
sum_part(KpiCell *sum, const KpiDays *days, DateADT since, DateADT until, bool subtract)
{
	DateADT		month = month_of(since);
	DateADT		end = next_month(month);

	if (!subtract || until - since <= (end - month) / 2)
		return sum_days(sum, days, since, until, false);
	sum = sum_months(sum, days, month, end);
	if (sum == NULL)
		return NULL;
	sum = sum_days(sum, days, month, since, true);
	return sum_days(sum, days, until, end, true);
}

/* Of a value of a dimension, which has months only: less the days that do not count, or and those that do. */
static KpiCell *
sum_period_of_dim(const KpiDays *days, bool subtract)
{
	DateADT		first = month_of(days->since);
	DateADT		last = month_of(days->until);
	KpiCell    *sum;

	if (!subtract)
	{
		if (first < days->since)
			first = Min(next_month(first), days->until);
		sum = first < last ? sum_months(NULL, days, first, last) : NULL;
		sum = kpi_value_sum_ahead(sum ? sum : kpi_cell_empty(), days, days->since, first, false);
		return kpi_value_sum_ahead(sum, days, Max(first, last), days->until, false);
	}
	sum = sum_months(NULL, days, first, days->until);
	if (sum != NULL && last < days->until)
		sum = kpi_value_sum_ahead(sum, days, days->until, next_month(last), true);
	if (sum != NULL && first < days->since)
		sum = kpi_value_sum_ahead(sum, days, first, days->since, true);
	return sum;
}

static KpiCell *
sum_period(const KpiDays *days, bool subtract)
{
	DateADT		first = days->since;	/* whole months [first, last) */
	DateADT		last = month_of(days->until);
	KpiCell    *sum = NULL;

	if (days->dim_id != 0 && (days->detail & KPI_DETAIL_PARTS) == 0)
		return sum_period_of_dim(days, subtract);
	if (first != month_of(first))
		first = next_month(month_of(first));
	if (first > last)
		return sum_part(NULL, days, days->since, days->until, subtract);
	else
	{
		if (days->since < first)
			sum = sum_part(sum, days, days->since, first, subtract);
		if (last < days->until)
			sum = sum_part(sum, days, last, days->until, subtract);
	}
	if (first < last)
		sum = sum_months(sum, days, first, last);
	return sum;
}

const KpiCell *
kpi_value_cell(const KpiDays *days)
{
	MemoEntry  *entry;
	KpiCell    *cell;

	if (days->dim_id < 0)
		return kpi_value_part_cell(days);
	if (kpi_snapshot_changed(&memo_snapshot) || memo == NULL)
		forget_all();
	entry = memo_entry(days);
	if (entry->used && memcmp(&entry->days, days, sizeof(KpiDays)) == 0)
		return entry->cell;

	cell = days->since < days->until ? sum_period(days, true) : NULL;
	if (cell != NULL && !kpi_cell_is_known(cell))
		cell = sum_period(days, false);
	if (cell != NULL && kpi_cell_is_empty(cell))
		cell = NULL;
	entry->used = false;
	if (entry->cell != NULL)
		pfree(entry->cell);
	entry->cell = NULL;
	if (cell != NULL && cell->used > MEMO_MAX_CELL)
		return cell;
	entry->days = *days;
	if (cell != NULL)
	{
		entry->cell = MemoryContextAlloc(memo_cxt, VARSIZE(cell));
		memcpy(entry->cell, cell, VARSIZE(cell));
	}
	entry->used = true;
	return entry->cell;
}
