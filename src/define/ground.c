/*-------------------------------------------------------------------------
 *
 * ground.c
 *	  What goals and rollup tables stand on: what a KPI must have for them to have
 *	  a value.
 *
 * A goal needs facts that count for its team or member, its dimension, values
 * as short as its period, and a target on the side of 0 where the KPI can be.
 * There is one rule for all who might break it, and it is asked when what they
 * do is written: of the goal that is made or altered, and of all goals of a
 * KPI or source that is altered, formulas over it included.  A column of a rollup
 * table needs the same of its KPI, but for a target.
 *
 * Locks: who writes a goal, or a rollup table, shares the rows of the sources below its KPI and of
 * the formulas on the way; who alters a source, a KPI of it or a formula has
 * that row for itself before asking.  So of two that would break the rule
 * together, one waits and then sees what the other did.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "define/define_internal.h"
#include "model/model.h"
#include "utils/date.h"

/* What a goal lacks. */
typedef enum GoalLack
{
	LACK_NOTHING,
	LACK_DIMENSION,
	LACK_OWNER,
	LACK_GRAIN,
	LACK_SIGN
} GoalLack;

/* What is below KPI k.  Of its sources the one of the longest grain comes first. */
#define BELOW_KPI \
	" CROSS JOIN LATERAL (" \
	"  SELECT pg_catalog.bool_or(x.owner_kind = 'member') AS for_members," \
	"   pg_catalog.bool_or(x.owner_kind <> 'company') AS for_teams," \
	"   pg_catalog.min(x.source_id) FILTER (WHERE m.has_breakdown) AS dimensions_of," \
	"   pg_catalog.array_agg(s.name ORDER BY r.rank DESC, s.name) AS sources," \
	"   pg_catalog.array_agg(s.grain ORDER BY r.rank DESC, s.name) AS grains" \
	"  FROM kpi_internal.kpi_stream m JOIN kpi_internal.stream x ON x.id = m.stream_id" \
	"  JOIN kpi.source s ON s.id = x.source_id" \
	"  CROSS JOIN LATERAL (" \
	"   SELECT pg_catalog.array_position('{day,week,month,quarter,year}', s.grain) AS rank) r" \
	"  WHERE m.kpi_id = k.id) l "

/* Goals, with what their KPIs have.  The condition chooses some goals g. */
#define GOALS(condition) \
	"SELECT coalesce('\"' || g.name || '\"', 'goal ' || g.id) AS label, k.name AS kpi, k.id AS kpi_id," \
	" t.key AS team, p.key AS member, g.team_id IS NOT DISTINCT FROM 1 AS is_company," \
	" g.dimension, g.dimension_value, g.grain, g.period, g.period_end," \
	" kpi_internal.today_of((SELECT a.program FROM kpi_internal.kpi_stream a" \
	"  WHERE a.kpi_id = k.id AND a.position = 1)) AS today, e.target::text," \
	" CASE WHEN e.target <= 100 THEN pg_catalog.trim_scale(e.target / 100)::text END AS percent," \
	" e.target < 0 AS is_negative, greatest(e.target, e.target_high) > 1 AS is_above_one," \
	" EXISTS (SELECT FROM kpi.dimension d WHERE d.source_id = k.source_id AND d.name = g.dimension)" \
	"  AS has_dimension," \
	" (SELECT m.kind FROM kpi_internal.measure m WHERE m.kpi_id = k.id AND m.role = 'value') AS measure," \
	" l.for_members, l.for_teams, l.sources[1] AS coarse_source, l.grains[1] AS coarse_grain " \
	"FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id" \
	" LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member p ON p.id = g.member_id" \
	" LEFT JOIN LATERAL (SELECT least(v.target, (SELECT pg_catalog.min(z.target) FROM kpi.goal_version z" \
	"   WHERE z.goal_id = g.id AND z.is_pending)) AS target, v.target_high FROM kpi.goal_target v" \
	"  WHERE v.goal_id = g.id AND v.valid_until IS NULL ORDER BY v.period_start DESC LIMIT 1) e ON true" \
	BELOW_KPI \
	"WHERE " condition " ORDER BY g.id"

/*
 * Columns of rollup tables, with what their KPIs have.  Values by dimension are
 * of one source.
 */
#define COLUMNS(condition) \
	"SELECT g.relation, g.per = 'member' AS is_member, g.grain, g.dimension, k.name AS kpi, k.id AS kpi_id," \
	" EXISTS (SELECT FROM kpi.dimension d WHERE d.source_id = l.dimensions_of AND d.name = g.dimension) AS has_dimension," \
	" l.for_members, l.for_teams, l.sources[1] AS coarse_source, l.grains[1] AS coarse_grain " \
	"FROM (SELECT c.kpi_id, c.position, r.* FROM kpi.rollup_column c JOIN kpi.rollup r ON r.id = c.rollup_id) g" \
	" JOIN kpi.kpi k ON k.id = g.kpi_id" \
	BELOW_KPI \
	"WHERE " condition " ORDER BY g.id, g.position"

/* KPIs that meet the condition, and all formulas over them. */
#define AT_OR_ABOVE(condition) \
	"g.kpi_id IN (WITH RECURSIVE above (id) AS (" \
	"SELECT i.id FROM kpi.kpi i WHERE " condition \
	" UNION SELECT f.kpi_id FROM above a JOIN kpi_internal.formula_input f ON f.input_kpi_id = a.id)" \
	" SELECT id FROM above)"

/* KPI $1 and all it is computed from. */
#define AT_OR_BELOW \
	"(WITH RECURSIVE below (id) AS (" \
	" SELECT $1 UNION SELECT f.input_kpi_id FROM below b" \
	"  JOIN kpi_internal.formula_input f ON f.kpi_id = b.id)" \
	" SELECT id FROM below)"

void
kpi_define_ground_lock(int32 kpi_id)
{
	kpi_spi_exec("SELECT FROM kpi.source s WHERE s.id IN (SELECT k.source_id FROM kpi.kpi k"
				 " WHERE k.id IN " AT_OR_BELOW ") ORDER BY s.id FOR SHARE OF s",
				 1, KPI_INT4(kpi_id));
	kpi_spi_exec("SELECT FROM kpi.kpi k WHERE k.kind = 'formula' AND k.id IN " AT_OR_BELOW
				 " ORDER BY k.id FOR SHARE OF k", 1, KPI_INT4(kpi_id));
}

/* Whether the facts below the KPI in this row mean nothing at its grain. */
static bool
is_too_fine(KpiRows *row)
{
	KpiGrain	grain;
	KpiGrain	coarse;

	if (!kpi_calendar_grain_parse(kpi_rows_text(row, "grain"), &grain))
		grain = KPI_DAY;		/* a range */
	return kpi_rows_text(row, "coarse_grain") != NULL &&
		kpi_calendar_grain_parse(kpi_rows_text(row, "coarse_grain"), &coarse) && grain < coarse;
}

/* What the goal in this row of GOALS lacks. */
static GoalLack
lack_of(KpiRows *goal)
{
	if (kpi_rows_text(goal, "dimension") != NULL && !kpi_rows_bool(goal, "has_dimension"))
		return LACK_DIMENSION;
	if (!kpi_rows_bool(goal, "is_company") &&
		!kpi_rows_bool(goal, kpi_rows_text(goal, "member") ? "for_members" : "for_teams"))
		return LACK_OWNER;
	if (is_too_fine(goal))
		return LACK_GRAIN;
	if (kpi_rows_bool(goal, "is_negative") &&
		kpi_model_measure_range(kpi_rows_text(goal, "measure")) != KPI_RANGE_ANY)
		return LACK_SIGN;
	return LACK_NOTHING;
}

/* ---- one goal ---- */

static void
refuse_dimension(KpiRows *goal)
{
	char	   *kpi = kpi_rows_text(goal, "kpi");
	char	   *dimension = kpi_rows_text(goal, "dimension");
	char	   *known = kpi_list_some("SELECT d.name FROM kpi.dimension d"
									  "  JOIN kpi.kpi k ON k.source_id = d.source_id"
									  " WHERE k.id = $1 ORDER BY d.position", kpi_rows_int4(goal, "kpi_id"));

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("KPI \"%s\" has no dimension \"%s\"", kpi, dimension),
			 known ?
			 errdetail("Its dimensions are %s.", known) :
			 errdetail("It has no dimensions: they belong to the source of a measure.")));
}

static void
refuse_scope(KpiRows *goal)
{
	char	   *kpi = kpi_rows_text(goal, "kpi");
	char	   *member = kpi_rows_text(goal, "member");

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 member ?
			 errmsg("KPI \"%s\" has no values of members, as of member \"%s\"", kpi, member) :
			 errmsg("KPI \"%s\" has no values of teams, as of team \"%s\"",
					kpi, kpi_rows_text(goal, "team")),
			 kpi_rows_bool(goal, "for_teams") ?
			 errdetail("Its facts count for teams.") :
			 errdetail("Its facts count for the company: neither the KPI nor its source has an owner or a team."),
			 kpi_rows_bool(goal, "for_teams") ?
			 errhint("Set the goal for a team, or say who a fact counts for with kpi.alter_kpi(..., owner => ...).") :
			 errhint("Set the goal for the company, or say who a fact counts for with kpi.alter_source(..., owner => ...).")));
}

static void
refuse(KpiRows *goal, GoalLack lack)
{
	switch (lack)
	{
		case LACK_NOTHING:
			break;
		case LACK_DIMENSION:
			refuse_dimension(goal);
			break;
		case LACK_OWNER:
			refuse_scope(goal);
			break;
		case LACK_GRAIN:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("KPI \"%s\" has no values for a %s", kpi_rows_text(goal, "kpi"),
							kpi_rows_text(goal, "grain")),
					 errdetail("The facts of source \"%s\" are for a %s each.",
							   kpi_rows_text(goal, "coarse_source"), kpi_rows_text(goal, "coarse_grain")),
					 errhint("Give a period at least as long.")));
			break;
		case LACK_SIGN:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("target %s of KPI \"%s\" is negative", kpi_rows_text(goal, "target"),
							kpi_rows_text(goal, "kpi")),
					 errdetail("It is a %s, which is never below 0.", kpi_rows_text(goal, "measure")),
					 errhint("Give a target of 0 or more.")));
			break;
	}
}

static void
warn_above_one(KpiRows *goal)
{
	char	   *percent = kpi_rows_text(goal, "percent");

	if (kpi_rows_bool(goal, "is_above_one") &&
		kpi_model_measure_range(kpi_rows_text(goal, "measure")) == KPI_RANGE_SHARE)
		ereport(WARNING,
				(errmsg("target %s of %s is above 1",
						kpi_rows_text(goal, "target"), kpi_rows_text(goal, "label")),
				 errdetail("KPI \"%s\" is a rate: a fraction of 1.", kpi_rows_text(goal, "kpi")),
				 percent ?
				 errhint("For %s percent the target is %s.", kpi_rows_text(goal, "target"), percent) : 0));
}

static void
warn_over(KpiRows *goal)
{
	DateADT		end = kpi_rows_date(goal, "period_end", DATEVAL_NOEND);
	DateADT		today = kpi_rows_date(goal, "today", DATEVAL_NOEND);

	if (end < today)
		ereport(WARNING,
				(errmsg("period \"%s\" of %s is over",
						kpi_rows_text(goal, "period"), kpi_rows_text(goal, "label")),
				 errdetail("It ended on %s, and today is %s.", kpi_day_text(end), kpi_day_text(today))));
}

/* The company has every fact.  A KPI that is not built has shown none yet. */
static void
warn_unseen(KpiRows *goal)
{
	char	   *kpi = kpi_rows_text(goal, "kpi");
	char	   *dimension = kpi_rows_text(goal, "dimension");
	char	   *value = kpi_rows_text(goal, "dimension_value");
	char	   *near = NULL;

	if (dimension == NULL ||
		kpi_spi_exec("SELECT FROM kpi_internal.kpi_state s WHERE s.kpi_id = $1"
					 " AND kpi_internal.is_complete(s.program, '-infinity')"
					 " AND NOT EXISTS (SELECT FROM kpi.kpi_breakdown b"
					 "  WHERE b.kpi_id = $1 AND b.team_id = 1 AND b.member_id IS NULL"
					 "  AND b.dimension = $2 AND b.dimension_value IS NOT DISTINCT FROM $3)",
					 3, KPI_INT4(kpi_rows_int4(goal, "kpi_id")), KPI_TEXT(dimension), KPI_TEXT(value)) == 0)
		return;
	if (value != NULL)
		near = kpi_near_names(kpi_all_texts("SELECT DISTINCT b.dimension_value FROM kpi.kpi_breakdown b"
											" WHERE b.kpi_id = $1 AND b.team_id = 1 AND b.dimension = $2 AND b.grain = 'year'"
											"  AND b.dimension_value IS NOT NULL", 2,
											KPI_INT4(kpi_rows_int4(goal, "kpi_id")), KPI_TEXT(dimension)), value);
	ereport(WARNING,
			(value ?
			 errmsg("no fact of KPI \"%s\" has \"%s\" for dimension \"%s\"", kpi, value, dimension) :
			 errmsg("every fact of KPI \"%s\" has a value for dimension \"%s\"", kpi, dimension),
			 errdetail("So it is as of the last refresh: the goal has nothing to be measured by yet."),
			 near ? errhint("Perhaps you mean %s.", near) :
			 errhint("View kpi.kpi_breakdown has the values that are there.")));
}

void
kpi_define_ground_check_goal(int64 goal_id)
{
	KpiRows		goal;

	kpi_rows_begin(&goal, GOALS("g.id = $1"), 1, KPI_INT8(goal_id));
	if (kpi_rows_next(&goal))
	{
		refuse(&goal, lack_of(&goal));
		warn_above_one(&goal);
		warn_over(&goal);
		warn_unseen(&goal);
	}
	kpi_rows_end(&goal);
}

/* ---- all goals of a definition ---- */

static char *
lack_text(KpiRows *goal, GoalLack lack)
{
	const char *label = kpi_rows_text(goal, "label");

	switch (lack)
	{
		case LACK_NOTHING:
			break;
		case LACK_DIMENSION:
			return psprintf("%s (dimension \"%s\")", label, kpi_rows_text(goal, "dimension"));
		case LACK_OWNER:
			return psprintf(kpi_rows_text(goal, "member") ? "%s (an owner)" : "%s (an owner or a team)",
							label);
		case LACK_GRAIN:
			return psprintf("%s (values for a %s)", label, kpi_rows_text(goal, "grain"));
		case LACK_SIGN:
			return psprintf("%s (values below 0)", label);
	}
	return NULL;
}

/* Kind and name say what was altered. */
static void
refuse_all(KpiRows *goals, const char *kind, const char *name)
{
	List	   *lacks = NIL;

	while (kpi_rows_next(goals))
	{
		GoalLack	lack = lack_of(goals);

		if (lack != LACK_NOTHING)
			lacks = lappend(lacks, lack_text(goals, lack));
	}
	if (lacks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot alter %s \"%s\" because goals need what it would lose", kind, name),
				 errdetail("Goals, and what they need: %s.", kpi_list_join(lacks)),
				 errhint("Drop these goals first with kpi.drop_goal(), or keep what they need.")));
}

/* ---- columns of rollup tables ---- */

/* What the column in this row of COLUMNS lacks; the company has what no team has. */
static GoalLack
column_lack(KpiRows *column)
{
	if (kpi_rows_text(column, "dimension") != NULL && !kpi_rows_bool(column, "has_dimension"))
		return LACK_DIMENSION;
	if (kpi_rows_bool(column, "is_member") && !kpi_rows_bool(column, "for_members"))
		return LACK_OWNER;
	return is_too_fine(column) ? LACK_GRAIN : LACK_NOTHING;
}

static void
refuse_column(KpiRows *column, GoalLack lack)
{
	char	   *kpi = kpi_rows_text(column, "kpi");
	char	   *grain = kpi_rows_text(column, "grain");
	char	   *dimension = kpi_rows_text(column, "dimension");

	if (lack == LACK_OWNER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no values of members", kpi),
				 kpi_rows_bool(column, "for_teams") ?
				 errdetail("Its facts count for teams.") :
				 errdetail("Its facts count for the company: neither the KPI nor its source has an owner or a team."),
				 errhint("Make the rollup table per => 'team', or say who a fact counts for with kpi.alter_kpi(..., owner => ...).")));
	if (lack == LACK_GRAIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no values for a %s", kpi, grain),
				 errdetail("The facts of source \"%s\" are for a %s each.",
						   kpi_rows_text(column, "coarse_source"), kpi_rows_text(column, "coarse_grain")),
				 errhint("Give a grain at least as long.")));
	if (lack == LACK_DIMENSION)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" has no dimension \"%s\"", kpi, dimension),
				 errdetail("Dimensions belong to a source, and a formula over several sources has none."),
				 errhint("Table kpi.dimension lists the dimensions of sources.")));
}

void
kpi_define_ground_check_rollup(int32 rollup_id)
{
	KpiRows		columns;

	kpi_rows_begin(&columns, COLUMNS("g.id = $1"), 1, KPI_INT4(rollup_id));
	while (kpi_rows_next(&columns))
		refuse_column(&columns, column_lack(&columns));
	kpi_rows_end(&columns);
}

static char *
column_lack_text(KpiRows *column, GoalLack lack)
{
	const char *needs;

	if (lack == LACK_OWNER)
		needs = "an owner";
	else if (lack == LACK_GRAIN)
		needs = psprintf("values for a %s", kpi_rows_text(column, "grain"));
	else
		needs = psprintf("dimension \"%s\"", kpi_rows_text(column, "dimension"));
	return psprintf("%s (KPI \"%s\": %s)", kpi_rows_text(column, "relation"), kpi_rows_text(column, "kpi"), needs);
}

/* Kind and name say what was altered. */
static void
refuse_all_columns(KpiRows *columns, const char *kind, const char *name)
{
	List	   *lacks = NIL;

	while (kpi_rows_next(columns))
	{
		GoalLack	lack = column_lack(columns);

		if (lack != LACK_NOTHING)
			lacks = lappend(lacks, column_lack_text(columns, lack));
	}
	if (lacks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot alter %s \"%s\" because rollup tables need what it would lose", kind, name),
				 errdetail("Rollup tables, and what they need: %s.", kpi_list_join(lacks)),
				 errhint("Take the KPI out of them with kpi.alter_rollup(), or keep what they need.")));
}

/* ---- all that stands on a definition ---- */

void
kpi_define_ground_check_source(int32 source_id, const char *name)
{
	KpiRows		goals;

	kpi_rows_begin(&goals, GOALS(AT_OR_ABOVE("i.source_id = $1")), 1, KPI_INT4(source_id));
	refuse_all(&goals, "source", name);
	kpi_rows_end(&goals);
	kpi_rows_begin(&goals, COLUMNS(AT_OR_ABOVE("i.source_id = $1")), 1, KPI_INT4(source_id));
	refuse_all_columns(&goals, "source", name);
	kpi_rows_end(&goals);
}

void
kpi_define_ground_check_kpi(int32 kpi_id, const char *name)
{
	KpiRows		goals;

	kpi_rows_begin(&goals, GOALS(AT_OR_ABOVE("i.id = $1")), 1, KPI_INT4(kpi_id));
	refuse_all(&goals, "KPI", name);
	/* It may have become a rate. */
	kpi_rows_rewind(&goals);
	while (kpi_rows_next(&goals))
		warn_above_one(&goals);
	kpi_rows_end(&goals);
	kpi_rows_begin(&goals, COLUMNS(AT_OR_ABOVE("i.id = $1")), 1, KPI_INT4(kpi_id));
	refuse_all_columns(&goals, "KPI", name);
	kpi_rows_end(&goals);
}
