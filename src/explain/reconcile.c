/*-------------------------------------------------------------------------
 *
 * reconcile.c
 *	  kpi.reconcile(): a reader's own numbers against those of a KPI.
 *
 * The query is the reader's and runs with the reader's rights, in a transaction that is read-only
 * meanwhile, before anything is read as the extension's owner.  Ours are the day cells of the
 * KPI's stream, by owner.  Both are compared, and reasons looked for, by one statement
 * (kpi_internal.reconcile_rows()).
 *
 * Only of what adds up: what a rate of a period is cannot be put together of days.
 *
 * Locks: those of the query.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "catalog/pg_type.h"
#include "cell/cell.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "model/model.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "value/value.h"

PG_FUNCTION_INFO_V1(kpi_sql_reconcile);

#define QUERY_HINT "It has three columns: the owner as facts have it (or a team), a day or time, and the number: 'SELECT owner_id, closed_at, sum(amount) FROM crm.deals GROUP BY 1, 2'."

#define NCOLUMNS 9

/* A number of somebody on a day. */
typedef struct Number
{
	char	   *owner;			/* theirs; NULL: none */
	int32		owner_id;		/* ours */
	int64		moment;			/* theirs: what the query says */
	DateADT		day;
	Numeric		number;
} Number;

typedef struct Numbers
{
	int			n;
	int			max;
	Number	   *numbers;
} Numbers;

typedef struct Reconcile
{
	char	   *kpi;
	char	   *query;
	char	   *grain;
	DateADT		since;
	DateADT		until;			/* exclusive */
	char	   *time_zone;		/* of the calendar, in which days are cut */
	const KpiProgram *program;
	const KpiProgramNode *node;
	Numbers		theirs;
	Numbers		ours;
} Reconcile;

static Number *
add_number(Numbers *numbers)
{
	if (numbers->n == numbers->max)
	{
		numbers->max = Max(256, 2 * numbers->max);
		numbers->numbers = numbers->numbers == NULL ? palloc_extended(numbers->max * sizeof(Number), MCXT_ALLOC_HUGE) :
			repalloc_huge(numbers->numbers, numbers->max * sizeof(Number));
	}
	memset(&numbers->numbers[numbers->n], 0, sizeof(Number));
	return &numbers->numbers[numbers->n++];
}

/* ---- the KPI ---- */

pg_noreturn static void
refuse_kpi(const Reconcile *reconcile, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("KPI \"%s\" cannot be reconciled by owner", reconcile->kpi),
			 errdetail("%s", detail),
			 errhint("Reconcile a KPI whose measure is a count or a sum: of a rate its numerator and denominator, as KPIs of their own.")));
}

static void
find_kpi(Reconcile *reconcile)
{
	char	   *text = kpi_first_text("SELECT s.program FROM kpi.kpi k JOIN kpi_internal.kpi_stream s ON s.kpi_id = k.id"
									  " AND s.position = 1 WHERE k.name = $1", 1, KPI_TEXT(reconcile->kpi));

	if (text == NULL)
	{
		char	   *near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.kpi", 0), reconcile->kpi);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" does not exist", reconcile->kpi),
				 near ? errhint("Perhaps you mean %s.", near) : errhint("Table kpi.kpi lists them.")));
	}
	reconcile->program = kpi_model_program(cstring_to_text(text));
	reconcile->time_zone = pstrdup(reconcile->program->time_zone);
	reconcile->node = &reconcile->program->nodes[reconcile->program->nnodes - 1];
	if (reconcile->node->formula != NULL)
		refuse_kpi(reconcile, "It is a formula.");
	if (reconcile->node->kind != KPI_COUNT && reconcile->node->kind != KPI_SUM)
		refuse_kpi(reconcile, "Its values of days do not add up to those of periods.");
	if (reconcile->node->detail != 0)
		refuse_kpi(reconcile, "Its amounts are in several currencies.");
	if (reconcile->node->owner_kind == KPI_OWNER_COMPANY)
		refuse_kpi(reconcile, "Its facts have no owner.");
	if (reconcile->program->grain > kpi_calendar_grain(reconcile->grain))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no values for a %s", reconcile->kpi, reconcile->grain),
				 errhint("Ask for a longer period.")));
}

/* ---- theirs ---- */

static SPIPlanPtr
prepare(const Reconcile *reconcile)
{
	SPIPlanPtr	plan = SPI_prepare(reconcile->query, 0, NULL);
	List	   *sources = plan ? SPI_plan_get_plan_sources(plan) : NIL;
	Query	   *query = NULL;

	if (list_length(sources) == 1)
	{
		CachedPlanSource *source = linitial(sources);

		if (list_length(source->query_list) == 1)
			query = linitial(source->query_list);
	}
	if (query == NULL || query->commandType != CMD_SELECT || query->hasModifyingCTE || query->hasForUpdate)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query to reconcile must be one SELECT that writes nothing"),
				 errhint(QUERY_HINT)));
	return plan;
}

/* "owner_id integer, count bigint" */
static char *
columns_of(TupleDesc desc)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < desc->natts; i++)
		appendStringInfo(&text, "%s%s %s", i > 0 ? ", " : "", NameStr(TupleDescAttr(desc, i)->attname),
						 format_type_be(TupleDescAttr(desc, i)->atttypid));
	return text.data;
}

static void
check_columns(TupleDesc desc)
{
	bool		fits = desc->natts == 3;

	if (fits)
	{
		Oid			day = getBaseType(TupleDescAttr(desc, 1)->atttypid);
		Oid			number = getBaseType(TupleDescAttr(desc, 2)->atttypid);

		fits = (day == DATEOID || day == TIMESTAMPOID || day == TIMESTAMPTZOID) &&
			TypeCategory(number) == TYPCATEGORY_NUMERIC && number != CASHOID;
	}
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query to reconcile has other columns than an owner, a day and a number"),
				 errdetail("Its columns are: %s.", desc->natts > 0 ? columns_of(desc) : "none"),
				 errhint(QUERY_HINT)));
}

/* Moments are cut into days as those of facts are. */
static bool
read_day(const Reconcile *reconcile, Oid type, Datum value, Number *number)
{
	if (type == DATEOID)
	{
		number->day = DatumGetDateADT(value);
		number->moment = number->day;
		return !DATE_NOT_FINITE(number->day);
	}
	number->moment = DatumGetTimestamp(value);
	if (TIMESTAMP_NOT_FINITE(number->moment))
		return false;
	if (type == TIMESTAMPTZOID)
		return kpi_calendar_day_of_moment(number->moment, pg_tzset(reconcile->time_zone), &number->day);
	number->day = DatumGetDateADT(DirectFunctionCall1(timestamp_date, value));
	return true;
}

static Numeric
read_number(Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;

	if (type == NUMERICOID)
		return DatumGetNumericCopy(value);
	getTypeOutputInfo(type, &output, &is_varlena);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(OidOutputFunctionCall(output, value)),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
take_row(Reconcile *reconcile, HeapTuple tuple, TupleDesc desc)
{
	Oid			types[3];
	Datum		values[3];
	bool		nulls[3];
	Number		number = {0};

	for (int c = 0; c < 3; c++)
	{
		types[c] = getBaseType(TupleDescAttr(desc, c)->atttypid);
		values[c] = SPI_getbinval(tuple, desc, c + 1, &nulls[c]);
	}
	number.owner = nulls[0] ? NULL : kpi_key_text(types[0], values[0]);
	if (nulls[1] || !read_day(reconcile, types[1], values[1], &number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query to reconcile has a row without a day"),
				 errdetail("It is of owner %s.", number.owner ? quote_literal_cstr(number.owner) : "null"),
				 errhint("Leave it out: a fact without a time counts for no KPI.")));
	if (nulls[2] || number.day < reconcile->since || number.day >= reconcile->until)
		return;
	number.number = read_number(types[2], values[2]);
	*add_number(&reconcile->theirs) = number;
}

static int
compare_theirs(const void *a, const void *b)
{
	const Number *x = a;
	const Number *y = b;

	if (x->owner == NULL || y->owner == NULL)
	{
		if (x->owner != y->owner)
			return x->owner == NULL ? -1 : 1;
	}
	else if (strcmp(x->owner, y->owner) != 0)
		return strcmp(x->owner, y->owner);
	return (x->moment > y->moment) - (x->moment < y->moment);
}

static void
refuse_doubles(Numbers *theirs)
{
	if (theirs->n > 1)
		qsort(theirs->numbers, theirs->n, sizeof(Number), compare_theirs);
	for (int i = 1; i < theirs->n; i++)
	{
		const Number *number = &theirs->numbers[i];

		if (compare_theirs(number - 1, number) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the query to reconcile has two rows for owner %s and day %s",
							number->owner ? quote_literal_cstr(number->owner) : "null",
							DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(number->day)))),
					 errhint("Sum them up: GROUP BY 1, 2.")));
	}
}

/* As the reader. */
static void
read_theirs(Reconcile *reconcile)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		was_read_only = XactReadOnly;
	int			nest_level;
	SPIPlanPtr	plan;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* An error restores it with the (sub)transaction. */
	XactReadOnly = true;
	plan = prepare(reconcile);
	check_columns(((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->resultDesc);
	if (SPI_execute_plan(plan, NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI failed with %s", SPI_result_code_string(SPI_result));
	XactReadOnly = was_read_only;

	nest_level = NewGUCNestLevel();
	kpi_settings_pin(KPI_SETTINGS_PRINT);
	MemoryContextSwitchTo(caller);
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		CHECK_FOR_INTERRUPTS();
		take_row(reconcile, SPI_tuptable->vals[r], SPI_tuptable->tupdesc);
	}
	refuse_doubles(&reconcile->theirs);
	AtEOXact_GUC(false, nest_level);
	SPI_finish();
	MemoryContextSwitchTo(caller);
}

/* ---- ours ---- */

/* With a day more on both sides, whose facts may have got into theirs. */
static void
read_ours(Reconcile *reconcile)
{
	const KpiProgramNode *node = reconcile->node;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT d.owner_id, d.day, d.cell FROM kpi_internal.day_cell d WHERE d.stream_id = $1"
						" AND d.day >= $2 AND d.day < $3", 3, KPI_INT4(node->stream_id),
						KPI_VALUE(DATEOID, DateADTGetDatum(reconcile->since - 1)),
						KPI_VALUE(DATEOID, DateADTGetDatum(reconcile->until + 1)));
	while (kpi_rows_next(&rows))
	{
		bool		isnull;
		const KpiCell *cell = kpi_cell_of_measure(kpi_rows_datum(&rows, "cell", &isnull), node->measure_id);
		KpiFinal	final;
		Number	   *number;

		if (cell == NULL || !kpi_cell_final(cell, node->measure_id, node->divisor, node->parameter, &final) ||
			final.value == NULL)
			continue;
		number = add_number(&reconcile->ours);
		number->owner_id = kpi_rows_int4(&rows, "owner_id");
		number->day = kpi_rows_date(&rows, "day", 0);
		number->number = DatumGetNumericCopy(NumericGetDatum(final.value));
	}
	kpi_rows_end(&rows);
}

/* ---- both ---- */

typedef Datum (*ColumnOf) (const Number *number, bool *isnull);

static Datum
owner_column(const Number *number, bool *isnull)
{
	*isnull = number->owner == NULL;
	return *isnull ? (Datum) 0 : CStringGetTextDatum(number->owner);
}

static Datum
owner_id_column(const Number *number, bool *isnull)
{
	return Int32GetDatum(number->owner_id);
}

static Datum
day_column(const Number *number, bool *isnull)
{
	return DateADTGetDatum(number->day);
}

static Datum
number_column(const Number *number, bool *isnull)
{
	return NumericGetDatum(number->number);
}

static KpiParam
column(const Numbers *numbers, ColumnOf of, Oid type, Oid array_type)
{
	Datum	   *values = palloc_extended(Max(numbers->n, 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	bool	   *nulls = palloc0(Max(numbers->n, 1) * sizeof(bool));
	int			lower = 1;
	int16		length;
	bool		by_value;
	char		align;

	for (int i = 0; i < numbers->n; i++)
		values[i] = of(&numbers->numbers[i], &nulls[i]);
	get_typlenbyvalalign(type, &length, &by_value, &align);
	return KPI_VALUE(array_type, PointerGetDatum(construct_md_array(values, nulls, 1, (int *) &numbers->n, &lower, type,
																	length, by_value, align)));
}

static void
put_rows(ReturnSetInfo *rsinfo, const Reconcile *reconcile, bool differing_only)
{
	static const char *const columns[NCOLUMNS] = {
		"owner", "member", "team", "period", "period_start", "theirs", "ours", "difference", "reason"
	};
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT * FROM kpi_internal.reconcile_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
						13, column(&reconcile->theirs, owner_column, TEXTOID, TEXTARRAYOID),
						column(&reconcile->theirs, day_column, DATEOID, DATEARRAYOID),
						column(&reconcile->theirs, number_column, NUMERICOID, NUMERICARRAYOID),
						column(&reconcile->ours, owner_id_column, INT4OID, INT4ARRAYOID),
						column(&reconcile->ours, day_column, DATEOID, DATEARRAYOID),
						column(&reconcile->ours, number_column, NUMERICOID, NUMERICARRAYOID),
						KPI_TEXT(reconcile->grain), KPI_VALUE(DATEOID, DateADTGetDatum(reconcile->since)),
						KPI_VALUE(DATEOID, DateADTGetDatum(reconcile->until)), KPI_INT4(reconcile->node->source_id),
						KPI_INT4(reconcile->node->owner_kind),
						KPI_VALUE(DATEOID, DateADTGetDatum(kpi_calendar_today_in(reconcile->time_zone))),
						KPI_BOOL(differing_only));
	kpi_rows_put(&rows, rsinfo, columns, NCOLUMNS);
}

/* kpi.reconcile(kpi, query, grain, since, until, differing_only) */
Datum
kpi_sql_reconcile(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	Reconcile	reconcile = {0};
	KpiSpi		spi;

	reconcile.kpi = kpi_arg_name(fcinfo, 0, "KPI");
	reconcile.query = kpi_arg_text(fcinfo, 1);
	reconcile.grain = kpi_arg_name(fcinfo, 2, "grain");
	reconcile.since = Max(kpi_arg_day(fcinfo, 3, "since", kpi_calendar_first_fact_day()), kpi_calendar_first_fact_day());
	reconcile.until = Min(kpi_arg_day(fcinfo, 4, "until", kpi_calendar_last_fact_day() + 1), kpi_calendar_last_fact_day() + 1);
	if (reconcile.query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query must not be null"),
				 errhint(QUERY_HINT)));
	if (reconcile.since >= reconcile.until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"since\" must be before \"until\""),
				 errdetail("\"until\" is the day after the last one.")));
	InitMaterializedSRF(fcinfo, 0);

	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	find_kpi(&reconcile);
	kpi_spi_end(&spi);
	MemoryContextSwitchTo(caller);
	read_theirs(&reconcile);
	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	/* The query may have read so many KPIs that the program was forgotten. */
	find_kpi(&reconcile);
	read_ours(&reconcile);
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, &reconcile, PG_ARGISNULL(5) || PG_GETARG_BOOL(5));
	kpi_spi_end(&spi);
	return (Datum) 0;
}
