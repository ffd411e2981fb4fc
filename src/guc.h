/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Settings of pg_kpi (prefix "kpi.").
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_GUC_H
#define KPI_GUC_H

#include "datatype/timestamp.h"

/* Size, in kB, at which a writer's buffer of deltas is spilled to the queue. */
extern int	kpi_buffer_size;

/* The library was loaded at server start: the background worker can run. */
extern bool kpi_preloaded;

/* How long, in ms, a lock on a user's table is waited for; 0: without end. */
extern int	kpi_lock_timeout;

/* Refreshes that take this many ms are logged: 0 all, -1 none. */
extern int	kpi_log_min_duration;

/* Days for which kpi.refresh_log keeps a row; 0: none is written. */
extern int	kpi_log_retention;

/* NOTIFY kpi_refresh after each refresh that had something to do. */
extern bool kpi_notify_refresh;

/* Whether the launcher starts workers at all. */
extern bool kpi_enabled;

/* How many workers run at once, over all databases. */
extern int	kpi_max_workers;

/* How many databases the launcher keeps in mind. */
extern int	kpi_max_databases;

/* How long a worker waits for more work before it leaves, in ms. */
extern int	kpi_worker_idle_timeout;

/* How long a build waits for another definition after the last one, in ms. */
extern int	kpi_build_delay;

/* How often databases beyond kpi.max_databases have their turn, in s. */
extern int	kpi_naptime;

extern void kpi_guc_init(void);

/*
 * The present moment: the setting kpi.now where it is set (tests, what-if
 * demonstrations), else the start of the current statement.
 */
extern TimestampTz kpi_now(void);

#endif							/* KPI_GUC_H */
