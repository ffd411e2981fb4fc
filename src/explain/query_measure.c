/*-------------------------------------------------------------------------
 *
 * query_measure.c
 *	  A measure in a window, as an aggregate over the rows of its table.
 *
 * A subquery "fact" has what a row means: who it is of, its day, and the inputs of the
 * measure, by the texts that capture and scans are compiled from.  Around it stand the
 * days, the teams, and the aggregate that says what the states of the measure's kind
 * say (cell/): what is no finite number does not count, and a float is the decimal
 * that people see.
 *
 * A balance is of facts that have arrived and not left on one day, or on each day of
 * some; then it is that day on which owners are in teams and have attributes.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "base/base.h"
#include "explain/explain_internal.h"
#include "fact/fact.h"
#include "lib/stringinfo.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#define NOT_FINITE "('NaN', 'Infinity', '-Infinity')"

/* A measure while its statement is made. */
typedef struct Measure
{
	KpiQuery   *query;
	const KpiProgramNode *node;
	const KpiWindow *window;
	bool		is_average;
	const		KpiQuerySource *of;
	const KpiStream *stream;
	const KpiMeasure *measure;
	const char *pad;
	const char *moment;			/* SQL of the day on which owners are looked
								 * at */
	DateADT		since;			/* the days that it can be */
	DateADT		until;
	const char *rates;			/* the list of them; NULL: it has no currency */
	const char *filter;			/* of aggregates; NULL: none */
	bool		is_empty;		/* no fact counts there */
	StringInfoData columns;		/* of the subquery */
	StringInfoData within;		/* conditions in it */
	StringInfoData joins;
	StringInfoData where;		/* conditions around it */
}			Measure;

/* ---- parts of a statement ---- */

static void
add_column(Measure * m, const char *text, const char *name)
{
	appendStringInfo(&m->columns, "%s%s AS %s", m->columns.len == 0 ? "" :
					 psprintf(",\n%s               ", m->pad), text, name);
}

static void
add_condition(Measure * m, StringInfo conditions, const char *text)
{
	if (conditions->len > 0)
		appendStringInfo(conditions, "\n%s%s   AND ", m->pad, conditions == &m->within ? "        " : "");
	appendStringInfoString(conditions, text);
}

static const char *
input(const Measure * m, int n)
{
	return list_nth(m->measure->inputs, n);
}

static Oid
type_of(const Measure * m, const char *text)
{
	return getBaseType(kpi_fact_type(m->of->source, m->of->relid, text));
}

static char *
day_of(const Measure * m, const char *at)
{
	return kpi_fact_day_text(m->of->source, m->of->relid, at);
}

static char *
day_literal(DateADT day)
{
	return psprintf("DATE '%s'", kpi_day_text(day));
}

/* A condition that a key, as a text, meets. */
static char *
is_value(const char *text, const char *value)
{
	return value ? psprintf("%s = %s", text, quote_literal_cstr(value)) : psprintf("%s IS NULL", text);
}

/* An expression whose text is a key. */
static char *
key_of(const Measure * m, const char *text)
{
	return type_of(m, text) == TEXTOID ? pstrdup(text) : psprintf("(%s)::text", text);
}

/*
 * Adds an input that is a number.  Facts of which it is no finite one are facts, and not
 * counted by the aggregate.  A cast from a float to numeric would round it, its text is
 * what it is.
 */
static void
add_number(Measure * m, int n, const char *name)
{
	const char *text = input(m, n);

	switch (type_of(m, text))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			add_column(m, text, name);
			return;
		case FLOAT4OID:
		case FLOAT8OID:
			text = psprintf("(%s)::text::numeric", text);
			break;
		default:
			break;
	}
	add_column(m, text, name);
	m->filter = psprintf("%s%sfact.%s IN " NOT_FINITE " IS NOT TRUE", m->filter ? m->filter : "",
						 m->filter ? " AND " : "", name);
}

static void
add_value(Measure * m)
{
	add_number(m, 0, "value");
	add_condition(m, &m->where, "fact.value IS NOT NULL");
}

/* What stands behind an aggregate. */
static const char *
filter_of(const Measure * m)
{
	return m->filter ? psprintf(" FILTER (WHERE %s)", m->filter) : "";
}

/* ---- whose facts count ---- */

static void
join_list(Measure * m, const KpiQueryList * list, const char *key, const char *of, bool is_left)
{
	appendStringInfo(&m->joins, "\n%s  %sJOIN %s ON %s.%s = %s\n%s   AND %s >= %s.since AND %s < %s.until",
					 m->pad, is_left ? "LEFT " : "", list->name, list->name, key, of,
					 m->pad, m->moment, list->name, m->moment, list->name);
}

static void
add_team(Measure * m)
{
	const KpiPlace *place = &m->window->place;
	bool		is_left = place->scope_id == KPI_TEAM_UNASSIGNED;
	const		KpiQueryList *list;

	if (m->stream->owner_kind == KPI_OWNER_COMPANY)
	{
		m->is_empty = true;
		return;
	}
	list = kpi_explain_query_owners(m->query, m->of->source->id, m->stream->owner_kind, place, m->since, m->until);
	join_list(m, list, "owner", "fact.owner", is_left);
	if (is_left)
		add_condition(m, &m->where, psprintf("%s.owner IS NULL", list->name));
}

/* Returns whether the owner is needed. */
static bool
add_scope(Measure * m)
{
	const KpiPlace *place = &m->window->place;

	if (place->scope_kind == KPI_SCOPE_MEMBER)
	{
		m->is_empty = !kpi_model_owner_is_member(m->stream->owner_kind);
		if (!m->is_empty)
			add_condition(m, &m->where, psprintf("fact.owner IN (%s)",
												 kpi_explain_query_member_keys(m->of->source->id, place->scope_id)));
		return !m->is_empty;
	}
	if (place->scope_id == KPI_TEAM_COMPANY)
		return false;
	add_team(m);
	return !m->is_empty;
}

/* Returns whether the owner is needed. */
static bool
add_dimension(Measure * m)
{
	const KpiSource *source = m->of->source;
	const char *name = m->query->call.dimension;
	const char *value = m->query->call.dimension_value;
	const		KpiQueryList *list;
	int			k = 0;

	if (m->window->place.dim_id == 0)
		return false;
	while (k < source->ndims && strcmp(source->dim_names[k], name) != 0)
		k++;
	if (k == source->ndims)
		elog(ERROR, "source \"%s\" has no dimension \"%s\"", source->name, name);
	if (source->dim_attributes[k] == NULL)
	{
		add_condition(m, &m->within, is_value(psprintf("(%s)", source->dim_exprs[k]), value));
		return false;
	}
	if (!kpi_model_owner_is_member(m->stream->owner_kind))
	{
		m->is_empty |= value != NULL;
		return false;
	}
	list = kpi_explain_query_attribute(m->query, source->id, m->stream->owner_kind, source->dim_attributes[k],
									   m->since, m->until);
	join_list(m, list, "owner", "fact.owner", true);
	add_condition(m, &m->where, is_value(psprintf("%s.value", list->name), value));
	return true;
}

/* ---- which days ---- */

/* Facts of the days of the window. */
static void
add_days(Measure * m)
{
	add_column(m, day_of(m, m->stream->at), "day");
	add_condition(m, &m->where, psprintf("fact.day BETWEEN %s AND %s", day_literal(m->window->since),
										 day_literal(m->window->until - 1)));
	m->moment = "fact.day";
	m->since = m->window->since;
	m->until = m->window->until;
}

/* Facts that have arrived and not left when a day ends: the last one of the window, or each. */
static void
add_held(Measure * m)
{
	const KpiStream *end = kpi_model_stream_find(m->of->source, m->node->end_stream_id);
	DateADT		last = Min(m->window->until - 1, m->query->today);

	m->since = m->is_average ? m->window->since : last;
	m->until = last + 1;
	m->is_empty = m->window->since > m->query->today || m->until <= m->since;
	m->moment = m->is_average ? "held.day" : day_literal(last);
	if (m->is_average)
		appendStringInfo(&m->joins, "\n%s  JOIN (SELECT day::date AS day\n%s"
						 "          FROM generate_series(TIMESTAMP '%s', '%s', '1 day') AS day) AS held ON true",
						 m->pad, m->pad, kpi_day_text(m->since), kpi_day_text(last));
	add_column(m, day_of(m, m->stream->at), "day");
	add_condition(m, &m->within, psprintf("(%s) = 1", input(m, 2)));
	add_condition(m, &m->where, psprintf("fact.day <= %s", m->moment));
	if (end == NULL)
		return;
	add_column(m, day_of(m, end->at), "until");
	add_condition(m, &m->where, psprintf("(fact.until IS NULL OR fact.until > %s)", m->moment));
}

/* ---- kinds of measures ---- */

static char *
divided(const Measure * m, char *text)
{
	return m->node->divisor == 1 ? text : psprintf("%s / %d", text, m->node->divisor);
}

/* Amounts in currencies are those of the company's, by the rates of their days. */
static char *
amount(const Measure * m, const char *name)
{
	return m->rates ? psprintf("fact.%s * %s.rate", name, m->rates) : psprintf("fact.%s", name);
}

static void
add_currency(Measure * m)
{
	const		KpiQueryList *list;

	if (m->stream->currency == NULL)
		return;
	list = kpi_explain_query_rates(m->query, m->stream->exchange, m->since, m->until);
	m->rates = list->name;
	add_column(m, key_of(m, m->stream->currency), "currency");
	join_list(m, list, "currency", "fact.currency", false);
}

static void
set_count(Measure * m, KpiQueryNumber * number)
{
	if (strcmp(input(m, 0), "true") != 0)
	{
		add_column(m, input(m, 0), "counts");
		add_condition(m, &m->where, "fact.counts");
	}
	number->value = "nullif(count(*), 0)::numeric";
	number->or_nothing = "count(*)::numeric";
}

static void
set_rate(Measure * m, KpiQueryNumber * number)
{
	add_column(m, input(m, 0), "is_so");
	if (strcmp(input(m, 1), "true") != 0)
	{
		add_column(m, input(m, 1), "counts");
		add_condition(m, &m->where, "fact.counts");
	}
	number->value = "(count(*) FILTER (WHERE fact.is_so))::numeric / nullif(count(*), 0)";
}

static void
set_ratio(Measure * m, KpiQueryNumber * number)
{
	add_number(m, 0, "numerator");
	add_number(m, 1, "denominator");
	add_condition(m, &m->where, "(fact.numerator IS NOT NULL OR fact.denominator IS NOT NULL)");
	number->value = psprintf("coalesce(sum(%s)%s, 0)::numeric / nullif(sum(%s)%s%s, 0)", amount(m, "numerator"),
							 filter_of(m), amount(m, "denominator"), filter_of(m),
							 m->node->divisor == 1 ? "" : psprintf(" * %d", m->node->divisor));
}

/* Of several facts at one time the key decides; texts are ordered by their bytes. */
static void
set_ordered(Measure * m, KpiQueryNumber * number)
{
	const char *direction = m->node->kind == KPI_FIRST ? "" : " DESC";
	const char *key = input(m, 2);

	add_value(m);
	add_column(m, input(m, 1), "at");
	add_column(m, type_of(m, key) == TEXTOID ? psprintf("(%s) COLLATE \"C\"", key) : key, "key");
	number->value = divided(m, psprintf("((array_agg(fact.value ORDER BY fact.at%s, fact.key%s)%s)[1])::numeric",
										direction, direction, filter_of(m)));
}

static void
set_percentile(Measure * m, KpiQueryNumber * number)
{
	char	   *part = numeric_normalize(m->node->parameter);

	add_value(m);
	number->value = divided(m, psprintf("(percentile_cont(%s) WITHIN GROUP (ORDER BY fact.value::double precision)%s)::numeric",
										part, filter_of(m)));
	kpi_explain_query_note(m->query, psprintf("Percentile %s of %s is kept within a small error, and exact here.", part,
											  m->measure->kpi_name));
}

static void
set_value(Measure * m, KpiQueryNumber * number)
{
	static const char *const aggregates[] = {
		[KPI_SUM] = "sum",[KPI_AVG] = "sum",[KPI_BALANCE] = "sum",[KPI_VARIANCE] = "var_samp",
		[KPI_STDDEV] = "stddev_samp",[KPI_MIN] = "min",[KPI_MAX] = "max"
	};

	add_value(m);
	number->value = psprintf("(%s(%s)%s)::numeric", aggregates[m->node->kind], amount(m, "value"), filter_of(m));
	if (m->node->kind == KPI_AVG)
		number->value = psprintf("%s / nullif(count(*)%s, 0)", number->value, filter_of(m));
	if (m->is_average)
		number->value = psprintf("%s / %d", number->value, Max(m->until - m->since, 1));
	number->value = divided(m, number->value);
	if (m->node->kind != KPI_BALANCE)
		number->or_nothing = psprintf("CASE WHEN count(*) = 0 THEN 0 ELSE %s END", number->value);
}

static void
set_distinct(Measure * m, KpiQueryNumber * number)
{
	add_column(m, input(m, 0), "value");
	number->value = "nullif(count(DISTINCT fact.value), 0)::numeric";
	if (m->node->kind == KPI_DISTINCT_APPROX)
		kpi_explain_query_note(m->query, psprintf("The different values of %s are estimated, and counted here.",
												  m->measure->kpi_name));
	add_condition(m, &m->where, "fact.value IS NOT NULL");
}

/* A balance is there from the first day of its scope on, also when all has left again. */
static bool
is_held_there(const Measure * m)
{
	return m->node->kind == KPI_BALANCE && (m->window->place.dim_id == 0 || m->query->call.is_met) &&
		kpi_value_has_balance(m->node, m->window, m->query->today);
}

static void
set_number(Measure * m, KpiQueryNumber * number)
{
	number->known = is_held_there(m) ? "true" : "count(*) > 0";
	switch (m->node->kind)
	{
		case KPI_COUNT:
			set_count(m, number);
			break;
		case KPI_RATE:
			set_rate(m, number);
			break;
		case KPI_RATIO:
			set_ratio(m, number);
			break;
		case KPI_FIRST:
		case KPI_LAST:
			set_ordered(m, number);
			break;
		case KPI_PERCENTILE:
			set_percentile(m, number);
			break;
		case KPI_DISTINCT:
		case KPI_DISTINCT_APPROX:
			set_distinct(m, number);
			break;
		default:
			set_value(m, number);
			break;
	}
	if (number->or_nothing == NULL)
		number->or_nothing = psprintf("coalesce(%s, 0)", number->value);
}

/* ---- the statement ---- */

static const KpiMeasure *
find_measure(const KpiStream *stream, int32 measure_id)
{
	for (int i = 0; stream != NULL && i < stream->nmeasures; i++)
	{
		if (stream->measures[i].id == measure_id)
			return &stream->measures[i];
	}
	elog(ERROR, "measure %d is not there", measure_id);
	return NULL;
}

/* The rows of the table, or of the query in its place. */
static char *
rows_of(const Measure * m)
{
	if (m->of->name != NULL)
		return m->of->name;
	return psprintf("%s%s", get_rel_relkind(m->of->relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					m->of->source->relation);
}

static char *
statement(const Measure * m)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "%s  FROM (SELECT %s\n%s          FROM %s\n%s         WHERE %s) AS fact%s",
					 m->pad, m->columns.data, m->pad, rows_of(m), m->pad, m->within.data, m->joins.data);
	appendStringInfo(&sql, "\n%s WHERE %s", m->pad, m->where.data);
	return sql.data;
}

/* Rows of a query without a key, or of no entity, are no facts. */
static void
add_complete(Measure * m)
{
	ListCell   *lc;

	foreach(lc, list_concat_copy(m->of->keyed->key, m->of->keyed->entity))
	{
		char	   *condition = psprintf("%s IS NOT NULL", quote_identifier(lfirst(lc)));

		if (strstr(m->within.data, condition) == NULL)
			add_condition(m, &m->within, condition);
	}
}

void
kpi_explain_query_measure(KpiQuery * query, const KpiProgramNode *node, const KpiWindow *window,
						  bool is_average, const char *pad, KpiQueryNumber * number)
{
	Measure		m = {.query = query,.node = node,.window = window,.is_average = is_average,.pad = pad};
	bool		needs_owner;

	memset(number, 0, sizeof(*number));
	m.of = kpi_explain_query_source(query, node->source_id);
	m.stream = kpi_model_stream_find(m.of->source, node->stream_id);
	m.measure = find_measure(m.stream, node->measure_id);
	initStringInfo(&m.columns);
	initStringInfo(&m.within);
	initStringInfo(&m.joins);
	initStringInfo(&m.where);
	if (m.of->keyed != NULL)
		add_complete(&m);
	if (m.of->source->filter != NULL)
		add_condition(&m, &m.within, psprintf("(%s)", m.of->source->filter));
	add_condition(&m, &m.within, psprintf("isfinite(%s)", m.stream->at));
	if (node->kind == KPI_BALANCE)
		add_held(&m);
	else
		add_days(&m);
	needs_owner = add_scope(&m);
	needs_owner |= add_dimension(&m);
	if (needs_owner)
		add_column(&m, key_of(&m, m.stream->owner), "owner");
	add_currency(&m);
	set_number(&m, number);
	if (m.is_empty)
		add_condition(&m, &m.where, "false");
	number->from = statement(&m);
}
