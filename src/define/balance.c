/*-------------------------------------------------------------------------
 *
 * balance.c
 *	  A balance as it is compiled: two measures, of what comes and of what goes.
 *
 * The first is of a stream whose time is the KPI's, the second of one whose time
 * is its until.  They must be of exactly the same facts, or something would be held
 * for ever.  So the time of the second is NULL, and the fact none of it, wherever
 * the first does not count: where the fact ends before it begins, or begins at no
 * time that facts may have.  The first counts these facts as left out.  An end that
 * facts cannot have, like 9999-12-31, is none.
 *
 * The times are compared as they are, not as days: on which day a time is
 * depends on a time zone, which can change.  So they are of one type.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* An expression of one of the types of times as one of the other. */
static char *
converted(const KpiExpr *expr, Oid to, const char *time_zone)
{
	char	   *text = expr->text;

	if (getBaseType(expr->type) == TIMESTAMPTZOID)
		text = psprintf("%s AT TIME ZONE %s", text, quote_literal_cstr(time_zone));
	if (to == DATEOID)
		return psprintf("(%s)::date", text);
	if (getBaseType(expr->type) == DATEOID)
		text = psprintf("(%s)::timestamp", text);
	return to == TIMESTAMPTZOID ? psprintf("%s AT TIME ZONE %s", text, quote_literal_cstr(time_zone)) : text;
}

static void
check_types(const KpiSourceRow *source, const char *kpi_name, const KpiExpr *at, const KpiExpr *until)
{
	Oid			type = getBaseType(at->type);
	char	   *time_zone;

	if (getBaseType(until->type) == type)
		return;
	time_zone = kpi_first_text("SELECT c.time_zone FROM kpi.source s JOIN kpi.calendar c ON c.id = s.calendar_id"
							   " WHERE s.id = $1", 1, KPI_INT4(source->id));
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("until of KPI \"%s\" is of type %s, and its time (at) of type %s: %s", kpi_name,
					format_type_be(until->type), format_type_be(at->type), until->text),
			 errhint("Write until => %s.", quote_literal_cstr(converted(until, type, time_zone)))));
}

/*
 * Within these the day of a time is one that facts may have, in whatever time
 * zone.
 */
static char *
is_in_range(const char *time, Oid type)
{
	if (type == TIMESTAMPTZOID)
		return psprintf("(%s) >= '%d-01-02 00:00:00+00'::timestamptz AND (%s) < '%d-12-31 00:00:00+00'::timestamptz",
						time, KPI_MIN_FACT_YEAR, time, KPI_MAX_FACT_YEAR);
	return psprintf("(%s) >= '%d-01-01'::%s AND (%s) < '%d-01-01'::%s", time, KPI_MIN_FACT_YEAR,
					format_type_be(type), time, KPI_MAX_FACT_YEAR + 1, format_type_be(type));
}

void
kpi_define_balance(const KpiSourceRow *source, const char *kpi_name, const char *until_text,
				   KpiMeasureDef *def, KpiStreamKey *key)
{
	char	   *what = psprintf("until of KPI \"%s\"", kpi_name);
	KpiExpr		at = kpi_expr_check_full(source->relid, key->at, what);
	KpiExpr		until;
	char	   *begins;
	char	   *ends;
	Oid			type = getBaseType(at.type);

	if (until_text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("KPI \"%s\" is a balance and needs an until", kpi_name),
				 errhint("Say from when on what a fact brings is gone, like until => 'ended_on'; a fact of which it is NULL is held still.")));
	until = kpi_expr_check_full(source->relid, until_text, what);
	kpi_fact_check_time(&until, what);
	check_types(source, kpi_name, &at, &until);

	begins = at.type == type ? at.text : psprintf("(%s)::%s", at.text, format_type_be(type));
	ends = until.type == type ? until.text : psprintf("(%s)::%s", until.text, format_type_be(type));
	key->until = psprintf("CASE WHEN %s AND (%s) >= (%s) AND %s THEN %s END", is_in_range(begins, type),
						  ends, begins, is_in_range(ends, type), ends);
	key->until = kpi_expr_check_full(source->relid, key->until, what).text;
	lthird(def->inputs) = psprintf("CASE WHEN %s AND ((%s) IS NULL OR (%s) >= (%s)) THEN 1 ELSE 0 END",
								   is_in_range(begins, type), ends, ends, begins);
	lthird(def->inputs) = kpi_expr_check_full(source->relid, lthird(def->inputs), what).text;
	def->is_reversed = psprintf("(%s) = 0", (char *) lthird(def->inputs));
}
