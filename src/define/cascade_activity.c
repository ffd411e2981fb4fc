/*-------------------------------------------------------------------------
 *
 * cascade_activity.c
 *	  What has to be done for a goal to be met: deals, opportunities, leads, calls.
 *
 * What is missing, by what one of the first step brings, is how many of that there have to be; each
 * further step says how many of it one of the step before takes, by what closed periods
 * brought (goal/basis.c).  A share divides, so many for each multiplies, and of two that
 * are counted it is the one over the other.  Working days count that leave as many days
 * before the end as it takes from the first step to the last.
 *
 * What somebody counts by a KPI becomes a goal, with what is done already; a rate has no KPI that
 * counts what it is of.  Nothing here writes or takes a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "define/cascade.h"
#include "people/people.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* A KPI that is asked what closed periods brought. */
typedef struct Observed
{
	int32		kpi_id;
	char	   *name;
	KpiShape	shape;
	bool		is_rate;		/* a measure that is one */
	double		numerator;		/* of a period; NaN: not known, as the next */
	double		denominator;
	double		value;			/* of both; of another KPI that of the last
								 * closed period */
	double		done;			/* in the goal's period until today */
}			Observed;

static double
number_of(Numeric number)
{
	return number == NULL ? NAN :
		DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(number)));
}

static KpiPlace
goal_place(const KpiCascade *cascade, KpiGrain grain, DateADT start)
{
	KpiPlace	place = {
		cascade->member_id ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM, cascade->member_id ? cascade->member_id : cascade->team_id,
		grain, 0, start
	};

	return place;
}

/* The last closed period that has a value, of a year's at most. */
static double
last_value(const KpiCascade *cascade, const KpiProgram *program)
{
	KpiPlace	place = goal_place(cascade, cascade->history_grain, cascade->history_start);

	for (int i = 0; i < 12; i++)
	{
		KpiValue	value;

		place = kpi_value_place_shift(&place, -1);
		if (kpi_value_at(program, &place, &value) && value.value != NULL)
			return number_of(value.value);
	}
	return NAN;
}

static void
observe(const KpiCascade *cascade, char *program_text, Observed * kpi)
{
	const KpiProgram *program = kpi_model_program(cstring_to_text(program_text));
	KpiPlace	place = goal_place(cascade, cascade->history_grain, cascade->history_start);
	KpiPlace	begin = goal_place(cascade, KPI_DAY, cascade->period.start);
	KpiBasis	basis = kpi_goal_history_basis(kpi_goal_history(program, cascade->history_start, cascade->today), &place);
	bool		known = strcmp(basis.basis, "history") == 0 || strcmp(basis.basis, "finer") == 0;
	KpiValue	done;

	kpi->shape = program->nodes[program->nnodes - 1].shape;
	kpi->numerator = known ? basis.level : NAN;
	kpi->denominator = known && kpi->shape == KPI_SHAPE_QUOTIENT ? basis.level_denominator : NAN;
	if (kpi->shape == KPI_SHAPE_QUOTIENT)
		kpi->value = kpi->denominator > 0 ? kpi->numerator / kpi->denominator : NAN;
	else
		kpi->value = kpi->shape == KPI_SHAPE_ADDITIVE ? kpi->numerator : last_value(cascade, program);
	kpi->done = 0;
	if (cascade->period.start <= cascade->today &&
		kpi_value_between(program, &begin, Min(cascade->today, cascade->period.end), &done) && done.value != NULL)
		kpi->done = number_of(done.value);
}

static Observed
observed(const KpiCascade *cascade, const char *name)
{
	Observed	kpi = {0};
	char	   *program = NULL;
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT k.id, k.name, s.program, coalesce(m.kind = 'rate', false) AS is_rate FROM kpi.kpi k"
				   " JOIN kpi_internal.kpi_state s ON s.kpi_id = k.id"
				   " LEFT JOIN kpi_internal.measure m ON m.kpi_id = k.id AND m.role = 'value' WHERE k.name = $1", 1, KPI_TEXT(name));
	if (kpi_rows_next(&rows))
	{
		kpi.kpi_id = kpi_rows_int4(&rows, "id");
		kpi.name = kpi_rows_text(&rows, "name");
		kpi.is_rate = kpi_rows_bool(&rows, "is_rate");
		program = kpi_rows_text(&rows, "program");
	}
	kpi_rows_end(&rows);
	if (program == NULL)
	{
		char	   *near = kpi_near_names(kpi_all_texts("SELECT name FROM kpi.kpi ORDER BY name", 0), name);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("KPI \"%s\" does not exist", name),
				 near ? errhint("Perhaps you mean %s.", near) : errhint("Table kpi.kpi lists them.")));
	}
	observe(cascade, program, &kpi);
	return kpi;
}

/* How many of the step before come of one of this; *amount, of its unit in a period, becomes this one's. */
static double
rate_of(const Observed * step, double *amount)
{
	double		before = *amount;

	if (step->shape == KPI_SHAPE_ADDITIVE)
	{
		*amount = step->numerator;
		return step->numerator > 0 ? before / step->numerator : NAN;
	}
	if (step->is_rate || step->value <= 1)
	{
		*amount = step->denominator;
		return step->value;
	}
	*amount = step->numerator;
	return 1 / step->value;
}

static void
require_step(const Observed * step, bool first)
{
	if (step->shape == KPI_SHAPE_ADDITIVE || (!first && step->shape == KPI_SHAPE_QUOTIENT))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 first ? errmsg("the first step \"%s\" counts nothing", step->name) :
			 errmsg("step \"%s\" is no count, rate or quotient", step->name),
			 errhint("Begin with a KPI that counts what brings the amount, and go on with rates, quotients or counts.")));
}

/* What is missing of the goal, as of today. */
static double
missing_of(const KpiCascade *cascade)
{
	char	   *actual = kpi_first_text("SELECT p.actual_to_date::text FROM kpi.goal_progress p WHERE p.goal_id = $1 AND p.period_start = $2"
										" AND p.as_of_day >= p.period_start", 2, KPI_INT8(cascade->goal_id),
										KPI_VALUE(DATEOID, DateADTGetDatum(cascade->period.start)));

	return number_of(cascade->target) - (actual ? atof(actual) : 0);
}

/* Working days left that are early enough. */
static double
days_left(const KpiCascade *cascade)
{
	DateADT		last = cascade->period.end;

	if (cascade->cycle != NULL)
	{
		Observed	cycle = observed(cascade, cascade->cycle);
		KpiTargetGround ground = {0};

		(void) kpi_goal_target_ground(cascade->cycle, &ground);
		if (!isnan(cycle.value))
			last -= (int) ceil(Min(Max(cycle.value * (ground.seconds > 0 ? ground.seconds / 86400.0 : 1), 0), 36500));
	}
	return kpi_define_cascade_workdays(cascade->team_id ? cascade->team_id : KPI_TEAM_COMPANY,
									   Max(cascade->period.start, cascade->today), last);
}

static Numeric
rounded(double number)
{
	return isnan(number) ? NULL :
		DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(kpi_define_numeric(number)), Int32GetDatum(4)));
}

static void
add_activity(KpiCascade *cascade, const Observed * step, double rate, double needed, double per_day, const char *unknown)
{
	KpiPart    *part = kpi_define_cascade_add(cascade, step->name);

	part->kpi = step->name;
	part->kpi_id = step->kpi_id;
	part->weight = rounded(rate);
	part->needed = rounded(needed);
	part->per_day = rounded(per_day);
	part->message = unknown;
	if (part->needed == NULL)
		return;
	if (part->per_day == NULL)
		part->message = "no working day is left that is early enough";
	if (step->shape != KPI_SHAPE_ADDITIVE)
	{
		part->message = part->message ? part->message : "no goal: it is a rate; a KPI that counts them can be a step";
		return;
	}
	part->target = kpi_define_numeric(ceil(step->done + needed - 1e-9));
	part->target_text = kpi_define_cascade_target_text(NULL, part->target, NULL);
}

void
kpi_define_cascade_activities(KpiCascade *cascade)
{
	int			n = list_length(cascade->steps);
	Observed   *steps = palloc(n * sizeof(Observed));
	double	   *rates = palloc(n * sizeof(double));
	double	   *needed = palloc(n * sizeof(double));
	double	   *per_day = palloc(n * sizeof(double));
	Observed	per = observed(cascade, cascade->per);
	double		amount = 0;
	double		days = days_left(cascade);
	int			members = cascade->member_id ? 1 :
	list_length(kpi_goal_capacities(cascade->team_id, 0, Max(cascade->period.start, cascade->today), cascade->period.end));
	int			known = per.value > 0 ? n : 0;
	const char *unknown = per.value > 0 ? NULL : "nothing is known of what one brings";

	for (int i = 0; i < n; i++)
	{
		steps[i] = observed(cascade, list_nth(cascade->steps, i));
		require_step(&steps[i], i == 0);
		rates[i] = i == 0 ? NAN : rate_of(&steps[i], &amount);
		if (i == 0)
			amount = steps[0].numerator;
		if (i > 0 && i < known && !(rates[i] > 0))
		{
			known = i;
			unknown = rates[i] == 0 ? "a rate of 0: nothing comes of it" : "no closed period says what comes of it";
		}
	}
	if (known > 0)
		known = kpi_goal_activities(missing_of(cascade), per.value, rates, known, days, members, needed, per_day);
	cascade->kind = NULL;
	for (int i = 0; i < n; i++)
		add_activity(cascade, &steps[i], rates[i], i < known ? needed[i] : NAN, i < known ? per_day[i] : NAN,
					 i < known ? NULL : unknown);
}
