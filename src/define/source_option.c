/*-------------------------------------------------------------------------
 *
 * source_option.c
 *	  Options of sources: what they do when their table is swapped, loses facts
 *	  or partitions, and how fresh their facts are.
 *
 * None of them changes what a fact means, so nothing is built anew for them.
 *
 * Locks: SHARE ROW EXCLUSIVE on the table and its leaves, where loaded_at is given.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* One of two words, or NULL. */
static char *
arg_word(FunctionCallInfo fcinfo, int n, const char *name, const char *first, const char *second)
{
	char	   *word = kpi_arg_optional_name(fcinfo, n, name);

	if (word != NULL && strcmp(word, first) != 0 && strcmp(word, second) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown %s \"%s\"", name, word),
				 errhint("%s is \"%s\" or \"%s\".", name, first, second)));
	return word;
}

static void
check_hold(Numeric share)
{
	float8		value = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(share)));

	if (!(value >= 0 && value < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hold_if_lost is not a share between 0 and 1"),
				 errhint("Give the share of the facts whose loss is held back, like 0.3; 0 ends it.")));
}

void
kpi_define_source_options_read(FunctionCallInfo fcinfo, int first, const char *source,
							   KpiSourceOptions *options)
{
	memset(options, 0, sizeof(KpiSourceOptions));
	options->on_swap = arg_word(fcinfo, first, "on_swap", "follow", "suspend");
	options->on_detach = arg_word(fcinfo, first + 1, "on_detach", "seal", "remove");
	options->has_hold = !PG_ARGISNULL(first + 2);
	if (options->has_hold)
	{
		options->hold_if_lost = PG_GETARG_DATUM(first + 2);
		check_hold(DatumGetNumeric(options->hold_if_lost));
	}
	options->loaded_at = kpi_arg_text(fcinfo, first + 3);
}

void
kpi_define_source_options_check(Oid relid, const char *source, KpiSourceOptions *options)
{
	KpiExpr		expr;

	if (options->loaded_at == NULL || options->loaded_at[0] == '\0')
		return;
	expr = kpi_expr_check_full(relid, options->loaded_at, psprintf("loaded_at of source \"%s\"", source));
	kpi_fact_check_time(&expr, "loaded_at");
	options->loaded_at = expr.text;
}

/*
 * Given, even as before, it is read from the facts by the next refresh.  The lock has
 * writers learn of it, and none be under way by another expression then.
 */
static void
redefine_loaded(int32 source_id, Oid relid)
{
	if (OidIsValid(relid))
		kpi_fact_table_lock(relid, ShareRowExclusiveLock);
	kpi_spi_exec("UPDATE kpi_internal.source_state SET loaded_at = NULL, loaded_by = NULL WHERE source_id = $1",
				 1, KPI_INT4(source_id));
}

void
kpi_define_source_options_store(int32 source_id, Oid relid, const KpiSourceOptions *options)
{
	kpi_spi_exec("UPDATE kpi.source SET on_swap = coalesce($2, on_swap), on_detach = coalesce($3, on_detach),"
				 " hold_if_lost = nullif(coalesce($4, hold_if_lost), 0),"
				 " loaded_at = nullif(coalesce($5, loaded_at), '') WHERE id = $1",
				 5, KPI_INT4(source_id), KPI_TEXT(options->on_swap), KPI_TEXT(options->on_detach),
				 options->has_hold ? KPI_VALUE(NUMERICOID, options->hold_if_lost) : KPI_NULL(NUMERICOID),
				 KPI_TEXT(options->loaded_at));
	if (options->loaded_at != NULL)
		redefine_loaded(source_id, relid);
}
