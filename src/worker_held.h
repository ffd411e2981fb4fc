/*-------------------------------------------------------------------------
 *
 * worker_held.h
 *	  Sources that a worker leaves alone for a while.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_WORKER_HELD_H
#define KPI_WORKER_HELD_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* How long the worker waits for a lock at most. */
#define KPI_MAX_LOCK_TIMEOUT_MS 1600

/* A refresh of the source met a lock. */
extern void kpi_held_by_lock(int32 source_id);

/*
 * A refresh was in somebody's way, as so many before it in a row; returns how
 * long the source rests, in ms.
 */
extern int	kpi_held_to_give_way(int32 source_id, int give_ways);

/* The source was refreshed. */
extern void kpi_held_release(int32 source_id);

extern bool kpi_held_any(void);
extern bool kpi_is_held(int32 source_id);

/* Until when, by the real clock; DT_NOBEGIN: it is not. */
extern TimestampTz kpi_held_until(int32 source_id);

/* How long its next refresh may wait for a lock, in ms. */
extern int	kpi_held_lock_timeout(int32 source_id);

#endif							/* KPI_WORKER_HELD_H */
