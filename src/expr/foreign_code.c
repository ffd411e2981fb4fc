/*-------------------------------------------------------------------------
 *
 * foreign_code.c
 *	  Code of others that the expressions of a source reach.
 *
 * Expressions run as their source's definer, and what their texts mean follows
 * from what others own: the owner of the table gives a column another type, and
 * an implicit cast comes with it.  Code that belongs neither to the definer nor
 * to a superuser runs only if it was there when the definer last defined or
 * resumed; anything else is an error before any of it runs, also before
 * constants are folded, which suspends the source.
 *
 * What is compared is who may decide what runs: the object by its name, and its
 * owner.  The body is the owner's, who could always replace it; a refresh
 * follows that (fingerprint.c).  So what a function calls in turn is not looked
 * at, nor a type of which no value is read: neither enums nor the mere type of
 * a column run anything.
 *
 * After a restore nothing is known (the state is not dumped).  Then what the
 * stored text names is accepted, as the definer wrote it: functions that are
 * called, operators, types and collations; not a cast that comes with a type
 * of a column.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "expr/expr_internal.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* One object of another role. */
typedef struct CodeItem
{
	char	   *object;			/* kind and name, for people */
	Oid			owner;
	bool		named;			/* by the text of the expression */
} CodeItem;

typedef struct CodeWalk
{
	List	   *items;
	List	   *types;			/* looked into already */
	bool		in_named;		/* within a domain that the text names */
} CodeWalk;

static bool code_walker(Node *node, CodeWalk *walk);
static void walk_type(CodeWalk *walk, Oid type, bool named);

/* ---- what is met ---- */

static void
add_item(CodeWalk *walk, const char *kind, const char *name, Oid owner, bool named)
{
	char	   *object = psprintf("%s %s", kind, name);
	CodeItem   *item;
	ListCell   *lc;

	if (owner == GetUserId() || superuser_arg(owner))
		return;
	named |= walk->in_named;
	foreach(lc, walk->items)
	{
		item = lfirst(lc);
		if (item->owner == owner && strcmp(item->object, object) == 0)
		{
			item->named |= named;
			return;
		}
	}
	item = palloc(sizeof(CodeItem));
	item->object = object;
	item->owner = owner;
	item->named = named;
	walk->items = lappend(walk->items, item);
}

Oid
kpi_expr_type_owner(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	owner = ((Form_pg_type) GETSTRUCT(tuple))->typowner;
	ReleaseSysCache(tuple);
	return owner;
}

static Oid
function_owner(Oid funcid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", funcid);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
walk_function(CodeWalk *walk, Oid funcid, bool named)
{
	if (funcid >= FirstNormalObjectId)
		add_item(walk, "function", format_procedure_qualified(funcid), function_owner(funcid), named);
}

static void
walk_operator(CodeWalk *walk, Oid opno)
{
	HeapTuple	tuple;
	Oid			owner;

	if (opno < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	owner = ((Form_pg_operator) GETSTRUCT(tuple))->oprowner;
	ReleaseSysCache(tuple);
	/* Others than those of pg_catalog are found with their schema only. */
	add_item(walk, "operator", format_operator_qualified(opno), owner, true);
}

static void
walk_collation(CodeWalk *walk, Oid collation, bool named)
{
	HeapTuple	tuple;
	Form_pg_collation form;

	if (collation < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	add_item(walk, "collation",
			 quote_qualified_identifier(get_namespace_name(form->collnamespace), NameStr(form->collname)),
			 form->collowner, named);
	ReleaseSysCache(tuple);
}

/* ---- types of which values are read ---- */

/* The type that a domain is made of, which may be a domain. */
static Oid
domain_base(Oid domain)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
	Oid			base;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", domain);
	base = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
	ReleaseSysCache(tuple);
	return base;
}

static void
walk_domain(CodeWalk *walk, Oid domain)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(domain));
	scan = systable_beginscan(rel, ConstraintTypidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		check = heap_getattr(tuple, Anum_pg_constraint_conbin, RelationGetDescr(rel), &isnull);

		if (!isnull)
			(void) code_walker(stringToNode(TextDatumGetCString(check)), walk);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	walk_type(walk, domain_base(domain), false);
}

static void
walk_row_type(CodeWalk *walk, Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);

	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			walk_type(walk, TupleDescAttr(desc, i)->atttypid, false);
	}
	ReleaseTupleDesc(desc);
}

/* What is in a type that the text names was chosen by that type's owner. */
static void
walk_type(CodeWalk *walk, Oid type, bool named)
{
	bool		outer = walk->in_named;
	Oid			element = get_element_type(type);

	check_stack_depth();
	if (OidIsValid(element))
		type = element;
	if (type < FirstNormalObjectId || type_is_enum(type))
		return;
	add_item(walk, "type", format_type_be_qualified(type), kpi_expr_type_owner(type), named);
	if (list_member_oid(walk->types, type))
		return;
	walk->types = lappend_oid(walk->types, type);

	walk->in_named |= named;
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			walk_domain(walk, type);
			break;
		case TYPTYPE_COMPOSITE:
			walk_row_type(walk, type);
			break;
		case TYPTYPE_RANGE:
			walk_type(walk, get_range_subtype(type), false);
			break;
		case TYPTYPE_MULTIRANGE:
			walk_type(walk, get_multirange_range(type), false);
			break;
		default:
			break;
	}
	walk->in_named = outer;
}

/* ---- expressions ---- */

/*
 * A cast that is written names its type; the function behind it counts as
 * named if whoever owns the type has chosen it.
 */
static bool
is_named_call(FuncExpr *call)
{
	Oid			type = call->funcresulttype;

	if (call->funcformat == COERCE_EXPLICIT_CALL)
		return true;
	return call->funcformat == COERCE_EXPLICIT_CAST && type >= FirstNormalObjectId &&
		call->funcid >= FirstNormalObjectId && function_owner(call->funcid) == kpi_expr_type_owner(type);
}

static bool
function_walker(Oid funcid, void *context)
{
	walk_function(context, funcid, true);
	return false;
}

static void
walk_conversion(CodeWalk *walk, Node *node, CoercionForm format)
{
	walk_type(walk, exprType(node), format == COERCE_EXPLICIT_CAST);
}

static bool
code_walker(Node *node, CodeWalk *walk)
{
	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, code_walker, walk, 0);
		case T_Aggref:
		case T_WindowFunc:
			(void) check_functions_in_node(node, function_walker, walk);
			break;
		case T_FuncExpr:
			walk_function(walk, ((FuncExpr *) node)->funcid, is_named_call((FuncExpr *) node));
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			walk_operator(walk, ((OpExpr *) node)->opno);
			(void) check_functions_in_node(node, function_walker, walk);
			break;
		case T_ScalarArrayOpExpr:
			walk_operator(walk, ((ScalarArrayOpExpr *) node)->opno);
			(void) check_functions_in_node(node, function_walker, walk);
			break;
		case T_CoerceToDomain:
			walk_conversion(walk, node, ((CoerceToDomain *) node)->coercionformat);
			break;
		case T_CoerceViaIO:
			walk_conversion(walk, node, ((CoerceViaIO *) node)->coerceformat);
			if (((CoerceViaIO *) node)->coerceformat == COERCE_IMPLICIT_CAST)
				walk_type(walk, exprType((Node *) ((CoerceViaIO *) node)->arg), false);
			break;
		case T_ConvertRowtypeExpr:
			walk_conversion(walk, node, ((ConvertRowtypeExpr *) node)->convertformat);
			break;
		case T_Const:
			walk_type(walk, ((Const *) node)->consttype, true);
			break;
		case T_CollateExpr:
			walk_collation(walk, ((CollateExpr *) node)->collOid, true);
			break;
		default:
			break;
	}
	walk_collation(walk, exprInputCollation(node), false);
	return expression_tree_walker(node, code_walker, walk);
}

/* ---- is it known? ---- */

static bool
is_in(List *entries, const char *entry)
{
	ListCell   *lc;

	foreach(lc, entries)
	{
		if (strcmp(lfirst(lc), entry) == 0)
			return true;
	}
	return false;
}

static void
check_items(KpiCode *code, const CodeWalk *walk)
{
	ListCell   *lc;

	foreach(lc, walk->items)
	{
		CodeItem   *item = lfirst(lc);
		char	   *entry = psprintf("%s of %u", item->object, item->owner);

		if (!code->accept &&
			!(code->is_known ? is_in(code->known, entry) : item->named))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("%s of role \"%s\" is new and would run with the rights of role \"%s\"",
							item->object, GetUserNameFromId(item->owner, false),
							GetUserNameFromId(GetUserId(), false)),
					 errhint("If it may, name the source to kpi.resume(); else mend the table or the definition.")));
		if (!is_in(code->reached, entry))
		{
			MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(code));

			code->reached = lappend(code->reached, pstrdup(entry));
			MemoryContextSwitchTo(old);
		}
	}
}

void
kpi_expr_code_check_type(KpiCode *code, Oid type, bool named)
{
	CodeWalk	walk = {0};

	if (code == NULL)
		return;
	walk_type(&walk, type, named);
	check_items(code, &walk);
}

void
kpi_expr_code_check(KpiCode *code, Node *node)
{
	CodeWalk	walk = {0};

	if (code == NULL)
		return;
	(void) code_walker(node, &walk);
	check_items(code, &walk);
}
