/*-------------------------------------------------------------------------
 *
 * spi_plan.h
 *	  Plans of our own statements, kept for the session.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_SPI_PLAN_H
#define KPI_SPI_PLAN_H

#include "postgres.h"

#define KPI_SPI_MAX_PARAMS 16

/* As SPI_execute_with_args(), with the same result. */
extern int	kpi_plan_execute(const char *sql, bool read_only, int nargs, Oid *types,
							 Datum *values, const char *nulls);

#endif							/* KPI_SPI_PLAN_H */
