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

/* Rights by class of object became one function for all in 16. */
#if PG_VERSION_NUM < 160000
#define kpi_class_ownercheck(relid, role) pg_class_ownercheck(relid, role)
#define kpi_proc_aclcheck(funcid, role, mode) pg_proc_aclcheck(funcid, role, mode)
#else
#define kpi_class_ownercheck(relid, role) object_ownercheck(RelationRelationId, relid, role)
#define kpi_proc_aclcheck(funcid, role, mode) object_aclcheck(ProcedureRelationId, funcid, role, mode)
#endif

#endif							/* KPI_COMPAT_H */
