/*-------------------------------------------------------------------------
 *
 * layout.c
 *	  Layouts: which inputs make which states of a cell.
 *
 * Invariant: measures are in ascending id, no id twice, and take the inputs
 * in the same order.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <ctype.h>
#include <errno.h>

#include "catalog/pg_type.h"
#include "cell/cell_internal.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

int
kpi_cell_kind_ninputs(KpiKind kind)
{
	return kpi_cell_kinds[kind]->ninputs;
}

const char *
kpi_cell_kind_name(KpiKind kind)
{
	return kpi_cell_kinds[kind]->name;
}

int
kpi_cell_kind_max_digits(KpiKind kind)
{
	return kind == KPI_VARIANCE || kind == KPI_STDDEV ? KPI_MAX_SQUARED_DIGITS : KPI_MAX_INPUT_DIGITS;
}

bool
kpi_cell_kind_parse(const char *name, KpiKind *kind)
{
	for (int i = 0; i < kpi_cell_nkinds; i++)
	{
		if (kpi_cell_kinds[i] != NULL && strcmp(kpi_cell_kinds[i]->name, name) == 0)
		{
			*kind = (KpiKind) i;
			return true;
		}
	}
	return false;
}

KpiInputType
kpi_cell_input_type(Oid type)
{
	switch (getBaseType(type))
	{
		case BOOLOID:
			return KPI_INPUT_BOOL;
		case INT2OID:
			return KPI_INPUT_INT2;
		case INT4OID:
			return KPI_INPUT_INT4;
		case INT8OID:
			return KPI_INPUT_INT8;
		case NUMERICOID:
			return KPI_INPUT_NUMERIC;
		case FLOAT4OID:
			return KPI_INPUT_FLOAT4;
		case FLOAT8OID:
			return KPI_INPUT_FLOAT8;
		case TEXTOID:
		case VARCHAROID:
			return KPI_INPUT_TEXT;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return KPI_INPUT_TIME;
		case DATEOID:
			return KPI_INPUT_DATE;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("a measure cannot take a value of type %s", format_type_be(type)),
					 errhint("Cast it to boolean, smallint, integer, bigint, numeric, real or double precision.")));
	}
	return KPI_INPUT_BOOL;		/* keep compiler quiet */
}

static void
malformed_layout(const char *spec, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("malformed layout: \"%s\"", spec),
			 errdetail_internal("%s", detail),
			 errhint("Write the measures as id:kind in ascending id, such as '7:count,8:sum,9:percentile(35)'.")));
}

/* Reads '(option)', if it is there, and returns what is behind it. */
static const char *
parse_option(const char *spec, const char *next, KpiLayoutMeasure *measure)
{
	const KpiKindOps *ops = kpi_cell_kinds[measure->kind];
	char	   *end;
	long		option;

	measure->option = ops->default_option;
	if (*next != '(')
		return next;
	errno = 0;
	option = strtol(next + 1, &end, 10);
	if (!isdigit((unsigned char) next[1]) || *end != ')')
		malformed_layout(spec, "There is no number in the brackets behind a kind.");
	if (errno != 0 || option < ops->min_option || option > ops->max_option || ops->max_option == 0)
		malformed_layout(spec, psprintf("Kind %s does not take the option behind it.", ops->name));
	measure->option = (int) option;
	return end + 1;
}

/* Reads 'id:kind' or 'id:kind(option)' and returns what is behind it. */
static const char *
parse_measure(const char *spec, const char *next, KpiLayoutMeasure *measure)
{
	char		name[NAMEDATALEN];
	char	   *end;
	size_t		length;
	long		id;

	errno = 0;
	id = strtol(next, &end, 10);
	if (!isdigit((unsigned char) *next) || errno != 0 || id < 1 || id > PG_INT32_MAX)
		malformed_layout(spec, "A measure id is missing or out of range.");
	if (*end != ':')
		malformed_layout(spec, "A colon is missing behind a measure id.");

	next = end + 1;
	length = strcspn(next, ",(");
	if (length >= sizeof(name))
		malformed_layout(spec, "A kind is not known.");
	memcpy(name, next, length);
	name[length] = '\0';
	if (!kpi_cell_kind_parse(name, &measure->kind) || measure->kind == KPI_ERRORS)
		malformed_layout(spec, "A kind is not known.");

	measure->id = (int32) id;
	measure->ninputs = kpi_cell_kind_ninputs(measure->kind);
	next = parse_option(spec, next + length, measure);
	if (*next != ',' && *next != '\0')
		malformed_layout(spec, "There is something behind a measure.");
	return next;
}

KpiLayout *
kpi_cell_layout_parse(const char *spec)
{
	const char *next = spec;
	KpiLayout  *layout;
	int			nmeasures = 1;

	for (const char *p = spec; *p != '\0'; p++)
		if (*p == ',')
			nmeasures++;
	if (nmeasures > PG_UINT16_MAX)
		malformed_layout(spec, "It has too many measures.");

	layout = palloc0(offsetof(KpiLayout, measures) + nmeasures * sizeof(KpiLayoutMeasure));
	layout->nmeasures = nmeasures;
	layout->cell_size = sizeof(KpiCell);
	for (int i = 0; i < nmeasures; i++)
	{
		KpiLayoutMeasure *measure = &layout->measures[i];

		next = parse_measure(spec, next, measure);
		if (i > 0 && measure->id <= measure[-1].id)
			malformed_layout(spec, "The measure ids are not in ascending order.");
		measure->first_input = layout->ninputs;
		measure->offset = layout->cell_size;
		layout->ninputs += measure->ninputs;
		layout->cell_size += kpi_cell_kinds[measure->kind]->fresh_length;
		if (i < nmeasures - 1)
			next++;
	}
	layout->input_types = palloc(layout->ninputs * sizeof(KpiInputType));
	for (int i = 0; i < nmeasures; i++)
	{
		const KpiLayoutMeasure *measure = &layout->measures[i];

		for (int j = 0; j < measure->ninputs; j++)
			layout->input_types[measure->first_input + j] =
				kpi_cell_kinds[measure->kind]->boolean_inputs ? KPI_INPUT_BOOL :
				kpi_cell_kinds[measure->kind]->integer_inputs ? KPI_INPUT_INT8 : KPI_INPUT_NUMERIC;
	}
	return layout;
}

/* Appends one measure to the text form of a layout. */
void
kpi_cell_layout_append(StringInfo spec, const KpiLayoutMeasure *measure)
{
	appendStringInfo(spec, "%d:%s", measure->id, kpi_cell_kind_name(measure->kind));
	if (measure->option != 0)
		appendStringInfo(spec, "(%d)", measure->option);
}

static bool
takes(KpiKind kind, int input, KpiInputType type)
{
	const KpiKindOps *ops = kpi_cell_kinds[kind];

	if (ops->takes != NULL)
		return ops->takes(input, type);
	if (ops->integer_inputs)
		return type == KPI_INPUT_INT2 || type == KPI_INPUT_INT4 || type == KPI_INPUT_INT8;
	return type < KPI_INPUT_TEXT && (type == KPI_INPUT_BOOL) == ops->boolean_inputs;
}

void
kpi_cell_layout_input_types(KpiLayout *layout, const Oid *types)
{
	for (int i = 0; i < layout->nmeasures; i++)
	{
		const KpiLayoutMeasure *measure = &layout->measures[i];
		bool		boolean = kpi_cell_kinds[measure->kind]->boolean_inputs;
		bool		integer = kpi_cell_kinds[measure->kind]->integer_inputs;

		for (int j = 0; j < measure->ninputs; j++)
		{
			Oid			given = types[measure->first_input + j];
			KpiInputType type = kpi_cell_input_type(given);

			if (!takes(measure->kind, j, type))
				ereport(ERROR,
						(errcode(ERRCODE_DATATYPE_MISMATCH),
						 errmsg("measure %d of kind %s cannot take a value of type %s",
								measure->id, kpi_cell_kind_name(measure->kind),
								format_type_be(given)),
						 kpi_cell_kinds[measure->kind]->takes != NULL ?
						 errhint("It takes a number, the time of the fact and a key, which is a number or a text.") :
						 boolean ? errhint("It takes boolean values.") :
						 integer ? errhint("It takes smallint, integer or bigint values, like a hash.") :
						 errhint("It takes smallint, integer, bigint, numeric, real or double precision values.")));
			layout->input_types[measure->first_input + j] = type;
		}
	}
}
