/*-------------------------------------------------------------------------
 *
 * error_text.c
 *	  Texts of errors, and who may read them.
 *
 * An expression's error may quote the fact it failed on, and a function of the
 * definer's may say anything.  So what is stored or sent of such an error is
 * for the definer of the source, members of that role and superusers; others
 * learn what kind of error it was.  Our own messages name definitions only
 * and are for everybody: they are known by the text domain that compat.h gives
 * them.  So are errors that say only that something could not go on.
 *
 * Stored texts are whole, and cut where they are shown: a source's errors are
 * noted by whoever meets them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "base/condition_names.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kpi_sql_error_shown);

/* Bytes before a note's message. */
#define NOTE_PREFIX (sizeof(KPI_NOTE_OWN) - 1)

static bool
is_for_everybody(const ErrorData *error)
{
	return kpi_error_class(error) != KPI_ERROR_TRAPPED ||
		(error->domain != NULL && strcmp(error->domain, TEXTDOMAIN) == 0);
}

static char *
make_note(const char *sqlstate, const ErrorData *error)
{
	return psprintf("%s %s", sqlstate, error->message ? error->message : "");
}

char *
kpi_error_note(const ErrorData *error)
{
	if (is_for_everybody(error))
		return psprintf(KPI_NOTE_OWN "%s", error->message ? error->message : "");
	return make_note(unpack_sql_state(error->sqlerrcode), error);
}

char *
kpi_fact_error_note(const ErrorData *error)
{
	return make_note(unpack_sql_state(error->sqlerrcode), error);
}

/* Writes "division_by_zero (SQLSTATE 22012)"; a function may raise one without a name. */
static char *
condition_text(const char *sqlstate)
{
	for (int i = 0; i < lengthof(condition_names); i++)
	{
		if (strncmp(condition_names[i].sqlstate, sqlstate, 5) == 0)
			return psprintf("%s (SQLSTATE %.5s)", condition_names[i].name, sqlstate);
	}
	return psprintf("error (SQLSTATE %.5s)", sqlstate);
}

/* Checks who may read texts; a role that has come under the definer's name may not. */
static bool
may_read(Oid viewer, const char *definer, Oid definer_oid)
{
	Oid			role;

	if (superuser_arg(viewer))
		return true;
	role = get_role_oid(definer, true);
	return OidIsValid(role) && (!OidIsValid(definer_oid) || role == definer_oid) &&
		has_privs_of_role(viewer, role);
}

char *
kpi_note_shown(const char *note, Oid viewer, const char *definer, Oid definer_oid)
{
	if (strncmp(note, KPI_NOTE_OWN, NOTE_PREFIX) == 0 || may_read(viewer, definer, definer_oid))
		return pstrdup(note + Min(strlen(note), NOTE_PREFIX));
	return condition_text(note);
}

char *
kpi_hidden_source(int32 source_id)
{
	Oid			viewer = GetUserId();
	char	   *name = NULL;
	KpiRows		rows;

	if (superuser_arg(viewer))
		return NULL;
	kpi_rows_begin(&rows, "SELECT s.name, s.definer, t.definer_oid FROM kpi.source s"
				   " LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id WHERE s.id = $1",
				   1, KPI_INT4(source_id));
	if (kpi_rows_next(&rows) &&
		!may_read(viewer, kpi_rows_text(&rows, "definer"), kpi_rows_oid(&rows, "definer_oid")))
		name = kpi_rows_text(&rows, "name");
	kpi_rows_end(&rows);
	return name;
}

bool
kpi_error_conceal(ErrorData *error, const char *source)
{
	if (is_for_everybody(error))
		return false;
	error->detail_log = psprintf("%s%s%s", error->message ? error->message : "",
								 error->detail ? "; " : "", error->detail ? error->detail : "");
	error->message = condition_text(unpack_sql_state(error->sqlerrcode));
	error->detail = psprintf("What went wrong in source \"%s\" is shown to its definer and to superusers.",
							 source);
	error->hint = NULL;
	error->context = NULL;
	error->internalquery = NULL;
	error->internalpos = 0;
	return true;
}

/* kpi_internal.error_shown(viewer name, definer text, definer_oid oid, note text) */
Datum
kpi_sql_error_shown(PG_FUNCTION_ARGS)
{
	Oid			viewer;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	viewer = get_role_oid(NameStr(*PG_GETARG_NAME(0)), false);
	PG_RETURN_TEXT_P(cstring_to_text(kpi_note_shown(text_to_cstring(PG_GETARG_TEXT_PP(3)), viewer,
													text_to_cstring(PG_GETARG_TEXT_PP(1)),
													PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2))));
}
