/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Checks of expressions that users write.
 *
 * Expressions are checked as the source's definer (kpi_user_switch()):
 * folding constants runs functions.  What may change later, as others change
 * what they own (kpi_expr_check_names() and kpi_expr_check_rights()), is
 * checked again at every compilation; the rest cannot, as what is stored is
 * the checked expression's deparsed text.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "base/base.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "expr/expr_internal.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#define CLOCK_HINT "What a row means must not change by itself: compare with a column or a constant."

static void
refuse(ParseState *pstate, int location, const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s", message),
			 errhint("%s", hint),
			 parser_errposition(pstate, location)));
}

/*
 * Far more than people write, and little of the stack, of which a writer may
 * have used most when the expression is compiled.
 */
#define MAX_EXPR_LEVELS 200

typedef struct RawCheck
{
	ParseState *pstate;
	int			level;
} RawCheck;

/* Refuses what can be seen before names are looked up. */
static bool
raw_walker(Node *node, RawCheck *check)
{
	bool		stop;

	if (node == NULL)
		return false;

	if (IsA(node, SubLink))
		refuse(check->pstate, ((SubLink *) node)->location,
			   "subqueries are not allowed in expressions over facts",
			   "An expression may use the columns of its own row only: store what it looks up in a column.");
	if (IsA(node, FuncCall) && ((FuncCall *) node)->over != NULL)
		refuse(check->pstate, ((FuncCall *) node)->location,
			   "window functions are not allowed in expressions over facts",
			   "An expression may use the columns of its own row only.");
	if (check->level >= MAX_EXPR_LEVELS)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("expression is nested too deeply"),
				 errdetail("Expressions over facts have at most %d levels.", MAX_EXPR_LEVELS),
				 errhint("Put parts of it into a generated column, or into a function marked IMMUTABLE."),
				 parser_errposition(check->pstate, exprLocation(node))));

	check->level += !IsA(node, List);
	stop = raw_expression_tree_walker(node, raw_walker, check);
	check->level -= !IsA(node, List);
	return stop;
}

static void
check_var(Var *var, ParseState *pstate)
{
	if (var->varattno == InvalidAttrNumber)
		refuse(pstate, var->location,
			   "whole-row references are not allowed in expressions over facts",
			   "Name the columns that the expression needs.");
	if (var->varattno < 0)
		refuse(pstate, var->location,
			   "system columns are not allowed in expressions over facts",
			   "Use the columns of the table only.");
}

/* Refuses what is no function of one row. */
static bool
row_walker(Node *node, ParseState *pstate)
{
	if (node == NULL)
		return false;

	if (IsA(node, Var))
		check_var((Var *) node, pstate);
	else if (IsA(node, Aggref) || IsA(node, GroupingFunc))
		refuse(pstate, exprLocation(node),
			   "aggregate functions are not allowed in expressions over facts",
			   "The aggregate belongs into the KPI's measure, like sum(amount), around an expression over one row.");
	else if ((IsA(node, FuncExpr) && ((FuncExpr *) node)->funcretset) ||
			 (IsA(node, OpExpr) && ((OpExpr *) node)->opretset))
		refuse(pstate, exprLocation(node),
			   "set-returning functions are not allowed in expressions over facts",
			   "An expression must give one value for each row.");

	return expression_tree_walker(node, row_walker, pstate);
}

static void
check_trust(const char *kind, const char *name, Oid owner)
{
	if (kpi_role_trusts(GetUserId(), owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s %s would run with the rights of role \"%s\"", kind, name,
					GetUserNameFromId(GetUserId(), false)),
			 errdetail("The source's definer \"%s\" is %s, and the %s belongs to role \"%s\".",
					   GetUserNameFromId(GetUserId(), false), kpi_role_privilege(GetUserId()), kind,
					   GetUserNameFromId(owner, false)),
			 errhint("Give the source a definer without such rights: definer => %s.",
					 quote_literal_cstr(GetUserNameFromId(owner, false)))));
}

/*
 * Refuses functions the definer may not call, and those that would run with
 * more rights than their owner's: whoever owns a function can replace it.
 */
static bool
function_checker(Oid funcid, void *context)
{
	HeapTuple	tuple;
	Form_pg_proc proc;
	Oid			owner;
	Oid			namespace;

	if (kpi_proc_aclcheck(funcid, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(funcid));
	if (funcid < FirstNormalObjectId)
		return false;

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", funcid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	owner = proc->proowner;
	namespace = proc->pronamespace;
	ReleaseSysCache(tuple);

	if (isAnyTempNamespace(namespace))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("function %s() is temporary", get_func_name(funcid)),
				 errhint("Create the function in a schema that stays.")));
	check_trust("function", format_procedure_qualified(funcid), owner);
	return false;
}

/*
 * The same for a type that is written or converted to, as a domain's owner can
 * add a constraint.  Enums have no code.
 */
static void
check_type_owner(Oid type)
{
	if (type < FirstNormalObjectId || type_is_enum(type))
		return;
	check_trust("type", format_type_be_qualified(type), kpi_expr_type_owner(type));
}

/* Any of the overloaded: which one is meant turns out while literals are read. */
static void
check_argument_types(FuncCandidateList candidates)
{
	for (; candidates != NULL; candidates = candidates->next)
	{
		for (int i = 0; i < candidates->nargs; i++)
			check_type_owner(candidates->args[i]);
	}
}

typedef struct NameCheck
{
	ParseState *pstate;
	KpiCode    *code;
} NameCheck;

static void
check_literal_type(NameCheck *check, Oid type, bool named)
{
	if (!OidIsValid(type))
		return;
	check_type_owner(type);
	kpi_expr_code_check_type(check->code, type, named);
}

/*
 * Literals are read, and so their types' code is run, while parsing.  A literal
 * becomes what it is cast to, or what the column, function or operator beside
 * it takes.
 */
static bool
literal_type_walker(Node *node, NameCheck *check)
{
	if (node == NULL)
		return false;

	if (IsA(node, TypeCast))
	{
		TypeName   *name = ((TypeCast *) node)->typeName;

		check_literal_type(check, LookupTypeNameOid(check->pstate, name, true), true);
	}
	else if (IsA(node, ColumnRef) && IsA(llast(((ColumnRef *) node)->fields), String))
	{
		const char *name = strVal(llast(((ColumnRef *) node)->fields));
		Node	   *column = colNameToVar(check->pstate, name, false, -1);

		if (column != NULL)
			check_literal_type(check, exprType(column), false);
	}
	else if (IsA(node, FuncCall) && list_length(((FuncCall *) node)->funcname) > 1)
		check_argument_types(FuncnameGetCandidates(((FuncCall *) node)->funcname, -1, NIL,
												   false, false, false, true));
	else if (IsA(node, A_Expr) && list_length(((A_Expr *) node)->name) > 1)
		check_argument_types(OpernameGetCandidates(((A_Expr *) node)->name, '\0', true));
	return raw_expression_tree_walker(node, literal_type_walker, check);
}

static bool
is_temporary_type(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid			namespace;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	namespace = ((Form_pg_type) GETSTRUCT(tuple))->typnamespace;
	ReleaseSysCache(tuple);
	return isAnyTempNamespace(namespace);
}

/* A comparison without a collation would fail on every row. */
static void
check_collation(Node *node, ParseState *pstate)
{
	List	   *args = NIL;
	ListCell   *lc;

	if (IsA(node, FuncExpr))
		args = ((FuncExpr *) node)->args;
	else if (IsA(node, OpExpr) || IsA(node, DistinctExpr) || IsA(node, NullIfExpr))
		args = ((OpExpr *) node)->args;
	else if (IsA(node, ScalarArrayOpExpr))
		args = ((ScalarArrayOpExpr *) node)->args;
	if (args == NIL || OidIsValid(exprInputCollation(node)) ||
		(IsA(node, OpExpr) && ((OpExpr *) node)->opfuncid == F_TEXTCAT))
		return;

	foreach(lc, args)
	{
		if (type_is_collatable(exprType(lfirst(lc))))
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_COLLATION),
					 errmsg("could not determine which collation to use"),
					 errhint("The operands have different collations: add COLLATE \"C\", or the collation you mean, to one of them."),
					 parser_errposition(pstate, exprLocation(node))));
	}
}

static bool
access_walker(Node *node, ParseState *pstate)
{
	if (node == NULL)
		return false;

	(void) check_functions_in_node(node, function_checker, NULL);
	if (IsA(node, CoerceToDomain))
		check_type_owner(exprType(node));
	check_collation(node, pstate);
	if (!IsA(node, List) && !IsA(node, CaseWhen))
	{
		Oid			type = exprType(node);

		if (type >= FirstNormalObjectId && is_temporary_type(type))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("type %s is temporary", format_type_be(type)),
					 errhint("Create the type in a schema that stays."),
					 parser_errposition(pstate, exprLocation(node))));
	}
	return expression_tree_walker(node, access_walker, pstate);
}

/* ---- what is not immutable ---- */

static bool
mutable_checker(Oid funcid, void *context)
{
	if (func_volatile(funcid) == PROVOLATILE_IMMUTABLE)
		return false;
	*(Oid *) context = funcid;
	return true;
}

static bool
depends_on_time_zone(Oid funcid)
{
	Oid		   *argtypes;
	int			nargs;

	(void) get_func_signature(funcid, &argtypes, &nargs);
	for (int i = 0; i < nargs; i++)
	{
		if (argtypes[i] == TIMESTAMPTZOID || argtypes[i] == TIMETZOID)
			return true;
	}
	return false;
}

static const char *
mutable_hint(Oid funcid)
{
	if (func_volatile(funcid) == PROVOLATILE_VOLATILE)
		return "Use functions marked IMMUTABLE only; what a row means must not change by itself.";
	if (get_func_nargs(funcid) == 0)
		return CLOCK_HINT;
	if (depends_on_time_zone(funcid))
		return "Its result depends on the session's time zone: convert with a named zone first, like (closed_at AT TIME ZONE 'Europe/Berlin').";
	return "Use functions and casts marked IMMUTABLE only: results that depend on settings, on the clock or on tables change by themselves.";
}

static bool
mutable_walker(Node *node, ParseState *pstate)
{
	Oid			funcid = InvalidOid;

	if (node == NULL)
		return false;

	if (check_functions_in_node(node, mutable_checker, &funcid))
	{
		char	   *name = format_procedure(funcid);

		if (IsA(node, OpExpr))
			name = psprintf("operator %s", format_operator(((OpExpr *) node)->opno));
		else
			name = psprintf("function %s", name);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("%s is not immutable", name),
				 errhint("%s", mutable_hint(funcid)),
				 parser_errposition(pstate, exprLocation(node))));
	}
	if (IsA(node, SQLValueFunction) || IsA(node, NextValueExpr))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the current time, date or user is not immutable"),
				 errhint(CLOCK_HINT),
				 parser_errposition(pstate, exprLocation(node))));

	return expression_tree_walker(node, mutable_walker, pstate);
}

/*
 * The text of an enum is stable only because its values can be renamed, which
 * changes what people read in any case: such a cast counts as its argument.
 */
static Node *
enum_cast_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CoerceViaIO) && type_is_enum(exprType((Node *) ((CoerceViaIO *) node)->arg)) &&
		((CoerceViaIO *) node)->resulttype == TEXTOID)
		return enum_cast_mutator((Node *) ((CoerceViaIO *) node)->arg, context);
	return expression_tree_mutator(node, enum_cast_mutator, context);
}

static void
check_immutable(ParseState *pstate, Node *node)
{
	Node	   *folded = enum_cast_mutator(eval_const_expressions(NULL, copyObject(node)), NULL);

	if (!contain_mutable_functions(folded))
		return;
	(void) mutable_walker(folded, pstate);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("expression is not immutable"),
			 errhint("What a row means must not change by itself.")));
}

/* ---- what does not stay as it was checked ---- */

void
kpi_expr_check_names(ParseState *pstate, Node *raw, KpiCode *code)
{
	NameCheck	check = {pstate, code};

	(void) literal_type_walker(raw, &check);
}

void
kpi_expr_check_access(ParseState *pstate, Node *node)
{
	(void) access_walker(node, pstate);
}

/* Nothing may run before it is known whether it may: folding constants comes last. */
void
kpi_expr_check_rights(ParseState *pstate, Node *node, KpiCode *code)
{
	kpi_expr_check_access(pstate, node);
	kpi_expr_code_check(code, node);
	check_immutable(pstate, node);
}

/* ---- the whole ---- */

/* Under the settings that it will be read under. */
static char *
deparse(Node *node, Relation rel)
{
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	kpi_settings_pin(KPI_SETTINGS_ALL);
	text = deparse_expression(node,
							  deparse_context_for(RelationGetRelationName(rel),
												  RelationGetRelid(rel)),
							  false, false);
	AtEOXact_GUC(true, nest_level);
	return text;
}

KpiExpr
kpi_expr_check_raw(KpiExprSite *site, Node *raw)
{
	Relation	rel = table_open(site->relid, AccessShareLock);
	ParseState *pstate = kpi_expr_pstate(rel, site->text);
	RawCheck	check = {.pstate = pstate};
	KpiExpr		expr;
	Node	   *node;

	(void) raw_walker(raw, &check);
	kpi_expr_check_names(pstate, raw, NULL);
	node = kpi_expr_transform(pstate, raw);
	(void) row_walker(node, pstate);
	kpi_expr_check_rights(pstate, node, NULL);

	expr.text = deparse(node, rel);
	expr.type = exprType(node);
	expr.collation = exprCollation(node);
	node = kpi_compat_expand_virtual(node, rel);
	expr.risk = kpi_expr_risk((Node *) expression_planner((Expr *) node));
	table_close(rel, NoLock);
	return expr;
}

KpiExpr
kpi_expr_check_full(Oid relid, const char *text, const char *what)
{
	KpiExprSite site;
	KpiExpr		expr;

	kpi_expr_site_push(&site, text, what, relid);
	expr = kpi_expr_check_raw(&site, kpi_expr_raw(text));
	kpi_expr_site_pop(&site);
	return expr;
}
