/*-------------------------------------------------------------------------
 *
 * query.c
 *	  kpi.query(): the value of a KPI at a place as plain SQL.
 *
 * The query says all that the number is made of: what a row of the table means, whose
 * facts count on which day, and the aggregate, with nothing of ours in it.  Who runs it
 * needs rights on the facts, who asks for it needs none: nothing of them is read here,
 * only definitions, which every reader sees.  Stored expressions are parsed for their types,
 * as the source's definer, and only where they reach nothing that the definer has not
 * accepted.
 *
 * Names, keys and texts of users are put into it as identifiers and literals; in comments
 * without line breaks, so that no name ends its comment.
 *
 * Where facts before the period decide whether there is 0 or nothing, that is as of now.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "explain/explain_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_sql_query);

/* Bytes of a name that is given a number behind it. */
#define NAME_LENGTH 48

/* Of a dimension a value that no fact has: it has no number, and no cells are looked for. */
#define UNMET_VALUE PG_INT32_MAX

/* ---- names and notes ---- */

static bool
has_text(List *texts, const char *text)
{
	ListCell   *lc;

	foreach(lc, texts)
	{
		if (strcmp(lfirst(lc), text) == 0)
			return true;
	}
	return false;
}

char *
kpi_explain_query_name(KpiQuery * query, const char *wanted)
{
	char	   *base = pnstrdup(wanted, pg_mbcliplen(wanted, strlen(wanted), NAME_LENGTH));
	char	   *name = base;

	for (int n = 2; has_text(query->names, name); n++)
		name = psprintf("%s_%d", base, n);
	query->names = lappend(query->names, name);
	return pstrdup(quote_identifier(name));
}

void
kpi_explain_query_note(KpiQuery * query, const char *note)
{
	char	   *line = pstrdup(note);

	for (char *c = line; *c != '\0'; c++)
	{
		if (!IS_HIGHBIT_SET(*c) && (unsigned char) *c < ' ')
			*c = ' ';
	}
	if (!has_text(query->notes, line))
		query->notes = lappend(query->notes, line);
}

/* ---- sources ---- */

/* Facts that a number of ours may have or lack, beside what a query finds. */
static void
note_exceptions(KpiQuery * query, const KpiSource *source)
{
	if (kpi_first_int4("SELECT 1 FROM kpi.sealed WHERE source_id = $1 LIMIT 1", 1, KPI_INT4(source->id)) != 0)
		kpi_explain_query_note(query, psprintf("Facts of source %s are sealed, as they were purged: they count in the KPI and are not found here.",
											   source->name));
	if (kpi_first_int8("SELECT coalesce(pg_catalog.sum(kpi_internal.cell_errors(y.cell)), 0)::bigint"
					   "  FROM (SELECT p.cell FROM kpi_internal.stream x JOIN kpi_internal.rollup_cell r ON r.stream_id = x.id"
					   "         CROSS JOIN LATERAL (VALUES (r.cell), (r.recent)) p (cell)"
					   "         WHERE x.source_id = $1 AND r.scope_kind = 1 AND r.scope_id = 1 AND r.grain = 2 AND r.dim_id = 0"
					   "        UNION ALL"
					   "        SELECT e.cell FROM kpi_internal.stream x JOIN kpi_internal.day_cell e ON e.stream_id = x.id"
					   "         WHERE x.source_id = $1 AND e.owner_id = 0 AND e.day = '-infinity') y",
					   1, KPI_INT4(source->id)) != 0)
		kpi_explain_query_note(query, psprintf("On some facts of source %s an expression fails: the KPI leaves them out, this query may fail on them.",
											   source->name));
}

const		KpiQuerySource *
kpi_explain_query_source(KpiQuery * query, int32 source_id)
{
	KpiQuerySource *entry;
	ListCell   *lc;

	foreach(lc, query->sources)
	{
		entry = lfirst(lc);
		if (entry->source->id == source_id)
			return entry;
	}
	entry = palloc0(sizeof(KpiQuerySource));
	entry->source = kpi_model_source_load(source_id, true);
	if (entry->source == NULL)
		elog(ERROR, "source %d is not there", source_id);
	entry->relid = kpi_fact_relation(entry->source);
	kpi_fact_definer_check(entry->relid, kpi_model_source_definer(entry->source));
	entry->keyed = kpi_model_keyed_load(source_id, true);
	if (entry->keyed != NULL)
	{
		entry->name = kpi_explain_query_name(query, entry->source->name);
		kpi_explain_query_note(query, psprintf("The query of source %s runs under SET TimeZone = '%s'.", entry->source->name,
											   entry->source->time_zone));
	}
	note_exceptions(query, entry->source);
	query->sources = lappend(query->sources, entry);
	return entry;
}

/* ---- common table expressions ---- */

/* The parts of WITH, one after the other. */
static void
begin_part(StringInfo with)
{
	appendStringInfoString(with, with->len == 0 ? "WITH " : ",\n");
}

static const char *
day_text(DateADT day)
{
	return day == DATEVAL_NOBEGIN ? "-infinity" : day == DATEVAL_NOEND ? "infinity" : kpi_day_text(day);
}

static void
put_row(StringInfo with, const KpiQueryRow * row, bool is_first)
{
	appendStringInfo(with, "%s(%s, %s'%s', %s'%s'", is_first ? "    VALUES " : ",\n           ",
					 quote_literal_cstr(row->key), is_first ? "DATE " : "", day_text(row->since),
					 is_first ? "DATE " : "", day_text(row->until));
	if (row->value != NULL)
		appendStringInfo(with, ", %s", row->value);
	appendStringInfoChar(with, ')');
}

/* A list, of the days that any list of its name is needed for. */
static void
put_list(StringInfo with, const KpiQuery * query, const KpiQueryList * list)
{
	DateADT		since = list->since;
	DateADT		until = list->until;
	bool		is_first = true;
	ListCell   *lc;

	foreach(lc, query->lists)
	{
		const		KpiQueryList *other = lfirst(lc);

		if (strcmp(other->name, list->name) != 0)
			continue;
		since = Min(since, other->since);
		until = Max(until, other->until);
	}
	begin_part(with);
	appendStringInfo(with, "%s (%s) AS (\n", list->name, list->columns);
	foreach(lc, list->rows)
	{
		const		KpiQueryRow *row = lfirst(lc);

		if (row->since >= until || row->until <= since)
			continue;
		put_row(with, row, is_first);
		is_first = false;
	}
	if (is_first)
		appendStringInfo(with, "    SELECT NULL, NULL::date, NULL::date%s WHERE false",
						 strstr(list->columns, "rate") ? ", NULL::numeric" : strstr(list->columns, "value") ? ", NULL" : "");
	appendStringInfoString(with, "\n)");
}

static void
put_lists(StringInfo with, const KpiQuery * query)
{
	List	   *put = NIL;
	ListCell   *lc;

	foreach(lc, query->lists)
	{
		const		KpiQueryList *list = lfirst(lc);

		if (!has_text(put, list->name))
			put_list(with, query, list);
		put = lappend(put, list->name);
	}
}

/* The queries of keyed sources as they were given: a comment may end one. */
static void
put_sources(StringInfo with, const KpiQuery * query)
{
	ListCell   *lc;

	foreach(lc, query->sources)
	{
		const		KpiQuerySource *source = lfirst(lc);

		if (source->name == NULL)
			continue;
		begin_part(with);
		appendStringInfo(with, "%s AS (\n%s\n)", source->name, source->keyed->query);
	}
}

static char *
with_clause(const KpiQuery * query)
{
	StringInfoData with;
	ListCell   *lc;

	initStringInfo(&with);
	put_lists(&with, query);
	put_sources(&with, query);
	foreach(lc, query->blocks)
	{
		begin_part(&with);
		appendStringInfoString(&with, ((KpiQueryBlock *) lfirst(lc))->text);
	}
	if (with.len > 0)
		appendStringInfoChar(&with, '\n');
	return with.data;
}

/* ---- what it is ---- */

static char *
scope_text(const KpiValueCall *call)
{
	StringInfoData text;

	initStringInfo(&text);
	if (call->member != NULL)
		appendStringInfo(&text, "member %s", call->member);
	else if (call->team != NULL)
		appendStringInfo(&text, "team %s", call->team);
	else
		appendStringInfoString(&text, "the company");
	if (call->dimension != NULL && call->dimension_value != NULL)
		appendStringInfo(&text, ", %s %s", call->dimension, call->dimension_value);
	else if (call->dimension != NULL)
		appendStringInfo(&text, ", without %s", call->dimension);
	return text.data;
}

/* How the KPI is defined. */
static char *
definition_text(const char *kpi)
{
	return kpi_first_text("SELECT coalesce(k.formula, k.measure || coalesce(' where ' || k.filter, '')) ||"
						  " coalesce(', in ' || k.unit, '') FROM kpi.kpi k WHERE k.name = $1", 1, KPI_TEXT(kpi));
}

static char *
heading(KpiQuery * query, const KpiWindow *window)
{
	List	   *notes = query->notes;
	StringInfoData text;
	ListCell   *lc;

	query->notes = NIL;
	kpi_explain_query_note(query, psprintf("KPI %s of %s, %s: %s to %s", query->call.kpi, scope_text(&query->call),
										   query->call.period, kpi_day_text(window->since), kpi_day_text(window->until - 1)));
	kpi_explain_query_note(query, definition_text(query->call.kpi));
	kpi_explain_query_note(query, psprintf("Teams, members and rates as of %s", timestamptz_to_str(kpi_now())));
	initStringInfo(&text);
	foreach(lc, list_concat(query->notes, notes))
		appendStringInfo(&text, "-- %s\n", (char *) lfirst(lc));
	return text.data;
}

/* ---- kpi.query() ---- */

static KpiWindow
window_of(const KpiQuery * query, bool to_date)
{
	KpiWindow	window = kpi_value_call_window(&query->call);

	if (!kpi_value_call_may_have_facts(&query->call))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no fact can be dated in period \"%s\"", query->call.period),
				 errdetail("Facts are of the years %d to %d.", KPI_MIN_FACT_YEAR, KPI_MAX_FACT_YEAR),
				 errhint("Ask for a period within these.")));
	if (!to_date)
		return window;
	if (query->today < window.since)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("period \"%s\" has not begun: nothing of it counts to date", query->call.period),
				 errdetail("Today is %s.", kpi_day_text(query->today)),
				 errhint("Ask for an earlier period, or without to_date.")));
	return kpi_value_call_window_until(&query->call, query->today);
}

/* Whether a KPI that adds up is 0 where no fact counts. */
static bool
is_zero(const KpiQuery * query, bool to_date)
{
	if (to_date && query->today <= query->call.last)
		return true;
	return query->call.is_met && kpi_value_call_has_begun(&query->call);
}

static char *
query_text(KpiQuery * query, bool to_date)
{
	const KpiProgramNode *node = &query->program->nodes[query->program->nnodes - 1];
	KpiWindow	window = window_of(query, to_date);
	KpiQueryNumber number;
	char	   *value;

	if (node->formula != NULL)
		kpi_explain_query_formula(query, node, &window, "              ", &number);
	else
		kpi_explain_query_measure(query, node, &window, false, "", &number);
	value = number.value;
	if (node->additive ? is_zero(query, to_date) : node->formula == NULL && strcmp(number.known, "true") == 0)
		value = number.or_nothing;
	if (!kpi_value_is_exact(query->program))
		value = psprintf("round((%s)::numeric, %d)", value, KPI_SHOWN_DECIMALS);
	return psprintf("%s%sSELECT %s AS value\n%s;", heading(query, &window), with_clause(query), value, number.from);
}

/* kpi.query(kpi, team, member, period, dimension, dimension_value, to_date) */
Datum
kpi_sql_query(PG_FUNCTION_ARGS)
{
	KpiQuery	query = {.call.is_met = true};
	MemoryContext caller = CurrentMemoryContext;
	char	   *text;
	KpiSpi		spi;

	kpi_value_call_read(fcinfo, &query.call);
	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	kpi_value_call_find(&query.call);
	kpi_value_call_find_dimension(&query.call);
	if (!query.call.is_met)
		query.call.place.dim_id = UNMET_VALUE;
	query.program = query.call.program;
	query.today = kpi_value_today(query.program);
	query.credit_day = kpi_calendar_today(kpi_calendar_get(KPI_DEFAULT_CALENDAR));
	text = query_text(&query, PG_ARGISNULL(6) ? false : PG_GETARG_BOOL(6));
	kpi_spi_end(&spi);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}
