/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What kpi.source_status shows that only C can see.
 *
 * When changes that wait were committed; refresh/recheck.c has what the catalogs say.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/commit_ts.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kpi_sql_commit_time);

/*
 * kpi_internal.commit_time(transaction xid): when it committed, or NULL where
 * that is not known.  Rows of one transaction follow each other, so the last
 * answer is kept.
 */
Datum
kpi_sql_commit_time(PG_FUNCTION_ARGS)
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
