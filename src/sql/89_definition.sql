-- 89_definition: definitions as code: kpi.export(), kpi.apply(), kpi.definition_log.
--
-- A definition is a JSON object whose fields are the arguments of the function that
-- makes it, so an argument that is added there is a field here. What is as it would be
-- if it were not given is left out.

-- "5 minutes": as intervals are typed, in any IntervalStyle.
CREATE FUNCTION kpi_internal.seconds_text(seconds integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%s %s%s', $1 / u.seconds, u.name, CASE WHEN $1 <> u.seconds THEN 's' END)
      FROM (VALUES (86400, 'day'), (3600, 'hour'), (60, 'minute'), (1, 'second')) u (seconds, name)
     WHERE $1 % u.seconds = 0 ORDER BY u.seconds DESC LIMIT 1
$$;

-- number: the order in which they are made. field: where they stand in what is
-- exported. identity: fields by which one is known, which must be given or have a default.
CREATE VIEW kpi_internal.definition_kind (number, kind, field, is_list, creates, alters, drops, identity) AS VALUES
    (1, 'company', 'company', false, 'alter_company', 'alter_company', NULL, '{}'::text[]),
    (2, 'calendar', 'calendars', true, 'create_calendar', 'alter_calendar', 'drop_calendar', '{name}'),
    (3, 'holiday', 'holidays', true, 'add_holiday', NULL, 'drop_holiday', '{day,calendar}'),
    (4, 'team', 'teams', true, 'create_team', 'alter_team', 'drop_team', '{key}'),
    (5, 'member', 'members', true, 'add_member', 'alter_member', 'drop_member', '{key}'),
    (6, 'ramp', 'ramps', true, 'set_ramp', 'set_ramp', 'set_ramp', '{team,member}'),
    (7, 'people_sync', 'people_sync', false, 'sync_people', 'sync_people', 'forget_people', '{}'),
    (8, 'lookup', 'lookups', true, 'create_lookup', 'alter_lookup', 'drop_lookup', '{name}'),
    (9, 'source', 'sources', true, 'create_source', 'alter_source', 'drop_source', '{name}'),
    (10, 'alias', 'aliases', true, 'add_alias', NULL, 'drop_alias', '{alias,source}'),
    (11, 'exchange_rate', 'exchange_rates', true, 'set_exchange_rate', 'set_exchange_rate', 'set_exchange_rate', '{currency,since,exchange}'),
    (12, 'kpi', 'kpis', true, 'create_kpi', 'alter_kpi', 'drop_kpi', '{name}'),
    (13, 'goal', 'goals', true, 'create_goal', 'alter_goal', 'drop_goal', '{plan,kpi,team,member,dimension,dimension_value,period}'),
    (14, 'rollup', 'rollups', true, 'create_rollup', 'alter_rollup', 'drop_rollup', '{name}');
COMMENT ON VIEW kpi_internal.definition_kind IS 'The kinds of definitions, and the functions that make, change and drop them';

-- The fields of each kind, and of what is nested in it (team.moves): the arguments of
-- functions, but those that are said by where it stands, or are no part of it.
CREATE VIEW kpi_internal.definition_field AS
    SELECT f.kind, a.name AS field, min(a.position) AS position,
           CASE WHEN bool_or(t.typname IN ('text', 'anycompatible', 'anyelement')) THEN 'text' ELSE min(t.typname) END AS type,
           CASE WHEN f.kind = 'rollup' AND a.name = 'kpis' THEN '{array}'
                ELSE array_agg(DISTINCT j.type) END AS json_types,
           bool_and(a.position <= p.pronargs - p.pronargdefaults) AS is_required,
           min(pg_get_function_arg_default(p.oid, a.position::integer)) AS default_text
      FROM (VALUES ('company', 'alter_company', '{}'::text[]), ('calendar', 'create_calendar', '{}'), ('holiday', 'add_holiday', '{}'),
                   ('team', 'create_team', '{parent,since}'), ('team.moves', 'move_team', '{team}'),
                   ('member', 'add_member', '{team,since,until}'), ('member.memberships', 'move_member', '{member}'),
                   ('member.memberships', 'end_membership', '{member}'), ('member.attributes', 'set_attribute', '{member}'),
                   ('ramp', 'set_ramp', '{}'), ('people_sync', 'sync_people', '{dry_run,remember}'), ('lookup', 'create_lookup', '{}'),
                   ('source', 'create_source', '{}'), ('source.refresh', 'set_refresh', '{source}'), ('alias', 'add_alias', '{}'),
                   ('exchange_rate', 'set_exchange_rate', '{}'), ('kpi', 'create_kpi', '{}'), ('goal', 'create_goal', '{parent}'),
                   ('rollup', 'create_rollup', '{}')) f (kind, function, reserved)
      JOIN pg_proc p ON p.pronamespace = 'kpi'::regnamespace AND p.proname = f.function
     CROSS JOIN LATERAL unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) WITH ORDINALITY a (name, type, position)
      JOIN pg_type t ON t.oid = a.type
     CROSS JOIN LATERAL unnest(CASE WHEN t.typname IN ('anycompatible', 'anyelement') THEN '{string,number}'::text[]
                                    WHEN t.typname IN ('numeric', 'int4') THEN '{number}'
                                    WHEN t.typname = 'bool' THEN '{boolean}'
                                    WHEN t.typname = 'jsonb' THEN '{object}'
                                    WHEN t.typcategory = 'A' THEN '{array}'
                                    ELSE '{string}' END) j (type)
     WHERE a.name <> ALL (f.reserved)
     GROUP BY f.kind, a.name
    UNION ALL
    SELECT x.kind, x.field, x.position, 'text', x.json_types, false, NULL
      FROM (VALUES ('team', 'parent', 101, '{string,number}'::text[]), ('team', 'moves', 102, '{array}'),
                   ('member', 'memberships', 101, '{array}'), ('member', 'attributes', 102, '{array}'),
                   ('source', 'refresh', 101, '{object}'), ('goal', 'parent', 101, '{string,object}'),
                   ('goal.parent', 'plan', 1, '{string}'), ('goal.parent', 'kpi', 2, '{string}'),
                   ('goal.parent', 'team', 3, '{string,number}'), ('goal.parent', 'member', 4, '{string,number}'),
                   ('goal.parent', 'dimension', 5, '{string}'), ('goal.parent', 'dimension_value', 6, '{string}'),
                   ('goal.parent', 'period', 7, '{string}')) x (kind, field, position, json_types);
COMMENT ON VIEW kpi_internal.definition_field IS 'The fields of definitions. position: from 100 on it is no argument of the function that makes one';

-- By what one is known, whether its defaults are given or not.
CREATE FUNCTION kpi_internal.definition_key(kind text, definition jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    field text;
    said text;
    parts text[] := '{}';
BEGIN
    FOREACH field IN ARRAY (SELECT k.identity FROM kpi_internal.definition_kind k WHERE k.kind = definition_key.kind) LOOP
        said := nullif(definition ->> field, '');
        IF kind = 'rollup' THEN
            said := kpi_internal.quoted_name(said);
        ELSIF said = (CASE field WHEN 'team' THEN 'company' WHEN 'exchange' THEN 'daily' WHEN 'since' THEN '-infinity'
                                WHEN 'calendar' THEN 'default' WHEN 'plan' THEN 'default' END) THEN
            said := NULL;
        END IF;
        parts := parts || quote_nullable(said);
    END LOOP;
    RETURN array_to_string(parts, ' ');
END
$$;

-- A text as it was typed, as long as what is stored was made of that. A formula is of no source.
CREATE FUNCTION kpi_internal.typed(source_id integer, kpi_id integer, part text, name text, stored text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT t.typed FROM kpi_internal.typed_text t
                      WHERE t.part = $3 AND t.name IS NOT DISTINCT FROM $4 AND t.stored = $5
                        AND CASE WHEN $2 IS NULL THEN t.source_id = $1 ELSE t.kpi_id = $2 END), $5)
$$;

-- All that is defined. small_id: the same as object_id where ids are integers, for its index.
-- name: what people call it, by which it is sorted. Functions that
-- read all of it do so without jit: compiling takes a hundred times as long as running.
CREATE VIEW kpi_internal.exported AS
    SELECT 'company'::text AS kind, c.id AS small_id, c.id::bigint AS object_id, 'company'::text COLLATE "C" AS name,
           jsonb_strip_nulls(jsonb_build_object('currency', c.currency)) AS definition
      FROM kpi.company c
    UNION ALL
    SELECT 'calendar'::text, c.id, c.id::bigint, c.name COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'name', c.name, 'time_zone', c.time_zone,
               'week_start', nullif((ARRAY['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'])[c.week_start], 'monday'),
               'fiscal_year_start', nullif(c.fiscal_year_start, 1),
               'working_days', nullif(c.working_days, 'mon,tue,wed,thu,fri')))
      FROM kpi.calendar c
    UNION ALL
    SELECT 'holiday'::text, h.id, h.id::bigint, concat_ws(' ', c.name, to_char(h.day, 'YYYY-MM-DD')) COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'calendar', nullif(c.name, 'default'), 'day', h.day, 'name', h.name))
      FROM kpi.holiday h JOIN kpi.calendar c ON c.id = h.calendar_id
    UNION ALL
    SELECT 'team'::text, t.id, t.id::bigint, t.key COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'key', t.key, 'name', nullif(t.name, t.key),
               'calendar', (SELECT c.name FROM kpi.calendar c WHERE c.id = t.calendar_id),
               'parent', (SELECT nullif(u.key, 'company') FROM kpi.team_parent p JOIN kpi.team u ON u.id = p.parent_id
                           WHERE p.team_id = t.id AND p.since IS NULL),
               'moves', (SELECT jsonb_agg(jsonb_build_object('parent', nullif(u.key, 'company'), 'since', p.since) ORDER BY p.since)
                           FROM kpi.team_parent p JOIN kpi.team u ON u.id = p.parent_id
                          WHERE p.team_id = t.id AND p.since IS NOT NULL)))
      FROM kpi.team t WHERE t.id <> 2
    UNION ALL
    SELECT 'member'::text, m.id, m.id::bigint, m.key COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'key', m.key, 'name', nullif(m.name, m.key),
               'memberships', (SELECT jsonb_agg(jsonb_build_object('team', t.key, 'since', s.since, 'until', s.until,
                                                                   'later_facts', nullif(s.later_facts, 'unassigned'))
                                                ORDER BY s.since NULLS FIRST)
                                 FROM kpi.membership s JOIN kpi.team t ON t.id = s.team_id WHERE s.member_id = m.id),
               'attributes', (SELECT jsonb_agg(jsonb_build_object('name', a.name, 'value', a.value, 'since', a.since, 'until', a.until)
                                               ORDER BY a.name, a.since NULLS FIRST)
                                FROM kpi.member_attribute a WHERE a.member_id = m.id)))
      FROM kpi.member m
    UNION ALL
    SELECT 'ramp'::text, r.id, r.id::bigint, coalesce(t.key, m.key) COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'team', nullif(t.key, 'company'), 'member', m.key, 'ramp', to_jsonb(r.ramp)))
      FROM kpi_internal.ramp r
      LEFT JOIN kpi.team t ON t.id = r.team_id
      LEFT JOIN kpi.member m ON m.id = r.member_id
    UNION ALL
    SELECT 'people_sync'::text, p.id, p.id::bigint, 'people_sync'::text COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'teams', p.teams, 'members', p.members, 'effective', nullif(p.effective, 'today'),
               'partial', nullif(p.partial, false), 'missing', nullif(p.missing, 'end')))
      FROM kpi.people_sync p
    UNION ALL
    SELECT 'lookup'::text, l.id, l.id::bigint, l.name COLLATE "C", jsonb_build_object('name', l.name, 'relation', l.relation, 'key', l.key, 'value', l.value)
      FROM kpi.lookup l
    UNION ALL
    SELECT 'source'::text, s.id, s.id::bigint, s.name COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'name', s.name,
               'relation', CASE WHEN q.source_id IS NULL THEN s.relation ELSE q.facts_relation END,
               'key', coalesce((SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.n)
                                  FROM unnest(q.key_columns) WITH ORDINALITY c (name, n)), kpi_internal.typed(s.id, NULL, 'key', NULL, s.key)),
               'owner', kpi_internal.typed(s.id, NULL, 'owner', NULL, s.owner), 'team', kpi_internal.typed(s.id, NULL, 'team', NULL, s.team),
               'at', kpi_internal.typed(s.id, NULL, 'at', NULL, s.at), 'filter', kpi_internal.typed(s.id, NULL, 'filter', NULL, s.filter),
               'dimensions', (SELECT jsonb_object_agg(d.name, kpi_internal.typed(s.id, NULL, 'dimension', d.name, d.expression)) FROM kpi.dimension d WHERE d.source_id = s.id),
               'grain', nullif(s.grain, 'day'),
               'calendar', (SELECT nullif(c.name, 'default') FROM kpi.calendar c WHERE c.id = s.calendar_id),
               'definer', s.definer, 'on_swap', nullif(s.on_swap, 'follow'), 'on_detach', nullif(s.on_detach, 'seal'),
               'hold_if_lost', s.hold_if_lost, 'loaded_at', kpi_internal.typed(s.id, NULL, 'loaded_at', NULL, s.loaded_at),
               'query', CASE WHEN q.facts_relation IS NULL THEN kpi_internal.typed(s.id, NULL, 'query', NULL, q.query) END,
               'entity', CASE WHEN q.facts_relation IS NULL AND q.entity_columns <> q.key_columns
                              THEN (SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.n)
                                      FROM unnest(q.entity_columns) WITH ORDINALITY c (name, n)) END,
               'follow', CASE WHEN q.facts_relation IS NULL
                              THEN (SELECT jsonb_object_agg(f.relation, kpi_internal.typed(s.id, NULL, 'follow', f.relation, f.query)) FROM kpi.followed_relation f
                                     WHERE f.source_id = s.id AND f.query IS NOT NULL) END,
               'static', CASE WHEN q.facts_relation IS NULL AND q.is_followed
                              THEN (SELECT jsonb_agg(f.relation ORDER BY f.relation COLLATE "C") FROM kpi.followed_relation f
                                     WHERE f.source_id = s.id AND f.query IS NULL) END,
               'changed_at', q.changed_at, 'full_every', kpi_internal.seconds_text(q.full_seconds),
               'refresh', nullif(jsonb_strip_nulls(jsonb_build_object(
                              'mode', CASE WHEN s.refresh_mode = 'manual' THEN s.refresh_mode END,
                              'every', kpi_internal.seconds_text(s.refresh_seconds),
                              'stale_after', kpi_internal.seconds_text(s.stale_seconds))), '{}')))
      FROM kpi.source s LEFT JOIN kpi.keyed_source q ON q.source_id = s.id
    UNION ALL
    SELECT 'alias'::text, a.id, a.id::bigint, concat_ws(' ', a.alias, s.name) COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'alias', a.alias, 'member', m.key, 'source', s.name))
      FROM kpi.member_alias a JOIN kpi.member m ON m.id = a.member_id LEFT JOIN kpi.source s ON s.id = a.source_id
    UNION ALL
    SELECT 'exchange_rate'::text, NULL::integer, r.id, concat_ws(' ', r.exchange, r.currency, to_char(nullif(r.since, '-infinity'), 'YYYY-MM-DD')) COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'exchange', nullif(r.exchange, 'daily'), 'currency', r.currency, 'since', nullif(r.since, '-infinity'), 'rate', r.rate))
      FROM kpi.exchange_rate r
    UNION ALL
    SELECT 'kpi'::text, k.id, k.id::bigint, k.name COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'name', k.name, 'source', s.name, 'measure', kpi_internal.typed(k.source_id, k.id, 'measure', NULL, k.measure), 'filter', kpi_internal.typed(k.source_id, k.id, 'filter', NULL, k.filter),
               'owner', kpi_internal.typed(k.source_id, k.id, 'owner', NULL, k.owner), 'team', kpi_internal.typed(k.source_id, k.id, 'team', NULL, k.team),
               'at', kpi_internal.typed(k.source_id, k.id, 'at', NULL, k.at), 'formula', kpi_internal.typed(k.source_id, k.id, 'formula', NULL, k.formula),
                'unit', k.unit, 'direction', nullif(k.direction, 'up'),
               'title', nullif(k.title, k.name), 'description', k.description, 'credit', nullif(k.credit, 'then'),
               'until', kpi_internal.typed(k.source_id, k.id, 'until', NULL, k.until), 'exchange', nullif(k.exchange, 'daily'),
               'decimals', k.decimals, 'format', nullif(k.format, 'number'), 'section', k.section, 'sort', k.sort))
      FROM kpi.kpi k LEFT JOIN kpi.source s ON s.id = k.source_id
    UNION ALL
    SELECT 'goal'::text, NULL::integer, g.id,
           concat_ws(' ', nullif(g.plan, 'default'), k.name, coalesce(t.key, m.key), '(' || g.dimension || ': ' || coalesce(g.dimension_value, 'none') || ')', g.period) COLLATE "C",
           jsonb_strip_nulls(jsonb_build_object(
               'name', g.name, 'plan', nullif(g.plan, 'default'), 'kpi', k.name, 'team', nullif(t.key, 'company'), 'member', m.key,
               'dimension', g.dimension, 'dimension_value', g.dimension_value, 'period', g.period, 'target', g.target_text,
               'minimum', g.minimum, 'stretch', g.stretch,
               'pace', CASE WHEN g.pace NOT IN ('seasonal', 'phased') THEN g.pace END,
               'milestones', (SELECT jsonb_object_agg(i.day, i.amount) FROM kpi.goal_milestone i WHERE i.goal_id = g.id),
               'description', g.description, 'responsible', g.responsible, 'review_on', g.review_on,
               'parent', (SELECT jsonb_build_object(
                                     'plan', nullif(p.plan, 'default'), 'kpi', pk.name, 'team', nullif(pt.key, 'company'), 'member', pm.key,
                                     'dimension', p.dimension, 'dimension_value', p.dimension_value, 'period', p.period)
                            FROM kpi.goal p
                            JOIN kpi.kpi pk ON pk.id = p.kpi_id
                            LEFT JOIN kpi.team pt ON pt.id = p.team_id
                            LEFT JOIN kpi.member pm ON pm.id = p.member_id
                           WHERE p.id = g.parent_id AND NOT p.is_draft)))
      FROM kpi.goal g
      JOIN kpi.kpi k ON k.id = g.kpi_id
      LEFT JOIN kpi.team t ON t.id = g.team_id
      LEFT JOIN kpi.member m ON m.id = g.member_id
     WHERE NOT g.is_draft
    UNION ALL
    SELECT 'rollup'::text, r.id, r.id::bigint, r.relation COLLATE "C", jsonb_strip_nulls(jsonb_build_object(
               'name', r.relation, 'per', nullif(r.per, 'team'), 'grain', nullif(r.grain, 'month'),
               'dimension', r.dimension, 'since', r.since,
               'kpis', (SELECT jsonb_agg(CASE WHEN c.name = k.name THEN to_jsonb(k.name) ELSE jsonb_build_object(c.name, k.name) END
                                         ORDER BY c.position)
                          FROM kpi.rollup_column c JOIN kpi.kpi k ON k.id = c.kpi_id WHERE c.rollup_id = r.id)))
      FROM kpi.rollup r;
COMMENT ON VIEW kpi_internal.exported IS 'All definitions as kpi.export() shows them, one a row';

CREATE FUNCTION kpi.export(people boolean DEFAULT true) RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'kpi_sql_export';
COMMENT ON FUNCTION kpi.export(boolean) IS
'All definitions as one JSON object, for kpi.apply(): currency, calendars and holidays, teams, members, their aliases and ramps, the remembered queries of people, lookups, sources, exchange rates, KPIs, goals (but those of drafts) and rollup tables. Each is an object of the arguments of the function that makes it; what is as it would be if it were not given is left out. The goal that another is a part of (parent) is an object of the fields by which it is known. Texts are as they were typed, there are no ids and no times, and all is sorted, so that the same definitions give the same text (jsonb_pretty() puts a field on a line). people => false leaves out teams, members, aliases and ramps, which kpi.sync_people() keeps where they come from tables. Grants, schedules and whether a source is paused are no part of it';

CREATE FUNCTION kpi_internal.export(people boolean) RETURNS jsonb
    LANGUAGE sql STABLE SET jit = off SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_object_agg(k.field, x.definitions), '{}')
      FROM kpi_internal.definition_kind k
      JOIN LATERAL (
           SELECT CASE WHEN k.is_list THEN jsonb_agg(e.definition ORDER BY e.name) ELSE jsonb_agg(e.definition) -> 0 END AS definitions
             FROM kpi_internal.exported e WHERE e.kind = k.kind AND e.definition <> '{}') x ON x.definitions IS NOT NULL
     WHERE people OR k.kind NOT IN ('team', 'member', 'alias', 'ramp')
$$;

-- ---- kpi.apply(): what is asked for ----

-- Every object of a document that fields are known of, nested ones too.
CREATE FUNCTION kpi_internal.definition_objects(document jsonb, OUT kind text, OUT path text, OUT is_whole boolean, OUT value jsonb)
    RETURNS SETOF record LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH whole AS (
        SELECT k.number, k.kind, e.n, CASE WHEN k.is_list THEN format('%s[%s]', k.field, e.n - 1) ELSE k.field END AS path, e.value
          FROM kpi_internal.definition_kind k
         CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN NOT k.is_list THEN jsonb_build_array($1 -> k.field)
                                                      WHEN jsonb_typeof($1 -> k.field) = 'array' THEN $1 -> k.field
                                                      ELSE '[]' END) WITH ORDINALITY e (value, n)
         WHERE $1 ? k.field),
    part AS (
        SELECT w.number, w.kind || '.' || f.key AS kind, w.n, x.n AS m,
               w.path || '.' || f.key || CASE jsonb_typeof(f.value) WHEN 'array' THEN format('[%s]', x.n - 1) ELSE '' END AS path, x.value
          FROM whole w
         CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(w.value) WHEN 'object' THEN w.value ELSE '{}' END) f
         CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(f.value) WHEN 'array' THEN f.value ELSE jsonb_build_array(f.value) END) WITH ORDINALITY x (value, n)
         WHERE w.kind || '.' || f.key IN ('team.moves', 'member.memberships', 'member.attributes', 'source.refresh')
            OR w.kind || '.' || f.key = 'goal.parent' AND jsonb_typeof(f.value) = 'object')
    SELECT u.kind, u.path, u.is_whole, u.value
      FROM (SELECT number, kind, n, 0 AS m, path, true AS is_whole, value FROM whole
            UNION ALL SELECT number, kind, n, m, path, false, value FROM part) u
     ORDER BY u.number, u.n, u.m, u.path
$$;

-- What is wrong with a document, in its order. fault: field (there is none of that
-- name), type (it is not what is expected), missing, twice. names: those that there are.
CREATE FUNCTION kpi_internal.definition_faults(document jsonb, OUT fault text, OUT path text, OUT name text, OUT found text,
                                               OUT expected text, OUT names text[])
    RETURNS SETOF record LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH known AS MATERIALIZED (SELECT * FROM kpi_internal.definition_field),
         required AS MATERIALIZED (
            SELECT f.kind, f.field
              FROM known f
             WHERE f.is_required AND f.kind NOT IN ('people_sync', 'team.moves', 'member.memberships') AND f.field <> 'since'
            UNION ALL VALUES ('team.moves', 'since'), ('member.memberships', 'team'), ('goal', 'kpi'), ('goal', 'period'),
                             ('goal.parent', 'kpi'), ('goal.parent', 'period'))
    SELECT 'field', '', d.key, NULL, NULL, (SELECT array_agg(k.field ORDER BY k.number) FROM kpi_internal.definition_kind k)
      FROM jsonb_object_keys($1) d (key)
     WHERE d.key NOT IN (SELECT k.field FROM kpi_internal.definition_kind k)
    UNION ALL
    SELECT 'type', k.field, NULL, jsonb_typeof($1 -> k.field), 'array', NULL
      FROM kpi_internal.definition_kind k
     WHERE k.is_list AND $1 ? k.field AND jsonb_typeof($1 -> k.field) <> 'array'
    UNION ALL
    SELECT x.*
      FROM kpi_internal.definition_objects($1) WITH ORDINALITY o (kind, path, is_whole, value, n)
     CROSS JOIN LATERAL (
           SELECT 'type', o.path, NULL, jsonb_typeof(o.value), 'object', NULL::text[]
            WHERE jsonb_typeof(o.value) <> 'object'
           UNION ALL
           SELECT CASE WHEN f.field IS NULL THEN 'field' ELSE 'type' END,
                  CASE WHEN f.field IS NULL THEN o.path ELSE o.path || '.' || v.key END, v.key, jsonb_typeof(v.value),
                  array_to_string(f.json_types, ' or '),
                  (SELECT array_agg(y.field ORDER BY y.position) FROM known y WHERE y.kind = o.kind)
             FROM jsonb_each(CASE jsonb_typeof(o.value) WHEN 'object' THEN o.value ELSE '{}' END) v
             LEFT JOIN known f ON f.kind = o.kind AND f.field = v.key
            WHERE f.field IS NULL OR jsonb_typeof(v.value) <> ALL (f.json_types)
           UNION ALL
           SELECT 'missing', o.path, f.field, NULL, NULL, NULL
             FROM required f
            WHERE f.kind = o.kind AND NOT o.value ? f.field) x
    UNION ALL
    SELECT 'twice', o.path, NULL, NULL, NULL, NULL
      FROM (SELECT o.path, row_number() OVER (PARTITION BY o.kind, kpi_internal.definition_key(o.kind, o.value) ORDER BY o.n) AS copy
              FROM kpi_internal.definition_objects($1) WITH ORDINALITY o (kind, path, is_whole, value, n)
             WHERE o.is_whole AND jsonb_typeof(o.value) = 'object') o
     WHERE o.copy > 1
$$;

-- ---- kpi.apply(): how it is said ----

-- A value as it is given to a function.
CREATE FUNCTION kpi_internal.definition_literal(kind text, field text, type text, value jsonb) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%L::pg_catalog.%I',
                  CASE WHEN $1 = 'rollup' AND $2 = 'kpis' AND jsonb_path_exists($4, '$[*] ? (@.type() == "object")')
                       THEN (SELECT '{' || string_agg(format('%s: %s', to_jsonb(coalesce(c.key, x.value #>> '{}')), coalesce(c.value, x.value)), ', ' ORDER BY x.n, c.key) || '}'
                               FROM jsonb_array_elements($4) WITH ORDINALITY x (value, n)
                               LEFT JOIN LATERAL jsonb_each(CASE jsonb_typeof(x.value) WHEN 'object' THEN x.value ELSE '{}' END) c ON true)
                       WHEN jsonb_typeof($4) = 'array'
                       THEN (SELECT coalesce(array_agg(x.value ORDER BY x.n), '{}')::text FROM jsonb_array_elements_text($4) WITH ORDINALITY x (value, n))
                       ELSE $4 #>> '{}' END, $3)
$$;

-- Arguments, by name, of the function that makes it.
CREATE FUNCTION kpi_internal.definition_arguments(kind text, definition jsonb) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format('%I => %s', f.field, CASE WHEN v.value IS NULL THEN format('NULL::pg_catalog.%I', f.type)
                                                       ELSE kpi_internal.definition_literal($1, f.field, f.type, v.value) END), ', ' ORDER BY f.position)
      FROM kpi_internal.definition_field f
     CROSS JOIN LATERAL (SELECT $2 -> f.field AS value) v
     WHERE f.kind = $1 AND f.position < 100 AND (v.value IS NOT NULL OR f.is_required)
$$;

-- Fields that differ, and how the function that changes one is told: NULL if it cannot
-- be. What is not there any more is as if it had not been given, or is cleared.
CREATE FUNCTION kpi_internal.definition_changes(kind text, definition_before jsonb, definition_after jsonb, OUT field text, OUT argument text)
    RETURNS SETOF record LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT f.field,
           CASE WHEN EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = 'kpi'::regnamespace AND p.proname = k.alters
                                AND f.field = ANY (p.proargnames[1:p.pronargs]))
                THEN format('%I => ', f.field)
                     || CASE WHEN $3 ? f.field THEN kpi_internal.definition_literal($1, f.field, f.type, $3 -> f.field)
                             WHEN f.default_text !~ '^NULL' THEN f.default_text
                             WHEN f.field = ANY ('{title,name}') THEN format('%L::pg_catalog.text', coalesce($3 ->> 'name', $3 ->> 'key'))
                             ELSE (SELECT c.argument FROM (VALUES ('text', '''''::pg_catalog.text'), ('jsonb', '''{}''::pg_catalog.jsonb'),
                                                                  ('_text', '''{}''::pg_catalog._text'), ('numeric', '0::pg_catalog.numeric'),
                                                                  ('int4', '(-1)::pg_catalog.int4'),
                                                                  ('date', CASE $1 WHEN 'rollup' THEN '''-infinity''::pg_catalog.date'
                                                                                   ELSE '''infinity''::pg_catalog.date' END)) c (type, argument)
                                    WHERE c.type = f.type) END
           END
      FROM kpi_internal.definition_field f
      JOIN kpi_internal.definition_kind k ON k.kind = f.kind
     WHERE f.kind = $1 AND f.position < 100 AND f.field <> ALL (k.identity) AND $2 -> f.field IS DISTINCT FROM $3 -> f.field
       AND NOT (f.field = 'definer' AND NOT $3 ? f.field)
       AND NOT (f.field = 'full_every' AND NOT $3 ? 'changed_at')
       AND NOT ($1 = 'source' AND f.field = 'relation'
                AND to_regclass($2 ->> f.field) IS NOT DISTINCT FROM to_regclass($3 ->> f.field))
     ORDER BY f.position
$$;

-- Which team, if any, a member belongs to from which day on, and whose its later facts are.
CREATE FUNCTION kpi_internal.membership_statements(key text, memberships_before jsonb, memberships_after jsonb) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH old AS (SELECT coalesce(x.since, '-infinity') AS since, x.until, x.later_facts
                   FROM jsonb_to_recordset(coalesce($2, '[]')) x (since date, until date, later_facts text)),
         new AS (SELECT x.team, coalesce(x.since, '-infinity') AS since, coalesce(x.until, 'infinity') AS until, x.later_facts
                   FROM jsonb_to_recordset(coalesce($3, '[]')) x (team text, since date, until date, later_facts text)),
         -- each move holds until the next one that is recorded
         day AS (SELECT since AS day FROM old UNION SELECT since FROM new UNION SELECT until FROM new WHERE until < 'infinity')
    SELECT s.statement
      FROM (SELECT 1 AS phase, d.day,
                   format('SELECT kpi.move_member(%L::pg_catalog.text, %L::pg_catalog.text, since => %L::pg_catalog.date)', $1, n.team, d.day) AS statement
              FROM day d LEFT JOIN new n ON d.day >= n.since AND d.day < n.until
            UNION ALL
            SELECT 2, n.until, format('SELECT kpi.end_membership(%L::pg_catalog.text, until => %L::pg_catalog.date, later_facts => %L::pg_catalog.text)',
                                      $1, n.until, coalesce(n.later_facts, 'unassigned'))
              FROM new n
             WHERE n.until < 'infinity'
               AND (n.later_facts = 'last_team' OR EXISTS (SELECT FROM old o WHERE o.until = n.until AND o.later_facts = 'last_team'))) s
     ORDER BY s.phase, s.day
$$;

CREATE FUNCTION kpi_internal.attribute_statements(key text, attributes_before jsonb, attributes_after jsonb) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH old AS (SELECT x.name, jsonb_agg(a.value ORDER BY a.n) AS dated
                   FROM jsonb_array_elements(coalesce($2, '[]')) WITH ORDINALITY a (value, n), jsonb_to_record(a.value) x (name text) GROUP BY 1),
         new AS (SELECT x.name, jsonb_agg(a.value ORDER BY a.n) AS dated
                   FROM jsonb_array_elements(coalesce($3, '[]')) WITH ORDINALITY a (value, n), jsonb_to_record(a.value) x (name text) GROUP BY 1)
    SELECT s.statement
      FROM old FULL JOIN new USING (name)
     CROSS JOIN LATERAL (
           SELECT '-infinity'::date AS day, 1 AS n,
                  format('SELECT kpi.set_attribute(%L::pg_catalog.text, %L, NULL::pg_catalog.text)', $1, name) AS statement
            WHERE old.dated IS NOT NULL
           UNION ALL
           SELECT coalesce(x.since, '-infinity'), 2,
                  format('SELECT kpi.set_attribute(%L::pg_catalog.text, %L, %L::pg_catalog.text, since => %L::pg_catalog.date, until => %L::pg_catalog.date)',
                         $1, name, x.value, coalesce(x.since, '-infinity'), coalesce(x.until, 'infinity'))
             FROM jsonb_to_recordset(coalesce(new.dated, '[]')) x (value text, since date, until date)) s
     WHERE old.dated IS DISTINCT FROM new.dated
     ORDER BY name, s.n, s.day
$$;

-- What is nested in a definition. A team that is to go stands under nobody but the company before.
CREATE FUNCTION kpi_internal.definition_part_statements(kind text, definition_before jsonb, definition_after jsonb) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('SELECT kpi.move_team(%L::pg_catalog.text, NULL::pg_catalog.text)', $2 ->> 'key')
     WHERE $1 = 'team' AND $3 IS NULL AND ($2 ? 'parent' OR $2 ? 'moves')
    UNION ALL
    SELECT s.statement
      FROM (SELECT 0 AS n, format('SELECT kpi.move_team(%L::pg_catalog.text, %L::pg_catalog.text)', $3 ->> 'key', $3 ->> 'parent') AS statement
            UNION ALL
            SELECT row_number() OVER (ORDER BY m.since),
                   format('SELECT kpi.move_team(%L::pg_catalog.text, %L::pg_catalog.text, since => %L::pg_catalog.date)', $3 ->> 'key', m.parent, m.since)
              FROM jsonb_to_recordset(coalesce($3 -> 'moves', '[]')) m (parent text, since date)) s
     WHERE $1 = 'team' AND $3 ->> 'key' <> 'company'
       AND (coalesce($2 ->> 'parent', 'company') <> coalesce($3 ->> 'parent', 'company') OR $2 -> 'moves' IS DISTINCT FROM $3 -> 'moves')
    UNION ALL
    SELECT s FROM kpi_internal.membership_statements($3 ->> 'key', $2 -> 'memberships', $3 -> 'memberships') s
     WHERE $1 = 'member' AND $3 IS NOT NULL AND $2 -> 'memberships' IS DISTINCT FROM $3 -> 'memberships'
    UNION ALL
    SELECT s FROM kpi_internal.attribute_statements($3 ->> 'key', $2 -> 'attributes', $3 -> 'attributes') s
     WHERE $1 = 'member' AND $3 IS NOT NULL
    UNION ALL
    SELECT format('SELECT kpi.set_refresh(%L, %s, stale_after => %L)', $3 ->> 'name',
                  CASE WHEN r ? 'every' AND NOT r ? 'mode' THEN format('every => %L', r ->> 'every')
                       WHEN r ? 'every' THEN format('mode => %L, every => %L', r ->> 'mode', r ->> 'every')
                       ELSE format('mode => %L', coalesce(r ->> 'mode', 'continuous')) END, coalesce(r ->> 'stale_after', ''))
      FROM coalesce($3 -> 'refresh', '{}') r
     WHERE $1 = 'source' AND $3 IS NOT NULL AND $2 -> 'refresh' IS DISTINCT FROM $3 -> 'refresh'
$$;

-- How the function that changes or drops one is told which.
CREATE FUNCTION kpi_internal.definition_name(kind text, object_id bigint, definition jsonb) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN $1 = 'goal' THEN format('%s::pg_catalog.int8', $2)
                ELSE string_agg(CASE WHEN $3 ? f.field THEN kpi_internal.definition_literal($1, f.field, f.type, $3 -> f.field)
                                     ELSE coalesce(f.default_text, format('NULL::pg_catalog.%I', f.type)) END, ', ' ORDER BY i.n) END
      FROM kpi_internal.definition_kind k
     CROSS JOIN LATERAL unnest(k.identity) WITH ORDINALITY i (name, n)
      JOIN kpi_internal.definition_field f ON f.kind = k.kind AND f.field = i.name
     WHERE k.kind = $1
$$;

-- How kpi.create_goal() and kpi.alter_goal() are told the goal that another is a part of:
-- by its id, of what says by which one is known; as it was said if there is none, of which they say so.
CREATE FUNCTION kpi_internal.goal_parent_argument(parent jsonb) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'parent => ' || coalesce((
           SELECT format('%s::pg_catalog.int8', g.id)
             FROM kpi.goal g
             JOIN kpi.kpi k ON k.id = g.kpi_id
             LEFT JOIN kpi.team t ON t.id = g.team_id
             LEFT JOIN kpi.member m ON m.id = g.member_id
            WHERE jsonb_typeof($1) = 'object'
              AND k.name = $1 ->> 'kpi' AND g.period = $1 ->> 'period' AND g.plan = coalesce(nullif($1 ->> 'plan', ''), 'default')
              AND CASE WHEN $1 ->> 'member' <> '' THEN m.key = $1 ->> 'member' ELSE t.key = coalesce(nullif($1 ->> 'team', ''), 'company') END
              AND g.dimension IS NOT DISTINCT FROM nullif($1 ->> 'dimension', '')
              AND g.dimension_value IS NOT DISTINCT FROM nullif($1 ->> 'dimension_value', '')),
           format('%L::pg_catalog.text', coalesce($1 #>> '{}', '')))
$$;

-- The calls, in their order, by which one becomes another; NULL before: there is none,
-- after: none is to be.
CREATE FUNCTION kpi_internal.definition_statements(kind text, object_id bigint, definition_before jsonb, definition_after jsonb) RETURNS SETOF text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    k record;
    which text := kpi_internal.definition_name(kind, object_id, coalesce(definition_before, definition_after));
    arguments text;
BEGIN
    SELECT * INTO k FROM kpi_internal.definition_kind d WHERE d.kind = definition_statements.kind;
    IF definition_before IS NOT NULL AND (definition_after IS NULL OR k.alters IS NULL) THEN
        RETURN NEXT CASE WHEN kind IN ('exchange_rate', 'ramp')
                         THEN format('SELECT kpi.%I(%s)', k.drops, kpi_internal.definition_arguments(kind, definition_before - '{rate,ramp}'::text[]))
                              ELSE format('SELECT kpi.%I(%s)', k.drops, which) END;
        definition_before := NULL;
    END IF;
    IF definition_before IS NULL AND definition_after IS NOT NULL OR kind IN ('exchange_rate', 'ramp', 'people_sync', 'company') AND definition_after IS NOT NULL THEN
        arguments := kpi_internal.definition_arguments(kind, definition_after);
        IF kind = 'goal' AND definition_after ? 'parent' THEN
            arguments := concat_ws(', ', arguments, kpi_internal.goal_parent_argument(definition_after -> 'parent'));
        END IF;
        RETURN NEXT format('SELECT kpi.%I(%s)', k.creates, arguments);
    ELSIF definition_after IS NOT NULL THEN
        SELECT string_agg(c.argument, ', ') INTO arguments
          FROM kpi_internal.definition_changes(kind, definition_before, definition_after) c;
        IF kind = 'goal' AND definition_before -> 'parent' IS DISTINCT FROM definition_after -> 'parent' THEN
            arguments := concat_ws(', ', arguments, kpi_internal.goal_parent_argument(definition_after -> 'parent'));
        END IF;
        IF arguments IS NOT NULL THEN
            RETURN NEXT format('SELECT kpi.%I(%s, %s)', k.alters, which, arguments);
        END IF;
    END IF;
END
$$;

-- What differs between a document and what is defined, of the kinds that it has. path:
-- where it is said in the document. is_built_in: it cannot be dropped. A goal comes after the one
-- that it is a part of, so that this is there, and is a part of no part of it any more; of a circle
-- all come last.
CREATE FUNCTION kpi_internal.definition_differences(document jsonb, OUT number integer, OUT kind text, OUT path text, OUT key text, OUT object_id bigint,
                                                    OUT name text, OUT definition_before jsonb, OUT definition_after jsonb, OUT is_built_in boolean)
    RETURNS SETOF record LANGUAGE sql STABLE SET jit = off SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE object AS MATERIALIZED (
        SELECT d.kind, d.path, d.n, kpi_internal.definition_key(d.kind, d.value) AS key, d.value
          FROM kpi_internal.definition_objects($1) WITH ORDINALITY d (kind, path, is_whole, value, n)
         WHERE d.is_whole),
    -- a name that only one of its goals has says which
    named AS MATERIALIZED (
        SELECT g.value ->> 'name' AS name,
               (SELECT jsonb_object_agg(f.name, f.value)
                  FROM kpi_internal.definition_kind k
                  JOIN jsonb_each((array_agg(g.value))[1]) f (name, value) ON f.name = ANY (k.identity)
                 WHERE k.kind = 'goal') AS parent
          FROM object g WHERE g.kind = 'goal' GROUP BY 1 HAVING count(*) = 1),
    said AS (
        SELECT d.kind, d.path, d.n, d.key,
               CASE WHEN d.kind = 'goal'
                    THEN d.value || jsonb_strip_nulls(jsonb_build_object(
                             'target', CASE jsonb_typeof(d.value -> 'target') WHEN 'number' THEN to_jsonb(d.value ->> 'target') END, 'parent', p.parent))
                    ELSE d.value END AS value
          FROM object d
          LEFT JOIN named p ON d.kind = 'goal' AND jsonb_typeof(d.value -> 'parent') = 'string' AND p.name = d.value ->> 'parent'),
    difference AS MATERIALIZED (
        SELECT k.number, k.kind, n.path, n.n, key, o.object_id, o.name, o.definition, n.value,
               coalesce(k.drops IS NULL OR k.kind IN ('calendar', 'team') AND o.object_id = 1, false) AS is_built_in,
               CASE WHEN k.kind = 'goal' AND jsonb_typeof(n.value -> 'parent') = 'object'
                    THEN kpi_internal.definition_key('goal', n.value -> 'parent') END AS parent_key
          FROM (SELECT e.*, kpi_internal.definition_key(e.kind, e.definition) AS key
                  FROM kpi_internal.exported e) o
          FULL JOIN said n USING (kind, key)
          JOIN kpi_internal.definition_kind k USING (kind)
         WHERE $1 ? k.field AND o.definition IS DISTINCT FROM n.value),
    placed (key, level) AS (
        SELECT d.key, 0 FROM difference d
         WHERE d.kind = 'goal' AND (d.parent_key IS NULL OR d.parent_key NOT IN (SELECT x.key FROM difference x WHERE x.kind = 'goal'))
        UNION ALL
        SELECT d.key, p.level + 1 FROM placed p JOIN difference d ON d.kind = 'goal' AND d.parent_key = p.key)
    SELECT d.number, d.kind, d.path, d.key, d.object_id, d.name, d.definition, d.value, d.is_built_in
      FROM difference d
      LEFT JOIN placed p ON d.kind = 'goal' AND p.key = d.key
     ORDER BY d.number, p.level NULLS LAST, d.n, d.name
$$;

-- What is still to be read from facts: measures, as their streams have them.
CREATE VIEW kpi_internal.unbuilt AS
    SELECT x.source_id, x.id AS stream_id, m.id || ' ' || x.version AS measure
      FROM kpi_internal.stream x
      JOIN kpi_internal.measure m ON m.stream_id = x.id
     WHERE NOT EXISTS (SELECT FROM kpi_internal.measure_built b
                        WHERE b.measure_id = m.id AND b.stream_id = x.id AND b.version = x.version
                          AND b.days_since = '-infinity' AND b.rollups_since = '-infinity');
COMMENT ON VIEW kpi_internal.unbuilt IS 'Measures that are not built, or not completely; measure changes when it is to be built anew';

-- The builds that are to come, but for these measures, which were not built before:
-- one a source. facts: the rows of its table, of which each is read once in each scan;
-- scans: one for each stream. What is not known is NULL.
CREATE FUNCTION kpi_internal.builds_to_come(measures text[], OUT source text, OUT facts bigint, OUT scans bigint, OUT seconds numeric)
    RETURNS SETOF record LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.name, f.facts, b.scans, round(f.facts * b.scans / 250000, 1)
      FROM (SELECT u.source_id, count(DISTINCT u.stream_id) AS scans
              FROM kpi_internal.unbuilt u WHERE u.measure <> ALL ($1) GROUP BY u.source_id) b
      JOIN kpi.source s ON s.id = b.source_id
      LEFT JOIN kpi_internal.source_state t ON t.source_id = s.id
     CROSS JOIN LATERAL (
           SELECT nullif(sum(CASE WHEN c.reltuples >= 0 AND c.relpages > 0
                                  THEN c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::integer)
                                  ELSE pg_relation_size(c.oid) / 100 END),
                         CASE WHEN EXISTS (SELECT FROM kpi.keyed_source q WHERE q.source_id = s.id) THEN 0 END)::bigint AS facts
             FROM pg_class c
            WHERE c.relkind = 'r'
              AND (c.oid = t.relid OR c.oid IN (SELECT p.relid FROM pg_partition_tree(t.relid) p WHERE p.isleaf))) f
     ORDER BY s.name COLLATE "C"
$$;

-- What a change means besides what it says; NULL: nothing.
CREATE FUNCTION kpi_internal.definition_detail(kind text, definition_before jsonb, definition_after jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN $1 = 'source' AND $2 ->> 'relation' <> $3 ->> 'relation'
                THEN format('its KPIs are of %s from now on, and no more of %s', $3 ->> 'relation', $2 ->> 'relation')
                WHEN $1 = 'kpi' AND $2 ->> 'source' <> $3 ->> 'source'
                THEN format('it is of the facts of source %s from now on, and no more of %s', $3 ->> 'source', $2 ->> 'source')
                WHEN $1 = 'rollup' AND $2 IS NOT NULL AND $3 IS NOT NULL
                     AND (SELECT bool_or($2 -> f.name IS DISTINCT FROM $3 -> f.name) FROM unnest('{per,grain,dimension}'::text[]) f (name))
                THEN 'the table is empty until the next refresh'
                WHEN $1 = 'rollup' AND $3 IS NULL THEN 'the table stays as it is'
                WHEN $1 = 'goal' AND $3 IS NULL THEN 'its history goes with it' END
$$;

-- What is defined after some changes, by kind and key.
CREATE FUNCTION kpi_internal.definitions_now(kinds text[], keys text[], OUT n bigint, OUT name text, OUT definition jsonb)
    RETURNS SETOF record LANGUAGE sql STABLE SET jit = off SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.n, e.name, e.definition
      FROM unnest($1, $2) WITH ORDINALITY w (kind, key, n)
      LEFT JOIN (SELECT x.*, kpi_internal.definition_key(x.kind, x.definition) AS key
                   FROM kpi_internal.exported x WHERE x.kind = ANY ($1)) e ON e.kind = w.kind AND e.key = w.key
     ORDER BY w.n
$$;

CREATE FUNCTION kpi.apply(definitions jsonb, dry_run boolean DEFAULT false, prune boolean DEFAULT false,
                          OUT action text, OUT kind text, OUT name text, OUT old jsonb, OUT new jsonb, OUT facts bigint, OUT seconds numeric,
                          OUT detail text)
    RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'kpi_sql_apply';
COMMENT ON FUNCTION kpi.apply(jsonb, boolean, boolean) IS
'Makes what is defined what a document says, as kpi.export() writes it, and returns a row for each definition that it makes, changes or drops (action: create, alter, drop), as it was and as it is, and a row for each build that follows (action build): a source whose facts are read, how many about, and how many seconds that may take. detail: what a change means besides what it says (where values come from then, what is emptied or lost), and how often a build reads the facts. What is equal is not touched; nothing, and nothing is returned, where all is. A field that is not given has its default, and is cleared where there was something else; the definer of a source stays. Only the kinds that the document has are looked at, and what it leaves out of them stays, unless prune drops it. All is done in this transaction, in the order in which it depends on each other, by the same functions and with the same rights as by hand: whatever fails, nothing is done. Definitions are known by their names (keys of people; goals by plan, KPI, team or member, dimension and period), so another name is another definition; the parent of a goal by an object of these, or by its name. Text is read in the search_path of the caller. dry_run does the same and takes it back: locks of tables are held meanwhile. Errors: an unknown field, a value of another type, something that is there twice; else those of the functions';

-- ---- kpi.definition_log ----

CREATE TABLE kpi.definition_log (
    id           bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    happened_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    role         text NOT NULL,
    session_role text NOT NULL,
    action       text NOT NULL CHECK (action IN ('create', 'alter', 'drop', 'follow')),
    kind         text NOT NULL,
    object_id    bigint NOT NULL,
    name         text NOT NULL,
    old          jsonb,
    new          jsonb,
    reason       text
);
CREATE INDEX ON kpi.definition_log (kind, object_id, id);
-- The rows that CREATE EXTENSION makes have ids below 0.
SELECT pg_catalog.pg_extension_config_dump('kpi.definition_log', 'WHERE id > 0');
SELECT pg_catalog.pg_extension_config_dump('kpi.definition_log_id_seq', '');
COMMENT ON TABLE kpi.definition_log IS 'Who has changed which definition, when and why: one row per definition and transaction, a member with its memberships and attributes among them. It grows with changes of definitions only, and nothing in it is rewritten or dropped';
COMMENT ON COLUMN kpi.definition_log.id IS 'Surrogate key';
COMMENT ON COLUMN kpi.definition_log.happened_at IS 'When: the beginning of the transaction';
COMMENT ON COLUMN kpi.definition_log.role IS 'The role that did it';
COMMENT ON COLUMN kpi.definition_log.session_role IS 'The role that had logged in, where the other is one that it has set';
COMMENT ON COLUMN kpi.definition_log.action IS 'create, alter or drop; follow: a table was renamed, and the definition has followed';
COMMENT ON COLUMN kpi.definition_log.kind IS 'company, calendar, holiday, team, member, alias, ramp, people_sync, lookup, source, exchange_rate, kpi, goal or rollup';
COMMENT ON COLUMN kpi.definition_log.object_id IS 'Its id, in the table of its kind';
COMMENT ON COLUMN kpi.definition_log.name IS 'Its name; of a goal plan, KPI, scope and period';
COMMENT ON COLUMN kpi.definition_log.old IS 'What it was, as kpi.export() writes it; NULL: it was not there';
COMMENT ON COLUMN kpi.definition_log.new IS 'What it is; NULL: it is not there any more';
COMMENT ON COLUMN kpi.definition_log.reason IS 'What the setting kpi.reason said, or was given with the target of a goal; NULL: nothing';

CREATE FUNCTION kpi_internal.is_defining() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'kpi_sql_is_defining';
CREATE FUNCTION kpi_internal.log_definition() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_log_definition';

-- What the trigger below does for one, for many teams or members (sync/log.c): of each the row of
-- the view by its index, however few there are said to be (OFFSET keeps the planner from reading them all).
CREATE FUNCTION kpi_internal.log_people(kind text, ids integer[], role text, session_role text, reason text) RETURNS void
    LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO kpi.definition_log (role, session_role, action, kind, object_id, name, old, new, reason)
    SELECT $3, $4, CASE WHEN e.definition IS NULL THEN 'drop' WHEN l.new IS NULL THEN 'create' ELSE 'alter' END,
           $1, i.id, coalesce(e.name, l.name), l.new, e.definition, nullif($5, '')
      FROM unnest($2) i (id)
      LEFT JOIN LATERAL (SELECT x.name, x.definition FROM kpi_internal.exported x WHERE x.kind = $1 AND x.small_id = i.id OFFSET 0) e ON true
      LEFT JOIN LATERAL (SELECT d.name, d.new FROM kpi.definition_log d WHERE d.kind = $1 AND d.object_id = i.id
                          ORDER BY d.id DESC LIMIT 1) l ON true
     WHERE l.new IS DISTINCT FROM e.definition
     ORDER BY coalesce(e.name, l.name);
END
$$;

-- Deferred: a definition is looked at once it is whole, and what was taken back leaves nothing.
-- Of what a sync of people changes, by the thousand at once, see kpi_internal.log_people().
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT * FROM (VALUES ('kpi.company', 'company', 'id'), ('kpi.calendar', 'calendar', 'id'), ('kpi.holiday', 'holiday', 'id'),
                              ('kpi.team', 'team', 'id'), ('kpi.team_parent', 'team', 'team_id'),
                              ('kpi.member', 'member', 'id'), ('kpi.membership', 'member', 'member_id'),
                              ('kpi.member_attribute', 'member', 'member_id'),
                              ('kpi_internal.ramp', 'ramp', 'id'), ('kpi.people_sync', 'people_sync', 'id'),
                              ('kpi.lookup', 'lookup', 'id'), ('kpi.source', 'source', 'id'), ('kpi.dimension', 'source', 'source_id'),
                              ('kpi.keyed_source', 'source', 'source_id'), ('kpi.followed_relation', 'source', 'source_id'),
                              ('kpi.member_alias', 'alias', 'id'), ('kpi.exchange_rate', 'exchange_rate', 'id'), ('kpi.kpi', 'kpi', 'id'),
                              ('kpi.goal', 'goal', 'id'), ('kpi.goal_milestone', 'goal', 'goal_id'),
                              ('kpi.rollup', 'rollup', 'id'), ('kpi.rollup_column', 'rollup', 'rollup_id')) x (relation, kind, id)
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE CONSTRAINT TRIGGER log_definition AFTER INSERT OR UPDATE OR DELETE ON %s DEFERRABLE INITIALLY DEFERRED '
            'FOR EACH ROW WHEN (kpi_internal.is_defining()) EXECUTE FUNCTION kpi_internal.log_definition(%L, %L)', t.relation, t.kind, t.id);
    END LOOP;
END
$$;

-- What CREATE EXTENSION has made itself, so that what becomes of it is told from what it was. Not dumped.
INSERT INTO kpi.definition_log (id, role, session_role, action, kind, object_id, name, new)
SELECT -pg_catalog.row_number() OVER (ORDER BY e.kind, e.object_id), current_user, session_user, 'create', e.kind, e.object_id, e.name, e.definition
  FROM kpi_internal.exported e;
