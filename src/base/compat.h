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

/* Tells our own errors from others' (error_text.c). */
#undef TEXTDOMAIN
#define TEXTDOMAIN "pg_kpi"

#if PG_VERSION_NUM < 150000
#error "pg_kpi needs PostgreSQL 15 or later"
#endif

/* The 15 of postgresql-15. */
#define KPI_SERVER_MAJOR (PG_VERSION_NUM / 10000)

#ifndef HAVE_INT128
#error "pg_kpi needs a compiler with 128-bit integers"
#endif

/* Stands before the whole declaration since 18. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Rights by class of object became one function for all in 16. */
#if PG_VERSION_NUM < 160000
#define kpi_class_ownercheck(relid, role) pg_class_ownercheck(relid, role)
#define kpi_proc_aclcheck(funcid, role, mode) pg_proc_aclcheck(funcid, role, mode)
#define kpi_database_ownercheck(dbid, role) pg_database_ownercheck(dbid, role)
#define kpi_namespace_aclcheck(nspid, role, mode) pg_namespace_aclcheck(nspid, role, mode)
#else
#define kpi_class_ownercheck(relid, role) object_ownercheck(RelationRelationId, relid, role)
#define kpi_proc_aclcheck(funcid, role, mode) object_aclcheck(ProcedureRelationId, funcid, role, mode)
#define kpi_database_ownercheck(dbid, role) object_ownercheck(DatabaseRelationId, dbid, role)
#define kpi_namespace_aclcheck(nspid, role, mode) object_aclcheck(NamespaceRelationId, nspid, role, mode)
#endif

/* Membership came to say whether SET ROLE may use it in 16. */
#if PG_VERSION_NUM < 160000
#define kpi_can_set_role(member, role) is_member_of_role(member, role)
#else
#define kpi_can_set_role(member, role) member_can_set_role(member, role)
#endif

/* A process's number became a variable of its own in 17. */
#if PG_VERSION_NUM < 170000
#define kpi_my_procno() (MyProc->pgprocno)
#else
#define kpi_my_procno() (MyProcNumber)
#endif

/* transaction_timeout came with 17. */
#if PG_VERSION_NUM < 170000
#define KPI_HAVE_TRANSACTION_TIMEOUT false
#else
#define KPI_HAVE_TRANSACTION_TIMEOUT true
#endif

/* A database whose DROP was interrupted; 15.4 and 16 can have them. */
#define KPI_DATABASE_IS_INVALID(form) ((form)->datconnlimit == -2)


/* Names are parsed with soft errors, if wanted, since 16. */
#if PG_VERSION_NUM < 160000
#define kpi_qualified_names(string) stringToQualifiedNameList(string)
#else
#define kpi_qualified_names(string) stringToQualifiedNameList(string, NULL)
#endif

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/dependency.h"
#include "executor/executor.h"
#include "executor/execdesc.h"
#include "nodes/execnodes.h"
#include "parser/parse_node.h"
#include "rewrite/rewriteHandler.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* An index scan whose number of descents nobody wants to know. */
static inline IndexScanDesc
kpi_compat_beginscan(Relation rel, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(rel, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(rel, index, snapshot, nkeys, 0);
#endif
}

static inline Oid
kpi_compat_identity_sequence(Relation rel, AttrNumber attno)
{
#if PG_VERSION_NUM >= 170000
	return getIdentitySequence(rel, attno, false);
#else
	return getIdentitySequence(RelationGetRelid(rel), attno, false);
#endif
}

/* New index entries for a row just inserted. */
static inline void
kpi_compat_insert_index_tuples(ResultRelInfo *rri, TupleTableSlot *slot,
							   EState *estate)
{
#if PG_VERSION_NUM >= 160000
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL, false);
#else
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL);
#endif
}

/* Updates a row nobody else may change, and its index entries as needed. */
static inline void
kpi_compat_update(ResultRelInfo *rri, ItemPointer tid, TupleTableSlot *slot,
				  EState *estate, Snapshot snapshot)
{
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes update_indexes;

	simple_table_tuple_update(rri->ri_RelationDesc, tid, slot, snapshot,
							  &update_indexes);
	if (update_indexes != TU_None)
		ExecInsertIndexTuples(rri, slot, estate, true, false, NULL, NIL,
							  update_indexes == TU_Summarizing);
#else
	bool		update_indexes;

	simple_table_tuple_update(rri->ri_RelationDesc, tid, slot, snapshot,
							  &update_indexes);
	if (update_indexes)
		ExecInsertIndexTuples(rri, slot, estate, true, false, NULL, NIL);
#endif
}

/* Abbreviations of time zones are looked up in the session's zone first since 18. */
#if PG_VERSION_NUM >= 180000
#define KPI_ABBREVIATIONS_OF_SESSION true
#else
#define KPI_ABBREVIATIONS_OF_SESSION false
#endif

/* Generated columns need not be stored since 18. */
#if PG_VERSION_NUM >= 180000
#define KPI_HAVE_VIRTUAL_COLUMNS true
#else
#define KPI_HAVE_VIRTUAL_COLUMNS false
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* An expression over stored columns only; relation 1 of it is rel. */
static inline Node *
kpi_compat_expand_virtual(Node *node, Relation rel)
{
#if PG_VERSION_NUM >= 180000
	return expand_generated_columns_in_expr(node, rel, 1);
#else
	return node;
#endif
}

/* The relations of a parse state become those of a query. */
static inline void
kpi_compat_set_relations(Query *query, ParseState *pstate)
{
	query->rtable = pstate->p_rtable;
#if PG_VERSION_NUM >= 160000
	query->rteperminfos = pstate->p_rteperminfos;
#endif
}

/* Runs a query to its end, once: so it may use parallel workers. */
static inline void
kpi_compat_run_once(QueryDesc *desc)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(desc, ForwardScanDirection, 0);
#else
	ExecutorRun(desc, ForwardScanDirection, 0, true);
#endif
}

#endif							/* KPI_COMPAT_H */
