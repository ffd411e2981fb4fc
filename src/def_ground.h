/*-------------------------------------------------------------------------
 *
 * def_ground.h
 *	  What goals stand on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_DEF_GROUND_H
#define KPI_DEF_GROUND_H

#include "postgres.h"

/*
 * Until the transaction ends nobody else changes what the KPI is measured by.
 * To be called before a goal of it is written, within kpi_spi_begin().
 */
extern void kpi_ground_lock(int32 kpi_id);

/*
 * Error if the goal, as it is written, could never have a value or be reached;
 * a warning if that is only unlikely.  Within kpi_spi_begin().
 */
extern void kpi_ground_check_goal(int64 goal_id);

/*
 * Error, naming them, if goals have lost what they stand on by a change of
 * this source or KPI, which is written already.
 */
extern void kpi_ground_check_source(int32 source_id, const char *name);
extern void kpi_ground_check_kpi(int32 kpi_id, const char *name);

#endif							/* KPI_DEF_GROUND_H */
