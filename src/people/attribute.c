/*-------------------------------------------------------------------------
 *
 * attribute.c
 *	  Dated attributes of members: what somebody's experience, role or office is.
 *
 * Whoever changes them holds the row lock on kpi_internal.version, as of
 * assignments (assignment.c).  Invariants of what is stored: the values of one
 * attribute of a member do not overlap, and two that touch differ.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "people/people.h"
#include "utils/builtins.h"

/* Columns of kpi.member_attribute. */
enum
{
	ATTRIBUTE_ID = 1,
	ATTRIBUTE_MEMBER,
	ATTRIBUTE_NAME,
	ATTRIBUTE_VALUE,
	ATTRIBUTE_SINCE,
	ATTRIBUTE_UNTIL
};

KpiAttributeValues *
kpi_people_attribute_none(int max)
{
	KpiAttributeValues *values = palloc(sizeof(KpiAttributeValues));

	values->n = 0;
	values->items = palloc(Max(max, 1) * sizeof(KpiAttributeValue));
	return values;
}

KpiAttributeValues *
kpi_people_attribute_load(int32 member_id, const char *name)
{
	KpiAttributeValues *values;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT value, since, until FROM kpi.member_attribute"
				   " WHERE member_id = $1 AND name = $2 ORDER BY since NULLS FIRST",
				   2, KPI_INT4(member_id), KPI_TEXT(name));
	values = kpi_people_attribute_none(rows.n);
	while (kpi_rows_next(&rows))
	{
		KpiAttributeValue *item = &values->items[values->n++];

		item->value = kpi_rows_text(&rows, "value");
		item->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		item->until = kpi_rows_date(&rows, "until", DATEVAL_NOEND);
	}
	kpi_rows_end(&rows);
	return values;
}

/* ---- changing them ---- */

static bool
same_item(const KpiAttributeValue *a, const KpiAttributeValue *b)
{
	return a->since == b->since && a->until == b->until && strcmp(a->value, b->value) == 0;
}

bool
kpi_people_attribute_has(const KpiAttributeValues *values, const KpiAttributeValue *wanted)
{
	for (int i = 0; i < values->n; i++)
	{
		if (same_item(&values->items[i], wanted))
			return true;
	}
	return false;
}

bool
kpi_people_attribute_equal(const KpiAttributeValues *a, const KpiAttributeValues *b)
{
	for (int i = 0; i < a->n; i++)
	{
		if (!kpi_people_attribute_has(b, &a->items[i]))
			return false;
	}
	return a->n == b->n;
}

static KpiParam
day_param(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		return KPI_NULL(DATEOID);
	return KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

void
kpi_people_attribute_store(int32 member_id, const char *name, const KpiAttributeValues *before,
						   const KpiAttributeValues *after)
{
	for (int i = 0; i < before->n; i++)
	{
		if (!kpi_people_attribute_has(after, &before->items[i]))
			kpi_spi_exec("DELETE FROM kpi.member_attribute"
						 " WHERE member_id = $1 AND name = $2 AND since IS NOT DISTINCT FROM $3",
						 3, KPI_INT4(member_id), KPI_TEXT(name), day_param(before->items[i].since));
	}
	for (int i = 0; i < after->n; i++)
	{
		const KpiAttributeValue *item = &after->items[i];

		if (!kpi_people_attribute_has(before, item))
			kpi_spi_exec("INSERT INTO kpi.member_attribute (member_id, name, value, since, until)"
						 " VALUES ($1, $2, $3, $4, $5)",
						 5, KPI_INT4(member_id), KPI_TEXT(name), KPI_TEXT(item->value),
						 day_param(item->since), day_param(item->until));
	}
}

/* Appends, within some days, to those before it; joins it with its neighbour if it can. */
static void
append(KpiAttributeValues *values, KpiAttributeValue item, DateADT since, DateADT until)
{
	KpiAttributeValue *last = values->n > 0 ? &values->items[values->n - 1] : NULL;

	item.since = Max(item.since, since);
	item.until = Min(item.until, until);
	if (item.since >= item.until || item.value == NULL)
		return;
	if (last != NULL && last->until == item.since && strcmp(last->value, item.value) == 0)
		last->until = item.until;
	else
		values->items[values->n++] = item;
}

KpiAttributeValues *
kpi_people_attribute_set(const KpiAttributeValues *values, DateADT since, DateADT until, char *value)
{
	KpiAttributeValues *result = kpi_people_attribute_none(values->n + 2);
	KpiAttributeValue added = {.since = since,.until = until,.value = value};

	for (int i = 0; i < values->n; i++)
		append(result, values->items[i], DATEVAL_NOBEGIN, since);
	append(result, added, since, until);
	for (int i = 0; i < values->n; i++)
		append(result, values->items[i], until, DATEVAL_NOEND);
	return result;
}

DateADT
kpi_people_attribute_next(const KpiAttributeValues *values, DateADT day)
{
	for (int i = 0; i < values->n; i++)
	{
		if (values->items[i].since > day)
			return values->items[i].since;
	}
	return DATEVAL_NOEND;
}

/* ---- those of many members ---- */

void
kpi_people_attributes_open(KpiLookup *attributes, Snapshot snapshot)
{
	kpi_lookup_open(attributes, "kpi", "member_attribute", "member_attribute_member_id_name_since_key", 2, snapshot);
}

static DateADT
day_or(const KpiLookup *lookup, AttrNumber attno, DateADT if_null)
{
	bool		isnull;
	Datum		day = slot_getattr(lookup->found, attno, &isnull);

	return isnull ? if_null : DatumGetDateADT(day);
}

char *
kpi_people_attribute_at(KpiLookup *attributes, int32 member_id, const char *name, DateADT day, DateADT *until)
{
	Datum		keys[] = {Int32GetDatum(member_id), CStringGetTextDatum(name)};
	char	   *value = NULL;

	*until = DATEVAL_NOEND;
	kpi_lookup_begin(attributes, keys);
	while (kpi_lookup_next(attributes))
	{
		DateADT		since = day_or(attributes, ATTRIBUTE_SINCE, DATEVAL_NOBEGIN);
		DateADT		end = day_or(attributes, ATTRIBUTE_UNTIL, DATEVAL_NOEND);

		if (since > day)
			*until = Min(*until, since);
		else if (day < end)
		{
			value = TextDatumGetCString(kpi_lookup_column(attributes, ATTRIBUTE_VALUE));
			*until = end;
			break;
		}
	}
	return value;
}
