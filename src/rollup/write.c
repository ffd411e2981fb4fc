/*-------------------------------------------------------------------------
 *
 * write.c
 *	  Statements on a rollup table, as its owner.
 *
 * They run whatever code the table's owner has put there: triggers, defaults,
 * policies, the expressions of indexes.  So each runs as the owner, in a
 * security-restricted operation with a pinned search_path, and what it is to
 * write comes as parameters.  Nothing of such code may run later, with the rights
 * of whoever ends the transaction: the server lets no deferred trigger wait within
 * such an operation.  Where the transaction is ours all constraints are made
 * immediate before, so that those of the user work; in somebody else's that would
 * concern his, too, and there they are refused.  Such code must not set off the
 * next refresh either, which would write the table again.
 *
 * Locks: those of the statements, on a table that is locked already.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fact/fact.h"
#include "refresh/refresh.h"
#include "rollup/rollup_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Keys of the table that are read at once. */
#define KEYS_AT_ONCE 1000

/* ---- statements as the owner ---- */

typedef struct OwnerStatement
{
	StringInfoData sql;
	int			nparams;
	Oid		   *types;
	Datum	   *values;
	char	   *nulls;
} OwnerStatement;

static OwnerStatement *
new_statement(int max_params)
{
	OwnerStatement *statement = palloc(sizeof(OwnerStatement));

	initStringInfo(&statement->sql);
	statement->nparams = 0;
	statement->types = palloc(max_params * sizeof(Oid));
	statement->values = palloc(max_params * sizeof(Datum));
	statement->nulls = palloc(max_params);
	return statement;
}

static void
add_param(OwnerStatement *statement, Oid type, Datum value)
{
	statement->types[statement->nparams] = type;
	statement->values[statement->nparams] = value;
	statement->nulls[statement->nparams++] = ' ';
}

/* Between begin and end the owner's code may run; SPI is connected. */
static void
begin_as_owner(const KpiRollupTable *table, KpiUser *user)
{
	kpi_user_switch(user, table->owner);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
end_as_owner(KpiUser *user)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	kpi_user_restore(user);
}

static void
run(OwnerStatement *statement, bool read_only)
{
	int			rc = SPI_execute_with_args(statement->sql.data, statement->nparams, statement->types,
										   statement->values, statement->nulls, read_only, 0);

	if (rc < 0)
		elog(ERROR, "SPI failed with %s: %s", SPI_result_code_string(rc), statement->sql.data);
}

/* The values of a column at some places, as a parameter; which: NULL for all. */
static void
add_column_param(OwnerStatement *statement, const KpiRollupRows *rows, int c, const bool *which, bool wanted)
{
	const KpiRollupColumn *column = list_nth(rows->rollup->columns, c);
	int			n = 0;
	int			lbound = 1;
	Datum	   *values = palloc(Max(rows->places->n, 1) * sizeof(Datum));
	bool	   *nulls = palloc(Max(rows->places->n, 1) * sizeof(bool));
	int16		typlen;
	bool		typbyval;
	char		typalign;

	for (int i = 0; i < rows->places->n; i++)
	{
		if (which != NULL && which[i] != wanted)
			continue;
		values[n] = rows->values[c][i];
		nulls[n++] = rows->nulls[c][i];
	}
	get_typlenbyvalalign(column->type, &typlen, &typbyval, &typalign);
	add_param(statement, get_array_type(column->type),
			  PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lbound, column->type, typlen, typbyval,
												 typalign)));
}

/* The key of each place, where there is no row to take it from. */
static void
add_key_params(OwnerStatement *statement, const KpiRollup *rollup, const KpiRollupPlaces *places)
{
	KpiParam	scopes;
	KpiParam	starts;
	KpiParam	labels;

	kpi_rollup_places_params(rollup, places, &scopes, &starts, &labels);
	add_param(statement, scopes.type, scopes.value);
	if (rollup->dimension != NULL)
		add_param(statement, labels.type, labels.value);
	add_param(statement, starts.type, starts.value);
}

/* For each of the columns, or of those of the key, a text with %s in it, quoted. */
static void
append_columns(StringInfo sql, const KpiRollup *rollup, bool only_keys, const char *separator, const char *format)
{
	const char *before = "";
	ListCell   *lc;

	foreach(lc, rollup->columns)
	{
		const KpiRollupColumn *column = lfirst(lc);
		const char *name = quote_identifier(column->name);

		if (only_keys && !column->is_key)
			continue;
		appendStringInfoString(sql, before);
		for (const char *p = format; *p != '\0'; p++)
		{
			if (*p == '%')
				appendStringInfoString(sql, name);
			else
				appendStringInfoChar(sql, *p);
		}
		before = separator;
	}
}

/* "unnest($1, $2)", of the parameters there are. */
static void
append_unnest(OwnerStatement *statement)
{
	appendStringInfoString(&statement->sql, "unnest(");
	for (int i = 1; i <= statement->nparams; i++)
		appendStringInfo(&statement->sql, "%s$%d", i > 1 ? ", " : "", i);
	appendStringInfoChar(&statement->sql, ')');
}

/* ---- writing ---- */

static int
count_places(const KpiRollupRows *rows, bool exists)
{
	int			n = 0;

	for (int i = 0; i < rows->places->n; i++)
		n += rows->exists[i] == exists;
	return n;
}

/* A row changes only if something in it does. */
static OwnerStatement *
upsert(const KpiRollupTable *table, const KpiRollupRows *rows)
{
	const KpiRollup *rollup = table->rollup;
	OwnerStatement *statement = new_statement(list_length(rollup->columns));
	StringInfo	sql = &statement->sql;

	for (int c = 0; c < list_length(rollup->columns); c++)
		add_column_param(statement, rows, c, rows->exists, true);
	appendStringInfo(sql, "INSERT INTO %s AS t (", rollup->relation);
	append_columns(sql, rollup, false, ", ", "%");
	appendStringInfoString(sql, ") SELECT * FROM ");
	append_unnest(statement);
	appendStringInfoString(sql, " ON CONFLICT (");
	append_columns(sql, rollup, true, ", ", "%");
	appendStringInfoString(sql, ") DO UPDATE SET ");
	append_columns(sql, rollup, false, ", ", "% = EXCLUDED.%");
	appendStringInfoString(sql, " WHERE ");
	append_columns(sql, rollup, false, " OR ", "t.% IS DISTINCT FROM EXCLUDED.%");
	return statement;
}

static OwnerStatement *
removal(const KpiRollupTable *table, const KpiRollupRows *rows)
{
	const KpiRollup *rollup = table->rollup;
	OwnerStatement *statement = new_statement(3);
	StringInfo	sql = &statement->sql;
	KpiRollupPlaces gone = {.items = palloc(rows->places->n * sizeof(KpiRollupPlace))};

	for (int i = 0; i < rows->places->n; i++)
	{
		if (!rows->exists[i])
			gone.items[gone.n++] = rows->places->items[i];
	}
	add_key_params(statement, rollup, &gone);
	appendStringInfo(sql, "DELETE FROM %s AS t USING ", rollup->relation);
	append_unnest(statement);
	appendStringInfoString(sql, " AS d (");
	append_columns(sql, rollup, true, ", ", "%");
	appendStringInfoString(sql, ") WHERE ");
	append_columns(sql, rollup, true, " AND ", "t.% = d.%");
	return statement;
}

static void
refuse_loop(const KpiRollupTable *table, int32 source_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("writing table %s writes to the table of source \"%s\": a loop", table->rollup->relation,
					kpi_refresh_name_of("SELECT name FROM kpi.source WHERE id = $1", source_id)),
			 errdetail("A trigger does it; the refresh that follows would write the rollup table again, and so on without end."),
			 errhint("Drop the trigger of the rollup table, or have it write elsewhere.")));
}

void
kpi_rollup_table_write(const KpiRollupTable *table, const KpiRollupRows *rows, bool own_transaction)
{
	int32		source_id;
	uint64		captured = kpi_capture_count(&source_id);
	KpiLockWait wait;
	KpiUser		user;

	kpi_fact_lock_wait_begin(&wait, table->rollup->relation);
	begin_as_owner(table, &user);
	if (own_transaction && SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) < 0)
		elog(ERROR, "SPI failed: SET CONSTRAINTS");
	if (count_places(rows, false) > 0)
		run(removal(table, rows), false);
	if (count_places(rows, true) > 0)
		run(upsert(table, rows), false);
	end_as_owner(&user);
	kpi_fact_lock_wait_end(&wait);

	if (kpi_capture_count(&source_id) != captured)
		refuse_loop(table, source_id);
	CommandCounterIncrement();
}

/* ---- reading ---- */

KpiRollupPlaces
kpi_rollup_table_keys(const KpiRollupTable *table, const KpiRollupPlace *after)
{
	const KpiRollup *rollup = table->rollup;
	MemoryContext caller = CurrentMemoryContext;
	OwnerStatement *statement = new_statement(3);
	StringInfo	sql = &statement->sql;
	KpiRollupPlaces keys = {0};
	bool		has_label = rollup->dimension != NULL;
	KpiUser		user;

	appendStringInfoString(sql, "SELECT ");
	append_columns(sql, rollup, true, ", ", "t.%");
	appendStringInfo(sql, " FROM %s AS t", rollup->relation);
	if (after != NULL)
	{
		add_param(statement, INT4OID, Int32GetDatum(after->scope_id));
		if (has_label)
			add_param(statement, TEXTOID, CStringGetTextDatum(after->label));
		add_param(statement, DATEOID, DateADTGetDatum(after->start));
		appendStringInfoString(sql, " WHERE (");
		append_columns(sql, rollup, true, ", ", "t.%");
		appendStringInfoString(sql, has_label ? ") > ($1, $2, $3)" : ") > ($1, $2)");
	}
	appendStringInfoString(sql, " ORDER BY ");
	append_columns(sql, rollup, true, ", ", "t.%");
	appendStringInfo(sql, " LIMIT %d", KEYS_AT_ONCE);

	begin_as_owner(table, &user);
	run(statement, true);
	MemoryContextSwitchTo(caller);
	keys.items = palloc(Max(SPI_processed, 1) * sizeof(KpiRollupPlace));
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		KpiRollupPlace *key = &keys.items[keys.n++];
		bool		isnull;

		key->scope_id = DatumGetInt32(kpi_spi_datum(r, 1, &isnull));
		key->label = has_label ? kpi_spi_text(r, 2) : NULL;
		key->start = DatumGetDateADT(kpi_spi_datum(r, has_label ? 3 : 2, &isnull));
	}
	end_as_owner(&user);
	MemoryContextSwitchTo(caller);
	return keys;
}

static char *
value_text(const KpiRollupRows *rows, int c, int n)
{
	const KpiRollupColumn *column = list_nth(rows->rollup->columns, c);
	Oid			output;
	bool		is_varlena;

	if (rows->nulls[c][n])
		return NULL;
	getTypeOutputInfo(column->type, &output, &is_varlena);
	return OidOutputFunctionCall(output, rows->values[c][n]);
}

static KpiDifference
difference_at(const KpiRollupRows *rows, int n)
{
	const KpiRollupPlace *place = &rows->places->items[n];
	KpiDifference diff = {
		.level = "rollup table",
		.grain = kpi_calendar_grain_name(rows->rollup->grain),
		.start = place->start,
		.dimension = rows->rollup->dimension,
		.dimension_value = place->label
	};

	if (rows->rollup->of_members)
		diff.member_id = place->scope_id;
	else
		diff.team_id = place->scope_id;
	return diff;
}

/* A name that differs is told with its column. */
static void
report_column(const KpiRollupRows *rows, int c, int n, const char *stored, KpiReport *report)
{
	const KpiRollupColumn *column = list_nth(rows->rollup->columns, c);
	KpiDifference diff = difference_at(rows, n);
	char	   *expected = value_text(rows, c, n);

	if (column->kpi_id != 0)
		diff.kpi = kpi_refresh_name_of("SELECT name FROM kpi.kpi WHERE id = $1", column->kpi_id);
	diff.stored = column->is_name ? psprintf("%s: %s", column->name, stored ? stored : "NULL") : stored;
	diff.expected = column->is_name ? psprintf("%s: %s", column->name, expected ? expected : "NULL") : expected;
	kpi_refresh_report(report, &diff);
}

static void
report_row(const KpiRollupRows *rows, int n, bool is_there, KpiReport *report)
{
	KpiDifference diff = difference_at(rows, n);

	diff.stored = is_there ? "a row" : "no row";
	diff.expected = is_there ? "no row" : "a row";
	kpi_refresh_report(report, &diff);
}

/*
 * What the table has at each place: number of the place, then of each column
 * whether it differs, and its text.  Places have keys k1, k2 and so on, and are to
 * have columns c1, c2 and so on.
 */
static OwnerStatement *
stored_rows(const KpiRollupTable *table, const KpiRollupRows *rows)
{
	const KpiRollup *rollup = table->rollup;
	OwnerStatement *statement = new_statement(list_length(rollup->columns) + 3);
	StringInfo	sql = &statement->sql;
	int			nkeys;
	int			c = 0;
	int			k = 0;
	ListCell   *lc;

	add_key_params(statement, rollup, rows->places);
	nkeys = statement->nparams;
	for (int i = 0; i < list_length(rollup->columns); i++)
		add_column_param(statement, rows, i, NULL, true);

	appendStringInfoString(sql, "SELECT p.n::integer");
	foreach(lc, rollup->columns)
	{
		const char *name = quote_identifier(((KpiRollupColumn *) lfirst(lc))->name);

		appendStringInfo(sql, ", t.%s IS DISTINCT FROM p.c%d, t.%s::text", name, ++c, name);
	}
	appendStringInfoString(sql, " FROM ");
	append_unnest(statement);
	appendStringInfoString(sql, " WITH ORDINALITY AS p (");
	for (int i = 1; i <= nkeys; i++)
		appendStringInfo(sql, "k%d, ", i);
	for (int i = 1; i <= c; i++)
		appendStringInfo(sql, "c%d, ", i);
	appendStringInfo(sql, "n) JOIN %s AS t ON true", rollup->relation);
	foreach(lc, rollup->columns)
	{
		const KpiRollupColumn *column = lfirst(lc);

		if (column->is_key)
			appendStringInfo(sql, " AND t.%s = p.k%d", quote_identifier(column->name), ++k);
	}
	appendStringInfoString(sql, " ORDER BY p.n");
	return statement;
}

void
kpi_rollup_table_compare(const KpiRollupTable *table, const KpiRollupRows *rows, KpiReport *report)
{
	OwnerStatement *statement = stored_rows(table, rows);
	int			ncolumns = list_length(table->rollup->columns);
	bool	   *found = palloc0(rows->places->n * sizeof(bool));
	bool	   *differs = palloc0(rows->places->n * ncolumns * sizeof(bool));
	char	  **stored = palloc0(rows->places->n * ncolumns * sizeof(char *));
	MemoryContext caller = CurrentMemoryContext;
	KpiUser		user;

	begin_as_owner(table, &user);
	run(statement, true);
	MemoryContextSwitchTo(caller);
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		int			n = kpi_spi_int4(r, 1) - 1;

		found[n] = true;
		for (int c = 0; c < ncolumns; c++)
		{
			differs[n * ncolumns + c] = kpi_spi_bool(r, 2 + 2 * c);
			stored[n * ncolumns + c] = kpi_spi_text(r, 3 + 2 * c);
		}
	}
	end_as_owner(&user);
	MemoryContextSwitchTo(caller);

	for (int n = 0; n < rows->places->n; n++)
	{
		if (found[n] != rows->exists[n])
			report_row(rows, n, found[n], report);
		for (int c = 0; c < ncolumns; c++)
		{
			if (found[n] && rows->exists[n] && differs[n * ncolumns + c])
				report_column(rows, c, n, stored[n * ncolumns + c], report);
		}
	}
}
