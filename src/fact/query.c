/*-------------------------------------------------------------------------
 *
 * query.c
 *	  The facts query: one definition of what a row means, as SQL.
 *
 * Its columns and its condition are texts over one table, made here; people
 * see them as a SELECT, scans analyse them over the relation that they locked
 * (cells.c), and capture compiles the same expressions (projection.c).  All
 * texts in a KpiSource are deparsed already, so they only need to be put
 * together; the type of "at" is looked up anew, because the wrong conversion to
 * a day would be silently wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/transam.h"
#include "base/base.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "expr/expr.h"
#include "fact/fact_internal.h"
#include "lib/stringinfo.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The SQL of the day a fact counts on: dates are days, timestamps are local. */
static char *
day_expression(Oid at_type, const char *at, const char *time_zone)
{
	switch (getBaseType(at_type))
	{
		case TIMESTAMPTZOID:
			return psprintf("((%s) AT TIME ZONE %s)::date", at,
							quote_literal_cstr(time_zone));
		case TIMESTAMPOID:
			return psprintf("(%s)::date", at);
		case DATEOID:
			return at_type == DATEOID ? psprintf("(%s)", at) : psprintf("(%s)::date", at);
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("the time of the facts is of type %s: %s",
							format_type_be(at_type), at),
					 errhint("Give the source a time of type timestamptz, timestamp or date with kpi.alter_source().")));
	}
	return NULL;
}

/* Parsing calls input functions of literals, and those the definer's domains. */
Oid
kpi_fact_type(const KpiSource *source, Oid relid, const char *text)
{
	KpiUser		user;
	Oid			type;

	kpi_user_switch(&user, kpi_model_source_definer(source));
	type = kpi_expr_type(relid, text, source->code);
	kpi_user_restore(&user);
	return type;
}

char *
kpi_fact_day_text(const KpiSource *source, Oid relid, const char *at)
{
	return day_expression(kpi_fact_type(source, relid, at), at, source->time_zone);
}

static List *
add_column(List *columns, const char *name, char *text)
{
	KpiFactColumn *column = palloc(sizeof(KpiFactColumn));

	column->name = name;
	column->text = text;
	return lappend(columns, column);
}

/* The moment at which a day begins in a time zone, in SQL. */
static char *
day_begins(DateADT day, const char *time_zone)
{
	TimestampTz moment;
	int64		seconds;

	if (!kpi_calendar_moment((Timestamp) day * USECS_PER_DAY, pg_tzset(time_zone), &moment))
		elog(ERROR, "day %d has no beginning in time zone \"%s\"", day, time_zone);
	seconds = (moment - (Timestamp) (day - 2) * USECS_PER_DAY) / USECS_PER_SEC;
	return psprintf("'%s %02d:%02d:%02d+00'::pg_catalog.timestamptz",
					kpi_day_text(day - 2 + (int) (seconds / SECS_PER_DAY)),
					(int) (seconds / SECS_PER_HOUR % HOURS_PER_DAY), (int) (seconds / SECS_PER_MINUTE % MINS_PER_HOUR),
					(int) (seconds % SECS_PER_MINUTE));
}

/*
 * Whether the day of a time is one that facts may have: by comparisons alone, which
 * cannot fail, so that a row costs no subtransaction.
 */
static char *
day_is_in_range(Oid at_type, const char *at, const char *time_zone)
{
	DateADT		first = kpi_calendar_first_fact_day();
	DateADT		after = kpi_calendar_last_fact_day() + 1;
	char	   *since;
	char	   *until;

	switch (getBaseType(at_type))
	{
		case TIMESTAMPTZOID:
			since = day_begins(first, time_zone);
			until = day_begins(after, time_zone);
			break;
		case TIMESTAMPOID:
			since = psprintf("'%s'::pg_catalog.timestamp", kpi_day_text(first));
			until = psprintf("'%s'::pg_catalog.timestamp", kpi_day_text(after));
			break;
		default:
			since = psprintf("'%s'::pg_catalog.date", kpi_day_text(first));
			until = psprintf("'%s'::pg_catalog.date", kpi_day_text(after));
			break;
	}
	return psprintf("(%s) OPERATOR(pg_catalog.>=) %s AND (%s) OPERATOR(pg_catalog.<) %s", at, since, at, until);
}

/* ---- why a row does not count ---- */

/* Of one type throughout: a cast of the whole would count as what may fail. */
static char *
reason(KpiLeftOut left_out)
{
	return psprintf("%d::pg_catalog.int2", left_out);
}

/* One reason where a condition is false, another where it is null; else what is said behind it. */
static char *
where_it_holds(const char *condition, const char *otherwise)
{
	return psprintf("CASE WHEN (%s) THEN %s WHEN (%s) IS NULL THEN %s ELSE %s END", condition, otherwise, condition,
					reason(KPI_LEFT_OUT_FILTER_NULL), reason(KPI_LEFT_OUT_FILTER_FALSE));
}

/* Whether a time, which is not of a day that facts may have, is one at all: as above, by comparisons. */
static char *
is_finite_time(Oid at_type, const char *at)
{
	const char *type = format_type_be_qualified(getBaseType(at_type));

	return psprintf("(%s) OPERATOR(pg_catalog.>) '-infinity'::%s AND (%s) OPERATOR(pg_catalog.<) 'infinity'::%s",
					at, type, at, type);
}

/* Whether a number is below a limit; NULL: its type has no others, or none that are too long. */
static char *
number_is_below(Oid type, const char *number, const char *numeric_limit)
{
	switch (getBaseType(type))
	{
		case NUMERICOID:
			return psprintf("pg_catalog.abs(%s) OPERATOR(pg_catalog.<) '%s'::pg_catalog.numeric", number, numeric_limit);
		case FLOAT4OID:
		case FLOAT8OID:
			return psprintf("pg_catalog.abs((%s)::pg_catalog.float8) OPERATOR(pg_catalog.<) 'Infinity'::pg_catalog.float8",
							number);
		default:
			return NULL;
	}
}

/*
 * The last WHENs and the ELSE: of the value, and the numbers that it is of.  A row that
 * counts is through after the first, and has each number evaluated once.
 */
static char *
value_reason(const KpiSource *source, Oid relid, KpiKind kind, const char *has_value, List *texts)
{
	char	   *limit = psprintf("1e%d", kpi_cell_kind_max_digits(kind));
	StringInfoData usual;
	StringInfoData not_long;
	StringInfoData finite;

	initStringInfo(&usual);
	initStringInfo(&not_long);
	initStringInfo(&finite);
	for (int i = KPI_LEFT_OUT_TEXTS; i < list_length(texts); i++)
	{
		const char *number = list_nth(texts, i);
		Oid			type = kpi_fact_type(source, relid, number);
		char	   *below = number_is_below(type, number, limit);
		const char *and = usual.len > 0 ? " AND " : "";

		if (below == NULL)
			continue;
		appendStringInfo(&usual, "%s%s", and, below);
		appendStringInfo(&not_long, "%s(%s) IS NOT FALSE", and, below);
		appendStringInfo(&finite, "%s(%s) IS NOT FALSE", and, number_is_below(type, number, "Infinity"));
	}
	if (usual.len == 0)
		return psprintf("WHEN (%s) THEN NULL ELSE %s", has_value, reason(KPI_LEFT_OUT_NO_VALUE));
	return psprintf("WHEN %s THEN NULL WHEN (%s) IS NOT TRUE THEN %s WHEN %s THEN NULL WHEN %s THEN %s ELSE %s",
					usual.data, has_value, reason(KPI_LEFT_OUT_NO_VALUE), not_long.data,
					finite.data, reason(KPI_LEFT_OUT_TOO_LONG), reason(KPI_LEFT_OUT_NONFINITE));
}

/* Whether there may be rows of which an expression has no value but an error. */
static bool
may_fail(const KpiSource *source, Oid relid, const char *text)
{
	AttrNumber	attno = get_attnum(relid, text);
	Bitmapset  *attrs = NULL;
	KpiExprRisk risk;
	bool		user_code;
	KpiUser		user;

	if (attno > 0 && get_attgenerated(relid, attno) == '\0' && get_atttype(relid, attno) < FirstGenbkiObjectId)
		return false;
	kpi_user_switch(&user, kpi_model_source_definer(source));
	(void) kpi_expr_compile(relid, text, &attrs, &risk, &user_code, source->code, NULL);
	kpi_user_restore(&user);
	return risk != KPI_EXPR_SAFE;
}

static void
add_failing(List **failing, const KpiSource *source, Oid relid, char *text)
{
	ListCell   *lc;

	foreach(lc, *failing)
	{
		if (strcmp(lfirst(lc), text) == 0)
			return;
	}
	if (may_fail(source, relid, text))
		*failing = lappend(*failing, text);
}

/* Of a measure and its stream, what may fail and value_reason() does not evaluate. */
static void
add_failing_of(List **failing, const KpiSource *source, Oid relid, const KpiStream *stream, const KpiMeasure *m)
{
	int			first = m->kind == KPI_RATE || m->kind == KPI_RATIO ? 0 : 1;

	if (stream->owner_kind != KPI_OWNER_COMPANY)
		add_failing(failing, source, relid, psprintf("(%s)::pg_catalog.text", stream->owner));
	for (int d = 0; d < kpi_model_stream_ndims(source, stream); d++)
		add_failing(failing, source, relid, psprintf("(%s)::pg_catalog.text", kpi_model_stream_dim_expr(source, stream, d)));
	for (int i = first; i < list_length(m->inputs); i++)
		add_failing(failing, source, relid, list_nth(m->inputs, i));
}

/* A condition that is never true, and fails on what the facts of a KPI fail on; NULL: nothing. */
static char *
failing_condition(const KpiSource *source, Oid relid, int32 kpi_id, KpiKind *kind)
{
	List	   *failing = NIL;
	StringInfoData condition;
	ListCell   *lc;

	for (int s = 0; s < source->nstreams; s++)
	{
		const KpiStream *stream = &source->streams[s];

		for (int m = 0; !stream->is_left_out && m < stream->nmeasures; m++)
		{
			if (stream->measures[m].kpi_id != kpi_id)
				continue;
			*kind = stream->measures[m].kind;
			add_failing_of(&failing, source, relid, stream, &stream->measures[m]);
		}
	}
	if (failing == NIL)
		return NULL;
	initStringInfo(&condition);
	foreach(lc, failing)
		appendStringInfo(&condition, "%s((%s) IS NULL) IS UNKNOWN", condition.len > 0 ? " OR " : "", (char *) lfirst(lc));
	return condition.data;
}

/*
 * In the order in which a row is found to be a fact, and only as far: what comes
 * behind a reason may fail on the row.  The row's error is that of this text: whatever
 * the fact would fail on is evaluated once the reasons before that do not hold.
 */
char *
kpi_fact_left_out_reason(const KpiSource *source, const KpiStream *stream, const KpiMeasure *m, Oid relid, Oid at_type)
{
	KpiKind		kind = m->kind;
	char	   *fails = failing_condition(source, relid, m->kpi_id, &kind);
	char	   *text;

	text = psprintf("CASE WHEN (%s) THEN %s %s%s%s %s END", (char *) lsecond(m->inputs),
					reason(KPI_LEFT_OUT_END_BEFORE_START),
					fails ? "WHEN " : "", fails ? fails : "", fails ? " THEN NULL" : "",
					value_reason(source, relid, kind, lthird(m->inputs), m->inputs));
	text = psprintf("CASE WHEN %s THEN %s WHEN %s THEN %s ELSE %s END",
					day_is_in_range(at_type, stream->at, source->time_zone), text,
					is_finite_time(at_type, stream->at), reason(KPI_LEFT_OUT_DAY_OUT_OF_RANGE),
					reason(KPI_LEFT_OUT_NO_TIME));
	text = where_it_holds(linitial(m->inputs), text);
	return source->filter == NULL ? text : where_it_holds(source->filter, text);
}

/* ---- columns ---- */

/* The columns of a stream of what is left out: NULL is the day of a row that has none. */
static List *
left_out_columns(const KpiSource *source, const KpiStream *stream, const Bitmapset *which, Oid relid, Oid at_type)
{
	List	   *columns;

	columns = add_column(NIL, "owner", "NULL::text");
	columns = add_column(columns, "at", psprintf("(%s)", stream->at));
	columns = add_column(columns, "day", psprintf("CASE WHEN %s THEN %s END",
												  day_is_in_range(at_type, stream->at, source->time_zone),
												  day_expression(at_type, stream->at, source->time_zone)));
	for (int i = 0; i < stream->nmeasures; i++)
	{
		const KpiMeasure *m = &stream->measures[i];

		if (which == NULL || bms_is_member(i, which))
			columns = add_column(columns, psprintf("m%d_1", m->id),
								 kpi_fact_left_out_reason(source, stream, m, relid, at_type));
	}
	return columns;
}

List *
kpi_fact_columns(const KpiSource *source, const KpiStream *stream, const Bitmapset *which, Oid relid, Oid at_type)
{
	List	   *columns;
	ListCell   *lc;

	if (stream->is_left_out)
		return left_out_columns(source, stream, which, relid, at_type);
	columns = add_column(NIL, "owner", stream->owner == NULL ? "NULL::text" : psprintf("(%s)", stream->owner));
	columns = add_column(columns, "at", psprintf("(%s)", stream->at));
	columns = add_column(columns, "day", day_expression(at_type, stream->at, source->time_zone));
	for (int i = 0; i < kpi_model_stream_ndims(source, stream); i++)
		columns = add_column(columns, kpi_model_stream_dim_name(source, stream, i),
							 psprintf("(%s)", kpi_model_stream_dim_expr(source, stream, i)));
	for (int i = 0; i < stream->nmeasures; i++)
	{
		const KpiMeasure *m = &stream->measures[i];

		if (which != NULL && !bms_is_member(i, which))
			continue;
		foreach(lc, m->inputs)
		{
			char	   *text = lfirst(lc);

			if (strcmp(text, KPI_DAY_INPUT) == 0)
				text = psprintf("%s OPERATOR(pg_catalog.-) '2000-01-01'::pg_catalog.date",
								day_expression(at_type, stream->at, source->time_zone));
			columns = add_column(columns, psprintf("m%d_%d", m->id, foreach_current_index(lc) + 1),
								 psprintf("(%s)", text));
		}
	}
	return columns;
}

/* A moment before, or after, all times of a day in whatever time zone. */
static char *
moment_near(Oid at_type, DateADT day, int days)
{
	const char *date = kpi_day_text(day + days);

	switch (getBaseType(at_type))
	{
		case TIMESTAMPTZOID:
			return psprintf("'%s 00:00:00+00'::pg_catalog.timestamptz", date);
		case TIMESTAMPOID:
			return psprintf("'%s 00:00:00'::pg_catalog.timestamp", date);
		default:
			return psprintf("'%s'::pg_catalog.date", date);
	}
}

/* The day, cut in a time zone, is nothing that an index on the time can be used for. */
char *
kpi_fact_near_days(const KpiStream *stream, Oid at_type, const KpiFactPart *part)
{
	char	   *condition = NULL;

	if (part->since != DATEVAL_NOBEGIN)
		condition = psprintf("(%s) OPERATOR(pg_catalog.>=) %s", stream->at, moment_near(at_type, part->since, -1));
	if (part->until != DATEVAL_NOEND)
	{
		char	   *before = psprintf("(%s) OPERATOR(pg_catalog.<) %s", stream->at,
									  moment_near(at_type, part->until, 1));

		condition = condition ? psprintf("%s AND %s", condition, before) : before;
	}
	if (condition && (part->and_left_out || (stream->is_left_out && part->since == DATEVAL_NOBEGIN)))
		condition = psprintf("(%s OR (%s) OPERATOR(pg_catalog.>=) %s%s)", condition, stream->at,
							 moment_near(at_type, kpi_calendar_last_fact_day(), 0),
							 stream->is_left_out ? psprintf(" OR (%s) IS NULL", stream->at) : "");
	return condition;
}

char *
kpi_fact_condition(const KpiSource *source, const KpiStream *stream, Oid at_type, const KpiFactPart *part)
{
	char	   *condition = psprintf("pg_catalog.isfinite(%s)", stream->at);
	char	   *near = part ? kpi_fact_near_days(stream, at_type, part) : NULL;

	if (stream->is_left_out)
		return near ? near : "true";
	if (source->filter != NULL)
		condition = psprintf("(%s) AND %s", source->filter, condition);
	return near ? psprintf("%s AND %s", condition, near) : condition;
}

Oid
kpi_fact_relation(const KpiSource *source)
{
	Oid			relid = kpi_model_source_relid(source);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of source \"%s\" does not exist",
						source->relation, source->name),
				 errhint("Create the table again, or drop the source with kpi.drop_source().")));
	return relid;
}

char *
kpi_fact_query(const KpiSource *source, const KpiStream *stream, const Bitmapset *which)
{
	Oid			relid = kpi_fact_relation(source);
	StringInfoData sql;
	Oid			at_type;
	ListCell   *lc;

	initStringInfo(&sql);
	at_type = kpi_fact_type(source, relid, stream->at);
	foreach(lc, kpi_fact_columns(source, stream, which, relid, at_type))
	{
		KpiFactColumn *column = lfirst(lc);

		appendStringInfo(&sql, "%s%s AS %s", sql.len == 0 ? "SELECT " : ",\n       ",
						 column->text, quote_identifier(column->name));
	}

	/*
	 * A plain table that gets children later has no triggers on them: ONLY
	 * keeps scans and capture to the same rows.
	 */
	appendStringInfo(&sql, "\n  FROM %s%s\n WHERE %s",
					 get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 source->relation, kpi_fact_condition(source, stream, at_type, NULL));
	return sql.data;
}

void
kpi_fact_check_time(const KpiExpr *expr, const char *what)
{
	switch (getBaseType(expr->type))
	{
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
		case DATEOID:
			return;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("%s cannot be of type %s: %s", what,
							format_type_be(expr->type), expr->text),
					 errhint("A time is of type timestamptz, timestamp (local time) or date; to_timestamp() and make_date() convert numbers.")));
	}
}
