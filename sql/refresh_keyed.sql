-- Keyed sources: the kept rows are what the query says after any change, and so are the numbers.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA keyed;
CREATE TABLE keyed.lead (lead_id integer PRIMARY KEY, owner_id text, created_at timestamptz, deal_id bigint);
CREATE TABLE keyed.activity (id integer PRIMARY KEY, lead_id integer, at timestamptz, outcome text, note text);
CREATE TABLE keyed.deal (deal_id bigint PRIMARY KEY, stage text, closed_at timestamptz);
CREATE INDEX ON keyed.activity (lead_id);
CREATE INDEX ON keyed.lead (deal_id);
INSERT INTO keyed.deal SELECT i, CASE i % 3 WHEN 0 THEN 'won' ELSE 'lost' END, timestamptz '2026-02-01' + i * interval '1 day' FROM generate_series(1, 20) i;
INSERT INTO keyed.lead SELECT i, 'o' || i % 3, timestamptz '2026-01-01' + i * interval '1 day', i FROM generate_series(1, 20) i;
INSERT INTO keyed.activity SELECT i, i % 20 + 1, timestamptz '2026-01-03' + i * interval '7 hours', CASE WHEN i % 5 = 0 THEN 'refused' END FROM generate_series(1, 100) i;

SELECT kpi.create_team('north') IS NOT NULL AS created;
SELECT kpi.add_member('o1', team => 'north') IS NOT NULL AS created;
SELECT kpi.create_source('journeys', key => 'lead_id', owner => 'owner_id', at => 'created_at', query => $$
    SELECT l.lead_id, l.owner_id, l.created_at, d.closed_at AS won_at, min(a.at) AS first_at, max(a.at) AS last_at,
           count(a.at) AS touches, min(a.at) FILTER (WHERE a.outcome = 'refused') AS refused_at
      FROM keyed.lead l
      LEFT JOIN keyed.activity a ON a.lead_id = l.lead_id AND a.at >= l.created_at
      LEFT JOIN keyed.deal d ON d.deal_id = l.deal_id AND d.stage = 'won'
     GROUP BY l.lead_id, d.deal_id $$,
    follow => '{"keyed.lead": "lead_id", "keyed.activity": "lead_id",
                "keyed.deal": "SELECT lead_id FROM keyed.lead WHERE deal_id = changed.deal_id"}',
    dimensions => '{"touches": "least(touches, 3)::text"}') > 0 AS created;
SELECT kpi.create_kpi('leads', source => 'journeys', measure => 'count(*)') > 0 AS created;
SELECT kpi.create_kpi('won_leads', source => 'journeys', measure => 'rate(won_at IS NOT NULL, true)') > 0 AS created;
SELECT kpi.create_kpi('response', source => 'journeys', measure => 'avg(first_at - created_at)', unit => 'hours') > 0 AS created;
SELECT kpi.create_kpi('recontact', source => 'journeys', measure => 'rate(last_at > refused_at, true)', at => 'refused_at') > 0 AS created;
SELECT f.position, f.relation, f.query, f.columns, f.used FROM kpi.followed_relation f ORDER BY f.relation COLLATE "C";
SELECT k.columns, k.key_columns, k.entity_columns, k.is_followed FROM kpi.keyed_source k;

-- What differs from the query, and from plain SQL over it.
CREATE FUNCTION keyed.wrong() RETURNS TABLE (what text, n bigint) LANGUAGE plpgsql AS $$
DECLARE
    query text := (SELECT k.query FROM kpi.keyed_source k JOIN kpi.source s ON s.id = k.source_id WHERE s.name = 'journeys');
BEGIN
    RETURN QUERY EXECUTE format('SELECT ''rows'', count(*) FROM ((TABLE kpi_data.journeys EXCEPT %1$s) UNION ALL (%1$s EXCEPT TABLE kpi_data.journeys)) x', query);
    RETURN QUERY EXECUTE format($q$
        SELECT 'numbers', count(*)
          FROM (SELECT to_char(created_at, 'YYYY-MM') AS period, count(*) AS leads, avg((won_at IS NOT NULL)::int) AS won_leads,
                       avg(extract(epoch FROM first_at - created_at) / 3600) AS response
                  FROM (%s) q GROUP BY 1) q
          FULL JOIN (SELECT period, max(value) FILTER (WHERE kpi = 'leads') AS leads,
                            max(value) FILTER (WHERE kpi = 'won_leads') AS won_leads,
                            max(value) FILTER (WHERE kpi = 'response') AS response
                       FROM kpi.team_monthly WHERE team = 'company' AND kpi IN ('leads', 'won_leads', 'response') GROUP BY 1) v USING (period)
         WHERE v.leads IS DISTINCT FROM q.leads OR round(v.won_leads, 6) IS DISTINCT FROM round(q.won_leads, 6)
            OR round(v.response, 6) IS DISTINCT FROM round(q.response, 6)$q$, query);
    RETURN QUERY SELECT 'verify', count(*) FROM kpi.verify('journeys');
END
$$;
CREATE VIEW keyed.reading AS SELECT source, status, kept_rows, entities_read, pending_deltas FROM kpi.source_status ORDER BY source;
CALL kpi.refresh();
TABLE keyed.reading;
SELECT * FROM keyed.wrong();

-- A change reads the entities that it touches; one of nothing that is used, none.
INSERT INTO keyed.activity VALUES (1001, 3, '2026-03-01', NULL), (1002, 3, '2026-03-02', 'refused'), (1003, 4, '2026-03-02', NULL);
UPDATE keyed.deal SET stage = 'won' WHERE deal_id = 7;
SELECT d.stream_id, d.owner, d.dims FROM kpi_internal.delta d ORDER BY 1, 2;
CALL kpi.refresh();
TABLE keyed.reading;
SELECT * FROM keyed.wrong();
UPDATE keyed.activity SET note = 'x';
SELECT count(*) FROM kpi_internal.delta;
UPDATE keyed.activity SET lead_id = 5 WHERE id = 1001;
DELETE FROM keyed.lead WHERE lead_id = 4;
UPDATE keyed.lead SET lead_id = 400, deal_id = 8 WHERE lead_id = 9;
UPDATE keyed.lead SET owner_id = NULL WHERE lead_id = 10;
CALL kpi.refresh();
TABLE keyed.reading;
SELECT * FROM keyed.wrong();

-- Nothing of what is rolled back.
BEGIN;
INSERT INTO keyed.activity VALUES (2001, 6, '2026-03-01', NULL);
SAVEPOINT s;
DELETE FROM keyed.lead;
ROLLBACK TO s;
UPDATE keyed.lead SET created_at = created_at + interval '1 month' WHERE lead_id = 6;
CALL kpi.refresh();
SELECT * FROM keyed.wrong();
ROLLBACK;
CALL kpi.refresh();
SELECT * FROM keyed.wrong();

-- A table that was truncated, or replaced under its name, has all read.
TRUNCATE keyed.activity;
CALL kpi.refresh();
TABLE keyed.reading;
SELECT * FROM keyed.wrong();
CREATE TABLE keyed.activity_new (LIKE keyed.activity INCLUDING ALL);
INSERT INTO keyed.activity_new SELECT i, i % 20 + 1, timestamptz '2026-01-05' + i * interval '11 hours' FROM generate_series(1, 60) i;
BEGIN;
ALTER TABLE keyed.activity RENAME TO activity_old;
ALTER TABLE keyed.activity_new RENAME TO activity;
DROP TABLE keyed.activity_old;
COMMIT;
CALL kpi.refresh();
SELECT * FROM keyed.wrong();
INSERT INTO keyed.activity VALUES (3001, 3, '2026-03-01', NULL);
CALL kpi.refresh();
TABLE keyed.reading;
SELECT * FROM keyed.wrong();

-- What follow does not say is found by verify().
SELECT kpi.create_source('ranks', key => 'lead_id', owner => 'owner_id', at => 'created_at',
    query => 'SELECT lead_id, owner_id, created_at, rank() OVER (ORDER BY created_at) AS rank FROM keyed.lead',
    follow => '{"keyed.lead": "lead_id"}') > 0 AS created;
SELECT kpi.create_kpi('first_leads', source => 'ranks', measure => 'count(*)', filter => 'rank <= 3') > 0 AS created;
CALL kpi.refresh('ranks');
DELETE FROM keyed.lead WHERE lead_id = 1;
SELECT level, dimension_value AS key, stored, expected FROM kpi.verify('ranks') ORDER BY level, dimension_value::integer LIMIT 3;
SELECT kpi.repair('ranks') > 0;
SELECT count(*) FROM kpi.verify('ranks');
SELECT kpi.drop_source('ranks', cascade => true);
CALL kpi.refresh();

-- Rows per event: a key moves between entities, and may come twice.
CREATE TABLE keyed.history (id integer, deal_id bigint, stage text, at timestamptz);
INSERT INTO keyed.history SELECT i, i % 5, (ARRAY['lead', 'demo', 'won'])[i % 3 + 1], timestamptz '2026-01-01' + i * interval '1 day' FROM generate_series(1, 15) i;
SELECT kpi.visit_query('keyed.history', 'deal_id', 'stage', 'at', tie => 'id');
SELECT kpi.create_source('visits', key => 'id', entity => 'deal_id', at => 'left_at',
    query => kpi.visit_query('keyed.history', 'deal_id', 'stage', 'at', tie => 'id'),
    follow => '{"keyed.history": "deal_id"}', dimensions => '{"stage": "stage"}') > 0 AS created;
SELECT kpi.create_kpi('stay', source => 'visits', measure => 'avg(left_at - entered_at)', unit => 'days') > 0 AS created;
CALL kpi.refresh('visits');
UPDATE keyed.history SET deal_id = deal_id + 100 WHERE id IN (3, 8);
CALL kpi.refresh('visits');
SELECT count(*) FROM kpi.verify('visits');
INSERT INTO keyed.history VALUES (3, 1, 'demo', '2026-03-01');
CALL kpi.refresh('visits');
SELECT source, status, reason, hint FROM kpi.source_status WHERE source = 'visits';
SELECT count(*) FROM kpi_data.visits;
DELETE FROM keyed.history WHERE id = 3 AND deal_id = 1;
SELECT kpi.resume('visits');
CALL kpi.refresh('visits');
SELECT count(*) FROM kpi.verify('visits');

-- Rows without a key or an entity are no facts, and counted when all are read.
INSERT INTO keyed.history VALUES (NULL, 1, 'demo', '2026-03-01'), (50, NULL, 'demo', '2026-03-01');
CALL kpi.refresh('visits');
SELECT count(*) FROM kpi.verify('visits');
SELECT kpi.repair('visits');
SELECT rows_without_key FROM kpi.source_status WHERE source = 'visits';
SELECT count(*) FROM kpi_data.visits WHERE id IS NULL OR deal_id IS NULL;
DELETE FROM keyed.history WHERE id IS NULL OR deal_id IS NULL;

-- One over the rows of another.
SELECT kpi.create_source('deals_visited', key => 'deal_id', at => 'left_at',
    query => 'SELECT deal_id, max(left_at) AS left_at, count(*) AS stages FROM kpi_data.visits GROUP BY deal_id',
    follow => '{"kpi_data.visits": "deal_id"}') > 0 AS created;
SELECT kpi.create_kpi('stages', source => 'deals_visited', measure => 'sum(stages)') > 0 AS created;
CALL kpi.refresh();
INSERT INTO keyed.history VALUES (60, 2, 'won', '2026-03-05'), (61, 2, 'lead', '2026-03-06');
CALL kpi.refresh('visits');
CALL kpi.refresh('deals_visited');
SELECT value FROM kpi.team_yearly WHERE kpi = 'stages' AND team = 'company';
SELECT sum(n) FROM (SELECT count(*) AS n FROM keyed.history GROUP BY deal_id HAVING count(*) > 1) x;
SELECT count(*) FROM kpi.verify();

SELECT kpi.drop_source('deals_visited', cascade => true);
SELECT kpi.drop_source('visits', cascade => true);
SELECT kpi.drop_source('journeys', cascade => true);
SELECT count(*) FROM pg_class WHERE relnamespace = 'kpi_data'::regnamespace;
SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'keyed'::regnamespace;
SELECT kpi.drop_member('o1');
SELECT kpi.drop_team('north');
DROP SCHEMA keyed CASCADE;
