/*-------------------------------------------------------------------------
 *
 * pinned.h
 *	  Settings that expressions run under, whoever's session it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_PINNED_H
#define KPI_PINNED_H

#include "postgres.h"

/* What settings change; to be combined. */
#define KPI_SETTINGS_READ	0x01	/* how the text of an expression is read */
#define KPI_SETTINGS_PRINT	0x02	/* how built-in functions print values */
#define KPI_SETTINGS_ZONE	0x04	/* what abbreviations of time zones mean */
#define KPI_SETTINGS_CODE	0x08	/* what only a user's code can depend on */
#define KPI_SETTINGS_ALL	0x0F

/*
 * Gives every setting of these kinds that has another value the pinned one.
 * The caller is in a nest level of settings of its own (NewGUCNestLevel(), or
 * a subtransaction), whose end restores them.
 */
extern void kpi_settings_pin(int kinds);

#endif							/* KPI_PINNED_H */
