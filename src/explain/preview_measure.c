/*-------------------------------------------------------------------------
 *
 * preview_measure.c
 *	  What a measure would amount to, by its facts.
 *
 * The definition comes from a subtransaction in which the KPI was altered and which is undone; nothing
 * of it is in a table when the facts are read, and nothing is stored.  The facts are those that the active
 * snapshot shows, the teams those of the organisation there.  They are read once, row by row, as the
 * source's definer, for a reader who may see them (read.c): a fact on which an expression fails is left out, as
 * by a refresh.
 *
 * What it keeps meanwhile is a cell of this one measure for each team and period.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "explain/explain_internal.h"
#include "lib/stringinfo.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

struct KpiPreviewMeasure
{
	MemoryContext cxt;
	const char *kpi;
	char	   *table;			/* the relation of its source, as it is now */
	KpiSource  *source;			/* as altered, with this one measure */
	text	   *program;
};

/* Where facts count. */
typedef struct Place
{
	int32		team_id;
	DateADT		start;
} Place;

typedef struct PlaceEntry
{
	Place		place;			/* the key */
	KpiCell    *cell;
} PlaceEntry;

typedef struct Reading
{
	KpiExplainSource *open;
	const KpiStream *stream;
	const KpiLayout *layout;
	KpiExchange *exchange;		/* or NULL */
	KpiOrg	   *org;
	const KpiCalendar *calendar;
	DateADT		credit_day;		/* whose teams count with credit today */
	KpiGrain	grain;
	DateADT		since;			/* of periods that begin on these days */
	DateADT		until;			/* exclusive */
	MemoryContext cxt;
	HTAB	   *places;
} Reading;

/* ---- the definition ---- */

/* Of a lookup that is new there is no column yet. */
static char *
table_of(const char *kpi)
{
	return kpi_first_text("SELECT s.relation || ' ' || c.relnatts FROM kpi.kpi k JOIN kpi.source s ON s.id = k.source_id"
						  " JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(s.relation)::oid"
						  " WHERE k.name = $1", 1, KPI_TEXT(kpi));
}

KpiPreviewMeasure *
kpi_explain_preview_begin(const char *kpi)
{
	KpiPreviewMeasure *measure = palloc0(sizeof(KpiPreviewMeasure));

	measure->cxt = CurrentMemoryContext;
	measure->kpi = kpi;
	measure->table = table_of(kpi);
	return measure;
}

static const KpiProgramNode *
node_of(const KpiProgram *program)
{
	return &program->nodes[program->nnodes - 1];
}

/* Of the source that stream and that measure alone. */
static void
keep_measure(KpiSource *source, const KpiProgramNode *node)
{
	for (int s = 0; s < source->nstreams; s++)
	{
		KpiStream  *stream = &source->streams[s];

		for (int m = 0; stream->id == node->stream_id && m < stream->nmeasures; m++)
		{
			if (stream->measures[m].id != node->measure_id)
				continue;
			stream->measures[0] = stream->measures[m];
			stream->nmeasures = 1;
			source->streams[0] = *stream;
			source->nstreams = 1;
			return;
		}
	}
	elog(ERROR, "source \"%s\" has no measure %d", source->name, node->measure_id);
}

static void
check(const KpiPreviewMeasure *measure, const KpiProgramNode *node)
{
	char	   *table = table_of(measure->kpi);

	if (node->kind == KPI_BALANCE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("KPI \"%s\" would be a balance, of which there is no preview", measure->kpi),
				 errdetail("What is held follows from all facts before a day."),
				 errhint("Create a KPI with the new definition beside it, and compare the two.")));
	if (table == NULL || measure->table == NULL || strcmp(table, measure->table) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("KPI \"%s\" would look up what its source does not have yet, of which there is no preview", measure->kpi),
				 errhint("Create a KPI with the new definition beside it, and compare the two.")));
}

void
kpi_explain_preview_altered(KpiPreviewMeasure *measure)
{
	MemoryContext old = MemoryContextSwitchTo(measure->cxt);
	int32		source_id = kpi_first_int4("SELECT source_id FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(measure->kpi));
	char	   *program = kpi_first_text("SELECT s.program::text FROM kpi.kpi k JOIN kpi_internal.kpi_stream s"
										 " ON s.kpi_id = k.id AND s.position = 1 WHERE k.name = $1",
										 1, KPI_TEXT(measure->kpi));
	const KpiProgramNode *node;

	/* What the subtransaction has written is not in the active snapshot. */
	measure->source = kpi_model_source_load(source_id, false);
	if (program == NULL || measure->source == NULL)
		elog(ERROR, "KPI \"%s\" has no program", measure->kpi);
	measure->program = cstring_to_text(program);
	node = node_of(kpi_model_program(measure->program));
	check(measure, node);
	keep_measure(measure->source, node);
	MemoryContextSwitchTo(old);
}

/* ---- the facts ---- */

/* The teams that an owner's facts of a day count for. */
static KpiSpan
span_of(const Reading *reading, const char *owner, DateADT day)
{
	static int32 company = KPI_TEAM_COMPANY;
	KpiSpan		all = {DATEVAL_NOBEGIN, DATEVAL_NOEND, 1, &company};
	KpiOwnerKind kind = reading->stream->owner_kind;
	const KpiSpan *spans;
	int32		member_id;
	int			n;

	if (kind == KPI_OWNER_COMPANY)
		return all;
	if (kpi_model_owner_is_of_today(kind))
		day = reading->credit_day;
	if (kpi_model_owner_is_member(kind))
		spans = kpi_people_member_spans(reading->org, owner, &member_id, &n);
	else
		spans = kpi_people_team_spans(reading->org, owner, &n);
	for (int i = 0; i < n; i++)
	{
		if (day >= spans[i].since && day < spans[i].until)
			return spans[i];
	}
	elog(ERROR, "an owner counts for nothing on day %d", day);
}

static void
add(Reading *reading, const Place *place, const KpiCell *cell)
{
	bool		found;
	PlaceEntry *entry = hash_search(reading->places, place, HASH_ENTER, &found);
	MemoryContext old = MemoryContextSwitchTo(reading->cxt);

	entry->cell = kpi_cell_merge(found ? entry->cell : kpi_cell_empty(), cell);
	MemoryContextSwitchTo(old);
}

/* The fact alone; NULL: it is an amount of a currency without a rate. */
static KpiCell *
cell_of(const Reading *reading, const KpiFact *fact)
{
	KpiCell    *cell = kpi_fact_change_cell(NULL, reading->layout, fact, 1);
	Numeric		rate;

	if (reading->stream->currency == NULL)
		return cell;
	rate = kpi_refresh_exchange_rate(reading->exchange, reading->stream, fact->dims[reading->open->source->ndims], fact->day);
	return rate == NULL ? NULL : kpi_cell_scale(cell, rate);
}

static void
take_row(void *arg, const KpiExplainRow * row)
{
	Reading    *reading = arg;
	KpiFact		fact;
	KpiCell    *cell;
	KpiSpan		span;
	DateADT		start;

	kpi_explain_fact(reading->open, 0, row, &fact);
	if (!fact.is_event || fact.failed || bms_is_member(0, fact.failed_measures) || !kpi_calendar_fact_day_in_range(fact.day))
		return;
	start = kpi_calendar_period_start(reading->grain, fact.day, reading->calendar);
	if (start < reading->since || start >= reading->until)
		return;
	cell = cell_of(reading, &fact);
	if (cell == NULL)
		return;
	span = span_of(reading, fact.owner, fact.day);
	for (int i = 0; i < span.nscopes; i++)
	{
		Place		place = {span.scopes[i], start};

		add(reading, &place, cell);
	}
}

static void
read_facts(Reading *reading)
{
	KpiExplainWanted wanted = {
		.since = Max(reading->since, kpi_calendar_first_fact_day()),
		.until = kpi_calendar_last_fact_day() + 1
	};

	if (reading->until <= kpi_calendar_last_fact_day())
		wanted.until = kpi_calendar_period_end(reading->grain, Max(reading->until - 1, kpi_calendar_first_fact_day()),
											   reading->calendar) + 1;
	if (wanted.since < wanted.until)
		kpi_explain_read(reading->open, &wanted, take_row, reading);
}

/* As kpi_internal.preview_kpi_values() has them. */
static char *
values_text(const Reading *reading, const KpiProgram *program)
{
	const KpiProgramNode *node = node_of(program);
	const char *separator = "";
	StringInfoData values;
	HASH_SEQ_STATUS status;
	PlaceEntry *entry;

	initStringInfo(&values);
	appendStringInfoChar(&values, '[');
	hash_seq_init(&status, reading->places);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		KpiFinal	final;
		Numeric		value;

		if (!kpi_cell_final(entry->cell, node->measure_id, node->divisor, node->parameter, &final) || final.facts == 0)
			continue;
		value = kpi_value_shown(program, final.value);
		appendStringInfo(&values, "%s{\"team_id\": %d, \"start\": \"%s\", \"value\": %s}", separator, entry->place.team_id,
						 kpi_day_text(entry->place.start), value == NULL ? "null" :
						 DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value))));
		separator = ", ";
	}
	appendStringInfoChar(&values, ']');
	return values.data;
}

char *
kpi_explain_preview_values(KpiPreviewMeasure *measure, KpiGrain grain, DateADT since, DateADT until)
{
	HASHCTL		ctl = {.keysize = sizeof(Place),.entrysize = sizeof(PlaceEntry),.hcxt = measure->cxt};
	KpiExplainSource *open = kpi_explain_open_loaded(measure->source);
	Reading		reading = {
		.open = open,
		.stream = &open->source->streams[0],
		.layout = kpi_fact_projection_layout(open->projection, 0),
		.exchange = kpi_refresh_exchange_create(measure->cxt, open->source),
		.org = kpi_people_load(open->source->id),
		.calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR),
		.grain = grain,
		.since = since,
		.until = until,
		.cxt = measure->cxt
	};

	reading.credit_day = kpi_calendar_today(reading.calendar);
	reading.places = hash_create("pg_kpi preview", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	/* Where facts mean nothing at so short a grain there is no value. */
	if (grain >= open->source->grain)
		read_facts(&reading);
	kpi_people_free(reading.org);
	kpi_explain_close(open);
	return values_text(&reading, kpi_model_program(measure->program));
}
