/*-------------------------------------------------------------------------
 *
 * rename.c
 *	  Stored expressions after columns were renamed.
 *
 * The raw parse tree says where a text names columns, and there, and nowhere
 * else, the name is replaced: what stands around it stays as it was deparsed.
 * No name is looked up and nothing of the expression runs.  An expression over
 * the columns of one row has no names of columns but those of its table.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/base.h"
#include "expr/expr_internal.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Where a text names a column that has another name now. */
typedef struct RenameSpot
{
	int			location;
	int			skip;			/* how many names stand before it, with dots */
	const char *to;
} RenameSpot;

typedef struct RenameWalk
{
	const List *renames;
	List	   *spots;
} RenameWalk;

static const char *
new_name(const List *renames, const char *name)
{
	ListCell   *lc;

	foreach(lc, renames)
	{
		const KpiColumnRename *rename = lfirst(lc);

		if (strcmp(rename->from, name) == 0)
			return rename->to;
	}
	return NULL;
}

static bool
rename_walker(Node *node, RenameWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef) && IsA(llast(((ColumnRef *) node)->fields), String))
	{
		ColumnRef  *ref = (ColumnRef *) node;
		const char *to = new_name(walk->renames, strVal(llast(ref->fields)));

		if (to != NULL)
		{
			RenameSpot *spot = palloc(sizeof(RenameSpot));

			spot->location = ref->location;
			spot->skip = list_length(ref->fields) - 1;
			spot->to = to;
			walk->spots = lappend(walk->spots, spot);
		}
		return false;
	}
	return raw_expression_tree_walker(node, rename_walker, walk);
}

static int
compare_spots(const ListCell *a, const ListCell *b)
{
	return ((RenameSpot *) lfirst(a))->location - ((RenameSpot *) lfirst(b))->location;
}

/* The end of the name that begins here. */
static const char *
name_end(const char *p)
{
	if (*p != '"')
	{
		while (IS_HIGHBIT_SET(*p) || isalnum((unsigned char) *p) || *p == '_' || *p == '$')
			p++;
		return p;
	}
	for (p++; *p != '\0'; p++)
	{
		if (*p == '"' && p[1] != '"')
			return p + 1;
		if (*p == '"')
			p++;
	}
	return p;
}

char *
kpi_expr_rename_columns(const char *text, const List *renames)
{
	RenameWalk	walk = {.renames = renames};
	StringInfoData result;
	const char *done = text;
	int			nest_level;
	ListCell   *lc;

	if (text == NULL || renames == NIL)
		return unconstify(char *, text);
	/* Stored texts are read and written alike, whoever's session it is. */
	nest_level = NewGUCNestLevel();
	kpi_settings_pin(KPI_SETTINGS_READ | KPI_SETTINGS_PRINT);
	(void) rename_walker(kpi_expr_raw(text), &walk);
	list_sort(walk.spots, compare_spots);

	initStringInfo(&result);
	foreach(lc, walk.spots)
	{
		const RenameSpot *spot = lfirst(lc);
		const char *name = text + spot->location;

		for (int i = 0; i < spot->skip; i++)
		{
			name = name_end(name);
			while (*name == '.' || scanner_isspace(*name))
				name++;
		}
		appendBinaryStringInfo(&result, done, name - done);
		appendStringInfoString(&result, quote_identifier(spot->to));
		done = name_end(name);
	}
	appendStringInfoString(&result, done);
	AtEOXact_GUC(false, nest_level);
	return result.data;
}
