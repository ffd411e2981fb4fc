/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows of the table of a source, one by one, by an index where there is one.
 *
 * For who looks at single facts.  The statement over the relation with the given
 * OID says only which rows may be wanted, by conditions that an index can be used for: on
 * the time, the owner, the key.  What a row means is asked of it afterwards, of the
 * projection that capture uses (projection.c), and of expressions besides (KpiFactExpr), so a
 * row on which one of them fails costs the others nothing.
 *
 * A condition must not fail either: one that may is left out, but that on the time.  It is
 * tried: its rows are kept until the statement has come to its end, and if it fails the table is
 * read without any.
 *
 * As in cells.c the current user is the source's definer, and the table and its
 * leaves are locked.  Whoever takes a row may use subtransactions, so nothing is run in
 * parallel.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/table.h"
#include "base/base.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

/* Keys of more bytes may have been cut (key.c): no index finds them. */
#define MAX_INDEXED_KEY 400

#define ROWS_STATEMENT "rows of a source"

/* ---- conditions ---- */

/* Whether a text is an integer as it is written; one of more digits is none of ours. */
static bool
is_integer(const char *text)
{
	const char *digits = *text == '-' ? text + 1 : text;
	size_t		n = strspn(digits, "0123456789");

	return n > 0 && n <= 18 && digits[n] == '\0';
}

static bool
is_uuid(const char *text)
{
	return strlen(text) == 36 && strspn(text, "0123456789abcdef-") == 36 &&
		text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' &&
		strcspn(text, "-") == 8 && strspn(text + 24, "0123456789abcdef") == 12;
}

/* How keys are compared with an expression of this type; NULL: not by an index. */
static const char *
compared_type(Oid type, bool (**fits) (const char *text))
{
	*fits = NULL;
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			*fits = is_integer;
			return "pg_catalog.int8";
		case UUIDOID:
			*fits = is_uuid;
			return "pg_catalog.uuid";
		case TEXTOID:
		case VARCHAROID:
			return "pg_catalog.text";
		default:
			return NULL;
	}
}

/*
 * That an expression of this type is one of some keys; NULL: nothing can be said.  What no value
 * of the type can be is none of its rows.
 */
static char *
is_one_of(const char *expr, Oid type, List *keys)
{
	bool		(*fits) (const char *text);
	const char *compared = compared_type(type, &fits);
	StringInfoData sql;
	int			n = 0;
	ListCell   *lc;

	if (compared == NULL)
		return NULL;
	initStringInfo(&sql);
	appendStringInfo(&sql, "(%s) OPERATOR(pg_catalog.=) ANY (ARRAY[", expr);
	foreach(lc, keys)
	{
		const char *key = lfirst(lc);

		if (strlen(key) > MAX_INDEXED_KEY)
			return NULL;
		if (fits != NULL && !fits(key))
			continue;
		appendStringInfo(&sql, "%s%s::%s", n++ > 0 ? ", " : "", quote_literal_cstr(key), compared);
	}
	appendStringInfo(&sql, "]::%s[])", compared);
	return sql.data;
}

static Node *
analyse(ParseState *pstate, const KpiFactRows * wanted, Oid relid, const char *text)
{
	return kpi_fact_analyse_text(pstate, relid, text, wanted->source->code);
}

/* Whether a condition may fail, as the planner will have it. */
static bool
is_risky(Node *qual, Relation rel)
{
	Node	   *node = kpi_compat_expand_virtual(copyObject(qual), rel);

	return kpi_expr_risk((Node *) expression_planner((Expr *) node)) != KPI_EXPR_SAFE;
}

/* With a condition more, if it is none that may fail. */
static List *
add_condition(List *quals, ParseState *pstate, const KpiFactRows * wanted, Relation rel, const char *text)
{
	Node	   *qual = text ? analyse(pstate, wanted, RelationGetRelid(rel), text) : NULL;

	return qual && !is_risky(qual, rel) ? lappend(quals, qual) : quals;
}

/* The condition that an expression is one of some keys. */
static List *
add_keys(List *quals, ParseState *pstate, const KpiFactRows * wanted, Relation rel, const char *expr, List *keys)
{
	if (expr == NULL || keys == NIL)
		return quals;
	return add_condition(quals, pstate, wanted, rel,
						 is_one_of(expr, exprType(analyse(pstate, wanted, RelationGetRelid(rel), expr)), keys));
}

/* Conditions that wanted rows meet; *may_fail: one of them, on the time, may. */
static List *
conditions(ParseState *pstate, const KpiFactRows * wanted, Relation rel, bool *may_fail)
{
	Oid			relid = RelationGetRelid(rel);
	const KpiStream *stream = wanted->stream;
	KpiFactPart part = {.since = wanted->since,.until = wanted->until};
	char	   *near = NULL;
	List	   *quals = NIL;

	if (stream != NULL)
	{
		near = kpi_fact_near_days(stream, exprType(analyse(pstate, wanted, relid, stream->at)), &part);
		quals = add_keys(quals, pstate, wanted, rel, stream->owner, wanted->owners);
	}
	quals = add_keys(quals, pstate, wanted, rel, wanted->key_expr, wanted->key ? list_make1(unconstify(char *, wanted->key)) : NIL);
	if (!wanted->and_filtered)
		quals = add_condition(quals, pstate, wanted, rel, wanted->source->filter);
	if (near)
	{
		Node	   *qual = analyse(pstate, wanted, relid, near);

		*may_fail = is_risky(qual, rel);
		quals = lappend(quals, qual);
	}
	return quals;
}

/* ---- the statement ---- */

/* All columns of a row but those that are computed when they are read: expressions compute these themselves. */
static List *
all_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *targets = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr	   *expr;

		if (att->attisdropped || att->attgenerated == 'v')
			expr = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
		else
			expr = (Expr *) makeVar(1, i + 1, att->atttypid, att->atttypmod, att->attcollation, 0);
		targets = lappend(targets, makeTargetEntry(expr, i + 1, pstrdup(NameStr(att->attname)), false));
	}
	return targets;
}

/* TABLESAMPLE SYSTEM (percent) REPEATABLE (0) */
static TableSampleClause *
sample(double percent)
{
	TableSampleClause *clause = makeNode(TableSampleClause);

	clause->tsmhandler = F_SYSTEM;
	clause->args = list_make1(makeConst(FLOAT4OID, -1, InvalidOid, sizeof(float4), Float4GetDatum((float4) percent), false, true));
	clause->repeatable = (Expr *) makeConst(FLOAT8OID, -1, InvalidOid, sizeof(float8), Float8GetDatum(0), false, FLOAT8PASSBYVAL);
	return clause;
}

/*
 * ONLY the table unless it is partitioned, as kpi_fact_query() says.  *may_fail: a condition of it
 * may; without_conditions: all rows.
 */
static Query *
analyse_rows(const KpiFactRows * wanted, Relation rel, bool without_conditions, bool *may_fail)
{
	ParseState *pstate = kpi_expr_pstate(rel, NULL);
	RangeTblEntry *rte = linitial_node(RangeTblEntry, pstate->p_rtable);
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *quals = NIL;

	*may_fail = false;
	if (!without_conditions)
		quals = conditions(pstate, wanted, rel, may_fail);
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->targetList = all_columns(rel);
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref), quals ? (Node *) makeBoolExpr(AND_EXPR, quals, -1) : NULL);
	rte->inh = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	if (wanted->percent > 0)
		rte->tablesample = sample(wanted->percent);
	kpi_compat_set_relations(query, pstate);
	return query;
}

typedef struct RowReceiver
{
	DestReceiver receiver;		/* must be first */
	TupleTableSlot *row;		/* of the table */
	void		(*take) (void *arg, TupleTableSlot *row);
	void	   *arg;
	const bool *enough;			/* or NULL */
}			RowReceiver;

/* The values of a row in a slot that has the columns of the table; false: no more are wanted. */
static bool
hand_in(RowReceiver * receiver, TupleTableSlot *slot)
{
	TupleTableSlot *row = receiver->row;
	int			n = row->tts_tupleDescriptor->natts;

	slot_getallattrs(slot);
	ExecClearTuple(row);
	memcpy(row->tts_values, slot->tts_values, n * sizeof(Datum));
	memcpy(row->tts_isnull, slot->tts_isnull, n * sizeof(bool));
	ExecStoreVirtualTuple(row);
	receiver->take(receiver->arg, row);
	return receiver->enough == NULL || !*receiver->enough;
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	CHECK_FOR_INTERRUPTS();
	return hand_in((RowReceiver *) self, slot);
}

static void
receiver_noop(DestReceiver *self)
{
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
run(Query *query, Oid relid, List *leaves, DestReceiver *dest)
{
	PlannedStmt *plan = pg_plan_query(linitial_node(Query, pg_rewrite_query(query)), ROWS_STATEMENT, 0, NULL);
	QueryDesc  *desc;

	kpi_fact_check_relations(plan, relid, leaves);
	desc = CreateQueryDesc(plan, ROWS_STATEMENT, GetActiveSnapshot(), InvalidSnapshot, dest, NULL, NULL, 0);
	ExecutorStart(desc, 0);
	kpi_compat_run_once(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

typedef struct Attempt
{
	Query	   *query;
	Oid			relid;
	List	   *leaves;
	Tuplestorestate *rows;
} Attempt;

static void
attempt(void *arg)
{
	Attempt    *attempt = arg;
	DestReceiver *dest = CreateTuplestoreDestReceiver();

	SetTuplestoreDestReceiverParams(dest, attempt->rows, CurrentMemoryContext, true, NULL, NULL);
	run(attempt->query, attempt->relid, attempt->leaves, dest);
	dest->rDestroy(dest);
}

/* False: a condition failed, and no row was handed in. */
static bool
try_rows(Query *query, Oid relid, List *leaves, RowReceiver * receiver)
{
	Attempt		call = {query, relid, leaves, tuplestore_begin_heap(false, false, work_mem)};
	bool		succeeds = kpi_try(KPI_ERROR_TRAPPED, attempt, &call) == NULL;
	TupleTableSlot *slot;

	if (succeeds)
	{
		slot = MakeSingleTupleTableSlot(ExecCleanTypeFromTL(query->targetList), &TTSOpsMinimalTuple);
		while (tuplestore_gettupleslot(call.rows, true, false, slot))
		{
			CHECK_FOR_INTERRUPTS();
			if (!hand_in(receiver, slot))
				break;
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	tuplestore_end(call.rows);
	return succeeds;
}

void
kpi_fact_rows_run(const KpiFactRows * wanted, Oid relid, List *leaves,
				  void (*take) (void *arg, TupleTableSlot *row), void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi rows query", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = table_open(relid, AccessShareLock);
	RowReceiver receiver = {
		.receiver = {
			.receiveSlot = receive_row,
			.rStartup = receiver_startup,
			.rShutdown = receiver_noop,
			.rDestroy = receiver_noop,
			.mydest = DestNone
		},
		.row = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual),
		.take = take,
		.arg = arg,
		.enough = wanted->enough
	};
	bool		may_fail;
	Query	   *query = analyse_rows(wanted, rel, false, &may_fail);

	if (!may_fail)
		run(query, relid, leaves, &receiver.receiver);
	else if (!try_rows(query, relid, leaves, &receiver))
		run(analyse_rows(wanted, rel, true, &may_fail), relid, leaves, &receiver.receiver);
	ExecDropSingleTupleTableSlot(receiver.row);
	table_close(rel, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* ---- expressions over a row ---- */

struct KpiFactExpr
{
	ExprState  *state;
	Oid			type;
	Bitmapset  *columns;
	ExprContext *econtext;
	TupleTableSlot *row;		/* while it is evaluated */
	Datum		value;
	bool		isnull;
	KpiExprRisk risk;
};

KpiFactExpr *
kpi_fact_expr_compile(const KpiSource *source, Oid relid, const char *text)
{
	KpiFactExpr *expr = palloc0(sizeof(KpiFactExpr));
	bool		user_code;
	Node	   *node = kpi_expr_compile(relid, text, &expr->columns, &expr->risk, &user_code, source->code, NULL);

	expr->risk = kpi_expr_risk(node);
	expr->type = exprType(node);
	expr->econtext = CreateStandaloneExprContext();
	expr->state = ExecInitExpr((Expr *) node, NULL);
	return expr;
}

static void
evaluate(void *arg)
{
	KpiFactExpr *expr = arg;

	expr->value = ExecEvalExpr(expr->state, expr->econtext, &expr->isnull);
}

bool
kpi_fact_expr_value(KpiFactExpr *expr, TupleTableSlot *row, Datum *value, bool *isnull)
{
	MemoryContext old = MemoryContextSwitchTo(expr->econtext->ecxt_per_tuple_memory);
	ErrorData  *error = NULL;

	MemoryContextReset(expr->econtext->ecxt_per_tuple_memory);
	expr->econtext->ecxt_scantuple = row;
	if (expr->risk == KPI_EXPR_SAFE)
		evaluate(expr);
	else
		error = kpi_try(KPI_ERROR_TRAPPED, evaluate, expr);
	MemoryContextSwitchTo(old);
	*value = expr->value;
	*isnull = expr->isnull;
	return error == NULL;
}

Oid
kpi_fact_expr_type(const KpiFactExpr *expr)
{
	return expr->type;
}

const Bitmapset *
kpi_fact_expr_columns(const KpiFactExpr *expr)
{
	return expr->columns;
}
