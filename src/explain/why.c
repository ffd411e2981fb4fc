/*-------------------------------------------------------------------------
 *
 * why.c
 *	  kpi.why(): what becomes of one fact in each KPI of its source.
 *
 * The rows that have the key are read as the source's definer, after it was checked that the
 * reader may read them (read.c); what becomes of them is in fate.c.  Several rows with one key are
 * several facts, and each is told of.
 *
 * Where there is no such row, it may have gone with a partition whose facts still count: they are
 * kept as cells, which tell no facts apart, so that cannot be said with more certainty.
 *
 * Everything is under the active snapshot: the definitions, the rows, what waits and where
 * facts count.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define.h"
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
	KpiExplainLookups *lookups; /* or NULL */
	List	   *kpis;			/* KpiFateKpi */
	List	   *rows;			/* KpiFateRow */
} Why;

/* ---- the KPIs ---- */

/* What each follows from matters only where something may be missing. */
static void
set_used(const Why *why)
{
	ListCell   *lc;

	foreach(lc, why->kpis)
	{
		KpiFateKpi *kpi = lfirst(lc);

		kpi->used = kpi_explain_lookups_used(why->open, kpi->value.stream, kpi->value.measure);
		if (kpi->end.stream >= 0)
			kpi->used = bms_join(kpi->used, kpi_explain_lookups_used(why->open, kpi->end.stream, kpi->end.measure));
	}
}

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
put_facts(ReturnSetInfo *rsinfo, const Why *why)
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
	KpiFateRow *fate_row = kpi_explain_fate_row(why->stored, why->open->source, why->open->projection, row->slot, NULL);

	if (why->lookups != NULL)
		fate_row->missing = kpi_explain_lookups_missing(why->lookups, row->slot);
	why->rows = lappend(why->rows, fate_row);
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

/* ---- where no row is looked at ---- */

static void
put_same(ReturnSetInfo *rsinfo, const Why *why, const char *status, char *detail)
{
	ListCell   *kpi;

	foreach(kpi, why->kpis)
	{
		KpiFate		fate = {.status = status,.detail = detail};

		put(rsinfo, lfirst(kpi), &fate);
	}
}

/* Whether some facts that are gone count for a KPI: it was there when they went. */
static bool
has_sealed(const Why *why, const KpiFateKpi *kpi)
{
	const KpiMeasure *measure = &why->open->source->streams[kpi->value.stream].measures[kpi->value.measure];

	return kpi_first_int4("SELECT 1 FROM kpi_internal.seal l WHERE l.source_id = $1 AND $2 = ANY (l.measures) LIMIT 1",
						  2, KPI_INT4(why->open->source->id), KPI_INT4(measure->id)) != 0;
}

static void
put_sealed(ReturnSetInfo *rsinfo, const Why *why, const char *partitions)
{
	ListCell   *lc;

	foreach(lc, why->kpis)
	{
		const KpiFateKpi *kpi = lfirst(lc);
		KpiFate		fate = {.status = "sealed"};

		if (has_sealed(why, kpi))
			fate.detail = psprintf("Table %s has no fact with this key. If it was in a partition that is gone (%s), it counts as it did then: of those facts nobody knows the keys.",
								   why->open->source->relation, partitions);
		else
		{
			fate.counts_for = "nothing";
			fate.detail = psprintf("Table %s has no fact with this key. If it was in a partition that is gone (%s), it is in no number of KPI \"%s\", which came later.",
								   why->open->source->relation, partitions, kpi->name);
		}
		put(rsinfo, kpi, &fate);
	}
}

/* No row has the key: error, unless it may have been in a partition that is gone, or is still to be kept. */
static void
put_gone(ReturnSetInfo *rsinfo, const Why *why)
{
	const KpiSource *source = why->open->source;
	char	   *partitions = kpi_define_sealed_days(source->id);
	KpiStoredStatus kept = KPI_STORED_AS_IT_IS;
	char	   *detail;

	if (why->open->keyed != NULL)
		kept = kpi_explain_stored_kept(why->stored, &detail);
	if (kept != KPI_STORED_AS_IT_IS)
		put_same(rsinfo, why, kept == KPI_STORED_PENDING ? "pending" : "suspended",
				 psprintf("Table %s has no fact with this key. %s", source->relation, detail));
	else if (partitions != NULL)
		put_sealed(rsinfo, why, partitions);
	else if (kpi_refresh_leaves_are_lost(source->id))
		put_same(rsinfo, why, "pending",
				 psprintf("Table %s has no fact with this key. A partition of it is gone, which the next refresh notices.",
						  source->relation));
	else
		kpi_explain_unknown_fact(why->open, why->key);
}

/* ---- the function ---- */

static void
put_all(ReturnSetInfo *rsinfo, Why *why)
{
	why->stored = kpi_explain_stored_begin(why->open->source);
	if (why->open->error != NULL)
	{
		put_same(rsinfo, why, "suspended", kpi_explain_stored_unfit(why->stored, why->open->error));
		return;
	}
	read_rows(why);
	kpi_explain_stored_look(why->stored);
	if (why->rows == NIL)
		put_gone(rsinfo, why);
	else
		put_facts(rsinfo, why);
}

/* kpi.why(source, key, kpi) */
Datum
kpi_sql_why(PG_FUNCTION_ARGS)
{
	char	   *source_name = kpi_arg_name(fcinfo, 0, "source");
	Why			why = {
		.key = kpi_fact_key_arg(fcinfo, 1, "key"),
		.kpi_name = kpi_arg_optional_name(fcinfo, 2, "KPI")
	};

	InitMaterializedSRF(fcinfo, 0);
	why.open = kpi_explain_try_open(kpi_model_source_id(source_name));
	kpi_explain_require_key(why.open);
	why.kpis = kpi_explain_fate_kpis(why.open->source, why.kpi_name);
	if (why.open->error == NULL)
		why.lookups = kpi_explain_lookups_begin(why.open);
	if (why.lookups != NULL)
		set_used(&why);
	if (why.kpis == NIL && why.kpi_name != NULL)
		refuse_kpi(&why);
	if (why.kpis != NIL)
		put_all((ReturnSetInfo *) fcinfo->resultinfo, &why);
	if (why.open->error == NULL)
		kpi_explain_close(why.open);
	return (Datum) 0;
}
