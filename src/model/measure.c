/*-------------------------------------------------------------------------
 *
 * measure.c
 *	  Parsing of measures: sum(amount), rate(won, closed), ...
 *
 * A measure is written as the SQL aggregate itself; what is stored are the
 * expressions of its inputs, one row each, with the KPI's filter and the
 * casts already in them.
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
#include "model/model.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_node.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define MEASURES_HINT "Supported are count(*), count(x), sum(x), avg(x), rate(condition, of) and ratio(numerator, denominator)."

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

/* The name of the aggregate, with or without "pg_catalog." before it. */
static KpiKind
measure_kind(FuncCall *call, const char *text)
{
	char	   *name = strVal(llast(call->funcname));
	KpiKind		kind;

	if (list_length(call->funcname) == 1 ||
		(list_length(call->funcname) == 2 &&
		 strcmp(strVal(linitial(call->funcname)), "pg_catalog") == 0))
	{
		if (kpi_cell_kind_parse(name, &kind) && kind >= KPI_COUNT && kind <= KPI_RATIO)
			return kind;
	}
	fail(call->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
		 psprintf("measure %s() is not supported", NameListToString(call->funcname)),
		 MEASURES_HINT);
}

static void
check_call(FuncCall *call, KpiKind kind, const char *text)
{
	const char *name = kpi_cell_kind_name(kind);
	int			wanted = (kind == KPI_RATE || kind == KPI_RATIO) ? 2 : 1;
	ListCell   *lc;

	if (call->agg_filter != NULL)
		fail(exprLocation(call->agg_filter), text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "FILTER is not supported in a measure",
			 "Give the condition as the KPI's filter.");
	if (call->over != NULL)
		fail(call->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "OVER is not supported in a measure", MEASURES_HINT);
	if (call->agg_distinct)
		fail(call->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "DISTINCT is not supported in a measure", MEASURES_HINT);
	if (call->agg_order != NIL || call->agg_within_group)
		fail(call->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
			 "ORDER BY is not supported in a measure", MEASURES_HINT);

	if (call->agg_star && kind == KPI_COUNT)
		return;
	if (call->agg_star || call->func_variadic || list_length(call->args) != wanted)
		fail(call->location, text, ERRCODE_INVALID_PARAMETER_VALUE,
			 psprintf(wanted == 1 ? "%s() takes one argument" : "%s() takes two arguments", name),
			 MEASURES_HINT);
	foreach(lc, call->args)
	{
		if (IsA(lfirst(lc), NamedArgExpr))
			fail(call->location, text, ERRCODE_FEATURE_NOT_SUPPORTED,
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
			 MEASURES_HINT " Combine KPIs with a KPI that has a formula.");
	return (FuncCall *) raw;
}

static bool
is_interval(const KpiExpr *expr)
{
	return getBaseType(expr->type) == INTERVALOID;
}

/*
 * The text of a number as cells take it (kpi_cell_input_type()): numbers as they
 * are, durations in seconds.  A float is not cast to numeric, which would
 * round it: the cell reads it exactly.
 */
static char *
number_input(const KpiExpr *expr, const char *text, int location)
{
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
			fail(location, text, ERRCODE_DATATYPE_MISMATCH,
				 "type money has no fixed meaning: it follows lc_monetary",
				 "Keep amounts in a column of type numeric.");
			break;
		default:
			fail(location, text, ERRCODE_DATATYPE_MISMATCH,
				 psprintf("a number or an interval is needed, not type %s: %s",
						  format_type_be(expr->type), expr->text),
				 base == BOOLOID ?
				 "Count facts with count(*) and a filter, or take their share with rate()." :
				 "Cast it, for example to numeric.");
	}
	return NULL;
}

static char *
boolean_input(const KpiExpr *expr, const char *text, int location)
{
	if (getBaseType(expr->type) != BOOLOID)
		fail(location, text, ERRCODE_DATATYPE_MISMATCH,
			 psprintf("a condition is needed, not type %s: %s",
					  format_type_be(expr->type), expr->text),
			 "Write a comparison, like stage = 'won'.");
	return expr->type == BOOLOID ? expr->text : psprintf("(%s)::boolean", expr->text);
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

/* The value is a duration: it needs a unit, and a divisor from seconds. */
static void
set_duration(KpiMeasureDef *def, const char *kpi_name)
{
	if (def->unit == NULL)
		def->unit = pstrdup("days");
	def->divisor = duration_divisor(def->unit, kpi_name);
}

static char *
guarded_condition(const char *filter, const char *condition)
{
	return filter == NULL ? pstrdup(condition) : psprintf("(%s) AND (%s)", filter, condition);
}

static char *
guarded_value(const char *filter, const char *value)
{
	return filter == NULL ? pstrdup(value) : psprintf("CASE WHEN (%s) THEN (%s) END", filter, value);
}

static void
set_count(KpiMeasureDef *def, FuncCall *call, KpiExpr *args, const char *filter)
{
	if (call->agg_star)
	{
		def->input1 = pstrdup(filter ? filter : "true");
		def->text = pstrdup("count(*)");
		return;
	}
	/* A row value whose fields are all null counts: IS NOT NULL differs. */
	def->input1 = guarded_condition(filter,
									psprintf(type_is_rowtype(args[0].type) ?
											 "(%s) IS DISTINCT FROM NULL" : "(%s) IS NOT NULL",
											 args[0].text));
}

static void
set_ratio(KpiMeasureDef *def, KpiExpr *args, const char *filter, const char *text,
		  const int *locations, const char *kpi_name)
{
	def->input1 = guarded_value(filter, number_input(&args[0], text, locations[0]));
	def->input2 = guarded_value(filter, number_input(&args[1], text, locations[1]));
	if (is_interval(&args[1]) && !is_interval(&args[0]))
		fail(locations[1], text, ERRCODE_DATATYPE_MISMATCH,
			 "the denominator is an interval, the numerator is not",
			 "Say in which unit the interval counts, like EXTRACT(epoch FROM x) / 3600.");
	if (is_interval(&args[0]) && !is_interval(&args[1]))
		set_duration(def, kpi_name);
}

static void
set_inputs(KpiMeasureDef *def, FuncCall *call, KpiExpr *args, const int *locations,
		   const char *text, const char *filter, const char *kpi_name)
{
	switch (def->kind)
	{
		case KPI_COUNT:
			set_count(def, call, args, filter);
			break;
		case KPI_SUM:
		case KPI_AVG:
			def->input1 = guarded_value(filter, number_input(&args[0], text, locations[0]));
			if (is_interval(&args[0]))
				set_duration(def, kpi_name);
			break;
		case KPI_RATE:
			def->input1 = boolean_input(&args[0], text, locations[0]);
			if (args[0].risk != KPI_EXPR_SAFE)
				def->input1 = guarded_condition(filter, def->input1);
			def->input2 = guarded_condition(filter, boolean_input(&args[1], text, locations[1]));
			break;
		case KPI_RATIO:
			set_ratio(def, args, filter, text, locations, kpi_name);
			break;
		default:
			elog(ERROR, "unexpected kind of measure: %d", (int) def->kind);
	}
}

KpiMeasureDef *
kpi_model_measure_parse(Oid relid, const char *text, const char *filter,
						const char *unit, const char *kpi_name)
{
	KpiMeasureDef *def = palloc0(sizeof(KpiMeasureDef));
	KpiExprSite site;
	FuncCall   *call;
	KpiExpr		args[2];
	int			locations[2];
	int			nargs = 0;
	ListCell   *lc;

	kpi_expr_site_push(&site, text, psprintf("measure of KPI \"%s\"", kpi_name), relid);
	call = measure_call(text);
	def->kind = measure_kind(call, text);
	def->divisor = 1;
	def->unit = unit == NULL ? NULL : pstrdup(unit);
	def->additive = def->kind == KPI_COUNT || def->kind == KPI_SUM;

	check_call(call, def->kind, text);
	foreach(lc, call->args)
	{
		locations[nargs] = exprLocation(lfirst(lc));
		args[nargs++] = kpi_expr_check_raw(&site, lfirst(lc));
	}
	set_inputs(def, call, args, locations, text, filter, kpi_name);
	if (def->text == NULL)
		def->text = nargs == 1 ?
			psprintf("%s(%s)", kpi_cell_kind_name(def->kind), args[0].text) :
			psprintf("%s(%s, %s)", kpi_cell_kind_name(def->kind), args[0].text, args[1].text);
	kpi_expr_site_pop(&site);
	return def;
}
