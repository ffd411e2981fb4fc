/*-------------------------------------------------------------------------
 *
 * why.c
 *	  kpi.why(): what becomes of one fact in each KPI of its source.
 *
 * The rows that have the key are read as the source's definer, after it was checked that the
 * reader may read them (read.c); what becomes of them is in fate.c.  Several rows with one key are
 * several facts, and each is told of.
 *
 * Everything is under the active snapshot: the definitions, the rows, what waits and where
 * facts count.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
#include "value/value.h"

PG_FUNCTION_INFO_V1(kpi_sql_why);

/* Columns of the result. */
enum
{
	OUT_KPI,
	OUT_STATUS,
	OUT_COUNTS_FOR,
	OUT_TEAM,
	OUT_MEMBER,
	OUT_OWNER,
	OUT_DAY,
	OUT_VALUE,
	OUT_NUMERATOR,
	OUT_DENOMINATOR,
	OUT_DETAIL,
	OUT_COLUMNS
};

typedef struct Why
{
	char	   *key;
	char	   *kpi_name;		/* or NULL: all of the source */
	KpiExplainSource *open;
	KpiStored  *stored;
	List	   *kpis;			/* KpiFateKpi */
	List	   *rows;			/* KpiFateRow */
} Why;

/* ---- the KPIs ---- */

/* The KPI that was named is no measure of the source. */
pg_noreturn static void
refuse_kpi(const Why *why)
{
	char	   *kind = kpi_first_text("SELECT kind FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(why->kpi_name));
	char	   *near;

	if (kind != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no facts of source \"%s\"", why->kpi_name, why->open->source->name),
				 strcmp(kind, "formula") == 0 ? errdetail("It is a formula over other KPIs.") :
				 errdetail("It is a measure of another source."),
				 errhint("Ask for a KPI that is measured on the source, or leave kpi out for all of them.")));
	near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.kpi WHERE source_id = $1", 1,
										KPI_INT4(why->open->source->id)), why->kpi_name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("KPI \"%s\" does not exist", why->kpi_name),
			 near ? errhint("Perhaps you mean %s.", near) : errhint("Table kpi.kpi lists them.")));
}

/* ---- the result ---- */

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
set_number(Datum *values, bool *nulls, int column, Numeric number)
{
	nulls[column] = number == NULL;
	if (number != NULL)
		values[column] = NumericGetDatum(number);
}

static void
put(ReturnSetInfo *rsinfo, const KpiFateKpi *kpi, const KpiFate *fate)
{
	Datum		values[OUT_COLUMNS];
	bool		nulls[OUT_COLUMNS];

	set_text(values, nulls, OUT_KPI, kpi->name);
	set_text(values, nulls, OUT_STATUS, fate->status);
	set_text(values, nulls, OUT_COUNTS_FOR, fate->counts_for);
	set_text(values, nulls, OUT_TEAM, fate->team);
	set_text(values, nulls, OUT_MEMBER, fate->member);
	set_text(values, nulls, OUT_OWNER, fate->owner);
	nulls[OUT_DAY] = !fate->has_day;
	values[OUT_DAY] = DateADTGetDatum(fate->day);
	set_number(values, nulls, OUT_VALUE, fate->value);
	set_number(values, nulls, OUT_NUMERATOR, fate->numerator);
	set_number(values, nulls, OUT_DENOMINATOR, fate->denominator);
	set_text(values, nulls, OUT_DETAIL, fate->detail);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_all(ReturnSetInfo *rsinfo, const Why *why)
{
	ListCell   *row;
	ListCell   *kpi;

	foreach(row, why->rows)
	{
		foreach(kpi, why->kpis)
		{
			KpiFate		fate;

			CHECK_FOR_INTERRUPTS();
			kpi_explain_fate(lfirst(row), why->stored, why->open->source, lfirst(kpi), &fate);
			put(rsinfo, lfirst(kpi), &fate);
		}
	}
}

/* ---- the rows ---- */

typedef struct Taking
{
	Why		   *why;
	MemoryContext mcxt;
} Taking;

/* As the source's definer. */
static void
take_row(void *arg, const KpiExplainRow * row)
{
	Taking	   *taking = arg;
	Why		   *why = taking->why;
	MemoryContext old = MemoryContextSwitchTo(taking->mcxt);

	why->rows = lappend(why->rows, kpi_explain_fate_row(why->stored, why->open->source, why->open->projection, row->slot, NULL));
	MemoryContextSwitchTo(old);
}

static void
read_rows(Why *why)
{
	KpiExplainWanted wanted = {
		.since = DATEVAL_NOBEGIN,.until = DATEVAL_NOEND,.and_filtered = true,.key = why->key
	};
	Taking		taking = {why, CurrentMemoryContext};

	kpi_explain_read(why->open, &wanted, take_row, &taking);
}

/* kpi.why(source, key, kpi) */
Datum
kpi_sql_why(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *source_name = kpi_arg_name(fcinfo, 0, "source");
	Why			why = {
		.key = kpi_fact_key_arg(fcinfo, 1, "key"),
		.kpi_name = kpi_arg_optional_name(fcinfo, 2, "KPI")
	};

	InitMaterializedSRF(fcinfo, 0);
	why.open = kpi_explain_open(kpi_model_source_id(source_name));
	kpi_explain_require_key(why.open);
	why.kpis = kpi_explain_fate_kpis(why.open->source, why.kpi_name);
	if (why.kpis == NIL && why.kpi_name != NULL)
		refuse_kpi(&why);
	if (why.kpis == NIL)
		return (Datum) 0;
	why.stored = kpi_explain_stored_begin(why.open->source);
	read_rows(&why);
	if (why.rows == NIL)
		kpi_explain_unknown_fact(why.open, why.key);
	kpi_explain_stored_look(why.stored);
	put_all(rsinfo, &why);
	kpi_explain_close(why.open);
	return (Datum) 0;
}
