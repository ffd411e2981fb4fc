/*-------------------------------------------------------------------------
 *
 * period.c
 *	  The periods of goals, and what is asked for in each.
 *
 * A goal for one period has that one; a recurring goal those that have begun, and
 * the next.  What is asked for is a version in kpi.goal_target: the one that is
 * valid is open, and a change closes it and makes another, so what was asked for
 * before can be read for ever.  It follows from the version of the goal (version.c) that
 * applies today, in a period that is over on its last day, in one to come on its first: so a
 * target that is given from a day on is that of the periods that end thereafter.  The baseline of a recurring goal follows the
 * period before until SETTLED_DAYS after its end, as late facts come, and is fixed
 * then; of a goal for one period it is fixed when that is written.
 *
 * When the period that a goal for one period is compared with is closed, what was reported is its baseline
 * from then on, as long as its own is not over.  What is asked for in a period that is closed itself
 * stays (closed.c).
 *
 * What follows when a day begins raises no error, as nobody is there to mend it: a target that
 * has nothing to be compared with is none then.
 *
 * Locks: rows of kpi.goal_target, after that of the goal; when a day begins those
 * that somebody else has are left to him.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "goal/goal_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#define SETTLED_DAYS 5

/* A goal, as far as its targets are concerned. */
typedef struct Definition
{
	int64		goal_id;
	char	   *label;
	char	   *kpi;
	char	   *unit;
	char	   *grain_name;
	bool		range;
	KpiGrain	grain;
	bool		recurring;
	char	   *period;
	DateADT		start;
	DateADT		end;
	bool		complete;
	DateADT		today;
	KpiTargetGround ground;
	List	   *versions;		/* KpiStoredVersion *, the last one first */
	bool		follows;		/* a day has begun, or its baseline was
								 * reported */

	/* of the version that applies in the period that is looked at */
	char	   *target_text;
	Numeric		minimum;
	Numeric		stretch;
	bool		says_kind;		/* the target does, not the KPI's direction */
	KpiTargetText target;
} Definition;

/* What is asked for in one period. */
typedef struct Asked
{
	char		period[2 * KPI_PERIOD_NAME_LEN];
	DateADT		start;
	DateADT		end;
	Numeric		target;
	Numeric		baseline;
	char	   *baseline_period;
	bool		fixed;
} Asked;

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static char *
number_text(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(number))));
}

static Numeric
number_of(const char *text)
{
	return text == NULL ? NULL :
		DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

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

/* False if it is gone. */
static bool
read_definition(int64 goal_id, Definition *def)
{
	KpiRows		rows;
	bool		found;

	memset(def, 0, sizeof(*def));
	kpi_rows_begin(&rows, "SELECT g.*, coalesce('\"' || g.name || '\"', g.id::text) AS label, k.name AS kpi, k.unit,"
				   " kpi_internal.is_complete(s.program, '-infinity') AS is_complete, s.today"
				   " FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id JOIN kpi_internal.kpi_state s ON s.kpi_id = k.id"
				   " WHERE g.id = $1", 1, KPI_INT8(goal_id));
	found = kpi_rows_next(&rows);
	if (found)
	{
		def->goal_id = goal_id;
		def->label = kpi_rows_text(&rows, "label");
		def->kpi = kpi_rows_text(&rows, "kpi");
		def->unit = kpi_rows_text(&rows, "unit");
		def->grain_name = kpi_rows_text(&rows, "grain");
		def->range = !kpi_calendar_grain_parse(def->grain_name, &def->grain);
		def->recurring = kpi_rows_bool(&rows, "is_recurring");
		def->period = kpi_rows_text(&rows, "period");
		def->start = kpi_rows_date(&rows, "period_start", DATEVAL_NOBEGIN);
		def->end = kpi_rows_date(&rows, "period_end", DATEVAL_NOEND);
		def->complete = kpi_rows_bool(&rows, "is_complete");
		def->today = kpi_rows_date(&rows, "today", DATEVAL_NOBEGIN);
		if (!kpi_goal_target_ground(def->kpi, &def->ground))
			found = false;
	}
	kpi_rows_end(&rows);
	if (found)
		def->versions = kpi_goal_versions_read(goal_id);
	return found && def->versions != NIL;
}

/* A target that reads otherwise for a KPI of the other direction does not say its kind. */
static void
use_version(Definition *def, const KpiStoredVersion *version)
{
	KpiTargetText other;
	KpiTargetGround opposite = def->ground;

	opposite.down = !opposite.down;
	def->target_text = version->target_text;
	def->minimum = version->minimum;
	def->stretch = version->stretch;
	kpi_goal_target_parse(def->target_text, &def->ground, &def->target);
	kpi_goal_target_parse(def->target_text, &opposite, &other);
	def->says_kind = other.kind == def->target.kind;
}

/* ---- baselines ---- */

pg_noreturn static void
refuse_no_baseline(const Definition *def, const Asked *asked, int found)
{
	const char *detail;

	if (!def->complete)
		detail = psprintf("The numbers of KPI \"%s\" are not complete yet.", def->kpi);
	else if (def->target.baseline == KPI_BASELINE_AVERAGE && found < def->target.periods)
		detail = psprintf("It is compared with %d closed %ss, and there are %d with values.", def->target.periods,
						  kpi_calendar_grain_name(def->target.grain), found);
	else if (asked->baseline == NULL)
		detail = psprintf("It is compared with %s, where the KPI has no value.", asked->baseline_period);
	else
		detail = psprintf("It is compared with %s, where the KPI is %s: a baseline must be above 0.",
						  asked->baseline_period, number_text(asked->baseline));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("target \"%s\" of KPI \"%s\" has nothing to be compared with", def->target_text, def->kpi),
			 errdetail("%s", detail),
			 def->complete ?
			 errhint("Give the number to reach, e.g. target => '2000000'.") :
			 errhint("Run CALL kpi.refresh() first, or give the number to reach.")));
}

/* Compares a relative target with the periods before this one. */
static void
find_baseline(const Definition *def, Asked *asked)
{
	KpiRows		rows;
	DateADT		end = DATEVAL_NOEND;
	int			found = 0;

	kpi_rows_begin(&rows, "SELECT b.* FROM kpi_internal.goal_place p CROSS JOIN LATERAL"
				   " kpi_internal.goal_baseline(p.program, p.scope_kind, p.scope_id, p.dim_id, p.grain_number, $2, $3, $4, $5, p.today) b"
				   " WHERE p.goal_id = $1 AND p.is_complete AND p.dim_id IS NOT NULL",
				   5, KPI_INT8(def->goal_id), date_param(asked->start), date_param(asked->end),
				   KPI_INT4(def->target.baseline), KPI_INT4(def->target.periods));
	if (kpi_rows_next(&rows))
	{
		asked->baseline = number_of(kpi_rows_text(&rows, "baseline"));
		asked->baseline_period = kpi_rows_text(&rows, "baseline_period");
		end = kpi_rows_date(&rows, "baseline_end", DATEVAL_NOEND);
		found = kpi_rows_int4(&rows, "found");
	}
	kpi_rows_end(&rows);
	asked->fixed = !def->recurring || (end != DATEVAL_NOEND && def->today > end + SETTLED_DAYS);
	if (asked->baseline != NULL && compare(asked->baseline, int64_to_numeric(0)) > 0)
		asked->target = kpi_goal_target_resolve(&def->target, asked->baseline);
	else if (!def->recurring && !def->follows)
		refuse_no_baseline(def, asked, found);
}

/* ---- versions ---- */

/* Error if minimum, target and stretch are not in the order that the target gives them. */
static void
check_order(const Definition *def, Numeric target)
{
	bool		down = def->target.kind == KPI_AT_MOST;
	Numeric		minimum = def->minimum;
	Numeric		stretch = def->stretch;
	const char *what = NULL;
	int			sign = down ? -1 : 1;

	if (target == NULL || def->target.kind == KPI_BETWEEN || def->follows)
		return;
	if (minimum != NULL && sign * compare(minimum, target) > 0)
		what = "minimum";
	else if (stretch != NULL && sign * compare(stretch, target) < 0)
		what = "stretch";
	if (what != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s %s is on the wrong side of target %s", what,
						number_text(strcmp(what, "minimum") == 0 ? minimum : stretch), number_text(target)),
				 errdetail(down ? "A goal to stay within has stretch, target and minimum in ascending order." :
						   "A goal to reach has minimum, target and stretch in ascending order."),
				 errhint("Give a %s that is not %s the target.", what,
						 down == (strcmp(what, "minimum") == 0) ? "below" : "above")));
}

/* The shortest period with a forecast that holds these days; false if there is none. */
static bool
forecast_period(const Definition *def, const Asked *asked, KpiGrain *grain, DateADT *start)
{
	const KpiCalendar *cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);

	if (!def->range)
	{
		*grain = def->grain;
		*start = asked->start;
		return def->grain != KPI_DAY;
	}
	for (*grain = KPI_MONTH; *grain <= KPI_YEAR; (*grain)++)
	{
		*start = kpi_calendar_period_start(*grain, asked->start, cal);
		if (kpi_calendar_period_end(*grain, asked->start, cal) >= asked->end)
			return true;
	}
	return false;
}

/* Writes another version, if it is one. */
static void
write_version(const Definition *def, const Asked *asked)
{
	bool		relative = def->target.baseline != KPI_BASELINE_NONE;
	Numeric		target = relative ? asked->target : def->target.target;
	Numeric		minimum = def->minimum;
	Numeric		stretch = def->stretch;
	const char *kind = def->says_kind ? kpi_goal_target_kind_name(def->target.kind) : NULL;
	KpiGrain	grain;
	DateADT		start;
	bool		has_forecast = forecast_period(def, asked, &grain, &start);

	check_order(def, target);
	(void) kpi_spi_exec("UPDATE kpi.goal_target t SET valid_until = pg_catalog.clock_timestamp()"
						" WHERE t.goal_id = $1 AND t.period_start = $2 AND t.valid_until IS NULL"
						" AND (t.target, t.target_high, t.minimum, t.stretch, t.target_text, t.target_kind, t.baseline, t.baseline_period)"
						"  IS DISTINCT FROM ROW ($3, $4, $5, $6, $7, $8, $9, $10)", 10,
						KPI_INT8(def->goal_id), date_param(asked->start), numeric_param(target),
						numeric_param(def->target.high), numeric_param(minimum), numeric_param(stretch),
						KPI_TEXT(def->target_text), KPI_TEXT(kind), numeric_param(asked->baseline),
						KPI_TEXT(asked->baseline_period));
	(void) kpi_spi_exec("UPDATE kpi.goal_target t SET is_fixed = $3"
						" WHERE t.goal_id = $1 AND t.period_start = $2 AND t.valid_until IS NULL AND t.is_fixed <> $3",
						3, KPI_INT8(def->goal_id), date_param(asked->start), KPI_BOOL(asked->fixed));
	if (kpi_spi_exec("INSERT INTO kpi.goal_target (goal_id, period, period_start, period_end, version, target, target_high,"
					 "  minimum, stretch, target_text, target_kind, baseline, baseline_period, is_fixed, forecast_grain, forecast_start)"
					 " SELECT $1, $12, $2, $13, 1 + coalesce((SELECT pg_catalog.max(o.version) FROM kpi.goal_target o"
					 "  WHERE o.goal_id = $1 AND o.period_start = $2), 0), $3, $4, $5, $6, $7, $8, $9, $10, $11, $14, $15"
					 " WHERE NOT EXISTS (SELECT FROM kpi.goal_target o"
					 "  WHERE o.goal_id = $1 AND o.period_start = $2 AND o.valid_until IS NULL)", 15,
					 KPI_INT8(def->goal_id), date_param(asked->start), numeric_param(target),
					 numeric_param(def->target.high), numeric_param(minimum), numeric_param(stretch),
					 KPI_TEXT(def->target_text), KPI_TEXT(kind), numeric_param(asked->baseline),
					 KPI_TEXT(asked->baseline_period), KPI_BOOL(asked->fixed), KPI_TEXT(asked->period),
					 date_param(asked->end), KPI_TEXT(has_forecast ? kpi_calendar_grain_name(grain) : NULL),
					 has_forecast ? date_param(start) : KPI_NULL(DATEOID)) > 0)
		kpi_goal_target_moved(def->goal_id);
}

/*
 * Whether the period has a version of this target with a baseline that is fixed, which is taken
 * then; equal: and of what is beside it.
 */
static bool
is_settled(const Definition *def, DateADT start, Asked *asked, bool *equal)
{
	KpiRows		rows;
	bool		settled;

	kpi_rows_begin(&rows, "SELECT t.target::text AS target, t.baseline::text AS baseline, t.baseline_period,"
				   " (t.minimum, t.stretch) IS NOT DISTINCT FROM ($4, $5) AS is_equal FROM kpi.goal_target t"
				   " WHERE t.goal_id = $1 AND t.period_start = $2 AND t.valid_until IS NULL AND t.is_fixed AND t.target_text = $3",
				   5, KPI_INT8(def->goal_id), date_param(start), KPI_TEXT(def->target_text),
				   numeric_param(def->minimum), numeric_param(def->stretch));
	settled = kpi_rows_next(&rows);
	*equal = settled && kpi_rows_bool(&rows, "is_equal");
	if (settled)
	{
		asked->target = number_of(kpi_rows_text(&rows, "target"));
		asked->baseline = number_of(kpi_rows_text(&rows, "baseline"));
		asked->baseline_period = kpi_rows_text(&rows, "baseline_period");
	}
	kpi_rows_end(&rows);
	return settled;
}

/*
 * What was reported of the baseline is another number.  Nothing to compare with leaves the target as it
 * is: who closes a period has not asked for another one.
 */
static void
ask_for_reported(Definition *def, Asked *asked)
{
	if ((def->target.baseline != KPI_BASELINE_YEAR_AGO && def->target.baseline != KPI_BASELINE_PREVIOUS) ||
		asked->end < def->today)
		return;
	find_baseline(def, asked);
	if (asked->target != NULL)
		write_version(def, asked);
}

static void
ask_for(Definition *def, const char *period, DateADT start, DateADT end, KpiTargetChange change)
{
	Asked		asked = {.start = start,.end = end,.fixed = true};
	bool		settled;
	bool		equal;

	if (kpi_goal_closed(def->goal_id, start))
		return;
	strlcpy(asked.period, period, sizeof(asked.period));
	use_version(def, kpi_goal_version_of_day(def->versions, Max(start, Min(def->today, end))));
	if (change == KPI_TARGET_REPORTED)
	{
		ask_for_reported(def, &asked);
		return;
	}
	settled = is_settled(def, start, &asked, &equal);
	if (equal && (change == KPI_TARGET_FOLLOWED || (def->recurring && end < def->today)))
		return;
	if (def->target.baseline != KPI_BASELINE_NONE && (!settled || change == KPI_TARGET_GIVEN))
	{
		asked.target = asked.baseline = NULL;
		asked.baseline_period = NULL;
		find_baseline(def, &asked);
	}
	write_version(def, &asked);
}

/* One that applies later is wrong now if it would be then. */
static void
check_later(Definition *def)
{
	ListCell   *lc;

	foreach(lc, def->versions)
	{
		const KpiStoredVersion *version = lfirst(lc);
		Asked		asked = {.start = def->start,.end = def->end,.fixed = true};

		if (!version->pending)
			continue;
		use_version(def, version);
		if (def->target.baseline != KPI_BASELINE_NONE && !def->recurring)
			find_baseline(def, &asked);
		check_order(def, def->target.baseline != KPI_BASELINE_NONE ? asked.target : def->target.target);
	}
}

/* The periods of a recurring goal that have begun, and the next. */
static void
ask_for_periods(Definition *def, KpiTargetChange change)
{
	const KpiCalendar *cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	DateADT		start = def->start;
	bool		next = false;

	while (start <= def->end && !next)
	{
		DateADT		end = kpi_calendar_period_end(def->grain, start, cal);
		char		name[KPI_PERIOD_NAME_LEN];

		next = start > def->today;
		kpi_calendar_period_name(def->grain, start, cal, name);
		ask_for(def, name, start, end, change);
		cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
		start = end + 1;
	}
}

void
kpi_goal_targets_write(int64 goal_id, KpiTargetChange change)
{
	Definition	def;

	if (!read_definition(goal_id, &def))
		return;
	def.follows = change == KPI_TARGET_FOLLOWED || change == KPI_TARGET_REPORTED;
	kpi_goal_versions_begin(goal_id, def.versions, def.today);
	if (!def.follows)
		check_later(&def);
	if (def.recurring)
		ask_for_periods(&def, change);
	else
		ask_for(&def, def.period, def.start, def.end, change);
}

/* Their rows are written as well: those of new periods are not there yet. */
void
kpi_goal_targets_follow(void)
{
	KpiRows		goals;
	Datum	   *ids;
	int			n = 0;

	kpi_rows_begin(&goals, "SELECT g.id FROM kpi.goal g JOIN kpi_internal.kpi_state s ON s.kpi_id = g.kpi_id"
				   " WHERE g.id IN (SELECT v.goal_id FROM kpi.goal_version v WHERE v.is_pending AND v.since <= s.today)"
				   " OR g.is_recurring AND (EXISTS (SELECT FROM kpi.goal_target t WHERE t.goal_id = g.id AND t.valid_until IS NULL AND NOT t.is_fixed)"
				   "  OR (SELECT pg_catalog.max(t.period_start) FROM kpi.goal_target t WHERE t.goal_id = g.id AND t.valid_until IS NULL)"
				   "   <= least(s.today, g.period_end - 1))"
				   " ORDER BY g.id FOR NO KEY UPDATE OF g SKIP LOCKED", 0);
	ids = palloc(Max(goals.n, 1) * sizeof(Datum));
	while (kpi_rows_next(&goals))
	{
		int64		id = kpi_rows_int8(&goals, "id");

		kpi_goal_targets_write(id, KPI_TARGET_FOLLOWED);
		ids[n++] = Int64GetDatum(id);
	}
	kpi_rows_end(&goals);
	if (n > 0)
		kpi_goal_notify_rows(PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
															 TYPALIGN_DOUBLE)), false);
}
