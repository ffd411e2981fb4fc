/*-------------------------------------------------------------------------
 *
 * assignment.c
 *	  Dated assignments: which team a member belongs to, which parent a team has.
 *
 * Whoever changes assignments holds the row lock on kpi_internal.version, so
 * nobody else does meanwhile.  Invariants of what is stored: the assignments of
 * one owner do not overlap, and two that touch differ in their target.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "people/people.h"

const KpiAssignmentTable kpi_people_membership_table = {"kpi.membership", "member_id", "team_id", "later_facts"};
const KpiAssignmentTable kpi_people_team_parent_table = {"kpi.team_parent", "team_id", "parent_id", NULL};

static KpiAssignments *
assignments_create(int max)
{
	KpiAssignments *assignments = palloc0(sizeof(KpiAssignments));

	assignments->items = palloc(Max(max, 1) * sizeof(KpiAssignment));
	return assignments;
}

KpiAssignments *
kpi_people_assignments_load(const KpiAssignmentTable *table, int32 owner_id)
{
	char	   *sql = psprintf("SELECT %s, since, until, %s = 'last_team' AS keeps_later"
							   " FROM %s WHERE %s = $1 ORDER BY since NULLS FIRST",
							   table->target_column, table->later_column ? table->later_column : "''",
							   table->table, table->owner_column);
	KpiAssignments *assignments;
	KpiRows		rows;

	kpi_rows_begin(&rows, sql, 1, KPI_INT4(owner_id));
	assignments = assignments_create(rows.n);
	while (kpi_rows_next(&rows))
	{
		KpiAssignment *item = &assignments->items[assignments->n++];

		item->target = kpi_rows_int4(&rows, table->target_column);
		item->since = kpi_rows_date(&rows, "since", DATEVAL_NOBEGIN);
		item->until = kpi_rows_date(&rows, "until", DATEVAL_NOEND);
		item->keeps_later = kpi_rows_bool(&rows, "keeps_later");
	}
	kpi_rows_end(&rows);
	return assignments;
}

static bool
is_among(const KpiAssignment *wanted, const KpiAssignments *assignments)
{
	for (int i = 0; i < assignments->n; i++)
	{
		const KpiAssignment *item = &assignments->items[i];

		if (item->since == wanted->since && item->until == wanted->until && item->target == wanted->target &&
			item->keeps_later == wanted->keeps_later)
			return true;
	}
	return false;
}

static KpiParam
day_param(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		return KPI_NULL(DATEOID);
	return KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

/* Of a table that has the column. */
static void
keep_later(const KpiAssignmentTable *table, int32 owner_id, const KpiAssignment *item)
{
	char	   *sql = psprintf("UPDATE %s SET %s = 'last_team' WHERE %s = $1 AND since IS NOT DISTINCT FROM $2",
							   table->table, table->later_column, table->owner_column);

	kpi_spi_exec(sql, 2, KPI_INT4(owner_id), day_param(item->since));
}

void
kpi_people_assignments_store(const KpiAssignmentTable *table, int32 owner_id,
							 const KpiAssignments *before, const KpiAssignments *after)
{
	char	   *delete = psprintf("DELETE FROM %s WHERE %s = $1 AND since IS NOT DISTINCT FROM $2",
								  table->table, table->owner_column);
	char	   *insert = psprintf("INSERT INTO %s (%s, %s, since, until) VALUES ($1, $2, $3, $4)",
								  table->table, table->owner_column, table->target_column);

	for (int i = 0; i < before->n; i++)
	{
		const KpiAssignment *item = &before->items[i];

		if (!is_among(item, after))
			kpi_spi_exec(delete, 2, KPI_INT4(owner_id), day_param(item->since));
	}
	for (int i = 0; i < after->n; i++)
	{
		const KpiAssignment *item = &after->items[i];

		if (is_among(item, before))
			continue;
		kpi_spi_exec(insert, 4, KPI_INT4(owner_id), KPI_INT4(item->target),
					 day_param(item->since), day_param(item->until));
		if (item->keeps_later)
			keep_later(table, owner_id, item);
	}
}

const KpiAssignment *
kpi_people_assignments_at(const KpiAssignments *assignments, DateADT day)
{
	for (int i = 0; i < assignments->n; i++)
		if (assignments->items[i].since <= day && day < assignments->items[i].until)
			return &assignments->items[i];
	return NULL;
}

DateADT
kpi_people_assignments_next(const KpiAssignments *assignments, DateADT day)
{
	for (int i = 0; i < assignments->n; i++)
		if (assignments->items[i].since > day)
			return assignments->items[i].since;
	return DATEVAL_NOEND;
}

/* Appends to those before it; joins it with its neighbour if it can. */
static void
append(KpiAssignments *assignments, KpiAssignment item)
{
	KpiAssignment *last = assignments->n > 0 ? &assignments->items[assignments->n - 1] : NULL;

	if (item.since >= item.until || item.target == 0)
		return;
	if (last && last->until == item.since && last->target == item.target)
	{
		last->until = item.until;
		last->keeps_later = item.keeps_later;
	}
	else
		assignments->items[assignments->n++] = item;
}

/* The part of an assignment within some days. */
static KpiAssignment
part(const KpiAssignment *item, DateADT since, DateADT until)
{
	KpiAssignment cut = *item;

	cut.since = Max(item->since, since);
	cut.until = Min(item->until, until);
	cut.keeps_later = item->keeps_later && cut.until == item->until;
	return cut;
}

KpiAssignments *
kpi_people_assignments_set(const KpiAssignments *assignments, DateADT since, DateADT until, int32 target)
{
	KpiAssignments *result = assignments_create(assignments->n + 2);
	const KpiAssignment *end = assignments->items + assignments->n;
	KpiAssignment added = {.since = since,.until = until,.target = target};

	for (const KpiAssignment *item = assignments->items; item < end; item++)
		append(result, part(item, DATEVAL_NOBEGIN, since));
	append(result, added);
	for (const KpiAssignment *item = assignments->items; item < end; item++)
		append(result, part(item, until, DATEVAL_NOEND));
	return result;
}

void
kpi_people_assignments_end(KpiAssignments *assignments, DateADT until, bool keeps_later)
{
	for (int i = 0; i < assignments->n; i++)
	{
		if (assignments->items[i].until == until)
			assignments->items[i].keeps_later = keeps_later;
	}
}
