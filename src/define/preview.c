/*-------------------------------------------------------------------------
 *
 * preview.c
 *	  kpi.preview_move(): what a move of a member would change.
 *
 * The member is moved, and the sources of its facts are refreshed, in a
 * subtransaction that is rolled back: what is said is what a refresh after the move
 * would leave, whatever the KPIs and goals are made of.  Neither rows nor locks,
 * notices or queue entries are left of it.
 *
 * Facts that others commit meanwhile change numbers too.  So the numbers without
 * the move are looked at before and after, and if they are not the same everything
 * is done again, a few times: under a load that never rests some of what is said may
 * be of other changes.
 *
 * Locks, until the subtransaction ends: the row of kpi_internal.version, as a move
 * takes it, and then those of a refresh of all sources, so that no refresh waits
 * while somebody else's move is not committed.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "define/define_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "people/people.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(kpi_sql_preview_move);

#define NCOLUMNS 11
#define MAX_LOOKS 3

typedef struct Preview
{
	char	   *member;			/* arguments of kpi.move_member() */
	char	   *team;
	KpiParam	since;
	KpiParam	until;
	int32		member_id;
	List	   *team_ids;		/* whose numbers may change */
	char	   *before;			/* numbers, as kpi_internal.preview_numbers()
								 * has them */
	char	   *after;
	char	   *again;			/* of before, looked at last */
} Preview;

/* Sources of members' facts, as far as they can be refreshed; tell: which cannot. */
static void
refresh_sources(bool tell)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT s.id, s.name, s.is_paused FROM kpi.source s"
				   " WHERE EXISTS (SELECT FROM kpi_internal.stream x WHERE x.source_id = s.id AND x.owner_kind = 'member')"
				   " ORDER BY s.id", 0);
	while (kpi_rows_next(&rows))
	{
		bool		is_paused = kpi_rows_bool(&rows, "is_paused");

		if (!is_paused &&
			kpi_worker_for_user(kpi_rows_int4(&rows, "id"), KPI_RUN_DELTAS, &kpi_refresh_all_days, NULL) != KPI_RUN_BUILD_DUE)
			continue;
		if (tell)
			ereport(NOTICE,
					(errmsg("what would change of source \"%s\" is left out: it %s", kpi_rows_text(&rows, "name"),
							is_paused ? "is paused" : "must be read anew"),
					 is_paused ? 0 : errhint("Run CALL kpi.refresh() first.")));
	}
	kpi_rows_end(&rows);
}

static char *
look(const Preview *preview)
{
	return kpi_first_text("SELECT kpi_internal.preview_numbers($1, $2)::text", 2,
						  KPI_INT4(preview->member_id), KPI_INT4S(preview->team_ids));
}

/* The work that is undone: moves the member and looks at what came of it. */
static void
move(void *arg)
{
	Preview    *preview = arg;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("SELECT kpi.move_member($1, team => $2, since => $3, until => $4)", 4,
				 KPI_TEXT(preview->member), KPI_TEXT(preview->team), preview->since, preview->until);
	kpi_spi_end(&spi);
	refresh_sources(false);
	preview->after = look(preview);
}

/* The work around it, which is undone as well: numbers must be of now to be compared. */
static void
look_around(void *arg)
{
	Preview    *preview = arg;
	KpiSpi		spi;

	kpi_spi_begin(&spi);
	kpi_spi_exec("SELECT FROM kpi_internal.version v WHERE v.id = 1 FOR UPDATE", 0);
	kpi_spi_end(&spi);
	(void) kpi_refresh_lock_sources(0);
	refresh_sources(true);
	preview->again = look(preview);
	for (int n = 0; n < MAX_LOOKS; n++)
	{
		preview->before = preview->again;
		kpi_undone(move, preview);
		refresh_sources(false);
		preview->again = look(preview);
		if (strcmp(preview->before, preview->again) == 0)
			break;
	}
}

/* Teams that the member is below on some day, and those it would be. */
static List *
teams_around(const Preview *preview)
{
	return kpi_all_int4("SELECT DISTINCT a.ancestor_id FROM kpi_internal.team_ancestors() a"
						" WHERE a.team_id = $2 OR a.team_id = $3 OR a.team_id IN"
						"  (SELECT s.team_id FROM kpi.membership s WHERE s.member_id = $1) ORDER BY 1",
						3, KPI_INT4(preview->member_id), KPI_INT4(kpi_define_team_id(preview->team)),
						KPI_INT4(KPI_TEAM_UNASSIGNED));
}

static void
put_differences(ReturnSetInfo *rsinfo, const Preview *preview)
{
	static const char *const columns[] = {
		"kind", "kpi", "scope_team", "scope_member", "grain", "period", "before", "after", "goal", "status_before", "status_after"
	};
	KpiRows		rows;

	StaticAssertStmt(lengthof(columns) == NCOLUMNS, "the columns of kpi.preview_move()");
	kpi_rows_begin(&rows, "SELECT * FROM kpi_internal.preview_difference($1::jsonb, $2::jsonb)", 2,
				   KPI_TEXT(preview->before), KPI_TEXT(preview->after));
	kpi_rows_put(&rows, rsinfo, columns, NCOLUMNS);
}

/* kpi.preview_move(key, team, since, until) */
Datum
kpi_sql_preview_move(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Preview		preview = {
		.member = kpi_arg_name(fcinfo, 0, "member"),
		.team = kpi_arg_name(fcinfo, 1, "team"),
		.since = kpi_arg_day_param(fcinfo, 2),
		.until = kpi_arg_day_param(fcinfo, 3)
	};

	kpi_require_editor();
	InitMaterializedSRF(fcinfo, 0);
	preview.member_id = kpi_define_member_id(preview.member);
	preview.team_ids = teams_around(&preview);
	kpi_undone(look_around, &preview);
	put_differences(rsinfo, &preview);
	return (Datum) 0;
}
