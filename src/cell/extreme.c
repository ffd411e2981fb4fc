/*-------------------------------------------------------------------------
 *
 * extreme.c
 *	  The kinds of states that know the most extreme facts: min, max, first, last.
 *
 * An extreme has no inverse: who takes the largest value away must know the
 * next one.  So a state knows the KEPT most extreme values, each with how many
 * facts have it, and for the rest only how many there are:
 *
 *	n			finite facts
 *	nonfinite	facts whose value is not finite
 *	bound		everything at least as extreme as it is among the entries; none:
 *				everything is
 *	entries		values, the most extreme first, none beyond the bound, each with a
 *				count that is not 0
 *
 * That is a group as far as it is known.  A sum knows what all its parts know:
 * its bound is the stricter one, the entries beyond that are dropped, and those
 * that sum up to nothing.  Entries that are too many are dropped as well, and
 * the bound is what is left of them.  What is known does not depend on the order in which
 * states are added, but for how much it is; equality asks for as much as both know.
 * A state of no facts with a bound is not empty: it says that something beyond
 * it has come and gone.
 *
 * Where facts and deltas have met (kpi_cell_finished()), counts are of facts: a state
 * of none is empty, and one whose entries are all of its facts needs no bound.  If
 * it has facts and no entry, its extreme is not known, and it has no value until
 * the facts are read again.
 *
 * The value of first and last has a place in the order of time: the time, then
 * the key, then itself.  A key is a number or a text, and texts are ordered by
 * their bytes.
 *
 * On disk and in memory a state is: header, n, nonfinite, twice the number of entries plus 1
 * for a bound, the point of the bound, and for each entry its count and its point.
 * A point is, for first and last, the time and the key (its length, or -1 and a
 * decimal), and then the value.  A decimal is a slot, without trailing zeros, and the
 * numeric of a wide one.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "cell/cell_internal.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/date.h"

/* So many removals of the most extreme value of a cell are free. */
#define KEPT 32

/* Longer keys are cut: then the value decides between two of them. */
#define MAX_KEY 256

#define KEY_IS_NUMBER (-1)

typedef struct Head
{
	KpiState	state;
	int64		n;
	int64		nonfinite;
	int64		shape;			/* 2 * entries + (1 with a bound) */
} Head;

typedef struct Point
{
	int64		at;
	const char *key;			/* NULL: a number */
	int			key_length;
	KpiDecimal	key_number;
	KpiDecimal	value;
} Point;

typedef struct Entry
{
	int64		count;
	Point		point;
} Entry;

/* The body of a state, one entry after the other. */
typedef struct Reader
{
	KpiKind		kind;
	const char *next;
	int64		left;			/* entries */
	bool		bounded;
	Point		bound;
	bool		has_entry;
	Entry		entry;			/* where it stands */
} Reader;

static bool
is_of_time(KpiKind kind)
{
	return kind == KPI_FIRST || kind == KPI_LAST;
}

/* ---- points ---- */

/* Which of two comes first: below 0, a is more extreme. */
static int
compare_keys(const Point *a, const Point *b)
{
	int			order;

	if (a->key == NULL && b->key == NULL)
		return kpi_cell_decimal_compare(&a->key_number, &b->key_number);
	if (a->key == NULL || b->key == NULL)
		return a->key == NULL ? -1 : 1;
	order = memcmp(a->key, b->key, Min(a->key_length, b->key_length));
	return order != 0 ? order : a->key_length - b->key_length;
}

static int
compare(KpiKind kind, const Point *a, const Point *b)
{
	int			order = 0;

	if (is_of_time(kind))
	{
		order = (a->at > b->at) - (a->at < b->at);
		if (order == 0)
			order = compare_keys(a, b);
	}
	if (order == 0)
		order = kpi_cell_decimal_compare(&a->value, &b->value);
	return kind == KPI_MAX || kind == KPI_LAST ? -order : order;
}

static Size
decimal_length(const KpiDecimal *decimal)
{
	return sizeof(int128) + (decimal->wide != NULL ? MAXALIGN(VARSIZE(decimal->wide)) : 0);
}

static Size
point_length(KpiKind kind, const Point *point)
{
	Size		length = decimal_length(&point->value);

	if (!is_of_time(kind))
		return length;
	return length + 2 * sizeof(int64) +
		(point->key == NULL ? decimal_length(&point->key_number) : MAXALIGN(point->key_length));
}

static char *
write_word(char *to, int64 word)
{
	memcpy(to, &word, sizeof(int64));
	return to + sizeof(int64);
}

/* Bytes that are padded with zeros. */
static char *
write_bytes(char *to, const void *bytes, Size length)
{
	Size		padded = MAXALIGN(length);

	memset(to, 0, padded);
	memcpy(to, bytes, length);
	return to + padded;
}

static char *
write_decimal(char *to, const KpiDecimal *decimal)
{
	int128		slot = decimal->wide != NULL ? KPI_SLOT_WIDE : kpi_cell_slot_make(decimal->value, decimal->scale);

	to = write_bytes(to, &slot, sizeof(int128));
	return decimal->wide == NULL ? to : write_bytes(to, decimal->wide, VARSIZE(decimal->wide));
}

static char *
write_point(char *to, KpiKind kind, const Point *point)
{
	if (is_of_time(kind))
	{
		to = write_word(to, point->at);
		to = write_word(to, point->key == NULL ? KEY_IS_NUMBER : point->key_length);
		to = point->key == NULL ? write_decimal(to, &point->key_number) :
			write_bytes(to, point->key, point->key_length);
	}
	return write_decimal(to, &point->value);
}

static int64
read_word(const char **from)
{
	int64		word;

	memcpy(&word, *from, sizeof(int64));
	*from += sizeof(int64);
	return word;
}

/* Points into the state while it is wide. */
static void
read_decimal(const char **from, KpiDecimal *decimal)
{
	int128		slot;

	memcpy(&slot, *from, sizeof(int128));
	*from += sizeof(int128);
	decimal->wide = NULL;
	decimal->value = slot >> 8;
	decimal->scale = (uint8) slot;
	if (kpi_cell_slot_is_wide(slot))
	{
		decimal->wide = (Numeric) *from;
		decimal->value = 0;
		decimal->scale = 0;
		*from += MAXALIGN(VARSIZE(decimal->wide));
	}
}

static void
read_point(const char **from, KpiKind kind, Point *point)
{
	if (is_of_time(kind))
	{
		point->at = read_word(from);
		point->key_length = (int) read_word(from);
		point->key = NULL;
		if (point->key_length == KEY_IS_NUMBER)
			read_decimal(from, &point->key_number);
		else
		{
			point->key = *from;
			*from += MAXALIGN(point->key_length);
		}
	}
	read_decimal(from, &point->value);
}

/* ---- states ---- */

static void
next_entry(Reader *reader)
{
	reader->has_entry = reader->left > 0;
	if (!reader->has_entry)
		return;
	reader->left--;
	reader->entry.count = read_word(&reader->next);
	read_point(&reader->next, reader->kind, &reader->entry.point);
}

static void
begin_reading(Reader *reader, const KpiState *state)
{
	const Head *head = (const Head *) state;

	reader->kind = state->kind;
	reader->next = (const char *) (head + 1);
	reader->left = head->shape / 2;
	reader->bounded = (head->shape & 1) != 0;
	if (reader->bounded)
		read_point(&reader->next, reader->kind, &reader->bound);
	/* Not read unless there is one, which the compiler does not see. */
	reader->entry.count = 0;
	next_entry(reader);
}

/* Whether nothing is known of a point. */
static bool
is_beyond(const Reader *reader, const Point *point)
{
	return reader->bounded && compare(reader->kind, point, &reader->bound) > 0;
}

/* Gives the state at an offset another body. */
static void
replace_body(KpiCellBuf *buf, uint32 offset, int64 shape, const char *body, Size length)
{
	uint32		old_length = kpi_cell_state_length(kpi_cell_state_at(buf->cell, offset)) - sizeof(Head);
	Head	   *head;

	kpi_cell_buf_resize(buf, offset, sizeof(Head), old_length, length);
	head = (Head *) kpi_cell_state_at(buf->cell, offset);
	head->shape = shape;
	memcpy(head + 1, body, length);
}

/* ---- adding ---- */

/* The next entry of a sum of two; false at the end. */
static bool
next_of_both(Reader *a, Reader *b, int sign, Entry *entry)
{
	int			order;

	if (!a->has_entry && !b->has_entry)
		return false;
	order = !a->has_entry ? 1 : !b->has_entry ? -1 : compare(a->kind, &a->entry.point, &b->entry.point);
	*entry = order <= 0 ? a->entry : b->entry;
	if (order == 0)
		entry->count = kpi_cell_count_add(a->entry.count, b->entry.count, sign);
	else if (order > 0)
		entry->count = sign > 0 ? b->entry.count : -b->entry.count;
	if (order <= 0)
		next_entry(a);
	if (order >= 0)
		next_entry(b);
	return true;
}

/*
 * The bound and the entries of the sum replace those of the state at the offset.
 * All of it is put together before the state is touched, as it is read on the way.
 */
static void
add_entries(KpiCellBuf *buf, uint32 offset, const KpiState *other, int sign)
{
	const KpiState *state = kpi_cell_state_at(buf->cell, offset);
	Reader		a;
	Reader		b;
	Entry		entry;
	Point		last = {0};
	int64		nentries = 0;
	char	   *entries = palloc(kpi_cell_state_length(state) + kpi_cell_state_length(other));
	char	   *end = entries;
	char	   *body;
	char	   *to;

	begin_reading(&a, state);
	begin_reading(&b, other);
	if (b.bounded && !is_beyond(&a, &b.bound))
	{
		a.bounded = true;
		a.bound = b.bound;
	}
	while (next_of_both(&a, &b, sign, &entry) && !is_beyond(&a, &entry.point))
	{
		if (entry.count == 0)
			continue;
		if (nentries == KEPT)
		{
			a.bounded = true;
			a.bound = last;
			break;
		}
		nentries++;
		last = entry.point;
		end = write_point(write_word(end, entry.count), a.kind, &entry.point);
	}
	body = to = palloc((a.bounded ? point_length(a.kind, &a.bound) : 0) + (end - entries));
	if (a.bounded)
		to = write_point(to, a.kind, &a.bound);
	memcpy(to, entries, end - entries);
	to += end - entries;
	replace_body(buf, offset, 2 * nentries + (a.bounded ? 1 : 0), body, to - body);
	pfree(entries);
	pfree(body);
}

static void
extreme_merge(KpiCellBuf *buf, uint32 offset, const KpiState *other, int sign)
{
	Head	   *head = (Head *) kpi_cell_state_at(buf->cell, offset);
	const Head *added = (const Head *) other;

	head->n = kpi_cell_count_add(head->n, added->n, sign);
	head->nonfinite = kpi_cell_count_add(head->nonfinite, added->nonfinite, sign);
	if (added->shape != 0)
		add_entries(buf, offset, other, sign);
}

/* Adds a point; most of a cell of many facts are beyond its bound, and cost little. */
static void
add_point(KpiCellBuf *buf, uint32 offset, const Point *point, int sign)
{
	Head	   *head = (Head *) kpi_cell_state_at(buf->cell, offset);
	Reader		reader;
	Size		length;
	Head	   *other;

	head->n += sign;
	begin_reading(&reader, &head->state);
	if (is_beyond(&reader, point))
		return;
	length = sizeof(Head) + sizeof(int64) + point_length(head->state.kind, point);
	other = palloc0(length);
	other->state.kind = head->state.kind;
	kpi_cell_state_set_length(&other->state, length);
	other->shape = 2;
	(void) write_point(write_word((char *) (other + 1), sign), head->state.kind, point);
	add_entries(buf, offset, &other->state, 1);
	pfree(other);
}

/* ---- adding a fact ---- */

/* False for what is not finite, or has too many digits. */
static bool
read_value(KpiInputType type, Datum input, KpiDecimal *value)
{
	if (!kpi_cell_read_number(type, input, value))
		return false;
	kpi_cell_decimal_trim(value);
	return true;
}

static void
extreme_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types, const Datum *inputs,
			const bool *isnull, int sign)
{
	Point		point = {0};

	if (isnull[0])
		return;
	if (read_value(types[0], inputs[0], &point.value))
		add_point(buf, offset, &point, sign);
	else
		((Head *) kpi_cell_state_at(buf->cell, offset))->nonfinite += sign;
}

static int64
read_time(KpiInputType type, Datum input)
{
	return type == KPI_INPUT_DATE ? DatumGetDateADT(input) : DatumGetInt64(input);
}

/* No key is the text of no bytes, and so is a number that is not finite. */
static void
read_key(KpiInputType type, Datum input, bool isnull, Point *point)
{
	text	   *key;

	point->key = "";
	point->key_length = 0;
	if (isnull)
		return;
	if (type != KPI_INPUT_TEXT)
	{
		if (read_value(type, input, &point->key_number))
			point->key = NULL;
		return;
	}
	key = DatumGetTextPP(input);
	point->key = VARDATA_ANY(key);
	point->key_length = Min(VARSIZE_ANY_EXHDR(key), MAX_KEY);
}

static void
ordered_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types, const Datum *inputs,
			const bool *isnull, int sign)
{
	Point		point = {0};

	if (isnull[0] || isnull[1])
		return;
	if (!read_value(types[0], inputs[0], &point.value))
	{
		((Head *) kpi_cell_state_at(buf->cell, offset))->nonfinite += sign;
		return;
	}
	point.at = read_time(types[1], inputs[1]);
	read_key(types[2], inputs[2], isnull[2], &point);
	add_point(buf, offset, &point, sign);
}

static bool
ordered_takes(int input, KpiInputType type)
{
	bool		is_time = type == KPI_INPUT_TIME || type == KPI_INPUT_DATE;

	if (input == 1)
		return is_time;
	return !is_time && type != KPI_INPUT_BOOL && (input == 2 || type != KPI_INPUT_TEXT);
}

/* ---- the group ---- */

static void
extreme_negate(KpiState *state)
{
	Head	   *head = (Head *) state;
	Reader		reader;
	char	   *at;

	head->n = -head->n;
	head->nonfinite = -head->nonfinite;
	begin_reading(&reader, state);
	while (reader.has_entry)
	{
		at = unconstify(char *, reader.next) - sizeof(int64) - point_length(state->kind, &reader.entry.point);
		(void) write_word(at, -reader.entry.count);
		next_entry(&reader);
	}
}

static bool
extreme_is_empty(const KpiState *state)
{
	const Head *head = (const Head *) state;

	return head->n == 0 && head->nonfinite == 0 && head->shape == 0;
}

/* As much as both know. */
static bool
extreme_equal(const KpiState *a_state, const KpiState *b_state)
{
	Reader		a;
	Reader		b;

	if (((const Head *) a_state)->n != ((const Head *) b_state)->n ||
		((const Head *) a_state)->nonfinite != ((const Head *) b_state)->nonfinite)
		return false;
	begin_reading(&a, a_state);
	begin_reading(&b, b_state);
	for (;;)
	{
		bool		a_has = a.has_entry && !is_beyond(&b, &a.entry.point);
		bool		b_has = b.has_entry && !is_beyond(&a, &b.entry.point);

		if (!a_has || !b_has)
			return a_has == b_has;
		if (compare(a.kind, &a.entry.point, &b.entry.point) != 0 || a.entry.count != b.entry.count)
			return false;
		next_entry(&a);
		next_entry(&b);
	}
}

/* ---- of facts ---- */

/* The first entry that facts have; false: it is not known, or there are no facts. */
static bool
find_extreme(const KpiState *state, KpiDecimal *value)
{
	Reader		reader;

	for (begin_reading(&reader, state); reader.has_entry; next_entry(&reader))
	{
		if (reader.entry.count <= 0)
			continue;
		*value = reader.entry.point.value;
		return true;
	}
	return false;
}

static bool
extreme_is_known(const KpiState *state)
{
	KpiDecimal	value;

	return ((const Head *) state)->n == 0 || find_extreme(state, &value);
}

/* Facts that are among the entries. */
static int64
known_facts(const KpiState *state)
{
	Reader		reader;
	int64		n = 0;

	for (begin_reading(&reader, state); reader.has_entry; next_entry(&reader))
		n += reader.entry.count;
	return n;
}

static void
extreme_finish(KpiCellBuf *buf, uint32 offset)
{
	const Head *head = (const Head *) kpi_cell_state_at(buf->cell, offset);
	const char *entries = (const char *) (head + 1);
	Point		bound;
	char	   *body;
	Size		length;

	if (head->n == 0)
		replace_body(buf, offset, 0, NULL, 0);
	else if ((head->shape & 1) != 0 && known_facts(&head->state) == head->n)
	{
		read_point(&entries, head->state.kind, &bound);
		length = (const char *) head + kpi_cell_state_length(&head->state) - entries;
		body = palloc(length);
		memcpy(body, entries, length);
		replace_body(buf, offset, head->shape & ~INT64CONST(1), body, length);
		pfree(body);
	}
}

static int64
extreme_facts(const KpiState *state)
{
	return ((const Head *) state)->n + ((const Head *) state)->nonfinite;
}

static void
extreme_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	KpiDecimal	value;

	result->nonfinite = ((const Head *) state)->nonfinite;
	if (!find_extreme(state, &value))
		return;
	result->value = kpi_cell_decimal_numeric(&value);
	if (divisor != 1)
		result->value = DatumGetNumeric(DirectFunctionCall2(numeric_div, NumericGetDatum(result->value),
															NumericGetDatum(int64_to_numeric(divisor))));
}

/* ---- what is read may be damaged ---- */

/* Whether a decimal is there within the bytes that are left, and is what it must be. */
static bool
decimal_is_sound(const char **from, const char *end)
{
	KpiDecimal	decimal;
	KpiDecimal	trimmed;
	int128		slot;
	Numeric		wide;

	if (end - *from < (ptrdiff_t) sizeof(int128))
		return false;
	memcpy(&slot, *from, sizeof(int128));
	if (kpi_cell_slot_is_wide(slot))
	{
		wide = (Numeric) (*from + sizeof(int128));
		if (slot != KPI_SLOT_WIDE || end - (const char *) wide < (ptrdiff_t) sizeof(int64) ||
			VARATT_IS_EXTENDED(wide) || VARSIZE(wide) > (Size) (end - (const char *) wide) ||
			MAXALIGN(VARSIZE(wide)) > (Size) (end - (const char *) wide) || !kpi_cell_decimal_wide_is_valid(wide))
			return false;
		read_decimal(from, &decimal);
		return true;
	}
	if ((uint8) slot > KPI_MAX_SCALE || !kpi_cell_decimal_fits(slot >> 8))
		return false;
	read_decimal(from, &decimal);
	trimmed = decimal;
	kpi_cell_decimal_trim(&trimmed);
	return trimmed.scale == decimal.scale;
}

static bool
point_is_sound(const char **from, const char *end, KpiKind kind)
{
	int64		length;

	if (is_of_time(kind))
	{
		if (end - *from < (ptrdiff_t) (2 * sizeof(int64)))
			return false;
		(void) read_word(from);
		length = read_word(from);
		if (length == KEY_IS_NUMBER)
		{
			if (!decimal_is_sound(from, end))
				return false;
		}
		else
		{
			if (length < 0 || length > MAX_KEY || (int64) MAXALIGN(length) > end - *from)
				return false;
			*from += MAXALIGN(length);
		}
	}
	return decimal_is_sound(from, end);
}

static const char *
extreme_check(const KpiState *state)
{
	const Head *head = (const Head *) state;
	const char *from = (const char *) (head + 1);
	const char *end = (const char *) state + kpi_cell_state_length(state);
	Reader		reader;
	Point		last;

	if (kpi_cell_state_length(state) < sizeof(Head) || head->shape < 0 || head->shape / 2 > KEPT)
		return "A state has too many entries.";
	if (head->n > KPI_MAX_COUNT || head->n < -KPI_MAX_COUNT ||
		head->nonfinite > KPI_MAX_COUNT || head->nonfinite < -KPI_MAX_COUNT)
		return "A count is out of range.";
	for (int64 i = (head->shape & 1) ? -1 : 0; i < head->shape / 2; i++)
	{
		int64		count = 1;

		if (i >= 0 && end - from < (ptrdiff_t) sizeof(int64))
			return "A state is too short.";
		if (i >= 0)
			count = read_word(&from);
		if (count == 0 || count > KPI_MAX_COUNT || count < -KPI_MAX_COUNT)
			return "A count is out of range.";
		if (!point_is_sound(&from, end, state->kind))
			return "A value is malformed.";
	}
	if (from != end)
		return "A state has another length than its entries.";
	begin_reading(&reader, state);
	while (reader.has_entry)
	{
		last = reader.entry.point;
		if (is_beyond(&reader, &last))
			return "A value is beyond what is known.";
		next_entry(&reader);
		if (reader.has_entry && compare(reader.kind, &last, &reader.entry.point) >= 0)
			return "The values are not in order.";
	}
	return NULL;
}

/* ---- input and output ---- */

static void
out_decimal(StringInfo buf, const char *name, const KpiDecimal *decimal)
{
	appendStringInfo(buf, " %s=%s", name,
					 DatumGetCString(DirectFunctionCall1(numeric_out,
														 NumericGetDatum(kpi_cell_decimal_numeric(decimal)))));
}

static void
out_point(StringInfo buf, KpiKind kind, const Point *point)
{
	if (is_of_time(kind))
	{
		appendStringInfo(buf, " at=" INT64_FORMAT, point->at);
		if (point->key == NULL)
			out_decimal(buf, "key", &point->key_number);
		else
			kpi_cell_text_put_bytes(buf, "text", point->key, point->key_length);
	}
	out_decimal(buf, "value", &point->value);
}

static void
extreme_out(StringInfo buf, const KpiState *state)
{
	const Head *head = (const Head *) state;
	Reader		reader;

	begin_reading(&reader, state);
	appendStringInfo(buf, " n=" INT64_FORMAT " nonfinite=" INT64_FORMAT " entries=" INT64_FORMAT " bounded=%d",
					 head->n, head->nonfinite, head->shape / 2, reader.bounded);
	if (reader.bounded)
		out_point(buf, reader.kind, &reader.bound);
	for (; reader.has_entry; next_entry(&reader))
	{
		appendStringInfo(buf, " count=" INT64_FORMAT, reader.entry.count);
		out_point(buf, reader.kind, &reader.entry.point);
	}
}

static void
set_decimal(KpiDecimal *decimal, Numeric number)
{
	(void) kpi_cell_decimal_read(NumericGetDatum(number), KPI_MAX_SUM_DIGITS, decimal);
	kpi_cell_decimal_trim(decimal);
}

static void
in_point(KpiTextInput *in, KpiKind kind, Point *point)
{
	memset(point, 0, sizeof(Point));
	if (is_of_time(kind))
	{
		point->at = kpi_cell_text_int8(in, "at");
		if (kpi_cell_text_has(in, "key"))
			set_decimal(&point->key_number, kpi_cell_text_decimal(in, "key"));
		else
			point->key = kpi_cell_text_bytes(in, "text", &point->key_length);
	}
	set_decimal(&point->value, kpi_cell_text_decimal(in, "value"));
}

/* A body that is read from outside; whoever reads it checks the state. */
typedef struct Builder
{
	KpiKind		kind;
	int64		shape;
	StringInfoData body;
} Builder;

static void
build_point(Builder *builder, const Point *point)
{
	Size		length = point_length(builder->kind, point);

	enlargeStringInfo(&builder->body, length);
	(void) write_point(builder->body.data + builder->body.len, builder->kind, point);
	builder->body.len += length;
}

static void
build_word(Builder *builder, int64 word)
{
	appendBinaryStringInfo(&builder->body, (const char *) &word, sizeof(int64));
}

/* Both return what is wrong, or NULL. */
static const char *
begin_building(Builder *builder, KpiKind kind, int64 entries, int64 bounded)
{
	builder->kind = kind;
	builder->shape = 2 * entries + bounded;
	initStringInfo(&builder->body);
	return entries < 0 || entries > KEPT || bounded < 0 || bounded > 1 ? "The number of values is out of range." : NULL;
}

static const char *
end_building(Builder *builder, KpiCellBuf *buf, uint32 offset)
{
	replace_body(buf, offset, builder->shape, builder->body.data, builder->body.len);
	pfree(builder->body.data);
	return extreme_check(kpi_cell_state_at(buf->cell, offset));
}

static void
extreme_in(KpiCellBuf *buf, uint32 offset, KpiTextInput *in)
{
	Head	   *head = (Head *) kpi_cell_state_at(buf->cell, offset);
	Builder		builder;
	Point		point;
	int64		entries;
	const char *problem;

	head->n = kpi_cell_text_count(in, "n");
	head->nonfinite = kpi_cell_text_count(in, "nonfinite");
	entries = kpi_cell_text_count(in, "entries");
	problem = begin_building(&builder, head->state.kind, entries, kpi_cell_text_count(in, "bounded"));
	if (problem != NULL)
		kpi_cell_text_error(in, problem);
	for (int64 i = (builder.shape & 1) ? -1 : 0; i < entries; i++)
	{
		if (i >= 0)
			build_word(&builder, kpi_cell_text_count(in, "count"));
		in_point(in, builder.kind, &point);
		build_point(&builder, &point);
	}
	problem = end_building(&builder, buf, offset);
	if (problem != NULL)
		kpi_cell_text_error(in, problem);
}

static void
send_decimal(StringInfo buf, const KpiDecimal *decimal)
{
	bytea	   *image = DatumGetByteaP(DirectFunctionCall1(numeric_send,
														   NumericGetDatum(kpi_cell_decimal_numeric(decimal))));

	pq_sendint32(buf, VARSIZE(image) - VARHDRSZ);
	pq_sendbytes(buf, VARDATA(image), VARSIZE(image) - VARHDRSZ);
}

static void
send_point(StringInfo buf, KpiKind kind, const Point *point)
{
	if (is_of_time(kind))
	{
		pq_sendint64(buf, point->at);
		pq_sendint32(buf, point->key == NULL ? KEY_IS_NUMBER : point->key_length);
		if (point->key == NULL)
			send_decimal(buf, &point->key_number);
		else
			pq_sendbytes(buf, point->key, point->key_length);
	}
	send_decimal(buf, &point->value);
}

static void
extreme_send(StringInfo buf, const KpiState *state)
{
	const Head *head = (const Head *) state;
	Reader		reader;

	begin_reading(&reader, state);
	pq_sendint64(buf, head->n);
	pq_sendint64(buf, head->nonfinite);
	pq_sendint32(buf, (int32) (head->shape / 2));
	pq_sendbyte(buf, reader.bounded);
	if (reader.bounded)
		send_point(buf, reader.kind, &reader.bound);
	for (; reader.has_entry; next_entry(&reader))
	{
		pq_sendint64(buf, reader.entry.count);
		send_point(buf, reader.kind, &reader.entry.point);
	}
}

static void
recv_point(StringInfo message, KpiKind kind, Point *point)
{
	memset(point, 0, sizeof(Point));
	if (is_of_time(kind))
	{
		point->at = pq_getmsgint64(message);
		point->key_length = (int) pq_getmsgint(message, 4);
		if (point->key_length == KEY_IS_NUMBER)
		{
			point->key_length = 0;
			set_decimal(&point->key_number, kpi_cell_binary_decimal(message));
		}
		else
			point->key = pq_getmsgbytes(message, point->key_length);
	}
	set_decimal(&point->value, kpi_cell_binary_decimal(message));
}

static void
extreme_recv(KpiCellBuf *buf, uint32 offset, StringInfo message)
{
	Head	   *head = (Head *) kpi_cell_state_at(buf->cell, offset);
	Builder		builder;
	Point		point;
	int64		entries;
	const char *problem;

	head->n = kpi_cell_binary_count(message);
	head->nonfinite = kpi_cell_binary_count(message);
	entries = (int32) pq_getmsgint(message, 4);
	problem = begin_building(&builder, head->state.kind, entries, pq_getmsgbyte(message));
	if (problem != NULL)
		kpi_cell_binary_error(problem);
	for (int64 i = (builder.shape & 1) ? -1 : 0; i < entries; i++)
	{
		if (i >= 0)
			build_word(&builder, kpi_cell_binary_count(message));
		recv_point(message, builder.kind, &point);
		build_point(&builder, &point);
	}
	problem = end_building(&builder, buf, offset);
	if (problem != NULL)
		kpi_cell_binary_error(problem);
}

#define EXTREME_OPS \
	.fresh_length = sizeof(Head),.ncounts = 2,.nonfinite_count = 1, \
	.merge = extreme_merge,.negate = extreme_negate,.is_empty = extreme_is_empty, \
	.equal = extreme_equal,.check = extreme_check,.facts = extreme_facts,.final = extreme_final, \
	.finish = extreme_finish,.is_known = extreme_is_known, \
	.out = extreme_out,.in = extreme_in,.send = extreme_send,.recv = extreme_recv

const KpiKindOps kpi_cell_min_ops = {
	.name = "min",.ninputs = 1,.add = extreme_add, EXTREME_OPS
};

const KpiKindOps kpi_cell_max_ops = {
	.name = "max",.ninputs = 1,.add = extreme_add, EXTREME_OPS
};

const KpiKindOps kpi_cell_first_ops = {
	.name = "first",.ninputs = 3,.first_decides = true,.takes = ordered_takes,.add = ordered_add, EXTREME_OPS
};

const KpiKindOps kpi_cell_last_ops = {
	.name = "last",.ninputs = 3,.first_decides = true,.takes = ordered_takes,.add = ordered_add, EXTREME_OPS
};
