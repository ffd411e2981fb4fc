/*-------------------------------------------------------------------------
 *
 * rollup.c
 *	  SQL functions that define rollup tables.
 *
 * The table is created, altered and dropped as the caller, by statements that
 * he could have written: where he may not, it is the server that says so.  The
 * definition is written as the extension's owner, in the same transaction.
 * Whoever defines one is an editor, and owns the table: numbers go to nobody
 * who may not read them.
 *
 * Locks: where rows are to be of something else, the engine's locks of the sources; what the
 * KPIs are measured by (ground.c), the rollup's lock, then those that CREATE, ALTER,
 * TRUNCATE and DROP TABLE take.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "refresh/refresh.h"
#include "rollup/rollup.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

PG_FUNCTION_INFO_V1(kpi_sql_create_rollup);
PG_FUNCTION_INFO_V1(kpi_sql_alter_rollup);
PG_FUNCTION_INFO_V1(kpi_sql_drop_rollup);

/* Of kpi.alter_rollup(). */
#define ALTER_PER_ARGUMENT 3
#define ALTER_GRAIN_ARGUMENT 4
#define ALTER_DIMENSION_ARGUMENT 5

/* ---- the list of KPIs ---- */

/* A column as the caller asks for it. */
typedef struct ColumnWish
{
	char	   *name;
	char	   *kpi;
	int32		kpi_id;
} ColumnWish;

typedef struct WishList
{
	const char *text;
	List	   *wishes;			/* ColumnWish * */
} WishList;

static const char *
skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Whether it begins like a JSON object with members, which no array literal of names does. */
static bool
is_json_object(const char *text)
{
	const char *p = skip_space(text);

	if (*p++ != '{')
		return false;
	p = skip_space(p);
	if (*p++ != '"')
		return false;
	for (; *p != '"'; p++)
	{
		if (*p == '\\' && p[1] != '\0')
			p++;
		if (*p == '\0')
			return false;
	}
	return *skip_space(p + 1) == ':';
}

/* json, not jsonb: it keeps the order, and names that come twice. */
static void
read_wishes(void *arg)
{
	WishList   *list = arg;
	KpiRows		rows;

	if (is_json_object(list->text))
		kpi_rows_begin(&rows, "SELECT e.key AS name, CASE pg_catalog.json_typeof(e.value) WHEN 'string'"
					   " THEN e.value #>> '{}' END AS kpi FROM pg_catalog.json_each($1::json) e",
					   1, KPI_TEXT(list->text));
	else
		kpi_rows_begin(&rows, "SELECT e.kpi AS name, e.kpi FROM pg_catalog.unnest($1::text[]) e (kpi)",
					   1, KPI_TEXT(list->text));
	while (kpi_rows_next(&rows))
	{
		ColumnWish *wish = palloc0(sizeof(ColumnWish));

		wish->name = kpi_rows_text(&rows, "name");
		wish->kpi = kpi_rows_text(&rows, "kpi");
		list->wishes = lappend(list->wishes, wish);
	}
	kpi_rows_end(&rows);
}

#define KPIS_HINT "List KPIs, '{revenue, win_rate}', or name columns and KPIs, '{\"Umsatz\": \"revenue\"}'."

static void
check_column_name(const char *name, List *columns)
{
	ListCell   *lc;

	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" cannot be the name of a column", name),
				 errdetail("Names of columns have 1 to %d bytes.", NAMEDATALEN - 1),
				 errhint("Give it another name: kpis => '{\"name\": \"%s\"}'.", name)));
	foreach(lc, columns)
	{
		const KpiRollupColumn *column = lfirst(lc);

		if (strcmp(column->name, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" of the rollup table is there twice", name),
					 column->is_name ? errdetail("Each rollup table of this kind has one of that name.") : 0,
					 errhint("Give one of them another name: kpis => '{\"name\": \"%s\"}'.", name)));
	}
}

/* Ids of the KPIs, which nobody redefines until the transaction ends. */
static void
find_kpis(List *wishes)
{
	ListCell   *lc;

	foreach(lc, wishes)
	{
		ColumnWish *wish = lfirst(lc);
		KpiSpi		spi;

		wish->kpi_id = kpi_first_int4("SELECT id FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(wish->kpi));
		if (wish->kpi_id == 0)
		{
			char	   *near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.kpi", 0), wish->kpi);

			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("KPI \"%s\" does not exist", wish->kpi),
					 near ? errhint("Perhaps you mean %s.", near) :
					 errhint("Table kpi.kpi lists the KPIs; kpi.create_kpi() makes one.")));
		}
		kpi_spi_begin(&spi);
		kpi_define_ground_lock(wish->kpi_id);
		kpi_spi_end(&spi);
	}
}

/* Reads the argument "kpis"; columns are those that the table has besides. */
static List *
parse_kpis(const char *text, List *columns)
{
	WishList	list = {.text = text};
	List	   *taken = list_copy(columns);
	ErrorData  *error;
	ListCell   *lc;

	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("kpis must not be null"),
				 errhint(KPIS_HINT)));
	error = kpi_try(KPI_ERROR_TRAPPED, read_wishes, &list);
	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("kpis \"%s\" are not a list of KPIs", text),
				 errdetail_internal("%s.", error->message),
				 errhint(KPIS_HINT)));
	if (list.wishes == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a rollup table needs a KPI"),
				 errhint(KPIS_HINT)));
	foreach(lc, list.wishes)
	{
		ColumnWish *wish = lfirst(lc);
		KpiRollupColumn *column = palloc0(sizeof(KpiRollupColumn));

		if (wish->kpi == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("kpis \"%s\" are not a list of KPIs", text),
					 wish->name ?
					 errdetail("The KPI of column \"%s\" is not a string.", wish->name) :
					 errdetail("One of them is null."),
					 errhint(KPIS_HINT)));
		check_column_name(wish->name, taken);
		column->name = wish->name;
		taken = lappend(taken, column);
	}
	find_kpis(list.wishes);
	return list.wishes;
}

static void
write_columns(int32 rollup_id, List *wishes)
{
	int			position = 0;
	ListCell   *lc;

	kpi_spi_exec("DELETE FROM kpi.rollup_column WHERE rollup_id = $1", 1, KPI_INT4(rollup_id));
	foreach(lc, wishes)
	{
		ColumnWish *wish = lfirst(lc);

		kpi_spi_exec("INSERT INTO kpi.rollup_column (rollup_id, position, name, kpi_id)"
					 " VALUES ($1, $2::smallint, $3, $4)",
					 4, KPI_INT4(rollup_id), KPI_INT4(++position), KPI_TEXT(wish->name),
					 KPI_INT4(wish->kpi_id));
	}
}

/* ---- the table ---- */

/* Runs a statement as the caller, who could have written it. */
static void
run_as_caller(const char *sql)
{
	int			rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute(sql, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI failed with %s: %s", SPI_result_code_string(rc), sql);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

/* Where the caller would create a table of this name; error if he cannot. */
static char *
new_relation(const char *name)
{
	RangeVar   *rv = makeRangeVarFromNameList(kpi_qualified_names(name));
	Oid			namespace = RangeVarGetCreationNamespace(rv);
	char	   *schema = get_namespace_name(namespace);
	char	   *relation = quote_qualified_identifier(schema, rv->relname);

	if (isAnyTempNamespace(namespace))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rollup table \"%s\" cannot be temporary", rv->relname),
				 errhint("Name a schema: 'reporting.%s'.", rv->relname)));
	if (strcmp(schema, "kpi") == 0 || strcmp(schema, "kpi_internal") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a rollup table cannot be in schema \"%s\"", schema),
				 errhint("Name a schema of your own: 'reporting.%s'.", rv->relname)));
	if (kpi_namespace_aclcheck(namespace, GetUserId(), ACL_CREATE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create rollup table \"%s\" in schema \"%s\"", rv->relname, schema),
				 errhint("Ask the owner of the schema to run GRANT USAGE, CREATE ON SCHEMA %s TO %s, or name another schema.",
						 quote_identifier(schema), quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	if (OidIsValid(get_relname_relid(rv->relname, namespace)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("relation %s already exists", relation),
				 errdetail("A rollup table is created by kpi.create_rollup(), with the columns that it needs."),
				 errhint("Give another name, drop it, or change a rollup table with kpi.alter_rollup().")));
	return relation;
}

static void
append_column(StringInfo sql, const KpiRollupColumn *column)
{
	appendStringInfo(sql, "%s %s%s", quote_identifier(column->name), format_type_be_qualified(column->type),
					 column->is_null ? "" : " NOT NULL");
}

static void
comment_column(const KpiRollup *rollup, const KpiRollupColumn *column)
{
	if (column->comment != NULL)
		run_as_caller(psprintf("COMMENT ON COLUMN %s.%s IS %s", rollup->relation,
							   quote_identifier(column->name), quote_literal_cstr(column->comment)));
}

static void
comment_table(const KpiRollup *rollup)
{
	run_as_caller(psprintf("COMMENT ON TABLE %s IS %s", rollup->relation,
						   quote_literal_cstr(psprintf("KPIs of %ss by %s%s%s, kept current by pg_kpi",
													   rollup->of_members ? "member" : "team",
													   kpi_calendar_grain_name(rollup->grain),
													   rollup->dimension ? " and " : "",
													   rollup->dimension ? rollup->dimension : ""))));
}

/* "team_id, period_start": the columns of the primary key. */
static char *
key_of(const KpiRollup *rollup)
{
	StringInfoData key;
	ListCell   *lc;

	initStringInfo(&key);
	foreach(lc, rollup->columns)
	{
		const KpiRollupColumn *column = lfirst(lc);

		if (column->is_key)
			appendStringInfo(&key, "%s%s", key.len > 0 ? ", " : "", quote_identifier(column->name));
	}
	return key.data;
}

static void
create_table(const KpiRollup *rollup)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", rollup->relation);
	foreach(lc, rollup->columns)
	{
		const KpiRollupColumn *column = lfirst(lc);

		append_column(&sql, column);
		appendStringInfoString(&sql, ", ");
	}
	appendStringInfo(&sql, "PRIMARY KEY (%s))", key_of(rollup));
	run_as_caller(sql.data);
	comment_table(rollup);
	foreach(lc, rollup->columns)
		comment_column(rollup, lfirst(lc));
}

static KpiRollupColumn *
find_column(const KpiRollup *rollup, const char *name)
{
	ListCell   *lc;

	foreach(lc, rollup->columns)
	{
		KpiRollupColumn *column = lfirst(lc);

		if (strcmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

/* Adds a column that the definition has got, or has it be what it is now. */
static void
fit_column(const KpiRollup *rollup, const KpiRollupColumn *before, const KpiRollupColumn *column)
{
	char	   *name = psprintf("COLUMN %s", quote_identifier(column->name));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TABLE %s ", rollup->relation);
	if (before == NULL)
	{
		appendStringInfoString(&sql, "ADD COLUMN ");
		append_column(&sql, column);
	}
	else if (before->is_null != column->is_null)
		appendStringInfo(&sql, "ALTER %s %s NOT NULL", name, column->is_null ? "DROP" : "SET");
	else if (before->kpi_id == column->kpi_id)
		return;
	if (before == NULL || before->is_null != column->is_null)
		run_as_caller(sql.data);
	comment_column(rollup, column);
}

/* Drops and adds what the definition has lost and got. */
static void
alter_table(const KpiRollup *old, const KpiRollup *new)
{
	ListCell   *lc;

	foreach(lc, old->columns)
	{
		const KpiRollupColumn *column = lfirst(lc);

		if (find_column(new, column->name) == NULL)
			run_as_caller(psprintf("ALTER TABLE %s DROP COLUMN %s", new->relation,
								   quote_identifier(column->name)));
	}
	foreach(lc, new->columns)
		fit_column(new, find_column(old, ((const KpiRollupColumn *) lfirst(lc))->name), lfirst(lc));
}

/*
 * The same where its rows are of something else from now on: none of them stays, nor
 * does its key.  What others have made of the table stays (grants, indexes, triggers, columns),
 * or it is the server that says what is in the way.
 */
static void
reshape_table(const KpiRollup *old, const KpiRollup *new, Oid relid)
{
	bool		has_other_key = strcmp(key_of(old), key_of(new)) != 0;
	char	   *key = NULL;

	run_as_caller(psprintf("TRUNCATE TABLE %s", new->relation));
	if (has_other_key)
		key = kpi_first_text("SELECT c.conname FROM pg_catalog.pg_constraint c WHERE c.conrelid = $1 AND c.contype = 'p'",
							 1, KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)));
	if (key != NULL)
		run_as_caller(psprintf("ALTER TABLE %s DROP CONSTRAINT %s", new->relation, quote_identifier(key)));
	alter_table(old, new);
	if (key != NULL)
		run_as_caller(psprintf("ALTER TABLE %s ADD CONSTRAINT %s PRIMARY KEY (%s)", new->relation,
							   quote_identifier(key), key_of(new)));
	comment_table(new);
}

/* ---- the functions ---- */

static KpiGrain
parse_grain(const char *grain)
{
	KpiGrain	parsed;

	if (!kpi_calendar_grain_parse(grain, &parsed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown grain \"%s\"", grain),
				 errhint("Grains are day, week, month, quarter and year.")));
	return parsed;
}

static bool
parse_per(const char *per)
{
	if (strcmp(per, "team") != 0 && strcmp(per, "member") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a rollup table is per team or per member, not per \"%s\"", per),
				 errhint("Say per => 'team' or per => 'member'.")));
	return strcmp(per, "member") == 0;
}

/* Values by dimension are those of teams, from the month up. */
static void
check_dimension(const KpiRollup *rollup)
{
	if (rollup->dimension == NULL || (!rollup->of_members && rollup->grain >= KPI_MONTH))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 rollup->of_members ?
			 errmsg("a rollup table of members by dimension \"%s\" is not supported", rollup->dimension) :
			 errmsg("a rollup table by %s and dimension \"%s\" is not supported",
					kpi_calendar_grain_name(rollup->grain), rollup->dimension),
			 errhint("With a dimension it is per team, by month, quarter or year.")));
}

static KpiParam
day_param(DateADT day)
{
	return DATE_IS_NOBEGIN(day) ? KPI_NULL(DATEOID) : KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

/* kpi.create_rollup(name, kpis, per, grain, dimension, since) */
Datum
kpi_sql_create_rollup(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "name of the rollup table");
	char	   *kpis = kpi_arg_text(fcinfo, 1);
	char	   *per = kpi_arg_name(fcinfo, 2, "per");
	char	   *grain = kpi_arg_name(fcinfo, 3, "grain");
	DateADT		since = kpi_arg_day(fcinfo, 5, "since", DATEVAL_NOBEGIN);
	KpiRollup	wish = {.of_members = parse_per(per),.grain = parse_grain(grain)};
	KpiRollup  *rollup;
	List	   *wishes;
	KpiSpi		spi;

	kpi_require_editor();
	wish.dimension = kpi_arg_optional_name(fcinfo, 4, "dimension");
	check_dimension(&wish);
	wish.relation = new_relation(name);
	wishes = parse_kpis(kpis, kpi_rollup_name_columns(wish.of_members, wish.dimension != NULL));

	kpi_spi_begin(&spi);
	if (kpi_spi_exec("SELECT FROM kpi.rollup WHERE relation = $1", 1, KPI_TEXT(wish.relation)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("rollup table %s already exists", wish.relation),
				 errdetail("Its table is gone."),
				 errhint("Run SELECT kpi.drop_rollup(%s).", quote_literal_cstr(wish.relation))));
	wish.id = kpi_first_int4("INSERT INTO kpi.rollup (relation, per, grain, dimension, since)"
							 " VALUES ($1, $2, $3, $4, $5) RETURNING id",
							 5, KPI_TEXT(wish.relation), KPI_TEXT(per), KPI_TEXT(grain),
							 KPI_TEXT(wish.dimension), day_param(since));
	write_columns(wish.id, wishes);
	kpi_define_ground_check_rollup(wish.id);
	kpi_spi_end(&spi);

	rollup = kpi_rollup_load(wish.id);
	create_table(rollup);
	kpi_rollup_adopt(rollup);
	PG_RETURN_INT32(wish.id);
}

/* The relation that a name means to the caller, as definitions have it. */
static char *
known_relation(const char *name)
{
	RangeVar   *rv = makeRangeVarFromNameList(kpi_qualified_names(name));
	Oid			relid;

	if (rv->schemaname != NULL)
		return quote_qualified_identifier(rv->schemaname, rv->relname);
	relid = RelnameGetRelid(rv->relname);
	return OidIsValid(relid) ? kpi_fact_table_name(relid) : NULL;
}

static int32
find_rollup(const char *name)
{
	char	   *relation = known_relation(name);

	if (relation == NULL)
		return 0;
	return kpi_first_int4("SELECT r.id FROM kpi.rollup r"
						  " LEFT JOIN kpi_internal.rollup_state s ON s.rollup_id = r.id"
						  " WHERE r.relation = $1 OR s.relid = $2"
						  " ORDER BY s.relid IS NOT DISTINCT FROM $2 DESC LIMIT 1",
						  2, KPI_TEXT(relation),
						  KPI_VALUE(OIDOID, ObjectIdGetDatum(kpi_model_relid_by_name(relation))));
}

static void
require_owner(const KpiRollup *rollup)
{
	Oid			relid = kpi_rollup_relid(rollup);

	if (OidIsValid(relid) && !kpi_class_ownercheck(relid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of rollup table %s", rollup->relation)));
}

/*
 * Refreshes say which rows they have moved by what the table is when they end: none is
 * under way while that changes.  Before the rollup's lock, and by whoever may change it.
 */
static void
lock_sources(const KpiRollup *rollup)
{
	List	   *sources;
	ListCell   *lc;

	require_owner(rollup);
	sources = kpi_all_int4("SELECT DISTINCT s.source_id FROM kpi.rollup_column c"
						   " JOIN kpi_internal.kpi_stream s ON s.kpi_id = c.kpi_id"
						   " WHERE c.rollup_id = $1 ORDER BY 1", 1, KPI_INT4(rollup->id));
	foreach(lc, sources)
		kpi_refresh_lock_source(lfirst_int(lc));
}

/*
 * Finds a rollup table that the current user may change, and locks it; with what its rows are counted
 * from, if what they are is to change.  One whose table is gone belongs to every editor.
 */
static KpiRollup *
open_rollup(const char *name, bool reshape, Oid *relid)
{
	int32		id;
	KpiRollup  *rollup;

	kpi_require_editor();
	id = find_rollup(name);
	rollup = id == 0 ? NULL : kpi_rollup_load(id);
	if (rollup != NULL)
	{
		if (reshape)
			lock_sources(rollup);
		kpi_rollup_lock(rollup);
		rollup = kpi_rollup_load(id);
	}
	if (rollup == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rollup table \"%s\" does not exist", name),
				 errhint("Table kpi.rollup lists the rollup tables; kpi.create_rollup() makes one.")));
	require_owner(rollup);
	*relid = kpi_rollup_relid(rollup);
	if (OidIsValid(*relid))
		rollup->relation = kpi_fact_table_name(*relid);
	return rollup;
}

/* What the rows of a rollup table are to be, as far as it is given; an empty dimension is none. */
static KpiRollup
wished_shape(FunctionCallInfo fcinfo, const KpiRollup *old)
{
	KpiRollup	wish = *old;

	if (PG_NARGS() <= ALTER_DIMENSION_ARGUMENT)
		return wish;
	if (!PG_ARGISNULL(ALTER_PER_ARGUMENT))
		wish.of_members = parse_per(kpi_arg_name(fcinfo, ALTER_PER_ARGUMENT, "per"));
	if (!PG_ARGISNULL(ALTER_GRAIN_ARGUMENT))
		wish.grain = parse_grain(kpi_arg_name(fcinfo, ALTER_GRAIN_ARGUMENT, "grain"));
	wish.dimension = kpi_define_arg_changed(fcinfo, ALTER_DIMENSION_ARGUMENT, wish.dimension);
	check_dimension(&wish);
	return wish;
}

static bool
is_reshaped(const KpiRollup *old, const KpiRollup *new)
{
	return old->of_members != new->of_members || old->grain != new->grain ||
		strcmp(old->dimension ? old->dimension : "", new->dimension ? new->dimension : "") != 0;
}

/* Columns of KPIs that stay have the names of none that come. */
static void
check_kept_columns(const KpiRollup *old, List *name_columns)
{
	ListCell   *lc;

	foreach(lc, old->columns)
	{
		const KpiRollupColumn *column = lfirst(lc);

		if (!column->is_name)
			check_column_name(column->name, name_columns);
	}
}

/* kpi.alter_rollup(rollup, kpis, since, per, grain, dimension) */
Datum
kpi_sql_alter_rollup(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "name of the rollup table");
	bool		reshape = PG_NARGS() > ALTER_DIMENSION_ARGUMENT && !(PG_ARGISNULL(ALTER_PER_ARGUMENT) &&
																	 PG_ARGISNULL(ALTER_GRAIN_ARGUMENT) && PG_ARGISNULL(ALTER_DIMENSION_ARGUMENT));
	Oid			relid;
	KpiRollup  *old = open_rollup(name, reshape, &relid);
	KpiRollup	wish = wished_shape(fcinfo, old);
	List	   *name_columns = kpi_rollup_name_columns(wish.of_members, wish.dimension != NULL);
	KpiRollup  *new;
	KpiSpi		spi;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s does not exist any more", old->relation),
				 errhint("Run SELECT kpi.drop_rollup(%s), then kpi.create_rollup().",
						 quote_literal_cstr(old->relation))));
	kpi_spi_begin(&spi);
	if (!PG_ARGISNULL(1))
		write_columns(old->id, parse_kpis(kpi_arg_text(fcinfo, 1), name_columns));
	else
		check_kept_columns(old, name_columns);
	if (!PG_ARGISNULL(2))
		kpi_spi_exec("UPDATE kpi.rollup SET since = $2 WHERE id = $1", 2, KPI_INT4(old->id),
					 day_param(kpi_arg_day(fcinfo, 2, "since", DATEVAL_NOBEGIN)));
	if (is_reshaped(old, &wish))
		kpi_spi_exec("UPDATE kpi.rollup SET per = $2, grain = $3, dimension = $4 WHERE id = $1", 4, KPI_INT4(old->id),
					 KPI_TEXT(wish.of_members ? "member" : "team"), KPI_TEXT(kpi_calendar_grain_name(wish.grain)),
					 KPI_TEXT(wish.dimension));
	kpi_define_ground_check_rollup(old->id);
	kpi_spi_end(&spi);

	new = kpi_rollup_load(old->id);
	new->relation = old->relation;
	if (is_reshaped(old, new))
		reshape_table(old, new, relid);
	else
		alter_table(old, new);
	kpi_rollup_adopt(new);
	PG_RETURN_VOID();
}

/* kpi.drop_rollup(rollup, drop_table) */
Datum
kpi_sql_drop_rollup(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "name of the rollup table");
	Oid			relid;
	KpiRollup  *rollup = open_rollup(name, false, &relid);
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi.rollup WHERE id = $1", 1, KPI_INT4(rollup->id));
	kpi_spi_end(&spi);
	if (!PG_ARGISNULL(1) && PG_GETARG_BOOL(1) && OidIsValid(relid))
		run_as_caller(psprintf("DROP TABLE %s", rollup->relation));
	PG_RETURN_VOID();
}
