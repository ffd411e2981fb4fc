/*-------------------------------------------------------------------------
 *
 * loaded.c
 *	  When the rows of a source were loaded last, read from its table.
 *
 * One statement over the relation with the given OID, put together as that of the
 * facts is (cells.c), which the planner answers by an index where there is one.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "fact/fact_internal.h"
#include "model/model.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define LATEST "SELECT pg_catalog.max(f.at) AS at FROM (SELECT $1 AS at) f"

typedef struct LatestReceiver
{
	DestReceiver receiver;		/* must be first */
	bool		isnull;
	Datum		value;			/* passed by value */
} LatestReceiver;

static bool
receive_latest(TupleTableSlot *slot, DestReceiver *self)
{
	LatestReceiver *latest = (LatestReceiver *) self;

	latest->value = slot_getattr(slot, 1, &latest->isnull);
	return true;
}

static void
receiver_noop(DestReceiver *self)
{
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

/* ONLY the table unless it is partitioned, as kpi_fact_query() says. */
static Query *
analyse_rows(const KpiSource *source, Relation rel, Oid *type)
{
	ParseState *pstate = kpi_expr_pstate(rel, NULL);
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Node	   *node = kpi_fact_analyse_text(pstate, RelationGetRelid(rel), source->loaded_at, source->code);

	*type = getBaseType(exprType(node));
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->targetList = list_make1(makeTargetEntry((Expr *) node, 1, pstrdup("at"), false));
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	linitial_node(RangeTblEntry, pstate->p_rtable)->inh = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	kpi_compat_set_relations(query, pstate);
	return query;
}

bool
kpi_fact_loaded_read(const KpiSource *source, Oid relid, List *leaves, TimestampTz *loaded_at)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi loaded query",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = table_open(relid, AccessShareLock);
	LatestReceiver latest = {
		.receiver = {
			.receiveSlot = receive_latest,
			.rStartup = receiver_startup,
			.rShutdown = receiver_noop,
			.rDestroy = receiver_noop,
			.mydest = DestNone
		},
		.isnull = true
	};
	Oid			type;
	Query	   *rows = analyse_rows(source, rel, &type);
	Query	   *query = kpi_fact_analyse_over(LATEST, rows->targetList);
	PlannedStmt *plan;
	QueryDesc  *desc;
	KpiZone		zone;
	bool		is_finite = true;

	linitial_node(RangeTblEntry, query->rtable)->subquery = rows;
	plan = pg_plan_query(linitial_node(Query, pg_rewrite_query(query)), LATEST, CURSOR_OPT_PARALLEL_OK, NULL);
	kpi_fact_check_relations(plan, relid, leaves);
	desc = CreateQueryDesc(plan, LATEST, GetActiveSnapshot(), InvalidSnapshot, &latest.receiver, NULL, NULL, 0);
	ExecutorStart(desc, 0);
	kpi_compat_run_once(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	table_close(rel, NoLock);

	*loaded_at = DT_NOBEGIN;
	if (!latest.isnull)
	{
		kpi_fact_zone_open(&zone, source->time_zone);
		is_finite = kpi_fact_moment_of_time(&zone, type, latest.value, loaded_at);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return is_finite;
}
