/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  The trigger functions, and the projections they keep.
 *
 * kpi.capture(source id) fires after every row that is inserted, updated or
 * deleted in a leaf of a source; kpi.capture_truncate(source id) after its
 * TRUNCATE.  Whatever is wrong with the source, the user's statement goes on:
 * a source that is gone or suspended, or that the table no longer belongs to,
 * is skipped; a definition that no longer fits the table is reported by a marker
 * in the queue, once in a session until the source is resumed.  Where the
 * writer's recursion leaves too little of the stack to evaluate, a marker has the
 * facts read again.  Only errors that say that the statement, the transaction or
 * the server cannot go on reach the user.
 *
 * Each backend keeps one entry for each (table, source) with the definitions
 * it read and the projection compiled from them.  Definitions are read with a
 * fresh snapshot: the transaction's own may be older than the source.  They
 * cannot change under a statement that is writing, because defining takes a
 * SHARE ROW EXCLUSIVE lock on the table and sends a relcache invalidation for
 * it.  Invalidation only marks entries; a stale projection is set
 * aside at the next use and freed at the end of the transaction, when no
 * evaluation can be under way in it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture_internal.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "model/model.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(kpi_sql_capture);
PG_FUNCTION_INFO_V1(kpi_sql_capture_truncate);

typedef enum EntryState
{
	ENTRY_READY,
	ENTRY_SKIP,					/* no such source, or not a table of it, or
								 * the source is suspended */
	ENTRY_BROKEN				/* the definition does not fit the table */
} EntryState;

typedef struct EntryKey
{
	Oid			relid;
	int32		source_id;
} EntryKey;

typedef struct Entry
{
	EntryKey	key;
	bool		stale;
	EntryState	state;
	MemoryContext context;		/* of all below; NULL: never loaded */
	int			nancestors;
	Oid		   *ancestors;		/* whose invalidation concerns us, too */
	KpiSource  *source;
	KpiProjection *proj;
	bool		has_user_code;
	Oid			new_leaf;		/* its own, while no refresh has seen it */
	char	   *problem;		/* ENTRY_BROKEN: a note */
	bool		is_reported;	/* a marker that tells it has committed */
	bool		stack_is_short; /* the problem: elsewhere it may be none */
	bool		is_refused;		/* nothing is captured until a refresh has
								 * decided, and a marker asks for it */
	bool		differs;		/* the library from its objects, so that it
								 * cannot be loaded: as is_refused */
	Oid			row_trigger;	/* known to be ours while the entry is not
								 * stale; InvalidOid: not looked at */
} Entry;

static HTAB *entries = NULL;

/* The one that a row trigger used last: entries are never removed. */
static Entry *last_entry = NULL;

/* Parent of all contexts of entries, and of those set aside. */
static MemoryContext cache_context = NULL;
static MemoryContext retired_context = NULL;

/* ---- invalidation ---- */

static bool
entry_concerns(Entry *entry, Oid relid)
{
	if (!OidIsValid(relid) || entry->key.relid == relid)
		return true;
	for (int i = 0; i < entry->nancestors; i++)
	{
		if (entry->ancestors[i] == relid)
			return true;
	}
	return false;
}

static void
table_changed(Oid relid)
{
	HASH_SEQ_STATUS status;
	Entry	   *entry;

	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry_concerns(entry, relid))
			entry->stale = true;
	}
}

/* A schema or a role changed: names may mean something else now. */
static void
names_changed(int cacheid)
{
	table_changed(InvalidOid);
}

/* A function or a type changed. */
static void
code_changed(int cacheid)
{
	HASH_SEQ_STATUS status;
	Entry	   *entry;

	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->has_user_code || entry->state == ENTRY_BROKEN)
			entry->stale = true;
	}
}

static void
init_cache(void)
{
	HASHCTL		ctl = {0};

	cache_context = AllocSetContextCreate(CacheMemoryContext, "pg_kpi capture",
										  ALLOCSET_SMALL_SIZES);
	retired_context = AllocSetContextCreate(cache_context, "pg_kpi retired capture",
											ALLOCSET_SMALL_SIZES);
	ctl.keysize = sizeof(EntryKey);
	ctl.entrysize = sizeof(Entry);
	ctl.hcxt = cache_context;
	entries = hash_create("pg_kpi capture", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	kpi_on_relcache_change(table_changed);
	kpi_on_syscache_change(NAMESPACEOID, names_changed);
	kpi_on_syscache_change(AUTHOID, names_changed);
	kpi_on_syscache_change(AUTHMEMMEMROLE, names_changed);
	kpi_on_syscache_change(PROCOID, code_changed);
	kpi_on_syscache_change(TYPEOID, code_changed);
}

/* Drops what an entry holds, as soon as nobody can be using it. */
static void
retire_entry(Entry *entry)
{
	if (entry->context != NULL)
		MemoryContextSetParent(entry->context, retired_context);
	entry->context = NULL;
	entry->nancestors = 0;
	entry->ancestors = NULL;
	entry->source = NULL;
	entry->proj = NULL;
	entry->has_user_code = false;
	entry->new_leaf = InvalidOid;
	entry->problem = NULL;
	entry->is_reported = false;
	entry->stack_is_short = false;
	entry->is_refused = false;
	entry->differs = false;
	entry->row_trigger = InvalidOid;
}

void
kpi_capture_release(void)
{
	if (retired_context != NULL)
		MemoryContextDeleteChildren(retired_context);
}

/*
 * The marker stays in the queue until the source has been resumed, which has
 * this entry loaded anew.
 */
void
kpi_capture_reported(int32 source_id)
{
	HASH_SEQ_STATUS status;
	Entry	   *entry;

	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->key.source_id == source_id)
			entry->is_reported = true;
	}
}

/* ---- loading ---- */

/*
 * The definer must still be allowed to read the table; other rights are checked
 * where they are needed, when expressions are compiled.
 */
static void
check_definer(const KpiSource *source, Oid relid)
{
	Oid			definer = kpi_model_source_definer(source);

	if (pg_class_aclcheck(relid, definer, ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\", the definer of source \"%s\", may not read table \"%s\" any more",
						source->definer, source->name, source->relation)));
	if (check_enable_rls(relid, definer, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security hides rows of table \"%s\" from role \"%s\", the definer of source \"%s\"",
						source->relation, source->definer, source->name)));
}

/*
 * Whether nothing may run as the definer until a refresh has looked: that gives
 * the source another definer, or suspends it.  Of the table and this leaf:
 * others are not read here.
 */
static bool
is_refused(const KpiSource *source, Oid relid, Oid leaf)
{
	Oid			definer = kpi_model_source_definer(source);
	Oid			owner = kpi_fact_table_owner(relid);

	return (OidIsValid(source->table_owner) && owner != source->table_owner && owner != definer) ||
		!kpi_role_trusts(definer, owner) ||
		!kpi_role_trusts(definer, kpi_fact_table_owner(leaf));
}

static bool
is_table_of(const Entry *entry, Oid relid)
{
	if (relid == entry->key.relid)
		return true;
	for (int i = 0; i < entry->nancestors; i++)
	{
		if (relid == entry->ancestors[i])
			return true;
	}
	return false;
}

static void
refuse(Entry *entry)
{
	entry->state = ENTRY_BROKEN;
	entry->is_refused = true;
}

/* Everything of load_entry() that may fail because of the definition. */
static void
load_definition(void *arg)
{
	Entry	   *entry = arg;
	Oid			relid;

	entry->state = ENTRY_SKIP;
	if (kpi_model_source_is_suspended(entry->key.source_id))
		return;
	entry->source = kpi_model_source_load(entry->key.source_id, false);
	if (entry->source == NULL)
		return;

	relid = kpi_model_source_relid(entry->source);
	if (!is_table_of(entry, relid))
	{
		/*
		 * Another table has the name.  This one may get it back before any
		 * refresh comes, so what is written meanwhile must not be forgotten.
		 */
		if (is_table_of(entry, entry->source->attached))
			refuse(entry);
		return;
	}

	if (is_refused(entry->source, relid, entry->key.relid))
	{
		refuse(entry);
		return;
	}
	check_definer(entry->source, relid);
	entry->proj = kpi_fact_projection_create(entry->source, entry->key.relid, entry->context, NULL);
	entry->has_user_code = kpi_fact_projection_has_user_code(entry->proj);
	if (relid != entry->key.relid && !kpi_model_leaf_is_known(entry->key.source_id, entry->key.relid))
		entry->new_leaf = entry->key.relid;
	entry->state = ENTRY_READY;
}

/* An older library does not know what the definition means. */
static void
load_entry(Entry *entry, Relation rel)
{
	MemoryContext oldcontext;
	ErrorData  *error = NULL;
	int			difference = kpi_extension_difference();
	List	   *ancestors;
	ListCell   *lc;

	retire_entry(entry);
	entry->context = AllocSetContextCreate(cache_context, "pg_kpi capture of a table",
										   ALLOCSET_SMALL_SIZES);
	ancestors = rel->rd_rel->relispartition ? get_partition_ancestors(entry->key.relid) : NIL;
	oldcontext = MemoryContextSwitchTo(entry->context);
	entry->ancestors = palloc(sizeof(Oid) * Max(list_length(ancestors), 1));
	foreach(lc, ancestors)
		entry->ancestors[entry->nancestors++] = lfirst_oid(lc);
	entry->stale = false;

	if (difference >= 0)
		error = kpi_try(KPI_ERROR_STOP, load_definition, entry);
	if (error != NULL && kpi_error_class(error) != KPI_ERROR_TRAPPED)
	{
		entry->stale = true;
		ReThrowError(error);
	}
	if (difference < 0 || (difference > 0 && error != NULL))
	{
		entry->state = ENTRY_BROKEN;
		entry->differs = true;
	}
	else if (error != NULL)
	{
		entry->state = ENTRY_BROKEN;
		entry->problem = kpi_error_note(error);
		entry->stack_is_short = error->sqlerrcode == ERRCODE_STATEMENT_TOO_COMPLEX;
	}
	MemoryContextSwitchTo(oldcontext);
}

/* What dropped tables have left behind. */
static void
retire_stale_entries(void)
{
	HASH_SEQ_STATUS status;
	Entry	   *entry;

	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->stale)
			retire_entry(entry);
	}
}

/* The entry for a table and a source, usable or not. */
static Entry *
get_entry(Relation rel, int32 source_id)
{
	EntryKey	key = {RelationGetRelid(rel), source_id};
	Entry	   *entry;
	bool		found;

	if (entries == NULL)
		init_cache();

	entry = hash_search(entries, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset(entry, 0, sizeof(Entry));
		entry->key = key;
		entry->stale = true;
		retire_stale_entries();
	}
	return entry;
}

/* ---- the triggers ---- */

/*
 * The source's id, or 0 when the trigger is none of ours: only one of a table
 * can have our name, so that no row counts twice.
 */
static int32
trigger_source_id(const Trigger *trigger, bool for_row)
{
	int32		id = kpi_capture_trigger_argument(trigger);

	return id != 0 && strcmp(trigger->tgname, kpi_capture_trigger_name(id, for_row)) == 0 ? id : 0;
}

void
kpi_capture_check_call(FunctionCallInfo fcinfo, const char *function, bool for_row)
{
	TriggerEvent event;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function kpi.%s() can only be called as a trigger", function),
				 errhint("kpi.create_source() attaches it to the source's table.")));

	event = ((TriggerData *) fcinfo->context)->tg_event;
	if (!TRIGGER_FIRED_AFTER(event) || (TRIGGER_FIRED_FOR_ROW(event) != 0) != for_row ||
		(TRIGGER_FIRED_BY_TRUNCATE(event) != 0) == for_row)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function kpi.%s() must be fired AFTER %s", function,
						for_row ? "INSERT, UPDATE or DELETE, FOR EACH ROW" : "TRUNCATE"),
				 errhint("kpi.create_source() attaches it to the source's table; no other use is meant.")));
}

/*
 * The entry of the trigger's table and source, or NULL if the trigger is none of
 * ours.  A trigger that was looked at is known by its OID until its table changes.
 */
static Entry *
find_entry(TriggerData *trigdata)
{
	const Trigger *trigger = trigdata->tg_trigger;
	bool		for_row = TRIGGER_FIRED_FOR_ROW(trigdata->tg_event);
	Entry	   *entry;
	int32		source_id;

	if (for_row && last_entry != NULL && !last_entry->stale &&
		last_entry->row_trigger == trigger->tgoid &&
		last_entry->key.relid == RelationGetRelid(trigdata->tg_relation))
		return last_entry;

	source_id = trigger_source_id(trigger, for_row);
	if (source_id == 0)
		return NULL;
	entry = get_entry(trigdata->tg_relation, source_id);
	if (for_row)
		last_entry = entry;
	return entry;
}

/*
 * The entry of the trigger's table and source, loaded; NULL if there is
 * nothing to do.  fn_extra keeps it for the rows of one statement.
 */
static Entry *
trigger_entry(FunctionCallInfo fcinfo, TriggerData *trigdata)
{
	Entry	   *entry = fcinfo->flinfo->fn_extra;

	if (entry == NULL)
	{
		/* What was replaced before this statement wrote is not used any more. */
		AcceptInvalidationMessages();
		entry = find_entry(trigdata);
		if (entry == NULL)
			return NULL;
		fcinfo->flinfo->fn_extra = entry;
		/* Nobody tells of an update of the extension. */
		entry->stale |= entry->differs;
	}
	if (entry->stale || entry->stack_is_short ||
		(entry->proj != NULL && kpi_fact_projection_is_busy(entry->proj)))
		load_entry(entry, trigdata->tg_relation);
	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		entry->row_trigger = trigdata->tg_trigger->tgoid;
	if (entry->stack_is_short || entry->is_refused || entry->differs)
		kpi_capture_mark(entry->key.source_id, KPI_DELTA_RECOMPUTE, NULL);
	else if (entry->state == ENTRY_BROKEN && !entry->is_reported)
		kpi_capture_mark(entry->key.source_id, KPI_DELTA_SUSPEND, entry->problem);
	return entry->state == ENTRY_READY ? entry : NULL;
}

/* What a row is captured by: its entry may be loaded anew by an expression that writes. */
typedef struct Capture
{
	KpiSource  *source;
	KpiProjection *proj;
	Oid			leaf;			/* Entry.new_leaf */
} Capture;

static void
capture_fact(const Capture *by, int s, KpiColumnSet changed, TupleTableSlot *slot, int sign)
{
	KpiFact		fact;

	kpi_fact_project_update(by->proj, s, changed, slot, &fact);
	if (fact.undecided)
		kpi_capture_mark(by->source->id, KPI_DELTA_RECOMPUTE, NULL);
	if (fact.is_event)
		kpi_capture_fact(by->source, by->proj, s, by->leaf, &fact, sign);
}

static void
capture_loaded(const Capture *by, KpiColumnSet changed, TupleTableSlot *slot)
{
	TimestampTz at;

	if (kpi_fact_project_loaded(by->proj, changed, slot, &at))
		kpi_capture_loaded(by->source->id, at);
}

static void
capture_row(const Capture *by, TupleTableSlot *slot, int sign)
{
	for (int s = 0; s < by->source->nstreams; s++)
		capture_fact(by, s, KPI_ALL_COLUMNS, slot, sign);
}

static void
capture_update(const Capture *by, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	KpiColumnSet changed = kpi_fact_projection_changed(by->proj, old_slot, new_slot);

	if (changed == 0)
		return;
	for (int s = 0; s < by->source->nstreams; s++)
	{
		if (!kpi_fact_projection_concerns(by->proj, s, changed))
			continue;
		capture_fact(by, s, changed, old_slot, -1);
		capture_fact(by, s, changed, new_slot, 1);
	}
	capture_loaded(by, changed, new_slot);
}

Datum
kpi_sql_capture(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Entry	   *entry;
	Capture		by;

	kpi_capture_check_call(fcinfo, "capture", true);
	if (kpi_capture_is_off(fcinfo))
		return PointerGetDatum(NULL);
	entry = trigger_entry(fcinfo, trigdata);
	if (entry == NULL)
		return PointerGetDatum(NULL);

	by = (Capture)
	{
		entry->source, entry->proj, entry->new_leaf
	};
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
	{
		capture_row(&by, trigdata->tg_trigslot, 1);
		capture_loaded(&by, KPI_ALL_COLUMNS, trigdata->tg_trigslot);
	}
	else if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		capture_row(&by, trigdata->tg_trigslot, -1);
	else
		capture_update(&by, trigdata->tg_trigslot, trigdata->tg_newslot);
	return PointerGetDatum(NULL);
}

Datum
kpi_sql_capture_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Entry	   *entry;

	kpi_capture_check_call(fcinfo, "capture_truncate", false);
	if (kpi_capture_is_off(fcinfo))
		return PointerGetDatum(NULL);
	entry = trigger_entry(fcinfo, trigdata);
	if (entry != NULL)
		kpi_capture_mark(entry->key.source_id, KPI_DELTA_RECOMPUTE, NULL);
	return PointerGetDatum(NULL);
}
