/*-------------------------------------------------------------------------
 *
 * rollup_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_ROLLUP_INTERNAL_H
#define KPI_ROLLUP_INTERNAL_H

#include "rollup/rollup.h"

#endif							/* KPI_ROLLUP_INTERNAL_H */
