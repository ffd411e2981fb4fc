/*-------------------------------------------------------------------------
 *
 * expr.c
 *	  Stored expressions over a table's columns: checked again and compiled.
 *
 * Stored expressions are text.  They are parsed anew, by column name, against
 * whatever table they are evaluated on: attribute numbers differ between
 * partitions, and a recreated table has another OID.
 *
 * Invariant: names are looked up with search_path pinned to pg_catalog, both
 * when an expression is checked and when it is compiled, and stored texts are
 * written and read under pinned settings (settings.c), so what one means
 * depends on no session.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "base/base.h"
#include "expr/expr_internal.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/guc.h"
#include "utils/rel.h"

/* Names may mean something else than when it was checked: others change what they own. */
Node *
kpi_expr_stored(ParseState *pstate, const char *text, KpiCode *code)
{
	Node	   *raw = kpi_expr_raw(text);
	Node	   *node;

	pstate->p_sourcetext = text;
	kpi_expr_check_names(pstate, raw, code);
	node = kpi_expr_transform(pstate, raw);
	kpi_expr_check_rights(pstate, node, code);
	return node;
}

/* Over stored columns; pinning search_path is the caller's. */
static Node *
parse_stored(Oid relid, const char *text, KpiCode *code)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Node	   *node = kpi_expr_stored(kpi_expr_pstate(rel, text), text, code);

	node = kpi_compat_expand_virtual(node, rel);
	table_close(rel, AccessShareLock);
	return node;
}

static int
pin_settings(void)
{
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	kpi_settings_pin(KPI_SETTINGS_ALL);
	return nest_level;
}

void
kpi_expr_reach(Oid relid, const char *text, KpiCode *code)
{
	int			nest_level = pin_settings();
	Relation	rel = table_open(relid, AccessShareLock);
	ParseState *pstate = kpi_expr_pstate(rel, text);
	KpiExprSite site;
	Node	   *raw;

	kpi_expr_site_push(&site, text, "expression of a source", relid);
	raw = kpi_expr_raw(text);
	kpi_expr_check_names(pstate, raw, code);
	kpi_expr_code_check(code, kpi_expr_transform(pstate, raw));
	kpi_expr_site_pop(&site);
	table_close(rel, AccessShareLock);
	AtEOXact_GUC(true, nest_level);
}

Oid
kpi_expr_type(Oid relid, const char *text, KpiCode *code)
{
	int			nest_level = pin_settings();
	KpiExprSite site;
	Oid			type;

	kpi_expr_site_push(&site, text, "expression of a source", relid);
	type = exprType(parse_stored(relid, text, code));
	kpi_expr_site_pop(&site);
	AtEOXact_GUC(true, nest_level);
	return type;
}

Node *
kpi_expr_compile(Oid relid, const char *text, Bitmapset **attrs,
				 KpiExprRisk *risk, bool *user_code, KpiCode *code,
				 KpiFingerprints *fingerprints)
{
	int			nest_level = pin_settings();
	KpiExprSite site;
	Node	   *parsed;
	Node	   *node;

	kpi_expr_site_push(&site, text, "expression of a source", relid);
	parsed = parse_stored(relid, text, code);
	*user_code = (kpi_expr_risk(parsed) == KPI_EXPR_USER);
	node = (Node *) expression_planner((Expr *) parsed);
	convert_saop_to_hashed_saop(node);
	if (fingerprints != NULL)
		kpi_expr_fingerprints_expression(fingerprints, text, parsed, node);
	kpi_expr_site_pop(&site);
	AtEOXact_GUC(true, nest_level);

	pull_varattnos(node, 1, attrs);
	*risk = kpi_expr_risk(node);
	return node;
}
