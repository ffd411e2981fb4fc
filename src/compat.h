/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every difference between the supported PostgreSQL versions.
 *
 * No other file may test PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_COMPAT_H
#define KPI_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "pg_kpi needs PostgreSQL 15 or later"
#endif

#ifndef HAVE_INT128
#error "pg_kpi needs a compiler with 128-bit integers"
#endif

#endif							/* KPI_COMPAT_H */
