/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Owner keys and dimension values: texts whose equality is that of bytes.
 *
 * The text of a key is what people see, what is stored, and what groups facts.
 * An expression gets it in the facts query, an argument of a function as it is
 * (kpi_arg_text()): the same value is the same text either way, and a type of
 * which that cannot be said is refused here for both.
 *
 * Nothing here takes a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Hexadecimal digits of the hash of a key that was cut. */
#define KEY_HASH_LEN 32

/* Equal keys stay equal and, but for a collision of 128 bits, others do not. */
char *
kpi_fact_key_bounded(char *key)
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

/* ---- which types a key may have ---- */

/* How errors show an expression; an argument is named by "what" alone. */
static const char *
shown(const char *text)
{
	return text ? psprintf(": %s", text) : "";
}

/* Error for a string whose equal values can have different texts. */
static void
check_string_equality(Oid type, Oid collation, const char *what, const char *text)
{
	TypeCacheEntry *entry = lookup_type_cache(getBaseType(type), TYPECACHE_EQ_OPR);

	switch (OidIsValid(entry->eq_opr) ? get_opcode(entry->eq_opr) : InvalidOid)
	{
		case F_TEXTEQ:
		case F_NAMEEQ:
		case F_BPCHAREQ:		/* a cast to text drops the blanks it ignores */
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("%s cannot be of type %s%s", what, format_type_be(type), shown(text)),
					 errdetail("Facts are grouped by the text of a key, and values of this type can be equal that have different texts."),
					 errhint("Write a text that is the same for equal values, like lower((%s)::text).",
							 text ? text : "key")));
	}
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s cannot have collation \"%s\"%s", what, get_collation_name(collation), shown(text)),
				 errdetail("Facts are grouped by the text of a key, and under this collation values can be equal that have different texts."),
				 errhint("Write a text that is the same for equal values, like lower(%s) COLLATE \"C\".",
						 text ? text : "key")));
}

/* Whether a key of this type is a string; error if the type is no key's. */
static bool
is_string(Oid type, Oid collation, const char *what, const char *text)
{
	Oid			base = getBaseType(type);
	char		category;
	bool		preferred;

	switch (base)
	{
		case DATEOID:
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case UUIDOID:
		case NUMERICOID:
			return false;
		default:
			break;
	}
	if (type_is_enum(base))
		return false;

	get_type_category_preferred(base, &category, &preferred);
	if (category != TYPCATEGORY_STRING)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s cannot be of type %s%s", what, format_type_be(type), shown(text)),
				 errhint("A key is of type text, integer, numeric, uuid, enum, boolean or date: convert it, for example to text.")));
	check_string_equality(type, collation, what, text);
	return true;
}

/* ---- expressions ---- */

/* Dates have no immutable cast to text: it would follow DateStyle. */
static char *
date_as_text(const char *date)
{
	return psprintf("EXTRACT(year FROM %s)::text || '-' || "
					"lpad(EXTRACT(month FROM %s)::text, 2, '0') || '-' || "
					"lpad(EXTRACT(day FROM %s)::text, 2, '0')", date, date, date);
}

char *
kpi_fact_key_as_text(const KpiExpr *expr, const char *what)
{
	if (is_string(expr->type, expr->collation, what, expr->text))
	{
		/* Without one, as where two meet, it could not be compared at all. */
		if (!OidIsValid(expr->collation))
			return psprintf("((%s)::text COLLATE \"C\")", expr->text);
		return expr->type == TEXTOID ? expr->text : psprintf("(%s)::text", expr->text);
	}
	switch (getBaseType(expr->type))
	{
		case DATEOID:
			return date_as_text(psprintf("(%s)", expr->text));
		case NUMERICOID:		/* 1, 1.0 and 1.00 are one key */
			return psprintf("trim_scale(%s)::text", expr->text);
		default:
			return psprintf("(%s)::text", expr->text);
	}
}

/*
 * Owners of these types group as they are: it is cheaper, and the planner
 * knows their statistics.
 */
char *
kpi_fact_owner_key(const KpiExpr *expr, const char *what)
{
	char	   *text = kpi_fact_key_as_text(expr, what);

	switch (expr->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case UUIDOID:
			return expr->text;
		case VARCHAROID:
			return OidIsValid(expr->collation) ? expr->text : text;
		default:
			return type_is_enum(expr->type) ? expr->text : text;
	}
}

/* ---- arguments ---- */

/* Of the argument alone: that of the call is made of all of them. */
static Oid
argument_collation(FunctionCallInfo fcinfo, int n)
{
	Node	   *call = fcinfo->flinfo->fn_expr;

	if (call == NULL || !IsA(call, FuncExpr) || n >= list_length(((FuncExpr *) call)->args))
		return InvalidOid;
	return exprCollation(list_nth(((FuncExpr *) call)->args, n));
}

char *
kpi_fact_key_optional_arg(FunctionCallInfo fcinfo, int n, const char *what)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, n);

	if (OidIsValid(type) && !PG_ARGISNULL(n))
		(void) is_string(type, argument_collation(fcinfo, n), what, NULL);
	return kpi_arg_optional_name(fcinfo, n, what);
}

char *
kpi_fact_key_arg(FunctionCallInfo fcinfo, int n, const char *what)
{
	char	   *key = kpi_fact_key_optional_arg(fcinfo, n, what);

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	return key;
}
