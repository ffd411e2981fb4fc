/*-------------------------------------------------------------------------
 *
 * attribute.c
 *	  What becomes of members' attributes: further columns of the query of members.
 *
 * As teams are dated (member.c): of who is known a value holds from today on and what is
 * recorded before stays, as does a change that is recorded for a later day; of who is new,
 * and with effective => 'history', it holds as long as the row says.  A null ends it.
 * Attributes that are no column are left alone.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "sync/sync_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* ---- what is recorded ---- */

static int
number_of(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return foreach_current_index(lc);
	}
	elog(ERROR, "attribute \"%s\" was not asked for", name);
	return 0;
}

static void
add_value(KpiAttributeValues *values, KpiRows *rows)
{
	KpiAttributeValue *item;

	values->items = repalloc(values->items, (values->n + 1) * sizeof(KpiAttributeValue));
	item = &values->items[values->n++];
	item->value = kpi_rows_text(rows, "value");
	item->since = kpi_rows_date(rows, "since", DATEVAL_NOBEGIN);
	item->until = kpi_rows_date(rows, "until", DATEVAL_NOEND);
}

void
kpi_sync_attributes_load(KpiSyncThings *members)
{
	List	   *names = members->records->attributes;
	int			n = list_length(names);
	KpiRows		rows;

	for (int i = 0; i < members->n && n > 0; i++)
	{
		KpiSyncThing *member = &members->items[i];

		if (member->nrecords == 0)
			continue;
		member->attributes = palloc(n * sizeof(KpiSyncAttribute));
		for (int a = 0; a < n; a++)
			member->attributes[a].before = member->attributes[a].after = kpi_people_attribute_none(1);
	}
	if (n == 0)
		return;
	kpi_rows_begin(&rows, "SELECT member_id, name, value, since, until FROM kpi.member_attribute"
				   " WHERE name = ANY ($1) ORDER BY member_id, name, since NULLS FIRST", 1, KPI_TEXTS(names));
	while (kpi_rows_next(&rows))
	{
		KpiSyncThing *member = kpi_sync_thing_by_id(members, kpi_rows_int4(&rows, "member_id"));

		if (member->attributes != NULL)
			add_value(member->attributes[number_of(names, kpi_rows_text(&rows, "name"))].before, &rows);
	}
	kpi_rows_end(&rows);
}

/* ---- the plan ---- */

static KpiAttributeValues *
as_rows(const KpiSyncThing *member, int a)
{
	KpiAttributeValues *after = kpi_people_attribute_none(1);

	for (int i = 0; i < member->nrecords; i++)
	{
		const KpiSyncRecord *record = &member->records[i];

		if (record->since < record->until)
			after = kpi_people_attribute_set(after, record->since, record->until, record->attributes[a]);
	}
	return after;
}

static bool
same_value(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What is recorded, with what the row says of today and later, up to another value that is recorded already. */
static KpiAttributeValues *
as_of_today(const KpiSyncThing *member, int a, DateADT today)
{
	const KpiAttributeValues *before = member->attributes[a].before;
	char	   *value = member->records->attributes[a];
	DateADT		since = Max(member->records->since, today);
	DateADT		until = DATEVAL_NOEND;

	for (int i = 0; i < before->n && value != NULL; i++)
	{
		if (before->items[i].since > since && !same_value(before->items[i].value, value))
			until = Min(until, before->items[i].since);
	}
	return kpi_people_attribute_set(before, since, until, value);
}

void
kpi_sync_plan_attributes(KpiSyncThing *member, const KpiSyncThings *members, const KpiSyncOrder *order, DateADT today)
{
	for (int a = 0; a < list_length(members->records->attributes); a++)
	{
		KpiSyncAttribute *attribute = &member->attributes[a];

		if (order->history || member->name == NULL)
			attribute->after = as_rows(member, a);
		else
			attribute->after = as_of_today(member, a, today);
		if (kpi_people_attribute_equal(attribute->before, attribute->after))
			attribute->after = attribute->before;
	}
}

/* ---- what is told ---- */

/* 'experience "senior" since 2026-03-01, "lead" since 2026-10-01': those that are new; or that it ends. */
char *
kpi_sync_attribute_text(const char *name, const KpiSyncAttribute *attribute)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < attribute->after->n; i++)
	{
		const KpiAttributeValue *item = &attribute->after->items[i];

		if (kpi_people_attribute_has(attribute->before, item))
			continue;
		appendStringInfo(&text, "%s \"%s\"", text.len > 0 ? "," : "", item->value);
		if (!DATE_IS_NOBEGIN(item->since))
			appendStringInfo(&text, " since %s", kpi_day_text(item->since));
		if (!DATE_IS_NOEND(item->until))
			appendStringInfo(&text, " until %s", kpi_day_text(item->until));
	}
	return psprintf("attribute %s%s", name, text.len > 0 ? text.data : " ends");
}

/* ---- written ---- */

typedef struct AttributeRows
{
	int			n;
	int			max;
	Datum	   *members;
	Datum	   *since;
	Datum	   *until;
	bool	   *since_is_null;
	bool	   *until_is_null;
	List	   *names;
	List	   *values;
} AttributeRows;

static void
add_row(AttributeRows *rows, int32 member_id, char *name, const KpiAttributeValue *item)
{
	if (rows->n == rows->max)
	{
		int			max = Max(2 * rows->max, 64);

#define GROW(array, type) \
	(rows->array = rows->array == NULL ? palloc_array(type, max) : repalloc_array(rows->array, type, max))
		GROW(members, Datum);
		GROW(since, Datum);
		GROW(until, Datum);
		GROW(since_is_null, bool);
		GROW(until_is_null, bool);
#undef GROW
		rows->max = max;
	}
	rows->members[rows->n] = Int32GetDatum(member_id);
	rows->since[rows->n] = DateADTGetDatum(item->since);
	rows->until[rows->n] = DateADTGetDatum(item->until);
	rows->since_is_null[rows->n] = DATE_NOT_FINITE(item->since);
	rows->until_is_null[rows->n] = DATE_NOT_FINITE(item->until);
	rows->names = lappend(rows->names, name);
	rows->values = lappend(rows->values, item->value);
	rows->n++;
}

/* Rows of one that the other has not. */
static void
add_rows_without(AttributeRows *rows, int32 member_id, char *name, const KpiAttributeValues *values,
				 const KpiAttributeValues *without)
{
	for (int i = 0; i < values->n; i++)
	{
		if (!kpi_people_attribute_has(without, &values->items[i]))
			add_row(rows, member_id, name, &values->items[i]);
	}
}

static KpiParam
array_param(int n, Datum *values, bool *nulls, Oid element, Oid array)
{
	int			lbound = 1;

	return KPI_VALUE(array, PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lbound, element,
															   sizeof(int32), true, TYPALIGN_INT)));
}

void
kpi_sync_write_attributes(const KpiSyncThings *members)
{
	AttributeRows gone = {0};
	AttributeRows come = {0};

	for (int i = 0; i < members->n; i++)
	{
		const KpiSyncThing *member = &members->items[i];
		ListCell   *lc;

		if (member->attributes == NULL || member->refusal != NULL || member->is_passed_over)
			continue;
		foreach(lc, members->records->attributes)
		{
			const KpiSyncAttribute *attribute = &member->attributes[foreach_current_index(lc)];

			add_rows_without(&gone, member->id, lfirst(lc), attribute->before, attribute->after);
			add_rows_without(&come, member->id, lfirst(lc), attribute->after, attribute->before);
		}
	}
	if (gone.n > 0)
		kpi_spi_exec("DELETE FROM kpi.member_attribute a USING unnest($1, $2, $3) AS g (member_id, name, since)"
					 " WHERE a.member_id = g.member_id AND a.name = g.name AND a.since IS NOT DISTINCT FROM g.since",
					 3, array_param(gone.n, gone.members, NULL, INT4OID, INT4ARRAYOID), KPI_TEXTS(gone.names),
					 array_param(gone.n, gone.since, gone.since_is_null, DATEOID, DATEARRAYOID));
	if (come.n > 0)
		kpi_spi_exec("INSERT INTO kpi.member_attribute (member_id, name, value, since, until)"
					 " SELECT n.member_id, n.name, n.value, n.since, n.until"
					 "   FROM unnest($1, $2, $3, $4, $5) AS n (member_id, name, value, since, until)",
					 5, array_param(come.n, come.members, NULL, INT4OID, INT4ARRAYOID), KPI_TEXTS(come.names),
					 KPI_TEXTS(come.values),
					 array_param(come.n, come.since, come.since_is_null, DATEOID, DATEARRAYOID),
					 array_param(come.n, come.until, come.until_is_null, DATEOID, DATEARRAYOID));
}
