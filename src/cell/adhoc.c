/*-------------------------------------------------------------------------
 *
 * adhoc.c
 *	  Aggregates for SQL that measures have and PostgreSQL has not: kpi.rate(),
 *	  kpi.ratio(), kpi.percentile(), kpi.median(); model/adhoc_distinct.c has one more.
 *
 * They add facts to a cell of one measure and finalize it, as a KPI does, so the
 * number is the same.  As a cell is a group, a fact that leaves a window's frame
 * is taken away again, and the states of parallel workers are merged.
 *
 * Inputs are of type "any", so that each is read as what it is, which a cast to
 * a common type would not: bigint as exactly as real.  The transition state is
 * internal, not a cell, as a percentile has to know which one it is.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"
#include "catalog/pg_type.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define MEASURE_ID 1
#define MAX_INPUTS 2

/* The state of a group. */
typedef struct AdhocState
{
	KpiCell    *cell;
	float8		part;			/* the p of a percentile */
} AdhocState;

/* Of a call site, in fn_extra. */
typedef struct AdhocSite
{
	KpiLayout  *layout;
	int			first_input;	/* argument */
	bool		is_interval;
} AdhocSite;

/* ---- adding and taking away ---- */

static AdhocSite *
make_site(FunctionCallInfo fcinfo, const char *spec, int first_input)
{
	MemoryContext old_context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	AdhocSite  *site = palloc0(sizeof(AdhocSite));
	Oid			types[MAX_INPUTS];

	site->layout = kpi_cell_layout_parse(spec);
	site->first_input = first_input;
	for (int i = 0; i < site->layout->ninputs; i++)
		types[i] = get_fn_expr_argtype(fcinfo->flinfo, first_input + i);
	if (site->layout->ninputs == 1 && getBaseType(types[0]) == INTERVALOID)
	{
		site->is_interval = true;
		types[0] = NUMERICOID;
	}
	kpi_cell_layout_input_types(site->layout, types);
	MemoryContextSwitchTo(old_context);
	fcinfo->flinfo->fn_extra = site;
	return site;
}

/* As measures have it (model/measure.c). */
static Datum
interval_seconds(Datum interval)
{
	return DirectFunctionCall2(extract_interval, PointerGetDatum(cstring_to_text("epoch")), interval);
}

Datum
kpi_cell_adhoc_change(FunctionCallInfo fcinfo, const KpiLayout *layout, Datum *inputs, const bool *isnull, int sign)
{
	AdhocState *state = PG_ARGISNULL(0) ? NULL : (AdhocState *) PG_GETARG_POINTER(0);
	MemoryContext context;
	MemoryContext old_context;
	KpiCell    *cell;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	old_context = MemoryContextSwitchTo(context);
	if (state == NULL)
	{
		state = palloc0(sizeof(AdhocState));
		state->cell = kpi_cell_for_layout(layout);
	}
	cell = kpi_cell_add_fact(state->cell, layout, inputs, isnull, NULL, sign);
	if (cell != state->cell)
		pfree(state->cell);
	state->cell = cell;
	MemoryContextSwitchTo(old_context);
	return PointerGetDatum(state);
}

/* Adds the fact that the arguments are, or takes it away; NULL arguments, too. */
static AdhocState *
change_state(FunctionCallInfo fcinfo, const char *spec, int first_input, int sign)
{
	AdhocSite  *site = fcinfo->flinfo->fn_extra;
	Datum		inputs[MAX_INPUTS];
	bool		isnull[MAX_INPUTS];

	if (unlikely(site == NULL))
		site = make_site(fcinfo, spec, first_input);
	for (int i = 0; i < site->layout->ninputs; i++)
	{
		inputs[i] = PG_GETARG_DATUM(first_input + i);
		isnull[i] = PG_ARGISNULL(first_input + i);
	}
	if (site->is_interval && !isnull[0])
		inputs[0] = interval_seconds(inputs[0]);
	return (AdhocState *) DatumGetPointer(kpi_cell_adhoc_change(fcinfo, site->layout, inputs, isnull, sign));
}

/* The p of a percentile, the same for all rows of a group. */
static void
set_part(AdhocState *state, bool is_new, FunctionCallInfo fcinfo)
{
	float8		part;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the p of kpi.percentile() must not be null")));
	part = PG_GETARG_FLOAT8(1);
	if (!(part >= 0 && part <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a percentile must be from 0 to 1, not %g", part),
				 errhint("Write the share of values below the one wanted first, like kpi.percentile(0.9, x).")));
	if (is_new)
		state->part = part;
	else if (part != state->part)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the p of kpi.percentile() must be the same for all rows of a group")));
}

#define ADHOC_FUNCTIONS(name, spec) \
PG_FUNCTION_INFO_V1(kpi_sql_##name##_add); \
Datum \
kpi_sql_##name##_add(PG_FUNCTION_ARGS) \
{ \
	PG_RETURN_POINTER(change_state(fcinfo, spec, 1, 1)); \
} \
PG_FUNCTION_INFO_V1(kpi_sql_##name##_remove); \
Datum \
kpi_sql_##name##_remove(PG_FUNCTION_ARGS) \
{ \
	PG_RETURN_POINTER(change_state(fcinfo, spec, 1, -1)); \
}

ADHOC_FUNCTIONS(rate, "1:rate")
ADHOC_FUNCTIONS(ratio, "1:ratio")

PG_FUNCTION_INFO_V1(kpi_sql_median_add);
Datum
kpi_sql_median_add(PG_FUNCTION_ARGS)
{
	AdhocState *state = change_state(fcinfo, "1:percentile", 1, 1);

	state->part = 0.5;
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(kpi_sql_median_remove);
Datum
kpi_sql_median_remove(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(change_state(fcinfo, "1:percentile", 1, -1));
}

PG_FUNCTION_INFO_V1(kpi_sql_percentile_add);
Datum
kpi_sql_percentile_add(PG_FUNCTION_ARGS)
{
	AdhocState *state = change_state(fcinfo, "1:percentile", 2, 1);

	set_part(state, PG_ARGISNULL(0), fcinfo);
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(kpi_sql_percentile_remove);
Datum
kpi_sql_percentile_remove(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(change_state(fcinfo, "1:percentile", 2, -1));
}

/* ---- states of parallel workers ---- */

PG_FUNCTION_INFO_V1(kpi_sql_adhoc_combine);
Datum
kpi_sql_adhoc_combine(PG_FUNCTION_ARGS)
{
	AdhocState *state = PG_ARGISNULL(0) ? NULL : (AdhocState *) PG_GETARG_POINTER(0);
	AdhocState *other = PG_ARGISNULL(1) ? NULL : (AdhocState *) PG_GETARG_POINTER(1);
	MemoryContext context;
	MemoryContext old_context;
	KpiCell    *cell;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (other == NULL)
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	old_context = MemoryContextSwitchTo(context);
	if (state == NULL)
	{
		state = palloc(sizeof(AdhocState));
		state->part = other->part;
		state->cell = kpi_cell_empty();
	}
	else if (state->part != other->part)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the p of kpi.percentile() must be the same for all rows of a group")));
	cell = kpi_cell_merge(state->cell, other->cell);
	if (cell != state->cell)
		pfree(state->cell);
	state->cell = cell;
	MemoryContextSwitchTo(old_context);
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(kpi_sql_adhoc_serialize);
Datum
kpi_sql_adhoc_serialize(PG_FUNCTION_ARGS)
{
	AdhocState *state = (AdhocState *) PG_GETARG_POINTER(0);
	struct varlena *compact = kpi_cell_compact(state->cell);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendfloat8(&buf, state->part);
	pq_sendbytes(&buf, VARDATA(compact), VARSIZE(compact) - VARHDRSZ);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

PG_FUNCTION_INFO_V1(kpi_sql_adhoc_deserialize);
Datum
kpi_sql_adhoc_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *image = PG_GETARG_BYTEA_PP(0);
	AdhocState *state = palloc(sizeof(AdhocState));
	StringInfoData buf;
	struct varlena *compact;
	int			length;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, VARDATA_ANY(image), VARSIZE_ANY_EXHDR(image));
	state->part = pq_getmsgfloat8(&buf);
	length = buf.len - buf.cursor;
	compact = palloc(VARHDRSZ + length);
	SET_VARSIZE(compact, VARHDRSZ + length);
	memcpy(VARDATA(compact), pq_getmsgbytes(&buf, length), length);
	state->cell = kpi_cell_expand(compact);
	PG_RETURN_POINTER(state);
}

/* ---- what comes out ---- */

/* NULL: no value. */
static Numeric
final_value(FunctionCallInfo fcinfo)
{
	AdhocState *state = PG_ARGISNULL(0) ? NULL : (AdhocState *) PG_GETARG_POINTER(0);
	KpiDecimal	part;
	KpiFinal	final;

	if (state == NULL)
		return NULL;
	kpi_cell_decimal_from_float8(state->part, &part);
	kpi_cell_final(state->cell, MEASURE_ID, 1, kpi_cell_decimal_numeric(&part), &final);
	return final.value;
}

PG_FUNCTION_INFO_V1(kpi_sql_adhoc_final);
Datum
kpi_sql_adhoc_final(PG_FUNCTION_ARGS)
{
	Numeric		value = final_value(fcinfo);

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(value);
}

/* Of durations. */
PG_FUNCTION_INFO_V1(kpi_sql_adhoc_final_interval);
Datum
kpi_sql_adhoc_final_interval(PG_FUNCTION_ARGS)
{
	Numeric		value = final_value(fcinfo);
	Interval   *second;

	if (value == NULL)
		PG_RETURN_NULL();
	second = palloc0(sizeof(Interval));
	second->time = USECS_PER_SEC;
	PG_RETURN_DATUM(DirectFunctionCall2(interval_mul, PointerGetDatum(second),
										DirectFunctionCall1(numeric_float8, NumericGetDatum(value))));
}
