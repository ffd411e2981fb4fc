/*-------------------------------------------------------------------------
 *
 * adhoc_first.c
 *	  The aggregates kpi.first() and kpi.last(): the value of the earliest and of
 *	  the latest row.
 *
 * They take values of any type, which cells do not, so they keep a value and its
 * time as they are.  Which of several rows at one time is meant must not follow
 * from the order in which they are read, in parallel or not: it is the least
 * value, or the greatest, as a KPI without a better key has it.  Where values have
 * no order it is any.
 *
 * What is taken away cannot be followed by one value alone, so there is no moving
 * state: a window's frame is read again.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/typcache.h"

/* Something of a row; type is 0 in a state of no rows. */
typedef struct EndDatum
{
	Oid			type;
	int16		typlen;
	bool		typbyval;
	Datum		datum;
} EndDatum;

typedef struct EndState
{
	int			sign;			/* 1: the first, -1: the last */
	EndDatum	value;
	EndDatum	at;
} EndState;

/* Of a call site, in fn_extra. */
typedef struct EndSite
{
	TypeCacheEntry *value;
	TypeCacheEntry *at;
} EndSite;

static EndSite *
make_site(FunctionCallInfo fcinfo, Oid value_type, Oid at_type)
{
	EndSite    *site = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(EndSite));

	site->value = lookup_type_cache(value_type, TYPECACHE_CMP_PROC_FINFO);
	site->at = lookup_type_cache(at_type, TYPECACHE_CMP_PROC_FINFO);
	if (!OidIsValid(site->at->cmp_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("values of type %s have no order", format_type_be(at_type)),
				 errhint("kpi.first() and kpi.last() take a time second, or anything else that can be sorted.")));
	fcinfo->flinfo->fn_extra = site;
	return site;
}

static int
compare(const TypeCacheEntry *type, Datum a, Datum b, Oid collation)
{
	if (!OidIsValid(type->cmp_proc))
		return 0;
	return DatumGetInt32(FunctionCall2Coll(unconstify(FmgrInfo *, &type->cmp_proc_finfo), collation, a, b));
}

/* A copy in the current context, on its own. */
static void
keep(EndDatum *kept, const TypeCacheEntry *type, Datum datum)
{
	Pointer		old = OidIsValid(kept->type) && !kept->typbyval ? DatumGetPointer(kept->datum) : NULL;

	kept->type = type->type_id;
	kept->typlen = type->typlen;
	kept->typbyval = type->typbyval;
	kept->datum = type->typlen == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(datum)) :
		datumCopy(datum, type->typbyval, type->typlen);
	if (old != NULL)
		pfree(old);
}

/* Takes a row into a state of the aggregate's context, if it comes before what is there. */
static void
take_row(EndState *state, const EndSite *site, Datum value, Datum at, Oid collation)
{
	int			order = -1;

	if (OidIsValid(state->at.type))
	{
		order = compare(site->at, at, state->at.datum, collation);
		if (order == 0)
			order = compare(site->value, value, state->value.datum, collation);
		order = state->sign > 0 ? order : -order;
	}
	if (order >= 0)
		return;
	keep(&state->value, site->value, value);
	keep(&state->at, site->at, at);
}

static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

static Datum
add_row(FunctionCallInfo fcinfo, int sign)
{
	MemoryContext old_context = MemoryContextSwitchTo(aggregate_context(fcinfo));
	EndState   *state = PG_ARGISNULL(0) ? palloc0(sizeof(EndState)) : (EndState *) PG_GETARG_POINTER(0);
	EndSite    *site = fcinfo->flinfo->fn_extra;

	if (unlikely(site == NULL))
		site = make_site(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 1), get_fn_expr_argtype(fcinfo->flinfo, 2));
	state->sign = sign;
	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
		take_row(state, site, PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GET_COLLATION());
	MemoryContextSwitchTo(old_context);
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(kpi_sql_first_add);
Datum
kpi_sql_first_add(PG_FUNCTION_ARGS)
{
	return add_row(fcinfo, 1);
}

PG_FUNCTION_INFO_V1(kpi_sql_last_add);
Datum
kpi_sql_last_add(PG_FUNCTION_ARGS)
{
	return add_row(fcinfo, -1);
}

PG_FUNCTION_INFO_V1(kpi_sql_end_final);
Datum
kpi_sql_end_final(PG_FUNCTION_ARGS)
{
	EndState   *state = PG_ARGISNULL(0) ? NULL : (EndState *) PG_GETARG_POINTER(0);

	if (state == NULL || !OidIsValid(state->value.type))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(state->value.datum);
}

/* ---- states of parallel workers ---- */

PG_FUNCTION_INFO_V1(kpi_sql_end_combine);
Datum
kpi_sql_end_combine(PG_FUNCTION_ARGS)
{
	MemoryContext old_context = MemoryContextSwitchTo(aggregate_context(fcinfo));
	EndState   *state = PG_ARGISNULL(0) ? palloc0(sizeof(EndState)) : (EndState *) PG_GETARG_POINTER(0);
	EndState   *other = PG_ARGISNULL(1) ? NULL : (EndState *) PG_GETARG_POINTER(1);
	EndSite    *site = fcinfo->flinfo->fn_extra;

	if (other != NULL && OidIsValid(other->at.type))
	{
		if (site == NULL)
			site = make_site(fcinfo, other->value.type, other->at.type);
		state->sign = other->sign;
		take_row(state, site, other->value.datum, other->at.datum, PG_GET_COLLATION());
	}
	MemoryContextSwitchTo(old_context);
	PG_RETURN_POINTER(state);
}

static void
put_datum(StringInfo buf, const EndDatum *datum)
{
	Size		size;
	char	   *to;

	appendBinaryStringInfo(buf, (const char *) datum, sizeof(EndDatum));
	if (!OidIsValid(datum->type))
		return;
	size = datumEstimateSpace(datum->datum, false, datum->typbyval, datum->typlen);
	enlargeStringInfo(buf, size);
	to = buf->data + buf->len;
	datumSerialize(datum->datum, false, datum->typbyval, datum->typlen, &to);
	buf->len += size;
}

static void
get_datum(char **from, EndDatum *datum)
{
	bool		isnull;

	memcpy(datum, *from, sizeof(EndDatum));
	*from += sizeof(EndDatum);
	if (OidIsValid(datum->type))
		datum->datum = datumRestore(from, &isnull);
}

/* For a process of the same server and query: as it is in memory. */
PG_FUNCTION_INFO_V1(kpi_sql_end_serialize);
Datum
kpi_sql_end_serialize(PG_FUNCTION_ARGS)
{
	EndState   *state = (EndState *) PG_GETARG_POINTER(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	appendBinaryStringInfo(&buf, (const char *) &state->sign, sizeof(int));
	put_datum(&buf, &state->value);
	put_datum(&buf, &state->at);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

PG_FUNCTION_INFO_V1(kpi_sql_end_deserialize);
Datum
kpi_sql_end_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *image = PG_GETARG_BYTEA_PP(0);
	EndState   *state = palloc0(sizeof(EndState));
	char	   *from = VARDATA_ANY(image);

	memcpy(&state->sign, from, sizeof(int));
	from += sizeof(int);
	get_datum(&from, &state->value);
	get_datum(&from, &state->at);
	PG_RETURN_POINTER(state);
}
