/*-------------------------------------------------------------------------
 *
 * error_text.h
 *	  Texts of errors, and who may read them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_ERROR_TEXT_H
#define KPI_ERROR_TEXT_H

#include "postgres.h"

/*
 * A note is an error as it is stored: SQLSTATE, a blank, the message.  Notes
 * in our own words, which hold no data and are for everybody, have this.
 */
#define KPI_NOTE_OWN "00000 "

/* The note of an error that ended what was done. */
extern char *kpi_error_note(const ErrorData *error);

/* The same of one that an expression raised for a fact: never our words. */
extern char *kpi_fact_error_note(const ErrorData *error);

/*
 * What of a note is shown to a role, of a source that this definer made
 * (definer_oid: the role that had the name then, or InvalidOid): the message,
 * or the name of the condition and its SQLSTATE.
 */
extern char *kpi_note_shown(const char *note, Oid viewer, const char *definer, Oid definer_oid);

/*
 * The name of the source if texts of its errors are not for the current user;
 * NULL if they are.  To be asked while no error is being handled.
 */
extern char *kpi_hidden_source(int32 source_id);

/*
 * Leaves in an error what is for everybody; true if that is not all.  The
 * server's log has the rest as its detail.
 */
extern bool kpi_error_conceal(ErrorData *error, const char *source);

#endif							/* KPI_ERROR_TEXT_H */
