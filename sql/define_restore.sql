-- Rows of a dump come by COPY, in any order, and with several jobs perhaps after
-- a worker has refreshed.  What is read then is right in the end.
SET client_min_messages = warning;
CREATE SCHEMA re;
CREATE TABLE re.deals (id integer PRIMARY KEY, owner text, product text, amount numeric, at timestamptz);
INSERT INTO re.deals VALUES (1, 'ann', 'pro', 10, '2026-03-31 23:30+00'), (2, 'bob', 'basic', 20, '2026-04-01 10:00+00');
SELECT kpi.create_source('re_deals', relation => 're.deals', owner => 'owner', at => 'at') AS source \gset
SELECT kpi.create_kpi('re_amount', source => 're_deals', measure => 'sum(amount)') > 0 AS created;
CALL kpi.refresh('re_deals');
CREATE VIEW re.numbers AS
    SELECT team, period, value FROM kpi.team_monthly WHERE kpi = 're_amount' ORDER BY team, period;
SELECT * FROM re.numbers;

-- People and teams, ...
COPY kpi.member (id, key, name) FROM stdin;
1001	ann	Ann
1002	bob	Bob
\.
COPY kpi.membership (id, member_id, team_id) FROM stdin;
1001	1001	1001
1002	1002	1002
\.
COPY kpi.team (id, key, name) FROM stdin;
1001	re_emea	EMEA
1002	re_dach	DACH
\.
CALL kpi.refresh('re_deals');
COPY kpi.team_parent (id, team_id, parent_id) FROM stdin;
1001	1001	1
1002	1002	1001
\.
CALL kpi.refresh('re_deals');
SELECT * FROM re.numbers;
SELECT * FROM kpi.verify('re_deals');

-- ... dimensions, ...
INSERT INTO kpi.dimension (source_id, position, name, expression) VALUES (:source, 1, 'product', 'product');
CALL kpi.refresh('re_deals');
SELECT DISTINCT b.dimension_value FROM kpi.kpi_breakdown b ORDER BY 1;
SELECT * FROM kpi.verify('re_deals');

-- ... and the zone of the calendar.
COPY kpi.calendar (id, name, time_zone) FROM stdin;
1	default	Europe/Berlin
\.
CALL kpi.refresh('re_deals');
SELECT * FROM re.numbers WHERE team = 'company';
SELECT * FROM kpi.verify('re_deals');

SELECT kpi.alter_calendar('default', time_zone => 'UTC');
SELECT kpi.drop_source('re_deals', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob');
SELECT kpi.drop_team('re_dach'), kpi.drop_team('re_emea');
DROP SCHEMA re CASCADE;
