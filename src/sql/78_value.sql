-- 78_value: the value of a KPI at a place.

CREATE FUNCTION kpi.value(kpi text, team anycompatible DEFAULT NULL, member anycompatible DEFAULT NULL,
                          period text DEFAULT NULL, dimension text DEFAULT NULL, dimension_value text DEFAULT NULL)
    RETURNS numeric STABLE PARALLEL SAFE COST 1000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_value_of';
COMMENT ON FUNCTION kpi.value(text, anycompatible, anycompatible, text, text, text) IS
'The value of a KPI, in its unit, for a team or a member, else for the company, in a period (2026, 2026-Q4, 2026-10, 2026-W41, 2026-10-05, or the days 2026-10-15..2026-12-15, both included), or of the facts there that have one value of a dimension (teams, month and longer; dimension_value NULL: facts without a value). As of the last refresh, and of the snapshot of the query. NULL: no value; a KPI that accumulates (count, sum) is 0 where it has facts earlier. Errors: KPI, team, member or dimension unknown (near names are offered); malformed period; the KPI has no values for members, for teams, by the dimension or for so short a period';

-- Columns of the views of schema kpi: the program of a KPI at the place of a row
-- of kpi_internal.rollup_cell, which brings the cell of one of its streams.  They
-- check no rights: whoever may read the views may call them.
DO $columns$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT * FROM (VALUES
            ('has_value', 'boolean', 'Whether a row is one of the view: the KPI has facts at the place, and no stream before this one has it, and no balance'),
            ('has_balance', 'boolean', 'Whether a place that balances of the stream bring is a row of the view: one of them is there, and none of a stream before this one'),
            ('value', 'numeric', 'Value of the KPI'),
            ('numerator', 'numeric', 'What is divided'),
            ('denominator', 'numeric', 'What it is divided by'),
            ('facts', 'bigint', 'Facts that count'),
            ('value_to_date', 'numeric', 'Value without what is dated after today'),
            ('previous_value', 'numeric', 'Value of the period before'),
            ('previous_value_to_date', 'numeric', 'Value of the period before up to as many days after its start as have begun of this one, if this is the current one'),
            ('growth_ratio', 'numeric', 'Change against the period before'),
            ('year_ago_value', 'numeric', 'Value of the period a year before'),
            ('yoy_growth_ratio', 'numeric', 'Change against the period a year before'))
            AS x (name, type, comment)
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE FUNCTION kpi_internal.%1$I(program text, stream_id integer, scope_kind integer, scope_id integer,'
            ' grain integer, dim_id integer, start date, cell kpi.cell) RETURNS %2$s'
            ' STABLE PARALLEL SAFE COST 100 LANGUAGE c AS ''MODULE_PATHNAME'', %3$L',
            c.name, c.type, 'kpi_sql_' || c.name);
        EXECUTE pg_catalog.format(
            'COMMENT ON FUNCTION kpi_internal.%I(text, integer, integer, integer, integer, integer, date, kpi.cell) IS %L',
            c.name, c.comment);
    END LOOP;
END
$columns$;

-- A value of the KPI as it is shown: at most 10 decimals of what is not exact, and 28 digits.
CREATE FUNCTION kpi_internal.shown(program text, number numeric) RETURNS numeric
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_shown';

CREATE FUNCTION kpi_internal.is_current(program text, grain integer, start date) RETURNS boolean
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_is_current';
-- For days of members (kpi_internal.member_day), of whom several owners may be known.
CREATE FUNCTION kpi_internal.has_one_owner(source_id integer, member_id integer) RETURNS boolean
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_has_one_owner';
CREATE FUNCTION kpi_internal.is_first_owner(source_id integer, member_id integer, stream_id integer, owner_id integer, day date) RETURNS boolean
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_is_first_owner';
-- The periods, of one grain or all, in which balances of a stream may be there: from the year of its first
-- fact until today, wherever that is.
CREATE FUNCTION kpi_internal.carried_periods(stream_id integer, only_grain integer, week_start smallint, fiscal_year_start smallint,
                                             OUT grain integer, OUT start date, OUT last_day date) RETURNS SETOF record
    STABLE PARALLEL SAFE ROWS 100 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_carried_periods';
CREATE FUNCTION kpi_internal.day_of(program text, moment timestamptz) RETURNS date
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_day_of';
CREATE FUNCTION kpi_internal.row_id(kpi_id integer, scope_kind integer, scope_id integer, grain integer,
                                    dim_id integer, start date) RETURNS bigint
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_row_id';
CREATE FUNCTION kpi_internal.period_name(period_start date, grain integer, fiscal_year_start smallint) RETURNS text
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_view_period_name';
CREATE FUNCTION kpi_internal.period_end(period_start date, grain integer) RETURNS date
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_view_period_end';

CREATE FUNCTION kpi.breakdown(kpi text, by text[], team anycompatible DEFAULT NULL, member anycompatible DEFAULT NULL,
                              period text DEFAULT NULL, against text DEFAULT NULL,
                              OUT part_1 text, OUT part_2 text, OUT part_3 text, OUT value numeric, OUT share numeric, OUT rank integer,
                              OUT other numeric, OUT difference numeric, OUT facts bigint, OUT enough boolean)
    RETURNS SETOF record STABLE COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_breakdown';
COMMENT ON FUNCTION kpi.breakdown(text, text[], anycompatible, anycompatible, text, text) IS
'A KPI in a period by parts: up to three of dimensions, member and team (the teams below; what counts for the team itself is under its own key), of a team or a member, else of the company. part_1 to part_3 are as in by (null: no value, nobody known); value is that of the part, of a rate or average never a mean of means; share is its share of the whole where values add up, else null; rank is 1 for the largest. against compares: previous or year_ago with that period (while this one is open both are to date, as many days each), target with the goal of exactly the part in plan default (one name in by); other, difference = value - other. enough is false where the 80 % interval of the difference contains 0, null where nothing is known of the noise of single facts (formulas, percentiles, different values); doc/measures.md has the rule. Members and teams are those of each day, so parts add up. Cost: the day cells of the periods. Errors: KPI, team, member or dimension unknown (near names are offered); a name twice, or more than three; malformed period; amounts in currencies and balances; a formula over a KPI without the dimension outside of whole()';

CREATE FUNCTION kpi.series(kpi text, team anycompatible DEFAULT NULL, member anycompatible DEFAULT NULL, grain text DEFAULT 'month',
                           since date DEFAULT NULL, until date DEFAULT NULL, dimension text DEFAULT NULL, dimension_value text DEFAULT NULL,
                           plan text DEFAULT 'default',
                           OUT period text, OUT period_start date, OUT period_end date, OUT is_current boolean, OUT value numeric,
                           OUT value_to_date numeric, OUT target numeric, OUT expected numeric)
    RETURNS SETOF record STABLE PARALLEL SAFE COST 10000 ROWS 24 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_series';
COMMENT ON FUNCTION kpi.series(text, anycompatible, anycompatible, text, date, date, text, text, text) IS
'A KPI of a team or a member, else of the company, in one period of a grain (day, week, month, quarter, year) after the other, without gaps: from the one that since is in (null: the first with facts, or the current one) to the one that the day before until is in (null: the current one). Without facts value is 0 of what adds up (counts, sums), what is held of a balance (null before its first day) and else null. value_to_date is without what is dated after today. target is that of the goal of plan for exactly this, expected what should be there by today: of a period that is over its target, of one to come null. dimension and dimension_value as in kpi.value(). As of the last refresh, and of the snapshot of the query. Errors: as kpi.value(); grain unknown; since not before until, or outside of 1900 to 2200; two goals of the plan for a period';

CREATE FUNCTION kpi.format(value numeric, kpi text) RETURNS text
    STABLE STRICT PARALLEL SAFE COST 100 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_format';
COMMENT ON FUNCTION kpi.format(numeric, text) IS
'A value of a KPI as text, by its format and decimals (kpi.kpi), the same under every locale. number: 1234.5 (without decimals at most 10, zeros at the end cut off); percent: 0.1234 is 12.3 % (without decimals 1); money: 1,234.50 EUR (without decimals 2); duration: the two largest parts of 3 d 04 h, 2 h 05 min, 5 min 03 s (days of 24 hours; below a minute 12 s, with the decimals). NULL: the value or the KPI is NULL. Errors: KPI unknown (near names are offered)';
