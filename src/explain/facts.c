/*-------------------------------------------------------------------------
 *
 * facts.c
 *	  kpi.facts(): the facts that make a number.
 *
 * Which measures the number is computed of, and in which windows, its evaluation says
 * (kpi_value_reads()). Of each measure the rows of these days are read for the caller (read.c), once, and each
 * is asked in which windows it counts: the stream's projection says whether it is a fact and of
 * which day and owner, the organisation where that counts; what it brings says facts_number.c.
 *
 * A balance is of the facts that are held at the end of the window: those that have begun
 * and not ended, at the place of their owner on that day.  Its daily average is of those that are held at the
 * end of any day, each for as many days as it is held there.
 *
 * Rows are sorted within work_mem and beyond it on disk.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"
#include "value/value.h"

PG_FUNCTION_INFO_V1(kpi_sql_explain_facts);

/* Arguments. */
enum
{
	ARG_KPI,
	ARG_TEAM,
	ARG_MEMBER,
	ARG_PERIOD,
	ARG_DIMENSION,
	ARG_DIMENSION_VALUE,
	ARG_LEFT_OUT
};

/* Columns of the result. */
enum
{
	OUT_KPI,
	OUT_KEY,
	OUT_DAY,
	OUT_OWNER,
	OUT_MEMBER,
	OUT_TEAM,
	OUT_VALUE,
	OUT_NUMERATOR,
	OUT_DENOMINATOR,
	OUT_PERIOD_START,
	OUT_PERIOD_END,
	OUT_WHOLE,
	OUT_COLUMNS
};

/* Of a dimension a value that no cell has. */
#define SOME_DIM_ID PG_INT32_MAX

typedef struct NameEntry
{
	int32		id;				/* the key */
	char	   *name;
}			NameEntry;

/* Where a fact counts. */
typedef struct Counted
{
	int32		team_id;
	int32		member_id;		/* 0: nobody */
	DateADT		until;			/* as long; exclusive */
} Counted;

typedef struct Facts
{
	KpiValueCall call;
	char	   *left_out;		/* a reason; NULL: those that count */
	DateADT		today;			/* by which the KPI is judged */
	DateADT		credit_day;		/* whose teams count with credit today */
	Tuplesortstate *sort;
	TupleTableSlot *row;
	MemoryContext cxt;
	HTAB	   *teams;			/* of NameEntry */
	HTAB	   *members;
	/* the measure at hand */
	KpiFactsMeasure of;
	List	   *reads;			/* KpiValueRead *, of this measure */
	char	   *kpi;
	KpiOrg	   *org;
	int			end_s;			/* of what leaves a balance; -1: it is none */
	int			end_m;
	int			dim;			/* index of the dimension in the source */
}			Facts;

/* ---- where a fact counts ---- */

static const KpiSpan *
span_at(const KpiSpan *spans, int n, DateADT day)
{
	for (int i = 0; i < n; i++)
	{
		if (day >= spans[i].since && day < spans[i].until)
			return &spans[i];
	}
	elog(ERROR, "an owner counts for nothing on day %d", day);
}

/* The teams that an owner's facts of a day count for, the most specific first, on which days. */
static KpiSpan
span_of(Facts * facts, const char *owner, DateADT day, int32 *member_id)
{
	static int32 company = KPI_TEAM_COMPANY;
	KpiSpan		all = {DATEVAL_NOBEGIN, DATEVAL_NOEND, 1, &company};
	KpiOwnerKind kind = facts->of.node->owner_kind;
	const KpiSpan *spans;
	KpiSpan		span;
	int			n;

	*member_id = 0;
	if (kind == KPI_OWNER_COMPANY)
		return all;
	if (kpi_model_owner_is_of_today(kind))
		day = facts->credit_day;
	if (kpi_model_owner_is_member(kind))
		spans = kpi_people_member_spans(facts->org, owner, member_id, &n);
	else
		spans = kpi_people_team_spans(facts->org, owner, &n);
	span = *span_at(spans, n, day);
	if (kpi_model_owner_is_of_today(kind))
		span.until = DATEVAL_NOEND;
	return span;
}

static bool
counts_for_scope(const KpiPlace *place, const KpiSpan *span, int32 member_id)
{
	if (place->scope_kind == KPI_SCOPE_MEMBER)
		return member_id == place->scope_id;
	for (int i = 0; i < span->nscopes; i++)
	{
		if (span->scopes[i] == place->scope_id)
			return true;
	}
	return false;
}

/* The value that the fact has of the dimension that is asked for, until another day; NULL: none. */
static char *
dimension_value(Facts * facts, const KpiFact *fact, int32 member_id, DateADT day, DateADT *until)
{
	const char *attribute = facts->of.open->source->dim_attributes[facts->dim];
	bool		of_today = kpi_model_owner_is_of_today(facts->of.node->owner_kind);
	KpiLookup	lookup;
	char	   *value;

	*until = DATEVAL_NOEND;
	if (attribute == NULL)
		return fact->dims[facts->dim];
	if (member_id == 0 || !kpi_model_owner_is_member(facts->of.node->owner_kind))
		return NULL;
	kpi_people_attributes_open(&lookup, GetActiveSnapshot());
	value = kpi_people_attribute_at(&lookup, member_id, attribute, of_today ? facts->credit_day : day, until);
	kpi_lookup_close(&lookup);
	if (of_today)
		*until = DATEVAL_NOEND;
	return value;
}

static bool
has_dimension_value(Facts * facts, const KpiFact *fact, const KpiPlace *place, int32 member_id, DateADT day, DateADT *until)
{
	const char *wanted = facts->call.dimension_value;
	char	   *value;

	*until = DATEVAL_NOEND;
	if (place->dim_id == 0)
		return true;
	value = dimension_value(facts, fact, member_id, day, until);
	return wanted == NULL || value == NULL ? wanted == value : strcmp(wanted, value) == 0;
}

/* Whether what the fact is on a day counts for the place. */
static bool
counts_for(Facts * facts, const KpiPlace *place, const KpiFact *fact, DateADT day, Counted *counted)
{
	KpiSpan		span = span_of(facts, fact->owner, day, &counted->member_id);
	DateADT		until;
	bool		has_value = has_dimension_value(facts, fact, place, counted->member_id, day, &until);

	counted->team_id = span.scopes[0];
	counted->until = Min(span.until, until);
	return has_value && counts_for_scope(place, &span, counted->member_id);
}

static char *
name_of(Facts * facts, HTAB *names, const char *sql, int32 id)
{
	bool		found;
	NameEntry  *entry;
	char	   *name;

	if (id == 0)
		return NULL;
	entry = hash_search(names, &id, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->name;
	name = kpi_first_text(sql, 1, KPI_INT4(id));
	entry = hash_search(names, &id, HASH_ENTER, &found);
	entry->name = name ? MemoryContextStrdup(facts->cxt, name) : NULL;
	return entry->name;
}

/* ---- a row ---- */

/* Of a window, or of none. */
static void
put(Facts * facts, const char *key, const KpiFact *fact, const KpiFinal *final, const Counted *counted,
	const KpiWindow *window)
{
	TupleTableSlot *row = facts->row;
	char	   *member = name_of(facts, facts->members, "SELECT key FROM kpi.member WHERE id = $1", counted->member_id);
	char	   *team = name_of(facts, facts->teams, "SELECT key FROM kpi.team WHERE id = $1", counted->team_id);
	const char *texts[] = {[OUT_KPI] = facts->kpi,[OUT_KEY] = key,[OUT_DAY] = NULL,[OUT_OWNER] = fact->owner,
		[OUT_MEMBER] = member,[OUT_TEAM] = team
	};
	Numeric		numbers[] = {final->value, final->numerator, final->denominator};

	ExecClearTuple(row);
	for (int c = 0; c < lengthof(texts); c++)
	{
		row->tts_isnull[c] = texts[c] == NULL;
		row->tts_values[c] = texts[c] ? CStringGetTextDatum(texts[c]) : (Datum) 0;
	}
	row->tts_values[OUT_DAY] = DateADTGetDatum(fact->day);
	row->tts_isnull[OUT_DAY] = DATE_NOT_FINITE(fact->day);
	for (int c = 0; c < lengthof(numbers); c++)
	{
		row->tts_isnull[OUT_VALUE + c] = numbers[c] == NULL;
		row->tts_values[OUT_VALUE + c] = numbers[c] ? NumericGetDatum(numbers[c]) : (Datum) 0;
	}
	row->tts_isnull[OUT_PERIOD_START] = row->tts_isnull[OUT_PERIOD_END] = row->tts_isnull[OUT_WHOLE] = window == NULL;
	if (window != NULL)
	{
		row->tts_values[OUT_PERIOD_START] = DateADTGetDatum(Min(window->since, window->until - 1));
		row->tts_values[OUT_PERIOD_END] = DateADTGetDatum(window->until - 1);
		row->tts_values[OUT_WHOLE] = BoolGetDatum(facts->call.dimension != NULL && window->place.dim_id == 0);
	}
	ExecStoreVirtualTuple(row);
	tuplesort_puttupleslot(facts->sort, row);
}

/* The day on which a fact of these days counts in a window; false: on none. */
static bool
counts_in(Facts * facts, const KpiWindow *window, const KpiFact *fact, DateADT ended, DateADT *day)
{
	if (facts->end_s < 0)
	{
		*day = fact->day;
		return fact->day >= window->since && fact->day < window->until;
	}
	*day = kpi_value_window_last(window, facts->today);
	return fact->day <= *day && ended > *day;
}

/* The day on which what a balance holds of the row is gone; DATEVAL_NOEND: on none. */
static DateADT
end_of(Facts * facts, const KpiExplainRow * row)
{
	KpiFact		fact;
	const KpiLayout *layout;

	if (facts->end_s < 0)
		return DATEVAL_NOEND;
	kpi_explain_fact(facts->of.open, facts->end_s, row, &fact);
	layout = kpi_fact_projection_layout(facts->of.open->projection, facts->end_s);
	if (!fact.is_event || fact.failed || bms_is_member(facts->end_m, fact.failed_measures) ||
		fact.isnull[layout->measures[facts->end_m].first_input])
		return DATEVAL_NOEND;
	return fact.day;
}

/* On how many days of a window, until today, a balance holds the fact at its place, and where it does last. */
static int
days_held(Facts * facts, const KpiWindow *window, const KpiFact *fact, DateADT ended, Counted *last)
{
	DateADT		until = Min(kpi_value_window_last(window, facts->today) + 1, ended);
	Counted		counted;
	int			days = 0;

	for (DateADT day = Max(window->since, fact->day); day < until; day = counted.until)
	{
		if (!counts_for(facts, &window->place, fact, day, &counted))
			continue;
		days += Min(counted.until, until) - day;
		*last = counted;
	}
	return days;
}

/* Whether a fact counts in a window at its place; of an average, on how many days. */
static int
counts(Facts * facts, const KpiValueRead * read, const KpiFact *fact, DateADT ended, Counted *counted)
{
	DateADT		day;

	if (read->is_average)
		return days_held(facts, &read->window, fact, ended, counted);
	return counts_in(facts, &read->window, fact, ended, &day) &&
		counts_for(facts, &read->window.place, fact, day, counted);
}

/* What it holds on some days, as a part of the average of all days of the window. */
static KpiFinal
averaged(Facts * facts, const KpiWindow *window, const KpiFinal *final, int days)
{
	KpiFinal	average = {0};

	if (final->value == NULL)
		return average;
	average.numerator = numeric_mul_opt_error(final->value, int64_to_numeric(days), NULL);
	average.denominator = int64_to_numeric(kpi_value_window_last(window, facts->today) + 1 - window->since);
	average.value = numeric_div_opt_error(average.numerator, average.denominator, NULL);
	return average;
}

static void
take_row(void *arg, const KpiExplainRow * row)
{
	Facts	   *facts = arg;
	DateADT		ended = end_of(facts, row);
	bool		is_final = false;
	KpiFinal	final;
	KpiFact		fact;
	ListCell   *lc;

	kpi_explain_fact(facts->of.open, facts->of.s, row, &fact);
	if (!fact.is_event || fact.failed || bms_is_member(facts->of.m, fact.failed_measures))
		return;
	foreach(lc, facts->reads)
	{
		KpiValueRead *read = lfirst(lc);
		Counted		counted;
		KpiFinal	average;
		int			days = counts(facts, read, &fact, ended, &counted);

		if (days == 0)
			continue;
		if (!is_final && !(facts->end_s < 0 ? kpi_explain_brings(&facts->of, &fact, &final) :
						   kpi_explain_holds(&facts->of, &fact, &final)))
			return;
		is_final = true;
		if (read->is_average)
			average = averaged(facts, &read->window, &final, days);
		put(facts, row->key, &fact, read->is_average ? &average : &final, &counted, &read->window);
	}
}

/* ---- a row that is left out ---- */

/* A fact without a day is its owner's of today. */
static bool
take_left_out(void *arg, const KpiLeftOutFact * left_out)
{
	Facts	   *facts = arg;
	KpiFact		fact = {.owner = left_out->owner,.day = left_out->has_day ? left_out->day : DATEVAL_NOEND};
	KpiFinal	final = {.value = left_out->fate.value,.numerator = left_out->fate.numerator,
		.denominator = left_out->fate.denominator
	};
	DateADT		day = left_out->has_day ? left_out->day : facts->credit_day;
	Counted		counted;
	ListCell   *lc;

	fact.dims = palloc0((facts->dim + 1) * sizeof(char *));
	fact.dims[facts->dim] = left_out->dim;
	foreach(lc, facts->reads)
	{
		const KpiWindow *window = &((KpiValueRead *) lfirst(lc))->window;

		if ((left_out->has_day && (day < window->since || day >= window->until)) ||
			!counts_for(facts, &window->place, &fact, day, &counted))
			continue;
		put(facts, left_out->key, &fact, &final, &counted, NULL);
		break;
	}
	return true;
}

static void
read_left_out(Facts * facts, const KpiExplainWanted * rows)
{
	KpiLeftOutWanted wanted = {
		.kpi = linitial(kpi_explain_fate_kpis(facts->of.open->source, facts->kpi)),
		.reason = facts->left_out,
		.since = rows->since,
		.until = rows->until,
		.owners = rows->owners,
		.dim = facts->call.dimension != NULL && facts->of.node->by_dimension ? facts->dim : -1
	};

	kpi_explain_left_out_read(facts->of.open, &wanted, take_left_out, facts);
}

/* ---- a measure ---- */

static void
find_measure(const KpiSource *source, int32 stream_id, int32 measure_id, int *s, int *m)
{
	for (*s = 0; *s < source->nstreams; (*s)++)
	{
		const KpiStream *stream = &source->streams[*s];

		for (*m = 0; stream->id == stream_id && *m < stream->nmeasures; (*m)++)
		{
			if (stream->measures[*m].id == measure_id)
				return;
		}
	}
	elog(ERROR, "source \"%s\" has no measure %d", source->name, measure_id);
}

static int
find_dimension(const KpiSource *source, const char *kpi, const char *name)
{
	List	   *names = NIL;
	char	   *near;

	for (int d = 0; d < source->ndims; d++)
	{
		if (strcmp(source->dim_names[d], name) == 0)
			return d;
		names = lappend(names, source->dim_names[d]);
	}
	near = kpi_near_names(names, name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("KPI \"%s\" has no dimension \"%s\"", kpi, name),
			 near ? errhint("Perhaps you mean %s.", near) :
			 errhint("Table kpi.dimension lists the dimensions of sources.")));
}

/* Which days are read; false: none. */
static bool
find_days(const Facts * facts, KpiExplainWanted * wanted)
{
	ListCell   *lc;

	wanted->since = DATEVAL_NOEND;
	wanted->until = DATEVAL_NOBEGIN;
	foreach(lc, facts->reads)
	{
		const		KpiValueRead *read = lfirst(lc);

		wanted->since = Min(wanted->since, read->window.since);
		wanted->until = Max(wanted->until, read->window.until);
		if (facts->end_s >= 0)
			wanted->until = Max(wanted->until, kpi_value_window_last(&read->window, facts->today) + 1);
	}
	if (facts->end_s >= 0)
		wanted->since = kpi_calendar_first_fact_day();
	wanted->since = Max(wanted->since, kpi_calendar_first_fact_day());
	wanted->until = Min(wanted->until, kpi_calendar_last_fact_day() + 1);
	return wanted->since < wanted->until;
}

static List *
owners_of_member(int32 member_id, int32 source_id)
{
	return kpi_all_texts("SELECT m.key FROM kpi.member m WHERE m.id = $1 UNION SELECT a.alias FROM kpi.member_alias a"
						 " WHERE a.member_id = $1 AND (a.source_id IS NULL OR a.source_id = $2)",
						 2, KPI_INT4(member_id), KPI_INT4(source_id));
}

/* Of a balance only windows that have begun have any that count. */
static List *
reads_of(const Facts * facts, List *all, int n)
{
	List	   *reads = NIL;
	ListCell   *lc;

	foreach(lc, all)
	{
		KpiValueRead *read = lfirst(lc);

		if (read->node == n && (facts->of.node->kind != KPI_BALANCE || facts->left_out != NULL ||
								read->window.since <= facts->today))
			reads = lappend(reads, read);
	}
	return reads;
}

static void
read_measure(Facts * facts)
{
	KpiExplainWanted wanted = {0};
	const KpiSource *source;

	facts->of.open = kpi_explain_open(facts->of.node->source_id);
	source = facts->of.open->source;
	find_measure(source, facts->of.node->stream_id, facts->of.node->measure_id, &facts->of.s, &facts->of.m);
	facts->end_s = -1;
	if (facts->of.node->kind == KPI_BALANCE)
		find_measure(source, facts->of.node->end_stream_id, facts->of.node->end_measure_id, &facts->end_s, &facts->end_m);
	facts->kpi = source->streams[facts->of.s].measures[facts->of.m].kpi_name;
	if (facts->call.dimension != NULL && facts->of.node->by_dimension)
		facts->dim = find_dimension(source, facts->kpi, facts->call.dimension);
	wanted.s = facts->of.s;
	if (facts->call.member != NULL && kpi_model_owner_is_member(facts->of.node->owner_kind))
		wanted.owners = owners_of_member(facts->call.place.scope_id, source->id);
	if (find_days(facts, &wanted))
	{
		facts->org = kpi_people_ask(source->id, GetActiveSnapshot());
		if (facts->left_out != NULL)
			read_left_out(facts, &wanted);
		else
			kpi_explain_read(facts->of.open, &wanted, take_row, facts);
		kpi_people_free(facts->org);
	}
	kpi_explain_close(facts->of.open);
}

/* ---- the call ---- */

static HTAB *
create_names(const char *name)
{
	HASHCTL		ctl = {.keysize = sizeof(int32),.entrysize = sizeof(NameEntry),.hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* By day, key, KPI and window. */
static Tuplesortstate *
begin_sort(TupleDesc desc)
{
	static const AttrNumber by[] = {OUT_DAY, OUT_KEY, OUT_KPI, OUT_PERIOD_START, OUT_PERIOD_END, OUT_WHOLE, OUT_DENOMINATOR};
	AttrNumber	columns[lengthof(by)];
	Oid			less[lengthof(by)];
	Oid			collations[lengthof(by)];
	bool		nulls_first[lengthof(by)] = {false};

	for (int i = 0; i < lengthof(by); i++)
	{
		Oid			type = TupleDescAttr(desc, by[i])->atttypid;

		columns[i] = by[i] + 1;
		less[i] = lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr;
		collations[i] = type == TEXTOID ? C_COLLATION_OID : InvalidOid;
	}

	return tuplesort_begin_heap(desc, lengthof(columns), columns, less, collations, nulls_first, work_mem, NULL,
								TUPLESORT_NONE);
}

/* Whether there is a value of the dimension there, which a formula may take another branch by. */
static bool
has_value(const KpiValueCall *call)
{
	return call->dimension != NULL && call->has_breakdown && call->period != NULL && call->member == NULL &&
		call->place.grain >= KPI_MONTH;
}

static void
find_place(FunctionCallInfo fcinfo, Facts * facts)
{
	MemoryContext caller = CurrentMemoryContext;
	KpiSpi		spi;

	facts->call.kpi = kpi_arg_name(fcinfo, ARG_KPI, "KPI");
	facts->call.team = kpi_fact_key_optional_arg(fcinfo, ARG_TEAM, "team");
	facts->call.member = kpi_fact_key_optional_arg(fcinfo, ARG_MEMBER, "member");
	facts->left_out = kpi_arg_text(fcinfo, ARG_LEFT_OUT);
	if (facts->left_out != NULL)
		kpi_explain_reason_check(facts->left_out);
	if (facts->left_out == NULL || !PG_ARGISNULL(ARG_PERIOD))
		facts->call.period = kpi_arg_name(fcinfo, ARG_PERIOD, "period");
	facts->call.dimension = kpi_arg_text(fcinfo, ARG_DIMENSION);
	facts->call.dimension_value = kpi_arg_text(fcinfo, ARG_DIMENSION_VALUE);
	if (facts->call.dimension == NULL && facts->call.dimension_value != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a dimension_value needs a dimension"),
				 errhint("Write dimension => 'product', dimension_value => 'basic'.")));
	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	if (facts->call.period != NULL)
		kpi_value_call_find(&facts->call);
	else
		kpi_value_call_find_scope(&facts->call);
	if (has_value(&facts->call))
		kpi_value_call_find_dimension(&facts->call);
	kpi_spi_end(&spi);
	if (facts->call.dimension != NULL && facts->call.place.dim_id == 0)
		facts->call.place.dim_id = SOME_DIM_ID;
}

/* What is read of which days; without a period all measures of all days. */
static List *
find_reads(const Facts * facts)
{
	const KpiProgram *program = facts->call.program;
	KpiWindow	window;
	List	   *reads = NIL;

	if (facts->call.period != NULL)
	{
		window = kpi_value_call_window(&facts->call);
		return kpi_value_reads(program, &window);
	}
	window = (KpiWindow)
	{
		facts->call.place, DATEVAL_NOBEGIN, DATEVAL_NOEND, false
	};
	for (int n = 0; n < program->nnodes; n++)
	{
		KpiValueRead *read = palloc(sizeof(KpiValueRead));

		read->node = n;
		read->window = window;
		read->is_average = false;
		reads = lappend(reads, read);
	}
	return reads;
}

/* kpi.facts(kpi, team, member, period, dimension, dimension_value, left_out) */
Datum
kpi_sql_explain_facts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Facts		facts = {.cxt = CurrentMemoryContext};
	List	   *reads;
	TupleTableSlot *sorted;

	find_place(fcinfo, &facts);
	InitMaterializedSRF(fcinfo, 0);
	facts.today = kpi_value_today(facts.call.program);
	facts.credit_day = kpi_calendar_today(kpi_calendar_get(KPI_DEFAULT_CALENDAR));
	facts.of.own_currency = kpi_first_text("SELECT currency FROM kpi.company", 0);
	facts.teams = create_names("pg_kpi team names");
	facts.members = create_names("pg_kpi member names");
	facts.row = MakeSingleTupleTableSlot(rsinfo->setDesc, &TTSOpsVirtual);
	facts.sort = begin_sort(rsinfo->setDesc);

	reads = find_reads(&facts);
	for (int n = 0; n < facts.call.program->nnodes; n++)
	{
		facts.of.node = &facts.call.program->nodes[n];
		facts.reads = reads_of(&facts, reads, n);
		if (facts.of.node->formula == NULL && facts.reads != NIL)
			read_measure(&facts);
	}

	tuplesort_performsort(facts.sort);
	sorted = MakeSingleTupleTableSlot(rsinfo->setDesc, &TTSOpsMinimalTuple);
	while (tuplesort_gettupleslot(facts.sort, true, false, sorted, NULL))
		tuplestore_puttupleslot(rsinfo->setResult, sorted);
	tuplesort_end(facts.sort);
	ExecDropSingleTupleTableSlot(sorted);
	ExecDropSingleTupleTableSlot(facts.row);
	return (Datum) 0;
}
