/*-------------------------------------------------------------------------
 *
 * team.c
 *	  SQL functions that define teams and their tree.
 *
 * Every function here that changes what facts count for first raises
 * kpi_internal.version.org; its row lock serializes such changes, so what is
 * checked afterwards (with statements that see all that is committed) stays
 * true.  The engine follows by comparing the version.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "goal/goal.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(kpi_sql_create_team);
PG_FUNCTION_INFO_V1(kpi_sql_alter_team);
PG_FUNCTION_INFO_V1(kpi_sql_move_team);
PG_FUNCTION_INFO_V1(kpi_sql_drop_team);

/*
 * Raised at most once in a transaction unless a refresh took notice of it in
 * between: thousands of changes in one transaction would otherwise leave
 * thousands of versions of this row, each to be stepped over by the next.
 */
void
kpi_define_touch(void)
{
	bool		is_raised;
	bool		isnull;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT s.xmin, EXISTS (SELECT FROM kpi_internal.source_state"
				   "                        WHERE org_version >= s.org) AS is_noticed"
				   "  FROM kpi_internal.version s WHERE s.id = 1", 0);
	is_raised = kpi_rows_next(&rows) && !kpi_rows_bool(&rows, "is_noticed") &&
		TransactionIdIsCurrentTransactionId(DatumGetTransactionId(kpi_rows_datum(&rows, "xmin", &isnull)));
	kpi_rows_end(&rows);
	if (!is_raised)
		kpi_spi_exec("UPDATE kpi_internal.version SET org = org + 1 WHERE id = 1", 0);
}

void
kpi_define_names_touch(void)
{
	kpi_spi_exec("UPDATE kpi_internal.version SET names = names + 1", 0);
}

int32
kpi_define_team_id(const char *key)
{
	int32		id = kpi_first_int4("SELECT id FROM kpi.team WHERE key = $1", 1, KPI_TEXT(key));

	if (id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("team \"%s\" does not exist", key),
				 errhint("The teams are in kpi.team, known by their key; kpi.create_team() makes one.")));
	return id;
}

/* 0 when null or empty. */
static int32
calendar_argument(const char *name)
{
	return name && name[0] ? kpi_calendar_id(name) : 0;
}

static void
check_new_team_key(const char *key)
{
	if (kpi_spi_exec("SELECT FROM kpi.team WHERE key = $1", 1, KPI_TEXT(key)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("team \"%s\" already exists", key),
				 errhint("Use kpi.move_team() to place it elsewhere, kpi.alter_team() to rename it.")));
}

static void
check_not_unassigned(int32 team_id, const char *action)
{
	if (team_id == KPI_TEAM_UNASSIGNED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("team \"(unassigned)\" cannot %s", action),
				 errdetail("It is built in: facts whose owner is not in any team count for it.")));
}

/* NULL is the company. */
static int32
parent_id(const char *key)
{
	int32		id = key ? kpi_define_team_id(key) : KPI_TEAM_COMPANY;

	check_not_unassigned(id, "be the parent of a team");
	return id;
}

/* Error if the team has come to stand above itself, on whatever day. */
static void
check_cycle(int32 team_id, const char *key, const char *parent)
{
	KpiOrg	   *org;
	char	   *way;
	DateADT		day;

	PushActiveSnapshot(GetLatestSnapshot());
	org = kpi_people_load_tree();
	PopActiveSnapshot();

	way = kpi_people_cycle(org, team_id, &day);
	if (way)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("team \"%s\" cannot be placed under team \"%s\"", key, parent ? parent : "company"),
				 DATE_IS_NOBEGIN(day) ?
				 errdetail("It would be above itself: %s.", way) :
				 errdetail("From %s on it would be above itself: %s.",
						   kpi_day_text(day), way),
				 errhint("First move one of these teams to another parent for those days.")));
	kpi_people_free(org);
}

/* What a team that was expected is called, and its calendar. */
static void
rename_expected(int32 id, const char *name, int32 calendar_id)
{
	kpi_define_names_touch();
	kpi_define_calendars_touch();
	kpi_spi_exec("UPDATE kpi.team SET name = coalesce($2, key), calendar_id = nullif($3, 0) WHERE id = $1", 3,
				 KPI_INT4(id), KPI_TEXT(name), KPI_INT4(calendar_id));
}

/*
 * kpi.create_team(key, parent, name, since, calendar): the parent may come later in
 * the transaction, and so this team may be one that others were placed under
 * already (pending_team.c).
 */
Datum
kpi_sql_create_team(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "team");
	char	   *parent = kpi_fact_key_optional_arg(fcinfo, 1, "parent");
	char	   *name = kpi_arg_optional_name(fcinfo, 2, "name of the team");
	DateADT		since = kpi_arg_day(fcinfo, 3, "since", DATEVAL_NOBEGIN);
	char	   *calendar = kpi_arg_text(fcinfo, 4);
	int32		calendar_id;
	int32		parent_team;
	int32		id;
	bool		is_expected;
	KpiAssignments *before;
	KpiAssignments *parents;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_define_touch();
	calendar_id = calendar_argument(calendar);
	id = kpi_define_pending_team_take(key);
	is_expected = id != 0;
	if (is_expected)
		rename_expected(id, name, calendar_id);
	else
	{
		check_new_team_key(key);
		id = kpi_first_int4("INSERT INTO kpi.team (key, name, calendar_id) VALUES ($1, $2, nullif($3, 0))"
							" RETURNING id", 3,
							KPI_TEXT(key), KPI_TEXT(name ? name : key), KPI_INT4(calendar_id));
	}
	if (parent)
		kpi_define_pending_team_expect(parent);
	parent_team = parent_id(parent);

	before = kpi_people_assignments_load(&kpi_people_team_parent_table, id);
	parents = kpi_people_assignments_set(before, DATEVAL_NOBEGIN, DATEVAL_NOEND, KPI_TEAM_COMPANY);
	parents = kpi_people_assignments_set(parents, since, DATEVAL_NOEND, parent_team);
	kpi_people_assignments_store(&kpi_people_team_parent_table, id, before, parents);
	if (is_expected || parent_team == id)
		check_cycle(id, key, parent);
	kpi_spi_end(&spi);
	if (is_expected)
		kpi_goal_team_redefined(id);
	PG_RETURN_INT32(id);
}

/* kpi.alter_team(key, new_key, name, calendar) */
Datum
kpi_sql_alter_team(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "team");
	char	   *new_key = kpi_fact_key_optional_arg(fcinfo, 1, "new key of the team");
	char	   *name = kpi_arg_optional_name(fcinfo, 2, "name of the team");
	char	   *calendar = kpi_arg_text(fcinfo, 3);
	int32		calendar_id;
	int32		id;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	if (new_key)
		kpi_define_touch();
	if (name)
		kpi_define_names_touch();
	if (calendar)
		kpi_define_calendars_touch();
	id = kpi_define_team_id(key);
	check_not_unassigned(id, "be altered");
	kpi_define_pending_team_check(id, key);
	calendar_id = calendar_argument(calendar);
	if (new_key && strcmp(new_key, key) != 0)
	{
		if (id == KPI_TEAM_COMPANY)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the key of team \"company\" cannot be changed"),
					 errhint("Change its name, which is what people read.")));
		check_new_team_key(new_key);
	}

	kpi_spi_exec("UPDATE kpi.team SET key = coalesce($2, key), name = coalesce($3, name),"
				 "       calendar_id = CASE WHEN $4 THEN nullif($5, 0) ELSE calendar_id END"
				 " WHERE id = $1", 5,
				 KPI_INT4(id), KPI_TEXT(new_key), KPI_TEXT(name),
				 KPI_BOOL(calendar != NULL), KPI_INT4(calendar_id));
	kpi_spi_end(&spi);
	kpi_goal_team_redefined(id);
	PG_RETURN_VOID();
}

/*
 * kpi.move_team(key, parent, since): with a day, from then on until the next
 * recorded move; without one, always.
 */
Datum
kpi_sql_move_team(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "team");
	char	   *parent = kpi_fact_key_optional_arg(fcinfo, 1, "parent");
	DateADT		since = kpi_arg_day(fcinfo, 2, "since", DATEVAL_NOBEGIN);
	DateADT		until = DATEVAL_NOEND;
	int32		id;
	int32		parent_team;
	KpiAssignments *parents;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_define_touch();
	id = kpi_define_team_id(key);
	check_not_unassigned(id, "be moved");
	kpi_define_pending_team_check(id, key);
	if (id == KPI_TEAM_COMPANY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("team \"company\" cannot be moved"),
				 errdetail("It is the root of the tree.")));
	parent_team = parent_id(parent);

	parents = kpi_people_assignments_load(&kpi_people_team_parent_table, id);
	if (!DATE_IS_NOBEGIN(since))
		until = kpi_people_assignments_next(parents, since);
	kpi_people_assignments_store(&kpi_people_team_parent_table, id, parents,
								 kpi_people_assignments_set(parents, since, until, parent_team));
	check_cycle(id, key, parent);
	kpi_spi_end(&spi);
	kpi_goal_team_redefined(id);
	PG_RETURN_VOID();
}

/* kpi.drop_team(key) */
Datum
kpi_sql_drop_team(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "team");
	int32		id;
	char	   *members;
	char	   *children;
	char	   *goals;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_define_touch();
	id = kpi_define_team_id(key);
	if (id == KPI_TEAM_COMPANY || id == KPI_TEAM_UNASSIGNED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("team \"%s\" cannot be dropped", key),
				 errdetail("It is built in.")));

	members = kpi_list_some("SELECT DISTINCT m.key FROM kpi.membership s"
							"  JOIN kpi.member m ON m.id = s.member_id"
							" WHERE s.team_id = $1 ORDER BY 1", id);
	children = kpi_list_some("SELECT DISTINCT t.key FROM kpi.team_parent p"
							 "  JOIN kpi.team t ON t.id = p.team_id"
							 " WHERE p.parent_id = $1 ORDER BY 1", id);
	goals = kpi_list_some("SELECT coalesce(name, 'goal ' || id) FROM kpi.goal"
						  " WHERE team_id = $1 ORDER BY 1", id);
	if (members || children || goals)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("team \"%s\" cannot be dropped", key),
				 errdetail("It has, or had on some days:%s%s%s%s%s%s%s%s.",
						   children ? " teams under it: " : "", children ? children : "",
						   children && (members || goals) ? ";" : "",
						   members ? " members: " : "", members ? members : "",
						   members && goals ? ";" : "",
						   goals ? " goals: " : "", goals ? goals : ""),
				 errhint("Move them elsewhere for all days, or keep the team: it does no harm.")));

	kpi_spi_exec("DELETE FROM kpi.team_parent WHERE team_id = $1", 1, KPI_INT4(id));
	kpi_spi_exec("DELETE FROM kpi.team WHERE id = $1", 1, KPI_INT4(id));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}
