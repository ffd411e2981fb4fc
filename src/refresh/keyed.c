/*-------------------------------------------------------------------------
 *
 * keyed.c
 *	  The kept rows of a keyed source are brought up to date, before its cells are.
 *
 * A keyed source is a source over the table of its kept rows.  What writers note
 * of the tables that it follows (capture/follow.c) is which rows have changed; a
 * run finds the entities that these touch, runs the query for them, and writes the
 * rows that differ into the kept table, whose trigger captures them as any
 * writer's.  So below that nothing is new.
 *
 * All of it happens at the run's one snapshot S: notes that S shows are consumed, the
 * query reads at S.  What commits later is noted later.  Nothing is computed
 * from a change itself, so it does not matter in which order changes come, nor
 * whether their writers saw each other: an entity is as the query says at S as soon as every change
 * that S shows has been noted, or all entities are read.
 *
 * All are read when the query, a function or a view that it reaches, or a table or its triggers
 * differ from what the last reading saw.  What is kept of that for the next comparison was
 * looked at before S.
 *
 * Locks: the source's; then ACCESS SHARE on all that is read, before S.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "capture/capture.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fact/fact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "model/model.h"
#include "refresh/refresh_internal.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Of so few rows all are read as well as some. */
#define FEW_ROWS 1000

/* Notes of more changes than this have all read. */
#define MAX_NOTES 500000

/* Differences that a verification tells one by one. */
#define MAX_DIFFERENCES 1000

/* ---- looking ---- */

/* What is to be known of what is read; *unattached: followed tables of which a trigger is missing. */
static char *
state_of(const KpiSource *source, const KpiKeyedReads *reads, List **unattached)
{
	StringInfoData state;
	ListCell   *lc;

	initStringInfo(&state);
	appendStringInfoString(&state, reads->fingerprint);
	*unattached = NIL;
	foreach(lc, reads->followed)
	{
		ListCell   *leaf;

		foreach(leaf, kpi_model_leaf_relids(lfirst_oid(lc)))
		{
			char	   *triggers = kpi_capture_follow_state(source->id, lfirst_oid(leaf));

			if (triggers[0] == '\0')
				*unattached = list_append_unique_oid(*unattached, lfirst_oid(lc));
			appendStringInfo(&state, " %u %s", lfirst_oid(leaf), triggers);
		}
	}
	return state.data;
}

typedef struct Examination
{
	KpiRun	   *run;
	KpiKeyedReads *reads;
} Examination;

static void
examine_as_definer(void *arg)
{
	Examination *examination = arg;
	const KpiRun *run = examination->run;
	KpiUser		user;

	kpi_fact_kept_begin(&user, run->source);
	examination->reads = kpi_fact_keyed_examine(run->source, run->keyed->keyed, run->table.relid);
	kpi_user_restore(&user);
}

static void
load_state(KpiRun *run)
{
	KpiKeyedRun *keyed = run->keyed;
	KpiRows		rows;

	kpi_rows_begin_read(&rows, "SELECT s.fingerprint, s.read_at, s.whole_at, s.kept_rows, d.refresh_mode, d.refresh_seconds"
						" FROM kpi.source d LEFT JOIN kpi_internal.keyed_state s ON s.source_id = d.id WHERE d.id = $1",
						1, KPI_INT4(run->source->id));
	if (kpi_rows_next(&rows))
	{
		keyed->known_state = kpi_rows_text(&rows, "fingerprint");
		keyed->read_at = kpi_rows_time(&rows, "read_at", DT_NOBEGIN);
		keyed->whole_at = kpi_rows_time(&rows, "whole_at", DT_NOBEGIN);
		keyed->kept_rows = kpi_rows_int8(&rows, "kept_rows");
		keyed->refresh_seconds = kpi_rows_int4(&rows, "refresh_seconds");
	}
	kpi_rows_end(&rows);
}

/*
 * Calls look for what is in the queue, until it returns false.  What it allocates
 * goes with each row.
 */
static void
look_at_queue(const KpiRun *run, bool (*look) (const KpiUnpack *unpack, void *arg), void *arg)
{
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_kpi queue row", ALLOCSET_DEFAULT_SIZES);
	KpiQueueScan scan;
	bool		goes_on = true;

	kpi_capture_scan_begin(&scan, run->source->id, InvalidOid, run->snapshot, AccessShareLock);
	while (goes_on && kpi_capture_scan_next(&scan))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		KpiUnpack	unpack;

		CHECK_FOR_INTERRUPTS();
		if (scan.kind == KPI_DELTA_CELL)
		{
			kpi_capture_unpack_begin(&unpack, kpi_capture_scan_data(&scan));
			while (goes_on && kpi_capture_unpack_next(&unpack))
				goes_on = look(&unpack, arg);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
	}
	kpi_capture_scan_end(&scan);
	MemoryContextDelete(row_cxt);
}

static bool
is_no_entity(const KpiUnpack *unpack, void *found)
{
	*(bool *) found = unpack->stream_id == KPI_NOTE_ENTITY;
	return unpack->stream_id != KPI_NOTE_ENTITY;
}

/* Whether the queue names entities that are to be read. */
static bool
names_entities(const KpiRun *run)
{
	bool		found = false;

	look_at_queue(run, is_no_entity, &found);
	return found;
}

static bool
has_passed(TimestampTz since, int32 seconds)
{
	return seconds > 0 && GetCurrentTimestamp() - since >= seconds * USECS_PER_SEC;
}

/*
 * Whether a source that nothing follows is to be read again: by its interval, and
 * whenever somebody asks, once, unless for some entities.
 */
static bool
reading_is_due(const KpiRun *run)
{
	const KpiKeyedRun *keyed = run->keyed;

	if (keyed->whole_at == DT_NOBEGIN)
		return true;
	if (kpi_am_worker)
		return has_passed(keyed->read_at, keyed->refresh_seconds);
	return keyed->read_at < GetCurrentStatementStartTimestamp() && !names_entities(run);
}

/* What is to be read of a source that nothing follows. */
static KpiReading
reading_of(const KpiRun *run)
{
	const KpiKeyed *definition = run->keyed->keyed;

	if (!reading_is_due(run))
		return KPI_READ_NOTED;
	return definition->changed_at == NULL || run->keyed->whole_at == DT_NOBEGIN ||
		has_passed(run->keyed->whole_at, definition->full_seconds) ? KPI_READ_ALL : KPI_READ_NEWER;
}

char *
kpi_refresh_keyed_examine(KpiRun *run, char **hint)
{
	Examination examination = {.run = run};
	KpiKeyedRun *keyed = run->keyed;
	ErrorData  *error;

	if (keyed == NULL)
	{
		KpiKeyed   *definition = kpi_model_keyed_load(run->source->id, true);

		if (definition == NULL)
			return NULL;
		keyed = run->keyed = MemoryContextAllocZero(run->mcxt, sizeof(KpiKeyedRun));
		keyed->keyed = definition;
	}
	else
		keyed->keyed = kpi_model_keyed_load(run->source->id, true);
	load_state(run);
	keyed->lookups = keyed->keyed->facts_relation != NULL ? kpi_refresh_lookups_load(run->source->id) : NIL;
	error = kpi_try(KPI_ERROR_TRAPPED, examine_as_definer, &examination);
	if (error != NULL)
	{
		*hint = error->hint == NULL ? pstrdup("Mend the tables, or the source with kpi.alter_source(), then call kpi.resume().") :
			strstr(error->hint, "kpi.resume(") != NULL ? pstrdup(error->hint) :
			psprintf("%s Then call kpi.resume().", error->hint);
		return kpi_error_note(error);
	}
	keyed->reads = examination.reads;
	keyed->state = state_of(run->source, keyed->reads, &keyed->unattached);
	keyed->reading = keyed->keyed->is_followed ? KPI_READ_NOTED : reading_of(run);
	if (keyed->known_state == NULL || !kpi_capture_state_is(keyed->state, keyed->known_state))
		keyed->reading = KPI_READ_ALL;
	keyed->has_notes = kpi_refresh_queue_waits(run->source->id, run->snapshot);
	return NULL;
}

bool
kpi_refresh_keyed_is_due(const KpiRun *run)
{
	const KpiKeyedRun *keyed = run->keyed;

	/* What says the same in other words is to be known by these. */
	return keyed != NULL &&
		(keyed->reading != KPI_READ_NOTED || keyed->has_notes || strcmp(keyed->state, keyed->known_state) != 0);
}

bool
kpi_refresh_keyed_is_locked(const KpiRun *run)
{
	const KpiKeyedRun *keyed = run->keyed;

	/* A proof attaches nothing. */
	return keyed == NULL ||
		((keyed->unattached == NIL || kpi_snapshot_is_pinned()) && list_difference_oid(keyed->reads->relids, keyed->locked) == NIL);
}

/*
 * The tables that were followed before note no more: should they get their names back
 * before all is read, what was known is not so any more.
 */
static void
attach(const KpiRun *run)
{
	KpiSpi		spi;
	ListCell   *lc;

	foreach(lc, run->keyed->unattached)
		kpi_capture_follow(run->source->id, lfirst_oid(lc), kpi_model_source_definer(run->source));
	kpi_spi_begin(&spi);
	kpi_spi_exec("UPDATE kpi_internal.keyed_state SET fingerprint = NULL WHERE source_id = $1",
				 1, KPI_INT4(run->source->id));
	kpi_spi_end(&spi);
}

void
kpi_refresh_keyed_lock_reads(KpiRun *run)
{
	KpiKeyedRun *keyed = run->keyed;
	KpiLockWait wait;
	ListCell   *lc;

	foreach(lc, keyed->reads->relids)
	{
		kpi_fact_lock_wait_begin(&wait, kpi_fact_table_name(lfirst_oid(lc)));
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
		kpi_fact_lock_wait_end(&wait);
	}
	keyed->locked = keyed->reads->relids;
}

void
kpi_refresh_keyed_lock(KpiRun *run)
{
	KpiKeyedRun *keyed = run->keyed;
	List	   *unattached;

	/* After a restore they are not. */
	if (keyed->known_state == NULL)
	{
		kpi_capture_bind(run->table.relid);
		kpi_capture_bind_triggers(run->source->id);
	}
	if (keyed->unattached != NIL)
		attach(run);
	kpi_refresh_keyed_lock_reads(run);
	keyed->state_before = state_of(run->source, keyed->reads, &unattached);
}

/* ---- notes ---- */

typedef struct NoteKey
{
	int32		position;
	uint32		hash;
	const char *values;
	int			len;
} NoteKey;

typedef struct NoteSet
{
	const KpiKeyed *keyed;
	MemoryContext context;		/* of what is kept of them */
	HTAB	   *known;
	bool		all;			/* all entities are to be read */
	int64		n;
	List	   *notes;			/* KpiNotes, by position */
	List	   *states;			/* ArrayBuildState **, beside them */
} NoteSet;

static uint32
note_hash(const void *key, Size size)
{
	return ((const NoteKey *) key)->hash;
}

static int
note_match(const void *a, const void *b, Size size)
{
	const NoteKey *one = a;
	const NoteKey *other = b;

	return !(one->position == other->position && one->len == other->len &&
			 memcmp(one->values, other->values, one->len) == 0);
}

/* An entity that somebody has named touches itself. */
static KpiFollow *
follow_of_entities(const KpiSource *source, const KpiKeyed *keyed)
{
	KpiFollow  *follow = palloc0(sizeof(KpiFollow));
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, keyed->entity)
		appendStringInfo(&sql, "%schanged.%s", sql.len > 0 ? ", " : "SELECT ", quote_identifier(lfirst(lc)));
	follow->position = -(KPI_NOTE_ENTITY);
	follow->relation = source->relation;
	follow->query = sql.data;
	follow->columns = keyed->entity;
	return follow;
}

static const KpiFollow *
follow_at(const KpiKeyed *keyed, int position)
{
	ListCell   *lc;

	foreach(lc, keyed->follows)
	{
		if (((KpiFollow *) lfirst(lc))->position == position)
			return lfirst(lc);
	}
	return NULL;
}

static ArrayBuildState **
notes_of(NoteSet *set, const KpiFollow *follow, KpiNotes **notes)
{
	int			n = list_length(follow->columns);
	ArrayBuildState **states;
	ListCell   *lc;
	ListCell   *state;

	forboth(lc, set->notes, state, set->states)
	{
		*notes = lfirst(lc);
		if ((*notes)->follow == follow)
			return lfirst(state);
	}
	*notes = palloc0(sizeof(KpiNotes));
	(*notes)->follow = follow;
	states = palloc(n * sizeof(ArrayBuildState *));
	for (int i = 0; i < n; i++)
		states[i] = initArrayResult(TEXTOID, set->context, false);
	set->notes = lappend(set->notes, *notes);
	set->states = lappend(set->states, states);
	return states;
}

/* False: all are to be read, so no other note matters. */
static bool
add_note(const KpiUnpack *unpack, void *arg)
{
	NoteSet    *set = arg;
	NoteKey		key = {-unpack->stream_id, 0, unpack->values, unpack->values_len};
	const KpiFollow *follow;
	ArrayBuildState **states;
	KpiNotes   *notes;
	NoteKey    *entry;
	MemoryContext old;
	bool		found;
	int			i = 0;
	ListCell   *lc;

	if (!kpi_capture_is_note(unpack->stream_id))
		return true;
	set->all = unpack->stream_id == KPI_NOTE_ALL || set->n >= MAX_NOTES;
	if (set->all || unpack->version != set->keyed->version)
		return !set->all;
	follow = follow_at(set->keyed, -unpack->stream_id);
	if (follow == NULL || list_length(follow->columns) != unpack->ndims + 1)
		return true;
	key.hash = hash_bytes((const unsigned char *) unpack->values, unpack->values_len) ^ (uint32) key.position;
	entry = hash_search_with_hash_value(set->known, &key, key.hash, HASH_ENTER, &found);
	if (found)
		return true;
	old = MemoryContextSwitchTo(set->context);
	entry->values = memcpy(palloc(unpack->values_len), unpack->values, unpack->values_len);
	set->n++;
	states = notes_of(set, follow, &notes);
	notes->n++;
	MemoryContextSwitchTo(old);
	foreach(lc, kpi_capture_unpack_values(unpack))
	{
		char	   *text = lfirst(lc);

		states[i] = accumArrayResult(states[i], text ? CStringGetTextDatum(text) : (Datum) 0, text == NULL,
									 TEXTOID, set->context);
		i++;
	}
	return true;
}

/* What was noted of all changes that S shows; the queue stays as it is. */
static NoteSet *
read_notes(const KpiRun *run)
{
	NoteSet    *set = palloc0(sizeof(NoteSet));
	HASHCTL		ctl = {.keysize = sizeof(NoteKey),.entrysize = sizeof(NoteKey),.hash = note_hash,
	.match = note_match,.hcxt = CurrentMemoryContext};
	ListCell   *lc;
	ListCell   *state;

	set->keyed = run->keyed->keyed;
	set->context = CurrentMemoryContext;
	run->keyed->keyed->follows = lappend(run->keyed->keyed->follows, follow_of_entities(run->source, set->keyed));
	set->known = hash_create("pg_kpi notes", 256, &ctl, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	look_at_queue(run, add_note, set);
	forboth(lc, set->notes, state, set->states)
	{
		KpiNotes   *notes = lfirst(lc);
		ArrayBuildState **states = lfirst(state);

		notes->arrays = palloc(list_length(notes->follow->columns) * sizeof(Datum));
		for (int i = 0; i < list_length(notes->follow->columns); i++)
			notes->arrays[i] = makeArrayResult(states[i], CurrentMemoryContext);
	}
	return set;
}

/* ---- reading ---- */

/*
 * Reads some entities, or all (NULL), and those under which keys that were read are
 * still kept: a row may have moved between entities.  Returns all that were read.
 */
static KpiEntities *
read_entities(KpiKept *kept, KpiEntities *entities)
{
	for (;;)
	{
		KpiEntities *more;

		CHECK_FOR_INTERRUPTS();
		kpi_fact_kept_read(kept, entities);
		more = kpi_fact_kept_conflicts(kept, entities);
		if (more == NULL || more->n == 0)
			break;
		entities = kpi_fact_kept_more(kept, entities, more);
	}
	return entities;
}

/* A note with a condition of its own: the key is data. */
static bool
has_duplicate(KpiRun *run, KpiKept *kept)
{
	char	   *duplicate = kpi_fact_kept_duplicate(kept);

	if (duplicate == NULL)
		return false;
	run->keyed->problem = psprintf("%s key (%s) comes twice in the query of source \"%s\"",
								   unpack_sql_state(ERRCODE_UNIQUE_VIOLATION), duplicate, run->source->name);
	run->keyed->hint = run->keyed->lookups == NIL ?
		psprintf("Correct the data, or name a key that identifies a row of the query, then call kpi.resume(%s).",
				 quote_literal_cstr(run->source->name)) :
		psprintf("Rows of table %s have the same key, or rows of a lookup have (%s): correct the data, then call kpi.resume(%s).",
				 run->keyed->keyed->facts_relation, kpi_refresh_lookups_names(run->keyed->lookups),
				 quote_literal_cstr(run->source->name));
	return true;
}

/* Of what nobody follows, some entities that were named leave the others as old as they are. */
static void
save(KpiRun *run, const KpiKept *kept, KpiReading reading, int64 nentities, const KpiKeptChanges *changes, double ms)
{
	KpiKeyedRun *keyed = run->keyed;
	bool		is_whole = reading == KPI_READ_ALL;
	bool		is_reading = keyed->keyed->is_followed || reading != KPI_READ_NOTED;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("INSERT INTO kpi_internal.keyed_state AS s (source_id, fingerprint, read_at, whole_at, kept_rows,"
				 " rows_without_key, entities_read, rows_read, duration_ms, whole_ms, rows_without_entity)"
				 " VALUES ($1, $2, $3, CASE WHEN $4 THEN $3 END, $5, $6, $7, $8, $9, CASE WHEN $4 THEN $9 END, $11)"
				 " ON CONFLICT (source_id) DO UPDATE SET fingerprint = EXCLUDED.fingerprint,"
				 " read_at = CASE WHEN $10 THEN $3 ELSE s.read_at END, whole_at = coalesce(EXCLUDED.whole_at, s.whole_at),"
				 " kept_rows = CASE WHEN $4 THEN $5 ELSE s.kept_rows + $5 END,"
				 " rows_without_key = CASE WHEN $4 THEN $6 ELSE s.rows_without_key END,"
				 " rows_without_entity = CASE WHEN $4 THEN $11 ELSE s.rows_without_entity END,"
				 " entities_read = EXCLUDED.entities_read, rows_read = EXCLUDED.rows_read,"
				 " duration_ms = EXCLUDED.duration_ms, whole_ms = coalesce(EXCLUDED.whole_ms, s.whole_ms)",
				 11, KPI_INT4(run->source->id), KPI_TEXT(keyed->state_before),
				 KPI_VALUE(TIMESTAMPTZOID, TimestampTzGetDatum(run->as_of)), KPI_BOOL(is_whole),
				 KPI_INT8(is_whole ? changes->kept : changes->added - changes->gone), KPI_INT8(changes->without_key),
				 KPI_INT8(nentities), KPI_INT8(kept->rows_read), KPI_VALUE(FLOAT8OID, Float8GetDatum(ms)),
				 KPI_BOOL(is_reading), KPI_INT8(changes->without_entity));
	kpi_refresh_lookups_save(run->source->id, keyed->lookups, is_whole);
	kpi_spi_end(&spi);
	if (is_reading)
		keyed->read_at = run->as_of;
}

/* Whether reading all takes no longer than reading these. */
static bool
is_most(const KpiKeyedRun *keyed, int64 n)
{
	return keyed->kept_rows > FEW_ROWS && n > keyed->kept_rows / 2;
}

/* As the definer. */
static KpiReading
find_entities(const KpiRun *run, const KpiKept *kept, const NoteSet *set, KpiReading reading, KpiEntities **entities)
{
	*entities = NULL;
	if (set->all && reading == KPI_READ_NOTED)
		reading = KPI_READ_ALL;
	if (reading == KPI_READ_ALL || set->notes == NIL)
		return reading;
	*entities = kpi_fact_kept_entities(kept, set->notes);
	return is_most(run->keyed, (*entities)->n) ? KPI_READ_ALL : reading;
}

/* Nothing is written then; the numbers stay, and so do the notes. */
static bool
loses_too_much(KpiRun *run, KpiKept *kept, KpiReading reading, const KpiEntities *entities)
{
	KpiKeyedRun *keyed = run->keyed;

	if (keyed->may_lose || keyed->kept_rows <= 0 || reading == KPI_READ_NEWER)
		return false;
	keyed->rows_after = keyed->kept_rows + kpi_fact_kept_gain(kept, entities);
	keyed->is_held = keyed->kept_rows - keyed->rows_after > run->source->hold_if_lost * keyed->kept_rows;
	return keyed->is_held;
}

static bool
read_and_write(KpiRun *run, KpiKept *kept, KpiEntities **entities, KpiReading reading, KpiKeptChanges *changes)
{
	if (reading == KPI_READ_NEWER)
		kpi_fact_kept_read_newer(kept, kept->keyed->changed_at);
	else
		*entities = read_entities(kept, reading == KPI_READ_ALL ? NULL : *entities);
	if (has_duplicate(run, kept))
		return false;
	if (loses_too_much(run, kept, reading, *entities))
		return false;
	kpi_refresh_lookups_count(run->keyed->lookups, kept, reading == KPI_READ_NOTED ? *entities : NULL);
	kpi_fact_kept_write(kept, reading == KPI_READ_NOTED ? *entities : NULL, reading == KPI_READ_NEWER, changes);
	run->keyed->nchanges += changes->added + changes->changed + changes->gone;
	return true;
}

bool
kpi_refresh_keyed_apply(KpiRun *run, bool all, bool may_read_all)
{
	KpiKept    *kept = kpi_fact_kept_open(run->source, run->keyed->keyed, run->table.relid);
	NoteSet    *set = read_notes(run);
	TimestampTz started = GetCurrentTimestamp();
	KpiReading	reading = all ? KPI_READ_ALL : run->keyed->reading;
	KpiKeptChanges changes = {0};
	KpiEntities *entities;
	bool		is_done;
	bool		is_read;
	KpiUser		user;

	kept->relids = run->keyed->reads->relids;
	kpi_fact_kept_begin(&user, run->source);
	reading = find_entities(run, kept, set, reading, &entities);
	is_done = reading == KPI_READ_NOTED ? entities != NULL && entities->n > 0 : may_read_all;
	is_read = is_done && read_and_write(run, kept, &entities, reading, &changes);
	kpi_fact_kept_end(kept);
	kpi_user_restore(&user);
	if (run->keyed->is_held)
		kpi_refresh_hold(run, run->keyed->kept_rows, run->keyed->rows_after, started);
	if (is_read)
		save(run, kept, reading, reading == KPI_READ_NOTED ? entities->n : changes.kept, &changes,
			 (GetCurrentTimestamp() - started) / 1000.0);
	return is_done || reading == KPI_READ_NOTED;
}

/* ---- verification ---- */

typedef struct Telling
{
	KpiReport  *report;
	int			n;
} Telling;

static void
tell(const char *key, bool is_kept, bool is_expected, void *arg)
{
	Telling    *telling = arg;
	KpiDifference diff = {
		.level = "kept row",
		.level_is_source = true,
		.dimension = "key",
		.dimension_value = key,
		.stored = is_kept ? "row" : "no row",
		.expected = !is_expected ? "no row" : is_kept ? "another row" : "row"
	};

	telling->n++;
	kpi_refresh_report(telling->report, &diff);
}

/* Names of what may have changed without a note. */
static char *
followed_names(const KpiKeyed *keyed)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, keyed->follows)
	{
		const KpiFollow *follow = lfirst(lc);

		if (follow->position != -(KPI_NOTE_ENTITY))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", follow->relation);
	}
	return names.data;
}

static bool
is_no_note(const KpiUnpack *unpack, void *found)
{
	*(bool *) found = kpi_capture_is_note(unpack->stream_id);
	return !*(bool *) found;
}

char *
kpi_refresh_keyed_waits(const KpiRun *run)
{
	const KpiKeyedRun *keyed = run->keyed;
	bool		found = false;

	if (!keyed->keyed->is_followed)
		return psprintf("its rows are as of %s, when its query was run last", timestamptz_to_str(keyed->read_at));
	if (keyed->reading != KPI_READ_NOTED)
		return pstrdup("its query is to be run for all rows, as what it reads has changed");
	look_at_queue(run, is_no_note, &found);
	return found ? pstrdup("its query is to be run for the entities of rows that have changed") : NULL;
}

void
kpi_refresh_keyed_verify(KpiRun *run, KpiReport *report)
{
	KpiKept    *kept = kpi_fact_kept_open(run->source, run->keyed->keyed, run->table.relid);
	Telling		telling = {.report = report};
	KpiUser		user;

	kept->relids = run->keyed->reads->relids;
	kpi_fact_kept_begin(&user, run->source);
	kpi_fact_kept_read(kept, NULL);
	kpi_fact_kept_compare(kept, NULL, MAX_DIFFERENCES, tell, &telling);
	kpi_fact_kept_end(kept);
	kpi_user_restore(&user);
	if (telling.n > 0 && run->keyed->keyed->is_followed)
	{
		KpiDifference diff = {
			.level = "source",
			.level_is_source = true,
			.stored = psprintf("follow incomplete: %s", followed_names(run->keyed->keyed)),
			.expected = "follow names every entity that a change touches"
		};

		kpi_refresh_report(report, &diff);
	}
}
