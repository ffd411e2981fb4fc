/*-------------------------------------------------------------------------
 *
 * member.c
 *	  SQL functions that define members and their memberships.
 *
 * As in team.c, kpi_internal.version.org is raised first; its row lock
 * makes overlaps of memberships impossible.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "goal/goal.h"
#include "lib/stringinfo.h"
#include "people/people.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_add_member);
PG_FUNCTION_INFO_V1(kpi_sql_move_member);
PG_FUNCTION_INFO_V1(kpi_sql_end_membership);
PG_FUNCTION_INFO_V1(kpi_sql_alter_member);
PG_FUNCTION_INFO_V1(kpi_sql_drop_member);

int32
kpi_define_member_id(const char *key)
{
	int32		id = kpi_first_int4("SELECT id FROM kpi.member WHERE key = $1", 1, KPI_TEXT(key));

	char	   *known_as = id == 0 ? kpi_define_alias_of(key) : NULL;

	if (id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("member \"%s\" does not exist", key),
				 known_as ? errdetail("It is an alias of member \"%s\".", known_as) : 0,
				 known_as ? errhint("Give the key of the member.") :
				 errhint("The members are in kpi.member, known by their key; kpi.add_member() makes one.")));
	return id;
}

static void
check_new_member_key(const char *key)
{
	char	   *known_as = kpi_define_alias_of(key);

	if (known_as)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("\"%s\" is an alias of member \"%s\"", key, known_as),
				 errhint("If they are two people, drop it with kpi.drop_alias() first.")));
	if (kpi_spi_exec("SELECT FROM kpi.member WHERE key = $1", 1, KPI_TEXT(key)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("member \"%s\" already exists", key),
				 errhint("Use kpi.move_member() to say when it belongs to which team.")));
}

static int32
joinable_team_id(const char *key)
{
	int32		id = kpi_define_team_id(key);

	if (id == KPI_TEAM_UNASSIGNED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("team \"(unassigned)\" cannot have members"),
				 errdetail("Facts count for it on the days on which their owner belongs to no team."),
				 errhint("Leave the team out, or use kpi.end_membership().")));
	return id;
}

void
kpi_define_check_order(DateADT since, DateADT until)
{
	if (since >= until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"until\" must be later than \"since\""),
				 errdetail("since is %s and until is %s; until is the first day that is not part of it.",
						   kpi_day_text(since), kpi_day_text(until))));
}

/* kpi.add_member(key, team, name, since, until) */
Datum
kpi_sql_add_member(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "member");
	char	   *team = kpi_fact_key_optional_arg(fcinfo, 1, "team");
	char	   *name = kpi_arg_optional_name(fcinfo, 2, "name of the member");
	DateADT		since = kpi_arg_day(fcinfo, 3, "since", DATEVAL_NOBEGIN);
	DateADT		until = kpi_arg_day(fcinfo, 4, "until", DATEVAL_NOEND);
	int32		team_id = 0;
	int32		id;
	KpiSpi		spi;

	kpi_require_editor();
	if (team == NULL && (!PG_ARGISNULL(3) || !PG_ARGISNULL(4)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"since\" and \"until\" need a team"),
				 errdetail("They say when the member belongs to it.")));
	kpi_define_check_order(since, until);

	kpi_spi_begin(&spi);
	kpi_define_touch();
	check_new_member_key(key);
	if (team)
		team_id = joinable_team_id(team);
	id = kpi_first_int4("INSERT INTO kpi.member (key, name) VALUES ($1, $2) RETURNING id", 2,
						KPI_TEXT(key), KPI_TEXT(name ? name : key));
	if (team)
	{
		KpiAssignments *none = kpi_people_assignments_load(&kpi_people_membership_table, id);

		kpi_people_assignments_store(&kpi_people_membership_table, id, none,
									 kpi_people_assignments_set(none, since, until, team_id));
	}
	kpi_spi_end(&spi);
	PG_RETURN_INT32(id);
}

/*
 * A range with an end is exactly what the caller says, so it must not swallow
 * memberships that begin in it.
 */
static void
check_none_begins(const KpiAssignments *assignments, const char *key, DateADT since, DateADT until)
{
	StringInfoData list;

	if (kpi_people_assignments_next(assignments, since) >= until)
		return;

	initStringInfo(&list);
	for (int i = 0; i < assignments->n; i++)
	{
		if (assignments->items[i].since <= since || assignments->items[i].since >= until)
			continue;
		appendStringInfo(&list, "%steam \"%s\" since %s", list.len ? ", " : "",
						 kpi_first_text("SELECT key FROM kpi.team WHERE id = $1", 1,
										KPI_INT4(assignments->items[i].target)),
						 kpi_day_text(assignments->items[i].since));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("memberships of member \"%s\" would overlap", key),
			 errdetail("Between %s and %s it comes to %s.",
					   kpi_day_text(since), kpi_day_text(until), list.data),
			 errhint("Choose an earlier \"until\", or first move the member on those days.")));
}

/*
 * kpi.move_member(key, team, since, until): without until, up to the next
 * recorded membership; of no team, to none.
 */
Datum
kpi_sql_move_member(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "member");
	char	   *team = kpi_fact_key_optional_arg(fcinfo, 1, "team");
	DateADT		since = kpi_arg_day(fcinfo, 2, "since", DATEVAL_NOBEGIN);
	DateADT		until = kpi_arg_day(fcinfo, 3, "until", DATEVAL_NOEND);
	int32		id;
	int32		team_id;
	KpiAssignments *assignments;
	KpiSpi		spi;

	kpi_require_editor();
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"since\" must not be null"),
				 errhint("Give the first day in the new team, e.g. since => '2026-07-01', or '-infinity' for always.")));
	kpi_define_check_order(since, until);

	kpi_spi_begin(&spi);
	kpi_define_touch();
	id = kpi_define_member_id(key);
	team_id = team ? joinable_team_id(team) : 0;
	assignments = kpi_people_assignments_load(&kpi_people_membership_table, id);
	if (PG_ARGISNULL(3))
		until = kpi_people_assignments_next(assignments, since);
	else
		check_none_begins(assignments, key, since, until);
	kpi_people_assignments_store(&kpi_people_membership_table, id, assignments,
								 kpi_people_assignments_set(assignments, since, until, team_id));
	kpi_spi_end(&spi);
	kpi_goal_member_redefined(id);
	PG_RETURN_VOID();
}

/* Whether facts after the end still count for the team; the SQL of an earlier version has no such argument. */
static bool
keeps_later_argument(FunctionCallInfo fcinfo, int n)
{
	char	   *later_facts = PG_NARGS() > n && !PG_ARGISNULL(n) ? kpi_arg_text(fcinfo, n) : "unassigned";

	if (strcmp(later_facts, "last_team") == 0)
		return true;
	if (strcmp(later_facts, "unassigned") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown \"later_facts\": \"%s\"", later_facts),
				 errhint("It is 'last_team' when facts after the end still count for the team, 'unassigned' when they do not.")));
	return false;
}

/*
 * kpi.end_membership(key, until, later_facts): the membership that covers the
 * day before until ends there; those that begin later stay.
 */
Datum
kpi_sql_end_membership(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "member");
	DateADT		until;
	bool		keeps_later = keeps_later_argument(fcinfo, 2);
	int32		id;
	const KpiAssignment *current;
	KpiAssignments *assignments;
	KpiAssignments *ended;
	KpiSpi		spi;

	kpi_require_editor();
	if (PG_ARGISNULL(1) || DATE_NOT_FINITE(PG_GETARG_DATEADT(1)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"until\" must be a day"),
				 errhint("Give the first day on which the member is not in the team any more.")));
	until = PG_GETARG_DATEADT(1);

	kpi_spi_begin(&spi);
	kpi_define_touch();
	id = kpi_define_member_id(key);
	assignments = kpi_people_assignments_load(&kpi_people_membership_table, id);
	current = kpi_people_assignments_at(assignments, until - 1);
	if (current == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("member \"%s\" belongs to no team on %s", key,
						kpi_day_text(until - 1)),
				 errhint("Its memberships are in kpi.membership.")));
	ended = kpi_people_assignments_set(assignments, until, current->until, 0);
	kpi_people_assignments_end(ended, until, keeps_later);
	kpi_people_assignments_store(&kpi_people_membership_table, id, assignments, ended);
	kpi_spi_end(&spi);
	kpi_goal_member_redefined(id);
	PG_RETURN_VOID();
}

/* kpi.alter_member(key, new_key, name) */
Datum
kpi_sql_alter_member(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "member");
	char	   *new_key = kpi_fact_key_optional_arg(fcinfo, 1, "new key of the member");
	char	   *name = kpi_arg_optional_name(fcinfo, 2, "name of the member");
	int32		id;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	if (new_key)
		kpi_define_touch();
	if (name)
		kpi_define_names_touch();
	id = kpi_define_member_id(key);
	if (new_key && strcmp(new_key, key) != 0)
		check_new_member_key(new_key);
	kpi_spi_exec("UPDATE kpi.member SET key = coalesce($2, key), name = coalesce($3, name)"
				 " WHERE id = $1", 3,
				 KPI_INT4(id), KPI_TEXT(new_key), KPI_TEXT(name));
	kpi_spi_end(&spi);
	kpi_goal_member_redefined(id);
	PG_RETURN_VOID();
}

/* kpi.drop_member(key) */
Datum
kpi_sql_drop_member(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "member");
	int32		id;
	char	   *goals;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_define_touch();
	id = kpi_define_member_id(key);
	goals = kpi_list_some("SELECT coalesce(name, 'goal ' || id) FROM kpi.goal"
						  " WHERE member_id = $1 ORDER BY 1", id);
	if (goals)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("member \"%s\" cannot be dropped", key),
				 errdetail("It has goals: %s.", goals),
				 errhint("To say that the member left, use kpi.end_membership(): its past stays what it was.")));
	kpi_spi_exec("DELETE FROM kpi.membership WHERE member_id = $1", 1, KPI_INT4(id));
	kpi_spi_exec("DELETE FROM kpi.member WHERE id = $1", 1, KPI_INT4(id));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}
