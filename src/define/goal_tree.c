/*-------------------------------------------------------------------------
 *
 * goal_tree.c
 *	  The tree of goals: which goal a goal is a part of.
 *
 * No goal is a part of itself, however many goals are between.
 *
 * Locks: who hangs a goal below another shares the rows of that one and of all above it,
 * after having written the goal's own.  So of two that would make a circle together, one waits for
 * the other and sees what it did, or they wait for each other and one fails.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "utils/builtins.h"

void
kpi_define_goal_unknown(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("goal %lld does not exist", (long long) id),
			 errhint("The goals are in kpi.goal.")));
}

int64
kpi_define_goal_of_id(int64 id)
{
	if (kpi_spi_exec("SELECT FROM kpi.goal WHERE id = $1", 1, KPI_INT8(id)) == 0)
		kpi_define_goal_unknown(id);
	return id;
}

int64
kpi_define_goal_named(const char *name)
{
	int64		id;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT id, count(*) OVER () AS n, string_agg(id::text, ', ') OVER () AS ids"
				   " FROM kpi.goal WHERE name = $1 ORDER BY id", 1, KPI_TEXT(name));
	if (!kpi_rows_next(&rows))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("goal \"%s\" does not exist", name),
				 errhint("The goals are in kpi.goal.")));
	if (kpi_rows_int8(&rows, "n") > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("there is more than one goal \"%s\"", name),
				 errdetail("Their ids are %s.", kpi_rows_text(&rows, "ids")),
				 errhint("Give the id instead of the name.")));
	id = kpi_rows_int8(&rows, "id");
	kpi_rows_end(&rows);
	return id;
}

/* A literal without a type comes as it was written. */
void
kpi_define_goal_parent_arg(FunctionCallInfo fcinfo, int n, KpiGoalSpec *spec)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, n);
	char	   *name = NULL;

	if (PG_ARGISNULL(n))
		return;
	spec->parent_given = true;
	switch (type)
	{
		case INT2OID:
			spec->parent_id = kpi_define_goal_of_id(PG_GETARG_INT16(n));
			return;
		case INT4OID:
			spec->parent_id = kpi_define_goal_of_id(PG_GETARG_INT32(n));
			return;
		case INT8OID:
			spec->parent_id = kpi_define_goal_of_id(PG_GETARG_INT64(n));
			return;
		case UNKNOWNOID:
			name = PG_GETARG_CSTRING(n);
			break;
		case TEXTOID:
		case VARCHAROID:
			name = text_to_cstring(PG_GETARG_TEXT_PP(n));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("a parent of type %s is not supported", format_type_be(type)),
					 errhint("Give the id of the goal, or its name as text.")));
	}
	spec->parent_id = name[0] == '\0' ? 0 : kpi_define_goal_named(name);
}

/* The goal and those above it, from below, as '"emea" under "company"'. */
static char *
way_up(int64 goal_id, int64 parent_id)
{
	return kpi_first_text("WITH RECURSIVE up (id, n) AS ("
						  " SELECT $2::bigint, 1 UNION ALL SELECT g.parent_id, u.n + 1 FROM up u JOIN kpi.goal g ON g.id = u.id"
						  "  WHERE g.parent_id IS NOT NULL AND u.id <> $1)"
						  " SELECT string_agg(coalesce('\"' || g.name || '\"', g.id::text), ' under ' ORDER BY u.n)"
						  " FROM up u JOIN kpi.goal g ON g.id = u.id", 2, KPI_INT8(goal_id), KPI_INT8(parent_id));
}

static char *
label_of(int64 goal_id)
{
	return kpi_first_text("SELECT coalesce('\"' || name || '\"', id::text) FROM kpi.goal WHERE id = $1", 1,
						  KPI_INT8(goal_id));
}

void
kpi_define_goal_set_parent(int64 goal_id, int64 parent_id)
{
	int64		above = parent_id;

	kpi_spi_exec("UPDATE kpi.goal SET parent_id = CASE WHEN $2 NOT IN (0, $1) THEN $2 END WHERE id = $1", 2,
				 KPI_INT8(goal_id), KPI_INT8(parent_id));
	while (above != 0 && above != goal_id)
		above = kpi_first_int8("SELECT parent_id FROM kpi.goal WHERE id = $1 FOR SHARE", 1, KPI_INT8(above));
	if (above == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 parent_id == goal_id ?
			 errmsg("goal %s cannot be a part of itself", label_of(goal_id)) :
			 errmsg("goal %s cannot be a part of goal %s, which is a part of it", label_of(goal_id), label_of(parent_id)),
			 parent_id == goal_id ? 0 : errdetail("It is %s.", way_up(goal_id, parent_id)),
			 errhint("Give a goal above both, or take the other one out of this with kpi.alter_goal(..., parent => '').")));
}
