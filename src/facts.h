/*-------------------------------------------------------------------------
 *
 * facts.h
 *	  What the facts query is made of, and which expressions may be its keys
 *	  and its time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FACTS_H
#define KPI_FACTS_H

#include "expr.h"

/* A column: an expression over the columns of the table, in parentheses. */
typedef struct KpiFactColumn
{
	const char *name;
	char	   *text;
} KpiFactColumn;

/*
 * The columns owner, at, day, the dimensions by name, then the inputs m<id>_1,
 * m<id>_2 of the given measures (NULL: all); and the condition that rows meet.
 */
extern List *kpi_fact_columns(const KpiSource *source, const KpiStream *stream,
							  const Bitmapset *which, Oid at_type);
extern char *kpi_fact_condition(const KpiSource *source, const KpiStream *stream);

/*
 * SQL text of a checked expression as a dimension (text) and as an owner
 * (text, or a type that groups as its text does).  Error if its type is no
 * key; "what" names it.
 */
extern char *kpi_key_as_text(const KpiExpr *expr, const char *what);
extern char *kpi_owner_key(const KpiExpr *expr, const char *what);

/* Error unless the expression's type is a point in time or a date. */
extern void kpi_check_time(const KpiExpr *expr, const char *what);

#endif							/* KPI_FACTS_H */
