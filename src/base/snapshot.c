/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  Whether the active snapshot shows what an earlier one showed, and whether
 *	  it is the only one.
 *
 * What is computed from rows under a snapshot can be kept as long as the
 * snapshots that follow show the same rows: for the calls of one query, that is,
 * and of most queries that follow each other in a transaction.
 *
 * Within a transaction two snapshots of the same xmin, xmax, numbers of running
 * transactions and subtransactions and command id show the same: a transaction
 * that ends leaves its number smaller or xmax larger, and what the transaction
 * itself writes raises the command id.  The numbers are not added up: that of
 * subtransactions grows when one with too many of them to be counted has ended.
 * On a standby all are counted among the latter.  Only the rollback of a savepoint takes rows away
 * without any of that, so an end of a subtransaction counts as a change.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/base.h"
#include "utils/snapmgr.h"

/* Ends of transactions and subtransactions, since the library was loaded. */
static uint64 nends = 0;

static bool is_pinned = false;

static void
transaction_ended(XactEvent event, void *arg)
{
	nends++;
}

static void
subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	nends++;
}

void
kpi_snapshot_init(void)
{
	RegisterXactCallback(transaction_ended, NULL);
	RegisterSubXactCallback(subtransaction_ended, NULL);
}

bool
kpi_snapshot_changed(KpiSnapshotNote *note)
{
	Snapshot	snapshot = GetActiveSnapshot();
	KpiSnapshotNote now = {
		.nends = nends,
		.xmin = snapshot->xmin,
		.xmax = snapshot->xmax,
		.nrunning = snapshot->xcnt,
		.nsubrunning = snapshot->subxcnt,
		.command = snapshot->curcid,
		.in_recovery = snapshot->takenDuringRecovery
	};

	if (now.nends == note->nends && now.xmin == note->xmin && now.xmax == note->xmax &&
		now.nrunning == note->nrunning && now.nsubrunning == note->nsubrunning &&
		now.command == note->command && now.in_recovery == note->in_recovery)
		return false;
	*note = now;
	return true;
}

void
kpi_snapshot_pin(bool pin)
{
	is_pinned = pin;
}

bool
kpi_snapshot_is_pinned(void)
{
	return is_pinned && ActiveSnapshotSet();
}

Snapshot
kpi_snapshot_latest(void)
{
	return kpi_snapshot_is_pinned() ? GetActiveSnapshot() : GetLatestSnapshot();
}
