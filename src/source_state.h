/*-------------------------------------------------------------------------
 *
 * source_state.h
 *	  What the last refresh left of a source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_SOURCE_STATE_H
#define KPI_SOURCE_STATE_H

#include "postgres.h"

/*
 * The table that the last refresh found under the source's name, or
 * InvalidOid.
 */
extern Oid	kpi_attached_relid(int32 source_id);

/*
 * False for a leaf that no refresh has seen yet: were it dropped before one
 * does, nothing but a marker would tell that its facts are gone.
 */
extern bool kpi_leaf_is_known(int32 source_id, Oid leaf);

/*
 * Whether the source is suspended, as of now.  Its writers have nothing to
 * capture: kpi.resume(), which locks them out and tells them, has all facts
 * read again.
 */
extern bool kpi_source_is_suspended(int32 source_id);

#endif							/* KPI_SOURCE_STATE_H */
