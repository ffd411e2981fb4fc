/*-------------------------------------------------------------------------
 *
 * keyed.c
 *	  Keyed sources as they are defined: the query, and what it follows.
 *
 * All that a user writes is analysed as the source's definer.  The table of rows
 * (kept_table.c) is a source's table as any other is: expressions, capture, locks
 * and rights are those of source.c.
 *
 * Locks: SHARE ROW EXCLUSIVE on the tables that are followed, at last.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "model/model.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

/* ---- arguments ---- */

List *
kpi_define_keyed_names(const char *text, const char *what, const char *source)
{
	List	   *names;

	if (!SplitIdentifierString(pstrdup(text), ',', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of source \"%s\" is no list of columns: %s", what, source, text),
				 errhint("Name columns of the query, like \"deal_id\" or \"deal_id, stage\".")));
	return names;
}

/* The table that a text names, as the current user finds it with its schema. */
static Oid
find_relation(const char *name, const char *source)
{
	RangeVar   *rv = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			relid;

	if (rv->schemaname != NULL)
		kpi_expr_schema_require(rv->schemaname);
	relid = RangeVarGetRelid(rv, NoLock, true);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\", which source \"%s\" is to follow, does not exist", name, source),
				 errhint("Give the table with its schema, like crm.deals; names with capitals stand in double quotes.")));
	return relid;
}

static KpiFollow *
find_follow(const KpiKeyed *keyed, const char *relation)
{
	ListCell   *lc;

	foreach(lc, keyed->follows)
	{
		if (strcmp(((KpiFollow *) lfirst(lc))->relation, relation) == 0)
			return lfirst(lc);
	}
	return NULL;
}

static KpiFollow *
add_follow(KpiKeyed *keyed, const char *source, const char *name)
{
	KpiFollow  *follow = palloc0(sizeof(KpiFollow));

	follow->relation = kpi_fact_table_name(find_relation(name, source));
	if (find_follow(keyed, follow->relation) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table %s is named twice in follow and static of source \"%s\"", follow->relation, source),
				 errhint("A table in two roles has one query of its entities, with UNION.")));
	keyed->follows = lappend(keyed->follows, follow);
	follow->position = list_length(keyed->follows);
	return follow;
}

static void
parse_follow(KpiKeyed *keyed, const char *source, Jsonb *json)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	KpiFollow  *follow = NULL;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("follow of source \"%s\" is not a JSON object", source),
				 errhint("Write tables and what a change of them touches, like '{\"crm.lead\": \"lead_id\"}'.")));
	it = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			follow = add_follow(keyed, source, pnstrdup(value.val.string.val, value.val.string.len));
		else if (token == WJB_VALUE)
		{
			if (value.type != jbvString)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("follow of table %s of source \"%s\" is not a string", follow->relation, source),
						 errhint("Write columns that say which entity a changed row belongs to, or a query of entities over \"changed\".")));
			follow->query = pnstrdup(value.val.string.val, value.val.string.len);
		}
	}
}

static void
parse_static(KpiKeyed *keyed, const char *source, ArrayType *array)
{
	Datum	   *names;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			(void) add_follow(keyed, source, TextDatumGetCString(names[i]));
	}
}

/* ---- the definer ---- */

/*
 * Whose rights a query runs with that a user with more than rights on tables
 * gives: those of who owns what it reads.
 */
static Oid
choose_definer(const char *source, Query *query, Oid named)
{
	Oid			user = GetUserId();
	Oid			chosen = InvalidOid;
	ListCell   *lc;

	if (OidIsValid(named) || kpi_role_privilege(user) == NULL)
		return OidIsValid(named) ? named : user;
	foreach(lc, kpi_expr_query_relations(query))
	{
		Oid			owner = kpi_fact_table_owner(((KpiQueryRelation *) lfirst(lc))->relid);

		if (owner == user || superuser_arg(owner))
			continue;
		if (OidIsValid(chosen) && chosen != owner)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("source \"%s\" needs a definer", source),
					 errdetail("The tables that its query reads belong to several roles, and role \"%s\" is %s.",
							   GetUserNameFromId(user, false), kpi_role_privilege(user)),
					 errhint("Name a role that may read them: definer => 'role'.")));
		chosen = owner;
	}
	return OidIsValid(chosen) && kpi_can_set_role(user, chosen) ? chosen : user;
}

static Query *
analyse(const KpiSource *source, const char *text, Oid role)
{
	KpiUser		user;
	Query	   *query;

	kpi_user_switch(&user, role);
	query = kpi_expr_query_analyse(text, psprintf("query of source \"%s\"", source->name), NULL, 0, NULL, NULL);
	kpi_user_restore(&user);
	return query;
}

/* ---- the whole ---- */

static int32
interval_seconds(const Interval *every, const char *source)
{
	int64		days = (int64) every->month * DAYS_PER_MONTH + every->day;
	int64		seconds = days * SECS_PER_DAY + every->time / USECS_PER_SEC;

	if (seconds < 1 || seconds > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("full_every of source \"%s\" is not between one second and 68 years", source),
				 errhint("Give an interval like '1 day'.")));
	return (int32) seconds;
}

/* How often all are read where else only newer rows are. */
static void
read_changed_at(FunctionCallInfo fcinfo, int first, const char *source, const KpiKeyed *old, KpiKeyed *keyed)
{
	List	   *columns;

	keyed->changed_at = kpi_define_arg_changed(fcinfo, first, old ? old->changed_at : NULL);
	keyed->full_seconds = old != NULL && keyed->changed_at != NULL ? old->full_seconds : 0;
	if (!PG_ARGISNULL(first) && keyed->changed_at != NULL)
	{
		columns = kpi_define_keyed_names(keyed->changed_at, "changed_at", source);
		keyed->changed_at = linitial(columns);
		if (list_length(columns) > 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("changed_at of source \"%s\" is not one column: %s", source, kpi_arg_text(fcinfo, first)),
					 errhint("Name the column of the query that says when a row was changed.")));
	}
	if (keyed->changed_at != NULL && keyed->is_followed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("changed_at of source \"%s\" does not go with follow", source),
				 errhint("A source that is followed knows what has changed: leave one of them out.")));
	if (PG_ARGISNULL(first + 1))
		return;
	if (keyed->changed_at == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("full_every of source \"%s\" needs changed_at", source),
				 errhint("Without changed_at each reading is of all rows: see kpi.set_refresh().")));
	keyed->full_seconds = interval_seconds(PG_GETARG_INTERVAL_P(first + 1), source);
}

/* Relations that a changed definition does not name anew. */
static void
keep_follows(KpiKeyed *keyed, const KpiKeyed *old, bool is_static)
{
	ListCell   *lc;

	foreach(lc, old->follows)
	{
		const KpiFollow *follow = lfirst(lc);
		KpiFollow  *copy;

		if ((follow->query == NULL) != is_static || find_follow(keyed, follow->relation) != NULL)
			continue;
		/* Nobody has said so. */
		if (!old->is_followed && kpi_define_kept_is_name(follow->relation))
			continue;
		copy = palloc0(sizeof(KpiFollow));
		copy->relation = follow->relation;
		copy->query = follow->query;
		keyed->follows = lappend(keyed->follows, copy);
		copy->position = list_length(keyed->follows);
	}
}

static bool
has_followed(const KpiKeyed *keyed)
{
	ListCell   *lc;

	foreach(lc, keyed->follows)
	{
		if (((KpiFollow *) lfirst(lc))->query != NULL)
			return true;
	}
	return false;
}

/* From the arguments; what is not given is as it was, if there is an old definition. */
static void
read_definition(FunctionCallInfo fcinfo, int first, KpiSource *source, const char *key, const KpiKeyed *old,
				KpiKeyed *keyed)
{
	char	   *entity = kpi_define_arg_given(fcinfo, first + 1);

	keyed->key = key != NULL ? kpi_define_keyed_names(key, "key", source->name) : old->key;
	if (entity != NULL)
		keyed->entity = kpi_define_keyed_names(entity, "entity", source->name);
	else
		keyed->entity = old != NULL && PG_ARGISNULL(first + 1) ? old->entity : keyed->key;
	if (list_length(keyed->entity) > KPI_MAX_ENTITY_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("entity of source \"%s\" has more than %d columns", source->name, KPI_MAX_ENTITY_COLUMNS),
				 errhint("Name the columns that say which rows are computed together.")));
	if (!PG_ARGISNULL(first + 2))
		parse_follow(keyed, source->name, PG_GETARG_JSONB_P(first + 2));
	if (!PG_ARGISNULL(first + 3))
		parse_static(keyed, source->name, PG_GETARG_ARRAYTYPE_P(first + 3));
	if (old != NULL && PG_ARGISNULL(first + 2))
		keep_follows(keyed, old, false);
	if (old != NULL && PG_ARGISNULL(first + 3))
		keep_follows(keyed, old, true);
	keyed->is_followed = has_followed(keyed);
	read_changed_at(fcinfo, first + 4, source->name, old, keyed);
}

/* What is checked before there is a source: names only. */
static KpiSource *
skeleton(const KpiSourceRow *row, const char *table)
{
	KpiSource  *source = palloc0(sizeof(KpiSource));

	source->name = row->name;
	source->relation = unconstify(char *, table);
	source->time_zone = pstrdup("UTC");
	return source;
}

/* As kpi.source says it; several columns are no expression. */
static char *
key_expression(const KpiKeyed *keyed)
{
	return list_length(keyed->key) == 1 ? pstrdup(quote_identifier(linitial(keyed->key))) : NULL;
}

/* Planning runs code of the tables' owners, so it is for the definer. */
static void
warn_of_plans(const KpiSource *source, const KpiKeyed *keyed, Oid relid, Oid definer, const KpiKeyedReads *reads)
{
	KpiKept    *kept = kpi_fact_kept_open(source, keyed, relid);
	KpiUser		user;
	ListCell   *lc;

	kept->relids = reads->relids;
	foreach(lc, reads->relids)
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
	kpi_user_switch(&user, definer);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	kpi_fact_keyed_warn(kept, reads);
	kpi_user_restore(&user);
}

void
kpi_define_keyed_make(KpiSourceRow *row, KpiKeyed *keyed, const char *text, Oid definer)
{
	char	   *table = kpi_define_kept_name(row->name);
	KpiSource  *source = skeleton(row, table);
	List	   *columns;
	KpiKeyedReads *reads;
	KpiUser		user;

	kpi_define_kept_require_free(table, row->name);
	kpi_user_switch(&user, definer);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	columns = kpi_define_kept_columns(row->name, kpi_define_keyed_check(source, keyed, text, &reads));
	kpi_user_restore(&user);
	(void) kpi_define_kept_fit(table, keyed, NULL, columns, definer);
	row->relation = table;
	row->relid = kpi_model_relid_by_name(table);
	row->key = key_expression(keyed);
	kpi_define_source_row_set_definer(row, definer);
	warn_of_plans(source, keyed, row->relid, definer, reads);
}

KpiKeyed *
kpi_define_keyed_create(FunctionCallInfo fcinfo, int first, KpiSourceRow *row, Oid named_definer)
{
	KpiKeyed   *keyed = palloc0(sizeof(KpiKeyed));
	char	   *text = kpi_arg_text(fcinfo, first);
	KpiSource  *source = skeleton(row, kpi_define_kept_name(row->name));
	Oid			definer;
	KpiUser		user;

	if (row->key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source \"%s\" needs a key", row->name),
				 errhint("Name the columns of its query that identify a row: key => 'lead_id'.")));
	definer = OidIsValid(named_definer) ? named_definer :
		choose_definer(row->name, analyse(source, text, GetUserId()), named_definer);
	kpi_user_switch(&user, definer);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	read_definition(fcinfo, first, source, row->key, NULL, keyed);
	kpi_user_restore(&user);
	kpi_define_keyed_make(row, keyed, text, definer);
	return keyed;
}

bool
kpi_define_keyed_is_given(FunctionCallInfo fcinfo, int first)
{
	for (int i = 0; i < KPI_KEYED_ARGS; i++)
	{
		if (!PG_ARGISNULL(first + i))
			return true;
	}
	return false;
}

void
kpi_define_keyed_remake(KpiSourceRow *row, KpiKeyed *keyed, const KpiKeyed *old, const char *text, bool *altered)
{
	KpiSource  *source = skeleton(row, row->relation);
	List	   *columns;
	KpiKeyedReads *reads;
	KpiUser		user;

	keyed->source_id = row->id;
	kpi_user_switch(&user, row->definer_oid);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	columns = kpi_define_kept_columns(row->name, kpi_define_keyed_check(source, keyed, text, &reads));
	kpi_user_restore(&user);
	*altered = kpi_define_kept_fit(row->relation, keyed, old, columns, row->definer_oid);
	row->key = key_expression(keyed);
	warn_of_plans(source, keyed, row->relid, row->definer_oid, reads);
}

KpiKeyed *
kpi_define_keyed_change(FunctionCallInfo fcinfo, int first, const char *key, KpiSourceRow *row, const KpiKeyed *old,
						bool *altered)
{
	KpiKeyed   *keyed = palloc0(sizeof(KpiKeyed));
	char	   *text = kpi_arg_text(fcinfo, first);
	KpiUser		user;

	kpi_user_switch(&user, row->definer_oid);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	read_definition(fcinfo, first, skeleton(row, row->relation), key, old, keyed);
	kpi_user_restore(&user);
	kpi_define_keyed_remake(row, keyed, old, text ? text : old->query, altered);
	return keyed;
}

/* ---- the tables that it follows ---- */

/* In one order, so that two who define wait for each other. */
static List *
followed_relids(const KpiKeyed *keyed)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, keyed->follows)
	{
		KpiFollow  *follow = lfirst(lc);
		Oid			relid = kpi_model_relid_by_name(follow->relation);

		if (follow->query != NULL && OidIsValid(relid))
			relids = list_append_unique_oid(relids, relid);
	}
	list_sort(relids, list_oid_cmp);
	return relids;
}

void
kpi_define_keyed_lock_followed(const KpiKeyed *keyed, const char *definer, LOCKMODE lockmode)
{
	Oid			role = get_role_oid(definer, true);
	ListCell   *lc;

	foreach(lc, followed_relids(keyed))
	{
		if (OidIsValid(role) && kpi_fact_definer_missing_rights(lfirst_oid(lc), role, true) == NULL)
			kpi_fact_table_lock(lfirst_oid(lc), lockmode);
	}
}

/* ---- brought back ---- */

typedef struct Restoration
{
	KpiSource  *source;
	KpiKeyed   *keyed;
	List	   *columns;
} Restoration;

static void
examine_as_definer(void *arg)
{
	Restoration *restoration = arg;
	KpiSource  *source = restoration->source;
	Query	   *query;
	KpiUser		user;

	kpi_fact_kept_begin(&user, source);
	(void) kpi_fact_keyed_examine(source, restoration->keyed, InvalidOid);
	query = kpi_expr_query_analyse(restoration->keyed->query, psprintf("query of source \"%s\"", source->name),
								   NULL, 0, NULL, source->code);
	restoration->keyed->columns = kpi_define_keyed_columns(query);
	restoration->columns = kpi_define_kept_columns(source->name, query);
	kpi_user_restore(&user);
}

KpiKeyed *
kpi_define_keyed_restore(KpiSource *source, bool accept)
{
	KpiKeyed   *keyed = kpi_model_keyed_load(source->id, false);
	KpiKeyed   *old = kpi_model_keyed_load(source->id, false);
	Restoration restoration = {.source = source,.keyed = keyed};
	Oid			relid = kpi_model_relid_by_name(source->relation);
	ErrorData  *error;
	KpiSpi		spi;

	if (keyed == NULL)
		return NULL;
	source->code->accept = accept;
	CommandCounterIncrement();
	error = kpi_try(KPI_ERROR_TRAPPED, examine_as_definer, &restoration);
	/* Where there is a table, the refresh says what is wrong. */
	if (error != NULL && OidIsValid(relid))
		return keyed;
	if (error != NULL)
		ReThrowError(error);
	kpi_define_keyed_lock_followed(keyed, source->definer, AccessExclusiveLock);
	if (OidIsValid(relid))
		kpi_fact_table_lock(relid, AccessExclusiveLock);
	(void) kpi_define_kept_fit(source->relation, keyed, old, restoration.columns,
							   get_role_oid(source->definer, false));
	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.keyed_state WHERE source_id = $1", 1, KPI_INT4(source->id));
	kpi_spi_end(&spi);
	return keyed;
}

/* ---- stored ---- */

static void
store_follows(int32 source_id, const KpiKeyed *keyed)
{
	ListCell   *lc;

	kpi_spi_exec("DELETE FROM kpi.followed_relation WHERE source_id = $1", 1, KPI_INT4(source_id));
	foreach(lc, keyed->follows)
	{
		KpiFollow  *follow = lfirst(lc);

		kpi_spi_exec("INSERT INTO kpi.followed_relation (source_id, position, relation, query, columns, used)"
					 " VALUES ($1, $2::smallint, $3, $4, $5,"
					 "  (SELECT pg_catalog.array_agg(DISTINCT u ORDER BY u) FROM pg_catalog.unnest($6) u))",
					 6, KPI_INT4(source_id), KPI_INT4(follow->position), KPI_TEXT(follow->relation),
					 KPI_TEXT(follow->query), KPI_TEXTS(follow->columns),
					 follow->uses_all ? KPI_NULL(TEXTARRAYOID) : KPI_TEXTS(follow->used));
	}
}

/* What nobody follows is not refreshed by changes. */
static void
set_mode(int32 source_id, bool is_followed, bool was_followed)
{
	if (is_followed && !was_followed)
		kpi_spi_exec("UPDATE kpi.source SET refresh_mode = 'continuous', refresh_seconds = NULL"
					 " WHERE id = $1 AND refresh_mode = 'manual'", 1, KPI_INT4(source_id));
	else if (!is_followed)
		kpi_spi_exec("UPDATE kpi.source SET refresh_mode = 'manual', refresh_seconds = NULL"
					 " WHERE id = $1 AND refresh_mode = 'continuous'", 1, KPI_INT4(source_id));
}

void
kpi_define_keyed_store(int32 source_id, const KpiKeyed *keyed, bool was_followed)
{
	kpi_spi_exec("INSERT INTO kpi.keyed_source AS k (source_id, query, columns, key_columns, entity_columns, is_followed,"
				 " changed_at, full_seconds, facts_relation) VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, 0), $9)"
				 " ON CONFLICT (source_id) DO UPDATE SET query = EXCLUDED.query, columns = EXCLUDED.columns,"
				 " key_columns = EXCLUDED.key_columns, entity_columns = EXCLUDED.entity_columns,"
				 " is_followed = EXCLUDED.is_followed, changed_at = EXCLUDED.changed_at,"
				 " facts_relation = EXCLUDED.facts_relation, full_seconds = EXCLUDED.full_seconds, version = k.version + 1",
				 9, KPI_INT4(source_id), KPI_TEXT(keyed->query), KPI_TEXTS(keyed->columns), KPI_TEXTS(keyed->key),
				 KPI_TEXTS(keyed->entity), KPI_BOOL(keyed->is_followed), KPI_TEXT(keyed->changed_at),
				 KPI_INT4(keyed->full_seconds), KPI_TEXT(keyed->facts_relation));
	store_follows(source_id, keyed);
	set_mode(source_id, keyed->is_followed, was_followed);
	kpi_spi_exec("DELETE FROM kpi_internal.keyed_state WHERE source_id = $1", 1, KPI_INT4(source_id));
}

void
kpi_define_keyed_attach(int32 source_id, const KpiKeyed *keyed, Oid definer)
{
	List	   *relids = followed_relids(keyed);
	ListCell   *lc;

	kpi_capture_unfollow_others(source_id, relids);
	foreach(lc, relids)
		kpi_capture_follow(source_id, lfirst_oid(lc), definer);
}

void
kpi_define_keyed_drop(int32 source_id, const char *relation)
{
	if (kpi_model_keyed_load(source_id, false) == NULL)
		return;
	kpi_define_kept_drop(relation);
	kpi_spi_exec("DELETE FROM kpi.source_lookup WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi_internal.lookup_state WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi.followed_relation WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi.keyed_source WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_exec("DELETE FROM kpi_internal.keyed_state WHERE source_id = $1", 1, KPI_INT4(source_id));
}

/* ---- sources over the rows of others ---- */

List *
kpi_define_keyed_readers(const KpiSourceRow *row)
{
	/* Of a table of the user's own nobody reads what the source has made. */
	return kpi_all_texts("SELECT s.name FROM kpi.keyed_source k JOIN kpi.followed_relation f ON f.relation = $2"
						 " JOIN kpi.source s ON s.id = f.source_id WHERE k.source_id = $1 ORDER BY s.id",
						 2, KPI_INT4(row->id), KPI_TEXT(row->relation));
}

void
kpi_define_keyed_require_unread(const KpiSourceRow *row, const char *what)
{
	List	   *readers = kpi_define_keyed_readers(row);

	if (readers != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot %s source \"%s\" because sources read its rows", what, row->name),
				 errdetail("Sources that read %s: %s.", row->relation, kpi_list_join(readers)),
				 strcmp(what, "drop") == 0 ? errhint("Drop them first, or drop all with cascade => true.") :
				 errhint("Drop them first, and create them again after.")));
}
