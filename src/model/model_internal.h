/*-------------------------------------------------------------------------
 *
 * model_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_MODEL_INTERNAL_H
#define KPI_MODEL_INTERNAL_H

#include "model/model.h"

/* The entries that a text[] holds, in the current memory context. */
extern List *kpi_model_code_list(Datum array);

#endif							/* KPI_MODEL_INTERNAL_H */
