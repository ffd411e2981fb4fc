/*-------------------------------------------------------------------------
 *
 * ramp.c
 *	  kpi.set_ramp(): how much of a whole member somebody is, by month of tenure.
 *
 * Ramps are weights of plans that are yet to be made (goal/capacity.c): nothing that
 * is there changes with one.  Lock: the row of the member or team, so that two who
 * set its ramp come one after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "people/people.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(kpi_sql_set_ramp);

#define HINT "Give a share for each month of tenure, like '{0.25, 0.5, 0.75}'; later months count as a whole. NULL ends a ramp."

static void
check_share(Datum share, int month)
{
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, share, NumericGetDatum(int64_to_numeric(0)))) < 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, share, NumericGetDatum(int64_to_numeric(1)))) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("share %d of the ramp is not between 0 and 1: %s", month,
						DatumGetCString(DirectFunctionCall1(numeric_out, share))),
				 errhint(HINT)));
}

static void
check_ramp(ArrayType *ramp)
{
	Datum	   *shares;
	bool	   *nulls;
	int			n;

	if (ARR_NDIM(ramp) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 ARR_NDIM(ramp) == 0 ? errmsg("the ramp is empty") : errmsg("the ramp has more than one dimension"),
				 errhint(HINT)));
	deconstruct_array(ramp, NUMERICOID, -1, false, TYPALIGN_INT, &shares, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("share %d of the ramp is null", i + 1),
					 errhint(HINT)));
		check_share(shares[i], i + 1);
	}
}

/* kpi.set_ramp(ramp, member, team) */
Datum
kpi_sql_set_ramp(PG_FUNCTION_ARGS)
{
	char	   *member = kpi_fact_key_optional_arg(fcinfo, 1, "member");
	char	   *team = kpi_fact_key_optional_arg(fcinfo, 2, "team");
	bool		ends = PG_ARGISNULL(0);
	int32		member_id = 0;
	int32		team_id = 0;
	KpiSpi		spi;

	kpi_require_editor();
	if (member != NULL && team != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a ramp is of a team or of a member, not of both"),
				 errhint("Leave one of them out; without both it is everybody's.")));
	if (!ends)
		check_ramp(PG_GETARG_ARRAYTYPE_P(0));
	kpi_spi_begin(&spi);
	if (member != NULL)
		member_id = kpi_define_member_id(member);
	else
		team_id = kpi_define_team_id(team != NULL ? team : "company");
	if (team_id == KPI_TEAM_UNASSIGNED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("team \"(unassigned)\" cannot have a ramp"),
				 errdetail("It is built in: nobody belongs to it.")));
	if (member != NULL)
		kpi_spi_exec("SELECT FROM kpi.member WHERE id = $1 FOR NO KEY UPDATE", 1, KPI_INT4(member_id));
	else
		kpi_spi_exec("SELECT FROM kpi.team WHERE id = $1 FOR NO KEY UPDATE", 1, KPI_INT4(team_id));
	if (ends)
		kpi_spi_exec("DELETE FROM kpi_internal.ramp WHERE team_id = nullif($1, 0) OR member_id = nullif($2, 0)", 2,
					 KPI_INT4(team_id), KPI_INT4(member_id));
	else if (kpi_spi_exec("UPDATE kpi_internal.ramp SET ramp = $3 WHERE team_id = nullif($1, 0) OR member_id = nullif($2, 0)", 3,
						  KPI_INT4(team_id), KPI_INT4(member_id), KPI_VALUE(NUMERICARRAYOID, PG_GETARG_DATUM(0))) == 0)
		kpi_spi_exec("INSERT INTO kpi_internal.ramp (team_id, member_id, ramp) VALUES (nullif($1, 0), nullif($2, 0), $3)", 3,
					 KPI_INT4(team_id), KPI_INT4(member_id), KPI_VALUE(NUMERICARRAYOID, PG_GETARG_DATUM(0)));
	kpi_spi_end(&spi);
	PG_RETURN_VOID();
}
