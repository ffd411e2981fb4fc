/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Queries of teams and members: checked, run and read.
 *
 * A query is the user's own SQL and runs with the rights of the current user,
 * who is the caller of kpi.sync_people(), or the definer of what the worker
 * remembers; never as the extension's owner.  It is one SELECT, and the
 * transaction is read-only while it runs, so that nothing it calls writes either.
 *
 * Columns are known by their names.  Keys are written as facts write them, and
 * moments are cut to days in the time zone of the default calendar, which is that
 * of the session meanwhile: the same rows come out in whoever's session.
 *
 * Locks: those of the query.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "sync/sync_internal.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

const KpiSyncKind kpi_sync_teams = {
	"team", "teams", {"key", "name", "parent", NULL, NULL}, 1, {"key"}
};
const KpiSyncKind kpi_sync_members = {
	"member", "members", {"key", "name", "team", "since", "until"}, 2, {"key", "team"}
};

#define TEAMS_HINT "Its columns are key, and if you like name and parent: 'SELECT id AS key, name, parent_id AS parent FROM crm.teams'."
#define MEMBERS_HINT "Its columns are key and team, and if you like name, since and until: 'SELECT id AS key, name, team_id AS team FROM crm.users'; others are attributes by their names."

/* ---- what a query may be ---- */

static void
add_context(void *arg)
{
	errcontext("query of %s of kpi.sync_people()", ((const KpiSyncKind *) arg)->plural);
}

static int
columns_hint(const KpiSyncKind *kind)
{
	return kind == &kpi_sync_teams ? errhint(TEAMS_HINT) : errhint(MEMBERS_HINT);
}

static void
check_select(const KpiSyncKind *kind, List *sources)
{
	Query	   *query = NULL;

	if (list_length(sources) == 1)
	{
		CachedPlanSource *source = linitial(sources);

		if (list_length(source->query_list) == 1)
			query = linitial(source->query_list);
	}
	if (query == NULL || query->commandType != CMD_SELECT || query->hasModifyingCTE || query->hasForUpdate)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s must be one SELECT that writes nothing", kind->plural),
				 columns_hint(kind)));
}

static int
field_of(const KpiSyncKind *kind, const char *name)
{
	for (int f = 0; f < KPI_SYNC_NFIELDS; f++)
	{
		if (kind->columns[f] != NULL && strcmp(kind->columns[f], name) == 0)
			return f;
	}
	return -1;
}

static void
check_type(const KpiSyncKind *kind, int field, Oid type)
{
	if (field != KPI_SYNC_SINCE && field != KPI_SYNC_UNTIL)
		return;
	type = getBaseType(type);
	if (type != DATEOID && type != TIMESTAMPOID && type != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query of %s is of type %s", kind->columns[field], kind->plural,
						format_type_be(type)),
				 errhint("It is a date, timestamp or timestamptz: cast it, %s::date.", kind->columns[field])));
}

/* Further columns of members are attributes. */
static void
add_attribute(const KpiSyncKind *kind, TupleDesc desc, int number, List **attributes)
{
	const char *name = NameStr(TupleDescAttr(desc, number - 1)->attname);
	ListCell   *lc;

	/* What a column without a name is called. */
	if (kind != &kpi_sync_members || strcmp(name, "?column?") == 0 || kpi_name_fault(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of %s has a column \"%s\", which means nothing", kind->plural, name),
				 columns_hint(kind)));
	foreach(lc, *attributes)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, lfirst_int(lc) - 1)->attname), name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("the query of %s has two columns \"%s\"", kind->plural, name),
					 columns_hint(kind)));
	}
	*attributes = lappend_int(*attributes, number);
}

/* Finds the columns: number[field] is from 1, or 0; attributes are the numbers of others. */
static void
find_columns(const KpiSyncKind *kind, TupleDesc desc, int *number, List **attributes)
{
	memset(number, 0, KPI_SYNC_NFIELDS * sizeof(int));
	*attributes = NIL;
	for (int i = 0; i < desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);
		int			field = field_of(kind, name);

		if (field < 0)
		{
			add_attribute(kind, desc, i + 1, attributes);
			continue;
		}
		if (number[field] != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("the query of %s has two columns \"%s\"", kind->plural, name),
					 columns_hint(kind)));
		check_type(kind, field, TupleDescAttr(desc, i)->atttypid);
		number[field] = i + 1;
	}
	for (int i = 0; i < kind->nrequired; i++)
	{
		if (number[field_of(kind, kind->required[i])] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the query of %s has no column \"%s\"", kind->plural, kind->required[i]),
					 columns_hint(kind)));
	}
}

static SPIPlanPtr
prepare(const KpiSyncKind *kind, const char *sql, int *number, List **attributes)
{
	SPIPlanPtr	plan = SPI_prepare(sql, 0, NULL);
	List	   *sources;

	if (plan == NULL)
		elog(ERROR, "SPI failed with %s", SPI_result_code_string(SPI_result));
	sources = SPI_plan_get_plan_sources(plan);
	check_select(kind, sources);
	find_columns(kind, ((CachedPlanSource *) linitial(sources))->resultDesc, number, attributes);
	return plan;
}

/* ---- values ---- */

typedef struct Reader
{
	TupleDesc	desc;
	int			number[KPI_SYNC_NFIELDS];
	Oid			types[KPI_SYNC_NFIELDS];	/* domains looked through */
	List	   *attributes;		/* numbers of their columns */
} Reader;

static char *
read_text(const Reader *reader, HeapTuple tuple, KpiSyncField field)
{
	bool		isnull;
	Datum		value;

	if (reader->number[field] == 0)
		return NULL;
	value = SPI_getbinval(tuple, reader->desc, reader->number[field], &isnull);
	return isnull ? NULL : kpi_key_text(reader->types[field], value);
}

/* A text, or NULL, without the blanks around it; NULL if that leaves none. */
static char *
trimmed(char *name)
{
	char	   *end;

	if (name == NULL)
		return NULL;
	while (isspace((unsigned char) *name))
		name++;
	for (end = name + strlen(name); end > name && isspace((unsigned char) end[-1]); end--)
		;
	*end = '\0';
	return *name == '\0' ? NULL : name;
}

static char **
read_attributes(const Reader *reader, HeapTuple tuple)
{
	char	  **values = palloc((list_length(reader->attributes) + 1) * sizeof(char *));
	ListCell   *lc;

	foreach(lc, reader->attributes)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(tuple, reader->desc, lfirst_int(lc), &isnull);
		Oid			type = getBaseType(TupleDescAttr(reader->desc, lfirst_int(lc) - 1)->atttypid);

		values[foreach_current_index(lc)] = isnull ? NULL : trimmed(kpi_key_text(type, value));
	}
	return values;
}

/* A moment in the time zone of the session; of a date, its beginning.  False: null. */
static bool
read_moment(const Reader *reader, HeapTuple tuple, KpiSyncField field, Timestamp *moment)
{
	bool		isnull;
	Datum		value;

	if (reader->number[field] == 0)
		return false;
	value = SPI_getbinval(tuple, reader->desc, reader->number[field], &isnull);
	if (isnull)
		return false;
	if (reader->types[field] == DATEOID)
		value = DirectFunctionCall1(date_timestamp, value);
	else if (reader->types[field] == TIMESTAMPTZOID)
		value = DirectFunctionCall1(timestamptz_timestamp, value);
	*moment = DatumGetTimestamp(value);
	return true;
}

static DateADT
day_of(Timestamp moment)
{
	return DatumGetDateADT(DirectFunctionCall1(timestamp_date, TimestampGetDatum(moment)));
}

/* Whether a day begins then. */
static bool
is_midnight(Timestamp moment)
{
	return TIMESTAMP_NOT_FINITE(moment) || moment % USECS_PER_DAY == 0;
}

static void
read_record(const Reader *reader, HeapTuple tuple, KpiSyncRecord *record)
{
	record->key = read_text(reader, tuple, KPI_SYNC_KEY);
	record->name = trimmed(read_text(reader, tuple, KPI_SYNC_NAME));
	record->target = read_text(reader, tuple, KPI_SYNC_TARGET);
	if (!read_moment(reader, tuple, KPI_SYNC_SINCE, &record->since_at))
		TIMESTAMP_NOBEGIN(record->since_at);
	if (!read_moment(reader, tuple, KPI_SYNC_UNTIL, &record->until_at))
		TIMESTAMP_NOEND(record->until_at);
	record->since = day_of(record->since_at);
	record->until_begun = day_of(record->until_at);
	record->until = record->until_begun + (is_midnight(record->until_at) ? 0 : 1);
	record->attributes = read_attributes(reader, tuple);
}

/* ---- keys ---- */

static int
compare_records(const void *a, const void *b)
{
	const KpiSyncRecord *ra = a;
	const KpiSyncRecord *rb = b;
	int			cmp = strcmp(ra->key, rb->key);

	if (cmp == 0)
		cmp = (ra->since_at > rb->since_at) - (ra->since_at < rb->since_at);
	if (cmp == 0)
		cmp = (ra->until_at > rb->until_at) - (ra->until_at < rb->until_at);
	return cmp != 0 ? cmp : ra->number - rb->number;
}

/* Takes the rows out that nothing can be known by, and sorts the others. */
static void
sort_records(const KpiSyncKind *kind, KpiSyncRecords *records)
{
	int			n = 0;

	for (int i = 0; i < records->n; i++)
	{
		KpiSyncRecord *record = &records->items[i];
		const char *fault = record->key == NULL ? "is null" : kpi_name_fault(record->key);

		if (fault != NULL)
		{
			KpiSyncChange *change = palloc0(sizeof(KpiSyncChange));

			change->action = "refused";
			change->object = psprintf("row %d of %s", record->number, kind->plural);
			change->reason = psprintf("its key %s", fault);
			records->strays = lappend(records->strays, change);
		}
		else
			records->items[n++] = *record;
	}
	records->n = n;
	qsort(records->items, n, sizeof(KpiSyncRecord), compare_records);
}

/* ---- running ---- */

/* Settings of the session that rows depend on; the caller restores them. */
static int
begin_settings(void)
{
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("TimeZone", kpi_calendar_get(KPI_DEFAULT_CALENDAR)->time_zone,
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	kpi_settings_pin(KPI_SETTINGS_PRINT);
	return nest_level;
}

/* An error leaves XactReadOnly to the end of the (sub)transaction, which restores it. */
static void
run_read_only(SPIPlanPtr plan)
{
	bool		was_read_only = XactReadOnly;
	int			rc;

	XactReadOnly = true;
	rc = SPI_execute_plan(plan, NULL, NULL, true, 0);
	XactReadOnly = was_read_only;
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI failed with %s", SPI_result_code_string(rc));
}

static KpiSyncRecords *
read_rows(const KpiSyncKind *kind, Reader *reader)
{
	KpiSyncRecords *records = palloc0(sizeof(KpiSyncRecords));
	ListCell   *lc;

	foreach(lc, reader->attributes)
		records->attributes = lappend(records->attributes,
									  pstrdup(NameStr(TupleDescAttr(reader->desc, lfirst_int(lc) - 1)->attname)));
	for (int f = 0; f < KPI_SYNC_NFIELDS; f++)
	{
		records->has[f] = reader->number[f] != 0;
		if (records->has[f])
			reader->types[f] = getBaseType(TupleDescAttr(reader->desc, reader->number[f] - 1)->atttypid);
	}
	records->items = MemoryContextAllocExtended(CurrentMemoryContext, Max(SPI_processed, 1) * sizeof(KpiSyncRecord),
												MCXT_ALLOC_HUGE);
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		read_record(reader, SPI_tuptable->vals[r], &records->items[r]);
		records->items[r].number = ++records->n;
	}
	sort_records(kind, records);
	return records;
}

static List *
rewritten(SPIPlanPtr plan)
{
	return ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->query_list;
}

KpiSyncRecords *
kpi_sync_query_read(const KpiSyncKind *kind, const char *sql, bool restrict_code, List *code)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorContextCallback callback = {.previous = error_context_stack,.callback = add_context,
	.arg = unconstify(KpiSyncKind *, kind)};
	int			nest_level = begin_settings();
	Reader		reader;
	List	   *attributes;
	SPIPlanPtr	plan;
	KpiSyncRecords *records;

	error_context_stack = &callback;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = prepare(kind, sql, reader.number, &attributes);
	if (restrict_code)
	{
		List	   *reached = kpi_sync_code_reached(rewritten(plan), NIL);

		kpi_sync_code_check_role(reached);
		kpi_sync_code_check_known(reached, code);
	}
	run_read_only(plan);
	reader.desc = SPI_tuptable->tupdesc;
	MemoryContextSwitchTo(caller);
	reader.attributes = attributes;
	records = read_rows(kind, &reader);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	error_context_stack = callback.previous;
	AtEOXact_GUC(false, nest_level);
	return records;
}

/* ---- what is remembered ---- */

/* What unqualified names mean now is written out. */
static char *
qualified(const char *sql)
{
	RawStmt    *raw = linitial_node(RawStmt, pg_parse_query(sql));
	Query	   *query = parse_analyze_fixedparams(raw, sql, NULL, 0, NULL);
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	if (isQueryUsingTempRelation(query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("a query that reads a temporary table cannot be remembered"),
				 errdetail("The worker does not see it.")));
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	text = pg_get_querydef(query, false);
	AtEOXact_GUC(false, nest_level);
	return text;
}

char *
kpi_sync_query_qualify(const KpiSyncKind *kind, const char *sql, List **code)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorContextCallback callback = {.previous = error_context_stack,.callback = add_context,
	.arg = unconstify(KpiSyncKind *, kind)};
	int			nest_level = begin_settings();
	int			number[KPI_SYNC_NFIELDS];
	List	   *attributes;
	SPIPlanPtr	plan;
	char	   *text;

	error_context_stack = &callback;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = prepare(kind, sql, number, &attributes);
	MemoryContextSwitchTo(caller);
	*code = kpi_sync_code_reached(rewritten(plan), *code);
	text = qualified(sql);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	error_context_stack = callback.previous;
	AtEOXact_GUC(false, nest_level);
	return text;
}
