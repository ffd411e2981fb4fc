/*-------------------------------------------------------------------------
 *
 * row.c
 *	  What the rows of a rollup table should be.
 *
 * The numbers are those of the views, under the same snapshot: a row is there
 * when one of the table's KPIs has facts or a balance at its place, and has the values of
 * all of them.  Names are those of today.  All is read as the extension's owner.
 *
 * Locks: none beyond ACCESS SHARE on our own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "catalog/pg_type.h"
#include "model/model.h"
#include "refresh/refresh.h"
#include "rollup/rollup_internal.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

/* Places $1, $2, $3 with the names of their periods, of grain $4. */
#define PLACES \
	" u.label AS dimension_value, kpi_internal.period_name(u.start, $4, " \
	"  (SELECT o.fiscal_year_start FROM kpi.calendar o WHERE o.id = 1)) AS period," \
	" u.start AS period_start, kpi_internal.period_end(u.start, $4) AS period_end" \
	" FROM unnest($1, $2, $3) WITH ORDINALITY u (scope_id, start, label, n)"

#define TEAM_NAMES \
	"SELECT u.n::integer AS n, t.id AS team_id, t.key AS team, t.name AS team_name," \
	" kpi_internal.team_path(t.id) AS team_path, kpi_internal.team_level(t.id) AS team_level," \
	" kpi_internal.parent_team(t.id) AS parent_team," PLACES \
	" JOIN kpi.team t ON t.id = u.scope_id"

#define MEMBER_NAMES \
	"SELECT u.n::integer AS n, m.id AS member_id, m.key AS member, m.name AS member_name, t.id AS team_id," \
	" t.key AS team," PLACES \
	" JOIN kpi.member m ON m.id = u.scope_id" \
	" LEFT JOIN kpi.membership h ON h.member_id = m.id" \
	"  AND (h.since IS NULL OR h.since <= least(kpi.today(), kpi_internal.period_end(u.start, $4)))" \
	"  AND (h.until IS NULL OR h.until > least(kpi.today(), kpi_internal.period_end(u.start, $4)))" \
	" LEFT JOIN kpi.team t ON t.id = h.team_id"

/* Values of KPIs $5 there, of scopes of kind $6: teams or members. */
#define VALUES_AT(stream, dim, joins) \
	"SELECT u.n::integer AS n, s.kpi_id," \
	" kpi_internal.value(s.program, 0, $6, u.scope_id, $4, " dim ", u.start, NULL) AS value" \
	" FROM unnest($1, $2, $3) WITH ORDINALITY u (scope_id, start, label, n)" \
	" JOIN kpi_internal.kpi_stream s ON s.kpi_id = ANY ($5) AND " stream joins \
	" WHERE kpi_internal.facts(s.program, 0, $6, u.scope_id, $4, " dim ", u.start, NULL) > 0" \
	"  OR EXISTS (SELECT FROM kpi_internal.kpi_stream y WHERE y.kpi_id = s.kpi_id AND y.is_carried" \
	"  AND kpi_internal.has_balance(y.program, y.stream_id, $6, u.scope_id, $4, " dim ", u.start, NULL))"

/* A label is the value of dimension $7, as the source of each KPI numbers it. */
#define DIMENSION_VALUES \
	VALUES_AT("s.position = (SELECT pg_catalog.min(f.position) FROM kpi_internal.kpi_stream f" \
			  "  WHERE f.kpi_id = s.kpi_id AND f.has_breakdown)", "x.id", \
			  " JOIN kpi.dimension d ON d.source_id = s.source_id AND d.name = $7" \
			  " CROSS JOIN LATERAL (SELECT ARRAY[kpi_internal.dimension_value(u.label)] COLLATE \"C\" AS vals) l" \
			  " JOIN kpi_internal.dim x ON x.source_id = d.source_id AND x.position = d.position AND x.vals = l.vals" \
			  " AND pg_catalog.hash_array_extended(x.vals, 0) = pg_catalog.hash_array_extended(l.vals, 0)")

static KpiRollupRows *
allocate_rows(const KpiRollup *rollup, const KpiRollupPlaces *places)
{
	KpiRollupRows *rows = palloc(sizeof(KpiRollupRows));
	int			ncolumns = list_length(rollup->columns);

	rows->rollup = rollup;
	rows->places = places;
	rows->exists = palloc0(places->n * sizeof(bool));
	rows->values = palloc(ncolumns * sizeof(Datum *));
	rows->nulls = palloc(ncolumns * sizeof(bool *));
	for (int c = 0; c < ncolumns; c++)
	{
		rows->values[c] = palloc0(places->n * sizeof(Datum));
		rows->nulls[c] = palloc(places->n * sizeof(bool));
		memset(rows->nulls[c], true, places->n * sizeof(bool));
	}
	return rows;
}

static void
set_value(KpiRollupRows *rows, int c, int n, KpiRows *from, const char *name)
{
	const KpiRollupColumn *column = list_nth(rows->rollup->columns, c);
	int16		typlen;
	bool		typbyval;
	Datum		value = kpi_rows_datum(from, name, &rows->nulls[c][n]);

	get_typlenbyval(column->type, &typlen, &typbyval);
	if (!rows->nulls[c][n])
		rows->values[c][n] = datumCopy(value, typbyval, typlen);
}

static void
set_numbers(KpiRollupRows *rows, KpiRows *from)
{
	while (kpi_rows_next(from))
	{
		int			n = kpi_rows_int4(from, "n") - 1;
		int32		kpi_id = kpi_rows_int4(from, "kpi_id");

		rows->exists[n] = true;
		for (int c = 0; c < list_length(rows->rollup->columns); c++)
		{
			const KpiRollupColumn *column = list_nth(rows->rollup->columns, c);

			if (!column->is_name && column->kpi_id == kpi_id)
				set_value(rows, c, n, from, "value");
		}
	}
}

/*
 * A place of a team or member that is gone, or of a period that is too old or
 * none (any more), has no row.
 */
static void
set_names(KpiRollupRows *rows, KpiRows *from)
{
	const KpiCalendar *calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	bool	   *named = palloc0(rows->places->n * sizeof(bool));

	while (kpi_rows_next(from))
	{
		int			n = kpi_rows_int4(from, "n") - 1;

		DateADT		start = rows->places->items[n].start;

		named[n] = kpi_calendar_period_end(rows->rollup->grain, start, calendar) >= rows->rollup->since &&
			kpi_calendar_period_start(rows->rollup->grain, start, calendar) == start;
		for (int c = 0; c < list_length(rows->rollup->columns); c++)
		{
			const KpiRollupColumn *column = list_nth(rows->rollup->columns, c);

			if (column->is_name && rows->exists[n])
				set_value(rows, c, n, from, column->name);
		}
	}
	for (int n = 0; n < rows->places->n; n++)
		rows->exists[n] &= named[n];
}

KpiParam
kpi_rollup_kpis_param(const KpiRollup *rollup)
{
	Datum	   *ids = palloc(list_length(rollup->columns) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, rollup->columns)
	{
		const KpiRollupColumn *column = lfirst(lc);

		if (column->kpi_id != 0)
			ids[n++] = Int32GetDatum(column->kpi_id);
	}
	return KPI_VALUE(INT4ARRAYOID, PointerGetDatum(construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT)));
}

KpiRollupRows *
kpi_rollup_rows_make(const KpiRollup *rollup, const KpiRollupPlaces *places)
{
	KpiRollupRows *rows = allocate_rows(rollup, places);
	KpiParam	grain = KPI_INT4(rollup->grain);
	KpiParam	scope_kind = KPI_INT4(rollup->of_members ? KPI_SCOPE_MEMBER : KPI_SCOPE_TEAM);
	KpiParam	scopes;
	KpiParam	starts;
	KpiParam	labels;
	KpiRows		from;

	kpi_rollup_places_params(rollup, places, &scopes, &starts, &labels);
	if (rollup->dimension != NULL)
		kpi_rows_begin_read(&from, DIMENSION_VALUES, 7, scopes, starts, labels, grain,
							kpi_rollup_kpis_param(rollup), scope_kind, KPI_TEXT(rollup->dimension));
	else
		kpi_rows_begin_read(&from, VALUES_AT("s.position = 1", "0", ""), 6, scopes, starts, labels, grain,
							kpi_rollup_kpis_param(rollup), scope_kind);
	set_numbers(rows, &from);
	kpi_rows_end(&from);

	kpi_rows_begin_read(&from, rollup->of_members ? MEMBER_NAMES : TEAM_NAMES, 4, scopes, starts, labels, grain);
	set_names(rows, &from);
	kpi_rows_end(&from);
	return rows;
}
