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

/* One reason where a condition is false, another where it is null; else what is said behind it. */
static char *
where_it_holds(const char *condition, const char *reason)
{
	return psprintf("CASE WHEN (%s) THEN %s WHEN (%s) IS NULL THEN %d ELSE %d END", condition, reason, condition,
					KPI_LEFT_OUT_FILTER_NULL, KPI_LEFT_OUT_FILTER_FALSE);
}

/*
 * In the order in which a row is found to be a fact, and only as far: what comes
 * behind a reason may fail on the row.
 */
char *
kpi_fact_left_out_reason(const KpiSource *source, const KpiStream *stream, const KpiMeasure *m, Oid at_type)
{
	char	   *reason;

	reason = psprintf("CASE WHEN %s THEN (%s) WHEN pg_catalog.isfinite(%s) THEN %d ELSE %d END",
					  day_is_in_range(at_type, stream->at, source->time_zone), (char *) lsecond(m->inputs),
					  stream->at, KPI_LEFT_OUT_DAY_OUT_OF_RANGE, KPI_LEFT_OUT_NO_TIME);
	reason = where_it_holds(linitial(m->inputs), reason);
	if (source->filter != NULL)
		reason = where_it_holds(source->filter, reason);
	return psprintf("(%s)::pg_catalog.int2", reason);
}

/* The columns of a stream of what is left out: NULL is the day of a row that has none. */
static List *
left_out_columns(const KpiSource *source, const KpiStream *stream, const Bitmapset *which, Oid at_type)
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
								 kpi_fact_left_out_reason(source, stream, m, at_type));
	}
	return columns;
}

List *
kpi_fact_columns(const KpiSource *source, const KpiStream *stream, const Bitmapset *which, Oid at_type)
{
	List	   *columns;
	ListCell   *lc;

	if (stream->is_left_out)
		return left_out_columns(source, stream, which, at_type);
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
	foreach(lc, kpi_fact_columns(source, stream, which, at_type))
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
