/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  kpi.apply(): definitions are made what a document says.
 *
 * What differs is found by comparing the document with what kpi.export() would say
 * (kpi_internal.definition_differences()), and each difference is a few calls of the
 * functions that people call (kpi_internal.definition_statements()), which run as the
 * caller: rights, checks and locks are theirs.  A change runs in a subtransaction
 * that is kept only if the definition is another after it, so that the same thing,
 * written otherwise, is not touched.
 *
 * A dry run does all of it in a subtransaction that is taken back: it can only
 * say what would happen, and which error, by having it happen.  The choice not taken, to
 * compare alone, says nothing of texts that are wrong.
 *
 * Locks: those of the functions, in the order in which they are called.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kpi_sql_apply);

#define NCOLUMNS 8

/* A definition that differs; JSON as text. */
typedef struct Difference
{
	char	   *kind;
	char	   *path;			/* where the document says it; NULL: nowhere */
	char	   *key;
	int64		object_id;
	char	   *name;
	char	   *before;			/* NULL: there is none */
	char	   *after;			/* NULL: there is to be none */
	char	   *own_name;
	List	   *inputs;			/* char *: names that a formula has */
	char	   *query;			/* of a source */
	char	   *kept_rows;		/* how queries of others name its rows */
	bool		is_done;
}			Difference;

/* A row of the result, but for what is known when all is done. */
typedef struct Done
{
	const char *action;
	const		Difference *difference;
	char	   *name;			/* as it is then */
	char	   *after;
	char	   *detail;
}			Done;

typedef struct Build
{
	char	   *source;
	KpiParam	facts;
	KpiParam	seconds;
	int64		scans;
}			Build;

typedef struct Apply
{
	KpiParam	document;
	bool		prune;
	List	   *differences;	/* in the order in which they are made */
	List	   *done;
	List	   *builds;
}			Apply;

/* A change of one, to be taken back if it changes nothing. */
typedef struct Change
{
	const		Difference *difference;
	bool		is_one;
}			Change;

/* ---- what differs ---- */

/* What it names, and is named by. */
static void
read_names(Difference * difference, KpiRows *rows)
{
	char	   *formula = kpi_rows_text(rows, "formula");

	difference->own_name = kpi_rows_text(rows, "own_name");
	if (strcmp(difference->kind, "kpi") == 0 && formula != NULL)
		difference->inputs = kpi_model_formula_names(kpi_model_formula_parse(formula));
	if (strcmp(difference->kind, "source") == 0)
	{
		difference->query = kpi_rows_text(rows, "query");
		difference->kept_rows = psprintf("kpi_data.%s", quote_identifier(difference->own_name));
	}
}

static void
load_differences(Apply * apply)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT d.*, s.said ->> 'name' AS own_name, s.said ->> 'formula' AS formula, s.said ->> 'query' AS query"
				   " FROM kpi_internal.definition_differences($1) d"
				   " CROSS JOIN LATERAL (SELECT coalesce(d.definition_after, d.definition_before) AS said) s", 1, apply->document);
	while (kpi_rows_next(&rows))
	{
		Difference *difference = palloc0(sizeof(Difference));

		difference->after = kpi_rows_text(&rows, "definition_after");
		if (difference->after == NULL && (!apply->prune || kpi_rows_bool(&rows, "is_built_in")))
			continue;
		difference->kind = kpi_rows_text(&rows, "kind");
		difference->path = kpi_rows_text(&rows, "path");
		difference->key = kpi_rows_text(&rows, "key");
		difference->object_id = kpi_rows_int8(&rows, "object_id");
		difference->name = kpi_rows_text(&rows, "name");
		difference->before = kpi_rows_text(&rows, "definition_before");
		read_names(difference, &rows);
		apply->differences = lappend(apply->differences, difference);
	}
	kpi_rows_end(&rows);
}

/* A definition as it is now, as text; NULL: there is none.  It may have been made anew. */
static char *
definition_now(const Difference * difference)
{
	char	   *definition = kpi_first_text(psprintf("SELECT e.definition::text FROM kpi_internal.exported e"
													 " WHERE e.kind = %s AND e.object_id = $1",
													 quote_literal_cstr(difference->kind)),
											1, KPI_INT8(difference->object_id));

	if (definition != NULL)
		return definition;
	return kpi_first_text("SELECT d.definition::text FROM kpi_internal.definitions_now($1, $2) d", 2,
						  KPI_TEXTS(list_make1(difference->kind)), KPI_TEXTS(list_make1(difference->key)));
}

/* ---- calls ---- */

/* Runs a statement as the caller, who could have written it. */
static void
call(const char *statement)
{
	int			rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute(statement, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI failed with %s: %s", SPI_result_code_string(rc), statement);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

/* What people call a kind. */
static const char *
noun(const char *kind)
{
	if (strcmp(kind, "kpi") == 0)
		return "KPI";
	if (strcmp(kind, "exchange_rate") == 0)
		return "exchange rate";
	return strcmp(kind, "rollup") == 0 ? "rollup table" : kind;
}

static void
say_where(void *arg)
{
	const		Difference *difference = arg;

	if (difference->path != NULL)
		errcontext("%s of the definitions", difference->path);
	else
		errcontext("%s \"%s\", which is not in the definitions", noun(difference->kind), difference->name);
}

static KpiParam
json_param(const char *text)
{
	return text == NULL ? KPI_NULL(JSONBOID) : KPI_VALUE(JSONBOID, DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

/* Runs the calls that a query names, of kind, id, definition before and after. */
static void
run(const Difference * difference, const char *query)
{
	List	   *statements;
	ListCell   *lc;
	ErrorContextCallback callback = {.callback = say_where,.arg = unconstify(Difference *, difference)};

	statements = kpi_all_texts(query, 4, KPI_TEXT(difference->kind), KPI_INT8(difference->object_id),
							   json_param(difference->before), json_param(difference->after));
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	foreach(lc, statements)
		call(lfirst(lc));
	error_context_stack = callback.previous;
}

static void
run_itself(const Difference * difference)
{
	run(difference, "SELECT kpi_internal.definition_statements($1, $2, $3, $4)");
}

static void
run_parts(const Difference * difference)
{
	run(difference, "SELECT kpi_internal.definition_part_statements($1, $3, $4) WHERE $2 IS NOT NULL");
}

static void
note(Apply * apply, const char *action, Difference * difference)
{
	Done	   *done = palloc0(sizeof(Done));

	done->action = action;
	done->difference = difference;
	apply->done = lappend(apply->done, done);
	difference->is_done = true;
}

/* ---- changes ---- */

static void
change(void *arg)
{
	Change	   *it = arg;
	char	   *now;

	run_itself(it->difference);
	run_parts(it->difference);
	now = definition_now(it->difference);
	it->is_one = now == NULL || strcmp(now, it->difference->before) != 0;
}

static void
alter(Apply * apply, Difference * difference)
{
	Change		it = {.difference = difference};

	kpi_done_if(&it.is_one, change, &it);
	if (it.is_one)
		note(apply, "alter", difference);
}

/* ---- the order ---- */

/* Whether one definition names another of its kind: a formula, and a query that reads kept rows. */
static bool
names(const Difference * difference, const Difference * other)
{
	ListCell   *lc;

	if (difference->query != NULL && other->kept_rows != NULL && strstr(difference->query, other->kept_rows) != NULL)
		return true;
	foreach(lc, difference->inputs)
	{
		if (other->own_name != NULL && strcmp(lfirst(lc), other->own_name) == 0)
			return true;
	}
	return false;
}

/* Whether it has to wait until another is made that it names, or dropped that names it. */
static bool
must_wait(const List *pending, const Difference * difference)
{
	ListCell   *lc;

	foreach(lc, pending)
	{
		const		Difference *other = lfirst(lc);

		if (other == difference || other->is_done)
			continue;
		if (difference->after != NULL ? names(difference, other) : names(other, difference))
			return true;
	}
	return false;
}

/* Only these name others of their kind. */
static bool
has_order(const char *kind)
{
	return strcmp(kind, "kpi") == 0 || strcmp(kind, "source") == 0;
}

/* One of those that need not wait; of a circle the first, of which the function that is called says so. */
static Difference *
next_of(const List *pending)
{
	Difference *first = NULL;
	ListCell   *lc;

	foreach(lc, pending)
	{
		Difference *difference = lfirst(lc);

		if (difference->is_done)
			continue;
		if (!must_wait(pending, difference))
			return difference;
		if (first == NULL)
			first = difference;
	}
	return first;
}

static void
run_in_order(Apply * apply, const char *action, const char *kind, const List *pending)
{
	for (int i = 0; i < list_length(pending); i++)
	{
		Difference *difference = has_order(kind) ? next_of(pending) : list_nth(pending, i);

		run_itself(difference);
		note(apply, action, difference);
	}
}

/* Of one kind: all are there before one is placed among the others. */
static void
make(Apply * apply, const char *kind)
{
	List	   *created = NIL;
	ListCell   *lc;

	foreach(lc, apply->differences)
	{
		Difference *difference = lfirst(lc);

		if (strcmp(difference->kind, kind) == 0 && difference->before == NULL)
			created = lappend(created, difference);
	}
	run_in_order(apply, "create", kind, created);
	foreach(lc, created)
		run_parts(lfirst(lc));
	foreach(lc, apply->differences)
	{
		Difference *difference = lfirst(lc);

		if (strcmp(difference->kind, kind) == 0 && difference->before != NULL && difference->after != NULL)
			alter(apply, difference);
	}
}

static void
drop(Apply * apply, const char *kind)
{
	List	   *dropped = NIL;
	ListCell   *lc;

	foreach(lc, apply->differences)
	{
		Difference *difference = lfirst(lc);

		if (strcmp(difference->kind, kind) == 0 && difference->after == NULL && !difference->is_done)
			dropped = lappend(dropped, difference);
	}
	foreach(lc, dropped)
		run_parts(lfirst(lc));
	run_in_order(apply, "drop", kind, dropped);
}

/* ---- what came of it ---- */

static void
look_at_result(Apply * apply)
{
	List	   *kinds = NIL;
	List	   *keys = NIL;
	ListCell   *lc;
	KpiRows		rows;

	foreach(lc, apply->done)
	{
		const		Done *done = lfirst(lc);

		kinds = lappend(kinds, done->difference->kind);
		keys = lappend(keys, done->difference->key);
	}
	kpi_rows_begin(&rows, "SELECT * FROM kpi_internal.definitions_now($1, $2)", 2, KPI_TEXTS(kinds), KPI_TEXTS(keys));
	foreach(lc, apply->done)
	{
		Done	   *done = lfirst(lc);

		if (!kpi_rows_next(&rows))
			elog(ERROR, "definitions are gone");
		done->name = kpi_rows_text(&rows, "name");
		done->after = kpi_rows_text(&rows, "definition");
	}
	kpi_rows_end(&rows);
	foreach(lc, apply->done)
	{
		Done	   *done = lfirst(lc);

		done->detail = kpi_first_text("SELECT kpi_internal.definition_detail($1, $2, $3)", 3,
									  KPI_TEXT(done->difference->kind), json_param(done->difference->before),
									  json_param(done->after));
	}
}

static void
look_at_builds(Apply * apply, List *unbuilt)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT b.source, b.facts, b.scans, b.seconds FROM kpi_internal.builds_to_come($1) b", 1, KPI_TEXTS(unbuilt));
	while (kpi_rows_next(&rows))
	{
		Build	   *build = palloc0(sizeof(Build));
		bool		isnull;
		Datum		value = kpi_rows_datum(&rows, "facts", &isnull);

		build->source = kpi_rows_text(&rows, "source");
		build->facts = isnull ? KPI_NULL(INT8OID) : KPI_VALUE(INT8OID, value);
		build->scans = kpi_rows_int8(&rows, "scans");
		value = kpi_rows_datum(&rows, "seconds", &isnull);
		build->seconds = isnull ? KPI_NULL(NUMERICOID) :
			KPI_VALUE(NUMERICOID, PointerGetDatum(PG_DETOAST_DATUM_COPY(value)));
		apply->builds = lappend(apply->builds, build);
	}
	kpi_rows_end(&rows);
}

/*
 * What nothing depends on is dropped first, so that what it stood on may change; the
 * rest at last, as formulas may cease to use it.
 */
static void
apply_all(void *arg)
{
	Apply	   *apply = arg;
	List	   *unbuilt = kpi_all_texts("SELECT u.measure FROM kpi_internal.unbuilt u", 0);
	List	   *kinds = kpi_all_texts("SELECT k.kind FROM kpi_internal.definition_kind k ORDER BY k.number", 0);

	load_differences(apply);
	drop(apply, "rollup");
	drop(apply, "goal");
	for (int i = 0; i < list_length(kinds); i++)
		make(apply, list_nth(kinds, i));
	for (int i = list_length(kinds) - 1; i >= 0; i--)
		drop(apply, list_nth(kinds, i));
	look_at_result(apply);
	look_at_builds(apply, unbuilt);
}

static void
put_row(ReturnSetInfo *rsinfo, const char *action, const char *kind, const char *name,
		KpiParam before, KpiParam after, KpiParam facts, KpiParam seconds, const char *detail)
{
	KpiParam	columns[] = {KPI_TEXT(action), KPI_TEXT(kind), KPI_TEXT(name), before, after, facts, seconds, KPI_TEXT(detail)};
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	StaticAssertStmt(lengthof(columns) == NCOLUMNS, "the columns of kpi.apply()");
	for (int c = 0; c < NCOLUMNS; c++)
	{
		values[c] = columns[c].value;
		nulls[c] = columns[c].isnull;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_rows(ReturnSetInfo *rsinfo, const Apply * apply)
{
	ListCell   *lc;

	foreach(lc, apply->done)
	{
		const		Done *done = lfirst(lc);

		put_row(rsinfo, done->action, done->difference->kind, done->name ? done->name : done->difference->name,
				json_param(done->difference->before), json_param(done->after), KPI_NULL(INT8OID), KPI_NULL(NUMERICOID),
				done->detail);
	}
	foreach(lc, apply->builds)
	{
		const		Build *build = lfirst(lc);

		put_row(rsinfo, "build", "source", build->source, KPI_NULL(JSONBOID), KPI_NULL(JSONBOID), build->facts, build->seconds,
				build->scans == 1 ? "in one scan" : psprintf("in " INT64_FORMAT " scans", build->scans));
	}
}

/* kpi.apply(definitions, dry_run, prune) */
Datum
kpi_sql_apply(PG_FUNCTION_ARGS)
{
	Apply		apply = {0};
	bool		dry_run = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("definitions must not be null"),
				 errhint("Give a document as kpi.export() writes it.")));
	apply.prune = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	apply.document = KPI_VALUE(JSONBOID, kpi_define_document_check(PG_GETARG_DATUM(0)));
	InitMaterializedSRF(fcinfo, 0);
	if (dry_run)
		kpi_undone(apply_all, &apply);
	else
		apply_all(&apply);
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, &apply);
	return (Datum) 0;
}
