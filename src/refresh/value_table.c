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
typedef struct SingleDim
{
	int32		id;
	Datum		dimension;
	Datum		value;
	bool		isnull;
} SingleDim;

/* One of the two tables and where its columns are. */
typedef struct ValueTable
{
	const char *name;
	int			ndim_columns;	/* 0 or 2, between member_id and grain */
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
	HTAB	   *dims;			/* of SingleDim */
	int			ntouched;
	int			max_touched;
	KpiValueKey *touched;
};

static HTAB *
load_dims(KpiValues *values)
{
	HASHCTL		ctl = {.keysize = sizeof(int32),.entrysize = sizeof(SingleDim),.hcxt = values->mcxt};
	HTAB	   *dims = hash_create("pg_kpi dims", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	KpiSpi		spi;
	uint64		rows;

	if (values->run->source->ndims == 0)
		return dims;
	kpi_spi_begin(&spi);
	rows = kpi_spi_exec("SELECT d.id, d.position::integer, d.vals[1] FROM kpi_internal.dim d"
						" WHERE d.source_id = $1 AND d.position BETWEEN 1 AND $2",
						2, KPI_INT4(values->run->source->id), KPI_INT4(values->run->source->ndims));
	for (uint64 r = 0; r < rows; r++)
	{
		int32		id = kpi_spi_int4(r, 1);
		SingleDim  *dim = hash_search(dims, &id, HASH_ENTER, NULL);
		char	   *value = kpi_spi_text(r, 3);
		MemoryContext old = MemoryContextSwitchTo(values->mcxt);

		dim->dimension = CStringGetTextDatum(values->run->source->dim_names[kpi_spi_int4(r, 2) - 1]);
		dim->isnull = value == NULL;
		dim->value = value ? CStringGetTextDatum(value) : (Datum) 0;
		MemoryContextSwitchTo(old);
	}
	kpi_spi_end(&spi);
	return dims;
}

static void
open_table(KpiValues *values, ValueTable *table, const char *name, int ndim_columns)
{
	table->name = name;
	table->ndim_columns = ndim_columns;
	table->put = kpi_keyed_table_open("kpi", name, "kpi_id", 5 + ndim_columns, values->put_snapshot);
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
	open_table(values, &values->tables[0], "kpi_value", 0);
	open_table(values, &values->tables[1], "kpi_breakdown", 2);
	for (int g = 0; g < KPI_NGRAINS; g++)
		values->grains[g] = CStringGetTextDatum(kpi_calendar_grain_name(g));
	values->scopes[KPI_SCOPE_TEAM] = CStringGetTextDatum("team");
	values->scopes[KPI_SCOPE_MEMBER] = CStringGetTextDatum("member");
	values->dims = load_dims(values);
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
	{
		ValueTable *table = &values->tables[t];

		table->get = kpi_keyed_table_open("kpi", table->name, "kpi_id", 5 + table->ndim_columns,
										  values->get_snapshot);
	}
	MemoryContextSwitchTo(old);
}

void
kpi_refresh_values_close(KpiValues *values)
{
	close_get(values);
	for (int t = 0; t < 2; t++)
	{
		values->run->nvalues += values->tables[t].put->nwritten;
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

static const SingleDim *
single_dim(KpiValues *values, int32 id)
{
	const SingleDim *dim = hash_search(values->dims, &id, HASH_FIND, NULL);

	if (dim == NULL)
		elog(ERROR, "dimension value %d is not there", id);
	return dim;
}

/* Sets the unique key's columns; returns how many. */
static int
key_datums(KpiValues *values, const KpiValueKey *key, Datum *datums, bool *nulls)
{
	int			n = 0;

	memset(nulls, false, KPI_KEYED_TABLE_MAX_KEYS * sizeof(bool));
	datums[n++] = Int32GetDatum(key->kpi_id);
	nulls[n] = key->team_id == 0;
	datums[n++] = Int32GetDatum(key->team_id);
	nulls[n] = key->member_id == 0;
	datums[n++] = Int32GetDatum(key->member_id);
	if (key->dim_id != 0)
	{
		const SingleDim *dim = single_dim(values, key->dim_id);

		datums[n++] = dim->dimension;
		nulls[n] = dim->isnull;
		datums[n++] = dim->value;
	}
	datums[n++] = values->grains[key->grain];
	datums[n++] = DateADTGetDatum(key->start);
	return n;
}

/* Reads the columns value, numerator, denominator, facts. */
static void
read_value(const ValueTable *table, TupleTableSlot *slot, KpiValue *value)
{
	int			c = 9 + table->ndim_columns;

	slot_getallattrs(slot);
	value->value = slot->tts_isnull[c] ? NULL : DatumGetNumeric(slot->tts_values[c]);
	value->numerator = slot->tts_isnull[c + 1] ? NULL : DatumGetNumeric(slot->tts_values[c + 1]);
	value->denominator = slot->tts_isnull[c + 2] ? NULL : DatumGetNumeric(slot->tts_values[c + 2]);
	value->facts = DatumGetInt64(slot->tts_values[c + 3]);
}

static void
set_numeric(Datum *datums, bool *nulls, int c, Numeric value)
{
	nulls[c] = value == NULL;
	datums[c] = NumericGetDatum(value);
}

/* All columns of a row; id is the existing row's or a new one. */
static void
row_datums(KpiValues *values, const KpiValueKey *key, int64 id, const KpiValue *value, Datum *datums, bool *nulls)
{
	char		name[KPI_PERIOD_NAME_LEN];
	Datum		keys[KPI_KEYED_TABLE_MAX_KEYS];
	bool		key_nulls[KPI_KEYED_TABLE_MAX_KEYS];
	int			nkeys = key_datums(values, key, keys, key_nulls);
	const KpiCalendar *calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	int			c = 0;

	memset(nulls, false, 16 * sizeof(bool));
	datums[c++] = Int64GetDatum(id);
	datums[c++] = keys[0];
	datums[c++] = values->scopes[key->member_id != 0 ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM];
	for (int k = 1; k < nkeys - 1; k++)
	{
		nulls[c] = key_nulls[k];
		datums[c++] = keys[k];
	}
	kpi_calendar_period_name(key->grain, key->start, calendar, name);
	datums[c++] = CStringGetTextDatum(name);
	datums[c++] = DateADTGetDatum(key->start);
	datums[c++] = DateADTGetDatum(kpi_calendar_period_end(key->grain, key->start, calendar));
	set_numeric(datums, nulls, c++, value->value);
	set_numeric(datums, nulls, c++, value->numerator);
	set_numeric(datums, nulls, c++, value->denominator);
	datums[c++] = Int64GetDatum(value->facts);
	datums[c++] = TimestampTzGetDatum(values->run->as_of);
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
	text	   *stored = DatumGetTextPP(slot->tts_values[6 + table->ndim_columns]);
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
		.level = key->dim_id ? "breakdown" : "value",
		.kpi_id = key->kpi_id,
		.team_id = key->team_id,
		.member_id = key->member_id,
		.grain = kpi_calendar_grain_name(key->grain),
		.start = key->start,
		.stored = stored,
		.expected = expected
	};

	if (key->dim_id)
	{
		const SingleDim *dim = single_dim(values, key->dim_id);

		diff.dimension = TextDatumGetCString(dim->dimension);
		diff.dimension_value = dim->isnull ? NULL : TextDatumGetCString(dim->value);
	}
	kpi_refresh_report(values->report, &diff);
}

static void
write_value(KpiValues *values, ValueTable *table, const KpiValueKey *key, bool found, int64 id,
			bool exists, const KpiValue *value)
{
	Datum		datums[16];
	bool		nulls[16];

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
	ValueTable *table = &values->tables[key->dim_id != 0];
	Datum		keys[KPI_KEYED_TABLE_MAX_KEYS];
	bool		nulls[KPI_KEYED_TABLE_MAX_KEYS];
	KpiValue	stored = {0};
	int64		id = 0;
	bool		found;
	bool		same;

	/* What is not there but should not be either: the sweep's business. */
	if (values->all && !exists)
		return;

	(void) key_datums(values, key, keys, nulls);

	/*
	 * Of a member there is little of each grain, so all are passed at once:
	 * month, quarter and year are in this order as text, too.
	 */
	found = kpi_keyed_table_seek(table->put, (key->member_id != 0 ? 3 : 4) + table->ndim_columns, keys, nulls);
	if (found)
	{
		read_value(table, table->put->found, &stored);
		id = DatumGetInt64(table->put->found->tts_values[0]);
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
	ValueTable *table = &values->tables[key->dim_id != 0];
	Datum		keys[KPI_KEYED_TABLE_MAX_KEYS];
	bool		nulls[KPI_KEYED_TABLE_MAX_KEYS];

	(void) key_datums(values, key, keys, nulls);
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
	const int32 xs[] = {x->kpi_id, x->team_id, x->member_id, x->dim_id, x->grain, x->start};
	const int32 ys[] = {y->kpi_id, y->team_id, y->member_id, y->dim_id, y->grain, y->start};

	for (int i = 0; i < lengthof(xs); i++)
	{
		if (xs[i] != ys[i])
			return xs[i] < ys[i] ? -1 : 1;
	}
	return 0;
}

/* The key of the row a scan of one of the tables stands on, but its dim. */
static KpiValueKey
found_value_key(const ValueTable *table, TupleTableSlot *slot)
{
	int			c = 5 + table->ndim_columns;
	KpiValueKey key = {0};
	KpiGrain	grain = KPI_DAY;
	char	   *name;

	slot_getallattrs(slot);
	key.kpi_id = DatumGetInt32(slot->tts_values[1]);
	key.team_id = slot->tts_isnull[3] ? 0 : DatumGetInt32(slot->tts_values[3]);
	key.member_id = slot->tts_isnull[4] ? 0 : DatumGetInt32(slot->tts_values[4]);
	name = TextDatumGetCString(slot->tts_values[c]);
	(void) kpi_calendar_grain_parse(name, &grain);
	pfree(name);
	key.grain = grain;
	key.start = DatumGetDateADT(slot->tts_values[c + 2]);
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
		.level = table->ndim_columns ? "breakdown" : "value",
		.kpi_id = key.kpi_id,
		.team_id = key.team_id,
		.member_id = key.member_id,
		.grain = kpi_calendar_grain_name(key.grain),
		.start = key.start
	};
	KpiValue	stored;

	read_value(table, slot, &stored);
	diff.stored = value_text(true, &stored);
	if (table->ndim_columns)
	{
		diff.dimension = TextDatumGetCString(slot->tts_values[5]);
		diff.dimension_value = slot->tts_isnull[6] ? NULL : TextDatumGetCString(slot->tts_values[6]);
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
		id = DatumGetInt64(slot->tts_values[0]);
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
