/*-------------------------------------------------------------------------
 *
 * cascade_write.c
 *	  The goals that are parts of a goal are made what its parts say.
 *
 * Part by part it is looked what is there: nothing, a goal that an earlier cut has made and
 * nobody has altered, which is replaced in place and keeps its history, or another, which
 * is named and left alone.  What an earlier cut of the same kind has made and is no part any more
 * goes, unless somebody has altered it or cut it himself.
 *
 * All goals are written by a few statements, as there may be thousands; what they stand on is the
 * same for all of one kind of period, and is looked at once for each.
 *
 * Locks: the rows of the goals that are parts, by their ids, then as for goals that are made and
 * altered (goal.c).
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "define/cascade.h"
#include "miscadmin.h"
#include "people/people.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

/* One goal of a plan for a KPI, scope and period. */
typedef struct GoalKey
{
	int32		kpi_id;
	int32		team_id;
	int32		member_id;
	int32		grain;			/* RANGE: days */
	DateADT		start;
	DateADT		end;
} GoalKey;

#define RANGE (-1)

/* A goal that is there. */
typedef struct Known
{
	GoalKey		key;
	int64		goal_id;
	char	   *label;
	char	   *target_text;
	bool		own;			/* of an earlier cut of this kind */
	bool		altered;
	bool		cut;			/* it has parts itself */
	bool		wanted;			/* it is a part now */
} Known;

static GoalKey
key_of(const KpiPart *part)
{
	GoalKey		key;

	memset(&key, 0, sizeof(key));
	key.kpi_id = part->kpi_id;
	key.team_id = part->team_id;
	key.member_id = part->member_id;
	key.grain = part->period.range ? RANGE : (int32) part->period.grain;
	key.start = part->period.start;
	key.end = part->period.end;
	return key;
}

static List *
kpi_ids(const KpiCascade *cascade)
{
	List	   *ids = list_make1_int(cascade->kpi_id);

	for (int i = 0; i < cascade->nparts; i++)
		ids = list_append_unique_int(ids, cascade->parts[i].kpi_id);
	return ids;
}

/* Those of the plan within the period, each row by its key. */
static HTAB *
read_known(const KpiCascade *cascade)
{
	HASHCTL		ctl = {.keysize = sizeof(GoalKey),.entrysize = sizeof(Known),.hcxt = CurrentMemoryContext};
	HTAB	   *all = hash_create("pg_kpi parts of a goal", cascade->nparts, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	KpiRows		rows;

	(void) kpi_spi_exec("SELECT FROM kpi.goal WHERE parent_id = $1 ORDER BY id FOR UPDATE", 1, KPI_INT8(cascade->goal_id));
	kpi_rows_begin(&rows, "SELECT g.id, g.kpi_id, g.team_id, g.member_id, g.grain, g.period_start, g.period_end, g.target_text,"
				   " coalesce('\"' || g.name || '\"', g.id::text) AS label, coalesce(g.parent_id = p.id AND g.cascaded = $2, false) AS is_own,"
				   " g.altered_at IS NOT NULL AS is_altered, g.id IN (SELECT c.parent_id FROM kpi.goal c WHERE c.parent_id IS NOT NULL) AS is_cut"
				   " FROM kpi.goal p JOIN kpi.goal g ON g.plan = p.plan AND g.kpi_id = ANY ($3)"
				   " AND g.dimension IS NOT DISTINCT FROM p.dimension AND g.dimension_value IS NOT DISTINCT FROM p.dimension_value"
				   " AND g.period_start <= p.period_end AND g.period_end >= p.period_start AND NOT g.is_recurring"
				   " WHERE p.id = $1 AND g.id <> p.id ORDER BY g.id",
				   3, KPI_INT8(cascade->goal_id), KPI_TEXT(cascade->across_name), KPI_INT4S(kpi_ids(cascade)));
	while (kpi_rows_next(&rows))
	{
		GoalKey		key;
		KpiGrain	grain;
		Known	   *known;

		memset(&key, 0, sizeof(key));
		key.kpi_id = kpi_rows_int4(&rows, "kpi_id");
		key.team_id = kpi_rows_int4(&rows, "team_id");
		key.member_id = kpi_rows_int4(&rows, "member_id");
		key.grain = kpi_calendar_grain_parse(kpi_rows_text(&rows, "grain"), &grain) ? (int32) grain : RANGE;
		key.start = kpi_rows_date(&rows, "period_start", DATEVAL_NOBEGIN);
		key.end = kpi_rows_date(&rows, "period_end", DATEVAL_NOEND);
		known = hash_search(all, &key, HASH_ENTER, NULL);
		known->goal_id = kpi_rows_int8(&rows, "id");
		known->label = kpi_rows_text(&rows, "label");
		known->target_text = kpi_rows_text(&rows, "target_text");
		known->own = kpi_rows_bool(&rows, "is_own");
		known->altered = kpi_rows_bool(&rows, "is_altered");
		known->cut = kpi_rows_bool(&rows, "is_cut");
		known->wanted = false;
	}
	kpi_rows_end(&rows);
	return all;
}

/* Those that recur have all periods in their days. */
static void
find_recurring(KpiCascade *cascade)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT g.kpi_id, g.team_id, g.member_id, g.grain, g.period_start, g.period_end,"
				   " coalesce('\"' || g.name || '\"', g.id::text) AS label"
				   " FROM kpi.goal p JOIN kpi.goal g ON g.plan = p.plan AND g.kpi_id = ANY ($2)"
				   " AND g.dimension IS NOT DISTINCT FROM p.dimension AND g.dimension_value IS NOT DISTINCT FROM p.dimension_value"
				   " AND g.period_start <= p.period_end AND g.period_end >= p.period_start AND g.is_recurring"
				   " WHERE p.id = $1 ORDER BY g.id", 2, KPI_INT8(cascade->goal_id), KPI_INT4S(kpi_ids(cascade)));
	while (kpi_rows_next(&rows))
	{
		KpiGrain	grain = kpi_calendar_grain(kpi_rows_text(&rows, "grain"));

		for (int i = 0; i < cascade->nparts; i++)
		{
			KpiPart    *part = &cascade->parts[i];

			if (part->target_text == NULL || part->period.range || part->period.grain != grain ||
				part->kpi_id != kpi_rows_int4(&rows, "kpi_id") ||
				part->team_id != kpi_rows_int4(&rows, "team_id") || part->member_id != kpi_rows_int4(&rows, "member_id") ||
				part->period.start > kpi_rows_date(&rows, "period_end", DATEVAL_NOEND) ||
				part->period.end < kpi_rows_date(&rows, "period_start", DATEVAL_NOBEGIN))
				continue;
			part->action = "keep";
			part->message = psprintf("goal %s recurs and asks there already", kpi_rows_text(&rows, "label"));
		}
	}
	kpi_rows_end(&rows);
}

/* What is to become of each part. */
static void
decide(KpiCascade *cascade, HTAB *known_goals)
{
	for (int i = 0; i < cascade->nparts; i++)
	{
		KpiPart    *part = &cascade->parts[i];
		GoalKey		key = key_of(part);
		Known	   *known;

		if (part->target_text == NULL || strcmp(part->action, "keep") == 0)
			continue;
		known = hash_search(known_goals, &key, HASH_FIND, NULL);
		if (known == NULL)
		{
			part->action = "create";
			continue;
		}
		known->wanted = true;
		part->goal_id = known->goal_id;
		part->action = "keep";
		if (!known->own)
			part->message = psprintf("goal %s is there already, and is no part of goal %s that was made like this",
									 known->label, cascade->label);
		else if (known->altered)
			part->message = psprintf("goal %s was altered: it stays at %s", known->label, known->target_text);
		else if (strcmp(known->target_text, part->target_text) != 0)
			part->action = "replace";
	}
}

/* Whoever is no part any more, by key, at the end. */
static void
add_gone(KpiCascade *cascade, HTAB *known_goals)
{
	KpiRows		rows;

	kpi_rows_begin(&rows, "SELECT g.id, k.id AS kpi_id, k.name AS kpi, t.id AS team_id, m.id AS member_id, t.key AS team, m.key AS member,"
				   " g.grain, g.period, g.period_start, g.period_end"
				   " FROM kpi.goal g JOIN kpi.kpi k ON k.id = g.kpi_id"
				   " LEFT JOIN kpi.team t ON t.id = g.team_id LEFT JOIN kpi.member m ON m.id = g.member_id"
				   " WHERE g.parent_id = $1 AND g.cascaded = $2"
				   " ORDER BY coalesce(t.key, m.key) COLLATE \"C\", g.period_start, k.name",
				   2, KPI_INT8(cascade->goal_id), KPI_TEXT(cascade->across_name));
	while (kpi_rows_next(&rows))
	{
		KpiPart		was = {
			.kpi_id = kpi_rows_int4(&rows, "kpi_id"),.team_id = kpi_rows_int4(&rows, "team_id"),
			.member_id = kpi_rows_int4(&rows, "member_id")
		};
		GoalKey		key;
		const Known *known;
		KpiPart    *part;

		was.period.range = !kpi_calendar_grain_parse(kpi_rows_text(&rows, "grain"), &was.period.grain);
		was.period.start = kpi_rows_date(&rows, "period_start", DATEVAL_NOBEGIN);
		was.period.end = kpi_rows_date(&rows, "period_end", DATEVAL_NOEND);
		key = key_of(&was);
		known = hash_search(known_goals, &key, HASH_FIND, NULL);
		if (known == NULL || known->wanted || !known->own)
			continue;
		strlcpy(was.period.name, kpi_rows_text(&rows, "period"), sizeof(was.period.name));
		part = kpi_define_cascade_add(cascade, NULL);
		part->kpi = kpi_rows_text(&rows, "kpi");
		part->kpi_id = was.kpi_id;
		part->team_id = was.team_id;
		part->member_id = was.member_id;
		part->team = kpi_rows_text(&rows, "team");
		part->member = kpi_rows_text(&rows, "member");
		part->period = was.period;
		part->goal_id = known->goal_id;
		part->action = known->altered || known->cut ? "keep" : "drop";
		part->message = known->altered ? psprintf("goal %s is no part any more, but was altered: it stays", known->label) :
			known->cut ? psprintf("goal %s is no part any more, but has parts itself: it stays", known->label) :
			"it is no part any more";
	}
	kpi_rows_end(&rows);
}

/* ---- writing ---- */

/* Parts with an action, as arrays for a statement. */
typedef struct Arrays
{
	int			n;
	Datum	   *ids;
	Datum	   *kpis;
	Datum	   *teams;
	Datum	   *members;
	Datum	   *grains;
	Datum	   *periods;
	Datum	   *starts;
	Datum	   *ends;
	Datum	   *texts;
	Datum	   *targets;
	Datum	   *highs;
	bool	   *no_high;
} Arrays;

static Arrays
arrays_of(const KpiCascade *cascade, const char *action)
{
	Arrays		arrays = {0};
	Datum	  **all[] = {
		&arrays.ids, &arrays.kpis, &arrays.teams, &arrays.members, &arrays.grains, &arrays.periods, &arrays.starts, &arrays.ends,
		&arrays.texts, &arrays.targets, &arrays.highs
	};

	for (int i = 0; i < lengthof(all); i++)
		*all[i] = palloc(cascade->nparts * sizeof(Datum));
	arrays.no_high = palloc(cascade->nparts * sizeof(bool));
	for (int i = 0; i < cascade->nparts; i++)
	{
		const KpiPart *part = &cascade->parts[i];
		int			n = arrays.n;

		if (strcmp(part->action, action) != 0)
			continue;
		arrays.ids[n] = Int64GetDatum(part->goal_id);
		arrays.kpis[n] = Int32GetDatum(part->kpi_id);
		arrays.teams[n] = Int32GetDatum(part->team_id);
		arrays.members[n] = Int32GetDatum(part->member_id);
		arrays.grains[n] = CStringGetTextDatum(part->period.range ? "range" : kpi_calendar_grain_name(part->period.grain));
		arrays.periods[n] = CStringGetTextDatum(part->period.name);
		arrays.starts[n] = DateADTGetDatum(part->period.start);
		arrays.ends[n] = DateADTGetDatum(part->period.end);
		arrays.texts[n] = CStringGetTextDatum(part->target_text ? part->target_text : "");
		arrays.targets[n] = NumericGetDatum(part->target);
		arrays.no_high[n] = part->high == NULL;
		arrays.highs[n] = NumericGetDatum(part->high);
		arrays.n++;
	}
	return arrays;
}

static Datum
ids_datum(const Arrays *arrays)
{
	return PointerGetDatum(construct_array(arrays->ids, arrays->n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static KpiParam
int4_array(Datum *items, int n)
{
	return KPI_VALUE(INT4ARRAYOID, PointerGetDatum(construct_array(items, n, INT4OID, sizeof(int32), true, TYPALIGN_INT)));
}

static KpiParam
date_array(Datum *items, int n)
{
	return KPI_VALUE(DATEARRAYOID, PointerGetDatum(construct_array(items, n, DATEOID, sizeof(DateADT), true, TYPALIGN_INT)));
}

static KpiParam
text_array(Datum *items, int n)
{
	return KPI_VALUE(TEXTARRAYOID, PointerGetDatum(construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT)));
}

static Datum
numerics(Datum *items, bool *nulls, int n)
{
	int			lower = 1;

	return PointerGetDatum(construct_md_array(items, nulls, 1, &n, &lower, NUMERICOID, -1, false, TYPALIGN_INT));
}

/* What the targets of goals that are written amount to. */
static void
write_targets(const KpiCascade *cascade, const Arrays *arrays)
{
	kpi_goal_targets_write_many(ids_datum(arrays), numerics(arrays->targets, NULL, arrays->n),
								numerics(arrays->highs, arrays->no_high, arrays->n), cascade->kind);
	/* The same for all of a KPI. */
	for (int i = 0; i < arrays->n; i++)
	{
		if (i == 0 || arrays->kpis[i] != arrays->kpis[i - 1])
			kpi_goal_target_moved(DatumGetInt64(arrays->ids[i]));
	}
}

static void
number_new(KpiCascade *cascade)
{
	int			n = 0;
	KpiRows		rows;

	for (int i = 0; i < cascade->nparts; i++)
		n += strcmp(cascade->parts[i].action, "create") == 0;
	kpi_rows_begin(&rows, "SELECT pg_catalog.nextval('kpi.goal_id_seq') AS id FROM pg_catalog.generate_series(1, $1)", 1, KPI_INT4(n));
	for (int i = 0; i < cascade->nparts; i++)
	{
		if (strcmp(cascade->parts[i].action, "create") == 0 && kpi_rows_next(&rows))
			cascade->parts[i].goal_id = kpi_rows_int8(&rows, "id");
	}
	kpi_rows_end(&rows);
}

/* The pace of the goal, unless that has milestones of its own. */
static void
create(KpiCascade *cascade)
{
	Arrays		arrays;
	bool		splits = cascade->step != NULL && cascade->across != KPI_ACROSS_ACTIVITIES;

	number_new(cascade);
	arrays = arrays_of(cascade, "create");
	if (arrays.n == 0)
		return;
	(void) kpi_spi_exec("INSERT INTO kpi.goal (id, plan, kpi_id, team_id, member_id, dimension, dimension_value, grain, period,"
						"  period_start, period_end, target_text, target, pace, is_draft, parent_id, over_assign, cascade_step, cascaded)"
						" SELECT n.id, p.plan, n.kpi_id, nullif(n.team_id, 0), nullif(n.member_id, 0), p.dimension, p.dimension_value,"
						"  n.grain, n.period, n.period_start, n.period_end, n.target_text, n.target,"
						"  CASE p.pace WHEN 'phased' THEN 'seasonal' ELSE p.pace END, p.is_draft, p.id, $12, $13, $14"
						" FROM kpi.goal p, ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5),"
						"  pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9), pg_catalog.unnest($10), pg_catalog.unnest($11))"
						"  n (id, kpi_id, team_id, member_id, grain, period, period_start, period_end, target_text, target)"
						" WHERE p.id = $1 ORDER BY n.id", 14,
						KPI_INT8(cascade->goal_id), KPI_VALUE(INT8ARRAYOID, ids_datum(&arrays)),
						int4_array(arrays.kpis, arrays.n), int4_array(arrays.teams, arrays.n), int4_array(arrays.members, arrays.n),
						text_array(arrays.grains, arrays.n), text_array(arrays.periods, arrays.n),
						date_array(arrays.starts, arrays.n), date_array(arrays.ends, arrays.n), text_array(arrays.texts, arrays.n),
						KPI_VALUE(NUMERICARRAYOID, numerics(arrays.targets, NULL, arrays.n)),
						splits ? KPI_VALUE(NUMERICOID, NumericGetDatum(cascade->over_assign)) : KPI_NULL(NUMERICOID),
						splits ? KPI_VALUE(NUMERICOID, NumericGetDatum(cascade->step)) : KPI_NULL(NUMERICOID),
						KPI_TEXT(cascade->across_name));
	write_targets(cascade, &arrays);
}

static void
replace(KpiCascade *cascade)
{
	Arrays		arrays = arrays_of(cascade, "replace");
	Arrays		kept = arrays_of(cascade, "keep");
	bool		splits = cascade->step != NULL && cascade->across != KPI_ACROSS_ACTIVITIES;

	if (arrays.n > 0)
	{
		(void) kpi_spi_exec("UPDATE kpi.goal g SET target_text = n.target_text, target = n.target"
							" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) n (id, target_text, target) WHERE g.id = n.id", 3,
							KPI_VALUE(INT8ARRAYOID, ids_datum(&arrays)), text_array(arrays.texts, arrays.n),
							KPI_VALUE(NUMERICARRAYOID, numerics(arrays.targets, NULL, arrays.n)));
		write_targets(cascade, &arrays);
	}
	if (!splits)
		return;
	/* How they were split is another now, even if that has come to the same. */
	for (int i = 0; i < 2; i++)
		(void) kpi_spi_exec("UPDATE kpi.goal g SET over_assign = $3, cascade_step = $4 WHERE g.id = ANY ($1) AND g.parent_id = $2"
							" AND g.cascaded = $5 AND (g.over_assign, g.cascade_step) IS DISTINCT FROM ($3, $4)", 5,
							KPI_VALUE(INT8ARRAYOID, ids_datum(i == 0 ? &arrays : &kept)), KPI_INT8(cascade->goal_id),
							KPI_VALUE(NUMERICOID, NumericGetDatum(cascade->over_assign)),
							KPI_VALUE(NUMERICOID, NumericGetDatum(cascade->step)), KPI_TEXT(cascade->across_name));
}

static void
drop(const KpiCascade *cascade)
{
	for (int i = 0; i < cascade->nparts; i++)
	{
		if (strcmp(cascade->parts[i].action, "drop") == 0)
			kpi_define_goal_remove(cascade->parts[i].goal_id);
	}
}

/* What the new ones stand on: of each KPI and kind of period the last, as what is over comes first. */
static void
check_ground(const KpiCascade *cascade)
{
	Bitmapset  *seen = NULL;

	for (int i = cascade->nparts - 1; i >= 0; i--)
	{
		const KpiPart *part = &cascade->parts[i];
		int			kind = part->period.range ? KPI_NGRAINS : (int) part->period.grain;

		if (cascade->across == KPI_ACROSS_ACTIVITIES)
			kind = KPI_NGRAINS + 1 + i;
		if (strcmp(part->action, "create") != 0 || bms_is_member(kind, seen))
			continue;
		seen = bms_add_member(seen, kind);
		kpi_define_ground_check_goal(part->goal_id);
	}
}

void
kpi_define_cascade_write(KpiCascade *cascade)
{
	HTAB	   *known_goals = read_known(cascade);
	Arrays		created;
	Arrays		replaced;

	find_recurring(cascade);
	decide(cascade, known_goals);
	add_gone(cascade, known_goals);
	drop(cascade);
	create(cascade);
	replace(cascade);
	check_ground(cascade);
	created = arrays_of(cascade, "create");
	replaced = arrays_of(cascade, "replace");
	if (created.n > 0)
		kpi_goal_notify_goals(ids_datum(&created));
	if (replaced.n > 0)
		kpi_goal_notify_goals(ids_datum(&replaced));
}
