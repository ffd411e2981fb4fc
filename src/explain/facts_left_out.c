/*-------------------------------------------------------------------------
 *
 * facts_left_out.c
 *	  The facts of a KPI that are left out for a reason.
 *
 * Rows are read as kpi.facts() reads them (read.c), and each is asked for its fate (fate.c), which
 * is the only place that decides a reason; so these are the facts that kpi.left_out counts, but
 * as the table has them now.
 *
 * A row that is left out has no owner for the engine, who may not even have been evaluated; here
 * the expression is, as well as that of a dimension, so that people can ask for the facts of a
 * member.  Where it fails the fact is nobody's.
 *
 * What a lookup does not find, and what has no key, is of the source: the same for each KPI.  Rows
 * without a key are kept nowhere, so the query of the source is run for them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "explain/explain_internal.h"
#include "fact/fact.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* What is known of facts with a reason before they are read. */
typedef struct Reason
{
	const char *name;
	bool		has_day;		/* they have a day that facts may have */
	bool		is_filtered;	/* the source's filter may leave them out */
}			Reason;

static const Reason reasons[] = {
	{"filter_false", false, true},
	{"filter_null", false, true},
	{"no_time", false, false},
	{"day_out_of_range", false, false},
	{"end_before_start", true, false},
	{"error", false, false},
	{KPI_LOOKUP_MISSING, false, true},
	{"no_value", true, false},
	{"nonfinite", true, false},
	{"too_long", true, false},
	{"no_rate", true, false},
	{"no_owner", true, false},
	{"unknown_owner", true, false},
	{"ahead", true, false},
	{KPI_NO_KEY, false, true},
	{KPI_NO_ENTITY, false, true}
};

static const Reason *
find_reason(const char *name)
{
	for (int i = 0; i < lengthof(reasons); i++)
	{
		if (strcmp(reasons[i].name, name) == 0)
			return &reasons[i];
	}
	return NULL;
}

void
kpi_explain_reason_check(const char *name)
{
	StringInfoData names;

	if (find_reason(name) != NULL)
		return;
	initStringInfo(&names);
	for (int i = 0; i < lengthof(reasons); i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : i < lengthof(reasons) - 1 ? ", " : " and ", reasons[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no reason why facts are left out", name),
			 errhint("Reasons are %s.", names.data)));
}

/* ---- a row ---- */

typedef struct LeftOutReader
{
	KpiExplainSource *open;
	const		KpiLeftOutWanted *wanted;
	const		Reason *reason;
	KpiFactExpr *owner;			/* NULL: facts have none */
	KpiFactExpr *dim;			/* NULL: none is asked for */
	List	   *missing;		/* KpiFactExpr: not NULL where a lookup finds
								 * nothing */
	bool		enough;
	bool		(*take) (void *arg, const KpiLeftOutFact * fact);
	void	   *arg;
}			LeftOutReader;

/* The value of an expression as capture has it as a key; NULL also where it fails. */
static char *
key_of(KpiFactExpr *expr, const KpiExplainRow * row)
{
	Datum		value;
	bool		isnull;

	if (expr == NULL || !kpi_fact_expr_value(expr, row->slot, &value, &isnull) || isnull)
		return NULL;
	return kpi_fact_key_bounded(kpi_key_text(getBaseType(kpi_fact_expr_type(expr)), value));
}

/* Where it is counted as left out, a fact whose owner fails has its day, too. */
static void
set_day(const KpiFateRow *row, const KpiFateKpi *kpi, KpiLeftOutFact * fact)
{
	const KpiFateFact *counted = &row->facts[kpi->left_out.stream];

	fact->has_day = !counted->failed && kpi_calendar_fact_day_in_range(counted->day);
	fact->day = counted->day;
}

static void
hand_in(LeftOutReader * reader, const KpiExplainRow * row, KpiLeftOutFact * fact)
{
	const		KpiLeftOutWanted *wanted = reader->wanted;

	if (reader->enough || (fact->has_day && (fact->day < wanted->since || fact->day >= wanted->until)))
		return;
	fact->key = row->key;
	fact->owner = key_of(reader->owner, row);
	fact->dim = key_of(reader->dim, row);
	reader->enough = !reader->take(reader->arg, fact);
}

static void
take_row(void *arg, const KpiExplainRow * row)
{
	LeftOutReader *reader = arg;
	const KpiFateKpi *kpi = reader->wanted->kpi;
	KpiFateRow *as_facts = kpi_explain_fate_row(NULL, reader->open->source, reader->open->projection, row->slot, kpi);
	KpiLeftOutFact fact = {0};

	kpi_explain_fate_now(as_facts, reader->open->source, kpi, &fact.fate);
	if (strcmp(fact.fate.status, reader->reason->name) != 0)
		return;
	set_day(as_facts, kpi, &fact);
	hand_in(reader, row, &fact);
}

/* Once for each lookup that finds nothing. */
static void
take_missing(void *arg, const KpiExplainRow * row)
{
	LeftOutReader *reader = arg;
	const KpiFateKpi *kpi = reader->wanted->kpi;
	KpiFateRow *as_facts = kpi_explain_fate_row(NULL, reader->open->source, reader->open->projection, row->slot, kpi);
	ListCell   *lc;

	foreach(lc, reader->missing)
	{
		KpiLeftOutFact fact = {0};

		if (key_of(lfirst(lc), row) == NULL)
			continue;
		set_day(as_facts, kpi, &fact);
		hand_in(reader, row, &fact);
	}
}

/* Of a row of the query that is no fact. */
static void
take_incomplete(void *arg, TupleTableSlot *slot)
{
	LeftOutReader *reader = arg;
	KpiExplainRow row = {NULL, slot};
	const KpiFateKpi *kpi = reader->wanted->kpi;
	KpiLeftOutFact fact = {0};

	set_day(kpi_explain_fate_row(NULL, reader->open->source, reader->open->projection, slot, kpi), kpi, &fact);
	hand_in(reader, &row, &fact);
}

/* ---- all rows ---- */

static void
read_incomplete(LeftOutReader * reader, bool without_key)
{
	const		KpiExplainSource *open = reader->open;
	KpiKept    *kept;
	KpiUser		user;

	if (open->keyed == NULL)
		return;
	kpi_fact_kept_begin(&user, open->source);
	kept = kpi_fact_kept_behind(open->source, open->keyed, open->relid);
	kpi_fact_kept_incomplete(kept, without_key, take_incomplete, reader);
	kpi_user_restore(&user);
}

static List *
missing_columns(KpiExplainSource * open)
{
	List	   *exprs = NIL;
	ListCell   *lc;

	foreach(lc, kpi_all_texts("SELECT missing_column FROM kpi.source_lookup WHERE source_id = $1", 1,
							  KPI_INT4(open->source->id)))
		exprs = lappend(exprs, kpi_explain_expr(open, quote_identifier(lfirst(lc))));
	return exprs;
}

void
kpi_explain_left_out_read(KpiExplainSource * open, const KpiLeftOutWanted * wanted,
						  bool (*take) (void *arg, const KpiLeftOutFact * fact), void *arg)
{
	const KpiSource *source = open->source;
	const KpiStream *stream = &source->streams[wanted->kpi->value.stream];
	LeftOutReader reader = {.open = open,.wanted = wanted,.reason = find_reason(wanted->reason),.take = take,.arg = arg};
	bool		is_missing = strcmp(wanted->reason, KPI_LOOKUP_MISSING) == 0;
	KpiExplainWanted rows = {
		.s = wanted->kpi->value.stream,
		.since = reader.reason->has_day ? wanted->since : DATEVAL_NOBEGIN,
		.until = reader.reason->has_day ? wanted->until : DATEVAL_NOEND,
		.and_filtered = reader.reason->is_filtered,
		.owners = wanted->owners,
		.enough = &reader.enough
	};

	if (stream->owner_kind != KPI_OWNER_COMPANY)
		reader.owner = kpi_explain_expr(open, stream->owner);
	if (wanted->dim >= 0 && source->dim_attributes[wanted->dim] == NULL)
		reader.dim = kpi_explain_expr(open, source->dim_exprs[wanted->dim]);
	if (is_missing)
		reader.missing = missing_columns(open);
	if (strcmp(wanted->reason, KPI_NO_KEY) == 0 || strcmp(wanted->reason, KPI_NO_ENTITY) == 0)
		read_incomplete(&reader, strcmp(wanted->reason, KPI_NO_KEY) == 0);
	else
		kpi_explain_read(open, &rows, is_missing ? take_missing : take_row, &reader);
}
