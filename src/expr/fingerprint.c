/*-------------------------------------------------------------------------
 *
 * fingerprint.c
 *	  Fingerprints of what expressions reach: immutable is not constant.
 *
 * A refresh compares the fingerprints of a source's expressions with those of
 * the refresh before: what a row means may have changed, though neither row
 * nor definition has.  CREATE OR REPLACE of a user's function, ALTER DOMAIN,
 * ALTER TYPE ... RENAME VALUE, a collation of another version and another
 * edition of the time zones do that.  So does a restore, whose rows come by
 * none of our functions: time zone and dimensions are looked at, too.
 *
 * A fingerprint is of the contents, not of the catalog's row, so that GRANT or
 * the same definition again change nothing; nor does pg_upgrade, which gives functions,
 * schemas and collations other OIDs: they are in it by name, and expressions by their text.
 * It covers the functions that are
 * called in the expression, those of SQL-standard bodies and of bodies that
 * were put in their place, to any depth; what a string body (PL/pgSQL) calls is
 * not known to anybody before it runs.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "base/base.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "expr/expr_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Kinds of keys; a name follows. */
#define EXPRESSION_KEY "expression "
#define LABEL_KEY "label "
#define ZONE_KEY "time zone "
#define SOURCE_KEY "source "
#define DIMENSIONS_NAME "dimensions"

struct KpiFingerprints
{
	StringInfoData json;		/* without its last brace */
};

/* What one expression reaches. */
typedef struct Reached
{
	KpiFingerprints *fingerprints;
	List	   *objects;		/* OIDs looked at */
	uint64		sum;			/* of their hashes: their order means nothing */
} Reached;

static bool reach_walker(Node *node, Reached *reached);

KpiFingerprints *
kpi_expr_fingerprints_create(void)
{
	KpiFingerprints *fingerprints = palloc(sizeof(KpiFingerprints));

	initStringInfo(&fingerprints->json);
	appendStringInfoChar(&fingerprints->json, '{');
	return fingerprints;
}

static void
add_entry(KpiFingerprints *fingerprints, const char *kind, const char *name, const char *value)
{
	if (fingerprints->json.len > 1)
		appendStringInfoChar(&fingerprints->json, ',');
	escape_json(&fingerprints->json, psprintf("%s%s", kind, name));
	appendStringInfoChar(&fingerprints->json, ':');
	escape_json(&fingerprints->json, value);
}

static uint64
hash_of(const StringInfo contents)
{
	return hash_bytes_extended((unsigned char *) contents->data, contents->len, 0);
}

/* Length first, so that what follows cannot pass for a part of it. */
static void
append_text(StringInfo contents, const char *text)
{
	appendStringInfo(contents, "%d:%s", (int) strlen(text), text);
}

/* A text attribute, or what a function of the server says of an object; null is no text. */
static void
append_datum(StringInfo contents, Datum value, bool isnull)
{
	if (isnull)
		appendStringInfoString(contents, "null:");
	else
		append_text(contents, TextDatumGetCString(value));
}

static void
append_said(StringInfo contents, PGFunction function, Oid object)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		value;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(object);
	fcinfo->args[0].isnull = false;
	value = function(fcinfo);
	append_datum(contents, value, fcinfo->isnull);
}

/* True if the object is met for the first time. */
static bool
reach(Reached *reached, Oid object)
{
	if (list_member_oid(reached->objects, object))
		return false;
	reached->objects = lappend_oid(reached->objects, object);
	return true;
}

/* ---- functions ---- */

static bool
reach_function(Oid funcid, void *context)
{
	Reached    *reached = context;
	StringInfoData contents;
	HeapTuple	tuple;
	Form_pg_proc proc;
	Datum		value;
	Datum		body;
	bool		isnull;

	if (funcid < FirstGenbkiObjectId || !reach(reached, funcid))
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	if (!HeapTupleIsValid(tuple))
		return false;

	proc = (Form_pg_proc) GETSTRUCT(tuple);
	initStringInfo(&contents);
	append_text(&contents, get_namespace_name(proc->pronamespace));
	append_text(&contents, NameStr(proc->proname));
	append_text(&contents, get_language_name(proc->prolang, false));
	append_text(&contents, format_type_be_qualified(proc->prorettype));
	appendStringInfo(&contents, "%d %d ", proc->proisstrict, proc->prosecdef);
	if (proc->prosecdef)
		append_text(&contents, GetUserNameFromId(proc->proowner, true));
	value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	append_datum(&contents, value, isnull);
	value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &isnull);
	append_datum(&contents, value, isnull);
	value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &isnull);
	if (!isnull)
		append_text(&contents, OidOutputFunctionCall(F_ARRAY_OUT, value));
	append_said(&contents, pg_get_function_sqlbody, funcid);
	append_said(&contents, pg_get_function_arguments, funcid);
	reached->sum += hash_of(&contents);

	body = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosqlbody, &isnull);
	if (!isnull)
		(void) reach_walker(stringToNode(TextDatumGetCString(body)), reached);
	ReleaseSysCache(tuple);
	return false;
}

/* ---- types ---- */

/* One constraint of a domain: its expression, and what that reaches. */
static void
reach_constraint(Relation rel, HeapTuple tuple, Reached *reached)
{
	StringInfoData contents;
	bool		isnull;
	Datum		check = heap_getattr(tuple, Anum_pg_constraint_conbin, RelationGetDescr(rel), &isnull);

	if (isnull)
		return;
	initStringInfo(&contents);
	append_said(&contents, pg_get_constraintdef, ((Form_pg_constraint) GETSTRUCT(tuple))->oid);
	reached->sum += hash_of(&contents);
	(void) reach_walker(stringToNode(TextDatumGetCString(check)), reached);
}

/* The type that a domain is made of; InvalidOid if it is none. */
static Oid
domain_base(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid			base;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	base = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
	ReleaseSysCache(tuple);
	return base;
}

/* The constraints of a domain and of those it is made of. */
static void
reach_domain(Oid domain, Reached *reached)
{
	Oid			base = domain_base(domain);
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(base) || !reach(reached, domain))
		return;
	/* Also one without a constraint, so that its first is a difference. */
	reached->sum += hash_bytes_uint32_extended(domain, 0);
	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(domain));
	scan = systable_beginscan(rel, ConstraintTypidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		reach_constraint(rel, tuple, reached);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	reach_domain(base, reached);
}

/* The labels of an enum, each by itself: a new one changes nothing. */
static void
reach_labels(Oid type, Reached *reached)
{
	Oid			element = get_element_type(type);
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	type = getBaseType(OidIsValid(element) ? element : type);
	if (!type_is_enum(type) || !reach(reached, type))
		return;
	rel = table_open(EnumRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(type));
	scan = systable_beginscan(rel, EnumTypIdLabelIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_enum form = (Form_pg_enum) GETSTRUCT(tuple);

		add_entry(reached->fingerprints, LABEL_KEY, psprintf("%u", form->oid), NameStr(form->enumlabel));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* ---- collations ---- */

/* Whether the order and classes of characters make no difference. */
static bool
is_bytewise(Node *node)
{
	switch (IsA(node, OpExpr) ? ((OpExpr *) node)->opfuncid :
			IsA(node, ScalarArrayOpExpr) ? ((ScalarArrayOpExpr *) node)->opfuncid : InvalidOid)
	{
		case F_TEXTEQ:
		case F_TEXTNE:
		case F_BPCHAREQ:
		case F_BPCHARNE:
		case F_TEXTLIKE:
		case F_TEXTNLIKE:
			return get_collation_isdeterministic(exprInputCollation(node));
		default:
			return false;
	}
}

static void
reach_collation(Oid collation, Reached *reached)
{
	LOCAL_FCINFO(fcinfo, 1);
	bool		is_default = collation == DEFAULT_COLLATION_OID;
	StringInfoData contents;
	Datum		version;

	if (!reach(reached, collation))
		return;
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(is_default ? MyDatabaseId : collation);
	fcinfo->args[0].isnull = false;
	version = is_default ? pg_database_collation_actual_version(fcinfo) :
		pg_collation_actual_version(fcinfo);
	if (fcinfo->isnull)
		return;
	initStringInfo(&contents);
	append_text(&contents, TextDatumGetCString(version));
	reached->sum += hash_of(&contents);
}

/* ---- time zones ---- */

#define FIRST_SECOND INT64CONST(0)	/* 1970 */
#define LAST_SECOND (INT64CONST(130) * 365 * SECS_PER_DAY)	/* 2099 */

/*
 * A process never sees another edition of a time zone that it has read, so
 * the one asked for last is kept.
 */
static uint64
zone_hash(pg_tz *zone)
{
	static pg_tz *last_zone = NULL;
	static uint64 last_hash = 0;
	StringInfoData contents;
	pg_time_t	moment = FIRST_SECOND;
	pg_time_t	boundary;
	long int	before = 0;
	long int	after;
	int			isdst;

	if (zone == last_zone)
		return last_hash;
	initStringInfo(&contents);
	while (moment < LAST_SECOND &&
		   pg_next_dst_boundary(&moment, &before, &isdst, &boundary, &after, &isdst, zone) > 0)
	{
		appendStringInfo(&contents, "%ld " INT64_FORMAT " %ld,", before, (int64) boundary, after);
		moment = boundary;
	}
	appendStringInfo(&contents, "%ld", before);
	last_zone = zone;
	last_hash = hash_of(&contents);
	return last_hash;
}

static void
add_hash(KpiFingerprints *fingerprints, const char *kind, const char *name, uint64 hash)
{
	add_entry(fingerprints, kind, name, psprintf(UINT64_FORMAT, hash));
}

/* AT TIME ZONE 'Europe/Berlin' */
static void
reach_zone(FuncExpr *call, Reached *reached)
{
	Const	   *name;
	pg_tz	   *zone;

	if (call->funcid != F_TIMEZONE_TEXT_TIMESTAMPTZ && call->funcid != F_TIMEZONE_TEXT_TIMESTAMP)
		return;
	name = linitial(call->args);
	if (!IsA(name, Const) || name->constisnull)
		return;
	zone = pg_tzset(TextDatumGetCString(name->constvalue));
	if (zone != NULL)
		add_hash(reached->fingerprints, ZONE_KEY, pg_get_timezone_name(zone), zone_hash(zone));
}

static uint64
hash_of_dimensions(int ndims, char **names, char **exprs)
{
	StringInfoData dimensions;

	initStringInfo(&dimensions);
	for (int i = 0; i < ndims; i++)
	{
		append_text(&dimensions, names[i]);
		append_text(&dimensions, exprs[i]);
	}
	return hash_of(&dimensions);
}

/*
 * Our functions raise the version of what they change here; a restore with
 * several jobs brings it when the source may have been built already.
 */
void
kpi_expr_fingerprints_source(KpiFingerprints *fingerprints, const char *time_zone,
							 int ndims, char **names, char **exprs)
{
	pg_tz	   *zone = pg_tzset(time_zone);

	if (zone != NULL)
		add_entry(fingerprints, SOURCE_KEY, "time zone",
				  psprintf("%s " UINT64_FORMAT, time_zone, zone_hash(zone)));
	add_hash(fingerprints, SOURCE_KEY, DIMENSIONS_NAME, hash_of_dimensions(ndims, names, exprs));
}

/* ---- the whole ---- */

static bool
reach_walker(Node *node, Reached *reached)
{
	Oid			collation;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reach_walker, reached, 0);

	(void) check_functions_in_node(node, reach_function, reached);
	collation = exprInputCollation(node);
	if (OidIsValid(collation) && !is_bytewise(node))
		reach_collation(collation, reached);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reach_walker, reached, 0);
	if (IsA(node, FuncExpr))
		reach_zone((FuncExpr *) node, reached);
	else if (IsA(node, CoerceToDomain))
		reach_domain(((CoerceToDomain *) node)->resulttype, reached);
	else if (IsA(node, CoerceViaIO))
		reach_labels(exprType((Node *) ((CoerceViaIO *) node)->arg), reached);
	else if (IsA(node, Var))
		reach_labels(((Var *) node)->vartype, reached);
	return expression_tree_walker(node, reach_walker, reached);
}

void
kpi_expr_fingerprints_expression(KpiFingerprints *fingerprints, const char *text,
								 Node *parsed, Node *compiled)
{
	Reached		reached = {.fingerprints = fingerprints};

	(void) reach_walker(parsed, &reached);
	(void) reach_walker(compiled, &reached);
	if (reached.sum != 0)
		add_hash(fingerprints, EXPRESSION_KEY, text, reached.sum);
}

uint64
kpi_expr_fingerprint_query(Query *query)
{
	Reached		reached = {.fingerprints = kpi_expr_fingerprints_create()};

	(void) reach_walker((Node *) query, &reached);
	return reached.sum + hash_of(&reached.fingerprints->json);
}

Datum
kpi_expr_fingerprints_jsonb(KpiFingerprints *fingerprints)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("%s}", fingerprints->json.data)));
}

bool
kpi_expr_fingerprints_differ(Datum now, const char *seen, bool *news)
{
	Jsonb	   *jsonb = DatumGetJsonbP(now);
	char	   *text = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));

	KpiRows		rows;
	bool		differ = false;

	*news = false;
	if (seen != NULL && strcmp(text, seen) == 0)
		return false;
	kpi_rows_begin(&rows, "SELECT pg_catalog.bool_or(seen.value <> now.value) AS differ,"
				   " pg_catalog.bool_or(seen.value IS NULL AND pg_catalog.starts_with(now.key, $3)) AS news"
				   " FROM pg_catalog.jsonb_each_text($1) now"
				   " LEFT JOIN pg_catalog.jsonb_each_text($2::pg_catalog.jsonb) seen USING (key)",
				   3, KPI_VALUE(JSONBOID, now), KPI_TEXT(seen ? seen : "{}"), KPI_TEXT(EXPRESSION_KEY));
	if (kpi_rows_next(&rows))
	{
		differ = kpi_rows_bool(&rows, "differ");
		*news = kpi_rows_bool(&rows, "news");
	}
	kpi_rows_end(&rows);
	return differ;
}

char *
kpi_expr_fingerprints_rename(const char *seen, const List *renames, int ndims, char **names, char **exprs)
{
	KpiFingerprints *renamed = kpi_expr_fingerprints_create();
	char	  **new_exprs = palloc(Max(ndims, 1) * sizeof(char *));
	char	   *dimensions = psprintf(UINT64_FORMAT, hash_of_dimensions(ndims, names, exprs));
	KpiRows		rows;

	for (int i = 0; i < ndims; i++)
		new_exprs[i] = kpi_expr_rename_columns(exprs[i], renames);
	kpi_rows_begin(&rows, "SELECT e.key, e.value FROM pg_catalog.jsonb_each_text($1::pg_catalog.jsonb) e",
				   1, KPI_TEXT(seen));
	while (kpi_rows_next(&rows))
	{
		char	   *key = kpi_rows_text(&rows, "key");
		char	   *value = kpi_rows_text(&rows, "value");
		size_t		kind = strlen(EXPRESSION_KEY);

		if (strncmp(key, EXPRESSION_KEY, kind) == 0)
			add_entry(renamed, EXPRESSION_KEY, kpi_expr_rename_columns(key + kind, renames), value);
		else if (strcmp(key, SOURCE_KEY DIMENSIONS_NAME) == 0 && strcmp(value, dimensions) == 0)
			add_hash(renamed, SOURCE_KEY, DIMENSIONS_NAME, hash_of_dimensions(ndims, names, new_exprs));
		else
			add_entry(renamed, "", key, value);
	}
	kpi_rows_end(&rows);
	return psprintf("%s}", renamed->json.data);
}
