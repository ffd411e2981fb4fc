/*-------------------------------------------------------------------------
 *
 * facts.c
 *	  The facts query: one definition of what a row means, as SQL.
 *
 * Backfill, recompute and verify run the text made here; capture compiles the
 * same expressions (project.c).  All texts in a KpiSource are deparsed
 * already, so they only need to be put together; the type of "at" is looked
 * up anew, because the wrong conversion to a day would be silently wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "expr.h"
#include "facts.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "security.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Of one call of kpi.cell_agg(), whose state is an argument as well. */
#define MAX_AGGREGATE_ARGS (FUNC_MAX_ARGS - 2)

/* Hexadecimal digits of the hash of a key that was cut. */
#define KEY_HASH_LEN 32

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
static Oid
time_type(const KpiSource *source, Oid relid, const char *at)
{
	KpiUser		user;
	Oid			type;

	kpi_user_switch(&user, kpi_source_definer(source));
	type = kpi_expr_type(relid, at);
	kpi_user_restore(&user);
	return type;
}

static void
append_measures(StringInfo sql, const KpiStream *stream, const Bitmapset *which)
{
	for (int i = 0; i < stream->nmeasures; i++)
	{
		const KpiMeasure *m = &stream->measures[i];

		if (which != NULL && !bms_is_member(i, which))
			continue;
		appendStringInfo(sql, ",\n       (%s) AS m%d_1", m->input1, m->id);
		if (m->input2 != NULL)
			appendStringInfo(sql, ",\n       (%s) AS m%d_2", m->input2, m->id);
	}
}

char *
kpi_facts_query(const KpiSource *source, const KpiStream *stream,
				const Bitmapset *which, const char *relation)
{
	Oid			relid = kpi_source_relid(source);
	StringInfoData sql;
	bool		partitioned;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of source \"%s\" does not exist",
						source->relation, source->name),
				 errhint("Create the table again, or drop the source with kpi.drop_source().")));
	partitioned = relation == NULL && get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s AS owner,\n       (%s) AS at,\n       %s AS day",
					 stream->owner == NULL ? "NULL::text" : psprintf("(%s)", stream->owner),
					 stream->at,
					 day_expression(time_type(source, relid, stream->at), stream->at,
									source->time_zone));
	for (int i = 0; i < source->ndims; i++)
		appendStringInfo(&sql, ",\n       (%s) AS %s", source->dim_exprs[i],
						 quote_identifier(source->dim_names[i]));
	append_measures(&sql, stream, which);

	/*
	 * A plain table that gets children later has no triggers on them: ONLY
	 * keeps scans and capture to the same rows.
	 */
	appendStringInfo(&sql, "\n  FROM %s%s\n WHERE ", partitioned ? "" : "ONLY ",
					 relation != NULL ? relation : source->relation);
	if (source->filter != NULL)
		appendStringInfo(&sql, "(%s) AND ", source->filter);
	appendStringInfo(&sql, "pg_catalog.isfinite(%s)", stream->at);
	return sql.data;
}

/*
 * The cell of a group.  A function takes FUNC_MAX_ARGS arguments at most, so
 * that many measures need several aggregates, whose cells are merged.
 */
static void
append_cell(StringInfo sql, const KpiLayout *layout)
{
	int			first = 0;

	while (first < layout->nmeasures)
	{
		StringInfoData spec;
		StringInfoData inputs;
		int			nargs = 1;
		int			i;

		initStringInfo(&spec);
		initStringInfo(&inputs);
		for (i = first; i < layout->nmeasures; i++)
		{
			const KpiLayoutMeasure *m = &layout->measures[i];

			if (nargs + m->ninputs > MAX_AGGREGATE_ARGS)
				break;
			nargs += m->ninputs;
			appendStringInfo(&spec, "%s%d:%s", i > first ? "," : "", m->id, kpi_kind_name(m->kind));
			for (int j = 1; j <= m->ninputs; j++)
				appendStringInfo(&inputs, ", f.m%d_%d", m->id, j);
		}
		appendStringInfo(sql, "%skpi.cell_agg(%s%s)",
						 first > 0 ? " OPERATOR(kpi.+) " : "",
						 quote_literal_cstr(spec.data), inputs.data);
		first = i;
	}
}

char *
kpi_cells_query(const KpiSource *source, const KpiStream *stream,
				const Bitmapset *which)
{
	KpiLayout  *layout = kpi_stream_layout(stream, which);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT (f.owner)::text AS owner, f.day, ");
	if (source->ndims == 0)
		appendStringInfoString(&sql, "NULL::text[] AS dims, ");
	else
	{
		for (int i = 0; i < source->ndims; i++)
			appendStringInfo(&sql, "%sf.%s", i == 0 ? "ARRAY[" : ", ",
							 quote_identifier(source->dim_names[i]));
		appendStringInfoString(&sql, "]::text[] AS dims, ");
	}

	append_cell(&sql, layout);
	appendStringInfo(&sql, " AS cell\n  FROM (%s) f\n GROUP BY f.owner, f.day",
					 kpi_facts_query(source, stream, which, NULL));
	for (int i = 0; i < source->ndims; i++)
		appendStringInfo(&sql, ", f.%s", quote_identifier(source->dim_names[i]));
	return sql.data;
}

/* Equal keys stay equal and, but for a collision of 128 bits, others do not. */
char *
kpi_key_bounded(char *key)
{
	int			len = strlen(key);
	int			cut;

	if (len <= KPI_MAX_KEY)
		return key;

	cut = pg_mbcliplen(key, len, KPI_MAX_KEY - KEY_HASH_LEN - 1);
	return psprintf("%.*s#%016llx%016llx", cut, key,
					(unsigned long long) DatumGetUInt64(hash_any_extended((unsigned char *) key, len, 0)),
					(unsigned long long) DatumGetUInt64(hash_any_extended((unsigned char *) key, len, 1)));
}

/* ---- owner keys and dimension values ---- */

/* Dates have no immutable cast to text: it would follow DateStyle. */
static char *
date_as_text(const char *date)
{
	return psprintf("EXTRACT(year FROM %s)::text || '-' || "
					"lpad(EXTRACT(month FROM %s)::text, 2, '0') || '-' || "
					"lpad(EXTRACT(day FROM %s)::text, 2, '0')", date, date, date);
}

/*
 * The text of a key: what people see, what is stored, and what groups facts,
 * so its equality must be that of bytes.
 */
char *
kpi_key_as_text(const KpiExpr *expr, const char *what)
{
	Oid			base = getBaseType(expr->type);
	char		category;
	bool		preferred;

	if (OidIsValid(expr->collation) && get_collation_isdeterministic(expr->collation) &&
		expr->type == TEXTOID)
		return expr->text;

	switch (base)
	{
		case DATEOID:
			return date_as_text(psprintf("(%s)", expr->text));
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case UUIDOID:
			return psprintf("(%s)::text", expr->text);
		default:
			break;
	}
	if (type_is_enum(base))
		return psprintf("(%s)::text", expr->text);

	get_type_category_preferred(base, &category, &preferred);
	if (category != TYPCATEGORY_STRING)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s cannot be of type %s: %s", what,
						format_type_be(expr->type), expr->text),
				 errhint("A key is of type text, integer, numeric, uuid, enum, boolean or date: convert it, for example to text.")));

	if (OidIsValid(expr->collation) && get_collation_isdeterministic(expr->collation))
		return psprintf("(%s)::text", expr->text);
	return psprintf("((%s)::text COLLATE \"C\")", expr->text);
}

/*
 * Owners of these types group as they are: it is cheaper, and the planner
 * knows their statistics.
 */
char *
kpi_owner_key(const KpiExpr *expr, const char *what)
{
	char	   *text = kpi_key_as_text(expr, what);

	switch (expr->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case UUIDOID:
			return expr->text;
		case VARCHAROID:
			return OidIsValid(expr->collation) &&
				get_collation_isdeterministic(expr->collation) ? expr->text : text;
		default:
			return type_is_enum(expr->type) ? expr->text : text;
	}
}

void
kpi_check_time(const KpiExpr *expr, const char *what)
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
