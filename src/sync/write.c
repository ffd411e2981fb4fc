/*-------------------------------------------------------------------------
 *
 * write.c
 *	  What is to change of teams and members is written, all at once.
 *
 * Each statement takes arrays, so that the number of statements does not grow with
 * that of people.  Rows that are gone go before others come, as there is one for a
 * first day only.  Goals are looked at once more at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "goal/goal.h"
#include "sync/sync_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* unnest() of several arrays is grammar, which a schema before it would not be. */

/* ---- rows of assignments ---- */

typedef struct AssignmentRows
{
	int			n;
	int			max;
	Datum	   *owners;
	Datum	   *targets;
	Datum	   *since;
	Datum	   *until;
	bool	   *since_is_null;
	bool	   *until_is_null;
	Datum	   *keeps_later;
} AssignmentRows;

static void
add_row(AssignmentRows *rows, int32 owner, const KpiAssignment *item, int32 target)
{
	if (rows->n == rows->max)
	{
		int			max = Max(2 * rows->max, 64);

#define GROW(array, type) \
	(rows->array = rows->array == NULL ? palloc_array(type, max) : repalloc_array(rows->array, type, max))
		GROW(owners, Datum);
		GROW(targets, Datum);
		GROW(since, Datum);
		GROW(until, Datum);
		GROW(since_is_null, bool);
		GROW(until_is_null, bool);
		GROW(keeps_later, Datum);
#undef GROW
		rows->max = max;
	}
	rows->owners[rows->n] = Int32GetDatum(owner);
	rows->targets[rows->n] = Int32GetDatum(target);
	rows->since[rows->n] = DateADTGetDatum(item->since);
	rows->until[rows->n] = DateADTGetDatum(item->until);
	rows->since_is_null[rows->n] = DATE_NOT_FINITE(item->since);
	rows->until_is_null[rows->n] = DATE_NOT_FINITE(item->until);
	rows->keeps_later[rows->n] = Int32GetDatum(item->keeps_later);
	rows->n++;
}

static KpiParam
array_param(int n, Datum *values, bool *nulls, Oid element, Oid array)
{
	int			lbound = 1;

	/* Ids and days are of the same layout. */
	return KPI_VALUE(array, PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lbound, element,
															   sizeof(int32), true, TYPALIGN_INT)));
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

static void
write_assignments(const KpiAssignmentTable *table, const KpiSyncThings *things, const KpiSyncThings *teams)
{
	AssignmentRows gone = {0};
	AssignmentRows come = {0};

	for (int i = 0; i < things->n; i++)
	{
		const KpiSyncThing *thing = &things->items[i];

		if (thing->before == thing->after)
			continue;
		for (int a = 0; a < thing->before->n; a++)
		{
			if (!is_among(&thing->before->items[a], thing->after))
				add_row(&gone, thing->id, &thing->before->items[a], 0);
		}
		for (int a = 0; a < thing->after->n; a++)
		{
			const KpiAssignment *item = &thing->after->items[a];

			if (!is_among(item, thing->before))
				add_row(&come, thing->id, item, kpi_sync_thing_by_id(teams, item->target)->id);
		}
	}
	if (gone.n > 0)
		kpi_spi_exec(psprintf("DELETE FROM %s a USING unnest($1, $2) AS g (owner, since)"
							  " WHERE a.%s = g.owner AND a.since IS NOT DISTINCT FROM g.since",
							  table->table, table->owner_column),
					 2, array_param(gone.n, gone.owners, NULL, INT4OID, INT4ARRAYOID),
					 array_param(gone.n, gone.since, gone.since_is_null, DATEOID, DATEARRAYOID));
	if (come.n > 0)
		kpi_spi_exec(psprintf("INSERT INTO %s (%s, %s, since, until%s%s)"
							  " SELECT n.owner, n.target, n.since, n.until%s"
							  "   FROM unnest($1, $2, $3, $4, $5) AS n (owner, target, since, until, keeps_later)",
							  table->table, table->owner_column, table->target_column,
							  table->later_column ? ", " : "", table->later_column ? table->later_column : "",
							  table->later_column ? ", CASE n.keeps_later WHEN 1 THEN 'last_team' ELSE 'unassigned' END" : ""),
					 5, array_param(come.n, come.owners, NULL, INT4OID, INT4ARRAYOID),
					 array_param(come.n, come.targets, NULL, INT4OID, INT4ARRAYOID),
					 array_param(come.n, come.since, come.since_is_null, DATEOID, DATEARRAYOID),
					 array_param(come.n, come.until, come.until_is_null, DATEOID, DATEARRAYOID),
					 array_param(come.n, come.keeps_later, NULL, INT4OID, INT4ARRAYOID));
}

/* ---- teams and members ---- */

/*
 * Gives what is new its id.  The ids by which assignments refer to them stay
 * below 0 and lead here.
 */
static void
make_new(const char *table, KpiSyncThings *things)
{
	List	   *keys = NIL;
	List	   *names = NIL;
	KpiRows		rows;

	for (int i = 0; i < things->n; i++)
	{
		const KpiSyncThing *thing = &things->items[i];

		if (thing->id > 0 || thing->refusal != NULL || thing->is_passed_over)
			continue;
		keys = lappend(keys, thing->key);
		names = lappend(names, thing->new_name ? thing->new_name : thing->key);
	}
	if (keys == NIL)
		return;
	kpi_rows_begin(&rows, psprintf("INSERT INTO %s (key, name) SELECT n.key, n.name"
								   " FROM unnest($1, $2) AS n (key, name) RETURNING id, key", table),
				   2, KPI_TEXTS(keys), KPI_TEXTS(names));
	while (kpi_rows_next(&rows))
	{
		int32		id = kpi_rows_int4(&rows, "id");

		kpi_sync_thing_by_key(things, kpi_rows_text(&rows, "key"))->id = id;
	}
	kpi_rows_end(&rows);
}

/* Teams that others were given as their parent, earlier in this transaction, have come. */
static void
make_expected(const KpiSyncThings *teams, List **changed)
{
	List	   *ids = NIL;
	List	   *names = NIL;

	for (int i = 0; i < teams->n; i++)
	{
		const KpiSyncThing *team = &teams->items[i];

		if (!team->is_expected || team->name != NULL || team->refusal != NULL)
			continue;
		ids = lappend_int(ids, team->id);
		names = lappend(names, team->new_name ? team->new_name : team->key);
	}
	if (ids == NIL)
		return;
	kpi_spi_exec("DELETE FROM kpi_internal.pending_team WHERE team_id = ANY ($1)", 1, KPI_INT4S(ids));
	kpi_spi_exec("UPDATE kpi.team t SET name = n.name FROM unnest($1, $2) AS n (id, name)"
				 " WHERE t.id = n.id", 2, KPI_INT4S(ids), KPI_TEXTS(names));
	*changed = list_concat(*changed, ids);
}

/* Renames; changed: the ids of all whose goals have to be looked at. */
static void
rename_known(const char *table, const KpiSyncThings *things, List **changed)
{
	List	   *ids = NIL;
	List	   *names = NIL;

	for (int i = 0; i < things->n; i++)
	{
		const KpiSyncThing *thing = &things->items[i];

		if (thing->name == NULL || thing->is_dropped)
			continue;
		if (kpi_sync_thing_is_renamed(thing))
		{
			ids = lappend_int(ids, thing->id);
			names = lappend(names, thing->new_name);
		}
		if (kpi_sync_thing_is_renamed(thing) || kpi_sync_thing_moves(thing))
			*changed = lappend_int(*changed, thing->id);
	}
	if (ids != NIL)
		kpi_spi_exec(psprintf("UPDATE %s t SET name = n.name FROM unnest($1, $2) AS n (id, name)"
							  " WHERE t.id = n.id", table), 2, KPI_INT4S(ids), KPI_TEXTS(names));
}

static void
drop_teams(const KpiSyncThings *teams)
{
	List	   *ids = NIL;

	for (int i = 0; i < teams->n; i++)
	{
		if (teams->items[i].is_dropped)
			ids = lappend_int(ids, teams->items[i].id);
	}
	if (ids == NIL)
		return;
	kpi_spi_exec("DELETE FROM kpi.team_parent WHERE team_id = ANY ($1)", 1, KPI_INT4S(ids));
	kpi_spi_exec("DELETE FROM kpi.team WHERE id = ANY ($1)", 1, KPI_INT4S(ids));
}

static void
write_all(KpiSyncThings *teams, KpiSyncThings *members)
{
	List	   *changed_teams = NIL;
	List	   *changed_members = NIL;

	make_new("kpi.team", teams);
	make_new("kpi.member", members);
	make_expected(teams, &changed_teams);
	rename_known("kpi.team", teams, &changed_teams);
	rename_known("kpi.member", members, &changed_members);
	write_assignments(&kpi_people_team_parent_table, teams, teams);
	write_assignments(&kpi_people_membership_table, members, teams);
	if (members->records != NULL)
		kpi_sync_write_attributes(members);
	drop_teams(teams);
	kpi_goal_people_redefined(changed_teams, changed_members);
}

void
kpi_sync_write(KpiSyncThings *teams, KpiSyncThings *members, Oid role)
{
	kpi_people_logs_itself = true;
	PG_TRY();
	{
		write_all(teams, members);
	}
	PG_FINALLY();
	{
		kpi_people_logs_itself = false;
	}
	PG_END_TRY();
	kpi_sync_log(teams, members, role);
}
