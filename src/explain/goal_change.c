/*-------------------------------------------------------------------------
 *
 * goal_change.c
 *	  kpi.goal_change(): why a goal stands otherwise than it did.
 *
 * What was said of a goal at the ends of two days is kept (kpi.goal_progress_history), and the
 * difference of the two is what is explained.  What is dated between them is told by part, as facts and
 * people are now.  All else, facts of earlier days that came, changed or went, people who
 * were moved, definitions that were altered, is one row, which makes the sum exact: to know
 * its parts, those of every goal would have to be kept on every day.
 *
 * Reads under the active snapshot, with the rights of the extension's owner: who may call it may read
 * all that it can tell.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "explain/explain_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"
#include "value/value.h"

PG_FUNCTION_INFO_V1(kpi_sql_goal_change);

/* Columns of the result. */
enum
{
	OUT_CAUSE,
	OUT_PART,
	OUT_AMOUNT,
	OUT_TARGET_AMOUNT,
	OUT_SINCE_DAY,
	OUT_UNTIL_DAY,
	OUT_DETAIL,
	OUT_COLUMNS
};

/* What was said of the goal at the end of a day. */
typedef struct Said
{
	DateADT		day;
	Numeric		actual;			/* nothing is 0 */
	Numeric		target;			/* NULL: none */
}			Said;

typedef struct Change
{
	int64		goal_id;
	char	   *label;
	int32		kpi_id;
	char	   *kpi;
	bool		of_member;
	char	   *dimension;		/* of the goal, or NULL */
	DateADT		period_start;
	DateADT		period_end;
	Said		since;
	Said		until;
	char	   *by;				/* NULL: in all */
}			Change;

static Numeric
copied(KpiRows *rows, const char *column)
{
	bool		isnull;
	Datum		datum = kpi_rows_datum(rows, column, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(datum);
}

static Numeric
minus(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_sub, NumericGetDatum(a), NumericGetDatum(b)));
}

static KpiParam
date_param(DateADT day)
{
	return KPI_VALUE(DATEOID, DateADTGetDatum(day));
}

/* ---- the goal ---- */

static void
find_goal(FunctionCallInfo fcinfo, Change * change)
{
	bool		by_id = get_fn_expr_argtype(fcinfo->flinfo, 0) == INT8OID;
	char	   *given;
	KpiRows		rows;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("goal must not be null")));
	given = by_id ? psprintf("%lld", (long long) PG_GETARG_INT64(0)) : text_to_cstring(PG_GETARG_TEXT_PP(0));
	kpi_rows_begin_read(&rows, psprintf("SELECT g.id, coalesce('\"' || g.name || '\"', g.id::text) AS label, g.kpi_id, k.name AS kpi,"
										" g.member_id IS NOT NULL AS of_member, g.dimension, pg_catalog.count(*) OVER () AS n"
										" FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id WHERE g.%s ORDER BY g.id",
										by_id ? "id = $1::bigint" : "name = $1"), 1, KPI_TEXT(given));
	if (!kpi_rows_next(&rows))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 by_id ? errmsg("goal %s does not exist", given) : errmsg("goal \"%s\" does not exist", given),
				 errhint("Table kpi.goal lists the goals.")));
	if (kpi_rows_int8(&rows, "n") > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("there is more than one goal \"%s\"", given),
				 errhint("Give the id instead of the name; the goals are in kpi.goal.")));
	change->goal_id = kpi_rows_int8(&rows, "id");
	change->label = kpi_rows_text(&rows, "label");
	change->kpi_id = kpi_rows_int4(&rows, "kpi_id");
	change->kpi = kpi_rows_text(&rows, "kpi");
	change->of_member = kpi_rows_bool(&rows, "of_member");
	change->dimension = kpi_rows_text(&rows, "dimension");
	kpi_rows_end(&rows);
}

/*
 * Error unless what the KPI amounts to is exactly the sum of what it amounts to on days and of
 * parts.
 */
static void
check_kpi(const Change * change)
{
	KpiRows		rows;
	bool		isnull;
	const KpiProgram *program;
	const KpiProgramNode *node;

	kpi_rows_begin_read(&rows, "SELECT s.program FROM kpi_internal.kpi_state s WHERE s.kpi_id = $1", 1, KPI_INT4(change->kpi_id));
	if (!kpi_rows_next(&rows))
		elog(ERROR, "KPI %d has no program", change->kpi_id);
	program = kpi_model_program(DatumGetTextPP(kpi_rows_datum(&rows, "program", &isnull)));
	kpi_rows_end(&rows);
	node = &program->nodes[program->nnodes - 1];
	if (node->formula != NULL || node->shape != KPI_SHAPE_ADDITIVE || node->detail != 0 || !kpi_value_is_exact(program))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a goal of KPI \"%s\" has no changes that add up", change->kpi),
				 errdetail("Those of counts and of sums in one currency do; this is another kind of measure, or a formula."),
				 errhint("kpi.goal_progress_history has what was said on each day; SELECT * FROM kpi.breakdown(%s, by => ..., period => ..., against => 'previous') compares parts.",
						 quote_literal_cstr(change->kpi))));
}

/* ---- what it is told by ---- */

static void
check_dimension(const Change * change, const char *name)
{
	List	   *dimensions = kpi_all_texts("SELECT d.name FROM kpi.dimension d JOIN kpi.kpi k ON k.source_id = d.source_id WHERE k.id = $1",
										   1, KPI_INT4(change->kpi_id));
	ListCell   *lc;
	char	   *near;

	foreach(lc, dimensions)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return;
	}
	near = kpi_near_names(dimensions, name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("KPI \"%s\" has no dimension \"%s\"", change->kpi, name),
			 near ? errhint("Perhaps you mean %s.", near) :
			 errhint("Table kpi.dimension lists the dimensions of sources; member and team are parts as well.")));
}

static void
read_by(FunctionCallInfo fcinfo, Change * change)
{
	change->by = kpi_arg_optional_name(fcinfo, 3, "dimension");
	if (change->by == NULL)
	{
		if (!change->of_member)
			change->by = "team";
		return;
	}
	if (strcmp(change->by, "team") != 0 && strcmp(change->by, "member") != 0)
	{
		check_dimension(change, change->by);
		return;
	}
	if (change->of_member)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a goal of a member has no parts by %s", change->by),
				 errhint("Ask for parts by a dimension, or leave \"by\" out.")));
	if (kpi_first_text("SELECT 'yes' FROM kpi_internal.kpi_stream t JOIN kpi_internal.stream x ON x.id = t.stream_id"
					   " WHERE t.kpi_id = $1 AND (x.owner_kind = 'member' OR $2 = 'team' AND x.owner_kind <> 'company') LIMIT 1",
					   2, KPI_INT4(change->kpi_id), KPI_TEXT(change->by)) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" has no values for %ss", change->kpi, change->by),
				 errhint("Ask for parts by a dimension, or leave \"by\" out.")));
}

/* ---- what was said ---- */

/* Of a recurring goal the period that the day after the first lies in, else the last that had begun. */
static void
find_period(Change * change, DateADT since)
{
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT p.period_start, p.period_end FROM kpi.goal_progress p WHERE p.goal_id = $1"
						" ORDER BY p.period_start > $2 + 1, CASE WHEN p.period_start > $2 + 1 THEN p.period_start - $2 ELSE $2 - p.period_start END LIMIT 1",
						2, KPI_INT8(change->goal_id), date_param(since));
	if (!kpi_rows_next(&rows))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing has been said of goal %s yet", change->label),
				 errhint("Its numbers are in kpi.goal_progress after CALL kpi.refresh(), if its plan is published.")));
	change->period_start = kpi_rows_date(&rows, "period_start", DATEVAL_NOBEGIN);
	change->period_end = kpi_rows_date(&rows, "period_end", DATEVAL_NOEND);
	kpi_rows_end(&rows);
}

/* What was said last until a day; error: nothing. */
static void
find_said(const Change * change, DateADT day, Said * said)
{
	KpiRows		rows;
	bool		found;

	kpi_rows_begin_read(&rows, "SELECT h.day, coalesce(h.actual_to_date, 0) AS actual, h.target FROM kpi.goal_progress_history h"
						" WHERE h.goal_id = $1 AND h.period_start = $2 AND h.day <= $3 ORDER BY h.day DESC LIMIT 1",
						3, KPI_INT8(change->goal_id), date_param(change->period_start), date_param(day));
	found = kpi_rows_next(&rows);
	if (found)
	{
		said->day = kpi_rows_date(&rows, "day", DATEVAL_NOBEGIN);
		said->actual = copied(&rows, "actual");
		said->target = copied(&rows, "target");
	}
	kpi_rows_end(&rows);
	if (!found)
	{
		char	   *first = kpi_first_text("SELECT pg_catalog.to_char(pg_catalog.min(h.day), 'YYYY-MM-DD') FROM kpi.goal_progress_history h"
										   " WHERE h.goal_id = $1 AND h.period_start = $2", 2,
										   KPI_INT8(change->goal_id), date_param(change->period_start));

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing was said of goal %s until %s", change->label, kpi_day_text(day)),
				 first ? errdetail("The first day of which is kept where it stood is %s.", first) :
				 errdetail("Where it stands is kept when a day has ended."),
				 errhint("since => '%s' is before its period, when there was nothing yet; without \"until\" it is as it stands now.",
						 kpi_day_text(change->period_start - 1))));
	}
}

/* Before the period there is nothing, and what is asked for is what was asked for first. */
static void
say_nothing(Change * change)
{
	KpiRows		rows;

	change->since.day = change->period_start - 1;
	change->since.actual = int64_to_numeric(0);
	kpi_rows_begin_read(&rows, "SELECT t.target FROM kpi.goal_target t WHERE t.goal_id = $1 AND t.period_start = $2 ORDER BY t.version LIMIT 1",
						2, KPI_INT8(change->goal_id), date_param(change->period_start));
	if (kpi_rows_next(&rows))
		change->since.target = copied(&rows, "target");
	kpi_rows_end(&rows);
}

/* As it stands now; returns the day by which that is, which may be after the period. */
static DateADT
say_now(Change * change)
{
	KpiRows		rows;
	DateADT		today;

	kpi_rows_begin_read(&rows, "SELECT p.as_of_day, coalesce(p.actual_to_date, 0) AS actual, p.target FROM kpi.goal_progress p"
						" WHERE p.goal_id = $1 AND p.period_start = $2",
						2, KPI_INT8(change->goal_id), date_param(change->period_start));
	if (!kpi_rows_next(&rows))
		elog(ERROR, "goal %s has no such period", change->label);
	today = kpi_rows_date(&rows, "as_of_day", DATEVAL_NOEND);
	change->until.day = Max(Min(today, change->period_end), change->period_start - 1);
	change->until.actual = copied(&rows, "actual");
	change->until.target = copied(&rows, "target");
	kpi_rows_end(&rows);
	return today;
}

static void
read_days(FunctionCallInfo fcinfo, Change * change)
{
	DateADT		since = kpi_arg_day(fcinfo, 1, "since", DATEVAL_NOBEGIN);
	DateADT		until = kpi_arg_day(fcinfo, 2, "until", DATEVAL_NOEND);
	DateADT		today;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("since must not be null"),
				 errhint("Give the day from whose end on the goal has moved.")));
	if (since >= until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"since\" must be before \"until\""),
				 errdetail("since is %s, and until %s: the goal is compared as it stood at the ends of both.", kpi_day_text(since), kpi_day_text(until))));
	find_period(change, since);
	today = say_now(change);
	if (since >= today)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"since\" must be before today"),
				 errdetail("Goal %s is judged by %s, and since is %s.", change->label, kpi_day_text(today), kpi_day_text(since))));
	if (since < change->period_start)
		say_nothing(change);
	else
		find_said(change, since, &change->since);
	if (until < today)
		find_said(change, until, &change->until);
}

/* ---- the result ---- */

static char *
number_text(Numeric number)
{
	return number == NULL ? "none" : DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
}

static void
put_target(ReturnSetInfo *rsinfo, const Change * change)
{
	const Numeric zero = int64_to_numeric(0);
	Numeric		before = change->since.target;
	Numeric		after = change->until.target;
	Datum		values[OUT_COLUMNS] = {0};
	bool		nulls[OUT_COLUMNS] = {false};

	if ((before == NULL && after == NULL) ||
		(before != NULL && after != NULL && DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(before), NumericGetDatum(after)))))
		return;
	nulls[OUT_PART] = true;
	values[OUT_CAUSE] = CStringGetTextDatum("target_changed");
	values[OUT_AMOUNT] = NumericGetDatum(zero);
	values[OUT_TARGET_AMOUNT] = NumericGetDatum(minus(after ? after : zero, before ? before : zero));
	values[OUT_SINCE_DAY] = DateADTGetDatum(change->since.day);
	values[OUT_UNTIL_DAY] = DateADTGetDatum(change->until.day);
	values[OUT_DETAIL] = CStringGetTextDatum(psprintf("From %s to %s", number_text(before), number_text(after)));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_rows(ReturnSetInfo *rsinfo, const Change * change)
{
	static const char *const columns[OUT_COLUMNS] = {
		[OUT_CAUSE] = "cause",
		[OUT_PART] = "part",
		[OUT_AMOUNT] = "amount",
		[OUT_TARGET_AMOUNT] = "target_amount",
		[OUT_SINCE_DAY] = "since_day",
		[OUT_UNTIL_DAY] = "until_day",
		[OUT_DETAIL] = "detail"
	};
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT r.cause, r.part, r.amount, 0::numeric AS target_amount, $4 AS since_day, $5 AS until_day, r.detail"
						" FROM kpi_internal.goal_change_rows($1, $2, $3, $4, $5, $6, $7) r", 7,
						KPI_INT8(change->goal_id), date_param(change->period_start), date_param(change->period_end),
						date_param(change->since.day), date_param(change->until.day),
						KPI_VALUE(NUMERICOID, NumericGetDatum(minus(change->until.actual, change->since.actual))),
						KPI_TEXT(change->by));
	kpi_rows_put(&rows, rsinfo, columns, lengthof(columns));
}

/* kpi.goal_change(goal, since, until, by) */
Datum
kpi_sql_goal_change(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	Change		change = {0};
	KpiSpi		spi;

	InitMaterializedSRF(fcinfo, 0);
	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	find_goal(fcinfo, &change);
	check_kpi(&change);
	read_by(fcinfo, &change);
	read_days(fcinfo, &change);
	put_rows(rsinfo, &change);
	put_target(rsinfo, &change);
	kpi_spi_end(&spi);
	return (Datum) 0;
}
