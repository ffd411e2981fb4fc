/*-------------------------------------------------------------------------
 *
 * explain_internal.h
 *	  What the files of room explain share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPLAIN_INTERNAL_H
#define KPI_EXPLAIN_INTERNAL_H

#include "executor/tuptable.h"
#include "explain/explain.h"
#include "fact/fact.h"
#include "model/model.h"

/* ---- read.c ---- */

/* A source whose facts are read for the current user. */
typedef struct KpiExplainSource
{
	KpiSource  *source;
	KpiKeyed   *keyed;			/* NULL: it is over a table of the user's own */
	Oid			definer;
	Oid			relid;			/* locked, with its leaves */
	List	   *leaves;
	KpiProjection *projection;
	List	   *key_texts;		/* char *: the expressions whose values are
								 * the key of a fact; NIL: the source has none */
	List	   *keys;			/* KpiFactExpr */
}			KpiExplainSource;

/*
 * Error, whose hint is the GRANT, unless the current user may SELECT from a relation: all of it, or
 * these columns (offset by FirstLowInvalidHeapAttributeNumber; NULL: all) and use its schema; and row
 * security does not apply.
 */
extern void kpi_explain_check_reader(Oid relid, const Bitmapset *columns);

/*
 * Loads a source under the active snapshot, locks its table until the end of the transaction, and compiles it, in
 * the current memory context.  Error unless the current user may read all that it uses
 * (kpi_explain_check_reader()) and its definer may still be that.
 */
extern KpiExplainSource * kpi_explain_open(int32 source_id);
extern void kpi_explain_close(KpiExplainSource * open);

/* Which rows are wanted; more of them may be handed in. */
typedef struct KpiExplainWanted
{
	int			s;				/* number of a stream, whose time and owner
								 * are meant */
	DateADT		since;			/* of these days; DATEVAL_NOBEGIN and
								 * DATEVAL_NOEND: all, and those without a
								 * time */
	DateADT		until;			/* exclusive */
	bool		and_filtered;	/* as well as those that the source's filter
								 * leaves out */
	List	   *owners;			/* char *: of one of these owners; NIL: of any */
	const char *key;			/* with this key; NULL: any */
}			KpiExplainWanted;

/* A row of a source's table, valid until the next. */
typedef struct KpiExplainRow
{
	char	   *key;			/* NULL: there is none, or it failed */
	TupleTableSlot *slot;		/* by the columns of the table (or root) */
}			KpiExplainRow;

/*
 * Hands in rows as the active snapshot shows them, in no order.  What take() allocates is freed after it
 * returns.  It is called as the definer, so that expressions can be evaluated (kpi_explain_fact()): it runs no
 * other code of users.
 */
extern void kpi_explain_read(KpiExplainSource * open, const KpiExplainWanted * wanted,
							 void (*take) (void *arg, const KpiExplainRow * row), void *arg);

/*
 * What a stream makes of the row, as capture has it.  Its arrays are the projection's, until the next
 * call.
 */
extern void kpi_explain_fact(KpiExplainSource * open, int s, const KpiExplainRow * row, KpiFact *fact);

#endif							/* KPI_EXPLAIN_INTERNAL_H */
