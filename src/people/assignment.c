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

const KpiAssignmentTable kpi_people_membership_table = {"kpi.membership", "member_id", "team_id"};
const KpiAssignmentTable kpi_people_team_parent_table = {"kpi.team_parent", "team_id", "parent_id"};

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
	char	   *sql = psprintf("SELECT %s, since, until FROM %s WHERE %s = $1 ORDER BY since NULLS FIRST",
							   table->target_column, table->table, table->owner_column);
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

		if (item->since == wanted->since && item->until == wanted->until && item->target == wanted->target)
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

		if (!is_among(item, before))
			kpi_spi_exec(insert, 4, KPI_INT4(owner_id), KPI_INT4(item->target),
						 day_param(item->since), day_param(item->until));
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
append(KpiAssignments *assignments, DateADT since, DateADT until, int32 target)
{
	KpiAssignment *last = assignments->n > 0 ? &assignments->items[assignments->n - 1] : NULL;

	if (since >= until || target == 0)
		return;
	if (last && last->until == since && last->target == target)
		last->until = until;
	else
		assignments->items[assignments->n++] = (KpiAssignment)
	{
		since, until, target
	};
}

KpiAssignments *
kpi_people_assignments_set(const KpiAssignments *assignments, DateADT since, DateADT until, int32 target)
{
	KpiAssignments *result = assignments_create(assignments->n + 2);
	const KpiAssignment *end = assignments->items + assignments->n;

	for (const KpiAssignment *item = assignments->items; item < end; item++)
		append(result, item->since, Min(item->until, since), item->target);
	append(result, since, until, target);
	for (const KpiAssignment *item = assignments->items; item < end; item++)
		append(result, Max(item->since, until), item->until, item->target);
	return result;
}
