-- 60_rollup: the engine's state and the cells.  But for kpi_stream nothing here is
-- dumped: after a restore the next refresh rebuilds it from the facts.

CREATE TABLE kpi_internal.source_state (
    source_id        integer PRIMARY KEY,
    status           text NOT NULL,          -- active, building, suspended, held, capture_off
    reason           text,                   -- a note (base/base.h), as the other texts of errors
    hint             text,
    relid            oid,                    -- the table that is attached
    accepts_loss     boolean NOT NULL DEFAULT false,  -- the next refresh is not held back (refresh/hold.c)
    former_relation  text,                   -- what it was called before it was renamed
    renamed_at       timestamptz,            -- when that was seen (model/rename.c)
    definer_oid      oid,                    -- who has the definer's name
    definer_login    boolean,                -- and whether it can log in
    table_owner      oid,                    -- and who owned the table
    org_version      bigint NOT NULL DEFAULT 0,
    rates_version    bigint,                 -- kpi_internal.version.rates that its cells follow
    credit_day       date,                   -- whose teams its KPIs with credit 'today' count for; NULL: it has had none
    calendar_shape   text,
    goals_calendar   bigint,                 -- version of the calendars by which its goals were checked
    columns          jsonb,                  -- how each is stored
    fingerprints     jsonb,                  -- of what expressions reach
    code             text[],                 -- of others, accepted by the definer (expr/expr.h)
    suspect_before_xid xid8,                 -- transactions before it may have captured by others
    loaded_at        timestamptz,            -- the latest of kpi.source.loaded_at, by what is next
    loaded_by        text,                   -- the expression it was read by; NULL: to be read from the facts
    changed_at       timestamptz,            -- of the last refresh that took changes, or read facts
    as_of            timestamptz,
    refreshed_at     timestamptz,
    duration_ms      double precision,
    deltas_applied   bigint NOT NULL DEFAULT 0,
    last_deltas      bigint NOT NULL DEFAULT 0,
    last_cells       bigint NOT NULL DEFAULT 0,
    queue_blocks     bigint NOT NULL DEFAULT 0,  -- that its queue took when it was compacted
    last_fact_error  text,
    build_due        boolean NOT NULL DEFAULT false,  -- facts must be read, says the worker to the builder
    -- Of the worker; a successful refresh clears them.
    last_error       text,
    last_sqlstate    text,
    failing_since    timestamptz,
    failures         integer NOT NULL DEFAULT 0,
    next_try         timestamptz,
    build_fails      boolean NOT NULL DEFAULT false,  -- a build, not the deltas
    yields           integer NOT NULL DEFAULT 0  -- cancelled for who waited for a table
);

-- The leaf tables as last seen. Another trigger state means recompute; the rest is
-- what is to be known of a partition when it is gone.
CREATE TABLE kpi_internal.leaf (
    source_id     integer NOT NULL,
    relid         oid NOT NULL,
    trigger_state text NOT NULL,
    name          text NOT NULL,             -- qualified and quoted
    bounds        text,                      -- its own and those above it; NULL: no partition
    key_column    text,                      -- of the root, whose values in its rows are of days
    since         date,                      -- from since
    until         date,                      -- to before until
    PRIMARY KEY (source_id, relid)
);

-- Partitions of the same bounds have the same place in a table. Texts of times
-- follow settings.
CREATE FUNCTION kpi_internal.partition_bounds(relid oid) RETURNS text
    STABLE LANGUAGE sql SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
    SET extra_float_digits = 1 SET intervalstyle = 'postgres' SET bytea_output = 'hex' AS $$
    SELECT string_agg(pg_get_expr(c.relpartbound, c.oid), ' / ' ORDER BY a.n DESC)
      FROM pg_partition_ancestors(relid::regclass) WITH ORDINALITY a(relid, n)
      JOIN pg_class c ON c.oid = a.relid
     WHERE c.relpartbound IS NOT NULL
$$;

-- How far each measure is built (refresh/build.c): its states in day cells are
-- right from days_since on, those of the rollups from rollups_since on. A measure
-- without a row is built by the next refresh.
CREATE TABLE kpi_internal.measure_built (
    measure_id    integer PRIMARY KEY,
    stream_id     integer NOT NULL,
    version       integer NOT NULL,
    kpi_id        integer NOT NULL,
    days_since    date NOT NULL DEFAULT '-infinity',
    rollups_since date NOT NULL DEFAULT '-infinity'
);

-- Sources that are being built, while they are.
CREATE TABLE kpi_internal.build (
    source_id      integer PRIMARY KEY,
    by_scan        boolean NOT NULL,         -- the rest of the facts in one scan, not by an index
    months         integer NOT NULL,         -- of the next step
    facts          bigint NOT NULL,          -- read so far, once for each stream
    expected_facts bigint NOT NULL,          -- 0: not known
    milliseconds   bigint NOT NULL,          -- that the steps took
    steps          integer NOT NULL,
    first_day      date,                     -- of the facts that were read
    measures       integer[] NOT NULL,       -- that the source had meanwhile, dropped ones as well
    began_at       timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    stepped_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Builds that kpi.cancel_build() has stopped, until kpi.resume() or a refresh of the source.
CREATE TABLE kpi_internal.build_cancelled (
    source_id integer PRIMARY KEY
);

-- Which streams a KPI, a formula too, is measured on, and by what its values
-- are computed there (model/program.c). Written with the definitions, and dumped.
CREATE TABLE kpi_internal.kpi_stream (
    kpi_id        integer NOT NULL,
    stream_id     integer NOT NULL,
    source_id     integer NOT NULL,          -- the stream's
    for_members   boolean NOT NULL,          -- its facts count for members
    owner_kind    integer NOT NULL,          -- as in applied_attribution
    position      integer NOT NULL,          -- from 1
    has_breakdown boolean NOT NULL,          -- the KPI has breakdowns, and they are of this stream
    reach         text NOT NULL CHECK (reach IN ('own', 'near', 'later')),  -- which periods a changed day can move
    reach_periods integer NOT NULL DEFAULT 0, -- near: those that it, or a day so many days later, lies in, and
    reach_days    integer NOT NULL DEFAULT 0, -- so many after these
    follows_day   boolean NOT NULL DEFAULT false, -- in an open period the value is another on each day
    is_carried    boolean NOT NULL,          -- a balance of the KPI is of the stream: it has values without facts
    program       text NOT NULL,
    PRIMARY KEY (kpi_id, stream_id)
);
-- The first day that moves a period of that grain, by the start of its month.
CREATE FUNCTION kpi_internal.lookback_since(looks_at_all boolean, periods integer, days integer, grain text, period_start date)
    RETURNS date IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_lookback_since';
-- The day that a KPI is judged by (value/today.c).
CREATE FUNCTION kpi_internal.today_of(program text) RETURNS date
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_today_of';
CREATE INDEX ON kpi_internal.kpi_stream (stream_id);
SELECT pg_catalog.pg_extension_config_dump('kpi_internal.kpi_stream', '');

-- Owner keys and dimension values, interned. Owner 0: no owner (NULL).
CREATE TABLE kpi_internal.owner (
    id  integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" UNIQUE
);
INSERT INTO kpi_internal.owner VALUES (0, NULL);

-- position 0: all dimensions of a source together; k: the k-th alone.
-- Dim 0: no dimension (totals).
CREATE TABLE kpi_internal.dim (
    id        integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL,
    position  smallint NOT NULL,
    vals      text[] COLLATE "C" NOT NULL
);
-- By their hash, as values can be longer than an entry of an index may be.
CREATE INDEX dim_value_idx ON kpi_internal.dim USING hash ((vals[1]));
CREATE INDEX dim_vals_idx ON kpi_internal.dim (source_id, position, pg_catalog.hash_array_extended(vals, 0));

-- What a refresh last knew of where each owner's facts count, flattened.
-- owner_kind 0 a member's, 1 a team's, 2 the company's; 3 and 4 those of members and
-- teams on all days as they are today (KpiOwnerKind).
CREATE TABLE kpi_internal.applied_attribution (
    source_id integer NOT NULL,
    owner_kind integer NOT NULL,
    owner_id  integer NOT NULL,
    since     date NOT NULL,
    until     date NOT NULL,
    member_id integer NOT NULL,
    teams     integer[] NOT NULL,
    dims      integer[] NOT NULL,      -- dim ids of attributes, by position, 0 where the facts have the value; none of them: empty
    PRIMARY KEY (source_id, owner_kind, owner_id, since)
);
CREATE INDEX applied_attribution_member_idx ON kpi_internal.applied_attribution (source_id, member_id)
    WHERE member_id <> 0;
-- Owners that nobody knows, for who asks what they have.
CREATE INDEX applied_attribution_unknown_idx ON kpi_internal.applied_attribution (source_id, owner_kind, owner_id)
    WHERE member_id = 0 AND teams[1] = 2;

CREATE TABLE kpi_internal.day_cell (
    stream_id integer NOT NULL,
    owner_id  integer NOT NULL,
    day       date NOT NULL,
    dim_id    integer NOT NULL,
    cell      kpi.cell NOT NULL,
    PRIMARY KEY (stream_id, owner_id, day, dim_id)
) WITH (fillfactor = 70);
ALTER TABLE kpi_internal.day_cell ALTER cell SET STORAGE MAIN;
-- For who asks for a day of everybody; updates of cells do not touch it.
CREATE INDEX day_cell_day_idx ON kpi_internal.day_cell (stream_id, day);

-- scope_kind 1 team, 2 member; grain 0 day to 4 year (as in calendar/calendar.h).
-- A row without a cell is a place: weeks, quarters and years are put together from
-- cells when they are read. Days of members are in day_cell.
CREATE TABLE kpi_internal.rollup_cell (
    stream_id  integer NOT NULL,
    scope_kind integer NOT NULL,
    scope_id   integer NOT NULL,
    grain      integer NOT NULL,
    dim_id     integer NOT NULL,
    start      date NOT NULL,
    cell       kpi.cell,
    recent     kpi.cell,                     -- to be added to a large one (refresh/cell_table.c)
    PRIMARY KEY (stream_id, scope_kind, scope_id, grain, dim_id, start)
) WITH (fillfactor = 70);
ALTER TABLE kpi_internal.rollup_cell ALTER cell SET STORAGE MAIN, ALTER recent SET STORAGE MAIN;
CREATE INDEX rollup_cell_period_idx ON kpi_internal.rollup_cell (stream_id, grain, start, scope_kind, dim_id);
-- The planner multiplies what grain and start leave as if they had nothing to do
-- with each other, and comes to one row where a period has one of each team and
-- member. It then finds the period first and a team given by name last. Told of
-- fewer periods than there are, it comes nearer; sampling the cells tells nothing.
ALTER TABLE kpi_internal.rollup_cell ALTER start SET (n_distinct = 20), ALTER cell SET STATISTICS 0,
    ALTER recent SET STATISTICS 0;
ALTER TABLE kpi_internal.day_cell ALTER day SET (n_distinct = 200), ALTER cell SET STATISTICS 0;

-- Days of which some day cell has facts and no value, as all its most extreme
-- values were taken away: the next refresh that reads facts makes it anew.
CREATE TABLE kpi_internal.unknown_day (
    stream_id integer NOT NULL,
    day       date NOT NULL,
    PRIMARY KEY (stream_id, day)
);

COMMENT ON TABLE kpi_internal.unknown_day IS 'Days of which some cell has facts and no value until a refresh reads the facts again';
COMMENT ON TABLE kpi_internal.source_state IS 'What the last refresh of a source achieved, and whether it is suspended';
COMMENT ON TABLE kpi_internal.leaf IS 'The leaf tables of each source and their triggers as the last refresh saw them';
COMMENT ON TABLE kpi_internal.measure_built IS 'How far each measure is built, at which version of its stream';
COMMENT ON TABLE kpi_internal.build IS 'Builds that are not complete: what their steps have done so far';
COMMENT ON TABLE kpi_internal.build_cancelled IS 'Sources whose build kpi.cancel_build() has stopped';
COMMENT ON TABLE kpi_internal.kpi_stream IS 'The streams that each KPI is measured on, and its program: the whole recipe of its values';
COMMENT ON TABLE kpi_internal.owner IS 'Owner keys met in facts, as numbers; 0 is no owner';
COMMENT ON TABLE kpi_internal.dim IS 'Dimension values met in facts, as numbers: position 0 all of a source together, k the k-th alone';
COMMENT ON TABLE kpi_internal.applied_attribution IS 'Where the facts of each owner count on which days (member_id, teams), and for which attributes (dims), as the last refresh applied it';
COMMENT ON TABLE kpi_internal.day_cell IS 'The base of all numbers: one cell per stream, owner, day and dimension values';
COMMENT ON TABLE kpi_internal.rollup_cell IS 'Cells of teams by day and month (and by month and dimension value), and of members by month; without a cell the other periods in which there are any';
