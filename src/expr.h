/*-------------------------------------------------------------------------
 *
 * expr.h
 *	  Expressions over a table's columns: what def.h does not need to show.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPR_H
#define KPI_EXPR_H

#include "postgres.h"

#include "def.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

/*
 * Where an expression stands, for errors: while one of these is on the error
 * context stack, the error cursor points into text and the context names what.
 */
typedef struct KpiExprSite
{
	const char *text;
	const char *what;			/* e.g. "filter of KPI \"revenue\"" */
	Oid			relid;			/* InvalidOid: not known yet */
	ErrorContextCallback callback;
} KpiExprSite;

extern void kpi_expr_site_push(KpiExprSite *site, const char *text, const char *what, Oid relid);
extern void kpi_expr_site_pop(KpiExprSite *site);

/* What a checked expression is. */
typedef struct KpiExpr
{
	char	   *text;			/* deparsed */
	Oid			type;
	Oid			collation;
	KpiExprRisk risk;
} KpiExpr;

/* ---- expr.c ---- */

/* The raw parse tree of the one expression a text holds. */
extern Node *kpi_expr_raw(const char *text);

/* A ParseState that sees the columns of one relation, with varno 1. */
extern ParseState *kpi_expr_pstate(Relation rel, const char *text);

/* Parse analysis with collations; literals of unknown type become text. */
extern Node *kpi_expr_transform(ParseState *pstate, Node *raw);

/*
 * A stored expression, parsed and checked again.  Call it as the definer, with
 * search_path pinned (kpi_user_switch()).
 */
extern Node *kpi_expr_stored(ParseState *pstate, const char *text, KpiCode *code);

/*
 * Notes the code of others that a stored expression reaches, and checks it; runs
 * none of it.  Like the next it is for the definer.
 */
extern void kpi_expr_reach(Oid relid, const char *text, KpiCode *code);

/* The type of a checked expression. */
extern Oid	kpi_expr_type(Oid relid, const char *text, KpiCode *code);

/* ---- expr_check.c ---- */

/* kpi_expr_check_full() for a raw parse tree cut out of site->text. */
extern KpiExpr kpi_expr_check_raw(KpiExprSite *site, Node *raw);

/*
 * Checks an expression a user wrote over the columns of a relation and
 * returns it deparsed, every name qualified.  "what" names
 * the thing in errors, e.g. "filter of KPI \"revenue\"".  Runs as the current
 * user.  Errors quote the text and say how to mend it: syntax, unknown
 * column, subquery, aggregate, window or set-returning function, anything not
 * immutable.
 */
extern KpiExpr kpi_expr_check_full(Oid relid, const char *text, const char *what);

/*
 * What may have changed since a stored expression was checked: before its
 * names are looked up, and after that.  code is NULL for what its definer has
 * just written.
 */
extern void kpi_expr_check_names(ParseState *pstate, Node *raw, KpiCode *code);
extern void kpi_expr_check_rights(ParseState *pstate, Node *node, KpiCode *code);

/* The part of it about who may run what, for any expression (pstate: or NULL). */
extern void kpi_expr_check_access(ParseState *pstate, Node *node);

/* ---- expr_risk.c ---- */

extern KpiExprRisk kpi_expr_risk(Node *node);

#endif							/* KPI_EXPR_H */
