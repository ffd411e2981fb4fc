/*-------------------------------------------------------------------------
 *
 * keyed.c
 *	  The rows of a keyed source: read for some entities, compared, kept.
 *
 * The kept table is to have the rows that the query of the source has, each under
 * its key.  Rows are read for entities: for all, or for some, and then what the
 * query says of those is the whole query with a condition on top, so it is what a
 * reading of all would say of them, whatever the query does.  How that is computed is a
 * question of cost alone: an equality with a parameter reaches below a joined
 * aggregate where "= ANY" does not, and "= ANY" reaches below a window function
 * whose partition is only equal to the entity where a parameter does not, so the
 * planner is asked for both and for the whole query.
 *
 * Statements are put together and run as keyed_statement.c says.
 *
 * Caller's part: the current user is the definer (kpi_fact_kept_begin()), the relations
 * are locked, and the snapshot of the run is active.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "lib/stringinfo.h"
#include "model/model.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

/* ---- which entities ---- */

static void
append_changed(StringInfo sql, const KpiFollow *follow, int first_param)
{
	Oid			relid = kpi_model_relid_by_name(follow->relation);
	int			n = 0;
	StringInfoData arrays;
	ListCell   *lc;

	initStringInfo(&arrays);
	appendStringInfoString(sql, "(SELECT ");
	foreach(lc, follow->columns)
	{
		AttrNumber	attnum = get_attnum(relid, lfirst(lc));
		Oid			type = attnum == InvalidAttrNumber ? TEXTOID : getBaseType(get_atttype(relid, attnum));

		appendStringInfo(&arrays, "%s$%d", n > 0 ? ", " : "", first_param + n);
		n++;
		appendStringInfo(sql, "%su.c%d::%s AS %s", n > 1 ? ", " : "", n, kpi_model_type_name(type),
						 quote_identifier(lfirst(lc)));
	}
	appendStringInfo(sql, " FROM unnest(%s) AS u(", arrays.data);
	for (int i = 1; i <= n; i++)
		appendStringInfo(sql, "%sc%d", i > 1 ? ", " : "", i);
	appendStringInfoString(sql, ")) AS changed");
}

/* Their values become arrays of entity columns. */
static KpiEntities *
collect_entities(const KpiKept *kept, Tuplestorestate *store, TupleDesc desc)
{
	KpiEntities *entities = palloc0(sizeof(KpiEntities));
	int			n = list_length(kept->entity);
	ArrayBuildState **states = palloc0(n * sizeof(ArrayBuildState *));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

	for (int i = 0; i < n; i++)
		states[i] = initArrayResult(getBaseType(kept->columns[list_nth_int(kept->entity, i) - 1].type),
									CurrentMemoryContext, false);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		slot_getallattrs(slot);
		for (int i = 0; i < n; i++)
			states[i] = accumArrayResult(states[i], slot->tts_values[i], slot->tts_isnull[i],
										 getBaseType(kept->columns[list_nth_int(kept->entity, i) - 1].type),
										 CurrentMemoryContext);
		entities->n++;
	}
	for (int i = 0; i < n; i++)
		entities->arrays[i] = makeArrayResult(states[i], CurrentMemoryContext);
	ExecDropSingleTupleTableSlot(slot);
	return entities;
}

static KpiEntities *
query_entities(const KpiKept *kept, KpiStatement *statement)
{
	Tuplestorestate *store;
	KpiEntities *entities;

	kpi_fact_statement_plan(kept, statement, 0);
	store = kpi_fact_statement_run(kept, statement);
	entities = collect_entities(kept, store, kpi_fact_statement_desc(statement));
	tuplestore_end(store);
	return entities;
}

static char *
entity_casts(const KpiKept *kept, const char *prefix)
{
	StringInfoData sql;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, kept->entity)
	{
		n++;
		appendStringInfo(&sql, "%s%se%d::%s AS e%d", n > 1 ? ", " : "", prefix, n,
						 kpi_model_type_name(getBaseType(kept->columns[lfirst_int(lc) - 1].type)), n);
	}
	return sql.data;
}

static char *
numbered(const char *letter, int n, const char *separator, const char *suffix)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= n; i++)
		appendStringInfo(&sql, "%s%s%d%s", i > 1 ? separator : "", letter, i, suffix);
	return sql.data;
}

static void
entities_statement(const KpiKept *kept, List *notes, KpiStatement *statement)
{
	StringInfoData sql;
	int			nparams = 0;
	int			nentity = list_length(kept->entity);
	Oid		   *types;
	Datum	   *values;
	ListCell   *lc;

	foreach(lc, notes)
		nparams += list_length(((KpiNotes *) lfirst(lc))->follow->columns);
	types = palloc(Max(nparams, 1) * sizeof(Oid));
	values = palloc(Max(nparams, 1) * sizeof(Datum));
	nparams = 0;
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s FROM (", numbered("e", nentity, ", ", ""));
	foreach(lc, notes)
	{
		const KpiNotes *of_one = lfirst(lc);

		appendStringInfo(&sql, "%sSELECT %s FROM ", foreach_current_index(lc) > 0 ? " UNION " : "",
						 entity_casts(kept, "f."));
		append_changed(&sql, of_one->follow, nparams + 1);
		appendStringInfo(&sql, " CROSS JOIN LATERAL (%s\n) AS f(%s)", of_one->follow->query,
						 numbered("e", nentity, ", ", ""));
		for (int i = 0; i < list_length(of_one->follow->columns); i++)
		{
			types[nparams] = TEXTARRAYOID;
			values[nparams++] = of_one->arrays[i];
		}
	}
	appendStringInfo(&sql, ") AS t WHERE %s GROUP BY %s", numbered("e", nentity, " AND ", " IS NOT NULL"),
					 numbered("e", nentity, ", ", ""));
	statement->sql = sql.data;
	kpi_fact_statement_params(statement, nparams, types, values);
}

KpiEntities *
kpi_fact_kept_entities(const KpiKept *kept, List *notes)
{
	KpiStatement statement = {0};

	entities_statement(kept, notes, &statement);
	return query_entities(kept, &statement);
}

PlannedStmt *
kpi_fact_kept_plan_follow(const KpiKept *kept, const KpiFollow *follow)
{
	KpiNotes	notes = {.follow = follow};
	KpiStatement statement = {0};

	notes.arrays = palloc0(list_length(follow->columns) * sizeof(Datum));
	entities_statement(kept, list_make1(&notes), &statement);
	statement.is_for_any = true;
	kpi_fact_statement_plan(kept, &statement, 0);
	return statement.plan;
}

/* ---- reading ---- */

static char *
lateral_text(const KpiKept *kept)
{
	return psprintf("SELECT %s FROM %s CROSS JOIN LATERAL (SELECT %s FROM %s WHERE %s OFFSET 0) AS r(%s)",
					kpi_fact_sql_columns(kept, "r."), kpi_fact_sql_entities(kept), kpi_fact_sql_columns(kept, "q."), kpi_fact_sql_query(kept),
					kpi_fact_sql_equal(kept, kept->entity, "q.", "e."), kpi_fact_sql_columns(kept, ""));
}

static char *
any_text(const KpiKept *kept)
{
	int			entity = linitial_int(kept->entity);

	if (list_length(kept->entity) == 1)
		return psprintf("SELECT %s FROM %s WHERE q.c%d %s ANY ($1)", kpi_fact_sql_columns(kept, "q."), kpi_fact_sql_query(kept),
						entity, kpi_fact_sql_equality(kept, entity));
	return psprintf("SELECT %s FROM %s WHERE EXISTS (SELECT FROM %s WHERE %s)", kpi_fact_sql_columns(kept, "q."),
					kpi_fact_sql_query(kept), kpi_fact_sql_entities(kept), kpi_fact_sql_equal(kept, kept->entity, "q.", "e."));
}

static char *
whole_text(const KpiKept *kept)
{
	return psprintf("SELECT %s FROM %s", kpi_fact_sql_columns(kept, "q."), kpi_fact_sql_query(kept));
}

static void
plan_reading(const KpiKept *kept, KpiStatement *statement, char *sql, const KpiEntities *entities)
{
	memset(statement, 0, sizeof(KpiStatement));
	statement->sql = sql;
	kpi_fact_statement_entities(kept, statement, entities);
	kpi_fact_statement_plan(kept, statement, entities ? 0 : CURSOR_OPT_PARALLEL_OK);
}

/* The cheaper of two ways to read some entities. */
static void
plan_cheaper(const KpiKept *kept, KpiStatement *statement, const KpiEntities *entities)
{
	KpiStatement other;

	plan_reading(kept, statement, lateral_text(kept), entities);
	plan_reading(kept, &other, any_text(kept), entities);
	if (other.plan->planTree->total_cost < statement->plan->planTree->total_cost)
		*statement = other;
}

PlannedStmt *
kpi_fact_kept_plan(KpiKept *kept)
{
	KpiEntities any = {.is_for_any = true};
	KpiStatement statement;

	plan_cheaper(kept, &statement, &any);
	return statement.plan;
}

void
kpi_fact_kept_end(KpiKept *kept)
{
	if (kept->fresh != NULL)
		tuplestore_end(kept->fresh);
	kept->fresh = NULL;
}

static void
read_rows(KpiKept *kept, KpiStatement *statement)
{
	statement->counts_rows = true;
	kept->fresh_desc = kpi_fact_statement_desc(statement);
	kept->fresh = kpi_fact_statement_run(kept, statement);
	kept->rows_read += statement->rows_read;
}

void
kpi_fact_kept_read(KpiKept *kept, const KpiEntities *entities)
{
	KpiStatement statement;

	kpi_fact_kept_end(kept);
	if (entities != NULL)
		plan_cheaper(kept, &statement, entities);
	else
		plan_reading(kept, &statement, whole_text(kept), NULL);
	read_rows(kept, &statement);
}

void
kpi_fact_kept_read_newer(KpiKept *kept, const char *changed_at)
{
	int			number = kpi_fact_kept_column(kept, changed_at);
	KpiStatement statement = {0};

	kpi_fact_kept_end(kept);
	statement.sql = psprintf("SELECT %s FROM %s WHERE NOT (q.c%d < (SELECT max(k.%s) FROM ONLY %s AS k)) IS TRUE",
							 kpi_fact_sql_columns(kept, "q."), kpi_fact_sql_query(kept), number, quote_identifier(changed_at),
							 kept->name);
	kpi_fact_statement_params(&statement, 0, NULL, NULL);
	kpi_fact_statement_plan(kept, &statement, CURSOR_OPT_PARALLEL_OK);
	read_rows(kept, &statement);
}

static bool
contains_all(List *numbers, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		if (!list_member_int(numbers, lfirst_int(lc)))
			return false;
	}
	return true;
}

static char *
fresh_rows(const KpiKept *kept)
{
	return psprintf(KPI_FRESH_ROWS " AS f(%s)", kpi_fact_sql_columns(kept, ""));
}

static char *
kept_rows(const KpiKept *kept)
{
	return psprintf("(SELECT k.ctid AS kept_row, %s FROM ONLY %s AS k) AS k(kept_row, %s)", kpi_fact_sql_names(kept, "k."),
					kept->name, kpi_fact_sql_columns(kept, ""));
}

/* Those of some entities, each looked up by the index, or of all (NULL). */
static char *
kept_rows_of(const KpiKept *kept, const KpiEntities *entities)
{
	if (entities == NULL)
		return psprintf("(SELECT * FROM %s)", kept_rows(kept));
	return psprintf("(SELECT k.* FROM %s CROSS JOIN LATERAL (SELECT * FROM %s WHERE %s OFFSET 0) AS k)",
					kpi_fact_sql_entities(kept), kept_rows(kept), kpi_fact_sql_equal(kept, kept->entity, "k.", "e."));
}

KpiEntities *
kpi_fact_kept_conflicts(KpiKept *kept, const KpiEntities *entities)
{
	KpiStatement statement = {0};

	/* A key that says whose it is cannot be kept under another. */
	if (entities == NULL || contains_all(kept->key, kept->entity))
		return NULL;
	/* Those that are kept under these are not looked for one by one. */
	statement.sql = psprintf("SELECT DISTINCT %s FROM (SELECT f.* FROM %s LEFT JOIN %s AS o ON %s WHERE o.kept_row IS NULL OFFSET 0) AS f"
							 " CROSS JOIN LATERAL (SELECT * FROM %s WHERE %s OFFSET 0) AS k WHERE %s",
							 kpi_fact_sql_some(kept->entity, "k.", ", ", ""), fresh_rows(kept),
							 kept_rows_of(kept, entities), kpi_fact_sql_equal(kept, kept->key, "o.", "f."),
							 kept_rows(kept), kpi_fact_sql_equal(kept, kept->key, "k.", "f."),
							 kpi_fact_sql_some(kept->entity, "k.", " AND ", " IS NOT NULL"));
	kpi_fact_statement_entities(kept, &statement, entities);
	statement.is_of_few = true;
	return query_entities(kept, &statement);
}

KpiEntities *
kpi_fact_kept_more(const KpiKept *kept, const KpiEntities *entities, const KpiEntities *more)
{
	KpiEntities *all = palloc0(sizeof(KpiEntities));

	all->n = entities->n + more->n;
	for (int i = 0; i < list_length(kept->entity); i++)
		all->arrays[i] = OidFunctionCall2(F_ARRAY_CAT, entities->arrays[i], more->arrays[i]);
	return all;
}

/* The first row of a statement, as texts. */
static bool
first_row(const KpiKept *kept, KpiStatement *statement, int n, char **texts)
{
	Tuplestorestate *store;
	TupleDesc	desc;
	TupleTableSlot *slot;
	bool		found;

	kpi_fact_statement_plan(kept, statement, 0);
	store = kpi_fact_statement_run(kept, statement);
	desc = kpi_fact_statement_desc(statement);
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	found = tuplestore_gettupleslot(store, true, false, slot);
	for (int i = 0; found && i < n; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, i + 1, &isnull);

		texts[i] = isnull ? NULL : TextDatumGetCString(value);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(store);
	return found;
}

char *
kpi_fact_kept_duplicate(KpiKept *kept)
{
	KpiStatement statement = {0};
	char	   *key;

	statement.sql = psprintf("SELECT concat_ws(', ', %s) FROM %s WHERE %s GROUP BY %s HAVING count(*) > 1 LIMIT 1",
							 kpi_fact_sql_some(kept->key, "f.", ", ", "::text"), fresh_rows(kept), kpi_fact_sql_complete(kept, "f."),
							 kpi_fact_sql_some(kept->key, "f.", ", ", ""));
	kpi_fact_statement_params(&statement, 0, NULL, NULL);
	return first_row(kept, &statement, 1, &key) ? key : NULL;
}

/* ---- writing ---- */

/*
 * Rows that differ, by key: as they are kept, and as they are to be.  Of some
 * rows, where the others stay as they are.
 */
static char *
difference_body(const KpiKept *kept, const KpiEntities *entities, bool is_part)
{
	return psprintf("FROM %s AS o"
					" %s JOIN (SELECT true AS is_row, %s FROM %s WHERE %s) AS f(is_row, %s) ON %s"
					" WHERE o.kept_row IS NULL OR f.is_row IS NULL OR ROW(%s)::record OPERATOR(pg_catalog.*<>) ROW(%s)::record",
					kept_rows_of(kept, entities), is_part ? "RIGHT" : "FULL",
					kpi_fact_sql_columns(kept, "f."), fresh_rows(kept), kpi_fact_sql_complete(kept, "f."), kpi_fact_sql_columns(kept, ""),
					kpi_fact_sql_equal(kept, kept->key, "o.", "f."),
					kpi_fact_sql_columns(kept, "o."), kpi_fact_sql_values(kept, "f."));
}

int64
kpi_fact_kept_gain(KpiKept *kept, const KpiEntities *entities)
{
	KpiStatement statement = {0};
	char	   *gain;

	statement.sql = psprintf("SELECT (count(*) FILTER (WHERE o.kept_row IS NULL) - count(*) FILTER (WHERE f.is_row IS NULL))::text %s",
							 difference_body(kept, entities, false));
	kpi_fact_statement_entities(kept, &statement, entities);
	statement.is_of_few = entities != NULL;
	(void) first_row(kept, &statement, 1, &gain);
	return pg_strtoint64(gain);
}

int64
kpi_fact_kept_gain_of(KpiKept *kept, const KpiEntities *entities, const char *column)
{
	int			number = kpi_fact_kept_column(kept, column);
	KpiStatement statement = {0};
	char	   *fresh = psprintf("(SELECT count(f.c%d) FROM %s WHERE %s)", number, fresh_rows(kept),
								 kpi_fact_sql_complete(kept, "f."));
	char	   *gain;

	if (entities == NULL)
		statement.sql = psprintf("SELECT %s::text", fresh);
	else
		statement.sql = psprintf("SELECT (%s - (SELECT count(o.c%d) FROM %s AS o))::text", fresh, number,
								 kept_rows_of(kept, entities));
	kpi_fact_statement_entities(kept, &statement, entities);
	statement.is_of_few = entities != NULL;
	(void) first_row(kept, &statement, 1, &gain);
	return pg_strtoint64(gain);
}

static char *
assignments(const KpiKept *kept)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 1; i <= kept->ncolumns; i++)
		appendStringInfo(&sql, "%s%s = d.c%d", i > 1 ? ", " : "", quote_identifier(kept->columns[i - 1].name), i);
	return sql.data;
}

void
kpi_fact_kept_write(KpiKept *kept, const KpiEntities *entities, bool is_part, KpiKeptChanges *changes)
{
	KpiStatement statement = {0};
	char	   *texts[5];

	statement.sql =
		psprintf("WITH difference(kept_row, is_row, %s) AS MATERIALIZED (SELECT o.kept_row, f.is_row, %s %s),"
				 " gone AS (DELETE FROM ONLY %s AS k USING difference AS d"
				 "  WHERE k.ctid = d.kept_row AND d.is_row IS NULL RETURNING 1),"
				 " changed AS (UPDATE ONLY %s AS k SET %s FROM difference AS d"
				 "  WHERE k.ctid = d.kept_row AND d.is_row RETURNING 1),"
				 " added AS (INSERT INTO %s (%s) SELECT %s FROM difference AS d WHERE d.kept_row IS NULL RETURNING 1)"
				 " SELECT (SELECT count(*) FROM added)::text, (SELECT count(*) FROM changed)::text,"
				 "  (SELECT count(*) FROM gone)::text, n.kept::text, (n.with_key - n.kept)::text"
				 " FROM (SELECT count(*) FILTER (WHERE %s) AS kept, count(*) FILTER (WHERE %s) AS with_key FROM %s) AS n",
				 kpi_fact_sql_columns(kept, ""), kpi_fact_sql_columns(kept, "f."), difference_body(kept, entities, is_part), kept->name, kept->name, assignments(kept),
				 kept->name, kpi_fact_sql_names(kept, ""), kpi_fact_sql_columns(kept, "d."),
				 kpi_fact_sql_complete(kept, "f."), kpi_fact_sql_some(kept->key, "f.", " AND ", " IS NOT NULL"), fresh_rows(kept));
	kpi_fact_statement_entities(kept, &statement, entities);
	statement.is_of_few = entities != NULL || is_part;
	(void) first_row(kept, &statement, lengthof(texts), texts);
	CommandCounterIncrement();
	changes->added = pg_strtoint64(texts[0]);
	changes->changed = pg_strtoint64(texts[1]);
	changes->gone = pg_strtoint64(texts[2]);
	changes->kept = pg_strtoint64(texts[3]);
	changes->without_entity = pg_strtoint64(texts[4]);
	changes->without_key = tuplestore_tuple_count(kept->fresh) - changes->kept - changes->without_entity;
}

/* The key of a row that may be missing on either side, as text. */
static char *
either_key(const KpiKept *kept)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, kept->key)
		appendStringInfo(&sql, "%scoalesce(o.c%d, f.c%d)::text", sql.len > 0 ? ", " : "", lfirst_int(lc),
						 lfirst_int(lc));
	return sql.data;
}

void
kpi_fact_kept_compare(KpiKept *kept, const KpiEntities *entities, int limit,
					  void (*tell) (const char *key, bool is_kept, bool is_expected, void *arg), void *arg)
{
	KpiStatement statement = {0};
	Tuplestorestate *store;
	TupleTableSlot *slot;

	statement.sql = psprintf("SELECT concat_ws(', ', %s), o.kept_row IS NOT NULL, f.is_row IS NOT NULL %s ORDER BY 1 LIMIT %d",
							 either_key(kept), difference_body(kept, entities, false), limit);
	kpi_fact_statement_entities(kept, &statement, entities);
	kpi_fact_statement_plan(kept, &statement, 0);
	store = kpi_fact_statement_run(kept, &statement);
	slot = MakeSingleTupleTableSlot(kpi_fact_statement_desc(&statement), &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		slot_getallattrs(slot);
		tell(TextDatumGetCString(slot->tts_values[0]), DatumGetBool(slot->tts_values[1]),
			 DatumGetBool(slot->tts_values[2]), arg);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(store);
}
