/*-------------------------------------------------------------------------
 *
 * explain.h
 *	  What is behind a number: its facts, why one does not count, the number as
 *	  plain SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPLAIN_H
#define KPI_EXPLAIN_H

#include "postgres.h"

#endif							/* KPI_EXPLAIN_H */
