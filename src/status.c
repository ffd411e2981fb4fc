/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What kpi.source_status shows that only C can see.
 *
 * Whoever reads the view is asked for no rights on the catalogs, and only
 * names of a source's own tables leave here.  Nothing is locked, so a table
 * may go while it is looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "access/commit_ts.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "def.h"
#include "engine.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_capture_state);
PG_FUNCTION_INFO_V1(kpi_commit_time);

/* Names of at most this many tables stand in one sentence. */
#define MAX_NAMES 3

/* The leaves without working triggers, in words; NULL: none. */
static char *
broken_leaves(int32 source_id, List *leaves)
{
	StringInfoData names;
	int			nbroken = 0;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, leaves)
	{
		Oid			relid = lfirst_oid(lc);
		char	   *name = get_rel_name(relid);

		if (name == NULL || kpi_capture_trigger_state(source_id, relid)[0] != '\0')
			continue;
		if (nbroken++ < MAX_NAMES)
			appendStringInfo(&names, "%s%s", nbroken > 1 ? ", " : "",
							 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name));
	}
	if (nbroken == 0)
		return NULL;
	if (nbroken > MAX_NAMES)
		appendStringInfo(&names, " and %d more", nbroken - MAX_NAMES);
	return psprintf("the capture trigger is missing or disabled on %s", names.data);
}

/* kpi_internal.capture_state(source_id integer, OUT tables integer, OUT problem text) */
Datum
kpi_capture_state(PG_FUNCTION_ARGS)
{
	int32		source_id = PG_GETARG_INT32(0);
	KpiSource  *source = kpi_source_load(source_id, true);
	TupleDesc	tupdesc;
	Datum		values[2] = {Int32GetDatum(0)};
	bool		nulls[2] = {false};
	char	   *problem = NULL;
	Oid			relid;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (source == NULL)
		PG_RETURN_NULL();

	relid = kpi_source_relid(source);
	if (OidIsValid(relid))
	{
		List	   *leaves = kpi_leaf_relids(relid);

		values[0] = Int32GetDatum(list_length(leaves));
		problem = broken_leaves(source_id, leaves);
	}
	else
		problem = psprintf("table %s does not exist", source->relation);
	nulls[1] = problem == NULL;
	values[1] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/*
 * kpi_internal.commit_time(transaction xid): when it committed, or NULL where
 * that is not known.  Rows of one transaction follow each other, so the last
 * answer is kept.
 */
Datum
kpi_commit_time(PG_FUNCTION_ARGS)
{
	static TransactionId last_xid = InvalidTransactionId;
	static TimestampTz last_time;
	TransactionId xid = DatumGetTransactionId(PG_GETARG_DATUM(0));

	/* On a standby the primary decides whether they are kept. */
	if (!track_commit_timestamp || RecoveryInProgress() || !TransactionIdIsNormal(xid))
		PG_RETURN_NULL();
	if (xid != last_xid)
	{
		if (!TransactionIdGetCommitTsData(xid, &last_time, NULL))
		{
			last_xid = InvalidTransactionId;
			PG_RETURN_NULL();
		}
		last_xid = xid;
	}
	PG_RETURN_TIMESTAMPTZ(last_time);
}
