/*-------------------------------------------------------------------------
 *
 * trap.h
 *	  Work whose error does not end the transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_TRAP_H
#define KPI_TRAP_H

#include "postgres.h"

/* What an error is about, in the order of how much it stops. */
typedef enum KpiErrorClass
{
	KPI_ERROR_TRAPPED,			/* what was run: an expression, a definition */
	KPI_ERROR_CONFLICT,			/* somebody else held what was needed */
	KPI_ERROR_SERVER,			/* memory, disk, damaged data */
	KPI_ERROR_STOP				/* cancelled, or the session is to end */
} KpiErrorClass;

extern KpiErrorClass kpi_error_class(const ErrorData *error);

/*
 * Runs a function in a subtransaction, in the caller's memory context.  NULL,
 * or the error that rolled it back, in the caller's memory; an error of a class
 * beyond "most" is thrown again, but not before the subtransaction is over.
 */
extern ErrorData *kpi_try(KpiErrorClass most, void (*body) (void *arg), void *arg);

#endif							/* KPI_TRAP_H */
