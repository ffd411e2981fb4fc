/*-------------------------------------------------------------------------
 *
 * hll.c
 *	  The kind of states that estimates how many values there are, by extension hll.
 *
 * The registers of a HyperLogLog keep the highest rank that a value had, and so
 * nothing can be taken from them.  Here each rank of each register is a value of a
 * multiset with its facts (distinct.c): a register is the highest one that has any.
 * There are few of them however many values there are.
 *
 * What is estimated from registers is left to extension hll, whose format is known and
 * documented.  The function is not found by a name that somebody may have given to another:
 * it is the one that belongs to the extension, is written in C and owned by a
 * superuser.  Without the extension there is no estimate.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "cell/cell_internal.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/syscache.h"

/* What is estimated is off by 1.04 / sqrt(registers), 1.6 %, in two of three cases. */
#define LOG2_REGISTERS 12
#define REGISTERS (1 << LOG2_REGISTERS)
#define WIDTH 5					/* bits of a register */
#define RANK_MASK ((1 << WIDTH) - 1)

/* ---- extension hll ---- */

static bool
is_cardinality(Form_pg_proc proc, Oid extension)
{
	return proc->pronargs == 1 && proc->prorettype == FLOAT8OID && proc->prolang == ClanguageId &&
		superuser_arg(proc->proowner) && getExtensionOfObject(ProcedureRelationId, proc->oid) == extension;
}

/* hll_cardinality(hll); InvalidOid: it is not there. */
static Oid
find_cardinality(void)
{
	Oid			extension = get_extension_oid("hll", true);
	Oid			cardinality = InvalidOid;
	CatCList   *list;

	if (!OidIsValid(extension))
		return InvalidOid;
	list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum("hll_cardinality"));
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (is_cardinality(proc, extension))
			cardinality = proc->oid;
	}
	ReleaseCatCacheList(list);
	return cardinality;
}

bool
kpi_cell_hll_is_there(void)
{
	return OidIsValid(find_cardinality());
}

/* How many values have left these registers; false without extension hll. */
static bool
estimate_values(const uint8 *registers, double *estimate)
{
	Oid			function = find_cardinality();
	Size		data = REGISTERS * WIDTH / BITS_PER_BYTE;
	bytea	   *hll;
	uint8	   *bytes;

	if (!OidIsValid(function))
		return false;
	hll = palloc0(VARHDRSZ + 3 + data);
	SET_VARSIZE(hll, VARHDRSZ + 3 + data);
	bytes = (uint8 *) VARDATA(hll);
	*bytes++ = 0x14;			/* version 1, all registers */
	*bytes++ = (WIDTH - 1) << 5 | LOG2_REGISTERS;
	*bytes++ = 0;				/* no other forms for few values */
	for (int r = 0; r < REGISTERS; r++)
	{
		for (int b = 0; b < WIDTH; b++)
		{
			int			bit = r * WIDTH + b;

			if (registers[r] & 1 << (WIDTH - 1 - b))
				bytes[bit / BITS_PER_BYTE] |= 0x80 >> bit % BITS_PER_BYTE;
		}
	}
	*estimate = DatumGetFloat8(OidFunctionCall1(function, PointerGetDatum(hll)));
	pfree(hll);
	return true;
}

/* ---- the kind ---- */

void
kpi_cell_hll_add(KpiCellBuf *buf, uint32 offset, int option, const KpiInputType *types,
				 const Datum *inputs, const bool *isnull, int sign)
{
	uint64		hash;
	uint64		rest;
	int			rank;

	if (isnull[0])
		return;
	hash = kpi_cell_distinct_mix((uint64) kpi_cell_distinct_key(types[0], inputs[0]), UINT64CONST(0x9e3779b97f4a7c15));
	rest = hash >> LOG2_REGISTERS;
	rank = rest == 0 ? RANK_MASK : Min(pg_rightmost_one_pos64(rest) + 1, RANK_MASK);
	kpi_cell_distinct_add(buf, offset, (int64) ((hash & (REGISTERS - 1)) << WIDTH | rank), sign);
}

/* Of a register they come in ascending order: the last is the highest. */
static void
set_register(int64 key, void *arg)
{
	uint8	   *registers = arg;

	if ((uint64) key < (uint64) REGISTERS << WIDTH)
		registers[key >> WIDTH] = key & RANK_MASK;
}

void
kpi_cell_hll_final(const KpiState *state, int32 divisor, Numeric parameter, KpiFinal *result)
{
	uint8		registers[REGISTERS] = {0};
	double		estimate;

	if (kpi_cell_distinct_visit(state, set_register, registers) &&
		estimate_values(registers, &estimate) && estimate >= 0 && estimate < 1e18)
		result->value = int64_to_numeric((int64) rint(estimate));
}
