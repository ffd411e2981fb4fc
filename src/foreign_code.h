/*-------------------------------------------------------------------------
 *
 * foreign_code.h
 *	  Code of others that the expressions of a source reach.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_FOREIGN_CODE_H
#define KPI_FOREIGN_CODE_H

#include "postgres.h"

#include "nodes/nodes.h"
#include "nodes/pg_list.h"

/*
 * Entries are texts: kind, qualified name, owner.  By name, so that a function
 * that its owner drops and creates again is the same.
 */
typedef struct KpiCode
{
	bool		is_known;		/* false after a restore: known is not set */
	List	   *known;			/* entries accepted when the definer last
								 * defined or resumed */
	bool		accept;			/* the definer is doing that now */
	List	   *reached;		/* entries met since this was made */
} KpiCode;

/*
 * Error if reading a value of the type, which an expression names or which a
 * column in it has, would run code that is not known.  Runs as the source's definer; code may be NULL, for
 * an expression that its definer has just written.
 */
extern void kpi_code_check_type(KpiCode *code, Oid type, bool named);

/* The same of an expression that was parsed, and nothing of it run yet. */
extern void kpi_code_check(KpiCode *code, Node *node);

#endif							/* KPI_FOREIGN_CODE_H */
