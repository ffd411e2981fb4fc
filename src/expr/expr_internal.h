/*-------------------------------------------------------------------------
 *
 * expr_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPR_INTERNAL_H
#define KPI_EXPR_INTERNAL_H

#include "expr/expr.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "parser/parse_node.h"

/* ---- foreign_code.c ---- */

/*
 * Error if reading a value of the type, which an expression names or which a
 * column in it has, would run code that is not known.  Runs as the source's
 * definer; code may be NULL, for an expression that its definer has just
 * written.
 */
extern void kpi_expr_code_check_type(KpiCode *code, Oid type, bool named);

/* Whose code reading and writing values of the type is. */
extern Oid	kpi_expr_type_owner(Oid type);

/* ---- parse.c ---- */

/* Parse analysis with collations; literals of unknown type become text. */
extern Node *kpi_expr_transform(ParseState *pstate, Node *raw);

#define KPI_QUERY_HINT "Write one SELECT over tables and views, each with its schema, like crm.deals."

/* ---- check.c ---- */

/*
 * What may have changed since a stored expression was checked: before its
 * names are looked up, and after that.  code is NULL for what its definer has
 * just written.
 */
extern void kpi_expr_check_names(ParseState *pstate, Node *raw, KpiCode *code);
extern void kpi_expr_check_rights(ParseState *pstate, Node *node, KpiCode *code);

/* ---- fingerprint.c ---- */

/* Adds what an expression reaches, as it was parsed and as it was compiled. */
extern void kpi_expr_fingerprints_expression(KpiFingerprints *fingerprints, const char *text,
											 Node *parsed, Node *compiled);

/* The same of one query, but for views in it. */
extern uint64 kpi_expr_fingerprint_query(Query *query);

#endif							/* KPI_EXPR_INTERNAL_H */
