/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Values as texts whose equality is theirs: keys.
 *
 * Owners, values of dimensions and what is counted once go by a text.  A type
 * of which equal values can have different texts is refused.
 *
 * Nothing here takes a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "expr/expr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

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
kpi_expr_key_text(const KpiExpr *expr, const char *what)
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

void
kpi_expr_key_check(Oid type, Oid collation, const char *what)
{
	(void) is_string(type, collation, what, NULL);
}
