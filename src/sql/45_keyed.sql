-- 45_keyed: keyed sources: facts that are rows of a query, kept for each entity.

-- Ordinary tables, one for each keyed source, that belong to its definer and are
-- members of no extension: their rows, grants and the views over them are dumped.
CREATE SCHEMA kpi_data;
COMMENT ON SCHEMA kpi_data IS 'pg_kpi: the rows of keyed sources, a table for each, as kpi.create_source() made it; read it after kpi.grant_source()';

CREATE TABLE kpi.keyed_source (
    source_id      integer PRIMARY KEY REFERENCES kpi.source,
    query          text NOT NULL,
    columns        text[] NOT NULL,
    key_columns    text[] NOT NULL,
    entity_columns text[] NOT NULL,
    is_followed    boolean NOT NULL,
    changed_at     text,
    full_seconds   integer CHECK (full_seconds > 0),
    facts_relation text,
    version        integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE kpi.keyed_source IS 'Sources whose facts are the rows of a query. Written by kpi.create_source() and kpi.alter_source()';
COMMENT ON COLUMN kpi.keyed_source.source_id IS 'The source (kpi.source.id), whose relation is the table of kept rows';
COMMENT ON COLUMN kpi.keyed_source.query IS 'The query, with every name outside pg_catalog qualified';
COMMENT ON COLUMN kpi.keyed_source.columns IS 'The columns of the query, in its order';
COMMENT ON COLUMN kpi.keyed_source.key_columns IS 'Columns of the query that identify a row';
COMMENT ON COLUMN kpi.keyed_source.entity_columns IS 'Columns of the query that say whose rows are computed together';
COMMENT ON COLUMN kpi.keyed_source.is_followed IS 'True: changes of the tables in kpi.followed_relation have the rows of what they touch computed anew. False: the query is run again by its refresh policy';
COMMENT ON COLUMN kpi.keyed_source.changed_at IS 'Column of the query that says when a row was changed: only rows from the latest on are read again; NULL: all are';
COMMENT ON COLUMN kpi.keyed_source.full_seconds IS 'Seconds after which all rows are read although there is changed_at, so that deleted ones are found; NULL: never';
COMMENT ON COLUMN kpi.keyed_source.facts_relation IS 'The table whose rows are the facts, of a source over a table with lookups, whose query is made of it and of them (kpi.source_lookup); NULL: the query is the user''s own';
COMMENT ON COLUMN kpi.keyed_source.version IS 'Raised when what is noted of changes means something else';

CREATE TABLE kpi.followed_relation (
    source_id integer NOT NULL REFERENCES kpi.source,
    position  smallint NOT NULL,
    relation  text NOT NULL,
    query     text,
    columns   text[] NOT NULL,
    used      text[],
    PRIMARY KEY (source_id, position),
    UNIQUE (source_id, relation)
);
COMMENT ON TABLE kpi.followed_relation IS 'What the queries of keyed sources read, and which entities a change of it touches. Written by kpi.create_source() and kpi.alter_source()';
COMMENT ON COLUMN kpi.followed_relation.source_id IS 'The source (kpi.source.id)';
COMMENT ON COLUMN kpi.followed_relation.position IS 'Number among the relations of the source, from 1';
COMMENT ON COLUMN kpi.followed_relation.relation IS 'The table, qualified and quoted as in SQL';
COMMENT ON COLUMN kpi.followed_relation.query IS 'The entities of a changed row, which it calls "changed"; NULL: the table is said not to change (static), or has the kept rows of another source, and this one is not followed';
COMMENT ON COLUMN kpi.followed_relation.columns IS 'Columns of "changed" that the query needs';
COMMENT ON COLUMN kpi.followed_relation.used IS 'Columns whose change matters; NULL: all';

-- What is known of the kept rows.  Not dumped: they are compared with the query after a restore.
CREATE TABLE kpi_internal.keyed_state (
    source_id        integer PRIMARY KEY,
    fingerprint      text,                   -- of what the query reads, and its triggers; NULL: all is to be read
    read_at          timestamptz,            -- when the query was run last, as of
    whole_at         timestamptz,            -- and for all entities
    kept_rows        bigint NOT NULL DEFAULT 0,
    rows_without_key bigint NOT NULL DEFAULT 0,  -- when all were read last
    rows_without_entity bigint NOT NULL DEFAULT 0,  -- and those with a key
    entities_read    bigint NOT NULL DEFAULT 0,  -- by the last refresh that read any
    duration_ms      double precision,           -- that it took
    whole_ms         double precision,           -- that the last reading of all took
    rows_read        bigint NOT NULL DEFAULT 0   -- of tables, for those entities
);
COMMENT ON TABLE kpi_internal.keyed_state IS 'How far the kept rows of keyed sources are';

SELECT pg_catalog.pg_extension_config_dump('kpi.keyed_source', '');
SELECT pg_catalog.pg_extension_config_dump('kpi.followed_relation', '');

CREATE FUNCTION kpi.follow() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_follow';
COMMENT ON FUNCTION kpi.follow() IS 'Row trigger of tables that keyed sources follow: notes which row has changed. kpi.create_source() attaches it';
CREATE FUNCTION kpi.follow_truncate() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_follow_truncate';
COMMENT ON FUNCTION kpi.follow_truncate() IS 'TRUNCATE trigger of tables that keyed sources follow: has the next refresh read all. kpi.create_source() attaches it';
-- Whoever creates or attaches a partition must be allowed to clone the trigger.
GRANT EXECUTE ON FUNCTION kpi.follow(), kpi.follow_truncate() TO PUBLIC;

CREATE FUNCTION kpi.grant_source(source text, role text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'kpi_sql_grant_source';
COMMENT ON FUNCTION kpi.grant_source(text, text) IS
'Lets a role read the rows that a keyed source keeps, the table kpi_data.<source>: SELECT on it, and USAGE on the schema. Without it nobody but the definer reads them. Errors: source or role unknown; the source is over a table; the caller is not the definer, a member of that role or a superuser';
CREATE FUNCTION kpi.revoke_source(source text, role text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'kpi_sql_revoke_source';
COMMENT ON FUNCTION kpi.revoke_source(text, text) IS
'Takes from a role what kpi.grant_source() gave it. Errors: as kpi.grant_source()';

-- Texts of queries that many keyed sources begin with, to paste and change.
CREATE FUNCTION kpi_internal.quoted_name(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(quote_ident(p.part), '.' ORDER BY p.n)
      FROM unnest(parse_ident(name)) WITH ORDINALITY p(part, n)
$$;

CREATE FUNCTION kpi.visit_query(relation text, entity text, state text, at text, tie text DEFAULT NULL)
RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('SELECT %1$sh.%3$I, h.%4$I, h.%5$I AS entered_at, lead(h.%5$I) OVER w AS left_at,' || E'\n'
                  || '       lag(h.%4$I) OVER w AS previous_%4$s, lead(h.%4$I) OVER w AS next_%4$s,' || E'\n'
                  || '       row_number() OVER w AS visit_number' || E'\n'
                  || '  FROM %2$s h' || E'\n'
                  || 'WINDOW w AS (PARTITION BY h.%3$I ORDER BY h.%5$I%6$s)',
                  'h.' || quote_ident(tie) || ', ', kpi_internal.quoted_name(relation), entity, state, at,
                  coalesce(', h.' || quote_ident(tie), ''))
     WHERE relation IS NOT NULL AND entity IS NOT NULL AND state IS NOT NULL AND at IS NOT NULL
$$;
COMMENT ON FUNCTION kpi.visit_query(text, text, text, text, text) IS
'The text of a query of visits, to paste into kpi.create_source(query => ...) and change: a row for each state that an entity was in, with when it was entered and left (left_at is NULL while it lasts), the states before and after, and its number. relation is a history with a row for each change of state: entity says of what, state which, at when; tie tells rows of one moment apart, and identifies a visit (its key; without it entity and at do). Creates nothing. NULL where an argument other than tie is. Errors: a malformed name';

CREATE FUNCTION kpi.journey_query(relation text, entity text, since text, events text, event_entity text,
                                  event_at text, condition text DEFAULT NULL)
RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('SELECT s.%2$I, s.%3$I, min(e.%6$I) AS first_at, max(e.%6$I) AS last_at, count(e.%6$I) AS events' || E'\n'
                  || '  FROM %1$s s' || E'\n'
                  || '  LEFT JOIN %4$s e ON e.%5$I = s.%2$I AND e.%6$I >= s.%3$I%7$s' || E'\n'
                  || ' GROUP BY s.%2$I, s.%3$I',
                  kpi_internal.quoted_name(relation), entity, since, kpi_internal.quoted_name(events),
                  event_entity, event_at, ' AND (' || condition || ')')
     WHERE relation IS NOT NULL AND entity IS NOT NULL AND since IS NOT NULL AND events IS NOT NULL
       AND event_entity IS NOT NULL AND event_at IS NOT NULL
$$;
COMMENT ON FUNCTION kpi.journey_query(text, text, text, text, text, text, text) IS
'The text of a query of journeys, to paste into kpi.create_source(query => ...) and change: a row for each entity of relation (by its column entity), with since, when it began, and the first, the last and the number of events from then on: rows of the table events whose column event_entity is the entity, at event_at, for which condition holds (over e, the event, and s). Creates nothing. NULL where an argument other than condition is. Errors: a malformed name';
