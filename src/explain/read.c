/*-------------------------------------------------------------------------
 *
 * read.c
 *	  Facts of a source, read for whoever asks.
 *
 * Two roles take part.  The reader, the current user, must be allowed to see what is
 * shown: it has SELECT on the relation, or on all columns that the source uses, USAGE on the schema,
 * and no row security.  The rows are then read as the source's definer, in a restricted operation, over the
 * relation by its OID (fact/rows.c): reading a table runs code of its owner, and evaluating a
 * fact that of the definer, and neither is to have the rights of a reader, who may be a
 * superuser.  That the definer may read is checked as a refresh checks it.
 *
 * A definition that does not fit its table (any more) cannot be read by.  The error says so
 * that analysing an expression of the source raised: to others than its definer, what kind of
 * error that is.
 *
 * ACCESS SHARE is held on the table and its leaves until the end of the transaction, as
 * after any SELECT.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "base/base.h"
#include "catalog/pg_attribute.h"
#include "explain/explain_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"

/* ---- rights ---- */

static bool
may_read_columns(Oid relid, const Bitmapset *columns, Oid role)
{
	int			member = -1;

	if (bms_is_empty(columns) || bms_is_member(-FirstLowInvalidHeapAttributeNumber, columns))
		return false;
	while ((member = bms_next_member(columns, member)) >= 0)
	{
		if (pg_attribute_aclcheck(relid, member + FirstLowInvalidHeapAttributeNumber, role, ACL_SELECT) != ACLCHECK_OK)
			return false;
	}
	return true;
}

static bool
may_use_schema(Oid relid, Oid role)
{
	return kpi_namespace_aclcheck(get_rel_namespace(relid), role, ACL_USAGE) == ACLCHECK_OK;
}

void
kpi_explain_check_reader(Oid relid, const Bitmapset *columns)
{
	Oid			role = GetUserId();
	char	   *grants = kpi_fact_definer_missing_rights(relid, role, false);

	if (grants != NULL && !(may_use_schema(relid, role) && may_read_columns(relid, columns, role)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", kpi_fact_table_name(relid)),
				 errdetail("Facts are shown to who may read them, and role \"%s\" may not.", GetUserNameFromId(role, false)),
				 errhint("%s", grants)));
	if (check_enable_rls(relid, role, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security of table %s applies to role \"%s\"", kpi_fact_table_name(relid),
						GetUserNameFromId(role, false)),
				 errdetail("The facts of a number are shown all or not at all."),
				 errhint("Ask as a role that sees all rows, like the owner of the table.")));
}

/* As a refresh checks it (refresh/state.c). */
static void
check_definer(const KpiExplainSource * open)
{
	const KpiSource *source = open->source;
	Oid			owner = kpi_fact_table_owner(open->relid);

	kpi_fact_definer_check(open->relid, open->definer);
	if (OidIsValid(source->table_owner) && owner != source->table_owner && owner != open->definer &&
		!superuser_arg(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table %s belongs to role \"%s\" now", source->relation, GetUserNameFromId(owner, false)),
				 errdetail("Reading it would run its code with the rights of role \"%s\", the definer of source \"%s\".",
						   source->definer, source->name),
				 errhint("If that is meant, call kpi.resume(%s).", quote_literal_cstr(source->name))));
}

/* ---- opening ---- */

static void
lock_relations(KpiExplainSource * open)
{
	KpiLockWait wait;
	ListCell   *lc;

	kpi_fact_lock_wait_begin(&wait, open->source->relation);
	LockRelationOid(open->relid, AccessShareLock);
	open->leaves = kpi_model_leaf_relids(open->relid);
	foreach(lc, open->leaves)
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
	kpi_fact_lock_wait_end(&wait);
}

/* The expressions of the key. */
static List *
key_texts(const KpiExplainSource * open)
{
	List	   *texts = NIL;
	char	   *text;
	ListCell   *lc;

	if (open->keyed != NULL)
	{
		foreach(lc, open->keyed->key)
			texts = lappend(texts, pstrdup(quote_identifier(lfirst(lc))));
		return texts;
	}
	text = kpi_first_text("SELECT key FROM kpi.source WHERE id = $1", 1, KPI_INT4(open->source->id));
	return text ? list_make1(kpi_expr_rename_columns(text, open->source->renames)) : NIL;
}

static void
definer_switch(const KpiExplainSource * open, KpiUser *user)
{
	kpi_user_switch(user, open->definer);

	/* A role that lost its exemption must fail, not show some rows. */
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	kpi_settings_pin(KPI_SETTINGS_ALL);
}

KpiFactExpr *
kpi_explain_expr(KpiExplainSource * open, const char *text)
{
	KpiFactExpr *expr;
	KpiUser		user;

	definer_switch(open, &user);
	expr = kpi_fact_expr_compile(open->source, open->relid, text);
	kpi_user_restore(&user);
	return expr;
}

static void
compile(KpiExplainSource * open)
{
	KpiUser		user;
	ListCell   *lc;

	open->projection = kpi_fact_projection_create(open->source, open->relid, CurrentMemoryContext, NULL);
	definer_switch(open, &user);
	foreach(lc, open->key_texts)
		open->keys = lappend(open->keys, kpi_fact_expr_compile(open->source, open->relid, lfirst(lc)));
	kpi_user_restore(&user);
}

static Bitmapset *
used_columns(const KpiExplainSource * open)
{
	Bitmapset  *columns = kpi_fact_projection_columns(open->projection);
	ListCell   *lc;

	foreach(lc, open->keys)
		columns = bms_add_members(columns, kpi_fact_expr_columns(lfirst(lc)));
	return columns;
}

/* Error unless there is a table, of its definer's rights, that the definition fits. */
static void
fit(void *arg)
{
	KpiExplainSource *open = arg;

	open->definer = kpi_model_source_definer(open->source);
	open->relid = kpi_model_source_relid(open->source);
	if (!OidIsValid(open->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of source \"%s\" does not exist", open->source->relation, open->source->name),
				 errhint("Create the table again, or drop the source with kpi.drop_source().")));
	lock_relations(open);
	check_definer(open);
	compile(open);
}

static KpiExplainSource *
try_open(KpiSource *source)
{
	KpiExplainSource *open = palloc0(sizeof(KpiExplainSource));

	open->source = source;
	open->keyed = kpi_model_keyed_load(source->id, true);
	open->key_texts = key_texts(open);
	open->error = kpi_try(KPI_ERROR_TRAPPED, fit, open);
	if (open->error == NULL)
		kpi_explain_check_reader(open->relid, used_columns(open));
	return open;
}

KpiExplainSource *
kpi_explain_try_open(int32 source_id)
{
	KpiSource  *source = kpi_model_source_load(source_id, true);

	if (source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the source was dropped meanwhile")));
	return try_open(source);
}

static KpiExplainSource *
opened(KpiExplainSource * open)
{
	char	   *hidden;

	if (open->error == NULL)
		return open;
	hidden = kpi_hidden_source(open->source->id);
	if (hidden != NULL)
		(void) kpi_error_conceal(open->error, hidden);
	ReThrowError(open->error);
}

KpiExplainSource *
kpi_explain_open(int32 source_id)
{
	return opened(kpi_explain_try_open(source_id));
}

KpiExplainSource *
kpi_explain_open_loaded(KpiSource *source)
{
	return opened(try_open(source));
}

Bitmapset *
kpi_explain_columns(KpiExplainSource * open, List *texts)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, texts)
		columns = bms_add_members(columns, kpi_fact_expr_columns(kpi_explain_expr(open, lfirst(lc))));
	return columns;
}

void
kpi_explain_close(KpiExplainSource * open)
{
	kpi_fact_projection_free(open->projection);
}

/* ---- reading ---- */

typedef struct Reader
{
	KpiExplainSource *open;
	const char *key;			/* wanted; or NULL */
	MemoryContext row_cxt;
	void		(*take) (void *arg, const KpiExplainRow * row);
	void	   *arg;
} Reader;

/* Of several values as messages of keyed sources have it. */
static char *
key_of(KpiExplainSource * open, TupleTableSlot *slot)
{
	StringInfoData key;
	ListCell   *lc;

	initStringInfo(&key);
	foreach(lc, open->keys)
	{
		KpiFactExpr *expr = lfirst(lc);
		Datum		value;
		bool		isnull;

		if (!kpi_fact_expr_value(expr, slot, &value, &isnull))
			return NULL;
		if (!isnull)
			appendStringInfo(&key, "%s%s", key.len > 0 ? ", " : "",
							 kpi_key_text(getBaseType(kpi_fact_expr_type(expr)), value));
	}
	return key.len > 0 ? kpi_fact_key_bounded(key.data) : NULL;
}

static void
take_row(void *arg, TupleTableSlot *slot)
{
	Reader	   *reader = arg;
	MemoryContext old = MemoryContextSwitchTo(reader->row_cxt);
	KpiExplainRow row = {key_of(reader->open, slot), slot};

	if (reader->key == NULL || (row.key != NULL && strcmp(reader->key, row.key) == 0))
		reader->take(reader->arg, &row);
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->row_cxt);
}

void
kpi_explain_read(KpiExplainSource * open, const KpiExplainWanted * wanted,
				 void (*take) (void *arg, const KpiExplainRow * row), void *arg)
{
	KpiFactRows rows = {
		.source = open->source,
		.stream = open->source->nstreams > 0 ? &open->source->streams[wanted->s] : NULL,
		.since = wanted->since,
		.until = wanted->until,
		.and_filtered = wanted->and_filtered,
		.owners = wanted->owners,
		.enough = wanted->enough,
		.percent = wanted->percent
	};
	Reader		reader = {.open = open,.key = wanted->key,.take = take,.arg = arg};
	KpiUser		user;

	if (wanted->key != NULL && list_length(open->key_texts) == 1)
	{
		rows.key_expr = linitial(open->key_texts);
		rows.key = wanted->key;
	}
	reader.row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi fact", ALLOCSET_DEFAULT_SIZES);
	definer_switch(open, &user);
	kpi_fact_rows_run(&rows, open->relid, open->leaves, take_row, &reader);
	kpi_user_restore(&user);
	MemoryContextDelete(reader.row_cxt);
}

void
kpi_explain_fact(KpiExplainSource * open, int s, const KpiExplainRow * row, KpiFact *fact)
{
	kpi_fact_project(open->projection, s, row->slot, fact);
}
