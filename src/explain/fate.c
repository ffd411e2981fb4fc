/*-------------------------------------------------------------------------
 *
 * fate.c
 *	  What becomes of a fact in a KPI: that it counts, and where, or why it does not.
 *
 * A row is projected as capture projects it, stream by stream, so what fails is known
 * here as it is there; why a fact counts for nothing says the stream that keeps the
 * count of such facts.  The reasons are tested in the order of
 * kpi.left_out, the first that holds is the one.
 *
 * Then comes what is stored.  A fact that the numbers may not have as it is now is
 * suspended or pending, whatever it is now: they may have it as it was.  That a measure is
 * not built at its day matters only where the fact would count.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "base/base.h"
#include "explain/explain_internal.h"
#include "fact/fact.h"
#include "miscadmin.h"
#include "refresh/refresh.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "value/value.h"

/* ---- a row, stream by stream ---- */

/* Of a stream of facts that are left out: why the fact is, by measure; 0: it is not. */
static KpiLeftOut *
reasons_of(const KpiLayout *layout, const KpiFact *fact)
{
	KpiLeftOut *reasons = palloc0(layout->nmeasures * sizeof(KpiLeftOut));

	for (int m = 0; m < layout->nmeasures; m++)
	{
		int			input = layout->measures[m].first_input;

		if (!bms_is_member(m, fact->failed_measures) && !fact->isnull[input])
			reasons[m] = DatumGetInt16(fact->inputs[input]);
	}
	return reasons;
}

static bool
is_read_by(const KpiFateKpi *kpi, int stream)
{
	return stream == kpi->value.stream || stream == kpi->end.stream || stream == kpi->left_out.stream;
}

static int
ask(KpiStored *stored, const KpiStream *stream, const char *owner, DateADT day, char **dims, int ndims)
{
	return stored ? kpi_explain_stored_ask(stored, stream, owner, day, dims, ndims) : -1;
}

KpiFateRow *
kpi_explain_fate_row(KpiStored *stored, const KpiSource *source, KpiProjection *projection, TupleTableSlot *slot,
					 const KpiFateKpi *only)
{
	KpiFateRow *row = palloc0(sizeof(KpiFateRow));

	row->facts = palloc0(source->nstreams * sizeof(KpiFateFact));
	for (int s = 0; s < source->nstreams; s++)
	{
		const KpiStream *stream = &source->streams[s];
		KpiFateFact *at = &row->facts[s];
		KpiFact		fact;

		at->stream = stream;
		at->asked = -1;
		if (only != NULL && !is_read_by(only, s))
			continue;
		kpi_fact_project(projection, s, slot, &fact);
		at->is_event = fact.is_event;
		at->failed = fact.failed;
		at->failed_measures = bms_copy(fact.failed_measures);
		at->error = fact.error ? pstrdup(fact.error) : NULL;
		if (!fact.is_event)
			continue;
		at->cell = kpi_fact_change_cell(NULL, kpi_fact_projection_layout(projection, s), &fact, 1);
		if (fact.failed)
		{
			at->asked = ask(stored, stream, NULL, KPI_ERROR_DAY, NULL, 0);
			continue;
		}
		at->day = fact.day;
		at->owner = fact.owner ? pstrdup(fact.owner) : NULL;
		if (stream->is_left_out)
			at->reasons = reasons_of(kpi_fact_projection_layout(projection, s), &fact);
		if (stream->currency != NULL && fact.dims[source->ndims] != NULL)
			at->currency = pstrdup(fact.dims[source->ndims]);
		at->asked = ask(stored, stream, fact.owner, fact.day, fact.dims, kpi_model_stream_ndims(source, stream));
	}
	return row;
}

/* ---- why it does not count ---- */

static void
leave_out(KpiFate *fate, const char *status, char *detail)
{
	fate->status = status;
	fate->counts_for = "nothing";
	fate->detail = detail;
}

/* A row that is no event may be left out by either filter. */
static char *
filter_detail(const KpiFateKpi *kpi, const KpiFateFact *fact, const char *what)
{
	if (kpi->source_filter == NULL || (fact->is_event && kpi->filter != NULL))
		return psprintf("The filter of KPI \"%s\" is %s: %s.", kpi->name, what, kpi->filter);
	if (kpi->filter == NULL)
		return psprintf("The filter of source \"%s\" is %s: %s.", kpi->source, what, kpi->source_filter);
	return psprintf("The filter of source \"%s\" (%s) or that of KPI \"%s\" (%s) is %s.", kpi->source,
					kpi->source_filter, kpi->name, kpi->filter, what);
}

static char *
left_out_detail(const KpiFateKpi *kpi, const KpiFateFact *fact, KpiLeftOut reason)
{
	switch (reason)
	{
		case KPI_LEFT_OUT_FILTER_FALSE:
			return filter_detail(kpi, fact, "false");
		case KPI_LEFT_OUT_FILTER_NULL:
			return filter_detail(kpi, fact, "NULL");
		case KPI_LEFT_OUT_NO_TIME:
			return psprintf("It has no time: %s is NULL or infinite.", kpi->at);
		case KPI_LEFT_OUT_DAY_OUT_OF_RANGE:
			return psprintf("The day of %s is outside of the years %d to %d.", kpi->at, KPI_MIN_FACT_YEAR,
							KPI_MAX_FACT_YEAR);
		case KPI_LEFT_OUT_END_BEFORE_START:
			return psprintf("It ends before it begins: %s is before %s.", kpi->until, kpi->at);
		case KPI_LEFT_OUT_NO_VALUE:
			return psprintf("It has no value for %s.", kpi->measure);
		case KPI_LEFT_OUT_NONFINITE:
			return psprintf("Its number for %s is NaN or infinite.", kpi->measure);
		case KPI_LEFT_OUT_TOO_LONG:
			return psprintf("Its number for %s has more digits than a measure takes.", kpi->measure);
	}
	return NULL;
}

static char *
error_detail(const KpiSource *source, const char *note)
{
	return psprintf("An expression fails on it: %s.",
					kpi_note_shown(note, GetUserId(), source->definer, source->definer_oid));
}

/* The reason that the count of facts left out has; false: none. */
static bool
is_left_out(const KpiFateRow *row, const KpiFateKpi *kpi, KpiFate *fate)
{
	const KpiFateFact *left_out = &row->facts[kpi->left_out.stream];
	const KpiFateFact *fact = &row->facts[kpi->value.stream];
	KpiLeftOut	reason = left_out->reasons ? left_out->reasons[kpi->left_out.measure] : 0;

	if (reason == 0)
		return false;
	leave_out(fate, kpi_cell_left_out_name(reason), left_out_detail(kpi, fact, reason));
	fate->by_count = true;
	return true;
}

/* The error of an expression, of the fact as a whole or of the KPI alone; false: none. */
static bool
has_failed(const KpiFateRow *row, const KpiSource *source, const KpiFateKpi *kpi, KpiFate *fate)
{
	const KpiFateMeasure *parts[] = {&kpi->value, &kpi->end, &kpi->left_out};

	for (int i = 0; i < lengthof(parts); i++)
	{
		const KpiFateFact *fact = parts[i]->stream < 0 ? NULL : &row->facts[parts[i]->stream];

		if (fact == NULL || (!fact->failed && !bms_is_member(parts[i]->measure, fact->failed_measures)))
			continue;
		leave_out(fate, "error", error_detail(source, fact->error));
		return true;
	}
	return false;
}

/* ---- that it counts ---- */

/* The numbers of the fact alone; false: it has none that is finite. */
static bool
set_value(const KpiFateFact *fact, const KpiMeasure *measure, Numeric parameter, Numeric rate, KpiFate *fate)
{
	const KpiCell *cell = rate ? kpi_cell_scale(fact->cell, rate) : fact->cell;
	KpiFinal	final;

	if (!kpi_cell_final(cell, measure->id, measure->divisor, parameter, &final) || final.nonfinite > 0)
		return false;
	fate->value = final.value;
	fate->numerator = final.numerator;
	fate->denominator = final.denominator;
	return true;
}

static char *
where_detail(const KpiStream *stream, const KpiFate *fate)
{
	const char *day = kpi_day_text(fate->day);

	if (stream->owner_kind == KPI_OWNER_COMPANY)
		return psprintf("It counts for the company on %s.", day);
	if (fate->member != NULL)
		return psprintf("It counts for member \"%s\" and team \"%s\" on %s.", fate->member, fate->team, day);
	return psprintf("It counts for team \"%s\" on %s.", fate->team, day);
}

static char *
unknown_detail(const KpiStream *stream, const char *owner)
{
	if (kpi_model_owner_is_member(stream->owner_kind))
		return psprintf("Owner \"%s\" is no member, so it counts for the company and team \"(unassigned)\": kpi.add_member() or kpi.add_alias().",
						owner);
	return psprintf("Owner \"%s\" is no team, so it counts for the company and team \"(unassigned)\": kpi.create_team().",
					owner);
}

/* It counts, and this is for whom, and until which day. */
static void
count(const KpiSource *source, const KpiFateKpi *kpi, const KpiFateFact *fact, KpiFate *fate)
{
	const KpiStream *stream = fact->stream;
	bool		is_known;

	is_known = kpi_explain_counted_for(source, stream, fact->owner, fact->day, &fate->team, &fate->member);
	fate->status = "counted";
	fate->counts_for = "value";
	if (!is_known)
	{
		fate->status = fact->owner == NULL ? "no_owner" : "unknown_owner";
		fate->counts_for = "company";
		fate->detail = fact->owner == NULL ?
			psprintf("%s is NULL, so it counts for the company and team \"(unassigned)\".", kpi->owner) :
			unknown_detail(stream, fact->owner);
	}
	else if (fact->day > kpi->today)
	{
		fate->status = "ahead";
		fate->counts_for = "value, not to date";
		fate->detail = psprintf("It is dated %s, after %s: it counts, but not to date.", kpi_day_text(fact->day),
								kpi_day_text(kpi->today));
	}
	else
		fate->detail = where_detail(stream, fate);
}

/* The rate of the fact; *rate stays NULL where nothing is converted.  False: there is none, and that is its fate. */
static bool
find_rate(const KpiFateKpi *kpi, const KpiFateFact *fact, Numeric *rate, KpiFate *fate)
{
	const KpiStream *stream = fact->stream;

	*rate = NULL;
	if (stream->currency == NULL)
		return true;
	if (fact->currency != NULL)
		*rate = kpi_refresh_exchange_rate(kpi->exchange, stream, fact->currency, fact->day);
	if (*rate != NULL)
		return true;
	leave_out(fate, "no_rate", fact->currency == NULL ? psprintf("Its currency is NULL: %s.", stream->currency) :
			  psprintf("Exchange \"%s\" has no rate of currency \"%s\" on %s: kpi.set_exchange_rate().",
					   stream->exchange, fact->currency, kpi_day_text(fact->day)));
	return false;
}

void
kpi_explain_fate_now(const KpiFateRow *row, const KpiSource *source, const KpiFateKpi *kpi, KpiFate *fate)
{
	const KpiFateFact *fact = &row->facts[kpi->value.stream];
	const KpiMeasure *measure = &fact->stream->measures[kpi->value.measure];
	Numeric		rate;

	memset(fate, 0, sizeof(KpiFate));
	fate->day = fact->day;
	fate->has_day = fact->is_event && !fact->failed;
	fate->owner = fact->owner;
	if (is_left_out(row, kpi, fate) || has_failed(row, source, kpi, fate))
		return;
	if (fact->cell == NULL || !set_value(fact, measure, kpi->parameter, NULL, fate))
		elog(ERROR, "a row of source \"%s\" is no fact of KPI \"%s\", and nothing says why", kpi->source, kpi->name);
	if (!find_rate(kpi, fact, &rate, fate))
		fate->value = fate->numerator = fate->denominator = NULL;
	else
	{
		if (rate != NULL)
			(void) set_value(fact, measure, kpi->parameter, rate, fate);
		count(source, kpi, fact, fate);
	}
}

/* ---- what it does not find ---- */

/* A fact counts without what a lookup has not; why it may count for nothing is told with it. */
static void
note_missing(const KpiFateRow *row, const KpiFateKpi *kpi, KpiFate *fate)
{
	ListCell   *lc;

	foreach(lc, row->missing)
	{
		const KpiExplainMissing *missing = lfirst(lc);

		if (!bms_is_member(missing->attno - FirstLowInvalidHeapAttributeNumber, kpi->used))
			continue;
		if (strcmp(fate->status, "counted") == 0)
			fate->status = "lookup_missing";
		fate->detail = psprintf("%s Lookup \"%s\" has no row of key \"%s\", so column %s of the fact is NULL.", fate->detail,
								missing->name, missing->key, quote_identifier(missing->column));
	}
}

/* ---- what is stored of it ---- */

static void
ask_stored(const KpiFateRow *row, const KpiStored *stored, const KpiFateMeasure *part, KpiStoredStatus *status,
		   char **detail)
{
	const KpiFateFact *fact;
	KpiStoredStatus its;
	char	   *its_detail;

	if (part->stream < 0)
		return;
	fact = &row->facts[part->stream];
	its = kpi_explain_stored_status(stored, &fact->stream->measures[part->measure], fact->asked,
									fact->is_event && !fact->failed ? fact->day : DATEVAL_NOEND, &its_detail);
	if (its <= *status)
		return;
	*status = its;
	*detail = its_detail;
}

/* How it will be, behind what keeps it from being so. */
static void
put_off(KpiFate *fate, const char *status, const char *counts_for, const char *detail)
{
	fate->detail = psprintf("%s Then: %s", detail, fate->detail);
	fate->status = status;
	fate->counts_for = counts_for;
}

void
kpi_explain_fate(const KpiFateRow *row, const KpiStored *stored, const KpiSource *source, const KpiFateKpi *kpi,
				 KpiFate *fate)
{
	KpiStoredStatus status = KPI_STORED_AS_IT_IS;
	char	   *detail = NULL;

	kpi_explain_fate_now(row, source, kpi, fate);
	note_missing(row, kpi, fate);
	ask_stored(row, stored, &kpi->value, &status, &detail);
	ask_stored(row, stored, &kpi->end, &status, &detail);
	if (fate->by_count)
		ask_stored(row, stored, &kpi->left_out, &status, &detail);
	if (status == KPI_STORED_SUSPENDED)
		put_off(fate, "suspended", NULL, detail);
	else if (status == KPI_STORED_PENDING)
		put_off(fate, "pending", NULL, detail);
	else if (status == KPI_STORED_UNBUILT && strcmp(fate->counts_for, "nothing") != 0)
		put_off(fate, "before complete_since", "nothing", detail);
}
