-- 10_cell: the type kpi.cell, its operators and aggregates.

CREATE TYPE kpi.cell;

CREATE FUNCTION kpi_internal.cell_in(cstring) RETURNS kpi.cell
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION kpi_internal.cell_out(kpi.cell) RETURNS cstring
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION kpi_internal.cell_recv(internal) RETURNS kpi.cell
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION kpi_internal.cell_send(kpi.cell) RETURNS bytea
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE kpi.cell (
    INPUT = kpi_internal.cell_in,
    OUTPUT = kpi_internal.cell_out,
    RECEIVE = kpi_internal.cell_recv,
    SEND = kpi_internal.cell_send,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = double,
    STORAGE = extended
);
COMMENT ON TYPE kpi.cell IS 'Mergeable states of measures, each known by its measure id: what rollups are made of. Text form: v1{7:count n=3; 8:sum n=2 nonfinite=0 sum=12.5}';
COMMENT ON FUNCTION kpi_internal.cell_in(cstring) IS 'Text input of kpi.cell; error 22P02 for anything malformed';
COMMENT ON FUNCTION kpi_internal.cell_out(kpi.cell) IS 'Text output of kpi.cell, lossless';
COMMENT ON FUNCTION kpi_internal.cell_recv(internal) IS 'Binary input of kpi.cell; error 22P03 for anything malformed';
COMMENT ON FUNCTION kpi_internal.cell_send(kpi.cell) IS 'Binary output of kpi.cell, lossless';

-- Cells are a commutative group under merge.

CREATE FUNCTION kpi_internal.merge(kpi.cell, kpi.cell) RETURNS kpi.cell
    AS 'MODULE_PATHNAME', 'kpi_sql_merge' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.merge(kpi.cell, kpi.cell) IS 'The cell of the facts of both: associative and commutative; error 22003 when a count leaves the range of bigint';

CREATE FUNCTION kpi_internal.subtract(kpi.cell, kpi.cell) RETURNS kpi.cell
    AS 'MODULE_PATHNAME', 'kpi_sql_subtract' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.subtract(kpi.cell, kpi.cell) IS 'What must be merged into the second cell to give the first';

CREATE FUNCTION kpi_internal.negate(kpi.cell) RETURNS kpi.cell
    AS 'MODULE_PATHNAME', 'kpi_sql_negate' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.negate(kpi.cell) IS 'The inverse: merged with the cell it gives the empty cell';

CREATE FUNCTION kpi_internal.is_empty(kpi.cell) RETURNS boolean
    AS 'MODULE_PATHNAME', 'kpi_sql_is_empty' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.is_empty(kpi.cell) IS 'True when all numbers of all states are zero: the cell changes nothing it is merged into';

CREATE FUNCTION kpi_internal.cell_eq(kpi.cell, kpi.cell) RETURNS boolean
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_eq' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_eq(kpi.cell, kpi.cell) IS 'True when both have the same states; one that is empty is the same as none';

CREATE FUNCTION kpi_internal.cell_ne(kpi.cell, kpi.cell) RETURNS boolean
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_ne' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_ne(kpi.cell, kpi.cell) IS 'True when the cells differ in a state';

CREATE OPERATOR kpi.= (
    LEFTARG = kpi.cell, RIGHTARG = kpi.cell, FUNCTION = kpi_internal.cell_eq,
    COMMUTATOR = OPERATOR(kpi.=), NEGATOR = OPERATOR(kpi.<>), RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR kpi.= (kpi.cell, kpi.cell) IS 'same states';
CREATE OPERATOR kpi.<> (
    LEFTARG = kpi.cell, RIGHTARG = kpi.cell, FUNCTION = kpi_internal.cell_ne,
    COMMUTATOR = OPERATOR(kpi.<>), NEGATOR = OPERATOR(kpi.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR kpi.<> (kpi.cell, kpi.cell) IS 'different states';
CREATE OPERATOR kpi.+ (
    LEFTARG = kpi.cell, RIGHTARG = kpi.cell, FUNCTION = kpi_internal.merge, COMMUTATOR = OPERATOR(kpi.+)
);
COMMENT ON OPERATOR kpi.+ (kpi.cell, kpi.cell) IS 'merge';
CREATE OPERATOR kpi.- (
    LEFTARG = kpi.cell, RIGHTARG = kpi.cell, FUNCTION = kpi_internal.subtract
);
COMMENT ON OPERATOR kpi.- (kpi.cell, kpi.cell) IS 'subtract';
CREATE OPERATOR kpi.- (
    RIGHTARG = kpi.cell, FUNCTION = kpi_internal.negate
);
COMMENT ON OPERATOR kpi.- (NONE, kpi.cell) IS 'negate';

-- Aggregates.

CREATE FUNCTION kpi_internal.cell_pack(kpi.cell) RETURNS kpi.cell
    AS 'MODULE_PATHNAME', 'kpi_sql_pack' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_pack(kpi.cell) IS 'The cell without empty states and spare room';

CREATE FUNCTION kpi_internal.cell_agg_trans(kpi.cell, spec text, VARIADIC "any") RETURNS kpi.cell
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_agg_trans' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_agg_trans(kpi.cell, text, "any") IS 'Transition function of kpi_internal.cell_agg';

CREATE AGGREGATE kpi_internal.merge(kpi.cell) (
    SFUNC = kpi_internal.merge,
    STYPE = kpi.cell,
    SSPACE = 200,
    COMBINEFUNC = kpi_internal.merge,
    FINALFUNC = kpi_internal.cell_pack,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi_internal.merge(kpi.cell) IS 'Merges all cells; NULL when there is none';

CREATE AGGREGATE kpi_internal.cell_agg(spec text, VARIADIC "any") (
    SFUNC = kpi_internal.cell_agg_trans,
    STYPE = kpi.cell,
    SSPACE = 200,
    COMBINEFUNC = kpi_internal.merge,
    FINALFUNC = kpi_internal.cell_pack,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE kpi_internal.cell_agg(text, "any") IS 'The cell of the facts aggregated; NULL when there is none. spec lists measures as id:kind in ascending id, such as ''7:count,8:sum'', and must be the same for all rows; the inputs follow in that order: count one boolean; sum and avg one number (real and double precision by their shortest decimal); variance, stddev and percentile one number; rate two booleans, cond and of (cond counts only where of is true); ratio two numbers (a fact where either is not finite is left out of both sums); distinct one integer, like a hash; balance a number, its day since 2000-01-01, and 1 where it arrives, -1 where it leaves, 0 where it would leave before it arrived';

-- What a cell amounts to.

CREATE FUNCTION kpi_internal.cell_final(cell kpi.cell, measure_id integer, divisor integer DEFAULT 1, p numeric DEFAULT 0.5,
                               OUT value numeric, OUT numerator numeric, OUT denominator numeric,
                               OUT facts bigint, OUT nonfinite bigint, OUT errors bigint)
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_final_row' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_final(kpi.cell, integer, integer, numeric) IS 'What one measure of a cell amounts to. value and numerator are divided by divisor (86400 turns seconds into days). value is NULL without facts, of variance and stddev with one, or when the denominator is 0; of percentile it is the one that the share p of the facts lies below. Only avg, rate and ratio have numerator and denominator. facts: facts that count for the measure; nonfinite: those of them left out of the sums because their input is NaN, infinite or has more than 1000 digits before the decimal point; errors: facts ignored because the measure''s expression failed. Error 22023 for a divisor below 1 or a p outside of 0 to 1';

CREATE FUNCTION kpi_internal.cell_value(cell kpi.cell, measure_id integer, divisor integer DEFAULT 1, p numeric DEFAULT 0.5) RETURNS numeric
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_value' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_value(kpi.cell, integer, integer, numeric) IS 'The value of one measure of a cell, as in kpi_internal.cell_final()';

CREATE FUNCTION kpi_internal.cell_facts(cell kpi.cell, measure_id integer) RETURNS bigint
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_facts' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_facts(kpi.cell, integer) IS 'The number of facts that count for one measure of a cell';

CREATE FUNCTION kpi_internal.cell_errors(cell kpi.cell) RETURNS bigint
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_errors' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_errors(kpi.cell) IS 'Facts ignored because an expression failed, over all measures';

CREATE FUNCTION kpi_internal.cell_nonfinite(cell kpi.cell) RETURNS bigint
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_nonfinite' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_nonfinite(kpi.cell) IS 'Facts left out of sums because an input is NaN, infinite or has more than 1000 digits before the decimal point, over all measures';

CREATE FUNCTION kpi_internal.cell_reversed(cell kpi.cell) RETURNS bigint
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_reversed' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_reversed(kpi.cell) IS 'Facts left out of balances because they end before they begin, over all measures';

CREATE FUNCTION kpi_internal.cell_balance(cell kpi.cell, measure_id integer,
                                          OUT amount numeric, OUT amount_days numeric, OUT held bigint,
                                          OUT nonfinite bigint, OUT reversed bigint)
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_balance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_balance(kpi.cell, integer) IS 'What a balance amounts to in a cell, what leaves counting negatively: amount; amount_days, amounts times their days since 2000-01-01; held, facts; nonfinite, those of them whose amount is not finite; reversed, facts left out because they end before they begin. amount and amount_days are not divided, and NULL where the cell has nothing of the measure';

CREATE FUNCTION kpi_internal.cell_carry(cell kpi.cell, day date) RETURNS kpi.cell
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_carry' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_carry(kpi.cell, date) IS 'What the balances of a cell bring to a later day on which they change hands';

CREATE FUNCTION kpi_internal.cell_clamped(cell kpi.cell) RETURNS bigint
    AS 'MODULE_PATHNAME', 'kpi_sql_cell_clamped' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION kpi_internal.cell_clamped(kpi.cell) IS 'Facts of percentiles whose size is below 2^-30 or not below 2^50, which count as the nearest number between, over all measures';
