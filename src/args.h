/*-------------------------------------------------------------------------
 *
 * args.h
 *	  Arguments of the defining functions, and the words of their errors.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_ARGS_H
#define KPI_ARGS_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/date.h"

/*
 * NULL if null or not given.  A polymorphic parameter (anycompatible: a plain
 * literal is text there) takes any type and yields its text.
 */
extern char *kpi_arg_text(FunctionCallInfo fcinfo, int n);

/* Error if null, empty, or with spaces around; "what" names it: "team". */
extern char *kpi_arg_name(FunctionCallInfo fcinfo, int n, const char *what);

/* The same, but NULL if null. */
extern char *kpi_arg_optional_name(FunctionCallInfo fcinfo, int n, const char *what);

/* A day; null, and the infinite of the same side, are if_null. */
extern DateADT kpi_arg_day(FunctionCallInfo fcinfo, int n, const char *name, DateADT if_null);

/* '2026-10-05', whatever DateStyle says; 'always' and 'open' for open ends. */
extern char *kpi_day_text(DateADT day);

/* The first few of some texts as 'a, b and 3 others'; NULL for none. */
extern char *kpi_list_join(List *texts);

/*
 * The same of what a query of one text column yields, parameter $1 an id.
 * Within kpi_spi_begin().
 */
extern char *kpi_list_some(const char *sql, int32 id);

#endif							/* KPI_ARGS_H */
