/*-------------------------------------------------------------------------
 *
 * leaf.c
 *	  Partitions that have come or gone since the last refresh.
 *
 * The source's lock is held.  What is known of the leaves of its table is in
 * kpi_internal.leaf, as the last refresh left it.
 *
 * A leaf that has come is read alone, and what it has is added.  Its writers mark
 * their deltas with it until a refresh has told them that it is known (capture):
 * those that the run's snapshot shows are in what is read, and are discarded; those
 * that commit later are changes of what was read, and are merged by a later
 * run.  Of a leaf that came and went unseen nothing was ever counted.
 *
 * A leaf that is gone is missing under the run's snapshot, too, else it is still
 * there for this run: a transaction that it shows as under way may yet write to
 * it.  What becomes of its facts is on_detach of the source.  They are sealed (seal.c)
 * only where nothing else makes the cells doubtful, as they are what is left over
 * when the facts are taken off.  Where another leaf has taken its place between
 * the same two refreshes, its facts were replaced.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/relation.h"
#include "base/base.h"
#include "capture/capture.h"
#include "catalog/pg_type.h"
#include "fact/fact.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* So many pages are read in some milliseconds. */
#define SMALL_LEAVES 500

KpiParam
kpi_refresh_oids(List *oids)
{
	Datum	   *elems = palloc(Max(list_length(oids), 1) * sizeof(Datum));
	ListCell   *lc;

	foreach(lc, oids)
		elems[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	return KPI_VALUE(OIDARRAYOID, PointerGetDatum(construct_array(elems, list_length(oids), OIDOID, sizeof(Oid),
																  true, TYPALIGN_INT)));
}

/* ---- what is to be done ---- */

static void
suspend(KpiSourceState *state, const char *reason, const char *hint)
{
	state->suspend_reason = psprintf(KPI_NOTE_OWN "%s", reason);
	state->suspend_hint = pstrdup(hint);
}

/* Those that are gone for the run's snapshot; of the others one is noted. */
static void
drop_detaching(const KpiRunTable *table, KpiSourceState *state)
{
	List	   *lost = NIL;
	ListCell   *lc;

	foreach(lc, state->lost)
	{
		KpiSpi		spi;
		bool		is_there;

		kpi_spi_begin(&spi);
		is_there = kpi_spi_read("WITH RECURSIVE above AS (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = $1"
								" UNION ALL SELECT i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.inhparent)"
								" SELECT FROM above a WHERE a.inhparent = $2",
								2, KPI_VALUE(OIDOID, ObjectIdGetDatum(lfirst_oid(lc))),
								KPI_VALUE(OIDOID, ObjectIdGetDatum(table->relid))) > 0;
		kpi_spi_end(&spi);
		if (is_there)
			state->detaching = kpi_fact_table_name(lfirst_oid(lc));
		else
			lost = lappend_oid(lost, lfirst_oid(lc));
	}
	state->lost = lost;
}

/* Sealed ones that are back are read again. */
static void
look_for_sealed(const KpiSource *source, const KpiRunTable *table, KpiSourceState *state)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT b.is_whole, b.name FROM kpi_internal.seals_come_back($1, $2) b ORDER BY b.seal_id",
				   2, KPI_INT4(source->id), kpi_refresh_oids(table->leaves));
	while (kpi_rows_next(&rows))
	{
		state->lifts = state->recompute = true;
		if (!kpi_rows_bool(&rows, "is_whole"))
			suspend(state, psprintf("table %s is a partition of table %s again, but not all that was sealed with it",
									kpi_rows_text(&rows, "name"), source->relation),
					psprintf("Attach the others that view kpi.sealed shows with it, or take what is sealed out of the numbers with kpi.alter_source(%s, discard_sealed => true); then call kpi.resume().",
							 quote_literal_cstr(source->name)));
	}
	kpi_rows_end(&rows);
}

/* How many of the lost ones have another in their place. */
static int
count_replaced(const KpiSource *source, const KpiRunTable *table, const KpiSourceState *state)
{
	return kpi_first_int8("SELECT pg_catalog.count(*) FROM kpi_internal.leaf l WHERE l.source_id = $1 AND l.relid = ANY ($2)"
						  " AND l.bounds IN (SELECT kpi_internal.partition_bounds(n.relid) FROM pg_catalog.unnest($3) n(relid))",
						  3, KPI_INT4(source->id), kpi_refresh_oids(state->lost), kpi_refresh_oids(table->new_leaves));
}

/* Whether facts are being read again, so that cells of some days are of before. */
static bool
is_being_recomputed(const KpiSource *source)
{
	for (int s = 0; s < source->nstreams; s++)
	{
		for (int m = 0; m < source->streams[s].nmeasures; m++)
		{
			const KpiMeasure *measure = &source->streams[s].measures[m];

			if (measure->is_known && measure->rollups_since == DATEVAL_NOBEGIN &&
				measure->days_since != DATEVAL_NOBEGIN)
				return true;
		}
	}
	return false;
}

static bool
seals_lost(const KpiSource *source)
{
	KpiSpi		spi;
	bool		seals;

	kpi_spi_begin(&spi);
	seals = kpi_spi_read("SELECT FROM kpi.source s WHERE s.id = $1 AND s.on_detach = 'seal'",
						 1, KPI_INT4(source->id)) > 0;
	kpi_spi_end(&spi);
	return seals;
}

static void
decide_lost(const KpiSource *source, const KpiRunTable *table, KpiSourceState *state)
{
	int			nreplaced;

	/* Those of another table that had the name before. */
	if (kpi_model_attached_relid(source->id) != table->relid)
	{
		state->lost = NIL;
		state->recompute = true;
		return;
	}
	drop_detaching(table, state);
	if (state->lost == NIL)
		return;
	nreplaced = count_replaced(source, table, state);
	if (nreplaced == list_length(state->lost) || !seals_lost(source))
		state->recompute = true;
	else if (nreplaced > 0 || state->recompute || is_being_recomputed(source))
		suspend(state, psprintf("a partition of table %s was dropped or detached before a refresh had read what else has changed, so that its facts cannot be told apart",
								source->relation),
				"Call kpi.resume() to rebuild the source from the facts that are there; those of the partition are lost then, and view kpi.sealed says so.");
	else
		state->seals = true;
}

void
kpi_refresh_leaves_decide(const KpiSource *source, KpiRunTable *table, KpiSourceState *state)
{
	if (table->new_leaves != NIL)
		look_for_sealed(source, table, state);
	if (state->lost != NIL && state->suspend_reason == NULL)
		decide_lost(source, table, state);
}

bool
kpi_refresh_leaves_are_small(List *leaves)
{
	BlockNumber blocks = 0;
	ListCell   *lc;

	foreach(lc, leaves)
	{
		Relation	rel;

		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			return false;
		rel = try_relation_open(lfirst_oid(lc), NoLock);
		if (rel == NULL)
			return false;
		blocks += RelationGetNumberOfBlocks(rel);
		relation_close(rel, NoLock);
	}
	return blocks <= SMALL_LEAVES;
}

/* ---- what is known of them ---- */

static void
save_leaf(int32 source_id, Oid relid, const char *trigger_state)
{
	DateADT		since = DATEVAL_NOBEGIN;
	DateADT		until = DATEVAL_NOEND;
	char	   *key_column = kpi_fact_partition_days(relid, &since, &until);

	kpi_spi_exec("INSERT INTO kpi_internal.leaf (source_id, relid, trigger_state, name, bounds, key_column, since, until)"
				 " VALUES ($1, $2, $3, $4, kpi_internal.partition_bounds($2), $5, $6, $7)",
				 7, KPI_INT4(source_id), KPI_VALUE(OIDOID, ObjectIdGetDatum(relid)), KPI_TEXT(trigger_state),
				 KPI_TEXT(kpi_fact_table_name(relid)), KPI_TEXT(key_column),
				 KPI_VALUE(DATEOID, DateADTGetDatum(since)), KPI_VALUE(DATEOID, DateADTGetDatum(until)));
}

/* Writers learn which leaves are known now. */
void
kpi_refresh_leaves_save(int32 source_id, const KpiRunTable *table, const KpiSourceState *state)
{
	ListCell   *leaf;
	ListCell   *look;

	forboth(leaf, state->moved, look, state->moved_states)
		kpi_spi_exec("UPDATE kpi_internal.leaf SET trigger_state = $3 WHERE source_id = $1 AND relid = $2",
					 3, KPI_INT4(source_id), KPI_VALUE(OIDOID, ObjectIdGetDatum(lfirst_oid(leaf))), KPI_TEXT(lfirst(look)));
	if (!state->recompute && table->new_leaves == NIL && state->lost == NIL)
		return;
	kpi_spi_exec("DELETE FROM kpi_internal.leaf l WHERE l.source_id = $1 AND ($2 OR l.relid = ANY ($3))",
				 3, KPI_INT4(source_id), KPI_BOOL(state->recompute), kpi_refresh_oids(state->lost));
	forboth(leaf, table->locked, look, table->leaf_states)
	{
		Oid			relid = lfirst_oid(leaf);

		if (!list_member_oid(state->recompute ? table->leaves : table->new_leaves, relid))
			continue;
		save_leaf(source_id, relid, lfirst(look));
		if (relid != table->relid)
			CacheInvalidateRelcacheByRelid(relid);
	}
}

/* Of those that are known; the table is the one that was refreshed last. */
static List *
lost_leaves(int32 source_id)
{
	Oid			relid = kpi_model_attached_relid(source_id);
	List	   *lost = NIL;
	List	   *leaves;
	KpiRows		rows;

	if (!OidIsValid(relid) || get_rel_name(relid) == NULL)
		return NIL;
	leaves = kpi_model_leaf_relids(relid);
	kpi_rows_begin(&rows, "SELECT l.relid FROM kpi_internal.leaf l WHERE l.source_id = $1", 1, KPI_INT4(source_id));
	while (kpi_rows_next(&rows))
	{
		Oid			leaf = kpi_rows_oid(&rows, "relid");

		if (!list_member_oid(leaves, leaf))
			lost = lappend_oid(lost, leaf);
	}
	kpi_rows_end(&rows);
	return lost;
}

bool
kpi_refresh_leaves_are_lost(int32 source_id)
{
	return lost_leaves(source_id) != NIL;
}

void
kpi_refresh_leaves_forget_lost(int32 source_id)
{
	List	   *lost = lost_leaves(source_id);
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("DELETE FROM kpi_internal.leaf l WHERE l.source_id = $1 AND l.relid = ANY ($2)",
				 2, KPI_INT4(source_id), kpi_refresh_oids(lost));
	kpi_spi_end(&spi);
}

/*
 * The facts of lost ones are in no number from now on, up to the last day that
 * their bounds tell, or to today.
 */
static void
note_lost(int32 source_id, List *lost)
{
	int32		seal_id;

	seal_id = kpi_first_int4("INSERT INTO kpi_internal.seal (source_id, missing_until)"
							 " SELECT s.id, CASE WHEN pg_catalog.bool_and(l.until < 'infinity' AND NOT EXISTS"
							 "   (SELECT FROM kpi_internal.stream x WHERE x.source_id = s.id"
							 "     AND x.at <> pg_catalog.quote_ident(l.key_column)))"
							 "  THEN pg_catalog.max(l.until) ELSE kpi.today() + 1 END"
							 " FROM kpi.source s JOIN kpi_internal.leaf l ON l.source_id = s.id AND l.relid = ANY ($2)"
							 " WHERE s.id = $1 AND s.on_detach = 'seal' GROUP BY s.id RETURNING id",
							 2, KPI_INT4(source_id), kpi_refresh_oids(lost));
	if (seal_id != 0)
		kpi_refresh_seal_partitions(KPI_INT4(seal_id), KPI_INT4(source_id), kpi_refresh_oids(lost));
}

void
kpi_refresh_leaves_forget(int32 source_id)
{
	List	   *lost = lost_leaves(source_id);
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	if (lost != NIL)
		note_lost(source_id, lost);
	kpi_spi_exec("DELETE FROM kpi_internal.leaf WHERE source_id = $1", 1, KPI_INT4(source_id));
	kpi_spi_end(&spi);
}
