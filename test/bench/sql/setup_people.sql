-- 10,000 users in 1,000 teams of six levels, in tables of the user's own.
SET client_min_messages = warning;
CREATE EXTENSION pg_kpi;
CREATE TABLE crm_teams (id integer PRIMARY KEY, name text, parent_id integer);
CREATE TABLE crm_users (id bigint PRIMARY KEY, name text, team_id integer, created_at timestamptz, deactivated_at timestamptz);
INSERT INTO crm_teams SELECT t, 'Team ' || t, CASE WHEN t > 1 THEN (t - 2) / 4 + 1 END FROM generate_series(1, 1000) t;
INSERT INTO crm_users SELECT m, 'User ' || m, 1 + m % 1000, timestamptz '2020-01-01' + m * interval '1 hour',
       CASE WHEN m % 10 = 0 THEN timestamptz '2024-01-01' + m * interval '1 hour' END FROM generate_series(1, 10000) m;
CREATE FUNCTION sync_all() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM kpi.sync_people(
        teams   => 'SELECT id AS key, name, parent_id AS parent FROM crm_teams',
        members => 'SELECT id AS key, name, team_id AS team, created_at AS since, deactivated_at AS until FROM crm_users')
$$;
VACUUM ANALYZE;
CHECKPOINT;
