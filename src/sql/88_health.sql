-- 88_health: what kpi.health() tells, a view for each kind of thing that may be
-- wrong: rows (severity, problem, object, detail, remedy).  Read as the owner of
-- the extension.

-- An old as_of alone means nothing where workers run, as they do not refresh an
-- idle source; of those of a primary a standby knows only that it has them too.
CREATE VIEW kpi_internal.health_source AS
    SELECT s.viewer, p.severity, p.problem, pg_catalog.format('source "%s"', s.source) AS object, p.detail, p.remedy
      FROM (SELECT z.source, z.status, z.hint, z.failing_since, z.last_sqlstate, z.failures, z.capture_problem,
                   z.refresh_mode, z.pending_deltas, z.oldest_pending_seconds, z.as_of, z.facts_ignored,
                   z.is_stale, z.relation, coalesce(z.loaded_at, CASE WHEN d.loaded_at IS NULL THEN t.changed_at END) AS news_at, l.stale_at,
                   v.rolname AS viewer,
                   greatest(2 * z.refresh_seconds, 60) AS patience,
                   pg_catalog.format('Changes that wait: %s; the numbers are of %s', z.pending_deltas,
                                     coalesce(z.as_of::text, 'never')) AS backlog,
                   kpi_internal.error_shown(v.rolname, d.definer, t.definer_oid, t.reason) AS reason,
                   kpi_internal.error_shown(v.rolname, d.definer, t.definer_oid, t.last_error) AS last_error,
                   kpi_internal.error_shown(v.rolname, d.definer, t.definer_oid, t.last_fact_error) AS last_fact_error,
                   EXISTS (SELECT FROM kpi.worker_status w
                            WHERE w.kind = 'launcher'
                              AND CASE WHEN pg_catalog.pg_is_in_recovery() THEN w.state <> 'not preloaded'
                                       ELSE w.state = 'running' END) AS has_workers
              FROM pg_catalog.pg_roles v
             CROSS JOIN kpi.source_status z
              JOIN kpi.source d ON d.id = z.source_id
              LEFT JOIN kpi_internal.source_load l ON l.source_id = z.source_id
              LEFT JOIN kpi_internal.source_state t ON t.source_id = z.source_id) s
     CROSS JOIN LATERAL (VALUES
           (s.reason IS NOT NULL, CASE s.status WHEN 'capture_off' THEN 'warning' ELSE 'error' END,
            CASE WHEN s.status IN ('held', 'capture_off') THEN s.status ELSE 'suspended' END, s.reason, s.hint),
           (s.failing_since IS NOT NULL AND s.status <> 'suspended', 'error', 'failing',
            pg_catalog.format('%s (SQLSTATE %s), %s times since %s',
                              pg_catalog.replace(s.last_error, pg_catalog.format(' (SQLSTATE %s)', s.last_sqlstate), ''),
                              s.last_sqlstate, s.failures, s.failing_since),
            pg_catalog.format('Mend the cause, then run CALL kpi.refresh(%L).', s.source)),
           (s.status = 'swapped', 'warning', 'swapped', s.capture_problem, s.hint),
           (s.capture_problem IS NOT NULL AND s.reason IS NULL AND s.status NOT IN ('building', 'swapped'), 'error', 'capture',
            s.capture_problem, s.hint),
           (s.status IN ('active', 'building') AND s.refresh_mode <> 'manual' AND s.pending_deltas > 0
            AND (s.oldest_pending_seconds > s.patience
                 OR NOT s.has_workers
                    AND s.as_of < pg_catalog.statement_timestamp() - s.patience * interval '1 second'),
            'error', 'behind', s.backlog,
            pg_catalog.format('Run CALL kpi.refresh(%L); kpi.refresh_log says what refreshes did.', s.source)),
           (s.status IN ('active', 'building') AND s.pending_deltas >= 100000, 'warning', 'backlog', s.backlog,
            pg_catalog.format('Run CALL kpi.refresh(%L), and refresh it more often.', s.source)),
           (s.is_stale, 'warning', 'stale',
            pg_catalog.format('Nothing new since %s, stale since %s', coalesce(s.news_at::text, 'it was made'), s.stale_at),
            pg_catalog.format('See to what loads %s; kpi.set_refresh(%L, stale_after => ...) says how late it may be.',
                              s.relation, s.source)),
           (s.status = 'paused' AND s.pending_deltas > 0, 'notice', 'paused', s.backlog,
            pg_catalog.format('Run SELECT kpi.resume(%L) when it may go on.', s.source)),
           (s.facts_ignored > 0, 'warning', 'facts_ignored',
            pg_catalog.format('Facts left out because an expression failed on them: %s%s', s.facts_ignored,
                              '; last error: ' || s.last_fact_error),
            'Correct the facts, or the expression with kpi.alter_source() or kpi.alter_kpi().')
           ) AS p (is_there, severity, problem, detail, remedy)
     WHERE p.is_there
     ORDER BY s.source;
COMMENT ON VIEW kpi_internal.health_source IS 'What is wrong with sources, for each role that may ask (viewer): texts of errors are shown as that role may read them';

-- Of partitions that are gone: whose facts are in no number, and whose place
-- another has taken, which may have the same facts again.
CREATE VIEW kpi_internal.health_sealed AS
    SELECT 'warning' AS severity, 'facts_lost' AS problem, pg_catalog.format('source "%s"', s.source) AS object,
           pg_catalog.format('Partition %s was %s before its facts had been read; those before %s are in no number, and none is complete till then',
                             s.partition, CASE WHEN s.is_detached THEN 'detached' ELSE 'dropped' END, s.missing_until) AS detail,
           pg_catalog.format('%s SELECT kpi.alter_source(%L, discard_sealed => true) to have the numbers without it taken as complete.',
                             CASE WHEN s.is_detached THEN 'Attach it again, or run' ELSE 'Run' END, s.source) AS remedy
      FROM kpi.sealed s
     WHERE s.missing_until IS NOT NULL
    UNION ALL
    SELECT 'notice', 'sealed_twice', pg_catalog.format('source "%s"', s.name),
           pg_catalog.format('Partition %s has the bounds of partition %s, whose facts are sealed: if they were loaded again, they count twice',
                             l.name, p.name),
           pg_catalog.format('If they were, run SELECT kpi.alter_source(%L, discard_sealed => true).', s.name)
      FROM kpi_internal.seal_partition p
      JOIN kpi_internal.seal g ON g.id = p.seal_id AND g.first_day IS NOT NULL
      JOIN kpi_internal.leaf l ON l.source_id = g.source_id AND l.bounds = p.bounds
      JOIN kpi.source s ON s.id = g.source_id
     ORDER BY 3, 4;
COMMENT ON VIEW kpi_internal.health_sealed IS 'Facts that went with their partitions and are in no number, or in the table again';

CREATE VIEW kpi_internal.health_rollup AS
    SELECT v.rolname AS viewer, 'error' AS severity, 'rollup_table' AS problem,
           pg_catalog.format('rollup table %s', r.relation) AS object,
           pg_catalog.format('%s (SQLSTATE %s), %s times since %s',
                             pg_catalog.replace(kpi_internal.error_shown(v.rolname, coalesce(r.owner, ''),
                                                                         c.relowner, s.last_error),
                                                pg_catalog.format(' (SQLSTATE %s)', s.last_sqlstate), ''),
                             s.last_sqlstate, s.failures, s.failing_since) AS detail,
           coalesce(s.hint, 'Mend the cause, then run CALL kpi.refresh().') AS remedy
      FROM kpi.rollup_status r
      JOIN kpi_internal.rollup_state s ON s.rollup_id = r.rollup_id AND s.failures > 0
      LEFT JOIN pg_catalog.pg_class c ON c.oid = s.relid
     CROSS JOIN pg_catalog.pg_roles v
     ORDER BY r.relation;
COMMENT ON VIEW kpi_internal.health_rollup IS 'Rollup tables that could not be written, for each role that may ask (viewer)';

CREATE VIEW kpi_internal.health_people AS
    SELECT v.rolname AS viewer, h.severity, h.problem, 'remembered queries of people' AS object, h.detail, h.remedy
      FROM kpi.people_sync p
      LEFT JOIN kpi_internal.people_sync_state s ON s.id = p.id
     CROSS JOIN pg_catalog.pg_roles v
     CROSS JOIN LATERAL (VALUES
           (s.id IS NULL, 'notice', 'people_restored', 'They come from a dump, and do not run yet',
            'Run CALL kpi.refresh() when all is restored, or SELECT kpi.forget_people().'),
           (s.failures > 0, 'error', 'people_failing',
            pg_catalog.format('%s (SQLSTATE %s), %s times since %s',
                              pg_catalog.replace(kpi_internal.error_shown(v.rolname, p.definer, s.definer_oid, s.last_error),
                                                 pg_catalog.format(' (SQLSTATE %s)', s.last_sqlstate), ''),
                              s.last_sqlstate, s.failures, s.failing_since),
            coalesce(s.hint, 'Mend the cause; kpi.sync_people() with the queries of kpi.people_sync shows it, too.')),
           (s.failures = 0 AND s.refused > 0, 'warning', 'people_refused',
            pg_catalog.format('Teams and members that are refused: %s', s.refused),
            'kpi.sync_people(..., dry_run => true, partial => true) with the queries of kpi.people_sync says why.')
           ) AS h (is_there, severity, problem, detail, remedy)
     WHERE h.is_there;
COMMENT ON VIEW kpi_internal.health_people IS 'Whether the remembered queries of people fail, for each role that may ask (viewer)';

CREATE VIEW kpi_internal.health_worker AS
    SELECT 'warning' AS severity, 'not_preloaded' AS problem, 'library "pg_kpi"' AS object,
           pg_catalog.format('No background worker runs; sources that are refreshed by CALL kpi.refresh() only: %s',
                             c.sources) AS detail,
           'Add pg_kpi to shared_preload_libraries and restart the server, or say with kpi.set_refresh() or'
           ' kpi.schedule() that the sources are manual.' AS remedy
      FROM kpi.worker_status w
     CROSS JOIN (SELECT pg_catalog.count(*) AS sources
                   FROM kpi.source s WHERE s.refresh_mode <> 'manual' AND NOT s.is_paused) c
     WHERE w.kind = 'launcher' AND w.state = 'not preloaded' AND c.sources > 0
       AND NOT pg_catalog.pg_is_in_recovery()
    UNION ALL
    SELECT CASE w.state WHEN 'disabled' THEN 'warning' ELSE 'error' END, 'no_worker', 'launcher of pg_kpi',
           pg_catalog.format('Its state is "%s", so that sources are refreshed by CALL kpi.refresh() only', w.state),
           CASE w.state WHEN 'disabled' THEN 'Set kpi.enabled = on and reload the server.'
                        WHEN 'no free process' THEN 'Raise max_worker_processes and restart the server.'
                        ELSE 'The log of the server says why; max_worker_processes may be too low.' END
      FROM kpi.worker_status w
     WHERE w.kind = 'launcher' AND w.state NOT IN ('running', 'not preloaded')
       AND NOT (w.state = 'no free process'
                AND w.state_since > pg_catalog.statement_timestamp() - interval '5 seconds')
       AND EXISTS (SELECT FROM kpi.source s WHERE s.refresh_mode <> 'manual' AND NOT s.is_paused)
       AND NOT pg_catalog.pg_is_in_recovery();
COMMENT ON VIEW kpi_internal.health_worker IS 'Why no worker refreshes sources that wait for one';

-- kpi.max_workers is there where the library was loaded at server start.
CREATE VIEW kpi_internal.health_process AS
    SELECT 'warning' AS severity, 'max_worker_processes' AS problem, 'setting max_worker_processes' AS object,
           pg_catalog.format('It is %s, but the launcher and kpi.max_workers = %s workers need %s',
                             n.processes, n.workers, n.workers + 1) AS detail,
           'Raise max_worker_processes and restart the server, or lower kpi.max_workers.' AS remedy
      FROM (SELECT pg_catalog.current_setting('max_worker_processes')::integer AS processes,
                   pg_catalog.current_setting('kpi.max_workers', true)::integer AS workers) n
     WHERE n.workers >= n.processes;
COMMENT ON VIEW kpi_internal.health_process IS 'Whether there are processes enough for kpi.max_workers';

-- A standby has settings of its own, and writes no facts.
CREATE VIEW kpi_internal.health_capture AS
    SELECT 'warning' AS severity, 'capture_off' AS problem, 'setting kpi.capture' AS object,
           'It is off: changes of facts are not captured, and sources whose facts change are not refreshed' AS detail,
           'Set kpi.capture = on and reload the server: these sources are then computed anew from their facts.' AS remedy
     WHERE NOT pg_catalog.current_setting('kpi.capture')::boolean AND NOT pg_catalog.pg_is_in_recovery()
       AND EXISTS (SELECT FROM kpi.source);
COMMENT ON VIEW kpi_internal.health_capture IS 'Whether kpi.capture is off';

CREATE VIEW kpi_internal.health_publication AS
    SELECT 'warning' AS severity, 'publication' AS problem, pg_catalog.format('publication "%s"', p.pubname) AS object,
           'It carries the queue and the cells of pg_kpi, so that each change of a fact is sent several times' AS detail,
           'Publish the tables or schemas that subscribers need, without schema kpi_internal.' AS remedy
      FROM pg_catalog.pg_publication p
     WHERE p.puballtables
        OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace n
                    WHERE n.pnpubid = p.oid AND n.pnnspid = 'kpi_internal'::regnamespace::oid)
        OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
                    WHERE r.prpubid = p.oid AND c.relnamespace = 'kpi_internal'::regnamespace::oid)
     ORDER BY p.pubname;
COMMENT ON VIEW kpi_internal.health_publication IS 'Publications of tables of pg_kpi that nobody subscribes to on purpose';

-- Who holds a snapshot open, and whether the workers make refreshes less often
-- because of it (kpi_internal.held_snapshot()): of those, whose snapshot is that
-- old.  A replication slot and the sender to a standby have no beginning.
CREATE VIEW kpi_internal.health_transaction AS
    SELECT 'warning' AS severity, 'old_snapshot' AS problem, o.object,
           pg_catalog.format('Open since %s: rows that are rewritten or deleted since then cannot be reclaimed',
                             coalesce(o.since, h.since))
           || CASE WHEN h.pause_seconds IS NULL THEN ', and refreshes slow down'
                   ELSE pg_catalog.format(', so that workers refresh a source once in %s s at most;'
                                          ' the oldest numbers are %s s behind', h.pause_seconds,
                                          (SELECT pg_catalog.max(f.lag_seconds) FROM kpi.freshness f)) END AS detail,
           o.remedy
      FROM (SELECT CASE WHEN a.usename IS NULL OR a.backend_type = 'walsender'
                        THEN pg_catalog.format('process %s (%s)', a.pid, a.backend_type)
                        ELSE pg_catalog.format('process %s of role "%s"', a.pid, a.usename) END AS object,
                   a.xact_start AS since,
                   greatest(pg_catalog.age(a.backend_xmin), pg_catalog.age(a.backend_xid)) AS age,
                   CASE a.backend_type
                        WHEN 'walsender' THEN 'End the transaction on the standby, or set hot_standby_feedback = off there.'
                        ELSE pg_catalog.format('End that transaction, or run SELECT pg_terminate_backend(%s).', a.pid)
                        END AS remedy
              FROM pg_catalog.pg_stat_activity a
             WHERE (a.datname = pg_catalog.current_database() OR a.backend_type = 'walsender')
               AND a.pid <> pg_catalog.pg_backend_pid()
               AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
            UNION ALL
            SELECT pg_catalog.format('prepared transaction "%s"', x.gid), x.prepared, pg_catalog.age(x.transaction),
                   pg_catalog.format('Run COMMIT PREPARED %L or ROLLBACK PREPARED %L.', x.gid, x.gid)
              FROM pg_catalog.pg_prepared_xacts x WHERE x.database = pg_catalog.current_database()
            UNION ALL
            SELECT pg_catalog.format('replication slot "%s"', r.slot_name), NULL, pg_catalog.age(r.xmin),
                   pg_catalog.format('If nobody needs it, run SELECT pg_drop_replication_slot(%L).', r.slot_name)
              FROM pg_catalog.pg_replication_slots r WHERE r.xmin IS NOT NULL) o
     CROSS JOIN kpi_internal.held_snapshot() h
     WHERE (o.since < kpi_internal.now() - interval '30 minutes' OR o.age >= pg_catalog.age(h.before))
       AND EXISTS (SELECT FROM kpi.source)
     ORDER BY o.since;
COMMENT ON VIEW kpi_internal.health_transaction IS 'Transactions so old that rows which refreshes rewrite pile up';

CREATE VIEW kpi_internal.health_autovacuum AS
    SELECT 'warning' AS severity, 'autovacuum' AS problem, 'setting autovacuum' AS object,
           'It is off: the queue grows, and refreshes slow down' AS detail,
           'Set autovacuum = on and reload the server.' AS remedy
     WHERE NOT pg_catalog.current_setting('autovacuum')::boolean AND EXISTS (SELECT FROM kpi.source);
COMMENT ON VIEW kpi_internal.health_autovacuum IS 'Whether autovacuum is off';

CREATE VIEW kpi_internal.health_goal AS
    SELECT 'warning' AS severity, 'day_behind' AS problem, 'table kpi.goal_progress' AS object,
           pg_catalog.format('Goals that are judged by an earlier day than today: %s, the first by %s',
                             pg_catalog.count(*), pg_catalog.min(p.as_of_day)) AS detail,
           'Run CALL kpi.refresh(); workers do it when a day begins.' AS remedy
      FROM kpi.goal_progress p
      JOIN kpi_internal.kpi_stream s ON s.kpi_id = p.kpi_id AND s.position = 1
     WHERE p.as_of_day < kpi_internal.today_of(s.program)
       AND kpi_internal.goal_day_matters(p.period_start, p.period_end, p.as_of_day, kpi_internal.today_of(s.program))
    HAVING pg_catalog.count(*) > 0
     UNION ALL
    SELECT 'notice', 'review_due', pg_catalog.format('goal %s', coalesce(pg_catalog.quote_ident(g.name), g.id::text)),
           pg_catalog.format('It was to be looked at again on %s%s', g.review_on, ' by ' || g.responsible),
           'Look at it, and say when next: kpi.alter_goal(..., review_on => ...).'
      FROM kpi.goal g
     WHERE g.review_on <= kpi_internal.today(1) AND NOT g.is_draft
     UNION ALL
    -- Only of those who close periods: of a KPI from the first one on, of the grain that it is closed by.
    (SELECT 'notice', 'not_closed', pg_catalog.format('period "%s"', x.period),
            pg_catalog.format('It ended on %s and is not closed, as earlier ones are: goals on %s', x.period_end,
                              pg_catalog.string_agg(DISTINCT x.kpi, ', ' ORDER BY x.kpi)),
            pg_catalog.format('Run SELECT kpi.close_period(%L).', x.period)
       FROM (SELECT p.kpi, kpi.period_name(p.period_start, c.grain) AS period, kpi.period_start(p.period_start, c.grain) AS period_start,
                    kpi.period_end(p.period_start, c.grain) AS period_end
               FROM (SELECT z.kpi_id, z.grain, pg_catalog.min(z.period_end) AS first_end FROM kpi.closed_period z
                      WHERE z.grain <> 'range' GROUP BY z.kpi_id, z.grain) c
               JOIN kpi.goal_progress p ON p.kpi_id = c.kpi_id AND p.period_start > c.first_end AND p.reported_at IS NULL
              WHERE p.period_end <= kpi.period_end(p.period_start, c.grain)
                AND kpi.period_end(p.period_start, c.grain) + pg_catalog.current_setting('kpi.close_reminder', true)::integer < kpi_internal.today(1)) x
      WHERE pg_catalog.current_setting('kpi.close_reminder', true)::integer > 0
      GROUP BY x.period, x.period_start, x.period_end
      ORDER BY x.period_start, x.period_end);
COMMENT ON VIEW kpi_internal.health_goal IS 'Whether goals stand where they stood before today, which are to be looked at again, and which of closed periods'' kind are not closed';

-- Facts of this month and the one before whose owner belonged to no team, where they are
-- more than one in a hundred. The months of two teams are found by their keys; owners
-- are looked for only where there is something to tell, and named to whoever may read them.
CREATE VIEW kpi_internal.health_unassigned AS
    SELECT v.rolname AS viewer, 'warning' AS severity, 'unassigned' AS problem,
           pg_catalog.format('source "%s"', w.source) AS object,
           pg_catalog.format('In %s %s %% of the facts count for team (unassigned): %s of %s',
                             pg_catalog.to_char(w.month::timestamp, 'YYYY-MM'), pg_catalog.round(100.0 * w.unassigned / w.facts, 1),
                             w.unassigned, w.facts)
           || CASE WHEN pg_catalog.has_table_privilege(v.oid, 'kpi.unassigned', 'SELECT')
                   THEN coalesce(pg_catalog.format('. Most are of %s', (
                        SELECT pg_catalog.string_agg(pg_catalog.format('%s (%s)', coalesce(pg_catalog.quote_literal(pg_catalog.left(o.key, 60)), 'no owner'), o.facts),
                                                     ', ' ORDER BY o.facts DESC, o.key)
                          FROM (SELECT k.key, pg_catalog.max(kpi_internal.cell_facts(c.cell, m.id)) AS facts
                                  FROM (SELECT d.owner_id, kpi_internal.merge(d.cell) AS cell
                                          FROM kpi_internal.applied_attribution a
                                          JOIN kpi_internal.day_cell d
                                               ON d.stream_id = w.stream_id AND d.owner_id = a.owner_id
                                              AND d.day >= a.since AND d.day < a.until
                                              AND d.day >= w.month AND d.day < w.month_end
                                         WHERE a.source_id = w.source_id AND a.owner_kind = w.owner_kind AND a.teams[1] = 2
                                         GROUP BY d.owner_id) c
                                  JOIN kpi_internal.owner k ON k.id = c.owner_id
                                  JOIN kpi_internal.measure m ON m.stream_id = w.stream_id AND m.role = 'value'
                                 GROUP BY k.key HAVING pg_catalog.max(kpi_internal.cell_facts(c.cell, m.id)) > 0
                                 ORDER BY 2 DESC, 1 LIMIT 5) o)), '')
                   ELSE '' END AS detail,
           CASE w.kind WHEN 'team' THEN 'Make the teams with kpi.create_team(), or correct the facts; view kpi.unassigned lists all keys.'
                       ELSE 'Add them with kpi.add_member(), or say with kpi.move_member() where they belonged on these days;'
                            ' view kpi.unassigned lists the keys that nobody knows.' END AS remedy
      FROM pg_catalog.pg_roles v
     CROSS JOIN (
           SELECT DISTINCT ON (s.id, p.month) s.id AS source_id, s.name AS source, x.id AS stream_id, x.owner_kind AS kind,
                  CASE x.owner_kind WHEN 'member' THEN 0 ELSE 1 END + CASE x.credit WHEN 'today' THEN 3 ELSE 0 END AS owner_kind,
                  p.month, p.month_end, f.unassigned, f.facts
             FROM kpi.source s
             JOIN kpi_internal.stream x ON x.source_id = s.id AND x.owner_kind <> 'company'
            CROSS JOIN (
                  SELECT (t.month - z.ago * interval '1 month')::date AS month,
                         (t.month - (z.ago - 1) * interval '1 month')::date AS month_end
                    FROM pg_catalog.date_trunc('month', kpi.today()::timestamp) t (month)
                   CROSS JOIN (VALUES (0), (1)) z (ago)) p
            CROSS JOIN LATERAL (
                  SELECT coalesce(pg_catalog.max(kpi_internal.cell_facts(c.cell, m.id) + coalesce(kpi_internal.cell_facts(c.recent, m.id), 0)) FILTER (WHERE c.scope_id = 2), 0) AS unassigned,
                         coalesce(pg_catalog.max(kpi_internal.cell_facts(c.cell, m.id) + coalesce(kpi_internal.cell_facts(c.recent, m.id), 0)) FILTER (WHERE c.scope_id = 1), 0) AS facts
                    FROM kpi_internal.rollup_cell c
                    JOIN kpi_internal.measure m ON m.stream_id = x.id AND m.role = 'value'
                   WHERE c.stream_id = x.id AND c.scope_kind = 1 AND c.scope_id IN (1, 2) AND c.grain = 2 AND c.dim_id = 0
                     AND c.start = p.month) f
            WHERE f.unassigned * 100 > f.facts
            ORDER BY s.id, p.month, f.unassigned::numeric / nullif(f.facts, 0) DESC, x.id) w
     ORDER BY w.source, w.month DESC;
COMMENT ON VIEW kpi_internal.health_unassigned IS 'Sources of which more than one percent of the facts of this month or the one before count for team (unassigned), with the owners that have most of them, for each role that may ask (viewer)';

-- The company's month shows it, as no place has more values.  A state that has
-- forgotten its values is tiny (cell/distinct.c): the large ones are not read.
CREATE VIEW kpi_internal.health_distinct AS
    SELECT 'warning' AS severity, 'too_many_values' AS problem, pg_catalog.format('KPI "%s"', k.name) AS object,
           pg_catalog.format('Months without a value: %s, the last is %s; there are or were more different values than can be told apart',
                             pg_catalog.count(*), pg_catalog.to_char(pg_catalog.max(c.start)::timestamp, 'YYYY-MM')) AS detail,
           pg_catalog.format('Use the measure count_distinct_approx(...); where there are fewer values again, run SELECT kpi.repair(%L).',
                             s.name) AS remedy
      FROM kpi_internal.measure m
      JOIN kpi.kpi k ON k.id = m.kpi_id
      JOIN kpi_internal.stream x ON x.id = m.stream_id
      JOIN kpi.source s ON s.id = x.source_id
      JOIN kpi_internal.rollup_cell c
           ON c.stream_id = m.stream_id AND c.scope_kind = 1 AND c.scope_id = 1 AND c.grain = 2 AND c.dim_id = 0
     WHERE m.kind = 'distinct'
       AND CASE WHEN pg_catalog.pg_column_size(c.cell) < 200
                THEN kpi_internal.cell_facts(c.cell, m.id) > 0 AND kpi_internal.cell_value(c.cell, m.id) IS NULL
                ELSE false END
     GROUP BY k.name, s.name
     ORDER BY k.name;
COMMENT ON VIEW kpi_internal.health_distinct IS 'KPIs that count more different values in a month than a cell tells apart, so that they have no value';
