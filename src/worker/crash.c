/*-------------------------------------------------------------------------
 *
 * crash.c
 *	  Databases whose worker crashed: remembered, and tried again ever later.
 *
 * A worker that dies by a signal takes the server down, and after the recovery
 * the same work would wait for the next worker: without a pause nobody could
 * log in for long enough to take the cause away.  So the database waits, for
 * longer after each crash in a row, and kpi.health() names it until a worker
 * has done all that was due there.
 *
 * A crash takes shared memory with it, and nothing that the dying process could
 * do can be relied on.  But the postmaster gives shared memory up in an orderly
 * way, after all its children are gone: then a post that still has a worker is
 * one whose worker has died.  Those that the postmaster has told to quit, as
 * another process had crashed, have noted that at their posts.  What is found is
 * kept in a file, as the postmaster itself ends with restart_after_crash = off,
 * and read when shared memory is made again.
 *
 * The file is written by the postmaster only.  It does so while nobody else is
 * there, and reads shared memory that may be damaged: it takes no lock there
 * and follows no pointer.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <unistd.h>

#include "base/base.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "worker/worker_internal.h"

#define CRASH_FILE PGSTAT_STAT_PERMANENT_DIRECTORY "/pg_kpi.crashes"
#define CRASH_FILE_MAGIC 0x4B504931

/* After the first crash; doubled with each, up to the second. */
#define MIN_CRASH_PAUSE_MS 5000
#define MAX_CRASH_PAUSE_MS 300000
#define MAX_PAUSE_DOUBLED 6

/* ---- the file ---- */

static bool
read_file(KpiCrash *crashes)
{
	uint32		magic;
	FILE	   *file = AllocateFile(CRASH_FILE, PG_BINARY_R);
	bool		complete;

	if (file == NULL)
		return false;
	complete = fread(&magic, sizeof(magic), 1, file) == 1 && magic == CRASH_FILE_MAGIC &&
		fread(crashes, sizeof(KpiCrash), KPI_CRASHES, file) == KPI_CRASHES;
	FreeFile(file);
	return complete;
}

static bool
write_temp_file(const char *name, const KpiCrash *crashes)
{
	const uint32 magic = CRASH_FILE_MAGIC;
	FILE	   *file = AllocateFile(name, PG_BINARY_W);
	bool		complete;

	if (file == NULL)
		return false;
	complete = fwrite(&magic, sizeof(magic), 1, file) == 1 &&
		fwrite(crashes, sizeof(KpiCrash), KPI_CRASHES, file) == KPI_CRASHES;
	return FreeFile(file) == 0 && complete;
}

static void
write_file(const KpiCrash *crashes)
{
	const char *temp_name = CRASH_FILE ".tmp";

	if (write_temp_file(temp_name, crashes))
		(void) durable_rename(temp_name, CRASH_FILE, LOG);
	else
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", temp_name)));
}

/* ---- the postmaster, when shared memory is given up and made ---- */

/* Returns the database's entry; a new one takes the place of the oldest. */
static KpiCrash *
entry_to_write(KpiCrash *crashes, Oid dbid)
{
	KpiCrash   *entry = &crashes[0];

	for (int i = 0; i < KPI_CRASHES; i++)
	{
		if (crashes[i].dbid == dbid)
			return &crashes[i];
		if (crashes[i].last < entry->last)
			entry = &crashes[i];
	}
	memset(entry, 0, sizeof(KpiCrash));
	entry->dbid = dbid;
	return entry;
}

static void
note_crash(KpiCrash *crashes, Oid dbid, int32 source_id)
{
	KpiCrash   *entry = entry_to_write(crashes, dbid);

	entry->crashes++;
	entry->last = GetCurrentTimestamp();
	entry->source_id = source_id;
	ereport(LOG,
			(errmsg("pg_kpi worker of database %u crashed, %d in a row", dbid, entry->crashes),
			 errdetail("It is started again after a pause that grows with each crash, up to %d s.",
					   MAX_CRASH_PAUSE_MS / 1000)));
}

/* Notes the crashes of a database's workers, of which several may have died together. */
static void
note_crashes_in(KpiSlot *slot, KpiCrash *crashes)
{
	for (int kind = 0; kind < KPI_WORKER_KINDS; kind++)
	{
		KpiPost    *post = &slot->posts[kind];
		uint32		state = pg_atomic_read_u32(&post->state);

		if ((state == KPI_WORKER_AWAKE || state == KPI_WORKER_LEAVING) &&
			pg_atomic_read_u32(&post->told_to_quit) == 0)
			note_crash(crashes, pg_atomic_read_u32(&slot->dbid),
					   (int32) pg_atomic_read_u32(&post->source_id));
	}
}

/* Writes down whose worker has died: at any other end none is left at its post. */
static void
save_crashes(int code, Datum arg)
{
	KpiCrash	crashes[KPI_CRASHES];
	bool		any = false;

	memcpy(crashes, kpi_shared->crashes, sizeof(crashes));
	for (int i = 0; code != 0 && i < kpi_max_databases; i++)
		note_crashes_in(&kpi_shared->slots[i], crashes);
	for (int i = 0; i < KPI_CRASHES; i++)
		any |= OidIsValid(crashes[i].dbid);
	if (any)
		write_file(crashes);
	else
		(void) unlink(CRASH_FILE);
}

void
kpi_worker_crash_shmem_init(void)
{
	SpinLockInit(&kpi_shared->crash_mutex);
	if (!read_file(kpi_shared->crashes))
		memset(kpi_shared->crashes, 0, sizeof(kpi_shared->crashes));
	on_shmem_exit(save_crashes, (Datum) 0);
}

/* ---- everybody else ---- */

bool
kpi_worker_crash_find(Oid dbid, KpiCrash *crash)
{
	bool		found = false;

	if (kpi_shared == NULL)
		return false;
	SpinLockAcquire(&kpi_shared->crash_mutex);
	for (int i = 0; i < KPI_CRASHES && !found; i++)
	{
		found = kpi_shared->crashes[i].dbid == dbid;
		if (found)
			*crash = kpi_shared->crashes[i];
	}
	SpinLockRelease(&kpi_shared->crash_mutex);
	return found;
}

/* Finds when to try again; a clock that was set back must not keep the database waiting. */
TimestampTz
kpi_worker_crash_retry_at(Oid dbid, TimestampTz now)
{
	KpiCrash	crash;
	int			pause_ms;

	if (!kpi_worker_crash_find(dbid, &crash) || crash.last > now)
		return DT_NOBEGIN;
	pause_ms = MIN_CRASH_PAUSE_MS << Max(0, Min(crash.crashes - 1, MAX_PAUSE_DOUBLED));
	return TimestampTzPlusMilliseconds(crash.last, Min(pause_ms, MAX_CRASH_PAUSE_MS));
}

void
kpi_worker_crash_forget(Oid dbid)
{
	SpinLockAcquire(&kpi_shared->crash_mutex);
	for (int i = 0; i < KPI_CRASHES; i++)
	{
		if (kpi_shared->crashes[i].dbid == dbid)
			memset(&kpi_shared->crashes[i], 0, sizeof(KpiCrash));
	}
	SpinLockRelease(&kpi_shared->crash_mutex);
}
