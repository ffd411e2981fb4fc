/*-------------------------------------------------------------------------
 *
 * ground.c
 *	  What goals stand on: what its KPI must have for a goal to have a value.
 *
 * A goal needs facts that count for its team or member, its dimension, values
 * as short as its period, and a target on the side of 0 where the KPI can be.
 * There is one rule for all who might break it, and it is asked when what they
 * do is written: of the goal that is made or altered, and of all goals of a
 * KPI or source that is altered, formulas over it included.
 *
 * Locks: who writes a goal shares the rows of the sources below its KPI and of
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

/* Columns of GOALS. */
enum
{
	GOAL_LABEL = 1,
	GOAL_KPI,
	GOAL_KPI_ID,
	GOAL_TEAM,
	GOAL_MEMBER,
	GOAL_IS_COMPANY,
	GOAL_DIMENSION,
	GOAL_DIMENSION_VALUE,
	GOAL_GRAIN,
	GOAL_PERIOD,
	GOAL_PERIOD_END,
	GOAL_TODAY,
	GOAL_TARGET,
	GOAL_PERCENT,
	GOAL_IS_NEGATIVE,
	GOAL_IS_ABOVE_ONE,
	GOAL_HAS_DIMENSION,
	GOAL_MEASURE,
	GOAL_FOR_MEMBERS,
	GOAL_FOR_TEAMS,
	GOAL_COARSE_SOURCE,
	GOAL_COARSE_GRAIN
};

/*
 * Goals, with what their KPIs have.  The condition chooses some goals g.  Of
 * the sources below a KPI the one of the longest grain counts.
 */
#define GOALS(condition) \
	"SELECT coalesce('\"' || g.name || '\"', 'goal ' || g.id), k.name, k.id, t.key, p.key," \
	" g.team_id IS NOT DISTINCT FROM 1, g.dimension, g.dimension_value, g.grain, g.period, g.period_end," \
	" kpi_internal.today(kpi_internal.kpi_calendar(k.id)), g.target::text," \
	" CASE WHEN g.target <= 100 THEN pg_catalog.trim_scale(g.target / 100)::text END," \
	" g.target < 0, g.target > 1," \
	" EXISTS (SELECT FROM kpi.dimension d WHERE d.source_id = k.source_id AND d.name = g.dimension)," \
	" (SELECT m.kind FROM kpi_internal.measure m WHERE m.kpi_id = k.id)," \
	" l.for_members, l.for_teams, l.sources[1], l.grains[1] " \
	"FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id" \
	" LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member p ON p.id = g.member_id" \
	" CROSS JOIN LATERAL (" \
	"  SELECT pg_catalog.bool_or(x.owner_kind = 'member') AS for_members," \
	"   pg_catalog.bool_or(x.owner_kind <> 'company') AS for_teams," \
	"   pg_catalog.array_agg(s.name ORDER BY r.rank DESC, s.name) AS sources," \
	"   pg_catalog.array_agg(s.grain ORDER BY r.rank DESC, s.name) AS grains" \
	"  FROM kpi_internal.measure m JOIN kpi_internal.stream x ON x.id = m.stream_id" \
	"  JOIN kpi.source s ON s.id = x.source_id" \
	"  CROSS JOIN LATERAL (" \
	"   SELECT pg_catalog.array_position('{day,week,month,quarter,year}', s.grain) AS rank) r" \
	"  WHERE m.kpi_id = ANY (kpi_internal.leaf_kpis(k.id))) l " \
	"WHERE " condition " ORDER BY g.id"

/* KPIs that meet the condition, and all formulas over them. */
#define AT_OR_ABOVE(condition) \
	"g.kpi_id IN (WITH RECURSIVE above (id) AS (" \
	"SELECT i.id FROM kpi.kpi i WHERE " condition \
	" UNION SELECT f.kpi_id FROM above a JOIN kpi_internal.formula_input f ON f.input_kpi_id = a.id)" \
	" SELECT id FROM above)"

void
kpi_define_ground_lock(int32 kpi_id)
{
	kpi_spi_exec("SELECT FROM kpi.source s WHERE s.id IN (SELECT k.source_id FROM kpi.kpi k"
				 " WHERE k.id = ANY (kpi_internal.leaf_kpis($1))) ORDER BY s.id FOR SHARE OF s",
				 1, KPI_INT4(kpi_id));
	kpi_spi_exec("SELECT FROM kpi.kpi k WHERE k.kind = 'formula' AND k.id IN (WITH RECURSIVE below (id) AS ("
				 " SELECT $1 UNION SELECT f.input_kpi_id FROM below b"
				 "  JOIN kpi_internal.formula_input f ON f.kpi_id = b.id)"
				 " SELECT id FROM below) ORDER BY k.id FOR SHARE OF k", 1, KPI_INT4(kpi_id));
}

/* What the goal in this row of GOALS lacks. */
static GoalLack
lack_of(uint64 r)
{
	KpiGrain	grain;
	KpiGrain	coarse;

	if (kpi_spi_text(r, GOAL_DIMENSION) != NULL && !kpi_spi_bool(r, GOAL_HAS_DIMENSION))
		return LACK_DIMENSION;
	if (!kpi_spi_bool(r, GOAL_IS_COMPANY) &&
		!kpi_spi_bool(r, kpi_spi_text(r, GOAL_MEMBER) ? GOAL_FOR_MEMBERS : GOAL_FOR_TEAMS))
		return LACK_OWNER;
	if (kpi_spi_text(r, GOAL_COARSE_GRAIN) != NULL &&
		kpi_calendar_grain_parse(kpi_spi_text(r, GOAL_GRAIN), &grain) &&
		kpi_calendar_grain_parse(kpi_spi_text(r, GOAL_COARSE_GRAIN), &coarse) && grain < coarse)
		return LACK_GRAIN;
	if (kpi_spi_bool(r, GOAL_IS_NEGATIVE) &&
		kpi_model_measure_range(kpi_spi_text(r, GOAL_MEASURE)) != KPI_RANGE_ANY)
		return LACK_SIGN;
	return LACK_NOTHING;
}

/* ---- one goal ---- */

static void
refuse_dimension(uint64 r)
{
	char	   *kpi = kpi_spi_text(r, GOAL_KPI);
	char	   *dimension = kpi_spi_text(r, GOAL_DIMENSION);
	char	   *known = kpi_list_some("SELECT d.name FROM kpi.dimension d"
									  "  JOIN kpi.kpi k ON k.source_id = d.source_id"
									  " WHERE k.id = $1 ORDER BY d.position", kpi_spi_int4(r, GOAL_KPI_ID));

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("KPI \"%s\" has no dimension \"%s\"", kpi, dimension),
			 known ?
			 errdetail("Its dimensions are %s.", known) :
			 errdetail("It has no dimensions: they belong to the source of a measure.")));
}

static void
refuse_scope(uint64 r)
{
	char	   *kpi = kpi_spi_text(r, GOAL_KPI);
	char	   *member = kpi_spi_text(r, GOAL_MEMBER);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 member ?
			 errmsg("KPI \"%s\" has no values of members, as of member \"%s\"", kpi, member) :
			 errmsg("KPI \"%s\" has no values of teams, as of team \"%s\"",
					kpi, kpi_spi_text(r, GOAL_TEAM)),
			 kpi_spi_bool(r, GOAL_FOR_TEAMS) ?
			 errdetail("Its facts count for teams.") :
			 errdetail("Its facts count for the company: neither the KPI nor its source has an owner or a team."),
			 kpi_spi_bool(r, GOAL_FOR_TEAMS) ?
			 errhint("Set the goal for a team, or say who a fact counts for with kpi.alter_kpi(..., owner => ...).") :
			 errhint("Set the goal for the company, or say who a fact counts for with kpi.alter_source(..., owner => ...).")));
}

static void
refuse(uint64 r, GoalLack lack)
{
	switch (lack)
	{
		case LACK_NOTHING:
			break;
		case LACK_DIMENSION:
			refuse_dimension(r);
			break;
		case LACK_OWNER:
			refuse_scope(r);
			break;
		case LACK_GRAIN:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("KPI \"%s\" has no values for a %s", kpi_spi_text(r, GOAL_KPI),
							kpi_spi_text(r, GOAL_GRAIN)),
					 errdetail("The facts of source \"%s\" are for a %s each.",
							   kpi_spi_text(r, GOAL_COARSE_SOURCE), kpi_spi_text(r, GOAL_COARSE_GRAIN)),
					 errhint("Give a period at least as long.")));
			break;
		case LACK_SIGN:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("target %s of KPI \"%s\" is negative", kpi_spi_text(r, GOAL_TARGET),
							kpi_spi_text(r, GOAL_KPI)),
					 errdetail("It is a %s, which is never below 0.", kpi_spi_text(r, GOAL_MEASURE)),
					 errhint("Give a target of 0 or more.")));
			break;
	}
}

static void
warn_above_one(uint64 r)
{
	char	   *percent = kpi_spi_text(r, GOAL_PERCENT);

	if (kpi_spi_bool(r, GOAL_IS_ABOVE_ONE) &&
		kpi_model_measure_range(kpi_spi_text(r, GOAL_MEASURE)) == KPI_RANGE_SHARE)
		ereport(WARNING,
				(errmsg("target %s of %s is above 1",
						kpi_spi_text(r, GOAL_TARGET), kpi_spi_text(r, GOAL_LABEL)),
				 errdetail("KPI \"%s\" is a rate: a fraction of 1.", kpi_spi_text(r, GOAL_KPI)),
				 percent ?
				 errhint("For %s percent the target is %s.", kpi_spi_text(r, GOAL_TARGET), percent) : 0));
}

static void
warn_over(uint64 r)
{
	bool		isnull;
	DateADT		end = DatumGetDateADT(kpi_spi_datum(r, GOAL_PERIOD_END, &isnull));
	DateADT		today = DatumGetDateADT(kpi_spi_datum(r, GOAL_TODAY, &isnull));

	if (end < today)
		ereport(WARNING,
				(errmsg("period \"%s\" of %s is over",
						kpi_spi_text(r, GOAL_PERIOD), kpi_spi_text(r, GOAL_LABEL)),
				 errdetail("It ended on %s, and today is %s.", kpi_day_text(end), kpi_day_text(today))));
}

/* The company has every fact.  A KPI that is not built has shown none yet. */
static void
warn_unseen(uint64 r)
{
	char	   *kpi = kpi_spi_text(r, GOAL_KPI);
	char	   *dimension = kpi_spi_text(r, GOAL_DIMENSION);
	char	   *value = kpi_spi_text(r, GOAL_DIMENSION_VALUE);

	if (dimension == NULL ||
		kpi_spi_exec("SELECT FROM kpi_internal.kpi_state s WHERE s.kpi_id = $1 AND s.is_complete"
					 " AND NOT EXISTS (SELECT FROM kpi.kpi_breakdown b"
					 "  WHERE b.kpi_id = $1 AND b.team_id = 1 AND b.member_id IS NULL"
					 "  AND b.dimension = $2 AND b.dimension_value IS NOT DISTINCT FROM $3)",
					 3, KPI_INT4(kpi_spi_int4(r, GOAL_KPI_ID)), KPI_TEXT(dimension), KPI_TEXT(value)) == 0)
		return;
	ereport(WARNING,
			(value ?
			 errmsg("no fact of KPI \"%s\" has \"%s\" for dimension \"%s\"", kpi, value, dimension) :
			 errmsg("every fact of KPI \"%s\" has a value for dimension \"%s\"", kpi, dimension),
			 errdetail("So it is as of the last refresh: the goal has nothing to be measured by yet."),
			 errhint("Table kpi.kpi_breakdown has the values that are there.")));
}

void
kpi_define_ground_check_goal(int64 goal_id)
{
	kpi_spi_exec(GOALS("g.id = $1"), 1, KPI_INT8(goal_id));
	refuse(0, lack_of(0));
	warn_above_one(0);
	warn_over(0);
	warn_unseen(0);
}

/* ---- all goals of a definition ---- */

static char *
lack_text(uint64 r, GoalLack lack)
{
	const char *label = kpi_spi_text(r, GOAL_LABEL);

	switch (lack)
	{
		case LACK_NOTHING:
			break;
		case LACK_DIMENSION:
			return psprintf("%s (dimension \"%s\")", label, kpi_spi_text(r, GOAL_DIMENSION));
		case LACK_OWNER:
			return psprintf(kpi_spi_text(r, GOAL_MEMBER) ? "%s (an owner)" : "%s (an owner or a team)", label);
		case LACK_GRAIN:
			return psprintf("%s (values for a %s)", label, kpi_spi_text(r, GOAL_GRAIN));
		case LACK_SIGN:
			return psprintf("%s (values below 0)", label);
	}
	return NULL;
}

/* Of the rows of GOALS just read; kind and name say what was altered. */
static void
refuse_all(uint64 rows, const char *kind, const char *name)
{
	List	   *lacks = NIL;

	for (uint64 r = 0; r < rows; r++)
	{
		GoalLack	lack = lack_of(r);

		if (lack != LACK_NOTHING)
			lacks = lappend(lacks, lack_text(r, lack));
	}
	if (lacks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot alter %s \"%s\" because goals need what it would lose", kind, name),
				 errdetail("Goals, and what they need: %s.", kpi_list_join(lacks)),
				 errhint("Drop these goals first with kpi.drop_goal(), or keep what they need.")));
}

void
kpi_define_ground_check_source(int32 source_id, const char *name)
{
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	refuse_all(kpi_spi_exec(GOALS(AT_OR_ABOVE("i.source_id = $1")), 1, KPI_INT4(source_id)),
			   "source", name);
	kpi_spi_end(&spi);
}

void
kpi_define_ground_check_kpi(int32 kpi_id, const char *name)
{
	KpiSpi		spi;
	uint64		rows;

	kpi_spi_begin(&spi);
	rows = kpi_spi_exec(GOALS(AT_OR_ABOVE("i.id = $1")), 1, KPI_INT4(kpi_id));
	refuse_all(rows, "KPI", name);
	/* It may have become a rate. */
	for (uint64 r = 0; r < rows; r++)
		warn_above_one(r);
	kpi_spi_end(&spi);
}
