/*-------------------------------------------------------------------------
 *
 * explain_internal.h
 *	  What the files of room explain share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPLAIN_INTERNAL_H
#define KPI_EXPLAIN_INTERNAL_H

#include "explain/explain.h"

#endif							/* KPI_EXPLAIN_INTERNAL_H */
