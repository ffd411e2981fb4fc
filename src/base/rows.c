/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows of a statement, one after the other, read by the names of columns.
 *
 * Each statement has an SPI level of its own.  So others may run while its rows
 * are read, and they neither end it nor change what is read; and its rows go
 * with kpi_rows_end(), while the caller's memory stays the current one and has
 * the texts.
 *
 * A name that is not there, that two columns have, or that is of another type
 * than it is read as is a bug of ours: an error, and never another value.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base_internal.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static const char *
column_name(const KpiRows *rows, int column)
{
	return NameStr(TupleDescAttr(rows->table->tupdesc, column)->attname);
}

static void
check_names(const KpiRows *rows)
{
	for (int i = 1; i < rows->table->tupdesc->natts; i++)
	{
		for (int j = 0; j < i; j++)
		{
			if (strcmp(column_name(rows, i), column_name(rows, j)) == 0)
				elog(ERROR, "statement of pg_kpi with two columns \"%s\"", column_name(rows, i));
		}
	}
}

static void
rows_begin(KpiRows *rows, const char *sql, bool read_only, int nargs, va_list args)
{
	MemoryContext caller = CurrentMemoryContext;

	kpi_spi_begin(&rows->spi);
	rows->n = kpi_spi_run(sql, read_only, nargs, args);
	rows->table = SPI_tuptable;
	rows->next = 0;
	rows->column = -1;
	if (rows->table == NULL)
		elog(ERROR, "statement of pg_kpi without rows: %s", sql);
	check_names(rows);
	MemoryContextSwitchTo(caller);
}

void
kpi_rows_begin(KpiRows *rows, const char *sql, int nargs,...)
{
	va_list		args;

	va_start(args, nargs);
	rows_begin(rows, sql, false, nargs, args);
	va_end(args);
}

void
kpi_rows_begin_read(KpiRows *rows, const char *sql, int nargs,...)
{
	va_list		args;

	Assert(ActiveSnapshotSet());
	va_start(args, nargs);
	rows_begin(rows, sql, true, nargs, args);
	va_end(args);
}

bool
kpi_rows_next(KpiRows *rows)
{
	if (rows->next >= rows->n)
		return false;
	rows->next++;
	return true;
}

void
kpi_rows_rewind(KpiRows *rows)
{
	rows->next = 0;
}

void
kpi_rows_end(KpiRows *rows)
{
	kpi_spi_end(&rows->spi);
}

void
kpi_rows_put(KpiRows *rows, ReturnSetInfo *rsinfo, const char *const *columns, int ncolumns)
{
	Datum	   *values = palloc(ncolumns * sizeof(Datum));
	bool	   *nulls = palloc(ncolumns * sizeof(bool));

	while (kpi_rows_next(rows))
	{
		for (int c = 0; c < ncolumns; c++)
			values[c] = kpi_rows_datum(rows, columns[c], &nulls[c]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	kpi_rows_end(rows);
}

/*
 * Number of the column, from 0.  Most rows are read in the order of their
 * columns, so the search begins behind the one that was read last, and ends
 * there.
 */
static int
find_column(KpiRows *rows, const char *name)
{
	int			natts = rows->table->tupdesc->natts;

	for (int i = 1; i <= natts; i++)
	{
		int			column = (rows->column + i) % natts;

		if (strcmp(column_name(rows, column), name) == 0)
			return rows->column = column;
	}
	elog(ERROR, "statement of pg_kpi without column \"%s\"", name);
	return -1;
}

static Datum
column_value(KpiRows *rows, int column, bool *isnull)
{
	Assert(rows->next > 0);
	return SPI_getbinval(rows->table->vals[rows->next - 1], rows->table->tupdesc, column + 1, isnull);
}

static Datum
value_of_type(KpiRows *rows, const char *name, Oid type, bool *isnull)
{
	int			column = find_column(rows, name);

	if (TupleDescAttr(rows->table->tupdesc, column)->atttypid != type)
		elog(ERROR, "statement of pg_kpi with column \"%s\" of type %u, read as %u", name,
			 TupleDescAttr(rows->table->tupdesc, column)->atttypid, type);
	return column_value(rows, column, isnull);
}

char *
kpi_rows_text(KpiRows *rows, const char *name)
{
	int			column = find_column(rows, name);

	Assert(rows->next > 0);
	return SPI_getvalue(rows->table->vals[rows->next - 1], rows->table->tupdesc, column + 1);
}

List *
kpi_rows_texts(KpiRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = kpi_rows_datum(rows, name, &isnull);
	Datum	   *texts;
	int			n = 0;
	List	   *values = NIL;

	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &texts, NULL, &n);
	for (int i = 0; i < n; i++)
		values = lappend(values, TextDatumGetCString(texts[i]));
	return values;
}

int32
kpi_rows_int4(KpiRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = value_of_type(rows, name, INT4OID, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

int64
kpi_rows_int8(KpiRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = value_of_type(rows, name, INT8OID, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

bool
kpi_rows_bool(KpiRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = value_of_type(rows, name, BOOLOID, &isnull);

	return !isnull && DatumGetBool(value);
}

Oid
kpi_rows_oid(KpiRows *rows, const char *name)
{
	bool		isnull;
	Datum		value = value_of_type(rows, name, OIDOID, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

DateADT
kpi_rows_date(KpiRows *rows, const char *name, DateADT if_null)
{
	bool		isnull;
	Datum		value = value_of_type(rows, name, DATEOID, &isnull);

	return isnull ? if_null : DatumGetDateADT(value);
}

TimestampTz
kpi_rows_time(KpiRows *rows, const char *name, TimestampTz if_null)
{
	bool		isnull;
	Datum		value = value_of_type(rows, name, TIMESTAMPTZOID, &isnull);

	return isnull ? if_null : DatumGetTimestampTz(value);
}

Datum
kpi_rows_datum(KpiRows *rows, const char *name, bool *isnull)
{
	return column_value(rows, find_column(rows, name), isnull);
}

/* Starts a statement of one column, and says its name. */
static const char *
begin_one_column(KpiRows *rows, const char *sql, int nargs, va_list args)
{
	rows_begin(rows, sql, false, nargs, args);
	if (rows->table->tupdesc->natts != 1)
		elog(ERROR, "statement of pg_kpi with %d columns instead of one: %s",
			 rows->table->tupdesc->natts, sql);
	return column_name(rows, 0);
}

int32
kpi_first_int4(const char *sql, int nargs,...)
{
	KpiRows		rows;
	const char *name;
	int32		value;
	va_list		args;

	va_start(args, nargs);
	name = begin_one_column(&rows, sql, nargs, args);
	va_end(args);
	value = kpi_rows_next(&rows) ? kpi_rows_int4(&rows, name) : 0;
	kpi_rows_end(&rows);
	return value;
}

int64
kpi_first_int8(const char *sql, int nargs,...)
{
	KpiRows		rows;
	const char *name;
	int64		value;
	va_list		args;

	va_start(args, nargs);
	name = begin_one_column(&rows, sql, nargs, args);
	va_end(args);
	value = kpi_rows_next(&rows) ? kpi_rows_int8(&rows, name) : 0;
	kpi_rows_end(&rows);
	return value;
}

char *
kpi_first_text(const char *sql, int nargs,...)
{
	KpiRows		rows;
	const char *name;
	char	   *value;
	va_list		args;

	va_start(args, nargs);
	name = begin_one_column(&rows, sql, nargs, args);
	va_end(args);
	value = kpi_rows_next(&rows) ? kpi_rows_text(&rows, name) : NULL;
	kpi_rows_end(&rows);
	return value;
}

List *
kpi_all_int4(const char *sql, int nargs,...)
{
	KpiRows		rows;
	const char *name;
	List	   *values = NIL;
	va_list		args;

	va_start(args, nargs);
	name = begin_one_column(&rows, sql, nargs, args);
	va_end(args);
	while (kpi_rows_next(&rows))
		values = lappend_int(values, kpi_rows_int4(&rows, name));
	kpi_rows_end(&rows);
	return values;
}

List *
kpi_all_texts(const char *sql, int nargs,...)
{
	KpiRows		rows;
	const char *name;
	List	   *values = NIL;
	va_list		args;

	va_start(args, nargs);
	name = begin_one_column(&rows, sql, nargs, args);
	va_end(args);
	while (kpi_rows_next(&rows))
		values = lappend(values, kpi_rows_text(&rows, name));
	kpi_rows_end(&rows);
	return values;
}
