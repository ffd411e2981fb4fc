/*-------------------------------------------------------------------------
 *
 * define_internal.h
 *	  What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KPI_DEFINE_INTERNAL_H
#define KPI_DEFINE_INTERNAL_H

#include "base/base.h"
#include "define/define.h"
#include "fact/fact.h"
#include "fmgr.h"
#include "model/model.h"
#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

/* ---- source_row.c ---- */

/* A row of kpi.source, as its functions change it. */
typedef struct KpiSourceRow
{
	int32		id;
	char	   *name;
	char	   *relation;
	char	   *key;
	char	   *owner;
	char	   *team;
	char	   *at;
	char	   *filter;
	char	   *definer;
	Oid			definer_oid;	/* as in KpiSource */
	Oid			relid;			/* InvalidOid: the table is gone */
} KpiSourceRow;

/*
 * Finds a source that the current user may change, and locks its row and then
 * its table (see fact/fact.h).  With need_table, error if there is no such table, or the
 * definer has no rights on it any more.
 */
extern KpiSourceRow *kpi_define_source_row_open(const char *name, bool need_table);

/* The same with its table, for a change that makes this role the definer (InvalidOid: none). */
extern KpiSourceRow *kpi_define_source_row_open_as(const char *name, Oid named_definer);

/* The parts of it: finds the row, of whichever definer; error if there is none. */
extern KpiSourceRow *kpi_define_source_row_read(const char *name);

/* Error unless the current user may change it. */
extern void kpi_define_source_row_require_definer(const KpiSourceRow *source);

/* Error if its table is gone. */
extern void kpi_define_source_row_require_table(const KpiSourceRow *source);

/*
 * Locks its row and then its table; false if it has no table whose lock is the
 * definer's to take.
 */
extern bool kpi_define_source_row_lock(const KpiSourceRow *row, LOCKMODE lockmode);

/* In the row in memory. */
extern void kpi_define_source_row_set_definer(KpiSourceRow *row, Oid definer);

/* The role that is the definer; error as for kpi_definer_role(). */
extern Oid	kpi_define_source_row_definer(const KpiSourceRow *source);

/* kpi_user_switch() to the definer of a source. */
extern void kpi_define_definer_switch(KpiUser *state, const KpiSourceRow *source);

/* ---- source_table.c ---- */

/*
 * The source is over this table from now on, with all that is defined over it; false: it is so already.
 * The caller has what it says checked, and computed anew.  Error if facts of the table before are sealed, unless
 * they are given up.
 */
extern bool kpi_define_source_table_change(const char *name, const char *relation, Oid named_definer,
										   bool discard_sealed);

/* ---- mend.c ---- */

/*
 * Before a definition of a source is changed, and before its table is locked: takes
 * the engine's lock if the source is suspended, so that it can be resumed.
 */
extern void kpi_define_mend_begin(const char *source);

/*
 * After that: where the table was what it is when the source was suspended, and all
 * fits now, the source goes on, and the next refresh reads its facts.
 */
extern void kpi_define_mend_end(int32 source_id);

/* ---- source_option.c ---- */

/*
 * What a source does when its table is swapped, loses facts or partitions, and
 * how fresh its facts are.  Texts that are not given are NULL, and so keep what is there.
 */
typedef struct KpiSourceOptions
{
	char	   *on_swap;
	char	   *on_detach;
	Datum		hold_if_lost;	/* a numeric; 0 ends it */
	bool		has_hold;
	char	   *loaded_at;		/* as typed, '' ends it; then checked and
								 * deparsed */
} KpiSourceOptions;

/* From four arguments in the order of the struct; error if one is malformed. */
extern void kpi_define_source_options_read(FunctionCallInfo fcinfo, int first, const char *source,
										   KpiSourceOptions *options);

/* Checks the expressions among them, as the current user. */
extern void kpi_define_source_options_check(Oid relid, const char *source, KpiSourceOptions *options);

/* Stores what is given.  relid: InvalidOid where nobody writes to the table yet. */
extern void kpi_define_source_options_store(int32 source_id, Oid relid, const KpiSourceOptions *options);

/* ---- keyed.c ---- */

/*
 * Checks the query of a new source and what it follows, from its arguments: query,
 * entity and so on.  Makes the table of its rows, and has it and the definer in the
 * row, whose key becomes an expression.
 */
extern KpiKeyed *kpi_define_keyed_create(FunctionCallInfo fcinfo, int first, KpiSourceRow *row,
										 Oid named_definer);

/* The names in "a, b"; error, which says what of the source it is, if it is no list of names. */
extern List *kpi_define_keyed_names(const char *text, const char *what, const char *source);

/*
 * The same of a definition that is read already: checks and completes it.  text is its query.  The second
 * changes a source that there is, see kpi_define_keyed_change().
 */
extern void kpi_define_keyed_make(KpiSourceRow *row, KpiKeyed *keyed, const char *text, Oid definer);
extern void kpi_define_keyed_remake(KpiSourceRow *row, KpiKeyed *keyed, const KpiKeyed *old, const char *text,
									bool *altered);

/* query, entity, follow, static, changed_at, full_every */
#define KPI_KEYED_ARGS 6

/* Whether any of these arguments is given. */
extern bool kpi_define_keyed_is_given(FunctionCallInfo fcinfo, int first);

/*
 * Locks the tables that it follows, where the definer may put triggers on them.  Before its own: whoever
 * writes to them may go on to read the rows that are kept.
 */
extern void kpi_define_keyed_lock_followed(const KpiKeyed *keyed, const char *definer, LOCKMODE lockmode);

/*
 * The same for a source that there is, of the key (NULL: as it was) and those of the arguments that are given.
 * Its table is changed in place: *altered says whether it was.  The caller has it locked.
 */
extern KpiKeyed *kpi_define_keyed_change(FunctionCallInfo fcinfo, int first, const char *key, KpiSourceRow *row,
										 const KpiKeyed *old, bool *altered);

/* Stores what a keyed source has besides; the next refresh reads all.  Within kpi_spi_begin(). */
extern void kpi_define_keyed_store(int32 source_id, const KpiKeyed *keyed, bool was_followed);

/* Drops the table of its rows and all of this, if the source is keyed.  Within kpi_spi_begin(). */
extern void kpi_define_keyed_drop(int32 source_id, const char *relation);

/* Names of sources that follow the rows of this one. */
extern List *kpi_define_keyed_readers(const KpiSourceRow *row);

/* Error if there are any; what it is that they forbid: "drop", "rename". */
extern void kpi_define_keyed_require_unread(const KpiSourceRow *row, const char *what);

/* ---- lookup_source.c ---- */

/* A text of an expression, which may be rewritten in its place, and what errors call it. */
typedef struct KpiDefineText
{
	char	  **text;
	const char *what;
} KpiDefineText;

/* Adds one, if there is a text. */
extern List *kpi_define_add_text(List *texts, char **text, const char *what);

/* Something that a source looks up. */
typedef struct KpiDefineLookedUp
{
	int32		lookup_id;
	char	   *name;
	char	   *relation;
	char	   *key;
	char	   *value;
	char	   *expression;		/* what is looked for */
	char	   *column;			/* of the kept rows: what was found */
	char	   *missing;		/* and what was not */
} KpiDefineLookedUp;

/* All that a source looks up, and the table that its facts are in. */
typedef struct KpiDefineLookups
{
	const char *source;
	char	   *relation;
	Oid			relid;
	List	   *key;			/* char *: columns of the table */
	List	   *columns;		/* String: of the table, that rows are kept of */
	List	   *uses;			/* KpiDefineLookedUp */
	List	   *taken;			/* String: the names of their columns */
	bool		is_widened;		/* there is more than the definition had */
} KpiDefineLookups;

/* Whether any of the texts (KpiDefineText) looks something up. */
extern bool kpi_define_looks_up(List *texts);

/* Error that a source with a query of its own has no lookups. */
extern void kpi_define_lookups_refuse(const char *source);

/*
 * A new source over a table, with these texts, of which some look something up: as
 * kpi_define_keyed_create().
 */
extern KpiKeyed *kpi_define_lookups_create(KpiSourceRow *row, const char *table, List *texts, Oid named_definer,
										   KpiDefineLookups **lookups);

/*
 * A source with lookups gets another key (NULL: it stays) or definer: as
 * kpi_define_keyed_change().
 */
extern KpiKeyed *kpi_define_lookups_change(KpiSourceRow *row, const KpiKeyed *old, const char *key,
										   KpiDefineLookups **lookups, bool *altered);

/* kpi_define_keyed_store() with what is looked up (NULL: as it was). */
extern void kpi_define_lookups_store(int32 source_id, const KpiKeyed *keyed, const KpiDefineLookups *lookups,
									 bool was_followed);

/*
 * Before expressions of a source, or of a KPI of it, are checked and none of its locks is held: rewrites
 * them; and where they look up, or name, what the kept rows have not, has the rows kept with it.
 */
extern void kpi_define_lookups_prepare(const char *source, List *texts);

/* Whether expressions of the source or its KPIs use the lookup. */
extern bool kpi_define_lookups_is_used(const char *source, int32 lookup_id);

/* Makes the query of a source anew, after a lookup of it has changed, or is used no more. */
extern void kpi_define_lookups_remake(const char *source);

/* ---- source.c ---- */

/*
 * What follows from a definition of a source that is written: what rows mean has changed; other code may be
 * reached; KPIs are to be checked in any case.
 */
extern void kpi_define_source_follow_change(const KpiSourceRow *row, bool redefined, bool has_new_code, bool recheck,
											bool discard_sealed);

/* ---- keyed_query.c ---- */

/*
 * Checks a definition as its definer, who is the current user, and completes it: columns, deparsed
 * queries, what they use.  Returns the analysed query, and what is read.
 */
extern Query *kpi_define_keyed_check(KpiSource *source, KpiKeyed *keyed, const char *text, KpiKeyedReads **reads);

/* Names of the columns of a query, in its order. */
extern List *kpi_define_keyed_columns(const Query *query);

/* ---- kept_table.c ---- */

/* A column of the table of a keyed source's rows. */
typedef struct KpiDefineKeptColumn
{
	char	   *name;
	Oid			type;			/* no domain */
	Oid			collation;
	char	   *comment;		/* its expression */
} KpiDefineKeptColumn;

/* Qualified and quoted; error if the name is too long for a table. */
extern char *kpi_define_kept_name(const char *source);

/* Whether that is the name of such a table. */
extern bool kpi_define_kept_is_name(const char *relation);
extern void kpi_define_kept_require_free(const char *table, const char *source);

/* The columns that a query asks for, as its definer; error if a type cannot be kept. */
extern List *kpi_define_kept_columns(const char *source, const Query *query);

/*
 * Makes the table, or changes in place what there is of it: columns, primary key, the index by which
 * entities are found, owner.  Rows stay as long as the key does.  Error that names users' views which read a column that
 * goes.  Returns whether columns or key are other than they were.
 */
extern bool kpi_define_kept_fit(const char *table, const KpiKeyed *keyed, const KpiKeyed *old, List *columns,
								Oid definer);
extern void kpi_define_kept_rename(const char *table, const char *source);

/* Error that names users' views which read it.  Nothing if it is gone. */
extern void kpi_define_kept_drop(const char *table);

/* ---- args.c ---- */

/* A text argument; empty means none. */
extern char *kpi_define_arg_given(FunctionCallInfo fcinfo, int n);

/*
 * Arguments of kpi.alter_...(): NULL keeps the value, '' clears it; an owner
 * given alone takes the place of a team, and the reverse.
 */
extern char *kpi_define_arg_changed(FunctionCallInfo fcinfo, int n, char *old);
extern void kpi_define_arg_change_owner(FunctionCallInfo fcinfo, int owner_arg, int team_arg,
										char **owner, char **team);

/* ---- measure.c ---- */

/*
 * The stream that a KPI's own owner, team and time (each may be NULL) mean; its
 * credit is "then" until the caller says otherwise.
 */
/* ---- exchange.c ---- */

/* The exchange of a KPI's amounts: the one that is named, or daily; error if it has no rates. */
extern char *kpi_define_exchange_of(const char *exchange);

/* ---- measure.c ---- */

typedef struct KpiStreamKey
{
	const char *owner_kind;
	char	   *owner;
	char	   *at;
	char	   *until;			/* of a balance: the time of the stream of
								 * what leaves it; else NULL */
	const char *credit;
	char	   *currency;		/* of amounts that are converted; or NULL */
	char	   *exchange;
} KpiStreamKey;

/*
 * Checks the expressions and fills in what comes from the source.  Like the
 * next two it runs as the source's definer.
 */
extern KpiStreamKey kpi_define_stream_key(const KpiSourceRow *source, const char *kpi_name,
										  const char *owner, const char *team, const char *at);

/*
 * Makes a measure that is a balance, and the key of its stream, one of what is held
 * until a time.
 */
extern void kpi_define_balance(const KpiSourceRow *source, const char *kpi_name, const char *until_text,
							   KpiMeasureDef *def, KpiStreamKey *key);

/* A checked boolean expression, deparsed; NULL for NULL. */
extern char *kpi_define_filter_check(Oid relid, const char *text, const char *what);

/* A checked expression, deparsed; NULL for NULL. */
extern char *kpi_define_text_check(Oid relid, const char *text, const char *what);

/*
 * Makes the measure of a KPI what def says, in the stream of this key, with what
 * leaves it if it is a balance, and with the facts that it leaves out.  A measure that is the same stays; any other is a
 * new one, with a new id, and where facts are sealed an error unless they may be
 * given up.
 */
extern void kpi_define_measure_write(int32 source_id, int32 kpi_id, const KpiStreamKey *key,
									 const KpiMeasureDef *def, bool discard_sealed);
extern void kpi_define_measure_drop(int32 kpi_id);

/* Drops the streams of a source that have no measure (all of them: all). */
extern void kpi_define_streams_drop(int32 source_id, bool all);

/* ---- sealed.c ---- */

/* Error that what cannot be changed, if facts of the source are gone with their partitions. */
extern void kpi_define_sealed_check(int32 source_id, const char *what);

/* Gives these facts up; the caller holds the source's lock.  False: there are none. */
extern bool kpi_define_sealed_discard(int32 source_id);

/* ---- typed.c ---- */

/* Adds the text of an argument, if it is given, to those that were typed of a definition. */
extern List *kpi_define_typed_add(List *typed, FunctionCallInfo fcinfo, int n, const char *part);

/* The same for each of an object of names and texts; names: what they are called, if not NIL. */
extern List *kpi_define_typed_add_object(List *typed, FunctionCallInfo fcinfo, int n, const char *part, List *names);

/* Stores them, after the definition of the KPI or source is. */
extern void kpi_define_typed_store(bool of_kpi, int32 id, List *typed);

/* A lookup has another name: so have those that were typed. */
extern void kpi_define_typed_rename_lookup(int32 lookup_id, const char *from, const char *to);

/* ---- label.c ---- */

/* How the values of a KPI are shown, as far as it is given; '' and -1 end what there was. */
typedef struct KpiDefineLabel
{
	int32		decimals;
	bool		has_decimals;
	char	   *format;
	char	   *section;
	int32		sort;
	bool		has_sort;
} KpiDefineLabel;

/* From four arguments in the order of the struct; error if one is malformed. */
extern void kpi_define_label_read(FunctionCallInfo fcinfo, int first, const char *kpi, KpiDefineLabel *label);

/* Stores what is given; error if the KPI is shown as a time then and its unit is none. */
extern void kpi_define_label_store(int32 kpi_id, const char *kpi, const KpiDefineLabel *label);

/* ---- kpi.c ---- */

/* Checks every KPI of a source again, after the source changed. */
extern void kpi_define_recheck_measures(const KpiSourceRow *source, bool discard_sealed);

/* Drops a KPI; with cascade, also what uses it. */
extern void kpi_define_drop(const char *name, bool cascade);

/* Drops all KPIs of a source, and what uses them. */
extern void kpi_define_drop_of_source(int32 source_id);

/* ---- formula.c ---- */

/*
 * Error if functions over time in the formulas of a program are over KPIs that they cannot be
 * over, or take too many values.  Within kpi_spi_begin().
 */
extern void kpi_define_formula_check(const KpiProgram *program);

/* ---- program.c ---- */

/*
 * Writes the programs of a KPI, or of all KPIs of a source, and of the formulas
 * over them, or of all there are, by their definitions, which are written already.
 */
extern void kpi_define_programs_of_kpi(int32 kpi_id);
extern void kpi_define_programs_of_source(int32 source_id);
extern void kpi_define_programs_of_all(void);

/* Within kpi_spi_begin(). */
extern void kpi_define_program_drop(int32 kpi_id);

/* ---- team.c ---- */

/*
 * Tells the engine that teams, members or memberships change in this
 * transaction, and makes other such changes wait for its end.  To be called
 * before anything is checked.  Within kpi_spi_begin(), as all of these.
 */
extern void kpi_define_touch(void);

/* Error unless the first day is before the second. */
extern void kpi_define_check_order(DateADT since, DateADT until);

/* The same of what teams and members are called, which only readers depend on. */
extern void kpi_define_names_touch(void);

/* ---- restore.c ---- */

/* For triggers that run SQL as the owner of the extension: never for a user's table. */
extern void kpi_define_check_our_table(Relation rel);

/* ---- document.c ---- */

/* Error unless it is a document of definitions; nulls are taken out of it. */
extern Datum kpi_define_document_check(Datum document);

/* ---- pending_team.c ---- */

/*
 * When there is no team of this key, makes one that stands for it until
 * kpi.create_team() does in the same transaction; if that does not come, the
 * transaction fails.  Within kpi_spi_begin(), as the next.
 */
extern void kpi_define_pending_team_expect(const char *key);

/* The id of the team that stands for this key, which does so no longer; 0: none does. */
extern int32 kpi_define_pending_team_take(const char *key);

/* Error if the team only stands for one that is to come. */
extern void kpi_define_pending_team_check(int32 id, const char *key);

/* ---- calendar.c ---- */

/*
 * The same for calendars: their periods, their working days, and which of them
 * a team has.
 */
extern void kpi_define_calendars_touch(void);

/*
 * Tells in a NOTICE in which time zone the default calendar cuts the days of a source, if its
 * time is a timestamptz; once, and not if somebody has said the zone.
 */
extern void kpi_define_zone_tell(int32 source_id, int32 calendar_id, const char *at);

/* ---- member.c ---- */

/* Ids by key; error if unknown. */
extern int32 kpi_define_team_id(const char *key);
extern int32 kpi_define_member_id(const char *key);

/* ---- attribute.c ---- */

/*
 * Before an attribute of members is changed: nobody else changes people until the
 * transaction ends, and where a dimension is it, the engine is told.  Within
 * kpi_spi_begin().
 */
extern void kpi_define_attribute_touch(const char *name);

/*
 * The attribute that the expression of a dimension is: attribute('experience'); NULL: it
 * is an expression over the row.  Error if one is a part of it.
 */
extern char *kpi_define_attribute_parse(Oid relid, const char *text, const char *what);

/* ---- alias.c ---- */

/* The key of the member of whom this is an alias, in whatever source; NULL: of nobody. */
extern char *kpi_define_alias_of(const char *alias);

/* ---- ground.c ---- */

/*
 * Until the transaction ends nobody else changes what the KPI is measured by.
 * To be called before a goal or a rollup table of it is written, within
 * kpi_spi_begin().
 */
extern void kpi_define_ground_lock(int32 kpi_id);

/*
 * Error if the goal, as it is written, could never have a value or be reached;
 * a warning if that is only unlikely.  Within kpi_spi_begin().
 */
extern void kpi_define_ground_check_goal(int64 goal_id);

/* The same of the KPIs of a rollup table. */
extern void kpi_define_ground_check_rollup(int32 rollup_id);

/*
 * Error, naming them, if goals or rollup tables have lost what they stand on by
 * a change of this source or KPI, which is written already.
 */
extern void kpi_define_ground_check_source(int32 source_id, const char *name);
extern void kpi_define_ground_check_kpi(int32 kpi_id, const char *name);

/* ---- goal_period.c ---- */

/* When a goal is for. */
typedef struct KpiGoalPeriod
{
	bool		range;			/* from one day to another */
	bool		recurring;		/* every period of the grain within these days */
	KpiGrain	grain;
	DateADT		start;
	DateADT		end;			/* DATEVAL_NOEND: it recurs without an end */
	char		name[2 * KPI_PERIOD_NAME_LEN];
} KpiGoalPeriod;

/* Error if it is malformed, that says what was read and what to write. */
extern void kpi_define_goal_period_parse(const char *text, const KpiCalendar *cal, DateADT today,
										 KpiGoalPeriod *period);

/* ---- goal.c ---- */

/*
 * A goal as somebody asks for it, as kpi.create_goal() takes it.  NULL: not
 * given.
 */
typedef struct KpiGoalSpec
{
	char	   *name;
	char	   *kpi;
	char	   *team;			/* neither team nor member: the company */
	char	   *member;
	char	   *period;
	char	   *plan;
	char	   *dimension;
	char	   *dimension_value;
	char	   *target;
	char	   *minimum;
	char	   *stretch;
	char	   *pace;
	Jsonb	   *milestones;
	char	   *description;
	char	   *responsible;
	bool		review_given;
	DateADT		review_on;
	bool		since_given;	/* of a change: from when on */
	DateADT		since;
	char	   *reason;			/* of a change of the target */
	bool		parent_given;
	int64		parent_id;		/* 0: it is to have none */
} KpiGoalSpec;

/*
 * All within kpi_spi_begin(), of an editor.  Whoever makes or changes a goal calls
 * kpi_goal_notify_goal() when it stands.
 *	_make(): a new goal, its targets and what is beside them
 *	_change(): what is given of name, target, minimum, stretch, pace,
 *		milestones, description, responsible, review_on and parent; '' (infinity) clears
 *	_remove(): the goal goes, with all that was kept of it
 */
extern int64 kpi_define_goal_make(const KpiGoalSpec *spec);

/*
 * The goal of this plan, KPI, scope and period, or 0.  Of one that there is: makes NULL in "spec"
 * what it asks for already, or does not say, and describes the others in "changes", which is
 * NULL where there are none.
 */
extern int64 kpi_define_goal_find(KpiGoalSpec *spec, char **changes);
extern void kpi_define_goal_change(int64 goal_id, const KpiGoalSpec *spec);
extern void kpi_define_goal_remove(int64 goal_id);

/* ---- plan.c ---- */

/*
 * Within kpi_spi_begin(), before a goal of a plan is written: makes the plan if there is none, of that
 * status, and keeps it as it is until the transaction ends.  Whether it is a draft.
 */
extern bool kpi_define_plan_lock(const char *plan, const char *status_if_new);

/* ---- goal_sheet.c ---- */

typedef enum KpiSheetField
{
	KPI_SHEET_KPI,
	KPI_SHEET_TEAM,
	KPI_SHEET_MEMBER,
	KPI_SHEET_PERIOD,
	KPI_SHEET_TARGET,
	KPI_SHEET_MINIMUM,
	KPI_SHEET_STRETCH,
	KPI_SHEET_DIMENSION,
	KPI_SHEET_DIMENSION_VALUE,
	KPI_SHEET_NAME,
	KPI_SHEET_DESCRIPTION,
	KPI_SHEET_RESPONSIBLE,
	KPI_SHEET_REVIEW_ON,
	KPI_SHEET_PACE,
	KPI_SHEET_PARENT
} KpiSheetField;

#define KPI_SHEET_NFIELDS (KPI_SHEET_PARENT + 1)

/* Quarters and months. */
#define KPI_SHEET_NPARTS 16

/* A target of a sheet. */
typedef struct KpiSheetLine
{
	int64		number;			/* of the row, from 1 */
	char	   *fields[KPI_SHEET_NFIELDS];	/* NULL: nothing */
} KpiSheetLine;

/* Reads a table or view as the caller.  year: of its quarters or months, or NULL. */
extern List *kpi_define_goal_sheet_read(const char *relation, const char *year);

/* ---- goal_sql.c ---- */

/* Within kpi_spi_begin(): the goal that argument 0 names, by its id (bigint) or its name (text). */
extern int64 kpi_define_goal_argument(FunctionCallInfo fcinfo);

/* ---- goal_tree.c ---- */

/* Within kpi_spi_begin(), as the next.  The goal of this name; error if there is none, or several. */
extern int64 kpi_define_goal_named(const char *name);
extern int64 kpi_define_goal_of_id(int64 id);

/* The error that there is no goal of this id. */
pg_noreturn extern void kpi_define_goal_unknown(int64 id);

/* Reads an argument of type "any" that names a parent by its id or name; '' is none. */
extern void kpi_define_goal_parent_arg(FunctionCallInfo fcinfo, int n, KpiGoalSpec *spec);

/* Makes a goal a part of another (0: of none); error if that is a part of it. */
extern void kpi_define_goal_set_parent(int64 goal_id, int64 parent_id);

/*
 * Waits for who closes or reopens a period, and makes him wait until the end of the transaction: before goals are
 * locked in another order than that of their ids, as he locks them.
 */
extern void kpi_define_goal_closing_wait(void);

/* ---- goal_milestone.c ---- */

/* Error unless it is an object of days and numbers. */
extern void kpi_define_milestones_require(Jsonb *milestones);

/* Within kpi_spi_begin(), as the next: makes them those of a goal (NULL: it has none). */
extern void kpi_define_milestones_write(int64 goal_id, Jsonb *milestones);

/* Error unless those that are written lie within the period and increase up to the target (NULL: any). */
extern void kpi_define_milestones_check(int64 goal_id, const KpiGoalPeriod *period, Numeric target);

#endif							/* KPI_DEFINE_INTERNAL_H */
