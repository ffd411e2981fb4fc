/*-------------------------------------------------------------------------
 *
 * attribute.c
 *	  Attributes of members: kpi.set_attribute(), and the dimensions that are one.
 *
 * Attributes that no dimension is are nobody's business but their readers'; a change of one
 * that is moves facts as a change of team does, so it raises kpi_internal.version.org
 * (team.c).  Which they are is looked at under the lock of that row, and who makes or
 * takes away such a dimension takes it as well: neither misses the other.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "people/people.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_set_attribute);

/* ---- kpi.set_attribute() ---- */

void
kpi_define_attribute_touch(const char *name)
{
	/* Has its row locked, whatever follows. */
	kpi_define_names_touch();
	if (kpi_spi_exec("SELECT FROM kpi.dimension WHERE attribute = $1 LIMIT 1", 1, KPI_TEXT(name)) > 0)
		kpi_define_touch();
}

/* A range with an end must not swallow values that begin in it. */
static void
check_none_begins(const KpiAttributeValues *values, const char *name, const char *key, DateADT since, DateADT until)
{
	StringInfoData list;

	if (kpi_people_attribute_next(values, since) >= until)
		return;

	initStringInfo(&list);
	for (int i = 0; i < values->n; i++)
	{
		const KpiAttributeValue *item = &values->items[i];

		if (item->since > since && item->since < until)
			appendStringInfo(&list, "%s\"%s\" since %s", list.len ? ", " : "", item->value, kpi_day_text(item->since));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("values of attribute \"%s\" of member \"%s\" would overlap", name, key),
			 errdetail("Between %s and %s it becomes %s.", kpi_day_text(since), kpi_day_text(until), list.data),
			 errhint("Choose an earlier \"until\", or first set what it is on those days.")));
}

/* kpi.set_attribute(member, name, value, since, until) */
Datum
kpi_sql_set_attribute(PG_FUNCTION_ARGS)
{
	char	   *key = kpi_fact_key_arg(fcinfo, 0, "member");
	char	   *name = kpi_arg_name(fcinfo, 1, "name of the attribute");
	char	   *value = kpi_fact_key_optional_arg(fcinfo, 2, "value of the attribute");
	DateADT		since = kpi_arg_day(fcinfo, 3, "since", DATEVAL_NOBEGIN);
	DateADT		until = kpi_arg_day(fcinfo, 4, "until", DATEVAL_NOEND);
	int32		id;
	KpiAttributeValues *before;
	KpiAttributeValues *after;
	KpiSpi		spi;

	kpi_require_editor();
	kpi_define_check_order(since, until);

	kpi_spi_begin(&spi);
	kpi_define_attribute_touch(name);
	id = kpi_define_member_id(key);
	before = kpi_people_attribute_load(id, name);
	if (!PG_ARGISNULL(4))
		check_none_begins(before, name, key, since, until);
	else if (!PG_ARGISNULL(3))
		until = kpi_people_attribute_next(before, since);
	after = kpi_people_attribute_set(before, since, until, value);
	kpi_people_attribute_store(id, name, before, after);
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}

/* ---- dimensions ---- */

static bool
is_attribute_call(const Node *node)
{
	const FuncCall *call = (const FuncCall *) node;

	return node != NULL && IsA(node, FuncCall) && list_length(call->funcname) == 1 &&
		strcmp(strVal(linitial(call->funcname)), "attribute") == 0;
}

static bool
has_attribute_call(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return is_attribute_call(node) || raw_expression_tree_walker(node, has_attribute_call, context);
}

/* The one argument, a text that is written out. */
static char *
argument_of(const FuncCall *call, const char *what)
{
	const A_Const *constant = list_length(call->args) == 1 && IsA(linitial(call->args), A_Const) ?
	linitial_node(A_Const, call->args) : NULL;

	if (constant == NULL || constant->isnull || !IsA(&constant->val, String) || call->agg_order != NIL ||
		call->agg_filter != NULL || call->over != NULL || call->agg_distinct || call->agg_within_group)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attribute() in %s does not have one name of an attribute", what),
				 errhint("Write it in quotes: attribute('experience').")));
	if (kpi_name_fault(strVal(&constant->val)) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("the name of the attribute in %s %s", what, kpi_name_fault(strVal(&constant->val)))));
	return pstrdup(strVal(&constant->val));
}

char *
kpi_define_attribute_parse(Oid relid, const char *text, const char *what)
{
	KpiExprSite site;
	Node	   *raw;

	kpi_expr_site_push(&site, text, what, relid);
	raw = kpi_expr_raw(text);
	kpi_expr_site_pop(&site);
	if (is_attribute_call(raw))
		return argument_of((const FuncCall *) raw, what);
	if (has_attribute_call(raw, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s has attribute() within a larger expression", what),
				 errdetail("An attribute is known by owner and day, where the team of the owner is, and not by the row."),
				 errhint("Let attribute('experience') be the whole expression, and set the value that you want to see with kpi.set_attribute(), under another name of the attribute if need be.")));
	return NULL;
}
