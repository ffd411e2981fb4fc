-- 84_left_out: facts that are in no number, or not in all, and why.

-- Those that are in cells of values, and as reason 'counted' those in the company's value; those
-- that count for nothing and these only, or all (explain/left_out_cells.c).
CREATE FUNCTION kpi_internal.left_out_cells(of_source integer DEFAULT NULL, for_nothing boolean DEFAULT false, OUT source_id integer, OUT kpi_id integer, OUT reason text,
                                            OUT facts bigint, OUT first_day date, OUT last_day date)
    RETURNS SETOF record STABLE COST 10000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_left_out_cells';

CREATE VIEW kpi_internal.left_out_for_nothing AS
    SELECT s.id AS source_id, r.kpi_id, r.reason, r.facts, r.first_day, r.last_day
      FROM kpi.source s
     CROSS JOIN LATERAL (
           SELECT n.kpi_id, n.reason, n.facts, n.first_day, n.last_day
             FROM kpi_internal.left_out_counts(s.id) n
           UNION ALL
           SELECT c.kpi_id, c.reason, c.facts, c.first_day, c.last_day
             FROM kpi_internal.left_out_cells(s.id, for_nothing => true) c) r;
COMMENT ON VIEW kpi_internal.left_out_for_nothing IS 'Facts that count for nothing, by KPI and reason, and as reason counted those in the value of the company';

CREATE VIEW kpi.left_out AS
    SELECT s.id AS source_id, s.name AS source, k.id AS kpi_id, k.name AS kpi, r.reason,
           CASE WHEN r.reason IN ('no_owner', 'unknown_owner') THEN 'company'
                WHEN r.reason = 'ahead' THEN 'value, not to date'
                WHEN r.reason = 'lookup_missing' THEN 'value'
                ELSE 'nothing' END AS counts_for,
           r.facts, r.first_day, r.last_day, kpi_internal.left_out_example(s.id, k.id, r.reason) AS example_key
      FROM kpi.source s
     CROSS JOIN LATERAL (
           SELECT n.kpi_id, n.reason, n.facts, n.first_day, n.last_day
             FROM kpi_internal.left_out_for_nothing n
            WHERE n.source_id = s.id AND n.reason <> 'counted'
           UNION ALL
           SELECT c.kpi_id, c.reason, c.facts, c.first_day, c.last_day
             FROM kpi_internal.left_out_cells(s.id) c
            WHERE c.reason IN ('no_owner', 'unknown_owner', 'ahead')
           UNION ALL
           SELECT NULL, 'lookup_missing', pg_catalog.sum(l.facts_missing)::bigint, NULL, NULL
             FROM kpi_internal.lookup_state l
            WHERE l.source_id = s.id
           HAVING pg_catalog.sum(l.facts_missing) > 0
           UNION ALL
           SELECT NULL, w.reason, w.facts, NULL, NULL
             FROM kpi_internal.keyed_state t
            CROSS JOIN LATERAL (VALUES ('no_key', t.rows_without_key), ('no_entity', t.rows_without_entity)) w (reason, facts)
            WHERE t.source_id = s.id AND w.facts > 0) r
      LEFT JOIN kpi.kpi k ON k.id = r.kpi_id;
COMMENT ON VIEW kpi.left_out IS 'Facts that are in no number of a KPI, or not in all of them: one row per source, KPI and reason, as of the last refresh. A fact that passes the filters of a source and a KPI is in the numbers, or in one of these rows. Of a formula, see the KPIs that it is made of';
COMMENT ON COLUMN kpi.left_out.source_id IS 'The source (kpi.source.id)';
COMMENT ON COLUMN kpi.left_out.source IS 'Its name';
COMMENT ON COLUMN kpi.left_out.kpi_id IS 'The KPI (kpi.kpi.id); NULL: all of the source';
COMMENT ON COLUMN kpi.left_out.kpi IS 'Its name';
COMMENT ON COLUMN kpi.left_out.reason IS 'Why, the first of these that holds for a fact and the KPI. filter_false, filter_null: so is the filter of the source or of the KPI. no_time: its time (at) is NULL or infinite. day_out_of_range: its day is outside of 1900 to 2200. end_before_start: of a balance, it ends before it begins. error: an expression failed on it. lookup_missing: a lookup found nothing. no_value: the measure is of what is NULL in it, or of a rate, it is none of those that the share is of. nonfinite: its number is NaN or infinite. too_long: its number has more than 1,000 digits before the decimal point, of stddev and variance more than 500. no_rate: its currency has no exchange rate on its day. no_owner: its owner (team) is NULL; unknown_owner: it is the key of no member (team). ahead: it is dated after the day that the KPI is judged by, today. no_key: a row of the query of a keyed source that has no key; no_entity: one that has a key and no entity';
COMMENT ON COLUMN kpi.left_out.counts_for IS 'What such facts count for still: nothing; company: the company and team (unassigned) only; value, not to date: numbers of the whole period, and not those to date; value: all numbers, what was looked up being NULL';
COMMENT ON COLUMN kpi.left_out.facts IS 'How many facts. Of lookup_missing once for each lookup that finds nothing; of no_key and no_entity rows, as of when all were read last';
COMMENT ON COLUMN kpi.left_out.first_day IS 'Day of the first of them (of amounts without an exchange rate the first of its month); NULL: they have no day';
COMMENT ON COLUMN kpi.left_out.last_day IS 'Day of the last of them (of amounts without an exchange rate the last of its month); NULL: they have no day';
COMMENT ON COLUMN kpi.left_out.example_key IS 'The key of one of them, as it is now, which kpi.why() and kpi.facts(left_out => reason) take further; NULL: the source has no key, or the reader may not read its facts. Selecting it reads facts until the first such';

-- What to say of facts that count for nothing: what they are, and what may be done. %1$s is
-- the time of the KPI, %2$s its measure, %3$s its filter, %4$s where a balance ends.
CREATE VIEW kpi_internal.left_out_word AS
    SELECT w.reason, w.says, w.remedy
      FROM (VALUES
           ('filter_false', 'are not those of its filter %3$s', 'Look at the filter: kpi.alter_kpi(..., filter => ...).'),
           ('filter_null', 'make its filter %3$s NULL', 'Write it so that NULL is a case of its own, like coalesce(stage = ''won'', false).'),
           ('no_time', 'have no time (%1$s)', 'Give at => a time that they have; a filter that %1$s IS NOT NULL says that they are none of its facts.'),
           ('day_out_of_range', 'are of no day from 1900 to 2200 (%1$s)', 'Correct the facts, or give at => another time.'),
           ('end_before_start', 'end before they begin (%4$s)', 'Correct the facts, or give until => another time.'),
           ('error', 'make an expression fail', 'kpi.source_status.last_fact_error says which: correct the facts, or the expression.'),
           ('no_value', 'have no value (%2$s)', 'Correct the facts, or say with a filter that they are none of its facts.'),
           ('nonfinite', 'have a number that is NaN or infinite (%2$s)', 'Correct the facts, or say with a filter that they are none of its facts.'),
           ('too_long', 'have a number of too many digits (%2$s)', 'Correct the facts, or say with a filter that they are none of its facts.'),
           ('no_rate', 'have a currency without an exchange rate on their day', 'Run SELECT kpi.set_exchange_rate(...); view kpi.amount_without_rate says of which currencies.')
           ) AS w (reason, says, remedy);
COMMENT ON VIEW kpi_internal.left_out_word IS 'Reasons why facts count for nothing, in words';

-- KPIs of which all is built, as they are defined now.
CREATE VIEW kpi_internal.kpi_built AS
    SELECT m.kpi_id
      FROM kpi_internal.measure m
      JOIN kpi_internal.stream x ON x.id = m.stream_id
      LEFT JOIN kpi_internal.measure_built b ON b.measure_id = m.id AND b.version = x.version
     GROUP BY m.kpi_id
    HAVING pg_catalog.bool_and(b.days_since = '-infinity' AND b.rollups_since = '-infinity') IS TRUE
       AND pg_catalog.count(b.measure_id) = pg_catalog.count(*);
COMMENT ON VIEW kpi_internal.kpi_built IS 'KPIs of which all is built, as they are defined now';

-- KPIs of which more than one in twenty of their facts count for nothing, or none counts at
-- all, and what most are: said by CALL kpi.refresh() when they are built, and by kpi.health().
-- Facts that the filter leaves out are none of a KPI, nor, of a rate, are those that its share
-- is not of.
CREATE VIEW kpi_internal.left_out_much AS
    SELECT DISTINCT ON (x.source_id, x.kpi_id) x.source_id, x.kpi_id, x.kpi, x.reason,
           CASE WHEN x.counted = 0 THEN 'no_facts' ELSE 'left_out' END AS problem,
           pg_catalog.format('%s of %s facts of KPI "%s" ',
                             pg_catalog.ltrim(pg_catalog.to_char(x.facts, '999,999,999,999,999')),
                             pg_catalog.ltrim(pg_catalog.to_char(CASE WHEN x.counted = 0 THEN x.all_facts ELSE x.own_facts END, '999,999,999,999,999')),
                             x.kpi)
           || pg_catalog.format(w.says, x.at, x.measure, x.filter, x.until) || '; they count for nothing' AS says,
           pg_catalog.format(w.remedy, x.at, x.measure, x.filter, x.until) AS remedy
      FROM (SELECT s.id AS source_id, k.id AS kpi_id, r.reason, r.facts, k.name AS kpi, coalesce(k.at, s.at) AS at, k.measure, coalesce(k.filter, s.filter) AS filter, k.until,
                   r.reason <> 'counted' AND NOT z.is_foreign AS is_left_out,
                   coalesce(pg_catalog.sum(r.facts) FILTER (WHERE r.reason = 'counted') OVER w, 0) AS counted,
                   coalesce(pg_catalog.sum(r.facts) FILTER (WHERE NOT z.is_foreign) OVER w, 0) AS own_facts,
                   pg_catalog.sum(r.facts) OVER w AS all_facts
              FROM kpi.source s
              JOIN kpi_internal.left_out_for_nothing r ON r.source_id = s.id
              JOIN kpi.kpi k ON k.id = r.kpi_id
              JOIN kpi_internal.measure v ON v.kpi_id = k.id AND v.role = 'value'
             CROSS JOIN LATERAL (SELECT r.reason = 'filter_false' OR r.reason = 'no_value' AND v.kind = 'rate') z (is_foreign)
            WINDOW w AS (PARTITION BY s.id, k.id)) x
      JOIN kpi_internal.left_out_word w ON w.reason = x.reason
     WHERE (x.counted = 0 OR x.is_left_out AND (x.own_facts - x.counted) * 20 > x.own_facts)
       AND x.kpi_id IN (SELECT b.kpi_id FROM kpi_internal.kpi_built b)
     ORDER BY x.source_id, x.kpi_id, x.facts DESC, x.reason;
COMMENT ON VIEW kpi_internal.left_out_much IS 'KPIs of which many facts count for nothing, or all, and why most of these do';

-- What fails and what has no rate other rows tell.
CREATE VIEW kpi_internal.health_left_out AS
    SELECT 'warning' AS severity, m.problem, pg_catalog.format('KPI "%s"', m.kpi) AS object,
           m.says AS detail, m.remedy
      FROM kpi_internal.left_out_much m
     WHERE m.reason NOT IN ('error', 'no_rate')
     ORDER BY m.kpi;
COMMENT ON VIEW kpi_internal.health_left_out IS 'KPIs of which more than one in twenty of their facts count for nothing, or none counts';
