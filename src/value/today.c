/*-------------------------------------------------------------------------
 *
 * today.c
 *	  By which day a KPI is judged.
 *
 * Today, by the calendar; but where it is known until when a source has its
 * facts, and that was on an earlier day, it is that day: what was not loaded yet is
 * no bad sales.  A formula is judged by the earliest of its sources.
 *
 * Asked on each row of a view, so what is known of the sources is kept as long as
 * the active snapshot shows the same.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "calendar/calendar.h"
#include "utils/memutils.h"
#include "value/value_internal.h"

typedef struct DayLimit
{
	int32		source_id;
	TimestampTz until;
} DayLimit;

static KpiSnapshotNote limits_snapshot;
static DayLimit *limits = NULL; /* ascending; of sources that have one */
static int	nlimits = 0;
static int	max_limits = 0;

static void
make_room(int n)
{
	if (n <= max_limits)
		return;
	if (limits == NULL)
		limits = MemoryContextAllocHuge(TopMemoryContext, n * sizeof(DayLimit));
	else
		limits = repalloc_huge(limits, n * sizeof(DayLimit));
	max_limits = n;
}

static void
read_limits(void)
{
	KpiRows		rows;
	KpiSpi		spi;

	nlimits = 0;
	kpi_spi_begin(&spi);
	kpi_rows_begin_read(&rows, "SELECT l.source_id, l.judged_until FROM kpi_internal.source_load l"
						" WHERE l.judged_until IS NOT NULL ORDER BY l.source_id", 0);
	make_room(rows.n);
	while (kpi_rows_next(&rows))
	{
		limits[nlimits].source_id = kpi_rows_int4(&rows, "source_id");
		limits[nlimits++].until = kpi_rows_time(&rows, "judged_until", DT_NOEND);
	}
	kpi_rows_end(&rows);
	kpi_spi_end(&spi);
}

static const DayLimit *
find_limit(int32 source_id)
{
	int			low = 0;
	int			high = nlimits;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (limits[middle].source_id < source_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < nlimits && limits[low].source_id == source_id ? &limits[low] : NULL;
}

DateADT
kpi_value_today(const KpiProgram *program)
{
	DateADT		today = kpi_calendar_today_in(program->time_zone);
	TimestampTz until = DT_NOEND;
	DateADT		day;

	if (kpi_snapshot_changed(&limits_snapshot))
	{
		/* Should reading fail, it is to be read again. */
		KpiSnapshotNote note = limits_snapshot;

		memset(&limits_snapshot, 0, sizeof(limits_snapshot));
		read_limits();
		limits_snapshot = note;
	}
	for (int i = 0; nlimits > 0 && i < program->nnodes; i++)
	{
		const DayLimit *limit = program->nodes[i].formula == NULL ? find_limit(program->nodes[i].source_id) : NULL;

		if (limit != NULL)
			until = Min(until, limit->until);
	}
	if (until != DT_NOEND && kpi_calendar_day_of_moment(until, pg_tzset(program->time_zone), &day))
		today = Min(today, day);
	return today;
}
