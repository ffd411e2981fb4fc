-- kpi.why() of sources that take no changes, or whose definition does not fit their table; who is told what.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO';
SET kpi.now = '2026-11-27 12:00';
CREATE ROLE wu_definer;
CREATE ROLE wu_reader;
GRANT CREATE ON SCHEMA public TO wu_definer;
SELECT kpi.grant_reader('wu_reader'), kpi.grant_reader('wu_definer');
CREATE TABLE wu_deal (id integer PRIMARY KEY, amount numeric, secret text, closed date);
ALTER TABLE wu_deal OWNER TO wu_definer;
INSERT INTO wu_deal VALUES (1, 10, '7', '2026-05-05'), (2, 10, 'x', '2026-05-05');
GRANT SELECT ON wu_deal TO wu_reader;
SELECT kpi.create_source('wu_deals', 'wu_deal', key => 'id', at => 'closed') > 0 AS made;
SELECT kpi.create_kpi('wu_sum', source => 'wu_deals', measure => 'sum(amount * secret::numeric)') > 0 AS made;
SELECT definer FROM kpi.source WHERE name = 'wu_deals';
CALL kpi.refresh('wu_deals');
-- an error may quote the fact: its text is for the definer
SET ROLE wu_definer;
SELECT status, value, detail FROM (VALUES (1), (2)) k (key), LATERAL kpi.why('wu_deals', k.key) ORDER BY k.key;
SET ROLE wu_reader;
SELECT status, value, detail FROM (VALUES (1), (2)) k (key), LATERAL kpi.why('wu_deals', k.key) ORDER BY k.key;
RESET ROLE;

-- a trigger is off: no refresh has noticed, then one has
ALTER TABLE wu_deal DISABLE TRIGGER ALL;
SELECT status, counts_for, value, detail FROM kpi.why('wu_deals', 1);
SET client_min_messages = error;
CALL kpi.refresh('wu_deals');
SELECT status, counts_for, value, detail FROM kpi.why('wu_deals', 1);
ALTER TABLE wu_deal ENABLE TRIGGER ALL;
SELECT status FROM kpi.why('wu_deals', 1);
SELECT kpi.resume('wu_deals');
CALL kpi.refresh('wu_deals');
SELECT status FROM kpi.why('wu_deals', 1);

-- the definition does not fit: before a refresh, and after it
ALTER TABLE wu_deal ALTER secret TYPE jsonb USING to_jsonb(secret);
ALTER TABLE wu_deal DROP COLUMN amount;
SET ROLE wu_definer;
SELECT * FROM kpi.why('wu_deals', 1);
SET ROLE wu_reader;
SELECT * FROM kpi.why('wu_deals', 1);
SELECT * FROM kpi.facts('wu_sum', period => '2026');
SELECT * FROM kpi.why('wu_deals', 1, 'wu_sun');
RESET ROLE;
CALL kpi.refresh('wu_deals');
SET ROLE wu_definer;
SELECT kpi, status, counts_for, detail FROM kpi.why('wu_deals', 1);
SET ROLE wu_reader;
SELECT kpi, status, counts_for, detail FROM kpi.why('wu_deals', 1);
RESET ROLE;
-- the definer has no right, or there is no table
ALTER TABLE wu_deal ADD amount numeric DEFAULT 3;
ALTER TABLE wu_deal ALTER secret TYPE text USING secret #>> '{}';
SELECT kpi.resume('wu_deals');
CALL kpi.refresh('wu_deals');
SELECT status, value FROM kpi.why('wu_deals', 1);
ALTER TABLE wu_deal OWNER TO wu_reader;
SELECT status, detail FROM kpi.why('wu_deals', 1);
SELECT * FROM kpi.facts('wu_sum', period => '2026');
ALTER TABLE wu_deal OWNER TO wu_definer;
DROP TABLE wu_deal;
SELECT status, detail FROM kpi.why('wu_deals', 1);
SELECT * FROM kpi.facts('wu_sum', period => '2026');
SELECT kpi.pause('wu_deals');
SELECT status, detail FROM kpi.why('wu_deals', 1);
SET client_min_messages = warning;

SELECT kpi.drop_source('wu_deals', cascade => true);
SELECT kpi.revoke_reader('wu_reader'), kpi.revoke_reader('wu_definer');
REVOKE ALL ON SCHEMA public FROM wu_definer;
DROP ROLE wu_reader, wu_definer;
