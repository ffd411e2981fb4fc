/*-------------------------------------------------------------------------
 *
 * spi.c
 *	  Statements of our own over SPI, run as the extension's owner.
 *
 * Reads and writes of pg_kpi's tables with SQL; the hot paths (capture,
 * merge, flush) do without.  Invariant: between kpi_spi_begin() and
 * kpi_spi_end() the current user is the extension's owner and search_path is
 * pinned, so no statement here can be led astray by its caller.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base_internal.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

void
kpi_spi_begin(KpiSpi *spi)
{
	KpiUser		user;

	kpi_user_switch(&user, kpi_extension_owner());
	/* Ours, not a definer's: no security restriction on what we may do. */
	SetUserIdAndSecContext(GetUserId(),
						   user.save_sec_context | SECURITY_LOCAL_USERID_CHANGE);
	spi->save_user = user.save_user;
	spi->save_sec_context = user.save_sec_context;
	spi->guc_nest_level = user.guc_nest_level;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
kpi_spi_end(KpiSpi *spi)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(false, spi->guc_nest_level);
	SetUserIdAndSecContext(spi->save_user, spi->save_sec_context);
}

uint64
kpi_spi_run(const char *sql, bool read_only, int nargs, va_list args)
{
	Oid			types[KPI_SPI_MAX_PARAMS];
	Datum		values[KPI_SPI_MAX_PARAMS];
	char		nulls[KPI_SPI_MAX_PARAMS] = {0};
	MemoryContext old = CurrentMemoryContext;
	ErrorContextCallback context = {.previous = error_context_stack,.callback = kpi_extension_error_context};
	int			rc;

	if (nargs > KPI_SPI_MAX_PARAMS)
		elog(ERROR, "statement of pg_kpi with %d parameters", nargs);
	for (int i = 0; i < nargs; i++)
	{
		KpiParam	param = va_arg(args, KpiParam);

		types[i] = param.type;
		values[i] = param.value;
		nulls[i] = param.isnull ? 'n' : ' ';
	}

	if (kpi_extension_difference_noted() != 0)
		error_context_stack = &context;
	rc = kpi_plan_execute(sql, read_only || kpi_snapshot_is_pinned(), nargs, types, values, nulls);
	error_context_stack = context.previous;
	if (rc < 0)
		elog(ERROR, "SPI failed with %s: %s", SPI_result_code_string(rc), sql);

	/* Whatever we write by statements defines something. */
	if (rc == SPI_OK_INSERT || rc == SPI_OK_UPDATE || rc == SPI_OK_DELETE ||
		rc == SPI_OK_INSERT_RETURNING || rc == SPI_OK_UPDATE_RETURNING ||
		rc == SPI_OK_DELETE_RETURNING)
	{
		kpi_extension_require();
		kpi_wake_request(true);
	}

	/* SPI leaves its own context current, the caller may have chosen another. */
	MemoryContextSwitchTo(old);
	return SPI_processed;
}

uint64
kpi_spi_exec(const char *sql, int nargs,...)
{
	va_list		args;
	uint64		rows;

	va_start(args, nargs);
	rows = kpi_spi_run(sql, false, nargs, args);
	va_end(args);
	return rows;
}

uint64
kpi_spi_read(const char *sql, int nargs,...)
{
	va_list		args;
	uint64		rows;

	Assert(ActiveSnapshotSet());
	va_start(args, nargs);
	rows = kpi_spi_run(sql, true, nargs, args);
	va_end(args);
	return rows;
}

KpiParam
KPI_VALUE(Oid type, Datum value)
{
	KpiParam	param = {type, value, false};

	return param;
}

KpiParam
KPI_NULL(Oid type)
{
	KpiParam	param = {type, (Datum) 0, true};

	return param;
}

KpiParam
KPI_TEXT(const char *value)
{
	if (value == NULL)
		return KPI_NULL(TEXTOID);
	return KPI_VALUE(TEXTOID, CStringGetTextDatum(value));
}

KpiParam
KPI_TEXTS(List *values)
{
	Datum	   *texts = palloc(sizeof(Datum) * Max(list_length(values), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, values)
		texts[n++] = CStringGetTextDatum(lfirst(lc));
	return KPI_VALUE(TEXTARRAYOID,
					 PointerGetDatum(construct_array(texts, n, TEXTOID, -1, false, TYPALIGN_INT)));
}

KpiParam
KPI_INT4(int32 value)
{
	return KPI_VALUE(INT4OID, Int32GetDatum(value));
}

KpiParam
KPI_INT4S(List *values)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(list_length(values), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, values)
		datums[n++] = Int32GetDatum(lfirst_int(lc));
	return KPI_VALUE(INT4ARRAYOID,
					 PointerGetDatum(construct_array(datums, n, INT4OID, sizeof(int32), true, TYPALIGN_INT)));
}

KpiParam
KPI_INT8(int64 value)
{
	return KPI_VALUE(INT8OID, Int64GetDatum(value));
}

KpiParam
KPI_BOOL(bool value)
{
	return KPI_VALUE(BOOLOID, BoolGetDatum(value));
}

Datum
kpi_spi_datum(uint64 r, int c, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[r], SPI_tuptable->tupdesc, c, isnull);
}

char *
kpi_spi_text(uint64 r, int c)
{
	return SPI_getvalue(SPI_tuptable->vals[r], SPI_tuptable->tupdesc, c);
}

int32
kpi_spi_int4(uint64 r, int c)
{
	bool		isnull;
	Datum		value = kpi_spi_datum(r, c, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

int64
kpi_spi_int8(uint64 r, int c)
{
	bool		isnull;
	Datum		value = kpi_spi_datum(r, c, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

bool
kpi_spi_bool(uint64 r, int c)
{
	bool		isnull;
	Datum		value = kpi_spi_datum(r, c, &isnull);

	return !isnull && DatumGetBool(value);
}
