/*-------------------------------------------------------------------------
 *
 * facts.h
 *	  Which expressions may be a key or a time of the facts query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FACTS_H
#define KPI_FACTS_H

#include "expr.h"

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
