/*-------------------------------------------------------------------------
 *
 * loaded.c
 *	  When the rows of a source were loaded: one that is written, and the last of all.
 *
 * It is none of the facts, so it has no part in what they risk, its error costs
 * nobody anything, and another function behind it has nothing computed anew.
 *
 * The last of all is one statement over the relation with the given OID, put together
 * as that of the facts is (cells.c), which the planner answers by an index where there
 * is one.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "base/base.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "fact/fact_internal.h"
#include "model/model.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
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

/* ---- a row ---- */

struct KpiLoadedAt
{
	AttrNumber	attno;			/* a plain column, or 0: evaluate state */
	ExprState  *state;
	Oid			type;
	KpiExprRisk risk;
	int			settings;
	KpiZone    *zone;
	bool		has_last;		/* rows of one load mostly say the same */
	Datum		last_value;
	TimestampTz last;
};

KpiLoadedAt *
kpi_fact_loaded_compile(const KpiSource *source, Oid leaf, KpiZone *zone, Bitmapset **attrs, bool *user_code)
{
	KpiLoadedAt *loaded = palloc0(sizeof(KpiLoadedAt));
	Node	   *node = kpi_expr_compile(leaf, source->loaded_at, attrs, &loaded->risk, user_code, source->code, NULL);

	loaded->zone = zone;
	loaded->type = getBaseType(exprType(node));
	if (!kpi_fact_is_time(loaded->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("loaded_at is of type %s now: %s", format_type_be(loaded->type), source->loaded_at),
				 errhint("Give it to the source anew, with kpi.alter_source().")));
	loaded->risk = kpi_expr_risk(node);
	if (loaded->risk != KPI_EXPR_SAFE)
		loaded->settings = kpi_expr_settings_of(node);
	if (IsA(node, Var) && ((Var *) node)->varattno > 0)
		loaded->attno = ((Var *) node)->varattno;
	else
		loaded->state = ExecInitExpr((Expr *) node, NULL);
	return loaded;
}

typedef struct RowCall
{
	KpiLoadedAt *loaded;
	ExprContext *econtext;
	Oid			definer;
	bool	   *is_busy;
	bool		isnull;
	Datum		value;
} RowCall;

static void
evaluate(RowCall *call)
{
	if (call->loaded->attno > 0)
		call->value = slot_getattr(call->econtext->ecxt_scantuple, call->loaded->attno, &call->isnull);
	else
		call->value = ExecEvalExpr(call->loaded->state, call->econtext, &call->isnull);
}

/* The end of the subtransaction restores the settings, if no switch does. */
static void
evaluate_trapped(void *arg)
{
	kpi_settings_pin(((RowCall *) arg)->loaded->settings);
	evaluate(arg);
}

static void
evaluate_as_definer(void *arg)
{
	RowCall    *call = arg;
	KpiUser		user;

	kpi_user_switch(&user, call->definer);
	*call->is_busy = true;
	PG_TRY();
	{
		evaluate_trapped(call);
	}
	PG_FINALLY();
	{
		*call->is_busy = false;
	}
	PG_END_TRY();
	kpi_user_restore(&user);
}

static bool
moment_of(KpiLoadedAt *loaded, Datum value, TimestampTz *loaded_at)
{
	if (!loaded->has_last || loaded->last_value != value || !FLOAT8PASSBYVAL)
	{
		loaded->has_last = kpi_fact_moment_of_time(loaded->zone, loaded->type, value, &loaded->last);
		loaded->last_value = value;
	}
	*loaded_at = loaded->last;
	return loaded->has_last;
}

bool
kpi_fact_loaded_of_row(KpiLoadedAt *loaded, ExprContext *econtext, Oid definer, bool *is_busy, TimestampTz *loaded_at)
{
	RowCall		call = {.loaded = loaded,.econtext = econtext,.definer = definer,.is_busy = is_busy};
	MemoryContext oldcontext = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	ErrorData  *error = NULL;

	if (loaded->risk == KPI_EXPR_SAFE)
		evaluate(&call);
	else
		error = kpi_try(KPI_ERROR_TRAPPED, loaded->risk == KPI_EXPR_USER ? evaluate_as_definer : evaluate_trapped, &call);
	MemoryContextSwitchTo(oldcontext);
	return error == NULL && !call.isnull && moment_of(loaded, call.value, loaded_at);
}
