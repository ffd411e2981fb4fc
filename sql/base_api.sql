-- What people call: every parameter of every function can be written by name,
-- and what is made can be taken away.

-- A call with all parameters by name, as it would be typed.
CREATE FUNCTION api_call(routine oid) RETURNS text LANGUAGE sql AS $$
    SELECT format('kpi.%I(%s)', p.proname,
                  string_agg(format('%s => NULL::%s', a.name,
                                    CASE t.typtype WHEN 'p' THEN 'text' ELSE format_type(t.oid, NULL) END), ', ' ORDER BY a.n)
                  FILTER (WHERE a.n IS NOT NULL))
      FROM pg_proc p
      LEFT JOIN LATERAL (SELECT n, p.proargtypes[n - 1] AS type, p.proargnames[n] AS name FROM generate_series(1, p.pronargs) n) a ON true
      LEFT JOIN pg_type t ON t.oid = a.type
     WHERE p.oid = $1
     GROUP BY p.proname $$;

-- A name that is missing or reserved is an error of syntax, a call that is not
-- clear one of resolution.  Nothing is run.
DO $$
DECLARE
    r record;
    n integer := 0;
BEGIN
    FOR r IN
        SELECT p.oid::regprocedure AS signature, p.prokind, api_call(p.oid) AS call
          FROM pg_proc p
         WHERE p.pronamespace = 'kpi'::regnamespace AND p.prokind IN ('f', 'p') AND p.prorettype <> 'trigger'::regtype
         ORDER BY p.oid::regprocedure::text
    LOOP
        n := n + 1;
        BEGIN
            IF r.prokind = 'f' THEN
                EXECUTE 'EXPLAIN SELECT * FROM (SELECT 1 WHERE false) x, LATERAL ' || r.call || ' y';
            ELSE
                EXECUTE 'DO $call$ BEGIN IF false THEN CALL ' || r.call || '; END IF; END $call$';
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING '%: %', r.signature, SQLERRM;
        END;
    END LOOP;
    IF n < 80 THEN
        RAISE WARNING 'only % functions were looked at', n;
    END IF;
END
$$;

-- What create_ and add_ make, drop_ takes away.
SELECT p.proname FROM pg_proc p
 WHERE p.pronamespace = 'kpi'::regnamespace AND p.proname ~ '^(create|add)_'
   AND NOT EXISTS (SELECT FROM pg_proc d WHERE d.pronamespace = p.pronamespace
                    AND d.proname = regexp_replace(p.proname, '^(create|add)_', 'drop_'))
 ORDER BY 1;

-- What is used is called what it is, not "name" or "key", which is for where it is made.
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'kpi'::regnamespace AND p.proname !~ '^(create|add|estimate)_' AND p.proargnames[1] IN ('name', 'key', 'id')
 ORDER BY 1;

-- Functions return no arrays, and columns with names.
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
 WHERE p.pronamespace = 'kpi'::regnamespace AND p.prokind = 'f'
   AND (t.typcategory = 'A' OR t.typname = 'record' AND p.proallargtypes IS NULL)
 ORDER BY 1;

-- The list of what there is, by what the name begins with.
SELECT split_part(f.proname, '_', 1) COLLATE "C" AS verb, string_agg(f.proname, ' ' ORDER BY f.proname COLLATE "C") AS functions
  FROM (SELECT DISTINCT p.proname::text FROM pg_proc p
         WHERE p.pronamespace = 'kpi'::regnamespace AND p.prorettype <> 'trigger'::regtype) f
 GROUP BY 1 ORDER BY min(f.proname COLLATE "C");

DROP FUNCTION api_call(oid);
