/*-------------------------------------------------------------------------
 *
 * goal.c
 *	  Goals are made, altered and dropped.
 *
 * A goal is written first, then checked as it stands and asked what it amounts to in
 * its periods (goal/period.c), and at last its rows of kpi.goal_progress are made;
 * an error undoes it all.  What kpi.goal says of the target is that of today's version, and
 * is written with those (goal/version.c).  Locks: those that keep what it stands on (ground.c), that
 * of its plan (plan.c), that against periods being closed (goal_close.c), that of the goal's row, and
 * then those of its targets and rows.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "goal/goal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* What a goal is for. */
typedef struct GoalScope
{
	int32		kpi_id;
	int32		team_id;		/* 0: a member's */
	int32		member_id;		/* 0: a team's */
	char	   *dimension;
	char	   *dimension_value;
	KpiGoalPeriod period;
} GoalScope;

/* What is asked for, as it was written; NULL: nothing. */
typedef struct GoalTarget
{
	char	   *target;
	char	   *minimum;
	char	   *stretch;
	char	   *pace;
	bool		phased;			/* it has milestones */
} GoalTarget;

/* What the numbers of a target are, in the KPI's unit. */
typedef struct GoalNumbers
{
	KpiTargetText target;
	Numeric		minimum;
	Numeric		stretch;
} GoalNumbers;

static KpiParam
numeric_param(Numeric number)
{
	return number == NULL ? KPI_NULL(NUMERICOID) : KPI_VALUE(NUMERICOID, NumericGetDatum(number));
}

static KpiParam
date_param(DateADT day)
{
	return KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

static const char *
grain_name(const KpiGoalPeriod *period)
{
	return period->range ? "range" : kpi_calendar_grain_name(period->grain);
}

/* ---- what is asked for ---- */

/* Reads what was written; "" is nothing.  The target fits the period. */
static void
read_target(const GoalTarget *target, const KpiTargetGround *ground, const KpiGoalPeriod *period, GoalNumbers *numbers)
{
	kpi_goal_target_parse(target->target, ground, &numbers->target);
	kpi_goal_target_check_period(target->target, &numbers->target, period->name, period->range, period->grain);
	numbers->minimum = numbers->stretch = NULL;
	if (target->minimum != NULL)
		numbers->minimum = kpi_goal_target_parse_number(target->minimum, "minimum", ground);
	if (target->stretch != NULL)
		numbers->stretch = kpi_goal_target_parse_number(target->stretch, "stretch", ground);
	if (numbers->target.kind == KPI_BETWEEN && (numbers->minimum != NULL || numbers->stretch != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target \"%s\" has bounds, and no minimum or stretch besides", target->target),
				 errhint("Leave minimum and stretch out.")));
}

static void
require_pace(const GoalTarget *target)
{
	static const char *const paces[] = {"seasonal", "workdays", "linear", "phased"};
	bool		known = false;
	bool		phased = strcmp(target->pace, "phased") == 0;

	for (int i = 0; i < lengthof(paces); i++)
		known |= strcmp(target->pace, paces[i]) == 0;
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pace \"%s\" does not exist", target->pace),
				 errhint("The paces are seasonal, workdays, linear and phased.")));
	if (phased && !target->phased)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a phased pace needs milestones"),
				 errhint("Say what should be reached when: milestones => '{\"2026-10-31\": 200000}'.")));
	if (!phased && target->phased)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("milestones are for a phased pace, not for a %s one", target->pace),
				 errhint("Leave pace out, or give pace => 'phased'.")));
}

static bool
is_negative(Numeric number)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(number),
											 NumericGetDatum(int64_to_numeric(0)))) < 0;
}

/* 4 decimals at most. */
static char *
words(const char *number)
{
	Datum		value = DirectFunctionCall3(numeric_in, CStringGetDatum(number),
											ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	value = DirectFunctionCall2(numeric_round, value, Int32GetDatum(4));
	return DatumGetCString(DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale, value)));
}

/* Says a relative target back, as the number it is now. */
static void
say_relative(int64 goal_id, const char *written, const KpiTargetGround *ground, const KpiTargetText *target)
{
	KpiRows		rows;
	bool		down = is_negative(target->change);
	Numeric		change = DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(target->change)));
	char	   *shown;
	const char *side = down ? "below" : "above";

	/* A fraction in percents; points of a fraction, too. */
	if (!target->points || ground->scale == KPI_SCALE_FRACTION)
		change = DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(change),
													 NumericGetDatum(int64_to_numeric(100))));
	shown = words(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(change))));
	kpi_rows_begin(&rows, "SELECT t.target::text AS target, t.baseline::text AS baseline, t.baseline_period, t.is_fixed"
				   " FROM kpi.goal_target t WHERE t.goal_id = $1 AND t.valid_until IS NULL AND t.target IS NOT NULL AND t.baseline IS NOT NULL"
				   " AND t.target_text = $2 ORDER BY t.period_start LIMIT 1", 2, KPI_INT8(goal_id), KPI_TEXT(written));
	if (kpi_rows_next(&rows))
	{
		char	   *number = words(kpi_rows_text(&rows, "target"));
		char	   *baseline = words(kpi_rows_text(&rows, "baseline"));
		char	   *period = kpi_rows_text(&rows, "baseline_period");

		if (target->points)
			ereport(NOTICE,
					(errmsg("%s: %s points %s %s (%s)", number, shown, side, baseline, period)));
		else if (ground->scale != KPI_SCALE_NONE)
			ereport(NOTICE,
					(errmsg("%s: %s %% %s %s (%s), relative; for points write '%s%spp'", number, shown, side, baseline,
							period, down ? "-" : "+", shown)));
		else
			ereport(NOTICE,
					(errmsg("%s: %s %% %s %s (%s)", number, shown, side, baseline, period)));
	}
	kpi_rows_end(&rows);
	if (target->kind != KPI_BETWEEN && down == (target->kind == KPI_AT_LEAST) &&
		target->kind == (ground->down ? KPI_AT_MOST : KPI_AT_LEAST))
		ereport(NOTICE,
				(errmsg("the target lets KPI \"%s\" get worse", ground->kpi),
				 errdetail("Of this KPI %s is better.", ground->down ? "less" : "more")));
}

/* Within kpi_spi_begin(): what a goal that is written amounts to, or an error if it cannot be. */
static void
settle_target(int64 goal_id, const GoalTarget *target, const KpiGoalPeriod *period, const KpiTargetGround *ground,
			  const GoalNumbers *numbers, bool given)
{
	if (target->phased)
		kpi_define_milestones_check(goal_id, period, numbers->target.target);
	kpi_goal_targets_write(goal_id, given ? KPI_TARGET_GIVEN : KPI_TARGET_KEPT);
	kpi_define_ground_check_goal(goal_id);
	if (given && numbers->target.baseline != KPI_BASELINE_NONE)
		say_relative(goal_id, target->target, ground, &numbers->target);
}

/* ---- what a goal is for ---- */

/* Goals of dimension values are no members', for which there are no cells. */
static void
check_dimension(const GoalScope *goal)
{
	if (goal->dimension == NULL && goal->dimension_value != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"dimension_value\" needs a dimension"),
				 errhint("Say of which: dimension => ...")));
	if (goal->dimension != NULL && goal->member_id != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a goal of a member for a dimension's value is not supported"),
				 errhint("Set it for a team.")));
}

/* One that recurs has all the periods in its days. */
static void
check_no_such_goal(const GoalScope *goal, const char *plan)
{
	char	   *other;

	other = kpi_first_text("SELECT coalesce('\"' || name || '\"', id::text) FROM kpi.goal"
						   " WHERE plan = $1 AND kpi_id = $2"
						   "   AND team_id IS NOT DISTINCT FROM nullif($3, 0)"
						   "   AND member_id IS NOT DISTINCT FROM nullif($4, 0)"
						   "   AND dimension IS NOT DISTINCT FROM $5"
						   "   AND dimension_value IS NOT DISTINCT FROM $6"
						   "   AND grain = $7 AND CASE grain WHEN 'range' THEN period_start = $8 AND period_end = $9"
						   "    ELSE period_start <= $9 AND period_end >= $8 END ORDER BY id", 9,
						   KPI_TEXT(plan), KPI_INT4(goal->kpi_id), KPI_INT4(goal->team_id),
						   KPI_INT4(goal->member_id), KPI_TEXT(goal->dimension),
						   KPI_TEXT(goal->dimension_value), KPI_TEXT(grain_name(&goal->period)),
						   date_param(goal->period.start), date_param(goal->period.end));
	if (other == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("there is already a goal for this KPI, scope and period in plan \"%s\"",
					plan),
			 errdetail("It is goal %s.", other),
			 errhint("Use kpi.alter_goal() to change its target, or give another plan.")));
}

static void
resolve_scope(GoalScope *goal, const KpiGoalSpec *spec, KpiTargetGround *ground)
{
	const KpiCalendar *cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);

	if (spec->team && spec->member)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a goal is for a team or for a member, not for both"),
				 errhint("Leave one of them out; without both it is for the company.")));
	goal->dimension = spec->dimension;
	goal->dimension_value = spec->dimension_value;
	goal->kpi_id = kpi_first_int4("SELECT id FROM kpi.kpi WHERE name = $1", 1, KPI_TEXT(spec->kpi));
	if (goal->kpi_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" does not exist", spec->kpi),
				 errhint("The KPIs are in kpi.kpi; kpi.create_kpi() makes one.")));
	kpi_define_ground_lock(goal->kpi_id);
	(void) kpi_goal_target_ground(spec->kpi, ground);
	if (spec->member)
		goal->member_id = kpi_define_member_id(spec->member);
	else
		goal->team_id = kpi_define_team_id(spec->team ? spec->team : "company");
	check_dimension(goal);

	kpi_define_goal_period_parse(spec->period, cal, kpi_calendar_today(cal), &goal->period);
}

/* ---- making, altering, dropping ---- */

/* '', as infinity for a day, is nothing. */
static char *
given(char *text)
{
	return text == NULL || text[0] == '\0' ? NULL : text;
}

static KpiParam
review_param(const KpiGoalSpec *spec)
{
	return spec->review_given ? date_param(spec->review_on) : KPI_NULL(DATEOID);
}

static void
add_version(int64 goal_id, DateADT since, const GoalTarget *target, const GoalNumbers *numbers, const char *reason)
{
	KpiGoalVersion version = {
		.since = since,
		.target_text = target->target,
		.target = numbers->target,
		.minimum = numbers->minimum,
		.stretch = numbers->stretch,
		.reason = reason != NULL ? reason : given(kpi_reason)
	};

	kpi_goal_version_add(goal_id, &version);
}

int64
kpi_define_goal_make(const KpiGoalSpec *spec)
{
	GoalTarget	target = {
		.target = spec->target,
		.minimum = given(spec->minimum),
		.stretch = given(spec->stretch),
		.pace = given(spec->pace),
		.phased = spec->milestones != NULL
	};
	GoalScope	goal = {0};
	GoalNumbers numbers;
	KpiTargetGround ground = {0};
	bool		is_draft;
	int64		id;

	if (target.target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("target must not be null"),
				 errhint("Give the number to reach, e.g. target => '2000000'.")));
	if (target.phased)
		kpi_define_milestones_require(spec->milestones);
	if (target.pace == NULL)
		target.pace = target.phased ? "phased" : "seasonal";
	require_pace(&target);

	resolve_scope(&goal, spec, &ground);
	read_target(&target, &ground, &goal.period, &numbers);
	is_draft = kpi_define_plan_lock(spec->plan, "published");
	check_no_such_goal(&goal, spec->plan);
	id = kpi_first_int8("INSERT INTO kpi.goal (name, plan, kpi_id, team_id, member_id, dimension,"
						"                      dimension_value, grain, period, period_start,"
						"                      period_end, is_recurring, target_text, target, minimum, stretch,"
						"                      pace, description, responsible, review_on, is_draft)"
						" VALUES ($1, $2, $3, nullif($4, 0), nullif($5, 0), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
						"  $17, $18, $19, nullif($20, 'infinity'), $21)"
						" RETURNING id", 21,
						KPI_TEXT(spec->name), KPI_TEXT(spec->plan), KPI_INT4(goal.kpi_id),
						KPI_INT4(goal.team_id), KPI_INT4(goal.member_id),
						KPI_TEXT(goal.dimension), KPI_TEXT(goal.dimension_value),
						KPI_TEXT(grain_name(&goal.period)), KPI_TEXT(goal.period.name),
						date_param(goal.period.start), date_param(goal.period.end),
						KPI_BOOL(goal.period.recurring), KPI_TEXT(target.target), numeric_param(numbers.target.target),
						numeric_param(numbers.minimum), numeric_param(numbers.stretch),
						KPI_TEXT(target.pace), KPI_TEXT(given(spec->description)), KPI_TEXT(given(spec->responsible)),
						review_param(spec), KPI_BOOL(is_draft));
	if (spec->parent_given)
	{
		kpi_define_goal_closing_wait();
		kpi_define_goal_set_parent(id, spec->parent_id);
	}
	if (target.phased)
		kpi_define_milestones_write(id, spec->milestones);
	add_version(id, goal.period.start, &target, &numbers, NULL);
	settle_target(id, &target, &goal.period, &ground, &numbers, true);
	return id;
}

/* What a goal is, as it stands, and the day of it on which a change applies that says no other. */
static void
read_goal(int64 goal_id, GoalTarget *target, KpiGoalPeriod *period, KpiTargetGround *ground, DateADT *since)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT g.*, k.name AS kpi,"
				   " greatest(g.period_start, least(g.period_end,"
				   "  (SELECT s.today FROM kpi_internal.kpi_state s WHERE s.kpi_id = g.kpi_id))) AS since,"
				   " EXISTS (SELECT FROM kpi.goal_milestone m WHERE m.goal_id = g.id) AS is_phased FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id WHERE g.id = $1",
				   1, KPI_INT8(goal_id));
	if (!kpi_rows_next(&rows))
		elog(ERROR, "goal %lld is gone", (long long) goal_id);
	target->target = kpi_rows_text(&rows, "target_text");
	target->minimum = kpi_rows_text(&rows, "minimum");
	target->stretch = kpi_rows_text(&rows, "stretch");
	target->pace = kpi_rows_text(&rows, "pace");
	target->phased = kpi_rows_bool(&rows, "is_phased");
	period->range = !kpi_calendar_grain_parse(kpi_rows_text(&rows, "grain"), &period->grain);
	period->recurring = kpi_rows_bool(&rows, "is_recurring");
	period->start = kpi_rows_date(&rows, "period_start", DATEVAL_NOBEGIN);
	period->end = kpi_rows_date(&rows, "period_end", DATEVAL_NOEND);
	strlcpy(period->name, kpi_rows_text(&rows, "period"), sizeof(period->name));
	*since = kpi_rows_date(&rows, "since", period->start);
	(void) kpi_goal_target_ground(kpi_rows_text(&rows, "kpi"), ground);
	kpi_rows_end(&rows);
}

/* Error if what is said of a change of the target is said without one. */
static void
check_version(const KpiGoalSpec *spec)
{
	if (spec->since_given && spec->target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"since\" is of a target"),
				 errhint("Say which: target => ..., since => ....")));
	if (spec->reason != NULL && spec->target == NULL && spec->minimum == NULL && spec->stretch == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"reason\" is of a target, minimum or stretch"),
				 errhint("For kpi.definition_log say why with SET kpi.reason.")));
}

static void
check_since(const KpiGoalPeriod *period, DateADT since)
{
	if (since >= period->start && since <= period->end && !DATE_NOT_FINITE(since))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a target cannot begin on %s, outside of the goal's period \"%s\"",
					DATE_NOT_FINITE(since) ? "infinity" : kpi_day_text(since), period->name),
			 DATE_NOT_FINITE(period->end) ?
			 errhint("Give since => a day from %s on.", kpi_day_text(period->start)) :
			 errhint("Give since => a day from %s to %s.", kpi_day_text(period->start), kpi_day_text(period->end))));
}

static char *
changed(char *text, char *old)
{
	return text == NULL ? old : given(text);
}

/* From the target on: what was not given stays. */
static void
change_target(const KpiGoalSpec *spec, int64 goal_id, GoalTarget *target)
{
	bool		paced = spec->pace != NULL;

	if (spec->target != NULL)
		target->target = spec->target;
	target->minimum = changed(spec->minimum, target->minimum);
	target->stretch = changed(spec->stretch, target->stretch);
	if (paced)
		target->pace = spec->pace;
	if (spec->milestones != NULL)
	{
		Jsonb	   *milestones = spec->milestones;

		target->phased = !JB_ROOT_IS_OBJECT(milestones) || JB_ROOT_COUNT(milestones) > 0;
		if (target->phased)
			kpi_define_milestones_require(milestones);
		if (!paced)
			target->pace = target->phased ? "phased" : "seasonal";
		kpi_define_milestones_write(goal_id, milestones);
	}
	else if (paced && target->phased && strcmp(target->pace, "phased") != 0)
	{
		target->phased = false;
		kpi_define_milestones_write(goal_id, NULL);
	}
	require_pace(target);
}

/* ---- what a goal is asked for already ---- */

static bool
is_equal(Numeric a, Numeric b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(a), NumericGetDatum(b)));
}

/* Whether two texts ask for the same number, or are the same. */
static bool
is_same_target(const char *one, const char *other, const KpiTargetGround *ground)
{
	KpiTargetText a;
	KpiTargetText b;

	if (strcmp(one, other) == 0)
		return true;
	kpi_goal_target_parse(one, ground, &a);
	kpi_goal_target_parse(other, ground, &b);
	return a.baseline == KPI_BASELINE_NONE && b.baseline == KPI_BASELINE_NONE && a.kind == b.kind &&
		is_equal(a.target, b.target) && is_equal(a.high, b.high);
}

/* What is said of one thing: forgets it if it is so already, else describes it. */
static void
note_change(StringInfo changes, const char *what, char **said, const char *old, bool same)
{
	if (*said != NULL && !same)
	{
		appendStringInfo(changes, "%s%s", changes->len > 0 ? "; " : "", what);
		if (old != NULL)
			appendStringInfo(changes, " %s", old);
		appendStringInfo(changes, " becomes %s", *said);
	}
	else
		*said = NULL;
}

static void
note_text(StringInfo changes, const char *what, char **said, const char *old)
{
	note_change(changes, what, said, old, *said != NULL && old != NULL && strcmp(*said, old) == 0);
}

static void
note_number(StringInfo changes, const char *what, char **said, KpiRows *goal, const KpiTargetGround *ground)
{
	bool		isnull;
	Datum		number = kpi_rows_datum(goal, what, &isnull);
	bool		same = *said != NULL && !isnull &&
	is_equal(kpi_goal_target_parse_number(*said, what, ground), DatumGetNumeric(number));

	note_change(changes, what, said, kpi_rows_text(goal, what), same);
}

static void
note_review(StringInfo changes, KpiGoalSpec *spec, KpiRows *goal)
{
	DateADT		old = kpi_rows_date(goal, "review_on", DATEVAL_NOEND);
	char	   *said = spec->review_given ? kpi_day_text(spec->review_on) : NULL;

	note_change(changes, "review_on", &said, old == DATEVAL_NOEND ? NULL : kpi_day_text(old), spec->review_on == old);
	spec->review_given = said != NULL;
}

static char *
name_of(int64 goal_id)
{
	return goal_id == 0 ? NULL : kpi_first_text("SELECT coalesce(name, 'goal ' || id) FROM kpi.goal WHERE id = $1", 1, KPI_INT8(goal_id));
}

static void
note_parent(StringInfo changes, KpiGoalSpec *spec, KpiRows *goal)
{
	int64		old = kpi_rows_int8(goal, "parent_id");
	char	   *said = spec->parent_given ? name_of(spec->parent_id) : NULL;

	note_change(changes, "parent", &said, name_of(old), spec->parent_id == old);
	spec->parent_given = said != NULL;
}

int64
kpi_define_goal_find(KpiGoalSpec *spec, char **changes)
{
	GoalScope	goal = {0};
	KpiTargetGround ground = {0};
	StringInfoData text;
	int64		id = 0;
	char	   *old;
	KpiRows		rows;

	initStringInfo(&text);
	resolve_scope(&goal, spec, &ground);
	kpi_rows_begin(&rows, "SELECT g.* FROM kpi.goal g WHERE g.plan = $1 AND g.kpi_id = $2"
				   " AND g.team_id IS NOT DISTINCT FROM nullif($3, 0) AND g.member_id IS NOT DISTINCT FROM nullif($4, 0)"
				   " AND g.dimension IS NOT DISTINCT FROM $5 AND g.dimension_value IS NOT DISTINCT FROM $6"
				   " AND g.grain = $7 AND g.period_start = $8 AND g.period_end = $9", 9,
				   KPI_TEXT(spec->plan), KPI_INT4(goal.kpi_id), KPI_INT4(goal.team_id), KPI_INT4(goal.member_id),
				   KPI_TEXT(goal.dimension), KPI_TEXT(goal.dimension_value), KPI_TEXT(grain_name(&goal.period)),
				   date_param(goal.period.start), date_param(goal.period.end));
	if (kpi_rows_next(&rows))
	{
		id = kpi_rows_int8(&rows, "id");
		old = kpi_rows_text(&rows, "target_text");
		note_change(&text, "target", &spec->target, old, spec->target != NULL && is_same_target(spec->target, old, &ground));
		note_number(&text, "minimum", &spec->minimum, &rows, &ground);
		note_number(&text, "stretch", &spec->stretch, &rows, &ground);
		note_text(&text, "name", &spec->name, kpi_rows_text(&rows, "name"));
		note_text(&text, "pace", &spec->pace, kpi_rows_text(&rows, "pace"));
		note_text(&text, "description", &spec->description, kpi_rows_text(&rows, "description"));
		note_text(&text, "responsible", &spec->responsible, kpi_rows_text(&rows, "responsible"));
		note_review(&text, spec, &rows);
		note_parent(&text, spec, &rows);
	}
	kpi_rows_end(&rows);
	*changes = text.len > 0 ? text.data : NULL;
	return id;
}

void
kpi_define_goal_change(int64 goal_id, const KpiGoalSpec *spec)
{
	GoalTarget	target;
	GoalNumbers numbers;
	KpiGoalPeriod period;
	KpiTargetGround ground;
	DateADT		since;

	check_version(spec);
	kpi_define_ground_lock(kpi_first_int4("SELECT kpi_id FROM kpi.goal WHERE id = $1", 1, KPI_INT8(goal_id)));
	kpi_define_goal_closing_wait();
	kpi_spi_exec("UPDATE kpi.goal SET name = coalesce($2, name),"
				 " description = nullif(coalesce($3, description), ''),"
				 " responsible = nullif(coalesce($4, responsible), ''),"
				 " review_on = nullif(coalesce($5, review_on), 'infinity'), altered_at = pg_catalog.clock_timestamp() WHERE id = $1", 5,
				 KPI_INT8(goal_id), KPI_TEXT(spec->name), KPI_TEXT(spec->description), KPI_TEXT(spec->responsible),
				 review_param(spec));
	if (spec->parent_given)
		kpi_define_goal_set_parent(goal_id, spec->parent_id);
	if (spec->target == NULL && spec->minimum == NULL && spec->stretch == NULL && spec->pace == NULL &&
		spec->milestones == NULL)
		return;
	read_goal(goal_id, &target, &period, &ground, &since);
	if (spec->since_given)
		check_since(&period, since = spec->since);
	kpi_goal_closed_check_target(goal_id, since);
	change_target(spec, goal_id, &target);
	read_target(&target, &ground, &period, &numbers);
	kpi_spi_exec("UPDATE kpi.goal SET pace = $2 WHERE id = $1 AND pace <> $2", 2, KPI_INT8(goal_id), KPI_TEXT(target.pace));
	add_version(goal_id, since, &target, &numbers, given(spec->reason));
	settle_target(goal_id, &target, &period, &ground, &numbers, spec->target != NULL);
}

void
kpi_define_goal_remove(int64 goal_id)
{
	/* Who closes its period comes before this, or after it. */
	kpi_define_goal_closing_wait();
	kpi_spi_exec("SELECT FROM kpi.goal WHERE id = $1 FOR NO KEY UPDATE", 1, KPI_INT8(goal_id));
	kpi_goal_closed_check_drop(goal_id);

	/*
	 * In the order of a refresh, which has the row before it notes the goal's
	 * status.
	 */
	kpi_spi_exec("SELECT FROM kpi.goal_progress WHERE goal_id = $1 ORDER BY id FOR UPDATE", 1, KPI_INT8(goal_id));
	kpi_goal_target_moved(goal_id);
	kpi_spi_exec("DELETE FROM kpi.goal WHERE id = $1", 1, KPI_INT8(goal_id));
}
