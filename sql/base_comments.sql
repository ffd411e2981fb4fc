--
-- Everything people can see says what it is
--
SELECT c.relname FROM pg_class c
WHERE c.relnamespace IN ('kpi'::regnamespace, 'kpi_internal'::regnamespace) AND c.relkind IN ('r', 'v')
  AND obj_description(c.oid, 'pg_class') IS NULL AND (c.relkind = 'r' OR c.relnamespace = 'kpi'::regnamespace) ORDER BY 1;
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'kpi'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
  AND col_description(c.oid, a.attnum) IS NULL ORDER BY 1, 2;
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'kpi'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY p.proname;
SELECT o.oid::regoperator FROM pg_operator o
WHERE o.oprnamespace = 'kpi'::regnamespace AND obj_description(o.oid, 'pg_operator') IS NULL ORDER BY o.oprname;
SELECT t.typname FROM pg_type t
WHERE t.typnamespace = 'kpi'::regnamespace AND t.typtype = 'b' AND t.typelem = 0 AND obj_description(t.oid, 'pg_type') IS NULL ORDER BY 1;

-- Types that BI tools read: no arrays (but lists of columns), ranges, intervals or enums in tables and views
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'kpi'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
  AND a.atttypid NOT IN ('integer'::regtype, 'bigint'::regtype, 'smallint'::regtype, 'text'::regtype, 'date'::regtype,
                         'timestamptz'::regtype, 'numeric'::regtype, 'boolean'::regtype, 'double precision'::regtype) ORDER BY 1, 2;
-- and every table has a primary key
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'kpi'::regnamespace AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) ORDER BY 1;
