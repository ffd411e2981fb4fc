/*-------------------------------------------------------------------------
 *
 * expr_settings.h
 *	  Settings that expressions run under, whoever's session it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_EXPR_SETTINGS_H
#define KPI_EXPR_SETTINGS_H

#include "postgres.h"

#include "nodes/nodes.h"

/*
 * The kinds of settings that the evaluation of a compiled expression may
 * depend on.  One of risk KPI_EXPR_SAFE depends on none, whatever this says.
 */
extern int	kpi_settings_of(Node *node);

#endif							/* KPI_EXPR_SETTINGS_H */
