/*-------------------------------------------------------------------------
 *
 * args.c
 *	  Arguments of the functions that create and alter, where an empty text means
 *	  none.
 *
 * Nothing here takes a lock or reads a table.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "define/define_internal.h"
#include "fmgr.h"

char *
kpi_define_arg_given(FunctionCallInfo fcinfo, int n)
{
	char	   *value = kpi_arg_text(fcinfo, n);

	return value == NULL || value[0] == '\0' ? NULL : value;
}

char *
kpi_define_arg_changed(FunctionCallInfo fcinfo, int n, char *old)
{
	return PG_ARGISNULL(n) ? old : kpi_define_arg_given(fcinfo, n);
}

void
kpi_define_arg_change_owner(FunctionCallInfo fcinfo, int owner_arg, int team_arg,
							char **owner, char **team)
{
	char	   *new_owner = kpi_define_arg_changed(fcinfo, owner_arg, *owner);
	char	   *new_team = kpi_define_arg_changed(fcinfo, team_arg, *team);

	if (new_owner != NULL && new_team != NULL)
	{
		if (PG_ARGISNULL(team_arg))
			new_team = NULL;
		else if (PG_ARGISNULL(owner_arg))
			new_owner = NULL;
	}
	*owner = new_owner;
	*team = new_team;
}
