/*-------------------------------------------------------------------------
 *
 * base_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_BASE_INTERNAL_H
#define KPI_BASE_INTERNAL_H

#include "base/base.h"

#define KPI_SPI_MAX_PARAMS 24

/* What kpi_spi_exec() and kpi_spi_read() do, and who else runs a statement. */
extern uint64 kpi_spi_run(const char *sql, bool read_only, int nargs, va_list args);

/* As SPI_execute_with_args(), with the same result. */
extern int	kpi_plan_execute(const char *sql, bool read_only, int nargs, Oid *types,
							 Datum *values, const char *nulls);

/* An error context callback that gives errors over what is not there the remedy as their hint. */
extern void kpi_extension_error_context(void *arg);

#endif							/* KPI_BASE_INTERNAL_H */
