/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  Texts of expressions: the raw parse tree, parse analysis, and where in the
 *	  text an error is.
 *
 * Nothing here looks at who may run what, and nothing of an expression is run
 * but the input functions of its literals' types: call kpi_expr_check_names()
 * before kpi_expr_transform().
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "expr/expr_internal.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/rel.h"

/* Columns an error names at most. */
#define MAX_COLUMNS_SHOWN 40

static void
detail_columns(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData names;
	int			shown = 0;

	initStringInfo(&names);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (shown++ == MAX_COLUMNS_SHOWN)
		{
			appendStringInfoString(&names, ", ...");
			break;
		}
		appendStringInfo(&names, "%s%s", shown > 1 ? ", " : "",
						 quote_identifier(NameStr(att->attname)));
	}
	errdetail("The columns of table \"%s\" are: %s.",
			  RelationGetRelationName(rel), names.data);
	table_close(rel, AccessShareLock);
}

void
kpi_expr_error_position(const char *text)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(text);
	}
}

/* Says how to mend the errors that users make most. */
static void
site_callback(void *arg)
{
	KpiExprSite *site = arg;

	kpi_expr_error_position(site->text);
	switch (geterrcode())
	{
		case ERRCODE_SYNTAX_ERROR:
			if (site->is_query)
				errhint(KPI_QUERY_HINT);
			else
				errhint("Write one SQL expression over the columns of the table.");
			break;
		case ERRCODE_UNDEFINED_TABLE:
			errhint(KPI_QUERY_HINT);
			break;
		case ERRCODE_UNDEFINED_COLUMN:
			if (OidIsValid(site->relid))
				detail_columns(site->relid);
			break;
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_UNDEFINED_OBJECT:
			errdetail("Only names in pg_catalog are found without a schema.");
			errhint("Write other functions, operators and types with their schema, like sales.net(amount), and cast the arguments where their types do not fit.");
			break;
		case ERRCODE_UNDEFINED_PARAMETER:
			errhint("Write the value itself.");
			break;
		default:
			break;
	}
	errcontext("%s", site->what);
}

void
kpi_expr_site_push(KpiExprSite *site, const char *text, const char *what, Oid relid)
{
	site->text = text;
	site->what = what;
	site->relid = relid;
	site->is_query = false;
	site->callback.callback = site_callback;
	site->callback.arg = site;
	site->callback.previous = error_context_stack;
	error_context_stack = &site->callback;
}

void
kpi_expr_site_pop(KpiExprSite *site)
{
	error_context_stack = site->callback.previous;
}

/*
 * Errors take the position of an expression from exprLocation(), which descends
 * without looking at the depth of the stack: this looks, once, and goes deeper.
 */
static bool
depth_walker(Node *node, void *context)
{
	return node != NULL && raw_expression_tree_walker(node, depth_walker, context);
}

/*
 * The raw parser's mode for PL/pgSQL expressions takes a SELECT without the
 * word SELECT, so positions in errors are positions in the text; all that may
 * follow a target list is refused here.
 */
Node *
kpi_expr_raw(const char *text)
{
	List	   *trees = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *stmt = castNode(SelectStmt, linitial_node(RawStmt, trees)->stmt);
	ResTarget  *target;

	if (list_length(stmt->targetList) != 1 ||
		stmt->distinctClause != NIL || stmt->intoClause != NULL ||
		stmt->fromClause != NIL || stmt->whereClause != NULL ||
		stmt->groupClause != NIL || stmt->havingClause != NULL ||
		stmt->windowClause != NIL || stmt->valuesLists != NIL ||
		stmt->sortClause != NIL || stmt->limitOffset != NULL ||
		stmt->limitCount != NULL || stmt->lockingClause != NIL ||
		stmt->withClause != NULL || stmt->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not one SQL expression: %s", text)));

	/*
	 * Of SELECT ALL the tree tells nothing: before an expression stand
	 * comments only.
	 */
	target = linitial_node(ResTarget, stmt->targetList);
	if (target->location > 0)
		(void) raw_parser(pnstrdup(text, target->location), RAW_PARSE_DEFAULT);
	if (target->name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("an alias is not allowed here: %s", text)));
	if (IsA(target->val, ColumnRef) &&
		IsA(llast(((ColumnRef *) target->val)->fields), A_Star))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not one SQL expression: %s", text)));

	(void) depth_walker(target->val, NULL);
	return target->val;
}

ParseState *
kpi_expr_pstate(Relation rel, const char *text)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *nsitem;

	pstate->p_sourcetext = text;
	nsitem = addRangeTableEntryForRelation(pstate, rel, AccessShareLock,
										   NULL, false, true);
	addNSItemToQuery(pstate, nsitem, false, true, true);
	return pstate;
}

Node *
kpi_expr_transform(ParseState *pstate, Node *raw)
{
	Node	   *node = transformExpr(pstate, raw, EXPR_KIND_OTHER);

	if (exprType(node) == UNKNOWNOID)
		node = coerce_to_target_type(pstate, node, UNKNOWNOID, TEXTOID, -1,
									 COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	assign_expr_collations(pstate, node);
	return node;
}
