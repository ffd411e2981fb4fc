/*-------------------------------------------------------------------------
 *
 * compat.c
 *	  Functions of the server that take other arguments from version to version.
 *
 * What compat.h cannot say in a macro, so that no other file has to test
 * PG_VERSION_NUM.  Each does what the server's function of its name does.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "commands/tablecmds.h"
#include "executor/executor.h"
#include "executor/execdesc.h"
#include "nodes/execnodes.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteHandler.h"
#include "utils/guc_tables.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

IndexScanDesc
kpi_compat_beginscan(Relation rel, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(rel, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(rel, index, snapshot, nkeys, 0);
#endif
}

void
kpi_compat_insert_index_tuples(ResultRelInfo *rri, TupleTableSlot *slot,
							   EState *estate)
{
#if PG_VERSION_NUM >= 160000
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL, false);
#else
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL);
#endif
}

void
kpi_compat_update(ResultRelInfo *rri, ItemPointer tid, TupleTableSlot *slot,
				  EState *estate, Snapshot snapshot, bool *wants_entries)
{
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes update_indexes;

	simple_table_tuple_update(rri->ri_RelationDesc, tid, slot, snapshot,
							  &update_indexes);
	if (wants_entries != NULL)
		*wants_entries = update_indexes != TU_None;
	else if (update_indexes != TU_None)
		ExecInsertIndexTuples(rri, slot, estate, true, false, NULL, NIL,
							  update_indexes == TU_Summarizing);
#else
	bool		update_indexes;

	simple_table_tuple_update(rri->ri_RelationDesc, tid, slot, snapshot,
							  &update_indexes);
	if (wants_entries != NULL)
		*wants_entries = update_indexes;
	else if (update_indexes)
		ExecInsertIndexTuples(rri, slot, estate, true, false, NULL, NIL);
#endif
}

Node *
kpi_compat_expand_virtual(Node *node, Relation rel)
{
#if PG_VERSION_NUM >= 180000
	return expand_generated_columns_in_expr(node, rel, 1);
#else
	return node;
#endif
}

void
kpi_compat_set_relations(Query *query, ParseState *pstate)
{
	query->rtable = pstate->p_rtable;
#if PG_VERSION_NUM >= 160000
	query->rteperminfos = pstate->p_rteperminfos;
#endif
}

Bitmapset *
kpi_compat_selected_columns(Query *query, RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	return getRTEPermissionInfo(query->rteperminfos, rte)->selectedCols;
#else
	return rte->selectedCols;
#endif
}

void
kpi_compat_run_once(QueryDesc *desc)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(desc, ForwardScanDirection, 0);
#else
	ExecutorRun(desc, ForwardScanDirection, 0, true);
#endif
}

void
kpi_compat_truncate(Relation rel)
{
	List	   *rels = list_make1(rel);
	List	   *relids = list_make1_oid(RelationGetRelid(rel));

#if PG_VERSION_NUM >= 160000
	ExecuteTruncateGuts(rels, relids, NIL, DROP_RESTRICT, false, false);
#else
	ExecuteTruncateGuts(rels, relids, NIL, DROP_RESTRICT, false);
#endif
}

bool
kpi_compat_tuplesort_next(Tuplesortstate *sort, Datum *value)
{
	bool		isnull;

#if PG_VERSION_NUM >= 160000
	return tuplesort_getdatum(sort, true, true, value, &isnull, NULL);
#else
	return tuplesort_getdatum(sort, true, value, &isnull, NULL);
#endif
}

bool
kpi_compat_wants_notices(void)
{
	struct config_generic **settings;
	int			n;

#if PG_VERSION_NUM >= 160000
	settings = get_guc_variables(&n);
#else
	settings = get_guc_variables();
	n = GetNumConfigOptions();
#endif
	for (int i = 0; i < n; i++)
	{
		const GucStack *stack = settings[i]->stack;

		if (strcmp(settings[i]->name, "client_min_messages") == 0 && stack != NULL && stack->state == GUC_SAVE)
			return stack->prior.val.enumval <= NOTICE;
	}
	return client_min_messages <= NOTICE;
}
