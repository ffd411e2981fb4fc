/*-------------------------------------------------------------------------
 *
 * attach.c
 *	  Triggers on the tables of sources: created, looked at, dropped.
 *
 * A table has the triggers from when its source is created or resumed until
 * it is dropped; a restored one from its first refresh.  A partitioned table
 * has the row trigger on its root; PostgreSQL clones it to every partition.
 * TRUNCATE triggers are not cloned, so each table of the tree has its own.
 * Partitions that come later have none: a refresh sees by their file that
 * they were truncated, and to give them one it would have to lock writers
 * out.
 *
 * Triggers are made in C, not by SQL: that needs no USAGE on schema kpi, takes
 * no names through a search_path, and makes them ENABLE ALWAYS from the start
 * even where the definer has the TRIGGER privilege only.  They are made as the
 * extension's owner, as partitions may belong to others than the table; but the
 * keys of partitions are code of the table's owner, so those are read as the
 * definer first.  Each goes with its function, so that DROP EXTENSION drops it
 * without CASCADE, and depends on no extension (README, "Triggers and what they depend
 * on").  One counts as ours only if it has our name and does exactly what ours do:
 * the table's owner may have made another.
 *
 * Locks: SHARE ROW EXCLUSIVE on every table of the tree to attach, as CREATE
 * TRIGGER takes; ACCESS EXCLUSIVE to detach, as DROP TRIGGER takes, not waited for
 * where the triggers may as well stay.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/base.h"
#include "capture/capture_internal.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "expr/expr.h"
#include "fact/fact.h"
#include "nodes/value.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* A kind of trigger. */
typedef struct TriggerForm
{
	const char *function;
	const char *name_format;
	bool		row;
	int16		events;
} TriggerForm;

static const TriggerForm row_form = {
	"capture", "kpi_capture_%d", true,
	TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE
};
static const TriggerForm truncate_form = {
	"capture_truncate", "kpi_truncate_%d", false,
	TRIGGER_TYPE_TRUNCATE
};

/* Those of tables that a keyed source follows. */
static const TriggerForm follow_row_form = {
	"follow", "kpi_follow_%d", true,
	TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE
};
static const TriggerForm follow_truncate_form = {
	"follow_truncate", "kpi_follow_truncate_%d", false,
	TRIGGER_TYPE_TRUNCATE
};

/* The row of a trigger: system identifier, file of pg_trigger, xmin and place. */
#define ROW_FORMAT UINT64_FORMAT " %u %u %u %u"

static const TriggerForm *const all_forms[] = {
	&row_form, &truncate_form, &follow_row_form, &follow_truncate_form
};

char *
kpi_capture_trigger_name(int32 source_id, bool for_row)
{
	return psprintf(for_row ? row_form.name_format : truncate_form.name_format, source_id);
}

/* Looked up without asking for USAGE on the schema; InvalidOid if it is gone. */
static Oid
find_trigger_function(const TriggerForm *form)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(form->function),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(get_namespace_oid("kpi", true)));
}

static Oid
trigger_function(const TriggerForm *form)
{
	Oid			function = find_trigger_function(form);

	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function kpi.%s() does not exist", form->function),
				 errhint("Extension pg_kpi is damaged or of another version.")));
	return function;
}

/* Whether a trigger of our name does what we would have it do. */
static bool
is_our_trigger(Relation pg_trigger, HeapTuple tuple, int32 source_id, const TriggerForm *form)
{
	Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
	int16		type = form->events | (form->row ? TRIGGER_TYPE_ROW : 0);
	char	   *argument = psprintf("%d", source_id);
	Datum		args;
	bool		isnull;

	if (trigger->tgfoid != trigger_function(form) || trigger->tgtype != type ||
		trigger->tgattr.dim1 != 0 || trigger->tgnargs != 1 ||
		!heap_attisnull(tuple, Anum_pg_trigger_tgqual, NULL))
		return false;
	args = heap_getattr(tuple, Anum_pg_trigger_tgargs, RelationGetDescr(pg_trigger), &isnull);
	return !isnull && strcmp(VARDATA_ANY(DatumGetByteaPP(args)), argument) == 0;
}

/* A copy of the trigger that has the name of ours on a table, or NULL. */
static HeapTuple
find_trigger(Relation pg_trigger, Oid relid, int32 source_id, const TriggerForm *form)
{
	char		name[NAMEDATALEN];
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	snprintf(name, sizeof(name), form->name_format, source_id);
	ScanKeyInit(&keys[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(name));
	scan = systable_beginscan(pg_trigger, TriggerRelidNameIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

/*
 * Has a trigger dropped with its function.  One that a statement has made, as those of a
 * dump, is in the way of that; one of earlier versions depends on the extension.
 */
static void
bind_trigger(Oid trigger_oid, Oid function)
{
	Oid			extension = get_extension_oid("pg_kpi", false);
	ObjectAddress trigger;
	ObjectAddress referenced;

	ObjectAddressSet(trigger, TriggerRelationId, trigger_oid);
	(void) deleteDependencyRecordsForSpecific(TriggerRelationId, trigger_oid, DEPENDENCY_AUTO_EXTENSION,
											  ExtensionRelationId, extension);
	if (deleteDependencyRecordsForSpecific(TriggerRelationId, trigger_oid, DEPENDENCY_NORMAL,
										   ProcedureRelationId, function) == 0)
		return;
	ObjectAddressSet(referenced, ProcedureRelationId, function);
	recordDependencyOn(&trigger, &referenced, DEPENDENCY_AUTO);
}

static void
create_trigger(Oid relid, int32 source_id, const TriggerForm *form)
{
	CreateTrigStmt *stmt = makeNode(CreateTrigStmt);
	Oid			function = trigger_function(form);
	ObjectAddress trigger;

	stmt->trigname = psprintf(form->name_format, source_id);
	stmt->funcname = list_make2(makeString("kpi"), makeString(pstrdup(form->function)));
	stmt->args = list_make1(makeString(psprintf("%d", source_id)));
	stmt->row = form->row;
	stmt->timing = TRIGGER_TYPE_AFTER;
	stmt->events = form->events;

	trigger = CreateTriggerFiringOn(stmt, NULL, relid, InvalidOid, InvalidOid, InvalidOid,
									function, InvalidOid, NULL, false, false,
									TRIGGER_FIRES_ALWAYS);
	CommandCounterIncrement();
	bind_trigger(trigger.objectId, function);
	CommandCounterIncrement();
}

/* ENABLE ALWAYS for one trigger row, whoever owns the table. */
static void
enable_always(Relation pg_trigger, HeapTuple tuple)
{
	Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);

	if (trigger->tgenabled == TRIGGER_FIRES_ALWAYS)
		return;

	trigger->tgenabled = TRIGGER_FIRES_ALWAYS;
	CatalogTupleUpdate(pg_trigger, &tuple->t_self, tuple);
	CacheInvalidateRelcacheByRelid(trigger->tgrelid);
	CommandCounterIncrement();
}

/*
 * The trigger of this form on this table, made if it is missing ("create":
 * the table's own; else a clone that the root's trigger brings).
 */
static void
ensure_trigger(Relation pg_trigger, Oid relid, int32 source_id, const TriggerForm *form, bool create)
{
	HeapTuple	tuple = find_trigger(pg_trigger, relid, source_id, form);

	if (HeapTupleIsValid(tuple) && !is_our_trigger(pg_trigger, tuple, source_id, form))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("trigger \"%s\" on table \"%s\" does not belong to pg_kpi",
						psprintf(form->name_format, source_id), get_rel_name(relid)),
				 errhint("Rename or drop it: pg_kpi needs the name.")));
	if (!HeapTupleIsValid(tuple))
	{
		if (create)
			create_trigger(relid, source_id, form);
		return;
	}
	if (create)
		bind_trigger(((Form_pg_trigger) GETSTRUCT(tuple))->oid, trigger_function(form));
	enable_always(pg_trigger, tuple);
}

/*
 * Opens the partitioned tables among these as the definer and reads their
 * keys, which a relation keeps while it is open.
 */
static List *
open_partitioned(List *relids, Oid definer)
{
	List	   *rels = NIL;
	KpiUser		user;
	ListCell   *lc;

	kpi_user_switch(&user, definer);
	foreach(lc, relids)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		{
			(void) RelationGetPartitionKey(rel);
			rels = lappend(rels, rel);
		}
		else
			table_close(rel, NoLock);
	}
	kpi_user_restore(&user);
	return rels;
}

static void
attach_triggers(int32 source_id, Oid relid, List *relids, const TriggerForm *row, const TriggerForm *truncate)
{
	Relation	pg_trigger = table_open(TriggerRelationId, RowExclusiveLock);
	KpiUser		user;
	ListCell   *lc;

	kpi_user_switch(&user, kpi_extension_owner());
	ensure_trigger(pg_trigger, relid, source_id, row, true);
	foreach(lc, relids)
	{
		ensure_trigger(pg_trigger, lfirst_oid(lc), source_id, row, false);
		ensure_trigger(pg_trigger, lfirst_oid(lc), source_id, truncate, true);
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	}
	kpi_capture_segments_create(source_id);
	kpi_user_restore(&user);
	table_close(pg_trigger, RowExclusiveLock);
}

/*
 * Every table of the tree is sent an invalidation even when its triggers were
 * all there, so that writers read the definitions again.
 */
static void
attach(int32 source_id, Oid relid, Oid definer, const TriggerForm *row, const TriggerForm *truncate)
{
	KpiLockWait wait;
	List	   *relids;
	List	   *partitioned;
	ListCell   *lc;

	kpi_fact_lock_wait_begin(&wait, kpi_fact_table_name(relid));
	LockRelationOid(relid, ShareRowExclusiveLock);
	relids = find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
	kpi_fact_lock_wait_end(&wait);
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the table of source %d was dropped before it was locked", source_id),
				 errhint("Create the table again, or drop the source with kpi.drop_source().")));

	partitioned = open_partitioned(relids, definer);
	attach_triggers(source_id, relid, relids, row, truncate);
	foreach(lc, partitioned)
		table_close(lfirst(lc), NoLock);
}

void
kpi_capture_attach(int32 source_id, Oid relid, Oid definer)
{
	attach(source_id, relid, definer, &row_form, &truncate_form);
}

void
kpi_capture_follow(int32 source_id, Oid relid, Oid definer)
{
	attach(source_id, relid, definer, &follow_row_form, &follow_truncate_form);
}

/* Whether a table is one of these, or a partition of one. */
static bool
is_of(Oid relid, List *relids)
{
	List	   *ancestors = get_rel_relispartition(relid) ? get_partition_ancestors(relid) : NIL;
	ListCell   *lc;

	foreach(lc, ancestors)
	{
		if (list_member_oid(relids, lfirst_oid(lc)))
			return true;
	}
	return list_member_oid(relids, relid);
}

/*
 * Finds our triggers for a source wherever they are, but on some tables: a table that was renamed
 * or detached still carries them.  A clone goes with the root's.
 */
static List *
source_triggers(int32 source_id, const TriggerForm *form, List *but_of)
{
	Oid			function = trigger_function(form);
	char		name[NAMEDATALEN];
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(pg_trigger, InvalidOid, false, NULL, 0, NULL);
	List	   *triggers = NIL;
	HeapTuple	tuple;

	snprintf(name, sizeof(name), form->name_format, source_id);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);

		if (trigger->tgfoid == function && !OidIsValid(trigger->tgparentid) &&
			strcmp(NameStr(trigger->tgname), name) == 0 && !is_of(trigger->tgrelid, but_of))
			triggers = lappend_oid(triggers, trigger->oid);
	}
	systable_endscan(scan);
	table_close(pg_trigger, AccessShareLock);
	return triggers;
}

/* The table of a trigger; InvalidOid: it is gone. */
static Oid
trigger_table(Oid trigger)
{
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	Oid			relid = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
	scan = systable_beginscan(pg_trigger, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		relid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
	systable_endscan(scan);
	table_close(pg_trigger, AccessShareLock);
	return relid;
}

static void
drop_triggers(List *triggers, const char *relation)
{
	ObjectAddresses *objects = new_object_addresses();
	KpiLockWait wait;
	ListCell   *lc;

	foreach(lc, triggers)
	{
		ObjectAddress trigger;

		ObjectAddressSet(trigger, TriggerRelationId, lfirst_oid(lc));
		add_exact_object_address(&trigger, objects);
	}
	kpi_fact_lock_wait_begin(&wait, relation);
	performMultipleDeletions(objects, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	kpi_fact_lock_wait_end(&wait);
	free_object_addresses(objects);
}

/*
 * A table that was a source's own, and then became a partition of the one that it
 * is over now, has a trigger of the name that the root's clone will have.
 */
void
kpi_capture_detach_partitions(int32 source_id, Oid relid)
{
	List	   *tree = find_all_inheritors(relid, NoLock, NULL);
	List	   *triggers = NIL;
	ListCell   *lc;

	foreach(lc, source_triggers(source_id, &row_form, NIL))
	{
		Oid			table = trigger_table(lfirst_oid(lc));

		if (table != relid && list_member_oid(tree, table))
			triggers = lappend_oid(triggers, lfirst_oid(lc));
	}
	if (triggers != NIL)
		drop_triggers(triggers, kpi_fact_table_name(relid));
	CommandCounterIncrement();
}

/* Locks a table and its partitions for a trigger to be dropped, if that is to be had at once. */
static bool
try_lock_tree(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Relation	rel;
		bool		is_free;

		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessExclusiveLock))
			return false;
		rel = RelationIdGetRelation(lfirst_oid(lc));
		if (!RelationIsValid(rel))
			return false;
		is_free = rel->rd_refcnt == 1 && !AfterTriggerPendingOnRel(lfirst_oid(lc));
		RelationClose(rel);
		if (!is_free)
			return false;
	}
	return true;
}

void
kpi_capture_detach_others(int32 source_id, Oid relid)
{
	List	   *tree = find_all_inheritors(relid, NoLock, NULL);
	List	   *triggers = NIL;
	ListCell   *lc;

	foreach(lc, list_concat(source_triggers(source_id, &row_form, NIL), source_triggers(source_id, &truncate_form, NIL)))
	{
		Oid			table = trigger_table(lfirst_oid(lc));

		if (OidIsValid(table) && !list_member_oid(tree, table) && try_lock_tree(table))
			triggers = lappend_oid(triggers, lfirst_oid(lc));
	}
	if (triggers != NIL)
		drop_triggers(triggers, kpi_fact_table_name(relid));
}

void
kpi_capture_detach(int32 source_id, const char *relation)
{
	List	   *triggers = NIL;

	for (int i = 0; i < lengthof(all_forms); i++)
		triggers = list_concat(triggers, source_triggers(source_id, all_forms[i], NIL));
	drop_triggers(triggers, relation);
}

void
kpi_capture_bind_triggers(int32 source_id)
{
	for (int i = 0; i < lengthof(all_forms); i++)
	{
		ListCell   *lc;

		foreach(lc, source_triggers(source_id, all_forms[i], NIL))
			bind_trigger(lfirst_oid(lc), trigger_function(all_forms[i]));
	}
	CommandCounterIncrement();
}

void
kpi_capture_unfollow_others(int32 source_id, List *relids)
{
	List	   *triggers = source_triggers(source_id, &follow_row_form, relids);

	triggers = list_concat(triggers, source_triggers(source_id, &follow_truncate_form, relids));
	drop_triggers(triggers, "that is followed no more");
	CommandCounterIncrement();
}

/* Calls a function for each trigger of ours; those of an extension that is damaged, too. */
static void
foreach_trigger(void (*look) (const FormData_pg_trigger *trigger, void *arg), void *arg)
{
	List	   *functions = NIL;
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(pg_trigger, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	for (int i = 0; i < lengthof(all_forms); i++)
		functions = lappend_oid(functions, find_trigger_function(all_forms[i]));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);

		if (OidIsValid(trigger->tgfoid) && list_member_oid(functions, trigger->tgfoid))
			look(trigger, arg);
	}
	systable_endscan(scan);
	table_close(pg_trigger, AccessShareLock);
}

static void
add_table(const FormData_pg_trigger *trigger, void *relids)
{
	*(List **) relids = list_append_unique_oid(*(List **) relids, trigger->tgrelid);
}

/* A clone goes with the root's. */
static void
bind_root(const FormData_pg_trigger *trigger, void *arg)
{
	if (!OidIsValid(trigger->tgparentid))
		bind_trigger(trigger->oid, trigger->tgfoid);
}

/* All tables with triggers of ours, locked as to be dropped. */
static List *
lock_tables(void)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach_trigger(add_table, &relids);
	/* A partitioned table comes before its partitions, which may be older. */
	list_sort(relids, list_oid_cmp);
	foreach(lc, relids)
	{
		if (get_rel_relispartition(lfirst_oid(lc)))
			continue;
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
		(void) find_all_inheritors(lfirst_oid(lc), AccessExclusiveLock, NULL);
	}
	foreach(lc, relids)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	return relids;
}

/* A table cannot be a member and be dumped with its rows; this is not dumped, so whoever restores it does it again. */
void
kpi_capture_bind(Oid relid)
{
	Oid			extension_oid = get_extension_oid("pg_kpi", false);
	ObjectAddress table;
	ObjectAddress extension;

	ObjectAddressSet(table, RelationRelationId, relid);
	ObjectAddressSet(extension, ExtensionRelationId, extension_oid);
	if (list_member_oid(getAutoExtensionsOfObject(RelationRelationId, relid), extension_oid))
		return;
	recordDependencyOn(&table, &extension, DEPENDENCY_AUTO_EXTENSION);
	CommandCounterIncrement();
}

/* Also those that came with a dump and have not been refreshed since. */
void
kpi_capture_before_drop(void)
{
	Oid			namespace = get_namespace_oid("kpi_data", true);
	ListCell   *lc;

	foreach(lc, lock_tables())
	{
		if (OidIsValid(namespace) && get_rel_namespace(lfirst_oid(lc)) == namespace)
			kpi_capture_bind(lfirst_oid(lc));
	}
	foreach_trigger(bind_root, NULL);
	CommandCounterIncrement();
}

/*
 * One trigger's part of the state; false if it is missing or not ALWAYS.  Whether it was
 * disabled meanwhile, its row alone tells; so that is in the state, and where it lies,
 * which tells changes of one transaction apart.  In braces, as it may move without that
 * (see kpi_capture_state_is()).
 */
static bool
append_state(StringInfo state, Relation pg_trigger, Oid leaf, int32 source_id, const TriggerForm *form)
{
	HeapTuple	tuple = find_trigger(pg_trigger, leaf, source_id, form);

	if (!HeapTupleIsValid(tuple) || !is_our_trigger(pg_trigger, tuple, source_id, form) ||
		((Form_pg_trigger) GETSTRUCT(tuple))->tgenabled != TRIGGER_FIRES_ALWAYS)
		return false;
	appendStringInfo(state, "%s {" ROW_FORMAT "} ", form->function,
					 GetSystemIdentifier(), pg_trigger->rd_rel->relfilenode,
					 HeapTupleHeaderGetRawXmin(tuple->t_data),
					 ItemPointerGetBlockNumber(&tuple->t_self),
					 (unsigned) ItemPointerGetOffsetNumber(&tuple->t_self));
	return true;
}

static bool
row_is(const char *row, const char *seen)
{
	uint64		system[2];
	unsigned	file[2];
	unsigned	xmin[2];
	unsigned	block[2];
	unsigned	offset[2];

	if (sscanf(row, "{" ROW_FORMAT "}", &system[0], &file[0], &xmin[0], &block[0], &offset[0]) != 5 ||
		sscanf(seen, "{" ROW_FORMAT "}", &system[1], &file[1], &xmin[1], &block[1], &offset[1]) != 5)
		return false;
	if (system[0] != system[1])
		return true;
	return xmin[0] == xmin[1] &&
		(file[0] != file[1] || (block[0] == block[1] && offset[0] == offset[1]));
}

/*
 * Where the rows of triggers lie means nothing after VACUUM FULL of their catalog, nor who
 * wrote them in another cluster: pg_upgrade, which nobody can write beside, has made them.
 */
bool
kpi_capture_state_is(const char *state, const char *seen)
{
	while (*state != '\0' && *state == *seen)
	{
		if (*state == '{')
		{
			if (!row_is(state, seen))
				return false;
			state += strcspn(state, "}");
			seen += strcspn(seen, "}");
		}
		else
		{
			state++;
			seen++;
		}
	}
	return *state == *seen;
}

/*
 * Changes whenever the table is rewritten: ALTER COLUMN ... TYPE ... USING
 * changes facts that no trigger sees.
 */
static Oid
table_file(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			file;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	ReleaseSysCache(tuple);
	return file;
}

static char *
trigger_state(int32 source_id, Oid leaf, const TriggerForm *row, const TriggerForm *truncate)
{
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	StringInfoData state;

	initStringInfo(&state);
	if (append_state(&state, pg_trigger, leaf, source_id, row))
	{
		(void) append_state(&state, pg_trigger, leaf, source_id, truncate);
		appendStringInfo(&state, "file %u", table_file(leaf));
		kpi_expr_virtual_columns_state(&state, leaf);
	}
	table_close(pg_trigger, AccessShareLock);
	return state.data;
}

char *
kpi_capture_trigger_state(int32 source_id, Oid leaf)
{
	return trigger_state(source_id, leaf, &row_form, &truncate_form);
}

char *
kpi_capture_follow_state(int32 source_id, Oid leaf)
{
	return trigger_state(source_id, leaf, &follow_row_form, &follow_truncate_form);
}

bool
kpi_capture_is_followed(int32 source_id, Oid relid)
{
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	HeapTuple	tuple = find_trigger(pg_trigger, relid, source_id, &follow_row_form);
	bool		is_followed = HeapTupleIsValid(tuple) &&
	is_our_trigger(pg_trigger, tuple, source_id, &follow_row_form);

	table_close(pg_trigger, AccessShareLock);
	return is_followed;
}
