/*-------------------------------------------------------------------------
 *
 * source.c
 *	  SQL functions that define sources.
 *
 * The expressions of a source are checked and evaluated as its definer
 * (fact/definer.c).  Locks: the source's row and table (source_row.c), then other
 * rows of our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "capture/capture.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "goal/goal.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/regproc.h"

PG_FUNCTION_INFO_V1(kpi_sql_create_source);
PG_FUNCTION_INFO_V1(kpi_sql_alter_source);
PG_FUNCTION_INFO_V1(kpi_sql_facts_query);

/* A named dimension, as written and then as checked. */
typedef struct Dimension
{
	char	   *name;
	char	   *expression;
	char	   *attribute;		/* that it is; or NULL */
} Dimension;

/* Of kpi.alter_source(). */
#define ALTER_RELATION_ARGUMENT 22

/* ---- dimensions ---- */

/* Whether the facts query uses this name for an input of a measure: m7_1. */
static bool
is_input_name(const char *name)
{
	size_t		id = strspn(name + 1, "0123456789");

	return name[0] == 'm' && id > 0 && name[id + 1] == '_' && name[id + 2] != '\0' &&
		name[id + 2 + strspn(name + id + 2, "0123456789")] == '\0';
}

/* Names stand beside the other columns of the facts query. */
static void
check_dimension_name(const char *name, const char *source)
{
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name \"%s\" of a dimension of source \"%s\" is empty or too long", name, source),
				 errhint("Use 1 to %d bytes.", NAMEDATALEN - 1)));
	if (strcmp(name, "team") == 0 || strcmp(name, "member") == 0 || strcmp(name, "company") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("dimension \"%s\" of source \"%s\" has a reserved name", name, source),
				 errdetail("kpi.breakdown() takes team and member for the parts that teams and members are, and company is above them all."),
				 errhint("Choose another name.")));
	if (strcmp(name, "owner") == 0 || strcmp(name, "at") == 0 || strcmp(name, "day") == 0 ||
		strcmp(name, KPI_CURRENCY_COLUMN) == 0 || is_input_name(name))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("dimension \"%s\" of source \"%s\" has a reserved name", name, source),
				 errhint("The facts query has columns owner, at, day, " KPI_CURRENCY_COLUMN ", m1_1 and so on: choose another name.")));
}

/* An object of names and expressions. */
static List *
parse_dimensions(Jsonb *json, const char *source)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	List	   *dimensions = NIL;
	Dimension  *dimension = NULL;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions of source \"%s\" are not a JSON object", source),
				 errhint("Write names and expressions, like '{\"product\": \"product\", \"region\": \"upper(region)\"}'.")));

	it = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			dimension = palloc0(sizeof(Dimension));
			dimension->name = pnstrdup(value.val.string.val, value.val.string.len);
			check_dimension_name(dimension->name, source);
		}
		else if (token == WJB_VALUE)
		{
			if (value.type != jbvString)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("dimension \"%s\" of source \"%s\" is not a string",
								dimension->name, source),
						 errhint("Write its expression as a string.")));
			dimension->expression = pnstrdup(value.val.string.val, value.val.string.len);
			dimensions = lappend(dimensions, dimension);
		}
	}
	return dimensions;
}

/* A dimension that is an attribute, as people see it. */
static char *
attribute_expression(const char *attribute)
{
	return psprintf("attribute(%s)", quote_literal_cstr(attribute));
}

/* Attributes are those of members. */
static void
check_attribute(const Dimension *dimension, const KpiSourceRow *row)
{
	if (row->owner == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimension \"%s\" of source \"%s\" is an attribute, and its facts have no owner",
						dimension->name, row->name),
				 errdetail("Attributes are those of members; its facts count for %s.",
						   row->team ? "teams" : "the company alone"),
				 errhint("Give the source an owner, or break it down by something of its rows.")));
}

/* As the source's definer. */
static void
check_dimensions(const KpiSourceRow *row, List *dimensions)
{
	Oid			relid = row->relid;
	const char *source = row->name;
	ListCell   *lc;

	foreach(lc, dimensions)
	{
		Dimension  *dimension = lfirst(lc);
		char	   *what = psprintf("dimension \"%s\" of source \"%s\"", dimension->name, source);
		KpiExpr		expr;

		dimension->attribute = kpi_define_attribute_parse(relid, dimension->expression, what);
		if (dimension->attribute != NULL)
		{
			check_attribute(dimension, row);
			dimension->expression = attribute_expression(dimension->attribute);
			continue;
		}
		expr = kpi_expr_check_full(relid, dimension->expression, what);
		dimension->expression = kpi_expr_key_text(&expr, what);
	}
}

/* Where attributes are or were among them, what facts count for changes (attribute.c). */
static void
write_dimensions(int32 source_id, List *dimensions, bool had_attributes)
{
	int			position = 0;
	bool		touch = had_attributes;
	ListCell   *lc;

	foreach(lc, dimensions)
		touch |= ((const Dimension *) lfirst(lc))->attribute != NULL;
	if (touch)
		kpi_define_touch();
	kpi_spi_exec("DELETE FROM kpi.dimension WHERE source_id = $1", 1, KPI_INT4(source_id));
	foreach(lc, dimensions)
	{
		Dimension  *dimension = lfirst(lc);

		kpi_spi_exec("INSERT INTO kpi.dimension (source_id, position, name, expression, attribute) "
					 "VALUES ($1, $2::smallint, $3, $4, $5)",
					 5, KPI_INT4(source_id), KPI_INT4(++position), KPI_TEXT(dimension->name),
					 KPI_TEXT(dimension->expression), KPI_TEXT(dimension->attribute));
	}
}

/* Dimensions that are stored already, to be checked again. */
static List *
stored_dimensions(const KpiSource *source)
{
	List	   *dimensions = NIL;

	for (int i = 0; i < source->ndims; i++)
	{
		Dimension  *dimension = palloc0(sizeof(Dimension));

		dimension->name = source->dim_names[i];
		dimension->attribute = source->dim_attributes[i];
		dimension->expression = dimension->attribute ? attribute_expression(dimension->attribute) : source->dim_exprs[i];
		dimensions = lappend(dimensions, dimension);
	}
	return dimensions;
}

/* ---- the functions ---- */

static void
check_grain(const char *grain)
{
	KpiGrain	parsed;

	if (!kpi_calendar_grain_parse(grain, &parsed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown grain \"%s\"", grain),
				 errhint("Grains are day, week, month, quarter and year.")));
}

static void
check_new_name(const char *name)
{
	if (kpi_spi_exec("SELECT FROM kpi.source WHERE name = $1", 1, KPI_TEXT(name)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("source \"%s\" already exists", name),
				 errhint("Change it with kpi.alter_source(), or choose another name.")));
}

static void
require_new_name(const char *name)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	check_new_name(name);
	kpi_spi_end(&spi);
}

/* A keyed source has a table of its own, which nobody swaps. */
static void
check_own_table(const char *source, bool has_lookups, bool is_default)
{
	if (!is_default)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 has_lookups ?
				 errmsg("\"on_swap\" and \"on_detach\" of source \"%s\" do not go with lookups", source) :
				 errmsg("\"on_swap\" and \"on_detach\" of source \"%s\" do not go with a query", source),
				 errhint("They are for sources over a table of somebody else's: leave them out.")));
}

/* The expressions of a source, which may look values up. */
static List *
texts_of(KpiSourceRow *row, List *dimensions, KpiSourceOptions *options)
{
	List	   *texts = NIL;
	ListCell   *lc;

	texts = kpi_define_add_text(texts, &row->owner, "owner");
	texts = kpi_define_add_text(texts, &row->team, "team");
	texts = kpi_define_add_text(texts, &row->at, "time (at)");
	texts = kpi_define_add_text(texts, &row->filter, psprintf("filter of source \"%s\"", row->name));
	foreach(lc, dimensions)
	{
		Dimension  *dimension = lfirst(lc);

		texts = kpi_define_add_text(texts, &dimension->expression,
									psprintf("dimension \"%s\" of source \"%s\"", dimension->name, row->name));
	}
	return kpi_define_add_text(texts, &options->loaded_at, psprintf("loaded_at of source \"%s\"", row->name));
}

/* Checks the expressions of a source and leaves them deparsed in the row. */
static void
check_expressions(KpiSourceRow *row, List *dimensions, KpiSourceOptions *options)
{
	KpiUser		user;

	if (row->owner != NULL && row->team != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source \"%s\" has both an owner and a team", row->name),
				 errhint("Facts count for members (owner), for teams (team), or, with neither, for the company.")));

	kpi_define_definer_switch(&user, row);
	(void) kpi_define_stream_key(row, NULL, NULL, NULL, NULL);
	row->key = kpi_define_text_check(row->relid, row->key, psprintf("key of source \"%s\"", row->name));
	row->owner = kpi_define_text_check(row->relid, row->owner, "owner");
	row->team = kpi_define_text_check(row->relid, row->team, "team");
	row->at = kpi_define_text_check(row->relid, row->at, "time (at)");
	row->filter = kpi_define_filter_check(row->relid, row->filter, psprintf("filter of source \"%s\"", row->name));
	check_dimensions(row, dimensions);
	kpi_define_source_options_check(row->relid, row->name, options);
	kpi_user_restore(&user);
}

/*
 * Its texts as they were typed; first: the number of the first argument of keyed
 * sources.  A followed table is called as it is stored, in the order of the object.
 */
static void
store_typed(FunctionCallInfo fcinfo, int first, int32 source_id, const KpiKeyed *keyed)
{
	static const char *const parts[] = {"key", "owner", "team", "at", "filter"};
	List	   *typed = NIL;

	for (int i = 0; i < lengthof(parts); i++)
		typed = kpi_define_typed_add(typed, fcinfo, 2 + i, parts[i]);
	typed = kpi_define_typed_add_object(typed, fcinfo, 7, "dimension", NIL);
	typed = kpi_define_typed_add(typed, fcinfo, 14, "loaded_at");
	typed = kpi_define_typed_add(typed, fcinfo, first, "query");
	if (keyed != NULL && !PG_ARGISNULL(first + 2))
	{
		List	   *relations = NIL;
		ListCell   *lc;

		foreach(lc, keyed->follows)
			relations = lappend(relations, ((const KpiFollow *) lfirst(lc))->relation);
		typed = kpi_define_typed_add_object(typed, fcinfo, first + 2, "follow", relations);
	}
	kpi_define_typed_store(false, source_id, typed);
}

/* The role named by an argument of ours; InvalidOid: none is. */
static Oid
arg_definer(FunctionCallInfo fcinfo, int n)
{
	char	   *name = kpi_arg_optional_name(fcinfo, n, "definer");

	return name == NULL ? InvalidOid : kpi_fact_definer_named(name);
}

/* A source is over a table, or it has a query. */
static void
check_relation_or_query(const char *source, bool has_relation, bool has_query, bool has_more)
{
	if (has_relation && has_query)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source \"%s\" has both a relation and a query", source),
				 errhint("Give the table that holds the facts, or a query whose rows are the facts.")));
	if (!has_relation && !has_query)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source \"%s\" needs a relation", source),
				 errhint("Give the table that holds the facts: relation => 'crm.deals'; or a query and its key.")));
	if (has_more && !has_query)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"entity\", \"follow\" and \"static\" of source \"%s\" need a query", source),
				 errhint("A source over a table follows that table: leave them out.")));
}

/*
 * kpi.create_source(name, relation, key, owner, team, at, filter, dimensions, grain, calendar, definer,
 * on_swap, on_detach, hold_if_lost, loaded_at, query, entity, follow, static)
 */
Datum
kpi_sql_create_source(PG_FUNCTION_ARGS)
{
	KpiSourceRow row = {0};
	char	   *table = kpi_arg_text(fcinfo, 1);
	bool		is_keyed = !PG_ARGISNULL(15);
	bool		has_lookups;
	KpiKeyed   *keyed = NULL;
	char	   *grain = kpi_arg_name(fcinfo, 8, "grain");
	char	   *calendar = kpi_arg_name(fcinfo, 9, "calendar");
	Oid			named_definer = arg_definer(fcinfo, 10);
	KpiSourceOptions options;
	KpiDefineLookups *lookups = NULL;
	int32		calendar_id;
	List	   *dimensions;
	List	   *texts;
	KpiSpi		spi;

	row.name = kpi_arg_name(fcinfo, 0, "name of the source");
	kpi_define_source_options_read(fcinfo, 11, row.name, &options);
	row.key = kpi_define_arg_given(fcinfo, 2);
	row.owner = kpi_define_arg_given(fcinfo, 3);
	row.team = kpi_define_arg_given(fcinfo, 4);
	row.at = kpi_define_arg_given(fcinfo, 5);
	row.filter = kpi_define_arg_given(fcinfo, 6);
	check_relation_or_query(row.name, table != NULL, is_keyed, !PG_ARGISNULL(16) || !PG_ARGISNULL(17) || !PG_ARGISNULL(18));
	if (row.at == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source \"%s\" needs a time", row.name),
				 errhint("Say when a fact happened: at => 'closed_at'.")));
	dimensions = PG_ARGISNULL(7) ? NIL : parse_dimensions(PG_GETARG_JSONB_P(7), row.name);
	check_grain(grain);
	calendar_id = kpi_calendar_id(calendar);

	texts = texts_of(&row, dimensions, &options);
	has_lookups = kpi_define_looks_up(texts);
	if (is_keyed && has_lookups)
		kpi_define_lookups_refuse(row.name);
	if (is_keyed || has_lookups)
	{
		check_own_table(row.name, has_lookups, strcmp(options.on_swap, "follow") == 0 && strcmp(options.on_detach, "seal") == 0);
		require_new_name(row.name);
		if (is_keyed)
			keyed = kpi_define_keyed_create(fcinfo, 15, &row, named_definer);
		else
			keyed = kpi_define_lookups_create(&row, table, texts, named_definer, &lookups);
	}
	else
	{
		row.relid = kpi_fact_table_open(table, named_definer);
		row.relation = kpi_fact_table_name(row.relid);
		kpi_define_source_row_set_definer(&row, kpi_fact_definer_choose(row.relid, named_definer));
	}
	check_expressions(&row, dimensions, &options);

	kpi_spi_begin(&spi);
	check_new_name(row.name);
	row.id = kpi_first_int4("INSERT INTO kpi.source"
							" (name, relation, key, owner, team, at, filter, grain, calendar_id, definer)"
							" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
							10, KPI_TEXT(row.name), KPI_TEXT(row.relation), KPI_TEXT(row.key),
							KPI_TEXT(row.owner), KPI_TEXT(row.team), KPI_TEXT(row.at),
							KPI_TEXT(row.filter), KPI_TEXT(grain), KPI_INT4(calendar_id),
							KPI_TEXT(row.definer));
	/* State is not dumped, so this tells it from one that a restore brings. */
	kpi_spi_exec("INSERT INTO kpi_internal.source_state (source_id, status, definer_oid, definer_login, table_owner,"
				 " relid, columns) VALUES ($1, 'building', $2, $3, $4, $5, $6)",
				 6, KPI_INT4(row.id), KPI_VALUE(OIDOID, ObjectIdGetDatum(row.definer_oid)),
				 KPI_BOOL(kpi_role_can_login(row.definer_oid)),
				 KPI_VALUE(OIDOID, ObjectIdGetDatum(kpi_fact_table_owner(row.relid))),
				 KPI_VALUE(OIDOID, ObjectIdGetDatum(row.relid)), KPI_VALUE(JSONBOID, kpi_model_columns(row.relid)));
	kpi_define_source_options_store(row.id, InvalidOid, &options);
	write_dimensions(row.id, dimensions, false);
	if (keyed != NULL)
		kpi_define_lookups_store(row.id, keyed, lookups, true);
	kpi_spi_end(&spi);
	store_typed(fcinfo, 15, row.id, keyed);

	kpi_model_code_accept(row.id, 0);
	kpi_capture_attach(row.id, row.relid, row.definer_oid);
	kpi_fact_table_lock(row.relid, ShareRowExclusiveLock);
	if (keyed != NULL)
		kpi_define_keyed_attach(row.id, keyed, row.definer_oid);
	else if (!OidIsValid(named_definer) && row.definer_oid != GetUserId())
		kpi_fact_definer_tell_owner(row.name, row.relid);
	kpi_define_zone_tell(row.id, calendar_id, row.at);
	PG_RETURN_INT32(row.id);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Whether the stored source means something else than the changed one. */
static bool
is_redefined(const KpiSource *old, const KpiSourceRow *old_row, const KpiSourceRow *row,
			 List *dimensions, int32 calendar_id)
{
	if (!same_text(old_row->owner, row->owner) || !same_text(old_row->team, row->team) ||
		!same_text(old_row->at, row->at) || !same_text(old_row->filter, row->filter) ||
		(calendar_id != 0 && calendar_id != old->calendar_id) ||
		old->ndims != list_length(dimensions))
		return true;

	for (int i = 0; i < old->ndims; i++)
	{
		Dimension  *dimension = list_nth(dimensions, i);

		if (!same_text(old->dim_names[i], dimension->name) ||
			!same_text(old->dim_attributes[i], dimension->attribute) ||
			(dimension->attribute == NULL && !same_text(old->dim_exprs[i], dimension->expression)))
			return true;
	}
	return false;
}

/*
 * Checks the changed source as a whole, and leaves in row and *dimensions the
 * deparsed text of what was given and the stored text of what was not, which
 * may differ in parentheses from its deparsed text.
 */
static void
check_changes(FunctionCallInfo fcinfo, const KpiSource *old, const KpiSourceRow *old_row,
			  KpiSourceRow *row, List **dimensions, KpiSourceOptions *options)
{
	check_expressions(row, *dimensions, options);

	if (PG_ARGISNULL(2))
		row->key = old_row->key;
	if (PG_ARGISNULL(3) && PG_ARGISNULL(4))
	{
		row->owner = old_row->owner;
		row->team = old_row->team;
	}
	if (PG_ARGISNULL(5))
		row->at = old_row->at;
	if (PG_ARGISNULL(6))
		row->filter = old_row->filter;
	if (PG_ARGISNULL(7))
		*dimensions = stored_dimensions(old);
}

/* A source over a table stays one. */
static void
refuse_query(const char *source, bool has_lookups)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 has_lookups ?
			 errmsg("source \"%s\" is over a table, and its query follows from its lookups", source) :
			 errmsg("source \"%s\" is over a table and has no query", source),
			 errdetail("\"query\" and what goes with it are for sources that were created with a query."),
			 errhint("Create another source with the query.")));
}

/*
 * The row of a source that is to be changed, and its table, locked.  Where the table itself changes, at
 * once as that needs, after the engine: it has the table locked while it waits for no one else.
 */
static KpiSourceRow *
open_for_change(FunctionCallInfo fcinfo, Oid named_definer, bool discard_sealed, KpiKeyed **keyed)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "name of the source");
	KpiSourceRow *row;

	kpi_define_mend_begin(name);
	row = kpi_define_source_row_read(name);
	*keyed = kpi_model_keyed_load(row->id, false);
	if (kpi_define_keyed_is_given(fcinfo, 16) && (*keyed == NULL || (*keyed)->facts_relation != NULL))
		refuse_query(row->name, *keyed != NULL);
	if (*keyed != NULL)
		check_own_table(row->name, (*keyed)->facts_relation != NULL, PG_ARGISNULL(11) && PG_ARGISNULL(12));
	if (discard_sealed)
	{
		kpi_define_source_row_require_definer(row);
		kpi_refresh_lock_source(row->id);
	}
	if (*keyed != NULL &&
		(kpi_define_keyed_is_given(fcinfo, 16) || !PG_ARGISNULL(1) || !PG_ARGISNULL(2) || OidIsValid(named_definer)))
	{
		kpi_define_source_row_require_definer(row);
		kpi_refresh_lock_source(row->id);
		*keyed = kpi_model_keyed_load(row->id, false);
		kpi_define_keyed_lock_followed(*keyed, row->definer, ShareRowExclusiveLock);
		(void) kpi_define_source_row_lock(row, AccessExclusiveLock);
	}
	return kpi_define_source_row_open_as(row->name, named_definer);
}

/*
 * What a keyed source has besides, and its table, as the arguments say.  NULL: neither changes.
 */
static KpiKeyed *
change_keyed(FunctionCallInfo fcinfo, const KpiKeyed *old, const KpiSourceRow *old_row, KpiSourceRow *row,
			 const char *new_name, KpiDefineLookups **lookups, bool *altered)
{
	bool		has_key = !PG_ARGISNULL(2);
	KpiKeyed   *keyed = NULL;

	*altered = false;
	if (old == NULL)
		return NULL;
	if (!PG_ARGISNULL(2) && row->key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source \"%s\" needs a key", row->name),
				 errhint("Name the columns of its query that identify a row: key => 'lead_id'.")));
	if (old->facts_relation != NULL && (has_key || row->definer_oid != old_row->definer_oid))
		keyed = kpi_define_lookups_change(row, old, has_key ? row->key : NULL, lookups, altered);
	else if (kpi_define_keyed_is_given(fcinfo, 16) || has_key || row->definer_oid != old_row->definer_oid)
		keyed = kpi_define_keyed_change(fcinfo, 16, has_key ? row->key : NULL, row, old, altered);
	if (new_name != NULL && strcmp(new_name, row->name) != 0)
	{
		char	   *table = kpi_define_kept_name(new_name);

		require_new_name(new_name);
		kpi_define_keyed_require_unread(row, "rename");
		kpi_define_kept_require_free(table, new_name);
		kpi_define_kept_rename(row->relation, new_name);
		row->relation = table;
	}
	return keyed;
}

static void
store_row(const KpiSourceRow *row, const char *new_name, const char *grain, int32 calendar_id)
{
	kpi_spi_exec("UPDATE kpi.source SET name = coalesce($2, name), key = $3, owner = $4, team = $5, at = $6, "
				 "filter = $7, grain = coalesce($8, grain), calendar_id = coalesce($9, calendar_id), relation = $10 "
				 "WHERE id = $1",
				 10, KPI_INT4(row->id), KPI_TEXT(new_name), KPI_TEXT(row->key),
				 KPI_TEXT(row->owner), KPI_TEXT(row->team), KPI_TEXT(row->at),
				 KPI_TEXT(row->filter), KPI_TEXT(grain),
				 calendar_id != 0 ? KPI_INT4(calendar_id) : KPI_NULL(INT4OID), KPI_TEXT(row->relation));
}

void
kpi_define_source_follow_change(const KpiSourceRow *row, bool redefined, bool has_new_code, bool recheck, bool discard_sealed)
{
	/*
	 * The same owner is another key after its column got another type; and
	 * which fact is the first goes by the key of the source.
	 */
	if (redefined || recheck)
		kpi_define_recheck_measures(row, discard_sealed);
	if (redefined || has_new_code)
		kpi_model_code_accept(row->id, 0);
	if (redefined)
		kpi_define_source_redefined(row->id);
	kpi_define_programs_of_source(row->id);
	kpi_define_ground_check_source(row->id, row->name);
	kpi_goal_source_redefined(row->id);
}

/* Before what is given otherwise is looked at: it is of the other table. */
static bool
change_table(FunctionCallInfo fcinfo, Oid named_definer, bool discard_sealed)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "name of the source");

	if (PG_NARGS() <= ALTER_RELATION_ARGUMENT || PG_ARGISNULL(ALTER_RELATION_ARGUMENT))
		return false;
	if (kpi_define_arg_given(fcinfo, ALTER_RELATION_ARGUMENT) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source \"%s\" needs a relation", name),
				 errhint("Give the table that holds the facts: relation => 'crm.deals'. One over a table gets no query: create another source.")));
	return kpi_define_source_table_change(name, kpi_arg_text(fcinfo, ALTER_RELATION_ARGUMENT), named_definer, discard_sealed);
}

/* Before anything is locked: what is given may look up what the source has not. */
static void
prepare_lookups(FunctionCallInfo fcinfo)
{
	KpiSourceRow row = {.name = kpi_arg_name(fcinfo, 0, "name of the source")};
	KpiSourceOptions options = {.loaded_at = kpi_arg_text(fcinfo, 14)};

	row.owner = kpi_define_arg_given(fcinfo, 3);
	row.team = kpi_define_arg_given(fcinfo, 4);
	row.at = kpi_define_arg_given(fcinfo, 5);
	row.filter = kpi_define_arg_given(fcinfo, 6);
	kpi_define_lookups_prepare(row.name,
							   texts_of(&row, PG_ARGISNULL(7) ? NIL : parse_dimensions(PG_GETARG_JSONB_P(7), row.name),
										&options));
}

/*
 * kpi.alter_source(name, new_name, key, owner, team, at, filter, dimensions, grain, calendar, definer,
 * on_swap, on_detach, hold_if_lost, loaded_at, discard_sealed, query, entity, follow, static, changed_at,
 * full_every, relation)
 */
Datum
kpi_sql_alter_source(PG_FUNCTION_ARGS)
{
	Oid			named_definer = arg_definer(fcinfo, 10);
	bool		discard_sealed = !PG_ARGISNULL(15) && PG_GETARG_BOOL(15);
	KpiSourceRow *row;
	KpiSourceRow old_row;
	KpiSource  *old;
	KpiSourceOptions options;
	KpiKeyed   *old_keyed;
	KpiKeyed   *keyed;
	KpiDefineLookups *lookups = NULL;
	int32		calendar_id = 0;
	bool		has_other_table;
	bool		redefined;
	bool		altered;
	char	   *new_name = kpi_arg_optional_name(fcinfo, 1, "new name of the source");
	char	   *grain = kpi_arg_optional_name(fcinfo, 8, "grain");
	char	   *calendar = kpi_arg_optional_name(fcinfo, 9, "calendar");
	List	   *dimensions;
	KpiSpi		spi;

	has_other_table = change_table(fcinfo, named_definer, discard_sealed);
	prepare_lookups(fcinfo);
	row = open_for_change(fcinfo, named_definer, discard_sealed, &old_keyed);
	old = kpi_model_source_load(row->id, false);
	old_row = *row;
	old_row.definer_oid = old->definer_oid;
	row->key = kpi_define_arg_changed(fcinfo, 2, row->key);
	kpi_define_arg_change_owner(fcinfo, 3, 4, &row->owner, &row->team);
	row->at = kpi_define_arg_changed(fcinfo, 5, row->at);
	row->filter = kpi_define_arg_changed(fcinfo, 6, row->filter);
	if (row->at == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source \"%s\" needs a time", row->name),
				 errhint("Say when a fact happened: at => 'closed_at'.")));
	if (grain != NULL)
		check_grain(grain);
	if (calendar != NULL)
		calendar_id = kpi_calendar_id(calendar);
	kpi_define_source_options_read(fcinfo, 11, row->name, &options);
	dimensions = PG_ARGISNULL(7) ? stored_dimensions(old) : parse_dimensions(PG_GETARG_JSONB_P(7), row->name);
	kpi_define_lookups_prepare(row->name, texts_of(row, dimensions, &options));
	keyed = change_keyed(fcinfo, old_keyed, &old_row, row, new_name, &lookups, &altered);
	check_changes(fcinfo, old, &old_row, row, &dimensions, &options);
	redefined = altered || has_other_table || is_redefined(old, &old_row, row, dimensions, calendar_id);
	if (discard_sealed)
		redefined |= kpi_define_sealed_discard(row->id);
	else if (redefined)
		kpi_define_sealed_check(row->id, psprintf("source \"%s\"", row->name));
	if (OidIsValid(named_definer))
	{
		redefined |= strcmp(old->definer, row->definer) != 0 || old->definer_oid != named_definer;
		kpi_fact_definer_store(row->id, row->relid, named_definer);
	}

	kpi_spi_begin(&spi);
	if (new_name != NULL && strcmp(new_name, row->name) != 0)
		check_new_name(new_name);
	store_row(row, new_name, grain, calendar_id);
	kpi_define_source_options_store(row->id, row->relid, &options);
	if (redefined)
		write_dimensions(row->id, dimensions, old->has_attributes);
	if (keyed != NULL)
		kpi_define_lookups_store(row->id, keyed, lookups, old_keyed->is_followed);
	kpi_spi_end(&spi);
	store_typed(fcinfo, 16, row->id, keyed);

	kpi_define_source_follow_change(row, redefined, keyed != NULL || options.loaded_at != NULL,
									!PG_ARGISNULL(2) || !PG_ARGISNULL(3) || !PG_ARGISNULL(4), discard_sealed || has_other_table);
	if (keyed != NULL)
		kpi_define_keyed_attach(row->id, keyed, row->definer_oid);
	kpi_define_mend_end(row->id);
	PG_RETURN_VOID();
}

void
kpi_define_source_redefined(int32 source_id)
{
	KpiSpi		spi;
	KpiSource  *source = kpi_model_source_load(source_id, false);
	Oid			relid = source == NULL ? InvalidOid : kpi_model_source_relid(source);

	kpi_spi_begin(&spi);
	if (OidIsValid(relid))
		kpi_fact_table_lock(relid, ShareRowExclusiveLock);
	kpi_spi_exec("UPDATE kpi_internal.stream SET version = version + 1 WHERE source_id = $1",
				 1, KPI_INT4(source_id));
	kpi_spi_exec("INSERT INTO kpi_internal.left_out_unsaid (kpi_id)"
				 " SELECT k.id FROM kpi.kpi k WHERE k.source_id = $1 AND k.kind = 'measure' ON CONFLICT DO NOTHING",
				 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
}

/* ---- kpi_internal.facts_query() ---- */

/* The stream of a source's own owner and time, which may have no measure. */
static KpiStream *
own_stream(KpiSource *source, const KpiSourceRow *row)
{
	KpiUser		user;
	KpiStreamKey key;
	KpiStream  *stream;

	/* For whoever asks: nothing may run that the definer has not accepted. */
	kpi_define_definer_switch(&user, row);
	kpi_expr_reach(row->relid, row->at, source->code);
	if (row->owner != NULL || row->team != NULL)
		kpi_expr_reach(row->relid, row->owner ? row->owner : row->team, source->code);
	key = kpi_define_stream_key(row, NULL, NULL, NULL, NULL);
	kpi_user_restore(&user);

	for (int i = 0; i < source->nstreams; i++)
	{
		stream = &source->streams[i];
		if (!stream->is_left_out && strcmp(stream->at, key.at) == 0 &&
			(stream->owner == NULL) == (key.owner == NULL) &&
			(key.owner == NULL || strcmp(stream->owner, key.owner) == 0) &&
			(stream->owner == NULL || kpi_model_owner_is_member(stream->owner_kind) == (strcmp(key.owner_kind, "member") == 0)))
			return stream;
	}
	stream = palloc0(sizeof(KpiStream));
	stream->owner = key.owner;
	stream->at = key.at;
	return stream;
}

/* The stream of a KPI of the source, and which of its measures that is. */
static KpiStream *
stream_of_kpi(KpiSource *source, const char *kpi, Bitmapset **measure)
{
	for (int i = 0; i < source->nstreams; i++)
	{
		for (int j = 0; j < source->streams[i].nmeasures; j++)
		{
			if (source->streams[i].is_left_out || strcmp(source->streams[i].measures[j].kpi_name, kpi) != 0)
				continue;
			*measure = bms_make_singleton(j);
			return &source->streams[i];
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("KPI \"%s\" is not a measure of source \"%s\"", kpi, source->name),
			 errhint("Table kpi.kpi lists the KPIs and their sources.")));
	return NULL;
}

/* A KPI's own filter, or NULL. */
static char *
filter_of_kpi(const KpiSource *source, const char *kpi)
{
	return kpi_expr_rename_columns(kpi_first_text("SELECT filter FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(kpi)),
								   source->renames);
}

/*
 * kpi_internal.facts_query(source, kpi): of a KPI, what is there for it alone.  Its
 * inputs have the filter in them already, so that they are not evaluated on
 * rows that it leaves out; as a condition it says which rows are facts of it.
 */
Datum
kpi_sql_facts_query(PG_FUNCTION_ARGS)
{
	char	   *name = kpi_arg_name(fcinfo, 0, "name of the source");
	char	   *kpi = kpi_arg_optional_name(fcinfo, 1, "name of the KPI");
	KpiSourceRow *row = kpi_define_source_row_read(name);
	KpiSource  *source = kpi_model_source_load(row->id, false);
	KpiStream  *stream;
	Bitmapset  *measure = NULL;
	char	   *filter = NULL;
	char	   *query;

	kpi_define_source_row_require_table(row);
	kpi_fact_definer_check(row->relid, kpi_define_source_row_definer(row));
	if (kpi != NULL)
	{
		stream = stream_of_kpi(source, kpi, &measure);
		filter = filter_of_kpi(source, kpi);
	}
	else
		stream = own_stream(source, row);
	query = kpi_fact_query(source, stream, measure);
	if (filter != NULL)
		query = psprintf("%s\n   AND (%s)", query, filter);
	PG_RETURN_TEXT_P(cstring_to_text(query));
}
