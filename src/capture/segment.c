/*-------------------------------------------------------------------------
 *
 * segment.c
 *	  The tables of the queue: two segments for each source.
 *
 * A source has two tables, kpi_internal.queue_<source id>_0 and _1.  Writers
 * append to one of them, refreshes read both, so it never matters which one a
 * row is in.  Writers take the second when the first has grown, and whenever one
 * is not to be had at once: so whoever empties a segment keeps no writer waiting.
 *
 * A refresh empties a segment that has grown without deleting its rows one by
 * one.  It seals it: takes SHARE ROW EXCLUSIVE, if that is to be had at once.
 * Then no transaction is left that has written to it and not ended, prepared
 * ones included, and none begins to.  At the end of the transaction the
 * segment gets a new file, under ACCESS EXCLUSIVE, if that is to be had at once;
 * else its rows are deleted after all.  This session's own writes avoid what it
 * has sealed, and what a refresh has consumed is not read again.
 *
 * The tables are made when a source is created, and after a restore at its
 * first refresh, while no writer is under way.  They are members of the
 * extension: never dumped, and dropped with it.  They are made in C: no
 * statement, so no event trigger, default access method or default privilege
 * of others has a say.
 *
 * Locks: ROW EXCLUSIVE of writers, until their transaction ends; the two of who
 * empties a segment.  Only who holds the source's lock seals and drops.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/base.h"
#include "capture/capture_internal.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "catalog/toasting.h"
#include "commands/comment.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/*
 * To delete the rows of a segment of so many pages takes longer than to try for
 * so many ms to seal it; not again for a minute.
 */
#define LARGE_BLOCKS 1024
#define LARGE_TRIES 50
#define BUSY_MS 60000

/* A segment that this transaction has sealed. */
typedef struct SealedSegment
{
	Oid			relid;
	SubTransactionId subid;
	bool		consumed;		/* all rows are: it is to be emptied */
} SealedSegment;

static List *sealed = NIL;		/* in TopTransactionContext */

/* The segment that this transaction has written to last. */
static int32 written_source_id = 0;
static Oid	written_relid = InvalidOid;

/* The segments of the source asked for last, as long as nothing has happened to them. */
static int32 known_source_id = 0;
static Oid	known_relids[KPI_SEGMENTS];

/*
 * A segment of so many pages has grown: reading it, dead rows and all, must
 * not be felt in a refresh, nor how often it gets a new file.
 */
BlockNumber
kpi_capture_grown_blocks(void)
{
	return Max(kpi_segment_size / (BLCKSZ / 1024), 1);
}

/* ---- which tables they are ---- */

static char *
segment_name(int32 source_id, int segment)
{
	return psprintf("queue_%d_%d", source_id, segment);
}

static void
table_changed(Oid relid)
{
	if (!OidIsValid(relid) || relid == known_relids[0] || relid == known_relids[1])
		known_source_id = 0;
}

static void
look_up_segments(int32 source_id)
{
	Oid			namespace = get_namespace_oid("kpi_internal", true);

	kpi_on_relcache_change(table_changed);
	for (int s = 0; s < KPI_SEGMENTS; s++)
	{
		char	   *name = segment_name(source_id, s);

		known_relids[s] = OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;
		pfree(name);
	}
	/* One that is not there yet sends nothing when it comes. */
	known_source_id = OidIsValid(known_relids[0]) && OidIsValid(known_relids[1]) ? source_id : 0;
}

Oid
kpi_capture_segment_relid(int32 source_id, int segment)
{
	if (source_id != known_source_id)
		look_up_segments(source_id);
	return known_relids[segment];
}

bool
kpi_capture_segments_exist(int32 source_id)
{
	return OidIsValid(kpi_capture_segment_relid(source_id, 0)) &&
		OidIsValid(kpi_capture_segment_relid(source_id, 1));
}

/* ---- create and drop ---- */

static TupleDesc
segment_columns(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(KPI_QUEUE_COLUMNS);

	TupleDescInitEntry(desc, KPI_QUEUE_CAPTURED_AT + 1, "captured_at", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, KPI_QUEUE_DELTAS + 1, "deltas", INT4OID, -1, 0);
	TupleDescInitEntry(desc, KPI_QUEUE_KIND + 1, "kind", CHAROID, -1, 0);
	TupleDescInitEntry(desc, KPI_QUEUE_XID + 1, "lowest_xid", XID8OID, -1, 0);
	TupleDescInitEntry(desc, KPI_QUEUE_LOADED_AT + 1, "loaded_at", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, KPI_QUEUE_ERROR + 1, "error", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, KPI_QUEUE_DATA + 1, "data", BYTEAOID, -1, 0);
	TupleDescAttr(desc, KPI_QUEUE_ERROR)->attstorage = TYPSTORAGE_MAIN;
	TupleDescAttr(desc, KPI_QUEUE_DATA)->attstorage = TYPSTORAGE_MAIN;
	return desc;
}

static List *
add_option(List *options, const char *name, int value)
{
	return lappend(options, makeDefElem(pstrdup(name), (Node *) makeInteger(value), -1));
}

/* Nobody plans with statistics of a queue, and rows that fit a page stay as they are. */
static Datum
segment_options(void)
{
	List	   *options = NIL;

	options = add_option(options, "autovacuum_vacuum_scale_factor", 0);
	options = add_option(options, "autovacuum_vacuum_threshold", 5000);
	options = add_option(options, "autovacuum_analyze_threshold", 2000000000);
	options = add_option(options, "toast_tuple_target", TOAST_TUPLE_TARGET_MAIN);
	return transformRelOptions((Datum) 0, options, NULL, NULL, false, false);
}

static void
create_segment(int32 source_id, int segment, Oid owner)
{
	Oid			relid;
	ObjectAddress table;
	ObjectAddress extension;

	relid = heap_create_with_catalog(segment_name(source_id, segment),
									 get_namespace_oid("kpi_internal", false), InvalidOid,
									 InvalidOid, InvalidOid, InvalidOid, owner, HEAP_TABLE_AM_OID,
									 segment_columns(), NIL, RELKIND_RELATION, RELPERSISTENCE_PERMANENT,
									 false, false, ONCOMMIT_NOOP, segment_options(),
									 false, false, true, InvalidOid, NULL);
	CommandCounterIncrement();
	NewRelationCreateToastTable(relid, (Datum) 0);
	ObjectAddressSet(table, RelationRelationId, relid);
	ObjectAddressSet(extension, ExtensionRelationId, get_extension_oid("pg_kpi", false));
	recordDependencyOn(&table, &extension, DEPENDENCY_EXTENSION);
	CreateComments(relid, RelationRelationId, 0, "A half of the queue of one source (kpi_internal.delta)");
	CommandCounterIncrement();
}

/* A table of the queue; false, and nothing has happened, if somebody uses it. */
static bool
drop_segment(Oid relid)
{
	ObjectAddress table;

	if (!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return false;
	if (get_rel_name(relid) == NULL)
		return true;
	/* What is a member can only be dropped with the extension. */
	deleteDependencyRecordsForClass(RelationRelationId, relid, ExtensionRelationId, DEPENDENCY_EXTENSION);
	CommandCounterIncrement();
	ObjectAddressSet(table, RelationRelationId, relid);
	performDeletion(&table, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	return true;
}

void
kpi_capture_segments_drop(int32 source_id)
{
	for (int s = 0; s < KPI_SEGMENTS; s++)
	{
		Oid			relid = kpi_capture_segment_relid(source_id, s);

		if (OidIsValid(relid))
			(void) drop_segment(relid);
	}
}

/* Segments of dropped sources that somebody was reading then. */
static void
drop_orphans(void)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT o.relid FROM kpi_internal.queue_orphan o", 0);
	while (kpi_rows_next(&rows))
		(void) drop_segment(kpi_rows_oid(&rows, "relid"));
	kpi_rows_end(&rows);
}

void
kpi_capture_segments_create(int32 source_id)
{
	Oid			owner = kpi_extension_owner();

	if (kpi_capture_segments_exist(source_id))
		return;
	drop_orphans();
	for (int s = 0; s < KPI_SEGMENTS; s++)
	{
		if (!OidIsValid(kpi_capture_segment_relid(source_id, s)))
			create_segment(source_id, s, owner);
	}
}

void
kpi_capture_segments_lock(int32 source_id)
{
	for (int s = 0; s < KPI_SEGMENTS; s++)
	{
		Oid			relid = kpi_capture_segment_relid(source_id, s);

		if (OidIsValid(relid))
			LockRelationOid(relid, AccessShareLock);
	}
}

/* ---- for writers ---- */

static SealedSegment *
find_sealed(Oid relid)
{
	ListCell   *lc;

	foreach(lc, sealed)
	{
		SealedSegment *segment = lfirst(lc);

		if (segment->relid == relid)
			return segment;
	}
	return NULL;
}

static Relation
open_if_free(Oid relid)
{
	Relation	rel;

	if (!OidIsValid(relid) || find_sealed(relid) != NULL ||
		!ConditionalLockRelationOid(relid, RowExclusiveLock))
		return NULL;
	rel = try_table_open(relid, NoLock);
	if (rel == NULL)
		UnlockRelationOid(relid, RowExclusiveLock);
	return rel;
}

static bool
has_grown(Relation rel)
{
	return RelationGetNumberOfBlocks(rel) >= kpi_capture_grown_blocks();
}

/* Somebody has locked both: DDL of an administrator's own. */
static Relation
wait_for_segment(int32 source_id)
{
	for (int s = 0; s < KPI_SEGMENTS; s++)
	{
		Oid			relid = kpi_capture_segment_relid(source_id, s);

		if (OidIsValid(relid) && find_sealed(relid) == NULL)
			return try_table_open(relid, RowExclusiveLock);
	}
	return NULL;
}

/*
 * All writers come to the same choice by the sizes alone: the first, until it has
 * grown; then the second, so that who has written to the first ends, and it can
 * be sealed.  When the second has grown as well, nobody refreshes the source, or
 * somebody who has written to the first does not end.  Then it is the first
 * again, so that what waits is in one of them, but for a little.  What one
 * transaction writes is in one.
 */
static Relation
choose_segment(int32 source_id)
{
	Relation	first = NULL;
	Relation	second = NULL;

	if (written_source_id == source_id)
		first = open_if_free(written_relid);
	if (first != NULL)
		return first;

	first = open_if_free(kpi_capture_segment_relid(source_id, 0));
	if (first != NULL && !has_grown(first))
		return first;
	second = open_if_free(kpi_capture_segment_relid(source_id, 1));
	if (first == NULL && second == NULL)
		return wait_for_segment(source_id);
	if (first == NULL || second == NULL)
		return first ? first : second;
	if (has_grown(second))
	{
		table_close(second, RowExclusiveLock);
		return first;
	}
	table_close(first, RowExclusiveLock);
	return second;
}

Relation
kpi_capture_segment_open(int32 source_id)
{
	Relation	rel = choose_segment(source_id);

	written_source_id = source_id;
	written_relid = rel ? RelationGetRelid(rel) : InvalidOid;
	return rel;
}

/* ---- emptied by who has read all of it ---- */

BlockNumber
kpi_capture_segment_blocks(Oid relid)
{
	Relation	rel = OidIsValid(relid) ? try_table_open(relid, AccessShareLock) : NULL;
	BlockNumber blocks;

	if (rel == NULL)
		return 0;
	blocks = kpi_capture_segment_is_consumed(relid) ? 0 : RelationGetNumberOfBlocks(rel);
	table_close(rel, AccessShareLock);
	return blocks;
}

BlockNumber
kpi_capture_segments_blocks(int32 source_id)
{
	BlockNumber blocks = 0;

	for (int s = 0; s < KPI_SEGMENTS; s++)
		blocks += kpi_capture_segment_blocks(kpi_capture_segment_relid(source_id, s));
	return blocks;
}

static void
note_sealed(Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	SealedSegment *segment = palloc0(sizeof(SealedSegment));

	segment->relid = relid;
	segment->subid = GetCurrentSubTransactionId();
	sealed = lappend(sealed, segment);
	MemoryContextSwitchTo(old);
}

/*
 * Writers that come one after the other leave a moment in which nobody holds it.
 * A segment that somebody holds for longer is not worth that wait again soon.
 */
static bool
lock_for_seal(Oid relid, BlockNumber blocks)
{
	static Oid	busy_relid = InvalidOid;
	static TimestampTz busy_until = 0;
	int			tries = blocks >= LARGE_BLOCKS ? LARGE_TRIES : 1;

	if (relid == busy_relid && GetCurrentTimestamp() < busy_until)
		tries = 1;
	for (int i = 0; i < tries; i++)
	{
		if (i > 0)
			pg_usleep(1000L);
		CHECK_FOR_INTERRUPTS();
		if (ConditionalLockRelationOid(relid, ShareRowExclusiveLock))
			return true;
	}
	if (tries > 1)
	{
		busy_relid = relid;
		busy_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BUSY_MS);
	}
	return false;
}

/* Writers need one of the two: the other one is not sealed in this transaction. */
Oid
kpi_capture_segment_seal(int32 source_id)
{
	Oid			relids[KPI_SEGMENTS];
	BlockNumber blocks[KPI_SEGMENTS];
	int			larger;

	for (int s = 0; s < KPI_SEGMENTS; s++)
	{
		relids[s] = kpi_capture_segment_relid(source_id, s);
		if (find_sealed(relids[s]) != NULL)
			return InvalidOid;
		blocks[s] = kpi_capture_segment_blocks(relids[s]);
	}
	larger = blocks[1] > blocks[0] ? 1 : 0;
	for (int i = 0; i < KPI_SEGMENTS; i++)
	{
		int			s = i == 0 ? larger : 1 - larger;

		if (blocks[s] >= kpi_capture_grown_blocks() && lock_for_seal(relids[s], blocks[s]))
		{
			note_sealed(relids[s]);
			return relids[s];
		}
	}
	return InvalidOid;
}

void
kpi_capture_segment_consumed(Oid relid)
{
	find_sealed(relid)->consumed = true;
}

bool
kpi_capture_segment_is_consumed(Oid relid)
{
	SealedSegment *segment = find_sealed(relid);

	return segment != NULL && segment->consumed;
}

/* Nothing else than what was consumed can be in it. */
static void
delete_all(Relation rel)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		simple_heap_delete(rel, &slot->tts_tid);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
}

static bool
lock_for_new_file(Relation rel)
{
	Oid			toast_relid = rel->rd_rel->reltoastrelid;

	return ConditionalLockRelation(rel, AccessExclusiveLock) &&
		(!OidIsValid(toast_relid) || ConditionalLockRelationOid(toast_relid, AccessExclusiveLock));
}

/*
 * A new file lasts until the end of the transaction to be seen, and its lock as
 * long: a transaction that is prepared may last.
 */
void
kpi_capture_segments_empty(bool may_lock)
{
	List	   *segments = sealed;
	ListCell   *lc;

	sealed = NIL;
	foreach(lc, segments)
	{
		SealedSegment *segment = lfirst(lc);
		Relation	rel = segment->consumed ? try_table_open(segment->relid, RowExclusiveLock) : NULL;

		if (rel == NULL)
			continue;
		PushActiveSnapshot(GetTransactionSnapshot());
		if (may_lock && lock_for_new_file(rel))
			kpi_compat_truncate(rel);
		else
			delete_all(rel);
		PopActiveSnapshot();
		table_close(rel, NoLock);
	}
}

void
kpi_capture_segments_forget(void)
{
	sealed = NIL;
	written_source_id = 0;
}

/* The lock goes with the subtransaction that has taken it, and so does what it did. */
void
kpi_capture_segments_subxact(bool commit, SubTransactionId subid, SubTransactionId parent)
{
	ListCell   *lc;

	foreach(lc, sealed)
	{
		SealedSegment *segment = lfirst(lc);

		if (segment->subid != subid)
			continue;
		if (commit)
			segment->subid = parent;
		else
			sealed = foreach_delete_current(sealed, lc);
	}
}
