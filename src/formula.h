/*-------------------------------------------------------------------------
 *
 * formula.h
 *	  Formulas over KPIs: 'spend / new_customers'.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FORMULA_H
#define KPI_FORMULA_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/numeric.h"

typedef struct KpiFormula KpiFormula;

/*
 * Parses a formula into the current memory context.  Error if it is malformed,
 * with the position, or too long.
 */
extern KpiFormula *kpi_formula_parse(const char *text);

/* The names of the KPIs in it (char *), each once, in order of first use. */
extern List *kpi_formula_names(KpiFormula *formula);

/*
 * Evaluates with one value per name, in that order; NULL is "no value", both
 * in and out.  When the formula as a whole is a quotient, its two sides are
 * returned as well, else NULL.  Raises no error: what is undefined (division
 * by zero, overflow) has no value.
 */
extern Numeric kpi_formula_eval(KpiFormula *formula, Numeric *values,
								Numeric *numerator, Numeric *denominator);

/* The text of a formula with one KPI's name replaced by another. */
extern char *kpi_formula_rename(const char *text, const char *old_name, const char *new_name);

#endif							/* KPI_FORMULA_H */
