-- 32_sync: teams and people from the users' own tables.

-- A row at most.  Names, no OIDs: it is dumped.
CREATE TABLE kpi.people_sync (
    id            integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    teams         text,
    members       text,
    effective     text NOT NULL CHECK (effective IN ('today', 'history')),
    partial       boolean NOT NULL,
    missing       text NOT NULL CHECK (missing IN ('end', 'keep')),
    definer       text NOT NULL,
    reaches       text NOT NULL,
    remembered_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK (teams IS NOT NULL OR members IS NOT NULL)
);
SELECT pg_catalog.pg_extension_config_dump('kpi.people_sync', '');

COMMENT ON TABLE kpi.people_sync IS 'The queries by which the worker keeps teams and people current; no row: none. Written by kpi.sync_people() and kpi.forget_people(); how they do is in kpi.people_sync_status';
COMMENT ON COLUMN kpi.people_sync.id IS 'Always 1';
COMMENT ON COLUMN kpi.people_sync.teams IS 'The query of teams, its names written out; NULL: teams are not synced';
COMMENT ON COLUMN kpi.people_sync.members IS 'The query of members, its names written out; NULL: members are not synced';
COMMENT ON COLUMN kpi.people_sync.effective IS 'today: changes of team count from the day on which they are seen; history: since and until of the query are real';
COMMENT ON COLUMN kpi.people_sync.partial IS 'True: rows that are refused do not keep the rest';
COMMENT ON COLUMN kpi.people_sync.missing IS 'What becomes of who is not in the query: end, keep';
COMMENT ON COLUMN kpi.people_sync.definer IS 'The role whose rights the queries have: who had them remembered';
COMMENT ON COLUMN kpi.people_sync.reaches IS 'What of other roles the queries reached then, one a line: they may reach no more';
COMMENT ON COLUMN kpi.people_sync.remembered_at IS 'When they were remembered';

-- No foreign key: a restore may bring either first.
CREATE TABLE kpi_internal.people_sync_state (
    id            integer PRIMARY KEY,
    definer_oid   oid,
    checked_at    timestamptz,
    changed_at    timestamptz,
    changes       integer,
    refused       integer,
    last_error    text,                -- a note (base/base.h)
    last_sqlstate text,
    hint          text,
    failing_since timestamptz,
    failures      integer NOT NULL DEFAULT 0,
    next_try      timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE kpi_internal.people_sync_state IS 'How the remembered queries of people do';

CREATE FUNCTION kpi.sync_people(teams text, members text, effective text DEFAULT 'today',
                                dry_run boolean DEFAULT false, partial boolean DEFAULT false,
                                missing text DEFAULT 'end', remember boolean DEFAULT false,
                                OUT action text, OUT object text, OUT what text, OUT reason text)
    RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_sync_people';
COMMENT ON FUNCTION kpi.sync_people(text, text, text, boolean, boolean, text, boolean) IS
'Makes teams and people what two queries say, and returns a row for each change; none, and nothing is written, when all is so already. teams has columns key and, if you like, name and parent (NULL: the company); members has key, team (NULL: none) and, if you like, name, since and until (date, timestamp or timestamptz; until is exclusive, and of a moment within a day that day is the last); each further column is an attribute by its name (kpi.set_attribute()). Keys may be of any type, rows in any order; a query that is NULL leaves its kind alone. Each query is one SELECT and runs as the caller in a read-only transaction. effective ''today'': who is known belongs to the team of the row from today on (from since, if later), and what is recorded before stays; who is new belongs to it from since, without one always; a team moves today, and attributes are dated as memberships are: a null ends one, those that are no column stay. ''history'': since and until are real, and the rows of a member, of which there may be many, are its memberships, exactly. action is create, rename, move, join (of one who belonged to no team), set (an attribute), end, drop, missing or refused. Members who are not in the query end today, or with missing ''keep'' are only listed; who comes back joins again. A row whose key is an alias is passed over, and a member who is there by an alias only stays. Teams that are not in the query stay, and are listed (missing) while people or teams in use are under them; one that nothing refers to, on whatever day, is dropped, or with ''keep'' listed. A row with a key that is null or repeated, of an unknown team or parent or in a circle is refused with all that depend on it: an error that names them, or with partial the rest is done and they are returned with their reason. dry_run only tells. remember has the worker run the queries again once in kpi.people_interval, with the rights of the caller, until kpi.forget_people(); see kpi.people_sync_status. Errors: 22023 rows are refused; a query is no SELECT, lacks a column or has one that means nothing; the query of members has no rows, so that everybody would end; 42501 to be remembered, a caller who has more rights than those on tables reaches what belongs to others';

CREATE FUNCTION kpi.forget_people() RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_forget_people';
COMMENT ON FUNCTION kpi.forget_people() IS
'Ends what kpi.sync_people(..., remember => true) began: teams and people stay as they are. False if nothing was remembered';
