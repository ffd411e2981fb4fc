/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  Triggers of the tables that keyed sources follow: which rows have changed.
 *
 * Nothing is computed of a change but a note: the values of OLD and NEW by which
 * the next refresh finds the entities that it touches.  A note is a delta without
 * a cell.  Its stream is minus the number of the relation among those of its
 * source, its version that of the keyed source, its values those of the noted columns,
 * as text.  So notes are merged, spilled, rolled back, queued and compacted as deltas are.
 *
 * A note that comes from elsewhere, as by a table that had the name before, does
 * no harm: an entity is read again and is as it was.  So what is kept here of a table need
 * not be exact in time, but nothing may be missed: the definition changes
 * under SHARE ROW EXCLUSIVE on the table, and a refresh that finds another
 * table, trigger or definition reads all.
 *
 * A table is known by its name.  One that has lost it may get it back, so what is
 * written meanwhile asks for all to be read, until a refresh has seen another table
 * under the name.
 *
 * No code of a user's runs here: values are printed by the output functions of base types.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture_internal.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "model/model.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(kpi_sql_follow);
PG_FUNCTION_INFO_V1(kpi_sql_follow_truncate);

typedef struct FollowKey
{
	Oid			relid;
	int32		source_id;
} FollowKey;

typedef struct FollowColumn
{
	AttrNumber	attnum;
	bool		byval;
	int16		len;
	FmgrInfo	output;			/* of a noted column */
} FollowColumn;

/* What is noted of a table for a source. */
typedef struct Follow
{
	FollowKey	key;
	bool		stale;
	bool		is_wanted;		/* false: nothing is noted */
	bool		is_broken;		/* a column or the name is missing: all is to
								 * be read */
	bool		is_unnamed;		/* it may get its name back, or another has it
								 * for good */
	bool		differs;		/* the library from its objects, so that it
								 * cannot be loaded: is_broken */
	MemoryContext context;
	int			nancestors;
	Oid		   *ancestors;
	int32		position;
	int32		version;
	bool		pins;			/* printing depends on settings */
	int			nnoted;
	FollowColumn *noted;
	int			nused;			/* -1: a change of any column matters */
	FollowColumn *used;
	AttrNumber	last_attnum;	/* of all of them */
} Follow;

static HTAB *follows = NULL;
static MemoryContext cache_context = NULL;
static StringInfoData key_buffer;

/* ---- definitions, kept ---- */

static void
table_changed(Oid relid)
{
	HASH_SEQ_STATUS status;
	Follow	   *follow;

	hash_seq_init(&status, follows);
	while ((follow = hash_seq_search(&status)) != NULL)
	{
		bool		concerns = !OidIsValid(relid) || follow->key.relid == relid;

		for (int i = 0; i < follow->nancestors && !concerns; i++)
			concerns = follow->ancestors[i] == relid;
		follow->stale |= concerns || follow->is_unnamed;
	}
}

static void
names_changed(int cacheid)
{
	table_changed(InvalidOid);
}

static void
init_cache(void)
{
	HASHCTL		ctl = {.keysize = sizeof(FollowKey),.entrysize = sizeof(Follow)};
	MemoryContext old;

	cache_context = AllocSetContextCreate(CacheMemoryContext, "pg_kpi follow", ALLOCSET_SMALL_SIZES);
	ctl.hcxt = cache_context;
	follows = hash_create("pg_kpi follow", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	old = MemoryContextSwitchTo(cache_context);
	initStringInfo(&key_buffer);
	MemoryContextSwitchTo(old);
	kpi_on_relcache_change(table_changed);
	kpi_on_syscache_change(NAMESPACEOID, names_changed);
}

/* Types whose text no setting has a say in. */
static bool
prints_alike(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case BOOLOID:
		case CHAROID:
		case NAMEOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case UUIDOID:
		case NUMERICOID:
			return true;
		default:
			return get_typtype(type) == TYPTYPE_ENUM;
	}
}

static void
load_column(Follow *follow, FollowColumn *column, const char *name, bool is_noted)
{
	HeapTuple	tuple = SearchSysCacheAttName(follow->key.relid, name);
	Form_pg_attribute att;
	Oid			type;
	Oid			output;
	bool		is_varlena;

	if (!HeapTupleIsValid(tuple))
	{
		follow->is_broken = true;
		return;
	}
	att = (Form_pg_attribute) GETSTRUCT(tuple);
	column->attnum = att->attnum;
	column->byval = att->attbyval;
	column->len = att->attlen;
	type = getBaseType(att->atttypid);
	ReleaseSysCache(tuple);
	follow->last_attnum = Max(follow->last_attnum, column->attnum);
	if (!is_noted)
		return;
	follow->pins |= !prints_alike(type);
	getTypeOutputInfo(type, &output, &is_varlena);
	fmgr_info_cxt(output, &column->output, follow->context);
}

static FollowColumn *
load_columns(Follow *follow, List *names, bool is_noted)
{
	FollowColumn *columns = palloc0(Max(list_length(names), 1) * sizeof(FollowColumn));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, names)
		load_column(follow, &columns[n++], lfirst(lc), is_noted);
	return columns;
}

static bool
is_table_of(const Follow *follow, Oid relid)
{
	for (int i = 0; i < follow->nancestors; i++)
	{
		if (follow->ancestors[i] == relid)
			return true;
	}
	return relid == follow->key.relid;
}

/*
 * By the name that the definition has.  While a table is missing, or another has
 * its name that no refresh has seen yet, this one may get it back (*unnamed).
 */
static KpiFollow *
find_definition(const Follow *follow, const KpiKeyed *keyed, bool *unnamed)
{
	ListCell   *lc;

	*unnamed = false;
	foreach(lc, keyed->follows)
	{
		KpiFollow  *definition = lfirst(lc);
		Oid			relid;

		if (definition->query == NULL)
			continue;
		relid = kpi_model_relid_by_name(definition->relation);
		if (is_table_of(follow, relid))
			return definition;
		*unnamed |= !OidIsValid(relid) || !kpi_capture_is_followed(follow->key.source_id, relid);
	}
	return NULL;
}

static void
load_definition(void *arg)
{
	Follow	   *follow = arg;
	KpiKeyed   *keyed;
	KpiFollow  *definition;

	follow->is_wanted = follow->is_broken = follow->is_unnamed = false;
	if (kpi_model_source_is_suspended(follow->key.source_id))
		return;
	keyed = kpi_model_keyed_load(follow->key.source_id, false);
	if (keyed == NULL)
		return;
	definition = find_definition(follow, keyed, &follow->is_unnamed);
	follow->is_wanted = definition != NULL || follow->is_unnamed;
	follow->version = keyed->version;
	follow->is_broken = follow->is_unnamed;
	if (definition == NULL || follow->is_broken)
		return;
	follow->position = definition->position;
	follow->version = keyed->version;
	follow->nnoted = list_length(definition->columns);
	follow->noted = load_columns(follow, definition->columns, true);
	follow->nused = definition->uses_all ? -1 : list_length(definition->used);
	follow->used = load_columns(follow, definition->used, false);
}

/*
 * Loads it, as load_entry() of trigger.c: where the library differs from its objects,
 * a failure to do so is no error.
 */
static void
load_follow(Follow *follow, Relation rel)
{
	MemoryContext old;
	List	   *ancestors;
	ListCell   *lc;
	int			difference = kpi_extension_difference();

	if (follow->context != NULL)
		MemoryContextDelete(follow->context);
	follow->nancestors = 0;
	follow->last_attnum = 0;
	follow->pins = false;
	follow->context = AllocSetContextCreate(cache_context, "pg_kpi follow of a table", ALLOCSET_SMALL_SIZES);
	ancestors = rel->rd_rel->relispartition ? get_partition_ancestors(follow->key.relid) : NIL;
	old = MemoryContextSwitchTo(follow->context);
	follow->ancestors = palloc(sizeof(Oid) * Max(list_length(ancestors), 1));
	foreach(lc, ancestors)
		follow->ancestors[follow->nancestors++] = lfirst_oid(lc);
	follow->stale = false;
	follow->differs = difference < 0;
	PG_TRY();
	{
		if (difference > 0)
			follow->differs = kpi_try(KPI_ERROR_TRAPPED, load_definition, follow) != NULL;
		else if (difference == 0)
			load_definition(follow);
	}
	PG_CATCH();
	{
		follow->stale = true;
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (follow->differs)
		follow->is_wanted = follow->is_broken = true;
	MemoryContextSwitchTo(old);
}

/* NULL if the trigger is none of ours. */
static Follow *
trigger_follow(FunctionCallInfo fcinfo, TriggerData *trigdata)
{
	Follow	   *follow = fcinfo->flinfo->fn_extra;
	FollowKey	key = {RelationGetRelid(trigdata->tg_relation), 0};
	bool		found;

	if (follow == NULL)
	{
		if (follows == NULL)
			init_cache();
		AcceptInvalidationMessages();
		key.source_id = kpi_capture_trigger_argument(trigdata->tg_trigger);
		if (key.source_id == 0)
			return NULL;
		follow = hash_search(follows, &key, HASH_ENTER, &found);
		if (!found)
		{
			memset((char *) follow + sizeof(FollowKey), 0, sizeof(Follow) - sizeof(FollowKey));
			follow->stale = true;
		}
		fcinfo->flinfo->fn_extra = follow;
		follow->stale |= follow->differs;
	}
	if (follow->stale)
		load_follow(follow, trigdata->tg_relation);
	return follow->is_wanted ? follow : NULL;
}

/* ---- notes ---- */

static void
add_note(int32 source_id, int32 stream_id, int32 version, int ndims)
{
	KpiSubxactDeltas *subxact = kpi_capture_subxact_current();
	KpiDeltaKey *key = (KpiDeltaKey *) key_buffer.data;
	KpiDelta	model = {.key = key,.key_len = key_buffer.len};

	key->source_id = source_id;
	key->stream_id = stream_id;
	key->version = version;
	key->day = KPI_ERROR_DAY;
	key->ndims = ndims;
	model.hash = hash_bytes((unsigned char *) key, key_buffer.len);
	kpi_capture_note(source_id);
	if (kpi_capture_subxact_find(subxact, &model) == NULL)
		(void) kpi_capture_subxact_insert(subxact, &model, kpi_cell_empty());
	kpi_capture_spill(subxact);
}

static void
begin_key(void)
{
	KpiDeltaKey key = {0};

	resetStringInfo(&key_buffer);
	appendBinaryStringInfo(&key_buffer, (char *) &key, offsetof(KpiDeltaKey, values));
}

void
kpi_capture_note_entity(int32 source_id, int32 version, const char *entity)
{
	if (follows == NULL)
		init_cache();
	begin_key();
	appendStringInfoChar(&key_buffer, '\1');
	appendBinaryStringInfo(&key_buffer, entity, strlen(entity) + 1);
	add_note(source_id, KPI_NOTE_ENTITY, version, 0);
}

/* All entities are to be read. */
static void
note_all(const Follow *follow)
{
	begin_key();
	appendStringInfoChar(&key_buffer, '\0');
	add_note(follow->key.source_id, KPI_NOTE_ALL, follow->version, 0);
}

static void
append_value(const FollowColumn *column, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column->attnum, &isnull);
	char	   *text;

	appendStringInfoChar(&key_buffer, isnull ? '\0' : '\1');
	if (isnull)
		return;
	text = OutputFunctionCall(unconstify(FmgrInfo *, &column->output), value);
	appendBinaryStringInfo(&key_buffer, text, strlen(text) + 1);
	pfree(text);
}

static void
note_row(const Follow *follow, TupleTableSlot *slot)
{
	int			nest_level = 0;

	if (follow->is_broken)
	{
		note_all(follow);
		return;
	}
	if (follow->pins)
	{
		nest_level = NewGUCNestLevel();
		kpi_settings_pin(KPI_SETTINGS_ALL);
	}
	begin_key();
	for (int i = 0; i < follow->nnoted; i++)
		append_value(&follow->noted[i], slot);
	if (nest_level > 0)
		AtEOXact_GUC(true, nest_level);
	add_note(follow->key.source_id, -follow->position, follow->version, follow->nnoted - 1);
}

/* As they are stored: what differs only in that is read once too often. */
static bool
differs(const FollowColumn *columns, int n, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	for (int i = 0; i < n; i++)
	{
		bool		old_null;
		bool		new_null;
		Datum		old_value = slot_getattr(old_slot, columns[i].attnum, &old_null);
		Datum		new_value = slot_getattr(new_slot, columns[i].attnum, &new_null);

		if (old_null != new_null ||
			(!old_null && !datum_image_eq(old_value, new_value, columns[i].byval, columns[i].len)))
			return true;
	}
	return false;
}

static void
note_update(const Follow *follow, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	if (!follow->is_broken)
	{
		slot_getsomeattrs(old_slot, follow->last_attnum);
		slot_getsomeattrs(new_slot, follow->last_attnum);
		if (follow->nused >= 0 && !differs(follow->used, follow->nused, old_slot, new_slot))
			return;
	}
	note_row(follow, old_slot);
	if (!follow->is_broken && differs(follow->noted, follow->nnoted, old_slot, new_slot))
		note_row(follow, new_slot);
}

/* ---- the triggers ---- */

Datum
kpi_sql_follow(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Follow	   *follow;

	kpi_capture_check_call(fcinfo, "follow", true);
	if (kpi_capture_is_off(fcinfo))
		return PointerGetDatum(NULL);
	follow = trigger_follow(fcinfo, trigdata);
	if (follow == NULL)
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		note_update(follow, trigdata->tg_trigslot, trigdata->tg_newslot);
	else
		note_row(follow, trigdata->tg_trigslot);
	return PointerGetDatum(NULL);
}

Datum
kpi_sql_follow_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Follow	   *follow;

	kpi_capture_check_call(fcinfo, "follow_truncate", false);
	if (kpi_capture_is_off(fcinfo))
		return PointerGetDatum(NULL);
	follow = trigger_follow(fcinfo, trigdata);
	if (follow != NULL)
		note_all(follow);
	return PointerGetDatum(NULL);
}
