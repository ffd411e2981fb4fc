/*-------------------------------------------------------------------------
 *
 * estimate_sample.c
 *	  What the facts of a table would be summed up in, by a sample of its rows.
 *
 * As ANALYZE does it: of a large table SAMPLE_BLOCKS blocks are read, and of their rows no more than one of each on
 * average, so that rows that were written together are not taken for what the table is like; of a smaller
 * one all blocks.  At most SAMPLE_ROWS rows are kept, whatever statistics there are: each draws a number, those
 * below a limit are kept, and when there are too many the limit is halved.  The cost is bounded by that: a
 * row beyond is counted, and no expression evaluated on it.
 *
 * Each kept fact is put where a refresh would put it (refresh/fanout.c, refresh/place.c), and of each level (the
 * days of owners, the months of the teams right below the company, ...) it is counted how many different rows there are.  How many
 * there are of all facts follows as ANALYZE estimates how many values a column has (Haas and Stokes,
 * estimator Duj1): exactly where all rows are kept.  As that comes to too little where some rows are made of many facts
 * and most of few, it is done for owners (teams, values of dimensions) apart by how many facts they have; and no
 * owner has more rows than there are periods.
 *
 * How large a cell is that so many facts make is seen of cells that facts of the sample are put into, one after the
 * other.
 *
 * The facts are read as read.c says, as the source's definer.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "access/table.h"
#include "base/base.h"
#include "calendar/calendar.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "explain/explain_internal.h"
#include "miscadmin.h"
#include "people/people.h"
#include "portability/instr_time.h"
#include "storage/bufmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define SAMPLE_BLOCKS 30000
#define SAMPLE_ROWS 30000

/* So many changes are thought to be refreshed together. */
#define CHANGES 1000

/* Cells that are filled at a time, to see how they grow; noted when they have 1, 2, 4, ... facts. */
#define CHAINS 8
#define SIZES 16

/* What a fact of a stream is, as far as its places follow from it. */
typedef struct Observation
{
	double		number;			/* that its row has drawn */
	int			s;				/* number of the stream */
	DateADT		day;
	uint64		owner;			/* hashes stand for texts */
	uint64		combination;	/* of all dimensions */
	int32		member_id;
	const KpiSpan *span;		/* the teams; NULL: it is in no rollups */
	uint64	   *dims;
}			Observation;

typedef struct Chains
{
	KpiCell    *cells[CHAINS];
	int			facts[CHAINS];
	int			next;
	double		sums[SIZES];	/* of the sizes of cells with 2^i facts */
	int			n[SIZES];
}			Chains;

typedef struct Sampling
{
	KpiExplainSource *open;
	KpiOrg	   *org;
	const KpiCalendar *calendar;
	DateADT		credit_day;		/* whose teams count with credit today */
	MemoryContext cxt;
	pg_prng_state prng;
	double		limit;			/* rows are kept that draw less */
	int			kept;			/* rows */
	double		rows;			/* that were seen */
	double		looked_at;		/* rows whose facts were computed */
	double		observed;		/* those of them of which something was kept */
	double		found;			/* those that count somewhere */
	Observation *observations;
	int			nobservations;
	int			maxobservations;
	Chains	   *chains;			/* of each stream */
	instr_time	evaluating;
}			Sampling;

/* ---- reading ---- */

static uint64
hash_text(const char *text)
{
	return text ? hash_bytes_extended((const unsigned char *) text, strlen(text), 0) : 0;
}

/* As kpi_cell_compact() stores it. */
static int
stored_size(const KpiCell *cell)
{
	struct varlena *compact = kpi_cell_compact(cell);
	int			size = VARSIZE_ANY_EXHDR(compact) + (VARSIZE_ANY_EXHDR(compact) < VARATT_SHORT_MAX ? VARHDRSZ_SHORT : VARHDRSZ);

	pfree(compact);
	return size;
}

static void
lengthen(Sampling * sampling, int s, const KpiFact *fact)
{
	Chains	   *chains = &sampling->chains[s];
	int			i = chains->next++ % CHAINS;
	int			n = ++chains->facts[i];
	MemoryContext old = MemoryContextSwitchTo(sampling->cxt);

	chains->cells[i] = kpi_fact_change_cell(chains->cells[i], kpi_fact_projection_layout(sampling->open->projection, s), fact, 1);
	if ((n & (n - 1)) == 0 && n < 1 << SIZES)
	{
		int			power = (int) log2(n);

		chains->sums[power] += stored_size(chains->cells[i]);
		chains->n[power]++;
	}
	MemoryContextSwitchTo(old);
}

/* The teams that the fact counts for. */
static const KpiSpan *
span_of(Sampling * sampling, const KpiStream *stream, const KpiFact *fact, int32 *member_id)
{
	static int32 company = KPI_TEAM_COMPANY;
	static const KpiSpan all = {DATEVAL_NOBEGIN, DATEVAL_NOEND, 1, &company};
	DateADT		day = kpi_model_owner_is_of_today(stream->owner_kind) ? sampling->credit_day : fact->day;
	const KpiSpan *spans;
	int			n;

	*member_id = 0;
	if (stream->is_left_out)
		return NULL;
	if (stream->owner_kind == KPI_OWNER_COMPANY)
		return &all;
	if (kpi_model_owner_is_member(stream->owner_kind))
		spans = kpi_people_member_spans(sampling->org, fact->owner, member_id, &n);
	else
		spans = kpi_people_team_spans(sampling->org, fact->owner, &n);
	for (int i = 0; i < n; i++)
	{
		if (day >= spans[i].since && day < spans[i].until)
			return &spans[i];
	}
	elog(ERROR, "an owner counts for nothing on day %d", day);
}

/* A fact that failed as a whole is counted, for nobody and on no day. */
static void
observe(Sampling * sampling, int s, const KpiFact *fact, bool failed, double number)
{
	const KpiSource *source = sampling->open->source;
	const KpiStream *stream = &source->streams[s];
	Observation *observation;

	if (sampling->nobservations == sampling->maxobservations)
	{
		sampling->maxobservations *= 2;
		sampling->observations = repalloc_huge(sampling->observations, sampling->maxobservations * sizeof(Observation));
	}
	observation = &sampling->observations[sampling->nobservations++];
	observation->number = number;
	observation->s = s;
	observation->day = failed ? KPI_ERROR_DAY : fact->day;
	observation->owner = failed || stream->is_left_out ? 0 : hash_text(fact->owner);
	observation->combination = 0;
	observation->dims = NULL;
	observation->member_id = 0;
	observation->span = failed ? NULL : span_of(sampling, stream, fact, &observation->member_id);
	if (observation->span == NULL)
		return;
	observation->dims = MemoryContextAlloc(sampling->cxt, Max(source->ndims, 1) * sizeof(uint64));
	for (int i = 0; i < kpi_model_stream_ndims(source, stream); i++)
	{
		uint64		dim = hash_text(fact->dims[i]);

		observation->combination = hash_combine64(observation->combination, dim);
		if (i < source->ndims)
			observation->dims[i] = dim;
	}
}

/* Gives up those that have drawn too much. */
static void
halve(Sampling * sampling)
{
	int			n = 0;

	sampling->limit /= 2;
	sampling->kept = 0;
	for (int i = 0; i < sampling->nobservations; i++)
	{
		Observation *observation = &sampling->observations[i];

		if (observation->number >= sampling->limit)
		{
			if (observation->dims)
				pfree(observation->dims);
			continue;
		}
		if (n == 0 || sampling->observations[n - 1].number != observation->number)
			sampling->kept++;
		sampling->observations[n++] = *observation;
	}
	sampling->nobservations = n;
}

/* The facts of a row that is kept. */
static void
keep(Sampling * sampling, const KpiExplainRow * row, double number)
{
	const KpiSource *source = sampling->open->source;
	int			before = sampling->nobservations;
	bool		counts = false;

	for (int s = 0; s < source->nstreams; s++)
	{
		KpiFact		fact;
		bool		failed;

		kpi_explain_fact(sampling->open, s, row, &fact);
		failed = fact.failed || fact.out_of_range;
		if (!failed && (!fact.is_event ||
						kpi_fact_changes_nothing(kpi_fact_projection_layout(sampling->open->projection, s), &fact)))
			continue;
		observe(sampling, s, &fact, failed, number);
		if (!failed)
			lengthen(sampling, s, &fact);
		counts |= !failed && !source->streams[s].is_left_out;
	}
	sampling->looked_at++;
	sampling->found += counts;
	if (sampling->nobservations > before)
	{
		sampling->observed++;
		sampling->kept++;
	}
}

static void
take_row(void *arg, const KpiExplainRow * row)
{
	Sampling   *sampling = arg;
	double		number = pg_prng_double(&sampling->prng);
	instr_time	begin;
	instr_time	end;

	sampling->rows++;
	if (number >= sampling->limit)
		return;
	INSTR_TIME_SET_CURRENT(begin);
	keep(sampling, row, number);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_ACCUM_DIFF(sampling->evaluating, end, begin);
	while (sampling->kept > SAMPLE_ROWS)
		halve(sampling);
}

static double
blocks_of(List *leaves)
{
	double		blocks = 0;
	ListCell   *lc;

	foreach(lc, leaves)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		blocks += RelationGetNumberOfBlocks(rel);
		table_close(rel, NoLock);
	}
	return blocks;
}

/* ---- counting ---- */

/* Facts of a scope, and of one value of a dimension, in a level; of all periods, or of one: a row. */
typedef struct PlaceKey
{
	int64		level;
	int64		start;			/* of the period; that of all: PG_INT64_MIN */
	uint64		scope;
	uint64		dim;
}			PlaceKey;

typedef struct PlaceEntry
{
	PlaceKey	key;			/* the hash key */
	struct PlaceEntry *group;	/* that of all periods; NULL: it is one */
	int			facts;
	bool		is_touched;
} PlaceEntry;

/* Places whose groups have from 2^i facts on. */
typedef struct Stratum
{
	double		groups;
	double		facts;
	double		places;
	double		single;			/* places of one fact */
}			Stratum;

typedef struct LevelEntry
{
	int64		level;			/* the hash key */
	int			s;
	KpiGrain	grain;
	bool		is_day_cell;
	double		facts;
	double		groups;
	double		single_groups;	/* of one fact */
	double		touched;
	Stratum		strata[SIZES];
}			LevelEntry;

typedef struct Counting
{
	const		Sampling *sampling;
	double		share;			/* of all facts, those that were kept */
	HTAB	   *levels;
	HTAB	   *places;
	const		Observation *observation;
	bool		touches;		/* it is among those that are thought to
								 * change */
}			Counting;

/* Scopes besides teams, of which there are as many levels as the tree is deep. */
#define SCOPE_OWNER 0
#define SCOPE_MEMBER 1
#define SCOPE_COMPANY 2

static LevelEntry *
level_entry(Counting * counting, int64 id, int scope_level, KpiGrain grain)
{
	bool		found;
	LevelEntry *level = hash_search(counting->levels, &id, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) level + sizeof(int64), 0, sizeof(LevelEntry) - sizeof(int64));
		level->s = counting->observation->s;
		level->grain = grain;
		level->is_day_cell = scope_level == SCOPE_OWNER;
	}
	return level;
}

/* With a fact more. */
static PlaceEntry *
place_entry(Counting * counting, const PlaceKey * key, PlaceEntry *group)
{
	bool		found;
	PlaceEntry *place = hash_search(counting->places, key, HASH_ENTER, &found);

	if (!found)
	{
		place->group = group;
		place->facts = 0;
		place->is_touched = false;
	}
	place->facts++;
	return place;
}

static void
count(Counting * counting, int scope_level, uint64 scope, KpiGrain grain, int dim_number, uint64 dim)
{
	const		Observation *observation = counting->observation;
	PlaceKey	key = {
		.level = (((int64) observation->s * 1000 + scope_level) * 10 + grain) * 10000 + dim_number,
		.start = PG_INT64_MIN,
		.scope = scope,
		.dim = dim
	};
	LevelEntry *level = level_entry(counting, key.level, scope_level, grain);
	PlaceEntry *place = place_entry(counting, &key, NULL);

	key.start = observation->span == NULL ? observation->day :
		kpi_calendar_period_start(grain, observation->day, counting->sampling->calendar);
	place = place_entry(counting, &key, place);
	level->facts++;
	if (counting->touches && !place->is_touched)
	{
		place->is_touched = true;
		level->touched++;
	}
}

/* The months of a scope, all in all or of one value of a dimension, and what comes with them. */
static void
count_periods(Counting * counting, int scope_level, uint64 scope, bool with_days, bool with_weeks, bool with_years,
			  int dim_number, uint64 dim)
{
	if (with_days)
		count(counting, scope_level, scope, KPI_DAY, dim_number, dim);
	if (with_weeks)
		count(counting, scope_level, scope, KPI_WEEK, dim_number, dim);
	count(counting, scope_level, scope, KPI_MONTH, dim_number, dim);
	count(counting, scope_level, scope, KPI_QUARTER, dim_number, dim);
	count(counting, scope_level, scope, KPI_YEAR, dim_number, dim);
	if (with_years)
		count(counting, scope_level, scope, KPI_ANCHOR_YEAR, dim_number, dim);
}

static void
count_observation(Counting * counting)
{
	const		Observation *observation = counting->observation;
	const KpiSource *source = counting->sampling->open->source;
	const KpiSpan *span = observation->span;
	int			detail = kpi_model_stream_detail(&source->streams[observation->s]);
	bool		with_years = (detail & KPI_DETAIL_YEARS) != 0;

	count(counting, SCOPE_OWNER, observation->owner, KPI_DAY, 0, observation->combination);
	if (span == NULL)
		return;
	if (observation->member_id != 0)
		count_periods(counting, SCOPE_MEMBER, observation->member_id, (detail & KPI_DETAIL_MEMBERS) != 0, true, with_years, 0, 0);
	for (int t = 0; t < span->nscopes; t++)
	{
		int			scope_level = SCOPE_COMPANY + span->nscopes - 1 - t;

		count_periods(counting, scope_level, span->scopes[t], true, true, with_years, 0, 0);
		for (int k = 0; k < source->ndims; k++)
			count_periods(counting, scope_level, span->scopes[t], (detail & KPI_DETAIL_PARTS) != 0,
						  (detail & KPI_DETAIL_PARTS) != 0, with_years, k + 1, observation->dims[k]);
	}
}

/* The size of a cell of a stream with so many facts, between those that were seen and beyond. */
static double
cell_size(const Chains * chains, double facts)
{
	double		power = log2(Max(facts, 1));
	double		size = 0;
	double		before = 0;

	for (int i = 0; i < SIZES && chains->n[i] > 0; i++)
	{
		before = size;
		size = chains->sums[i] / chains->n[i];
		if (i >= power)
			return i == 0 ? size : before + (size - before) * (power - i + 1);
		if (i == SIZES - 1 || chains->n[i + 1] == 0)
			return before == 0 ? size : Min(size * pow(size / before, power - i), MaxAllocSize);
	}
	return 0;
}

/* Once all facts are counted. */
static void
stratify(Counting * counting)
{
	HASH_SEQ_STATUS status;
	PlaceEntry *place;

	hash_seq_init(&status, counting->places);
	while ((place = hash_seq_search(&status)) != NULL)
	{
		LevelEntry *level = hash_search(counting->levels, &place->key.level, HASH_FIND, NULL);
		const PlaceEntry *group = place->group ? place->group : place;
		Stratum    *stratum = &level->strata[Min((int) log2(group->facts), SIZES - 1)];

		if (place->group == NULL)
		{
			level->groups++;
			level->single_groups += place->facts == 1;
			stratum->groups++;
			stratum->facts += place->facts;
			continue;
		}
		stratum->places++;
		stratum->single += place->facts == 1;
	}
}

/* How many there are of all facts, where so many of a share are of one. */
static double
expected(double found, double single, double facts, double share)
{
	return found / (1 - (1 - share) * single / facts);
}

/* How many periods the facts of a stream are in, at most, that of those that failed included. */
static double
periods_of(const Sampling * sampling, int s, KpiGrain grain)
{
	static const double days[] = {1, 7, 30.44, 91.3, 365.25, 365.25};
	DateADT		first = 0;
	DateADT		last = -1;

	for (int i = 0; i < sampling->nobservations; i++)
	{
		const		Observation *observation = &sampling->observations[i];

		if (observation->s != s || observation->day == KPI_ERROR_DAY)
			continue;
		first = last < first ? observation->day : Min(first, observation->day);
		last = Max(last, observation->day);
	}
	return ceil((last - first + 1) / days[grain]) + 1;
}

static double
cells_of(const Counting * counting, const LevelEntry * entry)
{
	double		periods = periods_of(counting->sampling, entry->s, entry->grain);
	double		unseen = expected(entry->groups, entry->single_groups, entry->facts, counting->share) - entry->groups;
	double		cells = 0;

	for (int i = 0; i < SIZES; i++)
	{
		const		Stratum *stratum = &entry->strata[i];
		double		groups = stratum->groups + (i == 0 ? unseen : 0);

		if (stratum->places > 0)
			cells += Min(expected(stratum->places, stratum->single, stratum->facts, counting->share), groups * periods);
	}
	return cells;
}

static KpiEstimateLevel *
level_of(const Counting * counting, const LevelEntry * entry, double changes)
{
	KpiEstimateLevel *level = palloc0(sizeof(KpiEstimateLevel));

	level->is_day_cell = entry->is_day_cell;
	level->is_place = entry->grain == KPI_WEEK || entry->grain == KPI_QUARTER || entry->grain == KPI_YEAR;
	level->cells = cells_of(counting, entry);
	level->cell_size = cell_size(&counting->sampling->chains[entry->s], entry->facts / counting->share / level->cells);
	level->touched = entry->touched / changes;
	return level;
}

/* Returns of how many facts it is counted what they touch. */
static double
count_observations(Counting * counting)
{
	const		Sampling *sampling = counting->sampling;
	double		changed = sampling->kept > CHANGES ? sampling->limit * CHANGES / sampling->kept : sampling->limit;
	double		changes = 0;
	double		last = -1;

	for (int i = 0; i < sampling->nobservations; i++)
	{
		CHECK_FOR_INTERRUPTS();
		counting->observation = &sampling->observations[i];
		counting->touches = counting->observation->number < changed;
		if (counting->touches && counting->observation->number != last)
			changes++;
		last = counting->observation->number;
		count_observation(counting);
	}
	return Max(changes, 1);
}

static void
count_all(const Sampling * sampling, double share, KpiEstimateSample * sample)
{
	HASHCTL		levels = {.keysize = sizeof(int64),.entrysize = sizeof(LevelEntry),.hcxt = CurrentMemoryContext};
	HASHCTL		places = {.keysize = sizeof(PlaceKey),.entrysize = sizeof(PlaceEntry),.hcxt = CurrentMemoryContext};
	Counting	counting = {.sampling = sampling,.share = share};
	HASH_SEQ_STATUS status;
	LevelEntry *entry;
	double		changes;

	counting.levels = hash_create("pg_kpi estimate: levels", 64, &levels, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	counting.places = hash_create("pg_kpi estimate: places", 4096, &places, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	changes = count_observations(&counting);
	stratify(&counting);
	hash_seq_init(&status, counting.levels);
	while ((entry = hash_seq_search(&status)) != NULL)
		sample->levels = lappend(sample->levels, level_of(&counting, entry, changes));
	sample->streams_of_fact = sampling->nobservations / (double) Max(sampling->kept, 1);
	hash_destroy(counting.places);
	hash_destroy(counting.levels);
}

/* ---- the sample ---- */

static void
begin(Sampling * sampling, KpiSource *source)
{
	sampling->cxt = CurrentMemoryContext;
	sampling->open = kpi_explain_open_loaded(source);
	sampling->org = kpi_people_load(source->id);
	sampling->calendar = kpi_calendar_get(KPI_DEFAULT_CALENDAR);
	sampling->credit_day = kpi_calendar_today(sampling->calendar);
	sampling->maxobservations = 1024;
	sampling->observations = palloc(sampling->maxobservations * sizeof(Observation));
	sampling->chains = palloc0(source->nstreams * sizeof(Chains));
	sampling->limit = 1;

	/* The same rows each time. */
	pg_prng_seed(&sampling->prng, 1);
}

KpiEstimateSample *
kpi_explain_estimate_sample(KpiSource *source)
{
	KpiEstimateSample *sample = palloc0(sizeof(KpiEstimateSample));
	Sampling	sampling = {0};
	KpiExplainWanted wanted = {.since = DATEVAL_NOBEGIN,.until = DATEVAL_NOEND,.and_filtered = true};
	double		blocks;
	double		read = 1;		/* share of the blocks */
	double		rows;
	double		share;
	double		evaluating;
	instr_time	start;
	instr_time	now;

	begin(&sampling, source);
	blocks = blocks_of(sampling.open->leaves);
	if (blocks > SAMPLE_BLOCKS)
	{
		read = SAMPLE_BLOCKS / blocks;
		wanted.percent = read * 100;
	}
	INSTR_TIME_SET_CURRENT(start);
	kpi_explain_read(sampling.open, &wanted, take_row, &sampling);
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	evaluating = INSTR_TIME_GET_DOUBLE(sampling.evaluating);
	rows = sampling.rows / read;
	sample->facts = rows * sampling.found / Max(sampling.looked_at, 1);
	sample->reading_seconds = (INSTR_TIME_GET_DOUBLE(now) - evaluating) / read +
		evaluating / Max(sampling.looked_at, 1) * rows;
	share = sampling.kept / Max(rows * sampling.observed / Max(sampling.looked_at, 1), 1);
	sample->facts_read = sample->facts * share;
	count_all(&sampling, share, sample);
	kpi_people_free(sampling.org);
	kpi_explain_close(sampling.open);
	return sample;
}
