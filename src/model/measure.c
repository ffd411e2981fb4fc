/*-------------------------------------------------------------------------
 *
 * measure.c
 *	  Parsing of measures: sum(amount), rate(won, closed), ...
 *
 * A measure is written as the SQL aggregate itself; what is stored are the
 * expressions of its inputs, with the KPI's filter and the casts already in
 * them.  What is particular to a kind of measure stands in its KpiMeasureKind,
 * as what its states do stands in its KpiKindOps (room cell): a new kind is a
 * file of these and a row in the table below.
 *
 * A filter guards the inputs as an aggregate's FILTER does: on a row that it
 * leaves out they are not evaluated, so they cannot fail there.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "expr/expr.h"
#include "model/model_internal.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_node.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* In the order in which hints name them. */
static const KpiMeasureKind *const measure_kinds[] = {
	&kpi_model_measure_count,
	&kpi_model_measure_distinct,
	&kpi_model_measure_distinct_approx,
	&kpi_model_measure_sum,
	&kpi_model_measure_avg,
	&kpi_model_measure_rate,
	&kpi_model_measure_ratio,
	&kpi_model_measure_median,
	&kpi_model_measure_percentile,
	&kpi_model_measure_stddev,
	&kpi_model_measure_variance,
	&kpi_model_measure_balance,
	&kpi_model_measure_min,
	&kpi_model_measure_max,
	&kpi_model_measure_first,
	&kpi_model_measure_last
};

/* By the name of a kind of states; NULL if measures make none of these. */
static const KpiMeasureKind *
find_kind(const char *name)
{
	KpiKind		kind;

	if (!kpi_cell_kind_parse(name, &kind))
		return NULL;
	for (int i = 0; i < lengthof(measure_kinds); i++)
	{
		if (measure_kinds[i]->kind == kind)
			return measure_kinds[i];
	}
	return NULL;
}

/* By what is written; NULL if nothing is called so. */
static const KpiMeasureKind *
find_way(const char *name, bool distinct)
{
	for (int i = 0; i < lengthof(measure_kinds); i++)
	{
		if (measure_kinds[i]->distinct == distinct && strcmp(measure_kinds[i]->name, name) == 0)
			return measure_kinds[i];
	}
	return NULL;
}

KpiMeasureRange
kpi_model_measure_range(const char *kind)
{
	const KpiMeasureKind *found = kind ? find_kind(kind) : NULL;

	return found ? found->range : KPI_RANGE_ANY;
}

KpiReach
kpi_model_measure_reach(const char *kind)
{
	const KpiMeasureKind *found = find_kind(kind);

	return found ? found->reach : KPI_REACH_LATER;
}

/* ---- errors ---- */

/* A sentence that names what can be written. */
static char *
supported_measures(void)
{
	StringInfoData hint;
	int			last = lengthof(measure_kinds) - 1;

	initStringInfo(&hint);
	for (int i = 0; i <= last; i++)
	{
		if (i > 0 && strcmp(measure_kinds[i]->name, measure_kinds[i - 1]->name) == 0)
			continue;
		appendStringInfo(&hint, "%s%s", i == 0 ? "The measures are " : i < last ? ", " : " and ",
						 measure_kinds[i]->name);
	}
	appendStringInfoChar(&hint, '.');
	return hint.data;
}

/* How one is written. */
static char *
usage(const KpiMeasureKind *kind)
{
	return psprintf("Write %s.", kind->usage);
}

pg_noreturn static void
fail(int location, const char *text, int code, const char *message, const char *hint)
{
	ParseState *pstate = make_parsestate(NULL);

	pstate->p_sourcetext = text;
	ereport(ERROR,
			(errcode(code),
			 errmsg("%s", message),
			 errhint("%s", hint),
			 parser_errposition(pstate, location)));
}

void
kpi_model_measure_fail(const KpiMeasureCall *call, int arg, const char *message, const char *hint)
{
	fail(call->locations[arg], call->text, ERRCODE_DATATYPE_MISMATCH, message, hint);
}

/* ---- the call ---- */

/* The kind that the aggregate's name says, with or without "pg_catalog." before it. */
static const KpiMeasureKind *
measure_kind(FuncCall *func, const char *text)
{
	const KpiMeasureKind *found = NULL;
	const char *name = strVal(llast(func->funcname));

	if (list_length(func->funcname) == 1 ||
		(list_length(func->funcname) == 2 &&
		 strcmp(strVal(linitial(func->funcname)), "pg_catalog") == 0))
		found = find_way(name, func->agg_distinct);
	if (found == NULL && func->agg_distinct && find_way(name, false) != NULL)
		fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 psprintf("DISTINCT is not supported in %s()", name), supported_measures());
	if (found == NULL)
		fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 psprintf("measure %s() is not supported", NameListToString(func->funcname)),
			 supported_measures());
	return found;
}

static void
check_call(FuncCall *func, const KpiMeasureKind *kind, const char *text)
{
	if (func->agg_filter != NULL)
		fail(exprLocation(func->agg_filter), text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "FILTER is not supported in a measure",
			 "Give the condition as the KPI's filter.");
	if (func->over != NULL)
		fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "OVER is not supported in a measure", usage(kind));
	if (func->agg_order != NIL || func->agg_within_group)
		fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "ORDER BY is not supported in a measure", usage(kind));

	if ((func->agg_star && !kind->takes_star) || func->func_variadic)
		fail(func->location, text, ERRCODE_INVALID_PARAMETER_VALUE,
			 psprintf(kind->nargs == 1 ? "%s() takes one argument" : "%s() takes two arguments", kind->name),
			 usage(kind));
}

/* Which argument a name is of. */
static int
option_number(const NamedArgExpr *arg, const KpiMeasureKind *kind, const char *text)
{
	for (int i = kind->nargs; i < kind->nargs + kind->noptions; i++)
	{
		if (strcmp(kind->names[i], arg->name) == 0)
			return i;
	}
	fail(arg->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
		 psprintf("%s() has no argument \"%s\"", kind->name, arg->name),
		 kind->noptions == 0 ? "Write the expressions only, in their order." : usage(kind));
}

/* Puts the arguments into the places that they are of, by order or by name. */
static void
place_arguments(FuncCall *func, const KpiMeasureKind *kind, const char *text, Node **places)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, func->args)
	{
		Node	   *arg = lfirst(lc);
		int			place = n;

		if (IsA(arg, NamedArgExpr))
		{
			place = option_number((NamedArgExpr *) arg, kind, text);
			arg = (Node *) ((NamedArgExpr *) arg)->arg;
		}
		else if (n++ >= kind->nargs)
			break;
		if (places[place] != NULL)
			fail(exprLocation(arg), text, ERRCODE_INVALID_PARAMETER_VALUE,
				 psprintf("argument \"%s\" of %s() is given twice", kind->names[place], kind->name),
				 usage(kind));
		places[place] = arg;
	}
	if (n != kind->nargs && !func->agg_star)
		fail(func->location, text, ERRCODE_INVALID_PARAMETER_VALUE,
			 psprintf(kind->nargs == 1 ? "%s() takes one argument" : "%s() takes two arguments", kind->name),
			 usage(kind));
}

/* One aggregate call and nothing around it. */
static FuncCall *
measure_call(const char *text)
{
	Node	   *raw = kpi_expr_raw(text);

	if (!IsA(raw, FuncCall))
		fail(exprLocation(raw), text, ERRCODE_INVALID_PARAMETER_VALUE,
			 "a measure is one aggregate, and nothing around it",
			 psprintf("%s Combine KPIs with a KPI that has a formula.", supported_measures()));
	return (FuncCall *) raw;
}

/* ---- arguments ---- */

bool
kpi_model_measure_is_interval(const KpiMeasureCall *call, int arg)
{
	return getBaseType(call->args[arg].type) == INTERVALOID;
}

/*
 * The text of a number as cells take it (kpi_cell_input_type()): numbers as they
 * are, durations in seconds.  A float is not cast to numeric, which would
 * round it: the cell reads it exactly.
 */
static char *
number_value(const KpiMeasureCall *call, int arg)
{
	const KpiExpr *expr = &call->args[arg];
	Oid			base = getBaseType(expr->type);

	switch (base)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
			if (expr->type == base)
				return expr->text;
			return psprintf("(%s)::%s", expr->text, format_type_be(base));
		case INTERVALOID:
			return psprintf("EXTRACT(epoch FROM %s)", expr->text);
		case CASHOID:
			kpi_model_measure_fail(call, arg, "type money has no fixed meaning: it follows lc_monetary",
								   "Keep amounts in a column of type numeric.");
		default:
			kpi_model_measure_fail(call, arg,
								   psprintf("a number or an interval is needed, not type %s: %s",
											format_type_be(expr->type), expr->text),
								   base == BOOLOID ?
								   "Count facts with count(*) and a filter, or take their share with rate()." :
								   "Cast it, for example to numeric.");
	}
}

static char *
condition_value(const KpiMeasureCall *call, int arg)
{
	const KpiExpr *expr = &call->args[arg];

	if (getBaseType(expr->type) != BOOLOID)
		kpi_model_measure_fail(call, arg,
							   psprintf("a condition is needed, not type %s: %s",
										format_type_be(expr->type), expr->text),
							   "Write a comparison, like stage = 'won'.");
	return expr->type == BOOLOID ? expr->text : psprintf("(%s)::boolean", expr->text);
}

/* A number as it is written: the states or the value depend on it, and no fact does. */
static char *
constant_value(const KpiMeasureCall *call, int arg, const Node *raw)
{
	const A_Const *written = (const A_Const *) raw;

	if (!IsA(raw, A_Const) || written->isnull || !(IsA(&written->val, Integer) || IsA(&written->val, Float)))
		kpi_model_measure_fail(call, arg,
							   psprintf("a number is needed, not an expression: %s", call->args[arg].text),
							   "Write it as it is, like 0.9.");
	if (IsA(&written->val, Integer))
		return psprintf("%d", intVal(&written->val));
	return pstrdup(castNode(Float, (Node *) &written->val)->fval);
}

float8
kpi_model_measure_constant(const KpiMeasureCall *call, int arg, float8 least, float8 most,
						   const char *message, const char *hint)
{
	float8		number = strtod(call->values[arg], NULL);

	if (!(number >= least && number <= most))
		fail(call->locations[arg], call->text, ERRCODE_INVALID_PARAMETER_VALUE,
			 psprintf("%s, not %s", message, call->values[arg]), hint);
	return number;
}

/* The text of an argument as cells take it; error if it is of another type. */
static char *
argument_value(const KpiMeasureCall *call, int arg, KpiMeasureArg type, const Node *raw)
{
	switch (type)
	{
		case KPI_ARG_CONDITION:
			return condition_value(call, arg);
		case KPI_ARG_NUMBER:
			return number_value(call, arg);
		case KPI_ARG_CONSTANT:
			return constant_value(call, arg, raw);
		case KPI_ARG_KEY:
			return kpi_expr_key_text(&call->args[arg], psprintf("argument of %s", call->text));
		case KPI_ARG_ANY:
			break;
	}
	return call->args[arg].text;
}

/* Units that durations can be shown in, and their length in seconds. */
static int32
duration_divisor(const char *unit, const char *kpi_name)
{
	static const struct
	{
		const char *singular;
		const char *plural;
		int32		seconds;
	}			units[] = {
		{"second", "seconds", 1},
		{"minute", "minutes", 60},
		{"hour", "hours", 3600},
		{"day", "days", 86400},
		{"week", "weeks", 604800}
	};

	for (int i = 0; i < lengthof(units); i++)
	{
		if (pg_strcasecmp(unit, units[i].singular) == 0 ||
			pg_strcasecmp(unit, units[i].plural) == 0)
			return units[i].seconds;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unit \"%s\" of KPI \"%s\" is no unit of durations", unit, kpi_name),
			 errhint("The measure is over an interval: its unit is one of seconds, minutes, hours, days (the default) and weeks.")));
	return 0;
}

void
kpi_model_measure_set_duration(KpiMeasureDef *def, const KpiMeasureCall *call)
{
	if (def->unit == NULL)
		def->unit = pstrdup("days");
	def->divisor = duration_divisor(def->unit, call->kpi_name);
}

char *
kpi_model_measure_filtered(const KpiMeasureCall *call, const char *condition)
{
	return call->filter == NULL ? pstrdup(condition) : psprintf("(%s) AND (%s)", call->filter, condition);
}

char *
kpi_model_measure_filtered_value(const KpiMeasureCall *call, int arg)
{
	return call->filter == NULL ? pstrdup(call->values[arg]) :
		psprintf("CASE WHEN (%s) THEN (%s) END", call->filter, call->values[arg]);
}

void
kpi_model_measure_take_value(KpiMeasureDef *def, const KpiMeasureCall *call, int arg)
{
	def->inputs = list_make1(kpi_model_measure_filtered_value(call, arg));
	def->has_value = psprintf("(%s) IS NOT NULL", call->values[arg]);
}

/* As kpi.kpi.measure shows it. */
static char *
measure_text(const KpiMeasureKind *kind, const KpiMeasureCall *call)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s(%s%s", kind->name, call->star ? "*" : "", kind->distinct ? "DISTINCT " : "");
	for (int i = 0; i < kind->nargs + kind->noptions; i++)
	{
		if (!call->given[i])
			continue;
		appendStringInfoString(&text, i == 0 ? "" : ", ");
		if (i >= kind->nargs)
			appendStringInfo(&text, "%s => ", kind->names[i]);
		appendStringInfoString(&text, call->args[i].text);
	}
	appendStringInfoChar(&text, ')');
	return text.data;
}

KpiMeasureDef *
kpi_model_measure_parse(Oid relid, const char *text, const char *filter,
						const char *unit, const char *kpi_name)
{
	KpiMeasureDef *def = palloc0(sizeof(KpiMeasureDef));
	KpiMeasureCall call = {.text = text,.kpi_name = kpi_name,.filter = filter};
	const KpiMeasureKind *kind;
	Node	   *places[KPI_MEASURE_MAX_ARGS] = {NULL};
	KpiExprSite site;
	FuncCall   *func;

	kpi_expr_site_push(&site, text, psprintf("measure of KPI \"%s\"", kpi_name), relid);
	func = measure_call(text);
	kind = measure_kind(func, text);
	check_call(func, kind, text);
	place_arguments(func, kind, text, places);
	def->kind = kind->kind;
	def->options = "";
	def->filter = filter;
	def->is_large = kind->is_large;
	def->divisor = 1;
	def->unit = unit == NULL ? NULL : pstrdup(unit);
	def->additive = kind->additive;

	call.star = func->agg_star;
	for (int i = 0; i < KPI_MEASURE_MAX_ARGS; i++)
	{
		if (places[i] == NULL)
			continue;
		call.given[i] = true;
		call.locations[i] = exprLocation(places[i]);
		call.args[i] = kpi_expr_check_raw(&site, places[i]);
	}
	for (int i = 0; i < KPI_MEASURE_MAX_ARGS; i++)
	{
		if (!call.given[i])
			continue;
		call.values[i] = argument_value(&call, i, kind->args[i], places[i]);
		if (kind->args[i] == KPI_ARG_NUMBER)
			def->numbers = lappend(def->numbers, call.values[i]);
	}
	kind->set_inputs(def, &call);
	Assert(list_length(def->inputs) == kpi_cell_kind_ninputs(def->kind) || kpi_model_measure_is_ordered(def->kind));
	def->text = measure_text(kind, &call);
	kpi_expr_site_pop(&site);
	return def;
}
