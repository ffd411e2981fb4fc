/*-------------------------------------------------------------------------
 *
 * query_list.c
 *	  Lists of values in queries: whose facts count for a team and when, attributes
 *	  of owners, rates of currencies.
 *
 * A query is to be read by people who have no tables of ours, so what the organisation
 * says is written into it.  It is as of the snapshot of the caller, and only of the days
 * that the query is about.
 *
 * (unassigned) has all that no other team has, owners that nobody knows among them:
 * there the list is of the others, and a fact counts that is not found in it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "explain/explain_internal.h"
#include "people/people.h"
#include "utils/builtins.h"

/* Kinds of lists besides those of owners, whose kind is theirs. */
#define LIST_ATTRIBUTE	100
#define LIST_RATES		200

/*
 * The keys that facts of a source can name members by.  One that is both is the key of a
 * member, as in people/tree.c.
 */
#define MEMBER_KEYS \
	"SELECT m.id, m.key FROM kpi.member m" \
	" UNION ALL SELECT a.member_id, a.alias FROM kpi.member_alias a" \
	"  WHERE (a.source_id IS NULL OR a.source_id = $1)" \
	"  AND NOT EXISTS (SELECT FROM kpi.member m WHERE m.key = a.alias)"

/* ---- rows ---- */

static void
add_row(List **rows, const char *key, DateADT since, DateADT until, char *value)
{
	KpiQueryRow *last = *rows == NIL ? NULL : llast(*rows);
	KpiQueryRow *row;

	if (since >= until)
		return;
	if (last != NULL && strcmp(last->key, key) == 0 && last->until == since && value == NULL && last->value == NULL)
	{
		last->until = until;
		return;
	}
	row = palloc(sizeof(KpiQueryRow));
	row->key = pstrdup(key);
	row->since = since;
	row->until = until;
	row->value = value;
	*rows = lappend(*rows, row);
}

/* The list that was asked for with these; or a new one without rows. */
static KpiQueryList *
find_list(KpiQuery * query, int source_id, int kind, const char *of, DateADT since, DateADT until, bool *is_new)
{
	KpiQueryList *list;
	ListCell   *lc;

	*is_new = false;
	foreach(lc, query->lists)
	{
		list = lfirst(lc);
		if (list->source_id != source_id || list->kind != kind || strcmp(list->of, of) != 0)
			continue;
		list->since = Min(list->since, since);
		list->until = Max(list->until, until);
		return list;
	}
	*is_new = true;
	list = palloc0(sizeof(KpiQueryList));
	list->source_id = source_id;
	list->kind = kind;
	list->of = pstrdup(of);
	list->since = since;
	list->until = until;
	return list;
}

static bool
row_equal(const KpiQueryRow * a, const KpiQueryRow * b)
{
	return strcmp(a->key, b->key) == 0 && a->since == b->since && a->until == b->until &&
		(a->value == NULL) == (b->value == NULL) && (a->value == NULL || strcmp(a->value, b->value) == 0);
}

/* A list that is full.  Another with the same rows has its name, so that it is written once. */
static void
keep_list(KpiQuery * query, KpiQueryList * list, const char *name, const char *columns)
{
	ListCell   *lc;

	list->columns = columns;
	foreach(lc, query->lists)
	{
		KpiQueryList *other = lfirst(lc);
		ListCell   *a;
		ListCell   *b;
		bool		equal = strcmp(other->columns, columns) == 0 && list_length(other->rows) == list_length(list->rows);

		forboth(a, other->rows, b, list->rows)
			equal = equal && row_equal(lfirst(a), lfirst(b));
		if (equal)
			list->name = other->name;
	}
	if (list->name == NULL)
		list->name = kpi_explain_query_name(query, name);
	query->lists = lappend(query->lists, list);
}

/* ---- owners ---- */

static bool
has_team(const KpiSpan *span, int32 team_id)
{
	for (int i = 0; i < span->nscopes; i++)
	{
		if (span->scopes[i] == team_id)
			return true;
	}
	return false;
}

/* The days on which an owner counts for the team, or, of (unassigned), for another. */
static void
add_spans(List **rows, const char *key, const KpiSpan *spans, int nspans, int32 team_id)
{
	for (int i = 0; i < nspans; i++)
	{
		if (has_team(&spans[i], team_id) != (team_id == KPI_TEAM_UNASSIGNED))
			add_row(rows, key, spans[i].since, spans[i].until, NULL);
	}
}

static void
add_owners(KpiQueryList * list, KpiOwnerKind kind, int32 team_id, DateADT credit_day)
{
	bool		of_members = kpi_model_owner_is_member(kind);
	KpiOrg	   *org = kpi_people_load(list->source_id);
	List	   *keys;
	ListCell   *lc;

	if (of_members)
		keys = kpi_all_texts("SELECT k.key FROM (" MEMBER_KEYS ") k ORDER BY k.key COLLATE \"C\"",
							 1, KPI_INT4(list->source_id));
	else
		keys = kpi_all_texts("SELECT key FROM kpi.team ORDER BY key COLLATE \"C\"", 0);
	foreach(lc, keys)
	{
		const KpiSpan *spans;
		KpiSpan		all_days;
		int32		member_id;
		int			n;

		if (of_members)
			spans = kpi_people_member_spans(org, lfirst(lc), &member_id, &n);
		else
			spans = kpi_people_team_spans(org, lfirst(lc), &n);
		if (kpi_model_owner_is_of_today(kind))
		{
			while (credit_day >= spans->until)
				spans++;
			all_days = *spans;
			all_days.since = DATEVAL_NOBEGIN;
			all_days.until = DATEVAL_NOEND;
			spans = &all_days;
			n = 1;
		}
		add_spans(&list->rows, lfirst(lc), spans, n, team_id);
	}
	kpi_people_free(org);
}

const		KpiQueryList *
kpi_explain_query_owners(KpiQuery * query, int32 source_id, KpiOwnerKind kind, const KpiPlace *place,
						 DateADT since, DateADT until)
{
	bool		is_new;
	KpiQueryList *list = find_list(query, source_id, kind, "", since, until, &is_new);

	if (is_new)
	{
		add_owners(list, kind, place->scope_id, query->credit_day);
		keep_list(query, list, place->scope_id == KPI_TEAM_UNASSIGNED ? "assigned" :
				  kpi_model_owner_is_member(kind) ? "person" : "team", "owner, since, until");
	}
	return list;
}

char *
kpi_explain_query_member_keys(int32 source_id, int32 member_id)
{
	List	   *keys = kpi_all_texts("SELECT pg_catalog.quote_literal(k.key) FROM (" MEMBER_KEYS ") k WHERE k.id = $2"
									 " ORDER BY k.key COLLATE \"C\"", 2, KPI_INT4(source_id), KPI_INT4(member_id));
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, keys)
		appendStringInfo(&sql, "%s%s", sql.len > 0 ? ", " : "", (char *) lfirst(lc));
	return sql.data;
}

/* ---- attributes and rates ---- */

const		KpiQueryList *
kpi_explain_query_attribute(KpiQuery * query, int32 source_id, KpiOwnerKind kind, const char *attribute,
							DateADT since, DateADT until)
{
	bool		of_today = kpi_model_owner_is_of_today(kind);
	bool		is_new;
	KpiQueryList *list = find_list(query, source_id, LIST_ATTRIBUTE + kind, attribute, since, until, &is_new);
	KpiRows		rows;

	if (!is_new)
		return list;
	kpi_rows_begin_read(&rows, "SELECT k.key, t.since, t.until, pg_catalog.quote_literal(t.value) AS value"
						"  FROM (" MEMBER_KEYS ") k JOIN kpi.member_attribute t ON t.member_id = k.id"
						" WHERE t.name = $2 ORDER BY k.key COLLATE \"C\", t.since NULLS FIRST",
						2, KPI_INT4(source_id), KPI_TEXT(attribute));
	while (kpi_rows_next(&rows))
	{
		DateADT		first = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		DateADT		end = kpi_rows_date(&rows, "until", DATEVAL_NOEND);

		if (!of_today)
			add_row(&list->rows, kpi_rows_text(&rows, "key"), first, end, kpi_rows_text(&rows, "value"));
		else if (first <= query->credit_day && query->credit_day < end)
			add_row(&list->rows, kpi_rows_text(&rows, "key"), DATEVAL_NOBEGIN, DATEVAL_NOEND,
					kpi_rows_text(&rows, "value"));
	}
	kpi_rows_end(&rows);
	keep_list(query, list, attribute, "owner, since, until, value");
	return list;
}

const		KpiQueryList *
kpi_explain_query_rates(KpiQuery * query, const char *exchange, DateADT since, DateADT until)
{
	bool		is_new;
	KpiQueryList *list = find_list(query, 0, LIST_RATES, exchange, since, until, &is_new);
	KpiRows		rows;

	if (!is_new)
		return list;
	kpi_rows_begin_read(&rows, "SELECT r.currency, r.since, pg_catalog.lead(r.since) OVER w AS until, r.rate::text AS rate"
						"  FROM (SELECT e.currency, e.since, e.rate FROM kpi.exchange_rate e, kpi.company c"
						"         WHERE e.exchange = $1 AND e.currency IS DISTINCT FROM c.currency"
						"        UNION ALL SELECT c.currency, '-infinity', 1 FROM kpi.company c WHERE c.currency IS NOT NULL) r"
						" WINDOW w AS (PARTITION BY r.currency ORDER BY r.since) ORDER BY r.currency, r.since",
						1, KPI_TEXT(exchange));
	while (kpi_rows_next(&rows))
		add_row(&list->rows, kpi_rows_text(&rows, "currency"), kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN),
				kpi_rows_date(&rows, "until", DATEVAL_NOEND), kpi_rows_text(&rows, "rate"));
	kpi_rows_end(&rows);
	keep_list(query, list, "rate", "currency, since, until, rate");
	return list;
}
