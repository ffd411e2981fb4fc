/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Owner keys and dimension values: texts whose equality is that of bytes.
 *
 * The text of a key is what people see, what is stored, and what groups facts.
 * An expression gets it in the facts query, an argument of a function as it is
 * (kpi_arg_text()): the same value is the same text either way, and a type of
 * which that cannot be said is refused for both (expr/key.c).
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

/* ---- expressions ---- */

/*
 * Owners of these types group as they are: it is cheaper, and the planner
 * knows their statistics.
 */
char *
kpi_fact_owner_key(const KpiExpr *expr, const char *what)
{
	char	   *text = kpi_expr_key_text(expr, what);

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
		kpi_expr_key_check(type, argument_collation(fcinfo, n), what);
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
