--
-- States that tell values apart: counted multisets
--
SET search_path = kpi, kpi_internal, pg_catalog;

-- what is written is read
SELECT 'v1{7:distinct facts=3 values=-5*1,9*2}'::cell AS two, 'v1{7:distinct facts=0 values=}'::cell AS none,
       'v1{7:distinct facts=0 values=1*-1,2*1}'::cell AS on_the_way, 'v1{7:distinct facts=3 forgotten=-4*5}'::cell AS forgotten;
\set ON_ERROR_STOP 0
\set VERBOSITY terse
SELECT 'v1{7:distinct facts=2 values=}'::cell;
SELECT 'v1{7:distinct facts=3 values=9*1,-5*2}'::cell;
SELECT 'v1{7:distinct facts=2 values=9*1,9*1}'::cell;
SELECT 'v1{7:distinct facts=1 values=9*1,10*0}'::cell;
SELECT 'v1{7:distinct facts=1 values=9:1}'::cell;
SELECT 'v1{7:distinct facts=1 values=9*1,}'::cell;
SELECT 'v1{7:distinct facts=1 values=99999999999999999999*1}'::cell;
SELECT 'v1{7:distinct facts=0 forgotten=0*0}'::cell;
SELECT 'v1{7:distinct facts=1}'::cell;
SELECT cell_agg('7:distinct', x) FROM (VALUES (1.5)) v (x);
SELECT cell_agg('7:distinct', x) FROM (VALUES (true)) v (x);
\set VERBOSITY default
\set ON_ERROR_STOP 1

-- facts are counted by their value; NULL is none
SELECT cell_agg('7:distinct', x) AS integers FROM (VALUES (3), (NULL), (1), (3), (-2)) v (x);
SELECT cell_agg('7:distinct', x::smallint) = cell_agg('7:distinct', x::bigint) AS of_any_size FROM (VALUES (3), (1), (-2)) v (x);
SELECT cell_final('v1{7:distinct facts=2 values=1*-1,2*1,5*2}', 7) AS only_what_is_there,
       cell_final('v1{7:distinct facts=3 values=-5*1,9*2}', 7) AS two, cell_final('v1{7:distinct facts=-1 values=9*-1}', 7) AS none;
SELECT (cell_final(cell_agg('7:distinct', x), 7)).value = count(DISTINCT x) AS value, (cell_final(cell_agg('7:distinct', x), 7)).facts = count(x) AS facts
  FROM (SELECT nullif(hashint4extended(i % 7919, 1), 0) AS x FROM generate_series(1, 50000) i) v;

-- the group
CREATE TEMP TABLE random_cell AS
SELECT n, cell_agg('7:distinct', CASE WHEN n % 3 = 0 THEN hashint4extended((i * i * n) % 97, 0) ELSE (i * n) % 13 - 6 END) AS c
  FROM generate_series(1, 12) n, generate_series(1, 300) i WHERE i % n < 5 GROUP BY n;
SELECT count(*) AS triples, bool_and((a.c + b.c) + c.c = a.c + (b.c + c.c)) AS associative, bool_and(a.c + b.c = b.c + a.c) AS commutative,
       bool_and(is_empty(a.c - a.c)) AS inverse, bool_and((a.c - b.c) + b.c = a.c AND -(a.c - b.c) = b.c - a.c) AS subtraction,
       bool_and((a.c - b.c)::text::cell = a.c - b.c) AS text
  FROM random_cell a, random_cell b, random_cell c;
SELECT merge(c) = (SELECT cell_agg('7:distinct', CASE WHEN n % 3 = 0 THEN hashint4extended((i * i * n) % 97, 0) ELSE (i * n) % 13 - 6 END)
                     FROM generate_series(1, 12) n, generate_series(1, 300) i WHERE i % n < 5) AS union_of_all
  FROM random_cell;
SELECT 'v1{7:distinct facts=1 values=1*1}'::cell - 'v1{7:distinct facts=2 values=1*1,2*1}' AS negative,
       is_empty('v1{7:distinct facts=0 values=1*-1,2*1}') AS no_facts_but_not_empty;

-- the limit: beyond it values are forgotten, facts are not; nothing is wrong, and what is empty is so again
CREATE TEMP TABLE large AS
SELECT cell_agg('7:distinct', x) FILTER (WHERE x <= 1000000) AS most, cell_agg('7:distinct', x) FILTER (WHERE x > 999990) AS rest,
       cell_agg('7:distinct', x) AS more
  FROM generate_series(1, 1000010) x;
SELECT cell_final(most, 7) AS most, cell_final(more, 7) AS more, cell_final(most + rest, 7) AS sum, length(most::text) > 1000000 AS knows FROM large;
SELECT is_empty(more - more) AS nothing, is_empty(more - most) AS something, is_empty(more - most - rest) AS ten_too_many,
       is_empty(more + 'v1{7:distinct facts=10 values=999991*1,999992*1,999993*1,999994*1,999995*1,999996*1,999997*1,999998*1,999999*1,1000000*1}'
                - most - rest) AS nothing_again,
       more = most + (rest - 'v1{7:distinct facts=10 values=999991*1,999992*1,999993*1,999994*1,999995*1,999996*1,999997*1,999998*1,999999*1,1000000*1}') AS same,
       more = most AS differs, -(-more) = more AS twice, more::text::cell = more AS text
  FROM large;
SELECT cell_final(most + rest - rest, 7) AS not_known_again, cell_final((more - most - rest + rest) - rest + most, 7) AS nor_here FROM large;
SELECT (more - more) + rest = rest AS from_new FROM large;
DROP TABLE large;
RESET search_path;
