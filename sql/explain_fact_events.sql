-- kpi.fact_events(): the rows that a fact is made of, of followed tables, by columns and by queries, of
-- lookups and of plain tables; and who may see them.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA fe;
CREATE TABLE fe.account (id int PRIMARY KEY, region text);
CREATE TABLE fe.lead (id int PRIMARY KEY, account int, name text);
CREATE TABLE fe.history (lead int, n int, state text, at timestamptz, PRIMARY KEY (lead, n)) PARTITION BY RANGE (lead);
CREATE TABLE fe.history_1 PARTITION OF fe.history FOR VALUES FROM (0) TO (50);
CREATE TABLE fe.history_2 PARTITION OF fe.history FOR VALUES FROM (50) TO (1000);
CREATE TABLE fe.note (lead int, other int, at date);
INSERT INTO fe.account SELECT i, 'r' || i FROM generate_series(1, 4) i;
INSERT INTO fe.lead SELECT i, 1 + i % 4, 'lead ' || i FROM generate_series(1, 100) i;
INSERT INTO fe.history SELECT i, n, (ARRAY['new', 'won', 'lost'])[n], timestamptz '2026-01-01 10:00+00' + i * interval '1 hour' + n * interval '1 day' FROM generate_series(1, 100) i, generate_series(1, 1 + i % 3) n;
INSERT INTO fe.note SELECT i, i + 1, '2026-02-01' FROM generate_series(1, 99) i WHERE i % 5 < 2;
CREATE INDEX ON fe.note (lead);
SELECT kpi.create_source('fe_visit', key => 'lead, n', entity => 'lead', at => 'at',
    query => 'SELECT h.lead, h.n, h.at, a.region, count(o.lead) AS notes FROM fe.history h JOIN fe.lead l ON l.id = h.lead
              LEFT JOIN fe.account a ON a.id = l.account LEFT JOIN fe.note o ON o.lead = h.lead OR o.other = h.lead GROUP BY h.lead, h.n, h.at, a.region',
    follow => '{"fe.history": "lead", "fe.lead": "id", "fe.account": "SELECT l.id FROM fe.lead l WHERE l.account = changed.id",
                "fe.note": "SELECT changed.lead UNION ALL SELECT changed.other"}') > 0 AS source;
SELECT kpi.create_kpi('fe_visits', source => 'fe_visit', measure => 'count(*)') > 0 AS kpi;
SELECT kpi.create_lookup('fe_account', relation => 'fe.account', key => 'id', value => 'region') > 0 AS lookup;
SELECT kpi.create_source('fe_lead', relation => 'fe.lead', key => 'id', at => $$'2026-01-01'::date$$, dimensions => $${"region": "lookup('fe_account', account)"}$$) > 0 AS source,
       kpi.create_source('fe_note', relation => 'fe.note', key => 'lead', at => 'at') > 0 AS source,
       kpi.create_source('fe_read', query => 'SELECT lead, max(at) AS at FROM fe.history GROUP BY lead', key => 'lead', at => 'at') > 0 AS source;
CALL kpi.refresh();
SELECT * FROM kpi.fact_events('fe_visit', key => '5, 2');
SELECT * FROM kpi.fact_events('fe_visit', key => '62, 1');
SELECT * FROM kpi.fact_events('fe_lead', key => 7);
SELECT * FROM kpi.fact_events('fe_note', key => '5');
-- of each fact, what plain SQL says of its lead
SELECT count(*) AS facts, count(*) FILTER (WHERE e.history = (SELECT count(*) FROM fe.history h WHERE h.lead = k.lead) AND e.lead = 1 AND e.account = 1
                                              AND e.note = (SELECT count(*) FROM fe.note o WHERE k.lead IN (o.lead, o.other))) AS equal
  FROM kpi_data.fe_visit k
 CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE relation = 'fe.history') AS history, count(*) FILTER (WHERE relation = 'fe.lead') AS lead,
                            count(*) FILTER (WHERE relation = 'fe.account') AS account, count(*) FILTER (WHERE relation = 'fe.note') AS note
                       FROM kpi.fact_events('fe_visit', key => k.lead || ', ' || k.n)) e;
-- as the tables are now, a refresh or not
DELETE FROM fe.history WHERE lead = 5 AND n = 1;
SELECT relation, row_key FROM kpi.fact_events('fe_visit', key => '5, 2');

-- rights on each table, and on the kept rows
CREATE ROLE regress_kpi_events_reader;
SELECT kpi.grant_reader('regress_kpi_events_reader');
GRANT USAGE ON SCHEMA fe TO regress_kpi_events_reader;
GRANT SELECT ON fe.history, fe.lead, fe.note TO regress_kpi_events_reader;
GRANT SELECT (id) ON fe.account TO regress_kpi_events_reader;
SET ROLE regress_kpi_events_reader;
SELECT * FROM kpi.fact_events('fe_visit', key => '5, 2');
RESET ROLE;
SELECT kpi.grant_source('fe_visit', 'regress_kpi_events_reader');
SET ROLE regress_kpi_events_reader;
SELECT * FROM kpi.fact_events('fe_visit', key => '5, 2');
RESET ROLE;
GRANT SELECT ON fe.account TO regress_kpi_events_reader;
SET ROLE regress_kpi_events_reader;
SELECT count(*) FROM kpi.fact_events('fe_visit', key => '5, 2');
RESET ROLE;
ALTER TABLE fe.note ENABLE ROW LEVEL SECURITY;
SET ROLE regress_kpi_events_reader;
SELECT count(*) FROM kpi.fact_events('fe_visit', key => '5, 2');
SELECT count(*) FROM kpi.fact_events('fe_note', key => '5');
RESET ROLE;

-- what is not there
SELECT * FROM kpi.fact_events('fe_visit', key => '5, 9');
SELECT * FROM kpi.fact_events('fe_note', key => 4711);
SELECT * FROM kpi.fact_events('fe_visits', key => 1);
SELECT * FROM kpi.fact_events('fe_read', key => 1);

SELECT kpi.drop_kpi('fe_visits');
SELECT count(kpi.drop_source(s.name)) FROM kpi.source s;
SELECT kpi.drop_lookup('fe_account');
SELECT kpi.revoke_reader('regress_kpi_events_reader');
DROP OWNED BY regress_kpi_events_reader;
DROP ROLE regress_kpi_events_reader;
DROP SCHEMA fe CASCADE;
