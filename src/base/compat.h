/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every difference between the supported PostgreSQL versions.
 *
 * No file but this and compat.c may test PG_VERSION_NUM.  What needs headers of
 * the server is in compat.c, so that including this one costs nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_COMPAT_H
#define KPI_COMPAT_H

#include "postgres.h"

/* Values of variable length left postgres.h in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* The classes of objects that rights are asked for, below. */
#include "catalog/pg_class_d.h"
#include "catalog/pg_database_d.h"
#include "catalog/pg_namespace_d.h"
#include "catalog/pg_proc_d.h"

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

/* A module says its name and version since 18, for pg_get_loaded_modules(). */
#if PG_VERSION_NUM < 180000
#define KPI_MODULE_MAGIC PG_MODULE_MAGIC
#else
#define KPI_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "pg_kpi",.version = KPI_VERSION)
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

/* Abbreviations of time zones are looked up in the session's zone first since 18. */
#if PG_VERSION_NUM >= 180000
#define KPI_ABBREVIATIONS_OF_SESSION true
#else
#define KPI_ABBREVIATIONS_OF_SESSION false
#endif

/* A primary key can be deferrable, and is found only if that will do, since 18. */
#if PG_VERSION_NUM >= 180000
#define kpi_compat_primary_key(rel) RelationGetPrimaryKeyIndex(rel, false)
#else
#define kpi_compat_primary_key(rel) RelationGetPrimaryKeyIndex(rel)
#endif

/* Generated columns need not be stored since 18. */
#if PG_VERSION_NUM >= 180000
#define KPI_HAVE_VIRTUAL_COLUMNS true
#else
#define KPI_HAVE_VIRTUAL_COLUMNS false
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* ---- compat.c ---- */

/* Declared by their tags: every file includes this one, and few need more of them. */
struct Bitmapset;
struct EState;
struct IndexScanDescData;
struct ItemPointerData;
struct Node;
struct ParseState;
struct Query;
struct QueryDesc;
struct RangeTblEntry;
struct RelationData;
struct ResultRelInfo;
struct SnapshotData;
struct TupleTableSlot;
struct Tuplesortstate;

/* An index scan whose number of descents nobody wants to know. */
extern struct IndexScanDescData *kpi_compat_beginscan(struct RelationData *rel, struct RelationData *index,
													  struct SnapshotData *snapshot, int nkeys);

/* New index entries for a row just inserted. */
extern void kpi_compat_insert_index_tuples(struct ResultRelInfo *rri, struct TupleTableSlot *slot,
										   struct EState *estate);

/*
 * Updates a row nobody else may change, and its index entries as needed; or only
 * says whether all indexes want one, for which none may be of another kind.
 */
extern void kpi_compat_update(struct ResultRelInfo *rri, struct ItemPointerData *tid,
							  struct TupleTableSlot *slot, struct EState *estate,
							  struct SnapshotData *snapshot, bool *wants_entries);

/* An expression over stored columns only; relation 1 of it is rel. */
extern struct Node *kpi_compat_expand_virtual(struct Node *node, struct RelationData *rel);

/* The relations of a parse state become those of a query. */
extern void kpi_compat_set_relations(struct Query *query, struct ParseState *pstate);

/* The next datum of a sort, palloc'd; false at its end. */
extern bool kpi_compat_tuplesort_next(struct Tuplesortstate *sort, Datum *value);

/* The columns of a relation that a query reads, offset by FirstLowInvalidHeapAttributeNumber. */
extern struct Bitmapset *kpi_compat_selected_columns(struct Query *query, struct RangeTblEntry *rte);

/* Runs a query to its end, once: so it may use parallel workers. */
extern void kpi_compat_run_once(struct QueryDesc *desc);

/*
 * Whether notices would reach the client if it were not for the script of an extension, around which
 * client_min_messages is raised.
 */
extern bool kpi_compat_wants_notices(void);

/* Gives a table an empty file, unseen by logical decoding; the caller holds ACCESS EXCLUSIVE. */
extern void kpi_compat_truncate(struct RelationData *rel);

#endif							/* KPI_COMPAT_H */
