/*-------------------------------------------------------------------------
 *
 * value_table.c
 *	  The stored values: kpi.kpi_value and kpi.kpi_breakdown.
 *
 * A row is written only if it says something else than what the value should
 * be.
 *
 * Two snapshots: rows to be changed are found under one taken when the values
 * are opened (each row is put at most once), kpi_refresh_values_get() reads under one
 * that kpi_refresh_values_sync() renews, so that formulas see what was just written.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "refresh/refresh_internal.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* A dimension's value alone, by its row in kpi_internal.dim. */
typedef struct DimValue
{
	int32		id;
	Datum		dimension;
	Datum		value;
	bool		isnull;
} DimValue;

/* Columns of kpi.kpi_breakdown; kpi.kpi_value has all but the dimension's. */
typedef enum ValueColumn
{
	VALUE_ID,
	VALUE_KPI,
	VALUE_SCOPE,
	VALUE_TEAM,
	VALUE_MEMBER,
	VALUE_DIMENSION,
	VALUE_DIMENSION_VALUE,
	VALUE_GRAIN,
	VALUE_PERIOD,
	VALUE_PERIOD_START,
	VALUE_PERIOD_END,
	VALUE_VALUE,
	VALUE_NUMERATOR,
	VALUE_DENOMINATOR,
	VALUE_FACTS,
	VALUE_CHANGED_AT,
	VALUE_COLUMNS
} ValueColumn;

#define VALUE_DIMENSION_COLUMNS (VALUE_GRAIN - VALUE_DIMENSION)

/* The unique key of kpi.kpi_breakdown, in the order of its index; as above. */
typedef enum ValueKeyColumn
{
	KEY_KPI,
	KEY_TEAM,
	KEY_MEMBER,
	KEY_DIMENSION,
	KEY_DIMENSION_VALUE,
	KEY_GRAIN,
	KEY_PERIOD_START,
	KEY_COLUMNS
} ValueKeyColumn;

/* One of the two tables. */
typedef struct ValueTable
{
	const char *name;
	bool		has_dimension;
	KpiKeyedTable *put;
	KpiKeyedTable *get;
	HTAB	   *seen;			/* ids of rows that are right, with all */
} ValueTable;

struct KpiValues
{
	KpiRun	   *run;
	bool		all;
	bool		mend;
	KpiReport  *report;
	MemoryContext mcxt;
	Snapshot	put_snapshot;
	Snapshot	get_snapshot;
	ValueTable	tables[2];		/* totals, breakdowns */
	Datum		grains[KPI_NGRAINS];
	Datum		scopes[KPI_SCOPE_MEMBER + 1];
	HTAB	   *dim_values;		/* of DimValue */
	int			ntouched;
	int			max_touched;
	KpiValueKey *touched;
};

static HTAB *
load_dim_values(KpiValues *values)
{
	HASHCTL		ctl = {.keysize = sizeof(int32),.entrysize = sizeof(DimValue),.hcxt = values->mcxt};
	HTAB	   *dim_values = hash_create("pg_kpi dim values", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	KpiSpi		spi;
	uint64		rows;

	if (values->run->source->ndims == 0)
		return dim_values;
	kpi_spi_begin(&spi);
	rows = kpi_spi_exec("SELECT d.id, d.position::integer, d.vals[1] FROM kpi_internal.dim d"
						" WHERE d.source_id = $1 AND d.position BETWEEN 1 AND $2",
						2, KPI_INT4(values->run->source->id), KPI_INT4(values->run->source->ndims));
	for (uint64 r = 0; r < rows; r++)
	{
		int32		id = kpi_spi_int4(r, 1);
		DimValue   *dim_value = hash_search(dim_values, &id, HASH_ENTER, NULL);
		char	   *value = kpi_spi_text(r, 3);
		MemoryContext old = MemoryContextSwitchTo(values->mcxt);

		dim_value->dimension = CStringGetTextDatum(values->run->source->dim_names[kpi_spi_int4(r, 2) - 1]);
		dim_value->isnull = value == NULL;
		dim_value->value = value ? CStringGetTextDatum(value) : (Datum) 0;
		MemoryContextSwitchTo(old);
	}
	kpi_spi_end(&spi);
	return dim_values;
}

/* Where a column is in this table. */
static int
column(const ValueTable *table, ValueColumn c)
{
	Assert(table->has_dimension || (c != VALUE_DIMENSION && c != VALUE_DIMENSION_VALUE));
	return c > VALUE_DIMENSION && !table->has_dimension ? c - VALUE_DIMENSION_COLUMNS : c;
}

static int
key_column(const ValueTable *table, ValueKeyColumn k)
{
	return k > KEY_DIMENSION && !table->has_dimension ? k - VALUE_DIMENSION_COLUMNS : k;
}

static KpiKeyedTable *
open_keyed(const ValueTable *table, Snapshot snapshot)
{
	return kpi_keyed_table_open("kpi", table->name, "kpi_id", key_column(table, KEY_COLUMNS), snapshot);
}

static void
open_table(KpiValues *values, ValueTable *table, const char *name, bool has_dimension)
{
	table->name = name;
	table->has_dimension = has_dimension;
	table->put = open_keyed(table, values->put_snapshot);
	table->get = NULL;
}

KpiValues *
kpi_refresh_values_open(KpiRun *run, bool all, bool mend, KpiReport *report)
{
	MemoryContext mcxt = AllocSetContextCreate(run->mcxt, "pg_kpi values", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(mcxt);
	KpiValues  *values = palloc0(sizeof(KpiValues));
	HASHCTL		ctl = {.keysize = sizeof(int64),.entrysize = sizeof(int64),.hcxt = mcxt};

	CommandCounterIncrement();
	values->run = run;
	values->all = all;
	values->mend = mend;
	values->report = report;
	values->mcxt = mcxt;
	values->put_snapshot = RegisterSnapshot(GetLatestSnapshot());
	open_table(values, &values->tables[0], "kpi_value", false);
	open_table(values, &values->tables[1], "kpi_breakdown", true);
	for (int g = 0; g < KPI_NGRAINS; g++)
		values->grains[g] = CStringGetTextDatum(kpi_calendar_grain_name(g));
	values->scopes[KPI_SCOPE_TEAM] = CStringGetTextDatum("team");
	values->scopes[KPI_SCOPE_MEMBER] = CStringGetTextDatum("member");
	values->dim_values = load_dim_values(values);
	for (int t = 0; t < 2; t++)
		values->tables[t].seen = hash_create("pg_kpi rows", 1024, &ctl,
											 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	values->max_touched = 1024;
	values->touched = palloc(values->max_touched * sizeof(KpiValueKey));
	MemoryContextSwitchTo(old);
	return values;
}

static void
close_get(KpiValues *values)
{
	if (values->get_snapshot == NULL)
		return;
	for (int t = 0; t < 2; t++)
		kpi_keyed_table_close(values->tables[t].get);
	UnregisterSnapshot(values->get_snapshot);
	values->get_snapshot = NULL;
}

void
kpi_refresh_values_sync(KpiValues *values)
{
	MemoryContext old = MemoryContextSwitchTo(values->mcxt);

	close_get(values);
	for (int t = 0; t < 2; t++)
		kpi_keyed_table_flush(values->tables[t].put);
	CommandCounterIncrement();
	values->get_snapshot = RegisterSnapshot(GetLatestSnapshot());
	for (int t = 0; t < 2; t++)
		values->tables[t].get = open_keyed(&values->tables[t], values->get_snapshot);
	MemoryContextSwitchTo(old);
}

void
kpi_refresh_values_close(KpiValues *values)
{
	close_get(values);
	for (int t = 0; t < 2; t++)
	{
		values->run->stats.nvalues += values->tables[t].put->nwritten;
		kpi_keyed_table_close(values->tables[t].put);
	}
	UnregisterSnapshot(values->put_snapshot);
	MemoryContextDelete(values->mcxt);
}

static void
touch(KpiValues *values, const KpiValueKey *key)
{
	if (values->ntouched == values->max_touched)
	{
		values->max_touched *= 2;
		values->touched = repalloc_huge(values->touched, values->max_touched * sizeof(KpiValueKey));
	}
	values->touched[values->ntouched++] = *key;
}

int
kpi_refresh_values_touched(KpiValues *values, KpiValueKey **keys)
{
	*keys = values->touched;
	return values->ntouched;
}

static const DimValue *
find_dim_value(KpiValues *values, int32 id)
{
	const DimValue *dim_value = hash_search(values->dim_values, &id, HASH_FIND, NULL);

	if (dim_value == NULL)
		elog(ERROR, "dimension value %d is not there", id);
	return dim_value;
}

static ValueTable *
table_of(KpiValues *values, const KpiValueKey *key)
{
	return &values->tables[key->dim_value_id != 0];
}

/* Sets the unique key's columns. */
static void
key_datums(KpiValues *values, const KpiValueKey *key, Datum *datums, bool *nulls)
{
	const ValueTable *table = table_of(values, key);

	memset(nulls, false, KEY_COLUMNS * sizeof(bool));
	datums[KEY_KPI] = Int32GetDatum(key->kpi_id);
	datums[KEY_TEAM] = Int32GetDatum(key->team_id);
	nulls[KEY_TEAM] = key->team_id == 0;
	datums[KEY_MEMBER] = Int32GetDatum(key->member_id);
	nulls[KEY_MEMBER] = key->member_id == 0;
	if (table->has_dimension)
	{
		const DimValue *dim_value = find_dim_value(values, key->dim_value_id);

		datums[KEY_DIMENSION] = dim_value->dimension;
		datums[KEY_DIMENSION_VALUE] = dim_value->value;
		nulls[KEY_DIMENSION_VALUE] = dim_value->isnull;
	}
	datums[key_column(table, KEY_GRAIN)] = values->grains[key->grain];
	datums[key_column(table, KEY_PERIOD_START)] = DateADTGetDatum(key->start);
}

static Numeric
read_numeric(const ValueTable *table, TupleTableSlot *slot, ValueColumn c)
{
	int			at = column(table, c);

	return slot->tts_isnull[at] ? NULL : DatumGetNumeric(slot->tts_values[at]);
}

/* Reads the columns value, numerator, denominator, facts. */
static void
read_value(const ValueTable *table, TupleTableSlot *slot, KpiValue *value)
{
	slot_getallattrs(slot);
	value->value = read_numeric(table, slot, VALUE_VALUE);
	value->numerator = read_numeric(table, slot, VALUE_NUMERATOR);
	value->denominator = read_numeric(table, slot, VALUE_DENOMINATOR);
	value->facts = DatumGetInt64(slot->tts_values[column(table, VALUE_FACTS)]);
}

static void
set_numeric(Datum *datums, bool *nulls, int c, Numeric value)
{
	nulls[c] = value == NULL;
	datums[c] = NumericGetDatum(value);
}

/* All columns of a row; id is the existing row's or a new one. */
static void
row_datums(KpiValues *values, const KpiValueKey *key, int64 id, const KpiValue *value, Datum *datums,
		   bool *nulls)
{
	const ValueTable *table = table_of(values, key);
	const KpiCalendar *calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	char		name[KPI_PERIOD_NAME_LEN];

	memset(nulls, false, VALUE_COLUMNS * sizeof(bool));
	datums[VALUE_ID] = Int64GetDatum(id);
	datums[VALUE_KPI] = Int32GetDatum(key->kpi_id);
	datums[VALUE_SCOPE] = values->scopes[key->member_id != 0 ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM];
	datums[VALUE_TEAM] = Int32GetDatum(key->team_id);
	nulls[VALUE_TEAM] = key->team_id == 0;
	datums[VALUE_MEMBER] = Int32GetDatum(key->member_id);
	nulls[VALUE_MEMBER] = key->member_id == 0;
	if (table->has_dimension)
	{
		const DimValue *dim_value = find_dim_value(values, key->dim_value_id);

		datums[VALUE_DIMENSION] = dim_value->dimension;
		datums[VALUE_DIMENSION_VALUE] = dim_value->value;
		nulls[VALUE_DIMENSION_VALUE] = dim_value->isnull;
	}
	kpi_calendar_period_name(key->grain, key->start, calendar, name);
	datums[column(table, VALUE_GRAIN)] = values->grains[key->grain];
	datums[column(table, VALUE_PERIOD)] = CStringGetTextDatum(name);
	datums[column(table, VALUE_PERIOD_START)] = DateADTGetDatum(key->start);
	datums[column(table, VALUE_PERIOD_END)] =
		DateADTGetDatum(kpi_calendar_period_end(key->grain, key->start, calendar));
	set_numeric(datums, nulls, column(table, VALUE_VALUE), value->value);
	set_numeric(datums, nulls, column(table, VALUE_NUMERATOR), value->numerator);
	set_numeric(datums, nulls, column(table, VALUE_DENOMINATOR), value->denominator);
	datums[column(table, VALUE_FACTS)] = Int64GetDatum(value->facts);
	datums[column(table, VALUE_CHANGED_AT)] = TimestampTzGetDatum(values->run->as_of);
}

static bool
numerics_equal(Numeric a, Numeric b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(a), NumericGetDatum(b)));
}

static bool
values_equal(const KpiValue *a, const KpiValue *b)
{
	return a->facts == b->facts && numerics_equal(a->value, b->value) &&
		numerics_equal(a->numerator, b->numerator) &&
		numerics_equal(a->denominator, b->denominator);
}

/* Another first month of the year names the same quarter otherwise. */
static bool
is_named_right(const ValueTable *table, TupleTableSlot *slot, const KpiValueKey *key)
{
	text	   *stored = DatumGetTextPP(slot->tts_values[column(table, VALUE_PERIOD)]);
	char		name[KPI_PERIOD_NAME_LEN];

	kpi_calendar_period_name(key->grain, key->start, kpi_calendar_get(KPI_DEFAULT_CALENDAR), name);
	return VARSIZE_ANY_EXHDR(stored) == strlen(name) &&
		memcmp(VARDATA_ANY(stored), name, strlen(name)) == 0;
}

static char *
value_text(bool exists, const KpiValue *value)
{
	if (!exists)
		return NULL;
	return psprintf("%s (" INT64_FORMAT " facts)",
					value->value ? numeric_normalize(value->value) : "NULL", value->facts);
}

static void
report_value(KpiValues *values, const KpiValueKey *key, const char *stored, const char *expected)
{
	KpiDifference diff = {
		.level = key->dim_value_id ? "breakdown" : "value",
		.kpi_id = key->kpi_id,
		.team_id = key->team_id,
		.member_id = key->member_id,
		.grain = kpi_calendar_grain_name(key->grain),
		.start = key->start,
		.stored = stored,
		.expected = expected
	};

	if (key->dim_value_id)
	{
		const DimValue *dim_value = find_dim_value(values, key->dim_value_id);

		diff.dimension = TextDatumGetCString(dim_value->dimension);
		diff.dimension_value = dim_value->isnull ? NULL : TextDatumGetCString(dim_value->value);
	}
	kpi_refresh_report(values->report, &diff);
}

static void
write_value(KpiValues *values, ValueTable *table, const KpiValueKey *key, bool found, int64 id,
			bool exists, const KpiValue *value)
{
	Datum		datums[VALUE_COLUMNS];
	bool		nulls[VALUE_COLUMNS];

	if (!exists)
	{
		kpi_keyed_table_delete_found(table->put);
		return;
	}
	if (!found)
		id = kpi_keyed_table_next_id(table->put);
	row_datums(values, key, id, value, datums, nulls);
	if (found)
		kpi_keyed_table_update_found(table->put, datums, nulls);
	else
		kpi_keyed_table_insert(table->put, datums, nulls);
}

void
kpi_refresh_values_put(KpiValues *values, const KpiValueKey *key, bool exists, const KpiValue *value)
{
	ValueTable *table = table_of(values, key);
	Datum		keys[KEY_COLUMNS];
	bool		nulls[KEY_COLUMNS];
	KpiValue	stored = {0};
	int64		id = 0;
	int			nprefix;
	bool		found;
	bool		same;

	/* What is not there but should not be either: the sweep's business. */
	if (values->all && !exists)
		return;

	key_datums(values, key, keys, nulls);

	/*
	 * Of a member there is little of each grain, so all are passed at once:
	 * month, quarter and year are in this order as text, too.
	 */
	nprefix = key_column(table, key->member_id != 0 ? KEY_GRAIN : KEY_PERIOD_START);
	found = kpi_keyed_table_seek(table->put, nprefix, keys, nulls);
	if (found)
	{
		read_value(table, table->put->found, &stored);
		id = DatumGetInt64(table->put->found->tts_values[VALUE_ID]);
		if (values->all)
			(void) hash_search(table->seen, &id, HASH_ENTER, NULL);
	}
	same = found == exists && (!found || values_equal(&stored, value));
	if (same && found && values->all)
		same = is_named_right(table, table->put->found, key);
	if (!same)
	{
		if (values->report)
			report_value(values, key, value_text(found, &stored), value_text(exists, value));
		if (values->mend)
			write_value(values, table, key, found, id, exists, value);
	}
	if (!same || values->all)
		touch(values, key);
}

bool
kpi_refresh_values_get(KpiValues *values, const KpiValueKey *key, KpiValue *value)
{
	ValueTable *table = table_of(values, key);
	Datum		keys[KEY_COLUMNS];
	bool		nulls[KEY_COLUMNS];

	key_datums(values, key, keys, nulls);
	if (!kpi_keyed_table_find(table->get, keys, nulls))
		return false;
	read_value(table, table->get->found, value);
	return true;
}

int
kpi_refresh_valuekey_compare(const void *a, const void *b)
{
	const KpiValueKey *x = a;
	const KpiValueKey *y = b;
	const int32 xs[] = {x->kpi_id, x->team_id, x->member_id, x->dim_value_id, x->grain, x->start};
	const int32 ys[] = {y->kpi_id, y->team_id, y->member_id, y->dim_value_id, y->grain, y->start};

	for (int i = 0; i < lengthof(xs); i++)
	{
		if (xs[i] != ys[i])
			return xs[i] < ys[i] ? -1 : 1;
	}
	return 0;
}

/* The key of the row a scan of one of the tables stands on, but its dimension. */
static KpiValueKey
found_value_key(const ValueTable *table, TupleTableSlot *slot)
{
	KpiValueKey key = {0};
	KpiGrain	grain = KPI_DAY;
	char	   *name;

	slot_getallattrs(slot);
	key.kpi_id = DatumGetInt32(slot->tts_values[VALUE_KPI]);
	key.team_id = slot->tts_isnull[VALUE_TEAM] ? 0 : DatumGetInt32(slot->tts_values[VALUE_TEAM]);
	key.member_id = slot->tts_isnull[VALUE_MEMBER] ? 0 : DatumGetInt32(slot->tts_values[VALUE_MEMBER]);
	name = TextDatumGetCString(slot->tts_values[column(table, VALUE_GRAIN)]);
	(void) kpi_calendar_grain_parse(name, &grain);
	pfree(name);
	key.grain = grain;
	key.start = DatumGetDateADT(slot->tts_values[column(table, VALUE_PERIOD_START)]);
	return key;
}

void
kpi_refresh_values_touch_stored(KpiValues *values, int32 kpi_id)
{
	ValueTable *table = &values->tables[0];
	Datum		prefix = Int32GetDatum(kpi_id);

	kpi_keyed_table_scan(table->get, 1, &prefix, false, 0, 0);
	while (kpi_keyed_table_next(table->get))
	{
		KpiValueKey key = found_value_key(table, table->get->found);

		touch(values, &key);
	}
}

static void
report_swept(KpiValues *values, const ValueTable *table, TupleTableSlot *slot)
{
	KpiValueKey key = found_value_key(table, slot);
	KpiDifference diff = {
		.level = table->has_dimension ? "breakdown" : "value",
		.kpi_id = key.kpi_id,
		.team_id = key.team_id,
		.member_id = key.member_id,
		.grain = kpi_calendar_grain_name(key.grain),
		.start = key.start
	};
	KpiValue	stored;

	read_value(table, slot, &stored);
	diff.stored = value_text(true, &stored);
	if (table->has_dimension)
	{
		diff.dimension = TextDatumGetCString(slot->tts_values[VALUE_DIMENSION]);
		diff.dimension_value = slot->tts_isnull[VALUE_DIMENSION_VALUE] ? NULL :
			TextDatumGetCString(slot->tts_values[VALUE_DIMENSION_VALUE]);
	}
	kpi_refresh_report(values->report, &diff);
}

static void
sweep_kpi(KpiValues *values, ValueTable *table, int32 kpi_id)
{
	Datum		prefix = Int32GetDatum(kpi_id);

	kpi_keyed_table_scan(table->put, 1, &prefix, false, 0, 0);
	while (kpi_keyed_table_next(table->put))
	{
		TupleTableSlot *slot = table->put->found;
		int64		id;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		id = DatumGetInt64(slot->tts_values[VALUE_ID]);
		if (hash_search(table->seen, &id, HASH_FIND, NULL))
			continue;
		if (values->report)
			report_swept(values, table, slot);
		if (values->mend)
			kpi_keyed_table_delete_found(table->put);
	}
}

void
kpi_refresh_values_sweep(KpiValues *values, List *kpi_ids)
{
	ListCell   *lc;

	Assert(values->all);
	foreach(lc, kpi_ids)
	{
		sweep_kpi(values, &values->tables[0], lfirst_int(lc));
		sweep_kpi(values, &values->tables[1], lfirst_int(lc));
	}
}
