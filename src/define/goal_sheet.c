/*-------------------------------------------------------------------------
 *
 * goal_sheet.c
 *	  Tables of targets as people keep them, read for kpi.import_goals().
 *
 * A sheet is read as the caller, with the rights and the code of a plain SELECT, in a
 * transaction that is read-only meanwhile, before anything is done as the
 * extension's owner.  Columns are known by their names.  A long sheet has a column "target"
 * and "period"; a wide one has the targets of quarters or months of one year in columns q1 ...
 * q4, jan ... dec, and each cell that is not empty is a line.  All is text from here on: a
 * target is read as kpi.create_goal() reads it.
 *
 * Locks: those of the query.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/namespace.h"
#include "define/define_internal.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

static const char *const fields[KPI_SHEET_NFIELDS] = {
	"kpi", "team", "member", "period", "target", "minimum", "stretch", "dimension", "dimension_value",
	"name", "description", "responsible", "review_on", "pace", "parent"
};

static const char *const months[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
};

#define LONG_HINT "A long sheet has the columns kpi, team or member, period and target; a wide one kpi, team or member, and q1 ... q4 or jan ... dec."

/* Where the columns of a sheet are, from 1; 0: it has none. */
typedef struct Columns
{
	int			of_field[KPI_SHEET_NFIELDS];
	int			of_part[KPI_SHEET_NPARTS];
	bool		wide;
	DateADT		year;			/* of a wide one: its first day */
} Columns;

/* "q1", ..., "dec". */
static const char *
part_name(int part)
{
	return part < 4 ? psprintf("q%d", part + 1) : months[part - 4];
}

/* ---- columns ---- */

static int
find_name(const char *name, const char *(*name_of) (int i), int n)
{
	for (int i = 0; i < n; i++)
	{
		if (pg_strcasecmp(name, name_of(i)) == 0)
			return i;
	}
	return -1;
}

static const char *
field_name(int field)
{
	return fields[field];
}

pg_noreturn static void
refuse_column(const char *relation, const char *column)
{
	List	   *known = NIL;
	char	   *near;

	for (int f = 0; f < KPI_SHEET_NFIELDS; f++)
		known = lappend(known, pstrdup(fields[f]));
	for (int p = 0; p < KPI_SHEET_NPARTS; p++)
		known = lappend(known, pstrdup(part_name(p)));
	near = kpi_near_names(known, column);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of \"%s\" means nothing to a sheet of targets", column, relation),
			 errdetail("Its columns may be kpi, team, member, period, target, minimum, stretch, dimension, dimension_value, name, description, responsible, review_on, pace, parent, or q1 ... q4 and jan ... dec in the place of period and target."),
			 near ? errhint("Perhaps you mean %s; else leave it out with a view.", near) :
			 errhint("Leave it out with a view.")));
}

static void
take_column(int *place, int number, const char *relation, const char *column)
{
	if (*place != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("\"%s\" has two columns \"%s\"", relation, column),
				 errhint("Leave one of them out with a view.")));
	*place = number;
}

static void
find_columns(const char *relation, TupleDesc desc, Columns *columns)
{
	memset(columns, 0, sizeof(*columns));
	for (int i = 0; i < desc->natts; i++)
	{
		const char *column = NameStr(TupleDescAttr(desc, i)->attname);
		int			field = find_name(column, field_name, KPI_SHEET_NFIELDS);
		int			part = find_name(column, part_name, KPI_SHEET_NPARTS);

		if (field >= 0)
			take_column(&columns->of_field[field], i + 1, relation, column);
		else if (part >= 0)
			take_column(&columns->of_part[part], i + 1, relation, column);
		else
			refuse_column(relation, column);
		columns->wide |= part >= 0;
	}
}

static void
require_columns(const char *relation, const Columns *columns)
{
	static const KpiSheetField of_long[] = {KPI_SHEET_PERIOD, KPI_SHEET_TARGET, KPI_SHEET_MINIMUM, KPI_SHEET_STRETCH};
	const char *missing = NULL;

	for (int i = 0; columns->wide && i < lengthof(of_long); i++)
	{
		if (columns->of_field[of_long[i]] != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" has targets by quarter or month, and a column \"%s\"", relation, fields[of_long[i]]),
					 errhint(LONG_HINT)));
	}
	if (columns->of_field[KPI_SHEET_KPI] == 0)
		missing = "kpi";
	else if (!columns->wide && columns->of_field[KPI_SHEET_TARGET] == 0)
		missing = "target";
	else if (!columns->wide && columns->of_field[KPI_SHEET_PERIOD] == 0)
		missing = "period";
	if (missing != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("\"%s\" has no column \"%s\"", relation, missing),
				 errhint(LONG_HINT)));
}

/* ---- the year ---- */

static void
parse_year(const char *relation, const char *year, DateADT *start)
{
	KpiGrain	grain;

	if (year == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the quarters and months of \"%s\" are of no year", relation),
				 errhint("Say of which: year => '2027'.")));
	kpi_calendar_period_parse(year, kpi_calendar_get(KPI_DEFAULT_CALENDAR), &grain, start);
	if (grain != KPI_YEAR)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no year", year),
				 errhint("Give year => '2027'.")));
}

/* The quarters of a year, from its first day; or its months by their names, wherever in it they are. */
static char *
name_of_part(DateADT year, int part)
{
	const KpiCalendar *cal = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	KpiGrain	grain = part < 4 ? KPI_QUARTER : KPI_MONTH;
	int			steps = part < 4 ? part : (part - 4 + 13 - cal->fiscal_start) % 12;
	char	   *name = palloc(KPI_PERIOD_NAME_LEN);

	kpi_calendar_period_name(grain, kpi_calendar_period_shift(grain, year, steps, cal), cal, name);
	return name;
}

/* ---- rows ---- */

/* A text without the blanks around it; NULL if that leaves none. */
static char *
read_text(HeapTuple tuple, TupleDesc desc, int number)
{
	bool		isnull = true;
	Datum		value = number == 0 ? (Datum) 0 : SPI_getbinval(tuple, desc, number, &isnull);
	char	   *text;
	char	   *end;

	if (isnull)
		return NULL;
	text = kpi_key_text(getBaseType(TupleDescAttr(desc, number - 1)->atttypid), value);
	while (isspace((unsigned char) *text))
		text++;
	for (end = text + strlen(text); end > text && isspace((unsigned char) end[-1]); end--)
		;
	*end = '\0';
	return *text == '\0' ? NULL : text;
}

static KpiSheetLine *
read_line(List **lines, const Columns *columns, HeapTuple tuple, TupleDesc desc, int64 number)
{
	KpiSheetLine *line = palloc0(sizeof(KpiSheetLine));

	line->number = number;
	for (int f = 0; f < KPI_SHEET_NFIELDS; f++)
		line->fields[f] = read_text(tuple, desc, columns->of_field[f]);
	*lines = lappend(*lines, line);
	return line;
}

/* A line for each of its cells; people call the goals by the name and the period. */
static void
read_wide_row(List **lines, const Columns *columns, HeapTuple tuple, TupleDesc desc, int64 number)
{
	for (int p = 0; p < KPI_SHEET_NPARTS; p++)
	{
		char	   *target = read_text(tuple, desc, columns->of_part[p]);
		KpiSheetLine *line;
		char	   *name;

		if (target == NULL)
			continue;
		line = read_line(lines, columns, tuple, desc, number);
		line->fields[KPI_SHEET_TARGET] = target;
		line->fields[KPI_SHEET_PERIOD] = name_of_part(columns->year, p);
		name = line->fields[KPI_SHEET_NAME];
		if (name != NULL)
			line->fields[KPI_SHEET_NAME] = psprintf("%s %s", name, line->fields[KPI_SHEET_PERIOD]);
	}
}

/* As the caller: who may not read the table fails here. */
static char *
query_of(const char *relation)
{
	RangeVar   *rv = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(relation)));
	Oid			relid = RangeVarGetRelid(rv, NoLock, true);

	char	   *name = OidIsValid(relid) ? get_rel_name(relid) : NULL;
	char	   *schema = OidIsValid(relid) ? get_namespace_name(get_rel_namespace(relid)) : NULL;

	/* Nothing keeps it from being dropped meanwhile. */
	if (name == NULL || schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" does not exist", relation),
				 errhint("Give the table with its schema, like sales.quota_2027; names with capitals stand in double quotes.")));
	return psprintf("SELECT * FROM %s", quote_qualified_identifier(schema, name));
}

List *
kpi_define_goal_sheet_read(const char *relation, const char *year)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *lines = NIL;
	bool		was_read_only = XactReadOnly;
	char	   *sql = query_of(relation);
	Columns		columns;
	int			nest_level;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* An error restores it with the (sub)transaction. */
	XactReadOnly = true;
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI failed with %s", SPI_result_code_string(SPI_result));
	XactReadOnly = was_read_only;

	MemoryContextSwitchTo(caller);
	find_columns(relation, SPI_tuptable->tupdesc, &columns);
	require_columns(relation, &columns);
	if (columns.wide)
		parse_year(relation, year, &columns.year);
	nest_level = NewGUCNestLevel();
	kpi_settings_pin(KPI_SETTINGS_PRINT);
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		CHECK_FOR_INTERRUPTS();
		if (columns.wide)
			read_wide_row(&lines, &columns, SPI_tuptable->vals[r], SPI_tuptable->tupdesc, r + 1);
		else
			(void) read_line(&lines, &columns, SPI_tuptable->vals[r], SPI_tuptable->tupdesc, r + 1);
	}
	AtEOXact_GUC(false, nest_level);
	SPI_finish();
	MemoryContextSwitchTo(caller);
	return lines;
}
