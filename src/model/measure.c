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

/* By KpiKind; NULL: no measure is of this kind. */
static const KpiMeasureKind *const measure_kinds[] = {
	[KPI_COUNT] = &kpi_model_measure_count,
	[KPI_SUM] = &kpi_model_measure_sum,
	[KPI_AVG] = &kpi_model_measure_avg,
	[KPI_RATE] = &kpi_model_measure_rate,
	[KPI_RATIO] = &kpi_model_measure_ratio
};

/* NULL if the name is no kind of measure. */
static const KpiMeasureKind *
find_kind(const char *name, KpiKind *kind)
{
	if (!kpi_cell_kind_parse(name, kind) || *kind >= lengthof(measure_kinds))
		return NULL;
	return measure_kinds[*kind];
}

KpiMeasureRange
kpi_model_measure_range(const char *kind)
{
	KpiKind		number;
	const KpiMeasureKind *found = kind ? find_kind(kind, &number) : NULL;

	return found ? found->range : KPI_RANGE_ANY;
}

KpiReach
kpi_model_measure_reach(const char *kind)
{
	KpiKind		number;
	const KpiMeasureKind *found = find_kind(kind, &number);

	return found ? found->reach : KPI_REACH_LATER;
}

/* ---- errors ---- */

/* A sentence that lists what can be written. */
static char *
supported_measures(void)
{
	StringInfoData hint;
	int			last = lengthof(measure_kinds) - 1;

	initStringInfo(&hint);
	for (int i = 0; i <= last; i++)
	{
		if (measure_kinds[i] != NULL)
			appendStringInfo(&hint, "%s%s", hint.len == 0 ? "Supported are " : i < last ? ", " : " and ",
							 measure_kinds[i]->usage);
	}
	appendStringInfoChar(&hint, '.');
	return hint.data;
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
measure_kind(FuncCall *func, const char *text, KpiKind *kind)
{
	const KpiMeasureKind *found = NULL;

	if (list_length(func->funcname) == 1 ||
		(list_length(func->funcname) == 2 &&
		 strcmp(strVal(linitial(func->funcname)), "pg_catalog") == 0))
		found = find_kind(strVal(llast(func->funcname)), kind);
	if (found == NULL)
		fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 psprintf("measure %s() is not supported", NameListToString(func->funcname)),
			 supported_measures());
	return found;
}

static void
check_call(FuncCall *func, const KpiMeasureKind *kind, const char *name, const char *text)
{
	ListCell   *lc;

	if (func->agg_filter != NULL)
		fail(exprLocation(func->agg_filter), text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "FILTER is not supported in a measure",
			 "Give the condition as the KPI's filter.");
	if (func->over != NULL)
		fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "OVER is not supported in a measure", supported_measures());
	if (func->agg_distinct)
		fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "DISTINCT is not supported in a measure", supported_measures());
	if (func->agg_order != NIL || func->agg_within_group)
		fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "ORDER BY is not supported in a measure", supported_measures());

	if (func->agg_star && kind->takes_star)
		return;
	if (func->agg_star || func->func_variadic || list_length(func->args) != kind->nargs)
		fail(func->location, text, ERRCODE_INVALID_PARAMETER_VALUE,
			 psprintf(kind->nargs == 1 ? "%s() takes one argument" : "%s() takes two arguments", name),
			 supported_measures());
	foreach(lc, func->args)
	{
		if (IsA(lfirst(lc), NamedArgExpr))
			fail(func->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
				 psprintf("arguments of %s() have no names", name),
				 "Write the expressions only, in their order.");
	}
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

/* The text of an argument as cells take it; error if it is of another type. */
static char *
argument_value(const KpiMeasureCall *call, int arg, KpiMeasureArg type)
{
	switch (type)
	{
		case KPI_ARG_CONDITION:
			return condition_value(call, arg);
		case KPI_ARG_NUMBER:
			return number_value(call, arg);
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

/* As kpi.kpi.measure shows it. */
static char *
measure_text(const char *name, const KpiMeasureCall *call, int nargs)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s(%s", name, call->star ? "*" : "");
	for (int i = 0; i < nargs; i++)
		appendStringInfo(&text, "%s%s", i == 0 ? "" : ", ", call->args[i].text);
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
	const char *name;
	KpiExprSite site;
	FuncCall   *func;
	int			nargs = 0;
	ListCell   *lc;

	kpi_expr_site_push(&site, text, psprintf("measure of KPI \"%s\"", kpi_name), relid);
	func = measure_call(text);
	kind = measure_kind(func, text, &def->kind);
	name = kpi_cell_kind_name(def->kind);
	check_call(func, kind, name, text);
	def->divisor = 1;
	def->unit = unit == NULL ? NULL : pstrdup(unit);
	def->additive = kind->additive;

	call.star = func->agg_star;
	foreach(lc, func->args)
	{
		call.locations[nargs] = exprLocation(lfirst(lc));
		call.args[nargs++] = kpi_expr_check_raw(&site, lfirst(lc));
	}
	for (int i = 0; i < nargs; i++)
		call.values[i] = argument_value(&call, i, kind->args[i]);
	kind->set_inputs(def, &call);
	Assert(list_length(def->inputs) == kpi_cell_kind_ninputs(def->kind));
	def->text = measure_text(name, &call, nargs);
	kpi_expr_site_pop(&site);
	return def;
}
