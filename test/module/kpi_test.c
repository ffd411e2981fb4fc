/*-------------------------------------------------------------------------
 *
 * kpi_test.c
 *	  Another extension in the session, as the tests need one.
 *
 * at_pre_commit(text)		runs a statement when the transaction commits, after
 *							the callbacks of whatever is used from then on:
 *							those that were registered last are called first.
 * take_relcache_slots(int)	registers callbacks for relcache invalidations, of
 *							which a backend has few.
 * empty_trigger()			a trigger that does nothing, as a yardstick for those
 *							that do something.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(at_pre_commit);
PG_FUNCTION_INFO_V1(take_relcache_slots);
PG_FUNCTION_INFO_V1(empty_trigger);

static char *statement = NULL;

static void
run_statement(XactEvent event, void *arg)
{
	char	   *sql = statement;

	statement = NULL;
	if (event != XACT_EVENT_PRE_COMMIT || sql == NULL)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT || SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "statement failed: %s", sql);
	SPI_finish();
	PopActiveSnapshot();
}

Datum
at_pre_commit(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(run_statement, NULL);
	registered = true;
	statement = MemoryContextStrdup(TopMemoryContext, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

static void
ignore(Datum arg, Oid relid)
{
}

Datum
take_relcache_slots(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < PG_GETARG_INT32(0); i++)
		CacheRegisterRelcacheCallback(ignore, (Datum) 0);
	PG_RETURN_VOID();
}

Datum
empty_trigger(PG_FUNCTION_ARGS)
{
	return PointerGetDatum(NULL);
}
