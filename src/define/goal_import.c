/*-------------------------------------------------------------------------
 *
 * goal_import.c
 *	  kpi.import_goals(): goals made and changed as a table of targets says.
 *
 * A line is a goal, known by plan, KPI, team or member, value of a dimension and period: it is made,
 * changed where the sheet says something else, or kept, so that the same sheet twice changes
 * nothing.  What a sheet leaves empty or out stays as it is, and no goal is dropped.
 *
 * Each line is tried in a subtransaction, so that all that is wrong is told at once; a
 * dry run does the same and takes it back.  With a line that is wrong nothing is done.
 *
 * Locks: as those who make and change goals, in the order of the lines.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "goal/goal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"

PG_FUNCTION_INFO_V1(kpi_sql_import_goals);

#define NCOLUMNS 13

/* So many lines that are wrong are named in an error. */
#define MAX_NAMED 5

/* A line, and what became of it. */
typedef struct Outcome
{
	const KpiSheetLine *line;
	const char *action;			/* "create", "alter", "keep" or "error" */
	int64		goal_id;		/* 0: there was none before */
	char	   *message;
	char	   *detail;
	char	   *hint;
} Outcome;

/* The line by which a goal was made or found. */
typedef struct SeenGoal
{
	int64		goal_id;		/* key */
	int64		line;
} SeenGoal;

typedef struct Import
{
	char	   *relation;
	char	   *plan;
	List	   *lines;			/* KpiSheetLine * */
	List	   *outcomes;
	HTAB	   *seen;
	List	   *touched;		/* int64 *, of goals that are to be followed */
	int			nerrors;
	int64		goal_id;		/* of the line in hand */
	Outcome    *outcome;
} Import;

/* ---- one line ---- */

static void
require_field(const KpiSheetLine *line, KpiSheetField field, const char *name)
{
	if (line->fields[field] == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s is missing", name),
				 errhint("Fill it in, or leave the line out with a view.")));
}

/* Of a moment its day. */
static void
read_review(const char *text, KpiGoalSpec *spec)
{
	KpiGrain	grain;

	spec->review_given = text != NULL;
	if (text == NULL)
		return;
	if (strlen(text) > 10 && text[10] == ' ')
		text = pnstrdup(text, 10);
	kpi_calendar_period_parse(text, kpi_calendar_get(KPI_DEFAULT_CALENDAR), &grain, &spec->review_on);
	if (grain != KPI_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("review_on \"%s\" is no day", text),
				 errhint("Write a day like 2027-02-01.")));
}

/* One of this plan by its name, else whatever goal has it. */
static void
read_parent(const char *name, KpiGoalSpec *spec)
{
	List	   *ids;

	spec->parent_given = name != NULL;
	if (name == NULL)
		return;
	ids = kpi_all_texts("SELECT g.id::text FROM kpi.goal g WHERE g.name = $1 AND g.plan = $2", 2, KPI_TEXT(name), KPI_TEXT(spec->plan));
	spec->parent_id = list_length(ids) == 1 ? strtoi64(linitial(ids), NULL, 10) : kpi_define_goal_named(name);
}

static KpiGoalSpec
spec_of(const Import *import, const KpiSheetLine *line)
{
	char	   *const *fields = line->fields;
	KpiGoalSpec spec = {
		.name = fields[KPI_SHEET_NAME],
		.kpi = fields[KPI_SHEET_KPI],
		.team = fields[KPI_SHEET_TEAM],
		.member = fields[KPI_SHEET_MEMBER],
		.period = fields[KPI_SHEET_PERIOD],
		.plan = import->plan,
		.dimension = fields[KPI_SHEET_DIMENSION],
		.dimension_value = fields[KPI_SHEET_DIMENSION_VALUE],
		.target = fields[KPI_SHEET_TARGET],
		.minimum = fields[KPI_SHEET_MINIMUM],
		.stretch = fields[KPI_SHEET_STRETCH],
		.pace = fields[KPI_SHEET_PACE],
		.description = fields[KPI_SHEET_DESCRIPTION],
		.responsible = fields[KPI_SHEET_RESPONSIBLE],
		.reason = psprintf("import of %s", import->relation)
	};

	require_field(line, KPI_SHEET_KPI, "kpi");
	require_field(line, KPI_SHEET_PERIOD, "period");
	require_field(line, KPI_SHEET_TARGET, "target");
	read_review(fields[KPI_SHEET_REVIEW_ON], &spec);
	read_parent(fields[KPI_SHEET_PARENT], &spec);
	return spec;
}

/* Of an error the line counts for nothing. */
static void
see(Import *import, const KpiSheetLine *line, int64 goal_id)
{
	bool		found;
	SeenGoal   *seen = hash_search(import->seen, &goal_id, HASH_ENTER, &found);

	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("this is the goal of line %lld again", (long long) seen->line),
				 errhint("Leave one of them out.")));
	seen->line = line->number;
}

static void
import_line(void *arg)
{
	Import	   *import = arg;
	Outcome    *outcome = import->outcome;
	KpiGoalSpec spec = spec_of(import, outcome->line);
	char	   *changes;

	outcome->goal_id = import->goal_id = kpi_define_goal_find(&spec, &changes);
	if (outcome->goal_id == 0)
	{
		outcome->action = "create";
		import->goal_id = kpi_define_goal_make(&spec);
		see(import, outcome->line, import->goal_id);
		return;
	}
	see(import, outcome->line, outcome->goal_id);
	outcome->action = changes == NULL ? "keep" : "alter";
	outcome->message = changes;
	if (spec.target == NULL && spec.minimum == NULL && spec.stretch == NULL)
		spec.reason = NULL;
	if (changes != NULL)
		kpi_define_goal_change(outcome->goal_id, &spec);
}

/* What may be meant by a name of the line that there is not. */
static char *
near_hint(const KpiSheetLine *line)
{
	static const struct
	{
		KpiSheetField field;
		const char *sql;
	}			names[] = {
		{KPI_SHEET_KPI, "SELECT name FROM kpi.kpi"},
		{KPI_SHEET_TEAM, "SELECT key FROM kpi.team"},
		{KPI_SHEET_MEMBER, "SELECT key FROM kpi.member"}
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		const char *name = line->fields[names[i].field];
		List	   *known = name == NULL ? NIL : kpi_all_texts(names[i].sql, 0);
		bool		exists = name == NULL;
		char	   *near;
		ListCell   *lc;

		foreach(lc, known)
			exists |= strcmp(lfirst(lc), name) == 0;
		near = exists ? NULL : kpi_near_names(known, name);
		if (near != NULL)
			return psprintf("Perhaps you mean %s.", near);
	}
	return NULL;
}

static void
try_line(Import *import, const KpiSheetLine *line)
{
	Outcome    *outcome = palloc0(sizeof(Outcome));
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	outcome->line = line;
	import->outcome = outcome;
	import->outcomes = lappend(import->outcomes, outcome);
	error = kpi_try(KPI_ERROR_TRAPPED, import_line, import);
	if (error != NULL)
	{
		char	   *near = error->sqlerrcode == ERRCODE_UNDEFINED_OBJECT ? near_hint(line) : NULL;

		outcome->action = "error";
		outcome->message = error->message;
		outcome->detail = error->detail;
		outcome->hint = near ? near : error->hint;
		import->nerrors++;
	}
	else if (strcmp(outcome->action, "keep") != 0)
	{
		int64	   *id = palloc(sizeof(int64));

		*id = import->goal_id;
		import->touched = lappend(import->touched, id);
	}
}

/* ---- all of them ---- */

/* "line 4 (revenue, emea, 2027-Q1): team \"emae\" does not exist" */
static char *
describe(const Outcome *outcome)
{
	static const KpiSheetField shown[] = {KPI_SHEET_KPI, KPI_SHEET_TEAM, KPI_SHEET_MEMBER, KPI_SHEET_DIMENSION_VALUE, KPI_SHEET_PERIOD};
	StringInfoData text;
	bool		first = true;

	initStringInfo(&text);
	appendStringInfo(&text, "Line %lld (", (long long) outcome->line->number);
	for (int i = 0; i < lengthof(shown); i++)
	{
		const char *value = outcome->line->fields[shown[i]];

		if (value == NULL)
			continue;
		appendStringInfo(&text, "%s%s", first ? "" : ", ", value);
		first = false;
	}
	appendStringInfo(&text, "): %s.", outcome->message);
	return text.data;
}

pg_noreturn static void
refuse(const Import *import)
{
	StringInfoData detail;
	const char *hint = NULL;
	int			named = 0;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, import->outcomes)
	{
		const Outcome *outcome = lfirst(lc);

		if (strcmp(outcome->action, "error") != 0 || named == MAX_NAMED)
			continue;
		if (named++ == 0)
			hint = outcome->hint;
		appendStringInfo(&detail, "%s%s", detail.len > 0 ? "\n" : "", describe(outcome));
	}
	if (import->nerrors > named)
		appendStringInfo(&detail, "\nand %d more.", import->nerrors - named);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%d of %d targets of \"%s\" cannot be imported", import->nerrors, list_length(import->lines),
					import->relation),
			 errdetail("%s", detail.data),
			 errhint("%s%sNothing is done; see all with dry_run => true.", hint ? hint : "", hint ? " " : "")));
}

/* What each target amounts to, said once for each, would be the rows in other words. */
static int
begin_quiet(void)
{
	int			nest_level = NewGUCNestLevel();

	if (client_min_messages < WARNING)
		(void) set_config_option("client_min_messages", "warning", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

static void
import_all(void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	Import	   *import = arg;
	HASHCTL		ctl = {.keysize = sizeof(int64),.entrysize = sizeof(SeenGoal),.hcxt = CurrentMemoryContext};
	int			nest_level = begin_quiet();
	bool		draft;
	ListCell   *lc;
	KpiSpi		spi;

	import->seen = hash_create("goals of a sheet", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	kpi_spi_begin(&spi);
	MemoryContextSwitchTo(caller);
	draft = kpi_define_plan_lock(import->plan, "draft");
	foreach(lc, import->lines)
		try_line(import, lfirst(lc));
	kpi_spi_end(&spi);
	MemoryContextSwitchTo(caller);
	AtEOXact_GUC(false, nest_level);
	if (draft)
		import->touched = NIL;
}

static void
put_rows(ReturnSetInfo *rsinfo, const Import *import)
{
	ListCell   *lc;

	foreach(lc, import->outcomes)
	{
		const Outcome *outcome = lfirst(lc);
		char	   *const *fields = outcome->line->fields;
		KpiParam	columns[] = {
			KPI_INT8(outcome->line->number), KPI_TEXT(outcome->action), KPI_TEXT(fields[KPI_SHEET_KPI]),
			KPI_TEXT(fields[KPI_SHEET_TEAM]), KPI_TEXT(fields[KPI_SHEET_MEMBER]), KPI_TEXT(fields[KPI_SHEET_DIMENSION]),
			KPI_TEXT(fields[KPI_SHEET_DIMENSION_VALUE]), KPI_TEXT(fields[KPI_SHEET_PERIOD]), KPI_TEXT(fields[KPI_SHEET_TARGET]),
			outcome->goal_id == 0 ? KPI_NULL(INT8OID) : KPI_INT8(outcome->goal_id), KPI_TEXT(outcome->message),
			KPI_TEXT(outcome->detail), KPI_TEXT(outcome->hint)
		};
		Datum		values[NCOLUMNS];
		bool		nulls[NCOLUMNS];

		StaticAssertStmt(lengthof(columns) == NCOLUMNS, "the columns of kpi.import_goals()");
		for (int c = 0; c < NCOLUMNS; c++)
		{
			values[c] = columns[c].value;
			nulls[c] = columns[c].isnull;
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* kpi.import_goals(relation, plan, year, dry_run) */
Datum
kpi_sql_import_goals(PG_FUNCTION_ARGS)
{
	Import		import = {
		.relation = kpi_arg_name(fcinfo, 0, "relation"),
		.plan = kpi_arg_name(fcinfo, 1, "plan")
	};
	char	   *year = kpi_define_arg_given(fcinfo, 2);
	bool		dry_run = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	ListCell   *lc;

	kpi_require_editor();
	InitMaterializedSRF(fcinfo, 0);
	import.lines = kpi_define_goal_sheet_read(import.relation, year);
	if (dry_run)
		kpi_undone(import_all, &import);
	else
		import_all(&import);
	if (!dry_run && import.nerrors > 0)
		refuse(&import);
	foreach(lc, import.touched)
	{
		if (!dry_run)
			kpi_goal_notify_goal(*(int64 *) lfirst(lc));
	}
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, &import);
	return (Datum) 0;
}
