/*-------------------------------------------------------------------------
 *
 * alias.c
 *	  SQL functions that say under which keys else facts find a member.
 *
 * An owner's key is that of a member, or an alias of one, or nobody's; it is never
 * two of these, and of nobody twice in one source, so a fact counts once.  As in
 * team.c, kpi_internal.version.org is raised first, and its row lock keeps what is
 * checked true.  The next refresh moves the facts: from day cells
 * (refresh/transfer.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "goal/goal.h"

PG_FUNCTION_INFO_V1(kpi_sql_add_alias);
PG_FUNCTION_INFO_V1(kpi_sql_drop_alias);
PG_FUNCTION_INFO_V1(kpi_sql_merge_member);

char *
kpi_define_alias_of(const char *alias)
{
	return kpi_first_text("SELECT m.key FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id"
						  " WHERE a.alias = $1 ORDER BY a.id LIMIT 1", 1, KPI_TEXT(alias));
}

/* The source of an argument; 0 when it is null: all sources. */
static int32
source_argument(const char *name)
{
	return name ? kpi_define_source_row_read(name)->id : 0;
}

static void
check_no_key(const char *alias, const char *key)
{
	if (kpi_spi_exec("SELECT FROM kpi.member WHERE key = $1", 1, KPI_TEXT(alias)) == 0)
		return;
	if (strcmp(alias, key) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("\"%s\" is the key of the member itself", alias),
				 errhint("Its facts count for it already.")));
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("\"%s\" is the key of a member", alias),
			 errhint("If they are one person, use kpi.merge_member().")));
}

/* An alias in all sources is one in each of them. */
static void
check_no_alias(const char *alias, int32 source_id)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT m.key, s.name AS source FROM kpi.member_alias a"
				   "  JOIN kpi.member m ON m.id = a.member_id LEFT JOIN kpi.source s ON s.id = a.source_id"
				   " WHERE a.alias = $1 AND (a.source_id IS NULL OR a.source_id = $2 OR $2 = 0) ORDER BY a.id LIMIT 1",
				   2, KPI_TEXT(alias), KPI_INT4(source_id));
	if (kpi_rows_next(&rows))
	{
		char	   *source = kpi_rows_text(&rows, "source");

		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("\"%s\" is an alias of member \"%s\" already", alias, kpi_rows_text(&rows, "key")),
				 source ? errdetail("It is one in source \"%s\".", source) : errdetail("It is one in all sources."),
				 errhint("Drop it with kpi.drop_alias() first.")));
	}
	kpi_rows_end(&rows);
}

/* kpi.add_alias(member, alias, source) */
Datum
kpi_sql_add_alias(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "member");
	char	   *alias = kpi_fact_key_arg(fcinfo, 1, "alias");
	char	   *source = kpi_arg_optional_name(fcinfo, 2, "source");
	int32		member_id;
	int32		source_id;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_define_touch();
	member_id = kpi_define_member_id(key);
	source_id = source_argument(source);
	check_no_key(alias, key);
	check_no_alias(alias, source_id);
	kpi_spi_exec("INSERT INTO kpi.member_alias (alias, member_id, source_id) VALUES ($1, $2, nullif($3, 0))", 3,
				 KPI_TEXT(alias), KPI_INT4(member_id), KPI_INT4(source_id));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}

/* kpi.drop_alias(alias, source): without a source, wherever it is one. */
Datum
kpi_sql_drop_alias(PG_FUNCTION_ARGS)
{
	char	   *alias = kpi_fact_key_arg(fcinfo, 0, "alias");
	char	   *source = kpi_arg_optional_name(fcinfo, 1, "source");
	int32		source_id;
	char	   *known_as;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_define_touch();
	source_id = source_argument(source);
	known_as = kpi_define_alias_of(alias);
	if (known_as == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("alias \"%s\" does not exist", alias),
				 errhint("The aliases are in kpi.member_alias; kpi.add_alias() makes one.")));
	if (kpi_spi_exec("DELETE FROM kpi.member_alias WHERE alias = $1 AND ($2 = 0 OR source_id = $2) RETURNING id", 2,
					 KPI_TEXT(alias), KPI_INT4(source_id)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("\"%s\" is no alias in source \"%s\" alone", alias, source),
				 errdetail("It is one of member \"%s\", in all sources or another.", known_as),
				 errhint("Table kpi.member_alias says where; without a source it is dropped wherever it is one.")));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}

/* ---- merging ---- */

/* A goal "g" of the one and a goal "o" of the other that ask for the same. */
#define SAME_GOAL \
	"o.plan = g.plan AND o.kpi_id = g.kpi_id AND o.grain = g.grain" \
	" AND o.dimension IS NOT DISTINCT FROM g.dimension AND o.dimension_value IS NOT DISTINCT FROM g.dimension_value" \
	" AND CASE g.grain WHEN 'range' THEN o.period_start = g.period_start AND o.period_end = g.period_end" \
	"  ELSE o.period_start <= g.period_end AND o.period_end >= g.period_start END"

static void
check_goals(const char *key, int32 id, const char *into, int32 into_id)
{
	char	   *goals = kpi_list_join(kpi_all_texts("SELECT coalesce('\"' || g.name || '\"', g.id::text) FROM kpi.goal g"
													" WHERE g.member_id = $1 AND EXISTS (SELECT FROM kpi.goal o"
													"  WHERE o.member_id = $2 AND " SAME_GOAL ") ORDER BY g.id",
													2, KPI_INT4(id), KPI_INT4(into_id)));

	if (goals)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("member \"%s\" cannot be merged into member \"%s\"", key, into),
				 errdetail("Both have a goal for the same KPI and period in the same plan: of member \"%s\" these are %s.", key, goals),
				 errhint("Drop one of each with kpi.drop_goal(), or give goals => 'drop' to drop all goals of member \"%s\".", key)));
}

/* Goals go first, in the order of a refresh (kpi_sql_drop_goal()). */
static void
merge_goals(const char *goals, const char *key, int32 id, const char *into, int32 into_id)
{
	bool		drop = strcmp(goals, "drop") == 0;

	if (!drop && strcmp(goals, "move") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"goals\" cannot be \"%s\"", goals),
				 errhint("Give move, for goals that the other member gets, or drop.")));
	kpi_spi_exec("SELECT FROM kpi.goal_progress p JOIN kpi.goal g ON g.id = p.goal_id WHERE g.member_id = $1"
				 " ORDER BY p.id FOR UPDATE OF p", 1, KPI_INT4(id));
	if (drop)
	{
		kpi_goal_closed_check_drop_of_member(id);
		kpi_spi_exec("DELETE FROM kpi.goal WHERE member_id = $1", 1, KPI_INT4(id));
	}
	else
	{
		check_goals(key, id, into, into_id);
		kpi_spi_exec("UPDATE kpi.goal SET member_id = $2 WHERE member_id = $1", 2, KPI_INT4(id), KPI_INT4(into_id));
	}
}

/* kpi.merge_member(key, into_member, goals) */
Datum
kpi_sql_merge_member(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "member");
	char	   *into = kpi_fact_key_arg(fcinfo, 1, "into_member");
	char	   *goals = kpi_arg_name(fcinfo, 2, "goals");
	int32		id;
	int32		into_id;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_spi_begin(&spi);
	kpi_define_touch();
	id = kpi_define_member_id(key);
	into_id = kpi_define_member_id(into);
	if (id == into_id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("member \"%s\" cannot be merged into itself", key),
				 errhint("Give two members that are one person.")));
	/* Goals that are being made for it are waited for, and no more come. */
	kpi_spi_exec("SELECT FROM kpi.member WHERE id = $1 FOR UPDATE", 1, KPI_INT4(id));
	merge_goals(goals, key, id, into, into_id);
	kpi_spi_exec("UPDATE kpi.member_alias SET member_id = $2 WHERE member_id = $1", 2, KPI_INT4(id), KPI_INT4(into_id));
	kpi_spi_exec("DELETE FROM kpi.membership WHERE member_id = $1", 1, KPI_INT4(id));
	kpi_spi_exec("DELETE FROM kpi.member WHERE id = $1", 1, KPI_INT4(id));
	kpi_spi_exec("INSERT INTO kpi.member_alias (alias, member_id) VALUES ($1, $2)", 2, KPI_TEXT(key), KPI_INT4(into_id));
	kpi_spi_end(&spi);
	kpi_goal_member_redefined(into_id);
	PG_RETURN_VOID();
}
